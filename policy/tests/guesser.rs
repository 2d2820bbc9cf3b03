//! The bound against guessers on a simulated clock: counted guesses never exceed it, and with codes short enough to be
//! guessed their frequency agrees with it. The long version is `make bench`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod simulation;

use proptest::prelude::*;
use simulation::{Manner, Random, State, Typed, World, Year, owners_addresses, shipped, stranger};
use std::time::Duration;
use twinlock_policy::bound::{Bound, FURTHER_LANES, Reach};
use twinlock_policy::lane::LaneTime;
use twinlock_policy::{LaneKey, Source};

/// So few that they are guessed several times a year.
const DIGITS: u8 = 3;

fn wrong((compared, right): (u64, u64)) -> u64 {
    compared - right
}

#[test]
fn the_simulated_guesser_stays_within_the_printed_bound() {
    let config = shipped();
    let bound = Bound::new(&config, Reach::Anywhere, &[DIGITS]);
    let most = bound.unfamiliar_guesses + bound.own_guesses;
    let chance = 3.0 * 0.001_000_001;
    for (manner, addresses, years) in [
        (Manner::Hasty, 1, 4),
        (Manner::Hasty, 1000, 4),
        (Manner::Patient, 10, 4),
        (Manner::TwoCodes, 20, 2),
        (Manner::Everywhere, 100, 2),
    ] {
        let year = Year { config: &config, manner, addresses, password: true, digits: DIGITS };
        let (mut guesses, mut hits) = (0, 0);
        for seed in 0..years {
            let tally = year.play(seed);
            // A right guess is a login, which is given back its slot: the bound counts up to the first.
            let (unfamiliar, own) = (wrong(tally.unfamiliar), wrong(tally.own));
            assert!(unfamiliar <= bound.unfamiliar_guesses, "{manner:?} {addresses}: {tally:?}");
            assert!(own <= bound.own_guesses, "{manner:?} {addresses}: {tally:?}");
            assert!(
                tally.owner.0 >= 365 && tally.owner.1 == 0,
                "the owner is kept out by {manner:?} {addresses}: {tally:?}"
            );
            assert_eq!(tally.broken_in, tally.unfamiliar.1 + tally.own.1 + tally.two.1);
            if manner != Manner::Patient {
                assert!(unfamiliar + 15 >= bound.unfamiliar_guesses, "{manner:?}: {tally:?}");
            }
            if manner == Manner::Everywhere {
                assert!(own + 60 >= bound.own_guesses, "{tally:?}");
            }
            if manner == Manner::TwoCodes {
                // Those that find the lane open are compared there.
                let tries = 365 * 10 * u64::from(addresses);
                assert!((tries - 100..=tries).contains(&tally.two.0), "{tally:?}");
            }
            guesses += tally.unfamiliar.0 + tally.own.0;
            hits += tally.unfamiliar.1 + tally.own.1;
        }
        let (expected, measured) = (guesses as f64 * chance, hits as f64);
        assert!(
            (measured - expected).abs() <= 4.0 * expected.sqrt(),
            "{manner:?}: {measured}, not {expected}"
        );
        let most = (most * years) as f64 * chance;
        assert!(measured <= most + 4.0 * most.sqrt(), "{manner:?}: {measured} > {most}");
    }
}

#[test]
fn who_does_not_know_the_password_gets_in_nowhere_and_binds_only_after_a_right_code() {
    let config = shipped();
    let year =
        Year { config: &config, manner: Manner::Hasty, addresses: 50, password: false, digits: DIGITS };
    let tally = year.play(7);
    assert_eq!(tally.broken_in, 0);
    assert_eq!(tally.wrong_binds, tally.unfamiliar.1);
    assert!((1..30).contains(&tally.wrong_binds), "{tally:?}");
}

/// Someone at a random place types a random code, or two, after a while.
#[derive(Debug, Clone, Copy)]
struct Turn {
    wait_ms: u64,
    place: u32,
    two: bool,
    settle: bool,
    password: bool,
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let wait = prop_oneof![4 => Just(0_u64), 4 => 1..60_000_u64, 1 => 60_000..20_000_000_u64];
    let turn = (wait, 0..40_u32, any::<bool>(), any::<bool>(), any::<bool>())
        .prop_map(|(wait_ms, place, two, settle, password)| Turn { wait_ms, place, two, settle, password });
    prop::collection::vec(turn, 1..400)
}

fn place(number: u32) -> Source {
    match number {
        0..=19 => stranger(number),
        20..=29 => Source::Address(
            "2001:db8:77::"
                .parse::<std::net::Ipv6Addr>()
                .map(|start| {
                    std::net::Ipv6Addr::from_bits(start.to_bits() + (u128::from(number) << 64)).into()
                })
                .unwrap(),
        ),
        30..=36 => Source::Address(owners_addresses().nth(number as usize - 30).unwrap()),
        37 => Source::Address("192.0.2.9".parse().unwrap()),
        38 => Source::Local,
        _ => Source::Unknown,
    }
}

/// Plays the turns; `look` sees each one's place, the state before it and after it, and whether it was refused.
fn play(turns: &[Turn], mut look: impl FnMut(&World, &LaneKey, &State, bool)) -> (World, Duration) {
    let mut world = World::new(&shipped(), 1, 42);
    let (mut now, mut under_way, mut random) = (LaneTime(0), Vec::new(), Random(3));
    for turn in turns {
        now = now.after(Duration::from_millis(turn.wait_ms));
        let visitor = world.visitor(place(turn.place));
        let before = world.state().clone();
        let typed = if turn.two {
            Typed::Two(random.below(10), random.below(10))
        } else {
            Typed::One(random.below(10))
        };
        let charge = world.begin(now, &visitor, typed);
        look(&world, &visitor.lane, &before, charge.is_none());
        under_way.extend(charge);
        if turn.settle {
            for charge in under_way.drain(..) {
                world.settle(now, charge, turn.password);
            }
        }
    }
    (world, now.since(LaneTime(0)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_refused_attempt_changes_nothing(turns in turns()) {
        let mut changed = false;
        play(&turns, |world, _, before, refused| changed |= refused && world.state() != before);
        prop_assert!(!changed);
    }

    #[test]
    fn guesses_of_any_schedule_stay_within_the_lanes_count_and_the_code_budget(turns in turns()) {
        let (world, time) = play(&turns, |_, _, _, _| {});
        let config = shipped();
        let limits = twinlock_policy::lane::LaneLimits::new(&config.tarpit);
        let most = twinlock_policy::bound::comparisons(&limits, time);
        prop_assert!(wrong(world.tally.unfamiliar) <= most);
        let budget = u64::from(config.tarpit.code_budget.failures + FURTHER_LANES);
        let windows = 1 + time.as_secs() / (30 * 86_400);
        prop_assert!(wrong(world.tally.own) <= windows * budget);
    }

    #[test]
    fn an_attempt_changes_no_lane_it_does_not_stand_in(strangers in turns()) {
        let strangers: Vec<Turn> =
            strangers.into_iter().map(|turn| Turn { place: turn.place % 30, ..turn }).collect();
        let (world, time) = play(&strangers, |_, _, _, _| {});
        let fresh = World::new(&shipped(), 1, 42);
        for number in 30..=38 {
            let lane = world.visitor(place(number)).lane;
            prop_assert!(lane != LaneKey::Unfamiliar);
            prop_assert_eq!(world.lane(&lane), fresh.lane(&lane));
        }
        let mut world = world;
        let owner = world.visitor(place(30));
        prop_assert!(world.begin(LaneTime(0).after(time), &owner, Typed::One(0)).is_some());
    }
}
