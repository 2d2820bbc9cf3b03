//! What the rules of a configuration let a guesser reach, against what its administrator accepts.

use super::Finding;
use crate::bound::{Bound, Percent, Reach};
use crate::names::LocationName;
use crate::plan::Policy;
use crate::rule::{Effect, Factors, Rule};
use serde::Serialize;
use twinlock_config::Config;

/// What a rule that asks a code lets a guesser reach.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuleBound {
    /// The rule.
    pub rule: String,
    /// Its bound, for an account with one authenticator of `[totp]`.
    #[serde(flatten)]
    pub bound: Bound,
}

/// The guess bound of every rule that asks a code, in file order, for an account with one authenticator of `[totp]`.
#[must_use]
pub fn bounds(config: &Config, policy: &Policy) -> Vec<RuleBound> {
    bounds_for(config, policy, &[config.totp.digits])
}

/// The bound of an account that already has authenticators of `existing` digits each, once it has one of `new` digits
/// more, if that is above `guess_budget`.
#[must_use]
pub fn would_exceed(config: &Config, policy: &Policy, existing: &[u8], new: u8) -> Option<Bound> {
    let digits: Vec<u8> = existing.iter().copied().chain([new]).collect();
    worst_above_budget(config, bounds_for(config, policy, &digits)).map(|worst| worst.bound)
}

fn bounds_for(config: &Config, policy: &Policy, digits: &[u8]) -> Vec<RuleBound> {
    policy
        .rules
        .iter()
        .filter(|rule| matches!(rule.effect, Effect::Require(Factors { code: true, .. })))
        .map(|rule| RuleBound {
            rule: rule.name.to_string(),
            bound: Bound::new(config, reach(config, rule), digits),
        })
        .collect()
}

/// A login from a named network or from `local` never stands in the unfamiliar lane ([`crate::Stand`]).
fn reach(config: &Config, rule: &Rule) -> Reach {
    let own = |name: &LocationName| {
        let network = |name| config.location.get(name).is_some_and(|location| location.networks.is_some());
        name.as_str() == "local" || network(name.as_str())
    };
    match &rule.from {
        Some(from) if from.iter().all(own) => Reach::OwnLanes,
        Some(_) | None => Reach::Anywhere,
    }
}

fn worst_above_budget(config: &Config, bounds: Vec<RuleBound>) -> Option<RuleBound> {
    bounds
        .into_iter()
        // Nothing is more than certain, so a budget of 100 % takes every policy.
        .filter(|rule| rule.bound.total.min(1.0) > config.tarpit.guess_budget.chance())
        .max_by(|one, other| one.bound.total.total_cmp(&other.bound.total))
}

pub(super) fn above_budget(config: &Config, policy: &Policy) -> Option<Finding> {
    let RuleBound { rule, bound } = worst_above_budget(config, bounds(config, policy))?;
    Some(Finding {
        key: "tarpit.guess_budget".into(),
        message: format!(
            "the rule \"{rule}\" lets somebody who knows the password guess a code with a chance of up to {bound} a year \
             ({} codes, {}, and {} for two codes typed as one), which is above {}",
            bound.unfamiliar_guesses.saturating_add(bound.own_guesses),
            Percent(bound.code),
            Percent(bound.way_in),
            config.tarpit.guess_budget,
        ),
        hint: remedies(config),
    })
}

/// What brings a bound below the budget, as far as it is not done yet.
#[must_use]
pub fn remedies(config: &Config) -> String {
    let mut remedies = String::new();
    if config.totp.digits < 8 {
        remedies.push_str("set totp.digits = 8 for new authenticators, ");
    }
    if config.totp.window_steps > 0 {
        remedies.push_str("set totp.window_steps = 0, ");
    }
    remedies.push_str("lengthen tarpit.cap, lower tarpit.code_budget, or accept more in tarpit.guess_budget");
    remedies
}
