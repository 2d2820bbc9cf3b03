//! `twinlock key rotate`: the command has put the new key beside the present one; here everything is sealed by it.

use super::{by, of_store, wrong};
use crate::audit::event_line;
use crate::house::House;
use crate::store::{Rotation, SealKey};
use tokio::net::unix::UCred;
use twinlock_control::{KeyRotated, Reply};

pub(super) async fn rotate(house: &House, peer: &UCred) -> Result<Reply, Reply> {
    let key = house.config.store.key.next().read().map_err(|error| {
        wrong(&format!("the new seal key is to be beside the present one, and is not: {error}"))
    })?;
    let key = SealKey::from_hex(&key).map_err(|error| wrong(&format!("the new seal key: {error}")))?;
    let seeds = match house.store.rotate_key(key).await.map_err(|error| of_store(&error))? {
        Rotation::Already => None,
        Rotation::Done(seeds) => Some(seeds),
    };
    if let Some(seeds) = seeds {
        let (by, seeds) = (by(peer), seeds.to_string());
        house
            .auditor
            .warning(&event_line("seal-key-rotated", &[("by", by.as_str()), ("seeds", seeds.as_str())]));
    }
    Ok(Reply::KeyRotated(KeyRotated { seeds }))
}
