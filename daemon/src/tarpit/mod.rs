//! How fast anyone may guess. A charge is a slot taken in every lane an attempt stands in, before anything is
//! compared; settling gives it back, with or without a failure. Account lanes are rows of the store, prefix lanes are
//! memory, of which the store keeps a copy for the next start.

mod held;
mod keyed;
mod known;
mod prefix;
mod repeats;
mod spray;
mod stolen;
#[cfg(test)]
mod tests;
mod way_in;

use crate::attempt::{AttemptId, Deadline};
use crate::clock::Clock;
use crate::directory::Account;
use crate::store::{
    self, Bind, BindNeed, ChargeReply, ChargeRequest, CodePair, CodeTry, Earn, First, Observed, Past,
    Resumed, Settled, Settlement, Store, StoreError, Visit,
};
use held::Held;
use known::Known;
pub use prefix::PrefixState;
use prefix::{PrefixCharge, Prefixes, Slot};
use repeats::Repeats;
use spray::Sprays;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use stolen::Diagnoses;
pub use stolen::{DIAGNOSING, Diagnosis};
use tokio::sync::Notify;
use twinlock_config::{Day, TarpitSettings};
use twinlock_policy::lane::{AccountLimits, Jitter, Lane, LaneLimits};
use twinlock_policy::spread::Spread;
use twinlock_policy::{AccountId, LaneKey, Place, Prefix, Source, Stand, Username};
use twinlock_protocol::Secret;
use way_in::Ways;

/// How long a call waits for a slot at most.
const HOLD: Duration = Duration::from_secs(2);

/// What the front of the tarpit says, from memory alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Gate {
    /// The address may try.
    Open,
    /// It may not; only a name with a lane of its own here goes on.
    Closed,
}

/// Why nothing was charged.
#[derive(Debug)]
pub enum Refused {
    /// A prefix lane is closed.
    PrefixClosed,
    /// The account lane is closed.
    LaneClosed(LaneKey),
    /// The account lane takes only two consecutive codes or a recovery code.
    TwoCodesOnly(LaneKey),
    /// Two codes or a recovery code were tried where nothing else is taken, and are none.
    NoWayIn(LaneKey),
    /// The directory may be asked no more for now: its own lock-out is near.
    NoBindLeft(LaneKey),
    /// Every slot of a lane stayed taken.
    Full,
    /// No code can be judged at this time.
    Codes(CodesRefused),
    /// The store did not answer.
    Store(StoreError),
}

/// Why no code can be judged, right or wrong, anybody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodesRefused {
    /// The wall clock is not believed.
    ClockSuspect,
    /// The store is a copy that was put back.
    StoreRestored,
}

/// The slots an attempt holds.
#[must_use]
pub struct Charge {
    account: Option<(LaneKey, store::Charge)>,
    prefixes: PrefixCharge,
    source: Source,
}

/// Why an attempt would have been refused, had the tarpit not only observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WouldRefuse {
    /// A prefix lane is closed.
    PrefixClosed,
    /// The account lane is closed.
    LaneClosed,
    /// Every slot of a lane is taken.
    Full,
}

impl Charge {
    /// The account lane, and what came of the code in it; neither is there for a name that does not exist.
    #[must_use]
    pub fn of_account(&self) -> Option<(&LaneKey, &store::Charge)> {
        self.account.as_ref().map(|(lane, charge)| (lane, charge))
    }

    /// Says what its settlement does for an account without an authenticator.
    pub fn with_first(self, first: Option<First>) -> Self {
        let Self { account, prefixes, source } = self;
        let account = account.map(|(lane, charge)| (lane, charge.with_first(first)));
        Self { account, prefixes, source }
    }

    /// Why it would have been refused, where that is only observed.
    #[must_use]
    pub fn observed(&self) -> Option<WouldRefuse> {
        let account = self.account.as_ref().and_then(|(_, charge)| charge.observed());
        match (self.prefixes.observed(), account) {
            (Some(Observed::Closed), _) => Some(WouldRefuse::PrefixClosed),
            (_, Some(Observed::Closed)) => Some(WouldRefuse::LaneClosed),
            (Some(Observed::Full), _) | (_, Some(Observed::Full)) => Some(WouldRefuse::Full),
            (None, None) => None,
        }
    }
}

/// Everything an attempt is charged for.
pub struct Try<'a> {
    /// The attempt.
    pub attempt: AttemptId,
    /// Where it comes from.
    pub place: &'a Place,
    /// Who called su or sudo.
    pub invoker: &'a str,
    /// Whether the call may be kept waiting.
    pub hold: bool,
    /// By when.
    pub deadline: Deadline,
}

/// What is compared and asked of the directory under a charge.
pub struct Proofs {
    /// What was typed where a code may stand.
    pub code: CodeTry,
    /// Whether the password will be bound.
    pub bind: BindNeed,
    /// What the login earns if password and code are both proved.
    pub earn: Option<Box<Earn>>,
}

impl Proofs {
    /// Whether it cannot be done without a code. Where a bare password is bound, a code behind it is only looked for.
    fn needs_code(&self) -> bool {
        !matches!(self.code, CodeTry::NotAsked | CodeTry::Behind(_)) && self.bind != BindNeed::Bare
    }
}

/// The tarpit.
pub struct Tarpit {
    limits: LaneLimits,
    account_limits: AccountLimits,
    ways: Ways,
    repeats: Repeats,
    spread: Mutex<Spread>,
    sprays: Sprays,
    diagnoses: Diagnoses,
    spread_began: AtomicBool,
    window_steps: u8,
    observe_until: Option<Day>,
    prefixes: Prefixes,
    known: Known,
    store: Store,
    clock: Clock,
    held: Held,
    freed: Arc<Notify>,
    /// One writes prefix lanes down at a time.
    writing: tokio::sync::Mutex<()>,
}

impl Tarpit {
    /// With the known pairs and the prefix lanes that the store remembers.
    ///
    /// # Errors
    /// The operating system has no random numbers to give.
    pub fn new(
        settings: &TarpitSettings,
        account_limits: AccountLimits,
        window_steps: u8,
        store: Store,
        clock: Clock,
        resumed: &Resumed,
    ) -> Result<Self, getrandom::Error> {
        let prefixes = Prefixes::new(&settings.source_limit, prefix::CAPACITY);
        prefixes.restore(&resumed.prefix_lanes, clock.now().lane);
        Ok(Self {
            limits: LaneLimits::new(settings),
            account_limits,
            ways: Ways::new(way_in::CAPACITY),
            repeats: Repeats::new()?,
            sprays: Sprays::new(&settings.spread_limit)?,
            diagnoses: Diagnoses::new()?,
            spread: Mutex::new(Spread::new(&settings.spread_limit)),
            spread_began: AtomicBool::new(false),
            window_steps,
            observe_until: settings.observe_until,
            prefixes,
            known: Known::new(&resumed.known_pairs),
            store,
            clock,
            held: Held::new(),
            freed: Arc::new(Notify::new()),
            writing: tokio::sync::Mutex::new(()),
        })
    }

    /// The account lanes' limits.
    #[must_use]
    pub const fn limits(&self) -> &LaneLimits {
        &self.limits
    }

    /// The day until the end of which it only observes, if it does now.
    #[must_use]
    pub fn observes_until(&self) -> Option<Day> {
        self.observe_until.filter(|day| self.clock.now().wall.0 < day.end_s())
    }

    /// Why no code can be judged now, if none can.
    #[must_use]
    pub fn codes_refused(&self) -> Option<CodesRefused> {
        let clock = self.clock.suspicion().map(|_| CodesRefused::ClockSuspect);
        clock.or_else(|| self.store.is_restored().then_some(CodesRefused::StoreRestored))
    }

    fn enforces(&self) -> bool {
        self.observes_until().is_none()
    }

    /// Prefix lanes closed now.
    #[must_use]
    pub fn prefixes_closed(&self) -> u64 {
        self.prefixes.closed(self.clock.now().lane)
    }

    /// The prefix lanes closed now, the one that closed last first, `most` at most.
    #[must_use]
    pub fn closed_prefixes(&self, most: usize) -> Vec<PrefixState> {
        self.prefixes.all_closed(self.clock.now().lane, most)
    }

    /// Writes down what changed in prefix lanes since it was last done. Due each second and at the end; a kill loses
    /// what was counted since, but no closing (see [`Tarpit::settle`]).
    ///
    /// # Errors
    /// It could not be written, and is tried again the next time.
    pub async fn write_prefixes(&self) -> Result<(), StoreError> {
        let _alone = self.writing.lock().await;
        let changed = self.prefixes.changed();
        if !changed.rows().is_empty() {
            self.store.write_prefix_lanes(changed.rows().to_vec(), self.clock.now()).await?;
        }
        changed.written();
        Ok(())
    }

    /// Opens a prefix lane and forgets its failures. Returns what it was, if it said anything. It is closed again after a
    /// restart unless [`Tarpit::write_prefixes`] has got through since.
    pub fn clear_prefix(&self, prefix: Prefix) -> Option<PrefixState> {
        let was = self.prefixes.clear(prefix, self.clock.now().lane);
        self.freed.notify_waiters();
        was
    }

    /// Opens every lane of an account and forgets its failures. Returns the lanes that had any.
    ///
    /// # Errors
    /// Nothing was opened.
    pub async fn unlock(&self, account: &AccountId) -> Result<Vec<(LaneKey, Lane)>, StoreError> {
        let unlocked = self.store.unlock(account, self.limits, self.clock.now()).await;
        self.freed.notify_waiters();
        unlocked
    }

    /// Looks at the prefix lanes before any I/O. A closed one ends the attempt here, unless this spelling of a name
    /// has a lane of its own at this place.
    pub fn gate(&self, name: &Username, place: &Place) -> Gate {
        let closed = place
            .counted_address()
            .is_some_and(|address| self.prefixes.is_closed(address, self.clock.now().lane));
        if !closed || place.network().is_some() || !self.enforces() {
            return Gate::Open;
        }
        let wall = self.clock.now().wall;
        match place.earnable_prefix() {
            Some(prefix) if self.known.holds_name(name, prefix, wall) => Gate::Open,
            Some(_) | None => Gate::Closed,
        }
    }

    /// The lanes in which an attempt of an account stands.
    #[must_use]
    pub fn stand(&self, place: &Place, account: &AccountId, invoker: &str) -> Stand {
        let wall = self.clock.now().wall;
        let known = place.earnable_prefix().is_some_and(|prefix| self.known.holds(account, prefix, wall));
        Stand::of_account(place, known, invoker)
    }

    /// The prefix lanes of an address that are closed now.
    #[must_use]
    pub fn closed_at(&self, address: IpAddr) -> Vec<PrefixState> {
        let own = [Some(Prefix::of(address)), Prefix::wide(address)];
        let mut closed = self.prefixes.all_closed(self.clock.now().lane, usize::MAX);
        closed.retain(|state| own.contains(&Some(state.prefix)));
        closed
    }

    /// Takes a slot in every lane the attempt stands in, and with it compares the code and reserves its step. While no
    /// code can be judged, who needs none is charged without one, and all others are refused here.
    ///
    /// # Errors
    /// [`Refused`]: then nothing was compared, and nothing is counted.
    pub async fn charge(
        &self,
        tried: &Try<'_>,
        account: &Account,
        proofs: Proofs,
    ) -> Result<Charge, Refused> {
        let code = match self.codes_refused() {
            Some(why) if proofs.needs_code() => return Err(Refused::Codes(why)),
            Some(_) => CodeTry::NotAsked,
            None => proofs.code,
        };
        let now = self.clock.now();
        let stand = self.stand(tried.place, &account.id, tried.invoker);
        let request = ChargeRequest {
            attempt: tried.attempt,
            account: account.id.clone(),
            name: account.name.clone(),
            lane: stand.account,
            limits: self.limits,
            now,
            pair: tried
                .place
                .can_hold_a_reservation()
                .then(|| CodePair { source: *tried.place.source(), service: tried.place.service().clone() }),
            code,
            window_steps: self.window_steps,
            enforce: self.enforces(),
            account_limits: self.account_limits.below(&account.lockout),
            bind: proofs.bind,
            earn: proofs.earn,
            way_in: false,
            raised: self.spread().is_raised(now.lane),
        };
        let may_be_way_in = request.code.may_be_way_in();
        match self.wait_for_slots(tried, stand.prefixes, Some(&request)).await {
            Err(barred @ (Refused::LaneClosed(_) | Refused::TwoCodesOnly(_))) if may_be_way_in => {
                if !self.ways.try_one(&account.id, tried.place.source(), self.clock.now().lane) {
                    return Err(barred);
                }
                self.wait_for_slots(tried, stand.prefixes, Some(&ChargeRequest { way_in: true, ..request }))
                    .await
            }
            decided => decided,
        }
    }

    /// Compares the code that stands beside an emergency password. No lane refuses that; its slots are taken all the same.
    ///
    /// # Errors
    /// [`Refused::Codes`] or [`Refused::Store`]: then nothing was compared.
    pub async fn charge_emergency(
        &self,
        tried: &Try<'_>,
        account: &AccountId,
        name: &Username,
        code: CodeTry,
    ) -> Result<Charge, Refused> {
        if let Some(why) = self.codes_refused() {
            return Err(Refused::Codes(why));
        }
        let request = ChargeRequest {
            attempt: tried.attempt,
            account: account.clone(),
            name: name.clone(),
            lane: Stand::of_account(tried.place, false, tried.invoker).account,
            limits: self.limits,
            now: self.clock.now(),
            pair: None,
            code,
            window_steps: self.window_steps,
            enforce: false,
            account_limits: self.account_limits,
            bind: BindNeed::None,
            earn: None,
            way_in: false,
            raised: false,
        };
        self.take_slots(*tried.place.source(), None, Some(&request)).await
    }

    /// The same for a name that does not exist: it stands in prefix lanes only.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn charge_nobody(&self, tried: &Try<'_>) -> Result<Charge, Refused> {
        self.wait_for_slots(tried, Stand::prefixes_of_nobody(tried.place), None).await
    }

    async fn wait_for_slots(
        &self,
        tried: &Try<'_>,
        prefixes: Option<IpAddr>,
        request: Option<&ChargeRequest>,
    ) -> Result<Charge, Refused> {
        let deadline = tried.deadline.at_most(HOLD);
        let mut permit = None;
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // Registered before the look, so that a slot freed in between is not missed.
            freed.as_mut().enable();
            match self.take_slots(*tried.place.source(), prefixes, request).await {
                Err(Refused::Full) if tried.hold => {}
                decided => return decided,
            }
            if permit.is_none() {
                permit = self.held.permit(tried.place.source().address().map(Prefix::of));
            }
            if permit.is_none() || deadline.bound(freed).await.is_none() {
                return Err(Refused::Full);
            }
        }
    }

    async fn take_slots(
        &self,
        source: Source,
        prefixes: Option<IpAddr>,
        request: Option<&ChargeRequest>,
    ) -> Result<Charge, Refused> {
        let now = self.clock.now();
        let prefixes = match prefixes.map(|address| self.prefixes.reserve(address, now.lane, self.enforces()))
        {
            None => PrefixCharge::none(&self.prefixes),
            Some(Slot::Taken(charge)) => charge,
            Some(Slot::Closed) => return Err(Refused::PrefixClosed),
            Some(Slot::Full) => return Err(Refused::Full),
        };
        let Some(request) = request else { return Ok(Charge { account: None, prefixes, source }) };
        let reply = self.store.charge(ChargeRequest { now, ..request.clone() }).await;
        let refused = match reply {
            Ok(ChargeReply::Charged(charge)) => {
                return Ok(Charge { account: Some((request.lane.clone(), *charge)), prefixes, source });
            }
            Ok(ChargeReply::Closed { .. }) => Refused::LaneClosed(request.lane.clone()),
            Ok(ChargeReply::TwoCodesOnly) => Refused::TwoCodesOnly(request.lane.clone()),
            Ok(ChargeReply::NoWayIn) => Refused::NoWayIn(request.lane.clone()),
            Ok(ChargeReply::NoBindLeft) => Refused::NoBindLeft(request.lane.clone()),
            Ok(ChargeReply::Full) => Refused::Full,
            Err(error) => Refused::Store(error),
        };
        prefixes.settle(false, now.lane, NO_JITTER);
        Err(refused)
    }

    /// Whether this password was found wrong for the account, from the same prefix, within the last ten minutes.
    #[must_use]
    pub fn is_repeated(&self, account: &Account, source: &Source, password: &Secret) -> bool {
        self.repeats.knows(&account.id, source, password)
    }

    /// Counts a password that was refused for `name`. Whether it has now been tried for so many names that it is a
    /// spray; said once.
    #[must_use]
    pub fn is_sprayed(&self, name: &Username, password: &Secret) -> bool {
        !password.is_empty() && self.sprays.tried(&name.folded(), password, self.clock.now().lane)
    }

    /// Remembers a password that the directory has just found wrong, as a keyed hash.
    pub fn note_wrong(&self, account: &Account, source: &Source, password: &Secret) {
        self.repeats.remember(&account.id, source, password);
    }

    /// Whether strangers have just been found guessing at many accounts: told once, for the record.
    #[must_use]
    pub fn spread_began(&self) -> bool {
        self.spread_began.swap(false, Ordering::Relaxed)
    }

    fn spread(&self) -> MutexGuard<'_, Spread> {
        self.spread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the slots back; durable when it returns, and so is the closing of a prefix lane.
    ///
    /// # Errors
    /// The store did not take it: nobody may be let in on it.
    pub async fn settle(
        &self,
        charge: Charge,
        settlement: Settlement,
        bind: Bind,
        account: Option<&Account>,
    ) -> Result<Settled, StoreError> {
        self.settle_visit(charge, settlement, bind, account, None).await.map(|(settled, _)| settled)
    }

    /// The same; and if somebody is let in who visits, notes it and tells what was there before.
    ///
    /// # Errors
    /// As [`Tarpit::settle`].
    pub async fn settle_visit(
        &self,
        charge: Charge,
        settlement: Settlement,
        bind: Bind,
        account: Option<&Account>,
        visit: Option<Visit>,
    ) -> Result<(Settled, Past), StoreError> {
        let settlement = match settlement {
            // While the wall or the store is not believed, nothing is learned.
            Settlement::Granted { .. } if self.codes_refused().is_some() => {
                Settlement::Granted { learn: None }
            }
            settled @ (Settlement::Granted { .. } | Settlement::Failed | Settlement::Released) => settled,
        };
        let visit = visit.filter(|_| self.codes_refused().is_none());
        let now = self.clock.now();
        let jitter = jitter();
        let failed = matches!(settlement, Settlement::Failed);
        let learned = match &settlement {
            Settlement::Granted { learn } => *learn,
            Settlement::Failed | Settlement::Released => None,
        };
        let closed = charge.prefixes.settle(failed, now.lane, jitter);
        let settled = match charge.account {
            None => Ok((Settled::Done, Past::default())),
            Some((LaneKey::Unfamiliar, of_account)) if failed => {
                let prefix = charge.source.address().map(Prefix::of);
                if self.spread().failed(of_account.account(), prefix, now.lane) {
                    self.spread_began.store(true, Ordering::Relaxed);
                }
                self.store.settle_visit(of_account, settlement, bind, now, jitter, visit).await
            }
            Some((_, charge)) => self.store.settle_visit(charge, settlement, bind, now, jitter, visit).await,
        };
        if let (Ok((Settled::Done, _)), Some(prefix), Some(account)) = (&settled, learned, account) {
            self.known.learn(&account.id, &account.name, prefix, now.wall);
        }
        self.freed.notify_waiters();
        if closed {
            // Nobody is let in on this; what could not be written is tried again each second.
            let _ = self.write_prefixes().await;
        }
        settled
    }
}

const NO_JITTER: Jitter = Jitter(0);

/// Random, or the longest where there is no randomness: jitter only lengthens.
fn jitter() -> Jitter {
    let mut byte = [u8::MAX];
    // Without randomness the longest wait stands.
    let _ = getrandom::fill(&mut byte);
    let [byte] = byte;
    Jitter(byte)
}
