//! Prefix lanes: how fast one address may guess, counted in memory in front of all I/O. The table has a fixed size;
//! when it is full, the lane that would be forgotten soonest makes room, so that memory is a function of the size and
//! not of the attacker. What changed is noted, so that the store can keep a copy for the next start; nothing here waits
//! for that copy.

use crate::store::Observed;
use std::collections::{BTreeSet, HashMap, HashSet};
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
    /// Lanes whose rows are not what they are, those that are gone included. At most the table's size and as many again,
    /// since only a lane with a row is missed when it is gone.
    changed: HashSet<Prefix>,
}

#[derive(Default)]
struct Entry {
    lane: PrefixLane,
    reserved: u32,
    ends: LaneTime,
    has_row: bool,
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
    observed: Option<Observed>,
}

/// A lane that says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrefixState {
    /// Whose.
    pub prefix: Prefix,
    /// Failures in its present window; of a closed one, those that closed it.
    pub failures: u32,
    /// Closed until then.
    pub not_before: LaneTime,
}

/// What changed since it was last asked for. Unless it is told that the store has it, it counts as changed again when
/// dropped.
#[must_use]
pub(super) struct Changed {
    prefixes: Prefixes,
    rows: Vec<(Prefix, Option<PrefixLane>)>,
}

impl Changed {
    /// Each lane as it is now; `None` is one that is gone.
    pub(super) fn rows(&self) -> &[(Prefix, Option<PrefixLane>)] {
        &self.rows
    }

    /// They are on disk.
    pub(super) fn written(mut self) {
        self.rows.clear();
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        let again = self.rows.drain(..).map(|(prefix, _)| prefix);
        self.prefixes.table().changed.extend(again);
    }
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
            changed: HashSet::new(),
        })))
    }

    /// Goes on from what the store kept. Lanes that say nothing any more are dropped, and of more than the table holds
    /// those that end soonest.
    pub(super) fn restore(&self, kept: &[(Prefix, PrefixLane)], now: LaneTime) {
        let mut table = self.table();
        for (prefix, lane) in kept {
            table.restore(*prefix, *lane, now);
        }
    }

    /// The lanes whose rows are to be written.
    pub(super) fn changed(&self) -> Changed {
        let mut table = self.table();
        let changed = std::mem::take(&mut table.changed);
        let rows = changed.into_iter().map(|prefix| (prefix, table.row(prefix))).collect();
        Changed { prefixes: self.clone(), rows }
    }

    /// Opens a lane and forgets its failures. Returns what it was, if it said anything. Slots taken stay taken.
    pub(super) fn clear(&self, prefix: Prefix, now: LaneTime) -> Option<PrefixState> {
        self.table().clear(prefix, now)
    }

    /// The lanes closed now, the one that closed last first, `most` at most.
    pub(super) fn all_closed(&self, now: LaneTime, most: usize) -> Vec<PrefixState> {
        let table = self.table();
        let mut closed: Vec<PrefixState> = table
            .lanes
            .iter()
            .filter(|(_, entry)| now < entry.lane.not_before)
            .map(|(prefix, entry)| table.state(*prefix, entry.lane, now))
            .collect();
        drop(table);
        closed.sort_unstable_by_key(|closed| (std::cmp::Reverse(closed.not_before), closed.prefix));
        closed.truncate(most);
        closed
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

    /// Takes a slot in every lane of `address`, or in none. Unless it is to `enforce`, it takes them all the same, and
    /// tells why it would not have.
    pub(super) fn reserve(&self, address: IpAddr, now: LaneTime, enforce: bool) -> Slot {
        let mut table = self.table();
        let mut observed = None;
        for prefix in lanes_of(address) {
            let reserved = table.lanes.get(&prefix).map_or(0, |entry| entry.reserved);
            match table.opening(prefix, now) {
                Opening::Closed { .. } if enforce => return Slot::Closed,
                Opening::Closed { .. } => observed = observed.or(Some(Observed::Closed)),
                Opening::Open { slots } if reserved < slots => {}
                Opening::Open { .. } if enforce => return Slot::Full,
                Opening::Open { .. } => observed = observed.or(Some(Observed::Full)),
            }
        }
        let taken: Vec<Prefix> = lanes_of(address).collect();
        for prefix in &taken {
            table.entry(*prefix).reserved += 1;
        }
        Slot::Taken(PrefixCharge { prefixes: self.clone(), taken, at: now, observed })
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
        Self { prefixes: prefixes.clone(), taken: Vec::new(), at: LaneTime::default(), observed: None }
    }

    /// Why they would not have been taken, where that is only observed.
    pub(super) const fn observed(&self) -> Option<Observed> {
        self.observed
    }

    /// Gives the slots back; `failed` counts a failure in each lane. Tells whether that closed one.
    pub(super) fn settle(mut self, failed: bool, now: LaneTime, jitter: Jitter) -> bool {
        self.finish(failed, now, jitter)
    }

    fn finish(&mut self, failed: bool, now: LaneTime, jitter: Jitter) -> bool {
        if self.taken.is_empty() {
            return false;
        }
        let mut table = self.prefixes.table();
        let mut closed = false;
        for prefix in self.taken.drain(..) {
            closed |= table.settle(prefix, failed, now, jitter);
        }
        closed
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

    fn make_room(&mut self) {
        if self.lanes.len() >= self.capacity {
            self.evict();
        }
    }

    /// Lanes with a slot taken are passed over: their number is bounded by the attempts under way.
    fn evict(&mut self) {
        let soonest = self
            .by_end
            .iter()
            .find(|(_, prefix)| self.lanes.get(prefix).is_none_or(|entry| entry.reserved == 0))
            .copied();
        if let Some((_, prefix)) = soonest {
            self.remove(prefix);
        }
    }

    fn remove(&mut self, prefix: Prefix) {
        let Some(entry) = self.lanes.remove(&prefix) else { return };
        self.by_end.remove(&(entry.ends, prefix));
        if entry.has_row {
            self.changed.insert(prefix);
        } else {
            self.changed.remove(&prefix);
        }
    }

    fn settle(&mut self, prefix: Prefix, failed: bool, now: LaneTime, jitter: Jitter) -> bool {
        let limits = self.limits(prefix);
        let Some(entry) = self.lanes.get_mut(&prefix) else { return false };
        entry.reserved = entry.reserved.saturating_sub(1);
        let before = entry.lane;
        let after = if failed { before.failed(&limits, now, jitter) } else { before };
        self.put(prefix, after);
        after.not_before > before.not_before
    }

    /// The lane of an entry becomes this.
    fn put(&mut self, prefix: Prefix, lane: PrefixLane) {
        let ends = lane.forgotten_at(&self.limits(prefix));
        let Some(entry) = self.lanes.get_mut(&prefix) else { return };
        if entry.reserved == 0 && lane == PrefixLane::default() {
            self.remove(prefix);
            return;
        }
        if entry.lane != lane {
            self.changed.insert(prefix);
        }
        self.by_end.remove(&(entry.ends, prefix));
        (entry.lane, entry.ends) = (lane, ends);
        self.by_end.insert((ends, prefix));
    }

    fn restore(&mut self, prefix: Prefix, lane: PrefixLane, now: LaneTime) {
        let ends = lane.forgotten_at(&self.limits(prefix));
        if ends <= now {
            self.changed.insert(prefix);
            return;
        }
        self.lanes.insert(prefix, Entry { lane, reserved: 0, ends, has_row: true });
        self.by_end.insert((ends, prefix));
        if self.lanes.len() > self.capacity {
            self.evict();
        }
    }

    fn row(&mut self, prefix: Prefix) -> Option<PrefixLane> {
        let entry = self.lanes.get_mut(&prefix)?;
        entry.has_row = true;
        Some(entry.lane)
    }

    fn clear(&mut self, prefix: Prefix, now: LaneTime) -> Option<PrefixState> {
        let limits = self.limits(prefix);
        let was = self.lanes.get(&prefix)?.lane;
        self.put(prefix, PrefixLane::default());
        let said = now < was.forgotten_at(&limits) && was != PrefixLane::default();
        said.then(|| self.state(prefix, was, now))
    }

    fn state(&self, prefix: Prefix, lane: PrefixLane, now: LaneTime) -> PrefixState {
        let closed = now < lane.not_before;
        let failures = if closed { self.limits(prefix).failures() } else { lane.failures };
        PrefixState { prefix, failures, not_before: lane.not_before }
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
        match prefixes.reserve(address.parse().unwrap(), now, true) {
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
        let charges: Vec<_> = (0..20).map(|_| prefixes.reserve(address, LaneTime(1), true)).collect();
        assert!(charges.iter().all(|slot| matches!(slot, Slot::Taken(_))));
        assert!(matches!(prefixes.reserve(address, LaneTime(1), true), Slot::Full));
        drop(charges);
        assert!(
            matches!(prefixes.reserve(address, LaneTime(1), true), Slot::Closed),
            "unsettled slots count as failures"
        );
    }

    #[test]
    fn a_success_leaves_no_trace() {
        let prefixes = table(100);
        let Slot::Taken(charge) = prefixes.reserve("192.0.2.1".parse().unwrap(), LaneTime(1), true) else {
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

    fn written(prefixes: &Prefixes) -> Vec<(Prefix, Option<PrefixLane>)> {
        let changed = prefixes.changed();
        let mut rows = changed.rows().to_vec();
        changed.written();
        rows.sort_by_key(|(prefix, _)| *prefix);
        rows
    }

    fn lanes(rows: Vec<(Prefix, Option<PrefixLane>)>) -> Vec<(Prefix, PrefixLane)> {
        rows.into_iter().filter_map(|(prefix, lane)| Some((prefix, lane?))).collect()
    }

    #[test]
    fn what_changed_is_told_once_and_again_where_it_could_not_be_written() {
        let prefixes = table(100);
        assert!(fail(&prefixes, "192.0.2.1", LaneTime(1)));
        assert_eq!(prefixes.changed().rows().len(), 1);
        assert_eq!(written(&prefixes).len(), 1, "the first was dropped unwritten");
        assert_eq!(written(&prefixes), []);
        assert!(fail(&prefixes, "2001:db8::1", LaneTime(1)));
        let texts: Vec<_> = written(&prefixes).iter().map(|(prefix, _)| prefix.to_string()).collect();
        assert_eq!(texts, ["2001:db8::/64", "2001:db8::/48"]);
    }

    #[test]
    fn a_closed_lane_and_a_half_full_one_go_on_in_the_next_table() {
        let (before, after) = (table(100), table(100));
        for _ in 0..20 {
            assert!(fail(&before, "192.0.2.1", LaneTime(1)));
        }
        for _ in 0..15 {
            assert!(fail(&before, "192.0.2.2", LaneTime(1)));
        }
        after.restore(&lanes(written(&before)), LaneTime(1000));
        assert!(after.is_closed("192.0.2.1".parse().unwrap(), LaneTime(600_000)));
        assert!(!after.is_closed("192.0.2.1".parse().unwrap(), LaneTime(600_001)));
        assert_eq!((0..50).filter(|_| fail(&after, "192.0.2.2", LaneTime(1000))).count(), 5);
    }

    #[test]
    fn a_lane_that_says_nothing_any_more_is_not_restored_and_its_row_goes() {
        let (before, after) = (table(100), table(100));
        assert!(fail(&before, "192.0.2.1", LaneTime(1)));
        after.restore(&lanes(written(&before)), LaneTime(600_001));
        assert_eq!(after.len(), 0);
        assert_eq!(written(&after), [(Prefix::of("192.0.2.1".parse().unwrap()), None)]);
    }

    #[test]
    fn of_more_rows_than_the_table_holds_those_that_end_last_stay() {
        let (before, after) = (table(100), table(10));
        for n in 1..=30u64 {
            assert!(fail(&before, &format!("192.0.2.{}", 31 - n), LaneTime(n)));
        }
        after.restore(&lanes(written(&before)), LaneTime(40));
        assert_eq!(after.len(), 10);
        let gone = written(&after);
        assert_eq!(gone.len(), 20, "their rows go");
        assert!(gone.iter().all(|(prefix, lane)| lane.is_none()
            && matches!(prefix, Prefix::V4(address) if address.octets()[3] > 10)));
    }

    #[test]
    fn what_waits_to_be_written_is_bounded_by_the_table() {
        let prefixes = table(1000);
        for n in 0u32..20_000 {
            assert!(fail(&prefixes, &std::net::Ipv4Addr::from_bits(n).to_string(), LaneTime(1)));
            if n == 10_000 {
                let _ = written(&prefixes);
            }
        }
        let rows = written(&prefixes);
        assert_eq!(rows.len(), 2000, "those that are there, and those whose rows are to go");
        assert_eq!(lanes(rows).len(), 1000);
    }

    #[test]
    fn a_cleared_lane_is_open_and_its_slots_taken_stay_taken() {
        let prefixes = table(100);
        let address = "192.0.2.1".parse().unwrap();
        let Slot::Taken(under_way) = prefixes.reserve(address, LaneTime(1), true) else { panic!() };
        for _ in 0..20 {
            let _ = fail(&prefixes, "192.0.2.1", LaneTime(1));
        }
        under_way.settle(true, LaneTime(1), Jitter(0));
        let closed = prefixes.all_closed(LaneTime(1), 10);
        assert_eq!(closed.iter().map(|closed| closed.failures).collect::<Vec<_>>(), [20]);
        assert!(prefixes.clear(Prefix::of(address), LaneTime(2)).is_some());
        assert!(!prefixes.is_closed(address, LaneTime(2)));
        assert_eq!(prefixes.clear(Prefix::of(address), LaneTime(2)), None, "there is nothing left");
        let Slot::Taken(under_way) = prefixes.reserve(address, LaneTime(2), true) else { panic!() };
        assert_eq!(prefixes.clear(Prefix::of(address), LaneTime(2)), None);
        under_way.settle(true, LaneTime(2), Jitter(0));
        assert_eq!(lanes(written(&prefixes)).len(), 1, "what fails afterwards counts");
    }
}
