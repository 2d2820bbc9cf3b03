//! The last login of an account: what was there before is told, and a denial tells nothing.

use super::*;

fn visit(source: &str, country: Option<&str>) -> Visit {
    Visit {
        source: Source::Address(source.parse().unwrap()),
        service: Service::new("sshd"),
        country: country.map(str::to_owned),
    }
}

async fn ended(bench: &Bench, settlement: Settlement, visit: Visit) -> Past {
    let ChargeReply::Charged(charge) =
        bench.store.charge(bench.request(None, CodeTry::NotAsked)).await.unwrap()
    else {
        panic!("the lane is open");
    };
    let now = bench.clock.now();
    let settled =
        bench.store.settle_visit(*charge, settlement, Bind::NotSent, now, CALM, Some(visit)).await.unwrap();
    bench.clock.advance(Duration::from_secs(60));
    assert_eq!(settled.0, Settled::Done);
    settled.1
}

fn granted(from: &str) -> Settlement {
    Settlement::Granted { learn: Some(Prefix::of(from.parse().unwrap())) }
}

#[tokio::test]
async fn the_login_before_is_told_with_what_failed_since_and_survives_a_restart() {
    let bench = Bench::empty(100);
    let begin = bench.clock.now().wall;
    assert_eq!(ended(&bench, granted("192.0.2.7"), visit("192.0.2.7", None)).await.last, None);
    for _ in 0..3 {
        let past = ended(&bench, Settlement::Failed, visit("198.51.100.9", None)).await;
        assert_eq!(past, Past::default(), "who is denied is told nothing");
    }
    assert_eq!(ended(&bench, Settlement::Released, visit("198.51.100.9", None)).await, Past::default());
    let bench = bench.restart().await;
    let past = ended(&bench, granted("192.0.2.7"), visit("192.0.2.8", None)).await;
    let first = LastLogin { at: begin, source: "192.0.2.7".into(), service: "sshd".into(), failed_since: 3 };
    assert_eq!(past.last, Some(first));
    let last = bench.store.last_login(&alice()).await.unwrap().unwrap();
    assert_eq!((last.source.as_str(), last.failed_since), ("192.0.2.8", 0), "counted anew");
}

#[tokio::test]
async fn a_place_is_new_once_and_the_first_of_all_is_not() {
    let bench = Bench::empty(100);
    let news = async |from: &str, country| {
        let past = ended(&bench, granted(from), visit(from, country)).await;
        (past.new_prefix, past.new_country)
    };
    assert_eq!(news("192.0.2.7", Some("NL")).await, (false, false));
    assert_eq!(news("192.0.2.7", Some("NL")).await, (false, false));
    assert_eq!(news("192.0.2.8", Some("NL")).await, (true, false));
    assert_eq!(news("198.51.100.9", Some("BE")).await, (true, true));
    assert_eq!(news("198.51.100.9", Some("NL")).await, (false, false));
    assert_eq!(news("198.51.100.9", None).await, (false, false), "unknown is not new");
}
