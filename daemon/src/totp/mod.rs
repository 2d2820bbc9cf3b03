//! Time-based codes (RFC 6238): which code belongs to which step, and whether it may still be used.
//!
//! Everything here is a pure function of values and a given time; the store reads and writes what the functions
//! speak of, inside one transaction. Only this module makes a [`CodeProof`].

mod code;
mod first;
mod judge;
mod recovery;
mod seed;
mod uri;

pub use code::{AuthenticatorId, Label, LabelError, Parameters, ParametersError, Step};
pub use first::FirstCode;
pub use judge::{
    Asked, Candidate, Claim, CodeOutcome, CodePair, CodeProof, CodeTry, Judgement, Reserved, Shown, TRIES,
    judge,
};
pub use recovery::{FoundRecovery, RECOVERY_CODES, RecoveryCode};
pub use seed::{Seed, SeedError};
pub use uri::otpauth;
