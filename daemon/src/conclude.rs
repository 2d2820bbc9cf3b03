//! The end of every attempt: record, wait for the tick where it is no grant, answer. The record is handed over before
//! the verdict leaves, so that nobody is let in unrecorded.

use crate::audit::{self, Record};
use crate::decision::Reason;
use crate::dialogue::Dialogue;
use crate::house::House;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use twinlock_protocol::Verdict;

/// Everything that is no grant leaves on a multiple of this after the last answer, so that time does not tell which
/// part was wrong.
const TICK: Duration = Duration::from_millis(250);

/// Records the verdict and tells it.
pub async fn conclude(
    house: &House,
    dialogue: Dialogue,
    record: &Record,
    verdict: Verdict,
    reason: Reason,
    started: Instant,
) {
    let recorded = match verdict {
        Verdict::Grant { .. } => audit::Verdict::Grant,
        Verdict::Deny | Verdict::Withheld { .. } => audit::Verdict::Deny,
        Verdict::Unavailable => audit::Verdict::Unavailable,
    };
    house.counts.count(recorded);
    house.auditor.attempt(record, recorded, reason, started.elapsed());
    house.history.attempt(record, recorded, reason, started.elapsed(), house.clock.now().wall);
    if recorded != audit::Verdict::Grant && !dialogue.is_abandoned() {
        sleep_until(next_tick(dialogue.last_answer(), Instant::now())).await;
    }
    dialogue.conclude(verdict).await;
}

/// The next multiple of [`TICK`] after `from`, strictly later than `now`.
fn next_tick(from: Instant, now: Instant) -> Instant {
    let passed = now.duration_since(from).as_nanos() / TICK.as_nanos();
    from + TICK * u32::try_from(passed + 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_denial_leaves_on_the_next_multiple_of_the_tick() {
        let from = Instant::now();
        for (passed, leaves) in [(0, 250), (1, 250), (249, 250), (250, 500), (251, 500), (1999, 2000)] {
            let now = from + Duration::from_millis(passed);
            assert_eq!(next_tick(from, now), from + Duration::from_millis(leaves), "{passed}");
        }
    }
}
