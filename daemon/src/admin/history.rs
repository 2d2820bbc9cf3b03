//! `twinlock history`: recorded attempts, a page a request.

use super::{PER_REQUEST, unavailable, wrong};
use crate::attempt::Deadline;
use crate::history::{Wanted, WantedSource};
use crate::house::House;
use twinlock_control::{HistoryQuery, Reply};
use twinlock_policy::Username;

pub(super) async fn page(house: &House, query: HistoryQuery) -> Result<Reply, Reply> {
    let source = query
        .source
        .as_deref()
        .map(WantedSource::read)
        .transpose()
        .map_err(|problem| wrong(&format!("the source {problem}; or write local or unknown")))?;
    if let Some(verdict) = &query.verdict
        && !["grant", "deny", "unavailable"].contains(&verdict.as_str())
    {
        return Err(wrong("a verdict is grant, deny or unavailable"));
    }
    let wanted = Wanted {
        user: match &query.user {
            Some(user) => Some(names_of(house, user).await),
            None => None,
        },
        account: None,
        source,
        since: query.since,
        until: query.until,
        verdict: query.verdict,
        reason: query.reason,
    };
    let page = house.history.page(wanted, query.limit, query.from).await;
    page.map(Reply::History).map_err(|problem| unavailable(&problem))
}

/// The name as it may have been given, and the account's id where the directory knows it now: one account is found in
/// every spelling.
async fn names_of(house: &House, user: &str) -> (String, Option<String>) {
    let id = match Username::from_pam(user.as_bytes()) {
        Ok(name) => house.directory.find(&name, Deadline::within(PER_REQUEST)).await.ok().flatten(),
        Err(_) => None,
    };
    (user.to_lowercase(), id.map(|account| account.id.to_string()))
}
