//! One attempt, from the items to the PAM code: what the daemon asks is put to the application, what is answered is
//! passed on unchanged, what it tells is shown, and its verdict is final.
//!
//! Nothing here looks at what was typed. A daemon that talks out of turn, or for ever, ends as unavailable.

use crate::args::{self, Settings};
use crate::channel::{Channel, ChannelError, Deadline};
use crate::ffi;
use crate::items;
use crate::verdict::{Outcome, code};
use core::ffi::CStr;
use core::fmt;
use pam::constants::{
    PAM_ERROR_MSG, PAM_PROMPT_ECHO_OFF, PAM_PROMPT_ECHO_ON, PAM_SILENT, PAM_TEXT_INFO, PamFlag,
    PamMessageStyle, PamResultCode,
};
use pam::conv::Conv;
use pam::module::PamHandle;
use twinlock_protocol::{Answer, AuthTok, Begin, MAX_ANSWER, Message, Phase, Secret, Tell, Verdict};

/// Most questions of one attempt.
const MAX_ASKS: usize = 16;
/// Most messages shown in one attempt.
const MAX_TELLS: usize = 64;

/// Why the daemon's part of an attempt cannot be used.
#[derive(Debug)]
enum Trouble {
    Channel(ChannelError),
    TooManyAsks,
    TooManyTells,
    OutOfTurn,
    AuthTok,
    NotKept,
}

impl From<ChannelError> for Trouble {
    fn from(error: ChannelError) -> Self {
        Self::Channel(error)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Channel(error) => error.fmt(f),
            Self::TooManyAsks => write!(f, "malformed dialogue: more than {MAX_ASKS} questions"),
            Self::TooManyTells => write!(f, "malformed dialogue: more than {MAX_TELLS} messages"),
            Self::OutOfTurn => f.write_str("malformed dialogue: a message out of turn"),
            Self::AuthTok => f.write_str("malformed verdict: it names a password that nobody typed"),
            Self::NotKept => f.write_str("libpam could not keep what goes with the grant"),
        }
    }
}

/// Whether a change could be asked for.
pub(crate) fn prepared(pamh: &PamHandle, args: &[&CStr]) -> PamResultCode {
    match args::parse(args) {
        Ok(_) => PamResultCode::PAM_SUCCESS,
        Err(error) => {
            ffi::log(pamh, &format!("no password is changed, because the service file is wrong: {error}"));
            PamResultCode::PAM_AUTHTOK_ERR
        }
    }
}

/// Runs one attempt in `phase`.
pub(crate) fn attempt(pamh: &mut PamHandle, args: &[&CStr], flags: PamFlag, phase: Phase) -> PamResultCode {
    code(phase, outcome(pamh, args, flags, phase))
}

fn outcome(pamh: &mut PamHandle, args: &[&CStr], flags: PamFlag, phase: Phase) -> Outcome {
    // Taken whatever comes: a ticket outlives no second attempt on this handle.
    let ticket = ffi::take_ticket(pamh);
    let settings = match args::parse(args) {
        Ok(settings) => settings,
        Err(error) => {
            ffi::log(pamh, &format!("denied, because the service file is wrong: {error}"));
            return Outcome::Denied;
        }
    };
    let Some(mut begin) = items::collect(pamh, phase, flags & PAM_SILENT != 0) else {
        return Outcome::Nameless;
    };
    begin.ticket = match phase {
        Phase::Authenticate => None,
        Phase::Account | Phase::Change => ticket,
    };
    match dialogue(pamh, &settings, begin) {
        Ok(outcome) => outcome,
        Err(trouble) => {
            let path = settings.socket.as_os_str().as_encoded_bytes().escape_ascii();
            ffi::log(pamh, &format!("twinlockd at {path}: {trouble}"));
            Outcome::Unavailable
        }
    }
}

fn dialogue(pamh: &mut PamHandle, settings: &Settings, begin: Begin) -> Result<Outcome, Trouble> {
    let (phase, silent, user) = (begin.phase, begin.silent, begin.user.clone());
    let mut deadline = Deadline::after(settings.timeout);
    let channel = Channel::open(settings, deadline)?;
    channel.send(&Message::Begin(begin), deadline)?;

    let mut answers = Answers::default();
    let mut tells = 0;
    loop {
        match channel.receive(deadline)? {
            Message::Ask { prompt, echo } => {
                if phase == Phase::Account {
                    return Err(Trouble::OutOfTurn);
                }
                let answer = Message::Answer(answers.ask(pamh, &prompt, echo)?);
                deadline = Deadline::after(settings.timeout);
                match channel.send(&answer, deadline) {
                    // A daemon that gave up on the person typing may have left its verdict behind.
                    Ok(()) | Err(ChannelError::Closed) => {}
                    Err(error) => return Err(error.into()),
                }
                answers.keep(answer);
            }
            Message::Tell { style, text } => {
                tells += 1;
                if tells > MAX_TELLS {
                    return Err(Trouble::TooManyTells);
                }
                if !silent {
                    show(pamh, style, &text);
                }
                deadline = Deadline::after(settings.timeout);
            }
            Message::Verdict(Verdict::Deny) => return Ok(Outcome::Denied),
            Message::Verdict(Verdict::Unavailable) => return Ok(Outcome::Unavailable),
            Message::Verdict(Verdict::Withheld { standing, ticket }) => {
                if let (Phase::Account, Some(ticket)) = (phase, ticket) {
                    // Without it, the change asks for the password once more.
                    let _ = ffi::keep_ticket(pamh, ticket);
                }
                return Ok(Outcome::Withheld(standing));
            }
            Message::Verdict(Verdict::Grant { ticket, authtok }) => {
                if !items::is_still_user(pamh, &user) {
                    ffi::log(pamh, "denied, because PAM_USER is not the name that the daemon granted");
                    return Ok(Outcome::Denied);
                }
                hand_over(pamh, phase, ticket, authtok, &answers)?;
                return Ok(Outcome::Granted);
            }
            Message::Begin(_) | Message::Answer(_) => return Err(Trouble::OutOfTurn),
        }
    }
}

/// Puts what goes with a grant where later modules and the account phase find it.
fn hand_over(
    pamh: &mut PamHandle,
    phase: Phase,
    ticket: Option<Secret>,
    authtok: Option<AuthTok>,
    answers: &Answers,
) -> Result<(), Trouble> {
    if let Some(place) = authtok {
        let password = answers.password(place).ok_or(Trouble::AuthTok)?;
        ffi::set_authtok(pamh, password).ok_or(Trouble::NotKept)?;
    }
    if let (Phase::Authenticate, Some(ticket)) = (phase, ticket) {
        ffi::keep_ticket(pamh, ticket).ok_or(Trouble::NotKept)?;
    }
    Ok(())
}

/// What was answered so far, in order; kept until the verdict and wiped with it.
#[derive(Default)]
struct Answers {
    typed: Vec<Option<Secret>>,
    refused: bool,
}

impl Answers {
    /// Puts one question. Once the application would not ask, it is left in peace.
    fn ask(&mut self, pamh: &PamHandle, prompt: &str, echo: bool) -> Result<Answer, Trouble> {
        if self.typed.len() >= MAX_ASKS {
            return Err(Trouble::TooManyAsks);
        }
        if self.refused {
            return Ok(Answer::Refused);
        }
        let style = if echo { PAM_PROMPT_ECHO_ON } else { PAM_PROMPT_ECHO_OFF };
        let answer = converse(pamh, style, prompt);
        self.refused = answer == Answer::Refused;
        Ok(answer)
    }

    fn keep(&mut self, answer: Message) {
        self.typed.push(match answer {
            Message::Answer(Answer::Typed(secret)) => Some(secret),
            Message::Answer(Answer::TooLong | Answer::Refused)
            | Message::Begin(_)
            | Message::Ask { .. }
            | Message::Tell { .. }
            | Message::Verdict(_) => None,
        });
    }

    /// The part of what was typed that `place` names, if it lies inside one answer.
    fn password(&self, place: AuthTok) -> Option<&[u8]> {
        let answer = self.typed.get(usize::from(place.answer))?.as_ref()?;
        answer.expose().get(..usize::from(place.length))
    }
}

/// One question, one conversation call. The conversation is looked up each time: the application may replace it.
fn converse(pamh: &PamHandle, style: PamMessageStyle, prompt: &str) -> Answer {
    let Ok(Some(conversation)) = pamh.get_item::<Conv<'_>>() else { return Answer::Refused };
    match conversation.send(style, prompt) {
        Ok(Some(typed)) if typed.len() > MAX_ANSWER => Answer::TooLong,
        Ok(Some(typed)) => Answer::Typed(Secret::copy_of(typed.as_bytes())),
        Ok(None) | Err(_) => Answer::Refused,
    }
}

/// Shows a message. An application that cannot show it is no reason to fail: some answer it with nothing at all.
fn show(pamh: &PamHandle, style: Tell, text: &str) {
    let style = match style {
        Tell::Info => PAM_TEXT_INFO,
        Tell::Error => PAM_ERROR_MSG,
    };
    if let Ok(Some(conversation)) = pamh.get_item::<Conv<'_>>() {
        let _ = conversation.send(style, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(answers: &[Option<&[u8]>]) -> Answers {
        Answers { typed: answers.iter().map(|answer| answer.map(Secret::copy_of)).collect(), refused: false }
    }

    #[test]
    fn a_password_lies_inside_one_answer_that_was_typed() {
        let answers = typed(&[Some(b"hunter2123456"), None]);
        assert_eq!(answers.password(AuthTok { answer: 0, length: 7 }), Some(&b"hunter2"[..]));
        assert_eq!(answers.password(AuthTok { answer: 0, length: 13 }), Some(&b"hunter2123456"[..]));
        assert_eq!(answers.password(AuthTok { answer: 0, length: 14 }), None);
        assert_eq!(answers.password(AuthTok { answer: 1, length: 0 }), None);
        assert_eq!(answers.password(AuthTok { answer: 2, length: 0 }), None);
    }
}
