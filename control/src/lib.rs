//! What the `twinlock` command and `twinlockd` say to each other over the admin socket: one JSON object a line, one
//! reply a request. Values only; who may ask what is decided in the daemon.

#![forbid(unsafe_code)]

mod explain;
mod history;
mod invite;

pub use explain::{
    Difference, ExplainQuery, Explained, LastLoginReport, Me, OwnAttempt, ReplayPage, ReplayQuery, Treatment,
    Would,
};
pub use history::{Cursor, HISTORY_PAGE, HistoryPage, HistoryQuery, RecordedAttempt};
pub use invite::{InvitationMade, InvitationReport, InvitationRevoked, Invitations};

use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::Zeroizing;

/// Longest request in bytes.
pub const MAX_LINE: usize = 256 * 1024;

/// Longest reply in bytes.
pub const MAX_REPLY: usize = 2 * 1024 * 1024;

/// Whether a switch is off: then it need not be said.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(switch: &bool) -> bool {
    !*switch
}

/// Text that is a secret: wiped on drop and never shown by `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<SecretText> for String {
    fn from(text: SecretText) -> Self {
        text.0.to_string()
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

/// What the command asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// How the daemon is.
    Status {},
    /// Make an authenticator for a user of the directory, pending until a code of it is shown.
    Enroll {
        /// Name in the directory.
        user: String,
        /// The authenticator's name, such as `phone`.
        label: String,
        /// An existing seed in base32; left out, a random one is made.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seed: Option<SecretText>,
        /// Active at once, without a code. Needs a seed.
        #[serde(default)]
        active: bool,
        /// It takes the place of the active one of that label, which is good until then.
        #[serde(default, skip_serializing_if = "is_false")]
        replace: bool,
    },
    /// Activate the user's pending authenticator by a code of it.
    Confirm {
        /// Name in the directory.
        user: String,
        /// The code.
        code: SecretText,
    },
    /// Take over an authenticator from other software; active at once.
    Import {
        /// Name in the directory.
        user: String,
        /// The authenticator's name.
        label: String,
        /// Seed and parameters.
        seed: ImportSeed,
        /// Only say what would happen.
        #[serde(default)]
        dry_run: bool,
    },
    /// What is known of a user.
    UserShow {
        /// Name in the directory.
        user: String,
    },
    /// Make a new set of recovery codes; those of an earlier set are void.
    Recovery {
        /// Name in the directory.
        user: String,
    },
    /// Make an invitation, with which a user gets a first authenticator at a login; an earlier one is void.
    Invite {
        /// Name in the directory.
        user: String,
    },
    /// The invitations that are good.
    InviteList {},
    /// Make a user's invitation void.
    InviteRevoke {
        /// Name in the directory.
        user: String,
    },
    /// Remove an authenticator.
    UserRevoke {
        /// Name in the directory.
        user: String,
        /// The authenticator's name.
        label: String,
    },
    /// The users that the store knows of, a page of them.
    UserList {
        /// The id that ended the page before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<String>,
    },
    /// The users of the directory without an active authenticator, a page of them: the next one of this connection.
    UserListWithout {
        /// The first page.
        #[serde(default)]
        first: bool,
    },
    /// Make emergency passwords for users of the directory; for all of them or none.
    EmergencyCreate {
        /// Names in the directory, 1 to 100.
        users: Vec<String>,
        /// How many for each, 1 to 20.
        count: u32,
    },
    /// Who has emergency passwords.
    EmergencyList {},
    /// Make a user's emergency passwords void. The directory is not asked.
    EmergencyRevoke {
        /// What the account was called when they were made.
        user: String,
    },
    /// Lock a user out, whatever is proved.
    UserDisable {
        /// Name in the directory.
        user: String,
        /// The last day of the lock (UTC), as in `2026-12-24`; left out, it has no end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<String>,
        /// Why, for those who look at it later; at most 200 bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Take that lock off.
    UserEnable {
        /// Name in the directory.
        user: String,
    },
    /// Step by step, what the directories hold of a name, compared with what this host's name service says.
    DoctorDirectory {
        /// As it would be typed at a login.
        user: String,
    },
    /// What is closed at the moment.
    Locks {},
    /// Open every lane of a user and forget its failures.
    UserUnlock {
        /// Name in the directory.
        user: String,
    },
    /// Places that a user earned or was given; without a user those used last, over all users.
    PlaceList {
        /// Name in the directory.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
    },
    /// Give a user a place.
    PlaceAdd {
        /// Name in the directory.
        user: String,
        /// `192.0.2.7`, `2001:db8::1`, `192.0.2.7/32` or `2001:db8::/64`.
        prefix: String,
        /// PAM service it counts for; left out, every one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<String>,
        /// It ends with this day (UTC), as in `2027-01-31`; left out, never.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<String>,
    },
    /// Take places back from a user.
    PlaceForget {
        /// Name in the directory.
        user: String,
        /// As for [`Request::PlaceAdd`]; left out, all of them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prefix: Option<String>,
        /// PAM service; left out, whatever service it counts for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<String>,
    },
    /// Open the lanes of an address, or of one prefix, and forget their failures.
    PrefixClear {
        /// `192.0.2.7`, `2001:db8::1`, `192.0.2.7/32`, `2001:db8::/64` or `2001:db8::/48`.
        prefix: String,
    },
    /// Whether the wall clock is believed.
    ClockShow {},
    /// Believe the wall clock as it is.
    ClockAccept {},
    /// Take a store that was put back for the latest one.
    AcceptRestore {},
    /// Seal everything by the key that lies beside the present one.
    KeyRotate {},
    /// Recorded attempts, a page at a time.
    History(HistoryQuery),
    /// What would come of a login, and why.
    Explain(ExplainQuery),
    /// What would come of recorded attempts under another configuration, a page at a time.
    Replay(ReplayQuery),
    /// What is known of whoever asks.
    Me {},
}

/// What the daemon answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum Reply {
    /// To [`Request::Status`].
    Status(Status),
    /// To [`Request::Enroll`].
    Enrolled(Enrolled),
    /// To [`Request::Confirm`]: the authenticator counts from now on.
    Confirmed(AuthenticatorReport),
    /// To [`Request::Import`].
    Imported(Imported),
    /// To [`Request::UserShow`].
    User(UserReport),
    /// To [`Request::Recovery`].
    RecoveryCodes(RecoveryCodes),
    /// To [`Request::Invite`].
    InvitationMade(InvitationMade),
    /// To [`Request::InviteList`].
    Invitations(Invitations),
    /// To [`Request::InviteRevoke`].
    InvitationRevoked(InvitationRevoked),
    /// To [`Request::UserRevoke`].
    Revoked(Revoked),
    /// To [`Request::UserList`] and [`Request::UserListWithout`].
    Users(Users),
    /// To [`Request::EmergencyCreate`].
    EmergencyMade(EmergencyMade),
    /// To [`Request::EmergencyList`].
    EmergencyList(EmergencyList),
    /// To [`Request::EmergencyRevoke`].
    EmergencyRevoked(EmergencyRevoked),
    /// To [`Request::UserDisable`] and [`Request::UserEnable`].
    Locked(Locked),
    /// To [`Request::DoctorDirectory`].
    Findings(Findings),
    /// To [`Request::Locks`].
    Locks(Locks),
    /// To [`Request::UserUnlock`].
    Unlocked(Unlocked),
    /// To [`Request::PrefixClear`].
    Cleared(Cleared),
    /// To [`Request::ClockShow`]; to [`Request::ClockAccept`]: how it stood before.
    Clock(ClockReport),
    /// To [`Request::KeyRotate`].
    KeyRotated(KeyRotated),
    /// To [`Request::AcceptRestore`].
    RestoreAccepted(RestoreAccepted),
    /// To [`Request::PlaceList`].
    Places(Places),
    /// To [`Request::PlaceAdd`].
    PlaceAdded(PlaceReport),
    /// To [`Request::PlaceForget`]: those that were taken back.
    PlacesForgotten(Places),
    /// To [`Request::History`].
    History(HistoryPage),
    /// To [`Request::Explain`].
    Explained(Explained),
    /// To [`Request::Replay`].
    Replayed(ReplayPage),
    /// To [`Request::Me`].
    Me(Me),
    /// It was not done.
    Error {
        /// What to make of it.
        kind: ErrorKind,
        /// Why, and the remedy; nothing secret.
        message: String,
    },
}

/// What to make of an error; the command's exit code follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// The answer is no (exit code 1): no such user, a wrong code, not permitted.
    No,
    /// The request makes no sense (exit code 2).
    WrongUse,
    /// The directory or the store does not answer (exit code 3).
    Unavailable,
}

/// How the daemon is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its version.
    pub version: String,
    /// Seconds since it started.
    pub uptime_s: u64,
    /// The configuration file it runs under.
    pub config: String,
    /// Each server of each directory.
    pub servers: Vec<ServerStatus>,
    /// Accounts with an active authenticator.
    pub accounts_enrolled: u64,
    /// Authenticators waiting to be confirmed.
    pub authenticators_pending: u64,
    /// Account lanes that are closed now.
    pub lanes_closed: u64,
    /// Prefix lanes that are closed now.
    pub prefixes_closed: u64,
    /// Logins under way.
    pub attempts_running: u64,
    /// Verdicts since the start.
    pub granted: u64,
    /// Verdicts since the start.
    pub denied: u64,
    /// Verdicts since the start.
    pub unavailable: u64,
    /// Audit records that could not be delivered since the start.
    pub records_lost: u64,
    /// Attempts that are missing in the history since the start.
    #[serde(default)]
    pub history_lost: u64,
    /// Why the history cannot be written, if it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_problem: Option<String>,
    /// Rules by which a place stands in for the code.
    pub waivers: Vec<String>,
    /// Accounts that such a rule has let in because they have no authenticator yet, and that have none now.
    #[serde(default)]
    pub grace_accounts: u64,
    /// The GeoIP file, where there is to be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub geoip: Option<GeoipStatus>,
    /// Until the end of this day (UTC) the tarpit refuses nothing, and no bound holds; absent if it refuses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observes_until: Option<String>,
    /// The store is a copy that was put back, and no code is taken; absent if it is the latest one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub store_restored: bool,
    /// A new seal key lies beside the present one: a rotation was begun and is not done; absent if not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub key_rotation_unfinished: bool,
    /// Whether the wall clock is believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<ClockReport>,
}

/// What became of a new seal key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRotated {
    /// Seeds that it seals now; absent if it sealed everything already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seeds: Option<u64>,
}

/// What became of a store that was put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreAccepted {
    /// Authenticators whose codes count as used up to now; absent if the store was the latest one anyway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authenticators: Option<u64>,
    /// Emergency passwords that are void now.
    #[serde(default)]
    pub emergency_revoked: u32,
}

/// How the wall clock stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockReport {
    /// What it shows, seconds since 1970.
    pub shows: u64,
    /// Whether the kernel holds it for synchronised; absent where it may not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synchronised: Option<bool>,
    /// Why it is not believed; absent if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspicion: Option<ClockSuspicion>,
    /// Authenticators that were used at a time which lies ahead, 1000 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub used_ahead: Vec<UsedAhead>,
}

/// An authenticator that takes no code until its time has come: one was used while the clock was ahead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedAhead {
    /// What the account was called when it was enrolled.
    pub account: String,
    /// The authenticator's name.
    pub label: String,
    /// When that is, seconds since 1970.
    pub until: u64,
}

/// Why the wall clock is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockSuspicion {
    /// `parted`: it was set; `below-highest`: it is below the highest time that was believed.
    pub why: String,
    /// Seconds by which it was too high (or, below zero, too low) when that was noticed.
    pub by_s: i64,
    /// The highest time that was believed, seconds since 1970.
    pub believed_until: u64,
}

/// How the GeoIP file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GeoipStatus {
    /// Its path.
    pub database: String,
    /// What the one in use tells: countries, autonomous systems. Empty if none is in use: conditions on it are unknown.
    pub tells: Vec<String>,
    /// When the one in use was made, seconds since 1970, as it says itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub built: Option<u64>,
    /// When it was read, seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<u64>,
    /// Why the file that is there now is not used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// One directory server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// The directory's name in the configuration.
    pub directory: String,
    /// The server's URL.
    pub url: String,
    /// Whether the last contact succeeded; absent before the first.
    pub healthy: Option<bool>,
    /// What failed last, if it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A new authenticator. The URI holds the seed: it is shown once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// The account's name as the directory spells it.
    pub account: String,
    /// The authenticator.
    pub authenticator: AuthenticatorReport,
    /// otpauth URI.
    pub uri: SecretText,
}

/// A seed as other software kept it, and what its codes are like.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportSeed {
    /// In base32, 10 to 64 bytes.
    pub seed: SecretText,
    /// 6 or 8.
    pub digits: u8,
    /// `SHA1`, `SHA256` or `SHA512`.
    pub algorithm: String,
    /// Seconds a code lasts.
    pub step_s: u64,
}

/// What became of one that was to be taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// The account's name as the directory spells it.
    pub account: String,
    /// The seed is shorter than the 128 bits that RFC 4226 demands.
    pub weak: bool,
    /// What became of it.
    pub outcome: ImportOutcome,
}

/// What became of one that was to be taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImportOutcome {
    /// It counts from now on.
    Taken,
    /// It was not taken because that was only tried.
    WouldBeTaken,
    /// The account has this very seed already.
    AlreadyThere,
}

/// A new set of recovery codes: shown once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryCodes {
    /// The account's name as the directory spells it.
    pub account: String,
    /// Immutable id.
    pub id: String,
    /// The codes, as people write them down.
    pub codes: Vec<SecretText>,
    /// Unused codes of an earlier set, which are void now.
    pub voided: u64,
}

/// What was left of a user's authenticators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// Name as the directory spells it.
    pub account: String,
    /// Immutable id.
    pub id: String,
    /// The authenticator that is gone.
    pub label: String,
    /// Active ones that are left.
    pub authenticators_left: u32,
    /// Recovery codes that are left.
    pub recovery_codes_left: u64,
}

/// Some of the users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Users {
    /// They.
    pub users: Vec<UserRow>,
    /// How many were looked at for this page.
    pub looked_at: u64,
    /// Whether there may be more.
    pub more: bool,
}

/// One user on one line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRow {
    /// What the account is called; absent where nobody has written it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Immutable id.
    pub id: String,
    /// Active authenticators.
    pub authenticators: u32,
    /// One that waits to be confirmed.
    pub pending: bool,
    /// Recovery codes that were not used yet.
    pub recovery_codes_left: u64,
    /// Whether an administrator has locked it.
    pub disabled: bool,
    /// When it was last let in, as far as that was written down: seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<u64>,
}

/// The administrator's lock of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisabledReport {
    /// When it was put on, seconds since 1970.
    pub since: u64,
    /// When it ends, seconds since 1970; absent if it has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// Why, in the administrator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who put it on: `uid N`.
    pub by: String,
}

/// A user's lock as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locked {
    /// Name as the directory spells it.
    pub account: String,
    /// Immutable id.
    pub id: String,
    /// The lock; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<DisabledReport>,
    /// Whether anything was changed.
    pub changed: bool,
    /// Unused emergency passwords that the lock has made void.
    #[serde(default)]
    pub emergency_revoked: u32,
}

/// New emergency passwords: shown once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmergencyMade {
    /// Those of each user.
    pub made: Vec<EmergencySet>,
}

/// New emergency passwords of one user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmergencySet {
    /// Name as the directory spells it.
    pub account: String,
    /// Immutable id.
    pub id: String,
    /// The passwords, as people write them down.
    pub passwords: Vec<SecretText>,
}

/// Who has emergency passwords.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmergencyList {
    /// By name.
    pub accounts: Vec<EmergencyReport>,
}

/// The emergency passwords of one user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmergencyReport {
    /// What the directory called the account when they were made.
    pub account: String,
    /// Immutable id.
    pub id: String,
    /// Those that are good.
    pub unused: u32,
    /// Those that were used.
    pub used: u32,
    /// When the last one was made, seconds since 1970.
    pub created: u64,
    /// When one was last used, seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<u64>,
}

/// Emergency passwords that are void now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmergencyRevoked {
    /// The name that was asked for.
    pub account: String,
    /// How many there were.
    pub revoked: u32,
}

/// One authenticator, without its seed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthenticatorReport {
    /// Its name.
    pub label: String,
    /// Whether it counts.
    pub state: AuthenticatorState,
    /// Digits of its codes.
    pub digits: u8,
    /// Its hash.
    pub algorithm: String,
    /// Seconds a code lasts.
    pub step_s: u64,
    /// The seed is shorter than the 128 bits that RFC 4226 demands.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub weak: bool,
    /// When it was made, seconds since 1970.
    pub created: u64,
    /// When a code of it was last spent, seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<u64>,
}

/// Whether an authenticator counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthenticatorState {
    /// Made, but no code of it was shown yet.
    Pending,
    /// Its codes count.
    Active,
}

/// What is known of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserReport {
    /// Name as the directory spells it.
    pub account: String,
    /// Immutable id.
    pub id: String,
    /// The directory it is in.
    pub directory: String,
    /// Groups, if any rule asks for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
    /// Why the daemon would refuse this entry whatever is typed, if it would.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Authenticators.
    pub authenticators: Vec<AuthenticatorReport>,
    /// Recovery codes that were not used yet.
    #[serde(default)]
    pub recovery_codes_left: u64,
    /// The administrator's lock, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<DisabledReport>,
    /// Lanes that have counted failures.
    pub lanes: Vec<LaneReport>,
    /// Prefixes from which it has met its rule.
    pub known_from: Vec<String>,
    /// That its password looks stolen, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stolen_password: Option<StolenPassword>,
}

/// That somebody who knows an account's password was found trying to log in without a code: no place stands in for the
/// code until the next login with password and code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StolenPassword {
    /// Times it was right and the code wrong, from places the account does not know; those that were recognised.
    pub tries: u32,
    /// When it was marked, seconds since 1970.
    pub since: u64,
    /// The last of those times, seconds since 1970.
    pub last: u64,
    /// Where that came from.
    pub last_from: String,
}

/// What was found, step by step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// In the order they were looked at.
    pub steps: Vec<Finding>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was looked at.
    pub step: String,
    /// How it is.
    pub result: FindingResult,
    /// What was found, and the remedy where there is something to do.
    pub found: String,
}

/// How a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingResult {
    /// In order.
    Well,
    /// Worth a look.
    Odd,
    /// Nobody can log in so.
    Bad,
}

/// One lane of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneReport {
    /// Which: `unfamiliar`, `from 192.0.2.7/32`, `in office`, `local alice`; a prefix lane's prefix.
    pub lane: String,
    /// Failures that still count.
    pub failures: u32,
    /// Seconds until it opens; 0 if it is open.
    pub closed_for_s: u64,
}

/// What is closed at the moment, what failed last first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locks {
    /// Lanes of accounts, 1000 at most.
    pub lanes: Vec<LaneLock>,
    /// How many there are.
    pub lanes_closed: u64,
    /// Prefix lanes, 1000 at most.
    pub prefixes: Vec<PrefixLock>,
    /// How many there are.
    pub prefixes_closed: u64,
}

/// A lane of an account that is closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneLock {
    /// What the account was called when it was enrolled or last let in; absent if it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Its immutable id.
    pub id: String,
    /// Which lane.
    pub lane: String,
    /// Failures that still count.
    pub failures: u32,
    /// When the last one was settled, seconds since 1970.
    pub last_failure: u64,
    /// Seconds until it opens.
    pub closed_for_s: u64,
    /// When that is, seconds since 1970, as the wall clock stands now.
    pub until: u64,
    /// Why, in words.
    pub why: String,
}

/// A prefix lane that is closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrefixLock {
    /// Which.
    pub prefix: String,
    /// The failures that closed it.
    pub failures: u32,
    /// Seconds until it opens.
    pub closed_for_s: u64,
    /// When that is, seconds since 1970, as the wall clock stands now.
    pub until: u64,
    /// Why, in words.
    pub why: String,
}

/// Places that users earned or were given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    /// What was used last first, 1000 at most.
    pub places: Vec<PlaceReport>,
    /// How many there are.
    pub all: u64,
}

/// A place of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceReport {
    /// The account's name as it was last typed there, in lower case.
    pub account: String,
    /// Its immutable id.
    pub id: String,
    /// From where.
    pub prefix: String,
    /// PAM service it counts for; absent if for every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// `logins` (with password and code) or `administrator`.
    pub evidence: String,
    /// When it was first earned, or given, seconds since 1970.
    pub since: u64,
    /// The last login with password and code, or when it was given, seconds since 1970.
    pub last_used: u64,
    /// Logins with password and code.
    pub logins: u32,
    /// When it ends, seconds since 1970; absent for one that is not an administrator's or has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// The locations that hold it now for this user, at its service (or at any, where it counts for every one).
    pub locations: Vec<String>,
}

/// What was opened for a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlocked {
    /// Name as the directory spells it.
    pub account: String,
    /// Immutable id.
    pub id: String,
    /// The lanes that were closed or had failures, as they were.
    pub lanes: Vec<LaneReport>,
    /// That its password looked stolen, if it did: it does no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stolen_password: Option<StolenPassword>,
}

/// What was opened of an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cleared {
    /// The lanes that were looked at: one for a prefix; for an IPv6 address its /64 and its /48.
    pub prefixes: Vec<String>,
    /// Those that were closed or had failures, as they were.
    pub lanes: Vec<LaneReport>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_one_readable_line() {
        let request = Request::Enroll {
            user: "alice".into(),
            label: "phone".into(),
            seed: None,
            active: false,
            replace: false,
        };
        let line = serde_json::to_string(&request).unwrap();
        assert_eq!(line, r#"{"op":"enroll","user":"alice","label":"phone","active":false}"#);
        assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), request);
        let request = Request::PrefixClear { prefix: "192.0.2.7".into() };
        assert_eq!(serde_json::to_string(&request).unwrap(), r#"{"op":"prefix-clear","prefix":"192.0.2.7"}"#);
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(serde_json::from_str::<Request>(r#"{"op":"status","force":true}"#).is_err());
        assert!(
            serde_json::from_str::<Request>(r#"{"op":"confirm","user":"a","code":"1","force":true}"#)
                .is_err()
        );
    }

    #[test]
    fn debug_shows_no_secret() {
        let request = Request::Confirm { user: "alice".into(), code: SecretText::from("123456".to_owned()) };
        assert!(!format!("{request:?}").contains("123456"));
    }
}
