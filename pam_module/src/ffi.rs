//! The only file with `unsafe`: the calls of libpam that pam-bindings lacks, and the socket calls that std lacks.
//!
//! Each function is safe to call and holds its pointers for the length of one call. Nothing here decides, waits
//! or remembers.

use core::cell::Cell;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::mem::size_of;
use pam::items::ItemType;
use pam::module::PamHandle;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use twinlock_protocol::Secret;
use zeroize::Zeroizing;

#[link(name = "pam")]
unsafe extern "C" {
    fn pam_getenv(pamh: *mut PamHandle, name: *const c_char) -> *const c_char;
    fn pam_set_item(pamh: *mut PamHandle, item_type: c_int, item: *const c_void) -> c_int;
    fn pam_syslog(pamh: *const PamHandle, priority: c_int, format: *const c_char, ...);
}

/// Under which a handle keeps the ticket. Keys are global in a handle; the version keeps two builds of this module
/// in one stack from reading each other's type.
const TICKET_KEY: &str = concat!("twinlock-ticket/", env!("CARGO_PKG_VERSION"));

/// A grant's ticket; wiped when it is taken, replaced, or when the handle ends.
struct Ticket(Cell<Option<Secret>>);

/// What `copy` makes of a variable of the PAM environment (never the process's).
pub(crate) fn pam_environment<T>(pamh: &mut PamHandle, name: &CStr, copy: impl Fn(&CStr) -> T) -> Option<T> {
    // SAFETY: the handle is live, the name ends in NUL; libpam returns null or a string of its own.
    let value = unsafe { pam_getenv(pamh, name.as_ptr()) };
    if value.is_null() {
        return None;
    }
    // SAFETY: not null, ends in NUL, and belongs to the handle, which nobody changes before `copy` has returned.
    Some(copy(unsafe { CStr::from_ptr(value) }))
}

/// Sets PAM_AUTHTOK for the modules behind this one. `None` if `password` holds a NUL or libpam would not.
pub(crate) fn set_authtok(pamh: &mut PamHandle, password: &[u8]) -> Option<()> {
    let mut terminated = Zeroizing::new(Vec::with_capacity(password.len() + 1));
    terminated.extend_from_slice(password);
    terminated.push(0);
    let password = CStr::from_bytes_with_nul(&terminated).ok()?;
    // SAFETY: the handle is live, the string ends in NUL; libpam copies it before it returns.
    let code = unsafe { pam_set_item(pamh, ItemType::AuthTok as c_int, password.as_ptr().cast()) };
    (code == 0).then_some(())
}

/// One line to syslog (authpriv, error), which libpam begins with module, service and phase.
///
/// Callers pass no secrets and nothing a person at the login typed.
pub(crate) fn log(pamh: &PamHandle, line: &str) {
    let Ok(line) = CString::new(line) else { return };
    // SAFETY: the handle is live; the constant format consumes exactly the one string given.
    unsafe { pam_syslog(pamh, libc::LOG_AUTHPRIV | libc::LOG_ERR, c"%s".as_ptr(), line.as_ptr()) };
}

/// Keeps the ticket of a grant for the account phase of this handle.
pub(crate) fn keep_ticket(pamh: &mut PamHandle, ticket: Secret) -> Option<()> {
    pamh.set_data(TICKET_KEY, Box::new(Ticket(Cell::new(Some(ticket))))).ok()
}

/// Takes the ticket; a second call finds none.
pub(crate) fn take_ticket(pamh: &mut PamHandle) -> Option<Secret> {
    // SAFETY: only `keep_ticket` stores under this key, and it stores a `Ticket`.
    let kept = unsafe { pamh.get_data::<Ticket>(TICKET_KEY) }.ok()?;
    kept.0.take()
}

/// A blocking Unix stream socket, close-on-exec, not connected yet.
pub(crate) fn socket() -> io::Result<UnixStream> {
    // SAFETY: no pointers.
    let fd = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was opened just now and nobody else owns it.
    Ok(UnixStream::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// One connect(2). The socket's send time-out bounds it (socket(7)); WouldBlock means that it ran out.
pub(crate) fn connect(socket: &UnixStream, path: &Path) -> io::Result<()> {
    // SAFETY: all zeroes is a valid sockaddr_un.
    let mut address: libc::sockaddr_un = unsafe { core::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    let path = path.as_os_str().as_bytes();
    if path.len() >= address.sun_path.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (slot, byte) in address.sun_path.iter_mut().zip(path) {
        *slot = *byte as c_char;
    }
    let length = size_of::<libc::sockaddr_un>() as libc::socklen_t;
    // SAFETY: the address is a whole sockaddr_un whose path ends in NUL, and outlives the call.
    outcome(unsafe { libc::connect(socket.as_raw_fd(), (&raw const address).cast(), length) } as isize)?;
    Ok(())
}

/// The user id of the process that listens at the other end.
pub(crate) fn peer_uid(socket: &UnixStream) -> io::Result<libc::uid_t> {
    let mut peer = libc::ucred { pid: 0, uid: libc::uid_t::MAX, gid: libc::gid_t::MAX };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into `peer`, which has that size.
    outcome(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut length,
        )
    } as isize)?;
    Ok(peer.uid)
}

/// One send(2) that never raises SIGPIPE; how many bytes were taken.
pub(crate) fn send(socket: &UnixStream, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: pointer and length are those of one slice, which the kernel only reads.
    outcome(unsafe { libc::send(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) })
}

fn outcome(returned: isize) -> io::Result<usize> {
    usize::try_from(returned).map_err(|_| io::Error::last_os_error())
}
