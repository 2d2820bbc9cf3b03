//! Promise 13: while the wall clock is not believed.

use super::*;

const HOUR: u64 = 3600;

impl Bench {
    fn set_back(&self) {
        self.clock.set_wall(WallTime(self.clock.now().wall.0 - HOUR));
        assert_eq!(self.tarpit.codes_refused(), Some(CodesRefused::ClockSuspect));
    }

    async fn proving(&self, code: CodeTry, bind: BindNeed) -> Result<Charge, Refused> {
        let place = self.place(AWAY);
        self.tarpit.charge(&trying(&place, false), &alice(), Proofs { code, bind, earn: None }).await
    }

    fn knows_alice(&self) -> bool {
        let prefix = self.place(AWAY).earnable_prefix().unwrap();
        self.tarpit.known.holds(&alice().id, prefix, self.clock.now().wall)
    }

    async fn let_in(&self) {
        let learn = self.place(AWAY).earnable_prefix();
        let charge = self.charge(AWAY, false).await.unwrap();
        self.settle(charge, Settlement::Granted { learn }).await;
    }
}

fn typed(text: &[u8]) -> Secret {
    Secret::copy_of(text)
}

#[tokio::test]
async fn what_needs_a_code_is_refused_before_anything_is_charged() {
    let bench = bench();
    bench.set_back();
    let commits = bench.tarpit.store.commits();
    for code in [CodeTry::Code(typed(b"123456")), CodeTry::Field(typed(b"secret123456"))] {
        for bind in [BindNeed::AfterCode, BindNeed::None] {
            let refused = bench.proving(code.clone(), bind).await;
            assert!(matches!(refused, Err(Refused::Codes(CodesRefused::ClockSuspect))));
        }
    }
    assert_eq!(bench.tarpit.store.commits(), commits);
}

#[tokio::test]
async fn what_needs_none_goes_on_without_looking_for_one() {
    let bench = bench();
    bench.set_back();
    for code in [CodeTry::NotAsked, CodeTry::Field(typed(b"secret")), CodeTry::Behind(typed(b"secret"))] {
        let charge = bench.proving(code, BindNeed::Bare).await.unwrap();
        let (_, of_account) = charge.of_account().unwrap();
        assert!(matches!(of_account.code(), store::CodeOutcome::NotAsked));
        bench.settle(charge, Settlement::Released).await;
    }
}

#[tokio::test]
async fn two_codes_are_no_way_in_then() {
    let bench = bench();
    let charge = bench.charge(AWAY, false).await.unwrap();
    bench.settle(charge, Settlement::Failed).await;
    bench.set_back();
    let refused = bench.proving(CodeTry::Behind(typed(b"secret123456654321")), BindNeed::Bare).await;
    assert!(matches!(refused, Err(Refused::LaneClosed(_))), "they are not looked at");
    let refused = bench.proving(CodeTry::Code(typed(b"123456654321")), BindNeed::AfterCode).await;
    assert!(matches!(refused, Err(Refused::Codes(_))));
}

#[tokio::test]
async fn nothing_is_learned_and_no_known_pair_is_forgotten() {
    let bench = bench();
    bench.set_back();
    bench.let_in().await;
    assert!(!bench.knows_alice(), "not while the clock is suspect");
    assert!(bench.clock.accept());
    bench.let_in().await;
    assert!(bench.knows_alice());
    bench.clock.set_wall(WallTime(bench.clock.now().wall.0 + 400 * 86_400));
    bench.clock.advance(Duration::from_secs(400 * 86_400));
    assert!(bench.knows_alice());
    assert!(bench.clock.accept());
    assert!(!bench.knows_alice(), "and then it is");
}

/// Nor beside an emergency password.
#[tokio::test]
async fn no_code_is_compared_beside_an_emergency_password_then() {
    let bench = bench();
    let place = bench.place(AWAY);
    let (tried, alice) = (trying(&place, false), alice());
    let beside =
        || bench.tarpit.charge_emergency(&tried, &alice.id, &alice.name, CodeTry::Code(typed(b"123456")));
    let charge = beside().await.unwrap();
    bench.settle(charge, Settlement::Released).await;
    bench.set_back();
    assert!(matches!(beside().await, Err(Refused::Codes(CodesRefused::ClockSuspect))));
}
