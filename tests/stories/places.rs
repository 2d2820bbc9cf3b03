//! Places that are earned, given and taken back, and places that a GeoIP file tells: through the daemon, as logins and
//! administrators see them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};
use support::client::{Client, Told};
use support::ldap::{EmbeddedDirectory, Listen};
use support::mmdb::{file, flat, nested};
use support::site::{Phone, Site, field};
use support::temp::TempDir;

const PEOPLE: &str = "ou=people,dc=example,dc=org";
const HOME: &str = "203.0.113.5";
const AWAY: &str = "198.51.100.9";

/// Two logins make a place familiar for the service they went to.
const RULES: &str = r#"
[location.usual]
familiar = { logins = 2, forget = "90d" }

[tarpit]
uncounted = ["198.51.100.200"]

[[rule]]
name = "where they always are"
from = ["usual"]
require = ["password"]

[[rule]]
name = "everyone else"
require = ["password", "code"]
"#;

struct Scene {
    site: Site,
    directory: Option<EmbeddedDirectory>,
    folder: TempDir,
}

fn ldif(under: &str) -> String {
    let people = ["alice", "bob"].map(|name| {
        support::slapd::account(&format!("uid={name},{under}"), name, 2001, &format!("{name}'s password"))
    });
    let unit = |dn: &str, name: &str| format!("dn: {dn}\nobjectClass: organizationalUnit\nou: {name}\n\n");
    let new = format!("ou=new,{PEOPLE}");
    format!(
        "dn: dc=example,dc=org\nobjectClass: organization\no: example\n\n{}{}{}",
        unit(PEOPLE, "people"),
        unit(&new, "new"),
        people.concat()
    )
}

impl Scene {
    fn prepared(rules: &str) -> Self {
        let folder = TempDir::new("ldap");
        let directory = serve(&folder, PEOPLE);
        let settings = format!(
            "kind = \"rfc2307\"\nservers = {urls:?}\nbase = {PEOPLE:?}\ntls = {{ mode = \"none\" }}\ntimeout = \"2s\"\n",
            urls = directory.urls()
        );
        Self { site: Site::prepare(&settings, rules), directory: Some(directory), folder }
    }

    fn new(rules: &str) -> Self {
        let mut scene = Self::prepared(rules);
        scene.site.start_daemon();
        scene
    }

    fn login(&self, service: &str, user: &str, from: &str, answers: &[&str]) -> Told {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answers: Vec<_> = answers.iter().map(|answer| answer.as_bytes()).collect();
        runtime.block_on(async {
            Client::connect(&self.site.path("login.sock")).await.login(service, user, from, &answers).await
        })
    }

    /// With password and code, which lets in.
    fn whole_login(&self, service: &str, user: &str, from: &str, phone: &mut Phone) {
        let code = phone.code();
        let told = self.login(service, user, from, &[&format!("{user}'s password"), &code]);
        assert_eq!(told, Told::Grant, "{:#?}", self.site.records());
    }

    /// Alice's place, by as many logins as it takes.
    fn earn(&self, phone: &mut Phone) {
        self.whole_login("sshd", "alice", HOME, phone);
        self.whole_login("sshd", "alice", HOME, phone);
    }

    /// What the attempt number `attempts` was asked, its verdict and why, and what its place made of it.
    fn last(&self, attempts: usize) -> String {
        let record = self.site.attempt(attempts);
        ["asked", "verdict", "reason", "place", "waiver"].map(|key| field(&record, key).to_owned()).join(" ")
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.site.twinlock(&[&["--json"], arguments].concat());
        assert!(output.status.success(), "{}", said(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Prefix, service, evidence, logins and locations of alice's places.
    fn places(&self) -> Vec<String> {
        let list = self.json(&["place", "list", "alice"]);
        let row = |place: &Value| {
            let locations: Vec<_> =
                place["locations"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            format!(
                "{} {} {} {} {}",
                place["prefix"].as_str().unwrap(),
                place["service"].as_str().unwrap_or("every"),
                place["evidence"].as_str().unwrap(),
                place["logins"],
                locations.join(",")
            )
        };
        list["places"].as_array().unwrap().iter().map(row).collect()
    }

    fn events(&self, word: &str) -> Vec<String> {
        let marker = format!(": {word} ");
        self.site.records().into_iter().filter(|line| line.contains(&marker)).collect()
    }

    /// Waits for the event number `count`.
    fn event(&self, word: &str, count: usize) -> String {
        let found = until(&format!("{word} number {count}"), || {
            let events = self.events(word);
            (events.len() >= count).then_some(events)
        });
        found[count - 1].clone()
    }
}

fn serve(folder: &TempDir, under: &str) -> EmbeddedDirectory {
    let listen = Listen { socket: Some(folder.path().join("ldapi")), loopback: false };
    EmbeddedDirectory::start(&ldif(under), &listen).unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let patience = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < patience, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Promise 12: a place is earned by logins with password and code, for that service, and waives the code there.
#[test]
fn two_logins_with_a_code_make_a_place_familiar_and_a_login_by_waiver_earns_nothing() {
    let mut scene = Scene::new(RULES);
    let mut phone = scene.site.enroll("alice");
    scene.whole_login("sshd", "alice", HOME, &mut phone);
    assert_eq!(scene.last(1), "password,code grant rule-met - -");
    scene.whole_login("sshd", "alice", HOME, &mut phone);
    assert_eq!(scene.places(), ["203.0.113.5/32 sshd logins 2 usual"]);

    assert_eq!(scene.login("sshd", "alice", HOME, &["alice's password"]), Told::Grant);
    assert_eq!(scene.last(3), "password grant rule-met usual usual");
    assert_eq!(scene.login("sshd", "ALICE", HOME, &["wrong"]), Told::Deny);
    assert_eq!(scene.last(4), "password deny wrong-password usual usual");
    assert_eq!(scene.places(), ["203.0.113.5/32 sshd logins 2 usual"], "neither earned nor renewed");

    // Elsewhere, at another service, and under another name the code is asked as ever.
    for (service, user, from) in [("sshd", "alice", AWAY), ("desk", "alice", HOME), ("sshd", "bob", HOME)] {
        assert_eq!(scene.login(service, user, from, &["alice's password", "000000"]), Told::Deny);
    }
    for attempt in 5..=7 {
        assert!(scene.last(attempt).starts_with("password,code deny "), "{}", scene.last(attempt));
    }

    // It is on disk before the verdict leaves.
    scene.site.kill();
    scene.site.start_daemon();
    assert_eq!(scene.login("sshd", "alice", HOME, &["alice's password"]), Told::Grant);
    assert_eq!(scene.last(8), "password grant rule-met usual usual");
    let status = scene.json(&["status"]);
    assert_eq!(status["waivers"][0], "where they always are (usual)");
    assert!(scene.event("waiver-in-force", 1).contains("where they always are (usual)"));
}

/// Stated limit (DESIGN 2): a neighbour sees that less is asked, and is let in by nothing less than the rule asks.
#[test]
fn a_neighbour_who_types_the_name_sees_the_questions_and_gets_nothing() {
    let scene = Scene::new(RULES);
    let mut phone = scene.site.enroll("alice");
    let _bobs = scene.site.enroll("bob");
    scene.earn(&mut phone);
    assert_eq!(scene.login("sshd", "alice", HOME, &["bob's password"]), Told::Deny);
    assert_eq!(scene.last(3), "password deny wrong-password usual usual");
    assert_eq!(scene.login("sshd", "bob", HOME, &["bob's password", "000000"]), Told::Deny);
    assert_eq!(scene.last(4), "password,code deny wrong-code - -");
}

/// The questions rest on whoever was last let in under the name, the plan on the account alone: an old name's trust is
/// not inherited, and its new bearer is not shut out by it.
#[test]
fn a_name_that_was_somebody_elses_inherits_no_place() {
    let mut scene = Scene::new(RULES);
    let mut phone = scene.site.enroll("alice");
    scene.earn(&mut phone);
    scene.site.stop();
    drop(scene.directory.take());
    scene.directory = Some(serve(&scene.folder, &format!("ou=new,{PEOPLE}")));
    scene.site.start_daemon();
    let mut phone = scene.site.enroll("alice");
    let bound = || scene.directory.as_ref().unwrap().binds(&format!("uid=alice,ou=new,{PEOPLE}"));
    assert_eq!(scene.login("sshd", "alice", HOME, &["alice's password"]), Told::Deny);
    assert_eq!(scene.last(3), "password deny not-asked - -");
    assert_eq!(bound(), 0, "nothing was compared");
    scene.whole_login("sshd", "alice", HOME, &mut phone);
    assert_eq!(scene.last(4), "password,code grant rule-met - -");
    assert_eq!(scene.places(), ["203.0.113.5/32 sshd logins 1 "]);
}

/// Promise 12: somebody has the password, so nothing stands in for the code any more.
#[test]
fn a_password_that_looks_stolen_costs_the_account_its_places() {
    let scene = Scene::new(RULES);
    let mut phone = scene.site.enroll("alice");
    scene.earn(&mut phone);
    let given = scene.site.twinlock(&["place", "add", "alice", "203.0.113.6"]);
    assert!(given.status.success(), "{}", said(&given));
    for attempt in 3..=5 {
        assert_eq!(
            scene.login("sshd", "alice", AWAY, &["alice's password", &phone.wrong_code()]),
            Told::Deny
        );
        assert_eq!(scene.last(attempt), "password,code deny wrong-code - -");
        scene.event("right-password-wrong-code", attempt - 2);
    }
    scene.event("password-looks-stolen", 1);
    until("the places to be forgotten", || scene.places().is_empty().then_some(()));
    assert_eq!(scene.login("sshd", "alice", HOME, &["alice's password", "000000"]), Told::Deny);
    assert_eq!(scene.last(6), "password,code deny wrong-code - -");
}

#[test]
fn a_place_that_is_taken_back_waives_nothing_any_more_and_it_is_recorded() {
    let scene = Scene::new(RULES);
    let mut phone = scene.site.enroll("alice");
    scene.earn(&mut phone);
    let nothing = scene.site.twinlock(&["place", "forget", "alice", AWAY]);
    assert_eq!(said(&nothing), "There was nothing to take back.\n");
    let forgotten = scene.site.twinlock(&["place", "forget", "alice", "203.0.113.5/32", "--service", "sshd"]);
    assert!(said(&forgotten).starts_with("Taken back, as they were:\nalice (main:"), "{}", said(&forgotten));
    let record = scene.event("place-forgotten", 1);
    assert_eq!(field(&record, "user"), "alice");
    assert_eq!((field(&record, "prefix"), field(&record, "service")), ("203.0.113.5/32", "sshd"));
    assert!(field(&record, "by").starts_with("uid "));
    assert_eq!(scene.places(), [""; 0]);
    assert_eq!(scene.login("sshd", "alice", HOME, &["alice's password", "000000"]), Told::Deny);
    assert_eq!(scene.last(3), "password,code deny wrong-code - -");
    assert_eq!(scene.events("place-forgotten").len(), 1);
}

#[test]
fn an_administrator_gives_a_place_and_it_counts_where_it_was_given() {
    let scene = Scene::new(RULES);
    let _phone = scene.site.enroll("alice");
    let day = "2199-12-31";
    let given = scene.site.twinlock(&["place", "add", "alice", HOME, "--service", "sshd", "--until", day]);
    assert!(said(&given).starts_with("Given:\nalice (main:"), "{}", said(&given));
    assert!(said(&given).contains("203.0.113.5/32  sshd  given "), "{}", said(&given));
    assert_eq!(scene.places(), ["203.0.113.5/32 sshd administrator 0 usual"]);
    let record = scene.event("place-added", 1);
    assert_eq!((field(&record, "prefix"), field(&record, "service")), ("203.0.113.5/32", "sshd"));
    assert_eq!(scene.login("sshd", "alice", HOME, &["alice's password"]), Told::Grant);
    assert_eq!(scene.last(1), "password grant rule-met usual usual");
    assert_eq!(scene.login("desk", "alice", HOME, &["alice's password", "000000"]), Told::Deny);
    assert_eq!(scene.last(2), "password,code deny wrong-code - -");
    scene.json(&["place", "add", "alice", "2001:db8:1:2::77"]);
    assert_eq!(scene.login("desk", "alice", "2001:db8:1:2:3::4", &["alice's password"]), Told::Grant);
    assert_eq!(scene.json(&["place", "list"])["all"], 2);
    scene.json(&["place", "forget", "alice", "--all"]);
    assert_eq!(scene.json(&["place", "list"])["all"], 0);
}

#[test]
fn what_is_no_place_is_not_given() {
    let scene = Scene::new(RULES);
    for (arguments, code, message) in [
        (&["alice", "127.0.0.1"][..], 1, "a place that anybody can be at is nobody's"),
        (&["alice", "::1"], 1, "a place that anybody can be at is nobody's"),
        (&["alice", "fe80::1"], 1, "a place that anybody can be at is nobody's"),
        (&["alice", "198.51.100.200"], 1, "a place that anybody can be at is nobody's"),
        (&["alice", "0.0.0.0"], 1, "a place that anybody can be at is nobody's"),
        (&["alice", "client1.example.org"], 2, "that is no place"),
        (&["alice", "203.0.113.0/24"], 2, "that is no place"),
        (&["alice", "2001:db8::/48"], 2, "that is no place"),
        (&["alice", HOME, "--service", "ss hd"], 2, "that is no PAM service"),
        (&["alice", HOME, "--until", "2026-02-30"], 2, "is no day"),
        (&["alice", HOME, "--until", "2020-01-01"], 2, "that day is over"),
        (&["nobody", HOME], 1, "the directory knows no nobody"),
    ] {
        let output = scene.site.twinlock(&[&["place", "add"], arguments].concat());
        assert_eq!(output.status.code(), Some(code), "{arguments:?} {}", said(&output));
        assert!(said(&output).contains(message), "{arguments:?} {}", said(&output));
    }
    assert_eq!(scene.events("place-added"), [""; 0]);
    assert_eq!(scene.json(&["place", "list"])["all"], 0);
}

#[test]
fn where_no_location_is_earned_nothing_is_kept_and_nothing_can_be_given() {
    let scene = Scene::new(support::site::RULES);
    let mut phone = scene.site.enroll("alice");
    scene.whole_login("sshd", "alice", HOME, &mut phone);
    assert_eq!(scene.places(), [""; 0]);
    let output = scene.site.twinlock(&["place", "add", "alice", HOME]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("no location is familiar or remembered"), "{}", said(&output));
}

/// Rules that rest on a country, at a file that the story writes.
fn with_countries(path: &Path) -> String {
    format!(
        "[geoip]\ndatabase = {path:?}\n[location.home]\ncountries = [\"NL\"]\n\
         [[rule]]\nname = \"abroad\"\nservices = [\"sshd\"]\nnot_from = [\"home\"]\ndeny = true\n\
         [[rule]]\nname = \"at home\"\nfrom = [\"home\", \"private\"]\nrequire = [\"password\", \"code\"]\n"
    )
}

impl Scene {
    fn status(&self) -> Value {
        self.json(&["status"])["geoip"].clone()
    }

    /// Puts a file in the place of the old one, and waits until the daemon has looked at it.
    fn put(&self, path: &Path, bytes: &[u8], seen: impl Fn(&Value) -> bool) {
        let new = path.with_extension("new");
        fs::write(&new, bytes).unwrap();
        fs::rename(&new, path).unwrap();
        until("the GeoIP file to be looked at", || seen(&self.status()).then_some(()));
    }

    /// From where a whole login is let in, and why not from elsewhere.
    fn tried(&self, service: &str, from: &str, phone: &mut Phone) -> String {
        let number = self.site.records().iter().filter(|line| line.contains(": attempt ")).count() + 1;
        self.login(service, "alice", from, &["alice's password", &phone.wrong_code()]);
        let record = self.site.attempt(number);
        format!("{} {} {}", field(&record, "verdict"), field(&record, "reason"), field(&record, "place"))
    }
}

/// A missing file, then one that comes, is replaced, cut short, and damaged: what cannot be told is refused, and an unfit
/// file never takes the place of one in use.
#[test]
fn a_geoip_file_may_be_missing_come_be_replaced_and_be_damaged_while_the_daemon_runs() {
    let folder = TempDir::new("geoip");
    let path = folder.path().join("country.mmdb");
    let scene = Scene::new(&with_countries(&path));
    let mut phone = scene.site.enroll("alice");
    let missing = scene.event("geoip-unfit", 1);
    assert!(missing.contains("cannot be read") && missing.contains("in_use_built=\"none\""), "{missing}");
    assert!(scene.status()["problem"].as_str().unwrap().contains("No such file"));
    assert_eq!(scene.tried("sshd", HOME, &mut phone), "deny denied-by-rule -");
    assert_eq!(scene.tried("desk", HOME, &mut phone), "unavailable condition-unknown -");
    assert_eq!(scene.tried("desk", "10.1.2.3", &mut phone), "deny wrong-code private");

    let file_of = |built: u64, home: &str| {
        file(built, &[("203.0.113.0/24", flat(home)), ("198.51.100.0/24", nested("FR"))])
    };
    scene.put(&path, &file_of(1_790_000_000, "NL"), |status| status["built"] == 1_790_000_000_u64);
    assert!(scene.event("geoip-replaced", 1).contains("tells=\"countries\""));
    assert_eq!(scene.tried("sshd", HOME, &mut phone), "deny wrong-code home");
    assert_eq!(scene.tried("sshd", AWAY, &mut phone), "deny denied-by-rule -");

    let whole = file_of(1_790_000_001, "DE");
    scene.put(&path, &whole[..whole.len() / 2], |status| !status["problem"].is_null());
    let status = scene.status();
    assert_eq!(status["built"], 1_790_000_000_u64, "the old one stays, and its age is told: {status}");
    assert!(scene.event("geoip-unfit", 2).contains("in_use_built=\"1790000000\""));
    let text = said(&scene.site.twinlock(&["status"]));
    assert!(text.contains("the file that is there now is damaged or no MaxMind DB file"), "{text}");
    assert_eq!(scene.tried("sshd", HOME, &mut phone), "deny wrong-code home");

    scene.put(&path, &whole, |status| status["built"] == 1_790_000_001_u64 && status["problem"].is_null());
    assert_eq!(scene.tried("sshd", HOME, &mut phone), "deny denied-by-rule -");

    let mut damaged = file_of(1_790_000_002, "NL");
    let data = damaged.len() / 3;
    damaged[data..data + 200].fill(0xff);
    scene.put(&path, &damaged, |status| !status["problem"].is_null());
    assert_eq!(scene.tried("sshd", HOME, &mut phone), "deny denied-by-rule -");
    // Two further looks say nothing new.
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(scene.events("geoip-unfit").len(), 3, "one warning a change");
}

#[test]
fn a_file_that_is_there_at_the_start_is_read_before_anybody_is_let_in() {
    let folder = TempDir::new("geoip");
    let path = folder.path().join("country.mmdb");
    fs::write(&path, file(1_790_000_000, &[("203.0.113.0/24", nested("NL"))])).unwrap();
    let scene = Scene::new(&with_countries(&path));
    let mut phone = scene.site.enroll("alice");
    assert_eq!(scene.tried("sshd", HOME, &mut phone), "deny wrong-code home");
    assert!(scene.event("geoip-read", 1).contains("built=\"1790000000\""));
}

/// Issue 4: names are never resolved; that an application hands them over is said once for each service.
#[test]
fn a_name_in_the_place_of_an_address_is_unknown_and_said_once_for_each_service() {
    let scene = Scene::new(RULES);
    for (service, from) in [
        ("vsftpd", "client1.example.org"),
        ("vsftpd", "127.1"),
        ("dovecot", "localhost"),
        ("vsftpd", HOME),
        ("other", ""),
    ] {
        assert_eq!(scene.login(service, "alice", from, &["x", "000000"]), Told::Deny);
    }
    assert_eq!(field(&scene.site.attempt(1), "source"), "unknown");
    let services: Vec<_> =
        scene.events("name-for-address").iter().map(|line| field(line, "service").to_owned()).collect();
    assert_eq!(services, ["vsftpd", "dovecot"]);
}

/// Issue 4: what applications really hand over, as the record names it. Nothing is looked up.
#[test]
fn a_source_is_a_literal_address_or_local_or_unknown_by_its_service() {
    let scene = Scene::new(RULES);
    let table = [
        ("sshd", "203.0.113.9", "203.0.113.9"),
        ("sshd", "2001:db8::9", "2001:db8::9"),
        ("vsftpd", "::ffff:203.0.113.9", "203.0.113.9"),
        ("xrdp-sesman", "::ffff:10.99.1.2", "10.99.1.2"),
        ("sshd", "fe80::1%eth0", "fe80::1"),
        ("cockpit", "[2001:DB8::9]", "2001:db8::9"),
        ("login", "client1.example.org", "unknown"),
        ("login", "127.1", "unknown"),
        ("login", "0x7f000001", "unknown"),
        ("login", "203.0.113.9.", "unknown"),
        ("login", "localhost", "unknown"),
        ("login", "", "local"),
        ("sudo", "", "local"),
        ("xrdp-sesman", "", "unknown"),
        ("saslauthd", "", "unknown"),
    ];
    for (index, (service, given, source)) in table.into_iter().enumerate() {
        assert_eq!(scene.login(service, "alice", given, &["x", "000000"]), Told::Deny, "{given}");
        let record = scene.site.attempt(index + 1);
        assert_eq!((field(&record, "service"), field(&record, "source")), (service, source), "{given}");
    }
    let named: Vec<_> = scene.events("name-for-address");
    assert_eq!(named.len(), 1, "once, however many names: {named:?}");
    assert_eq!(field(&named[0], "service"), "login");
}
