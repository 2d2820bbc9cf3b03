//! The directory: who an account is, and whether a password is its password.
//!
//! Nothing else speaks LDAP, and nothing else makes a [`PasswordProof`]. A password leaves this host only over a
//! connection that `transport` protected, in exactly one bind per attempt; what a server answers passes `guard`
//! before `ldap3` sees it.

mod answer;
mod cache;
mod change;
mod discovery;
mod endpoint;
mod error;
mod exchange;
mod find;
mod groups;
mod guard;
mod link;
mod list;
mod lockout;
mod pool;
mod prove;
mod secret_file;
mod servers;
mod several;
mod standing;
mod tls;
mod transport;

pub use change::Changed;
pub use error::{DirectoryError, SetupError};
pub(crate) use prove::bindable;
pub use prove::{PasswordOutcome, PasswordProof};
pub use several::Directories;
pub use several::{Page, Walk};
pub use standing::{Bar, PasswordAge, Standing};

use crate::attempt::{AttemptId, Deadline};
use cache::Cache;
use discovery::Discovery;
use endpoint::Endpoint;
use find::Lookup;
use pool::Pool;
use servers::{Identity, Purpose, Server, Servers};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::Instant;
use twinlock_config::{AccountState, DirectorySettings, Lockout};
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
    /// The directory's name and the entry's immutable id.
    pub id: AccountId,
    /// What the directory calls it; of several such names the one that was typed, else the first.
    pub name: Username,
    /// Every name it bears, `name` among them.
    pub names: Vec<Username>,
    /// Where it stands.
    pub dn: String,
    /// Its uidNumber, if it has one.
    pub uid_number: Option<u32>,
    /// Groups that hold it; `None` if nobody asked or they could not be read.
    pub groups: Option<Vec<GroupName>>,
    /// How it stands, as its attributes tell.
    pub standing: Standing,
    /// When its directory locks it.
    pub lockout: Lockout,
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
        let (mut list, mut discoveries) = (Vec::new(), Vec::new());
        for url in &settings.servers {
            if let Some(domain) = discovery::domain_of(url) {
                discoveries.push(Discovery::new(url, domain, &settings.tls)?);
                continue;
            }
            let endpoint = Endpoint::read(url, &settings.tls, || tls::connector(&settings.tls))?;
            list.push(Arc::new(Server::new(url.clone(), endpoint, list.len())));
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
        let shape = settings.shape();
        let is_filter = |filter: &str, places: &[&str]| {
            let filled = places.iter().fold(filter.to_owned(), |filter, place| filter.replace(place, "x"));
            ldap3::parse_filter(filled).is_ok()
        };
        if !shape.user_filter.contains("{user}") || !is_filter(&shape.user_filter, &["{user}"]) {
            return Err(key("user_filter", "it must be an LDAP filter (RFC 4515) with {user} in it"));
        }
        if !is_filter(&shape.group_filter, &["{dn}", "{user}", "{gid}", "{primary}"]) {
            return Err(key("group_filter", "it must be an LDAP filter (RFC 4515)"));
        }
        let servers = Arc::new(Servers {
            directory: name.to_owned(),
            list: Mutex::new(list),
            discoveries,
            identity,
            sub_codes: shape.account_state.contains(&AccountState::ActiveDirectory),
            connect_timeout: settings.connect_timeout.duration(),
            timeout: settings.timeout.duration(),
        });
        let lookup = Lookup {
            directory: name.to_owned(),
            base: settings.base.clone(),
            shape,
            lockout: settings.lockout.clone(),
            policies: lockout::Policies::default(),
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
            .bound(self.lookup.find(&self.searches, name, seconds_now(), deadline))
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
            .bound(lookup.find(&self.searches, name, seconds_now(), deadline))
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

    /// Gives the account a new password, on the word of the old one. Never repeated.
    ///
    /// # Errors
    /// [`DirectoryError::Unavailable`]: whether the password is a new one is not known if `bind_sent` says so.
    pub async fn change(
        &self,
        account: &Account,
        old: &Secret,
        new: &Secret,
        deadline: Deadline,
    ) -> Result<Changed, DirectoryError> {
        let asked = change::Change { dn: &account.dn, old, new, today: seconds_now() / 86_400 };
        let active_directory = self.servers.sub_codes;
        let pool = if active_directory { &self.searches } else { &self.binds };
        let shadow = self.lookup.shape.account_state.contains(&AccountState::Shadow);
        let lease = pool.fresh(deadline).await?;
        let deadline = deadline.at_most(self.servers.timeout.saturating_mul(2));
        let changed = if active_directory {
            change::active_directory(lease, &asked, deadline).await
        } else {
            change::rfc3062(lease, &asked, shadow, deadline).await
        };
        self.cache.forget(&account.id);
        changed
    }

    /// Whether every server failed last.
    #[must_use]
    pub fn is_away(&self) -> bool {
        !self.servers.any_may_answer()
    }

    /// Where and by which filter a name is searched.
    #[must_use]
    pub fn question(&self, name: &Username) -> (String, String) {
        (self.lookup.base.clone(), self.lookup.filter(name))
    }

    /// How each server is.
    #[must_use]
    pub fn servers(&self) -> Vec<ServerStatus> {
        self.servers.status()
    }
}

/// Entries tell their ends in whole seconds; what was found is kept for some.
fn seconds_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// A lock that a panic elsewhere does not take away: what it guards is sound after every statement.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
