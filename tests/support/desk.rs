//! Somebody at a desk in the office, where the rules of [`crate::site::RULES`] ask the password alone, and somebody far
//! away, who is asked for a code too.

use crate::pam::{Code, Line, Login, Style};
use crate::site::Site;

/// In the office of [`crate::site::RULES`].
pub const OFFICE: &str = "192.0.2.7";
/// In no named network.
pub const AWAY: &str = "203.0.113.7";

/// A handle of the service `desk` in the office, whose person gives these answers to these questions, each question's
/// in turn.
#[must_use]
pub fn at_desk(site: &Site, user: &str, answers: &[(&str, &str)]) -> Login {
    answering(site.stack("desk").login(user).from(OFFICE), answers)
}

/// A handle of sshd from far away.
#[must_use]
pub fn far_away(site: &Site, user: &str, password: &str, code: &str) -> Login {
    site.stack("sshd").login(user).from(AWAY).typing(password, code)
}

/// The same for any handle.
#[must_use]
pub fn answering(login: Login, answers: &[(&str, &str)]) -> Login {
    let mut answers: Vec<(String, String)> =
        answers.iter().map(|(prompt, answer)| ((*prompt).to_owned(), (*answer).to_owned())).collect();
    login.answering(move |style, prompt| {
        let place = answers.iter().position(|(asked, _)| style.is_question() && asked == prompt)?;
        Some(answers.remove(place).1.into_bytes())
    })
}

/// What auth and account say to a right or wrong password at a desk.
#[must_use]
pub fn phases(site: &Site, user: &str, password: &str) -> (Code, Code) {
    let mut login = at_desk(site, user, &[("Password: ", password)]);
    let auth = login.authenticate(0);
    (auth, if auth == Code::SUCCESS { login.acct_mgmt(0) } else { auth })
}

/// What a handle was told, apart from questions.
#[must_use]
pub fn told(login: &Login) -> Vec<String> {
    let said = login.transcript().into_iter().filter(|line| !line.style.is_question());
    said.map(|Line { style: _, text }| text).collect()
}

/// What a handle was told as errors.
#[must_use]
pub fn errors(login: &Login) -> Vec<String> {
    let said = login.transcript().into_iter().filter(|line| line.style == Style::Error);
    said.map(|Line { text, .. }| text).collect()
}
