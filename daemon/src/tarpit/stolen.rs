//! The diagnostic bind (DESIGN promise 4): whether a password behind a wrong code was right. It is sent after the attempt
//! was denied and answered, never instead of a bind that a login needs, and a password that it proved right is known
//! again for ten minutes without one.

use super::Tarpit;
use super::keyed::Lately;
use crate::attempt::AttemptId;
use crate::directory::Account;
use crate::store::{Bind, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use twinlock_policy::AccountId;
use twinlock_protocol::Secret;

/// How long one may take, from when it is taken.
pub const DIAGNOSING: Duration = Duration::from_secs(5);
/// Under way at the same moment: logins need the directory more. Who finds them all taken goes without.
const AT_ONCE: usize = 2;

/// What the diagnostic binds of all accounts share.
pub(super) struct Diagnoses {
    right: Lately,
    places: Arc<Semaphore>,
}

/// An account's diagnostic bind, taken and not yet sent. One that is never settled counts as sent and not answered.
#[must_use]
pub struct Diagnosis {
    attempt: AttemptId,
    _place: OwnedSemaphorePermit,
}

impl Diagnoses {
    /// With a key of its own that leaves with the process.
    ///
    /// # Errors
    /// The operating system has no random numbers to give.
    pub(super) fn new() -> Result<Self, getrandom::Error> {
        Ok(Self { right: Lately::new()?, places: Arc::new(Semaphore::new(AT_ONCE)) })
    }
}

impl Tarpit {
    /// Whether a diagnostic bind has proved this password right within the last ten minutes.
    #[must_use]
    pub fn was_right(&self, account: &AccountId, password: &Secret) -> bool {
        self.diagnoses.right.knows(&[account.as_str().as_bytes(), password.expose()])
    }

    /// Takes the account's diagnostic bind for a password that this attempt showed. `None`: it has had it since its last
    /// success, the bind budget has no room for it, or too many are under way.
    ///
    /// # Errors
    /// The store did not answer; nothing may be sent.
    pub async fn take_diagnosis(
        &self,
        attempt: AttemptId,
        account: &Account,
    ) -> Result<Option<Diagnosis>, StoreError> {
        let Ok(place) = Arc::clone(&self.diagnoses.places).try_acquire_owned() else { return Ok(None) };
        let now = self.clock.now();
        let latest = now.lane.after(DIAGNOSING);
        // The account's own directory and policy: the file's first one may be looser.
        let limits = self.account_limits.below(&account.lockout);
        let taken = self.store.reserve_diagnosis(attempt, &account.id, limits, now, latest).await?;
        Ok(taken.then_some(Diagnosis { attempt, _place: place }))
    }

    /// Notes what became of it, and remembers a password that was right.
    ///
    /// # Errors
    /// The store did not answer; it counts as sent and not answered.
    pub async fn settle_diagnosis(
        &self,
        diagnosis: Diagnosis,
        account: &AccountId,
        password: &Secret,
        bind: Bind,
    ) -> Result<(), StoreError> {
        if bind == Bind::Right {
            self.diagnoses.right.remember(&[account.as_str().as_bytes(), password.expose()]);
        }
        self.store.settle_diagnosis(diagnosis.attempt, account, bind, self.clock.now()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_password_that_was_right_is_known_for_ten_minutes_for_its_account_alone() {
        let diagnoses = Diagnoses::new().unwrap();
        let parts = |account: &'static str, password: &'static str| [account.as_bytes(), password.as_bytes()];
        diagnoses.right.remember(&parts("alice", "right"));
        tokio::time::advance(Duration::from_secs(599)).await;
        assert!(diagnoses.right.knows(&parts("alice", "right")));
        assert!(!diagnoses.right.knows(&parts("alice", "righ")));
        assert!(!diagnoses.right.knows(&parts("bob", "right")));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!diagnoses.right.knows(&parts("alice", "right")));
    }
}
