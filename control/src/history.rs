//! What `twinlock history` asks and is told: recorded attempts, a bounded page at a time.

use serde::{Deserialize, Serialize};

/// Attempts in one reply at most.
pub const HISTORY_PAGE: u32 = 500;

/// Which attempts. What is left out does not narrow.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HistoryQuery {
    /// Name, in whatever spelling, of the account or as it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// An address, a network in CIDR form, `local` or `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Not before this moment, seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Not after this moment, seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// `grant`, `deny` or `unavailable`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// A reason, as in docs/contracts.md.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// At most so many, [`HISTORY_PAGE`] a reply.
    pub limit: u32,
    /// Where to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Cursor>,
}

/// Where a page begins. Attempts are numbered from 1 in the order they were recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cursor {
    /// The newest attempts before this number, newest first.
    Before(u64),
    /// The attempts after this number, oldest first. Where there are none, the daemon waits some seconds for one.
    After(u64),
}

/// A part of the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryPage {
    /// The attempts that fit the query.
    pub attempts: Vec<RecordedAttempt>,
    /// The number of the newest attempt there is.
    pub newest: u64,
    /// Where to go on; absent at the end of what is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Cursor>,
}

/// One attempt, as the audit record has it: docs/contracts.md says what each field holds. What did not fit ends in
/// `...`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordedAttempt {
    /// Its number.
    pub number: u64,
    /// When it was decided, seconds since 1970.
    pub at: u64,
    /// The attempt's id, 16 hexadecimal digits.
    pub id: String,
    /// `auth` or `account`.
    pub phase: String,
    /// `grant`, `deny` or `unavailable`.
    pub verdict: String,
    /// Why.
    pub reason: String,
    /// The name as given; what is not UTF-8 is replaced.
    pub user: String,
    /// Immutable id, empty if unknown.
    pub account: String,
    /// PAM service.
    pub service: String,
    /// Address, `local` or `unknown`.
    pub source: String,
    /// What sshd had accepted: `publickey`, `sshd`, or empty.
    pub after: String,
    /// Locations that hold the source.
    pub place: String,
    /// The rule that decided, empty if none.
    pub rule: String,
    /// What was asked.
    pub asked: String,
    /// What came of the password.
    pub password: String,
    /// What came of the code.
    pub code: String,
    /// The location that stood in for the code, empty if none.
    pub waiver: String,
    /// The account lane, empty if none.
    pub lane: String,
    /// What the tarpit would have refused, had it not only observed; else empty.
    pub observed: String,
    /// `root` or `uid N`.
    pub caller: String,
    /// From the opening to the decision, in milliseconds.
    pub ms: u64,
    /// What failed, empty if nothing did.
    pub detail: String,
    /// How many attempts this stands for: more than one where refusals were summed.
    pub count: u32,
}
