//! What happens over minutes: failed servers, connections that a firewall forgot, connections nobody needs. The clock
//! is moved between real exchanges with a peer on a Unix socket.

use super::super::endpoint::Endpoint;
use super::super::servers::{Identity, Server};
use super::*;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

struct Socket(PathBuf);

impl Socket {
    fn new(label: &str) -> Self {
        Self(std::env::temp_dir().join(format!("tl-pool-{}-{label}", std::process::id())))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Answers `patience` requests on each connection, binds and searches alike, then reads on in silence. Counts
/// connections that are open.
fn answering(path: &Path, patience: usize) -> Arc<AtomicUsize> {
    let listener = UnixListener::bind(path).unwrap();
    let open = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&open);
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let count = Arc::clone(&count);
            count.fetch_add(1, Ordering::SeqCst);
            std::thread::spawn(move || {
                let (mut buffer, mut answered) = ([0; 4096], 0);
                while client.read(&mut buffer).is_ok_and(|read| read > 0) {
                    answered += 1;
                    // Message id and operation of a request this short stand at fixed places.
                    let (id, kind) = (buffer[4], buffer[5] + if buffer[5] == 0x63 { 2 } else { 1 });
                    let answer = [0x30, 12, 2, 1, id, kind, 7, 0x0a, 1, 0, 4, 0, 4, 0];
                    if answered <= patience && client.write_all(&answer).is_err() {
                        break;
                    }
                }
                count.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    open
}

fn pool(path: &Path, purpose: Purpose) -> Arc<Pool> {
    let servers = Servers {
        directory: "main".into(),
        list: Mutex::new(vec![Arc::new(Server::new(
            "ldapi://test".into(),
            Endpoint::Unix(path.to_owned()),
            0,
        ))]),
        discoveries: Vec::new(),
        identity: Identity::Own,
        sub_codes: false,
        connect_timeout: Duration::from_secs(1),
        timeout: Duration::from_secs(2),
    };
    Pool::new(Arc::new(servers), purpose, 4)
}

fn soon() -> Deadline {
    Deadline::within(Duration::from_secs(5))
}

async fn later(by: Duration) {
    // Tasks that were just spawned begin their waits.
    tokio::time::sleep(Duration::from_millis(5)).await;
    tokio::time::pause();
    tokio::time::advance(by).await;
    tokio::time::resume();
}

async fn until(mut holds: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(3), "it did not come about");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_failed_server_is_found_well_again_without_a_login() {
    let socket = Socket::new("well");
    let pool = pool(&socket.0, Purpose::Search);
    assert!(pool.lease(soon()).await.is_err());
    let healthy = || pool.servers.status().first().and_then(|server| server.healthy);
    assert_eq!(healthy(), Some(false));
    let _open = answering(&socket.0, usize::MAX);
    later(Duration::from_secs(31)).await;
    until(|| healthy() == Some(true)).await;
}

#[tokio::test]
async fn a_connection_that_was_forgotten_on_the_way_costs_a_second_and_no_login() {
    let socket = Socket::new("forgotten");
    // Each connection answers the service's bind and nothing after it.
    let open = answering(&socket.0, 1);
    let pool = pool(&socket.0, Purpose::Search);
    pool.lease(soon()).await.unwrap().give_back();
    later(DOUBTED).await;
    let began = std::time::Instant::now();
    let mut lease = pool.lease(soon()).await.unwrap();
    assert!(lease.link.is_alive() && began.elapsed() < 2 * LIVELY);
    until(|| open.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn connections_nobody_uses_are_closed_after_minutes() {
    let socket = Socket::new("unused");
    let open = answering(&socket.0, usize::MAX);
    let pool = pool(&socket.0, Purpose::Bind);
    let (one, two) = (pool.lease(soon()).await.unwrap(), pool.lease(soon()).await.unwrap());
    one.give_back();
    two.give_back();
    until(|| open.load(Ordering::SeqCst) == 2).await;
    later(KEPT / 4).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(open.load(Ordering::SeqCst), 2);
    for _ in 0..4 {
        later(KEPT / 4).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    until(|| open.load(Ordering::SeqCst) == 0).await;
}

#[tokio::test]
async fn whoever_finds_every_place_taken_waits_until_its_deadline_and_no_longer() {
    let socket = Socket::new("taken");
    let _open = answering(&socket.0, usize::MAX);
    let pool = pool(&socket.0, Purpose::Bind);
    let mut taken = Vec::new();
    for _ in 0..4 {
        taken.push(pool.lease(soon()).await.unwrap());
    }
    let began = std::time::Instant::now();
    let refused = pool.lease(Deadline::within(Duration::from_millis(100))).await;
    assert!(matches!(refused, Err(DirectoryError::Unavailable { bind_sent: false, .. })));
    assert!((100..500).contains(&began.elapsed().as_millis()));
    taken.pop().unwrap().give_back();
    assert!(pool.lease(Deadline::within(Duration::from_millis(100))).await.is_ok());
}
