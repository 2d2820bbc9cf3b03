//! The one thread that touches the database, and group commit: what waits is done in one transaction, each operation
//! in a savepoint of its own, and nobody hears of it before the commit is on disk. An operation that fails is taken
//! back alone; a commit that fails is a failure of all.

use super::settle::{self, Orphans};
use super::{SealKey, StoreError, file, sql_int};
use crate::totp::Parameters;
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{mpsc, oneshot};
use twinlock_policy::lane::LaneTime;

/// Operations that may wait; beyond it callers are told at once that the store is busy.
pub(super) const QUEUE: usize = 1024;
/// Operations that share one commit at most.
const BATCH: usize = 256;

/// All that an operation works with.
pub(super) struct Room {
    pub(super) db: Connection,
    pub(super) key: SealKey,
    /// The key before this transaction, if it rotates the key.
    pub(super) retired: Option<SealKey>,
    /// What a new authenticator gets.
    pub(super) parameters: Parameters,
    /// Steps accepted either side where an enrolment is confirmed.
    pub(super) window_steps: u8,
    /// The highest time that was seen on the tarpit's time line.
    pub(super) highest: LaneTime,
    /// Charges whose attempts ended without a settlement.
    pub(super) orphans: Orphans,
}

impl Room {
    /// Takes note of a time, so that the time line goes on from it after a restart.
    pub(super) fn see(&mut self, time: LaneTime) {
        self.highest = self.highest.max(time);
    }

    /// Goes on with another key, if the transaction is committed.
    pub(super) fn use_key(&mut self, key: SealKey) {
        let before = std::mem::replace(&mut self.key, key);
        self.retired.get_or_insert(before);
    }

    /// Runs `work` in a savepoint of its own.
    fn apart<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, StoreError>) -> Result<T, StoreError> {
        self.db.execute_batch("SAVEPOINT operation")?;
        let result = work(self);
        let end = match &result {
            Ok(_) => "RELEASE operation",
            Err(_) if self.db.is_autocommit() => return result,
            Err(_) => "ROLLBACK TO operation; RELEASE operation",
        };
        self.db.execute_batch(end)?;
        result
    }

    /// Runs `work` in a transaction and commits it if it changed anything. Tells whether there was a commit to disk.
    pub(super) fn transaction<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<(T, bool), StoreError> {
        self.db.execute_batch("BEGIN IMMEDIATE")?;
        let before = self.db.total_changes();
        let done = work(self).and_then(|value| {
            let changed = self.db.total_changes() != before;
            if changed {
                self.remember_time()?;
            }
            self.db.execute_batch("COMMIT")?;
            Ok((value, changed))
        });
        let retired = self.retired.take();
        if let (Err(_), Some(key)) = (&done, retired) {
            self.key = key;
        }
        if done.is_err() && !self.db.is_autocommit() {
            self.db.execute_batch("ROLLBACK")?;
        }
        done
    }

    /// Writes the highest time seen.
    pub(super) fn remember_time(&self) -> Result<(), StoreError> {
        self.db
            .prepare_cached("UPDATE progress SET lane_time = max(lane_time, ?1)")?
            .execute([sql_int(self.highest.0)])?;
        Ok(())
    }
}

/// An operation on its way through the thread.
pub(super) trait Operation: Send {
    /// Does it, inside the batch's transaction. The error is the one its caller gets, unless the batch fails.
    fn run(&mut self, room: &mut Room) -> Result<(), StoreError>;
    /// Replies, when the batch is on disk or has failed.
    fn reply(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Call<T, F> {
    work: Option<F>,
    result: Result<T, StoreError>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Operation for Call<T, F>
where
    T: Send,
    F: FnOnce(&mut Room) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, room: &mut Room) -> Result<(), StoreError> {
        if let Some(work) = self.work.take() {
            self.result = room.apart(work);
        }
        self.result.as_ref().map(drop).map_err(Clone::clone)
    }

    fn reply(self: Box<Self>, committed: Result<(), StoreError>) {
        let Self { result, reply, .. } = *self;
        // A caller that has gone is told nothing; a charge it would have got settles itself when dropped.
        drop(reply.send(committed.and(result)));
    }
}

enum Message {
    Do(Box<dyn Operation>),
    Stop(oneshot::Sender<()>),
}

/// The way to the thread.
#[derive(Clone)]
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
    commits: Arc<AtomicU64>,
}

impl Writer {
    /// Starts the thread, which ends when every `Writer` is gone or [`Writer::stop`] was called.
    pub(super) fn start(room: Room, lock: file::Lock) -> Result<Self, StoreError> {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let writer = Self { queue, commits: Arc::default() };
        let commits = Arc::clone(&writer.commits);
        std::thread::Builder::new()
            .name("store".into())
            .spawn(move || {
                let stopped = serve(room, waiting, &commits);
                drop(lock);
                if let Some(stopped) = stopped {
                    // Whoever asked may have gone.
                    let _ = stopped.send(());
                }
            })
            .map_err(|error| StoreError::Database(format!("its thread cannot be started: {error}")))?;
        Ok(writer)
    }

    /// Has `work` done and waits until it is on disk.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Room) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let call = Call { work: Some(work), result: Err(StoreError::Stopped), reply };
        self.queue.try_send(Message::Do(Box::new(call))).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(_) => StoreError::Stopped,
        })?;
        answer.await.unwrap_or(Err(StoreError::Stopped))
    }

    /// Commits that wrote something since the start.
    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Lets what waits be done, then ends the thread and waits for it.
    pub(super) async fn stop(&self) {
        let (stopped, answer) = oneshot::channel();
        if self.queue.send(Message::Stop(stopped)).await.is_ok() {
            // An error means that the thread has ended already.
            drop(answer.await);
        }
    }
}

fn serve(
    mut room: Room,
    mut waiting: mpsc::Receiver<Message>,
    commits: &AtomicU64,
) -> Option<oneshot::Sender<()>> {
    let mut stop = None;
    while stop.is_none() {
        let mut batch = Vec::new();
        let mut next = waiting.blocking_recv();
        while let Some(message) = next.take() {
            match message {
                Message::Do(operation) => batch.push(operation),
                Message::Stop(stopped) => stop = Some(stopped),
            }
            if stop.is_none() && batch.len() < BATCH {
                next = waiting.try_recv().ok();
            }
        }
        if batch.is_empty() {
            return stop;
        }
        let committed = together(&mut room, &mut batch);
        commits.fetch_add(u64::from(committed == Ok(true)), Ordering::Relaxed);
        for operation in batch {
            operation.reply(committed.clone().map(drop));
        }
    }
    stop
}

/// Does a batch in one transaction. Tells whether anything was written, or why nothing was done at all.
fn together(room: &mut Room, batch: &mut [Box<dyn Operation>]) -> Result<bool, StoreError> {
    let orphans = room.orphans.take();
    let mut later = Vec::new();
    let done = room.transaction(|room| {
        for orphan in &orphans {
            let adopted = room.apart(|room| settle::adopt(room, orphan));
            if adopted.is_err() {
                later.push(*orphan);
            }
            unless_lost(room, adopted)?;
        }
        for operation in batch.iter_mut() {
            let done = operation.run(room);
            unless_lost(room, done)?;
        }
        Ok(())
    });
    room.orphans.give_back(if done.is_ok() { later } else { orphans });
    done.map(|((), changed)| changed)
}

/// An error is its operation's own affair, unless SQLite took back the whole transaction on it, as it may when the disk
/// is full: what follows must not run outside of one.
fn unless_lost(room: &Room, done: Result<(), StoreError>) -> Result<(), StoreError> {
    if room.db.is_autocommit() {
        return done.and(Err(StoreError::Database("the transaction was taken back".into())));
    }
    Ok(())
}
