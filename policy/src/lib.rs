//! Who may log in from where by proving what, and how fast anyone may guess: pure functions of values and a given
//! time. No I/O, no async, no clock, no randomness; the live path and `twinlock` call the same functions.

#![forbid(unsafe_code)]

mod atlas;
pub mod bound;
pub mod check;
mod explain;
pub mod lane;
mod names;
mod origin;
mod place;
mod plan;
mod rule;
mod source;
pub mod spread;
mod stand;
mod truth;
mod window;

pub use explain::{ConditionLook, Explanation, Outcome, RuleLook};
pub use names::{AccountId, GroupName, LocationName, RuleName, Service, Username, UsernameError};
pub use origin::{Earned, EarnedBy, Listing, Moment, Origin, Seen};
pub use place::{Place, is_private};
pub use plan::{Entrance, Plan, Policy, Questions};
pub use rule::{Accepted, Factors, Subject};
pub use source::{Prefix, Source};
pub use stand::{LaneKey, Stand};
pub use truth::Truth;
