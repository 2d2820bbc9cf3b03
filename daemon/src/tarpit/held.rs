//! Calls that are kept waiting for a slot. They are few on purpose: a waiting PAM call holds one of sshd's start-up
//! slots, so that a tarpit of waiting calls would close the door to everybody.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use twinlock_policy::Prefix;

/// Calls held at the same moment, over all sources.
const HELD: usize = 64;
/// Calls held at the same moment for one prefix.
const HELD_PER_PREFIX: u32 = 2;

/// Hands out permits to wait.
#[derive(Clone)]
pub(super) struct Held {
    all: Arc<Semaphore>,
    per_prefix: Arc<Mutex<HashMap<Prefix, u32>>>,
}

/// A permit to wait; given back on drop.
pub(super) struct Permit {
    held: Held,
    prefix: Option<Prefix>,
    _one_of_all: OwnedSemaphorePermit,
}

impl Held {
    pub(super) fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(HELD)), per_prefix: Arc::default() }
    }

    /// A permit, if both limits allow one.
    pub(super) fn permit(&self, prefix: Option<Prefix>) -> Option<Permit> {
        let one_of_all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        if let Some(prefix) = prefix {
            let mut counts = self.per_prefix.lock().unwrap_or_else(PoisonError::into_inner);
            let count = counts.entry(prefix).or_default();
            if *count >= HELD_PER_PREFIX {
                return None;
            }
            *count += 1;
        }
        Some(Permit { held: self.clone(), prefix, _one_of_all: one_of_all })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(prefix) = self.prefix else { return };
        let mut counts = self.held.per_prefix.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&prefix) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&prefix);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_two_calls_of_one_prefix_and_sixty_four_in_all_are_held() {
        let held = Held::new();
        let prefix = |n: u8| Some(Prefix::of(std::net::IpAddr::from([192, 0, 2, n])));
        let first = [held.permit(prefix(1)), held.permit(prefix(1))];
        assert!(first.iter().all(Option::is_some));
        assert!(held.permit(prefix(1)).is_none());
        let others: Vec<_> = (2..100).filter_map(|n| held.permit(prefix(n))).collect();
        assert_eq!(others.len(), 62);
        drop(first);
        assert!(held.permit(prefix(1)).is_some());
        assert!(held.permit(None).is_some());
    }
}
