//! Where an attempt comes from, in the configuration's words: which named locations hold its source.

use crate::names::{LocationName, Service};
use crate::origin::{Listing, Moment, Origin};
use crate::source::{Prefix, Source};
use crate::truth::Truth;
use std::net::IpAddr;
use twinlock_config::{WithoutAddress, is_console};

/// A location that needs no table in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reserved {
    Local,
    Unknown,
    Private,
    /// A public address that the GeoIP file does not know.
    Unlisted,
}

impl Reserved {
    const NAMES: [&str; 4] = ["local", "unknown", "private", "unlisted"];

    fn named(name: &str) -> Option<Self> {
        match name {
            "local" => Some(Self::Local),
            "unknown" => Some(Self::Unknown),
            "private" => Some(Self::Private),
            "unlisted" => Some(Self::Unlisted),
            _ => None,
        }
    }

    fn holds(self, source: &Source, origin: &Origin) -> Truth {
        match (self, source) {
            (Self::Local, Source::Local) | (Self::Unknown, Source::Unknown) => Truth::True,
            (Self::Private, Source::Address(address)) => is_private(*address).into(),
            (Self::Unlisted, Source::Address(address)) if !is_private(*address) => is_unlisted(origin),
            (Self::Local | Self::Unknown | Self::Private | Self::Unlisted, _) => Truth::False,
        }
    }
}

/// By its country, or where the file does not speak of countries, by its autonomous system.
const fn is_unlisted(origin: &Origin) -> Truth {
    match (&origin.country, &origin.asn) {
        (Listing::Listed(_), _) | (Listing::Unknown, Listing::Listed(_)) => Truth::False,
        (Listing::Unlisted, _) | (Listing::Unknown, Listing::Unlisted) => Truth::True,
        (Listing::Unknown, Listing::Unknown) => Truth::Unknown,
    }
}

/// Addresses that no stranger on the internet can have: RFC 1918, RFC 4193, RFC 6598, loopback, link-local.
#[must_use]
pub fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || (first == 100 && second & 0xc0 == 64)
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_loopback() || v6.is_unicast_link_local(),
    }
}

/// What location says of one attempt. Made once, at its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub(crate) source: Source,
    pub(crate) service: Service,
    /// `networks` locations that hold the source, in file order.
    pub(crate) networks: Vec<LocationName>,
    /// What the GeoIP file makes of the locations that rest on it, where the address is public.
    pub(crate) told: Vec<(LocationName, Truth)>,
    /// Familiar and remembered places that this is one of.
    pub(crate) earned: Vec<LocationName>,
    pub(crate) origin: Origin,
    pub(crate) at: Option<Moment>,
    pub(crate) uncounted: bool,
}

impl Place {
    /// Where the attempt comes from.
    #[must_use]
    pub const fn source(&self) -> &Source {
        &self.source
    }

    /// The PAM service it came through.
    #[must_use]
    pub const fn service(&self) -> &Service {
        &self.service
    }

    /// What the GeoIP file says of the source.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// When the attempt began; none where the clock is not to be believed.
    #[must_use]
    pub const fn at(&self) -> Option<Moment> {
        self.at
    }

    /// Whether the location `name` holds the source.
    pub fn held_by(&self, name: &LocationName) -> Truth {
        if let Some(reserved) = Reserved::named(name.as_str()) {
            return reserved.holds(&self.source, &self.origin);
        }
        let told = self.told.iter().find(|(told, _)| told == name).map(|(_, truth)| *truth);
        told.unwrap_or_else(|| self.can_waive(name).into())
    }

    /// Whether the location `name` holds the source and can stand in for a code: a network can, and a familiar or
    /// remembered place; never a country.
    #[must_use]
    pub fn can_waive(&self, name: &LocationName) -> bool {
        self.networks.contains(name) || self.earned.contains(name)
    }

    /// The familiar and remembered places that this is one of.
    #[must_use]
    pub fn earned(&self) -> &[LocationName] {
        &self.earned
    }

    /// The locations that hold the source, as the audit record names them; the reserved ones where no other does.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let told = self.told.iter().filter(|(_, truth)| *truth == Truth::True).map(|(name, _)| name);
        let named: Vec<_> =
            self.networks.iter().chain(told).chain(&self.earned).map(LocationName::as_str).collect();
        if !named.is_empty() {
            return named;
        }
        let holds = |reserved: Reserved| reserved.holds(&self.source, &self.origin) == Truth::True;
        Reserved::NAMES.into_iter().filter(|name| Reserved::named(name).is_some_and(holds)).collect()
    }

    /// The first `networks` location in the file that holds the source: its lane is shared by all who come from
    /// there.
    #[must_use]
    pub fn network(&self) -> Option<&LocationName> {
        self.networks.first()
    }

    /// The address's prefixes, narrow and wide, if the tarpit counts them.
    #[must_use]
    pub fn counted_address(&self) -> Option<IpAddr> {
        if self.uncounted { None } else { self.source.address() }
    }

    /// The prefix that may become part of a known pair, or hold a reserved code: a literal, counted address that
    /// not just anybody has.
    #[must_use]
    pub fn earnable_prefix(&self) -> Option<Prefix> {
        if self.uncounted || !self.source.can_be_earned() {
            return None;
        }
        self.source.address().map(Prefix::of)
    }

    /// Whether a code may be reserved for this source: any literal address that is counted.
    #[must_use]
    pub fn can_hold_a_reservation(&self) -> bool {
        !self.uncounted && self.source.address().is_some()
    }

    /// Whether the source is a public address or unknown: what `not_from` speaks of.
    pub(crate) fn is_outside(&self) -> bool {
        match self.source {
            Source::Address(address) => !is_private(address),
            Source::Unknown => true,
            Source::Local => false,
        }
    }
}

/// Reads the source from what a trusted caller says. `ssh_connection` counts only where the service is sshd.
#[must_use]
pub(crate) fn source_of(
    service: &Service,
    sshd: bool,
    without_address: Option<WithoutAddress>,
    rhost: Option<&[u8]>,
    ssh_connection: Option<&[u8]>,
) -> Source {
    if sshd
        && let Some(connection) = ssh_connection
        && let Some(address) = connection.split(|byte| *byte == b' ').next().and_then(Source::literal)
    {
        return Source::Address(address);
    }
    match rhost {
        Some(rhost) if !rhost.is_empty() => Source::literal(rhost).map_or(Source::Unknown, Source::Address),
        Some(_) | None => match without_address {
            Some(WithoutAddress::Local) => Source::Local,
            Some(WithoutAddress::Unknown) => Source::Unknown,
            None if is_console(service.as_str()) => Source::Local,
            None => Source::Unknown,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(service: &str, sshd: bool, rhost: Option<&str>, connection: Option<&str>) -> String {
        source_of(&Service::new(service), sshd, None, rhost.map(str::as_bytes), connection.map(str::as_bytes))
            .to_string()
    }

    #[test]
    fn a_source_is_a_literal_or_it_is_local_or_unknown() {
        assert_eq!(
            source("sshd", true, Some("client1.example.org"), Some("192.0.2.7 5 10.0.0.1 22")),
            "192.0.2.7"
        );
        assert_eq!(source("sshd", true, Some("192.0.2.8"), None), "192.0.2.8");
        assert_eq!(source("sshd", true, Some("UNKNOWN"), Some("UNKNOWN 65535 UNKNOWN 65535")), "unknown");
        assert_eq!(source("vsftpd", false, Some("192.0.2.8"), Some("192.0.2.7 5 10.0.0.1 22")), "192.0.2.8");
        assert_eq!(source("vsftpd", false, Some("localhost"), None), "unknown");
        assert_eq!(source("vsftpd", false, None, None), "unknown");
        assert_eq!(source("xrdp-sesman", false, Some("::ffff:10.99.1.2"), None), "10.99.1.2");
        assert_eq!(source("sudo", false, None, None), "local");
        assert_eq!(source("sudo", false, Some(""), None), "local");
        assert_eq!(source("login", false, Some("evil.example.org"), None), "unknown");
        assert_eq!(source("sshd", true, None, None), "unknown");
    }

    #[test]
    fn private_addresses_are_those_no_stranger_has() {
        for text in [
            "10.0.0.1",
            "172.31.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "127.0.0.1",
            "::1",
            "fd99::1",
            "fe80::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(is_private(text.parse().unwrap()), "{text}");
        }
        for text in ["172.32.0.1", "100.128.0.1", "192.0.2.1", "2001:db8::1", "8.8.8.8"] {
            assert!(!is_private(text.parse().unwrap()), "{text}");
        }
    }
}
