//! What the owner of an account is told after a grant, and never before: when and from where the last login was, and
//! how many failed since. And what the log is told where the place is new to the account.

use crate::audit::event_line;
use crate::caller::Caller;
use crate::directory::Account;
use crate::house::House;
use crate::store::{LastLogin, Past, Visit};
use jiff::Timestamp;
use twinlock_config::is_session;
use twinlock_policy::{Listing, Place};

/// The visit that a login is, if it begins a session of its own.
pub(crate) fn visit(caller: &Caller, place: &Place) -> Option<Visit> {
    let begins = caller.trusted && is_session(caller.service.as_str());
    begins.then(|| Visit {
        source: caller.source,
        service: caller.service.clone(),
        country: match &place.origin().country {
            Listing::Listed(country) => Some(country.to_string()),
            Listing::Unknown | Listing::Unlisted => None,
        },
    })
}

/// Records a place that is new to the account.
pub(crate) fn note_new_place(house: &House, account: &Account, visit: &Visit, past: &Past) {
    let new = match (past.new_country, past.new_prefix) {
        (true, _) => "country",
        (false, true) => "prefix",
        (false, false) => return,
    };
    let source = visit.source.to_string();
    let fields = [
        ("new", new),
        ("user", account.name.as_str()),
        ("account", account.id.as_str()),
        ("service", visit.service.as_str()),
        ("source", source.as_str()),
        ("country", visit.country.as_deref().unwrap_or("-")),
    ];
    house.auditor.event(&event_line("new-place", &fields));
}

/// The sentence, for services that can show one.
pub(crate) fn sentence(house: &House, visit: &Visit, past: &Past) -> Option<String> {
    let shown = house.policy.service(&visit.service).shows_last_login(visit.service.as_str());
    past.last.as_ref().filter(|_| shown).map(of)
}

fn of(last: &LastLogin) -> String {
    let from = match last.source.as_str() {
        "local" => "at this host's console".to_owned(),
        "unknown" => "from an unknown address".to_owned(),
        address => format!("from {address}"),
    };
    let failed = match last.failed_since {
        0 => String::new(),
        1 => " 1 failed attempt since.".to_owned(),
        number => format!(" {number} failed attempts since."),
    };
    format!("Last login: {} {from} ({}).{failed}", moment(last.at.0), last.service)
}

fn moment(at: u64) -> String {
    let at = i64::try_from(at).ok().and_then(|at| Timestamp::from_second(at).ok());
    at.map_or_else(|| "at an unknown time".to_owned(), |at| at.strftime("%a %d %b %Y %H:%M UTC").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::WallTime;

    #[test]
    fn the_sentence_says_when_from_where_and_how_many_failed() {
        let last = |source: &str, failed_since| LastLogin {
            at: WallTime(1_795_515_120),
            source: source.into(),
            service: "sshd".into(),
            failed_since,
        };
        for (last, expected) in [
            (last("192.0.2.7", 3), "from 192.0.2.7 (sshd). 3 failed attempts since."),
            (last("2001:db8::1", 1), "from 2001:db8::1 (sshd). 1 failed attempt since."),
            (last("local", 0), "at this host's console (sshd)."),
            (last("unknown", 0), "from an unknown address (sshd)."),
        ] {
            assert_eq!(of(&last), format!("Last login: Tue 24 Nov 2026 10:12 UTC {expected}"));
        }
    }
}
