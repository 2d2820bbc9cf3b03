//! The servers of one directory, ranked by health, and opening a connection to the best of them.
//!
//! A server that failed is tried last until a look at it in the background finds it well again, so that a dead one
//! costs the login that found out and no other.

use super::endpoint::Endpoint;
use super::link::Link;
use super::{DirectoryError, lock, transport};
use crate::attempt::Deadline;
use ldap3::{Scope, SearchOptions};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;
use twinlock_control::ServerStatus;
use zeroize::Zeroizing;

/// How often a failed server is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Whom searches are made as.
pub(crate) enum Identity {
    /// Over ldapi as the daemon's own uid (SASL EXTERNAL), elsewhere anonymously: without a bind.
    Own,
    /// The service account. Both are non-empty.
    Service {
        /// `bind_dn`.
        dn: String,
        /// `bind_password`.
        password: Zeroizing<String>,
    },
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Bound as the service, once.
    Search,
    /// Bound as users, one after the other.
    Bind,
}

/// One directory's servers.
pub(crate) struct Servers {
    pub(crate) directory: String,
    pub(crate) list: Vec<Server>,
    pub(crate) identity: Identity,
    /// For a connection, its TLS handshake included.
    pub(crate) connect_timeout: Duration,
    /// For each answer.
    pub(crate) timeout: Duration,
}

/// One of them.
pub(crate) struct Server {
    url: String,
    endpoint: Endpoint,
    health: Mutex<Health>,
}

#[derive(Default)]
struct Health {
    well: Option<bool>,
    error: Option<String>,
    failed_at: Option<Instant>,
    /// Counts failures: a connection from before the last one is not used again.
    failures: u64,
    looked_after: bool,
}

/// Which server a connection leads to, and since which of its failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    place: usize,
    failures: u64,
}

impl Server {
    pub(crate) fn new(url: String, endpoint: Endpoint) -> Self {
        Self { url, endpoint, health: Mutex::default() }
    }
}

impl Servers {
    /// How each of them is.
    pub(crate) fn status(&self) -> Vec<ServerStatus> {
        let status = |server: &Server| {
            let health = lock(&server.health);
            ServerStatus {
                directory: self.directory.clone(),
                url: server.url.clone(),
                healthy: health.well,
                error: health.error.clone(),
            }
        };
        self.list.iter().map(status).collect()
    }

    /// Whether any of them may be well: none failed last, or at least one did not.
    pub(crate) fn any_may_answer(&self) -> bool {
        self.list.iter().any(|server| lock(&server.health).well != Some(false))
    }

    /// Whether the server did not fail since the connection was made.
    pub(crate) fn is_current(&self, origin: Origin) -> bool {
        self.list.get(origin.place).is_some_and(|server| lock(&server.health).failures == origin.failures)
    }

    /// An answer came.
    pub(crate) fn answered(&self, origin: Origin) {
        let Some(server) = self.list.get(origin.place) else { return };
        let mut health = lock(&server.health);
        if health.failures == origin.failures {
            (health.well, health.error, health.failed_at) = (Some(true), None, None);
        }
    }

    /// It did not do what it should. Counted once for all connections of the same time.
    pub(crate) fn failed(self: &Arc<Self>, origin: Origin, why: String) {
        let Some(server) = self.list.get(origin.place) else { return };
        let mut health = lock(&server.health);
        if health.failures == origin.failures {
            health.failures = health.failures.wrapping_add(1);
        }
        (health.well, health.error, health.failed_at) = (Some(false), Some(why), Some(Instant::now()));
        if !std::mem::replace(&mut health.looked_after, true) {
            tokio::spawn(look_after(Arc::downgrade(self), origin.place));
        }
    }

    /// The server's URL with what it did, for a reason.
    pub(crate) fn said(&self, origin: Origin, what: &str) -> String {
        let url = self.list.get(origin.place).map_or("?", |server| &server.url);
        format!("{url}: {what}")
    }

    /// A fresh connection to the best server that has one.
    ///
    /// # Errors
    /// [`DirectoryError::Unavailable`] with what each server did.
    pub(crate) async fn open(
        self: &Arc<Self>,
        purpose: Purpose,
        deadline: Deadline,
    ) -> Result<(Link, Origin), DirectoryError> {
        let mut reasons = Vec::new();
        for place in self.ranked() {
            if deadline.instant() <= Instant::now() {
                reasons.push("no time was left for another server".to_owned());
                break;
            }
            let Some(server) = self.list.get(place) else { continue };
            let origin = Origin { place, failures: lock(&server.health).failures };
            match self.open_to(server, purpose, deadline).await {
                Ok(link) => {
                    self.answered(origin);
                    return Ok((link, origin));
                }
                Err(why) => {
                    reasons.push(self.said(origin, &why));
                    self.failed(origin, why);
                }
            }
        }
        Err(DirectoryError::unavailable(reasons.join("; ")))
    }

    /// Places in the order they are tried: those that did not fail as in the file, then the one that failed longest
    /// ago.
    fn ranked(&self) -> Vec<usize> {
        let mut places: Vec<usize> = (0..self.list.len()).collect();
        places.sort_by_key(|place| self.list.get(*place).and_then(|server| lock(&server.health).failed_at));
        places
    }

    async fn open_to(&self, server: &Server, purpose: Purpose, deadline: Deadline) -> Result<Link, String> {
        let peer = transport::connect(&server.endpoint, deadline.at_most(self.connect_timeout))
            .await
            .map_err(|error| error.to_string())?;
        let mut link = Link::over(peer).await.map_err(|error| error.to_string())?;
        if purpose == Purpose::Search {
            let bound = deadline.at_most(self.timeout).bound(self.bind(&mut link, &server.endpoint)).await;
            bound.unwrap_or_else(|| Err("it did not answer the service account's bind in time".into()))?;
        }
        Ok(link)
    }

    /// The service's own bind. An empty DN or password never becomes one.
    async fn bind(&self, link: &mut Link, endpoint: &Endpoint) -> Result<(), String> {
        let (answer, who) = match (&self.identity, endpoint) {
            (Identity::Service { dn, password }, _) if dn.is_empty() || password.is_empty() => {
                return Err("bind_dn or bind_password is empty".into());
            }
            (Identity::Service { dn, password }, _) => {
                (link.ldap().simple_bind(dn, password).await, dn.as_str())
            }
            (Identity::Own, Endpoint::Unix(_)) => {
                (link.ldap().sasl_external_bind().await, "SASL EXTERNAL as the daemon's uid")
            }
            (Identity::Own, Endpoint::Tcp { .. }) => return Ok(()),
        };
        let answer = answer.map_err(|error| link.end(error))?;
        match answer.rc {
            0 => Ok(()),
            49 => Err(format!("it refuses {who}; check bind_dn and bind_password")),
            code => Err(format!("it answers the bind of {who} with result code {code}")),
        }
    }
}

/// Asks the server for its root entry: any answer shows that it is there.
pub(crate) async fn ping(link: &mut Link) -> Result<(), String> {
    let options = SearchOptions::new().sizelimit(1);
    let asked =
        link.ldap().with_search_options(options).search("", Scope::Base, "(objectClass=*)", vec!["1.1"]);
    asked.await.map(|_| ()).map_err(|error| link.end(error))
}

/// Looks at a failed server until it is well again.
async fn look_after(servers: std::sync::Weak<Servers>, place: usize) {
    loop {
        tokio::time::sleep(LOOK_AGAIN).await;
        let Some(servers) = servers.upgrade() else { return };
        let Some(server) = servers.list.get(place) else { return };
        let looked = async {
            let deadline = Deadline::within(servers.connect_timeout.saturating_add(servers.timeout));
            let mut link = servers.open_to(server, Purpose::Search, deadline).await?;
            deadline.bound(ping(&mut link)).await.unwrap_or_else(|| Err("it does not answer".into()))
        };
        let looked: Result<(), String> = looked.await;
        let mut health = lock(&server.health);
        match looked {
            Ok(()) => {
                (health.well, health.error, health.failed_at) = (Some(true), None, None);
            }
            Err(why) => {
                (health.well, health.error) = (Some(false), Some(why));
            }
        }
        if health.failed_at.is_none() {
            health.looked_after = false;
            return;
        }
    }
}
