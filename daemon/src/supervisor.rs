//! What systemd and the daemon have to do with each other: the login socket that systemd holds, so that logins wait while the
//! daemon is restarted, and what it is told (ready, alive, ending). Without systemd there is no socket and nobody to tell.

use listenfd::ListenFd;
use sd_notify::NotifyState;
use std::os::unix::net::UnixListener as StdListener;
use std::path::Path;
use tokio::net::UnixListener;

/// The login socket, if systemd holds it (twinlockd.socket).
#[derive(Debug)]
pub struct HeldSocket(Option<StdListener>);

impl HeldSocket {
    /// Takes it over, and the environment's word of it away. Before any thread is started: the environment is changed.
    ///
    /// # Errors
    /// What was handed over is not one listening Unix socket.
    pub fn take() -> Result<Self, String> {
        let mut handed = ListenFd::from_env();
        if handed.len() > 1 {
            return Err(format!(
                "systemd hands over {} sockets: twinlockd.socket may have one ListenStream",
                handed.len()
            ));
        }
        let socket = match handed.len() {
            0 => None,
            _ => handed.take_unix_listener(0).map_err(|error| format!("what systemd hands over: {error}"))?,
        };
        Ok(Self(socket))
    }

    /// Whether systemd holds one.
    #[must_use]
    pub const fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// The socket to listen on, if systemd holds it.
    ///
    /// # Errors
    /// It is another one than the configuration names: whoever connects where the file says would wait for nobody.
    pub fn listener(self, configured: &Path) -> Result<Option<UnixListener>, String> {
        let Some(socket) = self.0 else { return Ok(None) };
        let address = socket.local_addr().map_err(|error| format!("what systemd hands over: {error}"))?;
        if address.as_pathname() != Some(configured) {
            return Err(format!(
                "systemd holds {:?}, but [daemon] login_socket is {}: make ListenStream= of twinlockd.socket and the file agree",
                address.as_pathname(),
                configured.display()
            ));
        }
        let cannot = |error: std::io::Error| format!("cannot listen on {}: {error}", configured.display());
        socket.set_nonblocking(true).map_err(cannot)?;
        UnixListener::from_std(socket).map(Some).map_err(cannot)
    }
}

/// Tells systemd something.
pub(crate) fn say(state: &[NotifyState<'_>]) {
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(state);
}

/// Tells systemd again and again that the daemon lives, if it wants to know (WatchdogSec=), at half the time it grants.
pub(crate) async fn reassure() {
    let Some(granted) = sd_notify::watchdog_enabled() else { return };
    loop {
        say(&[NotifyState::Watchdog]);
        tokio::time::sleep(granted / 2).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_that_systemd_holds_must_be_the_one_that_the_file_names() {
        let path = std::env::temp_dir().join(format!("twinlock-held-{}.sock", std::process::id()));
        let held = || HeldSocket(Some(StdListener::bind(&path).unwrap()));
        let refused = held().listener(Path::new("/run/twinlock/login.sock")).unwrap_err();
        std::fs::remove_file(&path).unwrap();
        assert!(refused.contains("twinlockd.socket"), "{refused}");
        assert!(held().listener(&path).unwrap().is_some());
        std::fs::remove_file(&path).unwrap();
        assert!(HeldSocket(None).listener(&path).unwrap().is_none());
    }
}
