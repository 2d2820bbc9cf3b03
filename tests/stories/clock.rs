//! Promise 13: a wall clock that is set takes no code, teaches nothing and makes nobody forgotten, until the kernel calls
//! it synchronised or the administrator says that it is right.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::Value;
use std::time::{Duration, Instant};
use support::client::{Client, Told};
use support::ldap::{EmbeddedDirectory, Listen};
use support::site::{Phone, RULES, Site, field, step_now};
use support::slapd::{PEOPLE, account};
use support::temp::TempDir;
use support::wall_clock::WallClock;

const HOME: &str = "198.51.100.9";
const OFFICE: &str = "192.0.2.9";
const HOUR_OF_STEPS: u64 = 120;

/// Where others are asked a code, bob needs none.
const BOB: &str = r#"
[[rule]]
name = "bob by his password"
services = ["mixed"]
accounts = ["bob"]
require = ["password"]
single_factor = true
"#;

struct Scene {
    site: Site,
    clock: WallClock,
    phone: Phone,
    _directory: EmbeddedDirectory,
    _folder: TempDir,
}

/// A daemon with the right time; alice has a phone and is known at home. `None` if no clock can be faked here.
fn scene() -> Option<Scene> {
    let folder = TempDir::new("ldap");
    let ldif = format!(
        "dn: dc=example,dc=org\nobjectClass: organization\no: example\n\n\
         dn: {PEOPLE}\nobjectClass: organizationalUnit\nou: people\n\n{}{}",
        account(&format!("uid=alice,{PEOPLE}"), "alice", 2001, "alice's password"),
        account(&format!("uid=bob,{PEOPLE}"), "bob", 2002, "bob's password")
    );
    let listen = Listen { socket: Some(folder.path().join("ldapi")), loopback: false };
    let directory = EmbeddedDirectory::start(&ldif, &listen).unwrap();
    let settings = format!(
        "kind = \"rfc2307\"\nservers = {:?}\nbase = {PEOPLE:?}\ntls = {{ mode = \"none\" }}\n",
        directory.urls()
    );
    let rules = RULES.replacen("[[rule]]", &format!("{BOB}\n[[rule]]"), 1);
    let mut site = Site::prepare(&settings, &rules);
    let clock = WallClock::beside(&site)?;
    clock.start_daemon(&mut site);
    let phone = site.enroll("alice");
    let mut scene = Scene { site, clock, phone, _directory: directory, _folder: folder };
    let code = scene.phone.code();
    assert_eq!(scene.with_code(&code), Told::Grant);
    assert_eq!(scene.known_from(), ["198.51.100.9/32"]);
    Some(scene)
}

impl Scene {
    fn login(&self, service: &str, user: &str, from: &str, answers: &[&[u8]]) -> Told {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = Client::connect(&self.site.path("login.sock")).await;
            client.login(service, user, from, answers).await
        })
    }

    fn with_code(&self, code: &str) -> Told {
        self.login("sshd", "alice", HOME, &[b"alice's password", code.as_bytes()])
    }

    /// Where no code is asked.
    fn at_the_desk(&self, password: &[u8]) -> Told {
        self.login("desk", "alice", OFFICE, &[password])
    }

    fn last_reason(&self, attempts: usize) -> String {
        field(&self.site.attempt(attempts), "reason").to_owned()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.site.twinlock(&[&["--json"], arguments].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn text(&self, arguments: &[&str]) -> String {
        let output = self.site.twinlock(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn suspicion(&self) -> Value {
        self.json(&["status"])["clock"]["suspicion"].clone()
    }

    fn known_from(&self) -> Vec<String> {
        let shown = self.json(&["user", "show", "alice"]);
        let known = shown["known_from"].as_array().unwrap();
        known.iter().map(|prefix| prefix.as_str().unwrap().to_owned()).collect()
    }

    /// The events of a word, once there are so many.
    fn events(&self, word: &str, count: usize) -> Vec<String> {
        let patience = Instant::now() + Duration::from_secs(10);
        loop {
            let marker = format!(": {word} ");
            let found: Vec<_> =
                self.site.records().into_iter().filter(|line| line.contains(&marker)).collect();
            if found.len() >= count {
                return found;
            }
            assert!(Instant::now() < patience, "{count} {word} expected: {:#?}", self.site.records());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn set_by(offset: &str) {
    let Some(scene) = scene() else { return };
    scene.clock.set(offset);
    let (right, then) = (step_now(), step_now().saturating_add_signed(offset.parse::<i64>().unwrap() / 30));
    let codes = [scene.phone.code_at(right), scene.phone.code_at(then), scene.phone.wrong_code()];
    for code in &codes {
        assert_eq!(scene.with_code(code), Told::Unavailable, "right at either time, or wrong");
    }
    assert_eq!(scene.login("sshd", "nobody", HOME, &[b"x", b"123456"]), Told::Unavailable, "nobody's");
    assert_eq!(scene.login("sshd", "alice", HOME, &[b"x", b"123456123456"]), Told::Unavailable, "two codes");
    for record in &scene.site.attempts(6)[1..] {
        assert_eq!((field(record, "reason"), field(record, "verdict")), ("clock-suspect", "unavailable"));
        assert_eq!((field(record, "password"), field(record, "code")), ("-", "-"), "nothing was compared");
    }
    let event = scene.events("clock-suspect", 1)[0].clone();
    assert_eq!(field(&event, "why"), "parted");
    let by_s: i64 = field(&event, "by_s").parse().unwrap();
    assert!(by_s.abs_diff(offset.parse().unwrap()) <= 2, "{event}");

    assert_eq!(scene.at_the_desk(b"alice's password"), Told::Grant, "where no code is asked it goes on");
    assert_eq!(scene.at_the_desk(b"wrong"), Told::Deny);
    assert_eq!(scene.known_from(), ["198.51.100.9/32"], "nothing is learned, nobody forgotten");
    let confirmed = scene.site.twinlock(&["enroll", "alice", "--confirm", "123456"]);
    assert_eq!(confirmed.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&confirmed.stderr).contains("twinlock clock"));
    let uri = scene.site.path("uri");
    std::fs::write(&uri, format!("otpauth://totp/alice?secret={}\n", Phone::random().seed())).unwrap();
    let imported = scene.site.twinlock(&["import", "otpauth", uri.to_str().unwrap()]);
    assert_eq!(imported.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&imported.stderr).contains("twinlock clock"));
    for told in [scene.text(&["status"]), scene.text(&["clock"])] {
        assert!(told.contains("not believed") && told.contains("twinlock clock accept"), "{told}");
    }
    scene.clock.set("+0");
    assert_eq!(scene.with_code(&codes[0]), Told::Unavailable, "it has been wrong once");

    assert!(scene.text(&["clock", "accept"]).contains("believed again"));
    let event = scene.events("clock-believed", 1)[0].clone();
    assert_eq!((field(&event, "why"), field(&event, "by")), ("accepted", "uid 0"));
    assert_eq!(scene.suspicion(), Value::Null);
    assert_eq!(scene.with_code(&scene.phone.wrong_code()), Told::Deny);
    assert_eq!(scene.last_reason(10), "wrong-code");
    let mut phone = scene.phone;
    let code = phone.code();
    let proofs: [&[u8]; 2] = [b"alice's password", code.as_bytes()];
    let scene = Scene { phone, ..scene };
    assert_eq!(scene.login("sshd", "alice", HOME, &proofs), Told::Grant);
    assert_eq!(scene.events("clock-suspect", 1).len(), 1, "said once");
}

#[test]
fn set_back_by_an_hour_it_takes_no_code_until_the_administrator_accepts_it() {
    set_by("-3600");
}

#[test]
fn set_forward_by_an_hour_it_takes_no_code_until_the_administrator_accepts_it() {
    set_by("+3600");
}

/// Promise 7: a denial would tell that bob exists and needs no code.
#[test]
fn where_a_code_is_asked_nobody_hears_anything_else_and_who_needs_none_gets_in() {
    let Some(scene) = scene() else { return };
    let told = |user: &str, password: &[u8]| scene.login("mixed", user, HOME, &[password, b""]);
    assert_eq!(told("bob", b"wrong"), Told::Deny);
    assert_eq!(told("nobody", b"wrong"), Told::Deny);
    scene.clock.set("-3600");
    for user in ["bob", "alice", "nobody"] {
        assert_eq!(told(user, b"wrong too"), Told::Unavailable, "{user}");
    }
    assert_eq!(told("bob", b"bob's password"), Told::Grant);
    let reasons: Vec<_> =
        scene.site.attempts(7)[3..].iter().map(|record| field(record, "reason").to_owned()).collect();
    assert_eq!(reasons, ["wrong-password", "clock-suspect", "clock-suspect", "rule-met"]);
}

/// Promises 2 and 13: set forward and believed, codes of that time are used; put right, they stay used.
#[test]
fn a_code_that_was_used_does_not_work_again_however_the_clock_is_set_and_synchronised() {
    let Some(scene) = scene() else { return };
    scene.clock.kernel_says(true);
    scene.clock.set("+3600");
    // The newest that is taken: it is a code for another minute.
    let ahead = scene.phone.code_at(step_now() + 1 + HOUR_OF_STEPS);
    assert_eq!(scene.with_code(&ahead), Told::Grant, "the kernel's word is enough");
    scene.clock.set("+0");
    assert_eq!(scene.with_code(&scene.phone.code_at(step_now())), Told::Deny);
    assert_eq!(scene.with_code(&ahead), Told::Deny, "it is no code of this time");
    assert_eq!((scene.last_reason(3), scene.last_reason(4)), ("replayed-code".into(), "wrong-code".into()));
    let told = scene.text(&["clock"]);
    assert!(told.contains("alice (phone)") && told.contains("enrol"), "{told}");
    scene.clock.set("+3600");
    assert_eq!(scene.with_code(&ahead), Told::Deny);
    assert_eq!(scene.last_reason(5), "replayed-code", "and was used, when its time has come");
    assert_eq!(scene.events("clock-suspect", 3).len(), 3);
    assert_eq!(scene.events("clock-believed", 3).len(), 3);
}

#[test]
fn a_clock_set_while_the_daemon_is_down_is_noticed_at_the_start_and_a_kill_does_not_make_it_believed() {
    let Some(mut scene) = scene() else { return };
    for offset in ["-3600", "+3600"] {
        scene.site.stop();
        scene.clock.set(offset);
        scene.clock.start_daemon(&mut scene.site);
        assert_eq!(scene.with_code(&scene.phone.code_at(step_now())), Told::Unavailable, "{offset}");
        // It is on disk a moment after it was recorded, at the latest.
        scene.events("clock-suspect", 1);
        std::thread::sleep(Duration::from_millis(500));
        scene.site.kill();
        scene.clock.set("+0");
        scene.clock.start_daemon(&mut scene.site);
        assert_ne!(scene.suspicion(), Value::Null, "{offset}");
        assert_eq!(scene.known_from(), ["198.51.100.9/32"]);
        assert!(scene.text(&["clock", "accept"]).contains("believed again"));
    }
    scene.site.stop();
    scene.clock.set("-3600");
    scene.clock.kernel_says(true);
    scene.clock.start_daemon(&mut scene.site);
    assert_eq!(scene.suspicion(), Value::Null, "the kernel calls it synchronised");
}
