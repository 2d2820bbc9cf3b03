//! A whole Twinlock in a temporary folder: the release daemon with a store and a log socket of its own, the command,
//! and phones. Stories bring the directory and the rules.

use crate::pam::Stack;
use crate::temp::TempDir;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use totp_rs::{Builder, Secret, Totp};

/// Rules that most stories use: the office waives the code, everybody else shows both.
pub const RULES: &str = r#"
[location.office]
networks = ["192.0.2.0/24"]

[service.sshd]
sshd = true

[service.xrdp-sesman]
prompt = "single"

[[rule]]
name = "office desks"
services = ["desk"]
from = ["office"]
require = ["password"]

[[rule]]
name = "everyone else"
require = ["password", "code"]
"#;

/// A running daemon and all that belongs to it.
pub struct Site {
    folder: TempDir,
    daemon: Option<Child>,
    records: Arc<Mutex<Vec<String>>>,
}

impl Site {
    /// Starts a daemon with `[directory.main]`'s body and everything from `[totp]` on as given.
    ///
    /// # Panics
    /// It does not start; what it said is shown.
    #[must_use]
    pub fn start(directory: &str, rules: &str) -> Self {
        let site = Self::prepare(directory, rules);
        site.started()
    }

    /// The folder with its configuration, and no daemon yet.
    ///
    /// # Panics
    /// The folder cannot be filled.
    #[must_use]
    pub fn prepare(directory: &str, rules: &str) -> Self {
        let folder = TempDir::new("site");
        let log = folder.path().join("log");
        Self::filled(folder, directory, rules, &log)
    }

    /// The same with records going to a log daemon of the story's own.
    ///
    /// # Panics
    /// The folder cannot be filled.
    #[must_use]
    pub fn logging_to(directory: &str, rules: &str, socket: &Path) -> Self {
        Self::filled(TempDir::new("site"), directory, rules, socket)
    }

    fn filled(folder: TempDir, directory: &str, rules: &str, log: &Path) -> Self {
        let at = |name: &str| folder.path().join(name);
        private(&at("seal.key"), &"5a3c".repeat(16));
        let config = format!(
            "[daemon]\nlogin_socket = {login:?}\nadmin_socket = {admin:?}\n\n[directory.main]\n{directory}\n{rules}\n\
             [store]\npath = {store:?}\nkey = {{ file = {key:?} }}\n\n[audit]\nsyslog = {log:?}\n",
            login = at("login.sock"),
            admin = at("admin.sock"),
            store = at("state.db"),
            key = at("seal.key"),
        );
        Self::written(folder, &config, log)
    }

    /// A site on one of the shipped examples, and no daemon yet. `replaced` says which addresses, servers, paths and days
    /// are the story's own; the seal key is, and so are the paths that the file leaves out.
    ///
    /// # Panics
    /// The file does not hold what is to be replaced.
    #[must_use]
    pub fn of_example(name: &str, replaced: &[(&str, &str)]) -> Self {
        let folder = TempDir::new("site");
        let at = |name: &str| folder.path().join(name);
        private(&at("seal.key"), &"5a3c".repeat(16));
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/examples");
        let mut text = fs::read_to_string(examples.join(name)).unwrap();
        let key = at("seal.key").display().to_string();
        for (theirs, ours) in replaced.iter().chain([&("/etc/twinlock/seal.key", key.as_str())]) {
            assert!(text.contains(theirs), "{name} does not say {theirs}");
            text = text.replace(theirs, ours);
        }
        // Its last table is [store].
        let config = format!(
            "{text}path = {store:?}\n[daemon]\nlogin_socket = {login:?}\nadmin_socket = {admin:?}\n\n[audit]\nsyslog = {log:?}\n",
            store = at("state.db"),
            login = at("login.sock"),
            admin = at("admin.sock"),
            log = at("log"),
        );
        let log = at("log");
        Self::written(folder, &config, &log)
    }

    fn written(folder: TempDir, config: &str, log: &Path) -> Self {
        private(&folder.path().join("twinlock.toml"), config);
        let records = Arc::default();
        if log.starts_with(folder.path()) {
            listen(log, &records);
        }
        Self { folder, daemon: None, records }
    }

    /// Starts its daemon.
    ///
    /// # Panics
    /// It does not come up within ten seconds.
    #[must_use]
    pub fn started(mut self) -> Self {
        self.start_daemon();
        self
    }

    /// Starts the daemon again, after [`Site::stop`] or [`Site::kill`].
    ///
    /// # Panics
    /// It does not come up within ten seconds.
    pub fn start_daemon(&mut self) {
        self.start_daemon_under(&[]);
    }

    /// The same with variables in its environment.
    ///
    /// # Panics
    /// It does not come up within ten seconds.
    pub fn start_daemon_under(&mut self, environment: &[(&str, &str)]) {
        self.spawn(Command::new(binary("twinlockd")), environment);
    }

    /// The same through a command that ends in executing what stands behind it.
    ///
    /// # Panics
    /// It does not come up within ten seconds.
    pub fn start_daemon_through(&mut self, mut command: Command) {
        command.arg(binary("twinlockd"));
        self.spawn(command, &[]);
    }

    /// The same with another /etc/resolv.conf, in a mount namespace of its own; root only.
    ///
    /// # Panics
    /// It does not come up within ten seconds.
    pub fn start_daemon_asking(&mut self, name_server: &str) {
        let file = self.path("resolv.conf");
        fs::write(&file, format!("nameserver {name_server}\noptions timeout:1\n")).unwrap();
        self.start_daemon_seeing(&[(&file, "/etc/resolv.conf")]);
    }

    /// The same with these files or folders in place of others, in a mount namespace of its own; root only.
    ///
    /// # Panics
    /// It does not come up within ten seconds.
    pub fn start_daemon_seeing(&mut self, instead: &[(&Path, &str)]) {
        let mounts: String = instead
            .iter()
            .map(|(ours, theirs)| format!("mount --bind {} {theirs} && ", ours.display()))
            .collect();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c"]);
        command.arg(format!("{mounts}exec \"$0\" \"$@\""));
        self.start_daemon_through(command);
    }

    fn spawn(&mut self, mut command: Command, environment: &[(&str, &str)]) {
        let log = fs::File::create(self.path("daemon.err")).unwrap();
        let child = command
            .arg("--config")
            .arg(self.path("twinlock.toml"))
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.daemon = Some(child);
        let patience = Instant::now() + Duration::from_secs(10);
        while UnixStream::connect(self.path("admin.sock")).is_err() {
            let ended = self.daemon.as_mut().and_then(|child| child.try_wait().unwrap());
            let said = fs::read_to_string(self.path("daemon.err")).unwrap_or_default();
            assert!(
                ended.is_none() && Instant::now() < patience,
                "twinlockd does not start: {ended:?} {said}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends the daemon as systemd would.
    ///
    /// # Panics
    /// It does not end.
    pub fn stop(&mut self) {
        self.signal(nix::sys::signal::Signal::SIGTERM);
        self.reap();
    }

    /// Ends it with SIGKILL, at whatever it is doing.
    ///
    /// # Panics
    /// There is none.
    pub fn kill(&mut self) {
        self.signal(nix::sys::signal::Signal::SIGKILL);
        self.reap();
    }

    /// Sends the daemon a signal.
    ///
    /// # Panics
    /// There is none.
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let child = self.daemon.as_ref().expect("the daemon runs");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
    }

    fn reap(&mut self) {
        if let Some(mut child) = self.daemon.take() {
            child.wait().unwrap();
        }
    }

    /// The daemon's process id.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.daemon.as_ref().expect("the daemon runs").id()
    }

    /// A file of the site.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `twinlock` against this daemon.
    ///
    /// # Panics
    /// It cannot be run.
    #[must_use]
    pub fn twinlock(&self, arguments: &[&str]) -> Output {
        Command::new(binary("twinlock"))
            .arg("--config")
            .arg(self.path("twinlock.toml"))
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Gives a user an authenticator with a seed of the story's own.
    ///
    /// # Panics
    /// The daemon refuses.
    #[must_use]
    pub fn enroll(&self, user: &str) -> Phone {
        let phone = Phone::random();
        let output = self.twinlock(&["enroll", user, "--seed", phone.seed(), "--active"]);
        assert!(output.status.success(), "enroll: {}", String::from_utf8_lossy(&output.stderr));
        phone
    }

    /// Gives a user a new set of recovery codes.
    ///
    /// # Panics
    /// The daemon refuses.
    #[must_use]
    pub fn recovery_codes(&self, user: &str) -> Vec<String> {
        let output = self.twinlock(&["--json", "recovery", user, "--yes"]);
        assert!(output.status.success(), "recovery: {}", String::from_utf8_lossy(&output.stderr));
        let made: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        made["codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned()).collect()
    }

    /// Gives a user emergency passwords.
    ///
    /// # Panics
    /// The daemon refuses.
    #[must_use]
    pub fn emergency_passwords(&self, user: &str, count: u32) -> Vec<String> {
        let count = count.to_string();
        let output = self.twinlock(&["--json", "emergency", "create", user, "--count", &count]);
        assert!(output.status.success(), "emergency: {}", String::from_utf8_lossy(&output.stderr));
        let made: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let passwords = made["made"][0]["passwords"].as_array().unwrap();
        passwords.iter().map(|password| password.as_str().unwrap().to_owned()).collect()
    }

    /// A PAM stack of one line: the module, pointed at this daemon.
    #[must_use]
    pub fn stack(&self, service: &str) -> Stack {
        Stack::of_module(service, &format!("socket={}", self.path("login.sock").display()))
    }

    /// The records that have arrived so far.
    ///
    /// # Panics
    /// Never in practice.
    #[must_use]
    pub fn records(&self) -> Vec<String> {
        self.records.lock().unwrap().clone()
    }

    /// Waits until `count` attempts are recorded, and returns their records.
    ///
    /// # Panics
    /// They do not come within ten seconds.
    #[must_use]
    pub fn attempts(&self, count: usize) -> Vec<String> {
        let patience = Instant::now() + Duration::from_secs(10);
        loop {
            let found: Vec<String> =
                self.records().into_iter().filter(|line| line.contains(": attempt ")).collect();
            if found.len() >= count {
                return found;
            }
            assert!(Instant::now() < patience, "{count} attempts expected, recorded: {found:#?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The record of the attempt number `count`, counted from 1, once it has arrived.
    ///
    /// # Panics
    /// It does not come within ten seconds.
    #[must_use]
    pub fn attempt(&self, count: usize) -> String {
        self.attempts(count)[count - 1].clone()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(child) = &mut self.daemon {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The value of a field of a record.
#[must_use]
pub fn field<'a>(record: &'a str, key: &str) -> &'a str {
    let marker = format!(" {key}=\"");
    record.split_once(&marker).and_then(|(_, rest)| rest.split_once('"')).map_or("", |(value, _)| value)
}

/// What somebody's phone shows.
pub struct Phone {
    seed: String,
    totp: Totp,
    last: Option<u64>,
}

const STEP: u64 = 30;

impl Phone {
    /// With a seed from the system's randomness.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn random() -> Self {
        Self::with_seed(&Secret::generate().to_base32())
    }

    /// With a seed in base32.
    ///
    /// # Panics
    /// It is none.
    #[must_use]
    pub fn with_seed(seed: &str) -> Self {
        let secret = Secret::try_from_base32(seed).unwrap();
        let totp = Builder::new().with_secret(secret).with_skew(0).build().unwrap();
        Self { seed: seed.to_owned(), totp, last: None }
    }

    /// In base32, as `twinlock enroll --seed` takes it.
    #[must_use]
    pub fn seed(&self) -> &str {
        &self.seed
    }

    /// The code of a step.
    #[must_use]
    pub fn code_at(&self, step: u64) -> String {
        self.totp.generate(step * STEP).to_string()
    }

    /// A code that was not shown before and is accepted now and for some seconds; waits for one if all three of the
    /// window are used up.
    #[must_use]
    pub fn code(&mut self) -> String {
        loop {
            // The oldest code of the window is none any more when the next step begins.
            let oldest = (seconds_now() + 8) / STEP - 1;
            let now = step_now();
            let next = self.last.map_or(oldest, |last| (last + 1).max(oldest));
            if next <= now + 1 {
                self.last = Some(next);
                return self.code_at(next);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Six digits that are no code of this phone in any step near now.
    #[must_use]
    pub fn wrong_code(&self) -> String {
        let now = step_now();
        let near: Vec<String> = (now - 4..=now + 4).map(|step| self.code_at(step)).collect();
        (0..).map(|n| format!("{n:06}")).find(|code| !near.contains(code)).unwrap_or_default()
    }
}

/// The present time step.
///
/// # Panics
/// The clock stands before 1970.
#[must_use]
pub fn step_now() -> u64 {
    seconds_now() / STEP
}

fn seconds_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A binary of the product: from the folder `TWINLOCK_BINARIES`, or the release one.
///
/// # Panics
/// It is not built.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let release = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release");
    let path = std::env::var_os("TWINLOCK_BINARIES").map_or(release, PathBuf::from).join(name);
    assert!(path.exists(), "{} is not there; build it with: make build", path.display());
    path
}

fn private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A log daemon for one site: keeps what arrives.
fn listen(path: &Path, records: &Arc<Mutex<Vec<String>>>) {
    let socket = UnixDatagram::bind(path).unwrap();
    let records = Arc::clone(records);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 8192];
        while let Ok(length) = socket.recv(&mut buffer) {
            let line = String::from_utf8_lossy(&buffer[..length]).into_owned();
            records.lock().unwrap().push(line);
        }
    });
}
