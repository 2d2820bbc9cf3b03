//! Whether the wall clock is believed, and the administrator's word that it is right.

use super::{by, of_store, unavailable};
use crate::clock_watch;
use crate::house::House;
use crate::tarpit::CodesRefused;
use tokio::net::unix::UCred;
use twinlock_control::{ClockReport, ClockSuspicion, Reply, UsedAhead};

/// Authenticators listed at most.
const MOST: u32 = 1000;

/// How it stands.
pub(super) async fn report(house: &House) -> Result<ClockReport, Reply> {
    let suspicion = house.clock.suspicion().map(|suspicion| ClockSuspicion {
        why: suspicion.why.word().to_owned(),
        by_s: suspicion.by_s,
        believed_until: house.clock.now().wall.0,
    });
    let ahead = house.store.used_ahead(house.clock.now(), MOST).await.map_err(|error| of_store(&error))?;
    Ok(ClockReport {
        shows: house.clock.shown().0,
        synchronised: house.clock.is_synchronised(),
        suspicion,
        used_ahead: ahead
            .into_iter()
            .map(|(account, label, until)| UsedAhead { account, label, until: until.0 })
            .collect(),
    })
}

/// The wall is right as it is.
pub(super) async fn accept(house: &House, peer: &UCred) -> Result<Reply, Reply> {
    let before = report(house).await?;
    clock_watch::accept(house, &by(peer)).await.map_err(|error| of_store(&error))?;
    Ok(Reply::Clock(before))
}

/// What to say to who brings a code outside of a login, while none can be judged.
pub(super) fn no_code_is_judged(house: &House) -> Option<Reply> {
    house.tarpit.codes_refused().map(|why| match why {
        CodesRefused::ClockSuspect => {
            unavailable("no code can be judged: the wall clock is not believed; see twinlock clock")
        }
        CodesRefused::StoreRestored => unavailable(
            "no code can be judged: the store is a copy that was put back; see twinlock store accept-restore --help",
        ),
    })
}
