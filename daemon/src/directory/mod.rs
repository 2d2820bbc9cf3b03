//! The directory: who an account is, and whether a password is its password.
//!
//! Nothing else speaks LDAP, and nothing else makes a [`PasswordProof`]. A password leaves this host only over a
//! connection that `transport` protected, in exactly one bind per attempt; what a server answers passes `guard`
//! before `ldap3` sees it.

mod cache;
mod endpoint;
mod error;
mod exchange;
mod find;
mod guard;
mod link;
mod list;
mod pool;
mod prove;
mod secret_file;
mod servers;
mod tls;
mod transport;

pub use error::{DirectoryError, SetupError};
pub use list::{Page, Walk};
pub(crate) use prove::bindable;
pub use prove::{PasswordOutcome, PasswordProof};

use crate::attempt::{AttemptId, Deadline};
use cache::Cache;
use endpoint::Endpoint;
use find::Lookup;
use pool::Pool;
use servers::{Identity, Purpose, Server, Servers};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;
use twinlock_config::DirectorySettings;
use twinlock_control::ServerStatus;
use twinlock_policy::{AccountId, GroupName, Username};
use twinlock_protocol::Secret;

/// Most connections for searches.
const SEARCHES: usize = 8;

/// Most connections for users' binds.
const BINDS: usize = 32;

/// An entry that can log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The directory's name and the entry's entryUUID in lower case.
    pub id: AccountId,
    /// Its uid as the directory spells it; of several the one that was typed, else the first.
    pub name: Username,
    /// Every uid it bears, `name` among them.
    pub names: Vec<Username>,
    /// Where it stands.
    pub dn: String,
    /// Its uidNumber, if it has one.
    pub uid_number: Option<u32>,
    /// Groups that hold it; `None` if nobody asked or they could not be read.
    pub groups: Option<Vec<GroupName>>,
}

/// One directory of the configuration. Cloning shares it.
#[derive(Clone)]
pub struct Directory {
    searches: Arc<Pool>,
    binds: Arc<Pool>,
    servers: Arc<Servers>,
    lookup: Arc<Lookup>,
    cache: Arc<Cache>,
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Directory").field("name", &self.servers.directory).finish_non_exhaustive()
    }
}

impl Directory {
    /// Reads what `[directory.NAME]` names: the authorities and the bind password. Nothing is connected yet.
    ///
    /// # Errors
    /// [`SetupError`] names the file or key, and the remedy.
    pub fn new(name: &str, settings: &DirectorySettings, want_groups: bool) -> Result<Self, SetupError> {
        let key = |key: &str, what: &str| SetupError::Key {
            key: format!("directory.{name}.{key}"),
            what: what.to_owned(),
        };
        if settings.servers.is_empty() {
            return Err(key("servers", "name at least one server"));
        }
        let mut list = Vec::new();
        for url in &settings.servers {
            let endpoint = Endpoint::read(url, settings.tls.mode, || tls::connector(&settings.tls.ca))?;
            list.push(Server::new(url.clone(), endpoint));
        }
        let identity = match (&settings.bind_dn, &settings.bind_password) {
            (None, None) => Identity::Own,
            (Some(dn), Some(place)) if !dn.is_empty() => {
                Identity::Service { dn: dn.clone(), password: secret_file::read(place)? }
            }
            (Some(_), Some(_)) => {
                return Err(key("bind_dn", "it is empty; leave it out to search without it"));
            }
            (Some(_), None) => return Err(key("bind_password", "bind_dn needs one; name a file")),
            (None, Some(_)) => return Err(key("bind_dn", "bind_password needs one")),
        };
        let user_filter = settings.user_filter().to_owned();
        if !user_filter.contains("{user}") || ldap3::parse_filter(user_filter.replace("{user}", "x")).is_err()
        {
            return Err(key("user_filter", "it must be an LDAP filter (RFC 4515) with {user} in it"));
        }
        let servers = Arc::new(Servers {
            directory: name.to_owned(),
            list,
            identity,
            connect_timeout: settings.connect_timeout.duration(),
            timeout: settings.timeout.duration(),
        });
        let lookup = Lookup {
            directory: name.to_owned(),
            base: settings.base.clone(),
            user_filter,
            group_base: settings.group_base.clone().filter(|_| want_groups),
        };
        Ok(Self {
            searches: Pool::new(Arc::clone(&servers), Purpose::Search, SEARCHES),
            binds: Pool::new(Arc::clone(&servers), Purpose::Bind, BINDS),
            servers,
            lookup: Arc::new(lookup),
            cache: Arc::default(),
        })
    }

    /// The account that bears `name`; `None` if no entry does. Found is kept for 5 s, not found for 2 s. What was kept
    /// is not served while no server answers: where a password could not be proved, a right and a wrong code must
    /// look alike.
    ///
    /// # Errors
    /// [`DirectoryError`]; a name that two entries bear is [`DirectoryError::Ambiguous`].
    pub async fn find(&self, name: &Username, deadline: Deadline) -> Result<Option<Account>, DirectoryError> {
        if self.servers.any_may_answer()
            && let Some(known) = self.cache.get(name, Instant::now())
        {
            return Ok(known);
        }
        let found = deadline
            .bound(self.lookup.find(&self.searches, name, deadline))
            .await
            .unwrap_or_else(|| Err(DirectoryError::unavailable("no time was left for a search")))?;
        let groups_missing = self.lookup.group_base.is_some()
            && found.as_ref().is_some_and(|account| account.groups.is_none());
        if !groups_missing {
            self.cache.put(name, &found, Instant::now());
        }
        Ok(found)
    }

    /// The groups of the account that bears `name`, searched below `group_base` whatever the configuration in force asks
    /// for; `None` if no entry bears it, or the directory does not say.
    ///
    /// # Errors
    /// As [`Directory::find`].
    pub async fn groups_of(
        &self,
        name: &Username,
        group_base: &str,
        deadline: Deadline,
    ) -> Result<Option<Vec<GroupName>>, DirectoryError> {
        let lookup = Lookup { group_base: Some(group_base.to_owned()), ..(*self.lookup).clone() };
        let found = deadline
            .bound(lookup.find(&self.searches, name, deadline))
            .await
            .unwrap_or_else(|| Err(DirectoryError::unavailable("no time was left for a search")))?;
        Ok(found.and_then(|account| account.groups))
    }

    /// Whether `password` is the account's: one bind, never repeated once it may have been sent. A password that is
    /// empty, longer than 511 bytes, not UTF-8 or holds a NUL byte is wrong without a bind.
    ///
    /// # Errors
    /// [`DirectoryError::Unavailable`]; its `bind_sent` tells whether the directory may have counted a failure.
    pub async fn prove(
        &self,
        attempt: AttemptId,
        account: &Account,
        password: &Secret,
        deadline: Deadline,
    ) -> Result<PasswordOutcome, DirectoryError> {
        prove::prove(&self.binds, attempt, account, password, deadline).await
    }

    /// The work of [`Directory::prove`] for a name that no entry bears: binds a DN that does not exist. Proves
    /// nothing.
    ///
    /// # Errors
    /// As [`Directory::prove`].
    pub async fn prove_nobody(&self, password: &Secret, deadline: Deadline) -> Result<(), DirectoryError> {
        prove::prove_nobody(&self.binds, &self.lookup.base, password, deadline).await
    }

    /// How each server is.
    #[must_use]
    pub fn servers(&self) -> Vec<ServerStatus> {
        self.servers.status()
    }
}

/// A lock that a panic elsewhere does not take away: what it guards is sound after every statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
