//! `try`: one attempt over the login socket, as the module makes it. It counts like any other.

use crate::args::{Args, TryArgs};
use crate::client::{connect, lost};
use crate::outcome::{Answer, Failure};
use crate::terminal;
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::geteuid;
use serde::Serialize;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use twinlock_control::ErrorKind;
use twinlock_protocol::{
    Answer as Typed, Assembler, Begin, MAX_ANSWER, Message, Phase, Secret, Tell, Verdict,
};

pub(crate) fn run(args: &Args, attempt: &TryArgs) -> Result<Answer, Failure> {
    let path = args.login_socket()?;
    let mut line = Line { stream: connect(&path)?, path };
    line.trusts_us()?;
    if terminal::is_interactive() {
        terminal::complain("this counts like any other attempt: a failure is a failure of the account");
    }
    let user = match &attempt.user {
        Some(user) => user.clone().into_bytes(),
        None => terminal::ask("User: ", true)?.to_vec(),
    };
    line.send(&Message::Begin(begin(attempt, user)))?;
    loop {
        match line.receive()? {
            Message::Ask { prompt, echo } => {
                let typed = terminal::ask(&prompt, echo)?;
                let answer = if typed.len() > MAX_ANSWER {
                    Typed::TooLong
                } else {
                    Typed::Typed(Secret::copy_of(&typed))
                };
                line.send(&Message::Answer(answer))?;
            }
            Message::Tell { text, style: Tell::Info | Tell::Error } => {
                for line in text.lines() {
                    terminal::complain(line);
                }
            }
            Message::Verdict(verdict) => return report(args, &verdict),
            Message::Begin(_) | Message::Answer(_) => return Err(not_understood(&line.path)),
        }
    }
}

fn begin(attempt: &TryArgs, user: Vec<u8>) -> Begin {
    Begin {
        phase: if attempt.account_phase { Phase::Account } else { Phase::Authenticate },
        service: attempt.service.clone().into_bytes(),
        user,
        rhost: attempt.from.map(|address| address.to_string().into_bytes()),
        ruser: None,
        tty: None,
        ssh_connection: None,
        ssh_auth_info: None,
        silent: false,
        ticket: None,
    }
}

#[derive(Serialize)]
struct Shown {
    verdict: &'static str,
}

fn report(args: &Args, verdict: &Verdict) -> Result<Answer, Failure> {
    let word = match verdict {
        Verdict::Grant { .. } => "granted",
        Verdict::Deny | Verdict::Withheld { .. } => "denied",
        Verdict::Unavailable => "unavailable",
    };
    if args.json {
        terminal::print_json(&Shown { verdict: word })?;
    } else {
        terminal::print(word)?;
    }
    match verdict {
        Verdict::Grant { .. } => Ok(Answer::Yes),
        Verdict::Deny | Verdict::Withheld { .. } => Ok(Answer::No),
        Verdict::Unavailable => Err(Failure::Unavailable(
            "nothing could be decided: the directory or the store did not answer; the audit record says why"
                .into(),
        )),
    }
}

/// The connection, message by message.
struct Line {
    path: PathBuf,
    stream: UnixStream,
}

impl Line {
    /// The daemon takes the word of root and of its own user only; for anybody else it would try something else than
    /// was asked.
    fn trusts_us(&self) -> Result<(), Failure> {
        let peer = getsockopt(&self.stream, PeerCredentials)
            .map_err(|error| Failure::Unavailable(format!("{}: {error}", self.path.display())))?;
        let us = geteuid();
        if us.is_root() || us.as_raw() == peer.uid() {
            return Ok(());
        }
        Err(Failure::Refused(
            ErrorKind::No,
            "only root may try the logins of others; run this as root".into(),
        ))
    }

    fn send(&mut self, message: &Message) -> Result<(), Failure> {
        self.stream.write_all(&message.encode()).map_err(|error| lost(&self.path, &error))
    }

    fn receive(&mut self) -> Result<Message, Failure> {
        let mut assembler = Assembler::new();
        let mut buffer = [0; 1024];
        loop {
            let wanted = assembler.wants().min(buffer.len());
            let Some(space) = buffer.get_mut(..wanted) else { return Err(not_understood(&self.path)) };
            let read = self.stream.read(space).map_err(|error| lost(&self.path, &error))?;
            if read == 0 {
                return Err(Failure::Unavailable(format!(
                    "{}: the daemon hung up without a verdict; this is for root only",
                    self.path.display()
                )));
            }
            let bytes = space.get(..read).unwrap_or_default();
            let whole = assembler.push(bytes).map_err(|_| not_understood(&self.path))?;
            if let Some(body) = whole {
                return Message::decode(&body).map_err(|_| not_understood(&self.path));
            }
        }
    }
}

fn not_understood(path: &Path) -> Failure {
    Failure::Unavailable(format!(
        "{}: what answers there is not understood; is this the login socket of a twinlockd of this version?",
        path.display()
    ))
}
