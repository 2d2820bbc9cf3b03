//! An attack on a host: real sshd with the shipped drop-in, and strangers who fill it as far as they can.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use support::host::{Host, Session, can_play};
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
/// One attack at a time.
static ALONE: Mutex<()> = Mutex::new(());
/// What a machine that is busy with other things should need at the very most.
const PATIENCE: Duration = Duration::from_secs(240);

/// Promise 7: who guesses and hangs up does not take sshd's room from others.
#[test]
fn a_hundred_good_logins_get_in_while_four_hundred_attackers_from_one_address_guess_and_hang_up() {
    if !can_play("an attack on sshd") {
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
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
        .filter(|record| field(record, "source") == "127.0.0.66" && field(record, "reason") != "abandoned")
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

/// Who is alone at home knows nothing but a password, so that twenty logins need no twenty codes.
const AT_HOME: &str = r#"
[service.sshd]
sshd = true
[[rule]]
name = "alice"
accounts = ["alice"]
require = ["password"]
single_factor = true
[[rule]]
name = "everyone else"
require = ["password", "code"]
"#;

/// The address of the attackers, and of alice.
const SHARED: &str = "198.51.100.66";
const LOGINS: usize = 20;

/// Promise 5: a known pair has its own lane, whatever strangers do behind the same address. sshd has room for 20
/// connections from one address and turns others away before anybody is asked; a person then tries again, and so does
/// this one.
#[test]
fn a_known_pair_gets_in_through_sshd_from_the_very_address_of_four_hundred_attackers() {
    if !can_play("a known pair behind the attackers' address") {
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let slapd = Slapd::start();
    let site = Site::start(&slapd.settings("ldaps", &[slapd.ldaps_url()]), AT_HOME);
    let host = Host::start(&site, &PEOPLE, "");
    let log_in = || host.ssh_from(SHARED, "alice", "alice's password");
    assert!(log_in().entered, "the pair becomes known");
    let began = Instant::now();
    let [attackers, turned_away] = [const { AtomicUsize::new(0) }; 2];
    let ended = AtomicBool::new(false);
    let mut last = Vec::new();
    std::thread::scope(|scope| {
        for _ in 0..ATTACKERS_AT_ONCE {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) && began.elapsed() < PATIENCE {
                    let number = attackers.fetch_add(1, Ordering::Relaxed);
                    let name = if number % 2 == 0 {
                        PEOPLE[1 + number % 4].to_owned()
                    } else {
                        format!("guest{number}")
                    };
                    host.guess_and_hang_up(SHARED, &name, &format!("guess {number}"));
                    std::thread::sleep(BREATH);
                }
            });
        }
        while site.records().iter().all(|record| field(record, "reason") != "prefix-closed")
            && began.elapsed() < PATIENCE
        {
            std::thread::sleep(Duration::from_millis(100));
        }
        for _ in 0..LOGINS {
            let mut session = log_in();
            while was_turned_away(&session) && began.elapsed() < PATIENCE {
                turned_away.fetch_add(1, Ordering::Relaxed);
                session = log_in();
            }
            last.push(session);
        }
        while attackers.load(Ordering::Relaxed) < ATTACKERS && began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(100));
        }
        ended.store(true, Ordering::Relaxed);
    });
    let entered = last.iter().filter(|session| session.entered).count();
    eprintln!(
        "{entered} of {LOGINS} behind the address of {} attackers; sshd turned {} away first; {:?}",
        attackers.into_inner(),
        turned_away.into_inner(),
        began.elapsed()
    );
    assert_eq!(entered, LOGINS, "{last:#?}");
    let closed = site.records().iter().filter(|record| field(record, "reason") == "prefix-closed").count();
    assert!(closed > 0, "the address's own lane was closed all the while");
}

/// sshd closed the connection before it sent its banner.
fn was_turned_away(session: &Session) -> bool {
    !session.entered
        && ["kex_exchange_identification", "Connection reset by", "Connection closed by"]
            .iter()
            .any(|words| session.output.contains(words))
}
