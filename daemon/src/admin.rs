//! The admin socket: JSON lines from `twinlock`. Root, and the daemon's own uid, may ask; whatever is changed is
//! recorded.

use crate::attempt::Deadline;
use crate::audit::{self, event_line};
use crate::caller::is_trusted;
use crate::directory::Account;
use crate::house::House;
use crate::local_accounts::is_uid_for_people;
use crate::store::{Confirmation, NewAuthenticator, StoreError};
use crate::totp::{Label, Seed};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::UCred;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::time::Instant;
use twinlock_control::{
    AuthenticatorReport, AuthenticatorState, Enrolled, ErrorKind, LaneReport, MAX_LINE, Reply, Request,
    SecretText, Status, UserReport,
};
use twinlock_policy::{Username, check};
use twinlock_protocol::Secret;

/// Connections at once.
const CONNECTIONS: usize = 32;
/// For one line to be read, answered and taken.
const PER_REQUEST: Duration = Duration::from_secs(15);

/// Held from counting an account's authenticators until one more is written, so that two requests at once cannot both
/// take the room that is left for one.
static COUNTING: Mutex<()> = Mutex::const_new(());

/// Serves until `stop` changes.
pub async fn serve(
    house: Arc<House>,
    listener: UnixListener,
    started: Instant,
    mut stop: watch::Receiver<bool>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return,
        };
        let (Ok((stream, _)), Ok(place)) = (accepted, Arc::clone(&places).try_acquire_owned()) else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let house = Arc::clone(&house);
        tokio::spawn(async move {
            let _place = place;
            talk(&house, stream, started).await;
        });
    }
}

/// One connection: request after request until the other side hangs up or errs.
async fn talk(house: &House, stream: UnixStream, started: Instant) {
    let Ok(peer) = stream.peer_cred() else { return };
    let (reading, mut writing) = stream.into_split();
    let mut lines = BufReader::new(reading.take(0));
    loop {
        lines.get_mut().set_limit(MAX_LINE as u64);
        let mut line = zeroize::Zeroizing::new(Vec::new());
        let read = Deadline::within(PER_REQUEST).bound(lines.read_until(b'\n', &mut line)).await;
        if !matches!(read, Some(Ok(1..))) || !line.ends_with(b"\n") {
            return;
        }
        let reply = answer(house, &peer, &line, started).await;
        let Ok(mut text) = serde_json::to_vec(&reply).map(zeroize::Zeroizing::new) else { return };
        text.push(b'\n');
        if !matches!(Deadline::within(PER_REQUEST).bound(writing.write_all(&text)).await, Some(Ok(()))) {
            return;
        }
    }
}

async fn answer(house: &House, peer: &UCred, line: &[u8], started: Instant) -> Reply {
    if !is_trusted(peer.uid()) {
        return no("only root may ask this; run it as root");
    }
    let request = match serde_json::from_slice(line) {
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
        Request::Enroll { user, label, seed, active } => {
            enroll(house, peer, &user, &label, seed.as_ref(), active).await
        }
        Request::Confirm { user, code } => {
            confirm(house, peer, &user, Secret::copy_of(code.expose().as_bytes())).await
        }
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
        waivers: check::waivers(&house.policy),
    }))
}

async fn user_show(house: &House, user: &str) -> Result<Reply, Reply> {
    let account = find(house, user).await?;
    let now = house.clock.now();
    let limits = house.tarpit.limits();
    let authenticators = house.store.authenticators(&account.id).await.map_err(|error| of_store(&error))?;
    let lanes = house.store.lanes(&account.id, *limits, now).await.map_err(|error| of_store(&error))?;
    let known = house.store.known_from(&account.id, now).await.map_err(|error| of_store(&error))?;
    let refused = why_refused(house, &account);
    let directory = account.id.as_str().split(':').next().unwrap_or_default().to_owned();
    Ok(Reply::User(UserReport {
        account: account.name.to_string(),
        id: account.id.to_string(),
        directory,
        groups: account.groups.map(|groups| groups.iter().map(ToString::to_string).collect()),
        refused,
        authenticators,
        lanes: lanes
            .into_iter()
            .map(|(key, lane)| LaneReport {
                lane: key.to_string(),
                failures: lane.counted(limits, now.lane),
                closed_for_s: lane
                    .not_before
                    .since(now.lane)
                    .as_millis()
                    .div_ceil(1000)
                    .try_into()
                    .unwrap_or(u64::MAX),
            })
            .collect(),
        known_from: known.iter().map(ToString::to_string).collect(),
    }))
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

async fn enroll(
    house: &House,
    peer: &UCred,
    user: &str,
    label: &str,
    seed: Option<&SecretText>,
    active: bool,
) -> Result<Reply, Reply> {
    let seed = match seed {
        Some(seed) => Seed::from_base32(seed.expose()).map_err(|error| wrong(&error.to_string()))?,
        None if active => {
            return Err(wrong("an authenticator can be active at once only if its seed is given"));
        }
        None => Seed::random().map_err(|error| unavailable(&error.to_string()))?,
    };
    let label = Label::new(label).map_err(|error| wrong(&error.to_string()))?;
    let account = find(house, user).await?;
    if let Some(why) = why_refused(house, &account) {
        return Err(no(&format!("{user} could not log in anyway: {why}")));
    }
    let _alone = COUNTING.lock().await;
    stay_in_budget(house, &account, house.config.totp.digits).await?;
    let new = NewAuthenticator { label, seed, active };
    let made = house.store.enroll(&account.id, &account.name, new, house.clock.now()).await;
    let made = made.map_err(|error| of_store(&error))?;
    record(house, peer, if active { "enrolled" } else { "enrollment-begun" }, &account, &made.report.label);
    Ok(Reply::Enrolled(Enrolled {
        account: account.name.to_string(),
        authenticator: made.report,
        uri: made.uri,
    }))
}

/// Refuses an authenticator of `digits` more where the account's guess bound would pass the budget.
async fn stay_in_budget(house: &House, account: &Account, digits: u8) -> Result<(), Reply> {
    let active = having(house, account, AuthenticatorState::Active).await?;
    let existing: Vec<u8> = active.iter().map(|authenticator| authenticator.digits).collect();
    match check::would_exceed(&house.config, &house.policy, &existing, digits) {
        None => Ok(()),
        Some(bound) => Err(no(&format!(
            "one more authenticator of {digits} digits would raise the chance of guessing a code of {} to {bound} a \
             year, above guess_budget = \"{}\"; {}",
            account.name,
            house.config.tarpit.guess_budget,
            check::remedies(&house.config)
        ))),
    }
}

async fn having(
    house: &House,
    account: &Account,
    state: AuthenticatorState,
) -> Result<Vec<AuthenticatorReport>, Reply> {
    let all = house.store.authenticators(&account.id).await.map_err(|error| of_store(&error))?;
    Ok(all.into_iter().filter(|authenticator| authenticator.state == state).collect())
}

async fn confirm(house: &House, peer: &UCred, user: &str, code: Secret) -> Result<Reply, Reply> {
    let account = find(house, user).await?;
    let _alone = COUNTING.lock().await;
    if let Some(pending) = having(house, &account, AuthenticatorState::Pending).await?.first() {
        stay_in_budget(house, &account, pending.digits).await?;
    }
    let outcome =
        house.store.confirm(&account.id, code, house.clock.now()).await.map_err(|error| of_store(&error))?;
    match outcome {
        Confirmation::Confirmed(report) => {
            record(house, peer, "enrolled", &account, &report.label);
            Ok(Reply::Confirmed(report))
        }
        Confirmation::WrongCode { tries_left: 0 } => {
            Err(no(&format!("that is not its code either; begin anew with: twinlock enroll {user}")))
        }
        Confirmation::WrongCode { .. } => {
            Err(no("that is not the authenticator's code; check the phone's clock and try again"))
        }
        Confirmation::NothingPending => Err(no(&format!(
            "{user} has no authenticator waiting to be confirmed; make one with: twinlock enroll {user}"
        ))),
    }
}

fn record(house: &House, peer: &UCred, word: &str, account: &Account, label: &str) {
    let by = format!("uid {}", peer.uid());
    let fields = [
        ("by", by.as_str()),
        ("user", account.name.as_str()),
        ("account", account.id.as_str()),
        ("label", label),
    ];
    house.auditor.event(&event_line(word, &fields));
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
