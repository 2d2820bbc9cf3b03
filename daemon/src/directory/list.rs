//! All accounts of the directory, in pages (RFC 2696), for an administrator's lists. No login rests on it: entries that
//! are no accounts are passed over, and a walk that is left half way ends its connection.

use super::find::{Entry, Lookup, code, unexpected};
use super::pool::Lease;
use super::{Account, Directory, DirectoryError, guard, seconds_now};
use crate::attempt::Deadline;
use ldap3::controls::{PagedResults, RawControl};
use ldap3::result::SearchResult;
use ldap3::{Scope, SearchEntry};
use twinlock_policy::Username;

/// Entries of a page; far below what one answer may hold.
const PAGE: u16 = 250;
/// RFC 2696.
const PAGED_RESULTS: &str = "1.2.840.113556.1.4.319";

/// Where a listing stands: a server remembers it with the connection.
pub struct Walk {
    lease: Lease,
    cookie: Vec<u8>,
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

impl Directory {
    /// The first page of all accounts, or the one behind `walk`.
    ///
    /// # Errors
    /// [`DirectoryError::Unavailable`]; the listing has to begin anew.
    pub async fn page(&self, walk: Option<Walk>, deadline: Deadline) -> Result<Page, DirectoryError> {
        let (lease, cookie) = match walk {
            Some(walk) => (walk.lease, walk.cookie),
            None => (self.searches.lease(deadline).await?, Vec::new()),
        };
        self.lookup.page(lease, cookie, deadline).await
    }
}

impl Lookup {
    async fn page(
        &self,
        mut lease: Lease,
        cookie: Vec<u8>,
        deadline: Deadline,
    ) -> Result<Page, DirectoryError> {
        let filter = self.shape.user_filter.replace("{user}", "*");
        let limit = deadline.at_most(lease.servers().timeout);
        let asked = lease
            .link
            .ldap()
            .with_controls(RawControl::from(PagedResults { size: PAGE.into(), cookie }))
            .search(&self.base, Scope::Subtree, &filter, self.attributes());
        let SearchResult(entries, outcome) = match limit.bound(asked).await {
            Some(Ok(result)) => result,
            Some(Err(error)) => {
                let why = lease.link.end(error);
                return Err(DirectoryError::unavailable(lease.failed(why)));
            }
            None => {
                let why = "it did not answer a search within `timeout`".to_owned();
                return Err(DirectoryError::unavailable(lease.failed(why)));
            }
        };
        if outcome.rc == code::SIZE_LIMIT_EXCEEDED {
            return Err(DirectoryError::unavailable(lease.said(
                "it lets bind_dn list no more entries, not even in pages; lift that limit for bind_dn (OpenLDAP: \
                 olcLimits with size.prtotal=unlimited)",
            )));
        }
        if outcome.rc != code::SUCCESS {
            return Err(unexpected(outcome.rc, &self.base));
        }
        let cookie = outcome
            .ctrls
            .iter()
            .find(|control| control.1.ctype == PAGED_RESULTS)
            .and_then(|control| control.1.val.as_deref())
            .map(guard::page_cookie)
            .transpose()
            .map_err(|refused| DirectoryError::unavailable(lease.said(&refused.to_string())))?;
        let count = entries.len();
        let accounts = entries
            .into_iter()
            .filter(|entry| !entry.is_ref() && !entry.is_intermediate())
            .filter_map(|entry| self.listed(SearchEntry::construct(entry)))
            .collect();
        let next = match cookie.filter(|cookie| !cookie.is_empty()) {
            Some(cookie) => Some(Walk { lease, cookie }),
            None => {
                lease.give_back();
                None
            }
        };
        Ok(Page { accounts, entries: count, next })
    }

    /// An account under the first of its names.
    fn listed(&self, entry: SearchEntry) -> Option<Account> {
        let entry = Entry(entry);
        let first = self.shape.name_attributes.first()?;
        let name = Username::from_pam(entry.values(first).first()?).ok()?;
        self.account(&entry, &name, seconds_now()).ok()
    }
}
