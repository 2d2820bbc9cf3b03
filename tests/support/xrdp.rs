//! xrdp's session manager on a [`Host`]: the process that asks PAM for every login by xrdp. Its own client, xrdp-sesrun,
//! stands for xrdp, which would only carry the two fields of its window there.

use crate::host::{Host, inside, wait_for};
use crate::skip;
use std::fs;
use std::process::{Child, Command, Stdio};

/// A running xrdp-sesman.
pub struct Sesman<'a> {
    host: &'a Host,
    child: Child,
}

/// Whether there is one on this machine. If not, says so.
///
/// # Panics
/// There is none, and this is CI.
#[must_use]
pub fn can_play(story: &str) -> bool {
    let lacking = skip::lacking(&["/usr/sbin/xrdp-sesman", "/usr/bin/xrdp-sesrun"], "xrdp");
    skip::can_run(story, lacking.as_deref())
}

impl<'a> Sesman<'a> {
    /// Starts one that can open no session: whoever is let in finds no X server.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start(host: &'a Host) -> Self {
        let (file, log) = (host.folder.join("sesman.ini"), host.folder.join("sesman.log"));
        let configuration = format!(
            "[Globals]\nListenAddress=127.0.0.1\nListenPort=3350\n[Security]\nAllowRootLogin=false\nMaxLoginRetry=4\n\
             [Sessions]\nX11DisplayOffset=10\nMaxSessions=50\n[Logging]\nLogFile={log}\nLogLevel=INFO\nEnableSyslog=false\n\
             [Xorg]\nparam=/bin/false\n",
            log = log.display()
        );
        fs::write(&file, configuration).unwrap();
        // The sessions that it begins in processes of their own end with it.
        let mut command =
            inside(&host.keeper, &["unshare", "--pid", "--fork", "--kill-child", "xrdp-sesman"]);
        command.args(["--nodaemon", "--config"]);
        command.arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        wait_for("xrdp-sesman", || {
            fs::read_to_string(&log).unwrap_or_default().contains("starting xrdp-sesman")
        });
        Self { host, child }
    }

    /// Whether it lets in a user who types this into the one field.
    ///
    /// # Panics
    /// Its client cannot be run.
    #[must_use]
    pub fn login(&self, user: &str, field: &str) -> bool {
        let file = self.host.folder.join("sesman.ini");
        let mut command = Command::new("timeout");
        command.args(["30", "nsenter", "-t", &self.host.keeper.id().to_string(), "-m", "-n"]);
        command.args(["xrdp-sesrun", "-s", "127.0.0.1", "-c"]);
        let output = command.arg(file).args(["-t", "Xorg", "-p", field, user]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).lines().any(|line| line.starts_with("ok "))
    }
}

impl Drop for Sesman<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
