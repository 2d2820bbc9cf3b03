//! Promise 1 and section 8: whatever breaks, nobody is let in; logins that arrive together share one commit.

use super::*;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

fn problem(result: Result<(Store, Resumed), StoreError>) -> String {
    result.err().unwrap().to_string()
}

#[tokio::test]
async fn a_wrong_key_is_noticed_when_the_store_is_opened() {
    let bench = Bench::with_phone(3).await;
    bench.store.close().await;
    let other = SealKey::from_hex("fedcba9876543210".repeat(4).as_bytes()).unwrap();
    let db = bench.folder.db();
    let text = problem(Store::open(
        &db,
        other,
        &TotpSettings::default(),
        &bench.limits,
        &account_limits(),
        WallTime(1),
        None,
    ));
    assert!(text.contains("the seal key is not the one this store was made with"), "{text}");
    assert!(text.starts_with(db.to_str().unwrap()), "{text}");
}

#[tokio::test]
async fn a_second_daemon_is_refused_and_the_file_is_its_owners_alone() {
    let bench = Bench::empty(3);
    let text = problem(open(&bench.folder, &bench.clock, &bench.limits));
    assert!(text.contains("another twinlockd"), "{text}");
    for file in std::fs::read_dir(&bench.folder.0).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
    }
    bench.store.clone().close().await;
    std::fs::set_permissions(bench.folder.db(), PermissionsExt::from_mode(0o640)).unwrap();
    let text = problem(open(&bench.folder, &bench.clock, &bench.limits));
    assert!(text.contains("chmod 600"), "{text}");
}

#[tokio::test]
async fn what_is_no_store_is_refused_and_left_as_it_is() {
    let bench = Bench::empty(3);
    bench.store.clone().close().await;
    let text = b"this is a text, and a long one, that somebody keeps where the store should be ".repeat(30);
    std::fs::write(bench.folder.db(), &text).unwrap();
    assert!(problem(open(&bench.folder, &bench.clock, &bench.limits)).contains("not a readable store"));
    assert_eq!(std::fs::read(bench.folder.db()).unwrap(), text);

    std::fs::remove_file(bench.folder.db()).unwrap();
    rusqlite::Connection::open(bench.folder.db()).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    std::fs::set_permissions(bench.folder.db(), PermissionsExt::from_mode(0o600)).unwrap();
    assert!(problem(open(&bench.folder, &bench.clock, &bench.limits)).contains("not a Twinlock store"));
}

#[tokio::test]
async fn a_missing_folder_is_named_with_the_remedy() {
    let nowhere = std::path::Path::new("/nonexistent/twinlock/state.db");
    let text = problem(Store::open(
        nowhere,
        key(),
        &TotpSettings::default(),
        &limits(3),
        &account_limits(),
        WallTime(1),
        None,
    ));
    assert!(text.contains("/nonexistent/twinlock") && text.contains("make it"), "{text}");
}

/// With it, an insert into `child` is refused by the commit and not before.
const DEFERRED: &str = "CREATE TABLE parent (id INTEGER PRIMARY KEY); \
     CREATE TABLE child (parent INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)";

#[tokio::test]
async fn a_commit_that_fails_grants_nobody_and_the_slot_comes_back() {
    let bench = Bench::with_phone(1).await;
    bench.sql(DEFERRED).await.unwrap();
    let code = bench.code();
    let charge = bench.show(at_home(), &code).await;
    // Both wait in the queue before the thread can take the first: one batch.
    let now = bench.clock.now();
    let hold = bench.store.0.call(|_| {
        std::thread::sleep(Duration::from_millis(200));
        Ok(())
    });
    let granted = bench.store.settle(charge, Settlement::Granted { learn: None }, Bind::NotSent, now, CALM);
    let broken = bench.sql("INSERT INTO child VALUES (1)");
    let (_, granted, broken) = tokio::join!(hold, granted, broken);
    assert!(matches!(granted, Err(StoreError::Database(_))), "{granted:?}");
    assert!(broken.is_err());
    let again = bench.show(at_home(), &code).await;
    assert!(right(&again));
    assert_eq!(bench.grant(again).await, Settled::Done);
    assert_eq!(bench.failures().await, 0);
}

#[tokio::test]
async fn a_dropped_charge_is_still_counted_when_the_commit_that_counts_it_fails() {
    let bench = Bench::with_phone(3).await;
    bench.sql(DEFERRED).await.unwrap();
    drop(bench.no_code().await);
    assert!(bench.sql("INSERT INTO child VALUES (1)").await.is_err());
    bench.store.tick(bench.clock.now()).await.unwrap();
    assert_eq!(bench.failures().await, 1);
}

#[tokio::test]
async fn an_operation_that_fails_is_taken_back_alone() {
    let bench = Bench::with_phone(3).await;
    let hold = bench.store.0.call(|_| {
        std::thread::sleep(Duration::from_millis(200));
        Ok(())
    });
    let good = bench.show(at_home(), b"000000");
    let bad = bench.sql("DELETE FROM charge; SELECT nonsense");
    let (_, good, bad) = tokio::join!(hold, good, bad);
    assert!(bad.is_err());
    assert_eq!(bench.settle(good, Settlement::Failed).await, Settled::Done);
}

#[tokio::test]
async fn on_a_full_disk_nothing_is_charged_or_granted_and_it_heals() {
    let bench = Bench::with_phone(100_000).await;
    let charge = bench.show(at_home(), &bench.code()).await;
    bench.sql("PRAGMA max_page_count = 1").await.unwrap();
    let mut refused = None;
    for _ in 0..3000 {
        match bench.store.charge(bench.request(None, CodeTry::NotAsked)).await {
            Ok(ChargeReply::Charged(charge)) => std::mem::forget(charge),
            Ok(reply) => panic!("{reply:?}"),
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    assert!(refused.unwrap().to_string().contains("full"));
    bench.sql("PRAGMA max_page_count = 100000").await.unwrap();
    assert!(bench.store.charge(bench.request(None, CodeTry::NotAsked)).await.is_ok());
    assert_eq!(bench.grant(charge).await, Settled::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn settlements_that_arrive_together_share_commits() {
    let bench = Arc::new(Bench::empty(500));
    let mut charges = Vec::new();
    for _ in 0..300 {
        charges.push(bench.no_code().await);
    }
    let before = bench.store.commits();
    let started = std::time::Instant::now();
    let tasks: Vec<_> = charges
        .into_iter()
        .map(|charge| {
            let bench = Arc::clone(&bench);
            tokio::spawn(async move { bench.grant(charge).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), Settled::Done);
    }
    let commits = bench.store.commits() - before;
    println!("300 settlements in {commits} commits, {:?}", started.elapsed());
    assert!((1..150).contains(&commits), "{commits}");
}

#[tokio::test]
async fn beyond_its_queue_the_store_is_busy_at_once_and_closed_it_is_stopped() {
    let bench = Bench::empty(3);
    let mut calls = Vec::new();
    for _ in 0..writer::QUEUE + 300 {
        let store = bench.store.clone();
        let mut call = Box::pin(async move {
            store
                .0
                .call(|_| {
                    std::thread::sleep(Duration::from_micros(200));
                    Ok(())
                })
                .await
        });
        let first = std::future::poll_fn(|context| std::task::Poll::Ready(call.as_mut().poll(context))).await;
        calls.push((call, first));
    }
    assert!(calls.iter().any(|(_, first)| *first == std::task::Poll::Ready(Err(StoreError::Busy))));
    let store = bench.store.clone();
    bench.store.clone().close().await;
    assert_eq!(store.tick(bench.clock.now()).await, Err(StoreError::Stopped));
}
