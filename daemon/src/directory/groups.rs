//! Which groups hold an account: by what its entry shows, and, where asked for, through groups in groups. What cannot
//! be told whole is not told at all, so that a rule about groups is unknown and not false.

use super::Account;
use super::find::{Entry, Question, search};
use super::pool::Pool;
use crate::attempt::Deadline;
use ldap3::result::SearchResult;
use ldap3::{Scope, SearchEntry, ldap_escape};
use std::collections::HashSet;
use std::fmt::Write as _;
use std::sync::Arc;
use twinlock_config::{Nesting, Shape};
use twinlock_policy::GroupName;

/// Most levels of groups in groups.
const LEVELS: usize = 8;

/// Most groups of one account.
const MOST: usize = 1000;

/// Groups asked about at once.
const AT_ONCE: usize = 50;

/// Names of the groups that hold the account; `None` if that could not be told.
pub(super) async fn of(
    pool: &Arc<Pool>,
    base: &str,
    shape: &Shape,
    account: &Account,
    entry: &Entry,
    deadline: Deadline,
) -> Option<Vec<GroupName>> {
    let mut seen: HashSet<String> = HashSet::new();
    let mut names = Vec::new();
    let mut filter = filter(shape, account, entry);
    for level in 0.. {
        let found = asked(pool, base, shape, filter, deadline).await?;
        let mut fresh = Vec::new();
        for group in found {
            if seen.insert(group.dn().to_lowercase()) {
                let named = group.values(&shape.group_name).into_iter();
                names.extend(named.filter_map(|name| std::str::from_utf8(name).ok()).map(GroupName::new));
                fresh.push(group);
            }
        }
        if seen.len() > MOST {
            return None;
        }
        if shape.nesting == Nesting::None || fresh.is_empty() {
            break;
        }
        if level >= LEVELS {
            return None;
        }
        filter = holding(&fresh);
    }
    Some(names)
}

async fn asked(
    pool: &Arc<Pool>,
    base: &str,
    shape: &Shape,
    filters: Vec<String>,
    deadline: Deadline,
) -> Option<Vec<Entry>> {
    let mut found = Vec::new();
    for filter in filters {
        let attributes = vec![shape.group_name.clone()];
        let question =
            Question { base: base.to_owned(), scope: Scope::Subtree, filter, attributes, at_most: 0 };
        let SearchResult(entries, outcome) = search(pool, &question, deadline).await.ok()?;
        if outcome.rc != 0 {
            return None;
        }
        let entries = entries.into_iter().filter(|entry| !entry.is_ref() && !entry.is_intermediate());
        found.extend(entries.map(|entry| Entry(SearchEntry::construct(entry))));
    }
    Some(found)
}

/// `group_filter` with what the entry shows in its places; once for each name where it holds `{user}`.
fn filter(shape: &Shape, account: &Account, entry: &Entry) -> Vec<String> {
    let gid = entry.only("gidNumber").and_then(|gid| std::str::from_utf8(gid).ok());
    // A place that nothing fills finds nothing: no group has this number, and no SID is empty.
    let gid = gid.filter(|gid| gid.bytes().all(|byte| byte.is_ascii_digit())).unwrap_or("-1");
    let template = shape
        .group_filter
        .replace("{dn}", &ldap_escape(account.dn.as_str()))
        .replace("{gid}", gid)
        .replace("{primary}", &primary_sid(entry).unwrap_or_else(|| "\\00".to_owned()));
    if !shape.group_filter.contains("{user}") {
        return vec![template];
    }
    let of_name = account.names.iter().map(|name| template.replace("{user}", &ldap_escape(name.as_str())));
    vec![format!("(|{})", of_name.collect::<String>())]
}

/// Finds the groups that hold these groups.
fn holding(groups: &[Entry]) -> Vec<String> {
    let of_some = |groups: &[Entry]| {
        let mut filter = String::from("(|");
        for group in groups {
            let dn = ldap_escape(group.dn());
            let _ = write!(filter, "(member={dn})(uniqueMember={dn})");
        }
        filter + ")"
    };
    groups.chunks(AT_ONCE).map(of_some).collect()
}

/// The SID of Active Directory's primary group, which is no `member`: the account's own with its last number replaced.
/// Escaped for a filter.
fn primary_sid(entry: &Entry) -> Option<String> {
    let number: u32 = std::str::from_utf8(entry.only("primaryGroupID")?).ok()?.parse().ok()?;
    let own = entry.only("objectSid")?;
    let domain = own.get(..own.len().checked_sub(4)?)?;
    let mut escaped = String::new();
    for byte in domain.iter().chain(&number.to_le_bytes()) {
        let _ = write!(escaped, "\\{byte:02x}");
    }
    Some(escaped)
}
