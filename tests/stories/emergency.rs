//! Break glass: emergency passwords on the real daemon, with the directory stopped and with lanes closed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Barrier;
use std::time::{Duration, Instant};
use support::client::{Client, Told};
use support::pam::Code;
use support::site::{RULES, Site, field};
use support::slapd::{self, PEOPLE, Slapd};

const OFFICE: &str = "192.0.2.44";
const AWAY: &str = "203.0.113.7";
const TICK_MS: u128 = 250;

fn scene(rules: &str) -> (Slapd, Site) {
    let slapd = Slapd::start();
    let site = Site::start(&slapd.settings("ldaps", &[slapd.ldaps_url()]), rules);
    (slapd, site)
}

fn login(site: &Site, from: &str, password: &str, code: &str) -> Code {
    site.stack("sshd").login("alice").from(from).typing(password, code).authenticate(0)
}

fn events(site: &Site, word: &str) -> Vec<String> {
    let marker = format!(": {word} ");
    site.records().into_iter().filter(|line| line.contains(&marker)).collect()
}

/// Severity alert, facility authpriv.
fn is_alarm(line: &str) -> bool {
    line.starts_with("<81>")
}

#[test]
fn with_the_directory_stopped_it_lets_in_from_the_office_the_console_and_elsewhere_with_the_own_code() {
    let (mut slapd, site) = scene(RULES);
    let mut phone = site.enroll("alice");
    let passwords = site.emergency_passwords("alice", 5);
    slapd.stop();
    // What was found before is kept for five seconds.
    std::thread::sleep(Duration::from_secs(5));
    let mut handle = site.stack("sshd").login("alice").from(OFFICE).typing(&passwords[0], "");
    assert_eq!(handle.authenticate(0), Code::SUCCESS);
    assert_eq!(handle.acct_mgmt(0), Code::SUCCESS, "the account phase knows the grant");
    assert_eq!(login(&site, OFFICE, &passwords[0], ""), Code::AUTHINFO_UNAVAIL, "once");
    let console = site.stack("login").login("alice").typing(&passwords[1].to_lowercase(), "").authenticate(0);
    assert_eq!(console, Code::SUCCESS);
    assert_eq!(login(&site, AWAY, &passwords[2], ""), Code::AUTHINFO_UNAVAIL, "a place that does not count");
    assert_eq!(login(&site, AWAY, &passwords[2], &phone.code()), Code::SUCCESS, "with the own code");
    let one_field = format!("{}{}", passwords[3], phone.code());
    let field_login = site.stack("xrdp-sesman").login("alice").from(AWAY).typing(&one_field, "");
    assert_eq!({ field_login }.authenticate(0), Code::SUCCESS, "in one field");
    let bob = site.stack("sshd").login("bob").from(OFFICE).typing(&passwords[4], "").authenticate(0);
    assert_eq!(bob, Code::AUTHINFO_UNAVAIL, "bound to its account");

    let records = site.attempts(7);
    let reasons: Vec<_> = records.iter().map(|record| field(record, "reason")).collect();
    let (granted, down) = ("emergency-password", "directory-unavailable");
    assert_eq!(reasons, [granted, down, granted, down, granted, granted, down]);
    let alarms = events(&site, "emergency-login");
    assert_eq!(alarms.len(), 4);
    assert!(alarms.iter().all(|line| is_alarm(line)), "{alarms:#?}");
    assert_eq!((field(&alarms[0], "place"), field(&alarms[0], "left")), ("office", "4"));
    let refused = events(&site, "emergency-refused");
    assert_eq!(refused.len(), 1, "somebody holds one, and is somewhere else: {refused:#?}");
    assert!(is_alarm(&refused[0]));
    assert!(
        site.records().iter().all(|line| passwords.iter().all(|password| !line.contains(password.as_str())))
    );

    let list = site.twinlock(&["--json", "emergency", "list"]);
    let list: serde_json::Value = serde_json::from_slice(&list.stdout).unwrap();
    assert_eq!((&list["accounts"][0]["unused"], &list["accounts"][0]["used"]), (&1.into(), &4.into()));
    let gone = site.twinlock(&["emergency", "revoke", "alice"]);
    assert!(
        String::from_utf8_lossy(&gone.stdout).contains("1 emergency password of alice"),
        "without the directory"
    );
    assert_eq!(login(&site, OFFICE, &passwords[4], ""), Code::AUTHINFO_UNAVAIL);
}

/// Promise 5, for the day it matters: no lane refuses it, a closed prefix neither.
#[test]
fn no_closed_lane_refuses_it() {
    let tarpit = "[tarpit]\nsource_limit = { failures = 3, within = \"10m\", refuse = \"10m\" }\n";
    let (_slapd, site) = scene(&format!("{RULES}\n{tarpit}"));
    let mut phone = site.enroll("alice");
    let passwords = site.emergency_passwords("alice", 2);
    for from in [AWAY, AWAY, AWAY, OFFICE, OFFICE, OFFICE] {
        assert_eq!(login(&site, from, "alice's password", "000000"), Code::AUTH_ERR);
    }
    assert_eq!(login(&site, AWAY, "alice's password", &phone.code()), Code::AUTH_ERR);
    assert_eq!(login(&site, OFFICE, "alice's password", &phone.code()), Code::AUTH_ERR);
    assert_eq!(login(&site, OFFICE, &passwords[0], ""), Code::SUCCESS);
    assert_eq!(login(&site, AWAY, &passwords[1], &phone.code()), Code::SUCCESS);
    let records = site.attempts(10);
    let reasons: Vec<_> = records[6..].iter().map(|record| field(record, "reason")).collect();
    assert_eq!(reasons, ["prefix-closed", "lane-closed", "emergency-password", "emergency-password"]);
}

/// Promise 7: whoever found one cannot tell that it is right, and guesses at the code once for each.
#[test]
fn a_stolen_one_has_the_face_of_a_wrong_password_and_one_guess_at_the_code() {
    let (slapd, site) = scene(&format!("{RULES}\n[tarpit]\nfree = 20\n"));
    let mut phone = site.enroll("alice");
    let passwords = site.emergency_passwords("alice", 1);
    let face = |password: &str, code: &str| {
        let started = Instant::now();
        let stack = site.stack("sshd");
        let mut handle = stack.login("alice").from(AWAY).typing(password, code);
        let told = handle.authenticate(0);
        (told, handle.transcript(), started.elapsed().as_millis() / TICK_MS)
    };
    let shape = "ABCD-EFGH-IJKL-MNOP-QRST";
    let wrong_code = phone.wrong_code();
    for code in ["", &wrong_code] {
        let (wrong, right) = (face(shape, code), face(&passwords[0], code));
        assert_eq!((wrong.0, &wrong.1), (Code::AUTH_ERR, &right.1));
        assert_eq!(right.0, Code::AUTH_ERR);
    }
    assert_eq!(
        login(&site, AWAY, &passwords[0], &phone.code()),
        Code::AUTH_ERR,
        "the wrong code has spent it"
    );
    let records = site.attempts(5);
    let reasons: Vec<_> = records.iter().map(|record| field(record, "reason")).collect();
    assert_eq!(reasons, ["wrong-code", "wrong-code", "wrong-code", "wrong-code", "wrong-password"]);
    let shown = site.twinlock(&["--json", "user", "show", "alice"]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["lanes"][0]["failures"], 5, "each was charged like any wrong password, and once");
    assert_eq!(events(&site, "emergency-refused").len(), 2);
    let binds = slapd.binds(&format!("uid=alice,{PEOPLE}"));
    assert_eq!(binds, 2, "one to diagnose the first wrong code, one behind the right code");
}

#[test]
fn of_fifty_at_the_same_moment_one_is_let_in() {
    let (mut slapd, site) = scene(RULES);
    let passwords = site.emergency_passwords("alice", 3);
    slapd.stop();
    for password in &passwords {
        let start = Barrier::new(50);
        let told: Vec<Code> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..50)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        login(&site, OFFICE, password, "")
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(told.iter().filter(|told| **told == Code::SUCCESS).count(), 1, "{told:?}");
    }
    let _ = site.attempts(150);
    assert_eq!(events(&site, "emergency-login").len(), 3);
}

/// Killed at any moment of such a login, the daemon never lets one in twice.
#[test]
fn whenever_the_daemon_is_killed_no_emergency_password_works_twice() {
    let (mut slapd, mut site) = scene(RULES);
    let passwords = site.emergency_passwords("alice", 20);
    slapd.stop();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut lost = 0;
    for (number, password) in (0..).zip(&passwords) {
        let before = begin(&runtime, &site, password);
        std::thread::sleep(Duration::from_micros(number * 1337 % 9_000));
        site.kill();
        let heard = runtime.block_on(before).unwrap();
        site.start_daemon();
        let again = runtime.block_on(begin(&runtime, &site, password)).unwrap();
        assert!(heard != Told::Grant || again != Told::Grant, "granted twice");
        lost += u32::from(heard != Told::Grant && again != Told::Grant);
    }
    let list = site.twinlock(&["--json", "emergency", "list"]);
    let list: serde_json::Value = serde_json::from_slice(&list.stdout).unwrap();
    assert_eq!((&list["accounts"][0]["unused"], &list["accounts"][0]["used"]), (&0.into(), &20.into()));
    assert!(lost < 20, "some were granted");
}

fn begin(runtime: &tokio::runtime::Runtime, site: &Site, password: &str) -> tokio::task::JoinHandle<Told> {
    let (socket, password) = (site.path("login.sock"), password.to_owned());
    runtime.spawn(async move {
        let Ok(stream) = tokio::net::UnixStream::connect(socket).await else { return Told::Nothing };
        Client::over(stream).login("sshd", "alice", OFFICE, &[password.as_bytes(), b""]).await
    })
}

#[test]
fn they_are_made_for_real_users_only_and_disabling_one_makes_hers_void() {
    let posing = slapd::account(&format!("uid=root,{PEOPLE}"), "root", 4001, "root's password");
    let slapd = Slapd::start_with(&posing);
    let site = Site::start(&slapd.settings("ldaps", &[slapd.ldaps_url()]), RULES);
    for users in [&["root"][..], &["nobody-at-all"], &["alice", "root"]] {
        let refused = site.twinlock(&[&["emergency", "create"], users].concat());
        assert_eq!(refused.status.code(), Some(1), "{users:?}");
    }
    let list = site.twinlock(&["emergency", "list"]);
    assert!(String::from_utf8_lossy(&list.stdout).contains("Nobody has emergency passwords"), "all or none");
    let passwords = site.emergency_passwords("alice", 2);
    let disabled = site.twinlock(&["user", "disable", "alice"]);
    assert!(
        String::from_utf8_lossy(&disabled.stdout).contains("2 emergency passwords can no longer be used")
    );
    assert_eq!(login(&site, OFFICE, &passwords[0], ""), Code::AUTH_ERR);
    assert_eq!(site.twinlock(&["emergency", "create", "alice"]).status.code(), Some(1), "not while disabled");
    assert_eq!(site.twinlock(&["user", "enable", "alice"]).status.code(), Some(0));
    assert_eq!(login(&site, OFFICE, &passwords[1], ""), Code::AUTH_ERR, "void for ever");
    let again = site.emergency_passwords("alice", 1);
    assert_eq!(login(&site, OFFICE, &again[0], ""), Code::SUCCESS);
}
