//! Whether the wall clock may be believed (DESIGN promise 13): it is watched against CLOCK_BOOTTIME, which cannot be set,
//! and against the highest wall time that was ever believed. Arithmetic and what the kernel says; nothing here reads a
//! clock or writes.

use super::WallTime;
use std::fmt;
use std::sync::Arc;

/// Who says whether the wall clock is synchronised.
pub trait Kernel: fmt::Debug + Send + Sync {
    /// Its word; `None` where it does not tell.
    fn is_synchronised(&self) -> Option<bool>;
}

/// The running kernel.
#[derive(Debug)]
pub struct RunningKernel;

impl Kernel for RunningKernel {
    fn is_synchronised(&self) -> Option<bool> {
        twinlock_kernel_clock::is_synchronised()
    }
}

/// The wall may part from CLOCK_BOOTTIME, or lie below the highest time believed, by so much.
const TOLERANCE_MS: i64 = 60_000;
/// A time service may make the wall run faster or slower by one part in so many (500 ppm, what the kernel's own
/// discipline can do): that is followed for ever.
const SLEW: u64 = 2000;

/// Both clocks at one moment, in milliseconds: since 1970, and since the host was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) wall_ms: u64,
    pub(crate) boot_ms: u64,
}

impl Reading {
    fn offset_ms(self) -> i64 {
        signed(self.wall_ms).saturating_sub(signed(self.boot_ms))
    }

    const fn wall(self) -> WallTime {
        WallTime(self.wall_ms / 1000)
    }
}

/// By how much the wall was ahead of CLOCK_BOOTTIME when it was last believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// In milliseconds.
    pub offset_ms: i64,
    /// When, in milliseconds since the host was started.
    pub at_ms: u64,
}

impl Anchor {
    const fn at(reading: Reading, offset_ms: i64) -> Self {
        Self { offset_ms, at_ms: reading.boot_ms }
    }

    /// By how much the wall has been set since, slewing taken off, and the anchor moved along with that slewing.
    fn parted(self, reading: Reading) -> (i64, Self) {
        let slewed = reading.boot_ms.saturating_sub(self.at_ms) / SLEW;
        let whole = reading.offset_ms().saturating_sub(self.offset_ms);
        let slewing = whole.clamp(signed(slewed).saturating_neg(), signed(slewed));
        // What is left of a division is kept for the next reading.
        let at_ms = self.at_ms.saturating_add(slewed.saturating_mul(SLEW));
        let moved = Self { offset_ms: self.offset_ms.saturating_add(slewing), at_ms };
        (whole.saturating_sub(slewing), moved)
    }
}

/// Why the wall is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It was set: it has parted from CLOCK_BOOTTIME.
    Parted,
    /// It is below the highest time that was believed.
    BelowHighest,
}

impl Why {
    /// The word in records, in the store and in `twinlock status --json`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Parted => "parted",
            Self::BelowHighest => "below-highest",
        }
    }

    /// Back again.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::Parted, Self::BelowHighest].into_iter().find(|why| why.word() == word)
    }
}

/// The wall is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspicion {
    /// Why.
    pub why: Why,
    /// Seconds by which the wall was too high (or, below zero, too low) when that was noticed.
    pub by_s: i64,
}

/// What nobody did through Twinlock: to be recorded, and written to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The wall is not believed from now on.
    Suspected(Suspicion),
    /// It is believed again: the kernel says that it is synchronised.
    Synchronised,
}

/// What the store keeps of the clock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// The highest wall time believed; none in a new store.
    pub highest: Option<WallTime>,
    /// The boot it was seen in, and the anchor then.
    pub anchor: Option<(String, Anchor)>,
    /// Whether the wall was not believed.
    pub suspicion: Option<Suspicion>,
}

/// The watch over one wall clock.
#[derive(Debug)]
pub(crate) struct Watch {
    kernel: Arc<dyn Kernel>,
    boot: Option<String>,
    anchor: Anchor,
    highest: WallTime,
    suspicion: Option<Suspicion>,
    changes: Vec<Change>,
}

impl Watch {
    /// Goes on from what was kept. In the same boot the wall may have been set meanwhile; after another one, or in a new
    /// store, there is only the highest time to go by.
    pub(crate) fn resume(kept: &Kept, boot: Option<String>, kernel: Arc<dyn Kernel>, first: Reading) -> Self {
        let same_boot = |(seen, _): &&(String, Anchor)| boot.as_ref() == Some(seen);
        let anchor = kept
            .anchor
            .as_ref()
            .filter(same_boot)
            .map_or_else(|| Anchor::at(first, first.offset_ms()), |(_, anchor)| *anchor);
        let (highest, suspicion) = (kept.highest.unwrap_or_else(|| first.wall()), kept.suspicion);
        Self { kernel, boot, anchor, highest, suspicion, changes: Vec::new() }
    }

    /// The wall time to go by: the wall's, or while that is not believed the highest that was. So nothing expires and
    /// nothing comes to be due by a wrong clock.
    pub(crate) fn see(&mut self, reading: Reading) -> WallTime {
        if self.suspicion.is_none() {
            let (by_ms, moved) = self.anchor.parted(reading);
            let below_ms =
                signed(reading.wall_ms).saturating_sub(signed(self.highest.0.saturating_mul(1000)));
            if by_ms.saturating_abs() > TOLERANCE_MS {
                self.suspect(Why::Parted, by_ms);
            } else if below_ms < -TOLERANCE_MS {
                self.suspect(Why::BelowHighest, below_ms);
            } else {
                self.anchor = moved;
                self.highest = self.highest.max(reading.wall());
                return reading.wall();
            }
        }
        if self.kernel.is_synchronised() == Some(true) {
            self.believe(reading);
            self.changes.push(Change::Synchronised);
            return reading.wall();
        }
        self.highest
    }

    fn suspect(&mut self, why: Why, by_ms: i64) {
        let suspicion = Suspicion { why, by_s: by_ms / 1000 };
        self.suspicion = Some(suspicion);
        self.changes.push(Change::Suspected(suspicion));
    }

    /// Whoever knows says that the wall is right; the highest time is what it shows, also where that is lower. Tells
    /// whether it was not believed.
    pub(crate) fn believe(&mut self, reading: Reading) -> bool {
        let was_suspect = self.suspicion.take().is_some();
        if was_suspect {
            self.anchor = Anchor::at(reading, reading.offset_ms());
            self.highest = reading.wall();
        }
        was_suspect
    }

    pub(crate) fn is_synchronised(&self) -> Option<bool> {
        self.kernel.is_synchronised()
    }

    pub(crate) const fn suspicion(&self) -> Option<Suspicion> {
        self.suspicion
    }

    /// What has changed since this was last asked.
    pub(crate) fn changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// What the store should keep.
    pub(crate) fn kept(&self) -> Kept {
        Kept {
            highest: Some(self.highest),
            anchor: self.boot.clone().map(|boot| (boot, self.anchor)),
            suspicion: self.suspicion,
        }
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
