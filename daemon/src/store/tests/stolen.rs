//! Promises 4 and 12: one diagnostic bind until a success, and what makes a password look stolen.

use super::*;
use crate::store::BindNeed;

const FROM: &str = "203.0.113.7";
const DIAGNOSING: Duration = Duration::from_secs(5);

async fn reserve(bench: &Bench, attempt: AttemptId) -> bool {
    let now = bench.clock.now();
    let latest = now.lane.after(DIAGNOSING);
    bench.store.reserve_diagnosis(attempt, &alice(), account_limits(), now, latest).await.unwrap()
}

/// Takes a diagnostic bind and settles it so. Whether there was one.
async fn diagnose(bench: &Bench, bind: Bind) -> bool {
    let attempt = attempt();
    let taken = reserve(bench, attempt).await;
    if taken {
        bench.store.settle_diagnosis(attempt, &alice(), bind, bench.clock.now()).await.unwrap();
    }
    taken
}

async fn suspect(bench: &Bench) -> Suspicion {
    bench.store.suspect(&alice(), FROM.into(), bench.clock.now()).await.unwrap()
}

/// A login by a rule that asks no code. Whether there was a bind for it.
async fn bare(bench: &Bench, bind: Bind, settlement: Settlement) -> bool {
    let request = ChargeRequest { bind: BindNeed::Bare, ..bench.request(None, CodeTry::NotAsked) };
    match bench.store.charge(request).await.unwrap() {
        ChargeReply::Charged(charge) => {
            let settled = bench.store.settle(*charge, settlement, bind, bench.clock.now(), CALM).await;
            assert_eq!(settled.unwrap(), Settled::Done);
            true
        }
        ChargeReply::NoBindLeft => false,
        other @ (ChargeReply::Closed { .. }
        | ChargeReply::Full
        | ChargeReply::TwoCodesOnly
        | ChargeReply::NoWayIn) => panic!("{other:?}"),
    }
}

const GRANTED: Settlement = Settlement::Granted { learn: None };

async fn with_both(bench: &Bench) {
    let code = CodeTry::Code(Secret::copy_of(&bench.code()));
    let request = ChargeRequest { bind: BindNeed::AfterCode, ..bench.request(at_home(), code) };
    let charge = charged(bench.store.charge(request).await.unwrap());
    let settled = bench.store.settle(charge, GRANTED, Bind::Right, bench.clock.now(), CALM).await;
    assert_eq!(settled.unwrap(), Settled::Done);
}

#[tokio::test]
async fn there_is_one_diagnostic_bind_until_the_next_success_whatever_it_says_and_through_a_restart() {
    for bind in [Bind::Wrong, Bind::Right, Bind::Unanswered] {
        let bench = Bench::with_phone(1000).await;
        assert!(diagnose(&bench, bind).await);
        assert!(!diagnose(&bench, bind).await);
        bench.clock.advance(Duration::from_secs(86_400));
        let bench = bench.restart().await;
        assert!(!diagnose(&bench, bind).await, "{bind:?}");
        let _ = bench.store.unlock(&alice(), bench.limits, bench.clock.now()).await.unwrap();
        assert!(!diagnose(&bench, bind).await, "an unlocking is no success");
        assert!(bare(&bench, Bind::Right, GRANTED).await);
        assert!(diagnose(&bench, bind).await);
    }
}

#[tokio::test]
async fn of_many_at_the_same_moment_one_gets_the_diagnostic_bind() {
    let bench = Bench::with_phone(1000).await;
    let now = bench.clock.now();
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let store = bench.store.clone();
            tokio::spawn(async move {
                store.reserve_diagnosis(attempt(), &alice(), account_limits(), now, now.lane).await.unwrap()
            })
        })
        .collect();
    let mut taken = 0;
    for task in tasks {
        taken += usize::from(task.await.unwrap());
    }
    assert_eq!(taken, 1);
}

#[tokio::test]
async fn one_that_was_certainly_not_sent_is_given_back() {
    let bench = Bench::with_phone(1000).await;
    for _ in 0..10 {
        assert!(diagnose(&bench, Bind::NotSent).await);
    }
    for _ in 0..3 {
        assert!(bare(&bench, Bind::Wrong, Settlement::Failed).await);
    }
}

/// The directory locks at five: one bind is kept for a right code, one for who need not prove any.
#[tokio::test]
async fn a_diagnostic_bind_leaves_room_for_logins_with_and_without_a_code() {
    let bench = Bench::with_phone(1000).await;
    for _ in 0..2 {
        assert!(bare(&bench, Bind::Wrong, Settlement::Failed).await);
    }
    assert!(!diagnose(&bench, Bind::Wrong).await, "the third is not for it");
    bench.clock.advance(Duration::from_secs(30 * 60));
    assert!(diagnose(&bench, Bind::Wrong).await, "it was not used up by that");
    for _ in 0..2 {
        assert!(bare(&bench, Bind::Wrong, Settlement::Failed).await);
    }
    assert!(!bare(&bench, Bind::Wrong, Settlement::Failed).await, "it counts as any other");
}

#[tokio::test]
async fn one_that_was_open_at_a_crash_counts_as_unanswered_until_the_directory_has_forgotten_it() {
    let bench = Bench::with_phone(1000).await;
    assert!(reserve(&bench, attempt()).await);
    let bench = bench.restart().await;
    assert!(!reserve(&bench, attempt()).await);
    for _ in 0..2 {
        assert!(bare(&bench, Bind::Wrong, Settlement::Failed).await);
    }
    bench.clock.advance(Duration::from_secs(30 * 60));
    bench.sql("DELETE FROM bind WHERE state = 'failed'").await.unwrap();
    for _ in 0..2 {
        assert!(bare(&bench, Bind::Wrong, Settlement::Failed).await);
    }
    assert!(!bare(&bench, Bind::Wrong, Settlement::Failed).await, "it may have been sent at the last moment");
    bench.clock.advance(DIAGNOSING);
    assert!(bare(&bench, Bind::Wrong, Settlement::Failed).await);
}

#[tokio::test]
async fn three_times_within_ten_minutes_and_a_password_looks_stolen_once() {
    let bench = Bench::with_phone(1000).await;
    assert_eq!(suspect(&bench).await, Suspicion::Noted);
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(suspect(&bench).await, Suspicion::Noted);
    bench.clock.advance(Duration::from_secs(600) - Duration::from_secs(1));
    assert_eq!(suspect(&bench).await, Suspicion::Noted, "the first is ten minutes old");
    assert_eq!(bench.store.stolen(&alice()).await.unwrap(), None);
    assert_eq!(suspect(&bench).await, Suspicion::Begins { tries: 3 });
    let began = bench.clock.now().wall;
    bench.clock.advance(Duration::from_secs(7200));
    assert_eq!(suspect(&bench).await, Suspicion::GoesOn);
    let bench = bench.restart().await;
    let stolen = bench.store.stolen(&alice()).await.unwrap().unwrap();
    let last = bench.clock.now().wall;
    assert_eq!(stolen, StolenPassword { tries: 4, since: began, last, last_from: FROM.into() });
    assert_eq!(bench.store.stolen(&AccountId::new("main:bob")).await.unwrap(), None);
}

#[tokio::test]
async fn a_success_between_begins_the_count_anew() {
    let bench = Bench::with_phone(1000).await;
    for _ in 0..5 {
        assert_eq!(suspect(&bench).await, Suspicion::Noted);
        assert_eq!(suspect(&bench).await, Suspicion::Noted);
        assert!(bare(&bench, Bind::Right, GRANTED).await);
    }
}

#[tokio::test]
async fn the_mark_ends_with_password_and_code_together_or_by_unlocking_and_with_nothing_less() {
    for unlock in [false, true] {
        let bench = Bench::with_phone(1000).await;
        for _ in 0..3 {
            let _ = suspect(&bench).await;
        }
        assert!(bare(&bench, Bind::Right, GRANTED).await);
        let code_alone = bench.show(elsewhere(), &bench.code()).await;
        assert_eq!(bench.grant(code_alone).await, Settled::Done);
        assert!(bench.store.stolen(&alice()).await.unwrap().is_some());
        bench.clock.advance(Duration::from_secs(90));
        if unlock {
            let _ = bench.store.unlock(&alice(), bench.limits, bench.clock.now()).await.unwrap();
        } else {
            with_both(&bench).await;
        }
        assert_eq!(bench.store.stolen(&alice()).await.unwrap(), None);
        assert_eq!(suspect(&bench).await, Suspicion::Noted, "it takes three again");
    }
}

#[tokio::test]
async fn a_refused_settlement_ends_no_mark() {
    let bench = Bench::with_phone(1000).await;
    for _ in 0..3 {
        let _ = suspect(&bench).await;
    }
    let code = CodeTry::Code(Secret::copy_of(&bench.code()));
    let request = ChargeRequest { bind: BindNeed::AfterCode, ..bench.request(at_home(), code) };
    let charge = charged(bench.store.charge(request).await.unwrap());
    bench.sql("UPDATE authenticator SET used_step = 1000000000").await.unwrap();
    let settled = bench.store.settle(charge, GRANTED, Bind::Right, bench.clock.now(), CALM).await.unwrap();
    assert_eq!(settled, Settled::Conflict);
    assert!(bench.store.stolen(&alice()).await.unwrap().is_some());
}
