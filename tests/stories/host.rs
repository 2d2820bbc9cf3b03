//! Logins on a host: real sshd, ssh client and login(1), with the PAM stacks and the sshd drop-in that are shipped.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use support::host::{Host, ROOT_PASSWORD, can_play};
use support::rsyslog::Rsyslog;
use support::site::{RULES, Site, field};
use support::slapd::Slapd;

fn site() -> (Slapd, Site) {
    let slapd = Slapd::start();
    let site = Site::start(&slapd.settings("ldaps", &[slapd.ldaps_url()]), RULES);
    (slapd, site)
}

#[test]
fn ssh_asks_two_questions_and_lets_in_who_answers_both() {
    if !can_play("ssh with two prompts") {
        return;
    }
    let (_slapd, site) = site();
    let mut phone = site.enroll("alice");
    let host = Host::start(&site, &["alice", "bob"], "");
    let code = phone.code();
    let session = host.ssh("alice", "keyboard-interactive", "alice's password", &code);
    assert!(session.entered, "{session:?} {}", host.sshd_log());
    assert!(session.output.contains("entered as alice"), "{session:?}");
    assert_eq!(session.prompts, ["(alice@127.0.0.1) Password: ", "(alice@127.0.0.1) Verification code: "]);
    let record = site.attempt(1);
    assert_eq!(
        (field(&record, "service"), field(&record, "source"), field(&record, "verdict")),
        ("sshd", "127.0.0.1", "grant")
    );

    assert!(
        !host.ssh("alice", "keyboard-interactive", "alice's password", &code).entered,
        "the code is used"
    );
    assert!(!host.ssh("alice", "keyboard-interactive", "wrong", &phone.code()).entered);
    let records = site.attempts(3);
    assert_eq!(
        records.len(),
        3,
        "the account phase of the granted login left no second record: {records:#?}"
    );
    assert_eq!(field(&records[1], "reason"), "replayed-code");
    assert_eq!(field(&records[2], "reason"), "wrong-password");
    assert!(!host.ssh_by_key("alice").entered, "a key alone lets nobody in without a rule that says so");
    assert_eq!(field(&site.attempt(4), "reason"), "rule-not-met");
}

#[test]
fn ssh_with_one_field_takes_the_password_with_the_code_behind_it() {
    if !can_play("ssh with one field") {
        return;
    }
    let (_slapd, site) = site();
    let mut phone = site.enroll("alice");
    let host = Host::start(&site, &["alice"], "PasswordAuthentication yes\nKbdInteractiveAuthentication no");
    let field_text = format!("alice's password{}", phone.code());
    let session = host.ssh("alice", "password", &field_text, "");
    assert!(session.entered, "{session:?} {}", host.sshd_log());
    assert_eq!(session.prompts, ["alice@127.0.0.1's password: "]);
    assert!(!host.ssh("alice", "password", "alice's password", "").entered);
    assert_eq!(field(&site.attempt(2), "verdict"), "deny");
}

#[test]
fn root_gets_in_by_key_and_on_the_console_with_the_daemon_stopped_and_nobody_else_does() {
    if !can_play("root with the daemon stopped") {
        return;
    }
    let (_slapd, mut site) = site();
    let mut phone = site.enroll("alice");
    let host = Host::start(&site, &["alice"], "");
    site.stop();
    let session = host.ssh_by_key("root");
    assert!(session.entered && session.output.contains("entered as root"), "{session:?} {}", host.sshd_log());
    let screen = host.console(
        "root",
        &[("Password: ", Some(ROOT_PASSWORD)), ("# ", Some("echo console-$((40+2)); exit"))],
    );
    assert!(screen.contains("console-42"), "{screen}");
    let screen = host.console("root", &[("Password: ", Some("wrong")), ("ogin incorrect", None)]);
    assert!(screen.contains("ogin incorrect"), "{screen}");
    assert!(!host.ssh("alice", "keyboard-interactive", "alice's password", &phone.code()).entered);
}

#[test]
fn a_recovery_code_lets_in_once_through_sshd_and_says_how_many_are_left() {
    if !can_play("a lost phone") {
        return;
    }
    let (_slapd, site) = site();
    let codes = site.recovery_codes("alice");
    let host = Host::start(&site, &["alice"], "");
    let session = host.ssh("alice", "keyboard-interactive", "alice's password", &codes[0]);
    assert!(session.entered, "{session:?} {}", host.sshd_log());
    assert!(format!("{session:?}").contains("9 recovery codes left."), "{session:?}");
    assert!(!host.ssh("alice", "keyboard-interactive", "alice's password", &codes[0]).entered, "once");
    assert_eq!(field(&site.attempt(2), "reason"), "replayed-code");
}

#[test]
fn with_the_directory_stopped_emergency_passwords_let_in_through_sshd_and_at_the_console() {
    if !can_play("an emergency") {
        return;
    }
    let mut slapd = Slapd::start();
    let rules = RULES.replace("[\"192.0.2.0/24\"]", "[\"192.0.2.0/24\", \"127.0.0.1/32\"]");
    let site = Site::start(&slapd.settings("ldaps", &[slapd.ldaps_url()]), &rules);
    let passwords = site.emergency_passwords("alice", 2);
    let host = Host::start(&site, &["alice"], "");
    slapd.stop();
    let session = host.ssh("alice", "keyboard-interactive", &passwords[0], "");
    assert!(
        session.entered && session.output.contains("entered as alice"),
        "{session:?} {}",
        host.sshd_log()
    );
    let screen = host.console(
        "alice",
        &[
            ("Password: ", Some(&passwords[1])),
            ("Verification code: ", Some("")),
            ("$ ", Some("echo console-$((40+2)); exit")),
        ],
    );
    assert!(screen.contains("console-42"), "{screen}");
    let records = site.attempts(2);
    let by_password = |record: &String| field(record, "reason") == "emergency-password";
    assert!(records.iter().all(by_password), "{records:#?}");
    assert_eq!((field(&records[0], "service"), field(&records[1], "service")), ("sshd", "login"));
}

#[test]
fn sshd_hides_what_is_typed_for_accounts_it_refuses_and_nothing_is_compared() {
    if !can_play("sshd's marker") {
        return;
    }
    let (slapd, site) = site();
    let mut phone = site.enroll("alice");
    let host = Host::start(&site, &["alice"], "DenyUsers alice");
    assert!(!host.ssh("alice", "keyboard-interactive", "alice's password", &phone.code()).entered);
    assert_eq!(field(&site.attempt(1), "reason"), "refused-by-sshd");
    assert!(!host.ssh("nobody-here", "keyboard-interactive", "x", "123456").entered);
    assert_eq!(field(&site.attempt(2), "reason"), "unknown-account");
    assert_eq!(slapd.binds("uid=alice,ou=people,dc=example,dc=org"), 0);
}

#[test]
fn rsyslog_parses_every_record_and_loses_none_over_its_restart() {
    let slapd = Slapd::start();
    let mut rsyslog = Rsyslog::start();
    let site =
        Site::logging_to(&slapd.settings("ldaps", &[slapd.ldaps_url()]), RULES, &rsyslog.socket()).started();
    let attempt = |number: usize| {
        let user = format!("nobody{number}");
        site.stack("desk").login(&user).from("192.0.2.44").typing("x", "").authenticate(0)
    };
    for number in 0..5 {
        attempt(number);
    }
    let lines = rsyslog.lines("attempt", 5);
    for line in &lines {
        assert!(line.starts_with("authpriv|notice|twinlockd| attempt id=\""), "{line}");
    }
    rsyslog.stop();
    for number in 5..10 {
        attempt(number);
    }
    rsyslog.restart();
    for number in 10..15 {
        attempt(number);
    }
    let lines = rsyslog.lines("attempt", 15);
    for number in 0..15 {
        assert_eq!(
            lines.iter().filter(|line| line.contains(&format!(" user=\"nobody{number}\""))).count(),
            1
        );
    }
}
