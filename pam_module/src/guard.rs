//! The last line of defence: a panic of ours becomes PAM_ABORT and is never seen by the application.
//!
//! pam-bindings guards its hooks too, but drops the payload outside its guard, and a payload whose drop panics
//! would end sshd. So there is a guard of our own inside, which forgets the payload.

use pam::constants::PamResultCode;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::sync::Once;

/// Runs one entry of the module.
pub(crate) fn entry(body: impl FnOnce() -> PamResultCode) -> PamResultCode {
    // The default hook writes to stderr, which may be the user's terminal or somebody's protocol stream.
    static SILENCED: Once = Once::new();
    SILENCED.call_once(|| set_hook(Box::new(|_| {})));
    contained(body)
}

fn contained(body: impl FnOnce() -> PamResultCode) -> PamResultCode {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(code) => code,
        Err(payload) => {
            core::mem::forget(payload);
            PamResultCode::PAM_ABORT
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("the payload of a panic was dropped");
        }
    }

    #[test]
    fn a_panic_becomes_abort() {
        assert_eq!(contained(|| panic!("on purpose")), PamResultCode::PAM_ABORT);
    }

    #[test]
    fn a_payload_that_panics_when_dropped_is_never_dropped() {
        assert_eq!(contained(|| std::panic::panic_any(Bomb)), PamResultCode::PAM_ABORT);
    }

    #[test]
    fn a_code_passes_through() {
        assert_eq!(contained(|| PamResultCode::PAM_AUTH_ERR), PamResultCode::PAM_AUTH_ERR);
    }
}
