//! Promise 14: what is explained is what is done, in hundreds of logins through the real daemon. And what a candidate
//! configuration would have done to the recorded ones; and what users are told about themselves.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use support::client::{Client, Told};
use support::host::can_play;
use support::site::{RULES, binary, field};
use support::town::{Town, done};

/// Every kind of condition that a login over the bare socket can meet or miss.
const MAZE: &str = r#"
[location.office]
networks = ["192.0.2.0/24"]
[location.lab]
networks = ["192.0.2.128/25", "2001:db8:1::/48"]
[service.one]
prompt = "single"

[[rule]]
name = "never from the lab to desk"
services = ["desk"]
from = ["lab"]
deny = true
[[rule]]
name = "over"
until = "2020-01-01"
deny = true
[[rule]]
name = "administrators at the office"
groups = ["admins"]
from = ["office"]
require = ["password"]
[[rule]]
name = "outside desks"
services = ["desk"]
not_from = ["office"]
groups = ["staff"]
require = ["code"]
single_factor = true
[[rule]]
name = "bob's console"
services = ["login", "sudo"]
accounts = ["BOB"]
from = ["local"]
require = ["password"]
single_factor = true
[[rule]]
name = "staff"
services = ["sshd", "one", "login"]
groups = ["staff"]
require = ["password", "code"]
[tarpit]
free = 1000
guess_budget = "100%/year"
source_limit = { failures = 100000, within = "10m", refuse = "10m" }
spread_limit = { failures = 10000, accounts = 10000, within = "1m", for = "1m" }
"#;

const USERS: [&str; 3] = ["alice", "BOB", "nobody"];
const PLACES: [&str; 6] =
    ["192.0.2.7", "192.0.2.200", "203.0.113.7", "10.1.1.1", "2001:db8:1::1", "no-address"];
const SERVICES: [&str; 5] = ["desk", "sshd", "one", "login", "sudo"];

fn explain(town: &Town, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = town.site.twinlock(&[&["--json", "explain"], arguments].concat());
    let value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{arguments:?}: {output:?}"));
    (output.status.code(), value)
}

#[test]
fn what_is_explained_is_what_the_daemon_does_in_hundreds_of_logins() {
    let town = Town::start(MAZE);
    let wrong: &[u8] = town.site.enroll("alice").wrong_code().into_bytes().leak();
    let mut cases = Vec::new();
    for user in USERS {
        for from in PLACES {
            cases.extend(SERVICES.map(|service| (user, from, service)));
        }
    }
    // Three of each: two wrong guesses, and nothing at all. Nothing right: where a password alone is asked, it would do.
    let typed: [[&[u8]; 2]; 3] = [[b"wrong", wrong], [b"wrong too", wrong], [b"", b""]];
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for answers in typed {
        let logins = cases.iter().copied().map(|(user, from, service)| {
            let socket = town.site.path("login.sock");
            runtime.spawn(
                async move { Client::connect(&socket).await.login(service, user, from, &answers).await },
            )
        });
        for login in logins.collect::<Vec<_>>() {
            assert_ne!(runtime.block_on(login).unwrap(), Told::Grant, "nothing right was typed");
        }
    }
    let records = town.site.attempts(3 * cases.len());
    assert_eq!(records.len(), 3 * cases.len());
    let mut compared = 0;
    for (user, from, service) in cases {
        let source = if from == "no-address" { "unknown" } else { from };
        let (code, explained) = explain(&town, &["--user", user, "--from", source, "--service", service]);
        let rules = &explained["rules"];
        let place: Vec<_> =
            rules["place"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        let place = if place.is_empty() { "-".to_owned() } else { place.join(",") };
        let of_case = records.iter().filter(|record| {
            field(record, "user") == user
                && field(record, "source") == source
                && field(record, "service") == service
        });
        for record in of_case {
            compared += 1;
            let context = format!("{record}\n{explained:#}");
            assert_eq!(field(record, "asked"), rules["asked"], "{context}");
            assert_eq!(field(record, "place"), place, "{context}");
            let reason = field(record, "reason");
            if user == "nobody" {
                assert_eq!((reason, code), ("unknown-account", Some(1)), "{context}");
                assert_eq!(explained["reason"], "unknown-account", "{context}");
                continue;
            }
            assert_eq!(field(record, "rule"), rules["rule"].as_str().unwrap_or("-"), "{context}");
            match explained["reason"].as_str().unwrap() {
                // What was typed was wrong, and there was nothing else to say no to.
                "rule-met" => {
                    assert_eq!(code, Some(0), "{context}");
                    assert!(
                        ["wrong-password", "wrong-code", "repeated-password", "no-bind-left"]
                            .contains(&reason),
                        "{context}"
                    );
                    let factors = rules["factors"].as_array().unwrap();
                    let password_alone = *factors == [Value::from("password")];
                    assert_eq!(password_alone, reason != "wrong-code", "{context}");
                }
                told => {
                    assert_eq!(code, Some(1), "{context}");
                    assert_eq!(reason, told, "{context}");
                }
            }
        }
    }
    assert_eq!(compared, records.len());
    let told = |reason: &str| records.iter().filter(|record| field(record, "reason") == reason).count();
    for reason in ["denied-by-rule", "no-rule", "no-authenticator", "wrong-code", "unknown-account"] {
        assert!(told(reason) > 0, "the maze has no way to {reason}");
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn it_says_which_condition_failed_which_lane_is_closed_and_what_would_change_it() {
    let town = Town::start(&format!("{RULES}\n[tarpit]\nfree = 1\n"));
    let output = town.site.twinlock(&["explain", "--user", "alice", "--from", "203.0.113.7"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for expected in [
        "no      office desks: password",
        "no      services desk",
        "yes     everyone else: password + code",
        "asked of everybody there: password,code",
        "would be denied: no-authenticator",
        "twinlock enroll alice",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let desk = ["--user", "alice", "--from", "192.0.2.7", "--service", "desk"];
    assert!(
        text(&town.site.twinlock(&[&["explain"][..], &desk].concat()))
            .contains("office stands in for the code")
    );
    assert_eq!(explain(&town, &desk).0, Some(0));
    assert_eq!(town.login("desk", "alice", "192.0.2.7", &[b"wrong"]), Told::Deny);
    let (code, explained) = explain(&town, &desk);
    assert_eq!((code, &explained["reason"]), (Some(1), &Value::from("lane-closed")));
    assert_eq!(explained["lane"]["lane"], "in office");
    assert!(explained["lane"]["closed_for_s"].as_u64().unwrap() > 0);
    assert!(explained["changes"].to_string().contains("twinlock user unlock alice"), "{explained}");
    // A key that sshd checked alone meets no rule here; one with a rule of its own would.
    let (code, explained) = explain(&town, &["--user", "alice", "--from", "192.0.2.7", "--after", "sshd"]);
    assert_eq!((code, &explained["reason"]), (Some(1), &Value::from("rule-not-met")));
    let bob = ["--user", "bob", "--from", "192.0.2.9", "--service", "desk"];
    assert_eq!(explain(&town, &bob).0, Some(0));
    let _ = done(&town.site.twinlock(&["user", "disable", "bob", "--reason", "on leave"]));
    let (code, explained) = explain(&town, &bob);
    assert_eq!((code, &explained["reason"]), (Some(1), &Value::from("disabled-by-administrator")));
    assert!(explained["changes"].to_string().contains("twinlock user enable bob"), "{explained}");
    for wrong in [["--from", "office"], ["--after", "password"], ["--at", "noon"]] {
        let output = town.site.twinlock(&[&["explain", "--user", "alice"][..], &wrong].concat());
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn with_the_daemon_stopped_it_explains_the_file_and_says_what_it_cannot_know() {
    let town = Town::prepare(MAZE);
    let office = ["--user", "alice", "--from", "192.0.2.7"];
    let (code, explained) = explain(&town, &office);
    assert_eq!(
        (code, &explained["reason"]),
        (Some(3), &Value::from("condition-unknown")),
        "her groups are not known"
    );
    let unknown = explained["unknown"].to_string();
    assert!(unknown.contains("the daemon was not asked") && unknown.contains("--groups"), "{unknown}");
    let suppose = |groups: &str| explain(&town, &[&office[..], &["--groups", groups]].concat());
    let (code, explained) = suppose("admins,staff");
    assert_eq!((code, &explained["rules"]["rule"]), (Some(0), &Value::from("administrators at the office")));
    let (code, explained) = suppose("guests");
    assert_eq!((code, &explained["reason"]), (Some(1), &Value::from("no-rule")));
    // Another moment than now.
    let (code, explained) =
        explain(&town, &[&office[..], &["--groups", "staff", "--at", "2019-12-31T23:59"]].concat());
    assert_eq!((code, &explained["rules"]["rule"]), (Some(1), &Value::from("over")));
}

#[test]
fn the_recorded_attempts_show_whom_a_candidate_would_have_treated_differently() {
    let town = Town::start(RULES);
    assert_eq!(town.login("desk", "alice", "192.0.2.7", &[b"alice's password"]), Told::Grant);
    assert_eq!(town.login("desk", "ALICE", "192.0.2.7", &[b"alice's password"]), Told::Grant);
    assert_eq!(town.login("desk", "bob", "192.0.2.7", &[b"bob's password"]), Told::Grant);
    assert_eq!(town.login("sshd", "bob", "203.0.113.7", &[b"bob's password", b"000000"]), Told::Deny);
    assert_eq!(town.login("sshd", "nobody", "203.0.113.7", &[b"x", b"000000"]), Told::Deny);
    let patience = Instant::now() + Duration::from_secs(10);
    while done(&town.site.twinlock(&["history"])).lines().count() < 5 {
        assert!(Instant::now() < patience, "the history is written");
        std::thread::sleep(Duration::from_millis(20));
    }
    let present = fs::read_to_string(town.site.path("twinlock.toml")).unwrap();
    let candidate = |name: &str, text: &str| {
        fs::write(town.site.path(name), text).unwrap();
        let path = town.site.path(name).display().to_string();
        move |json: bool| {
            let mut command = Command::new(binary("twinlock"));
            command.args(["--config", &path, "explain", "--since", "1d"]);
            if json {
                command.arg("--json");
            }
            command.output().unwrap()
        }
    };
    let same = candidate("same.toml", &present)(false);
    assert!(
        done(&same).contains("5 attempts looked at, 1 of names")
            && text(&same).contains("nobody would have been")
    );
    // Administrators show a code at their desks too, and nobody comes in from outside.
    let stricter = present.replace(
        "[[rule]]\nname = \"office desks\"",
        "[[rule]]\nname = \"away\"\nnot_from = [\"office\"]\ndeny = true\n[[rule]]\nname = \"admins\"\ngroups = [\"admins\"]\n\
         require = [\"password\", \"code\"]\n[[rule]]\nname = \"office desks\"",
    );
    let run = candidate("stricter.toml", &stricter);
    let output = run(true);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let replayed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&replayed["looked_at"], &replayed["skipped"]), (&Value::from(5), &Value::from(1)));
    let differences = replayed["differences"].as_array().unwrap();
    let of = |user: &str, service: &str| {
        differences
            .iter()
            .find(|one| one["account"] == user && one["service"] == service)
            .unwrap_or(&Value::Null)
    };
    let alice = of("alice", "desk");
    assert_eq!(alice["count"], 2, "in every spelling: {replayed:#}");
    assert_eq!(
        (&alice["before"]["rule"], &alice["after"]["rule"]),
        (&"office desks".into(), &"admins".into())
    );
    assert_eq!(alice["after"]["factors"], serde_json::json!(["password", "code"]));
    assert_eq!(of("bob", "sshd")["after"]["would"], "be-denied", "{replayed:#}");
    // Whoever sits beside them is asked for a code as well, which he need not type: questions do not depend on groups.
    assert_eq!(of("bob", "desk")["after"]["asked"], "password,code");
    let said = text(&run(false));
    assert!(
        said.contains("2 attempts of alice at desk from 192.0.2.7") && said.contains("denied by \"away\""),
        "{said}"
    );
    let broken = candidate("broken.toml", &stricter.replace("deny = true", "deny = 1"))(false);
    assert_eq!(broken.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&broken.stderr).contains("broken.toml:"), "{broken:?}");
}

/// As another uid, with a copy of the command that anybody may execute.
fn as_uid(town: &Town, uid: u32, arguments: &[&str]) -> Output {
    fs::set_permissions(town.site.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    // By a process of its own: one that this one forks meanwhile would hold the copy open, and it could not be executed.
    let copied = Command::new("cp").arg(binary("twinlock")).arg(town.site.path("twinlock")).status().unwrap();
    assert!(copied.success());
    let uid = uid.to_string();
    Command::new("setpriv")
        .args(["--reuid", &uid, "--regid", "65534", "--clear-groups"])
        .arg(town.site.path("twinlock"))
        .arg("--socket")
        .arg(town.site.path("admin.sock"))
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn users_see_what_is_theirs_and_nothing_else() {
    if !can_play("users of the directory on this host") {
        return;
    }
    let mut town = Town::prepare(RULES);
    let at = |name: &str| town.site.path(name).display().to_string();
    fs::write(at("nsswitch.conf"), "passwd: files extrausers\ngroup: files extrausers\n").unwrap();
    // carol is nobody in the directory; bob has another number there.
    let users = "alice:x:2001:100::/:/bin/sh\nbob:x:3002:100::/:/bin/sh\ncarol:x:3003:100::/:/bin/sh\n";
    fs::create_dir(at("extrausers")).unwrap();
    fs::write(at("extrausers/passwd"), users).unwrap();
    let mut in_namespace = Command::new("unshare");
    in_namespace.args(["--mount", "sh", "-ec"]).arg(
        "mount --bind \"$1\" /etc/nsswitch.conf; mount --bind \"$2\" /var/lib/extrausers; shift 2; exec \"$@\"",
    );
    in_namespace.args(["sh", &at("nsswitch.conf"), &at("extrausers")]);
    town.site.start_daemon_through(in_namespace);
    let _phone = town.site.enroll("alice");
    assert_eq!(town.login("desk", "alice", "192.0.2.7", &[b"alice's password"]), Told::Grant);
    assert_eq!(town.login("desk", "alice", "192.0.2.8", &[b"not hers"]), Told::Deny);
    assert_eq!(town.login("desk", "bob", "192.0.2.9", &[b"bob's password"]), Told::Grant);
    let patience = Instant::now() + Duration::from_secs(10);
    while done(&town.site.twinlock(&["history"])).lines().count() < 3 {
        assert!(Instant::now() < patience, "the history is written");
        std::thread::sleep(Duration::from_millis(20));
    }
    let said = done(&as_uid(&town, 2001, &["me"]));
    for expected in [
        "account: alice",
        "phone  active",
        "recovery codes left: 0",
        "known from: 192.0.2.7/32",
        "(desk), 1 failed attempt since",
    ] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    let attempts: Vec<_> = said.lines().filter(|line| line.contains(" desk from ")).collect();
    assert_eq!(attempts.len(), 2, "{said}");
    assert!(attempts[0].contains("deny") && attempts[0].ends_with("192.0.2.8"), "{said}");
    assert!(
        !said.contains("wrong-password") && !said.contains("bob") && !said.contains("192.0.2.9"),
        "{said}"
    );
    // Another number than the directory's, no entry, no name at all.
    for uid in [3002, 3003, 4004] {
        let output = as_uid(&town, uid, &["me"]);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{uid} {output:?}");
    }
    for arguments in [
        &["history"][..],
        &["user", "show", "alice"],
        &["explain", "--user", "alice"],
        &["user", "unlock", "alice"],
        &["status"],
    ] {
        let output = as_uid(&town, 2001, arguments);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{arguments:?} {output:?}");
    }
}
