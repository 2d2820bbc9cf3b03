//! The only maker of a grant. It needs the proofs that the plan asks for, made for this attempt and this account;
//! the compiler sees to it that nobody else can make one.

use crate::attempt::AttemptId;
use crate::decision::Reason;
use crate::directory::PasswordProof;
use crate::store::EmergencyProof;
use crate::totp::{CodeProof, FirstCode};
use twinlock_policy::{AccountId, Plan};

/// Everything the rule asks was proved, or an emergency password was spent.
#[derive(Debug)]
#[must_use]
pub struct Grant {
    reason: Reason,
}

impl Grant {
    /// A grant, if `plan` is satisfied by these proofs; both locks at once.
    #[must_use]
    pub fn satisfied_by(
        plan: &Plan,
        attempt: AttemptId,
        account: &AccountId,
        code: Option<&CodeProof>,
        password: Option<&PasswordProof>,
    ) -> Option<Self> {
        let Plan::Require { factors, .. } = plan else { return None };
        let of_this = |by: AttemptId, whose: &AccountId| by == attempt && whose == account;
        let code_proved = code.is_some_and(|proof| of_this(proof.attempt(), proof.account()));
        let password_proved = password.is_some_and(|proof| of_this(proof.attempt(), proof.account()));
        if (factors.code && !code_proved) || (factors.password && !password_proved) {
            return None;
        }
        Some(Self { reason: Reason::RuleMet })
    }

    /// A grant, if `plan` is satisfied by the first code of a new authenticator and this password.
    #[must_use]
    pub fn by_first_code(
        plan: &Plan,
        attempt: AttemptId,
        account: &AccountId,
        code: &FirstCode,
        password: Option<&PasswordProof>,
    ) -> Option<Self> {
        let Plan::Require { factors, .. } = plan else { return None };
        let of_this = |by: AttemptId, whose: &AccountId| by == attempt && whose == account;
        let password_proved = password.is_some_and(|proof| of_this(proof.attempt(), proof.account()));
        if !of_this(code.attempt(), code.account()) || (factors.password && !password_proved) {
            return None;
        }
        Some(Self { reason: Reason::RuleMet })
    }

    /// A grant by an emergency password that this attempt has spent: it needs no rule.
    #[must_use]
    pub fn by_emergency(attempt: AttemptId, spent: &EmergencyProof) -> Option<Self> {
        (spent.attempt() == attempt).then_some(Self { reason: Reason::EmergencyPassword })
    }

    /// Why, for the record.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }
}
