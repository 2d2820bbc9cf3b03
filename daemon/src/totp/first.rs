//! The code that shows that somebody has taken over a new authenticator: before that it exists nowhere but in this
//! attempt.

use super::{Parameters, Seed, Step};
use crate::attempt::AttemptId;
use crate::clock::WallTime;
use std::fmt;
use twinlock_policy::AccountId;
use twinlock_protocol::Secret;

/// A new authenticator that was shown to somebody, and a right code of it. Bound to attempt and account.
pub struct FirstCode {
    attempt: AttemptId,
    account: AccountId,
    seed: Seed,
    parameters: Parameters,
    step: Step,
}

impl FirstCode {
    /// That `typed` is a code of the new authenticator now; else the seed is given back, for another try.
    ///
    /// # Errors
    /// It is none: the seed.
    pub fn shown(
        attempt: AttemptId,
        account: &AccountId,
        seed: Seed,
        parameters: Parameters,
        typed: &Secret,
        (wall, window_steps): (WallTime, u8),
    ) -> Result<Self, Seed> {
        let steps = parameters.matching(&seed, typed.expose(), wall, window_steps);
        let Some(step) = steps.first().copied() else { return Err(seed) };
        Ok(Self { attempt, account: account.clone(), seed, parameters, step })
    }

    /// The attempt that showed it.
    #[must_use]
    pub const fn attempt(&self) -> AttemptId {
        self.attempt
    }

    /// The account it is for.
    #[must_use]
    pub const fn account(&self) -> &AccountId {
        &self.account
    }

    /// The authenticator's seed.
    #[must_use]
    pub const fn seed(&self) -> &Seed {
        &self.seed
    }

    /// What its codes are like.
    #[must_use]
    pub const fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The step whose code was shown: it is used, and every older one.
    #[must_use]
    pub const fn step(&self) -> Step {
        self.step
    }
}

impl fmt::Debug for FirstCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FirstCode").field("attempt", &self.attempt).finish_non_exhaustive()
    }
}
