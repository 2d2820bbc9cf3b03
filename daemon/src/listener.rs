//! The login socket: takes connections, bounds them, and gives each a task of its own.

use crate::account::account;
use crate::attempt::AttemptId;
use crate::caller::{Caller, is_trusted};
use crate::dialogue::Dialogue;
use crate::house::House;
use crate::login::login;
use std::collections::HashMap;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::unix::UCred;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use twinlock_protocol::Phase;

/// Connections from trusted callers at the same moment. Beyond them a connection is closed, which a module reports as
/// unavailable.
const TRUSTED: usize = 1024;
/// Connections from all other callers together: they cannot take the trusted ones' places.
const OTHERS: usize = 64;
/// Connections from one other uid.
const PER_UID: usize = 4;
/// How long running attempts may go on once the daemon is told to stop.
const GRACE: Duration = Duration::from_secs(20);

/// Binds a socket that anybody may connect to; who counts is decided by SO_PEERCRED. A socket file that nobody listens
/// on is replaced, one that somebody does is left alone.
///
/// # Errors
/// The path is in use, or cannot be bound.
pub fn bind(path: &Path, mode: u32) -> io::Result<UnixListener> {
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                "another daemon listens there; stop it first",
            ));
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path)?,
        Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    Ok(listener)
}

/// Serves until `stop` changes, then lets the running attempts end.
pub async fn serve(house: Arc<House>, listener: UnixListener, mut stop: watch::Receiver<bool>) {
    let quota = Arc::new(Quota::default());
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => admit(&house, &quota, stream, &mut running),
                // Out of descriptors: the connections that are open will give some back.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = running.join_next(), if !running.is_empty() => {}
            _ = stop.changed() => break,
        }
    }
    drop(listener);
    let ended = async { while running.join_next().await.is_some() {} };
    // Whoever is still typing after that finds the daemon gone.
    let _ = tokio::time::timeout(GRACE, ended).await;
}

fn admit(house: &Arc<House>, quota: &Arc<Quota>, stream: UnixStream, running: &mut JoinSet<()>) {
    let Ok(peer) = stream.peer_cred() else { return };
    let Some(place) = Quota::take(quota, &peer) else { return };
    let house = Arc::clone(house);
    running.spawn(async move {
        let _place = place;
        attempt(&house, peer, stream).await;
    });
}

async fn attempt(house: &Arc<House>, peer: UCred, stream: UnixStream) {
    let mut dialogue = Dialogue::new(stream);
    let Ok(begin) = dialogue.begin().await else { return };
    let Ok(id) = AttemptId::random() else { return };
    let (phase, ticket) = (begin.phase, begin.ticket.clone());
    let reader = Arc::clone(house);
    let Ok(caller) = tokio::task::spawn_blocking(move || Caller::new(&reader.policy, &peer, &begin)).await
    else {
        return;
    };
    let _running = house.counts.run();
    match phase {
        Phase::Authenticate => login(house, id, &caller, dialogue).await,
        Phase::Account => account(house, id, &caller, ticket.as_ref(), dialogue).await,
    }
}

/// How many connections are open.
#[derive(Default)]
struct Quota(Mutex<Open>);

#[derive(Default)]
struct Open {
    trusted: usize,
    others: usize,
    by_uid: HashMap<u32, usize>,
}

/// One connection's place; given back on drop.
struct Taken {
    quota: Arc<Quota>,
    uid: Option<u32>,
}

impl Quota {
    fn take(quota: &Arc<Self>, peer: &UCred) -> Option<Taken> {
        let mut open = quota.0.lock().unwrap_or_else(PoisonError::into_inner);
        if is_trusted(peer) {
            if open.trusted >= TRUSTED {
                return None;
            }
            open.trusted += 1;
            return Some(Taken { quota: Arc::clone(quota), uid: None });
        }
        let uid = peer.uid();
        let of_uid = open.by_uid.get(&uid).copied().unwrap_or(0);
        if open.others >= OTHERS || of_uid >= PER_UID {
            return None;
        }
        open.others += 1;
        open.by_uid.insert(uid, of_uid + 1);
        Some(Taken { quota: Arc::clone(quota), uid: Some(uid) })
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut open = self.quota.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(uid) = self.uid else {
            open.trusted = open.trusted.saturating_sub(1);
            return;
        };
        open.others = open.others.saturating_sub(1);
        match open.by_uid.get_mut(&uid) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => {
                open.by_uid.remove(&uid);
            }
        }
    }
}
