//! `enroll`: a new authenticator is shown once, and counts from when a code of it was typed.

use crate::args::{Args, EnrollArgs};
use crate::client::{Client, unexpected};
use crate::outcome::{Answer, Failure};
use crate::{recovery, terminal};
use serde::Serialize;
use twinlock_control::{
    AuthenticatorReport, AuthenticatorState, Enrolled, ErrorKind, Reply, Request, SecretText,
};
use twinlock_qr::Picture;

/// So often a code may be mistyped.
const TRIES: u32 = 3;

pub(crate) fn run(args: &Args, enroll: &EnrollArgs) -> Result<Answer, Failure> {
    if let Some(code) = &enroll.confirm {
        let mut client = Client::connect(&args.admin_socket()?)?;
        let confirmed = confirm(&mut client, &enroll.user, SecretText::from(code.clone()))?;
        return report(args, &mut client, enroll, &confirmed);
    }
    let seed = match enroll.seed.as_deref() {
        Some("-") => Some(SecretText::from(terminal::text(terminal::ask("Seed (base32): ", false)?)?)),
        Some(seed) => Some(SecretText::from(seed.to_owned())),
        None => None,
    };
    let mut client = Client::connect(&args.admin_socket()?)?;
    let reply = client.ask(&Request::Enroll {
        user: enroll.user.clone(),
        label: enroll.label.clone(),
        seed,
        active: enroll.active,
        replace: enroll.replace,
    })?;
    let Reply::Enrolled(enrolled) = reply else { return Err(unexpected()) };
    if args.json {
        terminal::print_json(&Shown::of(&enrolled))?;
        let make = enroll.recovery && enrolled.authenticator.state == AuthenticatorState::Active;
        return if make { recovery::make(args, &mut client, &enroll.user) } else { Ok(Answer::Yes) };
    }
    if enrolled.authenticator.state == AuthenticatorState::Active {
        return report(args, &mut client, enroll, &enrolled.authenticator);
    }
    show(&enrolled)?;
    if !terminal::is_interactive() {
        let user = terminal::harmless(&enroll.user);
        terminal::print(&format!(
            "It is pending. To activate it, type a code of it: twinlock enroll {user} --confirm CODE"
        ))?;
        return Ok(Answer::Yes);
    }
    ask_for_code(args, &mut client, enroll)
}

/// What `--json` prints.
#[derive(Serialize)]
struct Shown<'a> {
    account: &'a str,
    uri: &'a str,
    authenticator: &'a AuthenticatorReport,
}

impl<'a> Shown<'a> {
    fn of(enrolled: &'a Enrolled) -> Self {
        Self {
            account: &enrolled.account,
            uri: enrolled.uri.expose(),
            authenticator: &enrolled.authenticator,
        }
    }
}

fn show(enrolled: &Enrolled) -> Result<(), Failure> {
    let account = terminal::harmless(&enrolled.account);
    let label = terminal::harmless(&enrolled.authenticator.label);
    terminal::print(&format!("New authenticator \"{label}\" for {account}. It is shown this once:\n"))?;
    let uri = terminal::harmless(enrolled.uri.expose());
    if let Some(columns) = terminal::columns() {
        match Picture::of(enrolled.uri.expose()) {
            Some(picture) if picture.width() <= columns => terminal::print(&picture.coloured())?,
            Some(picture) => terminal::print(&format!(
                "(The QR code needs a terminal of {} columns; this one has {columns}.)",
                picture.width()
            ))?,
            None => {}
        }
    }
    terminal::print(&format!("\n{uri}\n"))
}

fn ask_for_code(args: &Args, client: &mut Client, enroll: &EnrollArgs) -> Result<Answer, Failure> {
    for left in (0..TRIES).rev() {
        let typed = terminal::text(terminal::ask("A code of it, to activate it: ", true)?)?;
        let code = SecretText::from(typed.trim().to_owned());
        match confirm(client, &enroll.user, code) {
            Ok(confirmed) => return report(args, client, enroll, &confirmed),
            Err(Failure::Refused(ErrorKind::No, message)) if left > 0 => terminal::complain(&message),
            Err(failure) => return Err(failure),
        }
    }
    Ok(Answer::No)
}

fn confirm(client: &mut Client, user: &str, code: SecretText) -> Result<AuthenticatorReport, Failure> {
    let reply = client.ask(&Request::Confirm { user: user.to_owned(), code })?;
    let Reply::Confirmed(authenticator) = reply else { return Err(unexpected()) };
    Ok(authenticator)
}

/// Says that it counts from now on, and prints recovery codes if they are wanted.
fn report(
    args: &Args,
    client: &mut Client,
    enroll: &EnrollArgs,
    authenticator: &AuthenticatorReport,
) -> Result<Answer, Failure> {
    if args.json {
        terminal::print_json(&Reply::Confirmed(authenticator.clone()))?;
    } else {
        let (label, user) = (terminal::harmless(&authenticator.label), terminal::harmless(&enroll.user));
        terminal::print(&format!("Authenticator \"{label}\" of {user} is active."))?;
        if !enroll.recovery {
            terminal::print(&format!("Recovery codes, for a lost phone: twinlock recovery {user}"))?;
        }
    }
    if enroll.recovery { recovery::make(args, client, &enroll.user) } else { Ok(Answer::Yes) }
}
