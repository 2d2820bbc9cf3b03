//! Emergency passwords on their own file: each once, bound to account and name, all or none.

use super::*;
use crate::directory::Account;
use crate::emergency::EmergencyPassword;

const NOW: WallTime = WallTime(1_800_000_000);

fn account(spelled: &str) -> Account {
    Account {
        id: AccountId::new(format!("main:{spelled}")),
        name: name(spelled),
        names: vec![name(spelled), name(&format!("{spelled}.alias"))],
        dn: format!("uid={spelled}"),
        uid_number: None,
        groups: None,
        standing: Default::default(),
        lockout: Default::default(),
    }
}

fn file(folder: &Folder) -> Emergency {
    Emergency::open(&folder.0.join("emergency.db")).unwrap()
}

async fn made(store: &Emergency, spelled: &str, count: u32) -> Vec<EmergencyPassword> {
    let made = store.create(vec![account(spelled)], count, "uid 0".into(), NOW).await.unwrap();
    made.into_iter().flat_map(|(_, passwords)| passwords).collect()
}

#[tokio::test]
async fn one_is_found_by_any_name_of_its_account_and_spent_once_a_restart_between() {
    let folder = Folder::new();
    let store = file(&folder);
    let passwords = made(&store, "alice", 2).await;
    for spelled in ["alice", "ALICE", "alice.alias"] {
        assert!(store.find(&name(spelled), &passwords[0]).is_some(), "{spelled}");
    }
    assert!(store.find(&name("bob"), &passwords[0]).is_none());
    let at_once = [(); 2].map(|()| store.find(&name("alice"), &passwords[0]).unwrap());
    let mut spent = Vec::new();
    for found in at_once {
        spent.push(store.spend(attempt(), found, NOW).await.unwrap());
    }
    assert_eq!(spent[0].as_ref().map(|proof| proof.left()), Some(1));
    assert!(spent[1].is_none(), "of two that found it, one");
    drop(store);
    let store = file(&folder);
    assert!(store.find(&name("alice"), &passwords[0]).is_none());
    assert!(store.find(&name("alice"), &passwords[1]).is_some());
}

#[tokio::test]
async fn where_the_write_fails_there_is_no_proof_and_the_password_stays() {
    let folder = Folder::new();
    let store = file(&folder);
    let password = made(&store, "alice", 1).await.remove(0);
    store.break_writes();
    let found = store.find(&name("alice"), &password).unwrap();
    assert!(store.spend(attempt(), found, NOW).await.is_err());
    assert!(store.find(&name("alice"), &password).is_some());
}

#[tokio::test]
async fn what_is_revoked_under_an_attempt_is_not_spent() {
    let folder = Folder::new();
    let store = file(&folder);
    let password = made(&store, "alice", 3).await.remove(0);
    let found = store.find(&name("alice"), &password).unwrap();
    assert_eq!(store.revoke(&account("alice").id).await.unwrap(), 3);
    assert!(store.spend(attempt(), found, NOW).await.unwrap().is_none());
    assert_eq!(store.named(&name("alice")), []);
}

#[tokio::test]
async fn an_account_has_twenty_at_most_and_of_several_accounts_all_get_some_or_none() {
    let folder = Folder::new();
    let store = file(&folder);
    let _ = made(&store, "alice", 18).await;
    let both = vec![account("bob"), account("alice")];
    let refused = store.create(both, 3, "uid 0".into(), NOW).await.unwrap_err();
    assert!(refused.is_refusal(), "{refused}");
    let list = store.list().await.unwrap();
    assert_eq!(
        list.iter().map(|one| (one.account.as_str(), one.unused)).collect::<Vec<_>>(),
        [("alice", 18)]
    );
}

#[tokio::test]
async fn a_row_that_was_moved_to_another_account_is_worth_nothing() {
    let folder = Folder::new();
    let password = made(&file(&folder), "alice", 1).await.remove(0);
    let db = rusqlite::Connection::open(folder.0.join("emergency.db")).unwrap();
    db.execute("UPDATE emergency SET account = 'main:bob', names = 'bob'", []).unwrap();
    drop(db);
    assert!(file(&folder).find(&name("bob"), &password).is_none());
}

impl Emergency {
    fn break_writes(&self) {
        let trigger = "CREATE TRIGGER full BEFORE UPDATE ON emergency BEGIN SELECT RAISE(ABORT, 'full'); END";
        self.connection().execute_batch(trigger).unwrap();
    }
}
