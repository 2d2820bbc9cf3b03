//! Lists of users, in pages: those that the store knows of, and those of the directory that could show no code.

use super::{PER_REQUEST, of_store, unavailable, why_refused, wrong};
use crate::attempt::Deadline;
use crate::directory::{Account, Walk};
use crate::house::House;
use crate::store::StoreError;
use std::sync::atomic::{AtomicBool, Ordering};
use twinlock_control::{AuthenticatorState, Reply, UserRow, Users};
use twinlock_policy::AccountId;

/// Rows of a page.
const PAGE: u16 = 500;

/// The page of the store's users behind `after`.
pub(super) async fn page(house: &House, after: Option<String>) -> Result<Reply, Reply> {
    let after = after.map(AccountId::new);
    let users = house.store.users(after, PAGE.into(), house.clock.now()).await;
    let users = users.map_err(|error| of_store(&error))?;
    let (looked_at, more) = (users.len(), users.len() >= PAGE.into());
    Ok(Reply::Users(Users { users, looked_at: looked_at.try_into().unwrap_or(u64::MAX), more }))
}

/// One listing of the directory at a time: it keeps a connection from logins.
static WALKING: AtomicBool = AtomicBool::new(false);

/// A listing of the directory under way, on the connection that asked for it.
#[derive(Default)]
pub(super) struct Listing(Option<Under>);

struct Under {
    walk: Option<Walk>,
    _only: Only,
}

/// Held while a listing is under way.
struct Only;

impl Only {
    fn begin() -> Option<Self> {
        (!WALKING.swap(true, Ordering::AcqRel)).then_some(Self)
    }
}

impl Drop for Only {
    fn drop(&mut self) {
        WALKING.store(false, Ordering::Release);
    }
}

impl Listing {
    /// The next page of the directory's accounts that have no active authenticator and could log in otherwise.
    pub(super) async fn without(&mut self, house: &House, first: bool) -> Result<Reply, Reply> {
        if first {
            self.0 = None;
            let only = Only::begin()
                .ok_or_else(|| unavailable("the directory is being listed already; try again"))?;
            self.0 = Some(Under { walk: None, _only: only });
        }
        let Some(mut under) = self.0.take() else {
            return Err(wrong("no listing is under way; begin with the first page"));
        };
        let page = house.directory.page(under.walk.take(), Deadline::within(PER_REQUEST)).await;
        let page = page.map_err(|error| unavailable(&error.to_string()))?;
        let mut users = Vec::new();
        for account in page.accounts.iter().filter(|account| why_refused(house, account).is_none()) {
            users.extend(unless_enrolled(house, account).await.map_err(|error| of_store(&error))?);
        }
        let more = page.next.is_some();
        if more {
            self.0 = Some(Under { walk: page.next, ..under });
        }
        Ok(Reply::Users(Users { users, looked_at: page.entries.try_into().unwrap_or(u64::MAX), more }))
    }
}

/// Its row, if it has no active authenticator.
async fn unless_enrolled(house: &House, account: &Account) -> Result<Option<UserRow>, StoreError> {
    let authenticators = house.store.authenticators(&account.id).await?;
    if authenticators.iter().any(|one| one.state == AuthenticatorState::Active) {
        return Ok(None);
    }
    Ok(Some(UserRow {
        account: Some(account.name.to_string()),
        id: account.id.to_string(),
        authenticators: 0,
        pending: !authenticators.is_empty(),
        recovery_codes_left: house.store.recovery_left(&account.id).await?,
        disabled: house.store.disabled(&account.id, house.clock.now()).await?.is_some(),
        last_used: None,
    }))
}
