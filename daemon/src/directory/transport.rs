//! The way to a directory server: every address of its name, then StartTLS, then TLS, all before `ldap3` sees a
//! byte. A connection that comes out of here is protected as the configuration says, or there is none.

use super::endpoint::{Endpoint, Protection};
use super::guard::{self, Frames, tag};
use super::tls::TlsIdentity;
use crate::attempt::Deadline;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UnixStream, lookup_host};
use tokio::time::Instant;

/// An open connection, protected as it has to be.
pub(crate) type Peer = Box<dyn Stream>;

/// Reads and writes.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum TransportError {
    /// The name has no address.
    NoAddress(Option<io::Error>),
    /// The name has an address beyond this host, and no TLS is set.
    NotLoopback(SocketAddr),
    /// No address answered.
    Connect(io::Error),
    /// The server does not begin TLS when asked to.
    StartTls(String),
    /// No TLS session came about, or the certificate is not believed.
    Tls(io::Error),
    /// Not within `connect_timeout`.
    TimedOut,
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddress(None) => f.write_str("its name has no address; check `servers` and DNS"),
            Self::NoAddress(Some(error)) => {
                write!(f, "its name cannot be resolved ({error}); check `servers` and DNS")
            }
            Self::NotLoopback(address) => {
                write!(f, "its name means {address}, which is not this host, and tls.mode is \"none\"")
            }
            Self::Connect(error) => write!(f, "no connection ({error}); is the server running?"),
            Self::StartTls(what) => write!(f, "StartTLS did not succeed: {what}; try ldaps://"),
            Self::Tls(error) => {
                write!(f, "no trusted TLS session ({error}); check tls.ca and the server's certificate")
            }
            Self::TimedOut => f.write_str("it did not answer within connect_timeout"),
        }
    }
}

/// Connects; all of it before `deadline`.
///
/// # Errors
/// [`TransportError`]; nothing secret was sent then.
pub(crate) async fn connect(endpoint: &Endpoint, deadline: Deadline) -> Result<Peer, TransportError> {
    deadline.bound(connected(endpoint, deadline)).await.unwrap_or(Err(TransportError::TimedOut))
}

async fn connected(endpoint: &Endpoint, deadline: Deadline) -> Result<Peer, TransportError> {
    match endpoint {
        Endpoint::Unix(path) => {
            Ok(Box::new(UnixStream::connect(path).await.map_err(TransportError::Connect)?))
        }
        Endpoint::Tcp { host, port, protection } => {
            let only_loopback = matches!(protection, Protection::LoopbackOnly);
            let mut stream = tcp(host, *port, only_loopback, deadline).await?;
            match protection {
                Protection::LoopbackOnly => Ok(Box::new(stream)),
                Protection::Tls(identity) => tls(identity, stream).await,
                Protection::StartTls(identity) => {
                    start_tls(&mut stream).await?;
                    tls(identity, stream).await
                }
            }
        }
    }
}

/// Tries each address of `host`; each gets an equal share of the time that is left.
async fn tcp(
    host: &str,
    port: u16,
    only_loopback: bool,
    deadline: Deadline,
) -> Result<TcpStream, TransportError> {
    let addresses: Vec<SocketAddr> =
        lookup_host((host, port)).await.map_err(|error| TransportError::NoAddress(Some(error)))?.collect();
    if let Some(beyond) = addresses.iter().find(|address| only_loopback && !address.ip().is_loopback()) {
        return Err(TransportError::NotLoopback(*beyond));
    }
    let mut failure = TransportError::NoAddress(None);
    for (tried, address) in addresses.iter().enumerate() {
        let left = deadline.instant().saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        match deadline.at_most(share).bound(tcp_to(*address)).await {
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(error)) => failure = TransportError::Connect(error),
            None => failure = TransportError::TimedOut,
        }
    }
    Err(failure)
}

async fn tcp_to(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_nodelay(true)?;
    socket.set_keepalive(true)?;
    socket.connect(address).await
}

async fn tls(identity: &TlsIdentity, stream: TcpStream) -> Result<Peer, TransportError> {
    let session = identity.connector.connect(identity.name.clone(), stream).await;
    Ok(Box::new(session.map_err(TransportError::Tls)?))
}

/// An extended request with message id 1 and the name 1.3.6.1.4.1.1466.20037 (RFC 4511, 4.14.1).
const START_TLS: &[u8; 31] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";

/// Asks for TLS in the clear. The answer must be exactly one successful extended response to it: a byte behind it
/// would be taken for one that came under TLS.
async fn start_tls(stream: &mut TcpStream) -> Result<(), TransportError> {
    let failed = |what: String| TransportError::StartTls(what);
    stream.write_all(START_TLS).await.map_err(TransportError::Connect)?;
    let mut frames = Frames::new();
    let mut buffer = [0; 1024];
    let message = loop {
        let read = stream.read(&mut buffer).await.map_err(TransportError::Connect)?;
        if read == 0 {
            return Err(failed("the server closed the connection".into()));
        }
        frames.feed(buffer.get(..read).unwrap_or_default());
        if let Some(message) = frames.next().map_err(|refused| failed(refused.to_string()))? {
            break message;
        }
    };
    let envelope = guard::response(&message).map_err(|refused| failed(refused.to_string()))?;
    if !frames.is_empty() || envelope.id != 1 || envelope.operation != tag::EXTENDED_RESPONSE {
        return Err(failed("the server sent something else than one answer to it".into()));
    }
    match envelope.result {
        Some(0) => Ok(()),
        code => Err(failed(format!("the server refused it with result code {}", code.unwrap_or_default()))),
    }
}
