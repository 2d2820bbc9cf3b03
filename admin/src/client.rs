//! Asking the daemon over the admin socket: one line out, one line back, both bounded, all within a deadline.

use crate::outcome::Failure;
use std::io::ErrorKind::{ConnectionRefused, NotFound, PermissionDenied, TimedOut, WouldBlock};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use twinlock_control::{MAX_LINE, MAX_REPLY, Reply, Request};
use zeroize::Zeroizing;

/// The daemon may be silent for so long; it gives up on a directory sooner.
const SILENCE: Duration = Duration::from_secs(30);

/// A connection to the daemon.
pub(crate) struct Client {
    path: PathBuf,
    stream: BufReader<UnixStream>,
}

impl Client {
    pub(crate) fn connect(path: &Path) -> Result<Self, Failure> {
        Ok(Self { path: path.to_owned(), stream: BufReader::with_capacity(4096, connect(path)?) })
    }

    /// Puts one request and returns the reply, which is none of refusal.
    pub(crate) fn ask(&mut self, request: &Request) -> Result<Reply, Failure> {
        let mut line = Zeroizing::new(
            serde_json::to_vec(request)
                .map_err(|error| Failure::WrongUse(format!("this cannot be asked: {error}")))?,
        );
        line.push(b'\n');
        if line.len() > MAX_LINE {
            return Err(Failure::WrongUse("this is too long to be asked".into()));
        }
        self.stream.get_mut().write_all(&line).map_err(|error| lost(&self.path, &error))?;
        let reply = self.read_line()?;
        match serde_json::from_slice(&reply) {
            Ok(Reply::Error { kind, message }) => Err(Failure::Refused(kind, message)),
            Ok(reply) => Ok(reply),
            // The text of the error could repeat a piece of the reply, which may hold a seed.
            Err(_) => Err(unexpected()),
        }
    }

    fn read_line(&mut self) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let mut line = Zeroizing::new(Vec::with_capacity(4096));
        let limit = MAX_REPLY as u64 + 1;
        (&mut self.stream)
            .take(limit)
            .read_until(b'\n', &mut line)
            .map_err(|error| lost(&self.path, &error))?;
        match line.pop() {
            Some(b'\n') => Ok(line),
            Some(_) if line.len() >= MAX_REPLY => {
                Err(Failure::Unavailable("the daemon's reply is longer than 2 MiB".into()))
            }
            Some(_) | None => {
                Err(Failure::Unavailable("the daemon hung up before it replied; see its log".into()))
            }
        }
    }
}

/// A reply that does not fit the question: another version, or no twinlockd at all.
pub(crate) fn unexpected() -> Failure {
    Failure::Unavailable(
        "the daemon's reply is not understood; are twinlock and twinlockd of the same version?".into(),
    )
}

/// Opens a socket of the daemon, with a deadline for every silence.
pub(crate) fn connect(path: &Path) -> Result<UnixStream, Failure> {
    let stream = UnixStream::connect(path).map_err(|error| {
        let remedy = if error.kind() == PermissionDenied {
            "; run this as root"
        } else if matches!(error.kind(), NotFound | ConnectionRefused) {
            "; is twinlockd running (systemctl status twinlockd)?"
        } else {
            ""
        };
        Failure::Unavailable(format!("{}: cannot connect: {error}{remedy}", path.display()))
    })?;
    stream
        .set_read_timeout(Some(SILENCE))
        .and_then(|()| stream.set_write_timeout(Some(SILENCE)))
        .map_err(|error| lost(path, &error))?;
    Ok(stream)
}

/// The connection broke.
pub(crate) fn lost(path: &Path, error: &std::io::Error) -> Failure {
    if matches!(error.kind(), TimedOut | WouldBlock) {
        return Failure::Unavailable(format!("{}: the daemon is silent for 30 s", path.display()));
    }
    Failure::Unavailable(format!("{}: the connection broke: {error}", path.display()))
}
