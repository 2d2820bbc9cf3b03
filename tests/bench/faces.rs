//! Whether denials can be told apart by their time: every kind of them through the login socket of the release daemon,
//! beside a real slapd, with prompts compared and times printed. Part of `make bench`.
//!
//! A pair of kinds is told apart as well as the best threshold's ranking does it: AUC 0.5 is a coin, 1 is certainty.
//! With so many samples the AUC of equal kinds strays by 0.017 (one standard deviation).

#![forbid(unsafe_code)]
// A table on standard output is what this program is for; where it cannot go on, it has nothing better to do than to
// panic.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use support::client::{Client, many_connections};
use support::site::{Phone, Site, field, step_now};
use support::slapd::{PEOPLE, Slapd, account};
use tokio::sync::{Mutex, Semaphore};
use twinlock_protocol::{Message, Verdict};

/// Samples of each kind.
const SAMPLES: usize = 600;
/// Two for each account, which has three codes at a time and three slots.
const SAMPLES_AN_ACCOUNT: usize = 2;
const AT_ONCE: usize = 32;
/// Told apart no better than this.
const LIMIT: f64 = 0.55;

/// The long wait keeps the closed lane closed.
const RULES: &str = r#"
[[rule]]
name = "gone"
accounts = ["gone"]
deny = true
[[rule]]
name = "everyone else"
require = ["password", "code"]
[tarpit]
base = "1h"
# Guesses at so many accounts are a spread attack, which would give every denial one more reason.
spread_limit = { failures = 10000, accounts = 10000, within = "1s", for = "1s" }
"#;

/// A kind of denial: the reason in its record, and what accounts of that kind are called.
const KINDS: [(&str, &str); 7] = [
    ("unknown-account", "nobody"),
    ("wrong-code", "coded"),
    ("wrong-password", "worded"),
    ("replayed-code", "again"),
    ("lane-closed", "closed"),
    ("denied-by-rule", "gone"),
    ("disabled-by-administrator", "locked"),
];

/// Time from the last answer to the verdict in milliseconds, and the questions before.
type Face = (f64, Vec<String>);

struct Scene {
    site: Site,
    next_source: AtomicU32,
}

fn main() -> ExitCode {
    many_connections();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if runtime.block_on(compare()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn compare() -> bool {
    let with_phones = ["coded", "worded", "again", "locked"];
    let mut names: Vec<String> = vec!["closed".into(), "gone".into()];
    for kind in with_phones {
        names.extend((0..SAMPLES / SAMPLES_AN_ACCOUNT).map(|number| format!("{kind}{number}")));
    }
    let entries: String = (3000..)
        .zip(&names)
        .map(|(uid, name)| account(&format!("uid={name},{PEOPLE}"), name, uid, "right"))
        .collect();
    let slapd = Slapd::start_with(&entries);
    let site = Site::start(&slapd.settings("ldaps", &[slapd.ldaps_url()]), RULES);
    let phones: BTreeMap<String, Phone> =
        names.iter().map(|name| (name.clone(), site.enroll(name))).collect();
    for name in names.iter().filter(|name| name.starts_with("locked")) {
        assert!(site.twinlock(&["user", "disable", name]).status.success(), "{name}");
    }
    let scene = Arc::new(Scene { site, next_source: AtomicU32::new(0) });

    let wrong = phones["closed"].wrong_code();
    for _ in 0..3 {
        deny(&scene, "closed", b"right", &wrong).await;
    }

    let phones = Arc::new(Mutex::new(phones));
    let (turns, faces) = (Arc::new(Semaphore::new(AT_ONCE)), Arc::new(Mutex::new(BTreeMap::new())));
    let mut tasks = Vec::new();
    for number in 0..SAMPLES / SAMPLES_AN_ACCOUNT {
        for (reason, name) in KINDS {
            let (scene, phones, faces) = (Arc::clone(&scene), Arc::clone(&phones), Arc::clone(&faces));
            let turn = Arc::clone(&turns).acquire_owned().await.unwrap();
            tasks.push(tokio::spawn(async move {
                let user =
                    if name == "gone" || name == "closed" { name.into() } else { format!("{name}{number}") };
                let phone = phones.lock().await.remove(&user);
                for face in sample(&scene, reason, &user, phone).await {
                    faces.lock().await.entry(reason).or_insert_with(Vec::new).push(face);
                }
                drop(turn);
            }));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    let faces = faces.lock().await;
    table(&faces) & recorded(&scene.site)
}

/// The denials of one account.
async fn sample(scene: &Scene, reason: &str, user: &str, phone: Option<Phone>) -> Vec<Face> {
    let now = step_now();
    let codes: [String; SAMPLES_AN_ACCOUNT] = match (reason, &phone) {
        // An older code than one that was reserved is none any more, a newer one is.
        ("wrong-password" | "disabled-by-administrator", Some(phone)) => {
            [phone.code_at(now), phone.code_at(now + 1)]
        }
        ("replayed-code", Some(phone)) => {
            let code = phone.code_at(now);
            let client = Client::connect(&scene.site.path("login.sock")).await;
            let told = client.login("sshd", user, &source(scene), &[b"right", code.as_bytes()]).await;
            assert_eq!(told, support::client::Told::Grant, "{user}");
            [code.clone(), code]
        }
        (_, Some(phone)) => [phone.wrong_code(), phone.wrong_code()],
        (_, None) => ["000000".into(), "000000".into()],
    };
    let password: &[u8] = if reason == "wrong-password" { b"wrong" } else { b"right" };
    let mut faces = Vec::new();
    for code in codes {
        faces.push(deny(scene, user, password, &code).await);
    }
    faces
}

/// One from an address that nobody came from before, at a moment that no other attempt sets.
async fn deny(scene: &Scene, user: &str, password: &[u8], code: &str) -> Face {
    let pause = u64::from(RandomState::new().hash_one(()) as u8);
    tokio::time::sleep(Duration::from_millis(pause)).await;
    let mut client = Client::connect(&scene.site.path("login.sock")).await;
    client.open("sshd", user, &source(scene)).await.unwrap();
    let (mut answers, mut asked, mut since) =
        ([password, code.as_bytes()].into_iter(), Vec::new(), Instant::now());
    loop {
        match client.read().await {
            Some(Message::Ask { prompt, .. }) => {
                asked.push(format!("{prompt:?}"));
                since = Instant::now();
                client.answer(answers.next().unwrap()).await.unwrap();
            }
            Some(Message::Verdict(Verdict::Deny)) => return (millis(since.elapsed()), asked),
            other => panic!("{user}: {other:?}"),
        }
    }
}

fn source(scene: &Scene) -> String {
    std::net::Ipv4Addr::from_bits(0x2d00_0000 + scene.next_source.fetch_add(1, Ordering::Relaxed)).to_string()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Prints everything; tells whether no pair can be told apart and all were asked the same.
fn table(faces: &BTreeMap<&str, Vec<Face>>) -> bool {
    println!("{:<26} {:>7}  {:>8} {:>8} {:>8}", "denial", "samples", "p5 ms", "p50 ms", "p95 ms");
    let mut times = BTreeMap::new();
    for (reason, faces) in faces {
        let mut sorted: Vec<f64> = faces.iter().map(|face| face.0).collect();
        sorted.sort_by(f64::total_cmp);
        let at = |percent: usize| sorted[(sorted.len() - 1) * percent / 100];
        println!("{reason:<26} {:>7}  {:>8.2} {:>8.2} {:>8.2}", sorted.len(), at(5), at(50), at(95));
        times.insert(*reason, sorted);
    }
    let mut largest: f64 = 0.0;
    println!("\nAUC of each pair:");
    for (first, left) in &times {
        for (second, right) in
            times.range::<str, _>((std::ops::Bound::Excluded(*first), std::ops::Bound::Unbounded))
        {
            let auc = auc(left, right);
            largest = largest.max(auc);
            println!("  {auc:.3}  {first} / {second}");
        }
    }
    let asked: BTreeSet<_> = faces.values().flatten().map(|face| &face.1).collect();
    println!(
        "\nThe largest is {largest:.3}, at most {LIMIT} is wanted. Sequences of questions: {}.",
        asked.len()
    );
    largest <= LIMIT && asked.len() == 1
}

/// How well a threshold tells the two apart, in whichever direction does it better.
fn auc(left: &[f64], right: &[f64]) -> f64 {
    let above: f64 = left
        .iter()
        .map(|l| {
            right
                .iter()
                .map(|r| {
                    if r > l {
                        1.0
                    } else if r == l {
                        0.5
                    } else {
                        0.0
                    }
                })
                .sum::<f64>()
        })
        .sum();
    let auc = above / (left.len() * right.len()) as f64;
    auc.max(1.0 - auc)
}

/// Whether every sample was the denial that it is counted as.
fn recorded(site: &Site) -> bool {
    let mut others = BTreeMap::<(String, String), usize>::new();
    let mut right = 0;
    for record in site.records().iter().filter(|record| field(record, "verdict") == "deny") {
        let (user, reason) = (field(record, "user"), field(record, "reason"));
        if KINDS.iter().any(|(wanted, name)| user.starts_with(name) && *wanted == reason) {
            right += 1;
        } else {
            *others.entry((user.trim_end_matches(char::is_numeric).into(), reason.into())).or_default() += 1;
        }
    }
    others.remove(&("closed".to_owned(), "wrong-code".to_owned()));
    println!("Recorded as meant: {right} of {}; otherwise: {others:?}", SAMPLES * KINDS.len());
    right == SAMPLES * KINDS.len() && others.is_empty()
}
