//! The GeoIP file in use, and what becomes of it. It is looked at every two seconds and read again once it has changed
//! and come to rest; one that is unfit never takes the place of one that is in use.

use super::database::{Database, Needs, Stamp, Unfit};
use crate::audit::{Auditor, event_line};
use crate::clock::WallTime;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use twinlock_control::GeoipStatus;
use twinlock_policy::Origin;

/// How often the file is looked at.
pub(super) const EVERY: Duration = Duration::from_secs(2);

/// A GeoIP file.
pub(super) struct Geo {
    path: PathBuf,
    needs: Needs,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    used: Option<Used>,
    /// Why the file that is there now is not used.
    problem: Option<String>,
    /// The state of the file that was last read, fit or not.
    tried: Option<Stamp>,
    /// The state it was seen in when it was last looked at.
    seen: Option<Stamp>,
}

#[derive(Clone)]
struct Used {
    database: Arc<Database>,
    since: WallTime,
}

impl Geo {
    /// Nothing is read yet: see [`Geo::look`].
    pub(super) fn new(path: &Path, needs: Needs) -> Self {
        Self { path: path.to_owned(), needs, state: Mutex::default() }
    }

    /// Where a public address belongs.
    pub(super) fn origin(&self, address: IpAddr) -> Origin {
        let used = self.state().used.clone();
        used.map(|used| used.database.origin(address)).unwrap_or_default()
    }

    /// Looks at the file, and reads it if it changed and has been at rest since it was last looked at; at the start at
    /// once. Whatever comes of a file is recorded once. Blocks.
    pub(super) fn look(&self, auditor: &Auditor, wall: WallTime) {
        let found = Stamp::of(&self.path);
        let stamp = found.as_ref().ok().copied();
        let first = {
            let mut state = self.state();
            let first = state.tried.is_none() && state.problem.is_none();
            let rests = first || state.seen == stamp;
            state.seen = stamp;
            if !rests || (stamp.is_some() && state.tried == stamp) {
                return;
            }
            first
        };
        match found.and_then(|_| Database::read(&self.path, self.needs)) {
            Ok((database, read)) => self.use_it(database, read, auditor, wall, first),
            Err(unfit) => self.refuse(&unfit, stamp, auditor),
        }
    }

    fn use_it(&self, database: Database, read: Stamp, auditor: &Auditor, wall: WallTime, first: bool) {
        let (built, tells) = (database.built().to_string(), words(database.tells()));
        {
            let mut state = self.state();
            state.used = Some(Used { database: Arc::new(database), since: wall });
            state.problem = None;
            state.tried = Some(read);
        }
        let word = if first { "geoip-read" } else { "geoip-replaced" };
        let path = self.path.to_string_lossy();
        auditor
            .event(&event_line(word, &[("database", &path), ("built", &built), ("tells", &tells.join(","))]));
    }

    fn refuse(&self, unfit: &Unfit, stamp: Option<Stamp>, auditor: &Auditor) {
        let problem = unfit.to_string();
        let used = {
            let mut state = self.state();
            state.tried = stamp;
            if state.problem.as_ref() == Some(&problem) {
                return;
            }
            state.problem = Some(problem.clone());
            state.used.as_ref().map_or_else(|| "none".to_owned(), |used| used.database.built().to_string())
        };
        let path = self.path.to_string_lossy();
        auditor.warning(&event_line(
            "geoip-unfit",
            &[("database", &path), ("problem", &problem), ("in_use_built", &used)],
        ));
    }

    /// For `twinlock status`.
    pub(super) fn status(&self) -> GeoipStatus {
        let state = self.state();
        GeoipStatus {
            database: self.path.display().to_string(),
            tells: state.used.as_ref().map(|used| words(used.database.tells())).unwrap_or_default(),
            built: state.used.as_ref().map(|used| used.database.built()),
            read: state.used.as_ref().map(|used| used.since.0),
            problem: state.problem.clone(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn words(tells: Needs) -> Vec<String> {
    let words = [("countries", tells.countries), ("autonomous systems", tells.asns)];
    words.iter().filter(|(_, told)| *told).map(|(word, _)| (*word).to_owned()).collect()
}
