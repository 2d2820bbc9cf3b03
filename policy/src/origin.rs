//! What is known of a source beyond its address: when it tries, what a GeoIP file says of it, and what an account has
//! earned there. All of it is told by the caller: nothing here looks anything up.

use crate::names::Service;
use twinlock_config::Country;

/// A moment on the wall clock, in seconds since 1970 (UTC).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

/// What a GeoIP file says of a public address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Listing<T> {
    /// There is no file, it cannot be read, or it does not speak of such things.
    #[default]
    Unknown,
    /// It does not know the address.
    Unlisted,
    /// It knows it.
    Listed(T),
}

/// Where a public address belongs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Origin {
    /// The country.
    pub country: Listing<Country>,
    /// The autonomous system's number.
    pub asn: Listing<u32>,
}

/// What an account has earned at a source's prefix: one row of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earned {
    /// At which service; none for a row of an administrator's that means every one.
    pub service: Option<Service>,
    /// By what.
    pub by: EarnedBy,
}

/// How a place was earned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EarnedBy {
    /// By logins with password and code.
    Logins {
        /// How many.
        logins: u32,
        /// Seconds since the last one.
        unused_s: u64,
        /// How many other prefixes of the account had such a login since.
        newer: u32,
    },
    /// By an administrator's word.
    Word,
}

/// What is known of a source when an attempt begins. The default knows nothing, and nothing was earned.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen<'a> {
    /// The time; none where the clock is not to be believed.
    pub at: Option<Moment>,
    /// What the GeoIP file says of the address.
    pub origin: Origin,
    /// What the account, or who last logged in under the name, has earned at the source's prefix.
    pub earned: &'a [Earned],
}
