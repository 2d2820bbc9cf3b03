//! The servers of one directory, ranked by health, and opening a connection to the best of them.
//!
//! A server that failed is tried last until a look at it in the background finds it well again, so that a dead one
//! costs the login that found out and no other. One that refuses the service account is not asked to bind it again
//! by every login: the directory would lock that account.

use super::discovery::Discovery;
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

/// How often one is that refuses the service account: less often than directories lock an account for.
const LOOK_AGAIN_REFUSED: Duration = Duration::from_secs(600);

/// Most servers of one directory, over all the answers of DNS.
const MOST: usize = 256;

/// A caller's deadline that ends a wait earlier than this says nothing about a server.
pub(crate) const TELLING: Duration = Duration::from_secs(1);

/// Whom searches are made as.
pub(crate) enum Identity {
    /// Over ldapi as the daemon's own uid and over TLS by its own certificate (SASL EXTERNAL), elsewhere anonymously:
    /// without a bind.
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
    /// Those of the file, and those that DNS has named so far.
    pub(crate) list: Mutex<Vec<Arc<Server>>>,
    /// Domains whose servers DNS names.
    pub(crate) discoveries: Vec<Discovery>,
    pub(crate) identity: Identity,
    /// They are Active Directories: diagnostic messages hold sub-codes.
    pub(crate) sub_codes: bool,
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
    /// Its place among those that are well; none where DNS names it no more.
    rank: Mutex<Option<usize>>,
}

#[derive(Default)]
struct Health {
    well: Option<bool>,
    error: Option<String>,
    failed_at: Option<Instant>,
    /// Counts failures: a connection from before the last one is not used again.
    failures: u64,
    /// It refuses the service account, and what it said.
    refused: Option<String>,
    looked_after: bool,
}

/// Why a server was not opened.
enum NotOpened {
    /// It is not there, or not in order.
    Failed(String),
    /// It refuses the service account.
    Refused(String),
}

impl NotOpened {
    fn why(&self) -> &str {
        match self {
            Self::Failed(why) | Self::Refused(why) => why,
        }
    }
}

/// Which server a connection leads to, and since which of its failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    place: usize,
    failures: u64,
}

impl Server {
    pub(crate) fn new(url: String, endpoint: Endpoint, rank: usize) -> Self {
        Self { url, endpoint, health: Mutex::default(), rank: Mutex::new(Some(rank)) }
    }

    fn is_listed(&self) -> bool {
        lock(&self.rank).is_some()
    }
}

impl Servers {
    /// How each of them is.
    pub(crate) fn status(&self) -> Vec<ServerStatus> {
        let status = |server: &Arc<Server>| {
            let health = lock(&server.health);
            ServerStatus {
                directory: self.directory.clone(),
                url: server.url.clone(),
                healthy: if health.refused.is_some() { Some(false) } else { health.well },
                error: health.refused.clone().or_else(|| health.error.clone()),
            }
        };
        self.all().iter().filter(|server| server.is_listed()).map(status).collect()
    }

    /// Whether any of them may be well: at least one did not fail last, or DNS was not asked yet.
    pub(crate) fn any_may_answer(&self) -> bool {
        self.discoveries.iter().any(Discovery::is_fresh)
            || self.all().iter().any(|server| server.is_listed() && lock(&server.health).well != Some(false))
    }

    /// Whether the server did not fail since the connection was made.
    pub(crate) fn is_current(&self, origin: Origin) -> bool {
        self.server(origin.place).is_some_and(|server| lock(&server.health).failures == origin.failures)
    }

    /// Whether the way to it is TLS.
    pub(crate) fn is_over_tls(&self, origin: Origin) -> bool {
        self.server(origin.place).is_some_and(|server| server.endpoint.is_over_tls())
    }

    /// An answer came.
    pub(crate) fn answered(&self, origin: Origin) {
        let Some(server) = self.server(origin.place) else { return };
        let mut health = lock(&server.health);
        if health.failures == origin.failures {
            (health.well, health.error, health.failed_at) = (Some(true), None, None);
        }
    }

    /// It did not do what it should. Counted once for all connections of the same time.
    pub(crate) fn failed(self: &Arc<Self>, origin: Origin, why: String) {
        let Some(server) = self.server(origin.place) else { return };
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
        let url = self.server(origin.place).map_or_else(|| "?".to_owned(), |server| server.url.clone());
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
        self.discover(deadline, &mut reasons).await;
        for place in self.ranked() {
            if deadline.instant() <= Instant::now() {
                reasons.push("no time was left for another server".to_owned());
                break;
            }
            let Some(server) = self.server(place) else { continue };
            let (failures, refused) = {
                let health = lock(&server.health);
                (health.failures, health.refused.clone())
            };
            let origin = Origin { place, failures };
            if let Some(why) = refused.filter(|_| purpose == Purpose::Search) {
                reasons.push(self.said(origin, &why));
                continue;
            }
            let began = Instant::now();
            match self.open_to(&server, purpose, deadline).await {
                Ok(link) => {
                    self.answered(origin);
                    return Ok((link, origin));
                }
                Err(NotOpened::Failed(_))
                    if deadline.instant() <= Instant::now() && began.elapsed() < TELLING =>
                {
                    reasons.push(self.said(origin, "no time was left for a connection"));
                    break;
                }
                Err(not_opened) => {
                    let why = not_opened.why().to_owned();
                    reasons.push(self.said(origin, &why));
                    if let NotOpened::Refused(why) = not_opened {
                        lock(&server.health).refused = Some(why);
                    }
                    self.failed(origin, why);
                }
            }
        }
        Err(DirectoryError::unavailable(reasons.join("; ")))
    }

    /// Places in the order they are tried: those that did not fail as in the file or by DNS, then the one that failed
    /// longest ago.
    fn ranked(&self) -> Vec<usize> {
        let ranked = |(place, server): (usize, &Arc<Server>)| {
            let rank = (*lock(&server.rank))?;
            Some((lock(&server.health).failed_at, rank, place))
        };
        let mut places: Vec<_> = self.all().iter().enumerate().filter_map(ranked).collect();
        places.sort_unstable();
        places.into_iter().map(|(_, _, place)| place).collect()
    }

    fn all(&self) -> Vec<Arc<Server>> {
        lock(&self.list).clone()
    }

    fn server(&self, place: usize) -> Option<Arc<Server>> {
        lock(&self.list).get(place).cloned()
    }

    /// Asks DNS where it is time to: at first before anything else, later in the background, where an outage of DNS
    /// costs nobody anything.
    async fn discover(self: &Arc<Self>, deadline: Deadline, reasons: &mut Vec<String>) {
        for (number, discovery) in self.discoveries.iter().enumerate().filter(|(_, one)| one.is_due()) {
            if discovery.is_fresh() {
                if let Err(why) = self.look_up(number, deadline.at_most(self.timeout)).await {
                    reasons.push(why);
                }
            } else {
                let (servers, deadline) = (Arc::clone(self), Deadline::within(self.timeout));
                tokio::spawn(async move { servers.look_up(number, deadline).await });
            }
        }
    }

    /// Takes over what DNS names. What it names no more is not used again; what it does not answer stays as it was.
    async fn look_up(&self, number: usize, deadline: Deadline) -> Result<(), String> {
        let Some(discovery) = self.discoveries.get(number) else { return Ok(()) };
        let Some(_only_one) = deadline.bound(discovery.looking.lock()).await else {
            return Err("no time was left for DNS".into());
        };
        if !discovery.is_due() {
            return Ok(());
        }
        let found = discovery.look(deadline).await?;
        let mut list = lock(&self.list);
        // Those of the file come first; each domain has a thousand places behind them.
        let base = (number + 1) * 1000;
        let ours = |rank: usize| (base..base + 1000).contains(&rank);
        for server in list.iter() {
            let mut rank = lock(&server.rank);
            if rank.is_some_and(ours) && !found.iter().any(|(url, _)| *url == server.url) {
                *rank = None;
            }
        }
        for (offset, (url, endpoint)) in found.into_iter().enumerate() {
            match list.iter().find(|server| server.url == url) {
                Some(known) => *lock(&known.rank) = Some(base + offset),
                None if list.len() < MOST => list.push(Arc::new(Server::new(url, endpoint, base + offset))),
                None => {
                    return Err("DNS has named too many servers since the start; restart the daemon".into());
                }
            }
        }
        Ok(())
    }

    /// How long to wait before the next look.
    fn pause(&self, place: usize) -> Option<Duration> {
        let server = self.server(place)?;
        let health = lock(&server.health);
        Some(if health.refused.is_some() { LOOK_AGAIN_REFUSED } else { LOOK_AGAIN })
    }

    /// Whether a failed server is well again.
    async fn look(&self, place: usize) -> bool {
        // One that DNS names no more is not looked after.
        let Some(server) = self.server(place).filter(|server| server.is_listed()) else { return true };
        let deadline = Deadline::within(self.connect_timeout.saturating_add(self.timeout));
        let looked = match self.open_to(&server, Purpose::Search, deadline).await {
            Ok(mut link) => deadline.bound(ping(&mut link)).await.map_or_else(
                || Err(NotOpened::Failed("it does not answer".into())),
                |answer| answer.map_err(NotOpened::Failed),
            ),
            Err(not_opened) => Err(not_opened),
        };
        let mut health = lock(&server.health);
        match looked {
            Ok(()) => {
                *health = Health { well: Some(true), failures: health.failures, ..Health::default() };
                return true;
            }
            Err(NotOpened::Refused(why)) => (health.well, health.refused) = (Some(false), Some(why)),
            Err(NotOpened::Failed(why)) => (health.well, health.error) = (Some(false), Some(why)),
        }
        false
    }

    async fn open_to(
        &self,
        server: &Server,
        purpose: Purpose,
        deadline: Deadline,
    ) -> Result<Link, NotOpened> {
        let peer = transport::connect(&server.endpoint, deadline.at_most(self.connect_timeout))
            .await
            .map_err(|error| NotOpened::Failed(error.to_string()))?;
        let mut link = Link::over(peer).await.map_err(|error| NotOpened::Failed(error.to_string()))?;
        if purpose == Purpose::Search {
            let late = || NotOpened::Failed("it did not answer the service account's bind in time".into());
            let bound = deadline.at_most(self.timeout).bound(self.bind(&mut link, &server.endpoint)).await;
            bound.ok_or_else(late)??;
        }
        Ok(link)
    }

    /// The service's own bind. An empty DN or password never becomes one.
    async fn bind(&self, link: &mut Link, endpoint: &Endpoint) -> Result<(), NotOpened> {
        let (answer, who) = match (&self.identity, endpoint) {
            (Identity::Service { dn, password }, _) if dn.is_empty() || password.is_empty() => {
                return Err(NotOpened::Refused("bind_dn or bind_password is empty".into()));
            }
            (Identity::Service { dn, password }, _) => {
                (link.ldap().simple_bind(dn, password).await, dn.as_str())
            }
            (Identity::Own, Endpoint::Unix(_)) => {
                (link.ldap().sasl_external_bind().await, "SASL EXTERNAL as the daemon's uid")
            }
            (Identity::Own, Endpoint::Tcp { .. }) if endpoint.shows_certificate() => {
                (link.ldap().sasl_external_bind().await, "SASL EXTERNAL by tls.cert")
            }
            (Identity::Own, Endpoint::Tcp { .. }) => return Ok(()),
        };
        let answer = answer.map_err(|error| NotOpened::Failed(link.end(error)))?;
        match answer.rc {
            0 => Ok(()),
            49 => Err(NotOpened::Refused(format!(
                "it refuses {who}; check bind_dn and bind_password; it is asked again in 10 minutes, or after a restart"
            ))),
            code => Err(NotOpened::Failed(format!("it answers the bind of {who} with result code {code}"))),
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
    while let Some(pause) = servers.upgrade().and_then(|servers| servers.pause(place)) {
        tokio::time::sleep(pause).await;
        let Some(servers) = servers.upgrade() else { return };
        if servers.look(place).await {
            return;
        }
    }
}
