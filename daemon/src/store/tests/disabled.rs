//! The administrator's lock, and lists of accounts.

use super::*;
use crate::store::NewLock;

const DAY: u64 = 86_400;

async fn disable(bench: &Bench, until: Option<u64>) {
    let lock = NewLock { until, reason: Some("left".into()), by: "uid 0".into() };
    bench.store.disable(&alice(), &name("alice"), lock, bench.clock.now()).await.unwrap();
}

async fn is_disabled(bench: &Bench) -> bool {
    bench.store.disabled(&alice(), bench.clock.now()).await.unwrap().is_some()
}

#[tokio::test]
async fn a_disabled_account_is_compared_as_always_and_its_charge_says_so() {
    let bench = Bench::with_phone(50).await;
    disable(&bench, None).await;
    let bench = bench.restart().await;
    let charge = bench.show(at_home(), &bench.code()).await;
    assert!(right(&charge) && charge.is_disabled());
    assert_eq!(bench.settle(charge, Settlement::Failed).await, Settled::Done);
    assert_eq!(bench.failures().await, 1, "it counts like any denial");
    assert!(bench.store.enable(&alice(), bench.clock.now()).await.unwrap());
    assert!(!bench.store.enable(&alice(), bench.clock.now()).await.unwrap());
    assert!(!bench.no_code().await.is_disabled());
}

#[tokio::test]
async fn a_login_under_way_is_not_granted_once_the_lock_is_on_disk() {
    let bench = Bench::with_phone(50).await;
    let charge = bench.show(at_home(), &bench.code()).await;
    disable(&bench, None).await;
    assert!(!charge.is_disabled());
    let learn = Some(Prefix::of("192.0.2.1".parse().unwrap()));
    assert_eq!(bench.settle(charge, Settlement::Granted { learn }).await, Settled::Disabled);
    assert_eq!(bench.store.known_from(&alice(), bench.clock.now()).await.unwrap(), []);
}

#[tokio::test]
async fn a_lock_with_a_last_day_ends_by_itself() {
    let bench = Bench::with_phone(50).await;
    disable(&bench, Some(bench.clock.now().wall.0 + DAY)).await;
    bench.clock.advance(Duration::from_secs(DAY - 1));
    assert!(is_disabled(&bench).await);
    bench.clock.advance(Duration::from_secs(1));
    assert!(!is_disabled(&bench).await);
}

#[tokio::test]
async fn every_account_that_has_anything_is_listed_once_page_by_page() {
    let bench = Bench::with_phone(50).await;
    let charge = bench.show(at_home(), &bench.code()).await;
    let learn = Some(Prefix::of("192.0.2.1".parse().unwrap()));
    assert_eq!(bench.settle(charge, Settlement::Granted { learn }).await, Settled::Done);
    disable(&bench, None).await;
    let now = bench.clock.now();
    for number in 0..7 {
        let (id, name) = (AccountId::new(format!("main:u{number}")), name(&format!("u{number}")));
        bench.store.renew_recovery(&id, &name, now).await.unwrap();
    }
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = bench.store.users(after, 3, now).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(AccountId::new(last.id.clone()));
        assert!(page.len() <= 3);
        all.extend(page);
    }
    let names: Vec<_> = all.iter().filter_map(|row| row.account.as_deref()).collect();
    assert_eq!(names, ["alice", "u0", "u1", "u2", "u3", "u4", "u5", "u6"]);
    let (first, second) = (&all[0], &all[1]);
    assert_eq!((first.authenticators, first.recovery_codes_left, first.disabled), (1, 0, true));
    assert_eq!(first.last_used, Some(now.wall.0));
    assert_eq!((second.authenticators, second.recovery_codes_left, second.disabled), (0, 10, false));
    assert_eq!(second.last_used, None);
}
