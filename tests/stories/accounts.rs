//! The life of an account's authenticators, and the administrator's lock.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fmt::Write;
use std::time::Instant;
use support::pam::Code;
use support::site::{Phone, RULES, Site, field};
use support::slapd::{self, PEOPLE, Slapd};

const AWAY: &str = "203.0.113.7";
const TICK_MS: u128 = 250;

fn scene(more: &str, rules: &str) -> (Slapd, Site) {
    let slapd = Slapd::start_with(more);
    let site = Site::start(&slapd.settings("ldaps", &[slapd.ldaps_url()]), rules);
    (slapd, site)
}

fn login(site: &Site, user: &str, code: &str) -> Code {
    site.stack("sshd").login(user).from(AWAY).typing(&format!("{user}'s password"), code).authenticate(0)
}

fn json(site: &Site, arguments: &[&str]) -> serde_json::Value {
    let output = site.twinlock(&[&["--json"], arguments].concat());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn names(list: &serde_json::Value) -> Vec<&str> {
    list["users"].as_array().unwrap().iter().map(|user| user["account"].as_str().unwrap()).collect()
}

fn events(site: &Site, word: &str) -> Vec<String> {
    let marker = format!(": {word} ");
    site.records().into_iter().filter(|line| line.contains(&marker)).collect()
}

/// Promise 7: whoever is disabled sees what a wrong password shows, and lanes close as they do for guesses.
#[test]
fn a_disabled_user_is_denied_with_the_face_of_a_wrong_password_and_key_logins_too() {
    let key = "[[rule]]\nname = \"key alone\"\nservices = [\"sshd\"]\nafter = [\"sshd\"]\nrequire = []\n\
               single_factor = true\n";
    let rules = RULES.replacen("[[rule]]", &format!("{key}[[rule]]"), 1);
    let (_slapd, site) = scene("", &rules);
    let mut phone = site.enroll("alice");
    let by_key = || site.stack("sshd").login("alice").from(AWAY).acct_mgmt(0);
    assert_eq!(by_key(), Code::SUCCESS);
    let arguments = ["user", "disable", "alice", "--until", "2999-12-31", "--reason", "left \"us\""];
    assert_eq!(site.twinlock(&arguments).status.code(), Some(0));
    let shown = json(&site, &["user", "show", "alice"]);
    assert_eq!(
        (&shown["disabled"]["reason"], &shown["disabled"]["by"].is_string()),
        (&"left \"us\"".into(), &true)
    );

    let face = |password: &str, code: &str| {
        let started = Instant::now();
        let stack = site.stack("sshd");
        let mut handle = stack.login("alice").from(AWAY).typing(password, code);
        let told = handle.authenticate(0);
        (told, handle.transcript(), started.elapsed().as_millis() / TICK_MS)
    };
    let code = phone.code();
    let (wrong, right) = (face("alice's passwrod", &code), face("alice's password", &code));
    assert_eq!((wrong.0, &wrong.1), (right.0, &right.1));
    assert_eq!(right.0, Code::AUTH_ERR);
    assert_eq!(by_key(), Code::PERM_DENIED);
    let records = site.attempts(4);
    let reasons: Vec<_> = records.iter().map(|record| field(record, "reason")).collect();
    assert_eq!(
        reasons,
        ["rule-met", "wrong-password", "disabled-by-administrator", "disabled-by-administrator"]
    );
    assert_eq!((field(&records[2], "password"), field(&records[2], "code")), ("right", "right"));
    let shown = json(&site, &["user", "show", "alice"]);
    assert_eq!(shown["lanes"][0]["failures"], 2, "both are counted alike");

    assert_eq!(site.twinlock(&["user", "enable", "alice"]).status.code(), Some(0));
    assert_eq!(by_key(), Code::SUCCESS);
    assert_eq!(login(&site, "alice", &phone.code()), Code::SUCCESS);
    let event = &events(&site, "user-disabled")[0];
    assert_eq!((field(event, "user"), field(event, "until")), ("alice", "2999-12-31"));
    assert_eq!(events(&site, "user-enabled").len(), 1);
}

#[test]
fn a_lock_survives_kill_dash_nine_and_a_day_that_is_over_is_refused() {
    let (_slapd, mut site) = scene("", RULES);
    let mut phone = site.enroll("alice");
    let over = site.twinlock(&["user", "disable", "alice", "--until", "2020-01-01"]);
    assert_eq!(over.status.code(), Some(2), "{}", String::from_utf8_lossy(&over.stderr));
    let no_day = site.twinlock(&["user", "disable", "alice", "--until", "tomorrow"]);
    assert_eq!(no_day.status.code(), Some(2));
    assert_eq!(login(&site, "alice", &phone.code()), Code::SUCCESS);
    assert_eq!(site.twinlock(&["user", "disable", "alice"]).status.code(), Some(0));
    site.kill();
    site.start_daemon();
    assert_eq!(login(&site, "alice", &phone.code()), Code::AUTH_ERR);
    assert_eq!(field(&site.attempt(2), "reason"), "disabled-by-administrator");
}

/// A new phone: the old one is good until a code of the new one was shown.
#[test]
fn a_phone_is_replaced_and_a_lost_one_removed() {
    let (_slapd, site) = scene("", RULES);
    let mut old = site.enroll("alice");
    let made = json(&site, &["enroll", "alice", "--replace"]);
    let seed = made["uri"].as_str().unwrap().split_once("secret=").unwrap().1.split('&').next().unwrap();
    let mut new = Phone::with_seed(seed);
    assert_eq!(login(&site, "alice", &new.wrong_code()), Code::AUTH_ERR);
    assert_eq!(login(&site, "alice", &old.code()), Code::SUCCESS, "the old one is good");
    assert!(site.twinlock(&["enroll", "alice", "--confirm", &new.code()]).status.success());
    assert_eq!(login(&site, "alice", &old.code()), Code::AUTH_ERR, "now it is not");
    assert_eq!(login(&site, "alice", &new.code()), Code::SUCCESS);
    let none = site.twinlock(&["user", "revoke", "alice", "tablet"]);
    assert_eq!(none.status.code(), Some(1));
    let gone = site.twinlock(&["user", "revoke", "alice", "phone"]);
    let said = String::from_utf8_lossy(&gone.stdout).into_owned();
    assert!(said.contains("nothing lets alice in until there is another"), "{said}");
    assert_eq!(login(&site, "alice", &new.code()), Code::AUTH_ERR);
    assert_eq!(field(&site.attempt(5), "reason"), "no-authenticator");
    assert_eq!(events(&site, "authenticator-replaced").len(), 1);
    assert_eq!(field(&events(&site, "authenticator-revoked")[0], "label"), "phone");
}

/// Over more pages than one, of the store and of the directory.
#[test]
fn users_are_listed_and_those_without_an_authenticator_found_in_the_whole_directory() {
    let crowd: String = (0..600).fold(String::new(), |mut ldif, number| {
        let user = format!("user{number:03}");
        let entry = slapd::account(&format!("uid={user},{PEOPLE}"), &user, 5000 + number, "a password");
        let _ = write!(ldif, "{entry}");
        ldif
    });
    let posing = slapd::account(&format!("uid=root,{PEOPLE}"), "root", 4001, "a password");
    let (_slapd, site) = scene(&(crowd + &posing), RULES);
    assert_eq!(names(&json(&site, &["user", "list"])), Vec::<&str>::new());
    let _alice = site.enroll("alice");
    let _middle = site.enroll("user300");
    let _codes = site.recovery_codes("bob");
    assert_eq!(site.twinlock(&["user", "disable", "carol"]).status.code(), Some(0));
    let listed = json(&site, &["user", "list"]);
    assert_eq!(names(&listed), ["alice", "bob", "carol", "user300"]);
    assert_eq!(
        (&listed["users"][2]["disabled"], &listed["users"][1]["recovery_codes_left"]),
        (&true.into(), &10.into())
    );

    let without = json(&site, &["user", "list", "--without-authenticator"]);
    let found = names(&without);
    assert_eq!(found.iter().filter(|name| name.starts_with("user")).count(), 599);
    for (name, expected) in
        [("bob", true), ("carol", true), ("alice", false), ("user300", false), ("root", false)]
    {
        assert_eq!(found.contains(&name), expected, "{name}");
    }
    let text = site.twinlock(&["user", "list", "--without-authenticator"]);
    assert!(String::from_utf8_lossy(&text.stdout).contains("carol (main:"));
}
