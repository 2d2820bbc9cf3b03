//! login() survives its client, its deadline and its daemon's end at every await: whenever somebody hangs up, whatever
//! freezes, the slot is given back, the attempt is recorded once, and the next login works.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::{Duration, Instant};
use support::client::{Client, Told};
use support::ldap::{EmbeddedDirectory, Listen, Operation};
use support::site::{Site, field};
use support::temp::TempDir;
use tokio::io::AsyncWriteExt;
use twinlock_protocol::Message;

const PEOPLE: &str = "ou=people,dc=example,dc=org";
const OFFICE: &str = "192.0.2.9";

/// One slot in a lane: a charge that stayed open would close the door at once.
const RULES: &str = r#"
[location.office]
networks = ["192.0.2.0/24"]
[[rule]]
name = "desks"
services = ["desk"]
from = ["office"]
require = ["password"]
[[rule]]
name = "everyone else"
require = ["password", "code"]
[tarpit]
free = 1
"#;

struct Scene {
    site: Site,
    directory: EmbeddedDirectory,
    _folder: TempDir,
}

fn scene() -> Scene {
    let folder = TempDir::new("ldap");
    let ldif = format!(
        "dn: dc=example,dc=org\nobjectClass: organization\no: example\n\n\
         dn: {PEOPLE}\nobjectClass: organizationalUnit\nou: people\n\n{}",
        support::slapd::account(&format!("uid=alice,{PEOPLE}"), "alice", 2001, "alice's password")
    );
    let listen = Listen { socket: Some(folder.path().join("ldapi")), loopback: false };
    let directory = EmbeddedDirectory::start(&ldif, &listen).unwrap();
    let settings = format!(
        "kind = \"rfc2307\"\nservers = {urls:?}\nbase = {PEOPLE:?}\ntls = {{ mode = \"none\" }}\ntimeout = \"2s\"\n",
        urls = directory.urls()
    );
    Scene { site: Site::start(&settings, RULES), directory, _folder: folder }
}

async fn good_login(site: &Site) -> Told {
    let client = Client::connect(&site.path("login.sock")).await;
    client.login("desk", "alice", OFFICE, &[b"alice's password"]).await
}

/// The daemon keeps what it found for some seconds; a name spelled anew is searched anew.
fn spelled_anew(number: usize) -> String {
    "alice"
        .chars()
        .enumerate()
        .map(|(at, c)| if number >> at & 1 == 1 { c.to_ascii_uppercase() } else { c })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whenever_the_client_hangs_up_the_slot_is_given_back_and_one_record_is_written() {
    let scene = scene();
    scene.directory.delay(Operation::Search, Duration::from_millis(40));
    scene.directory.delay(Operation::Bind, Duration::from_millis(40));
    let mut attempts = 0;
    for (number, wait) in (0..30).map(|n| (n, Duration::from_millis(u64::try_from(n).unwrap() * 5))) {
        let mut client = Client::connect(&scene.site.path("login.sock")).await;
        client.open("desk", &spelled_anew(number), OFFICE).await.unwrap();
        assert!(matches!(client.read().await, Some(Message::Ask { .. })));
        client.answer(b"alice's password").await.unwrap();
        tokio::time::sleep(wait).await;
        drop(client);
        assert_eq!(good_login(&scene.site).await, Told::Grant, "after a hang-up at {wait:?}");
        attempts += 2;
        assert_eq!(scene.site.attempts(attempts).len(), attempts, "each attempt is recorded once");
    }
    let records = scene.site.attempts(attempts);
    let reasons: std::collections::BTreeSet<_> =
        records.iter().map(|record| field(record, "reason")).collect();
    assert!(reasons.contains("abandoned"), "some were caught on their way: {reasons:?}");
    assert!(reasons.iter().all(|reason| ["abandoned", "rule-met"].contains(reason)), "{reasons:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_guess_is_charged_although_its_client_has_hung_up() {
    let scene = scene();
    scene.directory.delay(Operation::Bind, Duration::from_millis(100));
    let mut client = Client::connect(&scene.site.path("login.sock")).await;
    client.open("desk", "alice", OFFICE).await.unwrap();
    assert!(matches!(client.read().await, Some(Message::Ask { .. })));
    client.answer(b"a guess").await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    drop(client);
    assert_eq!(field(&scene.site.attempt(1), "reason"), "wrong-password");
    assert_eq!(good_login(&scene.site).await, Told::Deny);
    assert_eq!(field(&scene.site.attempt(2), "reason"), "lane-closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_freezes_the_verdict_comes_in_time_and_the_slot_is_given_back() {
    let scene = scene();
    assert_eq!(good_login(&scene.site).await, Told::Grant);
    for (number, operation) in [Operation::Bind, Operation::Search, Operation::Bind].into_iter().enumerate() {
        scene.directory.freeze(operation);
        let started = Instant::now();
        let client = Client::connect(&scene.site.path("login.sock")).await;
        let told = client.login("desk", &spelled_anew(number + 1), OFFICE, &[b"alice's password"]).await;
        assert_eq!(told, Told::Unavailable, "{operation:?}");
        assert!(started.elapsed() < Duration::from_secs(16));
        let client = Client::connect(&scene.site.path("login.sock")).await;
        let told = client.login("desk", &format!("nobody{number}"), OFFICE, &[b"x"]).await;
        assert_eq!(told, Told::Unavailable, "a name that nobody bears looks the same: {operation:?}");
        scene.directory.thaw(operation);
        assert_eq!(good_login(&scene.site).await, Told::Grant, "after {operation:?} was frozen");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_under_way_is_finished_when_the_daemon_is_told_to_stop() {
    let scene = scene();
    scene.directory.delay(Operation::Bind, Duration::from_millis(500));
    let socket = scene.site.path("login.sock");
    let login = tokio::spawn(async move {
        let client = Client::connect(&socket).await;
        client.login("desk", "alice", OFFICE, &[b"alice's password"]).await
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    scene.site.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(login.await.unwrap(), Told::Grant);
    assert_eq!(field(&scene.site.attempt(1), "verdict"), "grant");
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_oversized_half_and_slow_frames_close_their_own_connection_only() {
    let scene = scene();
    let floods: Vec<Vec<u8>> = vec![
        vec![0xff; 64],
        vec![0, 0, 0, 2, 0, 1],
        vec![0, 0, 0x40, 1],
        vec![0, 0, 0, 8, 0, 1, 9, 1, 2, 3, 4, 5],
        vec![0, 0, 0, 3, 0, 9, 1],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0],
        Vec::new(),
    ];
    let mut open = Vec::new();
    for bytes in floods.iter().cycle().take(400) {
        let mut stream = Client::connect(&scene.site.path("login.sock")).await.into_stream();
        let _ = stream.write_all(bytes).await;
        open.push(stream);
    }
    assert_eq!(good_login(&scene.site).await, Told::Grant);
    let mut client = Client::connect(&scene.site.path("login.sock")).await;
    client.open("desk", "alice", OFFICE).await.unwrap();
    assert!(matches!(client.read().await, Some(Message::Ask { .. })));
    let mut stream = client.into_stream();
    stream.write_all(&[0, 0, 0, 9, 0, 1]).await.unwrap();
    drop(stream);
    assert_eq!(field(&scene.site.attempt(2), "reason"), "abandoned");
    drop(open);
    assert_eq!(good_login(&scene.site).await, Told::Grant);
}
