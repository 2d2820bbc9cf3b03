//! The daemon's own record of attempts: found again, followed, bounded, there after a kill, and never in a login's way.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::client::Told;
use support::host::can_play;
use support::pam::{Code, SILENT};
use support::site::{RULES, Site, binary, field};
use support::town::{Town, done, json_lines};

const OFFICE: &str = "192.0.2.9";
const STRANGER: &str = "198.51.100.9";

/// What `twinlock history` finds, once it is `count` attempts: they are written a moment after the verdict.
fn history(town: &Town, arguments: &[&str], count: usize) -> Vec<Value> {
    let patience = Instant::now() + Duration::from_secs(10);
    loop {
        let output = town.site.twinlock(&[&["--json", "history"], arguments].concat());
        let found = json_lines(&String::from_utf8_lossy(&output.stdout));
        if found.len() == count {
            assert_eq!(output.status.code(), Some(i32::from(count == 0)));
            return found;
        }
        assert!(Instant::now() < patience, "{count} expected: {output:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn reasons(attempts: &[Value]) -> Vec<&str> {
    attempts.iter().map(|attempt| attempt["reason"].as_str().unwrap()).collect()
}

fn with_history(audit: &str) -> Town {
    let town = Town::prepare(RULES);
    let path = town.site.path("twinlock.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(path, format!("{text}{audit}\n")).unwrap();
    town
}

#[test]
fn attempts_are_found_by_user_source_time_verdict_and_reason_and_nothing_typed_is_kept() {
    let town = Town::start(RULES);
    let mut phone = town.site.enroll("alice");
    let code = phone.code();
    assert_eq!(town.login("sshd", "ALICE", STRANGER, &[b"alice's password", code.as_bytes()]), Told::Grant);
    assert_eq!(town.login("sshd", "alice", STRANGER, &[b"not the password", b"000001"]), Told::Deny);
    assert_eq!(town.login("desk", "bob", OFFICE, &[b"hunter2 and more"]), Told::Deny);
    assert_eq!(town.login("desk", "nobody\n", OFFICE, &[b"hunter2 and more"]), Told::Deny);
    let all = history(&town, &[], 4);
    assert_eq!(reasons(&all), ["rule-met", "wrong-code", "wrong-password", "unusable-name"], "oldest first");
    let first = &all[0];
    for (field, value) in [
        ("phase", "auth"),
        ("verdict", "grant"),
        ("user", "ALICE"),
        ("service", "sshd"),
        ("source", STRANGER),
        ("rule", "everyone else"),
        ("asked", "password,code"),
        ("password", "right"),
        ("code", "right"),
        ("lane", "unfamiliar"),
    ] {
        assert_eq!(first[field], value, "{field}");
    }
    assert!(first["account"].as_str().unwrap().starts_with("main:"));
    assert_eq!(all[2]["place"], "office");
    // One account in every spelling.
    assert_eq!(reasons(&history(&town, &["--user", "Alice"], 2)), ["rule-met", "wrong-code"]);
    assert_eq!(
        reasons(&history(&town, &["--source", "192.0.2.0/24"], 2)),
        ["wrong-password", "unusable-name"]
    );
    assert_eq!(reasons(&history(&town, &["--verdict", "grant", "--since", "1h"], 1)), ["rule-met"]);
    assert_eq!(reasons(&history(&town, &["--reason", "wrong-password"], 1)), ["wrong-password"]);
    assert_eq!(reasons(&history(&town, &["--limit", "1"], 1)), ["unusable-name"], "the newest");
    history(&town, &["--until", "2026-01-01"], 0);
    history(&town, &["--user", "nobody"], 0);
    let text = done(&town.site.twinlock(&["history", "--user", "alice"]));
    assert!(text.contains("  grant        rule-met") && text.contains("198.51.100.9"), "{text}");
    for (arguments, remedy) in [
        (["--source", "office"], "192.0.2.0/24"),
        (["--since", "yesterday"], "7d"),
        (["--verdict", "yes"], "grant"),
    ] {
        let output = town.site.twinlock(&[&["history"][..], &arguments].concat());
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains(remedy), "{output:?}");
    }
    let bytes = fs::read(town.site.path("history")).unwrap();
    for typed in ["alice's password", code.as_str(), "not the password", "000001", "hunter2"] {
        assert!(!bytes.windows(typed.len()).any(|window| window == typed.as_bytes()), "{typed}");
    }
    assert_eq!(fs::metadata(town.site.path("history")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn after_a_kill_nothing_older_is_lost_and_it_goes_on_with_the_next_number() {
    let mut town = Town::start(RULES);
    for number in 0..10 {
        assert_eq!(town.login("sshd", &format!("nobody{number}"), OFFICE, &[b"x", b"123456"]), Told::Deny);
        history(&town, &[], number + 1);
        town.site.kill();
        town.site.start_daemon();
    }
    let numbers: Vec<_> = history(&town, &[], 10).iter().map(|attempt| attempt["number"].clone()).collect();
    assert_eq!(numbers, (1..=10).map(Value::from).collect::<Vec<_>>());
}

#[test]
fn the_file_takes_its_space_at_once_and_never_more() {
    let mut town = with_history("history_size = \"1MiB\"\nkeep = \"30d\"");
    let check = done(&town.site.twinlock(&["config", "check"]));
    assert!(check.contains("takes 1MiB and holds the last 2040 attempts, none older than 30d"), "{check}");
    assert!(check.contains("with more than 68 a day"), "{check}");
    town.site.start_daemon();
    let length = fs::metadata(town.site.path("history")).unwrap().len();
    assert_eq!(length, 4096 + 2040 * 512);
    for number in 0..30 {
        assert_eq!(town.login("sshd", &format!("nobody{number}"), OFFICE, &[b"x", b"123456"]), Told::Deny);
    }
    history(&town, &[], 30);
    assert_eq!(fs::metadata(town.site.path("history")).unwrap().len(), length);
}

#[test]
fn follow_shows_attempts_as_they_happen() {
    let town = Town::start(RULES);
    assert_eq!(town.login("desk", "bob", OFFICE, &[b"bob's password"]), Told::Grant);
    history(&town, &[], 1);
    let mut follower = Command::new(binary("twinlock"))
        .arg("--config")
        .arg(town.site.path("twinlock.toml"))
        .args(["--json", "history", "--follow", "--user", "bob"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(next()["reason"], "rule-met", "what has been");
    assert_eq!(town.login("desk", "alice", OFFICE, &[b"wrong"]), Told::Deny);
    assert_eq!(town.login("desk", "bob", OFFICE, &[b"wrong"]), Told::Deny);
    assert_eq!(next()["reason"], "wrong-password", "what is, and of nobody else");
    follower.kill().unwrap();
    follower.wait().unwrap();
}

#[test]
fn a_history_that_cannot_be_written_keeps_nobody_out_and_status_says_so() {
    let mut town = with_history("history = \"/proc/twinlock/history\"");
    town.site.start_daemon();
    assert_eq!(town.login("desk", "bob", OFFICE, &[b"bob's password"]), Told::Grant);
    let status = done(&town.site.twinlock(&["status"]));
    assert!(status.contains("is not written: /proc/twinlock/history"), "{status}");
    assert_eq!(town.site.twinlock(&["history"]).status.code(), Some(3));
    assert!(town.site.records().iter().any(|line| line.contains(": history-unavailable ")));
}

#[test]
fn who_is_not_root_sees_nothing() {
    if !can_play("a caller that is not root") {
        return;
    }
    let town = Town::start(RULES);
    assert_eq!(town.login("desk", "bob", OFFICE, &[b"bob's password"]), Told::Grant);
    history(&town, &[], 1);
    for (path, mode) in [("", 0o755), ("admin.sock", 0o666)] {
        fs::set_permissions(town.site.path(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    // By a process of its own: one that this one forks meanwhile would hold the copy open, and it could not be executed.
    let copied = Command::new("cp").arg(binary("twinlock")).arg(town.site.path("twinlock")).status().unwrap();
    assert!(copied.success());
    let output = Command::new("setpriv")
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(town.site.path("twinlock"))
        .arg("--socket")
        .arg(town.site.path("admin.sock"))
        .arg("history")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty());
}

/// What an application was shown that is no question.
fn shown(site: &Site, service: &str, from: &str, answers: (&str, &str), flags: i32) -> (Code, Vec<String>) {
    let stack = site.stack(service);
    let mut login = stack.login("alice").from(from).typing(answers.0, answers.1);
    let code = login.authenticate(flags);
    let said = login.transcript().into_iter().filter(|line| !line.style.is_question());
    (code, said.map(|line| line.text).collect())
}

#[test]
fn whoever_was_let_in_is_told_of_the_last_login_and_nobody_else_is_told_anything() {
    let rules = format!("{RULES}\n[service.quiet]\nlast_login = false\n");
    let town = Town::start(&rules);
    let site = &town.site;
    let mut phone = site.enroll("alice");
    let right = "alice's password";
    let login =
        |service: &str, from: &str, code: &str, flags| shown(site, service, from, (right, code), flags);
    assert_eq!(login("sshd", STRANGER, &phone.code(), 0), (Code::SUCCESS, vec![]), "the first");
    let wrong = phone.wrong_code();
    assert_eq!(login("sshd", "203.0.113.5", &wrong, 0), (Code::AUTH_ERR, vec![]));
    assert_eq!(login("sshd", "203.0.113.5", &wrong, 0), (Code::AUTH_ERR, vec![]));
    let (code, said) = login("desk", OFFICE, "", 0);
    assert_eq!((code, said.len()), (Code::SUCCESS, 1), "{said:?}");
    assert!(
        said[0].starts_with("Last login: ")
            && said[0].ends_with(" UTC from 198.51.100.9 (sshd). 2 failed attempts since.")
    );
    // Not where the application wants no texts, nor where the file says no, nor in one field.
    assert_eq!(login("desk", OFFICE, "", SILENT), (Code::SUCCESS, vec![]));
    assert_eq!(login("quiet", STRANGER, &phone.code(), 0), (Code::SUCCESS, vec![]));
    let (_, said) = login("desk", OFFICE, "", 0);
    assert!(said[0].contains(" from 198.51.100.9 (quiet)."), "but it was one: {said:?}");
    assert_eq!(field(&event(site, "new-place"), "new"), "prefix");
    let news: Vec<_> = site.records().into_iter().filter(|line| line.contains(": new-place ")).collect();
    assert_eq!(news.len(), 1, "the office, once: {news:?}");
    assert_eq!((field(&news[0], "user"), field(&news[0], "source")), ("alice", OFFICE));
}

fn event(site: &Site, word: &str) -> String {
    let marker = format!(": {word} ");
    let patience = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(line) = site.records().into_iter().find(|line| line.contains(&marker)) {
            return line;
        }
        assert!(Instant::now() < patience, "no {word} in {:#?}", site.records());
        std::thread::sleep(Duration::from_millis(20));
    }
}
