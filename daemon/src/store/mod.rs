//! What must survive: lanes, charges, used and reserved steps, authenticators, known pairs.
//!
//! One thread owns an SQLite file and commits in groups; the methods here send it work and wait until that is on
//! disk. Whatever fails, the caller gets an error, and nobody may be let in on one.

mod account;
mod authenticators;
mod charge;
mod clock;
mod disabled;
mod earned;
mod emergency;
mod error;
mod file;
mod first;
mod generation;
mod invitations;
mod key;
mod known;
mod last_login;
mod locks;
mod prefixes;
mod recovery;
mod resume;
mod rotate;
mod schema;
mod settle;
mod stolen;
#[cfg(test)]
mod tests;
mod users;
mod writer;

pub use crate::totp::{CodeOutcome, CodePair, CodeProof, CodeTry};
pub use account::{Bind, BindNeed};
pub use authenticators::{Confirmation, Enrolled, NewAuthenticator};
pub use charge::{Charge, ChargeReply, ChargeRequest, Observed};
pub use disabled::NewLock;
pub use earned::{Added, Earn, EarnedPlace, Evidence, GIVEN_AT_MOST};
pub use emergency::{EMERGENCY_AT_MOST, Emergency, EmergencyProof, Found};
pub use error::StoreError;
pub use first::First;
pub use generation::{Generation, GenerationError};
pub use invitations::{INVITED_FOR_S, Invitation, Invited};
pub use key::{SealKey, SealKeyError};
pub use known::{KNOWN_AT_MOST, KNOWN_FOR_S, KnownPair};
pub use last_login::{LastLogin, Past, Visit};
pub use locks::ClosedLane;
pub use recovery::RecoverySet;
pub use rotate::Rotation;
pub use settle::{Settled, Settlement};
pub use stolen::{StolenPassword, Suspicion};

use crate::attempt::AttemptId;
use crate::clock::{Boot, Kept, Now, WallTime};
use crate::totp::{Label, Parameters};
use rusqlite::params;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use twinlock_config::TotpSettings;
use twinlock_control::{AuthenticatorReport, DisabledReport, ImportOutcome, UserRow};
use twinlock_policy::lane::{AccountLimits, Jitter, Lane, LaneLimits, LaneTime, PrefixLane};
use twinlock_policy::{AccountId, LaneKey, Prefix, Username};
use twinlock_protocol::Secret;
use writer::{Room, Writer};
use zeroize::Zeroizing;

/// The store. Cloning shares it; the file is closed when the last clone is gone.
#[derive(Clone)]
pub struct Store(Writer, Arc<AtomicBool>);

/// What an opened store goes on from.
#[derive(Debug)]
pub struct Resumed {
    /// The highest time seen on the tarpit's time line; the clock goes on from it.
    pub lane_time: LaneTime,
    /// Known pairs that are not forgotten.
    pub known_pairs: Vec<KnownPair>,
    /// Earned places, in the order of last use.
    pub earned: Vec<EarnedPlace>,
    /// Prefix lanes as they were last written, forgotten ones included.
    pub prefix_lanes: Vec<(Prefix, PrefixLane)>,
    /// How far the wall clock was believed.
    pub clock: Kept,
    /// By which [`Generation::compare`] notices a restored copy.
    pub generation: generation::Held,
    /// Charges that were open when the daemon last ended. They were settled as failures.
    pub crashed_charges: u64,
}

/// Numbers for `twinlock status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Accounts with an active authenticator.
    pub accounts_enrolled: u64,
    /// Authenticators waiting to be confirmed.
    pub pending: u64,
    /// Account lanes closed now.
    pub lanes_closed: u64,
    /// Accounts that were let in without an authenticator in a time of grace, and have none yet.
    pub grace_accounts: u64,
}

impl Store {
    /// Opens the store, making the file (mode 0600, in a folder that exists) if there is none. Charges that an earlier
    /// run left open become failures under `limits`; `wall` tells which known pairs are forgotten, `boot` how long ago
    /// the earlier run was. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Open`], naming path and remedy: the file cannot be opened, is not a store, is open in another
    /// daemon, or `totp` makes no sense. [`StoreError::OtherKey`]: it was made with another key.
    pub fn open(
        path: &Path,
        key: SealKey,
        totp: &TotpSettings,
        limits: &LaneLimits,
        account_limits: &AccountLimits,
        wall: WallTime,
        boot: Option<&Boot>,
    ) -> Result<(Self, Resumed), StoreError> {
        let parameters = Parameters::of_settings(totp)
            .map_err(|error| StoreError::Open { path: path.to_owned(), problem: error.to_string() })?;
        let (db, lock) = file::open(path, &key)?;
        let mut room = Room {
            db,
            key,
            retired: None,
            parameters,
            window_steps: totp.window_steps,
            highest: LaneTime::default(),
            orphans: settle::Orphans::default(),
        };
        let (crashed_charges, _) = room.transaction(|room| {
            resume::time_line(room, boot)?;
            settle::crashed(room, limits, account_limits)
        })?;
        let kept = clock::kept(&room)?;
        // A wall that will not be believed makes nobody forgotten.
        let believed = kept.highest.map_or(wall, |highest| highest.min(wall));
        let resumed = Resumed {
            lane_time: room.highest,
            known_pairs: known::all(&room, believed)?,
            earned: earned::all(&room)?,
            prefix_lanes: prefixes::all(&room)?,
            clock: kept,
            generation: generation::held(&room)?,
            crashed_charges,
        };
        Ok((Self(Writer::start(room, lock)?, Arc::default()), resumed))
    }

    /// Takes a slot in a lane, compares the code and claims its step.
    ///
    /// # Errors
    /// Whatever it is, nothing was charged, and nobody may be let in.
    pub async fn charge(&self, request: ChargeRequest) -> Result<ChargeReply, StoreError> {
        self.0.call(move |room| charge::charge(room, request)).await
    }

    /// Ends a charge.
    ///
    /// # Errors
    /// It is not settled, and nobody may be let in. The store ends the charge itself as soon as it can: as a failure if
    /// it was one, else as released.
    pub async fn settle(
        &self,
        charge: Charge,
        settlement: Settlement,
        bind: Bind,
        now: Now,
        jitter: Jitter,
    ) -> Result<Settled, StoreError> {
        self.settle_visit(charge, settlement, bind, now, jitter, None).await.map(|(settled, _)| settled)
    }

    /// The same; and if somebody is let in who visits, notes it and tells what was there before.
    ///
    /// # Errors
    /// As [`Store::settle`].
    pub async fn settle_visit(
        &self,
        mut charge: Charge,
        settlement: Settlement,
        bind: Bind,
        now: Now,
        jitter: Jitter,
        visit: Option<Visit>,
    ) -> Result<(Settled, Past), StoreError> {
        charge.otherwise(match settlement {
            Settlement::Failed => settle::Ending::Failed,
            Settlement::Granted { .. } | Settlement::Released => settle::Ending::Released,
        });
        let (settled, charge) = self
            .0
            .call(move |room| {
                let visit = visit.as_ref();
                Ok((last_login::settle_visit(room, &charge, settlement, bind, now, jitter, visit)?, charge))
            })
            .await?;
        charge.done();
        Ok(settled)
    }

    /// Takes the account's one diagnostic bind before it is sent, at `latest` by then. `false`: it has had it since its
    /// last success, or the bind budget has no room beside what is kept for a right code.
    ///
    /// # Errors
    /// Nothing was taken, and nothing may be sent.
    pub async fn reserve_diagnosis(
        &self,
        attempt: AttemptId,
        account: &AccountId,
        limits: AccountLimits,
        now: Now,
        latest: LaneTime,
    ) -> Result<bool, StoreError> {
        let account = account.clone();
        self.0.call(move |room| stolen::reserve(room, attempt, &account, &limits, now, latest)).await
    }

    /// Notes what became of a diagnostic bind.
    ///
    /// # Errors
    /// It counts as sent and not answered.
    pub async fn settle_diagnosis(
        &self,
        attempt: AttemptId,
        account: &AccountId,
        bind: Bind,
        now: Now,
    ) -> Result<(), StoreError> {
        let account = account.clone();
        self.0.call(move |room| stolen::settle(room, attempt, &account, bind, now)).await
    }

    /// Counts a right password behind a wrong code, `from` a place that the account does not know.
    ///
    /// # Errors
    /// It was not counted.
    pub async fn suspect(
        &self,
        account: &AccountId,
        from: String,
        now: Now,
    ) -> Result<Suspicion, StoreError> {
        let account = account.clone();
        self.0.call(move |room| stolen::suspect(room, &account, &from, now)).await
    }

    /// The mark, if the account's password looks stolen.
    ///
    /// # Errors
    /// The store cannot be read: no waiver may be relied on.
    pub async fn stolen(&self, account: &AccountId) -> Result<Option<StolenPassword>, StoreError> {
        let account = account.clone();
        self.0.call(move |room| stolen::of(room, &account)).await
    }

    /// Notes a login that was let in without a charge.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn note_visit(&self, account: &AccountId, visit: Visit, now: Now) -> Result<(), StoreError> {
        let account = account.clone();
        self.0.call(move |room| last_login::note(room, &account, &visit, now.wall)).await
    }

    /// The last login that is remembered of an account.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn last_login(&self, account: &AccountId) -> Result<Option<LastLogin>, StoreError> {
        let account = account.clone();
        self.0.call(move |room| last_login::of(room, &account)).await
    }

    /// Makes an authenticator. A pending one takes the place of an older pending one of the account.
    ///
    /// # Errors
    /// [`StoreError::LabelTaken`], [`StoreError::TooManyAuthenticators`], or a failure.
    pub async fn enroll(
        &self,
        account: &AccountId,
        name: &Username,
        new: NewAuthenticator,
        now: Now,
    ) -> Result<Enrolled, StoreError> {
        let (account, name) = (account.clone(), name.clone());
        self.0.call(move |room| authenticators::enroll(room, &account, &name, &new, false, now.wall)).await
    }

    /// Makes an authenticator that takes the place of the account's active one of the same label: at once if it is active,
    /// else when it is confirmed.
    ///
    /// # Errors
    /// [`StoreError::NothingToReplace`], or a failure.
    pub async fn replace(
        &self,
        account: &AccountId,
        name: &Username,
        new: NewAuthenticator,
        now: Now,
    ) -> Result<Enrolled, StoreError> {
        let (account, name) = (account.clone(), name.clone());
        self.0.call(move |room| authenticators::enroll(room, &account, &name, &new, true, now.wall)).await
    }

    /// Removes the account's authenticator of that label, active or pending. Tells how many active ones are left; `None`
    /// if there was none of that label.
    ///
    /// # Errors
    /// Nothing was removed.
    pub async fn revoke(&self, account: &AccountId, label: Label) -> Result<Option<u32>, StoreError> {
        let account = account.clone();
        self.0.call(move |room| authenticators::revoke(room, &account, label.as_str())).await
    }

    /// Accounts that the store knows of, by id, `most` at most, those behind `after` only.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn users(
        &self,
        after: Option<AccountId>,
        most: u32,
        now: Now,
    ) -> Result<Vec<UserRow>, StoreError> {
        self.0.call(move |room| users::page(room, after.as_ref(), most, now.wall)).await
    }

    /// Whether an active authenticator of the account has this seed, in base32.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn has_seed(&self, account: &AccountId, seed: Zeroizing<String>) -> Result<bool, StoreError> {
        let account = account.clone();
        self.0.call(move |room| authenticators::has_seed(room, &account, &seed)).await
    }

    /// Takes an authenticator over from other software; with `dry_run`, only says what would become of it.
    ///
    /// # Errors
    /// [`StoreError::LabelTaken`], [`StoreError::TooManyAuthenticators`], or a failure.
    pub async fn import(
        &self,
        account: &AccountId,
        name: &Username,
        new: NewAuthenticator,
        now: Now,
        dry_run: bool,
    ) -> Result<ImportOutcome, StoreError> {
        let (account, name) = (account.clone(), name.clone());
        self.0.call(move |room| authenticators::import(room, &account, &name, &new, now.wall, dry_run)).await
    }

    /// Shows a code of the account's pending authenticator.
    ///
    /// # Errors
    /// [`StoreError::LabelTaken`], [`StoreError::TooManyAuthenticators`], or a failure.
    pub async fn confirm(
        &self,
        account: &AccountId,
        code: Secret,
        now: Now,
    ) -> Result<Confirmation, StoreError> {
        let account = account.clone();
        self.0.call(move |room| authenticators::confirm(room, &account, &code, now)).await
    }

    /// Makes a new set of recovery codes; those of an earlier set are worth nothing any more.
    ///
    /// # Errors
    /// Nothing was made, and nothing is void.
    pub async fn renew_recovery(
        &self,
        account: &AccountId,
        name: &Username,
        now: Now,
    ) -> Result<RecoverySet, StoreError> {
        let (account, name) = (account.clone(), name.clone());
        self.0.call(move |room| recovery::renew(room, &account, &name, now.wall)).await
    }

    /// Makes an invitation of an account; an earlier one is void.
    ///
    /// # Errors
    /// Nothing was made, and nothing is void.
    pub async fn invite(
        &self,
        account: &AccountId,
        name: &Username,
        by: String,
        now: Now,
    ) -> Result<Invitation, StoreError> {
        let (account, name) = (account.clone(), name.clone());
        self.0.call(move |room| invitations::invite(room, &account, &name, &by, now.wall)).await
    }

    /// The invitations that are good, 1000 at most.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn invitations(&self, now: Now) -> Result<Vec<Invited>, StoreError> {
        self.0.call(move |room| invitations::all(room, now.wall)).await
    }

    /// Makes an account's invitation void. Tells whether there was one.
    ///
    /// # Errors
    /// It is as it was.
    pub async fn revoke_invitation(&self, account: &AccountId) -> Result<bool, StoreError> {
        let account = account.clone();
        self.0.call(move |room| invitations::revoke(room, &account)).await
    }

    /// Unused recovery codes of the account.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn recovery_left(&self, account: &AccountId) -> Result<u64, StoreError> {
        let account = account.clone();
        self.0.call(move |room| recovery::left(room, &account)).await
    }

    /// Puts the administrator's lock on an account, in the stead of one that is there.
    ///
    /// # Errors
    /// It is as it was.
    pub async fn disable(
        &self,
        account: &AccountId,
        name: &Username,
        lock: NewLock,
        now: Now,
    ) -> Result<(), StoreError> {
        let (account, name) = (account.clone(), name.clone());
        self.0.call(move |room| disabled::disable(room, &account, &name, &lock, now.wall)).await
    }

    /// Takes the administrator's lock off. Tells whether one was on.
    ///
    /// # Errors
    /// It is as it was.
    pub async fn enable(&self, account: &AccountId, now: Now) -> Result<bool, StoreError> {
        let account = account.clone();
        self.0.call(move |room| disabled::enable(room, &account, now.wall)).await
    }

    /// The administrator's lock on an account, if there is one now.
    ///
    /// # Errors
    /// The store cannot be read: nobody may be let in on it.
    pub async fn disabled(
        &self,
        account: &AccountId,
        now: Now,
    ) -> Result<Option<DisabledReport>, StoreError> {
        let account = account.clone();
        self.0.call(move |room| disabled::of(room, &account, now.wall)).await
    }

    /// The account's authenticators, oldest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn authenticators(&self, account: &AccountId) -> Result<Vec<AuthenticatorReport>, StoreError> {
        let account = account.clone();
        self.0.call(move |room| authenticators::reports(room, &account)).await
    }

    /// The account's lanes that are closed or have failures that still count.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn lanes(
        &self,
        account: &AccountId,
        limits: LaneLimits,
        now: Now,
    ) -> Result<Vec<(LaneKey, Lane)>, StoreError> {
        let account = account.clone();
        self.0.call(move |room| lanes(room, &account, &limits, now.lane)).await
    }

    /// Lanes of any account that are closed, the one that failed last first, `most` at most.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn closed_lanes(&self, now: Now, most: u32) -> Result<Vec<ClosedLane>, StoreError> {
        self.0.call(move |room| locks::closed(room, now.lane, most)).await
    }

    /// Opens every lane of an account and forgets its failures. Returns the lanes that had any.
    ///
    /// # Errors
    /// Nothing was opened.
    pub async fn unlock(
        &self,
        account: &AccountId,
        limits: LaneLimits,
        now: Now,
    ) -> Result<Vec<(LaneKey, Lane)>, StoreError> {
        let account = account.clone();
        self.0.call(move |room| locks::unlock(room, &account, &limits, now)).await
    }

    /// Writes what prefix lanes have become, all or none; `None` is one that is gone.
    ///
    /// # Errors
    /// Nothing was written.
    pub async fn write_prefix_lanes(
        &self,
        rows: Vec<(Prefix, Option<PrefixLane>)>,
        now: Now,
    ) -> Result<(), StoreError> {
        self.0
            .call(move |room| {
                room.see(now.lane);
                prefixes::write(room, &rows)
            })
            .await
    }

    /// Prefixes from which the account has met its rule, last used first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn known_from(&self, account: &AccountId, now: Now) -> Result<Vec<Prefix>, StoreError> {
        let account = account.clone();
        self.0.call(move |room| known::of(room, &account, now.wall)).await
    }

    /// Numbers over all accounts.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn totals(&self, now: Now) -> Result<Totals, StoreError> {
        self.0
            .call(move |room| {
                let (accounts_enrolled, pending) = authenticators::totals(room)?;
                let lanes_closed: i64 = room
                    .db
                    .prepare_cached("SELECT count(*) FROM lane WHERE not_before > ?1")?
                    .query_row([sql_int(now.lane.0)], |row| row.get(0))?;
                Ok(Totals {
                    accounts_enrolled,
                    pending,
                    lanes_closed: uint(lanes_closed),
                    grace_accounts: first::grace_accounts(room)?,
                })
            })
            .await
    }

    /// Notes the time, so that the tarpit's time line goes on from it after a crash. Due each minute.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn tick(&self, now: Now) -> Result<(), StoreError> {
        self.0
            .call(move |room| {
                room.see(now.lane);
                room.remember_time()
            })
            .await
    }

    /// Writes down how far the wall clock is believed. Due each minute, and when that changes.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn keep_clock(&self, kept: Kept) -> Result<(), StoreError> {
        self.0.call(move |room| clock::keep(room, &kept)).await
    }

    /// Whether this is a copy that was put back, and nobody has accepted it: see [`Generation`]. No code may be taken.
    #[must_use]
    pub fn is_restored(&self) -> bool {
        self.1.load(Ordering::SeqCst)
    }

    fn note_restored(&self) {
        self.1.store(true, Ordering::SeqCst);
    }

    async fn word(&self) -> Result<generation::Word, StoreError> {
        self.0.call(|room| generation::word(room)).await
    }

    async fn take_word(&self, word: generation::Word) -> Result<(), StoreError> {
        self.0.call(move |room| generation::take(room, &word)).await
    }

    async fn accept_copy(&self, word: generation::Word, now: Now) -> Result<u64, StoreError> {
        let authenticators = self.0.call(move |room| generation::accept(room, &word, now.wall)).await?;
        self.1.store(false, Ordering::SeqCst);
        Ok(authenticators)
    }

    /// Authenticators, `most` at most, that were used at a time which lies ahead of the clock: name, label, and until when
    /// they take no code.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn used_ahead(
        &self,
        now: Now,
        most: u32,
    ) -> Result<Vec<(String, String, WallTime)>, StoreError> {
        self.0.call(move |room| clock::ahead(room, now.wall, most)).await
    }

    /// Commits that wrote something since the start.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.0.commits()
    }

    /// Does what is waiting, then closes the file. Other clones get [`StoreError::Stopped`] from then on.
    pub async fn close(self) {
        self.0.stop().await;
    }
}

fn lanes(
    room: &Room,
    account: &AccountId,
    limits: &LaneLimits,
    time: LaneTime,
) -> Result<Vec<(LaneKey, Lane)>, StoreError> {
    let keys: Vec<String> = room
        .db
        .prepare_cached("SELECT lane FROM lane WHERE account = ?1 ORDER BY lane")?
        .query_map(params![account.as_str()], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut lanes = Vec::new();
    for text in keys {
        let lane = charge::read_lane(room, account, &text)?;
        let key = LaneKey::parse(&text).ok_or_else(|| StoreError::Damaged("the key of a lane".into()))?;
        if lane.not_before > time || lane.counted(limits, time) > 0 {
            lanes.push((key, lane));
        }
    }
    Ok(lanes)
}

/// As SQLite keeps it: values beyond its range become its largest.
fn sql_int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Back again: what is below zero was never written.
fn uint(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
