//! The history as the daemon uses it: written by its thread, read in pages.

use super::*;
use crate::attempt::AttemptId;
use std::path::Path;
use twinlock_control::{Cursor, HISTORY_PAGE};

struct Kept {
    folder: PathBuf,
    config: Config,
}

impl Kept {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("twinlock-kept-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let text = format!(
            "[directory.main]\nkind = \"rfc2307\"\nservers = [\"ldaps://ldap.example.org\"]\nbase = \"dc=example\"\n\
             [store]\npath = \"{0}/state.db\"\nkey = {{ file = \"/seal.key\" }}\n[[rule]]\nname = \"all\"\nrequire = [\"password\", \"code\"]\n\
             [audit]\nsyslog = \"{0}/log\"\nhistory_size = \"1MiB\"\n",
            folder.display()
        );
        let config = twinlock_config::parse(&text, "twinlock.toml".as_ref()).unwrap().config;
        Self { folder, config }
    }

    fn start(&self) -> (History, std::thread::JoinHandle<()>) {
        let (auditor, thread) = Auditor::start(&self.folder.join("log")).unwrap();
        (History::start(&self.config, auditor).unwrap(), thread)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn record(user: &str, source: &str) -> Record {
    let mut record = Record::new(AttemptId::from_number(1), "auth", user.as_bytes());
    record.source = source.into();
    record
}

fn note(history: &History, user: &str, source: &str, reason: Reason, at: u64) {
    history.attempt(&record(user, source), Verdict::Deny, reason, Duration::ZERO, WallTime(at));
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

async fn all(history: &History, wanted: &Wanted) -> Vec<RecordedAttempt> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = history.page(wanted.clone(), HISTORY_PAGE, cursor).await.unwrap();
        found.extend(page.attempts);
        cursor = page.next;
        if cursor.is_none() {
            return found;
        }
    }
}

async fn written(history: &History, newest: u64) {
    let mut written = history.shared.newest.subscribe();
    let written = written.wait_for(|number| *number >= newest);
    tokio::time::timeout(Duration::from_secs(30), written).await.expect("it is written").unwrap();
}

#[tokio::test]
async fn it_is_found_by_name_source_time_and_reason() {
    let kept = Kept::new("found");
    let (history, _thread) = kept.start();
    let begin = now() - 1000;
    note(&history, "Alice", "192.0.2.7", Reason::WrongCode, begin);
    note(&history, "bob", "2001:db8::7", Reason::WrongPassword, begin + 1);
    note(&history, "alice", "local", Reason::WrongPassword, begin + 2);
    written(&history, 3).await;
    let times = async |wanted: Wanted| {
        let found = all(&history, &wanted).await;
        found.iter().map(|attempt| attempt.at - begin).collect::<Vec<_>>()
    };
    let source = |text| Wanted { source: Some(WantedSource::read(text).unwrap()), ..Wanted::default() };
    assert_eq!(times(Wanted::default()).await, [2, 1, 0], "newest first");
    assert_eq!(times(Wanted { user: Some(("alice".into(), None)), ..Wanted::default() }).await, [2, 0]);
    assert_eq!(times(source("192.0.2.0/24")).await, [0]);
    assert_eq!(times(source("2001:db8::7")).await, [1]);
    assert_eq!(times(source("local")).await, [2]);
    assert_eq!(
        times(Wanted { since: Some(begin + 1), until: Some(begin + 1), ..Wanted::default() }).await,
        [1]
    );
    assert_eq!(times(Wanted { reason: Some("wrong-password".into()), ..Wanted::default() }).await, [2, 1]);
    assert!(times(Wanted { verdict: Some("grant".into()), ..Wanted::default() }).await.is_empty());
    assert!(WantedSource::read("office").unwrap_err().contains("192.0.2.0/24"));
}

#[tokio::test]
async fn pages_go_back_to_the_oldest_that_is_kept_and_forward_as_it_comes() {
    let kept = Kept::new("pages");
    let (history, _thread) = kept.start();
    let slots = kept.config.history_attempts();
    for number in 1..=slots + 100 {
        note(&history, "alice", "local", Reason::WrongCode, now());
        if number % 1000 == 0 {
            written(&history, number).await;
        }
    }
    written(&history, slots + 100).await;
    let numbers: Vec<_> =
        all(&history, &Wanted::default()).await.iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, (101..=slots + 100).rev().collect::<Vec<_>>());
    let follower = history.clone();
    let next = tokio::spawn(async move {
        follower.page(Wanted::default(), 10, Some(Cursor::After(slots + 100))).await.unwrap()
    });
    note(&history, "bob", "local", Reason::WrongCode, now());
    let page = next.await.unwrap();
    assert_eq!(page.attempts.iter().map(|attempt| attempt.user.as_str()).collect::<Vec<_>>(), ["bob"]);
    assert_eq!(page.next, Some(Cursor::After(slots + 101)));
    assert_eq!(history.lost(), 0);
}

#[tokio::test]
async fn it_goes_on_after_a_restart_and_what_is_too_old_is_gone() {
    let kept = Kept::new("restart");
    let (history, thread) = kept.start();
    note(&history, "old", "local", Reason::WrongCode, now() - 91 * 86_400);
    note(&history, "new", "local", Reason::WrongCode, now() - 89 * 86_400);
    drop(history);
    thread.join().unwrap();
    let (history, _thread) = kept.start();
    note(&history, "newer", "local", Reason::WrongCode, now());
    written(&history, 3).await;
    let users: Vec<_> =
        all(&history, &Wanted::default()).await.into_iter().map(|attempt| attempt.user).collect();
    assert_eq!(users, ["newer", "new"]);
}

#[tokio::test]
async fn a_flood_of_refusals_takes_ten_places_a_minute() {
    let kept = Kept::new("flood");
    let (history, thread) = kept.start();
    for _ in 0..1000 {
        note(&history, "alice", "198.51.100.9", Reason::PrefixClosed, now());
    }
    drop(history);
    thread.join().unwrap();
    let (history, _thread) = kept.start();
    let counts: Vec<_> =
        all(&history, &Wanted::default()).await.iter().map(|attempt| attempt.count).collect();
    assert_eq!(counts.len(), 11);
    assert_eq!(counts.iter().sum::<u32>(), 1000);
}

#[test]
fn a_file_that_cannot_be_used_keeps_nobody_waiting_and_what_is_missing_is_counted() {
    let kept = Kept::new("broken");
    std::fs::write(kept.config.history_path(), "something else").unwrap();
    private(&kept.config.history_path());
    let (history, thread) = kept.start();
    assert!(history.problem().unwrap().contains("history"));
    for _ in 0..3 * QUEUE {
        note(&history, "alice", "local", Reason::WrongCode, now());
    }
    let lost = Arc::clone(&history.shared);
    drop(history);
    thread.join().unwrap();
    assert_eq!(lost.lost.load(Ordering::Relaxed), 3 * QUEUE as u64);
}

fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
