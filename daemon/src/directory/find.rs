//! Which entry bears a name, and what the account it stands for looks like. Names are escaped here, at the last step before they become
//! part of a filter (RFC 4515).

use super::lockout::{self, Policies};
use super::pool::{Lease, Pool};
use super::servers::TELLING;
use super::{Account, DirectoryError, groups, standing};
use crate::attempt::Deadline;
use ldap3::result::SearchResult;
use ldap3::{LdapError, Scope, SearchEntry, SearchOptions, ldap_escape};
use std::sync::Arc;
use tokio::time::Instant;
use twinlock_config::{Lockout, Shape};
use twinlock_policy::{AccountId, Username};

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
    pub(crate) shape: Shape,
    /// Where groups are searched, if anybody asks for them.
    pub(crate) group_base: Option<String>,
    /// The file's.
    pub(crate) lockout: Lockout,
    /// What the servers tell of it.
    pub(crate) policies: Policies,
}

pub(super) struct Question {
    pub(super) base: String,
    pub(super) scope: Scope,
    pub(super) filter: String,
    pub(super) attributes: Vec<String>,
    pub(super) at_most: i32,
}

impl Lookup {
    /// The account that bears `name`, asked of a server; its state as of `now`, in seconds since 1970.
    pub(crate) async fn find(
        &self,
        pool: &Arc<Pool>,
        name: &Username,
        now: i64,
        deadline: Deadline,
    ) -> Result<Option<Account>, DirectoryError> {
        let question = Question {
            base: self.base.clone(),
            scope: Scope::Subtree,
            filter: self.filter(name),
            attributes: self.attributes(),
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
        let entry = Entry(SearchEntry::construct(entry));
        let mut account = self.account(&entry, name, now)?;
        let (states, file) = (&self.shape.account_state, &self.lockout);
        account.lockout = self.policies.of(pool, &entry, &self.base, states, file, deadline).await;
        if let Some(base) = &self.group_base {
            account.groups = groups::of(pool, base, &self.shape, &account, &entry, deadline).await;
        }
        Ok(Some(account))
    }

    /// The filter that finds `name`, which is escaped in it.
    pub(crate) fn filter(&self, name: &Username) -> String {
        self.shape.user_filter.replace("{user}", &ldap_escape(name.as_str()))
    }

    pub(super) fn attributes(&self) -> Vec<String> {
        let shape = &self.shape;
        let mut wanted: Vec<String> = shape.name_attributes.clone();
        wanted.extend(["uidNumber", "gidNumber"].map(str::to_owned));
        wanted.push(shape.id_attribute.clone());
        if shape.group_filter.contains("{primary}") {
            wanted.extend(["objectSid", "primaryGroupID"].map(str::to_owned));
        }
        let state = shape.account_state.iter().flat_map(|state| standing::attributes(*state));
        wanted.extend(state.map(|name| (*name).to_owned()));
        wanted.extend(lockout::NAMING.map(str::to_owned));
        wanted.sort_unstable();
        wanted.dedup();
        wanted
    }

    /// An account from its entry.
    pub(super) fn account(
        &self,
        entry: &Entry,
        typed: &Username,
        now: i64,
    ) -> Result<Account, DirectoryError> {
        let unfit = |what: &str| DirectoryError::Unfit { dn: entry.dn().to_owned(), what: what.to_owned() };
        let number = |name: &str| match entry.values(name).as_slice() {
            [] => Ok(None),
            [one] => std::str::from_utf8(one)
                .ok()
                .and_then(|text| text.parse().ok())
                .map(Some)
                .ok_or_else(|| unfit(&format!("its {name} is no number"))),
            _ => Err(unfit(&format!("it has more than one {name}"))),
        };
        if entry.dn().is_empty() {
            return Err(unfit("the root entry is no account; narrow `user_filter`"));
        }
        let id_attribute = &self.shape.id_attribute;
        let Some(id) = entry.only(id_attribute) else {
            return Err(unfit(&format!("it shows no {id_attribute}; let bind_dn read that attribute")));
        };
        let id = immutable_id(id_attribute, id)
            .ok_or_else(|| unfit(&format!("its {id_attribute} is none that an account can be kept under")))?;
        let named = |attribute: &String| -> Vec<Username> {
            entry.values(attribute).into_iter().filter_map(|name| Username::from_pam(name).ok()).collect()
        };
        let called = self.shape.name_attributes.first().map(&named).unwrap_or_default();
        let spelled = called.iter().find(|name| name.folded() == typed.folded()).or_else(|| called.first());
        let name = spelled.cloned().ok_or_else(|| {
            let attribute = self.shape.name_attributes.first().map_or("name", String::as_str);
            unfit(&format!("it shows no {attribute} that can be a name; let bind_dn read that attribute"))
        })?;
        let names = self.shape.name_attributes.iter().flat_map(named).collect();
        Ok(Account {
            id: AccountId::new(format!("{}:{id}", self.directory)),
            name,
            names,
            dn: entry.dn().to_owned(),
            uid_number: number("uidNumber")?,
            groups: None,
            standing: standing::of(&self.shape.account_state, |name| entry.only(name), now),
            lockout: self.lockout.clone(),
        })
    }
}

/// An entry as it was sent.
pub(super) struct Entry(pub(super) SearchEntry);

impl Entry {
    pub(super) fn dn(&self) -> &str {
        &self.0.dn
    }

    /// The values of an attribute, whatever its name's case.
    pub(super) fn values(&self, name: &str) -> Vec<&[u8]> {
        let text = self.0.attrs.iter().filter(|(attribute, _)| attribute.eq_ignore_ascii_case(name));
        // An attribute with a value that is no text has its other values among them.
        let binary = self.0.bin_attrs.iter().filter(|(attribute, _)| attribute.eq_ignore_ascii_case(name));
        text.flat_map(|(_, values)| values.iter().map(String::as_bytes))
            .chain(binary.flat_map(|(_, values)| values.iter().map(Vec::as_slice)))
            .collect()
    }

    /// Its value, if it has exactly one.
    pub(super) fn only(&self, name: &str) -> Option<&[u8]> {
        match self.values(name).as_slice() {
            [one] => Some(*one),
            _ => None,
        }
    }
}

/// What an account is kept under: text in lower case, an objectGUID as it is usually written, other bytes in
/// hexadecimal.
fn immutable_id(attribute: &str, value: &[u8]) -> Option<String> {
    const LONGEST: usize = 64;
    let hexadecimal = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    if attribute.eq_ignore_ascii_case("objectGUID") {
        // The first three parts are written with their last byte first.
        let [a, b, c, d, e, f, g, h, rest @ ..]: &[u8; 16] = value.try_into().ok()?;
        let (node, tail) = rest.split_at(2);
        let parts: [&[u8]; 5] = [&[*d, *c, *b, *a], &[*f, *e], &[*h, *g], node, tail];
        return Some(parts.map(hexadecimal).join("-"));
    }
    if value.is_empty() || value.len() > LONGEST {
        return None;
    }
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    match std::str::from_utf8(value) {
        Ok(text) if value.iter().all(plain) => Some(text.to_ascii_lowercase()),
        Ok(text) if text.chars().all(|letter| !letter.is_control()) => None,
        Ok(_) | Err(_) => Some(hexadecimal(value)),
    }
}

/// Asks once, and once more on a fresh connection if the first did not answer: a search may be repeated.
pub(super) async fn search(
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
        question.scope,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_objectguid_is_written_as_microsofts_tools_write_it() {
        let bytes: Vec<u8> = (0..16).collect();
        let id = immutable_id("objectGUID", &bytes).unwrap();
        assert_eq!(id, "03020100-0504-0706-0809-0a0b0c0d0e0f");
        assert_eq!(immutable_id("objectguid", &bytes), Some(id), "also where the bytes happen to be text");
        assert_eq!(immutable_id("objectGUID", &bytes[..15]), None);
    }

    #[test]
    fn an_id_is_one_word_whatever_the_server_sends() {
        assert_eq!(immutable_id("entryUUID", b"6F1D-aa").as_deref(), Some("6f1d-aa"));
        assert_eq!(immutable_id("objectSid", &[1, 5, 0, 0xff]).as_deref(), Some("010500ff"));
        for none in [&b""[..], b"a b", b"a:b", b"a\"b", &[b'a'; 65]] {
            assert_eq!(immutable_id("entryUUID", none), None, "{none:?}");
        }
    }
}
