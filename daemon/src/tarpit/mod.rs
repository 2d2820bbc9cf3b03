//! How fast anyone may guess. A charge is a slot taken in every lane an attempt stands in, before anything is
//! compared; settling gives it back, with or without a failure. Account lanes are rows of the store, prefix lanes are
//! memory.

mod held;
mod known;
mod prefix;
mod repeats;
#[cfg(test)]
mod tests;
mod way_in;

use crate::attempt::{AttemptId, Deadline};
use crate::clock::Clock;
use crate::directory::Account;
use crate::store::{
    self, Bind, BindNeed, ChargeReply, ChargeRequest, CodePair, CodeTry, KnownPair, Settled, Settlement,
    Store, StoreError,
};
use held::Held;
use known::Known;
use prefix::{PrefixCharge, Prefixes, Slot};
use repeats::Repeats;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use twinlock_config::TarpitSettings;
use twinlock_policy::lane::{AccountLimits, Jitter, LaneLimits};
use twinlock_policy::{LaneKey, Place, Prefix, Source, Stand, Username};
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
    /// The account lane takes only two consecutive codes.
    TwoCodesOnly(LaneKey),
    /// Two codes were tried where nothing else is taken, and are none.
    NoWayIn(LaneKey),
    /// The directory may be asked no more for now: its own lock-out is near.
    NoBindLeft(LaneKey),
    /// Every slot of a lane stayed taken.
    Full,
    /// The store did not answer.
    Store(StoreError),
}

/// The slots an attempt holds.
#[must_use]
pub struct Charge {
    account: Option<(LaneKey, store::Charge)>,
    prefixes: PrefixCharge,
}

impl Charge {
    /// The account lane, and what came of the code in it; neither is there for a name that does not exist.
    #[must_use]
    pub fn of_account(&self) -> Option<(&LaneKey, &store::Charge)> {
        self.account.as_ref().map(|(lane, charge)| (lane, charge))
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
}

/// The tarpit.
pub struct Tarpit {
    limits: LaneLimits,
    account_limits: AccountLimits,
    ways: Ways,
    repeats: Repeats,
    window_steps: u8,
    prefixes: Prefixes,
    known: Known,
    store: Store,
    clock: Clock,
    held: Held,
    freed: Arc<Notify>,
}

impl Tarpit {
    /// With the known pairs the store remembers.
    ///
    /// # Errors
    /// The operating system has no random numbers to give.
    pub fn new(
        settings: &TarpitSettings,
        account_limits: AccountLimits,
        window_steps: u8,
        store: Store,
        clock: Clock,
        known_pairs: &[KnownPair],
    ) -> Result<Self, getrandom::Error> {
        Ok(Self {
            limits: LaneLimits::new(settings),
            account_limits,
            ways: Ways::new(way_in::CAPACITY),
            repeats: Repeats::new()?,
            window_steps,
            prefixes: Prefixes::new(&settings.source_limit, prefix::CAPACITY),
            known: Known::new(known_pairs),
            store,
            clock,
            held: Held::new(),
            freed: Arc::new(Notify::new()),
        })
    }

    /// The account lanes' limits.
    #[must_use]
    pub const fn limits(&self) -> &LaneLimits {
        &self.limits
    }

    /// Prefix lanes closed now.
    #[must_use]
    pub fn prefixes_closed(&self) -> u64 {
        self.prefixes.closed(self.clock.now().lane)
    }

    /// Looks at the prefix lanes before any I/O. A closed one ends the attempt here, unless this spelling of a name
    /// has a lane of its own at this place.
    pub fn gate(&self, name: &Username, place: &Place) -> Gate {
        let closed = place
            .counted_address()
            .is_some_and(|address| self.prefixes.is_closed(address, self.clock.now().lane));
        if !closed || place.network().is_some() {
            return Gate::Open;
        }
        let wall = self.clock.now().wall;
        match place.earnable_prefix() {
            Some(prefix) if self.known.holds_name(name, prefix, wall) => Gate::Open,
            Some(_) | None => Gate::Closed,
        }
    }

    /// Takes a slot in every lane the attempt stands in, and with it compares the code and reserves its step.
    ///
    /// # Errors
    /// [`Refused`]: then nothing was compared, and nothing is counted.
    pub async fn charge(
        &self,
        tried: &Try<'_>,
        account: &Account,
        proofs: Proofs,
    ) -> Result<Charge, Refused> {
        let now = self.clock.now();
        let known = tried
            .place
            .earnable_prefix()
            .is_some_and(|prefix| self.known.holds(&account.id, prefix, now.wall));
        let stand = Stand::of_account(tried.place, known, tried.invoker);
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
            code: proofs.code,
            window_steps: self.window_steps,
            account_limits: self.account_limits,
            bind: proofs.bind,
            way_in: false,
        };
        let may_be_two_codes = request.code.may_be_two_codes();
        match self.wait_for_slots(tried, stand.prefixes, Some(&request)).await {
            Err(barred @ (Refused::LaneClosed(_) | Refused::TwoCodesOnly(_))) if may_be_two_codes => {
                if !self.ways.try_one(&account.id, tried.place.source(), self.clock.now().lane) {
                    return Err(barred);
                }
                self.wait_for_slots(tried, stand.prefixes, Some(&ChargeRequest { way_in: true, ..request }))
                    .await
            }
            decided => decided,
        }
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
            match self.take_slots(prefixes, request).await {
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
        prefixes: Option<IpAddr>,
        request: Option<&ChargeRequest>,
    ) -> Result<Charge, Refused> {
        let now = self.clock.now();
        let prefixes = match prefixes.map(|address| self.prefixes.reserve(address, now.lane)) {
            None => PrefixCharge::none(&self.prefixes),
            Some(Slot::Taken(charge)) => charge,
            Some(Slot::Closed) => return Err(Refused::PrefixClosed),
            Some(Slot::Full) => return Err(Refused::Full),
        };
        let Some(request) = request else { return Ok(Charge { account: None, prefixes }) };
        let reply = self.store.charge(ChargeRequest { now, ..request.clone() }).await;
        let refused = match reply {
            Ok(ChargeReply::Charged(charge)) => {
                return Ok(Charge { account: Some((request.lane.clone(), charge)), prefixes });
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

    /// Remembers a password that the directory has just found wrong, as a keyed hash.
    pub fn note_wrong(&self, account: &Account, source: &Source, password: &Secret) {
        self.repeats.remember(&account.id, source, password);
    }

    /// Gives the slots back; durable when it returns.
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
        let now = self.clock.now();
        let jitter = jitter();
        let failed = matches!(settlement, Settlement::Failed);
        let learned = match &settlement {
            Settlement::Granted { learn } => *learn,
            Settlement::Failed | Settlement::Released => None,
        };
        charge.prefixes.settle(failed, now.lane, jitter);
        let settled = match charge.account {
            None => Ok(Settled::Done),
            Some((_, charge)) => self.store.settle(charge, settlement, bind, now, jitter).await,
        };
        if let (Ok(Settled::Done), Some(prefix), Some(account)) = (&settled, learned, account) {
            self.known.learn(&account.id, &account.name, prefix, now.wall);
        }
        self.freed.notify_waiters();
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
