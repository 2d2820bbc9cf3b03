//! `twinlock.toml`: what may stand in it, what it means where something is left out, and what is refused.
//!
//! Everything here is values. Reading a file happens in [`load`]; whether rules make sense together is for the
//! policy crate. An error names file, line, column, key path and remedy, and shows no line of the file, because a
//! neighbouring line may hold a secret.

#![forbid(unsafe_code)]

mod duration;
mod network;
mod schema;

pub use duration::Span;
pub use network::Network;
pub use schema::{
    Audit, Config, Daemon, DirectoryKind, DirectorySettings, LocationSettings, Lockout, Prompt,
    RequiredFactor, RuleSettings, SecretRef, ServiceSettings, SourceLimit, StoreBackend, StoreSettings,
    TarpitSettings, Tls, TlsMode, TotpAlgorithm, TotpSettings, WithoutAddress,
};
