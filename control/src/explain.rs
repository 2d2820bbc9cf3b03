//! What `twinlock explain` and `twinlock me` ask and are told.

use crate::{AuthenticatorReport, Cursor, LaneReport};
use serde::{Deserialize, Serialize};

/// A login that is not made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExplainQuery {
    /// Name as it would be typed.
    pub user: String,
    /// An address, `local` or `unknown`.
    pub from: String,
    /// PAM service.
    pub service: String,
    /// When, seconds since 1970; left out, now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
    /// What sshd accepted before: `publickey`, or `sshd` for a login that it decided alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Who calls su or sudo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invoker: Option<String>,
    /// Groups to suppose, instead of the account's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
}

/// What would come of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// What: whoever shows what is asked is let in, or not, or it cannot be told.
    pub would: Would,
    /// The reason the audit record would give if everything shown is right; `rule-met` where it lets in.
    pub reason: String,
    /// Name as the directory spells it; absent if there is no such account, or nobody asked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Its immutable id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The groups that were looked at, if any rule asks for them and the directory told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
    /// `twinlock_policy::Explanation`: the place, the rules and their conditions.
    pub rules: serde_json::Value,
    /// The account lane it would stand in, with its state; absent where no lane is looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<LaneReport>,
    /// Prefix lanes that are closed and that it would stand in.
    pub prefixes: Vec<LaneReport>,
    /// The location whose waiver is withdrawn, because the account's password looks stolen: a code is needed too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<String>,
    /// Recovery codes that are left, each of which stands in for a code; absent if nobody asked the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_codes_left: Option<u64>,
    /// Active authenticators; absent if nobody asked the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticators: Option<u64>,
    /// What would change it.
    pub changes: Vec<String>,
    /// What could not be known.
    pub unknown: Vec<String>,
}

/// What would come of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Would {
    /// Whoever shows what is asked is let in.
    LetIn,
    /// Nobody is.
    BeDenied,
    /// It cannot be decided.
    BeUnavailable,
}

/// Recorded attempts under a configuration that is not in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayQuery {
    /// The candidate file's text.
    pub config: String,
    /// Attempts not before this moment, seconds since 1970.
    pub since: u64,
    /// Where to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Cursor>,
}

/// A part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayPage {
    /// Attempts that were looked at.
    pub looked_at: u64,
    /// Attempts of names that the directory does not know now, or that could not be looked up: nothing is said of them.
    pub skipped: u64,
    /// What would be different, alike ones together.
    pub differences: Vec<Difference>,
    /// Where to go on; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Cursor>,
}

/// Attempts that are alike and would be treated differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Name as the directory spells it.
    pub account: String,
    /// PAM service.
    pub service: String,
    /// Where they came from.
    pub source: String,
    /// What the configuration in force makes of them.
    pub before: Treatment,
    /// What the candidate makes of them.
    pub after: Treatment,
    /// How many.
    pub count: u64,
    /// The newest of them, seconds since 1970.
    pub last: u64,
}

/// What a configuration makes of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Treatment {
    /// What would come of it.
    pub would: Would,
    /// What is asked of everybody there.
    pub asked: String,
    /// What the rule asks.
    pub factors: Vec<String>,
    /// The rule that decides, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// What the daemon tells a user about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Me {
    /// Name as the directory spells it.
    pub account: String,
    /// Its authenticators, without seeds.
    pub authenticators: Vec<AuthenticatorReport>,
    /// Recovery codes that are left.
    pub recovery_codes_left: u64,
    /// Prefixes from which it has been let in, last used first.
    pub known_from: Vec<String>,
    /// The login before this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_login: Option<LastLoginReport>,
    /// Its latest attempts, newest first.
    pub attempts: Vec<OwnAttempt>,
}

/// A login that was let in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastLoginReport {
    /// When, seconds since 1970.
    pub at: u64,
    /// Where from.
    pub source: String,
    /// PAM service.
    pub service: String,
    /// Attempts that failed since.
    pub failed_since: u32,
}

/// What a user hears of an attempt under its own name: not why it failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnAttempt {
    /// When, seconds since 1970.
    pub at: u64,
    /// Where from.
    pub source: String,
    /// PAM service.
    pub service: String,
    /// `grant`, `deny` or `unavailable`.
    pub verdict: String,
    /// How many attempts this stands for.
    pub count: u32,
}
