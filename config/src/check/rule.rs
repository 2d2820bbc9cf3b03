//! `[[rule]]`: every rule can be understood by itself and names only what is there.

use super::{Checker, RESERVED_LOCATIONS};
use crate::position::{child, element};
use crate::schema::{Config, RequiredFactor, RuleSettings};
use std::collections::BTreeSet;

/// What `after` may name.
const METHODS: [&str; 2] = ["publickey", "sshd"];
/// Longest name in bytes.
const MAX_NAME: usize = 64;

pub(super) fn check(checker: &mut Checker<'_>, config: &Config) {
    if config.rule.is_empty() {
        checker.refuse("rule", "there is no [[rule]], so nobody could log in", "write at least one");
    }
    let mut names = BTreeSet::new();
    for (index, rule) in config.rule.iter().enumerate() {
        let key = element("rule", index);
        name(checker, &child(&key, "name"), &rule.name, names.insert(rule.name.as_str()));
        lists(checker, &key, rule);
        places(checker, &key, rule, config);
        groups(checker, &key, rule, config);
        when(checker, &key, rule);
        outcome(checker, &key, rule);
        enroll(checker, &key, rule, config);
    }
}

fn name(checker: &mut Checker<'_>, key: &str, name: &str, first: bool) {
    if name.trim().is_empty() {
        checker.refuse(key, "must not be empty", "it stands in the audit record");
    } else if name.len() > MAX_NAME || name.chars().any(char::is_control) {
        checker.refuse(key, "must be at most 64 bytes without control characters", None);
    } else if !first {
        checker.refuse(key, "another rule has this name already", "give each rule its own");
    }
}

fn lists(checker: &mut Checker<'_>, key: &str, rule: &RuleSettings) {
    let lists = [
        ("services", &rule.services),
        ("groups", &rule.groups),
        ("accounts", &rule.accounts),
        ("from", &rule.from),
        ("not_from", &rule.not_from),
        ("after", &rule.after),
    ];
    for (name, list) in lists {
        let key = child(key, name);
        let Some(list) = list else { continue };
        if list.is_empty() {
            checker.refuse(&key, "is empty", "leave it out where it does not matter");
        }
        for (index, item) in list.iter().enumerate() {
            if item.is_empty() || item.chars().any(char::is_control) {
                checker.refuse(&element(&key, index), "is no name", None);
            }
        }
    }
    for (index, service) in rule.services.iter().flatten().enumerate() {
        if service.len() > MAX_NAME || service.bytes().any(|b| !b.is_ascii_graphic()) {
            let key = element(&child(key, "services"), index);
            checker.refuse(&key, "is no PAM service", "as in \"sshd\": the name of a file in /etc/pam.d");
        }
    }
    for (index, method) in rule.after.iter().flatten().enumerate() {
        if !METHODS.contains(&method.as_str()) {
            let key = element(&child(key, "after"), index);
            checker.refuse(&key, "must be \"publickey\" or \"sshd\"", None);
        }
    }
}

fn places(checker: &mut Checker<'_>, key: &str, rule: &RuleSettings, config: &Config) {
    for (name, list) in [("from", &rule.from), ("not_from", &rule.not_from)] {
        for (index, location) in list.iter().flatten().enumerate() {
            let key = element(&child(key, name), index);
            if location == "unlisted" && config.geoip.is_none() {
                checker.refuse(&key, "needs a GeoIP file", "add [geoip] database");
            } else if !RESERVED_LOCATIONS.contains(&location.as_str())
                && !config.location.contains_key(location)
            {
                checker.refuse(
                    &key,
                    format!("there is no [location.{location}]"),
                    "define it, or use local, unknown, private or unlisted",
                );
            }
        }
    }
}

fn when(checker: &mut Checker<'_>, key: &str, rule: &RuleSettings) {
    let Some(when) = &rule.when else { return };
    let key = child(key, "when");
    if when.days.is_none() && when.from.is_none() && when.to.is_none() {
        checker.refuse(&key, "names no time", "add days, from or to, or leave it out where always is meant");
    }
    if when.from.is_some() && when.from == when.to {
        checker.refuse(
            &child(&key, "to"),
            "is the same as from, which is no time at all or a whole day",
            "leave both out where whole days are meant",
        );
    }
}

fn groups(checker: &mut Checker<'_>, key: &str, rule: &RuleSettings, config: &Config) {
    if rule.groups.is_some() && config.directory.values().any(|directory| directory.group_base.is_none()) {
        checker.refuse(
            &child(key, "groups"),
            "the directory has no group_base to look groups up in",
            "add group_base to [directory.NAME]",
        );
    }
}

fn outcome(checker: &mut Checker<'_>, key: &str, rule: &RuleSettings) {
    match (&rule.require, rule.deny) {
        (None, false) => {
            checker.refuse(key, "says neither require nor deny", "add require = [\"password\", \"code\"]");
        }
        (Some(_), true) => {
            checker.refuse(&child(key, "deny"), "stands beside require", "a rule asks or refuses, not both");
        }
        (Some(factors), false) => required(checker, key, factors, rule),
        (None, true) => {
            if rule.single_factor {
                let key = child(key, "single_factor");
                checker.refuse(&key, "means nothing in a rule that refuses", "leave it out");
            }
        }
    }
}

/// A stolen password must not be enough to enrol: a place stands beside it that nobody else has.
fn enroll(checker: &mut Checker<'_>, key: &str, rule: &RuleSettings, config: &Config) {
    let Some(enroll) = &rule.enroll else { return };
    let key = child(key, "enroll");
    let asks = |factor| rule.require.as_ref().is_some_and(|factors| factors.contains(&factor));
    if !asks(RequiredFactor::Password) || !asks(RequiredFactor::Code) {
        checker.refuse(
            &key,
            "stands in a rule that does not ask password and code",
            "whoever enrols proves the password there, and a code from then on; leave it out here",
        );
    }
    let from = child(&key, "from");
    if enroll.from.is_empty() {
        checker.refuse(&from, "is empty", "leave enroll out where only invitations are to count");
    }
    for (index, name) in enroll.from.iter().enumerate() {
        if config.location.get(name).is_none_or(|location| location.networks().is_empty()) {
            checker.refuse(
                &element(&from, index),
                "is no location of networks",
                "name a [location.NAME] with networks; countries, earned places and the reserved ones do not count here",
            );
        }
    }
}

fn required(checker: &mut Checker<'_>, key: &str, factors: &[RequiredFactor], rule: &RuleSettings) {
    let key = child(key, "require");
    if factors.is_empty() && rule.after.is_none() {
        checker.refuse(
            &key,
            "asks nothing at all",
            "only a rule with `after` may ask nothing, because sshd has checked something",
        );
    }
    for (index, factor) in factors.iter().enumerate() {
        if factors.iter().take(index).any(|earlier| earlier == factor) {
            checker.refuse(&element(&key, index), "stands twice", None);
        }
    }
}
