//! Looking things up in the history: in pieces of bounded size, off the threads that serve logins.

use super::History;
use super::ring::Reader;
use std::time::Duration;
use tokio::task::spawn_blocking;
use twinlock_config::Network;
use twinlock_control::{Cursor, HISTORY_PAGE, HistoryPage, RecordedAttempt};
use twinlock_policy::Source;

/// Slots looked at for one page at most.
const LOOKED_AT: u64 = 100_000;
/// How long a reader who has seen everything is kept waiting for more.
const WAIT: Duration = Duration::from_secs(10);

/// Where an attempt must come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantedSource {
    /// From an address in this network.
    Network(Network),
    /// From `local` or `unknown`.
    Word(String),
}

impl WantedSource {
    /// From an address, a network, `local` or `unknown`.
    ///
    /// # Errors
    /// What is wrong with it, and how to write it.
    pub fn read(text: &str) -> Result<Self, String> {
        if matches!(text, "local" | "unknown") {
            return Ok(Self::Word(text.to_owned()));
        }
        Network::try_from(text.to_owned()).map(Self::Network)
    }

    fn holds(&self, source: &str) -> bool {
        match self {
            Self::Word(word) => word == source,
            Self::Network(network) => {
                Source::literal(source.as_bytes()).is_some_and(|address| network.contains(address))
            }
        }
    }
}

/// Which attempts are looked for; what is absent does not narrow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Lower-case names as they may have been given, and the account's id.
    pub user: Option<(String, Option<String>)>,
    /// Of this account id only.
    pub account: Option<String>,
    /// Where from.
    pub source: Option<WantedSource>,
    /// Not before, seconds since 1970.
    pub since: Option<u64>,
    /// Not after, seconds since 1970.
    pub until: Option<u64>,
    /// `grant`, `deny`, `unavailable`.
    pub verdict: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

impl Wanted {
    fn holds(&self, attempt: &RecordedAttempt) -> bool {
        let user = self.user.as_ref().is_none_or(|(name, id)| {
            id.as_ref().is_some_and(|id| *id == attempt.account) || attempt.user.to_lowercase() == *name
        });
        user && self.account.as_ref().is_none_or(|id| *id == attempt.account)
            && self.since.is_none_or(|since| attempt.at >= since)
            && self.until.is_none_or(|until| attempt.at <= until)
            && self.verdict.as_ref().is_none_or(|verdict| *verdict == attempt.verdict)
            && self.reason.as_ref().is_none_or(|reason| *reason == attempt.reason)
            && self.source.as_ref().is_none_or(|source| source.holds(&attempt.source))
    }
}

impl History {
    /// One page of what is wanted, from `cursor` on; without one, from the newest attempt backwards. `limit` attempts at
    /// most, and never more than [`HISTORY_PAGE`].
    ///
    /// # Errors
    /// The file cannot be read; the text says why.
    pub async fn page(
        &self,
        wanted: Wanted,
        limit: u32,
        cursor: Option<Cursor>,
    ) -> Result<HistoryPage, String> {
        let mut newest = self.shared.newest.subscribe();
        if let Some(Cursor::After(number)) = cursor {
            // Time that passes without an attempt is no error.
            let _ = tokio::time::timeout(WAIT, newest.wait_for(|newest| *newest > number)).await;
        }
        let newest = *newest.borrow();
        let limit = limit.clamp(1, HISTORY_PAGE) as usize;
        let _alone = self.shared.reading.lock().await;
        let path = self.shared.path.clone();
        let read = move || {
            let reader = Reader::open(&path)?;
            let unread = |error: std::io::Error| format!("{}: it cannot be read: {error}", path.display());
            match cursor {
                Some(Cursor::After(number)) => forwards(&reader, &wanted, limit, number, newest),
                Some(Cursor::Before(number)) => backwards(&reader, &wanted, limit, number, newest),
                None => backwards(&reader, &wanted, limit, newest.saturating_add(1), newest),
            }
            .map_err(unread)
        };
        spawn_blocking(read).await.unwrap_or_else(|_| Err("the history's reader has failed".into()))
    }
}

/// Read at once.
const PIECE: u64 = 1024;

fn backwards(
    reader: &Reader,
    wanted: &Wanted,
    limit: usize,
    before: u64,
    newest: u64,
) -> std::io::Result<HistoryPage> {
    let mut attempts = Vec::new();
    let oldest = reader.oldest(newest);
    let mut before = before.min(newest.saturating_add(1));
    let end = before.saturating_sub(LOOKED_AT).max(oldest);
    while before > end {
        let first = before.saturating_sub(PIECE).max(end);
        for attempt in reader.read(first..=before - 1)?.into_iter().rev().filter(|found| wanted.holds(found))
        {
            let number = attempt.number;
            attempts.push(attempt);
            if attempts.len() == limit {
                return Ok(HistoryPage { attempts, newest, next: Some(Cursor::Before(number)) });
            }
        }
        before = first;
    }
    Ok(HistoryPage { attempts, newest, next: (before > oldest).then_some(Cursor::Before(before)) })
}

fn forwards(
    reader: &Reader,
    wanted: &Wanted,
    limit: usize,
    after: u64,
    newest: u64,
) -> std::io::Result<HistoryPage> {
    let mut attempts = Vec::new();
    // Numbers begin anew where somebody has taken the file away.
    let mut after = after.min(newest).max(reader.oldest(newest) - 1);
    let end = newest.min(after + LOOKED_AT);
    while after < end {
        let last = (after + PIECE).min(end);
        for attempt in reader.read(after + 1..=last)?.into_iter().filter(|found| wanted.holds(found)) {
            let number = attempt.number;
            attempts.push(attempt);
            if attempts.len() == limit {
                return Ok(HistoryPage { attempts, newest, next: Some(Cursor::After(number)) });
            }
        }
        after = last;
    }
    Ok(HistoryPage { attempts, newest, next: Some(Cursor::After(after)) })
}
