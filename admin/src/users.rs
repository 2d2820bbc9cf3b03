//! Lists of users, and what is left of one's authenticators. A list is collected page by page and shown whole, in the
//! order of names; at a terminal it says how far it has come.

use crate::args::Args;
use crate::client::{Client, unexpected};
use crate::outcome::{Answer, Failure};
use crate::report::{count, date};
use crate::terminal::{self, harmless};
use serde::Serialize;
use twinlock_control::{Reply, Request, Revoked, UserRow, Users};

/// Rows collected at most; a directory with more is better asked elsewhere.
const MOST: usize = 1_000_000;

/// What `--json` prints.
#[derive(Serialize)]
struct List<'a> {
    users: &'a [UserRow],
}

pub(crate) fn list(args: &Args, without_authenticator: bool) -> Result<Answer, Failure> {
    let mut client = Client::connect(&args.admin_socket()?)?;
    let mut users: Vec<UserRow> = Vec::new();
    let (mut first, mut looked_at) = (true, 0);
    loop {
        let request = if without_authenticator {
            Request::UserListWithout { first }
        } else {
            Request::UserList { after: users.last().map(|user| user.id.clone()) }
        };
        let Reply::Users(page) = client.ask(&request)? else { return Err(unexpected()) };
        let Users { users: rows, looked_at: these, more } = page;
        first = false;
        looked_at += these;
        users.extend(rows);
        if !more {
            break;
        }
        if users.len() >= MOST {
            return Err(Failure::Unavailable(
                "there are more than a million users; this list ends here".into(),
            ));
        }
        if !args.json {
            terminal::progress(&format!("{} looked at", count(looked_at, "user")));
        }
    }
    terminal::progress("");
    users.sort_by(|one, other| (&one.account, &one.id).cmp(&(&other.account, &other.id)));
    if args.json {
        terminal::print_json(&List { users: &users })?;
        return Ok(Answer::Yes);
    }
    terminal::print(&text(&users, without_authenticator))?;
    Ok(Answer::Yes)
}

fn text(users: &[UserRow], without_authenticator: bool) -> String {
    if users.is_empty() {
        return if without_authenticator {
            "Every user of the directory has an authenticator.".into()
        } else {
            "The store knows of no user yet.".into()
        };
    }
    let rows: Vec<String> = users.iter().map(row).collect();
    rows.join("\n")
}

fn row(user: &UserRow) -> String {
    let who = match &user.account {
        Some(name) => format!("{name} ({})", user.id),
        None => user.id.clone(),
    };
    let mut parts = vec![
        who,
        count(user.authenticators.into(), "authenticator"),
        format!("{} left", count(user.recovery_codes_left, "recovery code")),
    ];
    parts.extend(user.pending.then(|| "one to be confirmed".to_owned()));
    parts.extend(user.disabled.then(|| "disabled".to_owned()));
    parts.extend(user.last_used.map(|at| format!("last let in {}", date(at))));
    harmless(&parts.join("  "))
}

/// What follows from the removal of an authenticator.
pub(crate) fn revoked(revoked: &Revoked) -> String {
    let (who, label) = (harmless(&revoked.account), harmless(&revoked.label));
    let done = format!("Authenticator \"{label}\" of {who} is gone; no code of it is taken any more.");
    match (revoked.authenticators_left, revoked.recovery_codes_left) {
        (1.., _) => {
            format!("{done} {who} has {} left.", count(revoked.authenticators_left.into(), "authenticator"))
        }
        (0, 0) => format!(
            "{done} It was the last one: where a rule asks a code, nothing lets {who} in until there is another: \
             twinlock enroll {who}"
        ),
        (0, codes) => format!(
            "{done} It was the last one: where a rule asks a code, only {} let {who} in until there is another: \
             twinlock enroll {who}",
            count(codes, "recovery code")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone(authenticators_left: u32, recovery_codes_left: u64) -> String {
        revoked(&Revoked {
            account: "alice".into(),
            id: "main:6f1d".into(),
            label: "phone".into(),
            authenticators_left,
            recovery_codes_left,
        })
    }

    #[test]
    fn removing_the_last_authenticator_says_what_follows() {
        assert!(gone(1, 0).ends_with("alice has 1 authenticator left."));
        assert!(gone(0, 0).contains("nothing lets alice in until there is another: twinlock enroll alice"));
        assert!(gone(0, 3).contains("only 3 recovery codes let alice in"));
    }

    #[test]
    fn a_row_says_what_the_user_has_and_no_name_moves_the_cursor() {
        let user = UserRow {
            account: Some("alice\u{1b}[2J".into()),
            id: "main:6f1d".into(),
            authenticators: 1,
            pending: true,
            recovery_codes_left: 9,
            disabled: true,
            last_used: Some(0),
        };
        let expected = "alice\\u{1b}[2J (main:6f1d)  1 authenticator  9 recovery codes left  one to be confirmed  \
                        disabled  last let in 1970-01-01 00:00 UTC";
        assert_eq!(text(&[user], false), expected);
        assert_eq!(text(&[], true), "Every user of the directory has an authenticator.");
    }
}
