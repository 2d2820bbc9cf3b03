//! Everything a login needs, in one place, made once at the start.

use crate::audit::{Auditor, Verdict};
use crate::clock::Clock;
use crate::directory::Directories;
use crate::history::History;
use crate::local_accounts::LocalAccounts;
use crate::location::Locations;
use crate::store::{Emergency, Generation, Store};
use crate::tarpit::Tarpit;
use crate::tickets::Tickets;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use twinlock_config::Config;
use twinlock_policy::Policy;

/// The rooms of the daemon.
pub struct House {
    /// The file it was told in.
    pub config_path: PathBuf,
    /// What it was told.
    pub config: Config,
    /// Places and rules.
    pub policy: Policy,
    /// What is known of places beyond the configuration.
    pub locations: Locations,
    /// Where passwords are proved.
    pub directory: Directories,
    /// Where guesses are counted.
    pub tarpit: Tarpit,
    /// Where it is all kept.
    pub store: Store,
    /// By which a restored copy of it is noticed.
    pub generation: Generation,
    /// What lets people in while the directory and the store are away.
    pub emergency: Emergency,
    /// Where records go.
    pub auditor: Auditor,
    /// The daemon's own record of attempts.
    pub history: History,
    /// The time.
    pub clock: Clock,
    /// Grants that the account phase may recognise.
    pub tickets: Tickets,
    /// Passwords that were proved and must be changed.
    pub changes: Tickets,
    /// Names that no directory entry may bear.
    pub local_accounts: LocalAccounts,
    /// Verdicts since the start.
    pub counts: Counts,
}

/// Verdicts since the start.
#[derive(Debug, Default)]
pub struct Counts {
    granted: AtomicU64,
    denied: AtomicU64,
    unavailable: AtomicU64,
    running: AtomicU64,
}

impl Counts {
    /// One more.
    pub fn count(&self, verdict: Verdict) {
        self.of(verdict).fetch_add(1, Ordering::Relaxed);
    }

    /// How many.
    #[must_use]
    pub fn number(&self, verdict: Verdict) -> u64 {
        self.of(verdict).load(Ordering::Relaxed)
    }

    /// Attempts under way.
    #[must_use]
    pub fn running(&self) -> u64 {
        self.running.load(Ordering::Relaxed)
    }

    /// Counts one attempt as under way until the value is dropped.
    #[must_use]
    pub fn run(&self) -> impl Drop + '_ {
        struct Running<'a>(&'a AtomicU64);
        impl Drop for Running<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.running.fetch_add(1, Ordering::Relaxed);
        Running(&self.running)
    }

    const fn of(&self, verdict: Verdict) -> &AtomicU64 {
        match verdict {
            Verdict::Grant => &self.granted,
            Verdict::Deny => &self.denied,
            Verdict::Unavailable => &self.unavailable,
        }
    }
}
