//! What can go wrong in the store, and what to do about it. Whatever it is, nobody is let in on it.

use std::fmt;
use std::path::PathBuf;

/// The store could not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// The file cannot be opened or made.
    Open {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and the remedy.
        problem: String,
    },
    /// The seal key is not the one that the file's secrets were sealed by.
    OtherKey {
        /// The file.
        path: PathBuf,
    },
    /// More is waiting than the queue holds; nothing was done.
    Busy,
    /// The store was closed, or its thread has ended; nothing was done.
    Stopped,
    /// SQLite refused; everything it was asked was taken back.
    Database(String),
    /// A row holds what was never written there.
    Damaged(String),
    /// A seed does not belong to the row it is in, or was changed.
    Unsealable {
        /// The account it stands under.
        account: String,
    },
    /// An active authenticator of the account has this label.
    LabelTaken,
    /// The account has no active authenticator of the label that is to be replaced.
    NothingToReplace,
    /// The account has as many active authenticators as it may have.
    TooManyAuthenticators,
    /// An account would have more emergency passwords than it may have, or all together.
    TooManyEmergency,
    /// The operating system has no random numbers to give.
    NoRandom,
}

impl StoreError {
    /// Whether it is an answer to what was asked, and not a failure: asking again changes nothing.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::LabelTaken | Self::NothingToReplace | Self::TooManyAuthenticators | Self::TooManyEmergency
        )
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { path, problem } => write!(f, "{}: {problem}", path.display()),
            Self::OtherKey { path } => write!(
                f,
                "{}: the seal key is not the one this store was made with; set [store] key to that one, or restore it \
                 from its backup",
                path.display()
            ),
            Self::Busy => f.write_str("the store has more to do than its queue holds; try again"),
            Self::Stopped => f.write_str("the store is closed; restart twinlockd"),
            Self::Database(why) => {
                write!(
                    f,
                    "the store cannot read or write its file: {why}; look at its disk's space and health"
                )
            }
            Self::Damaged(what) => {
                write!(f, "the store's file is damaged ({what}); restore it from a backup")
            }
            Self::Unsealable { account } => write!(
                f,
                "an authenticator of account {account} cannot be unsealed: its row was changed or moved; \
                 remove it and enrol the account again"
            ),
            Self::LabelTaken => {
                f.write_str(
                    "the account has an active authenticator of that label; choose another label, or replace it with \
                     --replace",
                )
            }
            Self::NothingToReplace => f.write_str(
                "the account has no active authenticator of that label to be replaced; leave out --replace",
            ),
            Self::TooManyAuthenticators => f.write_str(
                "the account has 8 active authenticators, the most there may be; remove one first",
            ),
            Self::TooManyEmergency => f.write_str(
                "an account has at most 20 unused emergency passwords, and all together 2000; revoke some first",
            ),
            Self::NoRandom => f.write_str("the operating system has no random numbers to give; try again"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.to_string())
    }
}
