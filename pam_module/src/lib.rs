//! `pam_twinlock.so`: hands what an application told PAM, and what a person typed, to twinlockd, and maps the
//! verdict to a PAM code. It decides nothing.
//!
//! It runs inside sshd, sudo and screen lockers. So: no threads, no runtime, no configuration file, no process
//! environment, no state between calls but the ticket of a grant, and no panic that reaches the application.
//! `unsafe` lives in `ffi.rs` alone.

#![deny(unsafe_code)]

mod args;
mod channel;
#[allow(unsafe_code, reason = "what pam-bindings lacks, and three socket calls")]
mod ffi;
mod guard;
mod items;
mod relay;
mod verdict;

use core::ffi::CStr;
use pam::constants::{PamFlag, PamResultCode};
use pam::module::{PamHandle, PamHooks};
use twinlock_protocol::Phase;

/// The flag of the first of the two passes of a password change (`_pam_types.h`); pam-bindings lacks it.
const PAM_PRELIM_CHECK: PamFlag = 0x4000;

struct Twinlock;

mod entry_points {
    #![allow(missing_docs, reason = "the six functions are PAM's, written by the macro")]

    use super::Twinlock;

    pam::pam_hooks!(Twinlock);
}

impl PamHooks for Twinlock {
    fn sm_authenticate(pamh: &mut PamHandle, args: Vec<&CStr>, flags: PamFlag) -> PamResultCode {
        guard::entry(|| relay::attempt(pamh, &args, flags, Phase::Authenticate))
    }

    fn acct_mgmt(pamh: &mut PamHandle, args: Vec<&CStr>, flags: PamFlag) -> PamResultCode {
        guard::entry(|| relay::attempt(pamh, &args, flags, Phase::Account))
    }

    fn sm_setcred(_: &mut PamHandle, _: Vec<&CStr>, _: PamFlag) -> PamResultCode {
        PamResultCode::PAM_SUCCESS
    }

    fn sm_open_session(_: &mut PamHandle, _: Vec<&CStr>, _: PamFlag) -> PamResultCode {
        PamResultCode::PAM_SUCCESS
    }

    fn sm_close_session(_: &mut PamHandle, _: Vec<&CStr>, _: PamFlag) -> PamResultCode {
        PamResultCode::PAM_SUCCESS
    }

    /// Everything happens in the second of the two passes. The first only looks at the arguments.
    fn sm_chauthtok(pamh: &mut PamHandle, args: Vec<&CStr>, flags: PamFlag) -> PamResultCode {
        guard::entry(|| {
            if flags & PAM_PRELIM_CHECK != 0 {
                return relay::prepared(pamh, &args);
            }
            relay::attempt(pamh, &args, flags, Phase::Change)
        })
    }
}
