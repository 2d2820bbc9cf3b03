//! Which entry bears a name, and which groups hold it. Names are escaped here, at the last step before they become
//! part of a filter (RFC 4515).

use super::pool::{Lease, Pool};
use super::servers::TELLING;
use super::{Account, DirectoryError};
use crate::attempt::Deadline;
use ldap3::result::SearchResult;
use ldap3::{LdapError, Scope, SearchEntry, SearchOptions, ldap_escape};
use std::sync::Arc;
use tokio::time::Instant;
use twinlock_policy::{AccountId, GroupName, Username};

/// Result codes of RFC 4511 that mean something here.
pub(super) mod code {
    pub(in crate::directory) const SUCCESS: u32 = 0;
    pub(in crate::directory) const SIZE_LIMIT_EXCEEDED: u32 = 4;
    pub(super) const NO_SUCH_OBJECT: u32 = 32;
}

/// What is searched where.
#[derive(Clone)]
pub(crate) struct Lookup {
    pub(crate) directory: String,
    pub(crate) base: String,
    pub(crate) user_filter: String,
    /// Where groups are searched, if anybody asks for them.
    pub(crate) group_base: Option<String>,
}

struct Question {
    base: String,
    filter: String,
    attributes: Vec<&'static str>,
    at_most: i32,
}

impl Lookup {
    /// The account that bears `name`, asked of a server.
    pub(crate) async fn find(
        &self,
        pool: &Arc<Pool>,
        name: &Username,
        deadline: Deadline,
    ) -> Result<Option<Account>, DirectoryError> {
        let question = Question {
            base: self.base.clone(),
            filter: self.user_filter.replace("{user}", &ldap_escape(name.as_str())),
            attributes: vec!["uid", "uidNumber", "gidNumber", "entryUUID"],
            at_most: 2,
        };
        let SearchResult(mut entries, outcome) = search(pool, &question, deadline).await?;
        entries.retain(|entry| !entry.is_ref() && !entry.is_intermediate());
        if entries.len() > 1 {
            return Err(DirectoryError::Ambiguous { name: name.as_str().to_owned() });
        }
        match outcome.rc {
            code::SUCCESS => (),
            code::NO_SUCH_OBJECT => {
                let base = &self.base;
                return Err(DirectoryError::unavailable(format!(
                    "the directory has no \"{base}\", or does not show it to bind_dn; check `base`"
                )));
            }
            code => return Err(unexpected(code, &self.base)),
        }
        let Some(entry) = entries.pop() else { return Ok(None) };
        let entry = SearchEntry::construct(entry);
        let (mut account, gid) = self.account(entry, name)?;
        if let Some(base) = &self.group_base {
            account.groups = groups(pool, base, &account, gid, deadline).await;
        }
        Ok(Some(account))
    }

    /// An account from its entry, and its primary group's number.
    pub(super) fn account(
        &self,
        entry: SearchEntry,
        typed: &Username,
    ) -> Result<(Account, Option<u32>), DirectoryError> {
        let unfit = |what: &str| DirectoryError::Unfit { dn: entry.dn.clone(), what: what.to_owned() };
        let values = |name: &str| {
            entry
                .attrs
                .iter()
                .filter(|(attribute, _)| attribute.eq_ignore_ascii_case(name))
                .flat_map(|(_, values)| values)
                .map(String::as_str)
                .collect::<Vec<&str>>()
        };
        let number = |name: &str| match values(name).as_slice() {
            [] => Ok(None),
            [one] => one.parse().map(Some).map_err(|_| unfit(&format!("its {name} is no number"))),
            _ => Err(unfit(&format!("it has more than one {name}"))),
        };
        if entry.dn.is_empty() {
            return Err(unfit("the root entry is no account; narrow `user_filter`"));
        }
        let uuids = values("entryUUID");
        let [uuid] = uuids.as_slice() else {
            return Err(unfit("it shows no entryUUID; let bind_dn read that attribute"));
        };
        if uuid.is_empty() || !uuid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
            return Err(unfit("its entryUUID is no UUID"));
        }
        let names: Vec<Username> =
            values("uid").into_iter().filter_map(|uid| Username::from_pam(uid.as_bytes()).ok()).collect();
        let spelled = names.iter().find(|name| name.folded() == typed.folded()).or_else(|| names.first());
        let name = spelled
            .cloned()
            .ok_or_else(|| unfit("it shows no uid that can be a name; let bind_dn read that attribute"))?;
        let id = AccountId::new(format!("{}:{}", self.directory, uuid.to_ascii_lowercase()));
        let (uid_number, gid) = (number("uidNumber")?, number("gidNumber")?);
        Ok((Account { id, name, names, dn: entry.dn.clone(), uid_number, groups: None }, gid))
    }
}

/// Names of the groups that hold the account by any of its names, by DN or as primary group; `None` if that could not be told.
async fn groups(
    pool: &Arc<Pool>,
    base: &str,
    account: &Account,
    gid: Option<u32>,
    deadline: Deadline,
) -> Option<Vec<GroupName>> {
    let dn = ldap_escape(account.dn.as_str());
    let members: String =
        account.names.iter().map(|name| format!("(memberUid={})", ldap_escape(name.as_str()))).collect();
    let primary = gid.map_or_else(String::new, |gid| format!("(&(objectClass=posixGroup)(gidNumber={gid}))"));
    let filter = format!(
        "(|(&(objectClass=posixGroup)(|{members}))(&(objectClass=groupOfNames)(member={dn})){primary})"
    );
    let question = Question { base: base.to_owned(), filter, attributes: vec!["cn"], at_most: 0 };
    let SearchResult(entries, outcome) = search(pool, &question, deadline).await.ok()?;
    if outcome.rc != code::SUCCESS {
        return None;
    }
    let named =
        entries.into_iter().filter(|entry| !entry.is_ref() && !entry.is_intermediate()).flat_map(|entry| {
            let cn =
                |(name, values): (String, Vec<String>)| name.eq_ignore_ascii_case("cn").then_some(values);
            SearchEntry::construct(entry).attrs.into_iter().filter_map(cn).flatten()
        });
    Some(named.map(GroupName::new).collect())
}

/// Asks once, and once more on a fresh connection if the first did not answer: a search may be repeated.
async fn search(
    pool: &Arc<Pool>,
    question: &Question,
    deadline: Deadline,
) -> Result<SearchResult, DirectoryError> {
    let lease = pool.lease(deadline).await?;
    match ask(lease, question, deadline).await {
        Ok(result) => Ok(result),
        Err(_) if deadline.instant() > Instant::now() => {
            ask(pool.fresh(deadline).await?, question, deadline).await
        }
        Err(error) => Err(error),
    }
}

async fn ask(
    mut lease: Lease,
    question: &Question,
    deadline: Deadline,
) -> Result<SearchResult, DirectoryError> {
    let options = SearchOptions::new().sizelimit(question.at_most);
    let (began, limit) = (Instant::now(), deadline.at_most(lease.servers().timeout));
    let asked = lease.link.ldap().with_search_options(options).search(
        &question.base,
        Scope::Subtree,
        &question.filter,
        question.attributes.clone(),
    );
    let why = match limit.bound(asked).await {
        Some(Ok(result)) => {
            lease.give_back();
            return Ok(result);
        }
        Some(Err(LdapError::FilterParsing)) => {
            return Err(DirectoryError::unavailable("`user_filter` is no LDAP filter; see RFC 4515"));
        }
        Some(Err(error)) => lease.link.end(error),
        None if began.elapsed() < TELLING => {
            return Err(DirectoryError::unavailable("no time was left for a search"));
        }
        None => "it did not answer a search within `timeout`".to_owned(),
    };
    Err(DirectoryError::unavailable(lease.failed(why)))
}

pub(super) fn unexpected(code: u32, base: &str) -> DirectoryError {
    let hint = match code {
        code::SIZE_LIMIT_EXCEEDED => "; its size limit is below two entries",
        _ => "",
    };
    DirectoryError::unavailable(format!("a search under \"{base}\" ended with result code {code}{hint}"))
}
