//! The time of a decision: from where, what is asked, what the account must prove, with 1,000 rules, a country look-up
//! and from ten to ten thousand networks. Part of `make bench`; it fails if the time grows with the number of networks.
//! With a path as its argument it reads that GeoIP file instead of one of its own, and says how long that takes.

#![forbid(unsafe_code)]
// A table on standard output is what this program is for; where it cannot go on, it has nothing better to do than to
// panic.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fmt::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::mmdb::{file, nested};
use support::temp::TempDir;
use twinlock_config::Config;
use twinlock_daemon::audit::Auditor;
use twinlock_daemon::clock::{Clock, Kept, RunningKernel};
use twinlock_daemon::location::Locations;
use twinlock_policy::lane::LaneTime;
use twinlock_policy::{Accepted, AccountId, GroupName, Policy, Service, Source, Subject, Username};

const RULES: u32 = 1000;
const LOCATIONS: u32 = 50;
/// Decisions in one measurement, and measurements of which the fastest counts.
const DECISIONS: u32 = 2000;
const ROUNDS: u32 = 7;
/// What noise may make of the same time.
const MOST: f64 = 1.5;

fn clock() -> Clock {
    Clock::system(LaneTime::default(), &Kept::default(), None, Arc::new(RunningKernel))
}

fn main() -> ExitCode {
    let folder = TempDir::new("decision");
    let own = folder.path().join("geo.mmdb");
    std::fs::write(&own, file(1_790_000_000, &[("203.0.113.0/24", nested("NL"))])).unwrap();
    let database = std::env::args_os().nth(1).map_or(own, |path| PathBuf::from(path).canonicalize().unwrap());

    println!("{RULES} rules, a country look-up in {}", database.display());
    println!(
        "read and checked to its last record in {:.0} ms",
        read(&database, folder.path()).as_secs_f64() * 1e3
    );
    println!("{:>9}  {:>12}", "networks", "a decision");
    let mut times = Vec::new();
    for networks in [10, 100, 1000, 10_000] {
        let time = measure(&configured(networks, &database), folder.path());
        println!("{networks:>9}  {:>9.1} us", time.as_secs_f64() * 1e6);
        times.push(time.as_secs_f64());
    }
    let growth = times[times.len() - 1] / times[0];
    println!("a thousand times the networks: {growth:.2} times the time");
    if growth > MOST { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Rules of which only the last fits, each looked at in full: their conditions on places and groups come last.
fn configured(networks: u32, database: &Path) -> Config {
    let mut text = format!(
        "[directory.main]\nkind = \"rfc2307\"\nservers = [\"ldaps://ldap.example.org\"]\nbase = \"dc=example\"\n\
         group_base = \"dc=example\"\n[store]\nkey = {{ file = \"/k\" }}\n[geoip]\ndatabase = {database:?}\n\
         [location.home]\ncountries = [\"NL\", \"BE\"]\n[location.usual]\nfamiliar = {{ logins = 3 }}\n"
    );
    for location in 0..LOCATIONS {
        let of_it = (location..networks).step_by(LOCATIONS as usize);
        let nets: Vec<_> =
            of_it.map(|n| format!("\"{}/28\"", Ipv4Addr::from_bits(0x0a00_0000 + (n << 4)))).collect();
        if !nets.is_empty() {
            write!(text, "[location.net{location}]\nnetworks = [{}]\n", nets.join(", ")).unwrap();
        }
    }
    for rule in 0..RULES - 1 {
        let location = rule % LOCATIONS.min(networks);
        write!(
            text,
            "[[rule]]\nname = \"rule {rule}\"\nservices = [\"sshd\", \"xrdp-sesman\"]\ngroups = [\"group{rule}\"]\n\
             from = [\"home\", \"usual\", \"net{location}\"]\n\
             when = {{ days = [\"mon-sun\"], from = \"00:01\", to = \"00:00\", zone = \"Europe/Amsterdam\" }}\n\
             require = [\"password\", \"code\"]\n"
        )
        .unwrap();
    }
    text.push_str("[[rule]]\nname = \"last\"\nrequire = [\"password\", \"code\"]\n");
    twinlock_config::parse(&text, Path::new("bench")).unwrap_or_else(|problems| panic!("{problems}")).config
}

fn read(database: &Path, folder: &Path) -> Duration {
    let (auditor, _) = Auditor::start(&folder.join("log")).unwrap();
    let locations = Locations::new(&configured(10, database), clock(), &[]);
    let began = Instant::now();
    locations.look(&auditor);
    began.elapsed()
}

fn measure(config: &Config, folder: &Path) -> Duration {
    let policy = Policy::new(config);
    let locations = Locations::new(config, clock(), &[]);
    let (auditor, _) = Auditor::start(&folder.join("log")).unwrap();
    locations.look(&auditor);
    let (name, account) = (Username::from_pam(b"alice").unwrap(), AccountId::new("main:alice"));
    let groups: Vec<_> = (0..20).map(|n| GroupName::new(format!("other{n}"))).collect();
    let service = Service::new("sshd");
    let mut fastest = Duration::MAX;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        for n in 0..DECISIONS {
            let source = Source::Address(Ipv4Addr::from_bits(0xcb00_7100 + n % 256).into());
            let place = locations.place(&policy, source, &service, Some(&name));
            let questions = policy.questions(&place, Accepted::default());
            let own = locations.place_of(&policy, &place, &name, &account);
            let subject = Subject::Account { names: std::slice::from_ref(&name), groups: Some(&groups) };
            let plan = policy.plan(&own, Accepted::default(), subject);
            assert!(questions.cover(plan.factors()) && plan.rule().unwrap().as_str() == "last");
        }
        fastest = fastest.min(began.elapsed() / DECISIONS);
    }
    fastest
}
