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

/// Lanes so wide that all of it is compared.
const RULES: &str = r#"
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

fn directory(folder: &TempDir) -> EmbeddedDirectory {
    let mut ldif = format!(
        "dn: dc=example,dc=org\nobjectClass: organization\no: example\n\n\
         dn: {PEOPLE}\nobjectClass: organizationalUnit\nou: people\n\n"
    );
    for (name, number) in NAMES.iter().zip(2001..) {
        ldif.push_str(&slapd::account(&format!("uid={name},{PEOPLE}"), name, number, "right"));
    }
    let listen = Listen { socket: Some(folder.path().join("ldapi")), loopback: false };
    EmbeddedDirectory::start(&ldif, &listen).unwrap()
}

/// The moments at which it dies: three times out of four while codes are compared and passwords proved.
fn moment(round: u32) -> Duration {
    let within = if round % 4 == 3 { 300_000 } else { 20_000 };
    Duration::from_micros(u64::from(round * 7919 % within))
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
        "kind = \"rfc2307\"\nservers = {:?}\nbase = {PEOPLE:?}\ntls = {{ mode = \"none\" }}\n",
        directory.urls()
    );
    let mut site = Site::start(&settings, RULES);
    let phones: Vec<Phone> = NAMES.iter().map(|name| site.enroll(name)).collect();
    let (mut shown, mut granted) = (HashSet::new(), HashMap::<(usize, String), u32>::new());
    for round in 0..ROUNDS {
        let logins: Vec<_> = (0..PARALLEL)
            .map(|number| {
                let who = usize::try_from(round + number).unwrap() % NAMES.len();
                let code = if number % 3 == 2 {
                    phones[who].wrong_code()
                } else {
                    let code = phones[who].code_at(step_now() - 1 + u64::from(round / 8 % 3));
                    shown.insert((who, code.clone()));
                    code
                };
                let (socket, from) = (site.path("login.sock"), format!("198.51.100.{}", number % 2));
                tokio::spawn(async move {
                    // Some come only when it is dead already.
                    let Ok(stream) = tokio::net::UnixStream::connect(socket).await else {
                        return (who, code, Told::Nothing);
                    };
                    let answers: [&[u8]; 2] = [b"right", code.as_bytes()];
                    let told = Client::over(stream).login("sshd", NAMES[who], &from, &answers).await;
                    (who, code, told)
                })
            })
            .collect();
        tokio::time::sleep(moment(round)).await;
        site.kill();
        for login in logins {
            let (who, code, told) = login.await.unwrap();
            if told == Told::Grant {
                assert!(shown.contains(&(who, code.clone())), "a wrong code was granted");
                *granted.entry((who, code)).or_default() += 1;
            }
        }
        site.start_daemon();
    }
    assert!(!granted.is_empty(), "some of them were let in");
    assert!(granted.values().all(|times| *times == 1), "a code was granted twice: {granted:?}");
    for (who, name) in NAMES.iter().enumerate() {
        let codes = shown.iter().filter(|(whose, _)| *whose == who).count();
        let grants = recorded(&site, name, "verdict", "grant");
        assert!(grants <= codes, "{name}: {grants} grants for {codes} codes");
        let (kept, wrong) = (failures(&site, name), recorded(&site, name, "code", "wrong"));
        assert!(kept >= wrong, "{name}: {wrong} wrong codes were recorded, and {kept} failures are kept");
        assert!(kept < 1000, "no round leaves more failures than it had attempts");
    }
    let crashed = site.records().iter().filter(|record| record.contains(": charges-kept ")).count();
    assert!(crashed > ROUNDS as usize / 20, "it was caught with charges open only {crashed} times");
}
