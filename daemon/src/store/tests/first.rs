//! The first login of an account without an authenticator: an invitation works once, for its account, for seven days, and
//! what a grant makes of it is written in its settlement (promises 1 and 2).

use super::*;
use crate::totp::{FirstCode, Parameters};
use twinlock_config::Day;

async fn invited(bench: &Bench) -> Vec<u8> {
    let made = bench.store.invite(&alice(), &name("alice"), "uid 0".into(), bench.clock.now()).await.unwrap();
    made.ticket.expose().to_vec()
}

fn is_invited(charge: &Charge) -> bool {
    matches!(charge.code(), CodeOutcome::Invited)
}

/// Somebody was shown a new authenticator under this charge, and has typed a code of it.
fn enrolled(bench: &Bench, charge: Charge, invited: bool) -> Charge {
    let (seed, wall) = (Seed::from_base32(SEED).unwrap(), bench.clock.now().wall);
    let parameters = Parameters::of_settings(&TotpSettings::default()).unwrap();
    let typed = Secret::new(bench.code());
    let code = FirstCode::shown(charge.attempt(), &alice(), seed, parameters, &typed, (wall, 1)).unwrap();
    charge.with_first(Some(First::Enrolled { code, invited }))
}

async fn authenticators(bench: &Bench) -> usize {
    bench.store.authenticators(&alice()).await.unwrap().len()
}

fn grace() -> Option<First> {
    Some(First::Grace { until: Day::try_from("2099-12-31".to_owned()).unwrap() })
}

#[tokio::test]
async fn an_invitation_enrols_once_and_the_code_that_confirmed_is_used() {
    let bench = Bench::empty(50);
    let ticket = invited(&bench).await;
    let charge = bench.show(at_home(), &ticket).await;
    assert!(is_invited(&charge));
    assert_eq!(bench.settle(charge, Settlement::Failed).await, Settled::Done);
    let (one, other) = (bench.show(at_home(), &ticket).await, bench.show(elsewhere(), &ticket).await);
    assert!(is_invited(&one) && is_invited(&other), "a login that was not granted leaves it good");
    let (one, other) = (enrolled(&bench, one, true), enrolled(&bench, other, true));
    assert_eq!(authenticators(&bench).await, 0, "not before the settlement");
    assert_eq!(bench.grant(one).await, Settled::Done);
    assert_eq!(bench.grant(other).await, Settled::Conflict);
    assert_eq!(authenticators(&bench).await, 1);
    assert_eq!(replay(&bench.show(at_home(), &bench.code()).await), Some(false));
    let again = bench.show(at_home(), &ticket).await;
    assert!(matches!(again.code(), CodeOutcome::Wrong), "it has an authenticator now");
    bench.store.revoke(&alice(), Label::new("phone").unwrap()).await.unwrap();
    assert!(!is_invited(&bench.show(at_home(), &ticket).await), "used up");
}

#[tokio::test]
async fn an_invitation_is_good_for_its_account_alone_and_for_seven_days() {
    let bench = Bench::empty(50);
    let ticket = invited(&bench).await;
    let of_bob = ChargeRequest {
        account: AccountId::new("main:bob"),
        ..bench.request(None, CodeTry::Code(Secret::copy_of(&ticket)))
    };
    assert!(!is_invited(&charged(bench.store.charge(of_bob).await.unwrap())));
    for behind in [CodeTry::Field, CodeTry::Behind] {
        let typed = Secret::copy_of(&[b"password".as_slice(), &ticket].concat());
        let charge = charged(bench.store.charge(bench.request(None, behind(typed))).await.unwrap());
        assert!(!is_invited(&charge), "one field can show no authenticator");
    }
    bench.clock.advance(Duration::from_secs(INVITED_FOR_S - 1));
    let last = bench.show(at_home(), &ticket).await;
    assert!(is_invited(&last));
    let last = enrolled(&bench, last, true);
    bench.clock.advance(Duration::from_secs(1));
    assert!(!is_invited(&bench.show(at_home(), &ticket).await));
    assert_eq!(bench.grant(last).await, Settled::Conflict, "it ended under way");
    assert!(bench.store.invitations(bench.clock.now()).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_invitation_passes_a_closed_lane_and_what_only_looks_like_one_does_not() {
    let bench = Bench::empty(1);
    let ticket = invited(&bench).await;
    let wrong = bench.no_code().await;
    assert_eq!(bench.settle(wrong, Settlement::Failed).await, Settled::Done);
    let shown = |typed: &[u8], way_in| {
        let request = bench.request(at_home(), CodeTry::Code(Secret::copy_of(typed)));
        ChargeRequest { way_in, bind: BindNeed::AfterCode, ..request }
    };
    let reply = bench.store.charge(shown(&ticket, false)).await.unwrap();
    assert!(matches!(reply, ChargeReply::Closed { .. }));
    let reply = bench.store.charge(shown(b"ABCDEFGHIJKLMNOP", true)).await.unwrap();
    assert!(matches!(reply, ChargeReply::NoWayIn));
    assert!(is_invited(&charged(bench.store.charge(shown(&ticket, true)).await.unwrap())));
}

#[tokio::test]
async fn a_hang_up_and_a_kill_leave_nothing_active() {
    let bench = Bench::empty(50);
    let ticket = invited(&bench).await;
    let charge = bench.show(at_home(), &ticket).await;
    let gone = enrolled(&bench, charge, true);
    assert_eq!(bench.settle(gone, Settlement::Released).await, Settled::Done);
    let charge = bench.show(at_home(), &ticket).await;
    let killed = enrolled(&bench, charge, true);
    drop(killed);
    let bench = bench.restart().await;
    assert_eq!(authenticators(&bench).await, 0);
    assert!(is_invited(&bench.show(at_home(), &ticket).await));
}

#[tokio::test]
async fn grace_is_counted_by_account_and_never_for_one_that_has_an_authenticator() {
    let bench = Bench::empty(50);
    let counted = async |bench: &Bench| bench.store.totals(bench.clock.now()).await.unwrap().grace_accounts;
    for _ in 0..2 {
        let charge = bench.show(at_home(), b"").await;
        assert!(matches!(charge.code(), CodeOutcome::NoAuthenticator));
        assert_eq!(bench.grant(charge.with_first(grace())).await, Settled::Done);
    }
    assert_eq!(counted(&bench).await, 1);
    let charge = bench.show(at_home(), b"").await;
    bench.enroll("phone", SEED, true).await.unwrap();
    assert_eq!(bench.grant(charge.with_first(grace())).await, Settled::Conflict, "it has one by now");
    assert_eq!(counted(&bench).await, 0);
}

#[tokio::test]
async fn a_password_alone_is_bound_only_where_the_account_has_no_authenticator() {
    for (bench, bound) in [(Bench::empty(50), true), (Bench::with_phone(50).await, false)] {
        // As many as the directory's lock-out leaves to logins without a code.
        let most = account_limits().binds(false);
        for number in 0..=most {
            let request = bench.request(at_home(), CodeTry::Code(Secret::copy_of(b"")));
            let request = ChargeRequest { bind: BindNeed::AfterCodeIfAny, ..request };
            let reply = bench.store.charge(request).await.unwrap();
            assert_eq!(matches!(reply, ChargeReply::NoBindLeft), bound && number == most, "{number}");
            if let ChargeReply::Charged(charge) = reply {
                let bind = if bound { Bind::Wrong } else { Bind::NotSent };
                let (now, failed) = (bench.clock.now(), Settlement::Failed);
                assert_eq!(
                    bench.store.settle(*charge, failed, bind, now, CALM).await.unwrap(),
                    Settled::Done
                );
            }
        }
    }
}
