//! The daemon's own record of attempts: a ring of bounded size in a file of its own, for `twinlock history`. It is no
//! evidence (that is the audit record in syslog) but what an administrator looks at first.
//!
//! A thread writes it. A login hands its attempt over and goes on: a slow, full or broken disk delays nobody. What
//! cannot be kept is counted.

mod read;
mod ring;
mod slot;
mod sums;

pub use read::{Wanted, WantedSource};

use crate::audit::{Auditor, Proved, Record, Verdict, event_line};
use crate::clock::WallTime;
use crate::decision::Reason;
use ring::Ring;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use sums::Sums;
use tokio::sync::watch;
use twinlock_config::Config;
use twinlock_control::RecordedAttempt;

/// Attempts waiting for the thread; beyond them one is lost and counted.
const QUEUE: usize = 4096;
/// How often what was written is brought to the disk, and old attempts are looked for.
const BEAT: Duration = Duration::from_secs(1);
/// How often a file that cannot be used is tried again.
const RETRY: Duration = Duration::from_secs(60);

/// The history. Cloning shares it.
#[derive(Clone)]
pub struct History {
    queue: SyncSender<RecordedAttempt>,
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    lost: AtomicU64,
    problem: Mutex<Option<String>>,
    /// The number of the newest attempt.
    newest: watch::Sender<u64>,
    /// One reader at a time: the file may be large.
    reading: tokio::sync::Mutex<()>,
}

impl History {
    /// Starts the thread, which makes the file where there is none. It ends when every clone is dropped and what waits is
    /// written.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub fn start(config: &Config, auditor: Auditor) -> io::Result<Self> {
        let (queue, waiting) = sync_channel(QUEUE);
        let shared = Arc::new(Shared {
            path: config.history_path(),
            lost: AtomicU64::new(0),
            problem: Mutex::new(None),
            newest: watch::Sender::new(0),
            reading: tokio::sync::Mutex::new(()),
        });
        let mut writer = Writer {
            shared: Arc::clone(&shared),
            auditor,
            slots: config.history_attempts(),
            keep: config.audit.keep.duration(),
            ring: None,
            sums: Sums::default(),
            unsynced: false,
        };
        let (opened, wait) = sync_channel(1);
        std::thread::Builder::new().name("history".into()).spawn(move || {
            writer.open();
            // Whoever waited may have given up.
            let _ = opened.send(());
            writer.run(&waiting);
        })?;
        // Usually done in no time; a disk that hangs keeps nobody from logging in.
        let _ = wait.recv_timeout(Duration::from_secs(2));
        Ok(Self { queue, shared })
    }

    /// Notes one attempt.
    pub fn attempt(&self, record: &Record, verdict: Verdict, reason: Reason, took: Duration, at: WallTime) {
        if self.queue.try_send(attempt(record, verdict, reason, took, at)).is_err() {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Attempts that could not be kept since the start.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Why nothing is written at the moment, if so.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.shared.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn attempt(
    record: &Record,
    verdict: Verdict,
    reason: Reason,
    took: Duration,
    at: WallTime,
) -> RecordedAttempt {
    let compared = |proved: Proved| if proved == Proved::No { "" } else { proved.word() };
    let some = |text: &Option<String>| text.clone().unwrap_or_default();
    let said = |text: &str| if text == "-" { String::new() } else { text.to_owned() };
    RecordedAttempt {
        number: 0,
        at: at.0,
        id: record.id.to_string(),
        phase: record.phase.into(),
        verdict: verdict.word().into(),
        reason: reason.word().into(),
        user: String::from_utf8_lossy(&record.user).into_owned(),
        account: some(&record.account),
        service: record.service.clone(),
        source: record.source.clone(),
        after: record.after.into(),
        place: said(&record.place),
        rule: some(&record.rule),
        asked: said(record.asked),
        password: compared(record.password).into(),
        code: compared(record.code).into(),
        waiver: some(&record.waiver),
        lane: some(&record.lane),
        observed: record.observed.map_or("", Reason::word).into(),
        caller: record.caller.clone(),
        ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        detail: some(&record.detail),
        count: 1,
    }
}

/// Whether nothing was compared, because the tarpit did not let it.
fn is_refused(attempt: &RecordedAttempt) -> bool {
    [Reason::PrefixClosed, Reason::LaneClosed, Reason::LaneFull, Reason::TwoCodesOnly]
        .iter()
        .any(|reason| reason.word() == attempt.reason)
}

struct Writer {
    shared: Arc<Shared>,
    /// Dropped before the auditor: once the audit thread has ended, the file is free for the next daemon.
    ring: Option<Ring>,
    auditor: Auditor,
    slots: u64,
    keep: Duration,
    sums: Sums,
    unsynced: bool,
}

impl Writer {
    fn run(&mut self, waiting: &Receiver<RecordedAttempt>) {
        let (mut beat, mut tried) = (Instant::now(), Instant::now());
        loop {
            let next = waiting.recv_timeout(BEAT);
            let now = Instant::now();
            match next {
                Ok(attempt) if is_refused(&attempt) => {
                    let kept = self.sums.pass(attempt, now);
                    kept.into_iter().for_each(|attempt| self.write(attempt));
                }
                Ok(attempt) => self.write(attempt),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.ring.is_none() && now.duration_since(tried) >= RETRY {
                tried = now;
                self.open();
            }
            if now.duration_since(beat) >= BEAT {
                beat = now;
                self.sums.due(now, false).into_iter().for_each(|attempt| self.write(attempt));
                self.tidy();
            }
        }
        self.sums.due(Instant::now(), true).into_iter().for_each(|attempt| self.write(attempt));
        self.tidy();
    }

    fn open(&mut self) {
        match Ring::open(&self.shared.path, self.slots) {
            Ok(ring) => {
                self.shared.newest.send_replace(ring.newest());
                self.ring = Some(ring);
                self.found(None);
            }
            Err(problem) => self.found(Some(problem)),
        }
    }

    fn write(&mut self, attempt: RecordedAttempt) {
        let lost = attempt.count.into();
        let Some(ring) = &mut self.ring else {
            self.shared.lost.fetch_add(lost, Ordering::Relaxed);
            return;
        };
        let written = ring.append(&slot::encode(&RecordedAttempt { number: ring.next(), ..attempt }));
        let newest = ring.newest();
        match written {
            Ok(()) => {
                self.unsynced = true;
                self.shared.newest.send_replace(newest);
                self.found(None);
            }
            Err(error) => {
                self.shared.lost.fetch_add(lost, Ordering::Relaxed);
                self.failed(&error);
            }
        }
    }

    /// Brings to the disk what was written, and erases what is too old.
    fn tidy(&mut self) {
        let Some(ring) = &mut self.ring else { return };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let done = ring
            .erase_before(now.saturating_sub(self.keep).as_secs())
            .and_then(|erased| if erased || self.unsynced { ring.sync() } else { Ok(()) });
        self.unsynced = false;
        if let Err(error) = done {
            self.failed(&error);
        }
    }

    fn failed(&self, error: &io::Error) {
        self.found(Some(format!("{}: it cannot be written: {error}", self.shared.path.display())));
    }

    /// A problem is told once, as long as it lasts.
    fn found(&self, problem: Option<String>) {
        let mut known = self.shared.problem.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(problem) = problem.as_ref().filter(|problem| known.as_ref() != Some(*problem)) {
            self.auditor.warning(&event_line("history-unavailable", &[("error", problem)]));
        }
        *known = problem;
    }
}

#[cfg(test)]
mod tests;
