//! The tarpit on a real store: who waits for a slot, for how long, and what a refusal leaves behind.

mod month;
mod suspect;

use super::*;
use crate::clock::WallTime;
use crate::store::SealKey;
use std::path::PathBuf;
use std::time::Instant;
use twinlock_policy::{AccountId, Policy, Seen, Service, Source};

const RULES: &str = "[directory.main]\nkind = \"rfc2307\"\nservers = [\"ldaps://ldap.example.org\"]\nbase = \"dc=example\"\n\
     [location.office]\nnetworks = [\"192.0.2.0/24\"]\n[[rule]]\nname = \"all\"\nrequire = [\"password\", \"code\"]\n\
     [tarpit]\nfree = 1\nsource_limit = { failures = 4, within = \"10m\", refuse = \"10m\" }\n\
     [store]\nkey = { file = \"/seal.key\" }\n";
const AWAY: &str = "203.0.113.7";

struct Bench {
    tarpit: Tarpit,
    policy: Policy,
    clock: Clock,
    folder: PathBuf,
}

impl Drop for Bench {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

/// With one slot in every account lane and four in a prefix lane.
fn bench() -> Bench {
    bench_of(RULES)
}

fn bench_of(rules: &str) -> Bench {
    let config = twinlock_config::parse(rules, "twinlock.toml".as_ref()).unwrap().config;
    let folder = std::env::temp_dir().join(format!("twinlock-tarpit-{}", AttemptId::random().unwrap()));
    std::fs::create_dir(&folder).unwrap();
    let clock = Clock::manual(WallTime(1_800_000_000));
    let key = SealKey::from_hex("0123456789abcdef".repeat(4).as_bytes()).unwrap();
    let limits = LaneLimits::new(&config.tarpit);
    let account_limits = AccountLimits::new(&config.tarpit, &twinlock_config::Lockout::default());
    let path = folder.join("state.db");
    let (store, resumed) =
        Store::open(&path, key, &config.totp, &limits, &account_limits, clock.now().wall, None).unwrap();
    let tarpit = Tarpit::new(&config.tarpit, account_limits, 1, store, clock.clone(), &resumed).unwrap();
    Bench { tarpit, policy: Policy::new(&config), clock, folder }
}

fn alice() -> Account {
    Account {
        id: AccountId::new("main:alice"),
        name: Username::from_pam(b"alice").unwrap(),
        names: vec![Username::from_pam(b"alice").unwrap()],
        dn: "uid=alice".into(),
        uid_number: None,
        groups: None,
        standing: Default::default(),
        lockout: Default::default(),
    }
}

impl Bench {
    fn place(&self, source: &str) -> Place {
        self.policy.place(Source::Address(source.parse().unwrap()), Service::new("sshd"), &Seen::default())
    }

    async fn charge(&self, source: &str, hold: bool) -> Result<Charge, Refused> {
        let place = self.place(source);
        let proofs = Proofs { code: CodeTry::NotAsked, bind: BindNeed::None, earn: None };
        self.tarpit.charge(&trying(&place, hold), &alice(), proofs).await
    }

    async fn charge_nobody(&self, source: &str) -> Result<Charge, Refused> {
        let place = self.place(source);
        self.tarpit.charge_nobody(&trying(&place, false)).await
    }

    async fn settle(&self, charge: Charge, settlement: Settlement) {
        assert_eq!(
            self.tarpit.settle(charge, settlement, Bind::NotSent, Some(&alice())).await.unwrap(),
            Settled::Done
        );
    }
}

fn trying(place: &Place, hold: bool) -> Try<'_> {
    let deadline = Deadline::within(Duration::from_secs(15));
    Try { attempt: AttemptId::random().unwrap(), place, invoker: "", hold, deadline }
}

/// Promise 3.
#[tokio::test]
async fn who_finds_every_slot_taken_waits_and_goes_on_as_soon_as_one_is_given_back() {
    let bench = bench();
    let first = bench.charge(AWAY, true).await.unwrap();
    let started = Instant::now();
    let (second, ()) = tokio::join!(bench.charge(AWAY, true), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        bench.settle(first, Settlement::Released).await;
    });
    assert!(second.is_ok());
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
}

/// Promise 3: two seconds at most, and not at all where one process serves every login.
#[tokio::test]
async fn nobody_waits_longer_than_two_seconds_and_a_service_that_may_not_be_held_not_at_all() {
    let bench = bench();
    let _first = bench.charge(AWAY, true).await.unwrap();
    let started = Instant::now();
    assert!(matches!(bench.charge(AWAY, false).await, Err(Refused::Full)));
    assert!(started.elapsed() < Duration::from_secs(1));
    assert!(matches!(bench.charge(AWAY, true).await, Err(Refused::Full)));
    assert!(started.elapsed() >= HOLD && started.elapsed() < 2 * HOLD, "{:?}", started.elapsed());
}

/// Promise 5: a refused attempt is neither compared nor counted.
#[tokio::test]
async fn refused_attempts_do_not_close_the_prefix_they_come_from() {
    let bench = bench();
    let wrong = bench.charge(AWAY, false).await.unwrap();
    bench.settle(wrong, Settlement::Failed).await;
    for _ in 0..20 {
        assert!(matches!(bench.charge(AWAY, false).await, Err(Refused::LaneClosed(_))));
    }
    assert!(bench.charge_nobody(AWAY).await.is_ok());
}

/// Promise 5: only the unfamiliar lane and names that do not exist stand in prefix lanes.
#[tokio::test]
async fn guesses_at_names_and_at_unfamiliar_lanes_close_a_prefix_and_those_in_a_lane_of_its_own_do_not() {
    let bench = bench();
    for _ in 0..3 {
        let guess = bench.charge_nobody(AWAY).await.unwrap();
        bench.settle(guess, Settlement::Failed).await;
    }
    let guess = bench.charge(AWAY, false).await.unwrap();
    bench.settle(guess, Settlement::Failed).await;
    assert!(matches!(bench.charge_nobody(AWAY).await, Err(Refused::PrefixClosed)));
    assert_eq!(bench.tarpit.prefixes_closed(), 1);

    let desk = "192.0.2.44";
    for _ in 0..6 {
        let guess = bench.charge(desk, false).await.unwrap();
        bench.settle(guess, Settlement::Failed).await;
        bench.clock.advance(Duration::from_secs(5 * 3600));
    }
    assert!(bench.charge_nobody(desk).await.is_ok());
}

/// Promise 5: the owner is never locked out by a stranger.
#[tokio::test]
async fn behind_a_closed_prefix_a_named_network_and_a_known_pair_keep_their_own_lane() {
    let bench = bench();
    let (alice, bob) = (alice().name, Username::from_pam(b"bob").unwrap());
    let learn = bench.place(AWAY).earnable_prefix();
    let login = bench.charge(AWAY, false).await.unwrap();
    bench.settle(login, Settlement::Granted { learn }).await;
    let desk = "192.0.2.44";
    for source in [AWAY, desk] {
        for _ in 0..4 {
            let guess = bench.charge_nobody(source).await.unwrap();
            bench.settle(guess, Settlement::Failed).await;
        }
    }
    assert_eq!(bench.tarpit.gate(&bob, &bench.place(AWAY)), Gate::Closed);
    assert_eq!(bench.tarpit.gate(&alice, &bench.place(AWAY)), Gate::Open);
    assert_eq!(bench.tarpit.gate(&Username::from_pam(b"ALICE").unwrap(), &bench.place(AWAY)), Gate::Open);
    assert_eq!(bench.tarpit.gate(&bob, &bench.place(desk)), Gate::Open);
    let known = bench.charge(AWAY, false).await.unwrap();
    assert_eq!(known.of_account().unwrap().0.to_string(), format!("from {AWAY}/32"));
    assert!(bench.charge(desk, false).await.is_ok());
}

/// Promise 4: it is the account's own directory whose lock-out counts, not the file's first.
#[tokio::test]
async fn a_directory_that_locks_early_gets_no_diagnostic_bind() {
    let bench = bench();
    let lockout = twinlock_config::Lockout { failures: 3, within: twinlock_config::Span::seconds(86_400) };
    let strict = Account { lockout, ..alice() };
    let attempt = AttemptId::random().unwrap();
    assert!(bench.tarpit.take_diagnosis(attempt, &strict).await.unwrap().is_none());
    assert!(bench.tarpit.take_diagnosis(attempt, &alice()).await.unwrap().is_some());
}

/// Promise 4: logins need the directory more than a signal does.
#[tokio::test]
async fn diagnostic_binds_are_few_at_once_and_one_an_account_until_its_next_success() {
    let bench = bench();
    let take = async |name: &str| {
        let attempt = AttemptId::random().unwrap();
        let account = Account { id: AccountId::new(name), ..alice() };
        bench.tarpit.take_diagnosis(attempt, &account).await.unwrap()
    };
    let (one, _two) = (take("one").await.unwrap(), take("two").await.unwrap());
    assert!(take("three").await.is_none(), "two are under way");
    let right = Secret::copy_of(b"right");
    let account = AccountId::new("one");
    assert!(!bench.tarpit.was_right(&account, &right));
    bench.tarpit.settle_diagnosis(one, &account, &right, Bind::Right).await.unwrap();
    assert!(bench.tarpit.was_right(&account, &right));
    assert!(!bench.tarpit.was_right(&account, &Secret::copy_of(b"wrong")));
    assert!(take("one").await.is_none(), "it has had it");
    assert!(take("three").await.is_some(), "nothing was used up by waiting");
}
