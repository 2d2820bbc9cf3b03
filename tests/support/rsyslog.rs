//! A real rsyslogd with a socket and a file of its own.

use crate::temp::TempDir;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running rsyslogd.
pub struct Rsyslog {
    folder: TempDir,
    child: Option<Child>,
}

impl Rsyslog {
    /// Starts one.
    ///
    /// # Panics
    /// It is not installed or does not come up.
    #[must_use]
    pub fn start() -> Self {
        assert!(Path::new("/usr/sbin/rsyslogd").exists(), "no rsyslogd: apt-get install rsyslog");
        let folder = TempDir::new("log");
        let at = |name: &str| folder.path().join(name).display().to_string();
        let config = format!(
            "module(load=\"imuxsock\" SysSock.Use=\"off\")\n\
             input(type=\"imuxsock\" Socket=\"{socket}\" CreatePath=\"on\" RateLimit.Interval=\"0\")\n\
             template(name=\"parsed\" type=\"string\" string=\"%syslogfacility-text%|%syslogseverity-text%|%programname%|%msg%\\n\")\n\
             *.* action(type=\"omfile\" file=\"{file}\" template=\"parsed\")\n",
            socket = at("socket"),
            file = at("out"),
        );
        fs::write(folder.path().join("rsyslog.conf"), config).unwrap();
        let mut rsyslog = Self { folder, child: None };
        rsyslog.restart();
        rsyslog
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// Ends it.
    ///
    /// # Panics
    /// It does not end.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
            child.wait().unwrap();
            let _ = fs::remove_file(self.socket());
        }
    }

    /// Starts it again.
    ///
    /// # Panics
    /// It does not come up.
    pub fn restart(&mut self) {
        self.stop();
        let child = Command::new("/usr/sbin/rsyslogd")
            .args(["-n", "-f"])
            .arg(self.folder.path().join("rsyslog.conf"))
            .arg("-i")
            .arg(self.folder.path().join("pid"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let patience = Instant::now() + Duration::from_secs(10);
        while !self.socket().exists() {
            assert!(Instant::now() < patience, "rsyslogd did not come up");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Lines whose message contains `text`, as `facility|severity|program|message`, once there are `count` of them.
    ///
    /// # Panics
    /// They do not come within ten seconds.
    #[must_use]
    pub fn lines(&self, text: &str, count: usize) -> Vec<String> {
        let patience = Instant::now() + Duration::from_secs(10);
        loop {
            let written = fs::read_to_string(self.folder.path().join("out")).unwrap_or_default();
            let found: Vec<String> =
                written.lines().filter(|line| line.contains(text)).map(str::to_owned).collect();
            if found.len() >= count {
                return found;
            }
            assert!(Instant::now() < patience, "{count} lines with {text} expected, received: {written}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
