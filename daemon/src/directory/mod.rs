//! The directory: who an account is, and whether a password is its password.
//!
//! Nothing else speaks LDAP, and nothing else makes a [`PasswordProof`]. A password leaves this host only over a
//! connection that `transport` protected, in exactly one bind per attempt; what a server answers passes `guard`
//! before `ldap3` sees it.

mod endpoint;
mod error;
mod exchange;
mod guard;
mod tls;
mod transport;

pub use error::{DirectoryError, SetupError};
