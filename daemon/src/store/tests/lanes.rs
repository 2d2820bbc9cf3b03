//! Promise 3: charge first; and known pairs.

use super::*;
use proptest::prelude::*;
use std::sync::Arc;
use tokio::sync::Barrier;

async fn guess(bench: &Bench) -> bool {
    loop {
        match bench.store.charge(bench.request(at_home(), CodeTry::Code(Secret::copy_of(b"000000")))).await {
            Err(StoreError::Busy) => tokio::task::yield_now().await,
            Ok(ChargeReply::Full | ChargeReply::Closed { .. }) => return false,
            Ok(ChargeReply::Charged(charge)) => {
                assert!(matches!(charge.code(), CodeOutcome::Wrong));
                // Busy or not, the store counts it.
                let _ = bench
                    .store
                    .settle(*charge, Settlement::Failed, Bind::NotSent, bench.clock.now(), CALM)
                    .await;
                return true;
            }
            Ok(other @ (ChargeReply::TwoCodesOnly | ChargeReply::NoWayIn | ChargeReply::NoBindLeft)) => {
                panic!("{other:?}")
            }
            Err(error) => panic!("{error}"),
        }
    }
}

async fn in_a_row(rounds: &[u64]) -> Vec<u32> {
    let bench = Bench::with_phone(3).await;
    let mut compared = Vec::new();
    for wait in rounds {
        bench.clock.advance(Duration::from_secs(*wait));
        let mut count = 0;
        for _ in 0..20 {
            count += u32::from(guess(&bench).await);
        }
        compared.push(count);
    }
    compared
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_parallel_guesses_are_compared_as_often_as_so_many_in_a_row() {
    let rounds = [0, 30, 60, 120, 100];
    let bench = Arc::new(Bench::with_phone(3).await);
    let mut compared = Vec::new();
    for wait in rounds {
        bench.clock.advance(Duration::from_secs(wait));
        let start = Arc::new(Barrier::new(5000));
        let guesses: Vec<_> = (0..5000)
            .map(|_| {
                let (bench, start) = (Arc::clone(&bench), Arc::clone(&start));
                tokio::spawn(async move {
                    start.wait().await;
                    guess(&bench).await
                })
            })
            .collect();
        let mut count = 0;
        for task in guesses {
            count += u32::from(task.await.unwrap());
        }
        compared.push(count);
    }
    assert_eq!(compared, [3, 1, 1, 1, 0]);
    assert_eq!(compared, in_a_row(&rounds).await);
}

#[tokio::test]
async fn who_finds_all_slots_taken_is_neither_compared_nor_counted() {
    let bench = Bench::with_phone(3).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(bench.show(at_home(), b"000000").await);
    }
    let reply = bench.store.charge(bench.request(at_home(), CodeTry::NotAsked)).await.unwrap();
    assert!(matches!(reply, ChargeReply::Full));
    for charge in held {
        assert_eq!(bench.settle(charge, Settlement::Released).await, Settled::Done);
    }
    assert_eq!(bench.failures().await, 0);
    assert!(right(&bench.show(at_home(), &bench.code()).await));
}

#[tokio::test]
async fn a_closed_lane_compares_nothing_writes_nothing_and_is_not_lengthened() {
    let bench = Bench::with_phone(1).await;
    let charge = bench.show(at_home(), b"000000").await;
    assert_eq!(bench.settle(charge, Settlement::Failed).await, Settled::Done);
    let commits = bench.store.commits();
    let until = bench.clock.now().lane.after(Duration::from_secs(30));
    for _ in 0..20 {
        let request = bench.request(at_home(), CodeTry::Code(Secret::new(bench.code())));
        let reply = bench.store.charge(request).await.unwrap();
        assert!(matches!(reply, ChargeReply::Closed { until: told } if told == until));
    }
    assert_eq!(bench.store.commits(), commits);
    assert_eq!(bench.store.totals(bench.clock.now()).await.unwrap().lanes_closed, 1);
    bench.clock.advance(Duration::from_secs(30));
    assert!(right(&bench.show(at_home(), &bench.code()).await));
}

#[tokio::test]
async fn success_does_not_shorten_the_lane() {
    let bench = Bench::with_phone(3).await;
    let wrong = bench.show(at_home(), b"000000").await;
    assert_eq!(bench.settle(wrong, Settlement::Failed).await, Settled::Done);
    let good = bench.show(at_home(), &bench.code()).await;
    assert_eq!(bench.grant(good).await, Settled::Done);
    assert_eq!(bench.failures().await, 1);
}

#[tokio::test]
async fn a_charge_that_was_open_at_a_crash_is_a_failure() {
    let bench = Bench::with_phone(3).await;
    let code = bench.code();
    let open = bench.show(at_home(), &code).await;
    let bench = bench.restart().await;
    drop(open);
    assert_eq!(bench.resumed.crashed_charges, 1);
    assert_eq!(bench.failures().await, 1);
    assert_eq!(replay(&bench.show(elsewhere(), &code).await), Some(false));
    assert!(right(&bench.show(at_home(), &code).await));
}

#[tokio::test]
async fn a_charge_that_is_dropped_becomes_a_failure_and_frees_its_slot() {
    let bench = Bench::with_phone(3).await;
    drop(bench.no_code().await);
    bench.store.tick(bench.clock.now()).await.unwrap();
    assert_eq!(bench.failures().await, 1);
    let (one, two) = (bench.no_code().await, bench.no_code().await);
    assert_eq!(bench.grant(one).await, Settled::Done);
    assert_eq!(bench.grant(two).await, Settled::Done);
}

#[tokio::test]
async fn a_wait_goes_on_after_a_restart() {
    let bench = Bench::with_phone(1).await;
    bench.clock.advance(Duration::from_secs(1000));
    let charge = bench.show(at_home(), b"000000").await;
    assert_eq!(bench.settle(charge, Settlement::Failed).await, Settled::Done);
    bench.clock.advance(Duration::from_secs(10));
    bench.store.tick(bench.clock.now()).await.unwrap();
    let now = bench.clock.now().lane;
    let bench = bench.restart().await;
    assert_eq!(bench.resumed.lane_time, now);
    let reply = bench.store.charge(bench.request(None, CodeTry::NotAsked)).await.unwrap();
    assert!(matches!(reply, ChargeReply::Closed { .. }));
}

#[tokio::test]
async fn the_twenty_places_used_last_are_known_for_ninety_days() {
    let bench = Bench::empty(3);
    for host in 0..25_u8 {
        let learn = Some(Prefix::of(std::net::Ipv4Addr::new(192, 0, 2, host).into()));
        let charge = bench.no_code().await;
        assert_eq!(bench.settle(charge, Settlement::Granted { learn }).await, Settled::Done);
        bench.clock.advance(Duration::from_secs(1));
    }
    let known = bench.store.known_from(&alice(), bench.clock.now()).await.unwrap();
    assert_eq!(known.len(), 20);
    assert_eq!(known[0].to_string(), "192.0.2.24/32");
    assert_eq!(known[19].to_string(), "192.0.2.5/32");
    let bench = bench.restart().await;
    assert_eq!(bench.resumed.known_pairs.len(), 20);
    assert_eq!(bench.resumed.known_pairs[0].name.as_str(), "alice");
    bench.clock.advance(Duration::from_secs(90 * 86_400));
    assert_eq!(bench.store.known_from(&alice(), bench.clock.now()).await.unwrap(), []);
    assert_eq!(bench.restart().await.resumed.known_pairs, []);
}

#[derive(Debug, Clone, Copy)]
enum Move {
    Charge,
    Settle(Settlement),
    Wait(u64),
}

fn any_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        4 => Just(Move::Charge),
        3 => Just(Move::Settle(Settlement::Failed)),
        1 => Just(Move::Settle(Settlement::Released)),
        1 => Just(Move::Settle(Settlement::Granted { learn: None })),
        2 => (1_u64..2000).prop_map(Move::Wait),
    ]
}

/// What one lane answers to its own moves in a schedule of two lanes' moves, of which `played` says which are made.
async fn answers(schedule: &[(bool, Move)], played: impl Fn(bool) -> bool) -> Vec<String> {
    let bench = Bench::with_phone(3).await;
    let (mut said, mut open): (Vec<String>, [Vec<Charge>; 2]) = (Vec::new(), Default::default());
    for (second, step) in schedule {
        if let Move::Wait(seconds) = step {
            bench.clock.advance(Duration::from_secs(*seconds));
        } else if played(*second) {
            let held = &mut open[usize::from(*second)];
            let answer = match step {
                Move::Charge => {
                    let lane = if *second { LaneKey::Local("root".into()) } else { LaneKey::Unfamiliar };
                    let request = bench.request(at_home(), CodeTry::Code(Secret::copy_of(b"000000")));
                    match bench.store.charge(ChargeRequest { lane, ..request }).await.unwrap() {
                        ChargeReply::Charged(charge) => {
                            held.push(*charge);
                            "charged".to_owned()
                        }
                        ChargeReply::Full => "full".to_owned(),
                        ChargeReply::Closed { until } => format!("closed until {until:?}"),
                        other @ (ChargeReply::TwoCodesOnly
                        | ChargeReply::NoWayIn
                        | ChargeReply::NoBindLeft) => {
                            panic!("{other:?}")
                        }
                    }
                }
                Move::Settle(settlement) => match held.pop() {
                    Some(charge) => format!("{:?}", bench.settle(charge, *settlement).await),
                    None => String::new(),
                },
                Move::Wait(_) => String::new(),
            };
            if !second {
                said.push(answer);
            }
        }
    }
    said
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn attempts_in_one_lane_never_change_what_another_answers(
        schedule in proptest::collection::vec((any::<bool>(), any_move()), 0..40)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (both, alone) = runtime.block_on(async {
            (answers(&schedule, |_| true).await, answers(&schedule, |second| !second).await)
        });
        prop_assert_eq!(both, alone);
    }
}
