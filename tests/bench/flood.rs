//! A flood of refused attempts beside good logins, through the login socket of the release daemon and a real slapd: how
//! long both take, and whether every good one succeeds. Part of `make bench`.
//!
//! Both are paced by the clock and not by the answers, so that a slow daemon is asked no less. A refusal waits for its
//! tick of 250 ms on purpose.

#![forbid(unsafe_code)]
// A table on standard output is what this program is for; where it cannot go on, it has nothing better to do than to
// panic.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use support::client::{Client, Told, many_connections};
use support::site::{Site, field};
use support::slapd::{PEOPLE, Slapd, account};

const GOOD_A_SECOND: u32 = 20;
const REFUSED_A_SECOND: u32 = 1000;
const SECONDS: u32 = 10;
const CLERKS: u32 = 40;
/// Addresses that had their guesses.
const CLOSED: u32 = 20;

/// The long waits keep closed what was closed before.
const RULES: &str = r#"
[location.office]
networks = ["192.0.2.0/24"]
[[rule]]
name = "office"
from = ["office"]
require = ["password"]
[[rule]]
name = "everyone else"
require = ["password", "code"]
[tarpit]
base = "1h"
source_limit = { failures = 20, within = "10m", refuse = "1h" }
"#;

/// Verdict and time of each attempt.
type Outcomes = Vec<(Told, Duration)>;

fn main() -> ExitCode {
    many_connections();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if runtime.block_on(flood()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn flood() -> bool {
    let entries: String = (0..CLERKS)
        .map(|number| format!("clerk{number}"))
        .map(|name| account(&format!("uid={name},{PEOPLE}"), &name, 3000, "right"))
        .collect();
    let slapd = Slapd::start_with(&entries);
    let site = Site::start(&slapd.settings("ldaps", &[slapd.ldaps_url()]), RULES);
    let phone = site.enroll("alice");
    let socket = site.path("login.sock");
    let wrong = phone.wrong_code();
    for _ in 0..3 {
        attempt(&socket, "alice", "198.51.100.1", &[b"alice's password", wrong.as_bytes()]).await;
    }
    let guesses = (0..CLOSED * 20).map(|number| {
        let socket = socket.clone();
        async move { attempt(&socket, "nobody", &stranger(number % CLOSED), &[b"guess", b"000000"]).await }
    });
    let guesses: Vec<_> = guesses.map(tokio::spawn).collect();
    for guess in guesses {
        guess.await.unwrap();
    }
    let before = (slapd.all_binds(), site.records().len());

    println!("{:<24} {:>8} {:>7}  {:>8} {:>8} {:>8}", "", "attempts", "as due", "p50 ms", "p95 ms", "p99 ms");
    let alone = paced(&socket, GOOD_A_SECOND, good).await;
    let mut all_in = row("good, without the flood", &alone, Told::Grant);
    let began = Instant::now();
    let (beside, refused) =
        tokio::join!(paced(&socket, GOOD_A_SECOND, good), paced(&socket, REFUSED_A_SECOND, refused));
    let took = began.elapsed();
    all_in &= row("good, beside the flood", &beside, Told::Grant);
    let all_out = row("refused", &refused, Told::Deny);

    tokio::time::sleep(Duration::from_secs(1)).await;
    let records = site.records();
    let count =
        |reason: &str| records[before.1..].iter().filter(|record| field(record, "reason") == reason).count();
    println!(
        "\nThe flood took {:.1} s. Recorded: {} rule-met, {} prefix-closed, {} lane-closed. Users' binds at slapd: {}.",
        took.as_secs_f64(),
        count("rule-met"),
        count("prefix-closed"),
        count("lane-closed"),
        (0..CLERKS).map(|number| slapd.binds(&format!("uid=clerk{number},{PEOPLE}"))).sum::<usize>()
            + slapd.binds(&format!("uid=alice,{PEOPLE}"))
    );
    all_in && all_out
}

async fn paced<F>(socket: &Path, a_second: u32, login: impl Fn(std::path::PathBuf, u32) -> F) -> Outcomes
where
    F: Future<Output = (Told, Duration)> + Send + 'static,
{
    let began = tokio::time::Instant::now();
    let mut tasks = Vec::new();
    for number in 0..a_second * SECONDS {
        tokio::time::sleep_until(began + Duration::from_secs(1) * number / a_second).await;
        tasks.push(tokio::spawn(login(socket.to_owned(), number)));
    }
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.unwrap());
    }
    outcomes
}

async fn good(socket: std::path::PathBuf, number: u32) -> (Told, Duration) {
    attempt(&socket, &format!("clerk{}", number % CLERKS), "192.0.2.7", &[b"right"]).await
}

/// By turns from an address that is closed, and at an account whose lane is.
async fn refused(socket: std::path::PathBuf, number: u32) -> (Told, Duration) {
    let (user, source) = if number.is_multiple_of(2) {
        ("nobody", stranger(number / 2 % CLOSED))
    } else {
        ("alice", stranger(1000 + number))
    };
    attempt(&socket, user, &source, &[b"guess", b"000000"]).await
}

fn stranger(number: u32) -> String {
    Ipv4Addr::from_bits(0x2d00_0000 + number).to_string()
}

async fn attempt(socket: &Path, user: &str, source: &str, answers: &[&[u8]]) -> (Told, Duration) {
    let began = Instant::now();
    let told = Client::connect(socket).await.login("sshd", user, source, answers).await;
    (told, began.elapsed())
}

/// Prints one; tells whether all ended as they should.
fn row(name: &str, outcomes: &Outcomes, due: Told) -> bool {
    let as_due = outcomes.iter().filter(|(told, _)| *told == due).count();
    let mut times: Vec<f64> = outcomes.iter().map(|(_, time)| time.as_secs_f64() * 1000.0).collect();
    times.sort_by(f64::total_cmp);
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!("{name:<24} {:>8} {as_due:>7}  {:>8.2} {:>8.2} {:>8.2}", times.len(), at(50), at(95), at(99));
    as_due == times.len()
}
