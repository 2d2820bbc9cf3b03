//! Directories that go away and come back: every login is decided within its deadline, the first one after a server is
//! back succeeds, and a server that hangs does not take the others with it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fmt::Write as _;
use std::time::{Duration, Instant};
use support::client::{Client, Told, many_connections};
use support::desk::phases;
use support::pam::Code;
use support::proxy::RecordingProxy;
use support::site::{RULES, Site};
use support::slapd::{PEOPLE, Slapd, account};

/// Fifteen seconds to decide, the tick, and a slow machine.
const DECIDED: Duration = Duration::from_secs(18);
const CROWD: usize = 200;
const IN: (Code, Code) = (Code::SUCCESS, Code::SUCCESS);

fn crowd() -> String {
    (0..CROWD + 10).fold(String::new(), |mut all, number| {
        let entry = account(&format!("uid=u{number},{PEOPLE}"), &format!("u{number}"), 3000, "p");
        let _ = write!(all, "{entry}");
        all
    })
}

/// What each was told, and after how long.
type All = Vec<(Told, Duration)>;

/// Logs in the whole crowd at once, and while it waits a few more, who are told the rest.
fn all_at_once(site: &Site, later: &[&str]) -> (All, All) {
    many_connections();
    let socket = site.path("login.sock");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let login = |user: String, number: usize| {
        let socket = socket.clone();
        async move {
            let began = Instant::now();
            let source = format!("192.0.2.{}", number % 250 + 1);
            let told = Client::connect(&socket).await.login("desk", &user, &source, &[b"p"]).await;
            (told, began.elapsed())
        }
    };
    runtime.block_on(async {
        let crowd: Vec<_> =
            (0..CROWD).map(|number| tokio::spawn(login(format!("u{number}"), number))).collect();
        tokio::time::sleep(Duration::from_millis(500)).await;
        let after: Vec<_> = later.iter().map(|user| tokio::spawn(login((*user).to_owned(), 249))).collect();
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for one in crowd {
            first.push(one.await.unwrap());
        }
        for one in after {
            second.push(one.await.unwrap());
        }
        (first, second)
    })
}

#[test]
fn two_hundred_logins_that_wait_for_a_frozen_server_keep_none_from_the_healthy_second() {
    let (first, second) = (Slapd::start_with(&crowd()), Slapd::start_with(&crowd()));
    // Both are believed by one file.
    let authorities = second.authority().with_file_name("both.pem");
    let both =
        [first.authority(), second.authority()].map(|file| std::fs::read_to_string(file).unwrap()).concat();
    std::fs::write(&authorities, both).unwrap();
    let settings = first
        .settings("ldaps", &[first.ldaps_url(), second.ldaps_url()])
        .replace(first.authority().to_str().unwrap(), authorities.to_str().unwrap());
    let site = Site::start(&settings, RULES);
    // Connections to the first are open, and will hang.
    let (warm, _) = all_at_once(&site, &[]);
    assert!(warm.iter().all(|(told, _)| *told == Told::Grant), "{warm:?}");
    first.freeze();
    let (waiting, later) = all_at_once(&site, &["u205", "u206"]);
    for (told, took) in waiting.iter().chain(&later) {
        assert!(*took < DECIDED, "{took:?}");
        assert_ne!(*told, Told::Deny);
    }
    assert!(later.iter().all(|(told, _)| *told == Told::Grant), "{later:?}");
    // Its time-out was paid: nobody waits for it any more.
    let (then, _) = all_at_once(&site, &[]);
    assert!(then.iter().all(|(told, _)| *told == Told::Grant), "{then:?}");
    first.thaw();
    assert_eq!(phases(&site, "u207", "p"), IN);
}

#[test]
fn a_frozen_directory_does_not_hold_up_another_directory() {
    let (first, second) = (Slapd::start_with(&crowd()), Slapd::start_with(&crowd()));
    let of = |slapd: &Slapd| slapd.settings("ldaps", &[slapd.ldaps_url()]);
    let rules = format!("[directory.second]\nrealm = \"B\"\n{}\n{RULES}", of(&second));
    let site = Site::start(&of(&first), &rules);
    first.freeze();
    let (waiting, later) = all_at_once(&site, &["u205@B", "B\\u206"]);
    for (told, took) in &waiting {
        assert!(*told == Told::Unavailable && *took < DECIDED, "{told:?} after {took:?}");
    }
    for (told, took) in &later {
        assert_eq!(*told, Told::Grant);
        assert!(*took < Duration::from_secs(5), "it waited for the other directory: {took:?}");
    }
    first.thaw();
    assert_eq!(phases(&site, "u207", "p"), IN, "the first login after it is back");
}

#[test]
fn stopped_frozen_restarted_or_replaced_it_serves_the_first_login_after_it_is_back() {
    let mut slapd = Slapd::start();
    let relay = RecordingProxy::start("127.0.0.1:0", slapd.ldaps_address());
    let url = format!("ldaps://{}", relay.address());
    let site = Site::start(&slapd.settings("ldaps", &[url]), RULES);
    let decides = |expected: Code, what: &str| {
        let began = Instant::now();
        assert_eq!(phases(&site, "alice", "alice's password").0, expected, "{what}");
        assert!(began.elapsed() < DECIDED, "{what}: {:?}", began.elapsed());
    };
    decides(Code::SUCCESS, "well");
    for _ in 0..2 {
        slapd.stop();
        decides(Code::AUTHINFO_UNAVAIL, "stopped");
        decides(Code::AUTHINFO_UNAVAIL, "still stopped");
        slapd.restart();
        decides(Code::SUCCESS, "restarted");
        slapd.freeze();
        decides(Code::AUTHINFO_UNAVAIL, "frozen");
        slapd.thaw();
        decides(Code::SUCCESS, "thawed");
    }
    // Another server stands there now, whose authority is not believed; and then the right one again.
    let impostor = Slapd::start();
    relay.lead_to(impostor.ldaps_address());
    slapd.stop();
    decides(Code::AUTHINFO_UNAVAIL, "replaced by a stranger");
    assert_eq!(impostor.all_binds(), 0);
    slapd.restart();
    relay.lead_to(slapd.ldaps_address());
    decides(Code::SUCCESS, "replaced by the right one");
}
