//! What is seen and undone, what prefix lanes leave behind, and promise 13: where the time line goes on.

use super::*;

async fn fail_times(bench: &Bench, times: u32) {
    for _ in 0..times {
        let charge = bench.no_code().await;
        let _ = bench.settle(charge, Settlement::Failed).await;
    }
}

#[tokio::test]
async fn closed_lanes_are_listed_with_their_accounts_name() {
    let bench = Bench::with_phone(2).await;
    fail_times(&bench, 1).await;
    assert_eq!(bench.store.closed_lanes(bench.clock.now(), 10).await.unwrap(), []);
    fail_times(&bench, 1).await;
    let listed = bench.store.closed_lanes(bench.clock.now(), 10).await.unwrap();
    let [closed] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!((&closed.account, closed.name.as_deref()), (&alice(), Some("alice")));
    assert_eq!((&closed.key, closed.lane.failures), (&LaneKey::Unfamiliar, 2));
    bench.clock.advance(Duration::from_secs(31));
    assert_eq!(bench.store.closed_lanes(bench.clock.now(), 10).await.unwrap(), []);
}

#[tokio::test]
async fn an_account_without_a_name_is_listed_and_the_last_failure_stands_first() {
    let bench = Bench::empty(1);
    fail_times(&bench, 1).await;
    bench.clock.advance(Duration::from_secs(1));
    let request =
        ChargeRequest { account: AccountId::new("main:bob"), ..bench.request(None, CodeTry::NotAsked) };
    let charge = charged(bench.store.charge(request).await.unwrap());
    let _ = bench.settle(charge, Settlement::Failed).await;
    let accounts = |most| {
        let (store, now) = (bench.store.clone(), bench.clock.now());
        async move {
            let listed = store.closed_lanes(now, most).await.unwrap();
            assert!(listed.iter().all(|closed| closed.name.is_none()));
            listed.into_iter().map(|closed| closed.account.to_string()).collect::<Vec<_>>()
        }
    };
    assert_eq!(accounts(10).await, ["main:bob", "main:alice"]);
    assert_eq!(accounts(1).await, ["main:bob"]);
}

#[tokio::test]
async fn unlocking_opens_every_lane_of_one_account_and_says_which() {
    let bench = Bench::empty(1);
    fail_times(&bench, 1).await;
    let office = LaneKey::Network(twinlock_policy::LocationName::new("office"));
    for account in [alice(), AccountId::new("main:bob")] {
        let request =
            ChargeRequest { account, lane: office.clone(), ..bench.request(None, CodeTry::NotAsked) };
        let charge = charged(bench.store.charge(request).await.unwrap());
        let _ = bench.settle(charge, Settlement::Failed).await;
    }
    let unlocked = bench.store.unlock(&alice(), bench.limits, bench.clock.now()).await.unwrap();
    let keys: Vec<_> = unlocked.iter().map(|(key, lane)| (key.to_string(), lane.failures)).collect();
    assert_eq!(keys, [("in office".to_owned(), 1), ("unfamiliar".to_owned(), 1)]);
    assert_eq!(bench.failures().await, 0);
    let charge = bench.no_code().await;
    let _ = bench.settle(charge, Settlement::Released).await;
    assert_eq!(bench.store.closed_lanes(bench.clock.now(), 10).await.unwrap().len(), 1, "bob's stays");
    assert_eq!(bench.store.unlock(&alice(), bench.limits, bench.clock.now()).await.unwrap(), []);
}

#[tokio::test]
async fn prefix_lanes_that_were_written_are_there_at_the_next_start() {
    let bench = Bench::empty(1);
    let prefix = |text: &str| Prefix::try_from(text.to_owned()).unwrap();
    let lane = PrefixLane { failures: 3, began: LaneTime(5), not_before: LaneTime(7) };
    let later = PrefixLane { failures: 4, ..lane };
    let (one, two) = (prefix("192.0.2.7/32"), prefix("2001:db8::/48"));
    let now = bench.clock.now();
    bench.store.write_prefix_lanes(vec![(one, Some(lane)), (two, Some(lane))], now).await.unwrap();
    bench.store.write_prefix_lanes(vec![(one, Some(later))], now).await.unwrap();
    let bench = bench.restart().await;
    assert_eq!(bench.resumed.prefix_lanes, [(one, later), (two, lane)]);
    bench.store.write_prefix_lanes(vec![(one, None)], now).await.unwrap();
    let bench = bench.restart().await;
    assert_eq!(bench.resumed.prefix_lanes, [(two, lane)]);
}

/// Opens the store of a host that has been up for so long, notes `seen`, and closes it.
async fn run(folder: &Folder, boot: &str, age_ms: u64, seen: u64) -> u64 {
    let clock = Clock::manual(WallTime(1_800_000_000));
    let boot = Boot { id: boot.into(), age_ms };
    let (store, resumed) = open_on(folder, &clock, &limits(3), Some(&boot)).unwrap();
    store.tick(Now { lane: LaneTime(seen), wall: clock.now().wall }).await.unwrap();
    store.close().await;
    resumed.lane_time.0
}

#[tokio::test]
async fn while_the_host_runs_the_time_line_runs_on_whatever_the_daemon_last_wrote() {
    let folder = Folder::new();
    assert_eq!(run(&folder, "first", 1_000_000, 0).await, 0);
    assert_eq!(run(&folder, "first", 1_060_000, 60_000).await, 60_000);
    assert_eq!(run(&folder, "first", 1_500_000, 60_001).await, 500_000, "down for seven minutes");
}

#[tokio::test]
async fn after_a_boot_the_time_line_goes_on_from_what_was_written_and_never_backwards() {
    let folder = Folder::new();
    assert_eq!(run(&folder, "first", 1_000_000, 70_000).await, 0);
    assert_eq!(run(&folder, "second", 20_000, 80_000).await, 70_000);
    assert_eq!(run(&folder, "second", 45_000, 0).await, 95_000);
    assert_eq!(run(&folder, "second", 10_000, 0).await, 95_000, "a boot that is younger than it was");
    assert_eq!(run(&folder, "first", 9_000_000, 0).await, 95_000, "a boot that is not the last one");
}

/// Promise 5: after a hundred failures the unfamiliar lane takes two codes only, until a success or an unlocking.
#[tokio::test]
async fn unlocking_forgets_failures_without_a_success_and_wrong_codes_but_no_binds() {
    let bench = Bench::with_phone(3).await;
    let office = LaneKey::Network(twinlock_policy::LocationName::new("office"));
    let reply = async |lane: &LaneKey, bind| {
        let code = CodeTry::Code(Secret::copy_of(b"000000"));
        let request = ChargeRequest { lane: lane.clone(), bind, ..bench.request(at_home(), code) };
        bench.store.charge(request).await.unwrap()
    };
    let barred = async || {
        let mut barred = 0;
        for lane in [&LaneKey::Unfamiliar, &office] {
            let told = reply(lane, BindNeed::AfterCode).await;
            if matches!(told, ChargeReply::TwoCodesOnly) {
                barred += 1;
            } else {
                assert_eq!(bench.settle(charged(told), Settlement::Released).await, Settled::Done);
            }
        }
        barred
    };
    bench.sql("INSERT INTO account VALUES ('main:alice', 100)").await.unwrap();
    bench
        .sql(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20) \
             INSERT INTO wrong_code SELECT 'main:alice', 'in office', 1 FROM n",
        )
        .await
        .unwrap();
    bench
        .sql(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) \
             INSERT INTO bind SELECT i, 'main:alice', 1, 'failed' FROM n",
        )
        .await
        .unwrap();
    assert_eq!(barred().await, 2);
    let _ = bench.store.unlock(&alice(), bench.limits, bench.clock.now()).await.unwrap();
    assert_eq!(barred().await, 0);
    assert!(matches!(reply(&LaneKey::Unfamiliar, BindNeed::Bare).await, ChargeReply::NoBindLeft));
}
