//! Whether the kernel holds the wall clock for synchronised: what `timedatectl` shows too. No crate offers this reading,
//! so that one system call stands here, in a crate of its own, and the daemon need not allow `unsafe`. It reads, and
//! sets nothing.

use std::mem::MaybeUninit;

/// What the kernel gives as the largest error of a clock that nobody disciplines, in microseconds. A time service that
/// has set the clock lowers it; it grows again when the service is gone, and is back after some nine hours. Whoever sets
/// the clock by hand puts it back at once. The flag STA_UNSYNC alone would not do: services set it to keep the kernel off
/// the hardware clock.
const NEVER_DISCIPLINED_US: libc::c_long = 16_000_000;

/// The kernel's word; `None` where it may not be asked, as under some containers' filters.
#[must_use]
pub fn is_synchronised() -> Option<bool> {
    let mut timex = MaybeUninit::<libc::timex>::zeroed();
    // SAFETY: all zeros is a valid timex, and means that nothing is set (modes = 0). The pointer is to this one, which
    // outlives the call; the kernel writes within it.
    let (state, timex) = unsafe { (libc::adjtimex(timex.as_mut_ptr()), timex.assume_init()) };
    (state != -1).then_some(timex.maxerror < NEVER_DISCIPLINED_US)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_twice_gives_one_answer() {
        assert_eq!(is_synchronised(), is_synchronised());
    }
}
