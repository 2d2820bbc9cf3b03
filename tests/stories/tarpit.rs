//! The tarpit on real parts: strangers guess, the owner gets in, the directory's own lock-out is never reached.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use support::pam::Code;
use support::site::{Phone, RULES, Site, field, step_now};
use support::slapd::{PEOPLE, Slapd, account};

const NEW_PLACE: &str = "198.51.100.200";

fn scene(rules: &str) -> (Slapd, Site) {
    let slapd = Slapd::start();
    let site = Site::start(&slapd.settings("ldaps", &[slapd.ldaps_url()]), rules);
    (slapd, site)
}

fn login(site: &Site, from: &str, password: &str, code: &str) -> Code {
    site.stack("sshd").login("alice").from(from).typing(password, code).authenticate(0)
}

/// The code of the step before and that of the present one, typed as one.
fn two_codes(phone: &Phone) -> String {
    let now = step_now();
    phone.code_at(now - 1) + &phone.code_at(now)
}

/// Promise 5: whoever finds the lane closed still enters with two consecutive codes.
#[test]
fn the_owner_at_a_new_place_enters_a_closed_lane_with_two_consecutive_codes_once() {
    let (slapd, site) = scene(RULES);
    let phone = site.enroll("alice");
    for stranger in 0..4 {
        login(&site, &format!("203.0.113.{stranger}"), "alice's password", &phone.wrong_code());
    }
    assert_eq!(login(&site, NEW_PLACE, "alice's password", &phone.code_at(step_now())), Code::AUTH_ERR);
    let two = two_codes(&phone);
    assert_eq!(login(&site, NEW_PLACE, "alice's password", &two), Code::SUCCESS);
    assert_eq!(login(&site, "198.51.100.201", "alice's password", &two), Code::AUTH_ERR, "both are spent");
    let records = site.attempts(7);
    let reasons: Vec<_> = records[3..].iter().map(|record| field(record, "reason")).collect();
    assert_eq!(reasons, ["lane-closed", "lane-closed", "rule-met", "no-way-in"]);
    assert_eq!(
        slapd.binds(&format!("uid=alice,{PEOPLE}")),
        2,
        "hers, and one diagnosis of three wrong codes"
    );
}

/// Promise 5: three tries an hour from one address.
#[test]
fn the_way_in_is_tried_three_times_an_hour_from_one_address() {
    let (_slapd, site) = scene(RULES);
    let phone = site.enroll("alice");
    for stranger in 0..3 {
        login(&site, &format!("203.0.113.{stranger}"), "alice's password", &phone.wrong_code());
    }
    for _ in 0..5 {
        assert_eq!(login(&site, NEW_PLACE, "alice's password", "000000000000"), Code::AUTH_ERR);
    }
    let records = site.attempts(8);
    let reasons: Vec<_> = records[3..].iter().map(|record| field(record, "reason")).collect();
    assert_eq!(reasons, ["no-way-in", "no-way-in", "no-way-in", "lane-closed", "lane-closed"]);
}

const CODELESS: &str = r#"
[location.office]
networks = ["192.0.2.0/24"]
[[rule]]
name = "desks"
services = ["desk"]
from = ["office"]
require = ["password"]
[[rule]]
name = "everyone else"
require = ["password", "code"]
[tarpit]
free = 50
"#;

fn at_the_desk(site: &Site, from: &str, password: &str) -> Code {
    site.stack("desk").login("alice").from(from).typing(password, "").authenticate(0)
}

/// Promise 4: failed binds stay below the directory's lock-out, waived rules included.
#[test]
fn the_directory_sees_fewer_failed_binds_than_its_own_lock_out_limit() {
    let (slapd, site) = scene(CODELESS);
    let alice = format!("uid=alice,{PEOPLE}");
    let mut phone = site.enroll("alice");
    for guess in 0..20 {
        assert_eq!(
            at_the_desk(&site, &format!("192.0.2.{guess}"), &format!("guess {guess}")),
            Code::AUTH_ERR
        );
    }
    assert_eq!(slapd.binds(&alice), 3, "the directory would lock at five");
    assert_eq!(at_the_desk(&site, "192.0.2.77", "alice's password"), Code::AUTH_ERR);
    assert_eq!(field(&site.attempt(21), "reason"), "no-bind-left");
    assert_eq!(
        login(&site, NEW_PLACE, "alice's password", &phone.code()),
        Code::SUCCESS,
        "the last one is kept for a right code"
    );
    assert_eq!(
        at_the_desk(&site, "192.0.2.77", "alice's password"),
        Code::SUCCESS,
        "and gives the others back"
    );
}

/// Promise 5: an office has no prefix lane, whose twenty slots the twenty-first would find taken.
#[test]
fn twenty_one_good_logins_at_once_from_one_office_address_are_all_granted() {
    let clerks: Vec<_> = (0..21).map(|number| format!("clerk{number}")).collect();
    let entries: String = (3000..)
        .zip(&clerks)
        .map(|(uid, name)| account(&format!("uid={name},{PEOPLE}"), name, uid, &format!("{name}'s password")))
        .collect();
    let slapd = Slapd::start_with(&entries);
    let rules = CODELESS.replace("free = 50", "");
    let site = Site::start(&slapd.settings("ldaps", &[slapd.ldaps_url()]), &rules);
    let at_desk = |name: &str| {
        let password = format!("{name}'s password");
        site.stack("desk").login(name).from("192.0.2.7").typing(&password, "").authenticate(0)
    };
    let told = at_once(clerks.iter().map(String::as_str), at_desk);
    assert_eq!(told, [Code::SUCCESS; 21], "one each: {:#?}", site.attempts(21));
    let told = at_once((0..21).map(|number| clerks[number / 3].as_str()), at_desk);
    assert_eq!(told, [Code::SUCCESS; 21], "three each of seven: {:#?}", site.attempts(42));
    let records = site.attempts(42);
    let lanes = |records: &[String]| -> BTreeSet<String> {
        records.iter().map(|record| field(record, "lane").to_owned()).collect()
    };
    assert_eq!(lanes(&records[..21]), BTreeSet::from(["in office".to_owned()]));
    assert_eq!(
        lanes(&records[21..]),
        BTreeSet::from(["from 192.0.2.7/32".to_owned()]),
        "they were let in here"
    );
}

/// Promise 3, for clients that open a connection for each file.
#[test]
fn four_transfers_of_one_user_at_once_under_a_waiver_are_all_granted() {
    let (_slapd, site) = scene(&CODELESS.replace("free = 50", ""));
    for round in 1..=5 {
        let told = at_once(["alice"; 4].into_iter(), |_| at_the_desk(&site, "192.0.2.8", "alice's password"));
        assert_eq!(told, [Code::SUCCESS; 4], "round {round}: {:#?}", site.attempts(4 * round));
    }
}

/// Promise 5: an address that strangers have closed stays open to whoever was let in from there before.
#[test]
fn a_known_pair_behind_the_attackers_own_address_gets_in_at_twenty_of_twenty_tries() {
    const SHARED: &str = "203.0.113.66";
    let mail =
        "[[rule]]\nname = \"mail\"\nservices = [\"mail\"]\nrequire = [\"password\"]\nsingle_factor = true\n";
    let (_slapd, site) =
        scene(&CODELESS.replacen("[[rule]]", &format!("{mail}[[rule]]"), 1).replace("free = 50", ""));
    let mail = |name: &str, password: &str| {
        site.stack("mail").login(name).from(SHARED).typing(password, "").authenticate(0)
    };
    assert_eq!(mail("carol", "carol's password"), Code::SUCCESS, "she becomes known here");
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for attacker in 0..20 {
            let (over, mail) = (&over, &mail);
            scope.spawn(move || {
                for guess in 0.. {
                    if over.load(std::sync::atomic::Ordering::Relaxed) {
                        return;
                    }
                    let name = ["bob", "dave", "nobody"][attacker % 3];
                    assert_eq!(mail(name, &format!("guess {guess} of {attacker}")), Code::AUTH_ERR);
                }
            });
        }
        std::thread::sleep(std::time::Duration::from_secs(1));
        let told: Vec<_> = (0..20)
            .map(|_| {
                std::thread::sleep(std::time::Duration::from_millis(100));
                mail("carol", "carol's password")
            })
            .collect();
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(told, [Code::SUCCESS; 20]);
    });
    let shut = |record: &String| field(record, "reason") == "prefix-closed";
    assert!(site.records().iter().any(shut), "the attackers had closed it");
    assert_eq!(mail("erin", "erin's password"), Code::AUTH_ERR, "to everybody else it is closed");
}

/// Logs in for every name, each in a thread of its own, and none begins before all are there.
fn at_once<'a>(
    names: impl ExactSizeIterator<Item = &'a str>,
    login: impl Fn(&str) -> Code + Sync,
) -> Vec<Code> {
    let start = std::sync::Barrier::new(names.len());
    let (start, login) = (&start, &login);
    std::thread::scope(|scope| {
        let threads: Vec<_> = names
            .map(|name| {
                scope.spawn(move || {
                    start.wait();
                    login(name)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// The same wrong password again counts once where no code is asked, and is bound once.
#[test]
fn a_client_that_repeats_a_wrong_password_is_bound_and_counted_once() {
    let (slapd, site) = scene(CODELESS);
    for _ in 0..10 {
        assert_eq!(at_the_desk(&site, "192.0.2.5", "an old password"), Code::AUTH_ERR);
    }
    assert_eq!(slapd.binds(&format!("uid=alice,{PEOPLE}")), 1);
    let records = site.attempts(10);
    assert_eq!(field(&records[0], "reason"), "wrong-password");
    assert!(records[1..].iter().all(|record| field(record, "reason") == "repeated-password"));
    let shown = site.twinlock(&["--json", "user", "show", "alice"]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["lanes"][0]["failures"], 1);
    assert_eq!(at_the_desk(&site, "192.0.2.5", "alice's password"), Code::SUCCESS);
}

const SPREAD: &str = r#"
[location.office]
networks = ["192.0.2.0/24"]
[[rule]]
name = "everyone"
require = ["password", "code"]
[tarpit]
spread_limit = { failures = 6, accounts = 3, within = "10m", for = "5m" }
"#;

/// Promise 5: guesses spread over many accounts raise unfamiliar places to two codes; whoever is known notices nothing.
#[test]
fn guesses_spread_over_many_accounts_raise_unfamiliar_places_to_two_codes_and_nothing_else() {
    let (_slapd, site) = scene(SPREAD);
    let mut phone = site.enroll("alice");
    assert_eq!(
        login(&site, NEW_PLACE, "alice's password", &phone.code()),
        Code::SUCCESS,
        "her address is known now"
    );
    for guess in 0..6 {
        let user = ["bob", "carol", "dave"][guess % 3];
        let from = format!("203.0.113.{guess}");
        let told = site.stack("sshd").login(user).from(&from).typing("x", "000000").authenticate(0);
        assert_eq!(told, Code::AUTH_ERR);
    }
    let _ = site.attempts(7);
    for event in ["spread-attack", "password-sprayed accounts=\"3\""] {
        assert_eq!(site.records().iter().filter(|record| record.contains(event)).count(), 1, "{event}");
    }
    let elsewhere = "198.51.100.250";
    assert_eq!(login(&site, elsewhere, "alice's password", &phone.code()), Code::AUTH_ERR);
    assert_eq!(field(&site.attempt(8), "reason"), "two-codes-only");
    assert_eq!(login(&site, "192.0.2.9", "alice's password", &phone.code()), Code::SUCCESS, "the office");
}
