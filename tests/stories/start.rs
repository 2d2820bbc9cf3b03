//! The daemon does not start weaker than it was told to be: what is wrong is named with file, line and remedy, and no
//! neighbouring line is shown. And who is not root counts for nothing on its sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};
use support::site::{RULES, Site, binary, field};

/// A directory that is never asked.
const DIRECTORY: &str = "kind = \"rfc2307\"\nservers = [\"ldap://127.0.0.1:1\"]\nbase = \"dc=example,dc=org\"\ntls = { mode = \"none\" }\n";
const NEIGHBOUR: &str = "# bind password of old: hunter2";

fn starting(site: &Site, check: bool) -> Output {
    let mut command = Command::new("timeout");
    command.args(["5"]).arg(binary("twinlockd")).arg("--config").arg(site.path("twinlock.toml"));
    if check {
        command.arg("--check");
    }
    command.output().unwrap()
}

fn refuses(site: &Site, words: &[&str]) {
    let output = starting(site, false);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} in {said}");
    }
    assert!(!said.contains("hunter2"), "{said}");
    assert!(!site.path("login.sock").exists());
}

fn edited(edit: impl Fn(&str) -> String) -> Site {
    let site = Site::prepare(DIRECTORY, RULES);
    let path = site.path("twinlock.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, edit(&text)).unwrap();
    site
}

#[test]
fn an_unknown_key_a_duplicate_and_a_senseless_limit_are_refused_by_line_and_column() {
    let with = |line: &'static str| {
        edited(move |text| text.replace("[store]\n", &format!("{NEIGHBOUR}\n{line}\n[store]\n")))
    };
    refuses(&with("[tarpit]\nfreee = 3"), &["twinlock.toml:", "freee", "free"]);
    refuses(&with("[tarpit]\nfree = 3\nfree = 4"), &["twinlock.toml:", "free"]);
    refuses(&with("[tarpit]\nfree = 0"), &["twinlock.toml:", "tarpit.free"]);
    refuses(&with("[tarpit]\nfree = -1"), &["twinlock.toml:", "tarpit.free"]);
    refuses(&with("[tarpit]\nbase = \"5h\""), &["twinlock.toml:", "tarpit.base", "cap"]);
    refuses(
        &edited(|text| format!("{text}\n{NEIGHBOUR}\n[[rule]]\nname = \"lazy\"\nrequire = [\"password\"]\n")),
        &["twinlock.toml:", "lazy", "one thing only", "single_factor"],
    );
}

#[test]
fn check_says_the_same_as_a_start_and_touches_nothing() {
    let site = Site::prepare(DIRECTORY, RULES);
    let output = starting(&site, true);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!site.path("state.db").exists());
    let bad = edited(|text| text.replace("require = [\"password\"]", "require = [\"pasword\"]"));
    let (checked, started) = (starting(&bad, true), starting(&bad, false));
    assert_eq!(checked.status.code(), Some(1));
    assert_eq!(checked.stderr, started.stderr);
}

#[test]
fn a_missing_or_exposed_or_malformed_seal_key_is_refused() {
    let site = Site::prepare(DIRECTORY, RULES);
    let key = site.path("seal.key");
    fs::remove_file(&key).unwrap();
    refuses(&site, &["store.key", "seal.key"]);
    fs::write(&key, "5a3c".repeat(16)).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    refuses(&site, &["store.key", "seal.key", "chmod"]);
    fs::write(&key, "hunter2").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    refuses(&site, &["store.key", "openssl rand -hex 32"]);
}

#[test]
fn a_store_made_with_another_seal_key_is_refused() {
    let mut site = Site::start(DIRECTORY, RULES);
    site.stop();
    fs::write(site.path("seal.key"), "a53c".repeat(16)).unwrap();
    refuses(&site, &["store.path", "key"]);
}

#[test]
fn a_second_daemon_on_the_same_store_is_refused() {
    let site = Site::start(DIRECTORY, RULES);
    let output = starting(&site, false);
    assert_eq!(output.status.code(), Some(1));
    assert!(site.twinlock(&["status"]).status.success(), "the first one goes on");
}

/// DESIGN 4.1: from any other uid, nothing it says counts.
#[test]
fn who_is_not_root_speaks_for_itself_only() {
    if !nix::unistd::Uid::effective().is_root() {
        assert!(support::host::can_play("a caller that is not root"), "skipped above");
        return;
    }
    let site = Site::start(DIRECTORY, RULES);
    for open in ["", "login.sock"] {
        let mode = if open.is_empty() { 0o755 } else { 0o666 };
        fs::set_permissions(site.path(open), fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::set_permissions(site.path("twinlock.toml"), fs::Permissions::from_mode(0o644)).unwrap();
    let as_nobody = |arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(binary("twinlock"));
        command.arg("--config").arg(site.path("twinlock.toml")).args(arguments);
        command.stdin(fs::File::open("/dev/null").unwrap()).output().unwrap()
    };
    let output = as_nobody(&["try", "--user", "alice", "--service", "sshd", "--from", "192.0.2.9"]);
    assert_ne!(output.status.code(), Some(0));
    let record = site.attempt(1);
    assert_eq!(field(&record, "user"), "nobody", "{record}");
    assert_eq!((field(&record, "service"), field(&record, "source")), ("locker", "local"));
    assert_eq!(field(&record, "caller"), "uid 65534");
    let output = as_nobody(&["status"]);
    assert_eq!(
        output.status.code(),
        Some(3),
        "the admin socket is root's: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
