//! Lane arithmetic: failures and time become "not before".
//!
//! A lane is a counter of failures. Up to `free` of them cost nothing; then the lane is closed for `base`, and for
//! twice as long after each further failure, up to `cap`. One failure is forgotten per cap of quiet, quiet being
//! counted from the last settled failure. A lane's slots bound how many guesses may be under way at the same
//! moment, so that a thousand parallel guesses reach the comparison as often as a thousand in a row.

use std::time::Duration;
use twinlock_config::{Lockout, SourceLimit, TarpitSettings};

/// Milliseconds on the tarpit's own time line, which goes on where the store left it, never backwards, and is
/// independent of the wall clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneTime(pub u64);

impl LaneTime {
    /// This much later.
    #[must_use]
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Time from `earlier` until now; zero if that lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Doublings beyond this would overflow; any cap is reached long before.
const LONGEST_DOUBLING: u32 = 31;

/// What bounds an account lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneLimits {
    free: u32,
    base: Duration,
    cap: Duration,
    ceiling: u32,
}

impl LaneLimits {
    /// From the configuration's values: `free` at least 1, `base` no longer than `cap`.
    #[must_use]
    pub fn new(settings: &TarpitSettings) -> Self {
        let (base, cap) = (settings.base.duration(), settings.cap.duration());
        let mut doublings = 0;
        while doublings < LONGEST_DOUBLING && base.saturating_mul(1 << doublings) < cap {
            doublings += 1;
        }
        Self {
            free: settings.free.max(1),
            base,
            cap,
            ceiling: settings.free.max(1).saturating_add(doublings),
        }
    }

    /// The number of failures at which the count stops: where the wait reaches the cap.
    #[must_use]
    pub const fn ceiling(&self) -> u32 {
        self.ceiling
    }

    /// The failure that brings the first wait.
    #[must_use]
    pub const fn free(&self) -> u32 {
        self.free
    }

    /// The wait after `failures` of them, without jitter; none while they are free.
    #[must_use]
    pub fn wait(&self, failures: u32) -> Duration {
        match failures.checked_sub(self.free) {
            None => Duration::ZERO,
            Some(doublings) if doublings >= LONGEST_DOUBLING => self.cap,
            Some(doublings) => self.base.saturating_mul(1 << doublings).min(self.cap),
        }
    }
}

/// Failures of an account without a success after which its unfamiliar lane takes only two codes (NIST SP 800-63B-4,
/// 3.2.2: at most 100).
pub const STUBBORN: u32 = 100;

/// What bounds an account over all its lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountLimits {
    /// Wrong codes in its own lanes together, within [`AccountLimits::code_within`], after which those that had one
    /// take only two codes.
    pub code_failures: u32,
    /// See there.
    pub code_within: Duration,
    /// Failed binds at which the directory would lock the account, within [`AccountLimits::bind_within`].
    pub lockout: u32,
    /// See there.
    pub bind_within: Duration,
}

impl AccountLimits {
    /// From the configuration's values.
    #[must_use]
    pub fn new(settings: &TarpitSettings, lockout: &Lockout) -> Self {
        Self {
            code_failures: settings.code_budget.failures,
            code_within: settings.code_budget.within.duration(),
            lockout: lockout.failures,
            bind_within: lockout.within.duration(),
        }
    }

    /// The same with the lock-out of the directory that an account comes from.
    #[must_use]
    pub fn below(self, lockout: &Lockout) -> Self {
        Self { lockout: lockout.failures, bind_within: lockout.within.duration(), ..self }
    }

    /// Failed, unanswered and running binds that may stand at once: one less than the directory's limit, and one less
    /// again where no code was proved, so that the last one is kept for a right code.
    #[must_use]
    pub const fn binds(&self, code_proved: bool) -> u32 {
        self.lockout.saturating_sub(if code_proved { 1 } else { 2 })
    }

    /// The same for a bind that only a signal rests on: it leaves one to those who need not prove a code, too.
    #[must_use]
    pub const fn diagnostic_binds(&self) -> u32 {
        self.lockout.saturating_sub(3)
    }
}

/// A lane as it is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lane {
    /// Settled failures, those not yet forgotten included.
    pub failures: u32,
    /// When the last of them was settled.
    pub settled_at: LaneTime,
    /// Closed until then.
    pub not_before: LaneTime,
}

/// Whether a lane lets a guess through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Opening {
    /// This many guesses may be under way at the same moment, the ones already under way included.
    Open {
        /// At least 1.
        slots: u32,
    },
    /// Nothing is compared until then.
    Closed {
        /// When it opens.
        until: LaneTime,
    },
}

/// Lengthens a wait by up to a tenth, so that guessers cannot set their clocks by it: a number from 0 to 255.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jitter(pub u8);

impl Jitter {
    fn lengthen(self, wait: Duration) -> Duration {
        wait.saturating_add(wait.saturating_mul(u32::from(self.0)) / 2560)
    }
}

impl Lane {
    /// Failures that still count at `now`.
    #[must_use]
    pub fn counted(&self, limits: &LaneLimits, now: LaneTime) -> u32 {
        let quiet = now.since(self.settled_at).as_millis();
        let forgotten = quiet.checked_div(limits.cap.as_millis()).unwrap_or(0);
        self.failures.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX))
    }

    /// Whether a guess may be made at `now`.
    pub fn opening(&self, limits: &LaneLimits, now: LaneTime) -> Opening {
        if now < self.not_before {
            return Opening::Closed { until: self.not_before };
        }
        Opening::Open { slots: limits.free.saturating_sub(self.counted(limits, now)).max(1) }
    }

    /// The lane after one more settled failure.
    #[must_use]
    pub fn failed(&self, limits: &LaneLimits, now: LaneTime, jitter: Jitter) -> Self {
        let failures = self.counted(limits, now).saturating_add(1).min(limits.ceiling);
        let wait = jitter.lengthen(limits.wait(failures));
        // A free failure closes nothing: not for an attempt either that looked at the clock a moment before it.
        let until = if wait.is_zero() { self.not_before } else { now.after(wait) };
        Self { failures, settled_at: now, not_before: self.not_before.max(until) }
    }
}

/// What bounds a prefix lane: so many failures within a time close it for a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrefixLimits {
    failures: u32,
    within: Duration,
    refuse: Duration,
}

impl PrefixLimits {
    /// The limit of a narrow prefix: IPv4 /32, IPv6 /64.
    #[must_use]
    pub fn narrow(limit: &SourceLimit) -> Self {
        Self {
            failures: limit.failures.max(1),
            within: limit.within.duration(),
            refuse: limit.refuse.duration(),
        }
    }

    /// The limit of a wide prefix, IPv6 /48: four times the failures.
    #[must_use]
    pub fn wide(limit: &SourceLimit) -> Self {
        let narrow = Self::narrow(limit);
        Self { failures: narrow.failures.saturating_mul(4), ..narrow }
    }

    /// So many close a lane.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }
}

/// A prefix lane as it is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PrefixLane {
    /// Failures in the present window.
    pub failures: u32,
    /// When the window began: with its first failure.
    pub began: LaneTime,
    /// Closed until then.
    pub not_before: LaneTime,
}

impl PrefixLane {
    /// Whether a guess may be made at `now`.
    pub fn opening(&self, limits: &PrefixLimits, now: LaneTime) -> Opening {
        if now < self.not_before {
            return Opening::Closed { until: self.not_before };
        }
        Opening::Open { slots: limits.failures.saturating_sub(self.counted(limits, now)).max(1) }
    }

    /// The lane after one more settled failure.
    #[must_use]
    pub fn failed(&self, limits: &PrefixLimits, now: LaneTime, jitter: Jitter) -> Self {
        let counted = self.counted(limits, now);
        let failures = counted.saturating_add(1);
        let began = if counted == 0 { now } else { self.began };
        if failures < limits.failures {
            return Self { failures, began, not_before: self.not_before };
        }
        Self { failures: 0, began: now, not_before: now.after(jitter.lengthen(limits.refuse)) }
    }

    /// From when on the lane says nothing any more and may be dropped.
    #[must_use]
    pub fn forgotten_at(&self, limits: &PrefixLimits) -> LaneTime {
        self.not_before.max(self.began.after(limits.within))
    }

    fn counted(&self, limits: &PrefixLimits, now: LaneTime) -> u32 {
        if now.since(self.began) >= limits.within { 0 } else { self.failures }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALM: Jitter = Jitter(0);

    fn limits() -> LaneLimits {
        LaneLimits::new(&TarpitSettings::default())
    }

    #[test]
    fn the_default_wait_doubles_from_thirty_seconds_to_four_hours_in_twelve_failures() {
        let limits = limits();
        let waits: Vec<u64> = (0..14).map(|failures| limits.wait(failures).as_secs()).collect();
        assert_eq!(waits, [0, 0, 0, 30, 60, 120, 240, 480, 960, 1920, 3840, 7680, 14400, 14400]);
        assert_eq!(limits.ceiling(), 12);
    }

    #[test]
    fn guesses_as_fast_as_allowed_reach_2202_comparisons_in_a_year() {
        let limits = limits();
        let (mut lane, mut now, mut guesses) = (Lane::default(), LaneTime::default(), 0);
        let year = LaneTime(365 * 86_400_000);
        while now < year {
            match lane.opening(&limits, now) {
                Opening::Open { .. } => {
                    guesses += 1;
                    lane = lane.failed(&limits, now, CALM);
                }
                Opening::Closed { until } => now = until,
            }
        }
        assert!((2195..=2202).contains(&guesses), "{guesses}");
    }

    /// Promise 3: of parallel attempts, one may be judged after another's failure and have looked at the clock before it.
    #[test]
    fn a_free_failure_closes_nothing_not_even_for_who_looked_at_the_clock_before_it() {
        let limits = limits();
        let now = LaneTime(1000);
        let lane = Lane::default().failed(&limits, now, Jitter(255)).failed(&limits, now, Jitter(255));
        assert_eq!(lane.opening(&limits, LaneTime(999)), Opening::Open { slots: 1 });
        let closed = lane.failed(&limits, now, CALM);
        let until = now.after(Duration::from_secs(30));
        assert_eq!(closed.opening(&limits, LaneTime(999)), Opening::Closed { until });
        let forgotten = Lane { failures: 0, ..closed }.failed(&limits, now, CALM);
        assert_eq!(forgotten.not_before, until, "and opens nothing");
    }

    #[test]
    fn one_failure_is_forgotten_per_cap_of_quiet() {
        let limits = limits();
        let start = LaneTime(1000);
        let lane = Lane { failures: 5, settled_at: start, not_before: start };
        let cap = Duration::from_secs(4 * 3600);
        assert_eq!(lane.counted(&limits, start.after(cap - Duration::from_millis(1))), 5);
        assert_eq!(lane.counted(&limits, start.after(cap)), 4);
        assert_eq!(lane.counted(&limits, start.after(cap * 9)), 0);
    }

    #[test]
    fn the_count_stops_where_the_wait_reaches_the_cap_so_that_it_can_be_forgotten() {
        let limits = limits();
        let lane = (0..100).fold(Lane::default(), |lane, _| lane.failed(&limits, LaneTime(0), CALM));
        assert_eq!(lane.failures, limits.ceiling());
    }

    #[test]
    fn a_prefix_counts_within_its_window_from_the_first_failure_on() {
        let limits = PrefixLimits::narrow(&SourceLimit::default());
        let minute = |n: u64| LaneTime(n * 60_000);
        let lane = (0..10).fold(PrefixLane::default(), |lane, n| lane.failed(&limits, minute(n), CALM));
        assert_eq!(lane.opening(&limits, minute(9)), Opening::Open { slots: 10 });
        assert_eq!(lane.opening(&limits, minute(10)), Opening::Open { slots: 20 });
    }

    #[test]
    fn jitter_only_lengthens() {
        let limits = limits();
        let lane = Lane { failures: 2, ..Lane::default() };
        let calm = lane.failed(&limits, LaneTime(0), CALM).not_before;
        for jitter in 0..=255 {
            let late = lane.failed(&limits, LaneTime(0), Jitter(jitter)).not_before;
            assert!(late >= calm && late.0 <= calm.0 + calm.0 / 10);
        }
    }

    #[test]
    fn an_open_lane_has_a_slot_for_each_failure_that_is_still_free_and_one_at_least() {
        let limits = limits();
        for (failures, slots) in [(0, 3), (1, 2), (2, 1), (3, 1), (12, 1)] {
            let lane = Lane { failures, ..Lane::default() };
            assert_eq!(lane.opening(&limits, LaneTime(1)), Opening::Open { slots });
        }
    }

    #[test]
    fn a_prefix_closes_at_its_limit_and_opens_after_its_refusal() {
        let limits = PrefixLimits::narrow(&SourceLimit::default());
        let mut lane = PrefixLane::default();
        for second in 0..20 {
            assert!(matches!(lane.opening(&limits, LaneTime(second * 1000)), Opening::Open { .. }));
            lane = lane.failed(&limits, LaneTime(second * 1000), CALM);
        }
        assert_eq!(lane.opening(&limits, LaneTime(20_000)), Opening::Closed { until: LaneTime(619_000) });
        assert_eq!(lane.opening(&limits, LaneTime(619_000)), Opening::Open { slots: 20 });
    }
}
