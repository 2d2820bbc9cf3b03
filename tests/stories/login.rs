//! Logins from a PAM application to a real LDAP server and back: libpam, the release module, the release daemon,
//! slapd. Each story's name says what holds; the promise it belongs to stands above it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};
use support::client::{Client, Told, many_connections};
use support::pam::Code;
use support::site::{Phone, RULES, Site, field};
use support::slapd::{self, PEOPLE, Slapd};

/// Outside every named network.
const AWAY: &str = "203.0.113.7";
/// A denial leaves on a multiple of it after the last answer.
const TICK_MS: u128 = 250;

fn over_ldaps(slapd: &Slapd) -> String {
    slapd.settings("ldaps", &[slapd.ldaps_url()])
}

fn ordinary() -> (Slapd, Site) {
    let slapd = Slapd::start();
    let site = Site::start(&over_ldaps(&slapd), RULES);
    (slapd, site)
}

fn login(site: &Site, user: &str, password: &str, code: &str) -> Code {
    site.stack("sshd").login(user).from(AWAY).typing(password, code).authenticate(0)
}

/// Rules as [`RULES`], with a tarpit of their own.
fn rules_with(tarpit: &str) -> String {
    format!("{RULES}\n[tarpit]\n{tarpit}\n")
}

#[test]
fn a_right_password_and_a_right_code_let_in_over_ldaps_starttls_and_ldapi() {
    let slapd = Slapd::start();
    for (mode, url) in
        [("ldaps", slapd.ldaps_url()), ("starttls", slapd.ldap_url()), ("none", slapd.ldapi_url())]
    {
        let site = Site::start(&slapd.settings(mode, &[url]), RULES);
        let mut phone = site.enroll("alice");
        let stack = site.stack("sshd").revealing_authtok();
        let mut handle = stack.login("alice").from(AWAY).typing("alice's password", &phone.code());
        assert_eq!(handle.authenticate(0), Code::SUCCESS, "{mode}");
        assert_eq!(handle.prompts(), ["Password: ", "Verification code: "]);
        assert_eq!(
            stack.revealed_authtok().unwrap(),
            b"alice's password",
            "PAM_AUTHTOK is the password alone"
        );
        let record = site.attempt(1);
        for (key, value) in [
            ("verdict", "grant"),
            ("reason", "rule-met"),
            ("user", "alice"),
            ("service", "sshd"),
            ("source", AWAY),
            ("rule", "everyone else"),
            ("asked", "password,code"),
            ("password", "right"),
            ("code", "right"),
            ("waiver", "-"),
            ("lane", "unfamiliar"),
        ] {
            assert_eq!(field(&record, key), value, "{key} in {record}");
        }
        assert!(field(&record, "account").starts_with("main:"), "{record}");
    }
}

/// Promise 2.
#[test]
fn a_code_is_refused_the_second_time_and_after_kill_dash_nine_and_restart() {
    let (slapd, mut site) = ordinary();
    let mut phone = site.enroll("alice");
    let code = phone.code();
    assert_eq!(login(&site, "alice", "alice's password", &code), Code::SUCCESS);
    assert_eq!(login(&site, "alice", "alice's password", &code), Code::AUTH_ERR);
    site.kill();
    site.start_daemon();
    assert_eq!(login(&site, "alice", "alice's password", &code), Code::AUTH_ERR);
    let records = site.attempts(3);
    assert_eq!(field(&records[1], "reason"), "replayed-code");
    assert_eq!(field(&records[2], "reason"), "replayed-code");
    assert_eq!(slapd.binds(&format!("uid=alice,{PEOPLE}")), 1, "a replay never reaches the directory");
    assert_eq!(login(&site, "alice", "alice's password", &phone.code()), Code::SUCCESS);
}

/// Promise 2: of N at the same moment, one.
#[test]
fn of_fifty_parallel_logins_with_one_code_from_a_known_pair_exactly_one_is_granted() {
    let slapd = Slapd::start();
    let site = Site::start(&over_ldaps(&slapd), &rules_with("free = 60"));
    let mut phone = site.enroll("alice");
    assert_eq!(
        login(&site, "alice", "alice's password", &phone.code()),
        Code::SUCCESS,
        "the pair becomes known"
    );
    for round in 0..2 {
        let code = phone.code();
        let start = Arc::new(Barrier::new(50));
        let codes = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..50 {
                scope.spawn(|| {
                    let stack = site.stack("sshd");
                    let mut handle = stack.login("alice").from(AWAY).typing("alice's password", &code);
                    start.wait();
                    let result = handle.authenticate(0);
                    codes.lock().unwrap().push(result);
                });
            }
        });
        let codes = codes.into_inner().unwrap();
        assert_eq!(codes.iter().filter(|code| **code == Code::SUCCESS).count(), 1, "{codes:?}");
        assert_eq!(codes.iter().filter(|code| **code == Code::AUTH_ERR).count(), 49, "{codes:?}");
        let records = site.attempts(1 + 50 * (round + 1));
        let compared = records[1..].iter().filter(|record| field(record, "code") != "-").count();
        assert_eq!(compared, 50 * (round + 1), "all of them reached the comparison");
        assert!(records[1..].iter().all(|record| field(record, "lane") == format!("from {AWAY}/32")));
    }
}

/// Promise 3: charge first.
#[test]
fn five_thousand_parallel_wrong_guesses_reach_the_comparison_as_often_as_the_lane_allows() {
    many_connections();
    let (slapd, mut site) = ordinary();
    let phone = site.enroll("alice");
    let wrong = phone.wrong_code();
    let socket = site.path("login.sock");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let told = runtime.block_on(async {
        let places = Arc::new(tokio::sync::Semaphore::new(1000));
        let guesses: Vec<_> = (0..5000u32)
            .map(|number| {
                let (socket, wrong, places) = (socket.clone(), wrong.clone(), Arc::clone(&places));
                tokio::spawn(async move {
                    let _place = places.acquire_owned().await.unwrap();
                    let source = std::net::Ipv4Addr::from_bits(0xcb00_0000 | number);
                    let client = Client::connect(&socket).await;
                    client.login("sshd", "alice", &source.to_string(), &[b"guess", wrong.as_bytes()]).await
                })
            })
            .collect();
        let mut told = Vec::new();
        for guess in guesses {
            told.push(guess.await.unwrap());
        }
        told
    });
    assert!(told.iter().all(|told| *told == Told::Deny), "everybody is told the same");
    let compared = site.attempts(5000).iter().filter(|record| field(record, "code") == "wrong").count();
    assert_eq!(compared, 3, "the default lane lets three through before its first wait");
    site.stop();
    assert_eq!(slapd.binds(&format!("uid=alice,{PEOPLE}")), 1, "promise 4: the directory sees one diagnosis");
}

/// Promise 2: a reserved step serves the same pair again.
#[test]
fn a_mistyped_password_does_not_cost_the_code() {
    let (_slapd, site) = ordinary();
    let mut phone = site.enroll("alice");
    let code = phone.code();
    assert_eq!(login(&site, "alice", "alice's passwrod", &code), Code::AUTH_ERR);
    let elsewhere = site
        .stack("sshd")
        .login("alice")
        .from("203.0.113.8")
        .typing("alice's password", &code)
        .authenticate(0);
    assert_eq!(elsewhere, Code::AUTH_ERR, "for everybody else the code is used");
    assert_eq!(login(&site, "alice", "alice's password", &code), Code::SUCCESS);
    let records = site.attempts(3);
    assert_eq!(field(&records[0], "reason"), "wrong-password");
    assert_eq!(field(&records[1], "reason"), "replayed-code");
    assert_eq!(field(&records[2], "reason"), "rule-met");
}

/// Promise 7: the same face.
#[test]
fn an_unknown_account_a_wrong_code_and_a_wrong_password_look_alike() {
    let slapd = Slapd::start();
    let site = Site::start(&over_ldaps(&slapd), &rules_with("free = 20"));
    let mut phone = site.enroll("alice");
    let (wrong, right) = (phone.wrong_code(), phone.code());
    let face = |user: &str, code: &str| {
        // A reserved code serves three tries. The shortest counts: on a busy machine any of them may miss its tick.
        let tries = (0..3).map(|_| {
            let started = Instant::now();
            let stack = site.stack("sshd");
            let mut handle = stack.login(user).from(AWAY).typing("x", code);
            let told = handle.authenticate(0);
            (started.elapsed().as_millis() / TICK_MS, told, handle.transcript())
        });
        tries.min_by_key(|(ticks, ..)| *ticks).unwrap()
    };
    let faces = [face("nobody", &wrong), face("alice", &wrong), face("alice", &right)];
    assert_eq!((faces[0].0, faces[0].1), (1, Code::AUTH_ERR), "the first tick after the last answer");
    assert!(faces.iter().all(|face| *face == faces[0]), "{faces:#?}");
    let records = site.attempts(9);
    let reasons: Vec<_> = records.iter().step_by(3).map(|record| field(record, "reason")).collect();
    assert_eq!(reasons, ["unknown-account", "wrong-code", "wrong-password"]);
    assert_eq!(
        slapd.binds(&format!("uid=alice,{PEOPLE}")),
        4,
        "three, and one diagnosis of three wrong codes"
    );
}

/// Promise 7: where no code is asked, the directory has the same work for a name that it does not know.
#[test]
fn an_unknown_name_is_bound_too_where_no_code_is_asked_and_only_there() {
    let (slapd, site) = ordinary();
    let invented = || slapd.log_text().matches("BIND dn=\"uid=nobody-").count();
    assert_eq!(login(&site, "nobody", "x", "123456"), Code::AUTH_ERR);
    assert_eq!(invented(), 0);
    let desk = || site.stack("desk").login("nobody").from("192.0.2.44").typing("x", "").authenticate(0);
    assert_eq!(desk(), Code::AUTH_ERR);
    assert_eq!(invented(), 1);
    assert_eq!(field(&site.attempt(2), "reason"), "unknown-account");
}

#[test]
fn the_office_needs_no_code_and_the_record_says_that_it_was_waived() {
    let (_slapd, site) = ordinary();
    let mut handle = site.stack("desk").login("bob").from("192.0.2.44").typing("bob's password", "");
    assert_eq!(handle.authenticate(0), Code::SUCCESS);
    assert_eq!(handle.prompts(), ["Password: "]);
    let record = site.attempt(1);
    assert_eq!(
        (field(&record, "waiver"), field(&record, "place"), field(&record, "code")),
        ("office", "office", "-")
    );
    let elsewhere = site.stack("desk").login("bob").from(AWAY).typing("bob's password", "").authenticate(0);
    assert_eq!(elsewhere, Code::AUTH_ERR, "outside, bob has no authenticator to show");
    assert_eq!(field(&site.attempt(2), "reason"), "no-authenticator");
}

#[test]
fn a_code_that_is_asked_of_all_and_not_needed_by_this_account_is_not_looked_at() {
    let slapd = Slapd::start();
    let rule = "[[rule]]\nname = \"alice\"\naccounts = [\"alice\"]\nrequire = [\"password\"]\nsingle_factor = true\n";
    let site = Site::start(&over_ldaps(&slapd), &format!("{rule}{RULES}"));
    let mut phone = site.enroll("alice");
    for code in ["", &phone.wrong_code(), &phone.code()] {
        assert_eq!(login(&site, "alice", "alice's password", code), Code::SUCCESS);
    }
    assert!(site.attempts(3).iter().all(|record| field(record, "code") == "-"));
}

#[test]
fn one_field_holds_password_and_code() {
    let (slapd, site) = ordinary();
    let mut phone = site.enroll("alice");
    let both = |code: &str| format!("alice's password{code}");
    let stack = site.stack("xrdp-sesman").revealing_authtok();
    let mut handle = stack.login("alice").from(AWAY).typing(&both(&phone.code()), "");
    assert_eq!(handle.authenticate(0), Code::SUCCESS);
    assert_eq!(handle.prompts(), ["Password: "]);
    assert_eq!(stack.revealed_authtok().unwrap(), b"alice's password");

    let code = phone.code();
    let repeating = both(&code);
    let stack = site.stack("vsftpd").revealing_authtok();
    let mut handle = stack.login("alice").from(AWAY).typing(&repeating, &repeating);
    assert_eq!(handle.authenticate(0), Code::SUCCESS, "an application that repeats its answer");
    assert_eq!(stack.revealed_authtok().unwrap(), b"alice's password");
    assert_eq!(slapd.binds(&format!("uid=alice,{PEOPLE}")), 2, "one bind each");

    let mut handle = site.stack("xrdp-sesman").login("alice").from(AWAY).typing(&both(&code), "");
    assert_eq!(handle.authenticate(0), Code::AUTH_ERR, "a used code ends the password, and proves nothing");
    assert_eq!(field(&site.attempt(3), "reason"), "replayed-code");
    assert_eq!(slapd.binds(&format!("uid=alice,{PEOPLE}")), 2);
}

/// Promise 1.
/// Promise 3: where a place waives the code, a spent or reserved one behind the password does not make guesses free.
#[test]
fn a_used_code_behind_a_guess_does_not_spare_the_charge_where_the_code_is_waived() {
    let slapd = Slapd::start();
    let rules = RULES.replace("[service.sshd]", "[service.desk]\nprompt = \"single\"\n[service.sshd]");
    let site = Site::start(&over_ldaps(&slapd), &rules);
    let mut phone = site.enroll("alice");
    let code = phone.code();
    let desk = |password: &str| {
        let field = format!("{password}{code}");
        site.stack("desk").login("alice").from("192.0.2.44").typing(&field, "").authenticate(0)
    };
    assert_eq!(desk("alice's password"), Code::SUCCESS);
    for number in 0..10 {
        assert_eq!(desk(&format!("guess {number}")), Code::AUTH_ERR);
    }
    assert_eq!(slapd.binds(&format!("uid=alice,{PEOPLE}")), 4, "one that was right, and three guesses");
    assert_eq!(field(&site.attempt(11), "reason"), "lane-closed");
}

#[test]
fn with_the_daemon_down_the_answer_comes_at_once_and_is_unavailable() {
    let (_slapd, mut site) = ordinary();
    site.stop();
    let started = Instant::now();
    assert_eq!(login(&site, "alice", "alice's password", "123456"), Code::AUTHINFO_UNAVAIL);
    assert!(started.elapsed() < Duration::from_secs(1));
}

/// Promises 1 and 3: an outage refunds.
#[test]
fn a_frozen_directory_is_unavailable_within_the_deadline_and_the_next_login_after_it_heals_works() {
    let (slapd, site) = ordinary();
    let mut phone = site.enroll("alice");
    assert_eq!(login(&site, "alice", "alice's password", &phone.code()), Code::SUCCESS);
    slapd.freeze();
    // What was found before is kept for five seconds.
    std::thread::sleep(Duration::from_secs(5));
    for _ in 0..4 {
        let started = Instant::now();
        assert_eq!(login(&site, "alice", "alice's password", &phone.wrong_code()), Code::AUTHINFO_UNAVAIL);
        assert!(started.elapsed() < Duration::from_secs(16), "{:?}", started.elapsed());
    }
    slapd.thaw();
    assert_eq!(login(&site, "alice", "alice's password", &phone.code()), Code::SUCCESS);
    let records = site.attempts(6);
    assert!(
        records[1..5].iter().all(|record| field(record, "reason") == "directory-unavailable"),
        "{records:#?}"
    );
}

#[test]
fn a_directory_that_was_restarted_is_found_again_without_a_restart_of_the_daemon() {
    let (mut slapd, site) = ordinary();
    let mut phone = site.enroll("alice");
    assert_eq!(login(&site, "alice", "alice's password", &phone.code()), Code::SUCCESS);
    slapd.stop();
    let started = Instant::now();
    assert_eq!(login(&site, "alice", "alice's password", &phone.code()), Code::AUTHINFO_UNAVAIL);
    assert!(started.elapsed().as_millis() >= TICK_MS, "promise 7: an outage leaves on the tick too");
    slapd.restart();
    assert_eq!(login(&site, "alice", "alice's password", &phone.code()), Code::SUCCESS);
    let status = site.twinlock(&["--json", "status"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(
        (&status["granted"], &status["denied"], &status["unavailable"]),
        (&2.into(), &0.into(), &1.into())
    );
}

#[test]
fn a_directory_entry_named_root_or_with_a_system_uid_gains_nothing() {
    let posing = slapd::account(&format!("uid=root,{PEOPLE}"), "root", 4001, "root's password")
        + &slapd::account(&format!("uid=sysadm,{PEOPLE}"), "sysadm", 12, "sysadm's password");
    let slapd = Slapd::start_with(&posing);
    let site = Site::start(&over_ldaps(&slapd), RULES);
    for user in ["root", "ROOT", "sysadm"] {
        let output = site.twinlock(&["enroll", user]);
        assert_eq!(output.status.code(), Some(1), "{user}: {}", String::from_utf8_lossy(&output.stderr));
        let code = site
            .stack("desk")
            .login(user)
            .from("192.0.2.44")
            .typing(&format!("{user}'s password"), "")
            .authenticate(0);
        assert_eq!(code, Code::AUTH_ERR, "{user}");
    }
    assert!(site.attempts(3).iter().all(|record| field(record, "reason") == "poses-as-local"));
    assert_eq!(slapd.binds(&format!("uid=root,{PEOPLE}")), 0);
}

/// A second uid is no second person: rules about one of an entry's names hold for all of them.
#[test]
fn an_entry_with_several_uids_evades_no_rule_and_bears_no_local_name() {
    let several = |names: [&str; 2], number| {
        let uid = format!("uid={},{PEOPLE}", names[0]);
        slapd::account(&uid, names[0], number, "a password")
            .replace(&format!("\nuid: {}\n", names[0]), &format!("\nuid: {}\nuid: {}\n", names[0], names[1]))
    };
    let entries =
        [several(["zed", "alias"], 2051), several(["carl", "karl"], 2052), several(["x", "root"], 2053)];
    let group = "dn: cn=out,ou=groups,dc=example,dc=org\nobjectClass: posixGroup\ncn: out\ngidNumber: 150\n\
                 memberUid: carl\n\n";
    let slapd = Slapd::start_with(&format!("{}{group}", entries.concat()));
    let rules = r#"
[[rule]]
name = "not zed"
accounts = ["zed"]
deny = true
[[rule]]
name = "not those"
groups = ["out"]
deny = true
[[rule]]
name = "everyone else"
require = ["password"]
single_factor = true
"#;
    let site = Site::start(&over_ldaps(&slapd), rules);
    for user in ["zed", "alias", "carl", "karl", "x"] {
        assert_eq!(login(&site, user, "a password", ""), Code::AUTH_ERR, "{user}");
    }
    let reasons: Vec<String> =
        site.attempts(5).iter().map(|record| field(record, "reason").to_owned()).collect();
    assert_eq!(
        reasons,
        ["denied-by-rule", "denied-by-rule", "denied-by-rule", "denied-by-rule", "poses-as-local"]
    );
}

#[test]
fn an_entry_found_by_another_attribute_neither_bears_nor_borrows_a_local_name() {
    let entry = |uid: &str, number, alias: &str| {
        let entry = slapd::account(&format!("uid={uid},{PEOPLE}"), uid, number, "their password");
        format!("{}\ngecos: {alias}\n\n", entry.trim_end())
    };
    let slapd = Slapd::start_with(&(entry("daemon", 4002, "zoe") + &entry("zack", 4003, "bin")));
    let filter = "user_filter = \"(&(objectClass=posixAccount)(|(uid={user})(gecos={user})))\"\n";
    let site = Site::start(&(over_ldaps(&slapd) + filter), RULES);
    let login = |user: &str| {
        site.stack("desk").login(user).from("192.0.2.44").typing("their password", "").authenticate(0)
    };
    assert_eq!(login("zack"), Code::SUCCESS, "the entries are found");
    assert_eq!(login("zoe"), Code::AUTH_ERR, "the entry bears a local account's name");
    assert_eq!(login("bin"), Code::AUTH_ERR, "the name typed is a local account's");
    assert!(site.attempts(3)[1..].iter().all(|record| field(record, "reason") == "poses-as-local"));
}

/// The account phase of a service that proved somebody by other means still obeys the rules that deny.
#[test]
fn a_rule_that_denies_holds_in_the_account_phase_of_every_service() {
    let slapd = Slapd::start();
    let rules = format!("[[rule]]\nname = \"gone\"\naccounts = [\"bob\"]\ndeny = true\n{RULES}");
    let site = Site::start(&over_ldaps(&slapd), &rules);
    let account = |user: &str| site.stack("desk").login(user).from("192.0.2.44").acct_mgmt(0);
    assert_eq!(account("alice"), Code::SUCCESS);
    assert_eq!(account("bob"), Code::PERM_DENIED);
    assert_eq!(account("no-such-user"), Code::PERM_DENIED);
    let records = site.attempts(3);
    assert_eq!((field(&records[1], "reason"), field(&records[1], "rule")), ("denied-by-rule", "gone"));
    assert_eq!(field(&records[2], "reason"), "unknown-account");
}

#[test]
fn a_grants_ticket_is_recognised_in_the_account_phase_once_and_never_a_second_time() {
    let (_slapd, site) = ordinary();
    let mut phone = site.enroll("alice");
    let mut handle = site.stack("sshd").login("alice").from(AWAY).typing("alice's password", &phone.code());
    assert_eq!(handle.authenticate(0), Code::SUCCESS);
    assert_eq!(handle.acct_mgmt(0), Code::SUCCESS);
    assert_eq!(site.attempts(1).len(), 1, "the login is recorded once");
    assert_eq!(handle.acct_mgmt(0), Code::PERM_DENIED, "sshd decided alone as far as anybody can tell");
    let record = site.attempt(2);
    assert_eq!((field(&record, "phase"), field(&record, "reason")), ("account", "rule-not-met"));
}

#[test]
fn a_key_alone_needs_a_rule_that_says_so() {
    let slapd = Slapd::start();
    let rules = r#"
[service.sshd]
sshd = true
[[rule]]
name = "backup by key alone"
services = ["sshd"]
accounts = ["bob"]
after = ["sshd"]
require = []
single_factor = true
[[rule]]
name = "carol by a key that was seen"
services = ["sshd"]
accounts = ["carol"]
after = ["publickey"]
require = []
single_factor = true
[[rule]]
name = "key, then code"
services = ["sshd"]
after = ["publickey"]
require = ["code"]
single_factor = true
[[rule]]
name = "everyone else"
require = ["password", "code"]
"#;
    let site = Site::start(&over_ldaps(&slapd), rules);
    let mut phone = site.enroll("alice");
    assert_eq!(site.stack("sshd").login("bob").from(AWAY).acct_mgmt(0), Code::SUCCESS);
    assert_eq!(site.stack("sshd").login("alice").from(AWAY).acct_mgmt(0), Code::PERM_DENIED);
    let carol = site.stack("sshd").login("carol").from(AWAY).acct_mgmt(0);
    assert_eq!(carol, Code::PERM_DENIED, "the account phase does not hear which method it was");
    let mut handle = site
        .stack("sshd")
        .login("alice")
        .from(AWAY)
        .with_environment("SSH_AUTH_INFO_0", "publickey ssh-ed25519 AAAA\n")
        .typing("", &phone.code());
    assert_eq!(handle.authenticate(0), Code::SUCCESS);
    assert_eq!(handle.prompts(), ["Verification code: "]);
    assert_eq!(handle.acct_mgmt(0), Code::SUCCESS);
}

/// Promise 1: a configuration that forgets to mark sshd does not let keys in past a rule that asks a code.
#[test]
fn the_service_named_sshd_is_sshd_unless_its_table_says_otherwise() {
    let slapd = Slapd::start();
    let rules = "[[rule]]\nname = \"everyone\"\nrequire = [\"password\", \"code\"]\n";
    let site = Site::start(&over_ldaps(&slapd), rules);
    assert_eq!(site.stack("sshd").login("bob").from(AWAY).acct_mgmt(0), Code::PERM_DENIED);
    assert_eq!(field(&site.attempt(1), "reason"), "rule-not-met");
    assert_eq!(site.stack("su").login("bob").acct_mgmt(0), Code::SUCCESS, "root's su has no auth phase");
}

#[test]
fn sshds_marker_compares_nothing_and_is_charged_only_for_names_nobody_bears() {
    let (slapd, site) = ordinary();
    let mut phone = site.enroll("alice");
    let marker = "\u{8}\n\r\u{7f}INCORRECT\u{8}\n\r\u{7f}";
    for _ in 0..25 {
        assert_eq!(login(&site, "alice", marker, marker), Code::AUTH_ERR);
    }
    assert_eq!(
        login(&site, "alice", "alice's password", &phone.code()),
        Code::SUCCESS,
        "alice's door stays open"
    );
    let other = |user: &str| {
        site.stack("sshd").login(user).from("203.0.113.99").typing(marker, marker).authenticate(0)
    };
    for _ in 0..21 {
        assert_eq!(other("nobody"), Code::AUTH_ERR);
    }
    site.stack("sshd").login("alice").from("203.0.113.99").typing("x", "123456").authenticate(0);
    let records = site.attempts(48);
    assert_eq!(field(&records[47], "reason"), "prefix-closed");
    assert_eq!(field(&records[47], "account"), "-", "the gate ends it before the directory is asked");
    assert!(records[..25].iter().all(|record| field(record, "reason") == "refused-by-sshd"));
    assert_eq!(field(&records[46], "reason"), "prefix-closed");
    assert_eq!(slapd.binds(&format!("uid=alice,{PEOPLE}")), 1);
}

/// Promise 5: a stranger fills only lanes the owner does not need.
#[test]
fn strangers_close_their_own_lane_and_the_owner_still_enters_from_a_known_address_and_the_office() {
    let (_slapd, site) = ordinary();
    let mut phone = site.enroll("alice");
    assert_eq!(
        login(&site, "alice", "alice's password", &phone.code()),
        Code::SUCCESS,
        "her address becomes known"
    );
    for stranger in 0..6 {
        let from = format!("198.51.100.{stranger}");
        let code = phone.wrong_code();
        let told =
            site.stack("sshd").login("alice").from(&from).typing("alice's password", &code).authenticate(0);
        assert_eq!(told, Code::AUTH_ERR);
    }
    let reasons: Vec<String> =
        site.attempts(7)[1..].iter().map(|record| field(record, "reason").to_owned()).collect();
    assert_eq!(
        reasons,
        ["wrong-code", "wrong-code", "wrong-code", "lane-closed", "lane-closed", "lane-closed"]
    );
    assert_eq!(login(&site, "alice", "alice's password", &phone.code()), Code::SUCCESS);
    let desk =
        site.stack("desk").login("alice").from("192.0.2.1").typing("alice's password", "").authenticate(0);
    assert_eq!(desk, Code::SUCCESS);
    let shown = site.twinlock(&["--json", "user", "show", "alice"]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    let known: Vec<_> =
        shown["known_from"].as_array().unwrap().iter().map(|prefix| prefix.as_str().unwrap()).collect();
    assert_eq!(known, ["192.0.2.1/32".to_owned(), format!("{AWAY}/32")], "last used first");
}

#[test]
fn odd_names_and_over_long_passwords_are_denied_and_cannot_forge_a_record() {
    let (slapd, site) = ordinary();
    let names: [&[u8]; 8] = [
        b"x\" verdict=\"grant",
        b"a\nb",
        b"al\xffice",
        "\u{2028}".as_bytes(),
        b"*)(uid=*",
        b"alice\\2a",
        &[b'a'; 2000],
        b" ",
    ];
    for name in names {
        let code = site.stack("sshd").login_bytes(name).from(AWAY).typing("x", "123456").authenticate(0);
        assert_eq!(code, Code::AUTH_ERR, "{}", String::from_utf8_lossy(name));
    }
    for length in [511, 512, 513, 1023, 5000] {
        let password = "p".repeat(length);
        let code = site.stack("desk").login("bob").from("192.0.2.44").typing(&password, "").authenticate(0);
        assert_eq!(code, Code::AUTH_ERR, "{length}");
    }
    for record in site.attempts(8) {
        assert_eq!(field(&record, "verdict"), "deny");
        assert_eq!(record.matches(" verdict=\"").count(), 1, "{record}");
        assert!(record.len() < 1100 && record.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{record}");
    }
    assert!(slapd.binds(&format!("uid=bob,{PEOPLE}")) <= 1, "only what PAM can carry is bound");
    let phone: Phone = site.enroll("carol");
    assert_eq!(phone.seed().len(), 32);
}

#[test]
fn an_empty_password_never_becomes_a_bind() {
    let (slapd, site) = ordinary();
    let mut phone = site.enroll("alice");
    assert_eq!(login(&site, "alice", "", &phone.code()), Code::AUTH_ERR);
    assert_eq!(slapd.binds(&format!("uid=alice,{PEOPLE}")), 0);
}

/// Promise 6.
#[test]
fn a_second_phone_of_six_digits_would_pass_the_guess_budget_and_is_refused_with_the_remedy() {
    let (_slapd, site) = ordinary();
    let _phone = site.enroll("alice");
    for way in [
        &["enroll", "alice", "--label", "second"][..],
        &["enroll", "alice", "--seed", Phone::random().seed(), "--active"],
    ] {
        let refused = site.twinlock(way);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(said.contains("1.83 % a year") && said.contains("totp.digits = 8"), "{said}");
    }
    assert!(site.twinlock(&["enroll", "bob", "--label", "first"]).status.success());
}
