//! A copy of the store, put back, would let codes work a second time (promise 2). It is noticed; a daemon that was merely
//! killed is not taken for one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::time::Duration;
use support::client::{Client, Told};
use support::ldap::{EmbeddedDirectory, Listen};
use support::site::{RULES, Site, field, step_now};
use support::slapd::{PEOPLE, account};
use support::temp::TempDir;

const HOME: &str = "198.51.100.9";
const OFFICE: &str = "192.0.2.9";

fn scene() -> (Site, EmbeddedDirectory, TempDir) {
    let folder = TempDir::new("ldap");
    let ldif = format!(
        "dn: dc=example,dc=org\nobjectClass: organization\no: example\n\n\
         dn: {PEOPLE}\nobjectClass: organizationalUnit\nou: people\n\n{}",
        account(&format!("uid=alice,{PEOPLE}"), "alice", 2001, "alice's password")
    );
    let listen = Listen { socket: Some(folder.path().join("ldapi")), loopback: false };
    let directory = EmbeddedDirectory::start(&ldif, &listen).unwrap();
    let settings = format!(
        "kind = \"rfc2307\"\nservers = {:?}\nbase = {PEOPLE:?}\ntls = {{ mode = \"none\" }}\n",
        directory.urls()
    );
    (Site::start(&settings, RULES), directory, folder)
}

fn login(site: &Site, service: &str, user: &str, from: &str, answers: &[&[u8]]) -> Told {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        Client::connect(&site.path("login.sock")).await.login(service, user, from, answers).await
    })
}

fn with_code(site: &Site, code: &str) -> Told {
    login(site, "sshd", "alice", HOME, &[b"alice's password", code.as_bytes()])
}

fn said(site: &Site, arguments: &[&str]) -> String {
    let output = site.twinlock(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn is_restored(site: &Site) -> bool {
    let status: serde_json::Value = serde_json::from_str(&said(site, &["--json", "status"])).unwrap();
    status["store_restored"].as_bool().unwrap_or(false)
}

#[test]
fn a_store_that_was_put_back_takes_no_code_until_it_is_accepted_and_then_no_old_one() {
    let (mut site, _directory, _folder) = scene();
    let phone = site.enroll("alice");
    let recovery = site.recovery_codes("alice");
    assert_eq!(with_code(&site, &recovery[0]), Told::Grant);
    let emergency = site.emergency_passwords("alice", 2);
    site.stop();
    fs::copy(site.path("state.db"), site.path("copy")).unwrap();
    site.start_daemon();
    // The newest that is taken: it is a code for another minute.
    let code = phone.code_at(step_now() + 1);
    assert_eq!(with_code(&site, &code), Told::Grant);
    site.stop();
    fs::copy(site.path("copy"), site.path("state.db")).unwrap();

    for _ in 0..2 {
        site.start_daemon();
        assert!(is_restored(&site));
        assert!(said(&site, &["status"]).contains("twinlock store accept-restore"));
        site.kill();
    }
    site.start_daemon();
    for typed in [code.clone(), phone.wrong_code(), format!("{code}{code}"), recovery[0].clone()] {
        assert_eq!(with_code(&site, &typed), Told::Unavailable);
    }
    assert_eq!(login(&site, "sshd", "nobody", HOME, &[b"x", b"123456"]), Told::Unavailable);
    assert_eq!(
        login(&site, "desk", "alice", OFFICE, &[b"alice's password"]),
        Told::Grant,
        "no code is asked"
    );
    for record in &site.attempts(8)[2..7] {
        assert_eq!((field(record, "reason"), field(record, "code")), ("store-restored", "-"));
    }
    assert!(site.records().iter().any(|line| line.contains(": store-restored ")));

    let broken = login(&site, "sshd", "alice", OFFICE, &[emergency[0].as_bytes(), b""]);
    assert_eq!(broken, Told::Grant, "an emergency does not wait for the copy to be accepted");
    let accepted = said(&site, &["store", "accept-restore"]);
    assert!(
        accepted.contains("1 authenticator up to now") && accepted.contains("1 emergency password"),
        "{accepted}"
    );
    let accepted_at = step_now();
    assert!(!is_restored(&site));
    assert_eq!(with_code(&site, &code), Told::Deny, "it was used after the copy was made");
    assert_eq!(field(&site.attempt(10), "reason"), "replayed-code");
    assert_eq!(login(&site, "sshd", "alice", OFFICE, &[emergency[1].as_bytes(), b""]), Told::Deny, "void");
    let shown: serde_json::Value =
        serde_json::from_str(&said(&site, &["--json", "user", "show", "alice"])).unwrap();
    assert_eq!(shown["recovery_codes_left"], 0, "any of them may have been used since");
    let accepted = site.records().into_iter().find(|line| line.contains(": restore-accepted ")).unwrap();
    assert_eq!((field(&accepted, "by"), field(&accepted, "authenticators")), ("uid 0", "1"));
    assert!(said(&site, &["store", "accept-restore"]).contains("nothing to accept"));
    // The first code that was not accepted yet when the copy was: it is taken half a minute later.
    while step_now() == accepted_at {
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(with_code(&site, &phone.code_at(accepted_at + 2)), Told::Grant);
}

#[test]
fn a_daemon_that_is_killed_at_any_moment_finds_its_own_store() {
    let (mut site, _directory, _folder) = scene();
    let _phone = site.enroll("alice");
    for round in 0..30_u64 {
        site.kill();
        let config = site.path("twinlock.toml");
        let mut daemon = std::process::Command::new(support::site::binary("twinlockd"))
            .arg("--config")
            .arg(config)
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // Its words change before it listens; a start takes some tens of milliseconds.
        std::thread::sleep(Duration::from_millis(round * 3));
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        site.start_daemon();
        assert!(!is_restored(&site), "round {round}");
    }
}
