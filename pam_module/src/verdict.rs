//! The table from how an attempt ended to the PAM code the application sees (docs/contracts.md, "PAM codes").
//!
//! PAM_IGNORE is not in it: a stack whose other modules succeed would let somebody in without a proof.

use pam::constants::PamResultCode;
use twinlock_protocol::{Phase, Standing};

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Outcome {
    /// The daemon granted it and everything that goes with the grant is in place.
    Granted,
    /// The daemon denied it, or the module must: wrong arguments, a user name that changed under way.
    Denied,
    /// Everything was proved, and the account is not let in as it stands.
    Withheld(Standing),
    /// Nobody who may decide has decided.
    Unavailable,
    /// The application has no user name and could not ask for one.
    Nameless,
}

/// The PAM code of `outcome` in `phase`.
pub(crate) fn code(phase: Phase, outcome: Outcome) -> PamResultCode {
    match (phase, outcome) {
        (_, Outcome::Granted) => PamResultCode::PAM_SUCCESS,
        (Phase::Authenticate, Outcome::Denied) => PamResultCode::PAM_AUTH_ERR,
        (Phase::Account, Outcome::Denied) => PamResultCode::PAM_PERM_DENIED,
        (Phase::Change, Outcome::Denied) => PamResultCode::PAM_AUTHTOK_ERR,
        (_, Outcome::Withheld(Standing::AccountExpired)) => PamResultCode::PAM_ACCT_EXPIRED,
        (_, Outcome::Withheld(Standing::PasswordExpired)) => PamResultCode::PAM_AUTHTOK_EXPIRED,
        (_, Outcome::Withheld(Standing::NotNow)) => PamResultCode::PAM_PERM_DENIED,
        (_, Outcome::Withheld(Standing::NewPassword)) => PamResultCode::PAM_NEW_AUTHTOK_REQD,
        (_, Outcome::Unavailable) => PamResultCode::PAM_AUTHINFO_UNAVAIL,
        (_, Outcome::Nameless) => PamResultCode::PAM_CONV_ERR,
    }
}
