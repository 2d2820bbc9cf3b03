//! Sends records to the syslog socket from a thread of its own. A login hands its record over and goes on: it never
//! waits for syslog. A restarted syslog daemon is found again; what cannot be kept is counted and said later.

use super::record::{Record, Verdict, severity};
use crate::decision::Reason;
use std::collections::VecDeque;
use std::io::{Error, ErrorKind};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use syslog::{Facility, Formatter3164, LogFormat, Severity};

/// Records waiting for the thread; beyond them, and beyond [`BACKLOG`], a record is lost and counted.
const QUEUE: usize = 4096;
/// Lines kept while the socket is away.
const BACKLOG: usize = 4096;
/// How long one send may block before the socket counts as stuck.
const SEND_LIMIT: Duration = Duration::from_millis(100);
/// How often a missing socket is looked for.
const RETRY: Duration = Duration::from_millis(250);

struct Entry {
    severity: Severity,
    line: String,
}

/// Takes records. Cloning shares the queue.
#[derive(Clone)]
pub struct Auditor {
    queue: SyncSender<Entry>,
    lost: Arc<AtomicU64>,
}

impl Auditor {
    /// Starts the thread. The socket need not be there yet. The handle ends once every clone is dropped and the queue
    /// is written out, or the socket has been away for a second.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub fn start(socket: &Path) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (queue, entries) = sync_channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            socket: socket.to_owned(),
            connection: None,
            waiting: VecDeque::new(),
            formatter: Formatter3164 {
                facility: Facility::LOG_AUTHPRIV,
                hostname: None,
                process: "twinlockd".into(),
                pid: std::process::id(),
            },
            lost: Arc::clone(&lost),
            told: 0,
        };
        let thread = std::thread::Builder::new().name("audit".into()).spawn(move || writer.run(&entries))?;
        Ok((Self { queue, lost }, thread))
    }

    /// The record of one attempt.
    pub fn attempt(&self, record: &Record, verdict: Verdict, reason: Reason, took: Duration) {
        self.enqueue(Entry { severity: severity(verdict), line: record.line(verdict, reason, took) });
    }

    /// What the daemon or an administrator did. `text` is the program's own; what others said is escaped before.
    pub fn event(&self, text: &str) {
        self.enqueue(Entry { severity: Severity::LOG_NOTICE, line: text.to_owned() });
    }

    /// Something the administrator should hear of.
    pub fn warning(&self, text: &str) {
        self.enqueue(Entry { severity: Severity::LOG_WARNING, line: text.to_owned() });
    }

    /// Something the administrator must hear of at once.
    pub fn alert(&self, text: &str) {
        self.enqueue(Entry { severity: Severity::LOG_ALERT, line: text.to_owned() });
    }

    /// Records that could not be kept.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn enqueue(&self, entry: Entry) {
        match self.queue.try_send(entry) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// `command`, `subject` and the like, for [`Auditor::event`]: escaped fields behind a word of our own.
#[must_use]
pub(crate) fn event_line(word: &str, fields: &[(&str, &str)]) -> String {
    let mut line = word.to_owned();
    for (key, value) in fields {
        super::escape::put(&mut line, key, value.as_bytes(), 128);
    }
    line
}

struct Writer {
    socket: PathBuf,
    connection: Option<UnixDatagram>,
    waiting: VecDeque<Entry>,
    formatter: Formatter3164,
    lost: Arc<AtomicU64>,
    told: u64,
}

impl Writer {
    fn run(mut self, entries: &Receiver<Entry>) {
        loop {
            let next = if self.waiting.is_empty() {
                entries.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                entries.recv_timeout(RETRY)
            };
            match next {
                Ok(entry) => {
                    self.keep(entry);
                    entries.try_iter().for_each(|entry| self.keep(entry));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.flush();
        }
        for _ in 0..4 {
            self.flush();
            if self.waiting.is_empty() {
                return;
            }
            std::thread::sleep(RETRY);
        }
    }

    fn keep(&mut self, entry: Entry) {
        if self.waiting.len() >= BACKLOG {
            self.waiting.pop_front();
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        self.waiting.push_back(entry);
    }

    fn flush(&mut self) {
        while let Some(entry) = self.waiting.front() {
            let mut bytes = Vec::with_capacity(entry.line.len() + 64);
            if self.formatter.format(&mut bytes, entry.severity, &entry.line).is_err() {
                self.lost.fetch_add(1, Ordering::Relaxed);
                self.waiting.pop_front();
                continue;
            }
            if self.send(&bytes).is_err() {
                self.connection = None;
                return;
            }
            self.waiting.pop_front();
        }
        self.tell_what_was_lost();
    }

    /// One datagram; a connection that has gone stale (syslog was restarted) is replaced once at once.
    fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if let Some(connection) = &self.connection {
            match connection.send(bytes) {
                Ok(_) => return Ok(()),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Err(error);
                }
                Err(_) => {}
            }
        }
        let connection = UnixDatagram::unbound()?;
        connection.connect(&self.socket)?;
        connection.set_write_timeout(Some(SEND_LIMIT))?;
        connection.send(bytes)?;
        self.connection = Some(connection);
        Ok(())
    }

    fn tell_what_was_lost(&mut self) {
        let lost = self.lost.load(Ordering::Relaxed);
        if lost > self.told {
            let line = format!("records-lost count=\"{}\"", lost - self.told);
            self.told = lost;
            self.waiting.push_back(Entry { severity: Severity::LOG_WARNING, line });
            self.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 2048];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    fn bound(path: &Path) -> UnixDatagram {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket
    }

    #[test]
    fn records_survive_a_restart_of_the_log_daemon() {
        let directory = std::env::temp_dir().join(format!("twinlock-audit-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("log");
        let first = bound(&path);
        let (auditor, thread) = Auditor::start(&path).unwrap();
        auditor.event("one");
        assert!(received(&first).ends_with(": one"));
        drop(first);
        std::fs::remove_file(&path).unwrap();
        for number in 0..100 {
            auditor.event(&format!("number {number}"));
        }
        std::thread::sleep(Duration::from_millis(300));
        let second = bound(&path);
        for number in 0..100 {
            assert!(received(&second).ends_with(&format!(": number {number}")));
        }
        assert_eq!(auditor.lost(), 0);
        drop(auditor);
        thread.join().unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_stuck_log_daemon_delays_nobody_and_what_is_lost_is_counted() {
        let directory = std::env::temp_dir().join(format!("twinlock-stuck-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("log");
        let stuck = bound(&path);
        let (auditor, thread) = Auditor::start(&path).unwrap();
        let started = std::time::Instant::now();
        for number in 0..(QUEUE + BACKLOG + 1000) {
            auditor.event(&format!("number {number}"));
        }
        assert!(started.elapsed() < Duration::from_secs(2));
        std::thread::sleep(Duration::from_millis(300));
        for number in 0..2 * QUEUE {
            auditor.event(&format!("late {number}"));
        }
        assert!(auditor.lost() > 0);
        drop(auditor);
        drop(stuck);
        std::fs::remove_file(&path).unwrap();
        thread.join().unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn what_was_lost_while_the_log_daemon_was_away_is_told_once_it_is_back() {
        let directory = std::env::temp_dir().join(format!("twinlock-lost-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("log");
        let (auditor, thread) = Auditor::start(&path).unwrap();
        for number in 0..(QUEUE + BACKLOG + 1000) {
            auditor.event(&format!("number {number}"));
        }
        let socket = bound(&path);
        let told = std::iter::repeat_with(|| received(&socket))
            .take(QUEUE + BACKLOG + 1)
            .find(|line| line.contains(": records-lost count=\""));
        assert!(told.is_some() && auditor.lost() >= 1000);
        drop(auditor);
        thread.join().unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn the_local_format_is_the_one_syslog_daemons_parse_there() {
        let directory = std::env::temp_dir().join(format!("twinlock-format-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let socket = bound(&directory.join("log"));
        let (auditor, thread) = Auditor::start(&directory.join("log")).unwrap();
        auditor.event(&event_line("test", &[("who", "a\"b")]));
        let line = received(&socket);
        assert!(line.starts_with("<85>"), "{line}");
        assert!(
            line.ends_with(&format!(" twinlockd[{}]: test who=\"a\\x22b\"", std::process::id())),
            "{line}"
        );
        drop(auditor);
        thread.join().unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
