//! `[location.NAME]`: every location says where by one kind of source, and by one that can be told.

use super::{Checker, RESERVED_LOCATIONS, plain_name};
use crate::duration::Span;
use crate::position::{child, element};
use crate::schema::{Config, Familiar, LocationSettings};
use std::time::Duration;

/// What a location may say, as its hint names them.
const KINDS: &str = "say one of networks, countries, asns, familiar or remembered";

pub(super) fn check(checker: &mut Checker<'_>, config: &Config) {
    for (name, location) in &config.location {
        let key = child("location", name);
        if RESERVED_LOCATIONS.contains(&name.as_str()) {
            checker.refuse(&key, "this name is reserved", "give the location another name");
        }
        plain_name(checker, &key, name);
        one_kind(checker, &key, location);
        networks(checker, &child(&key, "networks"), location);
        geoip(checker, &key, location, config);
        earned(checker, &key, location);
    }
}

fn one_kind(checker: &mut Checker<'_>, key: &str, location: &LocationSettings) {
    let said = [
        ("networks", location.networks.is_some()),
        ("countries", location.countries.is_some()),
        ("asns", location.asns.is_some()),
        ("familiar", location.familiar.is_some()),
        ("remembered", location.remembered.is_some()),
    ];
    let mut said = said.iter().filter(|(_, said)| *said).map(|(kind, _)| *kind);
    let Some(first) = said.next() else {
        checker.refuse(key, "says nowhere", KINDS);
        return;
    };
    for more in said {
        checker.refuse(
            &child(key, more),
            format!("stands beside {first}"),
            "give each kind a location of its own; a rule's `from` may name several",
        );
    }
    if location.any_service && !location.is_earned() {
        let key = child(key, "any_service");
        checker.refuse(&key, "means nothing here", "it belongs beside familiar or remembered");
    }
}

fn networks(checker: &mut Checker<'_>, key: &str, location: &LocationSettings) {
    if location.networks.as_ref().is_some_and(Vec::is_empty) {
        checker.refuse(key, "must name at least one network", None);
    }
    for (index, network) in location.networks().iter().enumerate() {
        if network.net().prefix_len() == 0 {
            checker.refuse(
                &element(key, index),
                "holds every address, which is no place",
                "leave out `from` in the rules that mean everywhere",
            );
        }
    }
}

fn geoip(checker: &mut Checker<'_>, key: &str, location: &LocationSettings, config: &Config) {
    if location.needs_geoip() && config.geoip.is_none() {
        checker.refuse(key, "needs a GeoIP file", "add [geoip] database");
    }
    if location.countries.as_ref().is_some_and(Vec::is_empty) {
        checker.refuse(&child(key, "countries"), "must name at least one country", None);
    }
    if location.asns.as_ref().is_some_and(Vec::is_empty) {
        checker.refuse(&child(key, "asns"), "must name at least one autonomous system", None);
    }
    for (index, asn) in location.asns.iter().flatten().enumerate() {
        if *asn == 0 {
            checker.refuse(&element(&child(key, "asns"), index), "is no autonomous system", None);
        }
    }
}

fn earned(checker: &mut Checker<'_>, key: &str, location: &LocationSettings) {
    let (hour, longest) = (Duration::from_secs(3600), Span::seconds(3650 * 86_400));
    if let Some(span) = location.remembered {
        checker.within(&child(key, "remembered"), span, hour, longest);
    }
    let Some(Familiar { logins, forget, at_most }) = location.familiar else { return };
    let key = child(key, "familiar");
    if !(1..=1000).contains(&logins) {
        checker.refuse(&child(&key, "logins"), "must be from 1 to 1000", None);
    }
    if !(1..=100).contains(&at_most) {
        checker.refuse(&child(&key, "at_most"), "must be from 1 to 100", None);
    }
    checker.within(&child(&key, "forget"), forget, hour, longest);
}
