//! Refusals in front of a closed lane come as fast as anybody can connect. Beyond ten a minute of one kind they are
//! summed, so that a flood cannot push what matters out of the ring.

use std::collections::HashMap;
use std::mem::take;
use std::time::{Duration, Instant};
use twinlock_control::RecordedAttempt;

const MINUTE: Duration = Duration::from_secs(60);
/// Refusals of one kind that are kept one by one, a minute.
const ONE_BY_ONE: u32 = 10;
/// Kinds that are told apart at the same time; those beyond share one.
const KINDS: usize = 4096;

/// What is counted together: reason, account, and its lane, or the source where there is none.
type Kind = (String, String, String);

struct Counted {
    began: Instant,
    passed: u32,
    summed: Option<RecordedAttempt>,
}

/// Refusals of the last minute.
#[derive(Default)]
pub(super) struct Sums(HashMap<Kind, Counted>);

impl Sums {
    /// The attempt, if it is to be kept by itself; else it is counted with others of its kind.
    pub(super) fn pass(&mut self, attempt: RecordedAttempt, now: Instant) -> Option<RecordedAttempt> {
        let place = if attempt.lane.is_empty() { &attempt.source } else { &attempt.lane };
        let mut kind = (attempt.reason.clone(), attempt.account.clone(), place.clone());
        if self.0.len() >= KINDS && !self.0.contains_key(&kind) {
            kind = Kind::default();
        }
        let counted = self.0.entry(kind).or_insert_with(|| Counted { began: now, passed: 0, summed: None });
        if counted.passed < ONE_BY_ONE {
            counted.passed += 1;
            return Some(attempt);
        }
        let before = counted.summed.as_ref().map_or(0, |summed| summed.count);
        counted.summed = Some(RecordedAttempt { count: before.saturating_add(attempt.count), ..attempt });
        None
    }

    /// The sums whose minute is over; with `all`, every one. The last attempt of each stands for those it was summed
    /// with.
    pub(super) fn due(&mut self, now: Instant, all: bool) -> Vec<RecordedAttempt> {
        let mut due = Vec::new();
        self.0.retain(|_, counted| {
            let over = all || now.duration_since(counted.began) >= MINUTE;
            if over {
                due.extend(take(&mut counted.summed));
            }
            !over
        });
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(source: &str) -> RecordedAttempt {
        RecordedAttempt {
            reason: "prefix-closed".into(),
            source: source.into(),
            count: 1,
            ..RecordedAttempt::default()
        }
    }

    #[test]
    fn ten_a_minute_are_kept_one_by_one_and_the_rest_is_counted() {
        let (mut sums, begin) = (Sums::default(), Instant::now());
        let kept = (0..1000).filter_map(|_| sums.pass(refused("192.0.2.1"), begin)).count();
        assert_eq!(kept, 10);
        assert!(sums.pass(refused("192.0.2.2"), begin).is_some(), "another source has its own ten");
        assert!(sums.due(begin + MINUTE / 2, false).is_empty());
        let due = sums.due(begin + MINUTE, false);
        assert_eq!(due.iter().map(|attempt| attempt.count).collect::<Vec<_>>(), [990]);
        assert!(sums.0.is_empty() && sums.pass(refused("192.0.2.1"), begin + MINUTE).is_some());
    }

    #[test]
    fn kinds_are_bounded_and_nothing_is_lost_at_the_end() {
        let (mut sums, now) = (Sums::default(), Instant::now());
        let kept = (0..2 * KINDS).filter_map(|n| sums.pass(refused(&n.to_string()), now)).count();
        assert_eq!(sums.0.len(), KINDS + 1);
        let summed: u32 = sums.due(now, true).iter().map(|attempt| attempt.count).sum();
        assert_eq!(kept + summed as usize, 2 * KINDS);
    }
}
