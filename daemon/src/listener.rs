//! The login socket: takes connections, bounds them, and gives each a task of its own.

use crate::account::account;
use crate::attempt::AttemptId;
use crate::caller::{Caller, is_trusted};
use crate::change::change;
use crate::dialogue::Dialogue;
use crate::house::House;
use crate::login::login;
use std::collections::HashMap;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
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
    let uid = peer.uid();
    let Some(place) = Quota::take(quota, uid) else { return };
    let house = Arc::clone(house);
    running.spawn(async move {
        let _place = place;
        attempt(&house, uid, stream).await;
    });
}

async fn attempt(house: &Arc<House>, uid: u32, stream: UnixStream) {
    let mut dialogue = Dialogue::new(stream);
    let Ok(begin) = dialogue.begin().await else { return };
    let Ok(id) = AttemptId::random() else { return };
    let (phase, ticket) = (begin.phase, begin.ticket.clone());
    let reader = Arc::clone(house);
    let Ok(caller) = tokio::task::spawn_blocking(move || Caller::new(&reader.policy, uid, &begin)).await
    else {
        return;
    };
    if caller.named {
        house.locations.note_name(&house.auditor, &caller.service);
    }
    let _running = house.counts.run();
    match phase {
        Phase::Authenticate => login(house, id, &caller, dialogue).await,
        Phase::Account => account(house, id, &caller, ticket.as_ref(), dialogue).await,
        Phase::Change => change(house, id, &caller, ticket.as_ref(), dialogue).await,
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
    fn take(quota: &Arc<Self>, uid: u32) -> Option<Taken> {
        let mut open = quota.0.lock().unwrap_or_else(PoisonError::into_inner);
        if is_trusted(uid) {
            if open.trusted >= TRUSTED {
                return None;
            }
            open.trusted += 1;
            return Some(Taken { quota: Arc::clone(quota), uid: None });
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    const SOMEBODY: u32 = 4_000_000_000;

    /// Promise 11.
    #[test]
    fn callers_that_are_not_trusted_have_four_places_a_uid_and_sixty_four_together_and_give_them_back() {
        let quota = Arc::new(Quota::default());
        let own: Vec<_> = (0..10).filter_map(|_| Quota::take(&quota, SOMEBODY)).collect();
        assert_eq!(own.len(), PER_UID);
        let others: Vec<_> = (1..100).filter_map(|n| Quota::take(&quota, SOMEBODY + n)).collect();
        assert_eq!(own.len() + others.len(), OTHERS);
        drop(others);
        assert!(Quota::take(&quota, SOMEBODY).is_none(), "its own four are still taken");
        drop(own);
        assert!(Quota::take(&quota, SOMEBODY).is_some());
        assert!(quota.0.lock().unwrap().by_uid.is_empty(), "nothing is kept of who has gone");
    }

    /// Promise 11.
    #[test]
    fn trusted_callers_have_places_of_their_own_and_not_without_end() {
        let quota = Arc::new(Quota::default());
        let others: Vec<_> = (0..100).filter_map(|n| Quota::take(&quota, SOMEBODY + n)).collect();
        assert_eq!(others.len(), OTHERS);
        let trusted: Vec<_> = (0..2000).filter_map(|_| Quota::take(&quota, 0)).collect();
        assert_eq!(trusted.len(), TRUSTED);
        drop(trusted);
        assert!(Quota::take(&quota, 0).is_some());
    }

    #[tokio::test]
    async fn a_socket_that_somebody_listens_on_is_left_alone_and_one_that_is_left_over_is_replaced() {
        let path = std::env::temp_dir().join(format!("twinlock-bind-{}", std::process::id()));
        let first = bind(&path, 0o600).unwrap();
        assert_eq!(bind(&path, 0o600).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert!(std::os::unix::net::UnixStream::connect(&path).is_ok(), "the first one goes on");
        drop(first);
        let second = bind(&path, 0o640).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        drop(second);
        std::fs::remove_file(&path).unwrap();
    }
}
