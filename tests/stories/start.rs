//! The daemon does not start weaker than it was told to be: what is wrong is named with file, line and remedy, and no
//! neighbouring line is shown. And who is not root counts for nothing on its sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};
use support::client::{Client, Told};
use support::host::can_play;
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
    refuses(&with("[tarpit]\nfree = 3\nfree = 4"), &["twinlock.toml:", "duplicate key"]);
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
fn a_generation_file_that_cannot_be_made_is_refused() {
    let site = edited(|text| text.replace("[store]\n", "[store]\ngeneration = \"/nowhere/generation\"\n"));
    refuses(&site, &["store.generation", "/nowhere/generation", "not backed up with the store"]);
}

#[test]
fn a_second_daemon_on_the_same_store_is_refused() {
    let site = Site::start(DIRECTORY, RULES);
    let output = starting(&site, false);
    assert_eq!(output.status.code(), Some(1));
    assert!(site.twinlock(&["status"]).status.success(), "the first one goes on");
}

#[test]
fn a_daemon_that_is_told_to_stop_as_soon_as_it_listens_ends_in_order() {
    let mut site = Site::prepare(DIRECTORY, RULES);
    for _ in 0..20 {
        site.start_daemon();
        site.stop();
        assert!(!site.path("login.sock").exists() && !site.path("admin.sock").exists());
    }
}

/// Promise 11: what the sockets take on, there are descriptors for.
#[test]
fn the_daemon_has_descriptors_for_all_its_connections_whatever_it_was_started_with() {
    let site = Site::prepare(DIRECTORY, RULES);
    let mut daemon = Command::new("prlimit")
        .arg("--nofile=1024:8192")
        .arg(binary("twinlockd"))
        .arg("--config")
        .arg(site.path("twinlock.toml"))
        .spawn()
        .unwrap();
    while !site.path("admin.sock").exists() {
        assert!(daemon.try_wait().unwrap().is_none());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.id())).unwrap();
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    let open_files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert!(open_files.contains(" 4096 "), "{open_files}");
}

/// From any other uid, nothing it says counts.
#[test]
fn who_is_not_root_speaks_for_itself_only() {
    if let Some(socket) = std::env::var_os("TWINLOCK_SPEAK_AT") {
        return speak(std::path::Path::new(&socket));
    }
    if !can_play("a caller that is not root") {
        return;
    }
    let site = Site::start(DIRECTORY, RULES);
    fs::set_permissions(site.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    // This very test, copied to where nobody may run it.
    let own = site.path("speaker");
    fs::copy(std::env::current_exe().unwrap(), &own).unwrap();
    fs::copy(binary("twinlock"), site.path("twinlock")).unwrap();
    fs::set_permissions(site.path("twinlock.toml"), fs::Permissions::from_mode(0o644)).unwrap();
    let as_nobody = |program: &str, arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(site.path(program));
        command.args(arguments).env("TWINLOCK_SPEAK_AT", site.path("login.sock")).output().unwrap()
    };
    let spoken = as_nobody("speaker", &["--exact", "who_is_not_root_speaks_for_itself_only"]);
    assert!(spoken.status.success(), "{}", String::from_utf8_lossy(&spoken.stdout));
    let record = site.attempt(1);
    assert_eq!(field(&record, "user"), "nobody", "{record}");
    assert_eq!((field(&record, "service"), field(&record, "source")), ("locker", "local"));
    assert_eq!(field(&record, "caller"), "uid 65534");
    let config = site.path("twinlock.toml");
    let output = as_nobody("twinlock", &["--config", config.to_str().unwrap(), "status"]);
    assert_eq!(output.status.code(), Some(1), "anybody may connect, and ask nothing of root's");
    assert!(String::from_utf8_lossy(&output.stderr).contains("only root"));
}

/// Claims to be alice, at the office, through sshd.
fn speak(socket: &std::path::Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let told = runtime.block_on(async {
        let client = Client::connect(socket).await;
        client.login("sshd", "alice", "192.0.2.9", &[b"x", b"123456"]).await
    });
    assert_ne!(told, Told::Grant);
}

/// Promise 11: the places for callers are there to be filled. Under the usual soft limit of 1,024 descriptors the last of
/// them, and every directory connection, would find none.
#[test]
fn the_daemon_has_descriptors_for_every_place_it_gives() {
    let site = Site::prepare(DIRECTORY, RULES);
    let mut daemon = Command::new("sh")
        .args(["-c", "ulimit -Sn 1024; exec \"$0\" --config \"$1\""])
        .arg(binary("twinlockd"))
        .arg(site.path("twinlock.toml"))
        .spawn()
        .unwrap();
    let began = std::time::Instant::now();
    while !site.path("admin.sock").exists() {
        assert!(began.elapsed().as_secs() < 10, "it does not come up");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.id())).unwrap();
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let soft: u64 = line.split_whitespace().nth(3).unwrap().parse().unwrap();
    assert!(soft >= 1024 + 64 + 512, "{line}");
}
