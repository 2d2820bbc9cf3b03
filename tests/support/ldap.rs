//! A small LDAP server inside the process, over entries in an LDIF file: for the demo, which must not install slapd,
//! and for tests that want a directory to dawdle or fall silent. It answers simple binds (`userPassword` in the
//! clear), SASL EXTERNAL on the Unix socket, searches and unbind. It is no directory for production: no TLS, no
//! access control.

use bytes::BytesMut;
use ldap3_proto::proto::{
    LdapBindCred, LdapBindResponse, LdapMsg, LdapOp, LdapPartialAttribute, LdapResult, LdapResultCode,
    LdapSearchRequest, LdapSearchResultEntry, LdapSearchScope,
};
use ldap3_proto::{LdapCodec, LdapFilter};
use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use tokio_util::codec::{Decoder, Encoder};

/// Where to listen.
#[derive(Debug, Clone, Default)]
pub struct Listen {
    /// A Unix socket; an old file there is replaced.
    pub socket: Option<PathBuf>,
    /// A free TCP port on 127.0.0.1.
    pub loopback: bool,
}

/// Operations that can be made slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Simple binds.
    Bind,
    /// Searches.
    Search,
}

/// Why it did not start.
#[derive(Debug)]
pub enum StartError {
    /// The LDIF file cannot be read.
    File(PathBuf, io::Error),
    /// A line of the LDIF makes no sense.
    Ldif {
        /// From 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// Nobody can listen there.
    Listen(String, io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Ldif { line, what } => write!(f, "LDIF line {line}: {what}"),
            Self::Listen(place, error) => write!(f, "cannot listen on {place}: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// A running server. Its sockets are closed to newcomers when the process ends; the Unix socket's file is removed
/// with this value.
#[derive(Debug)]
pub struct EmbeddedDirectory {
    shared: Arc<Shared>,
    socket: Option<PathBuf>,
    address: Option<SocketAddr>,
}

#[derive(Debug, Default)]
struct Shared {
    entries: Vec<Entry>,
    binds: Mutex<HashMap<String, usize>>,
    slow: [Slow; 2],
}

#[derive(Debug, Default)]
struct Slow {
    frozen: AtomicBool,
    delay_ms: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    dn: String,
    place: Vec<String>,
    /// Name as written, values.
    attributes: Vec<(String, Vec<Vec<u8>>)>,
}

impl EmbeddedDirectory {
    /// Serves the entries of an LDIF file.
    ///
    /// # Errors
    /// [`StartError`]
    pub fn start_file(ldif: &Path, listen: &Listen) -> Result<Self, StartError> {
        let text = std::fs::read_to_string(ldif).map_err(|error| StartError::File(ldif.to_owned(), error))?;
        Self::start(&text, listen)
    }

    /// Serves the entries of an LDIF text.
    ///
    /// # Errors
    /// [`StartError`]
    pub fn start(ldif: &str, listen: &Listen) -> Result<Self, StartError> {
        let shared = Arc::new(Shared { entries: read_ldif(ldif)?, ..Shared::default() });
        if let Some(socket) = &listen.socket {
            let _ = std::fs::remove_file(socket);
            let listener = UnixListener::bind(socket)
                .map_err(|error| StartError::Listen(socket.display().to_string(), error))?;
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for client in listener.incoming().flatten() {
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || serve(client, &shared));
                }
            });
        }
        let mut address = None;
        if listen.loopback {
            let failed = |error| StartError::Listen("127.0.0.1".into(), error);
            let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
            address = Some(listener.local_addr().map_err(failed)?);
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for client in listener.incoming().flatten() {
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || serve(client, &shared));
                }
            });
        }
        Ok(Self { shared, socket: listen.socket.clone(), address })
    }

    /// URLs of where it listens.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        let socket = self
            .socket
            .as_ref()
            .map(|path| format!("ldapi://{}", path.display().to_string().replace('/', "%2F")));
        socket.into_iter().chain(self.address.map(|address| format!("ldap://{address}"))).collect()
    }

    /// Simple binds received for a DN.
    #[must_use]
    pub fn binds(&self, dn: &str) -> usize {
        let binds = self.shared.binds.lock().unwrap_or_else(PoisonError::into_inner);
        binds.get(&place(dn).join(",")).copied().unwrap_or(0)
    }

    /// Answers such operations no more, until [`EmbeddedDirectory::thaw`].
    pub fn freeze(&self, operation: Operation) {
        self.shared.slow[operation as usize].frozen.store(true, Ordering::SeqCst);
    }

    /// Answers again, those that waited first.
    pub fn thaw(&self, operation: Operation) {
        self.shared.slow[operation as usize].frozen.store(false, Ordering::SeqCst);
    }

    /// Answers such operations only after so long.
    pub fn delay(&self, operation: Operation, by: Duration) {
        let ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.shared.slow[operation as usize].delay_ms.store(ms, Ordering::SeqCst);
    }
}

impl Drop for EmbeddedDirectory {
    fn drop(&mut self) {
        if let Some(socket) = &self.socket {
            let _ = std::fs::remove_file(socket);
        }
    }
}

impl Shared {
    fn dawdle(&self, operation: Operation) {
        let slow = &self.slow[operation as usize];
        thread::sleep(Duration::from_millis(slow.delay_ms.load(Ordering::SeqCst)));
        while slow.frozen.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn bind(&self, dn: &str, credentials: &LdapBindCred) -> LdapResultCode {
        let LdapBindCred::Simple(password) = credentials else {
            return match credentials {
                LdapBindCred::SASL(sasl) if sasl.mechanism == "EXTERNAL" => LdapResultCode::Success,
                LdapBindCred::SASL(_) | LdapBindCred::Simple(_) | LdapBindCred::Unsupported => {
                    LdapResultCode::AuthMethodNotSupported
                }
            };
        };
        let place = place(dn);
        *self.binds.lock().unwrap_or_else(PoisonError::into_inner).entry(place.join(",")).or_default() += 1;
        if password.is_empty() {
            return if dn.is_empty() { LdapResultCode::Success } else { LdapResultCode::UnwillingToPerform };
        }
        let entry = self.entries.iter().find(|entry| entry.place == place);
        let right =
            entry.is_some_and(|entry| entry.values("userPassword").any(|value| value == password.as_bytes()));
        if right { LdapResultCode::Success } else { LdapResultCode::InvalidCredentials }
    }

    fn search(&self, request: &LdapSearchRequest) -> (Vec<LdapSearchResultEntry>, LdapResultCode) {
        let base = place(&request.base);
        if !base.is_empty() && !self.entries.iter().any(|entry| entry.place == base) {
            return (Vec::new(), LdapResultCode::NoSuchObject);
        }
        let mut found = Vec::new();
        for entry in &self.entries {
            let Some(depth) = entry.depth_below(&base) else { continue };
            let in_scope = match request.scope {
                LdapSearchScope::Base => depth == 0,
                LdapSearchScope::OneLevel => depth == 1,
                LdapSearchScope::Subtree => true,
                LdapSearchScope::Children => depth > 0,
            };
            if !in_scope || !entry.matches(&request.filter) {
                continue;
            }
            if usize::try_from(request.sizelimit).is_ok_and(|limit| limit > 0 && found.len() >= limit) {
                return (found, LdapResultCode::SizeLimitExceeded);
            }
            found.push(entry.shown(&request.attrs));
        }
        (found, LdapResultCode::Success)
    }
}

impl Entry {
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let wanted =
            self.attributes.iter().filter(move |(attribute, _)| attribute.eq_ignore_ascii_case(name));
        wanted.flat_map(|(_, values)| values.iter().map(Vec::as_slice))
    }

    fn depth_below(&self, base: &[String]) -> Option<usize> {
        self.place.ends_with(base).then(|| self.place.len() - base.len())
    }

    fn matches(&self, filter: &LdapFilter) -> bool {
        match filter {
            LdapFilter::And(all) => all.iter().all(|filter| self.matches(filter)),
            LdapFilter::Or(any) => any.iter().any(|filter| self.matches(filter)),
            LdapFilter::Not(not) => !self.matches(not),
            LdapFilter::Equality(name, value) => self.values(name).any(|one| {
                let one = String::from_utf8_lossy(one);
                one.to_lowercase() == value.to_lowercase()
                    || (value.contains('=') && place(&one) == place(value))
            }),
            LdapFilter::Present(name) => self.values(name).next().is_some(),
            LdapFilter::Substring(..)
            | LdapFilter::GreaterOrEqual(..)
            | LdapFilter::LessOrEqual(..)
            | LdapFilter::Approx(..)
            | LdapFilter::Extensible(_) => false,
        }
    }

    /// What a search gets to see: never passwords.
    fn shown(&self, wanted: &[String]) -> LdapSearchResultEntry {
        let everything = wanted.is_empty() || wanted.iter().any(|name| name == "*");
        let shown = self.attributes.iter().filter(|(name, _)| {
            !name.eq_ignore_ascii_case("userPassword")
                && (everything || wanted.iter().any(|one| one.eq_ignore_ascii_case(name)))
        });
        LdapSearchResultEntry {
            dn: self.dn.clone(),
            attributes: shown
                .map(|(name, values)| LdapPartialAttribute { atype: name.clone(), vals: values.clone() })
                .collect(),
        }
    }
}

fn serve(mut client: impl Read + Write, shared: &Shared) {
    let (mut codec, mut received) = (LdapCodec::default(), BytesMut::new());
    let mut buffer = [0; 4096];
    loop {
        while let Ok(Some(request)) = codec.decode(&mut received) {
            let Some(answers) = answers(request, shared) else { return };
            let mut bytes = BytesMut::new();
            for answer in answers {
                if codec.encode(answer, &mut bytes).is_err() {
                    return;
                }
            }
            if client.write_all(&bytes).is_err() {
                return;
            }
        }
        match client.read(&mut buffer) {
            Ok(read) if read > 0 => received.extend_from_slice(&buffer[..read]),
            Ok(_) | Err(_) => return,
        }
    }
}

/// `None` ends the connection: unbind, or something this server does not know.
// The protocol crate's own list of operations, of which this server knows three.
#[allow(clippy::wildcard_enum_match_arm)]
fn answers(request: LdapMsg, shared: &Shared) -> Option<Vec<LdapMsg>> {
    let msgid = request.msgid;
    let result =
        |code| LdapResult { code, matcheddn: String::new(), message: String::new(), referral: Vec::new() };
    let message = |op| LdapMsg { msgid, op, ctrl: Vec::new() };
    match request.op {
        LdapOp::BindRequest(bind) => {
            let code = shared.bind(&bind.dn, &bind.cred);
            if matches!(bind.cred, LdapBindCred::Simple(_)) {
                shared.dawdle(Operation::Bind);
            }
            let response = LdapBindResponse { res: result(code), saslcreds: None };
            Some(vec![message(LdapOp::BindResponse(response))])
        }
        LdapOp::SearchRequest(search) => {
            shared.dawdle(Operation::Search);
            let (entries, code) = shared.search(&search);
            let entries = entries.into_iter().map(|entry| message(LdapOp::SearchResultEntry(entry)));
            Some(entries.chain([message(LdapOp::SearchResultDone(result(code)))]).collect())
        }
        LdapOp::AbandonRequest(_) => Some(Vec::new()),
        _ => None,
    }
}

/// A DN as comparable steps, the entry's own first: lower case, without spaces around `,` and `=`, escapes of RFC
/// 4514 undone.
fn place(dn: &str) -> Vec<String> {
    let (mut steps, mut step, mut rest) = (Vec::new(), String::new(), dn.trim().chars());
    while let Some(character) = rest.next() {
        match character {
            ',' => steps.push(std::mem::take(&mut step)),
            '\\' => {
                let pair: String = rest.clone().take(2).collect();
                let byte = u8::from_str_radix(&pair, 16).ok().filter(|_| pair.len() == 2);
                // Not looked at again: an escaped comma does not end the step.
                let literal = match byte {
                    Some(byte) => {
                        rest.nth(1);
                        char::from(byte)
                    }
                    None => rest.next().unwrap_or('\\'),
                };
                step.push(literal);
            }
            _ => step.push(character),
        }
    }
    if !step.is_empty() || !steps.is_empty() {
        steps.push(step);
    }
    steps
        .iter()
        .map(|step| match step.split_once('=') {
            Some((name, value)) => format!("{}={}", name.trim(), value.trim()).to_lowercase(),
            None => step.trim().to_lowercase(),
        })
        .collect()
}

fn read_ldif(text: &str) -> Result<Vec<Entry>, StartError> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        match (line.strip_prefix(' '), lines.last_mut()) {
            (Some(more), Some((_, last))) if !last.is_empty() => last.push_str(more),
            _ => lines.push((number + 1, line.to_owned())),
        }
    }
    let mut entries: Vec<Entry> = Vec::new();
    let mut open = false;
    for (line, text) in lines {
        let problem = |what: &str| StartError::Ldif { line, what: what.to_owned() };
        if text.is_empty() {
            open = false;
            continue;
        }
        if text.starts_with('#') || (entries.is_empty() && text.starts_with("version:")) {
            continue;
        }
        let (name, value) = text.split_once(':').ok_or_else(|| problem("write NAME: VALUE"))?;
        let value = match value.strip_prefix(':') {
            Some(encoded) => unbase64(encoded.trim()).ok_or_else(|| problem("this is no base64"))?,
            None if value.starts_with('<') => return Err(problem("values from files are not supported")),
            None => value.trim_start().as_bytes().to_vec(),
        };
        if name == "dn" {
            let dn = String::from_utf8(value).map_err(|_| problem("a DN is UTF-8"))?;
            let place = place(&dn);
            if open || entries.iter().any(|entry| entry.place == place) {
                return Err(problem("an entry begins after an empty line, and every DN stands once"));
            }
            open = true;
            let uuid = uuid(&place.join(","));
            entries.push(Entry {
                dn,
                place,
                attributes: vec![("entryUUID".into(), vec![uuid.into_bytes()])],
            });
            continue;
        }
        let entry = entries.last_mut().filter(|_| open).ok_or_else(|| problem("an entry begins with dn:"))?;
        if name.eq_ignore_ascii_case("entryUUID") {
            entry.attributes.retain(|(attribute, _)| attribute != "entryUUID");
        }
        match entry.attributes.iter_mut().find(|(attribute, _)| attribute.eq_ignore_ascii_case(name)) {
            Some((_, values)) => values.push(value),
            None => entry.attributes.push((name.to_owned(), vec![value])),
        }
    }
    Ok(entries)
}

/// The same for the same DN, always: what was enrolled for an entry still belongs to it after a restart.
fn uuid(dn: &str) -> String {
    let hash = |seed: u64| {
        dn.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    };
    let (high, low) = (hash(0xcbf2_9ce4_8422_2325), hash(0x9e37_79b9_7f4a_7c15));
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 52,
        low & 0xffff_ffff_ffff
    )
}

fn unbase64(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut number) = (Vec::new(), 0, 0u32);
    for character in text.trim_end_matches('=').bytes() {
        let digit = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        number = (number << 6 | u32::from(digit)) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(number >> bits & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_are_the_same_however_they_are_spelled() {
        assert_eq!(place("uid=Alice, ou=People,DC=x"), place("UID=alice,ou=people,dc=x"));
        assert_eq!(place("cn=a\\2Cb,dc=x"), place("cn=a\\,b,dc=x"));
        assert_ne!(place("cn=a\\,b,dc=x"), place("cn=a,b,dc=x"));
        assert!(place("").is_empty());
    }

    #[test]
    fn base64_is_read_as_it_was_written() {
        for text in ["", "a", "ab", "abc", "grüße"] {
            assert_eq!(unbase64(&crate::slapd::base64(text.as_bytes())).unwrap(), text.as_bytes());
        }
    }

    #[test]
    fn a_bad_line_is_named() {
        let message =
            EmbeddedDirectory::start("dn: dc=x\nnonsense\n", &Listen::default()).unwrap_err().to_string();
        assert_eq!(message, "LDIF line 2: write NAME: VALUE");
    }
}
