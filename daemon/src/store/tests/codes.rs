//! Promise 2: a code works once.

use super::*;

#[tokio::test]
async fn a_code_is_refused_the_second_time() {
    let bench = Bench::with_phone(50).await;
    let code = bench.code();
    let first = bench.show(at_home(), &code).await;
    assert!(right(&first));
    assert_eq!(bench.grant(first).await, Settled::Done);
    assert_eq!(replay(&bench.show(at_home(), &code).await), Some(true));
    assert_eq!(replay(&bench.show(elsewhere(), &code).await), Some(false));
    assert_eq!(replay(&bench.show(None, &code).await), Some(false));
}

#[tokio::test]
async fn a_code_is_refused_the_second_time_after_a_restart() {
    let bench = Bench::with_phone(50).await;
    let code = bench.code();
    let first = bench.show(at_home(), &code).await;
    assert_eq!(bench.grant(first).await, Settled::Done);
    let bench = bench.restart().await;
    assert_eq!(replay(&bench.show(at_home(), &code).await), Some(true));
}

#[tokio::test]
async fn granting_spends_every_older_code_too() {
    let bench = Bench::with_phone(50).await;
    let older = bench.code();
    bench.clock.advance(Duration::from_secs(30));
    let newer = bench.code();
    let charge = bench.show(at_home(), &newer).await;
    assert_eq!(bench.grant(charge).await, Settled::Done);
    assert_eq!(replay(&bench.show(at_home(), &older).await), Some(false));
}

#[tokio::test]
async fn a_mistyped_password_does_not_cost_the_code_but_three_do() {
    let bench = Bench::with_phone(50).await;
    let code = bench.code();
    for _ in 0..3 {
        let charge = bench.show(at_home(), &code).await;
        assert!(right(&charge));
        assert_eq!(bench.settle(charge, Settlement::Failed).await, Settled::Done);
    }
    assert_eq!(replay(&bench.show(at_home(), &code).await), Some(true));
}

#[tokio::test]
async fn a_try_during_which_no_secret_was_found_wrong_is_given_back() {
    let bench = Bench::with_phone(3).await;
    let code = bench.code();
    for _ in 0..10 {
        let charge = bench.show(at_home(), &code).await;
        assert!(right(&charge));
        assert_eq!(bench.settle(charge, Settlement::Released).await, Settled::Done);
    }
    assert_eq!(bench.failures().await, 0);
    let charge = bench.show(at_home(), &code).await;
    assert_eq!(bench.grant(charge).await, Settled::Done);
}

#[tokio::test]
async fn a_reserved_code_is_used_for_everybody_else() {
    let bench = Bench::with_phone(50).await;
    let code = bench.code();
    let charge = bench.show(at_home(), &code).await;
    assert_eq!(replay(&bench.show(elsewhere(), &code).await), Some(false));
    let other_service = at_home().map(|pair| CodePair { service: Service::new("xrdp-sesman"), ..pair });
    assert_eq!(replay(&bench.show(other_service, &code).await), Some(false));
    assert_eq!(replay(&bench.show(None, &code).await), Some(false));
    assert_eq!(bench.settle(charge, Settlement::Failed).await, Settled::Done);
    assert_eq!(replay(&bench.show(elsewhere(), &code).await), Some(false));
    assert!(right(&bench.show(at_home(), &code).await));
}

#[tokio::test]
async fn a_reservation_serves_one_attempt_at_a_time() {
    let bench = Bench::with_phone(50).await;
    let code = bench.code();
    let first = bench.show(at_home(), &code).await;
    let second = bench.show(at_home(), &code).await;
    assert!(matches!(second.code(), CodeOutcome::InUse));
    assert_eq!(second.code_length(), 6);
    assert_eq!(bench.settle(second, Settlement::Failed).await, Settled::Done);
    assert!(matches!(bench.show(at_home(), &code).await.code(), CodeOutcome::InUse));
    assert_eq!(bench.grant(first).await, Settled::Done);
}

#[tokio::test]
async fn where_there_is_no_address_the_first_use_spends_the_code() {
    let bench = Bench::with_phone(50).await;
    let code = bench.code();
    let first = bench.show(None, &code).await;
    assert!(right(&first));
    assert_eq!(replay(&bench.show(None, &code).await), Some(false));
    assert_eq!(replay(&bench.show(at_home(), &code).await), Some(false));
    assert_eq!(bench.grant(first).await, Settled::Done);

    bench.clock.advance(Duration::from_secs(60));
    let code = bench.code();
    let wrong_password = bench.show(None, &code).await;
    assert_eq!(bench.settle(wrong_password, Settlement::Released).await, Settled::Done);
    assert_eq!(replay(&bench.show(None, &code).await), Some(false));
}

#[tokio::test]
async fn an_older_code_cannot_be_granted_after_a_newer_one() {
    let bench = Bench::with_phone(50).await;
    let older = bench.show(at_home(), &bench.code()).await;
    bench.clock.advance(Duration::from_secs(30));
    let newer = bench.show(elsewhere(), &bench.code()).await;
    assert!(right(&older) && right(&newer));
    assert_eq!(bench.grant(newer).await, Settled::Done);
    let learn = Some(Prefix::of("192.0.2.1".parse().unwrap()));
    assert_eq!(bench.settle(older, Settlement::Granted { learn }).await, Settled::Conflict);
    assert_eq!(bench.failures().await, 0);
    assert_eq!(bench.store.known_from(&alice(), bench.clock.now()).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_parallel_logins_with_one_code_exactly_one_is_granted() {
    let bench = std::sync::Arc::new(Bench::with_phone(50).await);
    let code = bench.code();
    let logins: Vec<_> = (0..50)
        .map(|_| {
            let (bench, code) = (std::sync::Arc::clone(&bench), code.clone());
            tokio::spawn(async move {
                let charge = bench.show(at_home(), &code).await;
                if right(&charge) {
                    return bench.grant(charge).await == Settled::Done;
                }
                assert_eq!(bench.settle(charge, Settlement::Released).await, Settled::Done);
                false
            })
        })
        .collect();
    let mut granted = 0;
    for login in logins {
        granted += u32::from(login.await.unwrap());
    }
    assert_eq!(granted, 1);
}

#[tokio::test]
async fn a_field_is_split_before_the_code_whether_it_may_be_used_or_not() {
    let bench = Bench::with_phone(50).await;
    let field = [b"hunter2".as_slice(), &bench.code()].concat();
    let show = |typed: Vec<u8>| {
        let request = bench.request(at_home(), CodeTry::Field(Secret::new(typed)));
        async { charged(bench.store.charge(request).await.unwrap()) }
    };
    let first = show(field.clone()).await;
    assert!(right(&first));
    assert_eq!(first.code_length(), 6);
    let second = show(field.clone()).await;
    assert_eq!((matches!(second.code(), CodeOutcome::InUse), second.code_length()), (true, 6));
    assert_eq!(bench.grant(first).await, Settled::Done);
    let third = show(field).await;
    assert_eq!((replay(&third), third.code_length()), (Some(true), 6));
    let none = show(b"hunter2".to_vec()).await;
    assert_eq!((matches!(none.code(), CodeOutcome::Wrong), none.code_length()), (true, 0));
    let short = show(b"12345".to_vec()).await;
    assert!(matches!(short.code(), CodeOutcome::Wrong));
}

#[tokio::test]
async fn each_authenticator_has_its_own_used_step() {
    let bench = Bench::with_phone(50).await;
    bench.enroll("token", OTHER_SEED, true).await.unwrap();
    let first = bench.show(at_home(), &bench.code()).await;
    assert_eq!(bench.grant(first).await, Settled::Done);
    let token = bench.show(at_home(), &code_of(OTHER_SEED, bench.clock.now().wall)).await;
    assert!(right(&token));
    assert_eq!(bench.grant(token).await, Settled::Done);
}

#[tokio::test]
async fn a_code_that_two_authenticators_share_counts_for_the_one_that_has_not_used_it() {
    let bench = Bench::with_phone(50).await;
    bench.enroll("copy", SEED, true).await.unwrap();
    for expected in [true, true, false] {
        let charge = bench.show(at_home(), &bench.code()).await;
        assert_eq!(right(&charge), expected);
        if expected {
            assert_eq!(bench.grant(charge).await, Settled::Done);
        }
    }
}

#[tokio::test]
async fn an_account_without_an_authenticator_has_no_right_code() {
    let bench = Bench::empty(3);
    let charge = bench.show(at_home(), b"123456").await;
    assert!(matches!(charge.code(), CodeOutcome::NoAuthenticator));
    bench.enroll("phone", SEED, false).await.unwrap();
    let charge = bench.show(at_home(), &bench.code()).await;
    assert!(matches!(charge.code(), CodeOutcome::NoAuthenticator), "a pending one counts as none");
}

#[tokio::test]
async fn a_clock_that_is_set_back_does_not_free_a_shown_code() {
    let bench = Bench::with_phone(50).await;
    let (then, code) = (bench.clock.now(), bench.code());
    let charge = bench.show(at_home(), &code).await;
    assert_eq!(bench.settle(charge, Settlement::Failed).await, Settled::Done);
    bench.clock.advance(Duration::from_secs(3600));
    let later = bench.show(at_home(), &bench.code()).await;
    assert_eq!(bench.settle(later, Settlement::Failed).await, Settled::Done);
    let mut request = bench.request(elsewhere(), CodeTry::Code(Secret::copy_of(&code)));
    request.now.wall = then.wall;
    assert_eq!(replay(&charged(bench.store.charge(request).await.unwrap())), Some(false));
}
