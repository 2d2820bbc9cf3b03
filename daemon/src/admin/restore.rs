//! The administrator's word that a copy of the store, put back, is the store from now on.

use super::{by, no, of_store};
use crate::audit::event_line;
use crate::house::House;
use tokio::net::unix::UCred;
use twinlock_control::{Reply, RestoreAccepted};

pub(super) async fn accept(house: &House, peer: &UCred) -> Result<Reply, Reply> {
    if house.clock.suspicion().is_some() {
        return Err(no(
            "the wall clock is not believed, and codes are to count as used up to now; see twinlock clock first",
        ));
    }
    // Their file may have been put back as well: those that were used since the copy was made would be good again.
    let emergency_revoked = if house.store.is_restored() {
        house.emergency.revoke_all().await.map_err(|error| of_store(&error))?
    } else {
        0
    };
    let accepted = house.generation.accept(&house.store, house.clock.now()).await;
    let authenticators = accepted.map_err(|error| of_store(&error))?;
    if let Some(number) = authenticators {
        let (by, number, emergency) = (by(peer), number.to_string(), emergency_revoked.to_string());
        let fields = [
            ("by", by.as_str()),
            ("authenticators", number.as_str()),
            ("emergency_revoked", emergency.as_str()),
        ];
        house.auditor.warning(&event_line("restore-accepted", &fields));
    }
    Ok(Reply::RestoreAccepted(RestoreAccepted { authenticators, emergency_revoked }))
}
