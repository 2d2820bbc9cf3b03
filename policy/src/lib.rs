//! Who may log in from where by proving what, and how fast anyone may guess: pure functions of values and a given
//! time. No I/O, no async, no clock, no randomness; the live path and `twinlock` call the same functions.

#![forbid(unsafe_code)]

pub mod lane;
mod names;
mod source;

pub use names::{AccountId, GroupName, LocationName, RuleName, Service, Username, UsernameError};
pub use source::{Prefix, Source};
