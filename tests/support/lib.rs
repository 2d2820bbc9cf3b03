//! What the stories share: real servers started for one test, and peers that misbehave on purpose. Nothing here is
//! shipped. A part that is missing on the machine stops the test with the command that installs it.

#![deny(unsafe_code)]
// A test that cannot set up what it needs has nothing better to do than to panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

pub mod client;
pub mod desk;
pub mod ds389;
pub mod host;
pub mod hostile;
pub mod ldap;
pub mod mmdb;
pub mod pam;
pub mod policies;
pub mod proxy;
pub mod rsyslog;
pub mod samba;
pub mod site;
pub mod skip;
pub mod slapd;
pub mod temp;
pub mod town;
pub mod wall_clock;
pub mod xrdp;
