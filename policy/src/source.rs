//! Where an attempt comes from, and how the tarpit counts it. Names are never resolved.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One of: a literal address, this host's own consoles, or anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// A literal address; IPv4 is never held in its IPv6-mapped form, and a zone id is dropped.
    Address(IpAddr),
    /// No address, and a service of this host's own consoles.
    Local,
    /// No address, a host name, an odd literal.
    Unknown,
}

impl Source {
    /// Reads a literal as applications write it: `192.0.2.1`, `::ffff:192.0.2.1`, `2001:db8::1`, `[2001:db8::1]`,
    /// `fe80::1%eth0`. Anything else, `127.1` and host names included, is no address.
    #[must_use]
    pub fn literal(text: &[u8]) -> Option<IpAddr> {
        let text = std::str::from_utf8(text).ok()?;
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if let Some((address, zone)) = bare.split_once('%') {
            let zone_ok = !zone.is_empty() && zone.bytes().all(|b| b.is_ascii_graphic());
            // IPv4 has no zones, in its mapped form neither.
            let v6 = address.parse().ok().filter(|v6: &Ipv6Addr| v6.to_ipv4_mapped().is_none());
            return v6.filter(|_| zone_ok).map(IpAddr::V6);
        }
        bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
    }

    /// The address, if it is one.
    #[must_use]
    pub const fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Address(address) => Some(*address),
            Self::Local | Self::Unknown => None,
        }
    }

    /// Whether a place may ever be earned here: never at `local`, `unknown`, loopback and link-local addresses.
    #[must_use]
    pub fn can_be_earned(&self) -> bool {
        match self {
            Self::Local | Self::Unknown => false,
            Self::Address(IpAddr::V4(v4)) => !v4.is_loopback() && !v4.is_link_local() && !v4.is_unspecified(),
            Self::Address(IpAddr::V6(v6)) => {
                !v6.is_loopback() && !v6.is_unicast_link_local() && !v6.is_unspecified()
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Local => f.write_str("local"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// An address as the tarpit counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String")]
#[serde(try_from = "String")]
pub enum Prefix {
    /// IPv4, /32.
    V4(Ipv4Addr),
    /// IPv6, /64: the network's own address.
    V6Site(Ipv6Addr),
    /// IPv6, /48: the network's own address.
    V6Provider(Ipv6Addr),
}

impl Prefix {
    /// The narrow prefix of an address: what a known pair is made of.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4),
            IpAddr::V6(v6) => Self::V6Site(masked(v6, 64)),
        }
    }

    /// The wide prefix around an IPv6 address; IPv4 has none.
    #[must_use]
    pub fn wide(address: IpAddr) -> Option<Self> {
        match address.to_canonical() {
            IpAddr::V4(_) => None,
            IpAddr::V6(v6) => Some(Self::V6Provider(masked(v6, 48))),
        }
    }
}

fn masked(address: Ipv6Addr, bits: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - bits)))
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(v4) => write!(f, "{v4}/32"),
            Self::V6Site(v6) => write!(f, "{v6}/64"),
            Self::V6Provider(v6) => write!(f, "{v6}/48"),
        }
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.to_string()
    }
}

impl TryFrom<String> for Prefix {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let parsed = match text.split_once('/') {
            Some((address, "32")) => address.parse().ok().map(Self::V4),
            Some((address, "64")) => address.parse().ok().map(|v6| Self::V6Site(masked(v6, 64))),
            Some((address, "48")) => address.parse().ok().map(|v6| Self::V6Provider(masked(v6, 48))),
            _ => None,
        };
        parsed.ok_or("not a prefix of the tarpit: IPv4 /32, IPv6 /64 or /48")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn literals_are_read_as_applications_write_them() {
        for (text, address) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
            ("::FFFF:c000:201", "192.0.2.1"),
            ("[::ffff:192.0.2.1]", "192.0.2.1"),
            ("fe80::1%v1", "fe80::1"),
            ("[fe80::1%3]", "fe80::1"),
        ] {
            assert_eq!(Source::literal(text.as_bytes()), Some(address.parse().unwrap()), "{text}");
        }
        for text in [
            "",
            "127.1",
            "0x7f000001",
            "localhost",
            "192.0.2.1.",
            "192.0.2.1%eth0",
            "fe80::1%",
            "010.0.0.1",
            "1.2.3.4/32",
            "2130706433",
            "192.0.2",
            "192.0.2.1 ",
            " 192.0.2.1",
            "192.0.2.1:22",
            "[2001:db8::1",
            "[2001:db8::1]:22",
            "[[2001:db8::1]]",
            "2001:db8::1.",
            "::ffff:127.1",
            "::ffff:192.0.2.1%eth0",
            "fe80::1%a%b c",
            "192.0.2.1\0",
            "client1.example.org",
            "1.example.org",
            "\u{ff11}.2.3.4",
        ] {
            assert_eq!(Source::literal(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_canonical_and_reads_back_as_itself(
            text in "[\\[]?(::ffff:)?[0-9a-f:.]{1,20}(%[a-z0-9]{0,3})?[\\].]?",
            address in any::<IpAddr>(),
        ) {
            for text in [text, address.to_string(), format!("[{address}]"), format!("{address}%eth0")] {
                if let Some(read) = Source::literal(text.as_bytes()) {
                    prop_assert_eq!(read, read.to_canonical());
                    prop_assert_eq!(Source::literal(read.to_string().as_bytes()), Some(read));
                }
            }
            prop_assert_eq!(Source::literal(address.to_string().as_bytes()), Some(address.to_canonical()));
        }
    }

    #[test]
    fn prefixes_are_written_and_read_back() {
        let address: IpAddr = "2001:db8:1:2:3:4:5:6".parse().unwrap();
        for (prefix, text) in [
            (Prefix::of(address), "2001:db8:1:2::/64"),
            (Prefix::wide(address).unwrap(), "2001:db8:1::/48"),
            (Prefix::of("::ffff:192.0.2.1".parse().unwrap()), "192.0.2.1/32"),
        ] {
            assert_eq!(prefix.to_string(), text);
            assert_eq!(Prefix::try_from(text.to_owned()).unwrap(), prefix);
        }
        assert_eq!(Prefix::wide("192.0.2.1".parse().unwrap()), None);
    }

    #[test]
    fn nothing_is_earned_where_anybody_can_be() {
        for text in ["127.0.0.1", "::1", "169.254.1.1", "fe80::1", "0.0.0.0", "::"] {
            assert!(!Source::Address(text.parse().unwrap()).can_be_earned(), "{text}");
        }
        assert!(!Source::Local.can_be_earned());
        assert!(!Source::Unknown.can_be_earned());
        assert!(Source::Address("10.1.2.3".parse().unwrap()).can_be_earned());
    }
}
