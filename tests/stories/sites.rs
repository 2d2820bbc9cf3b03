//! The shipped examples of real sites (config/examples), each run as it is: the daemon reads that file with the story's
//! servers, paths, addresses and days in it, and real sshd and xrdp ask. Active Directory's is in `samba`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::path::Path;
use support::client::{Client, Told};
use support::host::{Host, Session, can_play};
use support::mmdb::{file, nested};
use support::site::{Site, field};
use support::slapd::{GROUPS, PEOPLE, Slapd};
use support::xrdp::{self, Sesman};

/// The office's one address, and the campus.
const OFFICE: &str = "198.51.100.7";
const CAMPUS: &str = "192.0.2.10";
const NEARBY: &str = "198.51.100.66";
const ABROAD: &str = "203.0.113.77";
const METHOD: &str = "keyboard-interactive";

/// An example that asks slapd.
fn on(slapd: &Slapd, example: &str, servers: &str, replaced: &[(&str, &str)]) -> Site {
    let url = format!("{:?}", [slapd.ldaps_url()]);
    let (password, ca) = (slapd.bind_password_file(), slapd.authority());
    let own = [
        (servers, url.as_str()),
        ("/etc/twinlock/bind-password", password.to_str().unwrap()),
        ("/etc/ssl/certs/ca-certificates.crt", ca.to_str().unwrap()),
    ];
    Site::of_example(example, &[&own[..], replaced].concat())
}

/// By ssh, with this password's owner's code, which may be empty.
fn ssh(host: &Host, from: &str, user: &str, code: &str) -> Session {
    host.ssh_around(from, user, METHOD, &format!("{user}'s password"), code)
}

/// Rule, verdict, reason and waiver of the attempt number `count`.
fn outcome(site: &Site, count: usize) -> String {
    let record = site.attempt(count);
    ["rule", "verdict", "reason", "waiver"].map(|key| field(&record, key).to_owned()).join("; ")
}

#[test]
fn openldap_with_ssh_and_xrdp_behind_one_nat() {
    if !can_play("the example of an office behind one NAT") || !xrdp::can_play("that office's xrdp") {
        return;
    }
    let slapd = Slapd::start();
    let site = on(
        &slapd,
        "openldap-one-nat.toml",
        "[\"ldaps://ldap1.example.org\", \"ldaps://ldap2.example.org\"]",
        &[("198.51.100.10/32", "198.51.100.7/32")],
    )
    .started();
    let (mut alice, mut bob) = (site.enroll("alice"), site.enroll("bob"));
    let host = Host::start(&site, &["alice", "bob", "carol"], "");

    // In the office the password is enough; who is an administrator is not told by the questions.
    let session = ssh(&host, OFFICE, "bob", "");
    assert!(session.entered, "{session:?} {:#?} {}", site.records(), host.sshd_log());
    assert_eq!(session.prompts.len(), 2, "{session:?}");
    assert_eq!(outcome(&site, 1), "office; grant; rule-met; office");
    assert!(!ssh(&host, OFFICE, "alice", "").entered, "alice is an administrator");
    assert_eq!(outcome(&site, 2), "administrators; deny; wrong-code; -");
    assert!(ssh(&host, OFFICE, "alice", &alice.code()).entered);
    assert_eq!(outcome(&site, 3), "administrators; grant; rule-met; -");

    // At home: a code, and then none for the rest of the day.
    assert!(!ssh(&host, ABROAD, "bob", "").entered);
    assert_eq!(outcome(&site, 4), "everyone else; deny; wrong-code; -");
    assert!(ssh(&host, ABROAD, "bob", &bob.code()).entered);
    assert_eq!(outcome(&site, 5), "everyone else; grant; rule-met; -");
    assert!(ssh(&host, ABROAD, "bob", "").entered);
    assert_eq!(outcome(&site, 6), "elsewhere, again today; grant; rule-met; today");

    // xrdp tells no address: one field takes both, wherever it is typed.
    let sesman = Sesman::start(&host);
    assert!(!sesman.login("bob", "bob's password"));
    let record = site.attempt(7);
    let asked = ["service", "source", "asked", "rule", "verdict"].map(|key| field(&record, key));
    assert_eq!(asked, ["xrdp-sesman", "unknown", "field", "everyone else", "deny"], "{record}");
    assert!(sesman.login("bob", &format!("bob's password{}", bob.code())), "{:#?}", site.records());
    assert_eq!(outcome(&site, 8), "everyone else; grant; rule-met; -");

    // One colleague's mistakes, many of them, keep no other out of the office.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let socket = site.path("login.sock");
    for number in 0..30 {
        let user = format!("mistyped{number}");
        let told = runtime.block_on(async {
            Client::connect(&socket).await.login("sshd", &user, OFFICE, &[b"x", b""]).await
        });
        assert_eq!(told, Told::Deny);
    }
    assert!(site.attempts(38).iter().any(|record| field(record, "reason") == "prefix-closed"));
    assert!(ssh(&host, OFFICE, "carol", "").entered, "she was never here before: {:#?}", site.records());
}

/// Departments within the group that has codes; the campus; the days of the rollout, and the day after it.
#[test]
fn a_university_open_to_the_internet_is_rolled_out_by_group() {
    if !can_play("the example of a university") {
        return;
    }
    let group = |name: &str, member: &str| {
        format!("dn: cn={name},{GROUPS}\nobjectClass: groupOfNames\ncn: {name}\nmember: {member}\n\n")
    };
    let groups = group("library", &format!("uid=bob,{PEOPLE}"))
        + &group("second-factor", &format!("cn=library,{GROUPS}"));
    let slapd = Slapd::start_with(&groups);
    let database = slapd.folder().join("country.mmdb");
    let countries = [("198.51.100.0/24", nested("NL")), ("203.0.113.0/24", nested("BR"))];
    fs::write(&database, file(1_790_000_000, &countries)).unwrap();
    let mut site = on(
        &slapd,
        "university.toml",
        "[\"ldaps://ldap.example.edu\"]",
        &[
            ("/var/lib/GeoIP/country.mmdb", database.to_str().unwrap()),
            ("2027-03-31", "2198-03-31"),
            ("2027-01-15", "2198-01-15"),
        ],
    )
    .started();
    let mut bob = site.enroll("bob");
    let host = Host::start(&site, &["alice", "bob"], "");

    // Nobody's questions tell who has a code. alice has none yet, bob's department has.
    let session = ssh(&host, NEARBY, "alice", "");
    assert!(session.entered, "{session:?} {:#?} {}", site.records(), host.sshd_log());
    assert_eq!(session.prompts.len(), 2);
    assert_eq!(outcome(&site, 1), "not yet; grant; rule-met; -");
    assert!(!ssh(&host, NEARBY, "bob", "").entered);
    assert_eq!(outcome(&site, 2), "has a code; deny; wrong-code; -");
    assert!(ssh(&host, ABROAD, "bob", &bob.code()).entered);
    assert_eq!(outcome(&site, 3), "has a code; grant; rule-met; -");
    assert!(!ssh(&host, ABROAD, "alice", "").entered, "from far away not without a code");
    assert_eq!(outcome(&site, 4), "everyone; deny; no-authenticator; -");
    assert!(ssh(&host, CAMPUS, "alice", "").entered);
    assert_eq!(outcome(&site, 5), "campus; grant; rule-met; campus");
    assert!(!ssh(&host, CAMPUS, "bob", "").entered);
    assert_eq!(outcome(&site, 6), "has a code; deny; wrong-code; -");

    // While the tarpit only observes, the fourth mistake is noted and not refused.
    for count in 7..=10 {
        assert!(!host.ssh_around(NEARBY, "alice", METHOD, &format!("wrong {count}"), "").entered);
    }
    let observed = |count| field(&site.attempt(count), "observed").to_owned();
    assert_eq!((observed(8).as_str(), observed(10).as_str()), ("", "lane-closed"), "{:#?}", site.records());
    assert!(ssh(&host, NEARBY, "alice", "").entered);

    site.stop();
    change(&site.path("twinlock.toml"), "2198-03-31", "2026-03-31");
    site.start_daemon();
    assert!(!ssh(&host, NEARBY, "alice", "").entered, "the last day is over");
    assert_eq!(outcome(&site, 12), "everyone; deny; no-authenticator; -");
    assert!(ssh(&host, CAMPUS, "alice", "").entered);
    assert_eq!(outcome(&site, 13), "campus; grant; rule-met; campus");

    // bob was let in from far away only: the country is news.
    assert!(ssh(&host, NEARBY, "bob", &bob.code()).entered);
    assert_eq!(outcome(&site, 14), "has a code; grant; rule-met; -");
    let bobs = |line: &String| line.contains(": new-place ") && field(line, "user") == "bob";
    let news: Vec<_> = site.records().into_iter().filter(bobs).collect();
    assert_eq!(news.len(), 1, "{news:?}");
    assert_eq!((field(&news[0], "new"), field(&news[0], "country")), ("country", "NL"));
}

fn change(path: &Path, theirs: &str, ours: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(theirs));
    fs::write(path, text.replace(theirs, ours)).unwrap();
}
