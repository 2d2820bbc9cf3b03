//! Memory under attack is a function of the configuration, not of the attacker (promise 11): a million addresses, as many
//! names that do not exist, and as many passwords, through the daemon's own tarpit on a real store.
//!
//! It measures this process and is therefore alone in its file.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;
use support::temp::TempDir;
use twinlock_daemon::attempt::{AttemptId, Deadline};
use twinlock_daemon::clock::{Clock, WallTime};
use twinlock_daemon::store::{Bind, SealKey, Settlement, Store};
use twinlock_daemon::tarpit::{Tarpit, Try};
use twinlock_policy::lane::{AccountLimits, LaneLimits};
use twinlock_policy::{Policy, Seen, Service, Source, Username};
use twinlock_protocol::Secret;

const RULES: &str = "[directory.main]\nkind = \"rfc2307\"\nservers = [\"ldaps://ldap.example.org\"]\nbase = \"dc=example\"\n\
     [[rule]]\nname = \"all\"\nrequire = [\"password\", \"code\"]\n[store]\nkey = { file = \"/seal.key\" }\n";
const ATTEMPTS: u32 = 1_000_000;
/// Attempts after which every table is full.
const FULL: u32 = 200_000;
/// What all tables together may take: docs/contracts.md, "Memory".
const TABLES: u64 = 64 << 20;
/// A hash table out of which as much is taken as is put in grows once more, to twice its room: the last step.
const LEVEL: u64 = 12 << 20;

/// Bytes of this process in memory.
fn resident() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[tokio::test]
async fn a_million_strangers_with_as_many_names_take_no_more_memory_than_the_tables_have() {
    let config = twinlock_config::parse(RULES, "twinlock.toml".as_ref()).unwrap().config;
    let folder = TempDir::new("plateau");
    let clock = Clock::manual(WallTime(1_800_000_000));
    let key = SealKey::from_hex("0123456789abcdef".repeat(4).as_bytes()).unwrap();
    let limits = LaneLimits::new(&config.tarpit);
    let account_limits = AccountLimits::new(&config.tarpit, &twinlock_config::Lockout::default());
    let path = folder.path().join("state.db");
    let (store, resumed) =
        Store::open(&path, key, &config.totp, &limits, &account_limits, clock.now().wall, None).unwrap();
    let tarpit =
        Tarpit::new(&config.tarpit, account_limits, 1, store.clone(), clock.clone(), &resumed).unwrap();
    let policy = Policy::new(&config);

    let (before, mut full) = (resident(), 0);
    for number in 0..ATTEMPTS {
        let source = Source::Address(Ipv4Addr::from_bits(0x0b00_0000 + number).into());
        let name = Username::from_pam(format!("nobody{number}").as_bytes()).unwrap();
        let place = policy.place(source, Service::new("sshd"), &Seen::default());
        let tried = Try {
            attempt: AttemptId::from_number(number.into()),
            place: &place,
            invoker: "",
            hold: true,
            deadline: Deadline::within(Duration::from_secs(15)),
        };
        let _ = tarpit.gate(&name, &place);
        let charge = tarpit.charge_nobody(&tried).await.unwrap();
        let _ = tarpit.is_sprayed(&name, &Secret::copy_of(format!("guess {number}").as_bytes()));
        let _ = tarpit.settle(charge, Settlement::Failed, Bind::NotSent, None).await.unwrap();
        // A thousand a second.
        if number % 20_000 == 0 {
            clock.advance(Duration::from_secs(20));
            tarpit.write_prefixes().await.unwrap();
        }
        if number == FULL {
            full = resident();
        }
    }
    let after = resident();
    eprintln!("{} KiB before, {} full, {} after a million", before >> 10, full >> 10, after >> 10);
    assert!(full - before <= TABLES, "the tables take {} KiB", (full - before) >> 10);
    assert!(after <= full + LEVEL, "it went on growing, from {} to {} KiB", full >> 10, after >> 10);
}
