//! Rules: conditions of three values, and what a matching one asks. First match wins; no match means deny.

use crate::names::{GroupName, LocationName, RuleName, Service, Username};
use crate::origin::Moment;
use crate::place::Place;
use crate::plan::Plan;
use crate::truth::Truth;
use crate::window::Window;
use twinlock_config::{Day, RequiredFactor, RuleSettings};

/// What sshd had already accepted when the attempt began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Accepted {
    /// A public key (SSH_AUTH_INFO_0 in the auth phase).
    pub publickey: bool,
    /// A method sshd decided alone: an account phase that no grant of ours came before.
    pub sshd: bool,
}

impl Accepted {
    /// Reads SSH_AUTH_INFO_0: one accepted method a line, its name first.
    #[must_use]
    pub fn from_ssh_auth_info(info: &[u8]) -> Self {
        let publickey = info
            .split(|byte| *byte == b'\n')
            .any(|line| line.split(|byte| *byte == b' ').next() == Some(b"publickey".as_slice()));
        Self { publickey, sshd: false }
    }

    fn has(self, method: Method) -> bool {
        match method {
            Method::Publickey => self.publickey,
            Method::Sshd => self.sshd,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Publickey,
    Sshd,
}

/// Whom conditions are put to.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// Before the account is known: conditions on accounts and groups cannot be told.
    Anybody,
    /// An entry of the directory.
    Account {
        /// All its names as the directory spells them: a rule about one of them is not evaded by typing another.
        names: &'a [Username],
        /// Its groups; absent where the directory did not say.
        groups: Option<&'a [GroupName]>,
    },
}

/// A condition of a rule, by its key in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checked {
    Services,
    From,
    NotFrom,
    Until,
    When,
    After,
    Accounts,
    Groups,
}

/// What a rule asks once it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Factors {
    /// A password, proved by the directory.
    pub password: bool,
    /// A code.
    pub code: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Effect {
    Deny,
    Require(Factors),
}

/// A rule as the configuration wrote it, ready to be evaluated.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) name: RuleName,
    pub(crate) services: Option<Vec<Service>>,
    pub(crate) groups: Option<Vec<GroupName>>,
    pub(crate) accounts: Option<Vec<String>>,
    pub(crate) from: Option<Vec<LocationName>>,
    pub(crate) not_from: Option<Vec<LocationName>>,
    pub(crate) when: Option<Window>,
    pub(crate) until: Option<Day>,
    pub(crate) after: Vec<Method>,
    pub(crate) effect: Effect,
    pub(crate) single_factor: bool,
    pub(crate) enroll: Option<Enroll>,
}

/// Where an account without an authenticator gets its first one, and until when it needs no code there.
#[derive(Debug, Clone)]
pub(crate) struct Enroll {
    pub(crate) from: Vec<LocationName>,
    pub(crate) grace_until: Option<Day>,
}

impl Rule {
    pub(crate) fn new(settings: &RuleSettings) -> Self {
        let require = settings.require.as_deref().unwrap_or_default();
        let effect = if settings.deny {
            Effect::Deny
        } else {
            Effect::Require(Factors {
                password: require.contains(&RequiredFactor::Password),
                code: require.contains(&RequiredFactor::Code),
            })
        };
        Self {
            name: RuleName::new(&settings.name),
            services: names(settings.services.as_ref(), Service::new),
            groups: names(settings.groups.as_ref(), GroupName::new),
            accounts: names(settings.accounts.as_ref(), |name| name.to_lowercase()),
            from: names(settings.from.as_ref(), LocationName::new),
            not_from: names(settings.not_from.as_ref(), LocationName::new),
            when: settings.when.as_ref().map(Window::new),
            until: settings.until,
            after: settings
                .after
                .iter()
                .flatten()
                .map(|method| if method == "sshd" { Method::Sshd } else { Method::Publickey })
                .collect(),
            effect,
            single_factor: settings.single_factor,
            enroll: settings.enroll.as_ref().map(|enroll| Enroll {
                from: enroll.from.iter().cloned().map(LocationName::new).collect(),
                grace_until: enroll.grace_until,
            }),
        }
    }

    /// Whether all its conditions hold.
    pub(crate) fn matches(&self, place: &Place, accepted: Accepted, subject: Subject<'_>) -> Truth {
        Truth::all(self.checked(place, accepted, subject).map(|(_, holds)| holds))
    }

    /// Each condition by itself; one that the rule does not have holds.
    pub(crate) fn checked(
        &self,
        place: &Place,
        accepted: Accepted,
        subject: Subject<'_>,
    ) -> [(Checked, Truth); 8] {
        [
            (Checked::Services, self.holds_for_service(place.service())),
            (Checked::From, self.from.as_ref().map_or(Truth::True, |from| held_by_any(place, from))),
            (Checked::NotFrom, self.holds_outside(place)),
            (Checked::Until, self.holds_until(place.at())),
            (Checked::When, self.holds_when(place.at())),
            (Checked::After, self.after.iter().all(|method| accepted.has(*method)).into()),
            (Checked::Accounts, self.holds_for_account(subject)),
            (Checked::Groups, self.holds_for_groups(subject)),
        ]
    }

    /// What it comes to where its conditions come to `matches`; nothing if the next rule is to be looked at.
    pub(crate) fn decides(&self, matches: Truth, place: &Place) -> Option<Plan> {
        let rule = || self.name.clone();
        match (matches, &self.effect) {
            (Truth::False, _) => None,
            (Truth::True | Truth::Unknown, Effect::Deny) => Some(Plan::Deny { rule: Some(rule()) }),
            (Truth::Unknown, Effect::Require(_)) => Some(Plan::Unavailable { rule: rule() }),
            (Truth::True, Effect::Require(factors)) => {
                Some(Plan::Require { rule: rule(), factors: *factors, waiver: self.waiver(place) })
            }
        }
    }

    fn holds_for_service(&self, service: &Service) -> Truth {
        self.services.as_ref().is_none_or(|services| services.contains(service)).into()
    }

    fn holds_outside(&self, place: &Place) -> Truth {
        self.not_from.as_ref().map_or(Truth::True, |not_from| {
            Truth::from(place.is_outside()).and(held_by_any(place, not_from).not())
        })
    }

    fn holds_until(&self, at: Option<Moment>) -> Truth {
        match (self.until, at) {
            (None, _) => Truth::True,
            (Some(_), None) => Truth::Unknown,
            (Some(until), Some(at)) => (at.0 < until.end_s()).into(),
        }
    }

    fn holds_when(&self, at: Option<Moment>) -> Truth {
        match (&self.when, at) {
            (None, _) => Truth::True,
            (Some(_), None) => Truth::Unknown,
            (Some(when), Some(at)) => when.holds(at).into(),
        }
    }

    fn holds_for_account(&self, subject: Subject<'_>) -> Truth {
        self.accounts.as_ref().map_or(Truth::True, |accounts| match subject {
            Subject::Anybody => Truth::Unknown,
            Subject::Account { names, .. } => {
                names.iter().any(|name| accounts.contains(&name.folded())).into()
            }
        })
    }

    fn holds_for_groups(&self, subject: Subject<'_>) -> Truth {
        self.groups.as_ref().map_or(Truth::True, |wanted| match subject {
            Subject::Anybody | Subject::Account { groups: None, .. } => Truth::Unknown,
            Subject::Account { groups: Some(groups), .. } => {
                groups.iter().any(|group| wanted.iter().any(|name| name.names_the_same(group))).into()
            }
        })
    }

    /// The location by which this rule's place stands in for the code, if it does.
    pub(crate) fn waiver(&self, place: &Place) -> Option<LocationName> {
        let Effect::Require(Factors { code: false, .. }) = self.effect else { return None };
        if self.after.contains(&Method::Publickey) {
            return None;
        }
        self.from.iter().flatten().find(|name| place.can_waive(name)).cloned()
    }
}

fn held_by_any(place: &Place, names: &[LocationName]) -> Truth {
    Truth::any(names.iter().map(|name| place.held_by(name)))
}

fn names<T>(list: Option<&Vec<String>>, make: impl Fn(String) -> T) -> Option<Vec<T>> {
    list.map(|list| list.iter().cloned().map(make).collect())
}
