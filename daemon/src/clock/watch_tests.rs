//! Promise 13 on a clock that is moved by hand: what is noticed, what is followed, and whose word ends it.

use super::*;
use std::sync::atomic::{AtomicU8, Ordering};

const START: WallTime = WallTime(1_800_000_000);
const HOUR: u64 = 3600;

/// A kernel that says what it is told to.
#[derive(Debug, Default)]
struct Told(AtomicU8);

impl Told {
    fn say(&self, synchronised: bool) {
        self.0.store(1 + u8::from(synchronised), Ordering::SeqCst);
    }
}

impl Kernel for Told {
    fn is_synchronised(&self) -> Option<bool> {
        self.0.load(Ordering::SeqCst).checked_sub(1).map(|word| word == 1)
    }
}

fn clock() -> (Clock, Arc<Told>) {
    let kernel = Arc::new(Told::default());
    (Clock::manual_from(START, &Kept::default(), kernel.clone()), kernel)
}

/// Another run in the same boot, the wall at `wall`; the manual clock's boot has just begun again.
fn next_run(kept: &Kept, wall: WallTime) -> Clock {
    Clock::manual_from(wall, kept, Arc::new(Told::default()))
}

fn at(seconds_after_start: i64) -> WallTime {
    WallTime(START.0.saturating_add_signed(seconds_after_start))
}

#[test]
fn a_new_store_believes_the_clock_it_finds() {
    let (clock, _kernel) = clock();
    assert_eq!(clock.suspicion(), None);
    assert_eq!(clock.now().wall, START);
    assert_eq!(clock.changes(), []);
}

#[test]
fn a_clock_that_is_set_by_more_than_a_minute_is_not_believed_and_time_stands_still() {
    for by_s in [-3600, -61, 61, 3600] {
        let (clock, kernel) = clock();
        kernel.say(false);
        clock.set_wall(at(by_s));
        assert_eq!(clock.suspicion(), Some(Suspicion { why: Why::Parted, by_s }));
        clock.advance(Duration::from_secs(90 * 86_400));
        assert_eq!(clock.now().wall, START, "nothing expires");
        assert_eq!(clock.now().lane, LaneTime(1 + 90 * 86_400_000), "waits run on");
        assert_eq!(clock.changes(), [Change::Suspected(Suspicion { why: Why::Parted, by_s })], "told once");
        assert_eq!(clock.changes(), []);
    }
}

#[test]
fn a_minute_either_way_is_believed() {
    for by_s in [-60, -5, 5, 60] {
        let (clock, _kernel) = clock();
        clock.set_wall(at(by_s));
        assert_eq!((clock.suspicion(), clock.now().wall), (None, at(by_s)));
    }
}

#[test]
fn small_steps_that_add_up_are_noticed() {
    let (clock, _kernel) = clock();
    clock.set_wall(at(-40));
    assert_eq!(clock.suspicion(), None);
    clock.advance(Duration::from_secs(60));
    clock.set_wall(at(-40));
    assert!(clock.suspicion().is_some());
}

/// 500 ppm: 43 s a day, far more than the tolerance in a week.
#[test]
fn a_clock_that_a_time_service_slews_is_believed_for_years_however_often_it_is_read() {
    for (between_s, days) in [(1, 3), (60, 730), (86_400, 730)] {
        for sign in [-1, 1] {
            let (clock, _kernel) = clock();
            for round in 1..=days * 86_400_i64 / between_s {
                clock.advance(Duration::from_secs(between_s.unsigned_abs()));
                let boot_s = round * between_s;
                clock.set_wall(at(boot_s + sign * boot_s / 2000));
                assert_eq!(clock.suspicion(), None, "after {boot_s} s, read every {between_s} s");
            }
        }
    }
}

#[test]
fn it_is_believed_again_once_the_kernel_calls_it_synchronised() {
    let (clock, kernel) = clock();
    clock.set_wall(at(3600));
    assert!(clock.suspicion().is_some(), "a kernel that does not tell is no word");
    kernel.say(false);
    assert!(clock.suspicion().is_some());
    kernel.say(true);
    assert_eq!((clock.suspicion(), clock.now().wall), (None, at(3600)));
    assert!(matches!(clock.changes()[..], [Change::Suspected(_), Change::Synchronised]));
    clock.advance(Duration::from_secs(HOUR));
    kernel.say(false);
    assert_eq!(clock.suspicion(), None, "from then on it goes by the clock as it is");
}

#[test]
fn a_step_by_a_time_service_is_recorded_and_believed() {
    let (clock, kernel) = clock();
    kernel.say(true);
    clock.set_wall(at(-3600));
    assert_eq!((clock.suspicion(), clock.now().wall), (None, at(-3600)));
    assert!(matches!(clock.changes()[..], [Change::Suspected(_), Change::Synchronised]));
}

#[test]
fn putting_it_right_by_hand_is_not_enough_and_the_administrators_word_is() {
    let (clock, _kernel) = clock();
    assert!(!clock.accept(), "there was nothing to accept");
    clock.set_wall(at(3600));
    assert!(clock.suspicion().is_some());
    clock.set_wall(START);
    assert!(clock.suspicion().is_some());
    assert!(clock.accept());
    assert_eq!((clock.suspicion(), clock.now().wall), (None, START));
}

#[test]
fn a_start_below_the_highest_time_believed_is_not_believed_in_whatever_boot() {
    let (clock, _kernel) = clock();
    clock.advance(Duration::from_secs(HOUR));
    for boot in ["manual", "an earlier one"] {
        let mut kept = clock.kept();
        kept.anchor = kept.anchor.map(|(_, anchor)| (boot.to_owned(), anchor));
        let again = next_run(&kept, START);
        assert!(again.suspicion().is_some_and(|suspicion| suspicion.by_s == -3600), "{boot}");
        assert_eq!(again.now().wall, at(3600), "{boot}");
    }
    let mut kept = clock.kept();
    kept.anchor = None;
    assert_eq!(next_run(&kept, at(3600 - 60)).suspicion(), None, "hardware clocks are that coarse");
    assert_eq!(next_run(&kept, at(3600 * 1000)).suspicion(), None, "nobody knows how long it was off");
}

#[test]
fn within_one_boot_a_clock_set_forward_while_the_daemon_was_down_is_noticed() {
    let (clock, _kernel) = clock();
    let again = next_run(&clock.kept(), at(3600));
    assert_eq!(again.suspicion(), Some(Suspicion { why: Why::Parted, by_s: 3600 }));
}

#[test]
fn neither_a_restart_nor_a_boot_ends_a_suspicion() {
    let (clock, _kernel) = clock();
    clock.set_wall(at(3600));
    let kept = Kept { anchor: None, ..clock.kept() };
    let again = next_run(&kept, at(7200));
    assert!(again.suspicion().is_some());
    assert_eq!(again.now().wall, START);
    assert_eq!(again.changes(), [], "it was told when it began");
    assert!(again.accept());
    assert_eq!(next_run(&again.kept(), at(7200)).suspicion(), None);
}

/// Set forward wrongly, accepted, then corrected by a time service.
#[test]
fn what_is_synchronised_lowers_the_highest_time() {
    let (clock, kernel) = clock();
    clock.set_wall(at(86_400 * 365));
    assert!(clock.accept());
    kernel.say(true);
    clock.set_wall(at(10));
    assert_eq!(clock.now().wall, at(10));
    assert_eq!(clock.kept().highest, Some(at(10)));
}
