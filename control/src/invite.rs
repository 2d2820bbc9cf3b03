//! Invitations, by which users get their first authenticator at a login: made, listed, made void.

use crate::SecretText;
use serde::{Deserialize, Serialize};

/// An invitation that was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationMade {
    /// Name as the directory spells it.
    pub account: String,
    /// Immutable id.
    pub id: String,
    /// What is typed as the code: told once.
    pub invitation: SecretText,
    /// When it ends, seconds since 1970.
    pub until: u64,
    /// It took the place of one that was not used.
    pub replaced: bool,
}

/// Invitations that were not used and are not over, the one that ends first before the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitations {
    /// 1000 at most.
    pub invitations: Vec<InvitationReport>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationReport {
    /// What the account was called when it was made.
    pub account: String,
    /// Immutable id.
    pub id: String,
    /// When it was made, seconds since 1970.
    pub made: u64,
    /// When it ends, seconds since 1970.
    pub until: u64,
    /// Who made it.
    pub by: String,
}

/// What became of an invitation that was to be void.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationRevoked {
    /// Name as the directory spells it.
    pub account: String,
    /// Immutable id.
    pub id: String,
    /// Whether there was one.
    pub revoked: bool,
}
