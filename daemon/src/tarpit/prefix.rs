//! Prefix lanes: how fast one address may guess, counted in memory in front of all I/O. The table has a fixed size;
//! when it is full, the lane that would be forgotten soonest makes room, so that memory is a function of the size and
//! not of the attacker.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use twinlock_config::SourceLimit;
use twinlock_policy::Prefix;
use twinlock_policy::lane::{Jitter, LaneTime, Opening, PrefixLane, PrefixLimits};

/// Lanes kept at most. An entry takes about 200 bytes.
pub(super) const CAPACITY: usize = 65_536;

/// The lanes of all prefixes. Cloning shares them.
#[derive(Clone)]
pub(super) struct Prefixes(Arc<Mutex<Table>>);

struct Table {
    narrow: PrefixLimits,
    wide: PrefixLimits,
    capacity: usize,
    lanes: HashMap<Prefix, Entry>,
    by_end: BTreeSet<(LaneTime, Prefix)>,
}

#[derive(Default)]
struct Entry {
    lane: PrefixLane,
    reserved: u32,
    ends: LaneTime,
}

/// Whether a slot was had in every lane of an address.
pub(super) enum Slot {
    /// In each. Must be settled.
    Taken(PrefixCharge),
    /// One of them is closed.
    Closed,
    /// One of them has all its slots reserved at the moment.
    Full,
}

/// Slots taken in the lanes of one address. Dropped unsettled, it counts as a failure.
#[must_use]
pub(super) struct PrefixCharge {
    prefixes: Prefixes,
    taken: Vec<Prefix>,
    at: LaneTime,
}

impl Prefixes {
    /// An empty table.
    #[must_use]
    pub(super) fn new(limit: &SourceLimit, capacity: usize) -> Self {
        Self(Arc::new(Mutex::new(Table {
            narrow: PrefixLimits::narrow(limit),
            wide: PrefixLimits::wide(limit),
            capacity: capacity.max(1),
            lanes: HashMap::new(),
            by_end: BTreeSet::new(),
        })))
    }

    /// Whether a lane of `address` is closed now.
    #[must_use]
    pub(super) fn is_closed(&self, address: IpAddr, now: LaneTime) -> bool {
        let table = self.table();
        lanes_of(address).any(|prefix| matches!(table.opening(prefix, now), Opening::Closed { .. }))
    }

    /// Lanes closed now.
    #[must_use]
    pub(super) fn closed(&self, now: LaneTime) -> u64 {
        let table = self.table();
        let closed = table.lanes.values().filter(|entry| now < entry.lane.not_before).count();
        u64::try_from(closed).unwrap_or(u64::MAX)
    }

    /// Takes a slot in every lane of `address`, or in none.
    pub(super) fn reserve(&self, address: IpAddr, now: LaneTime) -> Slot {
        let mut table = self.table();
        for prefix in lanes_of(address) {
            let reserved = table.lanes.get(&prefix).map_or(0, |entry| entry.reserved);
            match table.opening(prefix, now) {
                Opening::Closed { .. } => return Slot::Closed,
                Opening::Open { slots } if reserved >= slots => return Slot::Full,
                Opening::Open { .. } => {}
            }
        }
        let taken: Vec<Prefix> = lanes_of(address).collect();
        for prefix in &taken {
            table.entry(*prefix).reserved += 1;
        }
        Slot::Taken(PrefixCharge { prefixes: self.clone(), taken, at: now })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let table = self.table();
        assert_eq!(table.lanes.len(), table.by_end.len());
        table.lanes.len()
    }
}

impl PrefixCharge {
    /// Nothing to take a slot in: attempts that have a lane of their own, and sources without an address.
    pub(super) fn none(prefixes: &Prefixes) -> Self {
        Self { prefixes: prefixes.clone(), taken: Vec::new(), at: LaneTime::default() }
    }

    /// Gives the slots back; `failed` counts a failure in each lane.
    pub(super) fn settle(mut self, failed: bool, now: LaneTime, jitter: Jitter) {
        self.finish(failed, now, jitter);
    }

    fn finish(&mut self, failed: bool, now: LaneTime, jitter: Jitter) {
        if self.taken.is_empty() {
            return;
        }
        let mut table = self.prefixes.table();
        for prefix in self.taken.drain(..) {
            table.settle(prefix, failed, now, jitter);
        }
    }
}

impl Drop for PrefixCharge {
    fn drop(&mut self) {
        self.finish(true, self.at, Jitter(0));
    }
}

impl Table {
    fn limits(&self, prefix: Prefix) -> PrefixLimits {
        match prefix {
            Prefix::V4(_) | Prefix::V6Site(_) => self.narrow,
            Prefix::V6Provider(_) => self.wide,
        }
    }

    fn opening(&self, prefix: Prefix, now: LaneTime) -> Opening {
        let lane = self.lanes.get(&prefix).map_or_else(PrefixLane::default, |entry| entry.lane);
        lane.opening(&self.limits(prefix), now)
    }

    fn entry(&mut self, prefix: Prefix) -> &mut Entry {
        if !self.lanes.contains_key(&prefix) {
            self.make_room();
            self.by_end.insert((LaneTime::default(), prefix));
        }
        self.lanes.entry(prefix).or_default()
    }

    /// Lanes with a slot taken are passed over: their number is bounded by the attempts under way.
    fn make_room(&mut self) {
        if self.lanes.len() < self.capacity {
            return;
        }
        let soonest = self
            .by_end
            .iter()
            .find(|(_, prefix)| self.lanes.get(prefix).is_none_or(|entry| entry.reserved == 0))
            .copied();
        if let Some((ends, prefix)) = soonest {
            self.by_end.remove(&(ends, prefix));
            self.lanes.remove(&prefix);
        }
    }

    fn settle(&mut self, prefix: Prefix, failed: bool, now: LaneTime, jitter: Jitter) {
        let limits = self.limits(prefix);
        let Some(entry) = self.lanes.get_mut(&prefix) else { return };
        entry.reserved = entry.reserved.saturating_sub(1);
        self.by_end.remove(&(entry.ends, prefix));
        if failed {
            entry.lane = entry.lane.failed(&limits, now, jitter);
        }
        entry.ends = entry.lane.forgotten_at(&limits);
        if entry.reserved == 0 && entry.lane == PrefixLane::default() {
            self.lanes.remove(&prefix);
        } else {
            self.by_end.insert((entry.ends, prefix));
        }
    }
}

fn lanes_of(address: IpAddr) -> impl Iterator<Item = Prefix> {
    std::iter::once(Prefix::of(address)).chain(Prefix::wide(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(capacity: usize) -> Prefixes {
        Prefixes::new(&SourceLimit::default(), capacity)
    }

    fn fail(prefixes: &Prefixes, address: &str, now: LaneTime) -> bool {
        match prefixes.reserve(address.parse().unwrap(), now) {
            Slot::Taken(charge) => {
                charge.settle(true, now, Jitter(0));
                true
            }
            Slot::Closed | Slot::Full => false,
        }
    }

    #[test]
    fn twenty_failures_close_an_address_and_no_other() {
        let prefixes = table(100);
        let compared = (0..50).filter(|_| fail(&prefixes, "192.0.2.1", LaneTime(1))).count();
        assert_eq!(compared, 20);
        assert!(prefixes.is_closed("192.0.2.1".parse().unwrap(), LaneTime(1)));
        assert!(!prefixes.is_closed("192.0.2.2".parse().unwrap(), LaneTime(1)));
        assert_eq!(prefixes.closed(LaneTime(1)), 1);
    }

    #[test]
    fn ipv6_is_counted_by_its_64_and_with_four_times_the_limit_by_its_48() {
        let prefixes = table(1000);
        let compared = (0..200)
            .filter(|n| fail(&prefixes, &format!("2001:db8:1:{:x}::{n:x}", n % 10), LaneTime(1)))
            .count();
        assert_eq!(compared, 80);
        assert!(prefixes.is_closed("2001:db8:1:ffff::1".parse().unwrap(), LaneTime(1)));
        assert!(!prefixes.is_closed("2001:db8:2::1".parse().unwrap(), LaneTime(1)));
    }

    #[test]
    fn parallel_guesses_take_slots_before_anything_is_compared() {
        let prefixes = table(100);
        let address = "192.0.2.1".parse().unwrap();
        let charges: Vec<_> = (0..20).map(|_| prefixes.reserve(address, LaneTime(1))).collect();
        assert!(charges.iter().all(|slot| matches!(slot, Slot::Taken(_))));
        assert!(matches!(prefixes.reserve(address, LaneTime(1)), Slot::Full));
        drop(charges);
        assert!(
            matches!(prefixes.reserve(address, LaneTime(1)), Slot::Closed),
            "unsettled slots count as failures"
        );
    }

    #[test]
    fn a_success_leaves_no_trace() {
        let prefixes = table(100);
        let Slot::Taken(charge) = prefixes.reserve("192.0.2.1".parse().unwrap(), LaneTime(1)) else {
            panic!()
        };
        charge.settle(false, LaneTime(1), Jitter(0));
        assert_eq!(prefixes.len(), 0);
    }

    #[test]
    fn a_million_addresses_take_no_more_room_than_the_table_has_and_closed_lanes_stay() {
        let prefixes = table(1000);
        for _ in 0..20 {
            assert!(fail(&prefixes, "203.0.113.1", LaneTime(1)));
        }
        for n in 0u32..1_000_000 {
            let address = std::net::Ipv4Addr::from_bits(0x0a00_0000 + n);
            assert!(fail(&prefixes, &address.to_string(), LaneTime(1)));
        }
        assert_eq!(prefixes.len(), 1000);
        assert!(prefixes.is_closed("203.0.113.1".parse().unwrap(), LaneTime(599_000)));
    }
}
