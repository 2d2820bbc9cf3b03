//! Where an ssh login comes from, seen by real sshd: clients at several addresses of a network namespace, of both
//! families, with and without keys. And xrdp, which tells no address.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use support::host::{Host, Session, can_play};
use support::mmdb::{file, nested};
use support::site::{Site, field};
use support::slapd::Slapd;
use support::xrdp::{self, Sesman};

const OFFICE: &str = "192.0.2.10";
const HOME: &str = "198.51.100.7";
const CAFE: &str = "198.51.100.66";
const ABROAD: &str = "203.0.113.77";
const PRIVATE: &str = "10.20.30.40";
const SIX: &str = "2001:db8:7::7";
const METHOD: &str = "keyboard-interactive";

const RULES: &str = r#"
[location.office]
networks = ["192.0.2.0/24"]
[location.home-country]
countries = ["NL"]
[location.usual]
familiar = { logins = 2, forget = "90d" }
[service.xrdp-sesman]
prompt = "single"
hold = false

[[rule]]
name = "abroad"
services = ["sshd"]
not_from = ["home-country", "office"]
deny = true

[[rule]]
name = "office"
services = ["sshd"]
from = ["office"]
require = ["password"]

[[rule]]
name = "where they always are"
services = ["sshd"]
from = ["usual"]
require = ["password"]

[[rule]]
name = "everyone else"
require = ["password", "code"]
"#;

struct Scene {
    host: Host,
    site: Site,
    _slapd: Slapd,
}

impl Scene {
    /// With a GeoIP file by which [`HOME`], [`CAFE`] and [`SIX`] are in the home country.
    fn new(rules: &str, sshd_lines: &str) -> Self {
        let slapd = Slapd::start();
        let database = slapd.folder().join("country.mmdb");
        let countries = [
            ("198.51.100.0/24", nested("NL")),
            ("2001:db8:7::/48", nested("NL")),
            ("203.0.113.0/24", nested("BR")),
        ];
        fs::write(&database, file(1_790_000_000, &countries)).unwrap();
        let rules = format!("[geoip]\ndatabase = {database:?}\n{rules}");
        let site = Site::start(&slapd.settings("ldaps", &[slapd.ldaps_url()]), &rules);
        let host = Host::start(&site, &["alice", "bob", "carol"], sshd_lines);
        Self { host, site, _slapd: slapd }
    }

    fn ssh(&self, from: &str, user: &str, code: &str) -> Session {
        self.host.ssh_around(from, user, METHOD, &format!("{user}'s password"), code)
    }

    /// These fields of the record number `count`.
    fn record<const N: usize>(&self, count: usize, keys: [&str; N]) -> [String; N] {
        let record = self.site.attempt(count);
        keys.map(|key| field(&record, key).to_owned())
    }

    fn context(&self, session: &Session) -> String {
        format!("{session:?} {:#?} {}", self.site.records(), self.host.sshd_log())
    }
}

const WHERE: [&str; 5] = ["source", "place", "asked", "rule", "verdict"];

#[test]
fn two_questions_outside_one_inside_and_abroad_the_same_two_for_nothing() {
    if !can_play("ssh from several addresses") {
        return;
    }
    let scene = Scene::new(RULES, "");
    let (mut alice, mut bob) = (scene.site.enroll("alice"), scene.site.enroll("bob"));

    let outside = scene.ssh(HOME, "alice", &alice.code());
    assert!(outside.entered, "{}", scene.context(&outside));
    assert_eq!(outside.prompts.len(), 2, "{outside:?}");
    assert_eq!(scene.record(1, WHERE), [HOME, "home-country", "password,code", "everyone else", "grant"]);

    let inside = scene.ssh(OFFICE, "alice", "");
    assert!(inside.entered, "{}", scene.context(&inside));
    assert_eq!(inside.prompts.len(), 1, "no rule there names a group or asks a code: {inside:?}");
    assert_eq!(scene.record(2, WHERE), [OFFICE, "office", "password", "office", "grant"]);
    assert_eq!(scene.record(2, ["waiver"]), ["office"]);

    // Everything is right, and it comes from a country that no rule lets in.
    let abroad = scene.ssh(ABROAD, "bob", &bob.code());
    assert!(!abroad.entered, "{abroad:?}");
    assert_eq!(abroad.prompts.len(), 2, "the place's refusal has the face of any other: {abroad:?}");
    assert_eq!(scene.record(3, WHERE), [ABROAD, "-", "password,code", "abroad", "deny"]);
    assert_eq!(scene.record(3, ["reason", "password", "code"]), ["denied-by-rule", "-", "-"]);

    // A private address is never abroad; an IPv6 one is where the file says.
    let private = scene.ssh(PRIVATE, "bob", &bob.code());
    assert!(private.entered, "{}", scene.context(&private));
    assert_eq!(scene.record(4, WHERE), [PRIVATE, "private", "password,code", "everyone else", "grant"]);
    let six = scene.ssh(SIX, "alice", &alice.code());
    assert!(six.entered, "{}", scene.context(&six));
    assert_eq!(scene.record(5, WHERE), [SIX, "home-country", "password,code", "everyone else", "grant"]);
}

/// Promise 12, over ssh: it is earned at this address, for this account, and waives the code there.
#[test]
fn a_place_that_was_earned_over_ssh_asks_no_code_there_and_elsewhere_it_does() {
    if !can_play("a familiar place over ssh") {
        return;
    }
    let scene = Scene::new(RULES, "");
    let mut carol = scene.site.enroll("carol");
    for count in 1..=2 {
        let session = scene.ssh(CAFE, "carol", &carol.code());
        assert!(session.entered, "{}", scene.context(&session));
        assert_eq!(scene.record(count, ["rule"]), ["everyone else"]);
    }
    let session = scene.ssh(CAFE, "carol", "");
    assert!(session.entered, "{}", scene.context(&session));
    assert_eq!(session.prompts.len(), 1, "{session:?}");
    assert_eq!(
        scene.record(3, ["place", "rule", "waiver"]),
        ["home-country,usual", "where they always are", "usual"]
    );
    // Next door, and for somebody else at the same address.
    assert_eq!(scene.ssh(HOME, "carol", "000000").prompts.len(), 2);
    assert_eq!(scene.ssh(CAFE, "bob", "000000").prompts.len(), 2);
    let list = scene.site.twinlock(&["place", "list", "carol"]);
    assert!(String::from_utf8_lossy(&list.stdout).contains("198.51.100.66/32"), "{list:?}");
}

#[test]
fn a_key_then_a_code_where_sshd_asks_for_both() {
    if !can_play("a key, then a code") {
        return;
    }
    let rules = RULES.replace(
        "[[rule]]\nname = \"office\"",
        "[[rule]]\nname = \"key, then code\"\nservices = [\"sshd\"]\nafter = [\"publickey\"]\nrequire = [\"code\"]\n\
         single_factor = true\n\
         [[rule]]\nname = \"office\"",
    );
    let scene = Scene::new(&rules, "AuthenticationMethods publickey,keyboard-interactive");
    let mut alice = scene.site.enroll("alice");
    let methods = "publickey,keyboard-interactive";
    let session = scene.host.ssh_by_key_around(HOME, "alice", methods, &alice.code());
    assert!(session.entered, "{}", scene.context(&session));
    assert_eq!(session.prompts, ["(alice@203.0.113.1) Verification code: "]);
    assert_eq!(
        scene.record(1, ["asked", "rule", "password", "code", "verdict"]),
        ["code", "key, then code", "-", "right", "grant"]
    );
    let wrong = scene.host.ssh_by_key_around(HOME, "alice", methods, &alice.wrong_code());
    assert!(!wrong.entered, "the key alone is not enough");
    assert_eq!(scene.record(2, ["rule", "reason"]), ["key, then code", "wrong-code"]);
    let abroad = scene.host.ssh_by_key_around(ABROAD, "alice", methods, &alice.code());
    assert!(!abroad.entered, "{abroad:?}");
    assert_eq!(scene.record(3, ["rule", "reason"]), ["abroad", "denied-by-rule"]);
    assert!(!scene.ssh(HOME, "alice", &alice.code()).entered, "without the key sshd asks nothing");
    assert_eq!(scene.site.attempts(3).len(), 3);
}

#[test]
fn a_key_alone_lets_in_by_a_rule_that_says_so_and_an_administrators_lock_ends_that() {
    if !can_play("a key alone") {
        return;
    }
    let rules = RULES.replace(
        "[[rule]]\nname = \"office\"",
        "[[rule]]\nname = \"bob by key\"\nservices = [\"sshd\"]\naccounts = [\"bob\"]\nfrom = [\"home-country\"]\n\
         after = [\"sshd\"]\nrequire = []\nsingle_factor = true\n[[rule]]\nname = \"office\"",
    );
    let scene = Scene::new(&rules, "");
    let by_key = |from: &str, user: &str| scene.host.ssh_by_key_around(from, user, "publickey", "");
    let session = by_key(HOME, "bob");
    assert!(session.entered, "{}", scene.context(&session));
    assert_eq!(session.prompts, [""; 0]);
    let what = ["phase", "source", "rule", "verdict", "reason"];
    assert_eq!(scene.record(1, what), ["account", HOME, "bob by key", "grant", "rule-met"]);
    // Nobody else, from nowhere else, and not in the office either, where a password would do.
    assert!(!by_key(HOME, "alice").entered);
    assert_eq!(scene.record(2, what), ["account", HOME, "everyone else", "deny", "rule-not-met"]);
    assert!(!by_key(OFFICE, "bob").entered);
    assert_eq!(scene.record(3, what), ["account", OFFICE, "office", "deny", "rule-not-met"]);
    assert!(!by_key(ABROAD, "bob").entered);
    assert_eq!(scene.record(4, what), ["account", ABROAD, "abroad", "deny", "denied-by-rule"]);
    assert!(by_key(SIX, "bob").entered);
    assert_eq!(scene.record(5, what), ["account", SIX, "bob by key", "grant", "rule-met"]);

    let disabled = scene.site.twinlock(&["user", "disable", "bob", "--reason", "on leave"]);
    assert!(disabled.status.success(), "{disabled:?}");
    assert!(!by_key(HOME, "bob").entered);
    assert_eq!(
        scene.record(6, ["phase", "verdict", "reason"]),
        ["account", "deny", "disabled-by-administrator"]
    );
    assert!(scene.site.twinlock(&["user", "enable", "bob"]).status.success());
    assert!(by_key(HOME, "bob").entered);
    assert_eq!(scene.site.attempts(7).len(), 7, "one record each");
}

/// xrdp 0.9 tells no address: its logins come from `unknown`, which no rule about a place lets in, and a country's never
/// holds.
#[test]
fn xrdp_without_an_address_is_unknown_and_takes_both_in_one_field() {
    if !can_play("xrdp without an address") || !xrdp::can_play("xrdp without an address") {
        return;
    }
    let scene = Scene::new(&RULES.replace("services = [\"sshd\"]\nfrom", "from"), "");
    let mut alice = scene.site.enroll("alice");
    let sesman = Sesman::start(&scene.host);
    assert!(!sesman.login("alice", "alice's password"));
    assert!(
        sesman.login("alice", &format!("alice's password{}", alice.code())),
        "{:#?}",
        scene.site.records()
    );
    let what = ["service", "source", "place", "asked", "rule", "verdict"];
    let door = ["xrdp-sesman", "unknown", "unknown", "field", "everyone else"];
    assert_eq!(scene.record(1, what), [&door[..], &["deny"]].concat()[..]);
    assert_eq!(scene.record(2, what), [&door[..], &["grant"]].concat()[..]);
    assert_eq!(scene.record(2, ["lane"]), ["unfamiliar"]);
    let list = scene.site.twinlock(&["place", "list", "alice"]);
    assert!(!String::from_utf8_lossy(&list.stdout).contains("alice"), "nothing is earned there: {list:?}");
}
