//! What follows when the wall clock is no longer believed, or is again: a record, and a row of the store, so that neither
//! a restart nor a boot makes it believed.

use crate::audit::event_line;
use crate::clock::Change;
use crate::house::House;
use crate::store::StoreError;
use std::sync::Arc;
use std::time::Duration;

/// How often the wall is looked at while nobody logs in.
const LOOK: Duration = Duration::from_secs(1);

/// Never ends.
pub(crate) async fn watch(house: Arc<House>) {
    let mut unwritten = true;
    loop {
        unwritten |= tell(&house);
        // What cannot be written is tried again; that the store is away is said with each heartbeat.
        unwritten = unwritten && house.store.keep_clock(house.clock.kept()).await.is_err();
        tokio::time::sleep(LOOK).await;
    }
}

/// `by` says that the wall is right as it is.
///
/// # Errors
/// It is believed, but that is not on disk; it is tried again each minute.
pub(crate) async fn accept(house: &House, by: &str) -> Result<(), StoreError> {
    tell(house);
    if house.clock.accept() {
        house.auditor.warning(&event_line("clock-believed", &[("why", "accepted"), ("by", by)]));
    }
    house.store.keep_clock(house.clock.kept()).await
}

/// Records what has changed. Tells whether anything has.
fn tell(house: &House) -> bool {
    let changes = house.clock.changes();
    for change in &changes {
        house.auditor.warning(&line(*change));
    }
    !changes.is_empty()
}

fn line(change: Change) -> String {
    match change {
        Change::Suspected(suspicion) => {
            let by_s = suspicion.by_s.to_string();
            event_line("clock-suspect", &[("why", suspicion.why.word()), ("by_s", &by_s)])
        }
        Change::Synchronised => event_line("clock-believed", &[("why", "synchronised")]),
    }
}
