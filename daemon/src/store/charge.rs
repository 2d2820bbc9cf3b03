//! Charge first (DESIGN promise 3): one transaction takes a slot in the lane, compares the code and claims its step.
//! A closed or full lane compares nothing and writes nothing.

use super::account::{self, BindNeed, Left};
use super::authenticators;
use super::earned::Earn;
use super::first::First;
use super::settle::{Ending, Orphan, Orphans};
use super::writer::Room;
use super::{StoreError, disabled, invitations, recovery, sql_int, uint};
use crate::attempt::AttemptId;
use crate::clock::Now;
use crate::totp::{
    self, Asked, AuthenticatorId, Claim, CodeOutcome, CodePair, CodeProof, CodeTry, Judgement, Shown, Step,
};
use rusqlite::{OptionalExtension, params};
use std::fmt;
use twinlock_policy::lane::{AccountLimits, Lane, LaneLimits, LaneTime, Opening};
use twinlock_policy::{AccountId, LaneKey, Username};

/// Steps before the present one whose reservations are kept.
const KEPT_STEPS: u64 = 4;

/// What a charge is asked for.
#[derive(Debug, Clone)]
pub struct ChargeRequest {
    /// The attempt.
    pub attempt: AttemptId,
    /// The account it is about.
    pub account: AccountId,
    /// The account's name as the directory spells it: a label.
    pub name: Username,
    /// The lane the attempt stands in.
    pub lane: LaneKey,
    /// What bounds that lane.
    pub limits: LaneLimits,
    /// The time.
    pub now: Now,
    /// For whom a step is reserved. `None` at `local`, `unknown` and uncounted sources: the first use spends it.
    pub pair: Option<CodePair>,
    /// What was typed.
    pub code: CodeTry,
    /// Steps accepted either side: 0 or 1.
    pub window_steps: u8,
    /// What bounds the account over all its lanes.
    pub account_limits: AccountLimits,
    /// Whether the password will be bound.
    pub bind: BindNeed,
    /// Two codes or a recovery code may be compared although the lane takes nothing else: the caller has counted the
    /// try.
    pub way_in: bool,
    /// What the login earns if it proves password and code and is granted. Only where the rule asks both.
    pub earn: Option<Box<Earn>>,
    /// Strangers are guessing at many accounts: an unfamiliar lane takes only two codes or a recovery code.
    pub raised: bool,
    /// Whether a closed or full lane refuses. If not, that it would have is told.
    pub enforce: bool,
}

/// Why a lane would have refused, had it not only been observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observed {
    /// It is closed.
    Closed,
    /// All its slots are taken.
    Full,
}

/// What became of it.
#[derive(Debug)]
#[must_use]
pub enum ChargeReply {
    /// The lane is closed; nothing was compared.
    Closed {
        /// When it opens.
        until: LaneTime,
    },
    /// The lane takes only two consecutive codes or a recovery code; nothing was compared.
    TwoCodesOnly,
    /// The lane is closed or takes only two codes or a recovery code, and what was compared is none of this account that
    /// may be used. Nothing was charged.
    NoWayIn,
    /// The account's binds are used up for now; nothing was charged.
    NoBindLeft,
    /// All its slots are taken at this moment; nothing was compared.
    Full,
    /// A slot was taken and the code was compared.
    Charged(Box<Charge>),
}

/// A slot taken in a lane. It ends with [`super::Store::settle`]; one that is dropped instead, or whose settlement
/// fails, is settled by the store with its next transaction.
#[must_use]
pub struct Charge {
    attempt: AttemptId,
    account: AccountId,
    name: Username,
    limits: LaneLimits,
    account_limits: AccountLimits,
    code: CodeOutcome,
    code_length: usize,
    observed: Option<Observed>,
    earn: Option<Box<Earn>>,
    spent: bool,
    recovery_left: Option<u64>,
    disabled: bool,
    first: Option<First>,
    otherwise: Option<Ending>,
    orphans: Orphans,
}

impl Charge {
    /// What became of the code.
    pub const fn code(&self) -> &CodeOutcome {
        &self.code
    }

    /// Bytes of the code at the end of what was typed; 0 if none was found there. Told for used codes too: where the
    /// password ends does not depend on whether the code may be used.
    #[must_use]
    pub const fn code_length(&self) -> usize {
        self.code_length
    }

    /// Why the lane would have refused, where that is only observed.
    #[must_use]
    pub const fn observed(&self) -> Option<Observed> {
        self.observed
    }

    /// Recovery codes the account has left, if it was one of them that was right.
    #[must_use]
    pub const fn recovery_left(&self) -> Option<u64> {
        self.recovery_left
    }

    /// Whether an administrator has locked the account: it is compared as always, and let in by nothing.
    #[must_use]
    pub const fn is_disabled(&self) -> bool {
        self.disabled
    }

    /// The attempt it was made for.
    #[must_use]
    pub const fn attempt(&self) -> AttemptId {
        self.attempt
    }

    /// The account it was made for.
    #[must_use]
    pub const fn account(&self) -> &AccountId {
        &self.account
    }

    /// What the directory calls that account.
    #[must_use]
    pub const fn name(&self) -> &Username {
        &self.name
    }

    pub(super) const fn limits(&self) -> &LaneLimits {
        &self.limits
    }

    pub(super) const fn account_limits(&self) -> &AccountLimits {
        &self.account_limits
    }

    pub(super) const fn proof(&self) -> Option<&CodeProof> {
        proof_of(&self.code)
    }

    /// What the login earns if it is granted after password and code were both proved.
    #[must_use]
    pub fn earn(&self) -> Option<&Earn> {
        self.earn.as_deref()
    }

    /// What its settlement does for an account without an authenticator, if it is granted.
    #[must_use]
    pub const fn first(&self) -> Option<&First> {
        self.first.as_ref()
    }

    /// Says what that is.
    pub fn with_first(mut self, first: Option<First>) -> Self {
        self.first = first;
        self
    }

    /// Whether the charge itself has spent the step.
    pub(super) const fn spent(&self) -> bool {
        self.spent
    }

    /// How it ends if its settlement does not get through.
    pub(super) const fn otherwise(&mut self, ending: Ending) {
        self.otherwise = Some(ending);
    }

    /// It is settled.
    pub(super) fn done(mut self) {
        self.otherwise = None;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(ending) = self.otherwise {
            let (attempt, limits, account_limits) = (self.attempt, self.limits, self.account_limits);
            self.orphans.add(Orphan { attempt, limits, account_limits, ending });
        }
    }
}

impl fmt::Debug for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Charge")
            .field("attempt", &self.attempt)
            .field("code", &self.code)
            .finish_non_exhaustive()
    }
}

const fn proof_of(outcome: &CodeOutcome) -> Option<&CodeProof> {
    match outcome {
        CodeOutcome::Right(proof) => Some(proof),
        CodeOutcome::NotAsked
        | CodeOutcome::NoAuthenticator
        | CodeOutcome::Invited
        | CodeOutcome::Wrong
        | CodeOutcome::Replay { .. }
        | CodeOutcome::InUse => None,
    }
}

/// The operation.
pub(super) fn charge(room: &mut Room, request: ChargeRequest) -> Result<ChargeReply, StoreError> {
    room.see(request.now.lane);
    let lane = request.lane.to_string();
    let mut observed = None;
    let slots = match opening(room, &request, &lane)? {
        Ok(slots) => Some(slots),
        Err(_) if request.way_in => None,
        Err(barred) if request.enforce => return Ok(barred),
        Err(_) => {
            observed = Some(Observed::Closed);
            Some(u32::MAX)
        }
    };
    if let Some(slots) = slots
        && taken(room, &request.account, &lane)? >= slots
    {
        if request.enforce {
            return Ok(ChargeReply::Full);
        }
        observed = Some(Observed::Full);
    }
    let (mut judgement, oldest) = judge(room, &request, slots.is_none())?;
    if matches!(judgement.outcome, CodeOutcome::NoAuthenticator)
        && invitations::is_shown(room, &request.account, &request.code, request.now.wall)?
    {
        judgement.outcome = CodeOutcome::Invited;
    }
    let proved = matches!(judgement.outcome, CodeOutcome::Right(_) | CodeOutcome::Invited);
    if slots.is_none() && !proved {
        return Ok(ChargeReply::NoWayIn);
    }
    let binds = match request.bind {
        BindNeed::Bare => true,
        BindNeed::AfterCode => proved,
        BindNeed::AfterCodeIfAny => proved || matches!(judgement.outcome, CodeOutcome::NoAuthenticator),
        BindNeed::None => false,
    };
    if binds {
        let (limits, most) = (&request.account_limits, request.account_limits.binds(proved));
        if !account::reserve_bind(room, request.attempt, &request.account, most, limits, request.now.lane)? {
            return Ok(ChargeReply::NoBindLeft);
        }
    }
    let guess = matches!(judgement.outcome, CodeOutcome::Wrong) && request.bind != BindNeed::Bare;
    room.db
        .prepare_cached(
            "INSERT INTO charge (attempt, account, lane, opened_at, guess) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            request.attempt.number().cast_signed(),
            request.account.as_str(),
            lane,
            sql_int(request.now.lane.0),
            guess
        ])?;
    let disabled = disabled::holds(room, &request.account, request.now.wall)?;
    let mut recovery_left = None;
    if let (CodeOutcome::Right(proof), Some(claim)) = (&judgement.outcome, judgement.claim) {
        let written = match proof.shown() {
            Shown::Step { authenticator, step } => {
                forget_before(room, authenticator, oldest)?;
                write_claim(room, (authenticator, step), request.attempt, claim, request.pair.as_ref())?
            }
            Shown::Recovery(id) => {
                let spent = recovery::spend(room, id, request.attempt)?;
                recovery_left = Some(recovery::left(room, &request.account)?);
                spent
            }
        };
        if !written {
            return Err(StoreError::Damaged("a code could not be claimed".into()));
        }
    }
    Ok(ChargeReply::Charged(Box::new(Charge {
        attempt: request.attempt,
        account: request.account,
        name: request.name,
        limits: request.limits,
        account_limits: request.account_limits,
        code: judgement.outcome,
        code_length: judgement.code_length,
        observed,
        earn: request.earn,
        spent: judgement.claim == Some(Claim::Spend),
        recovery_left,
        disabled,
        first: None,
        otherwise: Some(Ending::Failed),
        orphans: room.orphans.clone(),
    })))
}

/// How many guesses the lane lets through at once; or why it takes two codes at most.
fn opening(room: &Room, request: &ChargeRequest, lane: &str) -> Result<Result<u32, ChargeReply>, StoreError> {
    let now = request.now.lane;
    let slots = match read_lane(room, &request.account, lane)?.opening(&request.limits, now) {
        Opening::Closed { until } => return Ok(Err(ChargeReply::Closed { until })),
        Opening::Open { slots } => slots,
    };
    if request.raised && request.lane == LaneKey::Unfamiliar {
        return Ok(Err(ChargeReply::TwoCodesOnly));
    }
    // In a lane of its own, only wrong codes count against the account's budget, and none is asked there.
    if request.lane != LaneKey::Unfamiliar && request.bind == BindNeed::Bare {
        return Ok(Ok(slots));
    }
    Ok(match account::left(room, &request.account, &request.lane, &request.account_limits, now)? {
        Left::All => Ok(slots),
        Left::OneSlot => Ok(1),
        Left::TwoCodes => Err(ChargeReply::TwoCodesOnly),
    })
}

fn taken(room: &Room, account: &AccountId, lane: &str) -> Result<u32, StoreError> {
    Ok(room
        .db
        .prepare_cached("SELECT count(*) FROM charge WHERE account = ?1 AND lane = ?2")?
        .query_row(params![account.as_str(), lane], |row| row.get(0))?)
}

/// What the code is worth, and before which step reservations are forgotten.
fn judge(room: &Room, request: &ChargeRequest, two_only: bool) -> Result<(Judgement, u64), StoreError> {
    let (candidates, recovery) = match &request.code {
        CodeTry::NotAsked => (Vec::new(), None),
        CodeTry::Behind(_) if !two_only => (Vec::new(), None),
        CodeTry::Code(_) | CodeTry::Field(_) | CodeTry::Behind(_) => (
            authenticators::active(room, &request.account)?,
            recovery::find(room, &request.account, &request.code)?,
        ),
    };
    let asked = Asked {
        attempt: request.attempt,
        account: &request.account,
        pair: request.pair.as_ref(),
        wall: request.now.wall,
        window_steps: request.window_steps,
        two_only,
    };
    let judgement = totp::judge(&asked, &request.code, &candidates, recovery);
    let oldest = match proof_of(&judgement.outcome).map(CodeProof::shown) {
        Some(Shown::Step { authenticator, .. }) => candidates
            .iter()
            .find(|candidate| candidate.id == authenticator)
            .map_or(0, |used| used.parameters.step_at(request.now.wall).0.saturating_sub(KEPT_STEPS)),
        Some(Shown::Recovery(_)) | None => 0,
    };
    Ok((judgement, oldest))
}

/// A lane as it is kept; one without a row has had no failures.
pub(super) fn read_lane(room: &Room, account: &AccountId, lane: &str) -> Result<Lane, StoreError> {
    let lane = room
        .db
        .prepare_cached("SELECT failures, settled_at, not_before FROM lane WHERE account = ?1 AND lane = ?2")?
        .query_row(params![account.as_str(), lane], |row| {
            Ok(Lane {
                failures: row.get(0)?,
                settled_at: LaneTime(uint(row.get(1)?)),
                not_before: LaneTime(uint(row.get(2)?)),
            })
        })
        .optional()?;
    Ok(lane.unwrap_or_default())
}

/// Whether the step could be claimed.
fn write_claim(
    room: &Room,
    (authenticator, step): (AuthenticatorId, Step),
    attempt: AttemptId,
    claim: Claim,
    pair: Option<&CodePair>,
) -> Result<bool, StoreError> {
    let (id, step, attempt) = (authenticator.0, sql_int(step.0), attempt.number().cast_signed());
    let written = match (claim, pair) {
        (Claim::Reserve, Some(pair)) => room
            .db
            .prepare_cached("INSERT INTO reservation VALUES (?1, ?2, ?3, ?4, 1, ?5)")?
            .execute(params![id, step, pair.source.to_string(), pair.service.as_str(), attempt])?,
        (Claim::Again, Some(_)) => room
            .db
            .prepare_cached(
                "UPDATE reservation SET tries = tries + 1, open_attempt = ?3 \
                 WHERE authenticator = ?1 AND step = ?2 AND open_attempt IS NULL",
            )?
            .execute(params![id, step, attempt])?,
        (Claim::Spend, _) => room
            .db
            .prepare_cached(
                "UPDATE authenticator SET used_step = ?2 \
                 WHERE id = ?1 AND state = 'active' AND used_step < ?2",
            )?
            .execute(params![id, step])?,
        (Claim::Reserve | Claim::Again, None) => 0,
    };
    Ok(written == 1)
}

/// Drops reservations of steps whose window is long over. Such a step counts as used from then on, so that a clock
/// that is set back does not free it.
fn forget_before(room: &Room, authenticator: AuthenticatorId, oldest: u64) -> Result<(), StoreError> {
    let id = authenticator.0;
    let last: Option<i64> = room
        .db
        .prepare_cached(
            "SELECT max(step) FROM reservation \
             WHERE authenticator = ?1 AND step < ?2 AND open_attempt IS NULL",
        )?
        .query_row(params![id, sql_int(oldest)], |row| row.get(0))?;
    let Some(last) = last else { return Ok(()) };
    room.db
        .prepare_cached("UPDATE authenticator SET used_step = max(used_step, ?2) WHERE id = ?1")?
        .execute(params![id, last])?;
    room.db
        .prepare_cached(
            "DELETE FROM reservation WHERE authenticator = ?1 AND step <= ?2 AND open_attempt IS NULL",
        )?
        .execute(params![id, last])?;
    Ok(())
}
