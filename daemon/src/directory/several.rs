//! Several directories as one. A name with a realm is asked of that realm's directory alone; another name of each in
//! file order, until one knows it. A directory that does not answer ends the search: below it another account may
//! bear the same name.

use super::{Account, Changed, Directory, DirectoryError, PasswordOutcome, SetupError, list};
use crate::attempt::{AttemptId, Deadline};
use indexmap::IndexMap;
use std::collections::HashMap;
use twinlock_config::DirectorySettings;
use twinlock_control::ServerStatus;
use twinlock_policy::{GroupName, Username};
use twinlock_protocol::Secret;

/// Every directory of the configuration.
#[derive(Debug, Clone)]
pub struct Directories(Vec<One>);

#[derive(Debug, Clone)]
struct One {
    name: String,
    realm: Option<String>,
    directory: Directory,
}

/// Where a listing of all of them stands.
pub struct Walk {
    directory: usize,
    inside: Option<list::Walk>,
}

/// A page of accounts.
pub struct Page {
    /// They. Groups are not read.
    pub accounts: Vec<Account>,
    /// Entries that were looked at.
    pub entries: usize,
    /// What the next page goes on from; `None` behind the last one.
    pub next: Option<Walk>,
}

impl Directories {
    /// The first page of all accounts, or the one behind `walk`: one directory after the other.
    ///
    /// # Errors
    /// As [`Directory::page`].
    pub async fn page(&self, walk: Option<Walk>, deadline: Deadline) -> Result<Page, DirectoryError> {
        let Walk { directory, inside } = walk.unwrap_or(Walk { directory: 0, inside: None });
        let Some(one) = self.0.get(directory) else {
            return Ok(Page { accounts: Vec::new(), entries: 0, next: None });
        };
        let page = one.directory.page(inside, deadline).await?;
        let next = match page.next {
            inside @ Some(_) => Some(Walk { directory, inside }),
            None => (directory + 1 < self.0.len()).then_some(Walk { directory: directory + 1, inside: None }),
        };
        Ok(Page { accounts: page.accounts, entries: page.entries, next })
    }

    /// Reads what every `[directory.NAME]` names.
    ///
    /// # Errors
    /// The table's name, and what is wrong with it.
    pub fn new(
        settings: &IndexMap<String, DirectorySettings>,
        want_groups: bool,
    ) -> Result<Self, (String, SetupError)> {
        let made = settings.iter().map(|(name, settings)| {
            let directory =
                Directory::new(name, settings, want_groups).map_err(|error| (name.clone(), error))?;
            Ok(One { name: name.clone(), realm: settings.realm.clone(), directory })
        });
        Ok(Self(made.collect::<Result<_, _>>()?))
    }

    /// The account that bears `name`; see [`Directory::find`].
    ///
    /// # Errors
    /// As there.
    pub async fn find(&self, name: &Username, deadline: Deadline) -> Result<Option<Account>, DirectoryError> {
        let (asked, name) = self.asked(name);
        for one in asked {
            if let Some(account) = one.directory.find(&name, deadline).await? {
                return Ok(Some(account));
            }
        }
        Ok(None)
    }

    /// Whether no server answers of some directory that `name` would be asked of.
    #[must_use]
    pub fn is_away(&self, name: &Username) -> bool {
        self.asked(name).0.iter().any(|one| one.directory.is_away())
    }

    /// As [`Directory::prove`], of the directory the account came from.
    ///
    /// # Errors
    /// As there.
    pub async fn prove(
        &self,
        attempt: AttemptId,
        account: &Account,
        password: &Secret,
        deadline: Deadline,
    ) -> Result<PasswordOutcome, DirectoryError> {
        self.of(account)?.prove(attempt, account, password, deadline).await
    }

    /// As [`Directory::prove_nobody`], of the first directory that `name` was asked of.
    ///
    /// # Errors
    /// As there.
    pub async fn prove_nobody(
        &self,
        name: &Username,
        password: &Secret,
        deadline: Deadline,
    ) -> Result<(), DirectoryError> {
        let (asked, _) = self.asked(name);
        let Some(first) = asked.first() else { return Ok(()) };
        first.directory.prove_nobody(password, deadline).await
    }

    /// As [`Directory::change`], of the directory the account came from.
    ///
    /// # Errors
    /// As there.
    pub async fn change(
        &self,
        account: &Account,
        old: &Secret,
        new: &Secret,
        deadline: Deadline,
    ) -> Result<Changed, DirectoryError> {
        self.of(account)?.change(account, old, new, deadline).await
    }

    /// As [`Directory::groups_of`], of the directory the account came from; `bases` has a `group_base` by its name.
    ///
    /// # Errors
    /// As there.
    pub async fn groups_of(
        &self,
        account: &Account,
        bases: &HashMap<String, String>,
        deadline: Deadline,
    ) -> Result<Option<Vec<GroupName>>, DirectoryError> {
        let name = account.id.as_str().split(':').next().unwrap_or_default();
        let Some(base) = bases.get(name) else { return Ok(None) };
        self.of(account)?.groups_of(&account.name, base, deadline).await
    }

    /// What a name is asked for, in order: directory, base, and filter.
    #[must_use]
    pub fn questions(&self, name: &Username) -> Vec<(String, String, String)> {
        let (asked, name) = self.asked(name);
        let question = |one: &One| {
            let (base, filter) = one.directory.question(&name);
            (one.name.clone(), base, filter)
        };
        asked.into_iter().map(question).collect()
    }

    /// How each server is.
    #[must_use]
    pub fn servers(&self) -> Vec<ServerStatus> {
        self.0.iter().flat_map(|one| one.directory.servers()).collect()
    }

    /// Which directories a name is asked of, and as which name.
    fn asked(&self, name: &Username) -> (Vec<&One>, Username) {
        for one in &self.0 {
            let Some(realm) = &one.realm else { continue };
            if let Some(bare) = without_realm(name.as_str(), realm)
                && let Ok(bare) = Username::from_pam(bare.as_bytes())
            {
                return (vec![one], bare);
            }
        }
        (self.0.iter().collect(), name.clone())
    }

    fn of(&self, account: &Account) -> Result<&Directory, DirectoryError> {
        let name = account.id.as_str().split(':').next().unwrap_or_default();
        let one = self.0.iter().find(|one| one.name == name);
        one.map(|one| &one.directory)
            .ok_or_else(|| DirectoryError::unavailable(format!("there is no [directory.{name}] any more")))
    }
}

/// `alice` of `REALM\alice` and `alice@realm`.
fn without_realm<'a>(name: &'a str, realm: &str) -> Option<&'a str> {
    if let Some((before, bare)) = name.split_once('\\')
        && before.eq_ignore_ascii_case(realm)
    {
        return Some(bare);
    }
    let (bare, behind) = name.rsplit_once('@')?;
    behind.eq_ignore_ascii_case(realm).then_some(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_realm_stands_before_a_backslash_or_behind_the_last_at() {
        for (name, bare) in [
            ("AD\\alice", Some("alice")),
            ("ad\\alice", Some("alice")),
            ("alice@Ad", Some("alice")),
            ("a@b@ad", Some("a@b")),
            ("alice", None),
            ("alice@other", None),
            ("other\\alice", None),
            ("@ad", Some("")),
        ] {
            assert_eq!(without_realm(name, "AD"), bare, "{name}");
        }
    }
}
