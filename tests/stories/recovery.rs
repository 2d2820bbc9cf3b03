//! A lost phone: recovery codes on real parts, in open and closed lanes, once and never twice.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::HashMap;
use std::sync::Barrier;
use std::time::Duration;
use support::client::{Client, Told};
use support::pam::{Code, Style};
use support::site::{RULES, Site, field};
use support::slapd::{PEOPLE, Slapd};

const NEW_PLACE: &str = "198.51.100.200";

fn scene(rules: &str) -> (Slapd, Site) {
    let slapd = Slapd::start();
    let site = Site::start(&slapd.settings("ldaps", &[slapd.ldaps_url()]), rules);
    (slapd, site)
}

fn login(site: &Site, from: &str, password: &str, code: &str) -> Code {
    site.stack("sshd").login("alice").from(from).typing(password, code).authenticate(0)
}

/// Strangers guess until the lane of strangers is closed; the number of attempts that took.
fn close_the_lane(site: &Site) -> usize {
    for stranger in 0..3 {
        let from = format!("203.0.113.{stranger}");
        assert_eq!(login(site, &from, "alice's password", "000000"), Code::AUTH_ERR);
    }
    3
}

fn left(site: &Site) -> u64 {
    let output = site.twinlock(&["--json", "user", "show", "alice"]);
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    shown["recovery_codes_left"].as_u64().unwrap()
}

/// Promises 2 and 9: in the code's stead, with a word about how many are left, and once.
#[test]
fn a_recovery_code_lets_in_once_and_tells_how_many_are_left() {
    let (_slapd, site) = scene(RULES);
    let _phone = site.enroll("alice");
    let codes = site.recovery_codes("alice");
    assert_eq!(codes.len(), 10);
    let stack = site.stack("sshd").revealing_authtok();
    let mut handle = stack.login("alice").from(NEW_PLACE).typing("alice's password", &codes[0]);
    assert_eq!(handle.authenticate(0), Code::SUCCESS);
    assert_eq!(stack.revealed_authtok().unwrap(), b"alice's password");
    let told: Vec<_> = handle.transcript().into_iter().filter(|line| line.style == Style::Info).collect();
    assert_eq!(told.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["9 recovery codes left."]);
    assert_eq!(login(&site, NEW_PLACE, "alice's password", &codes[0]), Code::AUTH_ERR, "once");
    let records = site.attempts(2);
    assert_eq!((field(&records[0], "code"), field(&records[0], "reason")), ("recovery", "rule-met"));
    assert_eq!((field(&records[1], "code"), field(&records[1], "reason")), ("used", "replayed-code"));
    let used: Vec<_> =
        site.records().into_iter().filter(|line| line.contains(": recovery-code-used ")).collect();
    assert_eq!(used.len(), 1, "{used:#?}");
    assert_eq!((field(&used[0], "left"), field(&used[0], "verdict")), ("9", "granted"));
    assert_eq!(left(&site), 9);
    assert!(site.records().iter().all(|line| !line.contains(&codes[0])), "no record holds one");
}

/// Promise 5: the phone is gone, strangers have closed the lane, the owner is at a new place.
#[test]
fn the_owner_without_a_phone_enters_a_closed_lane_typed_as_a_code_or_behind_the_password() {
    let (slapd, site) = scene(RULES);
    let _phone = site.enroll("alice");
    let codes = site.recovery_codes("alice");
    let before = close_the_lane(&site);
    let by = |service: &str, from: &str, password: &str, code: &str| {
        site.stack(service).login("alice").from(from).typing(password, code).authenticate(0)
    };
    let spoken = codes[0].to_lowercase().replace('-', " ");
    assert_eq!(by("sshd", "198.51.100.1", "alice's password", &spoken), Code::SUCCESS);
    let field_of = |code: &str| format!("alice's password{code}");
    assert_eq!(by("xrdp-sesman", "198.51.100.2", &field_of(&codes[1]), ""), Code::SUCCESS, "one field");
    let repeated = field_of(&codes[2]);
    assert_eq!(by("vsftpd", "198.51.100.3", &repeated, &repeated), Code::SUCCESS, "an answer repeated");
    let records = site.attempts(before + 3);
    for record in &records[before..] {
        assert_eq!((field(record, "code"), field(record, "reason")), ("recovery", "rule-met"), "{record}");
    }
    assert_eq!(slapd.binds(&format!("uid=alice,{PEOPLE}")), 1 + 3, "one diagnosis, and one for each login");
    assert_eq!(by("sshd", "198.51.100.4", "alice's password", "000000"), Code::AUTH_ERR, "closed as before");
    assert_eq!(field(&site.attempt(before + 4), "reason"), "lane-closed");
}

/// Promise 5: where no code is asked, a recovery code behind the password opens a lane that others have closed.
#[test]
fn behind_a_password_alone_it_opens_a_closed_lane_too() {
    let (_slapd, site) = scene(RULES);
    let codes = site.recovery_codes("alice");
    let desk = |password: &str| {
        site.stack("desk").login("alice").from("192.0.2.44").typing(password, "").authenticate(0)
    };
    for guess in 0..3 {
        assert_eq!(desk(&format!("guess {guess}")), Code::AUTH_ERR);
    }
    assert_eq!(desk("alice's password"), Code::AUTH_ERR, "the lane of this office is closed");
    assert_eq!(desk(&format!("alice's password{}", codes[0])), Code::SUCCESS);
    assert_eq!(field(&site.attempt(5), "code"), "recovery");
}

/// Promise 5: recovery codes and two codes share the limits of the way in, and a wrong one is no free look anywhere.
#[test]
fn wrong_recovery_codes_are_charged_in_an_open_lane_and_limited_in_a_closed_one() {
    let (_slapd, site) = scene(RULES);
    let _phone = site.enroll("alice");
    let codes = site.recovery_codes("alice");
    for _ in 0..3 {
        assert_eq!(login(&site, NEW_PLACE, "alice's password", "ABCD-EFGH-IJKL-MNOP"), Code::AUTH_ERR);
    }
    for code in ["ABCD-EFGH-IJKL-MNOP", "000000000000", "ABCDEFGHIJKLMNOP"] {
        assert_eq!(login(&site, NEW_PLACE, "alice's password", code), Code::AUTH_ERR);
    }
    assert_eq!(login(&site, NEW_PLACE, "alice's password", &codes[0]), Code::AUTH_ERR, "three an hour");
    let records = site.attempts(7);
    let reasons: Vec<_> = records.iter().map(|record| field(record, "reason")).collect();
    assert_eq!(
        reasons,
        ["wrong-code", "wrong-code", "wrong-code", "no-way-in", "no-way-in", "no-way-in", "lane-closed"]
    );
    assert_eq!(left(&site), 10, "a refused one is not spent");
    assert_eq!(login(&site, "198.51.100.201", "alice's password", &codes[0]), Code::SUCCESS, "elsewhere");
}

/// Promise 2: of fifty at the same moment, one.
#[test]
fn of_fifty_parallel_logins_with_one_recovery_code_exactly_one_is_granted() {
    let (_slapd, site) = scene(&format!("{RULES}\n[tarpit]\nfree = 60\n"));
    let _phone = site.enroll("alice");
    let codes = site.recovery_codes("alice");
    for (round, code) in (1..).zip(&codes[..2]) {
        let start = Barrier::new(50);
        let told: Vec<Code> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..50)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        login(&site, NEW_PLACE, "alice's password", code)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(told.iter().filter(|told| **told == Code::SUCCESS).count(), 1, "{told:?}");
        assert_eq!(left(&site), 10 - round);
        // What the losers were charged must not close the lane to the next round.
        let _ = site.attempts(50 * usize::try_from(round).unwrap());
        assert!(site.twinlock(&["user", "unlock", "alice"]).status.success());
    }
}

/// A new set is printed once, and the old one is worth nothing.
#[test]
fn a_new_set_voids_the_old_one() {
    let (_slapd, site) = scene(RULES);
    let _phone = site.enroll("alice");
    let (old, new) = (site.recovery_codes("alice"), site.recovery_codes("alice"));
    assert_eq!(login(&site, NEW_PLACE, "alice's password", &old[0]), Code::AUTH_ERR);
    assert_eq!(login(&site, NEW_PLACE, "alice's password", &new[0]), Code::SUCCESS);
    let made: Vec<_> =
        site.records().into_iter().filter(|line| line.contains(": recovery-codes-made ")).collect();
    assert_eq!(made.iter().map(|line| field(line, "voided")).collect::<Vec<_>>(), ["0", "10"]);
}

/// Promise 2: killed at any moment of a login, the daemon never lets a recovery code in twice.
#[test]
fn whenever_the_daemon_is_killed_no_recovery_code_works_twice() {
    let slapd = Slapd::start();
    // A bind whose attempt died counts as one the directory may have counted.
    let directory =
        slapd.settings("ldaps", &[slapd.ldaps_url()]) + "\nlockout = { failures = 1000, within = \"30m\" }\n";
    let rules = format!("{RULES}\n[tarpit]\nfree = 1000\nguess_budget = \"50%/year\"\n");
    let mut site = Site::start(&directory, &rules);
    let _phone = site.enroll("alice");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (mut granted, mut spent_unheard) = (HashMap::<String, u32>::new(), 0);
    for round in 0..4_u64 {
        let codes = site.recovery_codes("alice");
        for (number, code) in (0..).zip(&codes) {
            // Each is shown before the kill and again after it.
            let before = begin(&runtime, &site, code);
            std::thread::sleep(Duration::from_micros((round * 10 + number) * 1337 % 40_000));
            site.kill();
            let heard = runtime.block_on(before).unwrap();
            site.start_daemon();
            let again = runtime.block_on(begin(&runtime, &site, code)).unwrap();
            for told in [heard, again] {
                *granted.entry(code.clone()).or_default() += u32::from(told == Told::Grant);
            }
            spent_unheard += u32::from(heard == Told::Nothing && again == Told::Deny);
        }
        assert_eq!(left(&site), 0, "every one was used at last");
    }
    assert!(granted.values().all(|times| *times <= 1), "granted twice: {granted:?}");
    let heard: u32 = granted.values().sum();
    assert_eq!(heard + spent_unheard, 40, "each was granted, or died with its attempt");
}

/// Begins a login with a code; what comes of it when it ends.
fn begin(runtime: &tokio::runtime::Runtime, site: &Site, code: &str) -> tokio::task::JoinHandle<Told> {
    let (socket, code) = (site.path("login.sock"), code.to_owned());
    runtime.spawn(async move {
        let Ok(stream) = tokio::net::UnixStream::connect(socket).await else { return Told::Nothing };
        let answers: [&[u8]; 2] = [b"alice's password", code.as_bytes()];
        Client::over(stream).login("sshd", "alice", NEW_PLACE, &answers).await
    })
}
