//! Promise 1 at the last step: everything was proved, and the settlement does not get through.

use super::*;
use crate::clock::WallTime;
use crate::emergency::EmergencyPassword;
use crate::local_accounts::LocalAccounts;
use crate::store::{BindNeed, CodeTry, NewAuthenticator};
use crate::tarpit::Proofs;
use crate::totp::{Label, Seed};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tokio::net::UnixStream;
use twinlock_policy::{AccountId, Factors, Plan, RuleName, Seen, Service, Source};
use twinlock_protocol::Secret;

const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("twinlock-login-{}", AttemptId::random().unwrap()));
        std::fs::create_dir(&path).unwrap();
        let key = path.join("seal.key");
        std::fs::write(&key, "5a3c".repeat(16)).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        Self(path)
    }

    /// A house on this folder's store, whose directory is never asked.
    fn house(&self) -> House {
        self.house_beside("/etc/passwd".as_ref())
    }

    /// The same on a host with these local accounts.
    fn house_beside(&self, passwd: &std::path::Path) -> House {
        let text = format!(
            "[directory.main]\nkind = \"rfc2307\"\nservers = [\"ldap://127.0.0.1:1\"]\nbase = \"dc=example\"\n\
             tls = {{ mode = \"none\" }}\n[location.office]\nnetworks = [\"192.0.2.0/24\"]\n[[rule]]\nname = \"all\"\nrequire = [\"password\", \"code\"]\n\
             [store]\npath = {:?}\nkey = {{ file = {:?} }}\n[audit]\nsyslog = {:?}\n",
            self.0.join("state.db"),
            self.0.join("seal.key"),
            self.0.join("log")
        );
        let loaded = twinlock_config::parse(&text, "twinlock.toml".as_ref()).unwrap();
        let policy = twinlock_policy::Policy::new(&loaded.config);
        crate::start::build(loaded, policy, LocalAccounts::new(passwd)).unwrap().0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn alice() -> Account {
    Account {
        id: AccountId::new("main:alice"),
        name: Username::from_pam(b"alice").unwrap(),
        names: vec![Username::from_pam(b"alice").unwrap()],
        dn: "uid=alice".into(),
        uid_number: None,
        groups: None,
        standing: Default::default(),
        lockout: Default::default(),
    }
}

fn code_now(WallTime(now): WallTime) -> Secret {
    let secret = totp_rs::Secret::try_from_base32(SEED).unwrap();
    let totp = totp_rs::Builder::new().with_secret(secret).build().unwrap();
    Secret::new(totp.generate(now).to_string().into_bytes())
}

/// An attempt whose code is right, by a rule that asks no more: a grant that only has to be settled.
async fn granted(house: &House) -> Judged {
    let seed = Seed::from_base32(SEED).unwrap();
    let new = NewAuthenticator { label: Label::new("phone").unwrap(), seed, parameters: None, active: true };
    house.store.enroll(&alice().id, &alice().name, new, house.clock.now()).await.unwrap();
    let place = house.policy.place(
        Source::Address("203.0.113.7".parse().unwrap()),
        Service::new("sshd"),
        &Seen::default(),
    );
    let id = AttemptId::random().unwrap();
    let deadline = Deadline::within(DECIDING);
    let tried = Try { attempt: id, place: &place, invoker: "", hold: false, deadline };
    let code = CodeTry::Code(code_now(house.clock.now().wall));
    let charge = house
        .tarpit
        .charge(&tried, &alice(), Proofs { code, bind: BindNeed::None, earn: None })
        .await
        .unwrap();
    let factors = Factors { password: false, code: true };
    let plan = Plan::Require { rule: RuleName::new("key, then code"), factors, waiver: None };
    let mut record = Record::new(id, "auth", b"alice");
    let proof = code_of(&charge, factors, &mut record).proof;
    let grant = |id, account: &Account, plan: &Plan| Grant::satisfied_by(plan, id, &account.id, proof, None);

    // The proof is good for this attempt and this account only, and for no more than it proves.
    let stranger = Account { id: AccountId::new("main:mallory"), ..alice() };
    assert!(grant(AttemptId::random().unwrap(), &alice(), &plan).is_none());
    assert!(grant(id, &stranger, &plan).is_none());
    assert!(Grant::satisfied_by(&plan, id, &alice().id, None, None).is_none());
    let both = Factors { password: true, code: true };
    assert!(
        grant(id, &alice(), &Plan::Require { rule: RuleName::new("all"), factors: both, waiver: None })
            .is_none()
    );
    assert!(grant(id, &alice(), &Plan::Deny { rule: None }).is_none());

    let decision = Decision::Grant(grant(id, &alice(), &plan).unwrap());
    Judged {
        after: After::default(),
        decision,
        charge,
        bind: Bind::NotSent,
        account: Some(alice()),
        learn: place.earnable_prefix(),
        authtok: None,
        doubt: None,
        visit: None,
    }
}

#[tokio::test]
async fn a_grant_that_is_settled_stands() {
    let folder = Folder::new();
    let house = folder.house();
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let Ended { decision, .. } = settle(&house, &Dialogue::new(ours), granted(&house).await).await;
    assert!(matches!(decision, Decision::Grant(_)), "{decision:?}");
}

#[tokio::test]
async fn a_grant_that_cannot_be_written_down_is_none() {
    let folder = Folder::new();
    let house = folder.house();
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let judged = granted(&house).await;
    house.store.clone().close().await;
    let Ended { decision, .. } = settle(&house, &Dialogue::new(ours), judged).await;
    assert!(matches!(decision, Decision::Unavailable(Reason::StoreUnavailable)), "{decision:?}");
}

#[tokio::test]
async fn a_grant_whose_slot_was_settled_by_somebody_else_is_none() {
    let folder = Folder::new();
    let house = folder.house();
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let judged = granted(&house).await;
    house.store.clone().close().await;
    drop(house);
    // Opening the store settles, as failures, what an earlier run left open.
    let later = folder.house();
    let Ended { decision, .. } = settle(&later, &Dialogue::new(ours), judged).await;
    assert!(matches!(decision, Decision::Deny(Reason::ReplayedCode)), "{decision:?}");
}

/// What break glass makes of an emergency password typed in the office: whether it lets in.
async fn breaks_glass(house: &House, password: &EmergencyPassword) -> bool {
    let source = Source::Address("192.0.2.7".parse().unwrap());
    let place = house.policy.place(source, Service::new("sshd"), &Seen::default());
    let (id, deadline) = (AttemptId::random().unwrap(), Deadline::within(DECIDING));
    let tried = Try { attempt: id, place: &place, invoker: "", hold: false, deadline };
    let typed = Secret::copy_of(password.shown().as_bytes());
    let answers = Answers::Separate { password: Some(typed), code: Some(Secret::default()) };
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let (mut dialogue, mut record) = (Dialogue::new(ours), Record::new(id, "auth", b"alice"));
    let broken =
        emergency::break_glass(house, &tried, &alice().name, answers, &mut dialogue, &mut record).await;
    match broken {
        Err(Decision::Grant(grant)) => {
            assert_eq!(grant.reason(), Reason::EmergencyPassword);
            true
        }
        Err(other) => panic!("{other:?}"),
        Ok(Answers::Separate { password: Some(decoy), .. }) => {
            let shown = password.shown();
            assert_ne!(decoy.expose(), shown.as_bytes(), "a right one goes no further");
            false
        }
        Ok(other) => panic!("{other:?}"),
    }
}

async fn emergency_password(house: &House) -> EmergencyPassword {
    let now = house.clock.now().wall;
    let made = house.emergency.create(vec![alice()], 1, "uid 0".into(), now).await.unwrap();
    made.into_iter().next().unwrap().1.remove(0)
}

/// DESIGN 8: they work while the store does not.
#[tokio::test]
async fn an_emergency_password_needs_neither_directory_nor_store_and_is_good_once() {
    let folder = Folder::new();
    let house = folder.house();
    let password = emergency_password(&house).await;
    house.store.clone().close().await;
    assert!(breaks_glass(&house, &password).await);
    let again = house.emergency.find(&alice().name, &password);
    assert!(again.is_none(), "spent");
    drop(house);
    assert!(folder.house().emergency.find(&alice().name, &password).is_none(), "on disk too");
}

/// DESIGN 4.1: never for a name that is local by now, whatever it was when the password was made.
#[tokio::test]
async fn an_emergency_password_lets_nobody_in_under_a_local_name() {
    let folder = Folder::new();
    let passwd = folder.0.join("passwd");
    std::fs::write(&passwd, "root:x:0:0::/:/bin/sh\n").unwrap();
    let house = folder.house_beside(&passwd);
    let password = emergency_password(&house).await;
    std::fs::write(&passwd, "root:x:0:0::/:/bin/sh\nalice:x:1000:1000::/:/bin/sh\n").unwrap();
    assert!(!breaks_glass(&house, &password).await);
    std::fs::remove_file(&passwd).unwrap();
    assert!(!breaks_glass(&house, &password).await, "nor where that cannot be told");
    std::fs::write(&passwd, "root:x:0:0::/:/bin/sh\n").unwrap();
    assert!(breaks_glass(&house, &password).await, "refused, it was not spent");
}
