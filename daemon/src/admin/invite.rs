//! Invitations. The ticket leaves with the reply and is nowhere else; that it was made, or made void, is recorded.

use super::clock::no_code_is_judged;
use super::{by, find, no, of_store, why_refused};
use crate::audit::event_line;
use crate::directory::Account;
use crate::house::House;
use tokio::net::unix::UCred;
use twinlock_control::{
    AuthenticatorState, InvitationMade, InvitationReport, InvitationRevoked, Invitations, Reply, SecretText,
};

pub(super) async fn make(house: &House, peer: &UCred, user: &str) -> Result<Reply, Reply> {
    // It ends by the wall clock.
    if let Some(refusal) = no_code_is_judged(house) {
        return Err(refusal);
    }
    let account = find(house, user).await?;
    if let Some(why) = why_refused(house, &account) {
        return Err(no(&format!("{user} could not log in anyway: {why}")));
    }
    let all = house.store.authenticators(&account.id).await.map_err(|error| of_store(&error))?;
    if let Some(has) = all.iter().find(|one| one.state == AuthenticatorState::Active) {
        return Err(no(&format!(
            "{user} has the authenticator \"{label}\"; if it is lost: twinlock user revoke {user} \"{label}\"",
            label = has.label
        )));
    }
    let made = house.store.invite(&account.id, &account.name, by(peer), house.clock.now()).await;
    let made = made.map_err(|error| of_store(&error))?;
    let until = made.until.0.to_string();
    record(house, peer, "invited", &account, &[("until", &until)]);
    Ok(Reply::InvitationMade(InvitationMade {
        account: account.name.to_string(),
        id: account.id.to_string(),
        invitation: SecretText::from(made.ticket.shown().to_string()),
        until: made.until.0,
        replaced: made.replaced,
    }))
}

pub(super) async fn list(house: &House) -> Result<Reply, Reply> {
    let all = house.store.invitations(house.clock.now()).await.map_err(|error| of_store(&error))?;
    let invitations = all
        .into_iter()
        .map(|one| InvitationReport {
            account: one.name,
            id: one.account.to_string(),
            made: one.made.0,
            until: one.until.0,
            by: one.by,
        })
        .collect();
    Ok(Reply::Invitations(Invitations { invitations }))
}

pub(super) async fn revoke(house: &House, peer: &UCred, user: &str) -> Result<Reply, Reply> {
    let account = find(house, user).await?;
    let revoked = house.store.revoke_invitation(&account.id).await.map_err(|error| of_store(&error))?;
    if revoked {
        record(house, peer, "invitation-revoked", &account, &[]);
    }
    Ok(Reply::InvitationRevoked(InvitationRevoked {
        account: account.name.to_string(),
        id: account.id.to_string(),
        revoked,
    }))
}

fn record(house: &House, peer: &UCred, word: &str, account: &Account, more: &[(&str, &str)]) {
    let by = by(peer);
    let fields =
        [&[("by", by.as_str()), ("user", account.name.as_str()), ("account", account.id.as_str())], more]
            .concat();
    house.auditor.event(&event_line(word, &fields));
}
