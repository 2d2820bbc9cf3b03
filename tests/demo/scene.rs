//! What both ways through the demo share: the daemon, the directory, the people, and how a login is shown.

use std::process::{Command, Stdio};
use support::ldap::{EmbeddedDirectory, Listen};
use support::pam::Code;
use support::site::{Phone, Site, binary, field};
use support::slapd::account;
use support::temp::TempDir;

const PEOPLE: &str = "ou=people,dc=example,dc=org";

/// The rules of the demo's host: the office needs no code, everywhere else does.
pub(crate) const RULES: &str = r#"
[location.office]
networks = ["192.0.2.0/24"]

[service.sshd]
sshd = true

[[rule]]
name = "from the office"
from = ["office"]
require = ["password"]

[[rule]]
name = "everyone else"
require = ["password", "code"]
"#;

/// Where alice usually is.
pub(crate) const HOME: &str = "203.0.113.7";
/// A desk in the office network.
pub(crate) const DESK: &str = "192.0.2.44";
/// Somebody who knows alice's password, but has not her phone.
pub(crate) const STRANGER: &str = "198.51.100.66";

/// Everything that runs.
pub(crate) struct Scene {
    pub(crate) site: Site,
    /// The person who logs in: `alice`, unless this machine has an account of that name.
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) phone: Phone,
    shown: usize,
    _directory: EmbeddedDirectory,
    _folder: TempDir,
}

impl Scene {
    /// Starts it all. It ends, and its folder with it, when the value does.
    pub(crate) fn set() -> Self {
        let user = free_name();
        let password = format!("{user}'s password");
        let folder = TempDir::new("demo");
        let ldif = format!(
            "dn: dc=example,dc=org\nobjectClass: organization\no: example\n\n\
             dn: {PEOPLE}\nobjectClass: organizationalUnit\nou: people\n\n{}",
            account(&format!("uid={user},{PEOPLE}"), &user, 2001, &password)
        );
        let listen = Listen { socket: Some(folder.path().join("ldapi")), loopback: false };
        let directory = EmbeddedDirectory::start(&ldif, &listen).unwrap_or_else(|error| panic!("{error}"));
        let settings = format!(
            "kind = \"rfc2307\"\nservers = {:?}\nbase = {PEOPLE:?}\ntls = {{ mode = \"none\" }}\n",
            directory.urls()
        );
        let site = Site::start(&settings, RULES);
        Self {
            site,
            user,
            password,
            phone: Phone::random(),
            shown: 0,
            _directory: directory,
            _folder: folder,
        }
    }

    /// One login through the real libpam. What it shows besides its questions is printed.
    pub(crate) fn login(&self, from: &str, password: &str, code: &str) -> Code {
        let stack = self.site.stack("sshd");
        let mut handle = stack.login(&self.user).from(from).typing(password, code);
        let told = handle.authenticate(0);
        for line in handle.transcript().iter().filter(|line| !line.style.is_question()) {
            println!("{}", line.text);
        }
        told
    }

    /// The records that have arrived since the last call, without the syslog header.
    pub(crate) fn new_records(&mut self) -> Vec<String> {
        let records = self.site.records();
        let fresh = records[self.shown.min(records.len())..].iter();
        let fresh = fresh
            .map(|line| line.split_once("]: ").map_or(line.clone(), |(_, text)| text.to_owned()))
            .collect();
        self.shown = records.len();
        fresh
    }

    /// Waits until the attempt is recorded, and returns what is new.
    pub(crate) fn records_of_attempt(&mut self, number: usize) -> Vec<String> {
        let _ = self.site.attempts(number);
        self.new_records()
    }

    /// Runs `twinlock` on this terminal, with `input` as its standard input.
    pub(crate) fn twinlock(&self, arguments: &[&str], input: &str) -> bool {
        let mut child = Command::new(binary("twinlock"))
            .arg("--config")
            .arg(self.site.path("twinlock.toml"))
            .args(arguments)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
        child.wait().unwrap().success()
    }
}

/// A record the way a person reads it: the fields that tell the story.
pub(crate) fn told(record: &str) -> String {
    let keys = ["verdict", "reason", "source", "place", "rule", "password", "code", "waiver", "lane", "user"];
    let fields: Vec<String> = keys
        .iter()
        .filter(|key| !["", "-"].contains(&field(record, key)))
        .map(|key| format!("{key}={:?}", field(record, key)))
        .collect();
    fields.join(" ")
}

/// Directory names that are local accounts' are refused, so the demo takes one that this machine does not have.
fn free_name() -> String {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let taken = |name: &str| passwd.lines().any(|line| line.split(':').next() == Some(name));
    ["alice".to_owned(), "alice.demo".to_owned()]
        .into_iter()
        .find(|name| !taken(name))
        .unwrap_or("alice.demo.2".into())
}
