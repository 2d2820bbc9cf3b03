//! Where a login comes from, as far as the daemon knows more of it than its address: the time, what the GeoIP file says,
//! and what was earned there. Look-ups in memory only; no name is ever resolved.

use crate::clock::Clock;
use twinlock_policy::{Moment, Origin, Place, Policy, Seen, Service, Source};

/// What is known of places beside the configuration.
pub struct Locations {
    clock: Clock,
}

impl Locations {
    /// With nothing known yet.
    #[must_use]
    pub const fn new(clock: Clock) -> Self {
        Self { clock }
    }

    /// Where an attempt comes from.
    #[must_use]
    pub fn place(&self, policy: &Policy, source: Source, service: &Service) -> Place {
        let seen = Seen { at: Some(Moment(self.clock.now().wall.0)), origin: Origin::default(), earned: &[] };
        policy.place(source, service.clone(), &seen)
    }
}
