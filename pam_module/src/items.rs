//! What the application told PAM, copied before any conversation: during one, the application may free or replace
//! every item, and a borrowed one would then be read after it was freed.

use crate::ffi;
use core::ffi::CStr;
use pam::items::{RHost, RUser, Service, Tty, User};
use pam::module::PamHandle;
use twinlock_protocol::{Begin, MAX_ITEM, Phase};

/// The opening of an attempt, without a ticket; `None` where there is no user name to be had.
///
/// Items are cut at [`MAX_ITEM`] bytes. A name that was cut is nobody's, and [`is_still_user`] holds for no such name.
pub(crate) fn collect(pamh: &mut PamHandle, phase: Phase, silent: bool) -> Option<Begin> {
    let user = match user(pamh) {
        Some(user) => user,
        None => {
            // Only to make the application ask. Its value is not used: pam-bindings refuses names that are not
            // UTF-8, and the item has the bytes.
            let _ = pamh.get_user(None);
            user(pamh)?
        }
    };
    Some(Begin {
        phase,
        service: pamh
            .get_item::<Service<'_>>()
            .ok()
            .flatten()
            .map(|item| bounded(item.0))
            .unwrap_or_default(),
        user,
        rhost: pamh.get_item::<RHost<'_>>().ok().flatten().map(|item| bounded(item.0)),
        ruser: pamh.get_item::<RUser<'_>>().ok().flatten().map(|item| bounded(item.0)),
        tty: pamh.get_item::<Tty<'_>>().ok().flatten().map(|item| bounded(item.0)),
        ssh_connection: ffi::pam_environment(pamh, c"SSH_CONNECTION", bounded),
        ssh_auth_info: ffi::pam_environment(pamh, c"SSH_AUTH_INFO_0", bounded),
        silent,
        ticket: None,
    })
}

/// Whether PAM_USER is, byte for byte, the name that the daemon was told.
pub(crate) fn is_still_user(pamh: &PamHandle, told: &[u8]) -> bool {
    matches!(pamh.get_item::<User<'_>>(), Ok(Some(item)) if item.0.to_bytes() == told)
}

fn user(pamh: &PamHandle) -> Option<Vec<u8>> {
    pamh.get_item::<User<'_>>().ok().flatten().map(|item| bounded(item.0))
}

fn bounded(item: &CStr) -> Vec<u8> {
    item.to_bytes().iter().copied().take(MAX_ITEM).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;

    #[test]
    fn an_item_is_copied_unchanged_up_to_its_limit() {
        assert_eq!(bounded(c"al\xffice"), b"al\xffice");
        let long = CString::new(vec![b'x'; MAX_ITEM + 1]).unwrap();
        assert_eq!(bounded(&long).len(), MAX_ITEM);
    }
}
