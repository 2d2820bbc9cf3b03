//! A host for one test: sshd, login and sudo with the shipped PAM stacks, in mount and network namespaces of its own, so
//! that the machine's /etc and interfaces stay as they are. Directory users come from libnss-extrausers, as sssd or nslcd
//! would supply them. Clients have the addresses [`AROUND`], all on the host's loopback interface.

use crate::pam::module_path;
use crate::site::Site;
use crate::slapd::free_port;
use std::fs;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The password of root on this host.
pub const ROOT_PASSWORD: &str = "root's own password";

/// The host's own address.
pub const HERE: &str = "203.0.113.1";

const HERE_6: &str = "2001:db8:1::1";

/// Addresses that clients can come from, beside loopback: public ones as RFC 5737 and RFC 3849 set apart, and a private
/// one.
pub const AROUND: [&str; 6] =
    ["192.0.2.10", "198.51.100.7", "198.51.100.66", "203.0.113.77", "10.20.30.40", "2001:db8:7::7"];

/// Whether this machine can play a host: root, who may unshare namespaces, and the programs. If not, says so
/// loudly, notes it for the totals, and fails where CI=true: nothing is passed by not running.
///
/// # Panics
/// It cannot, and this is CI.
#[must_use]
pub fn can_play(story: &str) -> bool {
    let missing = if !nix::unistd::Uid::effective().is_root() {
        Some("needs root".to_owned())
    } else if let Some(file) = NEEDED.iter().find(|file| !Path::new(file).exists()) {
        Some(format!(
            "needs {file}; install openssh-server, openssh-client, login, libnss-extrausers, iproute2"
        ))
    } else {
        let unshared = Command::new("unshare").args(["--mount", "--net", "true"]).output();
        unshared
            .map_or(true, |output| !output.status.success())
            .then(|| "may not unshare mount and network namespaces".to_owned())
    };
    crate::skip::can_run(story, missing.as_deref())
}

const NEEDED: [&str; 5] = ["/usr/sbin/sshd", "/usr/bin/ssh", "/bin/login", "/var/lib/extrausers", "/sbin/ip"];

/// The host.
pub struct Host {
    pub(crate) folder: PathBuf,
    pub(crate) keeper: Child,
    sshd: Child,
    port: u16,
}

/// What came of an ssh login.
#[derive(Debug)]
pub struct Session {
    /// Whether a command ran on the host.
    pub entered: bool,
    /// What it printed.
    pub output: String,
    /// What the person was asked, a line each.
    pub prompts: Vec<String>,
}

impl Host {
    /// Starts sshd with the shipped drop-in, and before it `sshd_lines`, which win.
    ///
    /// # Panics
    /// A part does not start.
    #[must_use]
    pub fn start(site: &Site, users: &[&str], sshd_lines: &str) -> Self {
        let folder = site.path("host");
        fs::create_dir(&folder).unwrap();
        // sshd reads a user's keys as that user.
        fs::set_permissions(site.path(""), fs::Permissions::from_mode(0o755)).unwrap();
        let port = free_port().port();
        fill(&folder, site, users);
        let keeper = Command::new("unshare")
            .args(["--mount", "--net", "--propagation", "private", "/bin/bash"])
            .arg(folder.join("setup"))
            .arg(&folder)
            .arg([&AROUND[..], &[HERE, HERE_6]].concat().join(" "))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        wait_for("the host's folders", || folder.join("ready").exists());
        configure_sshd(&folder, port, sshd_lines);
        let sshd = inside(&keeper, &["/usr/sbin/sshd", "-D", "-f"])
            .arg(folder.join("sshd_config"))
            .arg("-E")
            .arg(folder.join("sshd.log"))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        wait_for("sshd", || {
            let log = fs::read_to_string(folder.join("sshd.log")).unwrap_or_default();
            log.contains("Server listening on")
        });
        Self { folder, keeper, sshd, port }
    }

    /// Logs in with a real ssh client, which asks a helper for each answer.
    ///
    /// # Panics
    /// ssh cannot be run.
    #[must_use]
    pub fn ssh(&self, user: &str, methods: &str, password: &str, code: &str) -> Session {
        self.prepare(password, code);
        let output = self.ssh_command("127.0.0.1", user, methods).output().unwrap();
        self.session(&output)
    }

    /// The same at a terminal, where the shell is told to exit.
    ///
    /// # Panics
    /// ssh cannot be run.
    #[must_use]
    pub fn ssh_at_terminal(&self, user: &str, password: &str, code: &str) -> Session {
        self.prepare(password, code);
        let mut command = self.ssh_command("127.0.0.1", user, "keyboard-interactive");
        let typed = self.folder.join("typed");
        fs::write(&typed, "exit\n").unwrap();
        self.session(&command.arg("-tt").stdin(fs::File::open(typed).unwrap()).output().unwrap())
    }

    /// The same from one of [`AROUND`].
    ///
    /// # Panics
    /// ssh cannot be run.
    #[must_use]
    pub fn ssh_around(&self, source: &str, user: &str, methods: &str, password: &str, code: &str) -> Session {
        self.prepare(password, code);
        let output = self.ssh_command(here(source), user, methods).args(["-b", source]).output().unwrap();
        self.session(&output)
    }

    fn prepare(&self, password: &str, code: &str) {
        fs::write(self.folder.join("password"), password).unwrap();
        fs::write(self.folder.join("code"), code).unwrap();
        fs::write(self.folder.join("asked"), "").unwrap();
    }

    /// Logs in with the key that root's account accepts.
    ///
    /// # Panics
    /// ssh cannot be run.
    #[must_use]
    pub fn ssh_by_key(&self, user: &str) -> Session {
        let mut command = self.ssh_command("127.0.0.1", user, "publickey");
        let output = command
            .arg("-o")
            .arg(format!("IdentityFile={}", self.folder.join("key").display()))
            .output()
            .unwrap();
        self.session(&output)
    }

    /// From one of [`AROUND`] with that key, and then by `methods`, as far as sshd asks for more.
    ///
    /// # Panics
    /// ssh cannot be run.
    #[must_use]
    pub fn ssh_by_key_around(&self, source: &str, user: &str, methods: &str, code: &str) -> Session {
        self.prepare("", code);
        let key = format!("IdentityFile={}", self.folder.join("key").display());
        let mut command = self.ssh_command(here(source), user, methods);
        self.session(&command.args(["-b", source, "-o", &key]).output().unwrap())
    }

    /// Logs in by keyboard-interactive from a loopback address or one of [`AROUND`], answering every question with `answer`.
    /// Many may do so at once.
    ///
    /// # Panics
    /// ssh cannot be run.
    #[must_use]
    pub fn ssh_from(&self, source: &str, user: &str, answer: &str) -> Session {
        self.session(&self.answering(source, user, answer, "answer").output().unwrap())
    }

    /// A client at another address that answers both questions, hangs up without waiting for the verdict, and ends.
    ///
    /// # Panics
    /// ssh cannot be run.
    pub fn guess_and_hang_up(&self, source: &str, user: &str, answer: &str) {
        let mut command = self.answering(source, user, answer, "answer-and-hang-up");
        let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    }

    /// Logs in by keyboard-interactive from one of [`AROUND`] and puts each question, with what ssh shows before it, to
    /// `answer`. The terminal takes UTF-8. One at a time.
    ///
    /// # Panics
    /// ssh cannot be run.
    #[must_use]
    pub fn ssh_talking(&self, source: &str, user: &str, mut answer: impl FnMut(&str) -> String) -> Session {
        self.prepare("", "");
        let mut command = self.ssh_command(here(source), user, "keyboard-interactive");
        command.args(["-b", source]).env("SSH_ASKPASS", self.folder.join("ask-the-story"));
        let mut ssh =
            command.env("LC_ALL", "C.UTF-8").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (question, draft) = (self.folder.join("question"), self.folder.join("answer.draft"));
        while ssh.try_wait().unwrap().is_none() {
            if let Ok(asked) = fs::read_to_string(&question) {
                fs::remove_file(&question).unwrap();
                fs::write(&draft, answer(&asked) + "\n").unwrap();
                fs::rename(&draft, self.folder.join("answered")).unwrap();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.session(&ssh.wait_with_output().unwrap())
    }

    fn answering(&self, source: &str, user: &str, answer: &str, helper: &str) -> Command {
        let mut command = self.ssh_command(here(source), user, "keyboard-interactive");
        command.args(["-b", source]).env("SSH_ASKPASS", self.folder.join(helper)).env("ANSWER", answer);
        command
    }

    fn ssh_command(&self, to: &str, user: &str, methods: &str) -> Command {
        let mut command = Command::new("timeout");
        command
            .args(["40", "nsenter", "-t", &self.keeper.id().to_string(), "-n"])
            .args(["ssh", "-F", "none", "-p", &self.port.to_string()])
            .args([
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "UserKnownHostsFile=/dev/null",
                "-o",
                "LogLevel=INFO",
            ])
            .args(["-o", "NumberOfPasswordPrompts=1", "-o", &format!("PreferredAuthentications={methods}")])
            .args(["-l", user, to])
            .env("SSH_ASKPASS", self.folder.join("askpass"))
            .env("SSH_ASKPASS_REQUIRE", "force")
            .env("HOST_FOLDER", &self.folder)
            .stdin(Stdio::null());
        command
    }

    fn session(&self, output: &Output) -> Session {
        let asked = fs::read_to_string(self.folder.join("asked")).unwrap_or_default();
        Session {
            entered: output.status.success(),
            output: String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr),
            prompts: asked.lines().map(str::to_owned).collect(),
        }
    }

    /// Logs in at a console of this host with login(1): waits for each text on the screen and types what goes with it.
    /// Ends after the last text if nothing goes with that one, else when login does. Returns what the screen showed.
    ///
    /// # Panics
    /// login cannot be run.
    #[must_use]
    pub fn console(&self, user: &str, answers: &[(&str, Option<&str>)]) -> String {
        let keeper = self.keeper.id().to_string();
        let login = format!("nsenter -t {keeper} -m /bin/login -p {user}");
        let mut script = Command::new("timeout")
            .args(["40", "script", "-q", "-e", "-c", &login, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut keyboard = script.stdin.take().unwrap();
        let mut screen = script.stdout.take().unwrap();
        let mut shown = String::new();
        let mut read_from = 0;
        let mut left = answers.iter();
        let mut awaited = left.next();
        let mut chunk = [0; 1024];
        while let Ok(count @ 1..) = screen.read(&mut chunk) {
            shown.push_str(&String::from_utf8_lossy(&chunk[..count]));
            let Some((text, answer)) = awaited.filter(|(text, _)| shown[read_from..].contains(text)) else {
                continue;
            };
            let Some(answer) = answer else { break };
            read_from = shown.rfind(text).unwrap_or_default() + text.len();
            keyboard.write_all(format!("{answer}\n").as_bytes()).unwrap();
            awaited = left.next();
        }
        let _ = script.kill();
        let _ = script.wait();
        shown
    }

    /// What sshd logged.
    #[must_use]
    pub fn sshd_log(&self) -> String {
        fs::read_to_string(self.folder.join("sshd.log")).unwrap_or_default()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for child in [&mut self.sshd, &mut self.keeper] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

pub(crate) fn inside(keeper: &Child, arguments: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["-t", &keeper.id().to_string(), "-m", "-n"]).args(arguments);
    command
}

/// The host's address in the family of a client's.
fn here(source: &str) -> &'static str {
    match source.parse().unwrap() {
        IpAddr::V4(v4) if v4.is_loopback() => "127.0.0.1",
        IpAddr::V4(_) => HERE,
        IpAddr::V6(_) => HERE_6,
    }
}

pub(crate) fn wait_for(what: &str, ready: impl Fn() -> bool) {
    let patience = Instant::now() + Duration::from_secs(10);
    while !ready() {
        assert!(Instant::now() < patience, "{what} did not come up");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The files that the namespace puts over the machine's own.
fn fill(folder: &Path, site: &Site, users: &[&str]) {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
    let stacks = folder.join("pam.d");
    fs::create_dir(&stacks).unwrap();
    for from in ["/etc/pam.d".into(), shipped.join("pam.d")] {
        for file in fs::read_dir(from).unwrap().map(|file| file.unwrap().path()) {
            let Ok(text) = fs::read_to_string(&file) else { continue };
            let module = format!("{} socket={}", module_path().display(), site.path("login.sock").display());
            fs::write(stacks.join(file.file_name().unwrap()), text.replace("pam_twinlock.so", &module))
                .unwrap();
        }
    }
    fs::write(
        folder.join("nsswitch.conf"),
        "passwd: files extrausers\ngroup: files extrausers\nshadow: files\n",
    )
    .unwrap();
    let extra = folder.join("extrausers");
    fs::create_dir(&extra).unwrap();
    let passwd: String =
        users.iter().zip(2001..).map(|(user, uid)| format!("{user}:x:{uid}:100::/tmp:/bin/sh\n")).collect();
    fs::write(extra.join("passwd"), passwd).unwrap();
    fs::write(extra.join("group"), "").unwrap();
    let hashed = Command::new("openssl").args(["passwd", "-6", ROOT_PASSWORD]).output().unwrap();
    let hash = String::from_utf8(hashed.stdout).unwrap();
    let shadow: String = fs::read_to_string("/etc/shadow")
        .unwrap()
        .lines()
        .map(|line| {
            if line.starts_with("root:") {
                format!("root:{}:19000:0:99999:7:::\n", hash.trim())
            } else {
                format!("{line}\n")
            }
        })
        .collect();
    fs::write(folder.join("shadow"), shadow).unwrap();
    script(
        &folder.join("askpass"),
        "#!/bin/sh\nprintf '%s\\n' \"$1\" >>\"$HOST_FOLDER/asked\"\ncase \"$1\" in *ode:*) cat \"$HOST_FOLDER/code\";; \
         *ew?password:*) cat \"$HOST_FOLDER/new\";; *) cat \"$HOST_FOLDER/password\";; esac\n",
    );
    script(&folder.join("answer"), "#!/bin/sh\nprintf '%s\\n' \"$ANSWER\"\n");
    script(
        &folder.join("ask-the-story"),
        "#!/bin/sh\ncd \"$HOST_FOLDER\"\nprintf '%s' \"$1\" >question.draft\nmv question.draft question\n\
         until [ -e answered ]; do sleep 0.05; done\ncat answered\nrm answered\n",
    );
    // ssh takes the answer once nobody holds the pipe's end any more, and has sent it by the time it is killed.
    script(
        &folder.join("answer-and-hang-up"),
        "#!/bin/sh\nprintf '%s\\n' \"$ANSWER\"\ncase \"$1\" in *ode:*) \
         (exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; sleep 0.15; kill -9 $PPID) >/dev/null 2>&1 </dev/null & ;; esac\n",
    );
    script(
        &folder.join("setup"),
        "set -eu\nmount --bind \"$1/nsswitch.conf\" /etc/nsswitch.conf\nmount --bind \"$1/pam.d\" /etc/pam.d\n\
         mount --bind \"$1/shadow\" /etc/shadow\nmount --bind \"$1/extrausers\" /var/lib/extrausers\nmkdir -p /run/sshd\n\
         ip link set lo up\nfor address in $2; do ip address add \"$address\" dev lo; done\n\
         touch \"$1/ready\"\nexec sleep infinity\n",
    );
    // sshd and login run as other users from here on.
    for (file, mode) in
        [("nsswitch.conf", 0o644), ("extrausers", 0o755), ("extrausers/passwd", 0o644), ("shadow", 0o640)]
    {
        fs::set_permissions(folder.join(file), fs::Permissions::from_mode(mode)).unwrap();
    }
}

fn configure_sshd(folder: &Path, port: u16, lines: &str) {
    for key in ["host_key", "key"] {
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(folder.join(key))
            .output();
        assert!(made.unwrap().status.success());
    }
    let shipped =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/sshd/50-twinlock.conf"))
            .unwrap();
    // sshd takes the first value it reads.
    let config = format!(
        "{lines}\n{shipped}\nListenAddress 0.0.0.0\nListenAddress ::\nPort {port}\nHostKey {key}\nPidFile none\nPermitRootLogin prohibit-password\n\
         AuthorizedKeysFile {public}\nStrictModes no\nUseDNS no\nForceCommand echo entered as $(id -un)\n",
        key = folder.join("host_key").display(),
        public = folder.join("key.pub").display(),
    );
    fs::write(folder.join("sshd_config"), config).unwrap();
}

fn script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
