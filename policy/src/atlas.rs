//! The configuration's locations, ready to be asked which of them hold a source. Networks stand in a prefix trie, so
//! that the time a look-up takes does not grow with their number.

use crate::names::{LocationName, Service};
use crate::origin::{Earned, EarnedBy, Listing, Seen};
use crate::place::{Place, is_private};
use crate::source::Source;
use crate::truth::Truth;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;
use twinlock_config::{Config, Country, Familiar, LocationSettings, Network};

/// What a location is that is no set of networks.
#[derive(Debug, Clone)]
enum Kind {
    Countries(Vec<Country>),
    Asns(Vec<u32>),
    Familiar { familiar: Familiar, any_service: bool },
    Remembered { within: Duration, any_service: bool },
}

impl Kind {
    /// The config crate has seen to it that a location is of one kind. `None` for one of networks.
    fn of(settings: &LocationSettings) -> Option<Self> {
        let any_service = settings.any_service;
        if let Some(countries) = &settings.countries {
            return Some(Self::Countries(countries.clone()));
        }
        if let Some(asns) = &settings.asns {
            return Some(Self::Asns(asns.clone()));
        }
        if let Some(familiar) = settings.familiar {
            return Some(Self::Familiar { familiar, any_service });
        }
        settings.remembered.map(|within| Self::Remembered { within: within.duration(), any_service })
    }
}

/// Which locations hold an address, by network.
#[derive(Debug, Clone, Default)]
struct Networks {
    v4: PrefixMap<Ipv4Net, Vec<usize>>,
    v6: PrefixMap<Ipv6Net, Vec<usize>>,
}

impl Networks {
    fn add(&mut self, network: Network, location: usize) {
        match network.net() {
            IpNet::V4(net) => self.v4.entry(net).or_default().push(location),
            IpNet::V6(net) => self.v6.entry(net).or_default().push(location),
        }
    }

    /// The locations with a network that holds `address`, in file order.
    fn holding(&self, address: IpAddr) -> BTreeSet<usize> {
        match address.to_canonical() {
            IpAddr::V4(v4) => self.v4.cover_values(&Ipv4Net::from(v4)).flatten().copied().collect(),
            IpAddr::V6(v6) => self.v6.cover_values(&Ipv6Net::from(v6)).flatten().copied().collect(),
        }
    }
}

/// The configuration's locations, in file order, and the networks the tarpit does not count.
#[derive(Debug, Clone)]
pub(crate) struct Atlas {
    names: Vec<LocationName>,
    networks: Networks,
    others: Vec<(LocationName, Kind)>,
    uncounted: Vec<Network>,
}

impl Atlas {
    pub(crate) fn new(config: &Config) -> Self {
        let mut networks = Networks::default();
        for (index, settings) in config.location.values().enumerate() {
            for network in settings.networks() {
                networks.add(*network, index);
            }
        }
        let other = |(name, settings)| Some((LocationName::new(name), Kind::of(settings)?));
        Self {
            names: config.location.keys().map(LocationName::new).collect(),
            networks,
            others: config.location.iter().filter_map(other).collect(),
            uncounted: config.tarpit.uncounted.clone(),
        }
    }

    pub(crate) fn place(&self, source: Source, service: Service, seen: &Seen<'_>) -> Place {
        let address = source.address();
        let uncounted =
            address.is_some_and(|address| self.uncounted.iter().any(|network| network.contains(address)));
        let earns = !uncounted && source.can_be_earned();
        let named = |index: &usize| self.names.get(*index).cloned();
        let mut place = Place {
            networks: address
                .map(|address| self.networks.holding(address).iter().filter_map(named).collect())
                .unwrap_or_default(),
            told: Vec::new(),
            earned: Vec::new(),
            origin: seen.origin,
            at: seen.at,
            source,
            service,
            uncounted,
        };
        let public = address.is_some_and(|address| !is_private(address));
        for (name, kind) in &self.others {
            match kind {
                Kind::Countries(countries) if public => {
                    place.told.push((name.clone(), listed(seen.origin.country, countries)));
                }
                Kind::Asns(asns) if public => place.told.push((name.clone(), listed(seen.origin.asn, asns))),
                Kind::Familiar { familiar, any_service } if earns => {
                    let rows = counting(seen.earned, &place.service, *any_service);
                    if is_familiar(rows, familiar) {
                        place.earned.push(name.clone());
                    }
                }
                Kind::Remembered { within, any_service } if earns => {
                    let mut rows = counting(seen.earned, &place.service, *any_service);
                    if rows.any(|row| is_remembered(row.by, *within)) {
                        place.earned.push(name.clone());
                    }
                }
                Kind::Countries(_) | Kind::Asns(_) | Kind::Familiar { .. } | Kind::Remembered { .. } => {}
            }
        }
        place
    }
}

/// Whether what the file says is in `wanted`. An address that it does not know belongs nowhere.
fn listed<T: PartialEq>(listing: Listing<T>, wanted: &[T]) -> Truth {
    match listing {
        Listing::Unknown => Truth::Unknown,
        Listing::Unlisted => Truth::False,
        Listing::Listed(found) => wanted.contains(&found).into(),
    }
}

/// The rows that count for `service`.
fn counting<'a>(
    rows: &'a [Earned],
    service: &'a Service,
    any_service: bool,
) -> impl Iterator<Item = &'a Earned> {
    rows.iter().filter(move |row| any_service || row.service.as_ref().is_none_or(|at| at == service))
}

fn is_familiar<'a>(rows: impl Iterator<Item = &'a Earned>, familiar: &Familiar) -> bool {
    let mut all = 0_u32;
    for row in rows {
        match row.by {
            EarnedBy::Word => return true,
            EarnedBy::Logins { logins, unused_s, newer } => {
                if unused_s < familiar.forget.duration().as_secs() && newer < familiar.at_most {
                    all = all.saturating_add(logins);
                }
            }
        }
    }
    all >= familiar.logins
}

fn is_remembered(by: EarnedBy, within: Duration) -> bool {
    match by {
        EarnedBy::Word => true,
        EarnedBy::Logins { logins, unused_s, .. } => logins > 0 && unused_s < within.as_secs(),
    }
}
