//! Whether a code may be used (DESIGN promise 2): compares what was typed with the account's authenticators and says
//! what the store must write for it. The only maker of a [`CodeProof`].

use super::{AuthenticatorId, FoundRecovery, Parameters, Seed, Step};
use crate::attempt::AttemptId;
use crate::clock::WallTime;
use std::cmp::Reverse;
use twinlock_policy::{AccountId, Service, Source};
use twinlock_protocol::Secret;

/// Attempts that a reserved step serves.
pub const TRIES: u8 = 3;

/// Who may use a reserved step again: the same literal address and service (the account follows from the
/// authenticator).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodePair {
    /// A literal address.
    pub source: Source,
    /// The PAM service.
    pub service: Service,
}

/// What was typed where a code may stand.
#[derive(Debug, Clone)]
pub enum CodeTry {
    /// No code was asked; nothing is compared.
    NotAsked,
    /// The answer to the question for the code.
    Code(Secret),
    /// The answer to a single question: password followed by the code.
    Field(Secret),
    /// A password, where no code was asked: two codes or a recovery code may stand behind it, which are looked at only
    /// where the lane takes nothing else.
    Behind(Secret),
}

impl CodeTry {
    /// Whether what was typed could end in what a closed lane takes, two codes of six digits or more or a recovery code:
    /// told from its form alone.
    #[must_use]
    pub fn may_be_way_in(&self) -> bool {
        self.may_be_two_codes() || self.recovery_code().is_some()
    }

    /// Whether a question for the code was left empty: nobody guessed at anything.
    #[must_use]
    pub fn was_left_empty(&self) -> bool {
        matches!(self, Self::Code(code) if code.is_empty())
    }

    fn may_be_two_codes(&self) -> bool {
        let digits =
            |typed: &Secret| typed.expose().iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        match self {
            Self::NotAsked => false,
            Self::Code(code) => digits(code) >= TWO_SHORTEST && digits(code) == code.len(),
            Self::Field(field) | Self::Behind(field) => digits(field) >= TWO_SHORTEST,
        }
    }
}

/// Digits of the two shortest codes typed as one.
const TWO_SHORTEST: usize = 12;

/// What became of the code.
#[derive(Debug)]
#[must_use]
pub enum CodeOutcome {
    /// No code was asked.
    NotAsked,
    /// The account has no active authenticator.
    NoAuthenticator,
    /// The account has none, and this is an invitation to get one.
    Invited,
    /// Not a code of this account now.
    Wrong,
    /// A code of this account that was used, or that another pair has reserved.
    Replay {
        /// Whether it was this pair that showed it.
        same_pair: bool,
    },
    /// A code that another attempt of this very pair is using at this moment.
    InUse,
    /// A right code, reserved for this attempt or spent by it.
    Right(CodeProof),
}

/// That an attempt showed a right code of an account. Bound to both; not `Clone`.
#[derive(Debug)]
pub struct CodeProof {
    attempt: AttemptId,
    account: AccountId,
    shown: Shown,
}

/// Which code was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// The code of a step.
    Step {
        /// Whose code it is.
        authenticator: AuthenticatorId,
        /// Which step's.
        step: Step,
    },
    /// A recovery code, by the store's number for it.
    Recovery(i64),
}

impl CodeProof {
    /// The attempt that showed it.
    #[must_use]
    pub const fn attempt(&self) -> AttemptId {
        self.attempt
    }

    /// The account whose code it is.
    #[must_use]
    pub const fn account(&self) -> &AccountId {
        &self.account
    }

    /// Which code it was.
    #[must_use]
    pub const fn shown(&self) -> Shown {
        self.shown
    }
}

/// Whose code is judged, and when.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The attempt.
    pub attempt: AttemptId,
    /// The account.
    pub account: &'a AccountId,
    /// For whom a step would be reserved; `None` where the first use spends it.
    pub pair: Option<&'a CodePair>,
    /// The time by which codes go.
    pub wall: WallTime,
    /// Steps accepted either side.
    pub window_steps: u8,
    /// Only two consecutive codes or a recovery code count.
    pub two_only: bool,
}

/// An active authenticator with what was done with its steps.
#[derive(Debug)]
pub struct Candidate {
    /// Its id.
    pub id: AuthenticatorId,
    /// What its codes are like.
    pub parameters: Parameters,
    /// Its seed.
    pub seed: Seed,
    /// This step and every older one are used.
    pub used: Option<Step>,
    /// Steps that were reserved, the used ones among them included.
    pub reserved: Vec<Reserved>,
}

/// A reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserved {
    /// The step.
    pub step: Step,
    /// For whom.
    pub pair: CodePair,
    /// Attempts it has served.
    pub tries: u8,
    /// Whether one of them is under way.
    pub open: bool,
}

/// What the store must write for a right code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Claim {
    /// A first reservation of the step.
    Reserve,
    /// One more try of the reservation that is there.
    Again,
    /// The step is used from now on.
    Spend,
}

/// The outcome, where the code stood, and what must be written.
#[derive(Debug)]
#[must_use]
pub struct Judgement {
    /// What became of the code.
    pub outcome: CodeOutcome,
    /// Bytes of the code at the end of what was typed; 0 if none was found there.
    pub code_length: usize,
    /// What the store must write in the same transaction; there exactly if the code is right.
    pub claim: Option<Claim>,
}

impl Judgement {
    const fn without_code(outcome: CodeOutcome) -> Self {
        Self { outcome, code_length: 0, claim: None }
    }
}

/// How a step stands towards a pair, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Used { same_pair: bool },
    Open,
    Usable(Claim),
}

/// How a run of digits is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    One,
    Two,
}

/// Judges what was typed against the account's active authenticators, and `recovery`, the recovery code of the account
/// that it ends in: it comes first, counts in every lane, and also where there is no authenticator any more.
///
/// A single field is read from the right, longest first (two codes, then one, by digits), only in lengths the account
/// has; the first suffix that is a code of the account, a used one too, ends the password. Two consecutive unused codes
/// of one authenticator count in every lane; both are spent.
pub fn judge(
    asked: &Asked<'_>,
    typed: &CodeTry,
    candidates: &[Candidate],
    recovery: Option<FoundRecovery>,
) -> Judgement {
    let (typed, field) = match typed {
        CodeTry::NotAsked => return Judgement::without_code(CodeOutcome::NotAsked),
        CodeTry::Behind(_) if !asked.two_only => return Judgement::without_code(CodeOutcome::NotAsked),
        CodeTry::Code(code) => (code.expose(), false),
        CodeTry::Field(field) | CodeTry::Behind(field) => (field.expose(), true),
    };
    if let Some(code) = recovery {
        return found_recovery(asked, code);
    }
    if candidates.is_empty() {
        return Judgement::without_code(CodeOutcome::NoAuthenticator);
    }
    for (length, reading) in readings(candidates, asked.two_only) {
        let start = typed.len().checked_sub(length).filter(|start| field || *start == 0);
        let Some(code) = start.and_then(|start| typed.get(start..)) else { continue };
        let Some((authenticator, step, standing)) = best(asked, code, reading, candidates) else { continue };
        return found(asked, authenticator, step, standing, length);
    }
    Judgement::without_code(CodeOutcome::Wrong)
}

fn readings(candidates: &[Candidate], two_only: bool) -> Vec<(usize, Reading)> {
    let digits = candidates.iter().map(|candidate| usize::from(candidate.parameters.digits()));
    let mut readings: Vec<(usize, Reading)> = digits
        .flat_map(|digits| [(2 * digits, Reading::Two), (digits, Reading::One)])
        .filter(|(_, reading)| !two_only || *reading == Reading::Two)
        .collect();
    readings.sort_unstable_by_key(|(length, _)| Reverse(*length));
    readings.dedup();
    readings
}

/// Of all that `code` can mean, the one that serves its owner best. Within one authenticator the worst standing
/// counts: the same digits at two of its steps are one code, which works once.
fn best(
    asked: &Asked<'_>,
    code: &[u8],
    reading: Reading,
    candidates: &[Candidate],
) -> Option<(AuthenticatorId, Step, Standing)> {
    let steps = |candidate: &Candidate| {
        let (parameters, seed) = (&candidate.parameters, &candidate.seed);
        match reading {
            Reading::One => parameters.matching(seed, code, asked.wall, asked.window_steps),
            Reading::Two => parameters.matching_two(seed, code, asked.wall, asked.window_steps),
        }
    };
    candidates
        .iter()
        .filter_map(|candidate| {
            steps(candidate)
                .into_iter()
                .map(|step| (candidate.id, step, standing_of(candidate, step, reading, asked.pair)))
                .min_by_key(|(_, step, standing)| (*standing, Reverse(*step)))
        })
        .max_by_key(|(_, _, standing)| *standing)
}

/// Two codes must both be unused, and the first use spends them.
fn standing_of(candidate: &Candidate, step: Step, reading: Reading, pair: Option<&CodePair>) -> Standing {
    let later = standing(candidate, step, pair);
    if reading == Reading::One {
        return later;
    }
    match later.min(standing(candidate, Step(step.0.saturating_sub(1)), pair)) {
        Standing::Usable(_) => Standing::Usable(Claim::Spend),
        barred @ (Standing::Used { .. } | Standing::Open) => barred,
    }
}

fn standing(candidate: &Candidate, step: Step, pair: Option<&CodePair>) -> Standing {
    let row = candidate.reserved.iter().find(|row| row.step == step);
    let own = row.filter(|row| Some(&row.pair) == pair);
    if candidate.used.is_some_and(|used| step <= used) {
        return Standing::Used { same_pair: own.is_some() };
    }
    match (row, own) {
        (None, _) if pair.is_some() => Standing::Usable(Claim::Reserve),
        (None, _) => Standing::Usable(Claim::Spend),
        (Some(_), None) => Standing::Used { same_pair: false },
        (Some(_), Some(own)) if own.open => Standing::Open,
        (Some(_), Some(own)) if own.tries >= TRIES => Standing::Used { same_pair: true },
        (Some(_), Some(_)) => Standing::Usable(Claim::Again),
    }
}

fn found(
    asked: &Asked<'_>,
    authenticator: AuthenticatorId,
    step: Step,
    standing: Standing,
    code_length: usize,
) -> Judgement {
    match standing {
        Standing::Used { same_pair } => {
            Judgement { outcome: CodeOutcome::Replay { same_pair }, code_length, claim: None }
        }
        Standing::Open => Judgement { outcome: CodeOutcome::InUse, code_length, claim: None },
        Standing::Usable(claim) => {
            let shown = Shown::Step { authenticator, step };
            let proof = CodeProof { attempt: asked.attempt, account: asked.account.clone(), shown };
            Judgement { outcome: CodeOutcome::Right(proof), code_length, claim: Some(claim) }
        }
    }
}

/// A used one ends the password too, and is a replay for everybody: whoever shows it again is charged.
fn found_recovery(asked: &Asked<'_>, code: FoundRecovery) -> Judgement {
    if code.spent {
        let outcome = CodeOutcome::Replay { same_pair: false };
        return Judgement { outcome, code_length: code.length, claim: None };
    }
    let shown = Shown::Recovery(code.id);
    let proof = CodeProof { attempt: asked.attempt, account: asked.account.clone(), shown };
    Judgement { outcome: CodeOutcome::Right(proof), code_length: code.length, claim: Some(Claim::Spend) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use twinlock_config::TotpAlgorithm;

    const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    fn candidate(id: i64, digits: u8, used: Option<Step>) -> Candidate {
        let parameters = Parameters::new(digits, TotpAlgorithm::Sha1, 30).unwrap();
        let seed = Seed::from_base32(SEED).unwrap();
        Candidate { id: AuthenticatorId(id), parameters, seed, used, reserved: Vec::new() }
    }

    fn judged(typed: &CodeTry, wall: u64, candidates: &[Candidate]) -> Judgement {
        let account = AccountId::new("main:alice");
        let asked = Asked {
            attempt: AttemptId::from_number(1),
            account: &account,
            pair: None,
            wall: WallTime(wall),
            window_steps: 1,
            two_only: false,
        };
        judge(&asked, typed, candidates, None)
    }

    #[test]
    fn digits_that_are_the_code_of_two_neighbouring_steps_are_one_code() {
        let older = Step(62_075_368);
        let wall = older.0 * 30;
        let typed = CodeTry::Code(Secret::copy_of(b"235522"));
        let fresh = judged(&typed, wall, &[candidate(1, 6, None)]);
        let CodeOutcome::Right(proof) = fresh.outcome else { panic!("{fresh:?}") };
        let newer = Shown::Step { authenticator: AuthenticatorId(1), step: Step(older.0 + 1) };
        assert_eq!(proof.shown(), newer, "the newer step, so that both are spent");

        let pair = CodePair { source: Source::Unknown, service: Service::new("sshd") };
        let reserved = vec![Reserved { step: older, pair, tries: 1, open: false }];
        let shown_before = judged(&typed, wall, &[Candidate { reserved, ..candidate(1, 6, None) }]);
        assert!(matches!(shown_before.outcome, CodeOutcome::Replay { same_pair: false }));
    }

    #[test]
    fn a_field_is_read_longest_code_first_and_only_in_lengths_the_account_has() {
        // RFC 6238: 94287082 at 59 s, so 287082 in six digits.
        let field = CodeTry::Field(Secret::copy_of(b"pass94287082"));
        let (six, eight) = (|| candidate(6, 6, None), |used| candidate(8, 8, used));
        assert_eq!(judged(&field, 59, &[six()]).code_length, 6);
        assert_eq!(judged(&field, 59, &[six(), eight(None)]).code_length, 8);
        let used = judged(&field, 59, &[six(), eight(Some(Step(1)))]);
        assert!(matches!(used.outcome, CodeOutcome::Replay { .. }));
        assert_eq!(used.code_length, 8, "a used code ends the password too");
        let code_only = CodeTry::Code(Secret::copy_of(b"pass94287082"));
        assert!(matches!(judged(&code_only, 59, &[six(), eight(None)]).outcome, CodeOutcome::Wrong));
    }
}
