//! A 389 Directory Server: one for a whole test binary, because it takes fifteen seconds to make. It runs in namespaces
//! of its own (`ds389.sh`), ends with the test process, and needs root.

use crate::skip;
use crate::slapd::{free_port, private};
use crate::temp::TempDir;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;

/// Search base of accounts.
pub const PEOPLE: &str = "ou=people,dc=example,dc=org";
/// Search base of groups.
pub const GROUPS: &str = "ou=groups,dc=example,dc=org";
/// Failures after which an account is locked.
pub const LOCKOUT: usize = 5;

const MANAGER: &str = "cn=Directory Manager";
const MANAGER_PASSWORD: &str = "manager password";
const SERVICE: &str = "cn=twinlock,dc=example,dc=org";

/// A running server.
#[derive(Debug)]
pub struct Ds389 {
    dir: TempDir,
    ldap: u16,
    ldaps: u16,
    _child: Child,
    _ends_with_us: ChildStdin,
}

/// The server, started by the first who asks; `None` where it cannot be, which is said.
///
/// # Panics
/// It does not start.
pub fn shared(story: &str) -> Option<&'static Ds389> {
    static ONE: OnceLock<Option<Ds389>> = OnceLock::new();
    let lacking = || {
        skip::lacking(
            &["/usr/sbin/dscreate", "/usr/sbin/ns-slapd", "/usr/bin/ldapmodify"],
            "389-ds-base ldap-utils",
        )
    };
    if !skip::can_run(story, lacking().as_deref()) {
        return None;
    }
    ONE.get_or_init(|| Some(Ds389::start())).as_ref()
}

impl Ds389 {
    fn start() -> Self {
        let dir = TempDir::new("ds");
        // The server's own user reads what lies in it.
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let (ldap, ldaps) = (free_port().port(), free_port().port());
        let script = dir.path().join("ds389.sh");
        std::fs::write(&script, include_str!("ds389.sh")).unwrap();
        private(&dir.path().join("bind-password"), "service password");
        let mut child = Command::new("sh")
            .args(["-c", "\"$@\"; rm -rf \"$0\""])
            .arg(dir.path())
            .arg("unshare")
            .args(["--mount", "--pid", "--fork", "--mount-proc", "--propagation", "private", "bash"])
            .arg(script)
            .arg(dir.path())
            .args([ldap.to_string(), ldaps.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let ends_with_us = child.stdin.take().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut before = String::new();
        let ready = said.take_while(|line| line != "ready").fold(&mut before, |all, line| {
            all.push_str(&line);
            all.push('\n');
            all
        });
        assert!(child.try_wait().unwrap().is_none(), "389 Directory Server does not start: {ready}");
        let server = Self { dir, ldap, ldaps, _child: child, _ends_with_us: ends_with_us };
        server.fill();
        server
    }

    /// `ldap://`, for binds past the daemon.
    #[must_use]
    pub fn ldap_url(&self) -> String {
        format!("ldap://127.0.0.1:{}", self.ldap)
    }

    /// `ldaps://`; its certificate is made out to localhost.
    #[must_use]
    pub fn ldaps_url(&self) -> String {
        format!("ldaps://localhost:{}", self.ldaps)
    }

    /// The authority that signed its certificate.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// The body of a `[directory.NAME]` table.
    #[must_use]
    pub fn settings(&self) -> String {
        format!(
            "kind = \"389ds\"\nservers = [{:?}]\nbase = {PEOPLE:?}\ngroup_base = {GROUPS:?}\nbind_dn = {SERVICE:?}\n\
             bind_password = {{ file = {:?} }}\ntls = {{ mode = \"ldaps\", ca = {:?} }}\n",
            self.ldaps_url(),
            self.dir.path().join("bind-password"),
            self.authority(),
        )
    }

    /// Changes entries as the manager.
    ///
    /// # Panics
    /// It is refused.
    pub fn modify(&self, ldif: &str) {
        let mut modify = Command::new("ldapmodify")
            .args([
                "-x",
                "-H",
                &format!("ldap://127.0.0.1:{}", self.ldap),
                "-D",
                MANAGER,
                "-w",
                MANAGER_PASSWORD,
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        modify.stdin.take().unwrap().write_all(ldif.as_bytes()).unwrap();
        let output = modify.wait_with_output().unwrap();
        assert!(output.status.success(), "{}\n{ldif}", String::from_utf8_lossy(&output.stderr));
    }

    fn fill(&self) {
        let mut ldif = String::from(
            "dn: cn=config\nchangetype: modify\nreplace: passwordLockout\npasswordLockout: on\n-\n\
             replace: passwordMaxFailure\npasswordMaxFailure: 5\n-\nreplace: passwordStorageScheme\n\
             passwordStorageScheme: SSHA512\n-\nreplace: nsslapd-pwpolicy-local\nnsslapd-pwpolicy-local: on\n-\n\
             replace: passwordCheckSyntax\npasswordCheckSyntax: on\n-\nreplace: passwordMinLength\npasswordMinLength: 8\n\n",
        );
        for unit in ["people", "groups", "aging", "must"] {
            let _ = write!(
                ldif,
                "dn: ou={unit},dc=example,dc=org\nchangetype: add\nobjectClass: organizationalUnit\nou: {unit}\n\n"
            );
        }
        let _ = write!(
            ldif,
            "dn: {SERVICE}\nchangetype: add\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\n\
             cn: twinlock\nuserPassword: service password\n\n\
             dn: dc=example,dc=org\nchangetype: modify\nadd: aci\n\
             aci: (targetattr!=\"userPassword\")(version 3.0; acl \"read\"; allow(read,search,compare) userdn=\"ldap:///{SERVICE}\";)\n-\n\
             add: aci\n\
             aci: (targetattr=\"userPassword\")(version 3.0; acl \"own\"; allow(write) userdn=\"ldap:///self\";)\n\n"
        );
        let users = ["fine", "inactive", "locked", "expired", "grace", "warned", "reset", "reset2", "strict"];
        for (number, name) in (4001..).zip(users) {
            let _ = write!(
                ldif,
                "dn: uid={name},{PEOPLE}\nchangetype: add\nobjectClass: inetOrgPerson\nobjectClass: posixAccount\n\
                 uid: {name}\ncn: {name}\nsn: {name}\nuidNumber: {number}\ngidNumber: 4000\nhomeDirectory: /tmp\n\
                 userPassword: {name}'s password\n\n"
            );
        }
        for (name, member) in
            [("inner", format!("uid=fine,{PEOPLE}")), ("outer", format!("cn=inner,{GROUPS}"))]
        {
            let _ = write!(
                ldif,
                "dn: cn={name},{GROUPS}\nchangetype: add\nobjectClass: groupOfNames\ncn: {name}\nmember: {member}\n\n"
            );
        }
        ldif.push_str(&format!(
            "dn: uid=inactive,{PEOPLE}\nchangetype: modify\nadd: nsAccountLock\nnsAccountLock: true\n\n"
        ));
        self.modify(&ldif);
        self.aging();
    }

    /// Policies of single accounts: their entries say when the password expires.
    fn aging(&self) {
        let mut ldif = String::from(
            "dn: cn=config\nchangetype: modify\nreplace: passwordExp\npasswordExp: on\n-\nreplace: passwordMaxAge\n\
             passwordMaxAge: 8640000\n-\nreplace: passwordWarning\npasswordWarning: 864000\n-\n\
             replace: passwordMustChange\npasswordMustChange: on\n\n",
        );
        let container = format!("cn=nsPwPolicyContainer,{PEOPLE}");
        let _ = write!(
            ldif,
            "dn: {container}\nchangetype: add\nobjectClass: nsContainer\ncn: nsPwPolicyContainer\n\n\
             dn: cn=grace,{container}\nchangetype: add\nobjectClass: ldapsubentry\nobjectClass: passwordpolicy\n\
             cn: grace\npasswordExp: on\npasswordMaxAge: 8640000\npasswordWarning: 864000\npasswordGraceLimit: 2\n\n\
             dn: cn=strict,{container}\nchangetype: add\nobjectClass: ldapsubentry\nobjectClass: passwordpolicy\n\
             cn: strict\npasswordLockout: on\npasswordMaxFailure: 3\npasswordResetFailureCount: 600\n\n\
             dn: uid=strict,{PEOPLE}\nchangetype: modify\nadd: pwdpolicysubentry\n\
             pwdpolicysubentry: cn=strict,{container}\n\n\
             dn: uid=grace,{PEOPLE}\nchangetype: modify\nadd: pwdpolicysubentry\n\
             pwdpolicysubentry: cn=grace,{container}\n\n"
        );
        for name in ["reset", "reset2"] {
            let _ = write!(
                ldif,
                "dn: uid={name},{PEOPLE}\nchangetype: modify\nreplace: userPassword\nuserPassword: {name}'s password\n\n"
            );
        }
        for (name, time) in [
            ("expired", "20200101000000Z".to_owned()),
            ("grace", "20200101000000Z".to_owned()),
            ("warned", in_days(3)),
        ] {
            let _ = write!(
                ldif,
                "dn: uid={name},{PEOPLE}\nchangetype: modify\nreplace: passwordExpirationTime\npasswordExpirationTime: {time}\n\n"
            );
        }
        self.modify(&ldif);
    }
}

fn in_days(days: u32) -> String {
    let output =
        Command::new("date").args(["-u", "-d", &format!("+{days} days"), "+%Y%m%d%H%M%SZ"]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
