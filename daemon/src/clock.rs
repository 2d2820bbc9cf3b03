//! The daemon's clock: the wall for codes, the tarpit's own time line for waits. Nothing else in the daemon reads a
//! clock for a decision.

use nix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use twinlock_policy::lane::LaneTime;

/// Seconds since 1970 on the wall clock (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime(pub u64);

/// Both times at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// On the tarpit's time line.
    pub lane: LaneTime,
    /// On the wall clock.
    pub wall: WallTime,
}

/// One run of this host's kernel, and how long it has lasted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// Another one after every boot.
    pub id: String,
    /// Milliseconds since then, suspended time included (CLOCK_BOOTTIME).
    pub age_ms: u64,
}

impl Boot {
    /// The present one, where the kernel tells.
    #[must_use]
    pub fn present() -> Option<Self> {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let id = id.trim();
        (!id.is_empty()).then(|| Self { id: id.to_owned(), age_ms: boot_ms() })
    }
}

/// Tells [`Now`]. Cloning shares the clock.
#[derive(Debug, Clone)]
pub struct Clock(Kind);

#[derive(Debug, Clone)]
enum Kind {
    System { resumed_at: LaneTime, boot_ms_then: u64 },
    Manual { lane_ms: Arc<AtomicU64>, wall_s: Arc<AtomicU64> },
}

impl Clock {
    /// The system's clocks. The tarpit's time line goes on from `resumed_at`, the highest value the store has seen,
    /// and then with CLOCK_BOOTTIME, which counts suspended time and cannot be set.
    #[must_use]
    pub fn system(resumed_at: LaneTime) -> Self {
        Self(Kind::System { resumed_at, boot_ms_then: boot_ms() })
    }

    /// A clock that stands still until it is told to move.
    #[must_use]
    pub fn manual(wall: WallTime) -> Self {
        Self(Kind::Manual { lane_ms: Arc::new(AtomicU64::new(1)), wall_s: Arc::new(AtomicU64::new(wall.0)) })
    }

    /// Moves a manual clock forward; the system's is left alone.
    pub fn advance(&self, by: Duration) {
        if let Kind::Manual { lane_ms, wall_s } = &self.0 {
            lane_ms.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
            wall_s.fetch_add(by.as_secs(), Ordering::SeqCst);
        }
    }

    /// Both times.
    #[must_use]
    pub fn now(&self) -> Now {
        match &self.0 {
            Kind::System { resumed_at, boot_ms_then } => Now {
                lane: LaneTime(resumed_at.0.saturating_add(boot_ms().saturating_sub(*boot_ms_then))),
                wall: WallTime(
                    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
                ),
            },
            Kind::Manual { lane_ms, wall_s } => Now {
                lane: LaneTime(lane_ms.load(Ordering::SeqCst)),
                wall: WallTime(wall_s.load(Ordering::SeqCst)),
            },
        }
    }
}

fn boot_ms() -> u64 {
    clock_gettime(ClockId::CLOCK_BOOTTIME)
        .ok()
        .and_then(|time| u64::try_from(Duration::from(time).as_millis()).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_line_goes_on_where_the_store_left_it() {
        let clock = Clock::system(LaneTime(5_000_000));
        let first = clock.now().lane;
        assert!(first >= LaneTime(5_000_000) && first < LaneTime(5_010_000));
        assert!(clock.now().lane >= first);
    }
}
