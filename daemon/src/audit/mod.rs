//! The audit record: one for every attempt that was compared, to the local syslog socket. Why somebody was let in or
//! not is said here and nowhere else. Nothing typed at a hidden prompt ever gets in.

mod escape;
mod record;
mod writer;

pub use record::{Proved, Record, Verdict};
pub use writer::Auditor;
pub(crate) use writer::event_line;
