//! Emergency passwords: printed once when they are made; who has some; making them void.

use crate::args::{Args, EmergencyCommand};
use crate::client::{Client, unexpected};
use crate::outcome::{Answer, Failure};
use crate::report::{count, date};
use crate::terminal::{self, harmless};
use std::fmt::Write;
use twinlock_control::{EmergencyList, EmergencyMade, EmergencyReport, EmergencyRevoked, Reply, Request};

pub(crate) fn run(args: &Args, command: &EmergencyCommand) -> Result<Answer, Failure> {
    let request = match command {
        EmergencyCommand::Create { users, count } => {
            Request::EmergencyCreate { users: users.clone(), count: *count }
        }
        EmergencyCommand::List => Request::EmergencyList {},
        EmergencyCommand::Revoke { user } => Request::EmergencyRevoke { user: user.clone() },
    };
    let reply = Client::connect(&args.admin_socket()?)?.ask(&request)?;
    if args.json {
        terminal::print_json(&reply)?;
        return Ok(Answer::Yes);
    }
    let text = match command {
        EmergencyCommand::Create { .. } => {
            let Reply::EmergencyMade(made) = &reply else { return Err(unexpected()) };
            created(made)
        }
        EmergencyCommand::List => {
            let Reply::EmergencyList(list) = &reply else { return Err(unexpected()) };
            listed(list)
        }
        EmergencyCommand::Revoke { .. } => {
            let Reply::EmergencyRevoked(gone) = &reply else { return Err(unexpected()) };
            revoked(gone)
        }
    };
    terminal::print(&text)?;
    Ok(Answer::Yes)
}

fn created(made: &EmergencyMade) -> String {
    let mut text = String::from(
        "Emergency passwords. They are shown this once; each is good once, as the password, with an empty code:\n",
    );
    for set in &made.made {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\n{}", harmless(&set.account));
        for password in &set.passwords {
            let _ = writeln!(text, "  {}", harmless(password.expose()));
        }
    }
    text.push_str(
        "\nFrom a named network or this host's console they need nothing else, elsewhere a code of the account. Keep \
         them sealed; each use raises an alarm.",
    );
    text
}

fn listed(list: &EmergencyList) -> String {
    if list.accounts.is_empty() {
        return "Nobody has emergency passwords; make some with: twinlock emergency create USER".into();
    }
    let rows: Vec<String> = list.accounts.iter().map(row).collect();
    rows.join("\n")
}

fn row(report: &EmergencyReport) -> String {
    let used = report.last_used.map(|at| format!("  last used {}", date(at))).unwrap_or_default();
    harmless(&format!(
        "{} ({})  {} unused, {} used  made {}{used}",
        report.account,
        report.id,
        report.unused,
        report.used,
        date(report.created)
    ))
}

fn revoked(gone: &EmergencyRevoked) -> String {
    let who = harmless(&gone.account);
    match gone.revoked {
        0 => format!("{who} has no unused emergency password."),
        number => format!("{} of {who} can no longer be used.", count(number.into(), "emergency password")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use twinlock_control::{EmergencySet, SecretText};

    #[test]
    fn what_was_made_is_printed_by_user_with_what_else_it_needs() {
        let set = |account: &str| EmergencySet {
            account: account.into(),
            id: "main:6f1d".into(),
            passwords: vec![SecretText::from("ABCD-EFGH-IJKL-MNOP-QRST".to_owned())],
        };
        let text = created(&EmergencyMade { made: vec![set("alice"), set("bob\u{1b}[2J")] });
        assert!(text.contains("\nalice\n  ABCD-EFGH-IJKL-MNOP-QRST\n\nbob\\u{1b}[2J\n"), "{text}");
        assert!(text.contains("elsewhere a code of the account"));
    }

    #[test]
    fn a_list_says_how_many_are_good_and_when_one_was_used() {
        let report = EmergencyReport {
            account: "alice".into(),
            id: "main:6f1d".into(),
            unused: 2,
            used: 1,
            created: 0,
            last_used: Some(86_400),
        };
        let expected =
            "alice (main:6f1d)  2 unused, 1 used  made 1970-01-01 00:00 UTC  last used 1970-01-02 00:00 UTC";
        assert_eq!(listed(&EmergencyList { accounts: vec![report] }), expected);
        assert!(listed(&EmergencyList { accounts: vec![] }).contains("twinlock emergency create"));
        assert!(revoked(&EmergencyRevoked { account: "alice".into(), revoked: 0 }).contains("has no unused"));
    }
}
