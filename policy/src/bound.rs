//! The guess bound (DESIGN promise 6): the greatest chance a year that someone who knows the password, from however
//! many addresses, gets in by guessing codes.
//!
//! `P <= hosts * (sum_i w * p_i * (G_unfamiliar + G_own) + way_in)`. It is the sum of the chances of every single
//! guess (a union bound), so it holds for every way of guessing. Everything is counted in whole numbers; what is made
//! a fraction at the end is rounded up, never down.

use crate::lane::{Jitter, Lane, LaneLimits, LaneTime, Opening};
use serde::Serialize;
use std::fmt;
use std::time::Duration;
use twinlock_config::Config;

/// What the bound calls a year: 365 days.
pub const YEAR: Duration = Duration::from_secs(365 * 86_400);
/// Own lanes of an account that may still have one wrong code each once its code budget is spent: as many as it has
/// known pairs. Known pairs, named networks and users of this host come and go; this does not grow with them.
pub const FURTHER_LANES: u32 = 20;
/// Tries of the two-code way in that an account takes a second, over all prefixes.
pub const WAY_IN_TRIES_A_SECOND: u32 = 10;
/// Tries of the two-code way in that an account takes an hour and a day from one prefix, IPv4 /32 or IPv6 /48.
pub const WAY_IN_TRIES_A_PREFIX: [(u32, Duration); 2] =
    [(3, Duration::from_secs(3600)), (10, Duration::from_secs(86_400))];

/// RFC 4226, 5.3: a code is a number of so many bits modulo a power of ten.
const TRUNCATED_BITS: u32 = 31;

/// From where guesses that a rule lets through can come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// From anywhere: the account's unfamiliar lane and its own lanes.
    Anywhere,
    /// Only from named networks or this host's consoles, which have lanes of their own.
    OwnLanes,
}

/// What a configuration lets a guesser of an account's codes reach in a year.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bound {
    /// Codes compared in the unfamiliar lane, at each host.
    pub unfamiliar_guesses: u64,
    /// Codes compared in the account's own lanes together, at each host.
    pub own_guesses: u64,
    /// The chance that one of those is right, over all hosts.
    pub code: f64,
    /// The chance that two codes typed as one are, over all hosts.
    pub way_in: f64,
    /// Both together: 0.01 is one percent a year. It may pass 1, where it says nothing.
    pub total: f64,
}

impl Bound {
    /// The bound of an account with authenticators of so many `digits` each.
    #[must_use]
    pub fn new(config: &Config, reach: Reach, digits: &[u8]) -> Self {
        let tarpit = &config.tarpit;
        let unfamiliar_guesses = match reach {
            Reach::Anywhere => comparisons(&LaneLimits::new(tarpit), YEAR),
            Reach::OwnLanes => 0,
        };
        let own_guesses = own_guesses(config);
        let guesses = u128::from(unfamiliar_guesses.saturating_add(own_guesses));
        let hosts = u128::from(tarpit.hosts);

        let chances = || digits.iter().map(|digits| u128::from(likeliest(*digits)));
        let valid_at_once = u128::from(config.totp.window_steps) * 2 + 1;
        let code = hosts
            .saturating_mul(guesses)
            .saturating_mul(chances().map(|chance| chance * valid_at_once).sum());

        // A second is counted from its first try, so one more may have begun before the year.
        let seconds = u128::from(YEAR.as_secs()) + 1;
        // Steps now-w-1 to now+w hold 2w+1 pairs of neighbours. Two codes are looked for wherever a code is, so each
        // guess above may be a try as well.
        let pairs_at_once = valid_at_once;
        let tries = u128::from(WAY_IN_TRIES_A_SECOND).saturating_mul(seconds).saturating_add(guesses);
        let way_in = hosts
            .saturating_mul(tries)
            .saturating_mul(chances().map(|chance| chance * chance * pairs_at_once).sum());

        Self {
            unfamiliar_guesses,
            own_guesses,
            code: fraction(code, TRUNCATED_BITS),
            way_in: fraction(way_in, 2 * TRUNCATED_BITS),
            total: fraction(
                code.saturating_mul(1 << TRUNCATED_BITS).saturating_add(way_in),
                2 * TRUNCATED_BITS,
            ),
        }
    }
}

/// As a percentage a year, to three digits, rounded up.
impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Percent(self.total).fmt(f)
    }
}

/// A chance as a percentage to three digits, rounded up; above 1 it is 100 %.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Percent(pub f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = (self.0 * 100.0).next_up();
        if percent >= 100.0 {
            return f.write_str("100 %");
        }
        let mut places = 0;
        let mut scale = 1.0;
        while percent * scale < 100.0 && places < 12 {
            places += 1;
            scale *= 10.0;
        }
        write!(f, "{:.places$} %", (percent * scale).ceil() / scale)
    }
}

/// Codes that one lane lets be compared within a time, whoever guesses and however.
///
/// The lane's own functions are run by a guesser who fills every slot the moment it opens, without jitter, which only
/// lengthens. The climb to the longest wait is not counted against the time: each comparison beyond it needs one
/// failure to be forgotten, hence a whole cap of quiet, so no other schedule reaches more in the same time, not even
/// one that saves up quiet for a burst at the end.
#[must_use]
pub fn comparisons(limits: &LaneLimits, within: Duration) -> u64 {
    let (mut lane, mut now, mut compared) = (Lane::default(), LaneTime::default(), 0_u64);
    while lane.failures < limits.ceiling() {
        (lane, now, compared) = fill(&lane, limits, now, compared);
    }
    let end = now.after(within);
    while lane.not_before <= end {
        let (before, wait) = (compared, lane.not_before.since(lane.settled_at));
        let failures = lane.failures;
        (lane, now, compared) = fill(&lane, limits, now, compared);
        if lane.failures == failures && lane.not_before.since(now) == wait {
            // From here on every round is like this one.
            let rounds = end.since(now).as_millis() / wait.as_millis().max(1);
            let rounds = u64::try_from(rounds).unwrap_or(u64::MAX);
            return compared.saturating_add(rounds.saturating_mul(compared - before));
        }
    }
    compared
}

/// Fills all slots of the lane when it opens next: the lane after that, the moment, and how much was compared by then.
fn fill(lane: &Lane, limits: &LaneLimits, now: LaneTime, compared: u64) -> (Lane, LaneTime, u64) {
    match lane.opening(limits, now) {
        Opening::Closed { until } => fill(lane, limits, until, compared),
        Opening::Open { slots } => {
            let filled = (0..slots).fold(*lane, |lane, _| lane.failed(limits, now, Jitter(0)));
            (filled, now, compared.saturating_add(u64::from(slots)))
        }
    }
}

/// Wrong codes that an account's own lanes take in a year. Within any `code_budget.within` that is its `failures`,
/// and then one in each further lane that has had none, of [`FURTHER_LANES`] at most: by default 13 * (20 + 20) = 520,
/// however many named networks there are.
fn own_guesses(config: &Config) -> u64 {
    let budget = &config.tarpit.code_budget;
    let windows = YEAR.as_millis().div_ceil(budget.within.duration().as_millis().max(1));
    u64::try_from(windows)
        .unwrap_or(u64::MAX)
        .saturating_mul(u64::from(budget.failures) + u64::from(FURTHER_LANES))
}

/// Of 2^31 truncated hashes, how many give the likeliest code of so many digits.
fn likeliest(digits: u8) -> u64 {
    let codes = 10_u64.checked_pow(u32::from(digits)).unwrap_or(u64::MAX);
    (1_u64 << TRUNCATED_BITS).div_ceil(codes)
}

/// `numerator / 2^bits`, rounded up.
fn fraction(numerator: u128, bits: u32) -> f64 {
    let nearest = numerator as f64;
    let above = if (nearest as u128) < numerator { nearest.next_up() } else { nearest };
    // A power of two: dividing by it loses nothing.
    above / (1_u128 << bits) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use twinlock_config::{Span, TarpitSettings};

    fn span(ms: u64) -> Span {
        format!("{ms}ms").try_into().unwrap()
    }

    fn limits(free: u32, base_ms: u64, cap_ms: u64) -> LaneLimits {
        LaneLimits::new(&TarpitSettings {
            free,
            base: span(base_ms),
            cap: span(cap_ms),
            ..TarpitSettings::default()
        })
    }

    #[test]
    fn the_default_lane_lets_2202_codes_be_compared_in_a_year() {
        let limits = LaneLimits::new(&TarpitSettings::default());
        assert_eq!(comparisons(&limits, YEAR), 12 + 365 * 6);
    }

    #[test]
    fn a_year_of_any_lane_is_counted_at_once_and_is_its_ceiling_and_one_a_cap() {
        const LONGEST: u64 = 3650 * 86_400_000;
        for (free, base, cap) in [
            (1, 1, 1),
            (3, 1, 1),
            (1000, 1, LONGEST),
            (1, LONGEST, LONGEST),
            (3, 1000, 1001),
            (7, 30_000, 60_000),
        ] {
            let limits = limits(free, base, cap);
            let year = YEAR.as_millis() as u64;
            assert_eq!(
                comparisons(&limits, YEAR),
                u64::from(limits.ceiling()) + year / cap,
                "{free} {base} {cap}"
            );
        }
    }

    #[test]
    fn the_likeliest_code_of_six_digits_is_one_of_2148_hashes() {
        assert_eq!(likeliest(6), 2148);
        assert_eq!(likeliest(8), 22);
        assert_eq!(likeliest(10), 1);
        assert_eq!(likeliest(255), 1);
    }

    #[test]
    fn fractions_are_never_rounded_down() {
        for numerator in [0, 1, 3, (1 << 53) + 1, u128::MAX, (1 << 100) + 1, 0x1234_5678_9abc_def0_1357] {
            let value = fraction(numerator, 62) * (1_u128 << 62) as f64;
            assert!(value >= numerator as f64 && (value >= u128::MAX as f64 || value as u128 >= numerator));
        }
    }

    #[test]
    fn percentages_are_never_rounded_down() {
        for (chance, text) in [
            (0.0, "0.000000000001 %"),
            (0.009_159_999, "0.916 %"),
            (0.009_160_001, "0.917 %"),
            (0.000_084_21, "0.00843 %"),
            (0.5, "50.1 %"),
            (0.999_99, "100.0 %"),
            (1.0, "100 %"),
            (7.0, "100 %"),
        ] {
            assert_eq!(Percent(chance).to_string(), text);
        }
    }

    /// A moment of a schedule: wait so long, then begin so many guesses at once, and settle so many of those that are
    /// under way.
    #[derive(Debug, Clone, Copy)]
    struct Turn {
        wait_ms: u64,
        begun: u32,
        settled: u32,
        jitter: u8,
    }

    fn turns(cap_ms: u64) -> impl Strategy<Value = Vec<Turn>> {
        let wait = prop_oneof![Just(0), 1..2000_u64, 1..=cap_ms, cap_ms..=(5 * cap_ms), Just(cap_ms)];
        let turn = (wait, 0..20_u32, 0..20_u32, prop_oneof![Just(0), any::<u8>()])
            .prop_map(|(wait_ms, begun, settled, jitter)| Turn { wait_ms, begun, settled, jitter });
        prop::collection::vec(turn, 1..300)
    }

    fn lanes_and_turns() -> impl Strategy<Value = (LaneLimits, Vec<Turn>)> {
        (1..12_u32, 1..30_000_u64, 1..40_u64).prop_flat_map(|(free, base, times)| {
            let cap = base * times;
            (Just(limits(free, base, cap)), turns(cap))
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_schedule_compares_more_in_a_lane_than_its_count((limits, turns) in lanes_and_turns()) {
            let (mut lane, mut now, mut under_way, mut compared) = (Lane::default(), LaneTime(0), 0_u32, 0_u64);
            for turn in turns {
                now = now.after(Duration::from_millis(turn.wait_ms));
                for _ in 0..turn.begun {
                    match lane.opening(&limits, now) {
                        Opening::Open { slots } if under_way < slots => {
                            under_way += 1;
                            compared += 1;
                        }
                        Opening::Open { .. } | Opening::Closed { .. } => break,
                    }
                }
                for _ in 0..turn.settled.min(under_way) {
                    under_way -= 1;
                    lane = lane.failed(&limits, now, Jitter(turn.jitter));
                }
                let most = comparisons(&limits, now.since(LaneTime(0)));
                prop_assert!(compared <= most, "{compared} > {most} after {now:?}");
            }
        }
    }
}
