//! What is closed stays closed: through a kill, a restart and a wall clock that is set. And who may see it, who may
//! open it, and what the record says of that.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use support::client::{Client, Told};
use support::host::can_play;
use support::ldap::{EmbeddedDirectory, Listen};
use support::site::{RULES, Site, binary, field};
use support::temp::TempDir;
use support::wall_clock::WallClock;

const PEOPLE: &str = "ou=people,dc=example,dc=org";
const STRANGER: &str = "198.51.100.9";
const OFFICE: &str = "192.0.2.9";
/// Rounding, and the time that questions take.
const LEEWAY_S: f64 = 1.5;

struct Scene {
    site: Site,
    _directory: EmbeddedDirectory,
    _folder: TempDir,
}

/// Two failures close an account lane for half a minute, three an address for ten minutes.
fn scene() -> Scene {
    let (site, directory, folder) = prepared("");
    Scene { site: site.started(), _directory: directory, _folder: folder }
}

fn prepared(tarpit: &str) -> (Site, EmbeddedDirectory, TempDir) {
    let folder = TempDir::new("ldap");
    let people = ["alice", "bob"].map(|name| {
        support::slapd::account(&format!("uid={name},{PEOPLE}"), name, 2001, &format!("{name}'s password"))
    });
    let ldif = format!(
        "dn: dc=example,dc=org\nobjectClass: organization\no: example\n\n\
         dn: {PEOPLE}\nobjectClass: organizationalUnit\nou: people\n\n{}",
        people.concat()
    );
    let listen = Listen { socket: Some(folder.path().join("ldapi")), loopback: false };
    let directory = EmbeddedDirectory::start(&ldif, &listen).unwrap();
    let settings = format!(
        "kind = \"rfc2307\"\nservers = {urls:?}\nbase = {PEOPLE:?}\ntls = {{ mode = \"none\" }}\ntimeout = \"2s\"\n",
        urls = directory.urls()
    );
    let rules = format!(
        "{RULES}\n[tarpit]\nfree = 2\nsource_limit = {{ failures = 3, within = \"10m\", refuse = \"10m\" }}\n\
         {tarpit}\n"
    );
    (Site::prepare(&settings, &rules), directory, folder)
}

fn login(site: &Site, service: &str, user: &str, from: &str, answers: &[&[u8]]) -> Told {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        Client::connect(&site.path("login.sock")).await.login(service, user, from, answers).await
    })
}

/// Three names that nobody bears, from one address.
fn close_prefix(site: &Site, from: &str) {
    for user in ["nobody1", "nobody2", "nobody3"] {
        assert_eq!(login(site, "sshd", user, from, &[b"x", b"123456"]), Told::Deny);
    }
}

/// Wrong passwords at the office, where no code is asked: two, since the same one again is no new guess.
fn close_office(site: &Site, user: &str) {
    for wrong in [b"wrong 1", b"wrong 2"] {
        assert_eq!(login(site, "desk", user, OFFICE, &[wrong]), Told::Deny);
    }
}

fn done(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

fn locks(site: &Site) -> serde_json::Value {
    serde_json::from_str(&done(&site.twinlock(&["--json", "locks"]))).unwrap()
}

/// Seconds that the first lock of a kind has left, and when it was asked.
fn left(site: &Site, kind: &str) -> (f64, Instant) {
    let asked = Instant::now();
    let locks = locks(site);
    (locks[kind][0]["closed_for_s"].as_f64().unwrap_or_else(|| panic!("{kind}: {locks}")), asked)
}

/// The wait has run on with real time, no faster and no slower.
fn ran_on(before: (f64, Instant), after: (f64, Instant)) {
    let expected = before.0 - after.1.duration_since(before.1).as_secs_f64();
    assert!((after.0 - expected).abs() <= LEEWAY_S, "{} s left, {expected:.1} s expected", after.0);
}

fn event(site: &Site, word: &str) -> String {
    let patience = Instant::now() + Duration::from_secs(5);
    loop {
        let marker = format!(": {word} ");
        if let Some(line) = site.records().into_iter().rfind(|line| line.contains(&marker)) {
            return line;
        }
        assert!(Instant::now() < patience, "no {word} in {:#?}", site.records());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Promises 11 and 13: the closing is on disk before the denial leaves.
#[test]
fn a_closed_prefix_stays_closed_through_a_kill_and_its_wait_runs_on() {
    let mut scene = scene();
    let site = &mut scene.site;
    close_prefix(site, STRANGER);
    let before = left(site, "prefixes");
    site.kill();
    std::thread::sleep(Duration::from_secs(2));
    site.start_daemon();
    ran_on(before, left(site, "prefixes"));
    assert_eq!(login(site, "sshd", "nobody4", STRANGER, &[b"x", b"123456"]), Told::Deny);
    assert_eq!(field(&site.attempt(4), "reason"), "prefix-closed");
    close_prefix(site, "198.51.100.10");
    site.kill();
    site.start_daemon();
    assert_eq!(locks(site)["prefixes_closed"], 2, "killed as soon as the denial was there");
}

#[test]
fn failures_of_an_address_are_remembered_through_a_stop_and_a_kill_a_second_later() {
    let mut scene = scene();
    let site = &mut scene.site;
    let fail = |site: &Site, user| login(site, "sshd", user, STRANGER, &[b"x", b"123456"]);
    assert_eq!(fail(site, "nobody1"), Told::Deny);
    site.stop();
    site.start_daemon();
    assert_eq!(fail(site, "nobody2"), Told::Deny);
    std::thread::sleep(Duration::from_millis(1300));
    site.kill();
    site.start_daemon();
    assert_eq!(fail(site, "nobody3"), Told::Deny);
    assert_eq!(fail(site, "nobody4"), Told::Deny);
    assert_eq!(field(&site.attempt(4), "reason"), "prefix-closed");
}

/// Promise 13.
#[test]
fn an_account_lanes_wait_is_neither_shortened_nor_stretched_by_a_restart_or_a_kill() {
    let mut scene = scene();
    let site = &mut scene.site;
    close_office(site, "alice");
    let before = left(site, "lanes");
    site.stop();
    std::thread::sleep(Duration::from_secs(2));
    site.start_daemon();
    ran_on(before, left(site, "lanes"));
    std::thread::sleep(Duration::from_secs(3));
    site.kill();
    site.start_daemon();
    ran_on(before, left(site, "lanes"));
    assert_eq!(login(site, "desk", "alice", OFFICE, &[b"alice's password"]), Told::Deny);
    assert_eq!(field(&site.attempt(3), "reason"), "lane-closed");
}

/// Promise 13.
#[test]
fn a_wall_clock_that_is_set_neither_shortens_nor_stretches_a_wait() {
    let (mut site, _directory, _folder) = prepared("");
    let Some(clock) = WallClock::beside(&site) else { return };
    clock.kernel_says(true);
    clock.start_daemon(&mut site);
    close_office(&site, "alice");
    close_prefix(&site, STRANGER);
    let before = (left(&site, "lanes"), left(&site, "prefixes"));
    let until = locks(&site)["lanes"][0]["until"].as_u64().unwrap();
    for (offset, seconds) in [("+2d", 2 * 86_400), ("-2d", -2 * 86_400)] {
        clock.set(offset);
        let shown = locks(&site)["lanes"][0]["until"].as_u64().unwrap();
        assert!(shown.abs_diff(until.saturating_add_signed(seconds)) <= 2, "the wall clock is set: {shown}");
        ran_on(before.0, left(&site, "lanes"));
        ran_on(before.1, left(&site, "prefixes"));
        site.kill();
        clock.start_daemon(&mut site);
        ran_on(before.0, left(&site, "lanes"));
        ran_on(before.1, left(&site, "prefixes"));
    }
}

/// The day that is `days` from now, in UTC.
fn day_in(days: i64) -> String {
    let output = Command::new("date").args(["-u", "+%F", "-d", &format!("{days} days")]).output().unwrap();
    done(&output).trim().to_owned()
}

#[test]
fn until_its_day_is_over_an_observing_tarpit_refuses_nothing_and_says_so_everywhere() {
    let day = day_in(1);
    let (mut site, _directory, _folder) = prepared(&format!("observe_until = {day:?}"));
    let clock = WallClock::beside(&site);
    match &clock {
        Some(clock) => {
            clock.kernel_says(true);
            clock.start_daemon(&mut site);
        }
        None => site.start_daemon(),
    }
    let mut phone = site.enroll("alice");
    assert_eq!(field(&event(&site, "tarpit-observes-only"), "until"), day);
    for told in [site.twinlock(&["status"]), site.twinlock(&["config", "check"])] {
        let said = done(&told);
        assert!(said.contains(&format!("the end of {day} (UTC)")) && said.contains("no bound"), "{said}");
    }
    close_office(&site, "alice");
    assert_eq!(login(&site, "desk", "alice", OFFICE, &[b"alice's password"]), Told::Grant);
    close_prefix(&site, STRANGER);
    let wrong = phone.wrong_code();
    let wrong: [&[u8]; 2] = [b"alice's password", wrong.as_bytes()];
    assert_eq!(login(&site, "sshd", "alice", STRANGER, &wrong), Told::Deny, "wrong is wrong");
    let code = phone.code();
    let proofs: [&[u8]; 2] = [b"alice's password", code.as_bytes()];
    assert_eq!(login(&site, "sshd", "alice", STRANGER, &proofs), Told::Grant);
    assert_eq!(login(&site, "sshd", "alice", STRANGER, &proofs), Told::Deny, "a code works once");
    let told: Vec<_> = site
        .attempts(9)
        .iter()
        .map(|record| (field(record, "reason").to_owned(), field(record, "observed").to_owned()))
        .collect();
    let expected = [
        ("wrong-password", ""),
        ("wrong-password", ""),
        ("rule-met", "lane-closed"),
        ("unknown-account", ""),
        ("unknown-account", ""),
        ("unknown-account", ""),
        ("wrong-code", "prefix-closed"),
        ("rule-met", "prefix-closed"),
        ("replayed-code", ""),
    ];
    assert_eq!(told, expected.map(|(reason, observed)| (reason.to_owned(), observed.to_owned())));
    let Some(clock) = clock else { return };
    clock.set("+2d");
    // From a desk where she has not been: the other one has a lane of its own by now.
    assert_eq!(login(&site, "desk", "alice", "192.0.2.10", &[b"alice's password"]), Told::Deny);
    assert_eq!(login(&site, "sshd", "nobody4", STRANGER, &[b"x", b"123456"]), Told::Deny);
    let reasons: Vec<_> =
        site.attempts(11)[9..].iter().map(|record| field(record, "reason").to_owned()).collect();
    assert_eq!(reasons, ["lane-closed", "prefix-closed"], "without a restart");
    assert!(!done(&site.twinlock(&["status"])).contains("no bound"));
}

#[test]
fn an_unlocked_user_gets_in_at_once_and_who_did_it_is_recorded() {
    let scene = scene();
    let site = &scene.site;
    let mut phone = site.enroll("alice");
    close_office(site, "alice");
    close_office(site, "bob");
    for from in [STRANGER, "198.51.100.10"] {
        let wrong = phone.wrong_code();
        assert_eq!(login(site, "sshd", "alice", from, &[b"alice's password", wrong.as_bytes()]), Told::Deny);
    }
    assert_eq!(login(site, "desk", "alice", OFFICE, &[b"alice's password"]), Told::Deny, "it is closed");
    let said = done(&site.twinlock(&["user", "unlock", "ALICE"]));
    assert!(said.contains("in office  2 failures  closed for ") && said.contains("unfamiliar"), "{said}");
    assert_eq!(login(site, "desk", "alice", OFFICE, &[b"alice's password"]), Told::Grant);
    let code = phone.code();
    assert_eq!(login(site, "sshd", "alice", STRANGER, &[b"alice's password", code.as_bytes()]), Told::Grant);
    let record = event(site, "unlocked");
    assert_eq!(field(&record, "by"), format!("uid {}", nix::unistd::Uid::effective()));
    assert_eq!((field(&record, "user"), field(&record, "lanes")), ("alice", "in office, unfamiliar"));
    assert!(field(&record, "account").starts_with("main:"), "{record}");
    let again = site.twinlock(&["user", "unlock", "alice"]);
    assert!(done(&again).contains("There was nothing to open for alice"));
    assert_eq!(locks(site)["lanes_closed"], 1, "bob's lane stays closed");
    assert_eq!(site.twinlock(&["user", "unlock", "nobody"]).status.code(), Some(1));
}

#[test]
fn a_cleared_prefix_is_open_at_once_and_stays_open_after_a_restart() {
    let mut scene = scene();
    let site = &mut scene.site;
    close_prefix(site, STRANGER);
    for address in ["2001:db8:1:1::1", "2001:db8:1:2::1"] {
        close_prefix(site, address);
    }
    for (text, remedy) in [("198.51.100.0/24", "/32"), ("office", "/48"), ("2001:db8::/56", "/64")] {
        let output = site.twinlock(&["locks", "clear", text]);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(remedy), "{text}");
    }
    let said = done(&site.twinlock(&["locks", "clear", STRANGER]));
    assert!(said.contains("198.51.100.9/32  3 failures  closed for 1"), "{said}");
    let record = event(site, "prefix-cleared");
    assert_eq!((field(&record, "prefix"), field(&record, "lanes")), ("198.51.100.9/32", "198.51.100.9/32"));
    assert_eq!(login(site, "sshd", "nobody4", STRANGER, &[b"x", b"123456"]), Told::Deny);
    assert_eq!(field(&site.attempt(10), "reason"), "unknown-account", "it is compared again");
    done(&site.twinlock(&["locks", "clear", "2001:db8:1:1::/64"]));
    let said = done(&site.twinlock(&["locks", "clear", "2001:db8:1:2::77"]));
    assert!(said.contains("2001:db8:1:2::/64  3 failures") && said.contains("2001:db8:1::/48  6 failures"));
    assert!(done(&site.twinlock(&["locks", "clear", "2001:db8:1:2::77"])).contains("nothing to open"));
    site.kill();
    site.start_daemon();
    assert_eq!(done(&site.twinlock(&["locks"])).trim(), "Nothing is closed.");
}

#[test]
fn locks_shows_who_which_lane_until_when_and_why() {
    let scene = scene();
    let site = &scene.site;
    let _phone = site.enroll("alice");
    close_office(site, "bob");
    close_office(site, "alice");
    close_prefix(site, STRANGER);
    let shown = locks(site);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let [alice, bob] = [&shown["lanes"][0], &shown["lanes"][1]];
    assert_eq!((alice["account"].as_str(), bob["account"].as_str()), (Some("alice"), None), "newest first");
    assert!(bob["id"].as_str().unwrap().starts_with("main:"));
    assert_eq!((alice["lane"].as_str(), alice["failures"].as_u64()), (Some("in office"), Some(2)));
    let (wait, until) = (alice["closed_for_s"].as_u64().unwrap(), alice["until"].as_u64().unwrap());
    assert!((20..=33).contains(&wait) && until.abs_diff(now + wait) <= 2, "{shown}");
    assert_eq!(alice["why"], "2 wrong logins; waits begin at 2 and double with each");
    let prefix = &shown["prefixes"][0];
    assert_eq!((prefix["prefix"].as_str(), prefix["failures"].as_u64()), (Some("198.51.100.9/32"), Some(3)));
    assert_eq!(prefix["why"], "3 wrong logins within 10m");
    assert_eq!((shown["lanes_closed"].as_u64(), shown["prefixes_closed"].as_u64()), (Some(2), Some(1)));
    let text = done(&site.twinlock(&["locks"]));
    assert!(text.contains("alice (main:") && text.contains("in office  closed for "), "{text}");
}

#[test]
fn who_is_not_root_sees_and_opens_nothing() {
    if !can_play("a caller that is not root") {
        return;
    }
    let scene = scene();
    let site = &scene.site;
    close_office(site, "alice");
    fs::set_permissions(site.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(binary("twinlock"), site.path("twinlock")).unwrap();
    let as_nobody = |arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(site.path("twinlock"));
        command.arg("--socket").arg(site.path("admin.sock")).args(arguments).output().unwrap()
    };
    // The socket's mode keeps them away; without it, the daemon does.
    for (mode, code) in [(0o660, 3), (0o666, 1)] {
        fs::set_permissions(site.path("admin.sock"), fs::Permissions::from_mode(mode)).unwrap();
        for arguments in [&["locks"][..], &["user", "unlock", "alice"], &["locks", "clear", STRANGER]] {
            let output = as_nobody(arguments);
            assert_eq!(output.status.code(), Some(code), "{arguments:?}");
            assert!(output.stdout.is_empty());
        }
    }
    assert_eq!(locks(site)["lanes_closed"], 1);
}
