//! Recovery codes: each once, in any lane, bound to their account (promises 2 and 5).

use super::*;
use crate::store::BindNeed;
use crate::totp::RECOVERY_CODES;

async fn codes(bench: &Bench) -> Vec<String> {
    let set = bench.store.renew_recovery(&alice(), &name("alice"), bench.clock.now()).await.unwrap();
    set.codes.iter().map(|code| code.shown().to_string()).collect()
}

async fn left(bench: &Bench) -> u64 {
    bench.store.recovery_left(&alice()).await.unwrap()
}

async fn reply(bench: &Bench, code: CodeTry, way_in: bool) -> ChargeReply {
    let request = ChargeRequest { way_in, bind: BindNeed::AfterCode, ..bench.request(at_home(), code) };
    bench.store.charge(request).await.unwrap()
}

fn typed(text: &str) -> CodeTry {
    CodeTry::Code(Secret::copy_of(text.as_bytes()))
}

fn refused(reply: &ChargeReply) -> bool {
    matches!(reply, ChargeReply::NoWayIn)
}

async fn closed() -> Bench {
    let bench = Bench::with_phone(3).await;
    for _ in 0..3 {
        let charge = bench.show(at_home(), b"000000").await;
        assert_eq!(bench.settle(charge, Settlement::Failed).await, Settled::Done);
    }
    bench
}

#[tokio::test]
async fn each_of_ten_codes_is_right_once_however_it_is_typed() {
    let bench = Bench::with_phone(50).await;
    let codes = codes(&bench).await;
    assert_eq!(codes.len(), RECOVERY_CODES);
    for (number, code) in (1..).zip(&codes) {
        let spelled = if number % 2 == 0 { code.to_lowercase() } else { code.replace('-', "") };
        let charge = bench.show(at_home(), spelled.as_bytes()).await;
        assert!(right(&charge), "{spelled}");
        assert_eq!(charge.recovery_left(), Some(10 - number));
        assert_eq!(bench.grant(charge).await, Settled::Done);
        assert_eq!(replay(&bench.show(at_home(), code.as_bytes()).await), Some(false), "spent");
    }
    assert_eq!(left(&bench).await, 0);
    let bench = bench.restart().await;
    assert_eq!(replay(&bench.show(at_home(), codes[0].as_bytes()).await), Some(false));
}

#[tokio::test]
async fn a_code_ends_the_password_in_one_field_whether_it_may_be_used_or_not() {
    let bench = Bench::with_phone(50).await;
    let code = codes(&bench).await.remove(0);
    let field = || CodeTry::Field(Secret::copy_of(format!("hunter2{code}").as_bytes()));
    for usable in [true, false] {
        let charge = charged(reply(&bench, field(), false).await);
        assert_eq!((right(&charge), charge.code_length()), (usable, 19));
        assert_eq!(bench.settle(charge, Settlement::Failed).await, Settled::Done);
    }
    let six = [b"ABCDEFGHIJ".as_slice(), &bench.code()].concat();
    let charge = charged(reply(&bench, CodeTry::Field(Secret::new(six)), false).await);
    assert_eq!(
        (right(&charge), charge.code_length()),
        (true, 6),
        "what only looks like one does not hide a code of six digits"
    );
}

#[tokio::test]
async fn a_wrong_password_costs_the_code_and_an_outage_does_not() {
    let bench = Bench::with_phone(50).await;
    let codes = codes(&bench).await;
    let charge = bench.show(at_home(), codes[0].as_bytes()).await;
    assert_eq!(bench.settle(charge, Settlement::Released).await, Settled::Done);
    assert_eq!(left(&bench).await, 10);
    let charge = bench.show(at_home(), codes[0].as_bytes()).await;
    assert!(right(&charge));
    assert_eq!(bench.settle(charge, Settlement::Failed).await, Settled::Done);
    assert_eq!((left(&bench).await, bench.failures().await), (9, 1));
    assert_eq!(replay(&bench.show(at_home(), codes[0].as_bytes()).await), Some(false));
    drop(bench.show(at_home(), codes[1].as_bytes()).await);
    let bench = bench.restart().await;
    assert_eq!(left(&bench).await, 8, "one whose attempt died stays spent");
}

#[tokio::test]
async fn a_new_set_voids_the_old_one_even_under_an_attempt() {
    let bench = Bench::with_phone(50).await;
    let old = codes(&bench).await;
    let under_way = bench.show(at_home(), old[0].as_bytes()).await;
    let new = bench.store.renew_recovery(&alice(), &name("alice"), bench.clock.now()).await.unwrap();
    assert_eq!((new.codes.len(), new.voided), (10, 9));
    assert_eq!(bench.grant(under_way).await, Settled::Conflict);
    let charge = bench.show(at_home(), old[1].as_bytes()).await;
    assert!(matches!(charge.code(), CodeOutcome::Wrong));
    assert_eq!(left(&bench).await, 10);
}

#[tokio::test]
async fn they_are_bound_to_their_account_and_count_without_an_authenticator() {
    let bench = Bench::empty(50);
    let codes = codes(&bench).await;
    let request = bench.request(at_home(), typed(&codes[0]));
    let of_bob = ChargeRequest { account: AccountId::new("main:bob"), ..request };
    let charge = charged(bench.store.charge(of_bob).await.unwrap());
    assert!(matches!(charge.code(), CodeOutcome::NoAuthenticator));
    bench.sql("UPDATE recovery_code SET account = 'main:bob' WHERE id = 2").await.unwrap();
    let request = bench.request(at_home(), typed(&codes[1]));
    let moved = ChargeRequest { account: AccountId::new("main:bob"), ..request };
    assert!(
        !right(&charged(bench.store.charge(moved).await.unwrap())),
        "a row that was moved is worth nothing"
    );
    assert!(right(&bench.show(at_home(), codes[0].as_bytes()).await));
}

#[tokio::test]
async fn one_enters_through_a_closed_lane_and_what_is_none_does_not() {
    let bench = closed().await;
    let codes = codes(&bench).await;
    let closed = reply(&bench, typed(&codes[0]), false).await;
    assert!(matches!(closed, ChargeReply::Closed { .. }), "uncounted tries are not looked at");
    for code in [
        typed(&codes[0]),
        CodeTry::Behind(Secret::copy_of(format!("pass word {}", codes[1]).as_bytes())),
        CodeTry::Field(Secret::copy_of(format!("pass word {}", codes[2]).as_bytes())),
    ] {
        let charge = charged(reply(&bench, code.clone(), true).await);
        assert!(right(&charge));
        assert_eq!(bench.grant(charge).await, Settled::Done);
        assert!(refused(&reply(&bench, code, true).await), "once");
    }
    assert!(refused(&reply(&bench, typed("ABCD-EFGH-IJKL-MNOP"), true).await));
    assert_eq!((bench.failures().await, left(&bench).await), (3, 7), "the lane is as it was");
}

#[tokio::test]
async fn in_an_open_lane_a_wrong_one_takes_a_slot_like_any_wrong_code() {
    let bench = Bench::with_phone(3).await;
    let _ = codes(&bench).await;
    for failures in 1..=3 {
        let charge = charged(reply(&bench, typed("ABCD-EFGH-IJKL-MNOP"), false).await);
        assert!(matches!(charge.code(), CodeOutcome::Wrong));
        assert_eq!(bench.settle(charge, Settlement::Failed).await, Settled::Done);
        assert_eq!(bench.failures().await, failures);
    }
    let reply = reply(&bench, typed("ABCD-EFGH-IJKL-MNOP"), false).await;
    assert!(matches!(reply, ChargeReply::Closed { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_parallel_logins_with_one_recovery_code_exactly_one_is_granted() {
    let bench = std::sync::Arc::new(Bench::with_phone(50).await);
    let code = codes(&bench).await.remove(0);
    let logins: Vec<_> = (0..50)
        .map(|_| {
            let (bench, code) = (std::sync::Arc::clone(&bench), code.clone());
            tokio::spawn(async move {
                let charge = bench.show(at_home(), code.as_bytes()).await;
                let granted = right(&charge);
                let settlement =
                    if granted { Settlement::Granted { learn: None } } else { Settlement::Failed };
                assert_eq!(bench.settle(charge, settlement).await, Settled::Done);
                granted
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
async fn no_code_is_readable_in_the_file_and_all_can_be_voided_at_once() {
    let bench = Bench::with_phone(50).await;
    let codes = codes(&bench).await;
    for file in std::fs::read_dir(&bench.folder.0).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for code in &codes {
            for spelled in [code.clone(), code.replace('-', "")] {
                assert!(!bytes.windows(spelled.len()).any(|window| window == spelled.as_bytes()));
            }
        }
    }
    let voided = bench.store.0.call(|room| crate::store::recovery::void_all(room)).await.unwrap();
    assert_eq!(voided, 10);
    assert!(matches!(bench.show(at_home(), codes[0].as_bytes()).await.code(), CodeOutcome::Wrong));
}
