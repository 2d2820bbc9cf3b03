//! Servers by DNS: `srv://example.org` stands for what `_ldap._tcp.example.org` names (RFC 2782). Asked of the host's own
//! name servers, and again when the answer's time is over.
//!
//! DNS is not believed further than that: a target outside the domain is left out, so that whoever forges an answer has to
//! show a certificate of a name within it.

use super::endpoint::Endpoint;
use super::tls;
use super::{SetupError, lock};
use crate::attempt::Deadline;
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use twinlock_config::{Tls, TlsMode};

/// How an answer's time to live is bounded.
const SOONEST: Duration = Duration::from_secs(60);
/// See [`SOONEST`].
const LATEST: Duration = Duration::from_secs(3600);
/// After an answer that was none.
const AFTER_FAILURE: Duration = Duration::from_secs(30);
/// For one name server's answer.
const PER_ASK: Duration = Duration::from_millis(700);
/// Most name servers that are asked, as resolv.conf(5) has it.
const MOST_NAME_SERVERS: usize = 3;
/// Most servers of one domain.
const MOST_TARGETS: usize = 32;
/// Largest answer over UDP.
const LARGEST: usize = 4096;

const DNS: u16 = 53;

/// One domain's servers.
pub(crate) struct Discovery {
    domain: String,
    tls: Tls,
    connector: TlsConnector,
    next: Mutex<Option<Instant>>,
    /// One looks at a time.
    pub(crate) looking: tokio::sync::Mutex<()>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    priority: u16,
    weight: u16,
    host: String,
    port: u16,
}

/// The domain of `srv://DOMAIN`.
pub(crate) fn domain_of(url: &str) -> Option<&str> {
    let domain = url.strip_prefix("srv://")?;
    Some(domain.strip_suffix('/').unwrap_or(domain))
}

impl Discovery {
    /// Nothing is asked yet.
    ///
    /// # Errors
    /// The domain is none, or the way there would not be TLS.
    pub(crate) fn new(url: &str, domain: &str, tls: &Tls) -> Result<Self, SetupError> {
        let problem = |what: &str| SetupError::Server { url: url.to_owned(), what: what.to_owned() };
        if Name::new(domain).is_err() || domain.is_empty() {
            return Err(problem("write a domain behind srv://, as in srv://example.org"));
        }
        if tls.mode == TlsMode::None {
            return Err(problem("servers that DNS names are reached over TLS only"));
        }
        Ok(Self {
            domain: domain.trim_end_matches('.').to_ascii_lowercase(),
            tls: tls.clone(),
            connector: tls::connector(tls)?,
            next: Mutex::new(None),
            looking: tokio::sync::Mutex::new(()),
        })
    }

    /// Whether nobody has looked yet.
    pub(crate) fn is_fresh(&self) -> bool {
        lock(&self.next).is_none()
    }

    /// Whether it is time to look.
    pub(crate) fn is_due(&self) -> bool {
        lock(&self.next).is_none_or(|next| next <= Instant::now())
    }

    /// The servers of the domain, the best first: each with its URL.
    ///
    /// # Errors
    /// Why there is no answer, for a reason.
    pub(crate) async fn look(&self, deadline: Deadline) -> Result<Vec<(String, Endpoint)>, String> {
        let looked = deadline.bound(self.targets()).await.unwrap_or_else(|| Err("no answer in time".into()));
        let now = Instant::now();
        *lock(&self.next) = Some(match &looked {
            Ok((_, lasts)) => now + (*lasts).clamp(SOONEST, LATEST),
            Err(_) => now + AFTER_FAILURE,
        });
        let targets = in_order(looked.map_err(|why| format!("srv://{}: {why}", self.domain))?.0);
        let scheme = if self.tls.mode == TlsMode::Ldaps { "ldaps" } else { "ldap" };
        let known =
            targets.into_iter().filter(|target| is_within(&target.host, &self.domain)).filter_map(|target| {
                let url = format!("{scheme}://{}:{}", target.host, target.port);
                let endpoint = Endpoint::read(&url, &self.tls, || Ok(self.connector.clone())).ok()?;
                Some((url, endpoint))
            });
        let known: Vec<_> = known.take(MOST_TARGETS).collect();
        if known.is_empty() {
            return Err(format!("srv://{0}: DNS names no server within {0}", self.domain));
        }
        Ok(known)
    }

    /// With `tls.mode = "ldaps"`, `_ldaps._tcp` counts; where there is none, the hosts of `_ldap._tcp` on port 636.
    async fn targets(&self) -> Result<(Vec<Target>, Duration), String> {
        let name_servers = name_servers(Path::new("/etc/resolv.conf")).map_err(|error| error.to_string())?;
        if self.tls.mode == TlsMode::Ldaps {
            let found = ask_all(&name_servers, &format!("_ldaps._tcp.{}", self.domain)).await?;
            if !found.0.is_empty() {
                return Ok(found);
            }
        }
        let (mut targets, lasts) = ask_all(&name_servers, &format!("_ldap._tcp.{}", self.domain)).await?;
        if self.tls.mode == TlsMode::Ldaps {
            targets.iter_mut().for_each(|target| target.port = 636);
        }
        Ok((targets, lasts))
    }
}

fn is_within(host: &str, domain: &str) -> bool {
    host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

/// By priority; of the same, by weight.
fn in_order(mut targets: Vec<Target>) -> Vec<Target> {
    targets.sort_by_key(|target| (target.priority, std::cmp::Reverse(target.weight)));
    targets
}

fn name_servers(file: &Path) -> io::Result<Vec<SocketAddr>> {
    let text = std::fs::read(file)?;
    let (config, _) = resolv_conf::Config::parse_with_errors(&text);
    let known = config.nameservers.iter().take(MOST_NAME_SERVERS);
    let known: Vec<_> = known.map(|server| SocketAddr::new(IpAddr::from(server), DNS)).collect();
    if known.is_empty() {
        return Err(io::Error::other(format!("{} names no name server", file.display())));
    }
    Ok(known)
}

/// Asks one name server after the other. That there is no such name is an answer.
async fn ask_all(name_servers: &[SocketAddr], name: &str) -> Result<(Vec<Target>, Duration), String> {
    let mut failure = String::new();
    for server in name_servers.iter().chain(name_servers) {
        match Deadline::within(PER_ASK).bound(ask(*server, name)).await {
            Some(Ok(found)) => return Ok(found),
            Some(Err(error)) => failure = format!("name server {server}: {error}"),
            None => failure = format!("name server {server} does not answer"),
        }
    }
    Err(failure)
}

async fn ask(server: SocketAddr, name: &str) -> io::Result<(Vec<Target>, Duration)> {
    let [high, low, ..] = getrandom::u64().map_err(io::Error::other)?.to_be_bytes();
    let id = u16::from_be_bytes([high, low]);
    let query = query(id, name).map_err(io::Error::other)?;
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).await?;
    // Only what this server sends to this port is read.
    socket.connect(server).await?;
    socket.send(&query).await?;
    let mut buffer = vec![0; LARGEST];
    loop {
        let length = socket.recv(&mut buffer).await?;
        match read(buffer.get(..length).unwrap_or_default(), id, name) {
            Read::NotOurs => {}
            Read::Found(targets, lasts) => return Ok((targets, lasts)),
            Read::Failed(why) => return Err(io::Error::other(why)),
            Read::CutShort => break,
        }
    }
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(query.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], &query].concat()).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    match read(&answer, id, name) {
        Read::Found(targets, lasts) => Ok((targets, lasts)),
        Read::NotOurs | Read::CutShort => Err(io::Error::other("its answer over TCP is to something else")),
        Read::Failed(why) => Err(io::Error::other(why)),
    }
}

fn query(id: u16, name: &str) -> Result<Vec<u8>, simple_dns::SimpleDnsError> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let (kind, class) = (QTYPE::TYPE(TYPE::SRV), QCLASS::CLASS(CLASS::IN));
    packet.questions.push(Question::new(Name::new(name)?, kind, class, false));
    packet.build_bytes_vec()
}

enum Read {
    /// To another question: perhaps forged, perhaps late.
    NotOurs,
    /// Too long for UDP.
    CutShort,
    Failed(String),
    Found(Vec<Target>, Duration),
}

fn read(bytes: &[u8], id: u16, name: &str) -> Read {
    let Ok(packet) = Packet::parse(bytes) else { return Read::NotOurs };
    let asked = |question: &Question<'_>| question.qname.to_string().eq_ignore_ascii_case(name);
    if packet.id() != id || !packet.has_flags(PacketFlag::RESPONSE) || !packet.questions.iter().all(asked) {
        return Read::NotOurs;
    }
    if packet.has_flags(PacketFlag::TRUNCATION) {
        return Read::CutShort;
    }
    if !matches!(packet.rcode(), RCODE::NoError | RCODE::NameError) {
        return Read::Failed(format!("it answers {:?}", packet.rcode()));
    }
    let mut lasts = LATEST;
    let mut targets = Vec::new();
    for answer in packet.answers.iter().filter(|answer| answer.name.to_string().eq_ignore_ascii_case(name)) {
        if let RData::SRV(server) = &answer.rdata {
            lasts = lasts.min(Duration::from_secs(answer.ttl.into()));
            let host = server.target.to_string().trim_end_matches('.').to_ascii_lowercase();
            // A single dot says that there is no such service (RFC 2782).
            if !host.is_empty() {
                targets.push(Target {
                    priority: server.priority,
                    weight: server.weight,
                    host,
                    port: server.port,
                });
            }
        }
    }
    Read::Found(targets, lasts)
}

#[cfg(test)]
#[path = "discovery_tests.rs"]
mod tests;
