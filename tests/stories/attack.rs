//! An attack on a host: real sshd with the shipped drop-in, and strangers who fill it as far as they can.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::host::{Host, can_play};
use support::site::{Site, field};
use support::slapd::Slapd;

/// Loopback addresses become no known pairs, so the good ones come from a named network.
const RULES: &str = r#"
[location.office]
networks = ["127.0.0.2/32"]
[service.sshd]
sshd = true
[[rule]]
name = "office"
from = ["office"]
require = ["password"]
[[rule]]
name = "everyone else"
require = ["password", "code"]
"#;

const PEOPLE: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];
const ATTACKERS: usize = 400;
/// More than sshd has room for from one address.
const ATTACKERS_AT_ONCE: usize = 30;
/// Between an attacker's end and the next one.
const BREATH: Duration = Duration::from_millis(700);
const GOOD: usize = 100;
const GOOD_AT_ONCE: usize = 4;
/// What a machine that is busy with other things should need at the very most.
const PATIENCE: Duration = Duration::from_secs(150);

/// Promise 7: who guesses and hangs up does not take sshd's room from others.
#[test]
fn a_hundred_good_logins_get_in_while_four_hundred_attackers_from_one_address_guess_and_hang_up() {
    if !can_play("an attack on sshd") {
        return;
    }
    let slapd = Slapd::start();
    let site = Site::start(&slapd.settings("ldaps", &[slapd.ldaps_url()]), RULES);
    for name in PEOPLE {
        let _ = site.enroll(name);
    }
    let host = Host::start(&site, &PEOPLE, "");
    let began = Instant::now();
    let [attackers, good, entered] = [const { AtomicUsize::new(0) }; 3];
    std::thread::scope(|scope| {
        for _ in 0..ATTACKERS_AT_ONCE {
            scope.spawn(|| {
                while began.elapsed() < PATIENCE
                    && (entered.load(Ordering::Relaxed) < GOOD
                        || attackers.load(Ordering::Relaxed) < ATTACKERS)
                {
                    let number = attackers.fetch_add(1, Ordering::Relaxed);
                    let name = PEOPLE[number % PEOPLE.len()];
                    host.guess_and_hang_up("127.0.0.66", name, &format!("guess {number}"));
                    std::thread::sleep(BREATH);
                }
            });
        }
        for _ in 0..GOOD_AT_ONCE {
            scope.spawn(|| {
                while began.elapsed() < PATIENCE {
                    let number = good.fetch_add(1, Ordering::Relaxed);
                    if number >= GOOD {
                        return;
                    }
                    let name = PEOPLE[number % PEOPLE.len()];
                    let session = host.ssh_from("127.0.0.2", name, &format!("{name}'s password"));
                    if session.entered && session.output.contains(&format!("entered as {name}")) {
                        entered.fetch_add(1, Ordering::Relaxed);
                    } else {
                        eprintln!("login {number}: {session:?}");
                    }
                }
            });
        }
    });
    let (attackers, entered) = (attackers.into_inner(), entered.into_inner());
    let records = site.records();
    let guessed = records
        .iter()
        .filter(|record| field(record, "source") == "127.0.0.66" && record.contains(": attempt "))
        .count();
    let log = host.sshd_log();
    eprintln!(
        "{entered} of {GOOD} good logins; {guessed} of {attackers} attackers reached the daemon; {} lines of sshd about dropped connections; {:?}",
        log.lines()
            .filter(|line| line.contains("drop connection") || line.contains("past MaxStartups"))
            .count(),
        began.elapsed()
    );
    assert_eq!(entered, GOOD, "{log}");
    assert!(guessed >= 20, "the attackers were no attackers: {log}");
}
