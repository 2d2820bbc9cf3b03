//! From rules to questions, and from an account to a plan. The questions never depend on who exists.

use crate::atlas::Atlas;
use crate::names::{LocationName, RuleName, Service};
use crate::origin::Seen;
use crate::place::{Place, source_of};
use crate::rule::{Accepted, Effect, Factors, Rule, Subject};
use crate::source::Source;
use crate::truth::Truth;
use std::collections::BTreeMap;
use twinlock_config::{Config, Day, Prompt, ServiceSettings};

/// What is asked of whoever comes through this door, the same for every name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Questions {
    /// `Password: `
    pub password: bool,
    /// `Verification code: `
    pub code: bool,
    /// One field takes both, the code behind the password.
    pub single: bool,
}

impl Questions {
    /// Whether whoever answers them can show all of `factors`.
    #[must_use]
    pub const fn cover(self, factors: Factors) -> bool {
        self.single || ((self.password || !factors.password) && (self.code || !factors.code))
    }
}

/// What one account must prove here, and by which rule.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Plan {
    /// The rule that matched asks these.
    Require {
        /// Which rule.
        rule: RuleName,
        /// What it asks.
        factors: Factors,
        /// The location that stands in for the code.
        waiver: Option<LocationName>,
    },
    /// A rule denies, or none matched.
    Deny {
        /// Which rule; none if none matched.
        rule: Option<RuleName>,
    },
    /// A rule's condition could not be told, and a weaker one below must not be taken in its stead.
    Unavailable {
        /// Which rule.
        rule: RuleName,
    },
}

impl Plan {
    /// The rule that decided.
    #[must_use]
    pub const fn rule(&self) -> Option<&RuleName> {
        match self {
            Self::Require { rule, .. } | Self::Unavailable { rule } => Some(rule),
            Self::Deny { rule } => rule.as_ref(),
        }
    }

    /// The location that stands in for the code, where one does.
    #[must_use]
    pub const fn waiver(&self) -> Option<&LocationName> {
        match self {
            Self::Require { waiver, .. } => waiver.as_ref(),
            Self::Deny { .. } | Self::Unavailable { .. } => None,
        }
    }

    /// The same with the code asked where a place would have stood in for it. One without a waiver stays as it is.
    pub fn without_waiver(self) -> Self {
        match self {
            Self::Require { rule, factors, waiver: Some(_) } => {
                Self::Require { rule, factors: Factors { code: true, ..factors }, waiver: None }
            }
            other @ (Self::Require { .. } | Self::Deny { .. } | Self::Unavailable { .. }) => other,
        }
    }

    /// The same with `place` standing in for the code, for an account that has no authenticator yet.
    pub fn with_grace(self, place: &Entrance) -> Self {
        match self {
            Self::Require { rule, factors, waiver: _ } if place.grace.is_some() => Self::Require {
                rule,
                factors: Factors { code: false, ..factors },
                waiver: Some(place.location.clone()),
            },
            other @ (Self::Require { .. } | Self::Deny { .. } | Self::Unavailable { .. }) => other,
        }
    }

    /// What must be proved; nothing where nothing would help.
    #[must_use]
    pub const fn factors(&self) -> Factors {
        match self {
            Self::Require { factors, .. } => *factors,
            Self::Deny { .. } | Self::Unavailable { .. } => Factors { password: false, code: false },
        }
    }
}

/// A place where an account without an authenticator gets its first one, once its password is proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entrance {
    /// The location that holds the source.
    pub location: LocationName,
    /// The last day (UTC) on which such an account needs no code here, if it is not over.
    pub grace: Option<Day>,
}

/// The configuration's locations, services and rules, ready to be asked.
#[derive(Debug, Clone)]
pub struct Policy {
    pub(crate) rules: Vec<Rule>,
    pub(crate) atlas: Atlas,
    services: BTreeMap<Service, ServiceSettings>,
}

impl Policy {
    /// Takes over what the config crate has checked. Whether the rules make sense together is told by
    /// [`crate::check`].
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            rules: config.rule.iter().map(Rule::new).collect(),
            atlas: Atlas::new(config),
            services: config
                .service
                .iter()
                .map(|(name, settings)| (Service::new(name), settings.clone()))
                .collect(),
        }
    }

    /// What the configuration says of a service; the defaults for one it does not name.
    #[must_use]
    pub fn service(&self, service: &Service) -> ServiceSettings {
        self.services.get(service).cloned().unwrap_or_default()
    }

    /// Whether a service is OpenSSH. The one named sshd is, unless its table says otherwise: forgetting to say so must
    /// not let keys in without the code that a rule asks.
    #[must_use]
    pub fn is_sshd(&self, service: &Service) -> bool {
        self.service(service).is_sshd(service.as_str())
    }

    /// Where a trusted caller says an attempt comes from. `ssh_connection` is SSH_CONNECTION; it counts for
    /// services marked `sshd = true`.
    #[must_use]
    pub fn source(&self, service: &Service, rhost: Option<&[u8]>, ssh_connection: Option<&[u8]>) -> Source {
        let settings = self.service(service);
        source_of(service, self.is_sshd(service), settings.without_address, rhost, ssh_connection)
    }

    /// Which named locations hold the source, by the configuration and by what is `seen` of it.
    #[must_use]
    pub fn place(&self, source: Source, service: Service, seen: &Seen<'_>) -> Place {
        self.atlas.place(source, service, seen)
    }

    /// The union over every rule that could match any account here. Where rules deny everybody, what those below
    /// would ask is asked all the same, so that a refused place shows the same face.
    #[must_use]
    pub fn questions(&self, place: &Place, accepted: Accepted) -> Questions {
        let single = self.service(place.service()).prompt == Prompt::Single;
        let mut questions = Questions { password: false, code: false, single };
        let mut lets_in = false;
        for rule in &self.rules {
            let matches = rule.matches(place, accepted, Subject::Anybody);
            let Effect::Require(factors) = rule.effect else { continue };
            if matches == Truth::False {
                continue;
            }
            lets_in = true;
            questions.password |= factors.password;
            questions.code |= factors.code;
            if matches == Truth::True {
                break;
            }
        }
        if !lets_in {
            questions.password = true;
        }
        questions
    }

    /// Whether the rule that decided lets an account enrol at this place. Where the time is not believed, no grace holds.
    #[must_use]
    pub fn entrance(&self, plan: &Plan, place: &Place) -> Option<Entrance> {
        let Plan::Require { rule: decided, factors: Factors { password: true, code: true }, .. } = plan
        else {
            return None;
        };
        let enroll = self.rules.iter().find(|rule| rule.name == *decided)?.enroll.as_ref()?;
        let location = enroll.from.iter().find(|name| place.networks.contains(name))?;
        let holds = |day: &Day| place.at.is_some_and(|at| at.0 < day.end_s());
        Some(Entrance { location: location.clone(), grace: enroll.grace_until.filter(holds) })
    }

    /// What this account must prove here: by the first rule that is not false.
    pub fn plan(&self, place: &Place, accepted: Accepted, subject: Subject<'_>) -> Plan {
        let mut decided =
            self.rules.iter().filter_map(|rule| rule.decides(rule.matches(place, accepted, subject), place));
        decided.next().unwrap_or(Plan::Deny { rule: None })
    }
}
