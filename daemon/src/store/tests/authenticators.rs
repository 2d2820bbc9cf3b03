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
    assert_eq!(totals, Totals { accounts_enrolled: 1, pending: 0, lanes_closed: 0, grace_accounts: 0 });
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

async fn replace(bench: &Bench, seed: &str, active: bool) -> Result<Enrolled, StoreError> {
    let (label, seed) = (Label::new("phone").unwrap(), Seed::from_base32(seed).unwrap());
    let new = NewAuthenticator { label, seed, parameters: None, active };
    bench.store.replace(&alice(), &name("alice"), new, bench.clock.now()).await
}

#[tokio::test]
async fn one_that_is_replaced_is_good_until_the_new_one_is_confirmed() {
    let bench = Bench::with_phone(50).await;
    replace(&bench, OTHER_SEED, false).await.unwrap();
    let old = bench.show(at_home(), &bench.code()).await;
    assert!(right(&old), "the old one is good");
    assert_eq!(bench.grant(old).await, Settled::Done);
    bench.clock.advance(Duration::from_secs(60));
    let under_way = bench.show(at_home(), &bench.code()).await;
    let new_code = code_of(OTHER_SEED, bench.clock.now().wall);
    let confirmed =
        bench.store.confirm(&alice(), Secret::copy_of(&new_code), bench.clock.now()).await.unwrap();
    assert!(matches!(confirmed, Confirmation::Confirmed(_)), "{confirmed:?}");
    assert_eq!(bench.grant(under_way).await, Settled::Conflict, "a code of the old one is worth nothing now");
    bench.clock.advance(Duration::from_secs(60));
    assert!(!right(&bench.show(at_home(), &bench.code()).await));
    assert!(right(&bench.show(at_home(), &code_of(OTHER_SEED, bench.clock.now().wall)).await));
    assert_eq!(bench.store.authenticators(&alice()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn only_what_is_there_is_replaced_and_only_one_that_was_to_replace_does() {
    let bench = Bench::empty(50);
    assert_eq!(replace(&bench, SEED, true).await.unwrap_err(), StoreError::NothingToReplace);
    // Pending first; then another of the label becomes active: confirming must not replace it unasked.
    bench.enroll("phone", OTHER_SEED, false).await.unwrap();
    bench.enroll("phone", SEED, true).await.unwrap();
    let code = Secret::new(code_of(OTHER_SEED, bench.clock.now().wall));
    let refused = bench.store.confirm(&alice(), code, bench.clock.now()).await;
    assert_eq!(refused.unwrap_err(), StoreError::LabelTaken);
    replace(&bench, OTHER_SEED, true).await.unwrap();
    let labels = bench.store.authenticators(&alice()).await.unwrap();
    assert_eq!(labels.iter().filter(|one| one.label == "phone").count(), 2, "one active, one pending");
    assert!(right(&bench.show(at_home(), &code_of(OTHER_SEED, bench.clock.now().wall)).await));
}

#[tokio::test]
async fn one_that_is_removed_takes_its_codes_with_it() {
    let bench = Bench::with_phone(50).await;
    bench.enroll("token", OTHER_SEED, true).await.unwrap();
    let revoke = async |label: &str| bench.store.revoke(&alice(), Label::new(label).unwrap()).await.unwrap();
    let under_way = bench.show(at_home(), &bench.code()).await;
    assert_eq!(revoke("watch").await, None);
    assert_eq!(revoke("phone").await, Some(1));
    assert_eq!(bench.grant(under_way).await, Settled::Conflict);
    bench.clock.advance(Duration::from_secs(60));
    assert!(!right(&bench.show(at_home(), &bench.code()).await));
    assert!(right(&bench.show(at_home(), &code_of(OTHER_SEED, bench.clock.now().wall)).await));
    assert_eq!(revoke("token").await, Some(0));
    assert!(matches!(bench.show(at_home(), b"000000").await.code(), CodeOutcome::NoAuthenticator));
}
