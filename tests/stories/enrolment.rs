//! The first login of an account that has no authenticator: by invitation, from the office, in a time of grace; and what a
//! thief who has the password gets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::{Arc, Mutex};
use support::host::{Host, can_play};
use support::pam::{Code, Login, Style};
use support::site::{Phone, Site, field};
use support::slapd::{PEOPLE, Slapd};

const OFFICE: &str = "192.0.2.10";
const ELSEWHERE: &str = "198.51.100.7";
const PAUSE: &str = "Press Enter to go on: ";
const PASSWORD: &str = "alice's password";

const RULES: &str = r#"
[location.office]
networks = ["192.0.2.0/24"]

[service.xrdp-sesman]
prompt = "single"

[[rule]]
name = "everyone"
require = ["password", "code"]
enroll = { from = ["office"] }
"#;

fn scene(rules: &str) -> (Slapd, Site) {
    let slapd = Slapd::start();
    let site = Site::start(&slapd.settings("ldaps", &[slapd.ldaps_url()]), rules);
    (slapd, site)
}

fn with_grace(until: &str) -> String {
    RULES.replace("[\"office\"] }", &format!("[\"office\"], grace_until = \"{until}\" }}"))
}

fn invite(site: &Site, user: &str) -> String {
    let output = site.twinlock(&["--json", "invite", user]);
    assert!(output.status.success(), "invite: {}", String::from_utf8_lossy(&output.stderr));
    let made: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    made["invitation"].as_str().unwrap().to_owned()
}

fn login(site: &Site, service: &str, from: &str, password: &str, code: &str) -> Code {
    site.stack(service).login("alice").from(from).typing(password, code).authenticate(0)
}

/// The seed in the URI that was shown.
fn seed_in(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("otpauth://totp/")?;
    Some(rest.split_once("secret=")?.1.split_once('&')?.0.to_owned())
}

/// Somebody who types `first` as the code, and then what `confirm` makes of the phone that was shown.
fn enrolling(
    handle: Login,
    password: &str,
    first: &str,
    confirm: impl Fn(&mut Phone) -> Option<String> + Send + 'static,
) -> (Login, Arc<Mutex<Option<Phone>>>) {
    let (password, first) = (password.to_owned(), first.to_owned());
    let phone = Arc::new(Mutex::new(None));
    let shown = Arc::clone(&phone);
    let handle = handle.answering(move |style, text| {
        let mut phone = shown.lock().unwrap();
        if !style.is_question() {
            if let Some(seed) = seed_in(text) {
                *phone = Some(Phone::with_seed(&seed));
            }
            return None;
        }
        match (text, phone.as_mut()) {
            ("Password: ", _) => Some(password.clone().into_bytes()),
            (PAUSE, _) => Some(Vec::new()),
            (_, None) => Some(first.clone().into_bytes()),
            (_, Some(phone)) => confirm(phone).map(String::into_bytes),
        }
    });
    (handle, phone)
}

fn told(handle: &Login) -> Vec<String> {
    let lines = handle.transcript().into_iter();
    lines.filter(|line| line.style == Style::Info).map(|line| line.text).collect()
}

fn enrolled(site: &Site) -> Vec<String> {
    site.records().into_iter().filter(|line| line.contains(": enrolled ")).collect()
}

/// What a camera sees of the half blocks on a dark terminal, read by a QR reader.
fn read_picture(text: &str) -> Vec<String> {
    const ZOOM: usize = 6;
    let block = |c: char| matches!(c, ' ' | '\u{2580}' | '\u{2584}' | '\u{2588}');
    let rows: Vec<Vec<char>> = text
        .lines()
        .map(|line| line.trim_end_matches('\r').chars().collect::<Vec<_>>())
        .filter(|row| row.len() > 20 && row.iter().all(|c| block(*c)))
        .collect();
    let width = rows.iter().map(Vec::len).max().unwrap_or(0);
    let lit = |x: usize, y: usize| match rows[y / 2].get(x).copied().unwrap_or(' ') {
        '\u{2588}' => true,
        '\u{2580}' => y.is_multiple_of(2),
        '\u{2584}' => !y.is_multiple_of(2),
        _ => false,
    };
    let pixel = |x, y| if lit(x / ZOOM, y / ZOOM) { 230 } else { 20 };
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(width * ZOOM, 2 * rows.len() * ZOOM, pixel);
    image.detect_grids().iter().filter_map(|grid| grid.decode().ok()).map(|(_, text)| text).collect()
}

/// Through real sshd: the invitation is the code, the picture and the URI are shown, a code of it lets in; from then on
/// codes are asked, and the invitation is worth nothing.
#[test]
fn the_first_login_with_an_invitation_shows_a_qr_code_that_a_reader_reads() {
    if !can_play("a first login") {
        return;
    }
    let (_slapd, site) = scene(RULES);
    let host = Host::start(&site, &["alice"], "");
    let invitation = invite(&site, "alice");
    let mut phone = None;
    let (mut picture, mut recovery) = (Vec::new(), 0);
    let session = host.ssh_talking(ELSEWHERE, "alice", |asked| {
        if asked.ends_with("Password: ") {
            return PASSWORD.into();
        }
        if asked.ends_with(PAUSE) {
            recovery = asked.lines().filter(|line| line.starts_with("  ") && line.trim().len() == 19).count();
            return String::new();
        }
        assert!(asked.ends_with("Verification code: "), "{asked}");
        let Some(seed) = seed_in(asked) else { return invitation.clone() };
        picture = read_picture(asked);
        assert!(asked.contains(&picture[0]), "the picture says what the URI says: {asked}");
        phone.insert(Phone::with_seed(&seed)).code()
    });
    assert!(session.entered, "{session:?} {}", host.sshd_log());
    assert_eq!((picture.len(), recovery), (1, 10));
    let mut phone = phone.unwrap();
    let record = site.attempt(1);
    assert_eq!((field(&record, "reason"), field(&record, "code")), ("rule-met", "right"));
    assert_eq!(field(&record, "waiver"), "-");
    let enrolled = enrolled(&site);
    assert_eq!(enrolled.len(), 1);
    assert_eq!((field(&enrolled[0], "by"), field(&enrolled[0], "source")), ("invitation", ELSEWHERE));
    assert!(site.records().iter().all(|line| !line.contains(&invitation) && !line.contains(phone.seed())));

    assert!(!host.ssh_around(ELSEWHERE, "alice", "keyboard-interactive", PASSWORD, &invitation).entered);
    let later = host.ssh_around(ELSEWHERE, "alice", "keyboard-interactive", PASSWORD, &phone.code());
    assert!(later.entered, "{later:?}");
}

/// Through real sshd: who has stolen the password before its owner ever logged in is denied as for a wrong code, is shown
/// nothing, and cannot tell; not with somebody else's invitation either.
#[test]
fn a_thief_with_the_password_and_without_an_invitation_cannot_enrol() {
    if !can_play("a thief before the first login") {
        return;
    }
    let (slapd, site) = scene(RULES);
    let host = Host::start(&site, &["alice", "bob"], "");
    let of_bob = invite(&site, "bob");
    let mut asked = Vec::new();
    for typed in ["", "123456", &of_bob] {
        let session = host.ssh_talking(ELSEWHERE, "alice", |question| {
            asked.push(question.to_owned());
            if question.ends_with("Password: ") { PASSWORD.into() } else { typed.into() }
        });
        assert!(!session.entered, "{session:?}");
        assert!(!session.output.contains("otpauth"), "{session:?}");
    }
    assert_eq!(asked.len(), 6, "two questions each: {asked:?}");
    let records = site.attempts(3);
    assert!(records.iter().all(|record| field(record, "reason") == "no-authenticator"), "{records:#?}");
    assert_eq!(slapd.binds(&format!("uid=alice,{PEOPLE}")), 0, "the password was not looked at");
    assert!(enrolled(&site).is_empty());
    let show = site.twinlock(&["--json", "user", "show", "alice"]);
    let shown: serde_json::Value = serde_json::from_slice(&show.stdout).unwrap();
    assert_eq!(shown["authenticators"].as_array().unwrap().len(), 0);
}

/// From the office the right password is enough to be shown one, a wrong one is not; recovery codes come with it.
#[test]
fn from_the_office_the_password_is_enough_to_enrol() {
    let (slapd, site) = scene(RULES);
    let stack = site.stack("sshd").revealing_authtok();
    let (mut thief, shown) =
        enrolling(stack.login("alice").from(OFFICE), "guess", "", |phone| Some(phone.code()));
    assert_eq!(thief.authenticate(0), Code::AUTH_ERR);
    assert!(shown.lock().unwrap().is_none() && told(&thief).is_empty());

    let (mut owner, phone) =
        enrolling(stack.login("alice").from(OFFICE), PASSWORD, "", |phone| Some(phone.code()));
    assert_eq!(owner.authenticate(0), Code::SUCCESS);
    assert_eq!(stack.revealed_authtok().unwrap(), PASSWORD.as_bytes());
    assert_eq!(owner.prompts(), ["Password: ", "Verification code: ", "Verification code: ", PAUSE]);
    let told = told(&owner);
    assert!(told.len() < 64, "{}", told.len());
    let codes: Vec<_> =
        told.iter().filter_map(|line| line.strip_prefix("  ")).filter(|line| line.len() == 19).collect();
    assert_eq!(codes.len(), 10, "{told:#?}");
    let records = site.attempts(2);
    assert_eq!(field(&records[0], "reason"), "wrong-password");
    assert_eq!((field(&records[1], "reason"), field(&records[1], "place")), ("rule-met", "office"));
    assert_eq!(field(&enrolled(&site)[0], "by"), "place");
    assert_eq!(slapd.binds(&format!("uid=alice,{PEOPLE}")), 2);

    let mut phone = phone.lock().unwrap().take().unwrap();
    assert_eq!(login(&site, "sshd", OFFICE, PASSWORD, ""), Code::AUTH_ERR, "it has one now");
    assert_eq!(login(&site, "sshd", OFFICE, PASSWORD, &phone.code()), Code::SUCCESS);
    assert_eq!(login(&site, "sshd", ELSEWHERE, PASSWORD, codes[0]), Code::SUCCESS, "a recovery code of it");
}

/// The authenticator counts only after a code of it: not after three wrong ones, not after a hang-up; the invitation stays
/// good for another try.
#[test]
fn wrong_confirmation_codes_and_a_hang_up_leave_nothing_active_and_the_invitation_good() {
    let (_slapd, site) = scene(RULES);
    let invitation = invite(&site, "alice");
    let from_elsewhere = || site.stack("sshd").login("alice").from(ELSEWHERE);
    let (mut wrong, _) = enrolling(from_elsewhere(), PASSWORD, &invitation, |phone| Some(phone.wrong_code()));
    assert_eq!(wrong.authenticate(0), Code::AUTH_ERR);
    assert_eq!(wrong.prompts().len(), 2 + 3);
    assert_eq!(field(&site.attempt(1), "reason"), "enrollment-unconfirmed");
    let (mut gone, _) = enrolling(from_elsewhere(), PASSWORD, &invitation, |_| None);
    assert_ne!(gone.authenticate(0), Code::SUCCESS);
    assert_eq!(field(&site.attempt(2), "reason"), "abandoned");
    assert!(enrolled(&site).is_empty());
    // The invitation alone, with a wrong password, shows nothing.
    let (mut guess, shown) = enrolling(from_elsewhere(), "guess", &invitation, |phone| Some(phone.code()));
    assert_eq!(guess.authenticate(0), Code::AUTH_ERR);
    assert!(shown.lock().unwrap().is_none());
    let record = site.attempt(3);
    assert_eq!((field(&record, "reason"), field(&record, "code")), ("wrong-password", "invited"));

    let typed = invitation.to_lowercase().replace('-', " ");
    let (mut owner, _) = enrolling(from_elsewhere(), PASSWORD, &typed, |phone| Some(phone.code()));
    assert_eq!(owner.authenticate(0), Code::SUCCESS, "{:?}", site.attempts(4));
}

/// Of two who hold one invitation at the same moment, one gets in.
#[test]
fn an_invitation_enrols_once_even_at_the_same_moment() {
    let (_slapd, site) = scene(RULES);
    let invitation = invite(&site, "alice");
    let both = std::sync::Barrier::new(2);
    let told: Vec<Code> = std::thread::scope(|scope| {
        let one = |from: &'static str| {
            let (site, both, invitation) = (&site, &both, &invitation);
            scope.spawn(move || {
                let seen = Arc::new(Mutex::new(None::<Phone>));
                let phone = Arc::clone(&seen);
                let (send, wait) = std::sync::mpsc::channel::<()>();
                let (go, gate) = std::sync::mpsc::channel::<()>();
                let typed = invitation.clone();
                let mut handle =
                    site.stack("sshd").login("alice").from(from).answering(move |style, text| {
                        let mut phone = phone.lock().unwrap();
                        if let Some(seed) = seed_in(text) {
                            *phone = Some(Phone::with_seed(&seed));
                        }
                        match (style.is_question(), text, phone.as_mut()) {
                            (false, ..) => None,
                            (true, "Password: ", _) => Some(PASSWORD.into()),
                            (true, PAUSE, _) => Some(Vec::new()),
                            (true, _, None) => Some(typed.clone().into_bytes()),
                            (true, _, Some(phone)) => {
                                send.send(()).unwrap();
                                gate.recv().unwrap();
                                Some(phone.code().into_bytes())
                            }
                        }
                    });
                let attempt = std::thread::spawn(move || handle.authenticate(0));
                wait.recv().unwrap();
                both.wait();
                go.send(()).unwrap();
                attempt.join().unwrap()
            })
        };
        let threads = [one(ELSEWHERE), one("203.0.113.77")];
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(told.iter().filter(|told| **told == Code::SUCCESS).count(), 1, "{told:?}");
    assert_eq!(enrolled(&site).len(), 1);
}

/// Where one field takes everything there is nobody to show a picture to, with and without an invitation.
#[test]
fn a_single_field_is_refused_and_shown_nothing() {
    let (slapd, site) = scene(RULES);
    let invitation = invite(&site, "alice");
    let both = format!("{PASSWORD}{invitation}");
    assert_eq!(login(&site, "xrdp-sesman", ELSEWHERE, &both, ""), Code::AUTH_ERR);
    assert_eq!(login(&site, "vsftpd", ELSEWHERE, &both, &both), Code::AUTH_ERR, "an answer repeated");
    assert_eq!(login(&site, "xrdp-sesman", OFFICE, PASSWORD, ""), Code::AUTH_ERR, "nor from the office");
    let records = site.attempts(3);
    assert!(records.iter().all(|record| field(record, "reason") == "no-authenticator"), "{records:#?}");
    assert_eq!(slapd.binds(&format!("uid=alice,{PEOPLE}")), 0);
    let list = site.twinlock(&["invite", "--list"]);
    assert!(String::from_utf8_lossy(&list.stdout).starts_with("alice ("), "it is still good: {list:?}");
}

/// Until its last day the office stands in for a code that nobody can have yet; elsewhere and for accounts that have one it
/// does not.
#[test]
fn grace_is_a_waiver_from_the_office_for_accounts_without_an_authenticator() {
    let (_slapd, site) = scene(&with_grace("2099-12-31"));
    let mut handle = site.stack("sshd").login("alice").from(OFFICE).typing(PASSWORD, "");
    assert_eq!(handle.authenticate(0), Code::SUCCESS);
    assert_eq!(
        told(&handle),
        [
            "After 2099-12-31 (UTC) a code is needed here. For an authenticator, log in and type \"enroll\" as the code."
        ]
    );
    assert_eq!(login(&site, "xrdp-sesman", OFFICE, PASSWORD, ""), Code::SUCCESS, "one field too");
    assert_eq!(login(&site, "sshd", OFFICE, "guess", ""), Code::AUTH_ERR);
    assert_eq!(login(&site, "sshd", ELSEWHERE, PASSWORD, ""), Code::AUTH_ERR);
    let records = site.attempts(4);
    for record in &records[..2] {
        assert_eq!((field(record, "reason"), field(record, "code")), ("rule-met", "-"), "{record}");
        assert_eq!((field(record, "waiver"), field(record, "rule")), ("office", "everyone"), "{record}");
    }
    assert_eq!(field(&records[3], "reason"), "no-authenticator");
    let status = |key: &str| {
        let output = site.twinlock(&["--json", "status"]);
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()[key].clone()
    };
    assert_eq!(status("grace_accounts"), 1);
    let explained = |from: &str| {
        site.twinlock(&["explain", "--user", "alice", "--service", "sshd", "--from", from]).status.code()
    };
    assert_eq!((explained(OFFICE), explained(ELSEWHERE)), (Some(0), Some(1)));
    assert_eq!(
        status("waivers")[0],
        "everyone (until 2099-12-31 for accounts without an authenticator: office)"
    );

    let (mut owner, phone) =
        enrolling(site.stack("sshd").login("alice").from(OFFICE), PASSWORD, "enroll", |phone| {
            Some(phone.code())
        });
    assert_eq!(owner.authenticate(0), Code::SUCCESS, "asked for, one is made in a time of grace too");
    assert_eq!(status("grace_accounts"), 0);
    assert_eq!(login(&site, "sshd", OFFICE, PASSWORD, ""), Code::AUTH_ERR, "it has one now");
    let code = phone.lock().unwrap().as_mut().unwrap().code();
    assert_eq!(login(&site, "sshd", OFFICE, PASSWORD, &code), Code::SUCCESS);
    assert!(site.twinlock(&["user", "revoke", "alice", "phone"]).status.success());
    assert_eq!(
        login(&site, "sshd", OFFICE, PASSWORD, ""),
        Code::AUTH_ERR,
        "a lost phone brings no grace back"
    );
    assert_eq!(login(&site, "sshd", OFFICE, PASSWORD, "enroll"), Code::AUTH_ERR, "nor a new one to a thief");
}

/// When the last day is over there is no grace, in no field, and the check points it out.
#[test]
fn after_its_last_day_grace_is_over() {
    let (_slapd, site) = scene(&with_grace("2020-01-31"));
    assert_eq!(login(&site, "xrdp-sesman", OFFICE, PASSWORD, ""), Code::AUTH_ERR);
    assert_eq!(field(&site.attempt(1), "reason"), "no-authenticator");
    let (mut refuses, _) =
        enrolling(site.stack("sshd").login("alice").from(OFFICE), PASSWORD, "", |_| Some(String::new()));
    assert_eq!(refuses.authenticate(0), Code::AUTH_ERR, "without a code of it nobody gets in");
    let check = site.twinlock(&["config", "check"]);
    let text = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(text.contains("2020-01-31 is over") && !text.contains("waiver:"), "{text}");
}

/// Only who has none is invited; a new invitation voids the old one; a void one is worth nothing.
#[test]
fn invitations_are_listed_replaced_and_revoked() {
    let (_slapd, site) = scene(RULES);
    let (old, new) = (invite(&site, "alice"), invite(&site, "alice"));
    let with = |invitation: &str| {
        let handle = site.stack("sshd").login("alice").from(ELSEWHERE);
        enrolling(handle, PASSWORD, invitation, |phone| Some(phone.code())).0.authenticate(0)
    };
    assert_eq!(with(&old), Code::AUTH_ERR);
    assert!(site.twinlock(&["invite", "alice", "--revoke"]).status.success());
    assert_eq!(site.twinlock(&["invite", "alice", "--revoke"]).status.code(), Some(1), "there is none now");
    assert_eq!(with(&new), Code::AUTH_ERR);
    let list = site.twinlock(&["--json", "invite", "--list"]);
    let listed: serde_json::Value = serde_json::from_slice(&list.stdout).unwrap();
    assert_eq!(listed["invitations"].as_array().unwrap().len(), 0);
    assert_eq!(with(&invite(&site, "alice")), Code::SUCCESS);
    let refused = site.twinlock(&["invite", "alice"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("twinlock user revoke alice"), "{refused:?}");
    let audited: Vec<_> = site
        .records()
        .into_iter()
        .filter(|line| line.contains(": invited ") || line.contains(": invitation-revoked "))
        .collect();
    assert_eq!(audited.len(), 4, "{audited:#?}");
}
