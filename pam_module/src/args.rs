//! The arguments of the module's line in a service file: `socket=PATH` and `timeout=SECONDS`.
//!
//! Whatever is not understood is an error, and an error denies: a typing mistake must not quietly mean the default.

use core::ffi::CStr;
use core::fmt;
use core::time::Duration;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

const DEFAULT_SOCKET: &str = "/run/twinlock/login.sock";
const DEFAULT_TIMEOUT: u64 = 20;
/// The person typing has 100 s; a daemon has no reason to be silent for longer than that.
const LONGEST_TIMEOUT: u64 = 100;
/// Longest path that fits into `sockaddr_un` with its NUL.
const LONGEST_PATH: usize = 107;

/// What a service file says about the module.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Where twinlockd listens; absolute, with a directory, at most 107 bytes.
    pub(crate) socket: PathBuf,
    /// How long the daemon may be silent when it owes something; 1 to 100 s.
    pub(crate) timeout: Duration,
}

/// Why the arguments cannot be used. Shown with the argument itself, escaped.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ArgumentError {
    Unknown(String),
    Twice(&'static str),
    Socket(String),
    Timeout(String),
}

impl fmt::Display for ArgumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(argument) => {
                write!(f, "unknown argument \"{argument}\": only socket=PATH and timeout=SECONDS are known")
            }
            Self::Twice(name) => write!(f, "argument {name}= stands twice: keep one"),
            Self::Socket(value) => {
                write!(
                    f,
                    "socket=\"{value}\" is no absolute path of a socket of at most {LONGEST_PATH} bytes"
                )
            }
            Self::Timeout(value) => {
                write!(f, "timeout=\"{value}\" is no whole number of seconds from 1 to {LONGEST_TIMEOUT}")
            }
        }
    }
}

impl core::error::Error for ArgumentError {}

/// Reads the arguments.
///
/// # Errors
/// [`ArgumentError`] for the first one that is unknown, stands twice or has a value it cannot have.
pub(crate) fn parse(args: &[&CStr]) -> Result<Settings, ArgumentError> {
    let mut socket = None;
    let mut timeout = None;
    for argument in args {
        let bytes = argument.to_bytes();
        let repeated = if let Some(value) = bytes.strip_prefix(b"socket=") {
            socket.replace(socket_path(value)?).map(|_| "socket")
        } else if let Some(value) = bytes.strip_prefix(b"timeout=") {
            timeout.replace(seconds(value)?).map(|_| "timeout")
        } else {
            return Err(ArgumentError::Unknown(escaped(bytes)));
        };
        if let Some(name) = repeated {
            return Err(ArgumentError::Twice(name));
        }
    }
    Ok(Settings {
        socket: socket.unwrap_or_else(|| PathBuf::from(DEFAULT_SOCKET)),
        timeout: Duration::from_secs(timeout.unwrap_or(DEFAULT_TIMEOUT)),
    })
}

fn socket_path(value: &[u8]) -> Result<PathBuf, ArgumentError> {
    let path = Path::new(OsStr::from_bytes(value));
    let usable = path.is_absolute()
        && path.file_name().is_some()
        && !value.ends_with(b"/")
        && value.len() <= LONGEST_PATH;
    if usable { Ok(path.to_owned()) } else { Err(ArgumentError::Socket(escaped(value))) }
}

fn seconds(value: &[u8]) -> Result<u64, ArgumentError> {
    let refused = || ArgumentError::Timeout(escaped(value));
    if value.is_empty() || value.len() > 3 || !value.iter().all(u8::is_ascii_digit) {
        return Err(refused());
    }
    let number = value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    if (1..=LONGEST_TIMEOUT).contains(&number) { Ok(number) } else { Err(refused()) }
}

fn escaped(value: &[u8]) -> String {
    value.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_said_means_the_documented_defaults() {
        let settings = parse(&[]).unwrap();
        assert_eq!(settings.socket, Path::new("/run/twinlock/login.sock"));
        assert_eq!(settings.timeout, Duration::from_secs(20));
    }

    #[test]
    fn the_manual_page_tells_the_defaults_and_the_bounds() {
        let page = include_str!("../../man/pam_twinlock.8");
        assert!(page.contains(DEFAULT_SOCKET) && page.contains(&format!("at most {LONGEST_PATH} bytes")));
        assert!(page.contains(&format!("1 to {LONGEST_TIMEOUT}.\nDefault: {DEFAULT_TIMEOUT}.")));
    }

    #[test]
    fn both_arguments_are_read_in_any_order() {
        let settings = parse(&[c"timeout=1", c"socket=/a/b"]).unwrap();
        assert_eq!(settings, Settings { socket: "/a/b".into(), timeout: Duration::from_secs(1) });
        assert_eq!(parse(&[c"timeout=100"]).unwrap().timeout, Duration::from_secs(100));
    }

    #[test]
    fn a_time_out_that_is_no_number_of_seconds_from_1_to_100_is_refused() {
        for argument in
            [c"timeout=", c"timeout=0", c"timeout=101", c"timeout=+5", c"timeout=5s", c"timeout=1e1"]
        {
            assert!(matches!(parse(&[argument]), Err(ArgumentError::Timeout(_))), "{argument:?}");
        }
    }

    #[test]
    fn a_socket_that_is_no_absolute_path_is_refused() {
        let long = std::ffi::CString::new(format!("socket=/{}", "x".repeat(107))).unwrap();
        for argument in [c"socket=", c"socket=run/x", c"socket=/", c"socket=/run/", c"socket=/run/..", &long]
        {
            assert!(matches!(parse(&[argument]), Err(ArgumentError::Socket(_))), "{argument:?}");
        }
    }

    #[test]
    fn what_is_unknown_or_stands_twice_is_refused() {
        assert_eq!(parse(&[c"debug"]), Err(ArgumentError::Unknown("debug".into())));
        assert_eq!(parse(&[c"Socket=/a/b"]), Err(ArgumentError::Unknown("Socket=/a/b".into())));
        assert_eq!(parse(&[c"timeout=5", c"timeout=5"]), Err(ArgumentError::Twice("timeout")));
        assert_eq!(parse(&[c"socket=/a/b", c"socket=/a/b"]), Err(ArgumentError::Twice("socket")));
    }

    #[test]
    fn an_error_shows_control_characters_escaped() {
        let shown = parse(&[c"a\nb"]).unwrap_err().to_string();
        assert!(shown.contains("a\\nb") && !shown.contains('\n'), "{shown}");
    }
}
