//! A Samba Active Directory domain controller: one for a whole test binary, because it takes ten seconds to make. It
//! listens on a loopback address of its own, ends with the test process, and needs root.

use crate::skip;
use crate::slapd::{certificates, private, run};
use crate::temp::TempDir;
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// Where everything is below.
pub const BASE: &str = "DC=ad,DC=example,DC=org";
/// The service account; an ordinary user.
pub const SERVICE: &str = "twinlock@ad.example.org";
/// Everybody's password.
pub const PASSWORD: &str = "Passw0rd!";
/// Failures after which an account is locked.
pub const LOCKOUT: usize = 4;

const PATIENCE: Duration = Duration::from_secs(60);

/// A running domain controller.
#[derive(Debug)]
pub struct Samba {
    dir: TempDir,
    address: String,
    _child: Child,
    _ends_with_us: ChildStdin,
}

/// The controller, started by the first who asks; `None` where it cannot be, which is said.
///
/// # Panics
/// It does not start.
pub fn shared(story: &str) -> Option<&'static Samba> {
    static ONE: OnceLock<Option<Samba>> = OnceLock::new();
    let lacking = || {
        skip::lacking(
            &["/usr/sbin/samba", "/usr/bin/samba-tool", "/usr/bin/ldbmodify", "/usr/share/samba/setup"],
            "samba samba-dsdb-modules samba-vfs-modules winbind samba-ad-provision ldb-tools",
        )
    };
    if !skip::can_run(story, lacking().as_deref()) {
        return None;
    }
    ONE.get_or_init(|| Some(Samba::start())).as_ref()
}

impl Samba {
    fn start() -> Self {
        let dir = TempDir::new("samba");
        // The process's own address: several test binaries may run at once.
        let pid = std::process::id();
        let address = format!("127.77.{}.{}", pid >> 8 & 0xff, (pid & 0xff).clamp(1, 254));
        certificates(dir.path(), &format!("DNS:dc1.ad.example.org,IP:{address}"));
        fs::set_permissions(dir.path().join("server.key"), fs::Permissions::from_mode(0o600)).unwrap();
        let domain = dir.path().join("domain");
        run(
            Command::new("samba-tool")
                .args(["domain", "provision", "--use-rfc2307", "--realm=AD.EXAMPLE.ORG", "--domain=ADTEST"])
                .args(["--server-role=dc", "--dns-backend=SAMBA_INTERNAL", "--host-name=dc1"])
                .arg(format!("--host-ip={address}"))
                .arg(format!("--adminpass=Adm1n-{PASSWORD}"))
                .arg(format!("--targetdir={}", domain.display()))
                .arg(format!("--option=interfaces={address}/8"))
                .arg("--option=bind interfaces only=yes"),
            "samba samba-ad-provision",
        );
        let configuration = domain.join("etc/smb.conf");
        let text = fs::read_to_string(&configuration).unwrap();
        let tls = ["cert", "key", "ca"].map(|part| {
            let file = match part {
                "cert" => "server.pem",
                "key" => "server.key",
                _ => "ca.pem",
            };
            format!("\ttls {part}file = {}\n", dir.path().join(file).display())
        });
        let log = format!(
            "\tlog file = {}\n\tserver services = ldap, dns\n",
            dir.path().join("samba.log").display()
        );
        fs::write(&configuration, text.replace("[global]\n", &format!("[global]\n{log}{}", tls.concat())))
            .unwrap();
        private(&dir.path().join("bind-password"), PASSWORD);
        let mut samba = Command::new("sh");
        samba.args(["-c", "\"$@\"; rm -rf \"$0\""]).arg(dir.path());
        samba.args(["samba", "-i", "-M", "single", "-s"]).arg(&configuration);
        let output = fs::File::create(dir.path().join("output")).unwrap();
        samba.stdin(Stdio::piped()).stdout(output.try_clone().unwrap()).stderr(output);
        Fixture { database: domain.join("private"), configuration: configuration.clone() }.fill();
        let mut child = samba.spawn().unwrap();
        let ends_with_us = child.stdin.take().unwrap();
        let began = Instant::now();
        while TcpStream::connect(format!("{address}:636")).is_err() {
            let said = || fs::read_to_string(dir.path().join("output")).unwrap_or_default();
            assert!(began.elapsed() < PATIENCE && child.try_wait().unwrap().is_none(), "samba: {}", said());
            thread::sleep(Duration::from_millis(50));
        }
        Self { dir, address, _child: child, _ends_with_us: ends_with_us }
    }

    /// Where it serves LDAP, TLS and DNS, each on its own port.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `ldaps://`
    #[must_use]
    pub fn ldaps_url(&self) -> String {
        format!("ldaps://{}", self.address)
    }

    /// `ldap://`
    #[must_use]
    pub fn ldap_url(&self) -> String {
        format!("ldap://{}", self.address)
    }

    /// The authority that signed its certificate.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// A file with the service account's password.
    #[must_use]
    pub fn bind_password_file(&self) -> PathBuf {
        self.dir.path().join("bind-password")
    }

    /// The body of a `[directory.NAME]` table.
    #[must_use]
    pub fn settings(&self) -> String {
        format!(
            "kind = \"active-directory\"\nrealm = \"ADTEST\"\nservers = [{:?}]\nbase = {BASE:?}\ngroup_base = {BASE:?}\n\
             bind_dn = {SERVICE:?}\nbind_password = {{ file = {:?} }}\ntls = {{ mode = \"ldaps\", ca = {:?} }}\n",
            self.ldaps_url(),
            self.bind_password_file(),
            self.authority(),
        )
    }
}

/// The domain before it is served.
struct Fixture {
    database: PathBuf,
    configuration: PathBuf,
}

impl Fixture {
    fn tool(&self, arguments: &[&str]) {
        let database = self.database.join("sam.ldb");
        let mut tool = Command::new("samba-tool");
        tool.args(arguments).arg(format!("--configfile={}", self.configuration.display()));
        run(tool.arg("-H").arg(database), "samba");
    }

    /// Changes an account's entry. `backend`: behind the checks of Active Directory.
    fn modify(&self, name: &str, attribute: &str, value: &str, backend: bool) {
        let file = self.database.join("change.ldif");
        let ldif = format!(
            "dn: CN={name},CN=Users,{BASE}\nchangetype: modify\nreplace: {attribute}\n{attribute}:{value}\n"
        );
        fs::write(&file, ldif).unwrap();
        let database = if backend { "sam.ldb.d/DC=AD,DC=EXAMPLE,DC=ORG.ldb" } else { "sam.ldb" };
        run(Command::new("ldbmodify").arg("-H").arg(self.database.join(database)).arg(file), "ldb-tools");
    }

    fn fill(&self) {
        self.tool(&[
            "domain",
            "passwordsettings",
            "set",
            "--complexity=off",
            "--min-pwd-age=0",
            "--max-pwd-age=42",
            "--account-lockout-threshold=4",
            "--account-lockout-duration=30",
            "--reset-account-lockout-after=30",
        ]);
        let users = [
            "twinlock",
            "fine",
            "disabled",
            "ended",
            "aged",
            "reset",
            "reset2",
            "locked",
            "hours",
            "hosts",
            "warned",
            "renamed",
            "strict",
            "svc-backup",
            "helen",
        ];
        for (number, name) in (3001..).zip(users) {
            let (number, address) = (format!("--uid-number={number}"), format!("--unix-home=/home/{name}"));
            self.tool(&[
                "user",
                "create",
                name,
                PASSWORD,
                &number,
                "--gid-number=3000",
                &address,
                "--login-shell=/bin/sh",
                &format!("--uid={name}"),
            ]);
        }
        self.tool(&["user", "disable", "disabled"]);
        self.tool(&["group", "add", "inner"]);
        self.tool(&["group", "add", "outer"]);
        self.tool(&["group", "addmembers", "inner", "fine"]);
        self.tool(&["group", "addmembers", "outer", "inner"]);
        self.tool(&["group", "add", "Helpdesk"]);
        self.tool(&["group", "add", "first-line"]);
        self.tool(&["group", "addmembers", "first-line", "helen"]);
        self.tool(&["group", "addmembers", "Helpdesk", "first-line"]);
        self.modify("ended", "accountExpires", " 131000000000000000", false);
        for name in ["reset", "reset2"] {
            self.modify(name, "pwdLastSet", " 0", false);
        }
        self.modify("hours", "logonHours", ": AAAAAAAAAAAAAAAAAAAAAAAAAAAA", false);
        self.modify("hosts", "userWorkstations", " ONLYPC", false);
        self.modify("aged", "pwdLastSet", " 131000000000000000", true);
        self.modify("warned", "pwdLastSet", &format!(" {}", filetime_days_ago(40)), true);
    }
}

fn filetime_days_ago(days: u64) -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    (now - days * 86_400 + 11_644_473_600) * 10_000_000
}
