//! The store on a real file. What the tests share: a folder that goes away, one account with a phone, and a clock
//! that stands still.

mod account;
mod authenticators;
mod clock;
mod codes;
mod disabled;
mod earned;
mod emergency;
mod faults;
mod first;
mod generation;
mod lanes;
mod last_login;
mod locks;
mod recovery;
mod stolen;

use super::*;
use crate::attempt::AttemptId;
use crate::clock::Clock;
use crate::totp::{Label, Seed};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use twinlock_config::{Lockout, TarpitSettings};
use twinlock_policy::{Service, Source};

const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const OTHER_SEED: &str = "MFRGGZDFMZTWQ2LKNNWG23TPOBYXE43U";
const CALM: Jitter = Jitter(0);

pub(super) struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("twinlock-store-{}", AttemptId::random().unwrap());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn db(&self) -> PathBuf {
        self.0.join("state.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

pub(super) struct Bench {
    store: Store,
    resumed: Resumed,
    clock: Clock,
    limits: LaneLimits,
    folder: Folder,
}

fn key() -> SealKey {
    SealKey::from_hex("0123456789abcdef".repeat(4).as_bytes()).unwrap()
}

fn limits(free: u32) -> LaneLimits {
    LaneLimits::new(&TarpitSettings { free, ..TarpitSettings::default() })
}

fn account_limits() -> AccountLimits {
    AccountLimits::new(&TarpitSettings::default(), &Lockout::default())
}

fn alice() -> AccountId {
    AccountId::new("main:alice")
}

fn name(text: &str) -> Username {
    Username::from_pam(text.as_bytes()).unwrap()
}

fn pair(address: &str) -> Option<CodePair> {
    Some(CodePair { source: Source::Address(address.parse().unwrap()), service: Service::new("sshd") })
}

fn at_home() -> Option<CodePair> {
    pair("192.0.2.1")
}

fn elsewhere() -> Option<CodePair> {
    pair("198.51.100.9")
}

fn attempt() -> AttemptId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    AttemptId::from_number(NEXT.fetch_add(1, Ordering::Relaxed))
}

fn code_of(seed: &str, wall: WallTime) -> Vec<u8> {
    let totp =
        totp_rs::Builder::new().with_secret(totp_rs::Secret::try_from_base32(seed).unwrap()).build().unwrap();
    totp.generate(wall.0).to_string().into_bytes()
}

fn open(folder: &Folder, clock: &Clock, limits: &LaneLimits) -> Result<(Store, Resumed), StoreError> {
    open_on(folder, clock, limits, None)
}

fn open_on(
    folder: &Folder,
    clock: &Clock,
    limits: &LaneLimits,
    boot: Option<&Boot>,
) -> Result<(Store, Resumed), StoreError> {
    let wall = clock.now().wall;
    Store::open(&folder.db(), key(), &TotpSettings::default(), limits, &account_limits(), wall, boot)
}

impl Bench {
    /// An empty store.
    fn empty(free: u32) -> Self {
        let (folder, clock, limits) = (Folder::new(), Clock::manual(WallTime(1_800_000_000)), limits(free));
        let (store, resumed) = open(&folder, &clock, &limits).unwrap();
        Self { store, resumed, clock, limits, folder }
    }

    /// One in which alice has a phone.
    async fn with_phone(free: u32) -> Self {
        let bench = Self::empty(free);
        bench.enroll("phone", SEED, true).await.unwrap();
        bench
    }

    async fn enroll(&self, label: &str, seed: &str, active: bool) -> Result<Enrolled, StoreError> {
        let (label, seed) = (Label::new(label).unwrap(), Seed::from_base32(seed).unwrap());
        self.store
            .enroll(
                &alice(),
                &name("alice"),
                NewAuthenticator { label, seed, parameters: None, active },
                self.clock.now(),
            )
            .await
    }

    /// Ends the daemon, with whatever is open, and starts it again.
    async fn restart(self) -> Self {
        let Self { store, clock, limits, folder, .. } = self;
        store.close().await;
        let (store, resumed) = open(&folder, &clock, &limits).unwrap();
        Self { store, resumed, clock, limits, folder }
    }

    fn request(&self, pair: Option<CodePair>, code: CodeTry) -> ChargeRequest {
        ChargeRequest {
            attempt: attempt(),
            account: alice(),
            name: name("alice"),
            lane: LaneKey::Unfamiliar,
            limits: self.limits,
            now: self.clock.now(),
            pair,
            code,
            window_steps: 1,
            enforce: true,
            account_limits: account_limits(),
            bind: BindNeed::None,
            way_in: false,
            raised: false,
            earn: None,
        }
    }

    fn code(&self) -> Vec<u8> {
        code_of(SEED, self.clock.now().wall)
    }

    /// A charge with this code that finds the lane open.
    async fn show(&self, pair: Option<CodePair>, code: &[u8]) -> Charge {
        charged(self.store.charge(self.request(pair, CodeTry::Code(Secret::copy_of(code)))).await.unwrap())
    }

    async fn no_code(&self) -> Charge {
        charged(self.store.charge(self.request(None, CodeTry::NotAsked)).await.unwrap())
    }

    async fn settle(&self, charge: Charge, settlement: Settlement) -> Settled {
        self.store.settle(charge, settlement, Bind::NotSent, self.clock.now(), CALM).await.unwrap()
    }

    async fn grant(&self, charge: Charge) -> Settled {
        self.settle(charge, Settlement::Granted { learn: None }).await
    }

    async fn failures(&self) -> u32 {
        let lanes = self.store.lanes(&alice(), self.limits, self.clock.now()).await.unwrap();
        lanes.first().map_or(0, |(_, lane)| lane.failures)
    }

    async fn sql(&self, sql: &'static str) -> Result<(), StoreError> {
        self.store.0.call(move |room| Ok(room.db.execute_batch(sql)?)).await
    }
}

fn charged(reply: ChargeReply) -> Charge {
    match reply {
        ChargeReply::Charged(charge) => *charge,
        ChargeReply::Closed { .. }
        | ChargeReply::Full
        | ChargeReply::TwoCodesOnly
        | ChargeReply::NoWayIn
        | ChargeReply::NoBindLeft => panic!("not charged: {reply:?}"),
    }
}

fn right(charge: &Charge) -> bool {
    matches!(charge.code(), CodeOutcome::Right(_))
}

fn replay(charge: &Charge) -> Option<bool> {
    match charge.code() {
        CodeOutcome::Replay { same_pair } => Some(*same_pair),
        CodeOutcome::NotAsked
        | CodeOutcome::NoAuthenticator
        | CodeOutcome::Invited
        | CodeOutcome::Wrong
        | CodeOutcome::InUse
        | CodeOutcome::Right(_) => None,
    }
}
