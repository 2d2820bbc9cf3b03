//! Enrolment.

use super::*;
use twinlock_control::AuthenticatorState;

fn secret(code: Vec<u8>) -> Secret {
    Secret::new(code)
}

#[tokio::test]
async fn a_pending_authenticator_counts_from_its_first_code_which_is_used_by_that() {
    let bench = Bench::empty(50);
    let enrolled = bench.enroll("phone", SEED, false).await.unwrap();
    assert_eq!(enrolled.report.state, AuthenticatorState::Pending);
    assert!(enrolled.uri.expose().starts_with("otpauth://totp/Twinlock:alice?secret=GEZDGNBV"));
    let confirmation = bench.store.confirm(&alice(), secret(bench.code()), bench.clock.now()).await.unwrap();
    let Confirmation::Confirmed(report) = confirmation else { panic!("{confirmation:?}") };
    assert_eq!(report.state, AuthenticatorState::Active);
    assert_eq!(bench.store.authenticators(&alice()).await.unwrap(), [report]);
    assert_eq!(replay(&bench.show(at_home(), &bench.code()).await), Some(false));
    bench.clock.advance(Duration::from_secs(30));
    assert!(right(&bench.show(at_home(), &bench.code()).await));
    let totals = bench.store.totals(bench.clock.now()).await.unwrap();
    assert_eq!(totals, Totals { accounts_enrolled: 1, pending: 0, lanes_closed: 0 });
}

#[tokio::test]
async fn the_fifth_wrong_code_drops_a_pending_authenticator() {
    let bench = Bench::empty(3);
    bench.enroll("phone", SEED, false).await.unwrap();
    for tries_left in [4, 3, 2, 1, 0] {
        let told = bench.store.confirm(&alice(), secret(b"000000".to_vec()), bench.clock.now()).await;
        assert_eq!(told, Ok(Confirmation::WrongCode { tries_left }));
    }
    let told = bench.store.confirm(&alice(), secret(bench.code()), bench.clock.now()).await;
    assert_eq!(told, Ok(Confirmation::NothingPending));
}

#[tokio::test]
async fn a_new_pending_authenticator_takes_the_place_of_the_older_one() {
    let bench = Bench::empty(3);
    bench.enroll("phone", SEED, false).await.unwrap();
    bench.enroll("token", OTHER_SEED, false).await.unwrap();
    let all = bench.store.authenticators(&alice()).await.unwrap();
    assert_eq!(all.iter().map(|report| report.label.as_str()).collect::<Vec<_>>(), ["token"]);
}

#[tokio::test]
async fn labels_are_unique_among_active_ones_of_which_there_are_eight_at_most() {
    let bench = Bench::with_phone(3).await;
    assert_eq!(bench.enroll("phone", OTHER_SEED, false).await, Err(StoreError::LabelTaken));
    for number in 2..=8 {
        bench.enroll(&format!("token {number}"), OTHER_SEED, true).await.unwrap();
    }
    assert_eq!(bench.enroll("one more", OTHER_SEED, true).await, Err(StoreError::TooManyAuthenticators));
}

#[tokio::test]
async fn a_seed_is_nowhere_in_the_files_and_not_worth_anything_in_another_row() {
    let bench = Bench::with_phone(3).await;
    let other = AccountId::new("main:bob");
    let new = NewAuthenticator {
        label: Label::new("phone").unwrap(),
        seed: Seed::from_base32(OTHER_SEED).unwrap(),
        parameters: None,
        active: true,
    };
    bench.store.enroll(&other, &name("bob"), new, bench.clock.now()).await.unwrap();
    for file in ["state.db", "state.db-wal"] {
        let bytes = std::fs::read(bench.folder.0.join(file)).unwrap();
        for seed in [b"12345678901234567890".as_slice(), SEED.as_bytes()] {
            assert!(!bytes.windows(seed.len()).any(|window| window == seed), "{file}");
        }
    }
    bench
        .sql(
            "UPDATE authenticator SET seed = (SELECT seed FROM authenticator AS other \
             WHERE other.account = 'main:bob') WHERE account = 'main:alice'",
        )
        .await
        .unwrap();
    let code = code_of(OTHER_SEED, bench.clock.now().wall);
    let refused =
        bench.store.charge(bench.request(at_home(), CodeTry::Code(Secret::new(code)))).await.unwrap_err();
    assert_eq!(refused, StoreError::Unsealable { account: "main:alice".into() });
    assert_eq!(bench.failures().await, 0);
}
