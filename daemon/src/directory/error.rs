//! What can go wrong with the directory, and what to do about it. No message holds anything that was typed as a
//! password.

use std::fmt;
use std::path::PathBuf;

/// Why the directory cannot be used as configured.
#[derive(Debug)]
pub enum SetupError {
    /// A server's URL.
    Server {
        /// As configured.
        url: String,
        /// What is wrong with it, and the remedy.
        what: String,
    },
    /// The file of believed authorities.
    Authorities {
        /// `tls.ca`.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The daemon's own certificate or key.
    Certificate {
        /// `tls.cert` or `tls.key`.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The service account's password.
    BindPassword {
        /// What is wrong, and the remedy.
        what: String,
    },
    /// Another key of the table.
    Key {
        /// `directory.NAME.key`.
        key: String,
        /// What is wrong, and the remedy.
        what: String,
    },
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server { url, what } => write!(f, "server \"{url}\": {what}"),
            Self::Authorities { file, what } => write!(
                f,
                "tls.ca {}: {what}; name a PEM file of the authorities that sign the directory's certificate",
                file.display()
            ),
            Self::Certificate { file, what } => write!(f, "tls {}: {what}", file.display()),
            Self::BindPassword { what } => write!(f, "bind_password: {what}"),
            Self::Key { key, what } => write!(f, "{key}: {what}"),
        }
    }
}

impl std::error::Error for SetupError {}

/// Why the directory did not answer a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirectoryError {
    /// No server gave an answer that counts.
    Unavailable {
        /// Which servers failed and why, with the remedy.
        reason: String,
        /// A user's bind may have reached a server, which may have counted it as a failure: no answer came, or one
        /// that does not say. `false` means that certainly no server judged the password.
        bind_sent: bool,
    },
    /// More than one entry bears the name.
    Ambiguous {
        /// The name, as typed.
        name: String,
    },
    /// The entry lacks what an account needs.
    Unfit {
        /// Its DN.
        dn: String,
        /// What is missing, and the remedy.
        what: String,
    },
}

impl DirectoryError {
    /// No answer, and no user's bind was sent.
    pub(crate) fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into(), bind_sent: false }
    }
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable { reason, bind_sent: false } => write!(f, "directory unavailable: {reason}"),
            Self::Unavailable { reason, bind_sent: true } => {
                write!(f, "directory unavailable after a bind was sent: {reason}")
            }
            Self::Ambiguous { name } => write!(
                f,
                "more than one entry under `base` bears the name \"{}\"; narrow `user_filter` or `base`",
                name.escape_debug()
            ),
            Self::Unfit { dn, what } => write!(f, "entry \"{}\": {what}", dn.escape_debug()),
        }
    }
}

impl std::error::Error for DirectoryError {}
