//! `twinlock me`: what is known of whoever asks. Who that is, the kernel says (SO_PEERCRED): the uid's name in NSS must
//! lead to a directory entry with that very uidNumber, or nothing is shown. Why an attempt failed is not told: it could
//! have been anybody's.

use super::{PER_REQUEST, no, of_store, unavailable};
use crate::attempt::{AttemptId, Deadline};
use crate::audit::Record;
use crate::directory::Account;
use crate::history::Wanted;
use crate::house::House;
use crate::login::find;
use nix::unistd::{Uid, User};
use tokio::net::unix::UCred;
use tokio::task::spawn_blocking;
use twinlock_control::{LastLoginReport, Me, OwnAttempt, Reply};
use twinlock_policy::Username;

/// Attempts shown.
const ATTEMPTS: u32 = 20;

pub(super) async fn me(house: &House, peer: &UCred) -> Result<Reply, Reply> {
    let account = own_account(house, peer.uid()).await?;
    let now = house.clock.now();
    let authenticators = house.store.authenticators(&account.id).await.map_err(|error| of_store(&error))?;
    let recovery_codes_left =
        house.store.recovery_left(&account.id).await.map_err(|error| of_store(&error))?;
    let known = house.store.known_from(&account.id, now).await.map_err(|error| of_store(&error))?;
    let last = house.store.last_login(&account.id).await.map_err(|error| of_store(&error))?;
    // By the id alone: others have typed this name too, and perhaps it was another's once.
    let wanted = Wanted { account: Some(account.id.to_string()), ..Wanted::default() };
    let page = house.history.page(wanted, ATTEMPTS, None).await.map_err(|problem| unavailable(&problem))?;
    Ok(Reply::Me(Me {
        account: account.name.to_string(),
        authenticators,
        recovery_codes_left,
        known_from: known.iter().map(ToString::to_string).collect(),
        last_login: last.map(|last| LastLoginReport {
            at: last.at.0,
            source: last.source,
            service: last.service,
            failed_since: last.failed_since,
        }),
        attempts: page
            .attempts
            .into_iter()
            .map(|attempt| OwnAttempt {
                at: attempt.at,
                source: attempt.source,
                service: attempt.service,
                verdict: attempt.verdict,
                count: attempt.count,
            })
            .collect(),
    }))
}

async fn own_account(house: &House, uid: u32) -> Result<Account, Reply> {
    let nobody = || no("you are no user of the directory, so there is nothing to show");
    let user = spawn_blocking(move || User::from_uid(Uid::from_raw(uid)).ok().flatten()).await;
    let name = user.ok().flatten().ok_or_else(nobody)?.name;
    let name = Username::from_pam(name.as_bytes()).map_err(|_| nobody())?;
    let mut record = Record::new(AttemptId::from_number(0), "", name.as_str().as_bytes());
    let found = find(house, &name, Deadline::within(PER_REQUEST), &mut record).await;
    let account =
        found.map_err(|_| unavailable("the directory does not answer; try again"))?.map_err(|_| nobody())?;
    if account.uid_number == Some(uid) { Ok(account) } else { Err(nobody()) }
}
