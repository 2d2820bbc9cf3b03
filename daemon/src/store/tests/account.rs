//! What bounds an account over all its lanes: the way in by two codes, the code budget, a hundred failures, binds.

use super::*;
use crate::store::{Bind, BindNeed};
use twinlock_policy::LocationName;
use twinlock_policy::lane::STUBBORN;

const STEP: Duration = Duration::from_secs(30);
const CAP: Duration = Duration::from_secs(4 * 3600);

/// The codes of two steps, `back` and `back - 1` before the present one, typed as one.
fn two_codes(bench: &Bench, back: u64) -> Vec<u8> {
    let now = bench.clock.now().wall.0;
    let at = |steps: u64| code_of(SEED, WallTime((now + 30) - 30 * steps));
    [at(back + 1), at(back)].concat()
}

fn typed(code: &[u8]) -> CodeTry {
    CodeTry::Code(Secret::copy_of(code))
}

async fn reply(bench: &Bench, lane: &LaneKey, code: CodeTry, way_in: bool) -> ChargeReply {
    let request = bench.request(at_home(), code);
    let request = ChargeRequest { lane: lane.clone(), way_in, bind: BindNeed::AfterCode, ..request };
    bench.store.charge(request).await.unwrap()
}

/// A wrong code in that lane, settled as a failure; whether it was compared at all.
async fn guesses(bench: &Bench, lane: &LaneKey) -> bool {
    match reply(bench, lane, typed(b"000000"), false).await {
        ChargeReply::Charged(charge) => {
            assert_eq!(bench.settle(*charge, Settlement::Failed).await, Settled::Done);
            true
        }
        ChargeReply::Closed { .. } | ChargeReply::TwoCodesOnly | ChargeReply::Full => false,
        other @ (ChargeReply::NoWayIn | ChargeReply::NoBindLeft) => panic!("{other:?}"),
    }
}

async fn closed() -> Bench {
    let bench = Bench::with_phone(3).await;
    for _ in 0..3 {
        assert!(guesses(&bench, &LaneKey::Unfamiliar).await);
    }
    assert!(!guesses(&bench, &LaneKey::Unfamiliar).await);
    bench
}

#[tokio::test]
async fn two_consecutive_codes_enter_through_a_closed_lane_and_are_both_spent() {
    for back in [0, 1, 2] {
        let bench = closed().await;
        let two = two_codes(&bench, back);
        assert!(matches!(
            reply(&bench, &LaneKey::Unfamiliar, typed(&two), false).await,
            ChargeReply::Closed { .. }
        ));
        let charge = charged(reply(&bench, &LaneKey::Unfamiliar, typed(&two), true).await);
        assert!(right(&charge) && charge.code_length() == 12);
        assert_eq!(bench.grant(charge).await, Settled::Done);
        assert_eq!(bench.failures().await, 3, "the lane is as it was");
        let again = reply(&bench, &LaneKey::Unfamiliar, typed(&two), true).await;
        assert!(matches!(again, ChargeReply::NoWayIn), "{again:?}");
        bench.clock.advance(CAP);
        let old = code_of(SEED, WallTime(bench.clock.now().wall.0 - CAP.as_secs()));
        assert!(!right(&bench.show(at_home(), &old).await));
    }
}

#[tokio::test]
async fn what_is_not_two_consecutive_unused_codes_is_no_way_in() {
    let bench = closed().await;
    let now = bench.clock.now().wall.0;
    let at = |steps: i64| code_of(SEED, WallTime(now.checked_add_signed(30 * steps).unwrap()));
    for wrong in [
        [at(0), at(-1)].concat(),
        [at(-1), at(1)].concat(),
        [at(0), at(0)].concat(),
        [at(-3), at(-2)].concat(),
        [at(1), at(2)].concat(),
        at(0),
        b"000000000000".to_vec(),
    ] {
        let reply = reply(&bench, &LaneKey::Unfamiliar, typed(&wrong), true).await;
        assert!(matches!(reply, ChargeReply::NoWayIn), "{}", String::from_utf8_lossy(&wrong));
    }
    assert_eq!(bench.failures().await, 3, "none of them lengthened the wait");
}

#[tokio::test]
async fn two_codes_are_taken_in_an_open_lane_and_behind_a_password() {
    let bench = Bench::with_phone(3).await;
    let two = two_codes(&bench, 0);
    let charge = bench.show(at_home(), &two).await;
    assert!(right(&charge));
    assert_eq!(bench.grant(charge).await, Settled::Done);

    let bench = closed().await;
    let behind = [b"pass word 1".to_vec(), two_codes(&bench, 0)].concat();
    for code in [CodeTry::Behind(Secret::copy_of(&behind)), CodeTry::Field(Secret::copy_of(&behind))] {
        let bench = closed().await;
        let charge = charged(reply(&bench, &LaneKey::Unfamiliar, code, true).await);
        assert!(right(&charge));
        assert_eq!(charge.code_length(), 12);
    }
}

#[tokio::test]
async fn after_a_hundred_failures_the_unfamiliar_lane_takes_only_two_codes_until_a_success() {
    let bench = Bench::with_phone(1000).await;
    for _ in 0..STUBBORN {
        assert!(guesses(&bench, &LaneKey::Unfamiliar).await);
    }
    bench.clock.advance(CAP * 200);
    let one = typed(&bench.code());
    let barred = reply(&bench, &LaneKey::Unfamiliar, one, false).await;
    assert!(matches!(barred, ChargeReply::TwoCodesOnly), "{barred:?}");
    let own = LaneKey::Network(LocationName::new("office"));
    let charge = charged(reply(&bench, &own, typed(&bench.code()), false).await);
    assert_eq!(bench.grant(charge).await, Settled::Done);
    bench.clock.advance(STEP * 3);
    assert!(right(&charged(reply(&bench, &LaneKey::Unfamiliar, typed(&bench.code()), false).await)));
}

#[tokio::test]
async fn when_the_code_budget_is_spent_lanes_that_had_a_wrong_code_take_only_two() {
    let bench = Bench::with_phone(1000).await;
    let lanes: Vec<LaneKey> =
        (0..4).map(|n| LaneKey::Network(LocationName::new(format!("lane {n}")))).collect();
    let mut compared = 0;
    for _ in 0..50 {
        for lane in &lanes[..3] {
            compared += u32::from(guesses(&bench, lane).await);
        }
    }
    assert_eq!(compared, 20, "the account's budget, over all its own lanes");
    assert!(guesses(&bench, &lanes[3]).await, "a lane that had none lets one through");
    assert!(!guesses(&bench, &lanes[3]).await);
    assert!(guesses(&bench, &LaneKey::Unfamiliar).await, "the unfamiliar lane has a bound of its own");
    let bare = ChargeRequest {
        lane: lanes[0].clone(),
        bind: BindNeed::Bare,
        ..bench.request(at_home(), CodeTry::NotAsked)
    };
    assert!(
        matches!(bench.store.charge(bare).await.unwrap(), ChargeReply::Charged(_)),
        "where no code is asked, none is missing"
    );
    bench.clock.advance(Duration::from_secs(30 * 86_400));
    assert!(guesses(&bench, &lanes[0]).await, "forgotten after thirty days");
}

#[tokio::test]
async fn ever_new_lanes_of_its_own_do_not_stretch_the_code_budget() {
    let bench = Bench::with_phone(1000).await;
    let mut compared = 0;
    for n in 0..200 {
        let lane = LaneKey::Known(Prefix::of(std::net::IpAddr::from([203, 0, 113, n])));
        compared += u32::from(guesses(&bench, &lane).await);
    }
    assert_eq!(compared, 40, "twenty, and twenty lanes that have had none yet");
}

#[tokio::test]
async fn parallel_wrong_codes_do_not_overrun_the_code_budget() {
    let bench = Bench::with_phone(1000).await;
    let mut open = Vec::new();
    for n in 0..10 {
        let lane = LaneKey::Network(LocationName::new(format!("lane {n}")));
        for _ in 0..10 {
            if let ChargeReply::Charged(charge) = reply(&bench, &lane, typed(b"000000"), false).await {
                open.push(charge);
            }
        }
    }
    assert!(open.len() <= 20 + 10, "{}", open.len());
}

async fn bind(bench: &Bench, need: BindNeed, bind: Bind, settlement: Settlement) -> bool {
    let code = if need == BindNeed::Bare { CodeTry::NotAsked } else { typed(&bench.code()) };
    bench.clock.advance(STEP * 3);
    let code = if matches!(code, CodeTry::NotAsked) { code } else { typed(&bench.code()) };
    let lane = LaneKey::Local("somebody".into());
    match bench
        .store
        .charge(ChargeRequest { lane, bind: need, ..bench.request(at_home(), code) })
        .await
        .unwrap()
    {
        ChargeReply::Charged(charge) => {
            let settled =
                bench.store.settle(*charge, settlement, bind, bench.clock.now(), CALM).await.unwrap();
            assert_eq!(settled, Settled::Done);
            true
        }
        ChargeReply::NoBindLeft => false,
        other @ (ChargeReply::Closed { .. }
        | ChargeReply::Full
        | ChargeReply::TwoCodesOnly
        | ChargeReply::NoWayIn) => {
            panic!("{other:?}")
        }
    }
}

#[tokio::test]
async fn failed_binds_stay_below_the_directorys_lock_out_and_the_last_is_kept_for_a_right_code() {
    let bench = Bench::with_phone(1000).await;
    let mut failed = 0;
    for _ in 0..10 {
        failed += u32::from(bind(&bench, BindNeed::Bare, Bind::Wrong, Settlement::Failed).await);
    }
    assert_eq!(failed, 3, "the directory locks at five");
    assert!(bind(&bench, BindNeed::AfterCode, Bind::Wrong, Settlement::Failed).await);
    assert!(!bind(&bench, BindNeed::AfterCode, Bind::Wrong, Settlement::Failed).await);
    bench.clock.advance(Duration::from_secs(30 * 60));
    assert!(bind(&bench, BindNeed::Bare, Bind::Right, Settlement::Granted { learn: None }).await);
}

#[tokio::test]
async fn a_right_password_gives_the_binds_back_and_an_unanswered_one_does_not() {
    let bench = Bench::with_phone(1000).await;
    for _ in 0..2 {
        assert!(bind(&bench, BindNeed::Bare, Bind::Wrong, Settlement::Failed).await);
    }
    assert!(bind(&bench, BindNeed::Bare, Bind::Right, Settlement::Granted { learn: None }).await);
    for _ in 0..3 {
        assert!(bind(&bench, BindNeed::Bare, Bind::Unanswered, Settlement::Released).await);
    }
    assert!(!bind(&bench, BindNeed::Bare, Bind::Wrong, Settlement::Failed).await);
    assert!(bind(&bench, BindNeed::AfterCode, Bind::Right, Settlement::Granted { learn: None }).await);
    assert!(!bind(&bench, BindNeed::Bare, Bind::Wrong, Settlement::Failed).await, "still unanswered");
}

#[tokio::test]
async fn parallel_binds_and_those_of_a_crash_count_as_if_they_had_failed() {
    let bench = Bench::with_phone(1000).await;
    let request = |n: u32| {
        let lane = LaneKey::Local(format!("user {n}"));
        ChargeRequest { lane, bind: BindNeed::Bare, ..bench.request(None, CodeTry::NotAsked) }
    };
    let mut open = Vec::new();
    for n in 0..20 {
        if let ChargeReply::Charged(charge) = bench.store.charge(request(n)).await.unwrap() {
            open.push(charge);
        }
    }
    assert_eq!(open.len(), 3);
    let bench = bench.restart().await;
    std::mem::forget(open);
    assert!(!bind(&bench, BindNeed::Bare, Bind::Wrong, Settlement::Failed).await);
}
