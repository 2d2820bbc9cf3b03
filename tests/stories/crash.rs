//! Kill -9 at odd moments of parallel logins, over and over, against one store: no code is granted twice, and no
//! failure that was recorded is forgotten (promises 1, 2 and 3).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{HashMap, HashSet};
use std::time::Duration;
use support::client::{Client, Told};
use support::ldap::{EmbeddedDirectory, Listen, Operation};
use support::site::{Phone, Site, field, step_now};
use support::slapd::{self, PEOPLE};
use support::temp::TempDir;
use tokio::task::JoinHandle;

/// Lanes so wide that all of it is compared.
const RULES: &str = r#"
[[rule]]
name = "password alone"
services = ["plain"]
require = ["password"]
single_factor = true
[[rule]]
name = "everyone"
require = ["password", "code"]
[tarpit]
free = 1000
guess_budget = "5%/year"
source_limit = { failures = 10000, within = "10m", refuse = "10m" }
"#;

const ROUNDS: u32 = 100;
/// Logins under way at once.
const PARALLEL: u32 = 12;
const NAMES: [&str; 4] = ["ann", "ben", "cem", "dan"];
/// Who logs in without a code in every round in which binds hang: that charge is open for certain when it dies.
const HANGING: &str = "eve";

fn directory(folder: &TempDir) -> EmbeddedDirectory {
    let mut ldif = format!(
        "dn: dc=example,dc=org\nobjectClass: organization\no: example\n\n\
         dn: {PEOPLE}\nobjectClass: organizationalUnit\nou: people\n\n"
    );
    for (name, number) in NAMES.iter().chain([&HANGING]).zip(2001..) {
        ldif.push_str(&slapd::account(&format!("uid={name},{PEOPLE}"), name, number, "right"));
    }
    let listen = Listen { socket: Some(folder.path().join("ldapi")), loopback: false };
    EmbeddedDirectory::start(&ldif, &listen).unwrap()
}

/// Three times out of four it dies while a password is being proved; else at any moment.
const fn binds_hang(round: u32) -> bool {
    round % 4 != 3
}

fn moment(round: u32) -> Duration {
    let within = if binds_hang(round) { 20_000 } else { 300_000 };
    Duration::from_micros((round * 7919 % within) as u64)
}

/// Begins a login; what comes of it when it ends.
fn begin(site: &Site, service: &'static str, who: &'static str, from: &str, code: &str) -> JoinHandle<Told> {
    let (socket, from, code) = (site.path("login.sock"), from.to_owned(), code.to_owned());
    tokio::spawn(async move {
        // Some come only when it is dead already.
        let Ok(stream) = tokio::net::UnixStream::connect(socket).await else {
            return Told::Nothing;
        };
        let answers: [&[u8]; 2] = [b"right", code.as_bytes()];
        Client::over(stream).login(service, who, &from, &answers).await
    })
}

/// Until `directory` was asked to bind `who` once more.
async fn bound_again(directory: &EmbeddedDirectory, who: &str, before: usize) {
    let dn = format!("uid={who},{PEOPLE}");
    for _ in 0..2000 {
        if directory.binds(&dn) > before {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("no bind for {who} within 10 s");
}

fn failures(site: &Site, name: &str) -> usize {
    let output = site.twinlock(&["--json", "user", "show", name]);
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let lanes = shown["lanes"].as_array().unwrap().iter();
    usize::try_from(lanes.map(|lane| lane["failures"].as_u64().unwrap()).sum::<u64>()).unwrap()
}

fn recorded(site: &Site, name: &str, key: &str, value: &str) -> usize {
    let of_them = |record: &&String| field(record, "user") == name && field(record, key) == value;
    site.records().iter().filter(of_them).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_the_daemon_is_killed_no_code_works_twice_and_no_lane_loses_failures() {
    let folder = TempDir::new("ldap");
    let directory = directory(&folder);
    directory.delay(Operation::Bind, Duration::from_millis(5));
    let settings = format!(
        "kind = \"rfc2307\"\nservers = {:?}\nbase = {PEOPLE:?}\ntls = {{ mode = \"none\" }}\n\
         lockout = {{ failures = 1000, within = \"30m\" }}\n",
        directory.urls()
    );
    let mut site = Site::start(&settings, RULES);
    let phones: Vec<Phone> = NAMES.iter().map(|name| site.enroll(name)).collect();
    let (mut shown, mut granted) = (HashSet::new(), HashMap::<(usize, String), u32>::new());
    for round in 0..ROUNDS {
        let before = directory.binds(&format!("uid={HANGING},{PEOPLE}"));
        if binds_hang(round) {
            directory.freeze(Operation::Bind);
        }
        let hanging = binds_hang(round).then(|| begin(&site, "plain", HANGING, "198.51.100.9", ""));
        let logins: Vec<_> = (0..PARALLEL)
            .map(|number| {
                let who = usize::try_from(round + number).unwrap() % NAMES.len();
                let code = if number % 3 == 2 {
                    phones[who].wrong_code()
                } else {
                    let code = phones[who].code_at(step_now() - 1 + u64::from(round / 8 % 2));
                    shown.insert((who, code.clone()));
                    code
                };
                let login = begin(&site, "sshd", NAMES[who], &format!("198.51.100.{}", number % 2), &code);
                (who, code, login)
            })
            .collect();
        if hanging.is_some() {
            bound_again(&directory, HANGING, before).await;
        }
        tokio::time::sleep(moment(round)).await;
        site.kill();
        directory.thaw(Operation::Bind);
        for (who, code, login) in logins {
            if login.await.unwrap() == Told::Grant {
                assert!(shown.contains(&(who, code.clone())), "a wrong code was granted");
                *granted.entry((who, code)).or_default() += 1;
            }
        }
        if let Some(hanging) = hanging {
            assert_ne!(hanging.await.unwrap(), Told::Grant, "the directory never said yes");
        }
        site.start_daemon();
    }
    assert!(granted.values().all(|times| *times == 1), "a code was granted twice: {granted:?}");
    for (who, name) in NAMES.iter().enumerate() {
        let codes = shown.iter().filter(|(whose, _)| *whose == who).count();
        let grants = recorded(&site, name, "verdict", "grant");
        assert!(grants <= codes, "{name}: {grants} grants for {codes} codes");
        let (kept, wrong) = (failures(&site, name), recorded(&site, name, "code", "wrong"));
        assert!(kept >= wrong, "{name}: {wrong} wrong codes were recorded, and {kept} failures are kept");
        assert!(kept < 1000, "no round leaves more failures than it had attempts");
    }
    let hung = (0..ROUNDS).filter(|round| binds_hang(*round)).count();
    assert!(failures(&site, HANGING) >= hung, "every charge that was open when it died is a failure now");
    let crashed = site.records().iter().filter(|record| record.contains(": charges-kept ")).count();
    assert!(crashed >= hung, "it was caught with charges open only {crashed} times");
    for (who, name) in NAMES.iter().enumerate() {
        assert!(site.twinlock(&["user", "unlock", name]).status.success());
        let code = phones[who].code_at(step_now() + 1);
        let told = begin(&site, "sshd", name, "198.51.100.7", &code).await.unwrap();
        assert_eq!(told, Told::Grant, "{name} gets in when all is over");
    }
}
