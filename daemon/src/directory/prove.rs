//! Whether a password is an account's password: one bind, on a connection of its own, never repeated.
//!
//! A password that is empty, too long, not UTF-8 or holds a NUL byte is wrong without a bind: an empty one would be
//! an unauthenticated bind, which permissive directories grant (RFC 4513, 5.1.2).

use super::pool::{Lease, Pool};
use super::servers::TELLING;
use super::{Account, DirectoryError};
use crate::attempt::{AttemptId, Deadline};
use std::sync::Arc;
use tokio::time::Instant;
use twinlock_policy::AccountId;
use twinlock_protocol::Secret;

/// Longest password in bytes: what PAM can carry.
const LONGEST_PASSWORD: usize = 511;

/// Result codes of RFC 4511 that say something about a password.
mod code {
    pub(super) const SUCCESS: u32 = 0;
    pub(super) const STRONGER_AUTH_REQUIRED: u32 = 8;
    pub(super) const CONFIDENTIALITY_REQUIRED: u32 = 13;
    pub(super) const CONSTRAINT_VIOLATION: u32 = 19;
    pub(super) const NO_SUCH_OBJECT: u32 = 32;
    pub(super) const INAPPROPRIATE_AUTHENTICATION: u32 = 48;
    pub(super) const INVALID_CREDENTIALS: u32 = 49;
    pub(super) const BUSY: u32 = 51;
    pub(super) const UNAVAILABLE: u32 = 52;
    pub(super) const UNWILLING_TO_PERFORM: u32 = 53;
}

/// That a password was right, for one attempt and one account. Made nowhere else.
#[derive(Debug)]
pub struct PasswordProof {
    attempt: AttemptId,
    account: AccountId,
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
}

/// What the directory says of a password.
#[derive(Debug)]
#[must_use]
pub enum PasswordOutcome {
    /// It is the account's.
    Right(PasswordProof),
    /// It is not, or the directory does not let the account in.
    Wrong,
}

/// Proves a password.
pub(crate) async fn prove(
    pool: &Arc<Pool>,
    attempt: AttemptId,
    account: &Account,
    password: &Secret,
    deadline: Deadline,
) -> Result<PasswordOutcome, DirectoryError> {
    let right = bind(pool, &account.dn, password, deadline).await?;
    if !right {
        return Ok(PasswordOutcome::Wrong);
    }
    Ok(PasswordOutcome::Right(PasswordProof { attempt, account: account.id.clone() }))
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
) -> Result<bool, DirectoryError> {
    let Some(password) = bindable(password) else { return Ok(false) };
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
    mut lease: Lease,
    dn: &str,
    password: &str,
    deadline: Deadline,
) -> Result<bool, DirectoryError> {
    let (began, limit) = (Instant::now(), deadline.at_most(lease.servers().timeout));
    let before = lease.link.begun();
    let answer = limit.bound(lease.link.ldap().simple_bind(dn, password)).await;
    let unavailable =
        |reason: String, bind_sent: bool| Err(DirectoryError::Unavailable { reason, bind_sent });
    match answer {
        Some(Ok(answer)) => match answer.rc {
            code::SUCCESS => {
                lease.give_back();
                Ok(true)
            }
            code::INVALID_CREDENTIALS
            | code::CONSTRAINT_VIOLATION
            | code::UNWILLING_TO_PERFORM
            | code::INAPPROPRIATE_AUTHENTICATION
            | code::NO_SUCH_OBJECT => {
                lease.give_back();
                Ok(false)
            }
            // The server says itself that it judged nothing. Not `bind_sent: false`, which would be tried again.
            busy @ (code::BUSY | code::UNAVAILABLE) => {
                unavailable(lease.failed(format!("it is too busy for a bind (result code {busy})")), true)
            }
            // It may be about this entry only, so the server keeps its rank; the connection is not used again.
            other => {
                let hint = match other {
                    code::STRONGER_AUTH_REQUIRED | code::CONFIDENTIALITY_REQUIRED => {
                        "; it wants TLS, see tls.mode"
                    }
                    _ => "",
                };
                let said = format!("it answers a bind with result code {other}{hint}");
                unavailable(lease.said(&said), true)
            }
        },
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
