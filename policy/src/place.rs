//! Where an attempt comes from, in the configuration's words: which named locations hold its source.

use crate::names::{LocationName, Service};
use crate::source::{Prefix, Source};
use crate::truth::Truth;
use std::net::IpAddr;
use twinlock_config::{Config, Network, WithoutAddress, is_console};

/// A location that needs no table in the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reserved {
    Local,
    Unknown,
    Private,
}

impl Reserved {
    fn named(name: &str) -> Option<Self> {
        match name {
            "local" => Some(Self::Local),
            "unknown" => Some(Self::Unknown),
            "private" => Some(Self::Private),
            _ => None,
        }
    }

    fn holds(self, source: &Source) -> bool {
        match (self, source) {
            (Self::Local, Source::Local) | (Self::Unknown, Source::Unknown) => true,
            (Self::Private, Source::Address(address)) => is_private(*address),
            (Self::Local | Self::Unknown | Self::Private, _) => false,
        }
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

/// The configuration's locations, in file order, and the networks the tarpit does not count.
#[derive(Debug, Clone)]
pub(crate) struct Atlas {
    networks: Vec<(LocationName, Vec<Network>)>,
    uncounted: Vec<Network>,
}

impl Atlas {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            networks: config
                .location
                .iter()
                .map(|(name, settings)| (LocationName::new(name), settings.networks.clone()))
                .collect(),
            uncounted: config.tarpit.uncounted.clone(),
        }
    }

    pub(crate) fn place(&self, source: Source, service: Service) -> Place {
        let address = source.address();
        let inside = |networks: &[Network]| {
            address.is_some_and(|address| networks.iter().any(|network| network.contains(address)))
        };
        let holding = self
            .networks
            .iter()
            .filter(|(_, networks)| inside(networks))
            .map(|(name, _)| name.clone())
            .collect();
        Place { source, service, networks: holding, uncounted: inside(&self.uncounted) }
    }
}

/// What location says of one attempt. Made once, at its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    source: Source,
    service: Service,
    networks: Vec<LocationName>,
    uncounted: bool,
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

    /// Whether the location `name` holds the source.
    pub fn held_by(&self, name: &LocationName) -> Truth {
        match Reserved::named(name.as_str()) {
            Some(reserved) => reserved.holds(&self.source).into(),
            None => self.is_in_network(name).into(),
        }
    }

    /// Whether the `networks` location `name` holds the source. Only such a place can stand in for a code.
    #[must_use]
    pub fn is_in_network(&self, name: &LocationName) -> bool {
        self.networks.contains(name)
    }

    /// The locations that hold the source, as the audit record names them; the reserved ones where no other does.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        if !self.networks.is_empty() {
            return self.networks.iter().map(LocationName::as_str).collect();
        }
        ["local", "unknown", "private"]
            .into_iter()
            .filter(|name| Reserved::named(name).is_some_and(|reserved| reserved.holds(&self.source)))
            .collect()
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
