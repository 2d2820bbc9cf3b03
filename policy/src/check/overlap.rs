//! Rules that meet: one that can never decide because another above it always matches first, and pairs of which
//! neither is the exception to the other, so that their order alone decides. Told from the rules' texts.

use crate::names::LocationName;
use crate::plan::Policy;
use crate::rule::{Effect, Rule};
use ipnet::IpNet;
use serde::Serialize;
use twinlock_config::{Config, Network};

/// Two rules that can match the same login and make different things of it; the upper one decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overlap {
    /// The one that decides.
    pub above: String,
    /// The one that it passes over.
    pub below: String,
}

/// Pairs of rules that overlap, in file order. An exception above the rule that it is made from is none, and neither is
/// a rule that can never decide.
#[must_use]
pub fn overlaps(config: &Config, policy: &Policy) -> Vec<Overlap> {
    let mut found = Vec::new();
    let decides = |index: usize, rule| !policy.rules.iter().take(index).any(|above| covers(above, rule));
    let rules: Vec<&Rule> = policy
        .rules
        .iter()
        .enumerate()
        .filter(|(index, rule)| decides(*index, rule))
        .map(|(_, rule)| rule)
        .collect();
    for (index, below) in rules.iter().enumerate() {
        for above in rules.iter().take(index) {
            let exception = covers_while_both_last(below, above);
            if !exception && can_meet(config, above, below) && differ(&above.effect, &below.effect) {
                found.push(Overlap { above: above.name.to_string(), below: below.name.to_string() });
            }
        }
    }
    found
}

/// A rule that denies above others is what it looks like; what passes over a rule that denies may not be.
fn differ(above: &Effect, below: &Effect) -> bool {
    match (above, below) {
        (Effect::Deny, _) => false,
        (Effect::Require(above), Effect::Require(below)) => above != below,
        (Effect::Require(_), Effect::Deny) => true,
    }
}

/// Whether one login can match both, as far as their lists of services, accounts and networks tell. Whether two groups or
/// two other locations share anybody is not told there.
fn can_meet(config: &Config, one: &Rule, other: &Rule) -> bool {
    fn share<T: PartialEq>(one: Option<&Vec<T>>, other: Option<&Vec<T>>) -> bool {
        match (one, other) {
            (Some(one), Some(other)) => one.iter().any(|item| other.contains(item)),
            (None, _) | (_, None) => true,
        }
    }
    share(one.services.as_ref(), other.services.as_ref())
        && share(one.accounts.as_ref(), other.accounts.as_ref())
        && !lie_apart(config, one.from.as_deref(), other.from.as_deref())
}

/// Whether both lists name networks only, and none of the one overlaps one of the other.
fn lie_apart(config: &Config, one: Option<&[LocationName]>, other: Option<&[LocationName]>) -> bool {
    let networks = |names: &[LocationName]| -> Option<Vec<IpNet>> {
        let of = |name: &LocationName| config.location.get(name.as_str())?.networks.as_deref();
        let all: Option<Vec<&[Network]>> = names.iter().map(of).collect();
        Some(all?.into_iter().flatten().map(Network::net).collect())
    };
    let (Some(one), Some(other)) = (one.and_then(networks), other.and_then(networks)) else { return false };
    let meet = |a: &IpNet, b: &IpNet| a.contains(b) || b.contains(a);
    !one.iter().any(|a| other.iter().any(|b| meet(a, b)))
}

/// Whether `above` matches whenever `below` does, as far as can be told from their texts.
pub(super) fn covers(above: &Rule, below: &Rule) -> bool {
    let until = match (above.until, below.until) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(above), Some(below)) => below <= above,
    };
    until && covers_while_both_last(above, below)
}

/// The same until one of them ends.
fn covers_while_both_last(above: &Rule, below: &Rule) -> bool {
    fn wider<T: PartialEq>(above: Option<&Vec<T>>, below: Option<&Vec<T>>) -> bool {
        match (above, below) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(above), Some(below)) => below.iter().all(|item| above.contains(item)),
        }
    }
    let not_from = match (&above.not_from, &below.not_from) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(above), Some(below)) => above.iter().all(|item| below.contains(item)),
    };
    let when = above.when.is_none() || above.when == below.when;
    wider(above.services.as_ref(), below.services.as_ref())
        && wider(above.groups.as_ref(), below.groups.as_ref())
        && wider(above.accounts.as_ref(), below.accounts.as_ref())
        && wider(above.from.as_ref(), below.from.as_ref())
        && not_from
        && when
        && above.after.iter().all(|method| below.after.contains(method))
}
