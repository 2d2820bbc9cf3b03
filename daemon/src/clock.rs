//! The daemon's clock: the wall for codes, the tarpit's own time line for waits. Nothing else in the daemon reads a
//! clock for a decision. Every reading watches the wall; one that is not believed is not told.

mod watch;
#[cfg(test)]
mod watch_tests;

use nix::time::{ClockId, clock_gettime};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use twinlock_policy::lane::LaneTime;
pub use watch::{Anchor, Change, Kept, Kernel, RunningKernel, Suspicion, Why};
use watch::{Reading, Watch};

/// Seconds since 1970 on the wall clock (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime(pub u64);

impl WallTime {
    /// What the wall shows, believed or not: for the very first look, before there is a [`Clock`].
    #[must_use]
    pub fn shown() -> Self {
        Self(wall_ms() / 1000)
    }
}

/// Both times at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// On the tarpit's time line.
    pub lane: LaneTime,
    /// On the wall clock; while that is not believed, the highest time that was: it stands still.
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
pub struct Clock {
    hands: Hands,
    watch: Arc<Mutex<Watch>>,
}

#[derive(Debug, Clone)]
enum Hands {
    System { resumed_at: LaneTime, boot_ms_then: u64 },
    Manual(Arc<Mutex<Reading>>),
}

impl Clock {
    /// The system's clocks. The tarpit's time line goes on from `resumed_at`, the highest value the store has seen,
    /// and then with CLOCK_BOOTTIME, which counts suspended time and cannot be set. The wall is watched from `kept` on.
    #[must_use]
    pub fn system(resumed_at: LaneTime, kept: &Kept, boot: Option<&Boot>, kernel: Arc<dyn Kernel>) -> Self {
        let hands = Hands::System { resumed_at, boot_ms_then: boot_ms() };
        Self::watched(hands, kept, boot.map(|boot| boot.id.clone()), kernel)
    }

    /// A clock that stands still until it is told to move, and that nobody synchronises.
    #[must_use]
    pub fn manual(wall: WallTime) -> Self {
        #[derive(Debug)]
        struct Silent;
        impl Kernel for Silent {
            fn is_synchronised(&self) -> Option<bool> {
                None
            }
        }
        Self::manual_from(wall, &Kept::default(), Arc::new(Silent))
    }

    /// The same, with what a store has kept of the clock and a kernel of its own, in the boot named "manual".
    #[must_use]
    pub fn manual_from(wall: WallTime, kept: &Kept, kernel: Arc<dyn Kernel>) -> Self {
        let reading = Reading { wall_ms: wall.0.saturating_mul(1000), boot_ms: 1 };
        let hands = Hands::Manual(Arc::new(Mutex::new(reading)));
        Self::watched(hands, kept, Some("manual".into()), kernel)
    }

    fn watched(hands: Hands, kept: &Kept, boot: Option<String>, kernel: Arc<dyn Kernel>) -> Self {
        let watch = Watch::resume(kept, boot, kernel, hands.read());
        Self { hands, watch: Arc::new(Mutex::new(watch)) }
    }

    /// Moves a manual clock forward; the system's is left alone.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.turn(|reading| Reading {
            wall_ms: reading.wall_ms.saturating_add(by),
            boot_ms: reading.boot_ms.saturating_add(by),
        });
    }

    /// Sets a manual clock's wall, as an administrator or a time service would; the system's is left alone.
    pub fn set_wall(&self, wall: WallTime) {
        self.turn(|reading| Reading { wall_ms: wall.0.saturating_mul(1000), ..reading });
    }

    fn turn(&self, turned: impl FnOnce(Reading) -> Reading) {
        if let Hands::Manual(reading) = &self.hands {
            let mut reading = reading.lock().unwrap_or_else(PoisonError::into_inner);
            *reading = turned(*reading);
        }
    }

    /// Both times.
    #[must_use]
    pub fn now(&self) -> Now {
        let mut watch = self.watch();
        let reading = self.hands.read();
        Now { lane: self.hands.lane(reading), wall: watch.see(reading) }
    }

    /// Whether the wall is not believed at this moment, and why.
    #[must_use]
    pub fn suspicion(&self) -> Option<Suspicion> {
        let mut watch = self.watch();
        watch.see(self.hands.read());
        watch.suspicion()
    }

    /// What the wall shows, believed or not.
    #[must_use]
    pub fn shown(&self) -> WallTime {
        WallTime(self.hands.read().wall_ms / 1000)
    }

    /// What the kernel says of it, where it tells.
    #[must_use]
    pub fn is_synchronised(&self) -> Option<bool> {
        self.watch().is_synchronised()
    }

    /// An administrator says that the wall is right. Tells whether it was not believed.
    pub fn accept(&self) -> bool {
        let mut watch = self.watch();
        let reading = self.hands.read();
        watch.see(reading);
        watch.believe(reading)
    }

    /// What has changed since this was last asked, for the record and the store.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        let mut watch = self.watch();
        watch.see(self.hands.read());
        watch.changes()
    }

    /// What the store should keep.
    #[must_use]
    pub fn kept(&self) -> Kept {
        let mut watch = self.watch();
        watch.see(self.hands.read());
        watch.kept()
    }

    fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hands {
    fn read(&self) -> Reading {
        match self {
            Self::System { .. } => Reading { wall_ms: wall_ms(), boot_ms: boot_ms() },
            Self::Manual(reading) => *reading.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    fn lane(&self, reading: Reading) -> LaneTime {
        match self {
            Self::System { resumed_at, boot_ms_then } => {
                LaneTime(resumed_at.0.saturating_add(reading.boot_ms.saturating_sub(*boot_ms_then)))
            }
            Self::Manual(_) => LaneTime(reading.boot_ms),
        }
    }
}

fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
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
        let clock = Clock::system(LaneTime(5_000_000), &Kept::default(), None, Arc::new(RunningKernel));
        let first = clock.now().lane;
        assert!(first >= LaneTime(5_000_000) && first < LaneTime(5_010_000));
        assert!(clock.now().lane >= first);
    }
}
