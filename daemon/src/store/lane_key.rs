//! Which account lane an attempt stands in (DESIGN promise 5), and its form as a database key.

use std::fmt;
use twinlock_policy::{LocationName, Prefix};

/// A lane of an account. Its text form is the database key: it must not change, and no two lanes share one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LaneKey {
    /// The one for every place the account does not know.
    Unfamiliar,
    /// That of a known pair.
    Known(Prefix),
    /// That of a named network.
    Network(LocationName),
    /// This host's consoles, by the invoking user; empty if nobody invoked it.
    Local(String),
}

impl LaneKey {
    /// Reads the text form back.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text == "unfamiliar" {
            return Some(Self::Unfamiliar);
        }
        match text.split_once(' ')? {
            ("from", prefix) => Prefix::try_from(prefix.to_owned()).ok().map(Self::Known),
            ("in", location) => Some(Self::Network(LocationName::new(location))),
            ("local", user) => Some(Self::Local(user.to_owned())),
            _ => None,
        }
    }
}

impl fmt::Display for LaneKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unfamiliar => f.write_str("unfamiliar"),
            Self::Known(prefix) => write!(f, "from {prefix}"),
            Self::Network(location) => write!(f, "in {location}"),
            Self::Local(user) => write!(f, "local {user}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_lane() -> impl Strategy<Value = LaneKey> {
        prop_oneof![
            Just(LaneKey::Unfamiliar),
            any::<std::net::IpAddr>().prop_map(|address| LaneKey::Known(Prefix::of(address))),
            ".*".prop_map(|name| LaneKey::Network(LocationName::new(name))),
            ".*".prop_map(LaneKey::Local),
            "(from|in|local|unfamiliar) .*".prop_map(LaneKey::Local),
        ]
    }

    proptest! {
        #[test]
        fn a_lane_reads_back_as_itself_so_no_two_share_a_key(lane in any_lane()) {
            prop_assert_eq!(LaneKey::parse(&lane.to_string()), Some(lane));
        }
    }

    #[test]
    fn the_text_form_does_not_change() {
        for (lane, text) in [
            (LaneKey::Unfamiliar, "unfamiliar"),
            (LaneKey::Known(Prefix::of("192.0.2.7".parse().unwrap())), "from 192.0.2.7/32"),
            (LaneKey::Network(LocationName::new("office")), "in office"),
            (LaneKey::Local("alice".into()), "local alice"),
        ] {
            assert_eq!(lane.to_string(), text);
        }
    }
}
