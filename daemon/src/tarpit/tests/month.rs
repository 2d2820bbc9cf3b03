//! A month of guessing from a thousand prefixes, on a real store and a clock of the test's own, with the configuration's
//! defaults. The owner logs in every few hours.

use super::*;
use crate::totp::{CodeOutcome, Label, Seed};
use std::collections::VecDeque;
use twinlock_policy::bound::comparisons;

const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const HOME: &str = "198.51.100.7";
const DESK: &str = "192.0.2.44";
const MONTH: Duration = Duration::from_secs(30 * 86_400);
const STEP: Duration = Duration::from_secs(240);
const STEPS_A_DAY: u64 = 360;
const PREFIXES: u64 = 1000;

/// What is shown, and what of it is right.
#[derive(Clone, Copy)]
enum Shown {
    /// A password, where the rule asks no code.
    Password { right: bool },
    /// A code, and then the right password.
    Code { right: bool },
    /// Two consecutive codes, and then the right password.
    TwoCodes,
}

struct Month {
    bench: Bench,
    lockout: twinlock_config::Lockout,
    compared: u64,
    diagnoses: u64,
    failed_binds: VecDeque<Duration>,
    most_failed_binds: usize,
    passed: Duration,
}

impl Month {
    async fn begin() -> Self {
        let rules =
            RULES.split("[tarpit]").next().unwrap().to_owned() + "[store]\nkey = { file = \"/seal.key\" }\n";
        let bench = bench_of(&rules);
        let (label, seed) = (Label::new("phone").unwrap(), Seed::from_base32(SEED).unwrap());
        let phone = store::NewAuthenticator { label, seed, parameters: None, active: true };
        let now = bench.clock.now();
        bench.tarpit.store.enroll(&alice().id, &alice().name, phone, now).await.unwrap();
        let (lockout, failed_binds) = (twinlock_config::Lockout::default(), VecDeque::new());
        Self {
            bench,
            lockout,
            compared: 0,
            diagnoses: 0,
            failed_binds,
            most_failed_binds: 0,
            passed: Duration::ZERO,
        }
    }

    fn advance(&mut self, by: Duration) {
        self.bench.clock.advance(by);
        self.passed += by;
    }

    fn code(&self, steps_back: u64) -> Vec<u8> {
        let secret = totp_rs::Secret::try_from_base32(SEED).unwrap();
        let totp = totp_rs::Builder::new().with_secret(secret).build().unwrap();
        totp.generate(self.bench.clock.now().wall.0 - 30 * steps_back).to_string().into_bytes()
    }

    /// A whole login as the daemon makes it. Tells whether it was granted.
    async fn login(&mut self, source: &str, shown: Shown) -> bool {
        let place = self.bench.place(source);
        let proofs = match shown {
            Shown::Password { .. } => Proofs { code: CodeTry::NotAsked, bind: BindNeed::Bare, earn: None },
            Shown::Code { .. } | Shown::TwoCodes => {
                let typed = match shown {
                    Shown::TwoCodes => [self.code(1), self.code(0)].concat(),
                    Shown::Code { right: true } => self.code(0),
                    Shown::Code { .. } | Shown::Password { .. } => b"00000x".to_vec(),
                };
                Proofs { code: CodeTry::Code(Secret::copy_of(&typed)), bind: BindNeed::AfterCode, earn: None }
            }
        };
        let Ok(charge) = self.bench.tarpit.charge(&trying(&place, false), &alice(), proofs).await else {
            return false;
        };
        let (lane, of_account) = charge.of_account().unwrap();
        let stranger = *lane == LaneKey::Unfamiliar;
        let (settlement, bind) = match (shown, of_account.code()) {
            (Shown::Password { right: false }, _) => (Settlement::Failed, Bind::Wrong),
            (Shown::Password { right: true }, _) | (_, CodeOutcome::Right(_)) => {
                (Settlement::Granted { learn: place.earnable_prefix() }, Bind::Right)
            }
            (Shown::Code { .. } | Shown::TwoCodes, _) => (Settlement::Failed, Bind::NotSent),
        };
        self.compared += u64::from(stranger && settlement == Settlement::Failed);
        self.count_bind(bind);
        let settled = self.bench.tarpit.settle(charge, settlement, bind, Some(&alice())).await.unwrap();
        if bind == Bind::NotSent && settlement == Settlement::Failed {
            self.diagnose().await;
        }
        settled == Settled::Done && settlement != Settlement::Failed
    }

    /// What follows a wrong code: strangers' passwords are wrong.
    async fn diagnose(&mut self) {
        let (tarpit, account) = (&self.bench.tarpit, alice().id);
        let attempt = AttemptId::random().unwrap();
        let Some(diagnosis) = tarpit.take_diagnosis(attempt, &alice()).await.unwrap() else { return };
        let guess = Secret::copy_of(b"a guess");
        tarpit.settle_diagnosis(diagnosis, &account, &guess, Bind::Wrong).await.unwrap();
        self.diagnoses += 1;
        self.count_bind(Bind::Wrong);
    }

    fn count_bind(&mut self, bind: Bind) {
        match bind {
            Bind::Wrong => self.count_failed_bind(),
            // As ppolicy and Active Directory do.
            Bind::Right => self.failed_binds.clear(),
            Bind::NotSent | Bind::Unanswered => {}
        }
    }

    fn count_failed_bind(&mut self) {
        let within = self.lockout.within.duration();
        self.failed_binds.push_back(self.passed);
        while self.failed_binds.front().is_some_and(|at| self.passed - *at >= within) {
            self.failed_binds.pop_front();
        }
        self.most_failed_binds = self.most_failed_binds.max(self.failed_binds.len());
    }

    /// The next prefixes of the thousand, more of them than the lane has slots.
    async fn strangers(&mut self, step: u64, shown: Shown) {
        let tries = if step == 0 { 10 } else { 2 };
        for number in 0..tries {
            let prefix = (step * 2 + number) % PREFIXES;
            let source = format!("45.{}.{}.1", prefix / 250, prefix % 250);
            assert!(!self.login(&source, shown).await);
        }
    }

    fn bound(&self) -> u64 {
        comparisons(self.bench.tarpit.limits(), MONTH)
    }
}

/// Promises 4, 5 and 6.
#[tokio::test]
async fn in_a_month_of_guessing_from_a_thousand_prefixes_the_owner_gets_in_at_every_try() {
    let mut month = Month::begin().await;
    assert!(month.login(HOME, Shown::Code { right: true }).await, "before it begins");
    month.advance(STEP);
    let (mut owner, mut new_places) = (0, 0);
    for step in 0..30 * STEPS_A_DAY {
        month.strangers(step, Shown::Code { right: false }).await;
        month.advance(STEP / 2);
        if step % 60 == 0 {
            assert!(month.login(HOME, Shown::Code { right: true }).await, "at home, step {step}");
            assert!(month.login(DESK, Shown::Password { right: true }).await, "at the office, step {step}");
            owner += 2;
        }
        if step % STEPS_A_DAY == 77 {
            assert!(!month.login(DESK, Shown::Password { right: false }).await, "mistyped");
            assert!(month.login(DESK, Shown::Password { right: true }).await, "and again, step {step}");
            let new_place = format!("203.0.113.{}", step / STEPS_A_DAY);
            month.advance(Duration::from_secs(60));
            assert!(month.login(&new_place, Shown::TwoCodes).await, "at a new place, step {step}");
            new_places += 1;
        }
        month.advance(STEP / 2);
    }
    assert_eq!(
        (owner, new_places),
        (360, 30),
        "six times a day at either place, and once a day at a new one"
    );
    assert!(month.compared <= month.bound(), "{} of {}", month.compared, month.bound());
    assert!(month.compared > month.bound() / 2, "they hardly guessed: {}", month.compared);
    assert!(month.most_failed_binds < month.lockout.failures as usize, "{}", month.most_failed_binds);
    assert!((100..=owner + new_places + 30).contains(&month.diagnoses), "one a success: {}", month.diagnoses);
}

/// Promise 4 where strangers are asked no code, so that every guess of theirs is a bind, and where they are, so that some
/// are diagnosed.
#[tokio::test]
async fn in_a_month_of_guessed_passwords_the_directory_never_comes_near_its_lock_out() {
    let mut month = Month::begin().await;
    assert!(month.login(HOME, Shown::Code { right: true }).await, "before it begins");
    month.advance(STEP);
    for step in 0..30 * STEPS_A_DAY {
        let code = step / 45 % 2 == 1;
        let shown = if code { Shown::Code { right: false } } else { Shown::Password { right: false } };
        month.strangers(step, shown).await;
        if step % 60 == 0 {
            assert!(month.login(HOME, Shown::Code { right: true }).await, "with a code, step {step}");
        }
        month.advance(STEP);
    }
    assert!(month.compared <= month.bound(), "{} of {}", month.compared, month.bound());
    assert_eq!(month.most_failed_binds, 3, "of {}", month.lockout.failures);
    assert!(month.diagnoses >= 30, "they hardly tried: {}", month.diagnoses);
}
