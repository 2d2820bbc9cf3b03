//! A real OpenLDAP server for one test: its own folder, its own free loopback ports, TLS with an authority of its
//! own, and a log in which a test can count binds. It runs as whoever runs the test and ends with the value.

use crate::temp::TempDir;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Search base of accounts.
pub const PEOPLE: &str = "ou=people,dc=example,dc=org";
/// Search base of groups.
pub const GROUPS: &str = "ou=groups,dc=example,dc=org";
/// The service account; it may read everything but passwords.
pub const SERVICE_DN: &str = "cn=twinlock,ou=services,dc=example,dc=org";
/// Its password.
pub const SERVICE_PASSWORD: &str = "service password";

const BINARY: &str = "/usr/sbin/slapd";
const PATIENCE: Duration = Duration::from_secs(10);

/// Accounts: name, uidNumber. The password of `alice` is `alice's password`, and so on.
const ACCOUNTS: [(&str, u32); 5] =
    [("alice", 2001), ("bob", 2002), ("carol", 2003), ("dave", 2004), ("erin", 2005)];

/// A running slapd.
#[derive(Debug)]
pub struct Slapd {
    dir: TempDir,
    ldap: SocketAddr,
    ldaps: SocketAddr,
    child: Option<Child>,
}

impl Slapd {
    /// Starts one with accounts alice, bob, carol, dave and erin; `odd,one` and `grüße`; two entries with the uid
    /// `twice`; groups staff (primary), vpn (by memberUid: alice, carol) and admins (by DN: alice).
    ///
    /// # Panics
    /// slapd or openssl is not installed, or slapd does not start; the message says what to do.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// The same with more entries, in LDIF.
    ///
    /// # Panics
    /// As [`Slapd::start`], or the LDIF is refused.
    #[must_use]
    pub fn start_with(more: &str) -> Self {
        Self::start_configured("", more)
    }

    /// The same with more of `cn=config` too: modules, overlays.
    ///
    /// # Panics
    /// As [`Slapd::start_with`].
    #[must_use]
    pub fn start_configured(config: &str, more: &str) -> Self {
        Self::start_presenting("DNS:localhost,IP:127.0.0.1", false, config, more)
    }

    /// The same with a certificate made out to other names, as openssl writes them, and perhaps one that has expired.
    ///
    /// # Panics
    /// As [`Slapd::start_with`].
    #[must_use]
    pub fn start_presenting(names: &str, expired: bool, config: &str, more: &str) -> Self {
        assert!(Path::new(BINARY).exists(), "no {BINARY}: apt-get install slapd (or openldap-servers)");
        let dir = TempDir::new("slapd");
        certificates(dir.path(), names);
        if expired {
            expire(dir.path());
        }
        fs::create_dir(dir.path().join("db")).expect("folder");
        fs::create_dir(dir.path().join("conf")).expect("folder");
        slapadd(dir.path(), "0", &format!("{}\n{config}", configuration(dir.path())));
        slapadd(dir.path(), "1", &format!("{}{more}", entries()));
        private(&dir.path().join("bind-password"), SERVICE_PASSWORD);
        let (ldap, ldaps) = (free_port(), free_port());
        let mut slapd = Self { dir, ldap, ldaps, child: None };
        slapd.restart();
        slapd
    }

    /// The body of a `[directory.NAME]` table that asks `urls` of this server, with `tls.mode` as given.
    #[must_use]
    pub fn settings(&self, mode: &str, urls: &[String]) -> String {
        format!(
            "kind = \"rfc2307\"\nservers = {urls:?}\nbase = {PEOPLE:?}\ngroup_base = {GROUPS:?}\n\
             bind_dn = {SERVICE_DN:?}\nbind_password = {{ file = {password:?} }}\n\
             tls = {{ mode = {mode:?}, ca = {ca:?} }}\n",
            password = self.bind_password_file(),
            ca = self.authority(),
        )
    }

    /// `ldap://`, for StartTLS.
    #[must_use]
    pub fn ldap_url(&self) -> String {
        format!("ldap://{}", self.ldap)
    }

    /// `ldaps://`
    #[must_use]
    pub fn ldaps_url(&self) -> String {
        format!("ldaps://{}", self.ldaps)
    }

    /// `ldapi://`
    #[must_use]
    pub fn ldapi_url(&self) -> String {
        format!("ldapi://{}", self.socket().display().to_string().replace('/', "%2F"))
    }

    /// Where it speaks LDAP and StartTLS.
    #[must_use]
    pub fn ldap_address(&self) -> SocketAddr {
        self.ldap
    }

    /// Where it speaks TLS.
    #[must_use]
    pub fn ldaps_address(&self) -> SocketAddr {
        self.ldaps
    }

    /// The authority that signed its certificate, which is made out to `localhost` and 127.0.0.1.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// An authority that signed nothing of it.
    #[must_use]
    pub fn other_authority(&self) -> PathBuf {
        self.dir.path().join("other.pem")
    }

    /// Where its files lie, `server.pem` and `server.key` among them.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// A file with the service account's password.
    #[must_use]
    pub fn bind_password_file(&self) -> PathBuf {
        self.dir.path().join("bind-password")
    }

    /// Simple binds it received for a DN, as its log tells. The empty DN counts anonymous ones.
    ///
    /// # Panics
    /// The log cannot be read.
    #[must_use]
    pub fn binds(&self, dn: &str) -> usize {
        let log = fs::read(self.log()).expect("slapd's log");
        String::from_utf8_lossy(&log)
            .lines()
            .filter(|line| line.contains(&format!("BIND dn=\"{dn}\" method=")))
            .count()
    }

    /// All simple binds it received.
    ///
    /// # Panics
    /// The log cannot be read.
    #[must_use]
    pub fn all_binds(&self) -> usize {
        let log = fs::read(self.log()).expect("slapd's log");
        String::from_utf8_lossy(&log)
            .lines()
            .filter(|line| line.contains("BIND dn=") && line.contains("method="))
            .count()
    }

    /// Changes entries as the manager.
    ///
    /// # Panics
    /// It is refused.
    pub fn modify(&self, ldif: &str) {
        self.modify_as("cn=admin,dc=example,dc=org", ldif);
    }

    /// Changes what it is told in `cn=config`.
    ///
    /// # Panics
    /// It is refused.
    pub fn modify_config(&self, ldif: &str) {
        self.modify_as("cn=admin,cn=config", ldif);
    }

    fn modify_as(&self, manager: &str, ldif: &str) {
        let file = self.dir.path().join("change.ldif");
        fs::write(&file, ldif).expect("file");
        let mut modify = Command::new("ldapmodify");
        modify.args(["-x", "-H", &self.ldapi_url(), "-D", manager, "-w", "manager password"]);
        run(modify.arg("-f").arg(file), "ldap-utils");
    }

    /// A certificate made out to `cn=twinlock` that its authority signed, and its key.
    ///
    /// # Panics
    /// openssl fails.
    #[must_use]
    pub fn client_certificate(&self) -> (PathBuf, PathBuf) {
        let dir = self.dir.path();
        let openssl = |arguments: &str| {
            run(Command::new("openssl").current_dir(dir).args(arguments.split(' ')), "openssl");
        };
        openssl(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout client.key -out client.csr -subj /CN=twinlock",
        );
        openssl(
            "x509 -req -in client.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out client.pem -extfile names",
        );
        fs::set_permissions(dir.join("client.key"), fs::Permissions::from_mode(0o600)).expect("permissions");
        (dir.join("client.pem"), dir.join("client.key"))
    }

    /// What it logged, for a failure's message.
    ///
    /// # Panics
    /// The log cannot be read.
    #[must_use]
    pub fn log_text(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log()).expect("slapd's log")).into_owned()
    }

    /// Stops answering; connections are still accepted by the kernel. All its threads stand still on return.
    ///
    /// # Panics
    /// It does not come to a halt.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
        let Some(child) = &self.child else { return };
        let threads = PathBuf::from(format!("/proc/{}/task", child.id()));
        let stopped = |thread: fs::DirEntry| {
            let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
            stat.rsplit(") ").next().is_none_or(|behind_name| behind_name.starts_with('T'))
        };
        let began = Instant::now();
        while !fs::read_dir(&threads).expect("its threads").flatten().all(stopped) {
            assert!(began.elapsed() < PATIENCE, "slapd did not freeze");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Goes on.
    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Ends it; what it held is kept.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again on the same ports and data.
    ///
    /// # Panics
    /// It does not come up.
    pub fn restart(&mut self) {
        self.stop();
        let log = fs::OpenOptions::new().create(true).append(true).open(self.log()).expect("slapd's log");
        let listeners = format!("{} {} {}", self.ldap_url(), self.ldaps_url(), self.ldapi_url());
        let _ = fs::remove_file(self.socket());
        let mut command = Command::new(BINARY);
        command.arg("-F").arg(self.dir.path().join("conf")).args(["-h", &listeners, "-d", "stats"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().expect("slapd starts"));
        let started = Instant::now();
        while TcpStream::connect(self.ldaps).is_err()
            || TcpStream::connect(self.ldap).is_err()
            || UnixStream::connect(self.socket()).is_err()
        {
            assert!(started.elapsed() < PATIENCE, "slapd did not come up:\n{}", self.log_text());
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            let _ = kill(Pid::from_raw(i32::try_from(child.id()).expect("a process id")), signal);
        }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("ldapi")
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A loopback port that nobody listens on.
///
/// # Panics
/// There is none.
#[must_use]
pub fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

pub(crate) fn private(path: &Path, text: &str) {
    fs::write(path, text).expect("file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("permissions");
}

pub(crate) fn run(command: &mut Command, package: &str) {
    let output =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}: apt-get install {package}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An authority, a server certificate it signed, and an authority that signed nothing.
pub(crate) fn certificates(dir: &Path, names: &str) {
    let openssl = |arguments: &str| {
        run(Command::new("openssl").current_dir(dir).args(arguments.split(' ')), "openssl");
    };
    fs::write(dir.join("names"), format!("subjectAltName={names}\n")).expect("file");
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -days 30 -subj /CN=test-authority"));
    openssl(&format!(
        "req -x509 {key} -keyout other.key -out other.pem -days 30 -subj /CN=another-authority"
    ));
    openssl(&format!("req {key} -keyout server.key -out server.csr -subj /CN=localhost"));
    openssl(
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out server.pem -extfile names",
    );
}

/// Signs the server's certificate anew, years ago.
fn expire(dir: &Path) {
    let sign = "openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out server.pem -extfile names";
    let mut faketime = Command::new("faketime");
    run(faketime.current_dir(dir).arg("2020-01-01 00:00:00").args(sign.split(' ')), "faketime");
}

fn slapadd(dir: &Path, database: &str, ldif: &str) {
    let file = dir.join(format!("{database}.ldif"));
    fs::write(&file, ldif).expect("file");
    run(
        Command::new("/usr/sbin/slapadd")
            .args(["-n", database, "-F"])
            .arg(dir.join("conf"))
            .arg("-l")
            .arg(file),
        "slapd",
    );
}

fn configuration(dir: &Path) -> String {
    let dir = dir.display();
    let schema =
        if Path::new("/etc/ldap/schema").exists() { "/etc/ldap/schema" } else { "/etc/openldap/schema" };
    let modules = if Path::new("/usr/lib/ldap").exists() { "/usr/lib/ldap" } else { "/usr/lib64/openldap" };
    format!(
        "dn: cn=config
objectClass: olcGlobal
cn: config
olcTLSCACertificateFile: {dir}/ca.pem
olcTLSCertificateFile: {dir}/server.pem
olcTLSCertificateKeyFile: {dir}/server.key

dn: cn=module{{0}},cn=config
objectClass: olcModuleList
cn: module{{0}}
olcModulePath: {modules}
olcModuleLoad: back_mdb

dn: cn=schema,cn=config
objectClass: olcSchemaConfig
cn: schema

include: file://{schema}/core.ldif
include: file://{schema}/cosine.ldif
include: file://{schema}/nis.ldif
include: file://{schema}/inetorgperson.ldif

dn: olcDatabase={{-1}}frontend,cn=config
objectClass: olcDatabaseConfig
objectClass: olcFrontendConfig
olcDatabase: {{-1}}frontend
olcAccess: to dn.base=\"\" by * read

dn: olcDatabase={{0}}config,cn=config
objectClass: olcDatabaseConfig
olcDatabase: {{0}}config
olcRootDN: cn=admin,cn=config
olcRootPW: manager password

dn: olcDatabase={{1}}mdb,cn=config
objectClass: olcDatabaseConfig
objectClass: olcMdbConfig
olcDatabase: {{1}}mdb
olcSuffix: dc=example,dc=org
olcRootDN: cn=admin,dc=example,dc=org
olcRootPW: manager password
olcDbDirectory: {dir}/db
olcDbNoSync: TRUE
olcDbIndex: objectClass eq
olcDbIndex: uid eq
olcLimits: dn.exact=\"{SERVICE_DN}\" size.prtotal=unlimited
olcAccess: to attrs=userPassword by self write by anonymous auth by * none
olcAccess: to attrs=shadowLastChange by self write by users read
olcAccess: to * by users read by anonymous auth by * none
"
    )
}

fn entries() -> String {
    let mut ldif = String::from(
        "dn: dc=example,dc=org\nobjectClass: dcObject\nobjectClass: organization\no: example\ndc: example\n\n",
    );
    for unit in ["people", "groups", "services"] {
        let _ =
            write!(ldif, "dn: ou={unit},dc=example,dc=org\nobjectClass: organizationalUnit\nou: {unit}\n\n");
    }
    let _ = write!(
        ldif,
        "dn: {SERVICE_DN}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: twinlock\n\
         userPassword: {SERVICE_PASSWORD}\n\n"
    );
    for (name, number) in ACCOUNTS {
        ldif.push_str(&account(&format!("uid={name},{PEOPLE}"), name, number, &format!("{name}'s password")));
    }
    ldif.push_str(&account(
        &format!("cn=Odd\\2C One \\2B \\\"two\\\" \\5C,{PEOPLE}"),
        "odd,one",
        2010,
        "odd password",
    ));
    ldif.push_str(&account(&format!("uid=grüße,{PEOPLE}"), "grüße", 2011, "grüße password"));
    ldif.push_str(&account(&format!("cn=first,{PEOPLE}"), "twice", 2012, "first password"));
    ldif.push_str(&account(&format!("cn=second,{PEOPLE}"), "twice", 2013, "second password"));
    let _ = write!(
        ldif,
        "dn: cn=staff,{GROUPS}\nobjectClass: posixGroup\ncn: staff\ngidNumber: 100\n\n\
         dn: cn=vpn,{GROUPS}\nobjectClass: posixGroup\ncn: vpn\ngidNumber: 101\nmemberUid: alice\nmemberUid: carol\n\n\
         dn: cn=admins,{GROUPS}\nobjectClass: groupOfNames\ncn: admins\nmember: uid=alice,{PEOPLE}\n\n"
    );
    ldif
}

/// One account's entry in LDIF, with primary group 100. The DN must be escaped already.
#[must_use]
pub fn account(dn: &str, uid: &str, number: u32, password: &str) -> String {
    // A DN or value that is not ASCII is written in base64 (RFC 2849); `cn` may be the DN's own.
    let line = |name: &str, value: &str| {
        if value.is_ascii() {
            format!("{name}: {value}\n")
        } else {
            format!("{name}:: {}\n", base64(value.as_bytes()))
        }
    };
    let cn = dn.split(',').next().and_then(|first| first.strip_prefix("cn="));
    let cn = cn.map_or_else(|| uid.to_owned(), unescaped);
    [
        line("dn", dn),
        "objectClass: inetOrgPerson\nobjectClass: posixAccount\n".to_owned(),
        line("uid", uid),
        line("cn", &cn),
        line("sn", uid),
        format!("uidNumber: {number}\ngidNumber: 100\nhomeDirectory: /tmp\n"),
        line("userPassword", password),
        "\n".to_owned(),
    ]
    .concat()
}

/// An RDN's value without the escapes of RFC 4514.
fn unescaped(value: &str) -> String {
    let mut text = String::new();
    let mut rest = value.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            text.push(character);
            continue;
        }
        let next = rest.next().unwrap_or('\\');
        match (next.to_digit(16), rest.clone().next().and_then(|second| second.to_digit(16))) {
            (Some(high), Some(low)) => {
                rest.next();
                text.push(char::from(u8::try_from(high * 16 + low).unwrap_or_default()));
            }
            _ => text.push(next),
        }
    }
    text
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number =
            three.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for digit in 0..=three.len() {
            text.push(char::from(ALPHABET[(number >> (18 - 6 * digit) & 63) as usize]));
        }
        text.push_str(["", "==", "="][three.len() % 3]);
    }
    text
}
