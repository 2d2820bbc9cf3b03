//! Replies as aligned text for people.

use crate::terminal::harmless;
use std::fmt::Write;
use twinlock_control::{
    AuthenticatorReport, AuthenticatorState, DisabledReport, GeoipStatus, LaneReport, Locked,
    RestoreAccepted, ServerStatus, Status, StolenPassword, UserReport,
};

/// Width of the left column.
const LEFT: usize = 16;

/// Lines of `name value`, aligned.
#[derive(Default)]
struct Sheet(String);

impl Sheet {
    fn line(&mut self, name: &str, value: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{name:LEFT$}{}", harmless(value));
    }

    /// One line for each value, the name on the first; `none` if there is none.
    fn list(&mut self, name: &str, values: &[String], none: &str) {
        if values.is_empty() {
            self.line(name, none);
        }
        for (number, value) in values.iter().enumerate() {
            self.line(if number == 0 { name } else { "" }, value);
        }
    }

    fn finish(self) -> String {
        self.0.trim_end().to_owned()
    }
}

/// How the daemon is.
pub(crate) fn status(status: &Status) -> String {
    let mut sheet = Sheet::default();
    sheet.line("version", &status.version);
    sheet.line("up for", &duration(status.uptime_s));
    sheet.line("configuration", &status.config);
    let servers: Vec<_> = status.servers.iter().map(server).collect();
    sheet.list("directory", &servers, "no server");
    sheet.line(
        "enrolled",
        &format!(
            "{}, {} waiting to be confirmed",
            count(status.accounts_enrolled, "account"),
            count(status.authenticators_pending, "authenticator")
        ),
    );
    sheet.line(
        "closed now",
        &format!(
            "{}, {}",
            count(status.lanes_closed, "account lane"),
            count(status.prefixes_closed, "prefix lane")
        ),
    );
    sheet.line("under way", &count(status.attempts_running, "login"));
    sheet.line(
        "since the start",
        &format!("{} granted, {} denied, {} unavailable", status.granted, status.denied, status.unavailable),
    );
    sheet.line("records lost", &status.records_lost.to_string());
    match &status.history_problem {
        Some(problem) => sheet.line("history", &format!("is not written: {problem}")),
        None if status.history_lost > 0 => {
            sheet.line("history", &format!("lacks {}", count(status.history_lost, "attempt")));
        }
        None => {}
    }
    sheet.list("code waived by", &status.waivers, "no rule");
    if status.grace_accounts > 0 {
        let accounts = count(status.grace_accounts, "account");
        sheet.line("let in by grace", &format!("{accounts} without an authenticator"));
    }
    if let Some(geoip) = &status.geoip {
        sheet.list("GeoIP file", &database(geoip), "");
    }
    if let Some(day) = &status.observes_until {
        sheet.line(
            "tarpit",
            &format!("refuses nothing until the end of {day} (UTC); no bound holds till then"),
        );
    }
    if status.store_restored {
        sheet.line(
            "store",
            "is a copy that was put back: no code is taken until twinlock store accept-restore (see its --help)",
        );
    }
    if status.key_rotation_unfinished {
        sheet.line("seal key", "a new one was begun with and is not in its place: run twinlock key rotate");
    }
    if let Some(clock) = &status.clock
        && (clock.suspicion.is_some() || !clock.used_ahead.is_empty())
    {
        sheet.line("clock", &crate::clock::report(clock).replace('\n', " "));
    }
    sheet.finish()
}

/// What became of a store that was put back.
pub(crate) fn restore(accepted: &RestoreAccepted) -> String {
    accepted.authenticators.map_or_else(
        || "There was nothing to accept: the store is the latest one.".into(),
        |number| {
            format!(
                "The store is the latest one from now on. Every code of {} up to now counts as used; the next ones are \
                 taken. Recovery codes are void, and {}. What was changed since the copy was made is as it was then: look \
                 through it.",
                count(number, "authenticator"),
                count(accepted.emergency_revoked.into(), "emergency password")
            )
        },
    )
}

/// How old the one in use is, and what is wrong with the one that is there.
fn database(geoip: &GeoipStatus) -> Vec<String> {
    let mut lines = vec![geoip.database.clone()];
    lines.push(match (geoip.built, geoip.read) {
        (Some(built), Some(read)) => {
            format!("tells {}; made {}, read {}", geoip.tells.join(" and "), date(built), date(read))
        }
        (Some(_) | None, _) => "none is in use: what rests on it cannot be told, and is refused".into(),
    });
    lines.extend(geoip.problem.as_ref().map(|problem| format!("the file that is there now {problem}")));
    lines
}

fn server(server: &ServerStatus) -> String {
    let health = match server.healthy {
        Some(true) => "answers",
        Some(false) => "does not answer",
        None => "not asked yet",
    };
    let error = server.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
    format!("{}  {}  {health}{error}", server.directory, server.url)
}

/// What is known of a user.
pub(crate) fn user(user: &UserReport) -> String {
    let mut sheet = Sheet::default();
    sheet.line("account", &user.account);
    sheet.line("id", &user.id);
    sheet.line("directory", &user.directory);
    if let Some(groups) = &user.groups {
        sheet.line("groups", &if groups.is_empty() { "none".to_owned() } else { groups.join(", ") });
    }
    if let Some(refused) = &user.refused {
        sheet.line("refused", refused);
    }
    if let Some(disabled) = &user.disabled {
        sheet.line("disabled", &lock(disabled));
    }
    let authenticators: Vec<_> = user.authenticators.iter().map(authenticator).collect();
    sheet.list("authenticators", &authenticators, "none");
    sheet.line("recovery codes", &format!("{} left", user.recovery_codes_left));
    let lanes: Vec<_> = user.lanes.iter().map(lane).collect();
    sheet.list("failures", &lanes, "none");
    sheet.list("known from", &user.known_from, "nowhere yet");
    if let Some(password) = &user.stolen_password {
        sheet.line("password", &format!("looks stolen {}; {STOLEN_UNTIL}", stolen(password)));
    }
    sheet.finish()
}

/// The administrator's lock, on one line.
pub(crate) fn lock(lock: &DisabledReport) -> String {
    let until = lock.until.map_or_else(|| "without end".to_owned(), |until| format!("until {}", date(until)));
    let reason = lock.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("since {}, {until}, by {}{reason}", date(lock.since), lock.by)
}

/// What became of the administrator's lock.
pub(crate) fn locked(locked: &Locked) -> String {
    let who = harmless(&locked.account);
    match (&locked.disabled, locked.changed) {
        (Some(disabled), _) => {
            let void = match locked.emergency_revoked {
                0 => String::new(),
                number => format!("\n{} can no longer be used.", count(number.into(), "emergency password")),
            };
            format!("{who} is let in by nothing: {}{void}", harmless(&lock(disabled)))
        }
        (None, true) => format!("{who} is let in again, as the rules say."),
        (None, false) => format!("{who} was not disabled."),
    }
}

/// What follows from it.
const STOLEN_UNTIL: &str = "no place stands in for the code until the next login with password and code";

/// Since when a password looks stolen, and why.
pub(crate) fn stolen(password: &StolenPassword) -> String {
    format!(
        "since {}: right {} times with a wrong code, last {} from {}",
        date(password.since),
        password.tries,
        date(password.last),
        password.last_from
    )
}

/// One authenticator on one line.
pub(crate) fn authenticator(authenticator: &AuthenticatorReport) -> String {
    let state = match authenticator.state {
        AuthenticatorState::Pending => "pending",
        AuthenticatorState::Active => "active",
    };
    let used = authenticator.last_used.map_or_else(|| "never used".into(), |at| format!("used {}", date(at)));
    let weak = if authenticator.weak { "  weak seed: enrol anew" } else { "" };
    format!(
        "{}  {state}  {} digits, {}, {} s  made {}  {used}{weak}",
        authenticator.label,
        authenticator.digits,
        authenticator.algorithm,
        authenticator.step_s,
        date(authenticator.created)
    )
}

/// One lane on one line.
pub(crate) fn lane(lane: &LaneReport) -> String {
    let door = if lane.closed_for_s == 0 {
        "open".to_owned()
    } else {
        format!("closed for {}", duration(lane.closed_for_s))
    };
    format!("{}  {}  {door}", lane.lane, count(lane.failures.into(), "failure"))
}

/// A number of things.
pub(crate) fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// The two largest units of a length of time in seconds.
pub(crate) fn duration(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)];
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (unit, length) in units {
        let number = rest / length;
        rest %= length;
        if number > 0 {
            parts.push(format!("{number} {unit}"));
        }
    }
    parts.truncate(2);
    if parts.is_empty() { "0 s".into() } else { parts.join(" ") }
}

/// Seconds since 1970 as a date and time in UTC (proleptic Gregorian calendar).
pub(crate) fn date(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Years are counted from March, so that the leap day ends them; 719,468 days lie before 1970-03-01's year zero.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", rest / 3600, rest % 3600 / 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_399, "2000-02-28 23:59 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (951_868_800, "2000-03-01 00:00 UTC"),
            (1_735_689_599, "2024-12-31 23:59 UTC"),
            (4_107_542_400, "2100-03-01 00:00 UTC"),
        ] {
            assert_eq!(date(seconds), expected);
        }
    }

    #[test]
    fn lengths_of_time_show_their_two_largest_units() {
        for (seconds, expected) in
            [(0, "0 s"), (59, "59 s"), (3600, "1 h"), (90_061, "1 d 1 h"), (125, "2 min 5 s")]
        {
            assert_eq!(duration(seconds), expected);
        }
    }

    #[test]
    fn a_user_is_shown_in_aligned_lines_and_no_name_moves_the_cursor() {
        let report = UserReport {
            account: "alice\u{1b}[2J".into(),
            id: "6f1d".into(),
            directory: "main".into(),
            groups: Some(vec!["staff".into(), "admins".into()]),
            refused: None,
            authenticators: vec![AuthenticatorReport {
                label: "phone".into(),
                state: AuthenticatorState::Active,
                digits: 6,
                algorithm: "SHA1".into(),
                step_s: 30,
                weak: false,
                created: 0,
                last_used: None,
            }],
            recovery_codes_left: 9,
            disabled: Some(DisabledReport {
                since: 0,
                until: Some(86_400),
                reason: Some("left".into()),
                by: "uid 0".into(),
            }),
            lanes: vec![LaneReport { lane: "unfamiliar".into(), failures: 4, closed_for_s: 60 }],
            known_from: vec!["192.0.2.7/32".into(), "2001:db8::/64".into()],
            stolen_password: Some(StolenPassword {
                tries: 4,
                since: 0,
                last: 60,
                last_from: "203.0.113.9".into(),
            }),
        };
        let expected = "\
account         alice\\u{1b}[2J
id              6f1d
directory       main
groups          staff, admins
disabled        since 1970-01-01 00:00 UTC, until 1970-01-02 00:00 UTC, by uid 0: left
authenticators  phone  active  6 digits, SHA1, 30 s  made 1970-01-01 00:00 UTC  never used
recovery codes  9 left
failures        unfamiliar  4 failures  closed for 1 min
known from      192.0.2.7/32
                2001:db8::/64
password        looks stolen since 1970-01-01 00:00 UTC: right 4 times with a wrong code, last 1970-01-01 00:01 UTC from 203.0.113.9; no place stands in for the code until the next login with password and code";
        assert_eq!(user(&report), expected);
    }
}
