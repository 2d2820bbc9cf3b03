//! `twinlock.toml`: what may stand in it, what it means where something is left out, and what is refused.
//!
//! Everything here is values. Reading a file happens in [`load`] and [`SecretRef::read`]; whether rules make sense
//! together is for the policy crate. An error names file, line, column, key path and remedy, and shows no line of
//! the file, because a neighbouring line may hold a secret.

#![forbid(unsafe_code)]

mod check;
mod country;
mod day;
mod duration;
mod effective;
mod guess_budget;
mod history;
mod kind;
mod load;
mod mistyped;
mod network;
mod position;
mod problem;
mod schema;
mod secret;
mod size;
mod when;

pub use check::RESERVED_LOCATIONS;
pub use country::Country;
pub use day::Day;
pub use duration::Span;
pub use effective::{is_console, is_session, show};
pub use guess_budget::GuessBudget;
pub use history::{HISTORY_HEADER, HISTORY_SLOT};
pub use kind::Shape;
pub use load::{Loaded, load, parse};
pub use network::Network;
pub use problem::{Position, Problem, Problems};
pub use schema::{
    AccountState, Audit, CodeBudget, Config, Daemon, DirectoryKind, DirectorySettings, EnrollSettings,
    Familiar, GeoipSettings, LocationSettings, Lockout, Nesting, Prompt, RequiredFactor, RuleSettings,
    SecretRef, ServiceSettings, SourceLimit, SpreadLimit, StoreBackend, StoreSettings, TarpitSettings, Tls,
    TlsMode, TotpAlgorithm, TotpSettings, WhenSettings, WithoutAddress,
};
pub use secret::SecretError;
pub use size::Size;
pub use when::{Days, LocalTime, TimeOfDay, Weekday, Zone};
