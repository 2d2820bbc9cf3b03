//! A TCP relay that remembers every byte a client sent through it, so that a test can say what never left.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// A relay to one address. It runs until the test process ends.
#[derive(Debug)]
pub struct RecordingProxy {
    address: SocketAddr,
    sent: Arc<Mutex<Vec<u8>>>,
    connections: Arc<AtomicUsize>,
    upstream: Arc<Mutex<SocketAddr>>,
}

impl RecordingProxy {
    /// Listens on `listen` (port 0 for a free one) and relays to `upstream`.
    ///
    /// # Panics
    /// It cannot listen.
    #[must_use]
    pub fn start(listen: &str, upstream: SocketAddr) -> Self {
        Self::relaying(listen, upstream, false)
    }

    /// The same, but a request to begin TLS is answered with a refusal and does not get through.
    ///
    /// # Panics
    /// As [`RecordingProxy::start`].
    #[must_use]
    pub fn without_start_tls(listen: &str, upstream: SocketAddr) -> Self {
        Self::relaying(listen, upstream, true)
    }

    fn relaying(listen: &str, upstream: SocketAddr, strips: bool) -> Self {
        let listener = TcpListener::bind(listen).expect("a port to listen on");
        let address = listener.local_addr().expect("its address");
        let (sent, connections) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let upstream = Arc::new(Mutex::new(upstream));
        let leads = Arc::clone(&upstream);
        let (record, count) = (Arc::clone(&sent), Arc::clone(&connections));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let upstream = *leads.lock().unwrap_or_else(PoisonError::into_inner);
                let Ok(server) = TcpStream::connect(upstream) else { continue };
                let record = Arc::clone(&record);
                let (from, to) = (client.try_clone().expect("clone"), server.try_clone().expect("clone"));
                let back = client.try_clone().expect("clone");
                thread::spawn(move || {
                    relay(from, to, |bytes| {
                        record.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
                        let stripped =
                            strips && bytes.windows(START_TLS.len()).any(|window| window == START_TLS);
                        if stripped {
                            let _ = (&back).write_all(&REFUSED);
                        }
                        !stripped
                    });
                });
                thread::spawn(move || relay(server, client, |_| true));
            }
        });
        Self { address, sent, connections, upstream }
    }

    /// Leads new connections elsewhere.
    pub fn lead_to(&self, upstream: SocketAddr) {
        *self.upstream.lock().unwrap_or_else(PoisonError::into_inner) = upstream;
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Whether a client sent these bytes in a row.
    #[must_use]
    pub fn saw(&self, bytes: &[u8]) -> bool {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.windows(bytes.len()).any(|window| window == bytes)
    }

    /// How many bytes clients sent.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// The name of the request (RFC 4511, 4.14).
const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";

/// An extended response to message 1 with protocolError.
const REFUSED: [u8; 14] = [0x30, 12, 2, 1, 1, 0x78, 7, 0x0a, 1, 2, 4, 0, 4, 0];

/// `passes` sees what comes and says whether it goes on.
fn relay(mut from: TcpStream, mut to: TcpStream, passes: impl Fn(&[u8]) -> bool) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(read) = from.read(&mut buffer) {
        if read == 0 {
            break;
        }
        if !passes(&buffer[..read]) {
            continue;
        }
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
