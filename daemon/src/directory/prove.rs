//! Whether a password is an account's password: one bind, on a connection of its own, never repeated.
//!
//! A password that is empty, too long, not UTF-8 or holds a NUL byte is wrong without a bind: an empty one would be
//! an unauthenticated bind, which permissive directories grant (RFC 4513, 5.1.2).

use super::answer::{self, Answered, PPOLICY};
use super::pool::{Lease, Pool};
use super::servers::TELLING;
use super::standing::{Bar, Standing};
use super::{Account, DirectoryError};
use crate::attempt::{AttemptId, Deadline};
use ldap3::LdapResult;
use ldap3::controls::RawControl;
use std::sync::Arc;
use tokio::time::Instant;
use twinlock_policy::AccountId;
use twinlock_protocol::Secret;

/// Longest password in bytes: what PAM can carry.
const LONGEST_PASSWORD: usize = 511;

/// Result codes of RFC 4511 that say why there is no answer about a password.
mod code {
    pub(super) const STRONGER_AUTH_REQUIRED: u32 = 8;
    pub(super) const CONFIDENTIALITY_REQUIRED: u32 = 13;
    pub(super) const BUSY: u32 = 51;
    pub(super) const UNAVAILABLE: u32 = 52;
}

/// That a password was right, for one attempt and one account. Made nowhere else.
#[derive(Debug)]
pub struct PasswordProof {
    attempt: AttemptId,
    account: AccountId,
    standing: Standing,
    accepted: bool,
}

impl PasswordProof {
    /// The attempt it was shown in.
    #[must_use]
    pub const fn attempt(&self) -> AttemptId {
        self.attempt
    }

    /// The account whose password it is.
    #[must_use]
    pub const fn account(&self) -> &AccountId {
        &self.account
    }

    /// How the directory, having seen it, says that the account stands.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    /// Whether the bind itself was accepted, so that the directory has forgotten its failures.
    #[must_use]
    pub const fn accepted(&self) -> bool {
        self.accepted
    }
}

/// What the directory says of a password.
#[derive(Debug)]
#[must_use]
pub enum PasswordOutcome {
    /// It is the account's.
    Right(PasswordProof),
    /// It is not, or the directory does not say; and why it did not look, where it tells. That is for the record:
    /// whoever typed a wrong password would learn it too.
    Wrong(Option<Bar>),
}

/// Proves a password.
pub(crate) async fn prove(
    pool: &Arc<Pool>,
    attempt: AttemptId,
    account: &Account,
    password: &Secret,
    deadline: Deadline,
) -> Result<PasswordOutcome, DirectoryError> {
    let right = |standing, accepted| {
        let account = account.id.clone();
        Ok(PasswordOutcome::Right(PasswordProof { attempt, account, standing, accepted }))
    };
    match bind(pool, &account.dn, password, deadline).await? {
        Answered::Accepted(standing) => right(standing, true),
        Answered::RightBut(standing) => right(standing, false),
        Answered::Wrong(why) => Ok(PasswordOutcome::Wrong(why)),
        Answered::Silent => Err(DirectoryError::unavailable("the directory did not say")),
    }
}

/// Binds as an entry that does not exist. Its name is new each time, so that no server can be told to expect it.
pub(crate) async fn prove_nobody(
    pool: &Arc<Pool>,
    base: &str,
    password: &Secret,
    deadline: Deadline,
) -> Result<(), DirectoryError> {
    let label = getrandom::u64().map_err(|error| DirectoryError::unavailable(error.to_string()))?;
    let name = format!("nobody-{label:016x}");
    let dn = format!("uid={},{base}", ldap3::dn_escape(name.as_str()));
    // Whatever the directory says to it: nobody is let in by this.
    bind(pool, &dn, password, deadline).await.map(|_| ())
}

/// Whether the directory takes `password` for the entry `dn`.
///
/// # Errors
/// [`DirectoryError::Unavailable`] says in `bind_sent` whether a server may have judged the password. What was not
/// sent for certain is tried once more on a fresh connection.
pub(crate) async fn bind(
    pool: &Arc<Pool>,
    dn: &str,
    password: &Secret,
    deadline: Deadline,
) -> Result<Answered, DirectoryError> {
    let Some(password) = bindable(password) else { return Ok(Answered::Wrong(None)) };
    if dn.is_empty() {
        return Err(DirectoryError::Unfit { dn: String::new(), what: "it has no name to bind as".into() });
    }
    if deadline.instant() <= Instant::now() {
        return Err(DirectoryError::unavailable("no time was left for a bind"));
    }
    let lease = pool.lease(deadline).await?;
    match bind_on(lease, dn, password, deadline).await {
        Err(DirectoryError::Unavailable { bind_sent: false, .. }) if deadline.instant() > Instant::now() => {
            bind_on(pool.fresh(deadline).await?, dn, password, deadline).await
        }
        outcome => outcome,
    }
}

async fn bind_on(
    lease: Lease,
    dn: &str,
    password: &str,
    deadline: Deadline,
) -> Result<Answered, DirectoryError> {
    let (answered, lease) = bound(lease, dn, password, deadline).await?;
    lease.give_back();
    Ok(answered)
}

/// One bind; the connection stands as it left it.
pub(super) async fn bound(
    mut lease: Lease,
    dn: &str,
    password: &str,
    deadline: Deadline,
) -> Result<(Answered, Lease), DirectoryError> {
    let (began, limit) = (Instant::now(), deadline.at_most(lease.servers().timeout));
    let before = lease.link.begun();
    let policy = RawControl { ctype: PPOLICY.to_owned(), crit: false, val: None };
    let answer = limit.bound(lease.link.ldap().with_controls(policy).simple_bind(dn, password)).await;
    let unavailable =
        |reason: String, bind_sent: bool| Err(DirectoryError::Unavailable { reason, bind_sent });
    match answer {
        Some(Ok(LdapResult { rc, text, ctrls, .. })) => {
            let answered = answer::read(rc, &text, &ctrls, lease.servers().sub_codes);
            match (answered, rc) {
                (Answered::Accepted(_) | Answered::RightBut(_) | Answered::Wrong(_), _) => {
                    Ok((answered, lease))
                }
                // The server says itself that it judged nothing. Not `bind_sent: false`, which would be tried again.
                (Answered::Silent, busy @ (code::BUSY | code::UNAVAILABLE)) => {
                    unavailable(lease.failed(format!("it is too busy for a bind (result code {busy})")), true)
                }
                // It may be about this entry only, so the server keeps its rank; the connection is not used again.
                (Answered::Silent, other) => {
                    let hint = match other {
                        code::STRONGER_AUTH_REQUIRED | code::CONFIDENTIALITY_REQUIRED => {
                            "; it wants TLS, see tls.mode"
                        }
                        _ => "",
                    };
                    let said = format!("it answers a bind with result code {other}{hint}");
                    unavailable(lease.said(&said), true)
                }
            }
        }
        Some(Err(error)) => {
            let bind_sent = !lease.link.certainly_sent_nothing_since(before);
            let why = lease.link.end(error);
            unavailable(lease.failed(why), bind_sent)
        }
        None if began.elapsed() < TELLING => unavailable("no time was left for a bind".into(), true),
        None => unavailable(lease.failed("it did not answer a bind within `timeout`".into()), true),
    }
}

/// The password as a bind can carry it; none where it cannot be one.
pub(crate) fn bindable(password: &Secret) -> Option<&str> {
    let bytes = password.expose();
    if bytes.is_empty() || bytes.len() > LONGEST_PASSWORD || bytes.contains(&0) {
        return None;
    }
    std::str::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_no_password_never_becomes_a_bind() {
        for bytes in [&b""[..], b"se\0cret", b"\xff\xfe", &[b'x'; 512]] {
            assert!(bindable(&Secret::copy_of(bytes)).is_none());
        }
        for text in ["x", " ", "grüße", &"x".repeat(511)] {
            assert_eq!(bindable(&Secret::copy_of(text.as_bytes())), Some(text));
        }
    }
}
