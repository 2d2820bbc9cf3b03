//! What is closed, as text for people: the account lanes, then the prefixes, each with the wait that is left.

use crate::report::{count, date, duration, lane, stolen};
use crate::terminal::harmless;
use std::fmt::Write;
use twinlock_control::{Cleared, LaneLock, LaneReport, Locks, PrefixLock, Unlocked};

/// Everything that is closed now.
pub(crate) fn list(locks: &Locks) -> String {
    if locks.lanes.is_empty() && locks.prefixes.is_empty() {
        return "Nothing is closed.".into();
    }
    let mut text = String::new();
    let lanes: Vec<_> = locks.lanes.iter().map(of_account).collect();
    section(&mut text, "Account lanes", &lanes, locks.lanes_closed);
    let prefixes: Vec<_> = locks.prefixes.iter().map(of_prefix).collect();
    section(&mut text, "Prefixes", &prefixes, locks.prefixes_closed);
    text.trim_end().to_owned()
}

fn section(text: &mut String, title: &str, rows: &[String], all: u64) {
    if rows.is_empty() {
        return;
    }
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{title}:");
    for row in rows {
        let _ = writeln!(text, "  {}", harmless(row));
    }
    let more = all.saturating_sub(rows.len().try_into().unwrap_or(u64::MAX));
    if more > 0 {
        let _ = writeln!(text, "  and {more} more, which failed earlier");
    }
}

fn of_account(lock: &LaneLock) -> String {
    let who = match &lock.account {
        Some(name) => format!("{name} ({})", lock.id),
        None => lock.id.clone(),
    };
    format!(
        "{who}  {}  {}  last failure {}  {}",
        lock.lane,
        until(lock.closed_for_s, lock.until),
        date(lock.last_failure),
        lock.why
    )
}

fn of_prefix(lock: &PrefixLock) -> String {
    format!("{}  {}  {}", lock.prefix, until(lock.closed_for_s, lock.until), lock.why)
}

fn until(closed_for_s: u64, until: u64) -> String {
    format!("closed for {}, until {}", duration(closed_for_s), date(until))
}

/// What was opened for a user.
pub(crate) fn unlocked(unlocked: &Unlocked) -> String {
    let who = harmless(&unlocked.account);
    let lanes = if unlocked.lanes.is_empty() {
        format!("There was nothing to open for {who}: no lane was closed or had failures.")
    } else {
        format!("Opened for {who}, as they were:\n{}", were(&unlocked.lanes))
    };
    let Some(password) = &unlocked.stolen_password else { return lanes };
    format!(
        "{lanes}\nThe password of {who} looked stolen {}.\nThat mark is gone, and places stand in for the code again. \
         Has the password been changed?",
        harmless(&stolen(password))
    )
}

/// What was opened of an address.
pub(crate) fn cleared(cleared: &Cleared) -> String {
    let prefixes = harmless(&cleared.prefixes.join(", "));
    if cleared.lanes.is_empty() {
        return format!("There was nothing to open at {prefixes}: no lane was closed or had failures.");
    }
    format!("Opened at {prefixes}, as they were:\n{}", were(&cleared.lanes))
}

fn were(lanes: &[LaneReport]) -> String {
    let lanes: Vec<_> = lanes.iter().map(|report| format!("  {}", harmless(&lane(report)))).collect();
    format!("{}\n({} cleared)", lanes.join("\n"), count(lanes.len().try_into().unwrap_or(u64::MAX), "lane"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use twinlock_control::StolenPassword;

    fn lane_lock(account: Option<&str>) -> LaneLock {
        LaneLock {
            account: account.map(Into::into),
            id: "main:6f1d".into(),
            lane: "unfamiliar".into(),
            failures: 4,
            last_failure: 0,
            closed_for_s: 60,
            until: 60,
            why: "4 wrong logins; waits begin at 3 and double with each".into(),
        }
    }

    #[test]
    fn it_says_who_which_lane_until_when_why_and_that_there_is_more() {
        let locks = Locks {
            lanes: vec![lane_lock(Some("alice\u{1b}[2J")), lane_lock(None)],
            lanes_closed: 7,
            prefixes: vec![PrefixLock {
                prefix: "192.0.2.7/32".into(),
                failures: 20,
                closed_for_s: 3601,
                until: 3601,
                why: "20 wrong logins within 10m".into(),
            }],
            prefixes_closed: 1,
        };
        let expected = "\
Account lanes:
  alice\\u{1b}[2J (main:6f1d)  unfamiliar  closed for 1 min, until 1970-01-01 00:01 UTC  last failure 1970-01-01 00:00 UTC  4 wrong logins; waits begin at 3 and double with each
  main:6f1d  unfamiliar  closed for 1 min, until 1970-01-01 00:01 UTC  last failure 1970-01-01 00:00 UTC  4 wrong logins; waits begin at 3 and double with each
  and 5 more, which failed earlier
Prefixes:
  192.0.2.7/32  closed for 1 h 1 s, until 1970-01-01 01:00 UTC  20 wrong logins within 10m";
        assert_eq!(list(&locks), expected);
    }

    #[test]
    fn where_nothing_is_closed_or_was_opened_it_says_so() {
        let none = Locks { lanes: vec![], lanes_closed: 0, prefixes: vec![], prefixes_closed: 0 };
        assert_eq!(list(&none), "Nothing is closed.");
        let mut none = Unlocked {
            account: "alice".into(),
            id: "main:6f1d".into(),
            lanes: vec![],
            stolen_password: None,
        };
        assert!(unlocked(&none).starts_with("There was nothing to open for alice"));
        assert!(!unlocked(&none).contains("stolen"));
        none.stolen_password =
            Some(StolenPassword { tries: 3, since: 0, last: 60, last_from: "203.0.113.9".into() });
        assert!(unlocked(&none).contains(
            "The password of alice looked stolen since 1970-01-01 00:00 UTC: right 3 times with a wrong code, last"
        ));
    }
}
