//! A new seal key while people log in: whatever is killed at whatever moment, every seed is good under the key that the
//! daemon finds, and the old key opens nothing of the new store.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;
use support::client::{Client, Told};
use support::ldap::{EmbeddedDirectory, Listen};
use support::site::{Phone, RULES, Site, binary, field, step_now};
use support::slapd::{PEOPLE, account};
use support::temp::TempDir;

const ROUNDS: u64 = 50;
const USERS: u32 = 40;

struct Scene {
    site: Site,
    phones: Vec<Phone>,
    _directory: EmbeddedDirectory,
    _folder: TempDir,
}

fn scene() -> Scene {
    let folder = TempDir::new("ldap");
    let mut ldif = format!(
        "dn: dc=example,dc=org\nobjectClass: organization\no: example\n\n\
         dn: {PEOPLE}\nobjectClass: organizationalUnit\nou: people\n\n"
    );
    for number in 0..USERS {
        let name = format!("user{number}");
        ldif.push_str(&account(&format!("uid={name},{PEOPLE}"), &name, 2001 + number, "right"));
    }
    let listen = Listen { socket: Some(folder.path().join("ldapi")), loopback: false };
    let directory = EmbeddedDirectory::start(&ldif, &listen).unwrap();
    let settings = format!(
        "kind = \"rfc2307\"\nservers = {:?}\nbase = {PEOPLE:?}\ntls = {{ mode = \"none\" }}\n",
        directory.urls()
    );
    let rules = format!(
        "{RULES}\n[tarpit]\nfree = 1000\nguess_budget = \"5%/year\"\n\
        source_limit = {{ failures = 10000, within = \"10m\", refuse = \"10m\" }}\n"
    );
    let site = Site::start(&settings, &rules);
    let phones = (0..USERS).map(|number| site.enroll(&format!("user{number}"))).collect();
    Scene { site, phones, _directory: directory, _folder: folder }
}

fn login(site: &Site, user: &str, code: &str) -> Told {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let answers: [&[u8]; 2] = [b"right", code.as_bytes()];
        Client::connect(&site.path("login.sock")).await.login("sshd", user, "198.51.100.7", &answers).await
    })
}

/// The value of `key` in what `twinlock --json` printed.
fn told(site: &Site, arguments: &[&str], key: &str) -> serde_json::Value {
    let output = site.twinlock(&[&["--json"], arguments].concat());
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()[key].clone()
}

#[test]
fn a_rotated_key_seals_everything_and_the_old_one_opens_nothing() {
    let Scene { mut site, phones, _directory, _folder } = scene();
    let recovery = site.recovery_codes("user1");
    let old = fs::read(site.path("seal.key")).unwrap();
    assert_eq!(told(&site, &["key", "rotate"], "seeds"), USERS);
    let new = fs::read(site.path("seal.key")).unwrap();
    assert_ne!(old, new);
    assert_eq!(fs::read(site.path("seal.key.old.1")).unwrap(), old, "kept for older backups");
    assert!(!site.path("seal.key.new").exists());
    assert_eq!(login(&site, "user0", &phones[0].code_at(step_now())), Told::Grant, "in the same run");
    site.stop();
    site.start_daemon();
    assert_eq!(login(&site, "user2", &phones[2].code_at(step_now())), Told::Grant, "after a restart");
    assert_eq!(login(&site, "user1", &recovery[0]), Told::Grant, "recovery codes are as they were");
    let rotated = site.records().into_iter().find(|line| line.contains(": seal-key-rotated ")).unwrap();
    assert_eq!((field(&rotated, "by"), field(&rotated, "seeds")), ("uid 0", USERS.to_string().as_str()));

    site.stop();
    fs::write(site.path("seal.key"), &old).unwrap();
    let refused =
        Command::new(binary("twinlockd")).arg("--config").arg(site.path("twinlock.toml")).output().unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("the seal key is not the one"), "{refused:?}");
}

#[test]
fn whatever_is_killed_in_the_middle_of_a_rotation_no_seed_is_lost_and_the_next_run_ends_it() {
    let Scene { mut site, phones, _directory, _folder } = scene();
    let mut unfinished = 0;
    for round in 0..ROUNDS {
        let mut command = Command::new(binary("twinlock"))
            .arg("--config")
            .arg(site.path("twinlock.toml"))
            .args(["key", "rotate"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_micros(round * 7919 % 20_000));
        if round % 3 != 1 {
            site.kill();
        }
        if round % 3 != 0 {
            command.kill().unwrap();
        }
        command.wait().unwrap();
        if round % 3 != 1 {
            site.start_daemon();
        }
        unfinished += u32::from(told(&site, &["status"], "key_rotation_unfinished") == true);
        let who = usize::try_from(round).unwrap() % phones.len();
        assert_eq!(login(&site, &format!("user{who}"), &phones[who].wrong_code()), Told::Deny);
        let record = site.attempts(usize::try_from(round).unwrap() + 1).pop().unwrap();
        assert_eq!(field(&record, "reason"), "wrong-code", "its seed was compared: {record}");
        if round % 5 == 4 {
            assert!(site.twinlock(&["key", "rotate"]).status.success());
            assert_eq!(told(&site, &["status"], "key_rotation_unfinished"), serde_json::Value::Null);
        }
    }
    assert!(unfinished > 0, "it was never caught in the middle");
    assert!(site.twinlock(&["key", "rotate"]).status.success());
    site.stop();
    site.start_daemon();
    for (number, phone) in phones.iter().enumerate() {
        assert_eq!(login(&site, &format!("user{number}"), &phone.code_at(step_now())), Told::Grant);
    }
}
