//! Right passwords behind wrong codes: the directory is asked once at most, a password that looks stolen takes every
//! waiver with it, and the owner gets in and is told. Each story's promise stands above it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::{Duration, Instant};
use support::client::{Client, Told};
use support::host::{Host, can_play};
use support::ldap::{EmbeddedDirectory, Listen, Operation};
use support::pam::Code;
use support::site::{Phone, RULES, Site, field, step_now};
use support::slapd::{PEOPLE, Slapd, account};
use support::temp::TempDir;

const RIGHT: &str = "alice's password";
const HOME: &str = "198.51.100.7";
const DESK: &str = "192.0.2.44";
/// Times that a right password behind a wrong code makes it look stolen.
const TIMES: usize = 3;

/// Lanes so wide that they do not end a story.
fn wide() -> String {
    format!("{RULES}\n[tarpit]\nfree = 60\nguess_budget = \"5%/year\"\n")
}

fn scene(rules: &str) -> (Slapd, Site) {
    let slapd = Slapd::start();
    let site = Site::start(&slapd.settings("ldaps", &[slapd.ldaps_url()]), rules);
    (slapd, site)
}

fn alice() -> String {
    format!("uid=alice,{PEOPLE}")
}

fn stranger(number: usize) -> String {
    format!("203.0.113.{number}")
}

fn login(site: &Site, from: &str, password: &str, code: &str) -> Code {
    site.stack("sshd").login("alice").from(from).typing(password, code).authenticate(0)
}

fn at_the_desk(site: &Site, password: &str) -> Code {
    site.stack("desk").login("alice").from(DESK).typing(password, "").authenticate(0)
}

/// What logins that were answered still had to do is done when the daemon has ended.
fn restart(site: &mut Site) {
    site.stop();
    site.start_daemon();
}

fn events(site: &Site, word: &str) -> Vec<String> {
    let marker = format!(": {word} ");
    site.records().into_iter().filter(|line| line.contains(&marker)).collect()
}

/// Waits for an event, since it comes after the answer.
fn event(site: &Site, word: &str, count: usize) -> String {
    let patience = Instant::now() + Duration::from_secs(10);
    loop {
        let found = events(site, word);
        if found.len() >= count {
            return found[count - 1].clone();
        }
        assert!(Instant::now() < patience, "{count} {word} expected in {:#?}", site.records());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A right password and a wrong code, recognised as such.
fn recognised(site: &Site, phone: &Phone, from: &str) {
    let before = events(site, "right-password-wrong-code").len();
    assert_eq!(login(site, from, RIGHT, &phone.wrong_code()), Code::AUTH_ERR);
    assert_eq!(field(&event(site, "right-password-wrong-code", before + 1), "source"), from);
}

/// The password looks stolen, by strangers from 203.0.113.0 on.
fn stolen(site: &Site, phone: &Phone) {
    for number in 0..TIMES {
        recognised(site, phone, &stranger(number));
    }
    let _ = event(site, "password-looks-stolen", 1);
}

fn shown(site: &Site) -> serde_json::Value {
    let shown = site.twinlock(&["--json", "user", "show", "alice"]);
    serde_json::from_slice(&shown.stdout).unwrap()
}

/// Promise 4.
#[test]
fn forty_parallel_wrong_guesses_are_one_diagnostic_bind_and_later_ones_none_until_a_success() {
    let (slapd, mut site) = scene(&wide());
    let mut phone = site.enroll("alice");
    let wrong = phone.wrong_code();
    let guess = |number: usize| login(&site, &stranger(number), &format!("guess {number}"), &wrong);
    std::thread::scope(|scope| {
        let guesses: Vec<_> = (0..40).map(|number| scope.spawn(move || guess(number))).collect();
        assert!(guesses.into_iter().all(|guess| guess.join().unwrap() == Code::AUTH_ERR));
    });
    restart(&mut site);
    assert_eq!(slapd.binds(&alice()), 1);
    for number in 0..5 {
        assert_eq!(login(&site, &stranger(number), RIGHT, &wrong), Code::AUTH_ERR);
    }
    restart(&mut site);
    assert_eq!(slapd.binds(&alice()), 1, "it had had it, and that survives a restart");
    assert_eq!(login(&site, HOME, RIGHT, &phone.code()), Code::SUCCESS);
    assert_eq!(login(&site, &stranger(99), "a guess", &wrong), Code::AUTH_ERR);
    site.stop();
    assert_eq!(slapd.binds(&alice()), 3, "the login, and one more diagnosis");
    let records = site.attempts(47);
    let others: Vec<_> = records.iter().filter(|record| field(record, "code") != "wrong").collect();
    assert_eq!(others.len(), 1, "every guess was compared, and one login let in: {others:#?}");
    assert_eq!(events(&site, "right-password-wrong-code").len(), 0, "no password was found right");
}

/// Promise 4: only a code that was compared and wrong is followed by a bind.
#[test]
fn what_is_refused_replayed_or_no_password_is_never_diagnosed() {
    let (slapd, mut site) = scene(RULES);
    let mut phone = site.enroll("alice");
    let code = phone.code();
    assert_eq!(login(&site, HOME, RIGHT, &code), Code::SUCCESS);
    assert_eq!(login(&site, HOME, RIGHT, &code), Code::AUTH_ERR, "a replay");
    assert_eq!(login(&site, HOME, "", &phone.wrong_code()), Code::AUTH_ERR, "no password");
    assert_eq!(login(&site, &stranger(0), RIGHT, ""), Code::AUTH_ERR, "no code: Enter was pressed");
    assert_eq!(
        site.stack("sshd").login("bob").from(HOME).typing("bob's password", "123456").authenticate(0),
        Code::AUTH_ERR,
        "no authenticator"
    );
    restart(&mut site);
    assert_eq!((slapd.binds(&alice()), slapd.binds(&format!("uid=bob,{PEOPLE}"))), (1, 0));
    for number in 1..=2 {
        assert_eq!(login(&site, &stranger(number), "", &phone.wrong_code()), Code::AUTH_ERR);
    }
    for number in 3..6 {
        assert_eq!(login(&site, &stranger(number), RIGHT, &phone.wrong_code()), Code::AUTH_ERR);
    }
    site.stop();
    assert_eq!(slapd.binds(&alice()), 1, "the lane was closed");
    assert!(site.attempts(10)[7..].iter().all(|record| field(record, "reason") == "lane-closed"));
}

/// Promises 4 and 7: the denial does not wait for the directory, whatever the password was.
#[tokio::test(flavor = "multi_thread")]
async fn a_denial_is_told_although_the_directory_never_answers_the_bind_behind_it() {
    let (directory, site, phone, _folder) = embedded(&wide());
    directory.freeze(Operation::Bind);
    let wrong = phone.wrong_code();
    let client = Client::connect(&site.path("login.sock")).await;
    let told = client.login("sshd", "alice", HOME, &[RIGHT.as_bytes(), wrong.as_bytes()]).await;
    assert_eq!(told, Told::Deny, "not unavailable");
    let record = site.attempt(1);
    assert_eq!((field(&record, "reason"), field(&record, "password")), ("wrong-code", "-"));
    bound(&directory, 1).await;
    assert_eq!(events(&site, "right-password-wrong-code").len(), 0, "the bind still waits");
    directory.thaw(Operation::Bind);
}

/// Promise 4: the bind is written down before it is sent.
#[tokio::test(flavor = "multi_thread")]
async fn kill_dash_nine_between_does_not_free_a_second_diagnostic_bind() {
    let (directory, mut site, phone, _folder) = embedded(&wide());
    directory.freeze(Operation::Bind);
    let guess = async |site: &Site| {
        let (wrong, socket) = (phone.wrong_code(), site.path("login.sock"));
        let client = Client::connect(&socket).await;
        client.login("sshd", "alice", HOME, &[RIGHT.as_bytes(), wrong.as_bytes()]).await
    };
    assert_eq!(guess(&site).await, Told::Deny);
    bound(&directory, 1).await;
    site.kill();
    directory.thaw(Operation::Bind);
    site.start_daemon();
    for _ in 0..3 {
        assert_eq!(guess(&site).await, Told::Deny);
    }
    site.stop();
    assert_eq!(directory.binds(&alice()), 1);
}

/// Promise 4 with promise 5: a stranger's wrong code takes no bind that a login needs.
#[test]
fn with_diagnoses_the_directory_sees_fewer_failed_binds_than_its_lock_out_and_the_owner_gets_in() {
    let (slapd, mut site) = scene(&wide());
    let mut phone = site.enroll("alice");
    for number in 0..5 {
        assert_eq!(login(&site, &stranger(number), "a guess", &phone.wrong_code()), Code::AUTH_ERR);
    }
    restart(&mut site);
    for number in 0..5 {
        assert_eq!(at_the_desk(&site, &format!("guess {number}")), Code::AUTH_ERR);
    }
    let code = phone.code();
    for _ in 0..2 {
        assert_eq!(login(&site, HOME, "mistyped", &code), Code::AUTH_ERR);
    }
    assert_eq!(slapd.binds(&alice()), 4, "the directory would lock at five");
    let reasons: Vec<_> =
        site.attempts(12)[5..].iter().map(|record| field(record, "reason").to_owned()).collect();
    let (wrong, none) = ("wrong-password", "no-bind-left");
    assert_eq!(reasons, [wrong, wrong, none, none, none, wrong, none]);
}

/// Promise 4: where one field takes both, the password ends where the account's code would begin.
#[test]
fn in_one_field_the_password_is_what_stands_before_the_digits() {
    let (slapd, mut site) = scene(&wide());
    let mut phone = site.enroll("alice");
    let field_of = |site: &Site, typed: &str| {
        site.stack("xrdp-sesman").login("alice").from(HOME).typing(typed, "").authenticate(0)
    };
    assert_eq!(field_of(&site, RIGHT), Code::AUTH_ERR);
    assert_eq!(field_of(&site, &format!("{RIGHT}12345")), Code::AUTH_ERR);
    restart(&mut site);
    assert_eq!(slapd.binds(&alice()), 0, "there is no code behind it, so that nobody knows where it ends");
    assert_eq!(field_of(&site, &format!("{RIGHT}{}", phone.wrong_code())), Code::AUTH_ERR);
    let said = event(&site, "right-password-wrong-code", 1);
    assert_eq!(field(&said, "service"), "xrdp-sesman");
    assert_eq!(field(&said, "attempt"), field(&site.attempt(3), "id"));
    assert_eq!(field(&said, "account"), field(&site.attempt(3), "account"));
    assert_eq!(slapd.binds(&alice()), 1);
    assert_eq!(field_of(&site, &format!("{RIGHT}{}", phone.code())), Code::SUCCESS);
}

/// Promise 12.
#[test]
fn a_password_looks_stolen_after_three_times_and_not_after_two_and_not_when_a_success_came_between() {
    let (slapd, mut site) = scene(&wide());
    let mut phone = site.enroll("alice");
    for number in 0..TIMES - 1 {
        recognised(&site, &phone, &stranger(number));
    }
    assert_eq!(slapd.binds(&alice()), 1, "known again without a bind");
    assert_eq!(login(&site, HOME, RIGHT, &phone.code()), Code::SUCCESS);
    for number in 0..TIMES - 1 {
        recognised(&site, &phone, &stranger(number));
    }
    assert_eq!(slapd.binds(&alice()), 2, "what was known is known");
    assert!(shown(&site).get("stolen_password").is_none());
    recognised(&site, &phone, &stranger(77));
    let said = event(&site, "password-looks-stolen", 1);
    assert!(said.starts_with("<81>"), "authpriv, alert: {said}");
    assert_eq!(
        (field(&said, "user"), field(&said, "source"), field(&said, "tries")),
        ("alice", "203.0.113.77", "3")
    );
    for number in 0..4 {
        recognised(&site, &phone, &stranger(number));
    }
    site.stop();
    assert_eq!(events(&site, "password-looks-stolen").len(), 1, "once, until it is over");
    assert!(site.records().iter().all(|record| !record.contains(RIGHT)));
}

/// Promise 12: whoever mistypes a code at home is no thief.
#[test]
fn from_a_known_pair_no_number_of_wrong_codes_makes_a_password_look_stolen() {
    let (_slapd, mut site) = scene(&wide());
    let mut phone = site.enroll("alice");
    assert_eq!(login(&site, HOME, RIGHT, &phone.code()), Code::SUCCESS, "her address becomes known");
    for _ in 0..TIMES + 2 {
        recognised(&site, &phone, HOME);
    }
    recognised(&site, &phone, &stranger(1));
    recognised(&site, &phone, &stranger(2));
    restart(&mut site);
    assert!(shown(&site).get("stolen_password").is_none());
    assert_eq!(events(&site, "password-looks-stolen").len(), 0);
}

/// Promise 12: waivers are withdrawn, lanes are not touched, and the owner enters with both and is told.
#[test]
fn while_a_password_looks_stolen_the_office_takes_the_code_behind_it_and_the_owner_is_told_once() {
    let (_slapd, mut site) = scene(&wide());
    let mut phone = site.enroll("alice");
    assert_eq!(at_the_desk(&site, RIGHT), Code::SUCCESS);
    stolen(&site, &phone);
    site.kill();
    site.start_daemon();

    let (told, both) = at_the_desk_told(&site, RIGHT);
    assert_eq!((told, both.len()), (Code::AUTH_ERR, 1), "only the question is shown: {both:?}");
    let denied = site.attempt(5);
    let said = ["reason", "waiver", "withdrawn", "rule", "asked", "password"].map(|key| field(&denied, key));
    assert_eq!(said, ["wrong-code", "-", "office", "office desks", "password", "-"]);
    assert_eq!(at_the_desk(&site, &format!("{RIGHT}{}", phone.wrong_code())), Code::AUTH_ERR);
    let mark = shown(&site)["stolen_password"].clone();
    assert_eq!((&mark["tries"], &mark["last_from"]), (&3.into(), &"203.0.113.2".into()), "hers do not count");
    let text = site.twinlock(&["user", "show", "alice"]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(
        text.contains("looks stolen since") && text.contains("right 3 times with a wrong code"),
        "{text}"
    );

    let (told, texts) = at_the_desk_told(&site, &format!("{RIGHT}{}", phone.code()));
    assert_eq!(told, Code::SUCCESS);
    let [prompt, news, last] = texts.as_slice() else { panic!("{texts:?}") };
    assert!(last.starts_with("Last login: "), "{last}");
    assert_eq!(prompt, "Password: ", "the questions are those of everybody");
    assert!(news.starts_with("Somebody who knows your password tried to log in at least 3 times"), "{news}");
    assert!(news.ends_with("from 203.0.113.2. If that was not you, change your password."), "{news}");

    assert!(shown(&site).get("stolen_password").is_none());
    let (told, texts) = at_the_desk_told(&site, RIGHT);
    let [prompt, last] = texts.as_slice() else { panic!("{texts:?}") };
    assert_eq!((told, prompt.as_str()), (Code::SUCCESS, "Password: "));
    assert!(last.starts_with("Last login: "), "told once: {last}");
    assert_eq!(field(&site.attempt(8), "waiver"), "office", "it stands in for the code again");
}

/// Promise 12: a rule that asks both ends it, and PAM_AUTHTOK is as ever the password alone.
#[test]
fn the_next_login_with_password_and_code_anywhere_ends_it_and_a_silent_one_shows_nothing() {
    const PAM_SILENT: i32 = 0x8000;
    let (_slapd, site) = scene(&wide());
    let mut phone = site.enroll("alice");
    stolen(&site, &phone);
    let stack = site.stack("sshd").revealing_authtok();
    let mut handle = stack.login("alice").from(HOME).typing(RIGHT, &phone.code());
    assert_eq!(handle.authenticate(PAM_SILENT), Code::SUCCESS);
    assert_eq!(handle.transcript().len(), 2, "two questions: {:?}", handle.transcript());
    assert_eq!(stack.revealed_authtok().unwrap(), RIGHT.as_bytes());
    assert_eq!(at_the_desk(&site, RIGHT), Code::SUCCESS);
}

/// Promise 12: the person reads it where people log in.
#[test]
fn a_real_ssh_client_shows_the_owner_that_somebody_has_the_password() {
    if !can_play("sshd's owner is told of a stolen password") {
        return;
    }
    let (_slapd, site) = scene(&wide());
    let mut phone = site.enroll("alice");
    stolen(&site, &phone);
    let host = Host::start(&site, &["alice"], "ForceCommand none");
    let session = host.ssh_at_terminal("alice", RIGHT, &phone.code());
    assert!(session.entered, "{session:?}");
    assert!(
        session.output.contains("Somebody who knows your password tried to log in at least 3 times"),
        "{session:?}"
    );
    assert_eq!(session.prompts.len(), 2, "{session:?}");
}

/// Promise 12.
#[test]
fn an_administrator_may_end_it_and_is_told_so_and_recorded() {
    let (_slapd, site) = scene(&wide());
    let phone = site.enroll("alice");
    stolen(&site, &phone);
    assert_eq!(at_the_desk(&site, RIGHT), Code::AUTH_ERR);
    let unlocked = site.twinlock(&["user", "unlock", "alice"]);
    let said = String::from_utf8_lossy(&unlocked.stdout).into_owned();
    assert!(
        unlocked.status.success() && said.contains("The password of alice looked stolen since"),
        "{said}"
    );
    assert_eq!(field(&event(&site, "unlocked", 1), "looked_stolen"), "yes");
    assert_eq!(at_the_desk(&site, RIGHT), Code::SUCCESS);
    let again = site.twinlock(&["user", "unlock", "alice"]);
    assert!(!String::from_utf8_lossy(&again.stdout).contains("stolen"));
    assert_eq!(field(&event(&site, "unlocked", 2), "looked_stolen"), "no");
}

/// Promise 5: lanes are as they were; her own door and the way in are open.
#[test]
fn whoever_is_marked_still_enters_a_closed_lane_by_two_codes() {
    let (_slapd, site) = scene(RULES);
    let phone = site.enroll("alice");
    stolen(&site, &phone);
    let now = step_now();
    assert_eq!(login(&site, &stranger(9), RIGHT, &phone.code_at(now)), Code::AUTH_ERR);
    assert_eq!(field(&site.attempt(4), "reason"), "lane-closed");
    let two = phone.code_at(now - 1) + &phone.code_at(now);
    assert_eq!(login(&site, &stranger(9), RIGHT, &two), Code::SUCCESS);
    assert_eq!(at_the_desk(&site, RIGHT), Code::SUCCESS);
}

/// A login at the desk, and everything that was shown there.
fn at_the_desk_told(site: &Site, typed: &str) -> (Code, Vec<String>) {
    let stack = site.stack("desk");
    let mut handle = stack.login("alice").from(DESK).typing(typed, "");
    let told = handle.authenticate(0);
    (told, handle.transcript().into_iter().map(|line| line.text).collect())
}

fn embedded(rules: &str) -> (EmbeddedDirectory, Site, Phone, TempDir) {
    let folder = TempDir::new("ldap");
    let ldif = format!(
        "dn: dc=example,dc=org\nobjectClass: organization\no: example\n\n\
         dn: {PEOPLE}\nobjectClass: organizationalUnit\nou: people\n\n{}",
        account(&alice(), "alice", 2001, RIGHT)
    );
    let listen = Listen { socket: Some(folder.path().join("ldapi")), loopback: false };
    let directory = EmbeddedDirectory::start(&ldif, &listen).unwrap();
    let settings = format!(
        "kind = \"rfc2307\"\nservers = {:?}\nbase = {PEOPLE:?}\ntls = {{ mode = \"none\" }}\n",
        directory.urls()
    );
    let site = Site::start(&settings, rules);
    let phone = site.enroll("alice");
    (directory, site, phone, folder)
}

/// Until the directory was asked to bind alice so often.
async fn bound(directory: &EmbeddedDirectory, times: usize) {
    for _ in 0..2000 {
        if directory.binds(&alice()) >= times {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{} binds within 10 s", directory.binds(&alice()));
}
