//! Promise 13: what is kept of the clock, and that a wall which is not believed makes nobody forgotten.

use super::*;
use crate::clock::{Anchor, Suspicion, Why};

#[tokio::test]
async fn how_far_the_clock_was_believed_survives_a_restart() {
    let bench = Bench::empty(3);
    assert_eq!(bench.resumed.clock, Kept::default());
    let anchor = Anchor { offset_ms: -7, at_ms: 99 };
    let suspicion = Suspicion { why: Why::BelowHighest, by_s: -3600 };
    for suspicion in [Some(suspicion), None] {
        let kept = Kept {
            highest: Some(WallTime(1_800_000_000)),
            anchor: Some(("a boot".into(), anchor)),
            suspicion,
        };
        bench.store.keep_clock(kept.clone()).await.unwrap();
        let read = bench.store.0.call(|room| crate::store::clock::kept(room)).await.unwrap();
        assert_eq!(read, kept);
    }
    let bench = bench.restart().await;
    assert_eq!(bench.resumed.clock.highest, Some(WallTime(1_800_000_000)));
}

#[tokio::test]
async fn a_clock_far_ahead_at_the_start_makes_no_known_pair_forgotten() {
    let bench = Bench::with_phone(3).await;
    let charge = bench.no_code().await;
    let learn = Some(Prefix::of("192.0.2.1".parse().unwrap()));
    assert_eq!(bench.settle(charge, Settlement::Granted { learn }).await, Settled::Done);
    bench.store.keep_clock(bench.clock.kept()).await.unwrap();
    bench.clock.set_wall(WallTime(1_800_000_000 + 100 * 86_400));
    let bench = bench.restart().await;
    assert_eq!(bench.resumed.known_pairs.len(), 1);
}
