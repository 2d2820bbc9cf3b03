//! One connection, as `ldap3` uses it: a socket pair whose far end two pumps join to the server, through the guard.
//!
//! The pumps also know what `ldap3` does not tell: how many requests were begun to be sent. A bind that was not
//! begun was certainly not seen by a server. A link is used by one caller at a time and dropped after any doubt;
//! dropping it ends pumps, driver and socket.

use super::exchange::Exchange;
use super::guard::{self, Frames, Refused};
use super::lock;
use super::transport::Peer;
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, StdStream};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::{UnixStream, unix};
use tokio::task::AbortHandle;
use zeroize::Zeroizing;

/// A connection to one server.
pub(crate) struct Link {
    ldap: Ldap,
    watch: Arc<Watch>,
    tasks: [AbortHandle; 2],
}

#[derive(Default)]
struct Watch {
    /// Requests of which a first byte may have left.
    begun: AtomicU64,
    /// Why the connection ended.
    end: OnceLock<String>,
    exchange: Mutex<Exchange>,
}

impl Link {
    /// Puts `ldap3` on an open connection. Needs a running tokio runtime.
    ///
    /// # Errors
    /// No socket pair could be made.
    pub(crate) async fn over(peer: Peer) -> io::Result<Self> {
        let (near, far) = UnixStream::pair()?;
        let settings = LdapConnSettings::new().set_std_stream(StdStream::Unix(near.into_std()?));
        // The URL only says that the stream is a Unix socket.
        let (driver, ldap) =
            LdapConnAsync::with_settings(settings, "ldapi:///").await.map_err(io::Error::other)?;
        let watch = Arc::new(Watch::default());
        let pumps = tokio::spawn(pump(peer, far, Arc::clone(&watch))).abort_handle();
        let driver = tokio::spawn(async move {
            // Its error is the pumps' or the caller's as well.
            let _ = driver.drive().await;
        });
        Ok(Self { ldap, watch, tasks: [pumps, driver.abort_handle()] })
    }

    /// `ldap3`'s handle.
    pub(crate) fn ldap(&mut self) -> &mut Ldap {
        &mut self.ldap
    }

    /// Whether nothing speaks against using it once more.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.watch.end.get().is_none() && !self.ldap.is_closed()
    }

    /// Requests that were begun so far.
    pub(crate) fn begun(&self) -> u64 {
        self.watch.begun.load(Ordering::SeqCst)
    }

    /// Whether no request left since [`Link::begun`] was `before`, and none can leave any more.
    pub(crate) fn certainly_sent_nothing_since(&self, before: u64) -> bool {
        self.watch.end.get().is_some() && self.begun() == before
    }

    /// Why it ended, in words; `otherwise` where that is not known.
    pub(crate) fn end(&self, otherwise: impl ToString) -> String {
        self.watch.end.get().cloned().unwrap_or_else(|| otherwise.to_string())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

const CLOSED: &str = "it closed the connection";

/// Moves bytes both ways until either side ends. The reason is noted before `ldap3` can see the end.
async fn pump(peer: Peer, mut far: UnixStream, watch: Arc<Watch>) {
    let (from_peer, to_peer) = tokio::io::split(peer);
    let (from_us, to_us) = far.split();
    let end = tokio::select! {
        end = outward(from_us, to_peer, &watch) => end,
        end = inward(from_peer, to_us, &watch) => end,
    };
    let _ = watch.end.set(match end {
        Ok(()) => CLOSED.into(),
        // TLS calls it so where the session was not ended before the connection.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => CLOSED.into(),
        Err(error) => error.to_string(),
    });
}

async fn outward(mut from: unix::ReadHalf<'_>, mut to: WriteHalf<Peer>, watch: &Watch) -> io::Result<()> {
    let mut frames = Frames::new();
    let mut buffer = Zeroizing::new([0; 4096]);
    loop {
        let read = from.read(buffer.as_mut_slice()).await?;
        if read == 0 {
            return Ok(());
        }
        frames.feed(buffer.get(..read).unwrap_or_default());
        while let Some(message) = frames.next().map_err(refused)? {
            lock(&watch.exchange).asked(guard::request(&message).map_err(refused)?);
            watch.begun.fetch_add(1, Ordering::SeqCst);
            to.write_all(&message).await?;
            to.flush().await?;
        }
    }
}

async fn inward(mut from: ReadHalf<Peer>, mut to: unix::WriteHalf<'_>, watch: &Watch) -> io::Result<()> {
    let mut frames = Frames::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        frames.feed(buffer.get(..read).unwrap_or_default());
        while let Some(message) = frames.next().map_err(refused)? {
            let envelope = guard::response(&message).map_err(refused)?;
            lock(&watch.exchange).answered(envelope, message.len()).map_err(refused)?;
            to.write_all(&message).await?;
        }
    }
}

fn refused(refused: Refused) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, refused.to_string())
}
