//! The daemon as a library; `main.rs` only starts it. One folder a concern; `login` is the straight line through
//! them.

#![forbid(unsafe_code)]

pub mod account;
pub mod admin;
pub mod attempt;
pub mod audit;
pub mod caller;
pub mod change;
pub mod clock;
mod clock_watch;
pub mod conclude;
pub mod decision;
pub mod dialogue;
pub mod directory;
pub mod emergency;
pub mod grant;
pub mod history;
pub mod house;
pub mod listener;
pub mod local_accounts;
pub mod location;
pub mod login;
pub mod start;
pub mod store;
pub mod supervisor;
pub mod tarpit;
pub mod tickets;
pub mod totp;
