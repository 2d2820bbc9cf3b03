//! Which lanes an attempt stands in. One account lane, chosen by where it comes from, so that a stranger fills only
//! lanes that the owner does not need.

use crate::names::LocationName;
use crate::place::Place;
use crate::source::{Prefix, Source};
use std::fmt;
use std::net::IpAddr;

/// One counter of an account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LaneKey {
    /// Everybody who comes from nowhere in particular: one for the whole account.
    Unfamiliar,
    /// A prefix from which the account has met its rule before.
    Known(Prefix),
    /// A named network.
    Network(LocationName),
    /// This host's consoles, by the user who invoked su or sudo; empty at a login prompt.
    Local(String),
}

impl LaneKey {
    /// The form under which it is stored; [`LaneKey::parse`] reads it back.
    #[must_use]
    pub fn to_key(&self) -> String {
        match self {
            Self::Unfamiliar => "unfamiliar".into(),
            Self::Known(prefix) => format!("known:{prefix}"),
            Self::Network(name) => format!("network:{name}"),
            Self::Local(user) => format!("local:{user}"),
        }
    }

    /// Reads [`LaneKey::to_key`]'s form.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        if key == "unfamiliar" {
            return Some(Self::Unfamiliar);
        }
        match key.split_once(':')? {
            ("known", prefix) => Prefix::try_from(prefix.to_owned()).ok().map(Self::Known),
            ("network", name) => Some(Self::Network(LocationName::new(name))),
            ("local", user) => Some(Self::Local(user.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Display for LaneKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_key())
    }
}

/// Where an attempt stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stand {
    /// Its account lane.
    pub account: LaneKey,
    /// The address whose prefix lanes it stands in as well; none for those who have a lane of their own.
    pub prefixes: Option<IpAddr>,
}

impl Stand {
    /// For an existing account. `known` says whether (account, prefix) is a known pair; `invoker` is who called su
    /// or sudo.
    #[must_use]
    pub fn of_account(place: &Place, known: bool, invoker: &str) -> Self {
        let own = |account| Self { account, prefixes: None };
        if let Some(prefix) = place.earnable_prefix().filter(|_| known) {
            return own(LaneKey::Known(prefix));
        }
        if *place.source() == Source::Local {
            return own(LaneKey::Local(invoker.to_owned()));
        }
        match place.network() {
            Some(network) => own(LaneKey::Network(network.clone())),
            None => Self { account: LaneKey::Unfamiliar, prefixes: place.counted_address() },
        }
    }

    /// For a name that does not exist: prefix lanes only.
    #[must_use]
    pub fn prefixes_of_nobody(place: &Place) -> Option<IpAddr> {
        place.counted_address()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_is_stored_under_a_key_of_its_own() {
        let lanes = [
            LaneKey::Unfamiliar,
            LaneKey::Known(Prefix::of("192.0.2.1".parse().unwrap())),
            LaneKey::Known(Prefix::of("2001:db8::1".parse().unwrap())),
            LaneKey::Network(LocationName::new("office")),
            LaneKey::Network(LocationName::new("unfamiliar")),
            LaneKey::Local(String::new()),
            LaneKey::Local("unfamiliar".into()),
            LaneKey::Local("known:x".into()),
        ];
        for lane in &lanes {
            assert_eq!(LaneKey::parse(&lane.to_key()).as_ref(), Some(lane));
        }
        let keys: std::collections::BTreeSet<_> = lanes.iter().map(LaneKey::to_key).collect();
        assert_eq!(keys.len(), lanes.len());
        assert_eq!(LaneKey::parse("nonsense"), None);
    }
}
