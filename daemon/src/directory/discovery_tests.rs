//! What a name server says, and what of it is taken.

use super::*;
use simple_dns::ResourceRecord;
use simple_dns::rdata::SRV;

const NAME: &str = "_ldap._tcp.example.org";

fn record<'a>(name: &'a str, priority: u16, weight: u16, target: &'a str) -> ResourceRecord<'a> {
    let target = Name::new(target).unwrap();
    ResourceRecord::new(
        Name::new(name).unwrap(),
        CLASS::IN,
        300,
        RData::SRV(SRV { priority, weight, port: 389, target }),
    )
}

fn answer(id: u16, question: &str, records: Vec<ResourceRecord<'_>>) -> Vec<u8> {
    let mut packet = Packet::new_reply(id);
    let (kind, class) = (QTYPE::TYPE(TYPE::SRV), QCLASS::CLASS(CLASS::IN));
    packet.questions.push(Question::new(Name::new(question).unwrap(), kind, class, false));
    packet.answers = records;
    packet.build_bytes_vec().unwrap()
}

fn found(bytes: &[u8]) -> Option<Vec<String>> {
    match read(bytes, 7, NAME) {
        Read::Found(targets, _) => Some(in_order(targets).into_iter().map(|target| target.host).collect()),
        Read::NotOurs | Read::CutShort | Read::Failed(_) => None,
    }
}

#[test]
fn the_lowest_priority_comes_first_and_of_the_same_the_greatest_weight() {
    let records = vec![
        record(NAME, 10, 5, "c.example.org"),
        record(NAME, 0, 1, "b.example.org"),
        record(NAME, 0, 9, "A.example.org"),
    ];
    assert_eq!(
        found(&answer(7, NAME, records)).unwrap(),
        ["a.example.org", "b.example.org", "c.example.org"]
    );
    assert_eq!(found(&answer(7, NAME, Vec::new())).unwrap(), [""; 0]);
    assert_eq!(found(&answer(7, NAME, vec![record(NAME, 0, 0, ".")])).unwrap(), [""; 0], "no such service");
}

#[test]
fn an_answer_to_something_else_is_passed_over() {
    let records = || vec![record(NAME, 0, 0, "a.example.org")];
    assert_eq!(found(&answer(8, NAME, records())), None);
    assert_eq!(found(&answer(7, "_ldap._tcp.example.com", records())), None);
    assert_eq!(found(&query(7, NAME).unwrap()), None, "a question is no answer");
    assert_eq!(found(b"\0\x07"), None);
    let other = vec![record("_ldap._tcp.example.com", 0, 0, "evil.example.org")];
    assert_eq!(found(&answer(7, NAME, other)).unwrap(), [""; 0]);
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_reader_stumble(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        let _ = read(&bytes, 7, NAME);
        let mut answer = answer(7, NAME, vec![record(NAME, 0, 0, "a.example.org")]);
        for (place, byte) in answer.iter_mut().skip(12).zip(&bytes) {
            *place ^= byte;
        }
        let _ = read(&answer, 7, NAME);
    }
}

#[test]
fn a_target_outside_the_domain_is_left_out() {
    for (host, within) in [
        ("dc1.example.org", true),
        ("example.org", true),
        ("a.b.example.org", true),
        ("evilexample.org", false),
        ("example.org.evil.net", false),
        ("192.0.2.1", false),
    ] {
        assert_eq!(is_within(host, "example.org"), within, "{host}");
    }
}

#[test]
fn a_domain_without_tls_is_refused() {
    let tls = Tls { mode: TlsMode::None, ..Tls::default() };
    assert!(Discovery::new("srv://example.org", "example.org", &tls).is_err());
    assert_eq!(domain_of("srv://example.org/"), Some("example.org"));
    assert_eq!(domain_of("ldaps://example.org"), None);
}

#[tokio::test]
async fn a_name_server_that_is_silent_is_passed_over() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let well = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let servers = [silent.local_addr().unwrap(), well.local_addr().unwrap()];
    let answering = tokio::spawn(async move {
        let mut buffer = [0; 512];
        let (length, from) = well.recv_from(&mut buffer).await.unwrap();
        let id = Packet::parse(&buffer[..length]).unwrap().id();
        // Another's answer first.
        for id in [id.wrapping_add(1), id] {
            well.send_to(&answer(id, NAME, vec![record(NAME, 0, 0, "a.example.org")]), from).await.unwrap();
        }
    });
    let (targets, lasts) = ask_all(&servers, NAME).await.unwrap();
    assert_eq!((targets.len(), lasts), (1, Duration::from_secs(300)));
    answering.await.unwrap();
}
