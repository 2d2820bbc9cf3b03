//! What the stories share: the parts of a login that are not Twinlock, real ones.

pub mod pam;
