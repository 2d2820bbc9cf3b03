//! Where a login comes from, as far as the daemon knows more of it than its address: the time, what the GeoIP file says,
//! and what was earned there. Look-ups in memory only; no name is ever resolved.

mod database;
mod earned;
mod geo;
#[cfg(test)]
mod tests;

use crate::audit::{Auditor, event_line};
use crate::clock::{Clock, WallTime};
use crate::house::House;
use crate::store::{Earn, EarnedPlace, Store, StoreError};
use database::Needs;
use earned::EarnedPlaces;
pub(crate) use earned::at as earned_at;
use geo::Geo;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use twinlock_config::{Config, LocationSettings};
use twinlock_control::GeoipStatus;
use twinlock_policy::{
    AccountId, Factors, Moment, Origin, Place, Policy, Prefix, Seen, Service, Source, Username, is_private,
};

/// Prefixes an account keeps where no location says how many.
const KEPT: u32 = 20;
/// Services that hand over names are remembered up to this many; root names them.
const NAMING_SERVICES: usize = 256;

/// What is known of places beside the configuration.
pub struct Locations {
    clock: Clock,
    geo: Option<Geo>,
    earned: EarnedPlaces,
    /// What of it is kept; none where no location is earned.
    keep: Option<Keep>,
    /// Services that handed over a name where an address belongs.
    naming: Mutex<BTreeSet<Service>>,
}

#[derive(Clone, Copy)]
struct Keep {
    at_most: u32,
    seconds: u64,
}

impl Keep {
    /// As much as the location that keeps most.
    fn of(config: &Config) -> Option<Self> {
        let earned = || config.location.values().filter(|location| location.is_earned());
        let spans = earned()
            .filter_map(|location| location.familiar.map(|familiar| familiar.forget).or(location.remembered));
        let seconds = spans.map(|span| span.duration().as_secs()).max()?;
        let at_most =
            earned().filter_map(|location| location.familiar).map(|familiar| familiar.at_most).max();
        Some(Self { at_most: at_most.unwrap_or(KEPT), seconds })
    }
}

impl Locations {
    /// With what the store remembers. The GeoIP file is read by the first [`Locations::look`].
    #[must_use]
    pub fn new(config: &Config, clock: Clock, rows: &[EarnedPlace]) -> Self {
        let needs = |what: fn(&LocationSettings) -> bool| config.location.values().any(what);
        let needs = Needs {
            countries: needs(|location| location.countries.is_some()),
            asns: needs(|location| location.asns.is_some()),
        };
        Self {
            clock,
            geo: config.geoip.as_ref().map(|geoip| Geo::new(&geoip.database, needs)),
            earned: EarnedPlaces::new(rows),
            keep: Keep::of(config),
            naming: Mutex::default(),
        }
    }

    /// Where an attempt under a name comes from. Its earned places are those of whoever was last let in under it: they
    /// shorten the questions, and nothing else rests on them.
    #[must_use]
    pub fn place(
        &self,
        policy: &Policy,
        source: Source,
        service: &Service,
        name: Option<&Username>,
    ) -> Place {
        self.place_at(policy, source, service, name, self.clock.now().wall)
    }

    /// The same at another moment, with what is known now.
    #[must_use]
    pub fn place_at(
        &self,
        policy: &Policy,
        source: Source,
        service: &Service,
        name: Option<&Username>,
        now: WallTime,
    ) -> Place {
        let origin = match (&self.geo, source) {
            (Some(geo), Source::Address(address)) if !is_private(address) => geo.origin(address),
            (Some(_) | None, _) => Origin::default(),
        };
        let prefix = source.address().map(Prefix::of);
        let earned = name.zip(prefix).map(|(name, prefix)| self.earned.of_name(name, prefix, now));
        // A clock that is not believed tells no time of the week, and nobody's day is over by it.
        let at = self.clock.suspicion().is_none().then_some(Moment(now.0));
        let seen = Seen { at, origin, earned: &earned.unwrap_or_default() };
        policy.place(source, service.clone(), &seen)
    }

    /// The same place at the same moment for the account that was found: its own earned places only.
    #[must_use]
    pub fn place_of(&self, policy: &Policy, place: &Place, name: &Username, account: &AccountId) -> Place {
        self.earned.bears(name, account);
        let now = place.at().map_or_else(|| self.clock.now().wall, |at| WallTime(at.0));
        let prefix = place.source().address().map(Prefix::of);
        let earned = prefix.map(|prefix| self.earned.of_account(account, prefix, now)).unwrap_or_default();
        let seen = Seen { at: place.at(), origin: *place.origin(), earned: &earned };
        policy.place(*place.source(), place.service().clone(), &seen)
    }

    /// What a login earns there that proves what the rule asks: a place, where it asks password and code and some
    /// location is earned.
    #[must_use]
    pub fn earning(&self, place: &Place, name: &Username, factors: Factors) -> Option<Earn> {
        let keep = self.keep.filter(|_| factors.password && factors.code)?;
        Some(Earn {
            prefix: place.earnable_prefix()?,
            service: place.service().clone(),
            spelling: name.folded(),
            at_most: keep.at_most,
            keep_s: keep.seconds,
        })
    }

    /// Whether any location is earned.
    #[must_use]
    pub const fn are_earned(&self) -> bool {
        self.keep.is_some()
    }

    /// Takes over what the store now has of an account; due after every change of its rows.
    ///
    /// # Errors
    /// The store cannot be read; then nothing earned is known of the account, and more is asked of it.
    pub async fn refresh(&self, store: &Store, account: &AccountId) -> Result<(), StoreError> {
        self.earned.refresh(store, account).await
    }

    /// An application handed over a name where an address belongs: said once for each service, because rules about
    /// places cannot be met through it.
    pub fn note_name(&self, auditor: &Auditor, service: &Service) {
        let mut naming = self.naming.lock().unwrap_or_else(PoisonError::into_inner);
        if naming.len() < NAMING_SERVICES && naming.insert(service.clone()) {
            auditor.warning(&event_line("name-for-address", &[("service", service.as_str())]));
        }
    }

    /// Looks at the GeoIP file, and reads it if it changed. Blocks.
    pub fn look(&self, auditor: &Auditor) {
        if let Some(geo) = &self.geo {
            geo.look(auditor, self.clock.now().wall);
        }
    }

    /// How the GeoIP file is, where there is to be one.
    #[must_use]
    pub fn geoip(&self) -> Option<GeoipStatus> {
        self.geo.as_ref().map(Geo::status)
    }
}

/// Looks at the GeoIP file again and again.
pub(crate) async fn watch(house: Arc<House>) {
    if house.locations.geo.is_none() {
        return;
    }
    loop {
        tokio::time::sleep(geo::EVERY).await;
        let looking = Arc::clone(&house);
        // A look that panics is followed by the next.
        let _ = tokio::task::spawn_blocking(move || looking.locations.look(&looking.auditor)).await;
    }
}
