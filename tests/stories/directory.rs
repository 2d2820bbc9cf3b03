//! The directory as the daemon uses it, against a real slapd and against peers that misbehave. Promises 1, 4 and 11:
//! whatever breaks nobody is let in, a password meets one bind, and what a server sends is bounded.

// Helpers of tests are tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};
use support::ldap::{EmbeddedDirectory, Listen, Operation};
use support::proxy::RecordingProxy;
use support::slapd::{GROUPS, PEOPLE, SERVICE_DN, Slapd, account, free_port};
use support::temp::TempDir;
use twinlock_config::{DirectoryKind, DirectorySettings, SecretRef, Span, Tls, TlsMode};
use twinlock_daemon::attempt::{AttemptId, Deadline};
use twinlock_daemon::directory::{Account, Directory, DirectoryError, PasswordOutcome};
use twinlock_policy::Username;
use twinlock_protocol::Secret;

const SERVICE_PASSWORD: &[u8] = b"service password";

fn span(text: &str) -> Span {
    Span::try_from(text.to_owned()).unwrap()
}

fn settings(servers: &[String], mode: TlsMode, ca: PathBuf, password: PathBuf) -> DirectorySettings {
    DirectorySettings {
        group_base: Some(GROUPS.into()),
        bind_dn: Some(SERVICE_DN.into()),
        bind_password: Some(SecretRef::File(password)),
        tls: Tls { mode, ca, ..Tls::default() },
        connect_timeout: span("1s"),
        timeout: span("2s"),
        ..DirectorySettings::new(DirectoryKind::Rfc2307, servers.to_vec(), PEOPLE)
    }
}

fn of(slapd: &Slapd, url: String, mode: TlsMode) -> DirectorySettings {
    settings(&[url], mode, slapd.authority(), slapd.bind_password_file())
}

fn over_ldaps(slapd: &Slapd) -> Directory {
    Directory::new("main", &of(slapd, slapd.ldaps_url(), TlsMode::Ldaps), true).unwrap()
}

fn soon() -> Deadline {
    Deadline::within(Duration::from_secs(10))
}

fn name(text: &str) -> Username {
    Username::from_pam(text.as_bytes()).unwrap()
}

async fn found(directory: &Directory, who: &str) -> Account {
    directory.find(&name(who), soon()).await.unwrap().unwrap_or_else(|| panic!("{who} is found"))
}

async fn proves(directory: &Directory, account: &Account, password: &str) -> Result<bool, DirectoryError> {
    let attempt = AttemptId::from_number(7);
    let password = Secret::copy_of(password.as_bytes());
    Ok(match directory.prove(attempt, account, &password, soon()).await? {
        PasswordOutcome::Right(proof) => {
            assert_eq!((proof.attempt(), proof.account()), (attempt, &account.id));
            true
        }
        PasswordOutcome::Wrong(_) => false,
    })
}

fn bind_sent(error: &DirectoryError) -> bool {
    match error {
        DirectoryError::Unavailable { bind_sent, .. } => *bind_sent,
        DirectoryError::Ambiguous { .. } | DirectoryError::Unfit { .. } => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_found_and_its_password_proved_over_every_way_to_a_server() {
    let slapd = Slapd::start();
    let mut anonymous = of(&slapd, slapd.ldapi_url(), TlsMode::Ldaps);
    (anonymous.bind_dn, anonymous.bind_password) = (None, None);
    for settings in [
        of(&slapd, slapd.ldaps_url(), TlsMode::Ldaps),
        of(&slapd, slapd.ldaps_url().replace("127.0.0.1", "localhost"), TlsMode::Ldaps),
        of(&slapd, slapd.ldap_url(), TlsMode::Starttls),
        of(&slapd, slapd.ldap_url(), TlsMode::None),
        of(&slapd, slapd.ldapi_url(), TlsMode::Ldaps),
        anonymous,
    ] {
        let directory = Directory::new("main", &settings, true).unwrap();
        let alice = found(&directory, "ALICE").await;
        assert_eq!((alice.name.as_str(), alice.uid_number), ("alice", Some(2001)));
        assert!(alice.id.as_str().starts_with("main:") && alice.id.as_str().len() == 41, "{}", alice.id);
        let mut groups: Vec<String> = alice.groups.clone().unwrap().iter().map(ToString::to_string).collect();
        groups.sort();
        assert_eq!(groups, ["admins", "staff", "vpn"]);
        assert!(proves(&directory, &alice, "alice's password").await.unwrap());
        assert!(!proves(&directory, &alice, "bob's password").await.unwrap());
        assert_eq!(directory.find(&name("nobody"), soon()).await, Ok(None));
        directory.prove_nobody(&Secret::copy_of(b"guess"), soon()).await.unwrap();
        assert_eq!(directory.servers()[0].healthy, Some(true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_leaves_before_the_server_has_proved_who_it_is() {
    let slapd = Slapd::start();
    let alice = found(&over_ldaps(&slapd), "alice").await;
    let to_ldaps = RecordingProxy::start("127.0.0.1:0", slapd.ldaps_address());
    let wrong_name = RecordingProxy::start("127.0.0.2:0", slapd.ldaps_address());
    let to_ldap = RecordingProxy::start("127.0.0.1:0", slapd.ldap_address());
    let wrong_name_starttls = RecordingProxy::start("127.0.0.2:0", slapd.ldap_address());
    let mut cases = vec![
        ("another authority", &to_ldaps, TlsMode::Ldaps, slapd.other_authority()),
        ("another authority, StartTLS", &to_ldap, TlsMode::Starttls, slapd.other_authority()),
        ("another name", &wrong_name, TlsMode::Ldaps, slapd.authority()),
        ("another name, StartTLS", &wrong_name_starttls, TlsMode::Starttls, slapd.authority()),
    ];
    let plain_on_tls_port = RecordingProxy::start("127.0.0.1:0", slapd.ldap_address());
    cases.push(("no TLS where TLS is meant", &plain_on_tls_port, TlsMode::Ldaps, slapd.authority()));
    for (what, proxy, mode, authority) in cases {
        let scheme = if mode == TlsMode::Ldaps { "ldaps" } else { "ldap" };
        let url = format!("{scheme}://{}", proxy.address());
        let settings = settings(&[url], mode, authority, slapd.bind_password_file());
        let directory = Directory::new("main", &settings, true).unwrap();
        let error = directory.find(&name("alice"), soon()).await.unwrap_err();
        assert!(!bind_sent(&error), "{what}: {error}");
        let error = proves(&directory, &alice, "alice's password").await.unwrap_err();
        assert!(!bind_sent(&error), "{what}: {error}");
        assert!(proxy.bytes() > 0, "{what}: the server was reached");
        assert!(!proxy.saw(SERVICE_PASSWORD) && !proxy.saw(b"alice's"), "{what}");
        assert_eq!(directory.servers()[0].healthy, Some(false), "{what}");
    }
    // What the relay sees is what is sent: without TLS it does see the password.
    let settings = of(&slapd, format!("ldap://{}", to_ldap.address()), TlsMode::None);
    found(&Directory::new("main", &settings, true).unwrap(), "alice").await;
    assert!(to_ldap.saw(SERVICE_PASSWORD));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_can_be_none_never_becomes_a_bind() {
    let slapd = Slapd::start();
    let directory = over_ldaps(&slapd);
    let alice = found(&directory, "alice").await;
    let before = slapd.all_binds();
    let attempt = AttemptId::from_number(1);
    for password in [&b""[..], b"alice's\0password", b"\xff\xfe", &[b'x'; 512]] {
        let password = Secret::copy_of(password);
        let outcome = directory.prove(attempt, &alice, &password, soon()).await.unwrap();
        assert!(matches!(outcome, PasswordOutcome::Wrong(None)));
        directory.prove_nobody(&password, soon()).await.unwrap();
    }
    assert_eq!(slapd.all_binds(), before);
    assert!(!proves(&directory, &alice, "x").await.unwrap());
    assert_eq!(slapd.binds(&alice.dn), 1, "{}", slapd.log_text());
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_names_find_what_bears_them_and_nothing_else() {
    let slapd =
        Slapd::start_with(&account(&format!("uid=star,{PEOPLE}"), "*)(uid=star", 2020, "star password"));
    let directory = over_ldaps(&slapd);
    for odd in ["*", "a*", "*)(uid=*", "alice)(uid=*", "\\2a", "alice\\", "(", "))(|(uid=alice"] {
        assert_eq!(directory.find(&name(odd), soon()).await, Ok(None), "{odd}");
    }
    for (who, password) in
        [("*)(uid=star", "star password"), ("odd,one", "odd password"), ("grüße", "grüße password")]
    {
        let account = found(&directory, who).await;
        assert_eq!(account.name.as_str(), who);
        assert!(proves(&directory, &account, password).await.unwrap(), "{}", account.dn);
        assert!(!proves(&directory, &account, "wrong").await.unwrap());
    }
    let error = directory.find(&name("twice"), soon()).await.unwrap_err();
    assert_eq!(error, DirectoryError::Ambiguous { name: "twice".into() });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_server_is_unavailable_in_time_and_serves_again_after_it_thaws() {
    let slapd = Slapd::start();
    let directory = over_ldaps(&slapd);
    let alice = found(&directory, "alice").await;
    assert!(proves(&directory, &alice, "alice's password").await.unwrap());
    slapd.freeze();
    let began = Instant::now();
    let error = proves(&directory, &alice, "alice's password").await.unwrap_err();
    assert!(bind_sent(&error) && began.elapsed() < Duration::from_secs(4), "{error}, {:?}", began.elapsed());
    let began = Instant::now();
    let deadline = Deadline::within(Duration::from_secs(3));
    directory.find(&name("bob"), deadline).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_millis(3200), "{:?}", began.elapsed());
    assert_eq!(directory.servers()[0].healthy, Some(false));
    slapd.thaw();
    let bob = found(&directory, "bob").await;
    assert!(proves(&directory, &bob, "bob's password").await.unwrap());
    assert_eq!(directory.servers()[0].healthy, Some(true));
    // The bind that was sent and not answered was sent once; slapd may not look at it, its sender being gone.
    assert!(slapd.binds(&alice.dn) <= 2, "{}", slapd.log_text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_server_costs_no_login() {
    let mut slapd = Slapd::start();
    let directory = over_ldaps(&slapd);
    let alice = found(&directory, "alice").await;
    for round in 1..4 {
        assert!(proves(&directory, &alice, "alice's password").await.unwrap());
        slapd.restart();
        assert!(proves(&directory, &alice, "alice's password").await.unwrap());
        found(&directory, ["bob", "carol", "dave"][round - 1]).await;
        assert_eq!(slapd.binds(&alice.dn), 2 * round, "a bind was lost or repeated");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_server_costs_one_connect_time_out_once() {
    let slapd = Slapd::start();
    // Nobody accepts there: the queue of a listener that is full.
    let dead = full_listener();
    let servers = [format!("ldaps://{}", dead.1), slapd.ldaps_url()];
    let settings = settings(&servers, TlsMode::Ldaps, slapd.authority(), slapd.bind_password_file());
    let directory = Directory::new("main", &settings, true).unwrap();
    let began = Instant::now();
    let alice = found(&directory, "alice").await;
    let first = began.elapsed();
    assert!((900..2000).contains(&first.as_millis()), "{first:?}");
    let began = Instant::now();
    for who in ["bob", "carol", "dave", "erin"] {
        found(&directory, who).await;
        assert!(proves(&directory, &alice, "alice's password").await.unwrap());
    }
    assert!(began.elapsed() < Duration::from_secs(1), "a second time-out: {:?}", began.elapsed());
    let healthy: Vec<_> = directory.servers().iter().map(|server| server.healthy).collect();
    assert_eq!(healthy, [Some(false), Some(true)]);
}

/// A listener whose queue is full, so that the next connection gets no answer at all.
fn full_listener() -> ((TcpListener, Vec<TcpStream>), SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
        waiting.push(stream);
    }
    ((listener, waiting), address)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_connections_is_passed_over_at_once() {
    let slapd = Slapd::start();
    let servers = [format!("ldaps://{}", free_port()), slapd.ldaps_url()];
    let settings = settings(&servers, TlsMode::Ldaps, slapd.authority(), slapd.bind_password_file());
    let directory = Directory::new("main", &settings, false).unwrap();
    let began = Instant::now();
    let alice = found(&directory, "alice").await;
    assert!(proves(&directory, &alice, "alice's password").await.unwrap());
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(alice.groups, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_passwords_at_once_are_each_proved_by_one_bind() {
    let slapd = Slapd::start();
    let directory = over_ldaps(&slapd);
    let mut accounts = Vec::new();
    for who in ["alice", "bob", "carol", "dave", "erin"] {
        accounts.push(found(&directory, who).await);
    }
    let tasks: Vec<_> = (0..200)
        .map(|number| {
            let (directory, account) = (directory.clone(), accounts[number % 5].clone());
            tokio::spawn(async move {
                let right = number % 3 != 0;
                let password =
                    if right { format!("{}'s password", account.name) } else { "wrong".to_owned() };
                assert_eq!(proves(&directory, &account, &password).await.unwrap(), right);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    for account in &accounts {
        assert_eq!(slapd.binds(&account.dn), 40);
    }
    let log = slapd.log_text();
    assert!(log.matches("ACCEPT").count() <= 3 + 32 + 1, "{}", log.matches("ACCEPT").count());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_service_password_is_said_and_not_tried_by_every_login() {
    let slapd = Slapd::start();
    let dir = TempDir::new("password");
    let file = dir.path().join("wrong");
    std::fs::write(&file, "not it\n").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let settings = settings(&[slapd.ldaps_url()], TlsMode::Ldaps, slapd.authority(), file.clone());
    let directory = Directory::new("main", &settings, true).unwrap();
    for _ in 0..5 {
        let error = directory.find(&name("alice"), soon()).await.unwrap_err();
        assert!(error.to_string().contains("check bind_dn and bind_password"), "{error}");
    }
    assert_eq!(slapd.binds(SERVICE_DN), 1, "a directory would lock the service account");
    assert_eq!(directory.servers()[0].healthy, Some(false));
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let error = Directory::new("main", &settings, true).unwrap_err();
    assert!(error.to_string().contains("chmod g-w,o-rwx"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_answer_about_the_password_is_taken_for_one() {
    let slapd = Slapd::start();
    let alice = found(&over_ldaps(&slapd), "alice").await;
    for code in 0..=128 {
        let mut answer = BOUND;
        answer[9] = code;
        let negative = code > 127;
        let url = format!("ldap://{}", peer(vec![answer.to_vec()], true));
        let directory = Directory::new("main", &of(&slapd, url, TlsMode::None), true).unwrap();
        let outcome = proves(&directory, &alice, "alice's password").await;
        match code {
            0 => assert_eq!(outcome, Ok(true)),
            19 | 32 | 48 | 49 | 53 => assert_eq!(outcome, Ok(false), "{code}"),
            _ => assert!(bind_sent(&outcome.unwrap_err()), "{code}"),
        }
        let demoted = matches!(code, 51 | 52) || negative;
        assert_eq!(directory.servers()[0].healthy, Some(!demoted), "{code}");
    }
}

/// A peer that reads each request and answers it with the next of `answers`, then closes or falls silent.
fn peer(answers: Vec<Vec<u8>>, then_silent: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let answers = answers.clone();
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                for answer in answers {
                    if !client.read(&mut buffer).is_ok_and(|read| read > 0)
                        || client.write_all(&answer).is_err()
                    {
                        return;
                    }
                }
                while then_silent && client.read(&mut buffer).is_ok_and(|read| read > 0) {}
            });
        }
    });
    address
}

fn nested(levels: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for level in (0..levels).rev() {
        let length = u32::try_from(6 * (levels - 1 - level)).unwrap();
        let mut outer = vec![0x30, 0x84];
        outer.extend(length.to_be_bytes());
        bytes.push(outer);
    }
    bytes.into_iter().rev().flatten().collect()
}

/// What a hostile server can send, and `bind` and `search` answers to come that far.
fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("an empty sequence", vec![0x30, 0x00]),
        ("7,700 nested sequences", nested(7700)),
        ("200,000 nested sequences", nested(200_000)),
        ("a length of 2 GiB", vec![0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 0x02, 0x01, 0x01]),
        ("an entry in answer to a bind", vec![0x30, 9, 2, 1, 1, 0x64, 4, 4, 0, 0x30, 0]),
        ("a bind response without its parts", vec![0x30, 5, 2, 1, 1, 0x61, 0]),
        ("an answer to something else", vec![0x30, 12, 2, 1, 9, 0x61, 7, 0x0a, 1, 0, 4, 0, 4, 0]),
        ("a notice of disconnection", vec![0x30, 12, 2, 1, 0, 0x78, 7, 0x0a, 1, 52, 4, 0, 4, 0]),
        ("a bad control", vec![0x30, 16, 2, 1, 1, 0x61, 7, 0x0a, 1, 0, 4, 0, 4, 0, 0xa0, 2, 0x30, 0]),
        ("text", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        ("nothing, and closes", Vec::new()),
    ]
}

const BOUND: [u8; 14] = [0x30, 12, 2, 1, 1, 0x61, 7, 0x0a, 1, 0, 4, 0, 4, 0];

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_server_gets_an_error_and_not_the_daemon() {
    let slapd = Slapd::start();
    let alice = found(&over_ldaps(&slapd), "alice").await;
    for (what, bytes) in hostile() {
        for answers in [vec![bytes.clone()], vec![BOUND.to_vec(), bytes.clone()], Vec::new()] {
            let url = format!("ldap://{}", peer(answers.clone(), false));
            let directory = Directory::new("main", &of(&slapd, url, TlsMode::None), true).unwrap();
            let began = Instant::now();
            let error = directory.find(&name("alice"), soon()).await.unwrap_err();
            assert!(!bind_sent(&error) && began.elapsed() < Duration::from_secs(2), "{what}: {error}");
        }
        let url = format!("ldap://{}", peer(vec![bytes.clone()], false));
        let directory = Directory::new("main", &of(&slapd, url, TlsMode::None), true).unwrap();
        let error = proves(&directory, &alice, "alice's password").await.unwrap_err();
        assert!(bind_sent(&error), "{what}: {error}");
        let url = format!("ldap://{}", peer(vec![bytes.clone()], false));
        let directory = Directory::new("main", &of(&slapd, url, TlsMode::Starttls), true).unwrap();
        let error = proves(&directory, &alice, "alice's password").await.unwrap_err();
        assert!(!bind_sent(&error) && error.to_string().contains("StartTLS"), "{what}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_behind_the_start_tls_answer_is_not_taken_for_one_under_tls() {
    let slapd = Slapd::start();
    let agreed = vec![0x30, 12, 2, 1, 1, 0x78, 7, 0x0a, 1, 0, 4, 0, 4, 0];
    for behind in [&BOUND[..], &[0x16]] {
        let url = format!("ldap://{}", peer(vec![[&agreed, behind].concat()], true));
        let directory = Directory::new("main", &of(&slapd, url, TlsMode::Starttls), true).unwrap();
        let error = directory.find(&name("alice"), soon()).await.unwrap_err();
        assert!(error.to_string().contains("StartTLS did not succeed"), "{error}");
    }
    // A server that refuses TLS is not talked to in the clear.
    let refused = vec![0x30, 12, 2, 1, 1, 0x78, 7, 0x0a, 1, 52, 4, 0, 4, 0];
    let url = format!("ldap://{}", peer(vec![refused], true));
    let directory = Directory::new("main", &of(&slapd, url, TlsMode::Starttls), true).unwrap();
    let error = directory.find(&name("alice"), soon()).await.unwrap_err();
    assert!(error.to_string().contains("refused it with result code 52"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_ends_in_time_wherever_it_begins() {
    let slapd = Slapd::start();
    let alice = found(&over_ldaps(&slapd), "alice").await;
    let (servers, mut tasks) =
        ([(TlsMode::None, 0), (TlsMode::None, 1), (TlsMode::Starttls, 0), (TlsMode::Ldaps, 0)], Vec::new());
    for (mode, answered) in servers {
        let scheme = if mode == TlsMode::Ldaps { "ldaps" } else { "ldap" };
        let url = format!("{scheme}://{}", peer(vec![BOUND.to_vec(); answered], true));
        let directory = Directory::new("main", &of(&slapd, url, mode), true).unwrap();
        let alice = alice.clone();
        tasks.push(tokio::spawn(async move {
            let began = Instant::now();
            let deadline = Deadline::within(Duration::from_secs(5));
            directory.find(&name("alice"), deadline).await.unwrap_err();
            assert!(
                began.elapsed() < Duration::from_millis(5200),
                "{mode:?} {answered}: {:?}",
                began.elapsed()
            );
            let began = Instant::now();
            let outcome = proves(&directory, &alice, "alice's password").await;
            // The peer that answers one bind with success is believed: a directory that lies can say yes.
            assert_eq!(outcome.is_ok(), answered == 1);
            assert!(
                began.elapsed() < Duration::from_millis(2500),
                "{mode:?} {answered}: {:?}",
                began.elapsed()
            );
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

const SMALL: &str = "dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit

dn: uid=alice,ou=people,dc=example,dc=org
objectClass: posixAccount
uid: alice
uidNumber: 2001
gidNumber: 100
userPassword: alice's password

dn: cn=noid,ou=people,dc=example,dc=org
objectClass: posixAccount
uid: noid
uidNumber: many
userPassword: x
";

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_directory_serves_the_same_questions() {
    let dir = TempDir::new("ldap");
    let listen = Listen { socket: Some(dir.path().join("ldapi")), loopback: true };
    let embedded = EmbeddedDirectory::start(SMALL, &listen).unwrap();
    let mut settings = settings(&embedded.urls(), TlsMode::None, PathBuf::new(), PathBuf::new());
    (settings.bind_dn, settings.bind_password) = (None, None);
    for url in embedded.urls() {
        settings.servers = vec![url];
        let directory = Directory::new("main", &settings, false).unwrap();
        let alice = found(&directory, "alice").await;
        assert!(proves(&directory, &alice, "alice's password").await.unwrap());
        assert!(!proves(&directory, &alice, "wrong").await.unwrap());
        assert_eq!(directory.find(&name("bob"), soon()).await, Ok(None));
        directory.prove_nobody(&Secret::copy_of(b"guess"), soon()).await.unwrap();
        let error = directory.find(&name("noid"), soon()).await.unwrap_err();
        assert!(error.to_string().contains("uidNumber is no number"), "{error}");
    }
    assert_eq!(embedded.binds("uid=alice,ou=people,dc=example,dc=org"), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_found_is_kept_for_seconds_and_a_verdict_never() {
    let dir = TempDir::new("ldap");
    let listen = Listen { socket: Some(dir.path().join("ldapi")), loopback: false };
    let embedded = EmbeddedDirectory::start(SMALL, &listen).unwrap();
    let mut settings = settings(&embedded.urls(), TlsMode::None, PathBuf::new(), PathBuf::new());
    (settings.bind_dn, settings.bind_password, settings.timeout) = (None, None, span("1s"));
    let directory = Directory::new("main", &settings, false).unwrap();
    let alice = found(&directory, "alice").await;
    embedded.freeze(Operation::Search);
    assert_eq!(found(&directory, "alice").await, alice);
    directory.find(&name("carol"), Deadline::within(Duration::from_millis(1500))).await.unwrap_err();
    embedded.thaw(Operation::Search);
    assert_eq!(directory.find(&name("carol"), soon()).await, Ok(None));
    for _ in 0..3 {
        assert!(proves(&directory, &alice, "alice's password").await.unwrap());
    }
    assert_eq!(embedded.binds(&alice.dn), 3);
    // A bind that came in and is not answered is never repeated.
    embedded.freeze(Operation::Bind);
    let error = proves(&directory, &alice, "alice's password").await.unwrap_err();
    assert!(bind_sent(&error));
    embedded.thaw(Operation::Bind);
    assert_eq!(embedded.binds(&alice.dn), 4);
    embedded.delay(Operation::Bind, Duration::from_millis(300));
    assert!(proves(&directory, &alice, "alice's password").await.unwrap());
}
