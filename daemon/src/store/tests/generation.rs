//! Promise 2 where an administrator puts back a copy of the store: it is noticed, and a code that was used since the copy
//! was made does not work again. And nothing else is taken for that, wherever a crash falls.

use super::*;
use std::task::Poll;

impl Bench {
    fn file(&self) -> PathBuf {
        self.folder.0.join("generation")
    }

    /// As at a start.
    fn compared(&self) -> Generation {
        Generation::compare(&self.file(), &self.store, &self.resumed.generation).unwrap()
    }

    async fn moved_on(&self) -> Generation {
        let generation = self.compared();
        assert!(!self.store.is_restored());
        generation.move_on(&self.store).await.unwrap();
        generation
    }

    /// Ends the daemon in order, and copies the file.
    async fn copied(self, to: &str) -> Self {
        let bench = self.restart().await;
        bench.store.clone().close().await;
        std::fs::copy(bench.folder.db(), bench.folder.0.join(to)).unwrap();
        bench.restart().await
    }

    async fn put_back(self, from: &str) -> Self {
        self.store.clone().close().await;
        for wal in ["state.db-wal", "state.db-shm"] {
            let _ = std::fs::remove_file(self.folder.0.join(wal));
        }
        std::fs::copy(self.folder.0.join(from), self.folder.db()).unwrap();
        self.restart().await
    }

    async fn is_granted(&self, code: &[u8]) -> bool {
        let charge = self.show(at_home(), code).await;
        right(&charge) && self.grant(charge).await == Settled::Done
    }
}

/// Gives `work` up after it has waited so often: then it is `None`.
async fn cut<T>(work: impl Future<Output = T>, waits: usize) -> Option<T> {
    let (mut work, mut left) = (std::pin::pin!(work), waits);
    std::future::poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

#[tokio::test]
async fn a_copy_that_was_put_back_is_noticed_and_once_accepted_takes_new_codes_only() {
    let bench = Bench::with_phone(50).await;
    bench.moved_on().await;
    bench.enroll("new phone", OTHER_SEED, false).await.unwrap();
    let bench = bench.copied("copy").await;
    bench.moved_on().await;
    let code = bench.code();
    assert!(bench.is_granted(&code).await);

    let bench = bench.put_back("copy").await;
    let generation = bench.compared();
    assert!(bench.store.is_restored());
    generation.move_on(&bench.store).await.unwrap();
    let bench = bench.restart().await;
    let generation = bench.compared();
    assert!(bench.store.is_restored(), "neither time nor a restart makes it the latest one");

    assert_eq!(generation.accept(&bench.store, bench.clock.now()).await, Ok(Some(1)));
    assert!(!bench.store.is_restored());
    assert!(!bench.is_granted(&code).await, "it was used after the copy was made");
    let newest = code_of(SEED, WallTime(bench.clock.now().wall.0 + 30));
    assert!(!bench.is_granted(&newest).await, "so may have been all that are accepted now");
    assert_eq!(bench.store.authenticators(&alice()).await.unwrap().len(), 1, "what was pending is gone");
    bench.clock.advance(Duration::from_secs(60));
    assert!(bench.is_granted(&bench.code()).await);
    assert_eq!(
        generation.accept(&bench.store, bench.clock.now()).await,
        Ok(None),
        "there is nothing to accept"
    );
    let bench = bench.restart().await;
    bench.moved_on().await;
}

#[tokio::test]
async fn a_copy_of_a_moment_ago_is_old_once_the_daemon_was_stopped_or_a_minute_has_passed() {
    let bench = Bench::with_phone(50).await;
    bench.moved_on().await;
    let bench = bench.copied("copy").await;
    // The minute's, or the stop's.
    bench.moved_on().await;
    let bench = bench.put_back("copy").await;
    bench.compared();
    assert!(bench.store.is_restored());
}

#[tokio::test]
async fn the_latest_store_put_back_again_is_the_latest_store() {
    let bench = Bench::with_phone(50).await;
    bench.moved_on().await;
    let bench = bench.copied("old").await;
    bench.moved_on().await;
    let bench = bench.copied("latest").await.put_back("old").await;
    bench.compared();
    assert!(bench.store.is_restored());
    let bench = bench.put_back("latest").await;
    bench.moved_on().await;
}

#[tokio::test]
async fn wherever_a_crash_falls_the_store_is_not_taken_for_a_copy() {
    let mut bench = Bench::with_phone(50).await;
    for waits in 0.. {
        let generation = bench.compared();
        assert!(!bench.store.is_restored(), "after {waits} waits");
        let done = cut(generation.move_on(&bench.store), waits).await;
        // What was begun is done; nothing follows it.
        drop(Arc::clone(&generation.changing).lock_owned().await);
        bench = bench.restart().await;
        if let Some(done) = done {
            assert_eq!(done, Ok(()));
            assert!(waits > 0, "it was cut at least once; how often it waits depends on the machine");
            bench.moved_on().await;
            return;
        }
    }
}

#[tokio::test]
async fn wherever_a_crash_falls_while_a_copy_is_accepted_it_is_safe_before_it_counts() {
    for waits in 0.. {
        let bench = Bench::with_phone(50).await;
        bench.moved_on().await;
        let bench = bench.copied("copy").await;
        bench.moved_on().await;
        let code = bench.code();
        assert!(bench.is_granted(&code).await);
        let bench = bench.put_back("copy").await;
        let generation = bench.compared();
        let done = cut(generation.accept(&bench.store, bench.clock.now()), waits).await;
        drop(Arc::clone(&generation.changing).lock_owned().await);
        let bench = bench.restart().await;
        bench.compared();
        if !bench.store.is_restored() {
            assert!(!bench.is_granted(&code).await, "after {waits} waits");
        }
        if done.is_some() {
            assert!(!bench.store.is_restored() && waits >= 3);
            return;
        }
    }
}

#[tokio::test]
async fn a_store_without_authenticators_is_nobodys_copy_and_one_of_an_earlier_version_is_taken_over() {
    let bench = Bench::empty(3);
    std::fs::write(bench.file(), format!("{:032x}\n", 7)).unwrap();
    bench.moved_on().await;
    bench.enroll("phone", SEED, true).await.unwrap();
    bench.sql("UPDATE progress SET generation = NULL").await.unwrap();
    std::fs::remove_file(bench.file()).unwrap();
    let bench = bench.restart().await;
    bench.moved_on().await;
}

#[tokio::test]
async fn a_file_that_is_gone_or_no_such_file_agrees_with_no_store() {
    let mut bench = Bench::with_phone(3).await;
    for file in [None, Some("".as_bytes()), Some(b"-\n"), Some(b"\xff\xfe")] {
        bench.sql("UPDATE progress SET generation = 'a word'").await.unwrap();
        match file {
            None => drop(std::fs::remove_file(bench.file())),
            Some(bytes) => std::fs::write(bench.file(), bytes).unwrap(),
        }
        bench = bench.restart().await;
        bench.compared();
        assert!(bench.store.is_restored(), "{file:?}");
    }
    let nowhere = bench.folder.0.join("no folder/generation");
    let error = Generation::compare(&nowhere, &bench.store, &bench.resumed.generation).err().unwrap();
    assert!(error.to_string().contains("name one that is not backed up with the store"), "{error}");
}
