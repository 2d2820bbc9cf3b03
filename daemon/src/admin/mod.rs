//! The admin socket: JSON lines from `twinlock`. Root, and the daemon's own uid, may ask; anybody else only about
//! itself. Whatever is changed is recorded.

mod clock;
mod doctor;
mod emergency;
mod enroll;
mod explain;
mod history;
mod invite;
mod lock;
mod locks;
mod me;
mod places;
mod recovery;
mod replay;
mod restore;
mod rotate;
mod users;

use crate::attempt::Deadline;
use crate::audit;
use crate::caller::is_trusted;
use crate::directory::Account;
use crate::house::House;
use crate::local_accounts::is_uid_for_people;
use crate::store::StoreError;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::UCred;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use twinlock_control::{ErrorKind, LaneReport, MAX_LINE, Reply, Request, Status, StolenPassword, UserReport};
use twinlock_policy::LaneKey;
use twinlock_policy::lane::{Lane, LaneLimits, LaneTime};
use twinlock_policy::{Username, check};
use twinlock_protocol::Secret;

/// Connections from trusted callers at once.
const CONNECTIONS: usize = 32;
/// Connections from all other callers together: they cannot take the trusted ones' places.
const OTHERS: usize = 16;
/// Connections from one other uid.
const PER_UID: usize = 2;
/// For one line to be read, answered and taken.
const PER_REQUEST: Duration = Duration::from_secs(15);

/// Serves until `stop` changes.
pub async fn serve(
    house: Arc<House>,
    listener: UnixListener,
    started: Instant,
    mut stop: watch::Receiver<bool>,
) {
    let (places, others) = (Arc::new(Semaphore::new(CONNECTIONS)), Arc::new(Others::default()));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Ok(peer) = stream.peer_cred() else { continue };
        let house = Arc::clone(&house);
        if is_trusted(peer.uid()) {
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            tokio::spawn(async move {
                let _place = place;
                talk(&house, stream, started).await;
            });
        } else if let Some(place) = Others::take(&others, peer.uid()) {
            tokio::spawn(async move {
                let _place = place;
                talk(&house, stream, started).await;
            });
        }
    }
}

/// Connections of callers that may only ask about themselves.
#[derive(Default)]
struct Others(Mutex<Vec<u32>>);

impl Others {
    fn take(others: &Arc<Self>, uid: u32) -> Option<impl Drop + use<>> {
        struct Taken(Arc<Others>, u32);
        impl Drop for Taken {
            fn drop(&mut self) {
                let mut open = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(place) = open.iter().position(|uid| *uid == self.1) {
                    open.swap_remove(place);
                }
            }
        }
        let mut open = others.0.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= OTHERS || open.iter().filter(|other| **other == uid).count() >= PER_UID {
            return None;
        }
        open.push(uid);
        drop(open);
        Some(Taken(Arc::clone(others), uid))
    }
}

/// One connection: request after request until the other side hangs up or errs.
async fn talk(house: &House, stream: UnixStream, started: Instant) {
    let Ok(peer) = stream.peer_cred() else { return };
    let (reading, mut writing) = stream.into_split();
    let mut lines = BufReader::new(reading.take(0));
    let mut listing = users::Listing::default();
    loop {
        lines.get_mut().set_limit(MAX_LINE as u64);
        let mut line = zeroize::Zeroizing::new(Vec::new());
        let read = Deadline::within(PER_REQUEST).bound(lines.read_until(b'\n', &mut line)).await;
        if !matches!(read, Some(Ok(1..))) || !line.ends_with(b"\n") {
            return;
        }
        let reply = answer(house, &peer, &line, started, &mut listing).await;
        let Ok(mut text) = serde_json::to_vec(&reply).map(zeroize::Zeroizing::new) else { return };
        text.push(b'\n');
        if !matches!(Deadline::within(PER_REQUEST).bound(writing.write_all(&text)).await, Some(Ok(()))) {
            return;
        }
    }
}

async fn answer(
    house: &House,
    peer: &UCred,
    line: &[u8],
    started: Instant,
    listing: &mut users::Listing,
) -> Reply {
    let request = match serde_json::from_slice(line) {
        Ok(Request::Me {}) => Request::Me {},
        _ if !is_trusted(peer.uid()) => return no("only root may ask this; run it as root"),
        Ok(request) => request,
        Err(error) => {
            return wrong(&format!(
                "the daemon does not know this request: line 1, column {}",
                error.column()
            ));
        }
    };
    let answered = match request {
        Request::Status {} => status(house, started).await,
        Request::UserShow { user } => user_show(house, &user).await,
        Request::Enroll { user, label, seed, active, replace } => {
            enroll::enroll(house, peer, &user, &label, seed.as_ref(), active, replace).await
        }
        Request::Import { user, label, seed, dry_run } => {
            enroll::import(house, peer, &user, &label, &seed, dry_run).await
        }
        Request::Confirm { user, code } => {
            enroll::confirm(house, peer, &user, Secret::copy_of(code.expose().as_bytes())).await
        }
        Request::Recovery { user } => recovery::renew(house, peer, &user).await,
        Request::Invite { user } => invite::make(house, peer, &user).await,
        Request::InviteList {} => invite::list(house).await,
        Request::InviteRevoke { user } => invite::revoke(house, peer, &user).await,
        Request::UserRevoke { user, label } => enroll::revoke(house, peer, &user, &label).await,
        Request::UserList { after } => users::page(house, after).await,
        Request::UserListWithout { first } => listing.without(house, first).await,
        Request::EmergencyCreate { users, count } => emergency::create(house, peer, &users, count).await,
        Request::EmergencyList {} => emergency::list(house).await,
        Request::EmergencyRevoke { user } => emergency::revoke(house, peer, &user).await,
        Request::UserDisable { user, until, reason } => {
            lock::disable(house, peer, &user, until, reason).await
        }
        Request::UserEnable { user } => lock::enable(house, peer, &user).await,
        Request::DoctorDirectory { user } => doctor::directory(house, &user).await,
        Request::Locks {} => locks::list(house).await,
        Request::UserUnlock { user } => locks::unlock(house, peer, &user).await,
        Request::PlaceList { user } => places::list(house, user.as_deref()).await,
        Request::PlaceAdd { user, prefix, service, until } => {
            places::add(house, peer, &user, &prefix, service.as_deref(), until.as_deref()).await
        }
        Request::PlaceForget { user, prefix, service } => {
            places::forget(house, peer, &user, prefix.as_deref(), service.as_deref()).await
        }
        Request::PrefixClear { prefix } => locks::clear(house, peer, &prefix).await,
        Request::KeyRotate {} => rotate::rotate(house, peer).await,
        Request::ClockShow {} => clock::report(house).await.map(Reply::Clock),
        Request::AcceptRestore {} => restore::accept(house, peer).await,
        Request::ClockAccept {} => clock::accept(house, peer).await,
        Request::History(query) => history::page(house, query).await,
        Request::Explain(query) => explain::explain(house, &query).await,
        Request::Replay(query) => replay::page(house, &query).await,
        Request::Me {} => me::me(house, peer).await,
    };
    answered.unwrap_or_else(|error| error)
}

async fn status(house: &House, started: Instant) -> Result<Reply, Reply> {
    let totals = house.store.totals(house.clock.now()).await.map_err(|error| of_store(&error))?;
    let verdicts = |verdict| house.counts.number(verdict);
    Ok(Reply::Status(Status {
        version: env!("CARGO_PKG_VERSION").into(),
        uptime_s: started.elapsed().as_secs(),
        config: house.config_path.display().to_string(),
        servers: house.directory.servers(),
        accounts_enrolled: totals.accounts_enrolled,
        authenticators_pending: totals.pending,
        lanes_closed: totals.lanes_closed,
        prefixes_closed: house.tarpit.prefixes_closed(),
        attempts_running: house.counts.running(),
        granted: verdicts(audit::Verdict::Grant),
        denied: verdicts(audit::Verdict::Deny),
        unavailable: verdicts(audit::Verdict::Unavailable),
        records_lost: house.auditor.lost(),
        history_lost: house.history.lost(),
        history_problem: house.history.problem(),
        waivers: check::waivers(&house.config, &house.policy, house.clock.now().wall.0),
        grace_accounts: totals.grace_accounts,
        geoip: house.locations.geoip(),
        observes_until: house.tarpit.observes_until().map(|day| day.to_string()),
        store_restored: house.store.is_restored(),
        key_rotation_unfinished: house.config.store.key.next().read().is_ok(),
        clock: Some(clock::report(house).await?),
    }))
}

async fn user_show(house: &House, user: &str) -> Result<Reply, Reply> {
    let account = find(house, user).await?;
    let now = house.clock.now();
    let limits = house.tarpit.limits();
    let authenticators = house.store.authenticators(&account.id).await.map_err(|error| of_store(&error))?;
    let recovery_codes_left =
        house.store.recovery_left(&account.id).await.map_err(|error| of_store(&error))?;
    let disabled = house.store.disabled(&account.id, now).await.map_err(|error| of_store(&error))?;
    let lanes = house.store.lanes(&account.id, *limits, now).await.map_err(|error| of_store(&error))?;
    let known = house.store.known_from(&account.id, now).await.map_err(|error| of_store(&error))?;
    let stolen_password = stolen_password(house, &account).await?;
    let refused = why_refused(house, &account);
    let directory = account.id.as_str().split(':').next().unwrap_or_default().to_owned();
    Ok(Reply::User(UserReport {
        account: account.name.to_string(),
        id: account.id.to_string(),
        directory,
        groups: account.groups.map(|groups| groups.iter().map(ToString::to_string).collect()),
        refused,
        authenticators,
        recovery_codes_left,
        disabled,
        lanes: lanes.iter().map(|(key, lane)| lane_report(key, lane, limits, now.lane)).collect(),
        known_from: known.iter().map(ToString::to_string).collect(),
        stolen_password,
    }))
}

async fn stolen_password(house: &House, account: &Account) -> Result<Option<StolenPassword>, Reply> {
    let stolen = house.store.stolen(&account.id).await.map_err(|error| of_store(&error))?;
    Ok(stolen.map(|stolen| StolenPassword {
        tries: stolen.tries,
        since: stolen.since.0,
        last: stolen.last.0,
        last_from: stolen.last_from,
    }))
}

fn lane_report(key: &LaneKey, lane: &Lane, limits: &LaneLimits, now: LaneTime) -> LaneReport {
    LaneReport {
        lane: key.to_string(),
        failures: lane.counted(limits, now),
        closed_for_s: seconds_until(lane.not_before, now),
    }
}

/// Rounded up, so that what is closed is never said to be open.
fn seconds_until(then: LaneTime, now: LaneTime) -> u64 {
    then.since(now).as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
}

/// Who changed something, for the record.
fn by(peer: &UCred) -> String {
    format!("uid {}", peer.uid())
}

fn why_refused(house: &House, account: &Account) -> Option<String> {
    for name in &account.names {
        match house.local_accounts.contains(name.as_str()) {
            Ok(true) => return Some(format!("{name} is a local account's name; rename one of the two")),
            Ok(false) => {}
            Err(_) => return Some("the local accounts cannot be read".into()),
        }
    }
    let uid = account.uid_number.filter(|uid| !is_uid_for_people(*uid))?;
    Some(format!("uidNumber {uid} is below 1000 or one that systemd hands out; give the entry another"))
}

async fn find(house: &House, user: &str) -> Result<Account, Reply> {
    let name = Username::from_pam(user.as_bytes()).map_err(|_| wrong("that cannot be a user's name"))?;
    match house.directory.find(&name, Deadline::within(PER_REQUEST)).await {
        Ok(Some(account)) => Ok(account),
        Ok(None) => Err(no(&format!("the directory knows no {user}"))),
        Err(error) => Err(unavailable(&error.to_string())),
    }
}

fn of_store(error: &StoreError) -> Reply {
    if error.is_refusal() { no(&error.to_string()) } else { unavailable(&error.to_string()) }
}

fn no(message: &str) -> Reply {
    Reply::Error { kind: ErrorKind::No, message: message.into() }
}

fn wrong(message: &str) -> Reply {
    Reply::Error { kind: ErrorKind::WrongUse, message: message.into() }
}

fn unavailable(message: &str) -> Reply {
    Reply::Error { kind: ErrorKind::Unavailable, message: message.into() }
}
