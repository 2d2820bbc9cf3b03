//! Why a login would be asked what it is asked: every rule that is looked at with each of its conditions, from the same
//! evaluation that decides.

use crate::names::GroupName;
use crate::place::Place;
use crate::plan::{Plan, Policy, Questions};
use crate::rule::{Accepted, Checked, Effect, Factors, Method, Rule, Subject};
use crate::truth::Truth;
use serde::{Deserialize, Serialize};

/// What the rules make of one login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Where it comes from.
    pub source: String,
    /// PAM service.
    pub service: String,
    /// The moment it is looked at, seconds since 1970; none where the clock is not to be believed.
    pub at: Option<u64>,
    /// The locations that hold the source.
    pub place: Vec<String>,
    /// What is asked of everybody there, as the audit record says it.
    pub asked: String,
    /// Whether whoever answers that can show what the rule asks.
    pub covered: bool,
    /// The rules that were looked at, in order; the last one decided, unless none did.
    pub rules: Vec<RuleLook>,
    /// What they come to.
    pub outcome: Outcome,
    /// The rule that decided; none if none did.
    pub rule: Option<String>,
    /// What the rule asks: `password`, `code`.
    pub factors: Vec<String>,
    /// The location that stands in for the code.
    pub waiver: Option<String>,
}

/// What the rules come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Whoever proves the factors is let in.
    LetIn,
    /// Nobody is, whatever is proved.
    Denied,
    /// It cannot be told.
    Unavailable,
}

/// One rule that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleLook {
    /// Its name.
    pub rule: String,
    /// Whether all its conditions hold.
    pub matches: Truth,
    /// What it asks, or `deny`.
    pub asks: String,
    /// Its conditions, those it does not have left out.
    pub conditions: Vec<ConditionLook>,
}

/// One condition of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionLook {
    /// Its key in the file.
    pub condition: String,
    /// What it wants.
    pub wants: String,
    /// Whether it holds.
    pub holds: Truth,
}

impl Policy {
    /// What the rules make of a login: the questions follow from `place`, the plan from the account's `own` place.
    #[must_use]
    pub fn explain(
        &self,
        place: &Place,
        own: &Place,
        accepted: Accepted,
        subject: Subject<'_>,
    ) -> Explanation {
        let questions = self.questions(place, accepted);
        let mut looks = Vec::new();
        let mut plan = Plan::Deny { rule: None };
        for rule in &self.rules {
            let checked = rule.checked(own, accepted, subject);
            let matches = Truth::all(checked.iter().map(|(_, holds)| *holds));
            looks.push(look(rule, &checked, matches));
            if let Some(decided) = rule.decides(matches, own) {
                plan = decided;
                break;
            }
        }
        let outcome = match &plan {
            Plan::Require { .. } => Outcome::LetIn,
            Plan::Deny { .. } => Outcome::Denied,
            Plan::Unavailable { .. } => Outcome::Unavailable,
        };
        Explanation {
            source: own.source().to_string(),
            service: own.service().to_string(),
            at: own.at().map(|at| at.0),
            place: own.names().into_iter().map(str::to_owned).collect(),
            asked: questions.word().to_owned(),
            covered: questions.cover(plan.factors()),
            rules: looks,
            outcome,
            rule: plan.rule().map(ToString::to_string),
            factors: words(plan.factors()),
            waiver: match plan {
                Plan::Require { waiver, .. } => waiver.map(|waiver| waiver.to_string()),
                Plan::Deny { .. } | Plan::Unavailable { .. } => None,
            },
        }
    }
}

impl Explanation {
    /// What would change it, as far as the rules go: the rules that one condition alone keeps from deciding, or the
    /// conditions that the deciding one rests on.
    #[must_use]
    pub fn changes(&self) -> Vec<String> {
        let mut changes = Vec::new();
        // Another refusal would change nothing.
        let denies = |look: &&RuleLook| self.outcome == Outcome::Denied && look.asks == DENY;
        for look in self.rules.iter().filter(|look| !denies(look)) {
            let mut failing = look.conditions.iter().filter(|condition| condition.holds == Truth::False);
            if let (Some(only), None) = (failing.next(), failing.next()) {
                changes.push(format!(
                    "\"{}\" ({}) would decide if {} {} held",
                    look.rule, look.asks, only.condition, only.wants
                ));
            }
            for unknown in look.conditions.iter().filter(|condition| condition.holds == Truth::Unknown) {
                if look.matches == Truth::Unknown {
                    changes.push(format!(
                        "\"{}\" could be told if it were known whether {} {} holds",
                        look.rule, unknown.condition, unknown.wants
                    ));
                }
            }
        }
        changes
    }
}

/// What a rule that refuses asks.
const DENY: &str = "deny";

impl Questions {
    /// As the audit record says it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self { password: true, code: true, single: true } => "field",
            Self { password: true, code: true, single: false } => "password,code",
            Self { password: true, code: false, .. } => "password",
            Self { password: false, code: true, .. } => "code",
            Self { password: false, code: false, .. } => "-",
        }
    }
}

fn look(rule: &Rule, checked: &[(Checked, Truth)], matches: Truth) -> RuleLook {
    let asks = match rule.effect {
        Effect::Deny => DENY.to_owned(),
        Effect::Require(factors) => match words(factors).as_slice() {
            [] => "nothing more".to_owned(),
            words => words.join(" + "),
        },
    };
    let conditions = checked
        .iter()
        .filter_map(|(condition, holds)| {
            let (condition, wants) = wanted(rule, *condition)?;
            Some(ConditionLook { condition: condition.to_owned(), wants, holds: *holds })
        })
        .collect();
    RuleLook { rule: rule.name.to_string(), matches, asks, conditions }
}

/// The condition's key and what it wants, if the rule has it.
fn wanted(rule: &Rule, condition: Checked) -> Option<(&'static str, String)> {
    fn list<T: ToString>(items: Option<&Vec<T>>) -> Option<String> {
        items.map(|items| items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    }
    let (key, wants) = match condition {
        Checked::Services => ("services", list(rule.services.as_ref())),
        Checked::From => ("from", list(rule.from.as_ref())),
        Checked::NotFrom => ("not_from", list(rule.not_from.as_ref())),
        Checked::Until => ("until", rule.until.map(|day| day.to_string())),
        Checked::When => ("when", rule.when.as_ref().map(ToString::to_string)),
        Checked::Accounts => ("accounts", list(rule.accounts.as_ref())),
        Checked::Groups => ("groups", list(rule.groups.as_ref().map(|groups: &Vec<GroupName>| groups))),
        Checked::After => {
            let methods: Vec<_> = rule
                .after
                .iter()
                .map(|method| match method {
                    Method::Publickey => "publickey",
                    Method::Sshd => "sshd",
                })
                .collect();
            ("after", (!methods.is_empty()).then(|| methods.join(", ")))
        }
    };
    Some((key, wants?))
}

fn words(factors: Factors) -> Vec<String> {
    let named = [("password", factors.password), ("code", factors.code)];
    named.into_iter().filter(|(_, asked)| *asked).map(|(word, _)| word.to_owned()).collect()
}
