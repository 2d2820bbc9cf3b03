//! Kept connections. Two pools: one for searches, bound once as the service, and one for users' binds, where each
//! connection carries one bind at a time. A caller waits for a free place until its deadline; a connection comes
//! back only if nothing speaks against it, and is closed after some minutes without use.

use super::link::Link;
use super::servers::{Origin, Purpose, Servers, ping};
use super::{DirectoryError, lock};
use crate::attempt::Deadline;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Longest life without use.
const KEPT: Duration = Duration::from_secs(180);

/// After this long without use a connection is tried before anything rests on it: a firewall may have forgotten it.
const DOUBTED: Duration = Duration::from_secs(15);

/// For the answer of a connection that is in doubt.
const LIVELY: Duration = Duration::from_secs(1);

/// Connections for one purpose.
pub(crate) struct Pool {
    servers: Arc<Servers>,
    purpose: Purpose,
    places: Arc<Semaphore>,
    /// The one used last stands last.
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    kept: Vec<Kept>,
    swept: bool,
}

struct Kept {
    link: Link,
    origin: Origin,
    since: Instant,
}

/// A connection in use. It is closed on drop, unless it is given back.
pub(crate) struct Lease {
    pub(crate) link: Link,
    origin: Origin,
    pool: Arc<Pool>,
    _place: OwnedSemaphorePermit,
}

impl Pool {
    /// An empty pool of at most `places` connections.
    pub(crate) fn new(servers: Arc<Servers>, purpose: Purpose, places: usize) -> Arc<Self> {
        let places = Arc::new(Semaphore::new(places));
        Arc::new(Self { servers, purpose, places, idle: Mutex::default() })
    }

    /// A connection that can be used now: a kept one, or a fresh one.
    ///
    /// # Errors
    /// [`DirectoryError::Unavailable`]: no place became free in time, or no server is there.
    pub(crate) async fn lease(self: &Arc<Self>, deadline: Deadline) -> Result<Lease, DirectoryError> {
        let place = self.place(deadline).await?;
        while let Some(Kept { mut link, origin, since }) = self.kept() {
            if !link.is_alive() || !self.servers.is_current(origin) {
                continue;
            }
            let doubted = since.elapsed() >= DOUBTED;
            if doubted && !matches!(deadline.at_most(LIVELY).bound(ping(&mut link)).await, Some(Ok(()))) {
                continue;
            }
            return Ok(Lease { link, origin, pool: Arc::clone(self), _place: place });
        }
        self.fresh_at(place, deadline).await
    }

    /// A connection that nobody used before.
    ///
    /// # Errors
    /// As [`Pool::lease`].
    pub(crate) async fn fresh(self: &Arc<Self>, deadline: Deadline) -> Result<Lease, DirectoryError> {
        let place = self.place(deadline).await?;
        self.fresh_at(place, deadline).await
    }

    async fn fresh_at(
        self: &Arc<Self>,
        place: OwnedSemaphorePermit,
        deadline: Deadline,
    ) -> Result<Lease, DirectoryError> {
        let (link, origin) = self.servers.open(self.purpose, deadline).await?;
        Ok(Lease { link, origin, pool: Arc::clone(self), _place: place })
    }

    async fn place(&self, deadline: Deadline) -> Result<OwnedSemaphorePermit, DirectoryError> {
        match deadline.bound(Arc::clone(&self.places).acquire_owned()).await {
            Some(Ok(place)) => Ok(place),
            Some(Err(_)) | None => Err(DirectoryError::unavailable(
                "every connection to it is busy; the directory is slower than logins come in",
            )),
        }
    }

    fn kept(&self) -> Option<Kept> {
        lock(&self.idle).kept.pop()
    }

    fn keep(self: &Arc<Self>, link: Link, origin: Origin) {
        let mut idle = lock(&self.idle);
        idle.kept.push(Kept { link, origin, since: Instant::now() });
        if !std::mem::replace(&mut idle.swept, true) {
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }
}

impl Lease {
    /// The servers of its pool.
    pub(crate) fn servers(&self) -> &Servers {
        &self.pool.servers
    }

    /// Whether the way to the server is TLS.
    pub(crate) fn is_over_tls(&self) -> bool {
        self.pool.servers.is_over_tls(self.origin)
    }

    /// What the server did, with its URL.
    pub(crate) fn said(&self, what: &str) -> String {
        self.pool.servers.said(self.origin, what)
    }

    /// The server did not do what it should: it is tried last from now on. Gives the reason with the server's URL.
    pub(crate) fn failed(self, why: String) -> String {
        let said = self.said(&why);
        self.pool.servers.failed(self.origin, why);
        said
    }

    /// An answer came and nothing speaks against the connection.
    pub(crate) fn give_back(mut self) {
        self.pool.servers.answered(self.origin);
        if self.link.is_alive() && self.pool.servers.is_current(self.origin) {
            let Self { link, origin, pool, _place } = self;
            pool.keep(link, origin);
        }
    }
}

/// Closes connections that were not used for long; ends when none is left.
async fn sweep(pool: std::sync::Weak<Pool>) {
    loop {
        tokio::time::sleep(KEPT / 4).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut idle = lock(&pool.idle);
        idle.kept.retain_mut(|kept| kept.since.elapsed() < KEPT && kept.link.is_alive());
        if idle.kept.is_empty() {
            idle.swept = false;
            return;
        }
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
