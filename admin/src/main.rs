//! `twinlock`: the command for administrators and users. It asks the daemon and shows the answer; it decides nothing.
//!
//! What was typed wrong, what the daemon said and what the terminal lacks all end in one [`Failure`], and every
//! exit code is made from it in one place (outcome.rs).

#![forbid(unsafe_code)]

mod args;
mod attempt;
mod client;
mod clock;
mod configuration;
mod doctor;
mod emergency;
mod enroll;
mod explain;
mod history;
mod import;
mod invite;
mod key;
mod locks;
#[cfg(test)]
mod manual;
mod me;
mod outcome;
mod places;
mod recovery;
mod replay;
mod report;
mod table;
mod terminal;
mod users;
mod when;

use args::{
    Args, ClockCommand, Command, ConfigCommand, DoctorCommand, KeyCommand, LocksCommand, StoreCommand,
    UserCommand,
};
use clap::Parser;
use client::Client;
use outcome::{Answer, Failure};
use std::process::ExitCode;
use twinlock_control::{Reply, Request};

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return outcome::usage(&error),
    };
    outcome::exit_code(run(&args))
}

fn run(args: &Args) -> Result<Answer, Failure> {
    match &args.command {
        Command::Status => show(args, &Request::Status {}),
        Command::Try(attempt) => attempt::run(args, attempt),
        Command::Config { command: ConfigCommand::Check } => configuration::check(args),
        Command::Config { command: ConfigCommand::Show } => configuration::show(args),
        Command::Enroll(enroll) => enroll::run(args, enroll),
        Command::Invite(invite) => invite::run(args, invite),
        Command::Import(import) => import::run(args, import),
        Command::Recovery(recovery) => recovery::run(args, recovery),
        Command::Emergency { command } => emergency::run(args, command),
        Command::User { command: UserCommand::Show { user } } => {
            show(args, &Request::UserShow { user: user.clone() })
        }
        Command::User { command: UserCommand::Unlock { user } } => {
            show(args, &Request::UserUnlock { user: user.clone() })
        }
        Command::User { command: UserCommand::List { without_authenticator } } => {
            users::list(args, *without_authenticator)
        }
        Command::User { command: UserCommand::Revoke { user, label } } => {
            show(args, &Request::UserRevoke { user: user.clone(), label: label.clone() })
        }
        Command::User { command: UserCommand::Disable(disable) } => show(
            args,
            &Request::UserDisable {
                user: disable.user.clone(),
                until: disable.until.clone(),
                reason: disable.reason.clone(),
            },
        ),
        Command::User { command: UserCommand::Enable { user } } => {
            show(args, &Request::UserEnable { user: user.clone() })
        }
        Command::Place { command } => show(args, &places::request(command)),
        Command::Doctor { command: DoctorCommand::Directory { user } } => examine(args, user),
        Command::Locks { command: None } => show(args, &Request::Locks {}),
        Command::Locks { command: Some(LocksCommand::Clear { prefix }) } => {
            show(args, &Request::PrefixClear { prefix: prefix.clone() })
        }
        Command::Store { command: StoreCommand::AcceptRestore } => show(args, &Request::AcceptRestore {}),
        Command::Key { command: KeyCommand::Rotate } => key::rotate(args),
        Command::Clock { command: None } => show(args, &Request::ClockShow {}),
        Command::Clock { command: Some(ClockCommand::Accept) } => show(args, &Request::ClockAccept {}),
        Command::History(asked) => history::run(args, asked),
        Command::Explain(asked) => match asked.since {
            Some(since) => replay::run(args, since),
            None => explain::run(args, asked),
        },
        Command::Me => show(args, &Request::Me {}),
    }
}

/// Shows what the doctor found; the answer is no if something is bad.
fn examine(args: &Args, user: &str) -> Result<Answer, Failure> {
    let request = Request::DoctorDirectory { user: user.to_owned() };
    let reply = Client::connect(&args.admin_socket()?)?.ask(&request)?;
    let Reply::Findings(findings) = &reply else { return Err(client::unexpected()) };
    if args.json {
        terminal::print_json(&reply)?;
    } else {
        terminal::print(&doctor::text(findings))?;
    }
    Ok(if doctor::is_well(findings) { Answer::Yes } else { Answer::No })
}

/// Asks, and shows the reply as it is or as text.
fn show(args: &Args, request: &Request) -> Result<Answer, Failure> {
    let reply = Client::connect(&args.admin_socket()?)?.ask(request)?;
    if args.json {
        terminal::print_json(&reply)?;
        return Ok(Answer::Yes);
    }
    let text = match (&reply, request) {
        (Reply::Status(status), Request::Status {}) => report::status(status),
        (Reply::User(user), Request::UserShow { .. }) => report::user(user),
        (Reply::Revoked(revoked), Request::UserRevoke { .. }) => users::revoked(revoked),
        (Reply::Locked(locked), Request::UserDisable { .. } | Request::UserEnable { .. }) => {
            report::locked(locked)
        }
        (Reply::Locks(locks), Request::Locks {}) => locks::list(locks),
        (Reply::Unlocked(unlocked), Request::UserUnlock { .. }) => locks::unlocked(unlocked),
        (Reply::Cleared(cleared), Request::PrefixClear { .. }) => locks::cleared(cleared),
        (Reply::Clock(report), Request::ClockShow {}) => clock::report(report),
        (Reply::RestoreAccepted(accepted), Request::AcceptRestore {}) => report::restore(accepted),
        (Reply::Clock(before), Request::ClockAccept {}) => clock::accepted(before),
        (Reply::Me(told), Request::Me {}) => me::me(told),
        (Reply::Places(places), Request::PlaceList { .. }) => places::list(places),
        (Reply::PlaceAdded(place), Request::PlaceAdd { .. }) => places::added(place),
        (Reply::PlacesForgotten(places), Request::PlaceForget { .. }) => places::forgotten(places),
        (
            Reply::Status(_)
            | Reply::User(_)
            | Reply::Locks(_)
            | Reply::Unlocked(_)
            | Reply::Cleared(_)
            | Reply::Clock(_)
            | Reply::RestoreAccepted(_)
            | Reply::KeyRotated(_)
            | Reply::Places(_)
            | Reply::PlaceAdded(_)
            | Reply::PlacesForgotten(_)
            | Reply::Enrolled(_)
            | Reply::Findings(_)
            | Reply::Confirmed(_)
            | Reply::Imported(_)
            | Reply::RecoveryCodes(_)
            | Reply::InvitationMade(_)
            | Reply::Invitations(_)
            | Reply::InvitationRevoked(_)
            | Reply::Locked(_)
            | Reply::Revoked(_)
            | Reply::Users(_)
            | Reply::EmergencyMade(_)
            | Reply::EmergencyList(_)
            | Reply::EmergencyRevoked(_)
            | Reply::History(_)
            | Reply::Explained(_)
            | Reply::Replayed(_)
            | Reply::Me(_)
            | Reply::Error { .. },
            _,
        ) => return Err(client::unexpected()),
    };
    terminal::print(&text)?;
    Ok(Answer::Yes)
}
