//! The connection to twinlockd: blocking, whole messages, and never slower than its deadline.
//!
//! A deadline covers one silence of the daemon: connect, what is written, and the whole frame that is owed. A daemon
//! that sends a byte now and then gains nothing. Signals that the application handles only interrupt, never end, a wait.

use crate::args::Settings;
use crate::ffi;
use core::fmt;
use core::time::Duration;
use std::fs;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Instant;
use twinlock_protocol::{Assembler, DecodeError, FrameError, Message};
use zeroize::Zeroizing;

const READ_AT_ONCE: usize = 1024;
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// When the daemon's present silence has lasted too long.
#[derive(Clone, Copy)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub(crate) fn after(patience: Duration) -> Self {
        Self(Instant::now() + patience)
    }

    /// What is left of it; never zero.
    fn remaining(self) -> Result<Duration, ChannelError> {
        match self.0.checked_duration_since(Instant::now()) {
            None | Some(Duration::ZERO) => Err(ChannelError::Silent),
            Some(left) => Ok(left),
        }
    }
}

/// Why there is no message from twinlockd.
#[derive(Debug)]
pub(crate) enum ChannelError {
    /// Nobody can be reached there.
    Unreachable(io::Error),
    /// Somebody listens there who is neither root nor the owner of a directory that only its owner may write.
    Stranger(libc::uid_t),
    /// The deadline passed.
    Silent,
    /// The daemon hung up.
    Closed,
    /// The socket failed.
    Broken(io::Error),
    /// What came is no frame.
    Frame(FrameError),
    /// The frame holds no message.
    Message(DecodeError),
}

impl fmt::Display for ChannelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(error) => write!(f, "cannot be reached (is it running?): {error}"),
            Self::Stranger(uid) => write!(
                f,
                "uid {uid} listens, which is not root nor the owner of a directory that only its owner may write"
            ),
            Self::Silent => f.write_str("did not answer in time"),
            Self::Closed => f.write_str("hung up before its verdict"),
            Self::Broken(error) => write!(f, "the connection failed: {error}"),
            Self::Frame(error) => write!(f, "malformed reply: {error}"),
            Self::Message(error) => write!(f, "malformed reply: {error}"),
        }
    }
}

impl core::error::Error for ChannelError {}

/// A connection whose other end may be believed.
pub(crate) struct Channel {
    stream: UnixStream,
}

impl Channel {
    /// Connects and looks at who listens. A full backlog makes connect(2) wait: the deadline holds there too.
    pub(crate) fn open(settings: &Settings, deadline: Deadline) -> Result<Self, ChannelError> {
        let stream = ffi::socket().map_err(ChannelError::Unreachable)?;
        loop {
            stream.set_write_timeout(Some(deadline.remaining()?)).map_err(ChannelError::Broken)?;
            match ffi::connect(&stream, &settings.socket) {
                Ok(()) => break,
                Err(error) if is_worth_another_try(&error) => {}
                Err(error) => return Err(ChannelError::Unreachable(error)),
            }
        }
        believable(&stream, &settings.socket)?;
        Ok(Self { stream })
    }

    /// Writes one message.
    pub(crate) fn send(&self, message: &Message, deadline: Deadline) -> Result<(), ChannelError> {
        let frame = message.encode();
        let mut rest = frame.as_slice();
        while !rest.is_empty() {
            self.stream.set_write_timeout(Some(deadline.remaining()?)).map_err(ChannelError::Broken)?;
            match ffi::send(&self.stream, rest) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if is_worth_another_try(&error) => {}
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Err(ChannelError::Closed),
                Err(error) => return Err(ChannelError::Broken(error)),
            }
        }
        Ok(())
    }

    /// Reads one message and not a byte of the next.
    pub(crate) fn receive(&self, deadline: Deadline) -> Result<Message, ChannelError> {
        let mut assembler = Assembler::new();
        // A verdict's ticket passes through.
        let mut buffer = Zeroizing::new([0; READ_AT_ONCE]);
        loop {
            let wanted = assembler.wants().min(READ_AT_ONCE);
            let space = buffer.get_mut(..wanted).unwrap_or_default();
            self.stream.set_read_timeout(Some(deadline.remaining()?)).map_err(ChannelError::Broken)?;
            let read = match (&self.stream).read(space) {
                Ok(0) => return Err(ChannelError::Closed),
                Ok(read) => read,
                Err(error) if is_worth_another_try(&error) => continue,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Err(ChannelError::Closed),
                Err(error) => return Err(ChannelError::Broken(error)),
            };
            let arrived = space.get(..read).unwrap_or_default();
            if let Some(body) = assembler.push(arrived).map_err(ChannelError::Frame)? {
                return Message::decode(&body).map_err(ChannelError::Message);
            }
        }
    }
}

/// A signal came, or the kernel's time-out ran out a little early: the deadline decides.
fn is_worth_another_try(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Root may listen anywhere. Anybody else only in a directory that is theirs and theirs alone: so is the daemon's
/// user known without a look into files or name services.
fn believable(stream: &UnixStream, socket: &Path) -> Result<(), ChannelError> {
    let peer = ffi::peer_uid(stream).map_err(ChannelError::Broken)?;
    if peer == 0 {
        return Ok(());
    }
    let directory = socket.parent().ok_or(ChannelError::Stranger(peer))?;
    let directory = fs::symlink_metadata(directory).map_err(ChannelError::Broken)?;
    let theirs = directory.is_dir() && directory.uid() == peer && directory.mode() & WRITABLE_BY_OTHERS == 0;
    if theirs { Ok(()) } else { Err(ChannelError::Stranger(peer)) }
}
