//! Parts of the week. A part that passes midnight belongs to the day it begins on, and what counts is what the zone's
//! clocks show: an hour that is shown twice lies in it twice, one that is skipped is not missed.

use crate::origin::Moment;
use std::fmt;
use twinlock_config::WhenSettings;

/// Minutes of a day by the clock's face.
const DAY: u16 = 24 * 60;

/// A rule's `when`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Window(WhenSettings);

impl Window {
    pub(crate) fn new(settings: &WhenSettings) -> Self {
        Self(settings.clone())
    }

    /// Whether it is open then.
    pub(crate) fn holds(&self, at: Moment) -> bool {
        let Some(now) = self.0.zone.local(at.0) else { return false };
        let on = |day| self.0.days.is_none_or(|days| days.contains(day));
        let begin = self.0.from.map_or(0, |from| from.minutes());
        let end = self.0.to.map_or(DAY, |to| to.minutes());
        if begin < end {
            return on(now.weekday) && (begin..end).contains(&now.minutes);
        }
        (on(now.weekday) && now.minutes >= begin) || (on(now.weekday.previous()) && now.minutes < end)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(days) = self.0.days {
            write!(f, "{days} ")?;
        }
        if let Some(from) = self.0.from {
            write!(f, "from {from} ")?;
        }
        if let Some(to) = self.0.to {
            write!(f, "to {to} ")?;
        }
        write!(f, "{}", self.0.zone)
    }
}
