//! The daemon as a library; `main.rs` only starts it. One folder a concern; `login` is the straight line through
//! them.

#![forbid(unsafe_code)]

pub mod attempt;
pub mod clock;
pub mod directory;
pub mod store;
pub mod totp;
