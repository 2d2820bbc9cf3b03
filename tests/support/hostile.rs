//! A directory server that misbehaves at a chosen message: over plain loopback, or after a TLS handshake that is in
//! order. Up to there it answers as a server would.

use crate::slapd::PEOPLE;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// At which message it begins to misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// The service account's bind.
    ServiceBind,
    /// A search.
    Search,
    /// A user's bind.
    UserBind,
}

/// What it does there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trick {
    /// `30 00`.
    EmptyMessage,
    /// Ten thousand sequences in each other.
    Nested,
    /// A header that promises two gigabytes, and some of them.
    TwoGigabytes,
    /// A right answer, a byte a second.
    Trickle,
    /// A right answer to another message.
    WrongId,
    /// References and referrals to itself.
    Circles,
    /// A hundred thousand entries.
    Entries,
    /// The end of the connection.
    Fin,
    /// Its abrupt end.
    Rst,
    /// Nothing at all.
    Silence,
    /// A notice of disconnection.
    Notice,
}

impl Trick {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::EmptyMessage,
        Self::Nested,
        Self::TwoGigabytes,
        Self::Trickle,
        Self::WrongId,
        Self::Circles,
        Self::Entries,
        Self::Fin,
        Self::Rst,
        Self::Silence,
        Self::Notice,
    ];
}

/// A running server; it ends with the test process.
#[derive(Debug)]
pub struct Hostile {
    address: SocketAddr,
    tricks: Arc<AtomicUsize>,
}

impl Hostile {
    /// Starts one; with TLS if `tls` names the folder of a [`crate::slapd::Slapd`]'s certificate.
    ///
    /// # Panics
    /// It cannot listen.
    #[must_use]
    pub fn start(at: At, trick: Trick, tls: Option<&Path>) -> Self {
        let acceptor = tls.map(acceptor);
        let tricks = Arc::new(AtomicUsize::new(0));
        let (count, (tell, told)) = (Arc::clone(&tricks), std::sync::mpsc::channel());
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    let (acceptor, count) = (acceptor.clone(), Arc::clone(&count));
                    tokio::spawn(async move {
                        if trick == Trick::Rst {
                            let _ = stream.set_zero_linger();
                        }
                        match acceptor {
                            None => serve(stream, at, trick, &count).await,
                            Some(acceptor) => {
                                if let Ok(stream) = acceptor.accept(stream).await {
                                    serve(stream, at, trick, &count).await;
                                }
                            }
                        }
                    });
                }
            });
        });
        Self { address: told.recv().unwrap(), tricks }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How often it came to its trick.
    #[must_use]
    pub fn tricks(&self) -> usize {
        self.tricks.load(Ordering::SeqCst)
    }
}

fn acceptor(folder: &Path) -> TlsAcceptor {
    let chain =
        CertificateDer::pem_file_iter(folder.join("server.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, at: At, trick: Trick, count: &AtomicUsize) {
    let mut buffer = vec![0; 8192];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        let message = &buffer[..read];
        let Some((id, operation)) = opened(message) else { return };
        let user = message.windows(4).any(|window| window == b"uid=");
        let stage = match operation {
            0x60 if user => At::UserBind,
            0x60 => At::ServiceBind,
            0x63 => At::Search,
            _ => return,
        };
        if stage == at {
            count.fetch_add(1, Ordering::SeqCst);
            play(&mut stream, trick, id, operation).await;
            if matches!(trick, Trick::Fin | Trick::Rst) {
                return;
            }
            continue;
        }
        let answer = if operation == 0x63 { [entry(id), done(id)].concat() } else { bound(id) };
        if stream.write_all(&answer).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

async fn play(stream: &mut (impl AsyncWrite + Unpin), trick: Trick, id: u8, operation: u8) {
    let right = if operation == 0x63 { [entry(id), done(id)].concat() } else { bound(id) };
    let last = if operation == 0x63 { 0x65 } else { 0x61 };
    let bytes = match trick {
        Trick::EmptyMessage => vec![0x30, 0],
        Trick::Nested => nested(10_000),
        Trick::TwoGigabytes => {
            [vec![0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 2, 1, id], vec![0x04; 1 << 20]].concat()
        }
        Trick::WrongId => {
            let other = id.wrapping_add(1);
            if operation == 0x63 { [entry(other), done(other)].concat() } else { bound(other) }
        }
        Trick::Circles => {
            let uri = b"ldap://127.0.0.1/dc=example,dc=org";
            let reference = message(id, &element(0x73, &element(4, uri)));
            let referral = [&[0x0a, 1, 10, 4, 0, 4, 0][..], &element(0xa3, &element(4, uri))].concat();
            let mut all = if operation == 0x63 { reference.repeat(5) } else { Vec::new() };
            all.extend(message(id, &element(last, &referral)));
            all
        }
        Trick::Entries => {
            for _ in 0..100 {
                if stream.write_all(&entry(id).repeat(1000)).await.is_err() {
                    return;
                }
            }
            done(id)
        }
        Trick::Notice => message(0, &element(0x78, &[0x0a, 1, 52, 4, 0, 4, 0])),
        Trick::Trickle => {
            for byte in right {
                if stream.write_all(&[byte]).await.is_err() || stream.flush().await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            return;
        }
        Trick::Fin | Trick::Rst | Trick::Silence => return,
    };
    let _ = stream.write_all(&bytes).await;
    let _ = stream.flush().await;
}

/// Message id and operation of a short request.
fn opened(message: &[u8]) -> Option<(u8, u8)> {
    let at = if message.get(1)? & 0x80 == 0 { 2 } else { 2 + usize::from(message[1] & 0x7f) };
    match message.get(at..at + 4)? {
        [2, 1, id, operation] => Some((*id, *operation)),
        _ => None,
    }
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag, 0x84][..], &length, content].concat()
}

fn message(id: u8, operation: &[u8]) -> Vec<u8> {
    element(0x30, &[&[2, 1, id][..], operation].concat())
}

fn bound(id: u8) -> Vec<u8> {
    message(id, &element(0x61, &[0x0a, 1, 0, 4, 0, 4, 0]))
}

fn done(id: u8) -> Vec<u8> {
    message(id, &element(0x65, &[0x0a, 1, 0, 4, 0, 4, 0]))
}

/// Alice.
fn entry(id: u8) -> Vec<u8> {
    let attribute = |name: &str, value: &str| {
        let values = element(0x31, &element(4, value.as_bytes()));
        element(0x30, &[element(4, name.as_bytes()), values].concat())
    };
    let attributes = [
        attribute("uid", "alice"),
        attribute("uidNumber", "2001"),
        attribute("entryUUID", "6f1d2c3e-0000-4000-8000-000000000001"),
    ];
    let dn = element(4, format!("uid=alice,{PEOPLE}").as_bytes());
    message(id, &element(0x64, &[dn, element(0x30, &attributes.concat())].concat()))
}

fn nested(levels: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for level in (0..levels).rev() {
        let length = u32::try_from(6 * level).unwrap();
        bytes.extend([0x30, 0x84]);
        bytes.extend(length.to_be_bytes());
    }
    bytes
}
