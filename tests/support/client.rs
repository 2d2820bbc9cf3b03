//! A bare client of the login socket, for what libpam cannot do: thousands at once, hang-ups at a chosen moment, bytes
//! that are no message.

use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use twinlock_protocol::{Answer, Assembler, Begin, Message, Phase, Secret, Verdict};

/// What a client was told in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Let in.
    Grant,
    /// Not let in.
    Deny,
    /// Not decided.
    Unavailable,
    /// The connection ended without a verdict.
    Nothing,
}

/// Lets this process have thousands of connections: sessions usually begin with 1,024 descriptors.
///
/// # Panics
/// The limit cannot be read or raised.
pub fn many_connections() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
}

/// One connection.
pub struct Client(UnixStream);

impl Client {
    /// Connects; waits while the daemon's backlog is full.
    ///
    /// # Panics
    /// Nothing listens.
    pub async fn connect(socket: &Path) -> Self {
        loop {
            match UnixStream::connect(socket).await {
                Ok(stream) => return Self(stream),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                }
                Err(error) => panic!("{}: {error}", socket.display()),
            }
        }
    }

    /// Over a connection that is open already.
    #[must_use]
    pub const fn over(stream: UnixStream) -> Self {
        Self(stream)
    }

    /// The connection itself.
    #[must_use]
    pub fn into_stream(self) -> UnixStream {
        self.0
    }

    /// A whole login: opens, gives `answers` in turn to whatever is asked, and returns the verdict.
    pub async fn login(mut self, service: &str, user: &str, source: &str, answers: &[&[u8]]) -> Told {
        if self.open(service, user, source).await.is_err() {
            return Told::Nothing;
        }
        let mut answers = answers.iter();
        loop {
            match self.read().await {
                Some(Message::Ask { .. }) => {
                    let Some(answer) = answers.next() else { return Told::Nothing };
                    if self.answer(answer).await.is_err() {
                        return Told::Nothing;
                    }
                }
                Some(Message::Tell { .. }) => {}
                Some(Message::Verdict(Verdict::Grant { .. })) => return Told::Grant,
                Some(Message::Verdict(Verdict::Deny | Verdict::Withheld { .. })) => return Told::Deny,
                Some(Message::Verdict(Verdict::Unavailable)) => return Told::Unavailable,
                Some(Message::Begin(_) | Message::Answer(_)) | None => return Told::Nothing,
            }
        }
    }

    /// Sends the opening of an auth phase.
    ///
    /// # Errors
    /// The daemon has hung up.
    pub async fn open(&mut self, service: &str, user: &str, source: &str) -> std::io::Result<()> {
        let begin = Begin {
            phase: Phase::Authenticate,
            service: service.into(),
            user: user.into(),
            rhost: Some(source.into()),
            ruser: None,
            tty: None,
            ssh_connection: None,
            ssh_auth_info: None,
            silent: false,
            ticket: None,
        };
        self.0.write_all(&Message::Begin(begin).encode()).await
    }

    /// Sends an answer.
    ///
    /// # Errors
    /// The daemon has hung up.
    pub async fn answer(&mut self, typed: &[u8]) -> std::io::Result<()> {
        self.0.write_all(&Message::Answer(Answer::Typed(Secret::copy_of(typed))).encode()).await
    }

    /// The next message; `None` once the daemon has hung up.
    pub async fn read(&mut self) -> Option<Message> {
        let mut assembler = Assembler::new();
        let mut chunk = [0; 4096];
        loop {
            let wanted = assembler.wants().min(chunk.len());
            let count = self.0.read(&mut chunk[..wanted]).await.ok().filter(|count| *count > 0)?;
            if let Some(body) = assembler.push(&chunk[..count]).ok()? {
                return Message::decode(&body).ok();
            }
        }
    }
}
