//! Servers that are hostile, at every message and after a TLS handshake too: the daemon keeps its process, grows by at
//! most 16 MiB, decides every login within its deadline, and serves the next one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::{Duration, Instant};
use support::desk::phases;
use support::hostile::{At, Hostile, Trick};
use support::pam::Code;
use support::site::{RULES, Site};
use support::slapd::Slapd;

const PASSWORD: &str = "alice's password";
/// Fifteen seconds to decide, the tick, and a slow machine.
const DECIDED: Duration = Duration::from_secs(18);
const MOST_GROWTH_KIB: u64 = 16 * 1024;

fn settings(slapd: &Slapd, mode: &str, urls: &[String]) -> String {
    slapd.settings(mode, urls) + "connect_timeout = \"1s\"\ntimeout = \"2s\"\n"
}

/// Resident memory of a process in KiB.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the daemon still runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// One after the other against one daemon: the hostile server first, a healthy one behind it.
fn plays(tricks: &[Trick], over_tls: bool) {
    let slapd = Slapd::start();
    for at in [At::ServiceBind, At::Search, At::UserBind] {
        for trick in tricks {
            let what = format!("{trick:?} at {at:?}{}", if over_tls { " after TLS" } else { "" });
            let hostile = Hostile::start(at, *trick, over_tls.then(|| slapd.folder()));
            let (mode, urls) = if over_tls {
                ("ldaps", [format!("ldaps://{}", hostile.address()), slapd.ldaps_url()])
            } else {
                ("none", [format!("ldap://{}", hostile.address()), slapd.ldap_url()])
            };
            let site = Site::start(&settings(&slapd, mode, &urls), RULES);
            let pid = site.pid();
            let before = resident(pid);
            let began = Instant::now();
            let (first, _) = phases(&site, "alice", PASSWORD);
            assert!(began.elapsed() < DECIDED, "{what}: {:?}", began.elapsed());
            assert!(hostile.tricks() > 0, "{what}: it was not come to");
            // A bind that may have been judged is not sent to another server.
            let allowed = if at == At::UserBind { first != Code::SUCCESS } else { first == Code::SUCCESS };
            assert!(allowed, "{what}: {first}");
            assert_eq!(phases(&site, "alice", PASSWORD).0, Code::SUCCESS, "{what}: the next login");
            assert_eq!(site.pid(), pid);
            let grown = resident(pid).saturating_sub(before);
            assert!(grown <= MOST_GROWTH_KIB, "{what}: it grew by {grown} KiB");
        }
    }
}

const LOUD: [Trick; 6] =
    [Trick::EmptyMessage, Trick::Nested, Trick::TwoGigabytes, Trick::WrongId, Trick::Entries, Trick::Notice];

#[test]
fn what_is_no_answer_ends_the_connection_and_not_the_daemon() {
    plays(&LOUD, false);
}

#[test]
fn what_is_no_answer_ends_the_connection_and_not_the_daemon_after_a_handshake_either() {
    plays(&LOUD, true);
}

#[test]
fn a_connection_that_ends_at_any_message_costs_no_login_that_was_not_bound() {
    for over_tls in [false, true] {
        plays(&[Trick::Fin, Trick::Rst], over_tls);
    }
}

#[test]
fn a_byte_a_second_and_silence_end_with_the_time_out() {
    for over_tls in [false, true] {
        plays(&[Trick::Trickle, Trick::Silence], over_tls);
    }
}

#[test]
fn references_in_circles_are_not_followed() {
    let slapd = Slapd::start();
    for at in [At::ServiceBind, At::Search, At::UserBind] {
        let hostile = Hostile::start(at, Trick::Circles, None);
        let urls = [format!("ldap://{}", hostile.address())];
        let site = Site::start(&settings(&slapd, "none", &urls), RULES);
        let began = Instant::now();
        let (first, _) = phases(&site, "alice", PASSWORD);
        assert!(began.elapsed() < DECIDED && first != Code::SUCCESS, "{at:?}: {first}");
        assert!((1..=4).contains(&hostile.tricks()), "{at:?}: asked {} times", hostile.tricks());
    }
}
