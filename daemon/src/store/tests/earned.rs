//! Promise 12: trust is a row. It is earned by a login that proved password and code and by nothing else, in the
//! transaction that settles it; and it can be listed, given, taken back, and is forgotten.

use super::*;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

fn place(n: u8, service: &str) -> Earn {
    Earn {
        prefix: Prefix::of(std::net::IpAddr::from([192, 0, 2, n])),
        service: Service::new(service),
        spelling: "alice".into(),
        at_most: 3,
        keep_s: 90 * DAY,
    }
}

impl Bench {
    /// A login with the present code, and what the directory said of its password.
    async fn login(&self, earn: Option<Earn>, bind: Bind, settlement: Settlement) -> Settled {
        let code = CodeTry::Code(Secret::copy_of(&self.code()));
        let request = ChargeRequest {
            earn: earn.map(Box::new),
            bind: BindNeed::AfterCode,
            ..self.request(at_home(), code)
        };
        let charge = charged(self.store.charge(request).await.unwrap());
        assert!(right(&charge));
        self.clock.advance(Duration::from_secs(30));
        self.store.settle(charge, settlement, bind, self.clock.now(), CALM).await.unwrap()
    }

    async fn earns(&self, n: u8, service: &str) {
        let granted = Settlement::Granted { learn: None };
        assert_eq!(self.login(Some(place(n, service)), Bind::Right, granted).await, Settled::Done);
    }

    async fn rows(&self) -> Vec<String> {
        let rows = self.store.earned_by(&alice()).await.unwrap();
        rows.iter()
            .map(|row| {
                let service = row.service.as_ref().map_or("every", Service::as_str);
                format!("{} {service} {}", row.prefix, row.logins)
            })
            .collect()
    }

    async fn give(&self, n: u8, service: Option<&str>) -> Added {
        let now = self.clock.now();
        let row = EarnedPlace {
            account: alice(),
            prefix: place(n, "").prefix,
            service: service.map(Service::new),
            evidence: Evidence::Administrator,
            spelling: "alice".into(),
            since: now.wall,
            last_used: now.wall,
            logins: 0,
            until: Some(WallTime(now.wall.0 + DAY)),
        };
        self.store.add_earned(row, now).await.unwrap()
    }
}

#[tokio::test]
async fn every_login_with_password_and_code_is_counted_at_its_place_and_service_and_survives_a_restart() {
    let bench = Bench::with_phone(3).await;
    bench.earns(1, "sshd").await;
    bench.earns(1, "sshd").await;
    bench.earns(1, "xrdp-sesman").await;
    bench.earns(2, "sshd").await;
    let expected = ["192.0.2.2/32 sshd 1", "192.0.2.1/32 xrdp-sesman 1", "192.0.2.1/32 sshd 2"];
    assert_eq!(bench.rows().await, expected);
    let rows = bench.store.earned_by(&alice()).await.unwrap();
    let bench = bench.restart().await;
    assert_eq!(bench.rows().await, expected);
    let resumed: Vec<_> = bench.resumed.earned.iter().rev().cloned().collect();
    assert_eq!(resumed, rows);
}

#[tokio::test]
async fn nothing_is_earned_without_both_proofs_or_without_a_grant() {
    let bench = Bench::with_phone(30).await;
    let granted = || Settlement::Granted { learn: None };
    for (bind, settlement) in [
        (Bind::NotSent, granted()),
        (Bind::Wrong, granted()),
        (Bind::Unanswered, granted()),
        (Bind::Wrong, Settlement::Failed),
        (Bind::Right, Settlement::Failed),
        (Bind::Right, Settlement::Released),
    ] {
        assert_eq!(bench.login(Some(place(1, "sshd")), bind, settlement).await, Settled::Done);
        bench.clock.advance(Duration::from_secs(HOUR));
        assert_eq!(bench.rows().await, [""; 0], "{bind:?} {settlement:?}");
    }
    assert_eq!(bench.login(None, Bind::Right, granted()).await, Settled::Done);
    // A password without a code, as behind a waiver.
    let request =
        ChargeRequest { earn: Some(Box::new(place(1, "sshd"))), ..bench.request(None, CodeTry::NotAsked) };
    let charge = charged(bench.store.charge(request).await.unwrap());
    let settled = bench.store.settle(charge, granted(), Bind::Right, bench.clock.now(), CALM).await.unwrap();
    assert_eq!(settled, Settled::Done);
    assert_eq!(bench.rows().await, [""; 0]);
}

#[tokio::test]
async fn a_login_whose_step_another_has_spent_earns_nothing() {
    let bench = Bench::with_phone(3).await;
    let code = CodeTry::Code(Secret::copy_of(&bench.code()));
    let request = ChargeRequest {
        earn: Some(Box::new(place(1, "sshd"))),
        bind: BindNeed::AfterCode,
        ..bench.request(at_home(), code)
    };
    let charge = charged(bench.store.charge(request).await.unwrap());
    bench.sql("UPDATE authenticator SET used_step = 9000000000").await.unwrap();
    assert_eq!(bench.grant(charge).await, Settled::Conflict);
    assert_eq!(bench.rows().await, [""; 0]);
}

#[tokio::test]
async fn the_places_used_last_are_kept_and_a_forgotten_one_begins_anew() {
    let bench = Bench::with_phone(3).await;
    for n in 1..=5 {
        bench.earns(n, "sshd").await;
    }
    bench.earns(3, "xrdp-sesman").await;
    let kept =
        ["192.0.2.3/32 xrdp-sesman 1", "192.0.2.5/32 sshd 1", "192.0.2.4/32 sshd 1", "192.0.2.3/32 sshd 1"];
    assert_eq!(bench.rows().await, kept, "three prefixes, of whatever service");
    bench.clock.advance(Duration::from_secs(90 * DAY));
    bench.earns(4, "sshd").await;
    assert_eq!(bench.rows().await, ["192.0.2.4/32 sshd 1"]);
}

#[tokio::test]
async fn a_given_place_stands_beside_earned_ones_and_each_can_be_taken_back() {
    let bench = Bench::with_phone(3).await;
    bench.earns(1, "sshd").await;
    for n in [1, 7, 8, 9] {
        assert_eq!(bench.give(n, None).await, Added::Done);
        bench.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(bench.give(9, Some("sshd")).await, Added::Done);
    assert_eq!(bench.give(9, Some("sshd")).await, Added::Done, "again is no other one");
    bench.earns(2, "sshd").await;
    bench.earns(3, "sshd").await;
    assert_eq!(bench.rows().await.len(), 8, "given ones push nothing out");
    let now = bench.clock.now();
    let alice = alice();
    let forget = |at| bench.store.forget_earned(&alice, at, now);
    let at = |n, service: Option<&str>| Some((place(n, "").prefix, service.map(Service::new)));
    assert_eq!(forget(at(9, Some("xrdp-sesman"))).await.unwrap().len(), 0);
    assert_eq!(forget(at(9, Some("sshd"))).await.unwrap().len(), 1);
    assert_eq!(forget(at(1, None)).await.unwrap().len(), 2, "the earned one and the given one");
    assert_eq!(bench.store.earned_latest(2).await.unwrap().1, 5);
    assert_eq!(forget(None).await.unwrap().len(), 5);
    assert_eq!(bench.rows().await, [""; 0]);
}

#[tokio::test]
async fn a_given_place_that_has_ended_is_cleared_away_and_there_are_a_hundred_at_most() {
    let bench = Bench::with_phone(3).await;
    for n in 0..100 {
        assert_eq!(bench.give(n, None).await, Added::Done);
    }
    assert_eq!(bench.give(100, None).await, Added::TooMany);
    assert_eq!(bench.give(99, None).await, Added::Done);
    bench.clock.advance(Duration::from_secs(DAY));
    bench.earns(1, "sshd").await;
    assert_eq!(bench.rows().await, ["192.0.2.1/32 sshd 1"]);
}

#[tokio::test]
async fn a_password_that_looks_stolen_costs_the_account_all_it_earned_and_was_given() {
    let bench = Bench::with_phone(3).await;
    bench.earns(1, "sshd").await;
    assert_eq!(bench.give(2, None).await, Added::Done);
    let alice = alice();
    let suspect = || bench.store.suspect(&alice, "203.0.113.9".into(), bench.clock.now());
    for _ in 0..2 {
        assert_eq!(suspect().await.unwrap(), Suspicion::Noted);
        assert_eq!(bench.rows().await.len(), 2);
    }
    assert_eq!(suspect().await.unwrap(), Suspicion::Begins { tries: 3 });
    assert_eq!(bench.rows().await, [""; 0]);
}

#[tokio::test]
async fn looking_costs_no_commit() {
    let bench = Bench::with_phone(3).await;
    bench.earns(1, "sshd").await;
    let before = bench.store.commits();
    assert_eq!(bench.rows().await.len(), 1);
    assert_eq!(bench.store.earned_latest(10).await.unwrap().1, 1);
    assert_eq!(bench.store.commits(), before);
}
