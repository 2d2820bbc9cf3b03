//! How large the daemon's own record of attempts is: what `history_size` means in attempts.

use crate::schema::Config;
use std::path::PathBuf;

/// Bytes in front of the attempts.
pub const HISTORY_HEADER: u64 = 4096;
/// Bytes of one attempt.
pub const HISTORY_SLOT: u64 = 512;

impl Config {
    /// Where the history is: what the file names, or else `history` beside the store.
    #[must_use]
    pub fn history_path(&self) -> PathBuf {
        self.audit.history.clone().unwrap_or_else(|| self.store.path.with_file_name("history"))
    }

    /// How many attempts it holds; at least one.
    #[must_use]
    pub const fn history_attempts(&self) -> u64 {
        let slots = self.audit.history_size.bytes().saturating_sub(HISTORY_HEADER) / HISTORY_SLOT;
        if slots == 0 { 1 } else { slots }
    }
}
