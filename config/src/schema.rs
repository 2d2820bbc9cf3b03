//! The tables of `twinlock.toml` and their defaults. Every key is documented here and in twinlock.toml(5).
//!
//! Unknown keys are errors everywhere (`deny_unknown_fields`): a misspelt limit must not start weaker than meant.

use crate::country::Country;
use crate::day::Day;
use crate::duration::Span;
use crate::effective::is_session;
use crate::guess_budget::GuessBudget;
use crate::network::Network;
use crate::size::Size;
use crate::when::{Days, TimeOfDay, Zone};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[daemon]`
    #[serde(default)]
    pub daemon: Daemon,
    /// `[directory.NAME]`, asked in file order.
    pub directory: IndexMap<String, DirectorySettings>,
    /// `[totp]`: what a new authenticator gets.
    #[serde(default)]
    pub totp: TotpSettings,
    /// `[geoip]`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub geoip: Option<GeoipSettings>,
    /// `[location.NAME]`
    #[serde(default)]
    pub location: IndexMap<String, LocationSettings>,
    /// `[service.NAME]`
    #[serde(default)]
    pub service: IndexMap<String, ServiceSettings>,
    /// `[[rule]]`, in file order; the first that matches decides.
    #[serde(default)]
    pub rule: Vec<RuleSettings>,
    /// `[tarpit]`
    #[serde(default)]
    pub tarpit: TarpitSettings,
    /// `[store]`
    pub store: StoreSettings,
    /// `[audit]`
    #[serde(default)]
    pub audit: Audit,
}

/// `[daemon]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Daemon {
    /// Where the module connects.
    pub login_socket: PathBuf,
    /// Where the command connects.
    pub admin_socket: PathBuf,
}

impl Default for Daemon {
    fn default() -> Self {
        Self {
            login_socket: "/run/twinlock/login.sock".into(),
            admin_socket: "/run/twinlock/admin.sock".into(),
        }
    }
}

/// Which directory software answers; fills in what is left out (`kind.rs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DirectoryKind {
    /// OpenLDAP with posixAccount entries and memberUid or groupOfNames groups.
    Rfc2307,
    /// OpenLDAP with posixAccount entries and groups whose members are DNs, groups among them.
    Rfc2307bis,
    /// 389 Directory Server.
    #[serde(rename = "389ds")]
    Ds389,
    /// FreeIPA.
    #[serde(rename = "freeipa")]
    FreeIpa,
    /// Microsoft's, and Samba as one.
    ActiveDirectory,
}

/// How groups within groups are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Nesting {
    /// Not at all, or the server resolves them itself.
    None,
    /// Level by level, at most 8 of them and 1,000 groups.
    Recursive,
}

/// Attributes that tell an account's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccountState {
    /// shadowAccount (RFC 2307).
    Shadow,
    /// The operational attributes of draft-behera-ldap-password-policy.
    Ppolicy,
    /// nsAccountLock, passwordExpirationTime.
    #[serde(rename = "389ds")]
    Ds389,
    /// nsAccountLock, krbPrincipalExpiration, krbPasswordExpiration.
    #[serde(rename = "freeipa")]
    FreeIpa,
    /// userAccountControl and its kin.
    ActiveDirectory,
}

/// `[directory.NAME]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectorySettings {
    /// Which software.
    pub kind: DirectoryKind,
    /// `ldaps://`, `ldap://` or `ldapi://` URLs, tried in order of health; `srv://DOMAIN` for those that DNS names.
    pub servers: Vec<String>,
    /// Where accounts are searched, with all that lies below.
    pub base: String,
    /// Selects this directory by `REALM\name` or `name@realm`, whatever the case; left out, none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
    /// Finds one account; `{user}` stands for the escaped name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_filter: Option<String>,
    /// Attributes that hold an account's names; what the first holds is what it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_attributes: Option<Vec<String>>,
    /// The attribute that stays the same however an entry is renamed or moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_attribute: Option<String>,
    /// Where groups are searched; left out, no rule may name groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_base: Option<String>,
    /// Finds the groups that hold an account: `{dn}`, `{user}` (each of its names), `{gid}` (its gidNumber) and
    /// `{primary}` (its primary group's objectSid) stand for what the entry shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_filter: Option<String>,
    /// The attribute that holds a group's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_name: Option<String>,
    /// How groups within groups are found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nesting: Option<Nesting>,
    /// Which attributes tell an account's state; `[]` for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_state: Option<Vec<AccountState>>,
    /// Whom searches are made as; left out, anonymously (SASL EXTERNAL over ldapi, as the daemon's own uid, and over
    /// TLS with `tls.cert`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind_dn: Option<String>,
    /// That account's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind_password: Option<SecretRef>,
    /// How the connection is protected.
    #[serde(default)]
    pub tls: Tls,
    /// For reaching a server, its TLS handshake included.
    #[serde(default = "two_seconds")]
    pub connect_timeout: Span,
    /// For each answer.
    #[serde(default = "five_seconds")]
    pub timeout: Span,
    /// The directory's own lock-out, below which the daemon stays.
    #[serde(default)]
    pub lockout: Lockout,
}

pub(crate) fn two_seconds() -> Span {
    Span::seconds(2)
}

pub(crate) fn five_seconds() -> Span {
    Span::seconds(5)
}

/// Where a secret is kept. Never in the configuration itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum SecretRef {
    /// A file that only its owner may read.
    File(PathBuf),
    /// A systemd credential, found in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
}

/// `tls = { … }`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// How TLS begins.
    pub mode: TlsMode,
    /// PEM file of the authorities that are believed.
    pub ca: PathBuf,
    /// PEM file of the daemon's own certificate and what stands between it and its authority; for servers that ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    /// PEM file of its key, which only its owner and group may read. Both or neither.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
}

impl Default for Tls {
    fn default() -> Self {
        Self { mode: TlsMode::Ldaps, ca: "/etc/ssl/certs/ca-certificates.crt".into(), cert: None, key: None }
    }
}

/// How TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    /// From the first byte.
    Ldaps,
    /// After a StartTLS request (RFC 4511, 4.14).
    Starttls,
    /// Not at all: only for `ldapi://` and loopback addresses.
    None,
}

/// `lockout = { failures = …, within = … }`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lockout {
    /// Failed binds at which the directory locks an account, 2 to 1000.
    pub failures: u32,
    /// Over which time it counts them.
    pub within: Span,
}

impl Default for Lockout {
    fn default() -> Self {
        Self { failures: 5, within: Span::seconds(30 * 60) }
    }
}

/// `[totp]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TotpSettings {
    /// 6 or 8.
    pub digits: u8,
    /// The HMAC's hash.
    pub algorithm: TotpAlgorithm,
    /// Length of a time step, 30 s or 60 s.
    pub step: Span,
    /// Steps accepted either side of now: 0 or 1.
    pub window_steps: u8,
}

impl Default for TotpSettings {
    fn default() -> Self {
        Self { digits: 6, algorithm: TotpAlgorithm::Sha1, step: Span::seconds(30), window_steps: 1 }
    }
}

/// Hash of RFC 6238.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TotpAlgorithm {
    /// What every phone application knows.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// `[geoip]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeoipSettings {
    /// A file in MaxMind's DB format that tells countries, autonomous systems, or both. Read again when it changes.
    pub database: PathBuf,
}

/// `[location.NAME]`: one kind of source each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LocationSettings {
    /// Addresses in CIDR form, without host bits; a bare address means that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub networks: Option<Vec<Network>>,
    /// Countries (ISO 3166-1 alpha-2), by the GeoIP file. Holds public addresses only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub countries: Option<Vec<Country>>,
    /// Numbers of autonomous systems, by the GeoIP file. Holds public addresses only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asns: Option<Vec<u32>>,
    /// Places that an account earned with so many logins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub familiar: Option<Familiar>,
    /// Places from which an account logged in with password and code at most this long ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remembered: Option<Span>,
    /// An earned place counts for every service, not only for the one it was earned at.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub any_service: bool,
}

impl LocationSettings {
    /// Its networks; none for a location of another kind.
    #[must_use]
    pub fn networks(&self) -> &[Network] {
        self.networks.as_deref().unwrap_or_default()
    }

    /// Whether it is a place that accounts earn.
    #[must_use]
    pub const fn is_earned(&self) -> bool {
        self.familiar.is_some() || self.remembered.is_some()
    }

    /// Whether it needs the GeoIP file.
    #[must_use]
    pub const fn needs_geoip(&self) -> bool {
        self.countries.is_some() || self.asns.is_some()
    }
}

/// `familiar = { … }`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Familiar {
    /// Logins with password and code that earn the place, 1 to 1000.
    pub logins: u32,
    /// Forgotten when no such login came from there for so long.
    #[serde(default = "ninety_days")]
    pub forget: Span,
    /// Places an account has at most, those used last; 1 to 100.
    #[serde(default = "twenty")]
    pub at_most: u32,
}

fn ninety_days() -> Span {
    Span::seconds(90 * 86_400)
}

fn twenty() -> u32 {
    20
}

/// `[service.NAME]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServiceSettings {
    /// How the service asks.
    pub prompt: Prompt,
    /// Whether its calls may be kept waiting for a slot. Where one process serves every login, they may not.
    pub hold: bool,
    /// The service is OpenSSH: SSH_CONNECTION and SSH_AUTH_INFO_0 count, and an account phase that no grant came before
    /// is a login that sshd decided alone. Left out, true for the service named sshd.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sshd: Option<bool>,
    /// What a login without an address is; left out, `local` for login, su, sudo and lockers, else `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub without_address: Option<WithoutAddress>,
    /// Whether whoever was let in is told of the last login. Left out, true; but false for su, sudo and lockers, and
    /// where one field takes everything: such applications have no place to show it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_login: Option<bool>,
}

impl Default for ServiceSettings {
    fn default() -> Self {
        Self { prompt: Prompt::Separate, hold: true, sshd: None, without_address: None, last_login: None }
    }
}

impl ServiceSettings {
    /// Whether the service of this name is OpenSSH.
    #[must_use]
    pub fn is_sshd(&self, name: &str) -> bool {
        self.sshd.unwrap_or(name == "sshd")
    }

    /// Whether the service of this name shows the last login.
    #[must_use]
    pub fn shows_last_login(&self, name: &str) -> bool {
        self.last_login.unwrap_or_else(|| is_session(name) && self.prompt == Prompt::Separate)
    }
}

/// How a service asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Prompt {
    /// One question a factor.
    Separate,
    /// One field: password followed by the code.
    Single,
}

/// What a login without an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WithoutAddress {
    /// At this host's own consoles.
    Local,
    /// Anywhere.
    Unknown,
}

/// `[[rule]]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSettings {
    /// Stands in the audit record.
    pub name: String,
    /// PAM services; left out, every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<Vec<String>>,
    /// Groups, any of which the account must be in; left out, every account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
    /// Accounts by name; left out, every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<Vec<String>>,
    /// Locations, any of which must hold the source; left out, everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Vec<String>>,
    /// Locations, none of which may hold the source. Matches public addresses and `unknown`; never `local` or
    /// `private`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_from: Option<Vec<String>>,
    /// Times of the week; left out, always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<WhenSettings>,
    /// The rule ends with that day (UTC); left out, never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Day>,
    /// Methods that sshd must have accepted already: `publickey`, or `sshd` for a login it decided alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Vec<String>>,
    /// What is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require: Option<Vec<RequiredFactor>>,
    /// Refuse. Stands instead of `require`.
    #[serde(default)]
    pub deny: bool,
    /// This rule knowingly rests on one thing only.
    #[serde(default)]
    pub single_factor: bool,
    /// Where accounts without an authenticator get one with their password alone; left out, nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enroll: Option<EnrollSettings>,
}

/// `enroll = { … }`: the first authenticator of an account, made in a login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrollSettings {
    /// `networks` locations. Elsewhere an invitation is needed.
    pub from: Vec<String>,
    /// Until that day is over (UTC), an account without an authenticator needs no code there; left out, it always does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_until: Option<Day>,
}

/// `when = { … }`: a part of the week, by the clocks of one time zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhenSettings {
    /// Days on which the part begins; left out, every day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<Days>,
    /// When it begins; left out, at midnight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<TimeOfDay>,
    /// When it is over; left out, at the next midnight. At or before `from`, on the next day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<TimeOfDay>,
    /// Whose clocks, as in `Europe/Amsterdam`.
    pub zone: Zone,
}

/// A factor that a rule asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequiredFactor {
    /// Knowledge: proved by a bind.
    Password,
    /// Possession: TOTP.
    Code,
}

/// `[tarpit]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TarpitSettings {
    /// Failures before the first wait, 1 to 1000.
    pub free: u32,
    /// The first wait; doubles with each further failure.
    pub base: Span,
    /// The longest wait; one failure is forgotten per cap of quiet.
    pub cap: Span,
    /// Failures from one prefix.
    pub source_limit: SourceLimit,
    /// Failures over many accounts, from many prefixes.
    pub spread_limit: SpreadLimit,
    /// Wrong codes of an account in all its own lanes together.
    pub code_budget: CodeBudget,
    /// A policy whose bound is above this is refused.
    pub guess_budget: GuessBudget,
    /// Hosts that share seeds but not a store, 1 to 10,000. Each of them lets the same guesses through, so they
    /// multiply the bound.
    pub hosts: u32,
    /// Networks without a prefix lane, where nothing is earned: jump hosts.
    pub uncounted: Vec<Network>,
    /// Until that day is over (UTC), the tarpit records what it would refuse, and refuses nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observe_until: Option<Day>,
}

impl Default for TarpitSettings {
    fn default() -> Self {
        Self {
            free: 3,
            base: Span::seconds(30),
            cap: Span::seconds(4 * 3600),
            source_limit: SourceLimit::default(),
            spread_limit: SpreadLimit::default(),
            code_budget: CodeBudget::default(),
            guess_budget: GuessBudget::percent(1),
            hosts: 1,
            uncounted: Vec::new(),
            observe_until: None,
        }
    }
}

/// `source_limit = { … }`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceLimit {
    /// Failures that close a prefix.
    pub failures: u32,
    /// Counted over this time.
    pub within: Span,
    /// How long it stays closed.
    pub refuse: Span,
}

impl Default for SourceLimit {
    fn default() -> Self {
        Self { failures: 20, within: Span::seconds(600), refuse: Span::seconds(600) }
    }
}

/// `spread_limit = { … }`: then unfamiliar places take only two codes for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpreadLimit {
    /// Failures in unfamiliar lanes, five a prefix at most; 1 to 10,000.
    pub failures: u32,
    /// Over so many accounts; 1 to `failures`.
    pub accounts: u32,
    /// Counted over this time.
    pub within: Span,
    /// How long it lasts from the last of them.
    #[serde(rename = "for")]
    pub lasts: Span,
}

impl Default for SpreadLimit {
    fn default() -> Self {
        Self { failures: 100, accounts: 20, within: Span::seconds(600), lasts: Span::seconds(300) }
    }
}

/// `code_budget = { … }`: once it is spent, the account's own lanes that had a wrong code take two codes only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodeBudget {
    /// Wrong codes that spend it, 1 to 1000.
    pub failures: u32,
    /// Counted over this time, 1 h to 365 d.
    pub within: Span,
}

impl Default for CodeBudget {
    fn default() -> Self {
        Self { failures: 20, within: Span::seconds(30 * 86_400) }
    }
}

/// `[store]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreSettings {
    /// Which database.
    #[serde(default)]
    pub backend: StoreBackend,
    /// The database file.
    #[serde(default = "state_db")]
    pub path: PathBuf,
    /// Seals the seeds: 32 random bytes, in hexadecimal.
    pub key: SecretRef,
    /// Says which store is the latest, so that a restored copy is noticed; must not be restored with it. Left
    /// out, see [`StoreSettings::generation`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<PathBuf>,
}

pub(crate) fn state_db() -> PathBuf {
    "/var/lib/twinlock/state.db".into()
}

/// Which database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreBackend {
    /// A file on this host.
    #[default]
    Sqlite,
}

/// `[audit]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// The local syslog socket.
    pub syslog: PathBuf,
    /// The daemon's own record of attempts, for `twinlock history`; left out, `history` beside the store's file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<PathBuf>,
    /// The size of that file, preallocated: the oldest attempts make room. 1 MiB to 64 GiB.
    pub history_size: Size,
    /// Older attempts are erased from it, 1 d to 3650 d.
    pub keep: Span,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            syslog: "/dev/log".into(),
            history: None,
            history_size: Size::mebibytes(64),
            keep: Span::seconds(90 * 86_400),
        }
    }
}
