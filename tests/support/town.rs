//! Two people and two groups in an embedded directory, and a site that asks it: for stories that need no server of
//! their own.

use crate::client::{Client, Told};
use crate::ldap::{EmbeddedDirectory, Listen};
use crate::site::Site;
use crate::slapd::{self, GROUPS, PEOPLE};
use crate::temp::TempDir;
use std::process::Output;

/// A site and its directory. alice is in `staff` and `admins`, bob in `staff`; their passwords are `NAME's password`.
pub struct Town {
    /// The site.
    pub site: Site,
    /// Its directory.
    pub directory: EmbeddedDirectory,
    _folder: TempDir,
}

impl Town {
    /// A site with these rules, whose daemon is not started yet.
    ///
    /// # Panics
    /// The directory does not start.
    #[must_use]
    pub fn prepare(rules: &str) -> Self {
        let folder = TempDir::new("town");
        let people: String = ["alice", "bob"]
            .into_iter()
            .zip(2001..)
            .map(|(name, number)| {
                slapd::account(&format!("uid={name},{PEOPLE}"), name, number, &format!("{name}'s password"))
            })
            .collect();
        let group = |name: &str, number: u32, members: &str| {
            format!(
                "dn: cn={name},{GROUPS}\nobjectClass: posixGroup\ncn: {name}\ngidNumber: {number}\n{members}\n"
            )
        };
        let ldif = format!(
            "dn: dc=example,dc=org\nobjectClass: organization\no: example\n\n\
             dn: {PEOPLE}\nobjectClass: organizationalUnit\nou: people\n\n\
             dn: {GROUPS}\nobjectClass: organizationalUnit\nou: groups\n\n{people}{}{}",
            group("staff", 100, ""),
            group("admins", 150, "memberUid: alice\n"),
        );
        let listen = Listen { socket: Some(folder.path().join("ldapi")), loopback: false };
        let directory = EmbeddedDirectory::start(&ldif, &listen).unwrap();
        let settings = format!(
            "kind = \"rfc2307\"\nservers = {:?}\nbase = {PEOPLE:?}\ngroup_base = {GROUPS:?}\n\
             tls = {{ mode = \"none\" }}\ntimeout = \"2s\"\n",
            directory.urls()
        );
        Self { site: Site::prepare(&settings, rules), directory, _folder: folder }
    }

    /// The same, running.
    ///
    /// # Panics
    /// It does not start.
    #[must_use]
    pub fn start(rules: &str) -> Self {
        let mut town = Self::prepare(rules);
        town.site.start_daemon();
        town
    }

    /// One login over the bare socket.
    ///
    /// # Panics
    /// There is no runtime.
    #[must_use]
    pub fn login(&self, service: &str, user: &str, from: &str, answers: &[&[u8]]) -> Told {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            Client::connect(&self.site.path("login.sock")).await.login(service, user, from, answers).await
        })
    }
}

/// What a command that succeeded has printed.
///
/// # Panics
/// It did not succeed.
#[must_use]
pub fn done(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// One JSON value a line.
///
/// # Panics
/// It is none.
#[must_use]
pub fn json_lines(text: &str) -> Vec<serde_json::Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
