//! `place list`, `add` and `forget`: what users earned at places, as text for people.

use crate::args::PlaceCommand;
use crate::report::{count, date};
use crate::terminal::harmless;
use std::fmt::Write;
use twinlock_control::{PlaceReport, Places, Request};

/// What is asked of the daemon.
pub(crate) fn request(command: &PlaceCommand) -> Request {
    match command {
        PlaceCommand::List { user } => Request::PlaceList { user: user.clone() },
        PlaceCommand::Add { user, prefix, service, until } => Request::PlaceAdd {
            user: user.clone(),
            prefix: prefix.clone(),
            service: service.clone(),
            until: until.clone(),
        },
        PlaceCommand::Forget { user, prefix, service, all: _ } => {
            Request::PlaceForget { user: user.clone(), prefix: prefix.clone(), service: service.clone() }
        }
    }
}

/// One line each.
pub(crate) fn list(places: &Places) -> String {
    if places.places.is_empty() {
        return "No place was earned or given.".into();
    }
    let mut text = rows(&places.places);
    let more = places.all.saturating_sub(places.places.len().try_into().unwrap_or(u64::MAX));
    if more > 0 {
        // Writing to a string cannot fail.
        let _ = write!(text, "\nand {more} more, which were used earlier");
    }
    text
}

/// What was given.
pub(crate) fn added(place: &PlaceReport) -> String {
    format!("Given:\n{}", rows(std::slice::from_ref(place)))
}

/// What was taken back.
pub(crate) fn forgotten(places: &Places) -> String {
    if places.places.is_empty() {
        return "There was nothing to take back.".into();
    }
    format!("Taken back, as they were:\n{}", rows(&places.places))
}

fn rows(places: &[PlaceReport]) -> String {
    places.iter().map(|place| harmless(&row(place))).collect::<Vec<_>>().join("\n")
}

fn row(place: &PlaceReport) -> String {
    let service = place.service.as_deref().unwrap_or("every service");
    let how = if place.evidence == "administrator" {
        let until = place.until.map_or_else(String::new, |until| format!(" until {}", date(until)));
        format!("given {}{until}", date(place.since))
    } else {
        format!(
            "{} since {}, last {}",
            count(place.logins.into(), "login"),
            date(place.since),
            date(place.last_used)
        )
    };
    let locations = if place.locations.is_empty() {
        "counts for nothing now".to_owned()
    } else {
        place.locations.join(", ")
    };
    format!("{} ({})  {}  {service}  {how}  {locations}", place.account, place.id, place.prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(evidence: &str) -> PlaceReport {
        PlaceReport {
            account: "alice\u{1b}[2J".into(),
            id: "main:6f1d".into(),
            prefix: "192.0.2.7/32".into(),
            service: (evidence == "logins").then(|| "sshd".into()),
            evidence: evidence.into(),
            since: 0,
            last_used: 86_400,
            logins: 5,
            until: (evidence != "logins").then_some(172_800),
            locations: if evidence == "logins" { vec!["usual".into(), "this-week".into()] } else { vec![] },
        }
    }

    #[test]
    fn it_says_whose_from_where_for_what_since_when_and_what_it_counts_for() {
        let places = Places { places: vec![place("logins"), place("administrator")], all: 5 };
        let expected = "\
alice\\u{1b}[2J (main:6f1d)  192.0.2.7/32  sshd  5 logins since 1970-01-01 00:00 UTC, last 1970-01-02 00:00 UTC  usual, this-week
alice\\u{1b}[2J (main:6f1d)  192.0.2.7/32  every service  given 1970-01-01 00:00 UTC until 1970-01-03 00:00 UTC  counts for nothing now
and 3 more, which were used earlier";
        assert_eq!(list(&places), expected);
        let none = Places { places: vec![], all: 0 };
        assert_eq!(list(&none), "No place was earned or given.");
        assert_eq!(forgotten(&none), "There was nothing to take back.");
    }
}
