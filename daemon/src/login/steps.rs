//! The steps of a login that need more than a line, and the words between them. Each returns a value; none waits
//! beyond the attempt's deadline.

use super::{After, Judged};
use crate::attempt::Deadline;
use crate::audit::{Proved, Record, event_line};
use crate::caller::Caller;
use crate::decision::{Decision, Reason};
use crate::dialogue::{Answers, Broken};
use crate::directory::{Account, DirectoryError, PasswordAge, PasswordOutcome, PasswordProof, Standing};
use crate::grant::Grant;
use crate::house::House;
use crate::local_accounts::is_uid_for_people;
use crate::store::{Bind, BindNeed, CodeOutcome, CodeTry, Earn};
use crate::tarpit::{Charge, CodesRefused, Proofs, Refused, Try, WouldRefuse};
use crate::tickets::MustChange;
use crate::totp::{CodeProof, Shown};
use twinlock_policy::{Factors, Plan, Questions, Username};
use twinlock_protocol::{AuthTok, Secret};

/// The account that bears the name, or why there is none to log in as. The outer error is for a directory that does
/// not answer.
pub(crate) async fn find(
    house: &House,
    name: &Username,
    deadline: Deadline,
    record: &mut Record,
) -> Result<Result<Account, Reason>, Decision> {
    let account = match house.directory.find(name, deadline).await {
        Ok(Some(account)) => account,
        Ok(None) => return Ok(Err(Reason::UnknownAccount)),
        Err(error) => return failed(&error, record).map(Err),
    };
    record.account = Some(account.id.to_string());
    let bears_local_name = |name: &Username| {
        let known = house.local_accounts.contains(name.as_str());
        known.map_err(|_| Decision::Unavailable(Reason::LocalAccountsUnknown))
    };
    let mut poses = account.uid_number.is_some_and(|uid| !is_uid_for_people(uid));
    for name in account.names.iter().chain([name]) {
        poses |= bears_local_name(name)?;
    }
    Ok(if poses { Err(Reason::PosesAsLocal) } else { Ok(account) })
}

/// The password, and what became of its bind: one at most. Where no code is asked, a password that was found wrong from
/// here a moment ago is not bound again.
pub(super) async fn prove(
    house: &House,
    tried: &Try<'_>,
    account: &Account,
    password: &Secret,
    factors: Factors,
    record: &mut Record,
) -> (Result<Option<PasswordProof>, Decision>, Bind) {
    let source = tried.place.source();
    if !factors.password {
        return (Ok(None), Bind::NotSent);
    }
    if !factors.code && house.tarpit.is_repeated(account, source, password) {
        record.password = Proved::Wrong;
        return (Err(Decision::Deny(Reason::RepeatedPassword)), Bind::NotSent);
    }
    match house.directory.prove(tried.attempt, account, password, tried.deadline).await {
        Ok(PasswordOutcome::Right(proof)) => {
            record.password = Proved::Right;
            let bind = if proof.accepted() { Bind::Right } else { Bind::NotSent };
            (Ok(Some(proof)), bind)
        }
        Ok(PasswordOutcome::Wrong(None)) => {
            record.password = Proved::Wrong;
            house.tarpit.note_wrong(account, source, password);
            (Err(Decision::Deny(Reason::WrongPassword)), Bind::Wrong)
        }
        Ok(PasswordOutcome::Wrong(Some(bar))) => (Err(Decision::Deny(Reason::NotLookedAt(bar))), Bind::Wrong),
        Err(error) => {
            let sent = matches!(error, DirectoryError::Unavailable { bind_sent: true, .. });
            let decision = failed(&error, record).map_or_else(|decision| decision, Decision::Deny);
            (Err(decision), if sent { Bind::Unanswered } else { Bind::NotSent })
        }
    }
}

/// How the account stands, as far as this login is concerned: the age of a password that was not shown says nothing.
pub(super) fn standing(account: &Account, proved: Result<&Option<PasswordProof>, &Decision>) -> Standing {
    match proved {
        Ok(Some(proof)) => proof.standing().and(account.standing),
        Ok(None) | Err(_) => Standing { bar: account.standing.bar, ..Standing::default() },
    }
}

/// Everything was proved; only now does it matter how the account stands.
pub(super) fn admitted(grant: Grant, standing: Standing) -> Decision {
    match standing.bar {
        None => Decision::Grant(grant),
        Some(bar) => Decision::Deny(Reason::Barred(bar)),
    }
}

/// What follows, should it be a grant.
pub(super) fn after(account: &Account, standing: Standing, password: &Secret) -> After {
    let must_change = standing.password == PasswordAge::MustChange;
    After {
        notice: standing.password.notice(),
        must_change: must_change
            .then(|| MustChange { account: account.id.clone(), password: password.clone() }),
    }
}

/// A name that nobody bears, or that is not let in whatever is typed: the same work, and a charge against its address.
/// Where no code is asked, an unknown name is bound too, to an entry that does not exist.
pub(super) async fn nobody(
    house: &House,
    tried: &Try<'_>,
    name: &Username,
    questions: Questions,
    answers: &Answers,
    reason: Reason,
    record: &mut Record,
) -> Result<Judged, Decision> {
    if let Some(why) = house.tarpit.codes_refused().filter(|_| questions.code) {
        return Err(Decision::Unavailable(why.into()));
    }
    let charge = house.tarpit.charge_nobody(tried).await.map_err(|why| refused(why, record))?;
    record.observed = charge.observed().map(Reason::from);
    let typed = match answers {
        Answers::Separate { password: Some(typed), .. } | Answers::Field(typed) => Some(typed),
        Answers::Separate { password: None, .. } | Answers::SshdMarker => None,
    };
    if let Some(typed) = typed {
        watch_for_sprays(house, name, typed);
    }
    let bound = match typed.filter(|_| questions.password && !questions.code) {
        Some(typed) => house.directory.prove_nobody(name, typed, tried.deadline).await,
        None => Ok(()),
    };
    let decision = match bound {
        Ok(()) => Decision::Deny(reason),
        Err(_) => Decision::Unavailable(Reason::DirectoryUnavailable),
    };
    Ok(Judged {
        decision,
        charge,
        bind: Bind::NotSent,
        account: None,
        learn: None,
        authtok: None,
        doubt: None,
        visit: None,
        after: After::default(),
    })
}

/// One password tried over many names is said once.
pub(super) fn watch_for_sprays(house: &House, name: &Username, password: &Secret) {
    if house.tarpit.is_sprayed(name, password) {
        let accounts = house.config.tarpit.spread_limit.accounts.to_string();
        house.auditor.warning(&event_line("password-sprayed", &[("accounts", &accounts)]));
    }
}

/// While no code can be judged, whoever is asked one and is not let in hears that, and nothing else: a denial would tell
/// that an account exists and needs none. So it is while a directory is away that the name would be asked of: a name that
/// nobody bears ends there, and a denial would tell that it is somebody's.
pub(super) fn veiled(house: &House, caller: &Caller, decision: Decision) -> Decision {
    let asked = || {
        let name = Username::from_pam(&caller.user).ok();
        let place = house.locations.place(&house.policy, caller.source, &caller.service, name.as_ref());
        house.policy.questions(&place, caller.accepted)
    };
    let away = || Username::from_pam(&caller.user).is_ok_and(|name| house.directory.is_away(&name));
    match decision {
        // Everything was proved.
        Decision::Deny(Reason::Barred(_)) => decision,
        Decision::Deny(reason) if house.tarpit.codes_refused().is_some() && asked().code => {
            Decision::Unavailable(reason)
        }
        Decision::Deny(reason) if away() => Decision::Unavailable(reason),
        decided @ (Decision::Grant(_) | Decision::Deny(_) | Decision::Unavailable(_)) => decided,
    }
}

fn failed(error: &DirectoryError, record: &mut Record) -> Result<Reason, Decision> {
    record.detail = Some(error.to_string());
    match error {
        DirectoryError::Ambiguous { .. } => Ok(Reason::AmbiguousName),
        DirectoryError::Unfit { .. } => Ok(Reason::UnfitEntry),
        DirectoryError::Unavailable { .. } => Err(Decision::Unavailable(Reason::DirectoryUnavailable)),
    }
}

/// What the plan asks, or the decision it already is.
pub(crate) fn allowed_factors(plan: &Plan) -> Result<Factors, Decision> {
    match plan {
        Plan::Require { factors, .. } => Ok(*factors),
        Plan::Deny { rule: Some(_) } => Err(Decision::Deny(Reason::DeniedByRule)),
        Plan::Deny { rule: None } => Err(Decision::Deny(Reason::NoRule)),
        Plan::Unavailable { .. } => Err(Decision::Unavailable(Reason::ConditionUnknown)),
    }
}

/// What was typed, sorted by what the plan needs.
pub(super) struct Typed {
    pub(super) password: TypedPassword,
    pub(super) proofs: Proofs,
}

/// What holds the password, and perhaps a code behind it.
pub(super) struct TypedPassword {
    typed: Secret,
    may_hold_code: bool,
}

impl Typed {
    /// A code that the plan does not need is not looked at. In one field it is: only so is it known where the password
    /// ends, and whoever learns there that it is right has spent it. Behind a password, two codes or a recovery code may
    /// stand for a lane that takes nothing else.
    pub(super) fn sorted(answers: Answers, factors: Factors, earn: Option<Box<Earn>>) -> Self {
        let bind = match (factors.password, factors.code) {
            (true, true) => BindNeed::AfterCode,
            (true, false) => BindNeed::Bare,
            (false, true | false) => BindNeed::None,
        };
        let (typed, code) = match answers {
            Answers::Field(typed) => (typed.clone(), CodeTry::Field(typed)),
            // A waiver was withdrawn: where no code is asked, it stands behind the password.
            Answers::Separate { password: Some(password), code: None } if factors.code => {
                (password.clone(), CodeTry::Field(password))
            }
            Answers::Separate { password, code } if factors.code => {
                (password.unwrap_or_default(), CodeTry::Code(code.unwrap_or_default()))
            }
            Answers::Separate { password: Some(password), code: _ } => {
                (password.clone(), CodeTry::Behind(password))
            }
            Answers::Separate { password: None, code: _ } | Answers::SshdMarker => {
                (Secret::default(), CodeTry::NotAsked)
            }
        };
        let may_hold_code = matches!(code, CodeTry::Field(_) | CodeTry::Behind(_));
        Self { password: TypedPassword { typed, may_hold_code }, proofs: Proofs { code, bind, earn } }
    }
}

impl TypedPassword {
    /// Whether a code may stand behind it.
    pub(super) const fn may_hold_code(&self) -> bool {
        self.may_hold_code
    }

    /// The password without the `code_length` bytes behind it, and where it lies among the answers.
    pub(super) fn split(self, code_length: usize) -> (Secret, Option<AuthTok>) {
        let end = self.typed.len().saturating_sub(if self.may_hold_code { code_length } else { 0 });
        let password = self.typed.expose().get(..end).map(Secret::copy_of).unwrap_or_default();
        let authtok = u16::try_from(end).ok().map(|length| AuthTok { answer: 0, length });
        (password, authtok)
    }
}

/// What came of the code.
pub(super) struct Code<'a> {
    pub(super) proof: Option<&'a CodeProof>,
    /// Why it is no proof, where it is none.
    pub(super) denial: Option<Reason>,
    /// Its bytes at the end of what was typed.
    pub(super) length: usize,
}

/// Reads a charge's outcome into the record and the plan's words.
pub(super) fn code_of<'a>(charge: &'a Charge, factors: Factors, record: &mut Record) -> Code<'a> {
    let Some((lane, of_account)) = charge.of_account() else {
        return Code { proof: None, denial: Some(Reason::UnknownAccount), length: 0 };
    };
    record.lane = Some(lane.to_string());
    record.observed = charge.observed().map(Reason::from);
    let (proof, denial, proved) = match of_account.code() {
        CodeOutcome::NotAsked => (None, None, Proved::No),
        CodeOutcome::Right(proof) => {
            let proved = match proof.shown() {
                Shown::Step { .. } => Proved::Right,
                Shown::Recovery(_) => Proved::Recovery,
            };
            (Some(proof), None, proved)
        }
        CodeOutcome::NoAuthenticator => (None, Some(Reason::NoAuthenticator), Proved::No),
        // Good for getting an authenticator, and for nothing else.
        CodeOutcome::Invited => (None, Some(Reason::NoAuthenticator), Proved::Invited),
        // Behind a waiver, what is no code is part of the password.
        CodeOutcome::Wrong if !factors.code => (None, None, Proved::No),
        CodeOutcome::Wrong => (None, Some(Reason::WrongCode), Proved::Wrong),
        CodeOutcome::Replay { .. } => (None, Some(Reason::ReplayedCode), Proved::Used),
        CodeOutcome::InUse => (None, Some(Reason::CodeInUse), Proved::Used),
    };
    record.code = proved;
    Code { proof, denial, length: of_account.code_length() }
}

/// Everything was compared and will be counted as always: that an administrator has locked the account shows in no
/// question, no time, and no lane.
pub(super) fn unless_disabled(charge: &Charge, decision: Decision) -> Decision {
    match decision {
        Decision::Grant(_) if is_disabled(charge) => Decision::Deny(Reason::DisabledByAdministrator),
        decided @ (Decision::Grant(_) | Decision::Deny(_) | Decision::Unavailable(_)) => decided,
    }
}

/// Whether an administrator has locked the account.
pub(super) fn is_disabled(charge: &Charge) -> bool {
    charge.of_account().is_some_and(|(_, charge)| charge.is_disabled())
}

/// Nothing was compared: a refusal looks like any denial, an outage like an outage.
pub(super) fn refused(refused: Refused, record: &mut Record) -> Decision {
    match refused {
        Refused::PrefixClosed => Decision::Deny(Reason::PrefixClosed),
        Refused::LaneClosed(lane) => {
            record.lane = Some(lane.to_string());
            Decision::Deny(Reason::LaneClosed)
        }
        Refused::TwoCodesOnly(lane) => {
            record.lane = Some(lane.to_string());
            Decision::Deny(Reason::TwoCodesOnly)
        }
        Refused::NoWayIn(lane) => {
            record.lane = Some(lane.to_string());
            record.code = Proved::Wrong;
            Decision::Deny(Reason::NoWayIn)
        }
        Refused::NoBindLeft(lane) => {
            record.lane = Some(lane.to_string());
            Decision::Deny(Reason::NoBindLeft)
        }
        Refused::Full => Decision::Deny(Reason::LaneFull),
        Refused::Codes(why) => Decision::Unavailable(why.into()),
        Refused::Store(error) => {
            record.detail = Some(error.to_string());
            Decision::Unavailable(Reason::StoreUnavailable)
        }
    }
}

impl Charge {
    /// Whether a right code was shown, even where none is asked.
    pub(super) fn has_right_code(&self) -> bool {
        self.of_account().is_some_and(|(_, charge)| matches!(charge.code(), CodeOutcome::Right(_)))
    }

    /// Whether the code is one that this very pair has spent or is spending: said no to, but not counted.
    pub(super) fn repeats_own_code(&self) -> bool {
        self.of_account().is_some_and(|(_, charge)| {
            matches!(charge.code(), CodeOutcome::Replay { same_pair: true } | CodeOutcome::InUse)
        })
    }
}

impl From<CodesRefused> for Reason {
    fn from(why: CodesRefused) -> Self {
        match why {
            CodesRefused::ClockSuspect => Self::ClockSuspect,
            CodesRefused::StoreRestored => Self::StoreRestored,
        }
    }
}

impl From<WouldRefuse> for Reason {
    fn from(observed: WouldRefuse) -> Self {
        match observed {
            WouldRefuse::PrefixClosed => Self::PrefixClosed,
            WouldRefuse::LaneClosed => Self::LaneClosed,
            WouldRefuse::Full => Self::LaneFull,
        }
    }
}

impl From<Broken> for Reason {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Abandoned => Self::Abandoned,
            Broken::TimedOut => Self::TimedOut,
        }
    }
}
