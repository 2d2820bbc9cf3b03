//! What the module does when the daemon behaves oddly: the real libpam loads the built `.so`, and a scripted peer
//! speaks (or breaks) the protocol at the other end of a real socket.
//!
//! The rows of "PAM codes" in docs/contracts.md name these tests; the last test holds the two together.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a story stops at the first surprise"
)]

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::socket::{UnixAddr, getpeername};
use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileExt, PermissionsExt, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use support::pam::{Code, Fault, Line, Login, SILENT, Stack, Style};
use twinlock_protocol::{Answer, Assembler, AuthTok, Begin, Message, Phase, Secret, Standing, Tell, Verdict};

const NOBODY: u32 = 65534;
const PASSWORD: &str = "Password: ";
const CODE: &str = "Verification code: ";

/// A folder with a listening socket, where the script's daemon stands.
struct Door {
    folder: PathBuf,
    listener: UnixListener,
}

impl Door {
    fn open() -> Self {
        let folder = nix::unistd::mkdtemp(&std::env::temp_dir().join("twinlock-door-XXXXXX")).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let listener = UnixListener::bind(folder.join("login.sock")).unwrap();
        Self { folder, listener }
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("login.sock")
    }

    /// A service whose module looks for its daemon here. Twenty seconds of patience, so that no story passes by
    /// running into the time-out.
    fn stack(&self) -> Stack {
        self.impatient(20)
    }

    fn impatient(&self, seconds: u32) -> Stack {
        Stack::of_module("sshd", &format!("socket={} timeout={seconds}", self.socket().display()))
    }

    /// Plays one attempt.
    fn serve<R: Send + 'static>(&self, script: impl FnOnce(Peer) -> R + Send + 'static) -> JoinHandle<R> {
        let listener = self.listener.try_clone().unwrap();
        thread::spawn(move || script(Peer { stream: listener.accept().unwrap().0 }))
    }

    /// Opens with Begin, then sends one message.
    fn answer_with(&self, message: Message) -> JoinHandle<Begin> {
        self.serve(move |mut peer| {
            let begin = peer.begin();
            peer.say(&message);
            begin
        })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The daemon's end of one connection.
struct Peer {
    stream: UnixStream,
}

impl Peer {
    /// The next message; `None` when the module hung up.
    fn hear(&mut self) -> Option<Message> {
        let mut assembler = Assembler::new();
        loop {
            let mut buffer = [0; 512];
            let wanted = assembler.wants().min(buffer.len());
            let read = self.stream.read(&mut buffer[..wanted]).unwrap_or(0);
            if read == 0 {
                return None;
            }
            let body = assembler.push(&buffer[..read]).unwrap();
            wipe(&mut buffer);
            if let Some(body) = body {
                return Some(Message::decode(&body).unwrap());
            }
        }
    }

    fn begin(&mut self) -> Begin {
        match self.hear() {
            Some(Message::Begin(begin)) => begin,
            other => panic!("no Begin: {other:?}"),
        }
    }

    fn ask(&mut self, prompt: &str) -> Answer {
        self.say(&Message::Ask { prompt: prompt.into(), echo: false });
        match self.hear() {
            Some(Message::Answer(answer)) => answer,
            other => panic!("no Answer: {other:?}"),
        }
    }

    fn say(&mut self, message: &Message) {
        self.write(&message.encode());
    }

    /// The module may have hung up already; what it made of things is seen in its code.
    fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }
}

fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    std::hint::black_box(bytes);
}

fn grant() -> Message {
    Message::Verdict(Verdict::Grant { ticket: None, authtok: None })
}

fn deny() -> Message {
    Message::Verdict(Verdict::Deny)
}

/// Answers each question with the same bytes.
fn always(login: Login, answer: &[u8]) -> Login {
    let answer = answer.to_vec();
    login.answering(move |style, _| style.is_question().then(|| answer.clone()))
}

fn line(style: Style, text: &str) -> Line {
    Line { style, text: text.into() }
}

// --- verdicts -------------------------------------------------------------------------------------------------------

#[test]
fn a_grant_lets_in() {
    let door = Door::open();
    let daemon = door.serve(|mut peer| {
        peer.begin();
        let answers = [peer.ask(PASSWORD), peer.ask(CODE)];
        peer.say(&grant());
        answers
    });
    let stack = door.stack();
    let mut login = stack.login("alice").typing("hunter2", "123456");
    assert_eq!(login.authenticate(0), Code::SUCCESS);
    assert_eq!(login.transcript(), [line(Style::Hidden, PASSWORD), line(Style::Hidden, CODE)]);
    let expected = [b"hunter2".as_slice(), b"123456"].map(|typed| Answer::Typed(Secret::copy_of(typed)));
    assert_eq!(daemon.join().unwrap(), expected);
}

#[test]
fn a_denial_is_auth_err() {
    let door = Door::open();
    let daemon = door.answer_with(deny());
    assert_eq!(door.stack().login("alice").authenticate(0), Code::AUTH_ERR);
    daemon.join().unwrap();
}

#[test]
fn unavailable_is_passed_on() {
    let door = Door::open();
    let daemon = door.answer_with(Message::Verdict(Verdict::Unavailable));
    assert_eq!(door.stack().login("alice").authenticate(0), Code::AUTHINFO_UNAVAIL);
    daemon.join().unwrap();
}

#[test]
fn the_account_phase_maps_each_verdict() {
    let door = Door::open();
    for (verdict, code) in [
        (grant(), Code::SUCCESS),
        (deny(), Code::PERM_DENIED),
        (Message::Verdict(Verdict::Unavailable), Code::AUTHINFO_UNAVAIL),
    ] {
        let daemon = door.answer_with(verdict);
        assert_eq!(door.stack().login("alice").acct_mgmt(0), code);
        assert_eq!(daemon.join().unwrap().phase, Phase::Account);
    }
}

// --- what the daemon is told ----------------------------------------------------------------------------------------

#[test]
fn the_daemon_hears_every_item_as_the_application_set_it() {
    let door = Door::open();
    let daemon = door.answer_with(grant());
    let stack = door.stack();
    let mut login = stack
        .login_bytes(b"al\xff\xc3ce")
        .from("2001:db8::7")
        .invoked_by("bob")
        .on_tty("/dev/pts/3")
        .with_environment("SSH_CONNECTION", "192.0.2.7 1 192.0.2.1 22")
        .with_environment("SSH_AUTH_INFO_0", "publickey ssh-ed25519 AAAA");
    assert_eq!(login.authenticate(SILENT), Code::SUCCESS);
    assert_eq!(
        daemon.join().unwrap(),
        Begin {
            phase: Phase::Authenticate,
            service: b"sshd".to_vec(),
            user: b"al\xff\xc3ce".to_vec(),
            rhost: Some(b"2001:db8::7".to_vec()),
            ruser: Some(b"bob".to_vec()),
            tty: Some(b"/dev/pts/3".to_vec()),
            ssh_connection: Some(b"192.0.2.7 1 192.0.2.1 22".to_vec()),
            ssh_auth_info: Some(b"publickey ssh-ed25519 AAAA".to_vec()),
            silent: true,
            ticket: None,
        }
    );
}

#[test]
fn what_the_application_did_not_set_is_absent() {
    let door = Door::open();
    let daemon = door.answer_with(grant());
    assert_eq!(door.stack().login("alice").authenticate(0), Code::SUCCESS);
    let begin = daemon.join().unwrap();
    let absent = [begin.rhost, begin.ruser, begin.tty, begin.ssh_connection, begin.ssh_auth_info];
    assert_eq!(absent, [None, None, None, None, None]);
    assert!(!begin.silent);
}

#[test]
fn a_name_is_asked_for_where_the_application_has_none() {
    let door = Door::open();
    let daemon = door.answer_with(grant());
    let stack = door.stack();
    let mut login = always(stack.login_nameless(), b"al\xffice");
    assert_eq!(login.authenticate(0), Code::SUCCESS);
    assert_eq!(daemon.join().unwrap().user, b"al\xffice");
}

#[test]
fn no_name_no_attempt() {
    let door = Door::open();
    assert_eq!(door.stack().login_nameless().authenticate(0), Code::CONV_ERR);
    assert_eq!(door.stack().login_nameless().acct_mgmt(0), Code::CONV_ERR);
    door.listener.set_nonblocking(true).unwrap();
    assert!(door.listener.accept().is_err(), "the daemon was asked about nobody");
}

#[test]
fn a_name_that_had_to_be_cut_is_never_granted() {
    let door = Door::open();
    let daemon = door.answer_with(grant());
    // libpam asks by itself where it thinks little of a name; this one it takes.
    let mut login = door.stack().login(&"a".repeat(1500));
    assert_eq!(login.authenticate(0), Code::AUTH_ERR);
    assert_eq!(daemon.join().unwrap().user.len(), 1024);
}

// --- questions, answers, messages -----------------------------------------------------------------------------------

#[test]
fn what_was_typed_is_passed_on_unchanged_up_to_511_bytes() {
    let typed = |length| Answer::Typed(Secret::new(vec![0xfe; length]));
    for (length, expected) in [
        (0, typed(0)),
        (1, typed(1)),
        (511, typed(511)),
        (512, Answer::TooLong),
        (1024, Answer::TooLong),
        (100_000, Answer::TooLong),
    ] {
        let door = Door::open();
        let daemon = door.serve(|mut peer| {
            peer.begin();
            let answer = peer.ask(PASSWORD);
            peer.say(&deny());
            answer
        });
        let stack = door.stack();
        let mut login = always(stack.login("alice"), &vec![0xfe; length]);
        assert_eq!(login.authenticate(0), Code::AUTH_ERR, "{length}");
        assert_eq!(daemon.join().unwrap(), expected, "{length}");
    }
}

#[test]
fn bytes_that_are_no_utf_8_reach_the_daemon_as_typed() {
    let door = Door::open();
    let daemon = door.serve(|mut peer| {
        peer.begin();
        let answer = peer.ask(PASSWORD);
        peer.say(&deny());
        answer
    });
    let stack = door.stack();
    assert_eq!(
        always(stack.login("alice"), b"\x08\x0a\x0d\x7fINCORRECT\xc0\x80").authenticate(0),
        Code::AUTH_ERR
    );
    let expected = Answer::Typed(Secret::copy_of(b"\x08\x0a\x0d\x7fINCORRECT\xc0\x80"));
    assert_eq!(daemon.join().unwrap(), expected);
}

#[test]
fn a_question_is_shown_as_it_was_asked() {
    let door = Door::open();
    let daemon = door.serve(|mut peer| {
        peer.begin();
        peer.say(&Message::Ask { prompt: "Grüße 100% %s: ".into(), echo: true });
        peer.hear();
        peer.say(&deny());
    });
    let stack = door.stack();
    let mut login = always(stack.login("alice"), b"x");
    assert_eq!(login.authenticate(0), Code::AUTH_ERR);
    assert_eq!(login.transcript(), [line(Style::Shown, "Grüße 100% %s: ")]);
    daemon.join().unwrap();
}

fn tell_and_grant(peer: &mut Peer) {
    peer.say(&Message::Tell { style: Tell::Info, text: "Welcome".into() });
    peer.say(&Message::Tell { style: Tell::Error, text: "Careful".into() });
    peer.say(&grant());
}

#[test]
fn what_the_daemon_tells_is_shown() {
    let door = Door::open();
    let daemon = door.serve(|mut peer| {
        peer.begin();
        tell_and_grant(&mut peer);
    });
    let stack = door.stack();
    let mut login = stack.login("alice");
    assert_eq!(login.authenticate(0), Code::SUCCESS);
    assert_eq!(login.transcript(), [line(Style::Info, "Welcome"), line(Style::Error, "Careful")]);
    daemon.join().unwrap();
}

#[test]
fn pam_silent_hides_what_the_daemon_tells_but_not_what_it_asks() {
    let door = Door::open();
    let daemon = door.serve(|mut peer| {
        peer.begin();
        peer.ask(PASSWORD);
        tell_and_grant(&mut peer);
    });
    let stack = door.stack();
    let mut login = always(stack.login("alice"), b"hunter2");
    assert_eq!(login.authenticate(SILENT), Code::SUCCESS);
    assert_eq!(login.transcript(), [line(Style::Hidden, PASSWORD)]);
    daemon.join().unwrap();
}

#[test]
fn a_message_that_cannot_be_shown_does_no_harm() {
    for fault in [Fault::NoAnswers, Fault::NullAnswer, Fault::Fails(Code::CONV_ERR), Fault::Fails(Code(9999))]
    {
        let door = Door::open();
        let daemon = door.serve(|mut peer| {
            peer.begin();
            tell_and_grant(&mut peer);
        });
        assert_eq!(door.stack().login("alice").failing(fault).authenticate(0), Code::SUCCESS, "{fault:?}");
        daemon.join().unwrap();
    }
}

#[test]
fn a_failing_conversation_leaves_the_verdict_to_the_daemon() {
    for (verdict, code) in [
        (deny(), Code::AUTH_ERR),
        (Message::Verdict(Verdict::Unavailable), Code::AUTHINFO_UNAVAIL),
        (grant(), Code::SUCCESS),
    ] {
        for fault in
            [Fault::NoAnswers, Fault::NullAnswer, Fault::Fails(Code::CONV_ERR), Fault::Fails(Code(30))]
        {
            let door = Door::open();
            let said = verdict.clone();
            let daemon = door.serve(move |mut peer| {
                peer.begin();
                let answers = [peer.ask(PASSWORD), peer.ask(CODE)];
                peer.say(&said);
                answers
            });
            let stack = door.stack();
            let mut login = always(stack.login("alice"), b"hunter2").failing(fault);
            assert_eq!(login.authenticate(0), code, "{fault:?}");
            assert_eq!(daemon.join().unwrap(), [Answer::Refused, Answer::Refused]);
            assert_eq!(login.prompts(), [PASSWORD], "an application that refused once was asked again");
        }
    }
}

#[test]
fn a_verdict_left_behind_for_somebody_who_typed_too_long_still_counts() {
    let door = Door::open();
    let (gone, has_gone) = std::sync::mpsc::channel();
    let daemon = door.serve(move |mut peer| {
        peer.begin();
        peer.say(&Message::Ask { prompt: PASSWORD.into(), echo: false });
        peer.say(&deny());
        drop(peer);
        gone.send(()).unwrap();
    });
    let stack = door.stack();
    let mut login = stack.login("alice").answering(move |_, _| {
        has_gone.recv().unwrap();
        Some(b"hunter2".to_vec())
    });
    assert_eq!(login.authenticate(0), Code::AUTH_ERR);
    daemon.join().unwrap();
}

#[test]
fn a_user_name_changed_under_way_is_denied() {
    let door = Door::open();
    let daemon = door.serve(|mut peer| {
        let begin = peer.begin();
        peer.ask(PASSWORD);
        peer.say(&grant());
        begin.user
    });
    let stack = door.stack();
    let mut login = always(stack.login("alice"), b"hunter2").renaming("root");
    assert_eq!(login.authenticate(0), Code::AUTH_ERR);
    assert_eq!(login.user().unwrap(), b"root");
    assert_eq!(daemon.join().unwrap(), b"alice");

    let daemon = door.serve(|mut peer| {
        peer.begin();
        tell_and_grant(&mut peer);
    });
    assert_eq!(stack.login("alice").renaming("root").acct_mgmt(0), Code::PERM_DENIED);
    daemon.join().unwrap();
}

// --- a daemon that is not there, or not itself ----------------------------------------------------------------------

#[test]
fn an_absent_daemon_is_unavailable_at_once() {
    let door = Door::open();
    let refused = door.socket();
    let missing = door.folder.join("nothing.sock");
    // The socket's file stays, and nobody listens.
    let stack = door.stack();
    let listener = door.listener.as_raw_fd();
    nix::sys::socket::shutdown(listener, nix::sys::socket::Shutdown::Both).unwrap();
    assert!(refused.exists());
    let begun = Instant::now();
    assert_eq!(stack.login("alice").authenticate(0), Code::AUTHINFO_UNAVAIL);
    let stack = Stack::of_module("sshd", &format!("socket={}", missing.display()));
    assert_eq!(stack.login("alice").authenticate(0), Code::AUTHINFO_UNAVAIL);
    assert!(begun.elapsed() < Duration::from_secs(10), "it waited for a daemon that is not there");
}

/// Runs `attempt` under a time-out of one second, and sees that it took at least that and not much more.
fn in_about_a_second(attempt: impl FnOnce() -> Code) {
    let begun = Instant::now();
    assert_eq!(attempt(), Code::AUTHINFO_UNAVAIL);
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(990), "it gave up after {took:?}");
    assert!(took < Duration::from_secs(8), "it held the application for {took:?}");
}

#[test]
fn a_full_backlog_is_unavailable_in_time() {
    let door = Door::open();
    nix::sys::socket::listen(&door.listener, nix::sys::socket::Backlog::new(1).unwrap()).unwrap();
    let mut waiting = Vec::new();
    loop {
        let socket = nix::sys::socket::socket(
            nix::sys::socket::AddressFamily::Unix,
            nix::sys::socket::SockType::Stream,
            nix::sys::socket::SockFlag::SOCK_NONBLOCK,
            None,
        )
        .unwrap();
        let full =
            nix::sys::socket::connect(socket.as_raw_fd(), &UnixAddr::new(&door.socket()).unwrap()).is_err();
        waiting.push(socket);
        if full {
            break;
        }
        assert!(waiting.len() < 100, "the backlog never fills");
    }
    in_about_a_second(|| door.impatient(1).login("alice").authenticate(0));
}

#[test]
fn a_silent_daemon_is_unavailable_in_time() {
    let door = Door::open();
    // Before its first message: the kernel has accepted the connection, nobody else will.
    in_about_a_second(|| door.impatient(1).login("alice").authenticate(0));
    drop(door.listener.accept().unwrap());
    // And when it owes something for an answer.
    let daemon = door.serve(|mut peer| {
        peer.begin();
        peer.ask(PASSWORD);
        peer.hear()
    });
    let stack = door.impatient(1);
    in_about_a_second(|| always(stack.login("alice"), b"hunter2").authenticate(0));
    assert_eq!(daemon.join().unwrap(), None);
}

#[test]
fn the_person_typing_is_not_on_the_daemons_time() {
    let door = Door::open();
    let daemon = door.serve(|mut peer| {
        peer.begin();
        peer.ask(PASSWORD);
        peer.say(&grant());
    });
    let stack = door.impatient(1);
    let mut login = stack.login("alice").answering(|_, _| {
        thread::sleep(Duration::from_millis(1500));
        Some(b"hunter2".to_vec())
    });
    assert_eq!(login.authenticate(0), Code::SUCCESS);
    daemon.join().unwrap();
}

#[test]
fn a_trickle_of_bytes_does_not_move_the_deadline() {
    let door = Door::open();
    let daemon = door.serve(|mut peer| {
        peer.begin();
        let frame = Message::Tell { style: Tell::Info, text: "x".repeat(4000) }.encode();
        for byte in frame.iter() {
            if peer.stream.write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
    });
    in_about_a_second(|| door.impatient(1).login("alice").authenticate(0));
    daemon.join().unwrap();
}

#[test]
fn a_daemon_that_hangs_up_is_unavailable() {
    let whole = grant().encode();
    for sent in [0, 1, 4, 5, whole.len() - 1] {
        let door = Door::open();
        let bytes = whole[..sent].to_vec();
        let daemon = door.serve(move |mut peer| {
            peer.begin();
            peer.write(&bytes);
        });
        assert_eq!(door.stack().login("alice").authenticate(0), Code::AUTHINFO_UNAVAIL, "after {sent} bytes");
        daemon.join().unwrap();
    }
    // Without a look at what the module sent.
    let door = Door::open();
    let daemon = door.serve(drop);
    assert_eq!(door.stack().login("alice").authenticate(0), Code::AUTHINFO_UNAVAIL);
    daemon.join().unwrap();
}

#[test]
fn a_malformed_reply_is_unavailable() {
    let mut newer = grant().encode().to_vec();
    newer[5] = 99;
    let mut surplus_ticket = deny().encode().to_vec();
    surplus_ticket[3] += 19;
    surplus_ticket.extend([0x8a, 0, 16]);
    surplus_ticket.extend([7; 16]);
    let ask = |prompt: &str| Message::Ask { prompt: prompt.into(), echo: false }.encode().to_vec();
    let mut nul = ask("Pass word");
    let place = nul.iter().position(|byte| *byte == b' ').unwrap();
    nul[place] = 0;
    let mut not_utf_8 = ask("Pass word");
    not_utf_8[place] = 0xff;
    for (what, bytes) in [
        ("too large", vec![0, 0, 0x40, 1]),
        ("huge", vec![0xff; 64]),
        ("too small", vec![0, 0, 0, 2, 0, 1]),
        ("text", b"HTTP/1.1 200 OK\r\n\r\n".to_vec()),
        ("no such kind", vec![0, 0, 0, 3, 0, 1, 77]),
        ("another version", newer),
        ("a verdict without an outcome", vec![0, 0, 0, 3, 0, 1, 5]),
        ("a denial with a ticket", surplus_ticket),
        ("a prompt with a NUL", nul),
        ("a prompt that is no UTF-8", not_utf_8),
        (
            "the module's own Begin",
            Message::Begin(Begin {
                phase: Phase::Authenticate,
                service: b"sshd".to_vec(),
                user: b"alice".to_vec(),
                rhost: None,
                ruser: None,
                tty: None,
                ssh_connection: None,
                ssh_auth_info: None,
                silent: false,
                ticket: None,
            })
            .encode()
            .to_vec(),
        ),
        ("the module's own Answer", Message::Answer(Answer::Refused).encode().to_vec()),
    ] {
        let door = Door::open();
        let daemon = door.serve(move |mut peer| {
            peer.begin();
            peer.write(&bytes);
            peer.hear()
        });
        let begun = Instant::now();
        assert_eq!(door.stack().login("alice").authenticate(0), Code::AUTHINFO_UNAVAIL, "{what}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{what}: it waited for more");
        assert_eq!(daemon.join().unwrap(), None, "{what}");
    }
}

#[test]
fn a_daemon_that_never_ends_is_unavailable() {
    let door = Door::open();
    let daemon = door.serve(|mut peer| {
        peer.begin();
        let mut answered = 0;
        loop {
            peer.say(&Message::Ask { prompt: PASSWORD.into(), echo: false });
            if peer.hear().is_none() {
                return answered;
            }
            answered += 1;
        }
    });
    let stack = door.stack();
    let mut login = always(stack.login("alice"), b"hunter2");
    assert_eq!(login.authenticate(0), Code::AUTHINFO_UNAVAIL);
    assert_eq!(daemon.join().unwrap(), 16);

    let daemon = door.serve(|mut peer| {
        peer.begin();
        let text = Message::Tell { style: Tell::Info, text: "and another thing".into() }.encode();
        while peer.stream.write_all(&text).is_ok() {}
    });
    let mut login = stack.login("alice");
    assert_eq!(login.authenticate(0), Code::AUTHINFO_UNAVAIL);
    assert_eq!(login.transcript().len(), 64);
    daemon.join().unwrap();
}

/// Makes the listener `uid`'s: the kernel notes who calls listen(2). Credentials are a thread's own in the kernel;
/// libc's wrappers would change those of all threads.
fn listen_as(listener: &UnixListener, uid: u32) {
    let become_uid = |uid: u32| {
        // SAFETY: a system call without pointers; real and saved id stay, so that the way back is open.
        let returned = unsafe { libc::syscall(libc::SYS_setresuid, u32::MAX, uid, u32::MAX) };
        assert_eq!(returned, 0);
    };
    become_uid(uid);
    // SAFETY: the descriptor is open for as long as the borrow lasts.
    let listening = unsafe { libc::listen(listener.as_raw_fd(), 16) };
    become_uid(0);
    assert_eq!(listening, 0);
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[test]
fn a_stranger_behind_the_socket_is_not_believed() {
    let code_of = |door: &Door| {
        let daemon = door.serve(|mut peer| {
            if matches!(peer.hear(), Some(Message::Begin(_))) {
                peer.say(&grant());
            }
        });
        let code = door.stack().login("alice").authenticate(0);
        daemon.join().unwrap();
        code
    };
    let mode =
        |door: &Door, mode| fs::set_permissions(&door.folder, fs::Permissions::from_mode(mode)).unwrap();
    let door = Door::open();
    let someone = if is_root() {
        // Not its own directory.
        listen_as(&door.listener, NOBODY);
        assert_eq!(code_of(&door), Code::AUTHINFO_UNAVAIL);
        NOBODY
    } else {
        nix::unistd::geteuid().as_raw()
    };
    chown(&door.folder, Some(someone), None).unwrap();
    for others_may_write in [0o777, 0o775, 0o757, 0o1777] {
        mode(&door, others_may_write);
        assert_eq!(code_of(&door), Code::AUTHINFO_UNAVAIL, "{others_may_write:o}");
    }
    // Its own directory and nobody else's.
    for alone in [0o755, 0o700] {
        mode(&door, alone);
        assert_eq!(code_of(&door), Code::SUCCESS, "{alone:o}");
    }
}

#[test]
fn a_link_in_place_of_the_sockets_directory_is_not_followed() {
    let door = Door::open();
    let link = door.folder.with_extension("link");
    std::os::unix::fs::symlink(&door.folder, &link).unwrap();
    if is_root() {
        listen_as(&door.listener, NOBODY);
        chown(&door.folder, Some(NOBODY), None).unwrap();
        nix::unistd::fchownat(
            nix::fcntl::AT_FDCWD,
            &link,
            Some(NOBODY.into()),
            None,
            nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW,
        )
        .unwrap();
    }
    let stack = Stack::of_module("sshd", &format!("socket={}/login.sock", link.display()));
    let daemon = door.serve(|mut peer| peer.hear());
    assert_eq!(stack.login("alice").authenticate(0), Code::AUTHINFO_UNAVAIL);
    assert_eq!(daemon.join().unwrap(), None);
    fs::remove_file(link).unwrap();
}

// --- signals and descriptors ----------------------------------------------------------------------------------------

extern "C" fn interrupt(_: libc::c_int) {}

/// Sends SIGUSR1 to the thread that made it, every 5 ms, until it is dropped.
struct Ringing {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ringing {
    fn at_this_thread() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        // SAFETY: no arguments.
        let waiting = unsafe { libc::pthread_self() };
        let told = Arc::clone(&over);
        let thread = thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                // SAFETY: that thread joins this one before it ends.
                unsafe { libc::pthread_kill(waiting, libc::SIGUSR1) };
                thread::sleep(Duration::from_millis(5));
            }
        });
        Self { over, thread: Some(thread) }
    }
}

impl Drop for Ringing {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

#[test]
fn signals_that_the_application_handles_neither_end_nor_prolong_a_wait() {
    let handler = SigAction::new(SigHandler::Handler(interrupt), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing.
    unsafe { sigaction(Signal::SIGUSR1, &handler) }.unwrap();
    let ringing = Ringing::at_this_thread();
    let door = Door::open();
    let stack = door.impatient(1);
    let silent = door.serve(|mut peer| {
        peer.begin();
        peer.hear()
    });
    in_about_a_second(|| stack.login("alice").authenticate(0));
    silent.join().unwrap();
    let late = door.serve(|mut peer| {
        peer.begin();
        thread::sleep(Duration::from_millis(400));
        peer.say(&grant());
    });
    assert_eq!(stack.login("alice").authenticate(0), Code::SUCCESS);
    late.join().unwrap();
    drop(ringing);
}

static PIPE_BROKE_IN: AtomicI32 = AtomicI32::new(0);

extern "C" fn note_broken_pipe(_: libc::c_int) {
    PIPE_BROKE_IN.store(nix::unistd::gettid().as_raw(), Ordering::SeqCst);
}

#[test]
fn an_answer_to_a_daemon_that_has_gone_raises_no_sigpipe() {
    let handler = SigAction::new(SigHandler::Handler(note_broken_pipe), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler makes one system call and one atomic store.
    unsafe { sigaction(Signal::SIGPIPE, &handler) }.unwrap();
    let door = Door::open();
    let (gone, has_gone) = std::sync::mpsc::channel();
    let daemon = door.serve(move |mut peer| {
        peer.begin();
        peer.say(&Message::Ask { prompt: PASSWORD.into(), echo: false });
        drop(peer);
        gone.send(()).unwrap();
    });
    let stack = door.stack();
    let mut login = stack.login("alice").answering(move |_, _| {
        has_gone.recv().unwrap();
        Some(b"hunter2".to_vec())
    });
    assert_eq!(login.authenticate(0), Code::AUTHINFO_UNAVAIL);
    assert_ne!(PIPE_BROKE_IN.load(Ordering::SeqCst), nix::unistd::gettid().as_raw());
    daemon.join().unwrap();
}

/// The descriptors of this process that are connected to the socket at `path`.
fn connections_to(path: &Path) -> Vec<RawFd> {
    let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
    let numbers = open.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(|fd| getpeername::<UnixAddr>(*fd).is_ok_and(|peer| peer.path() == Some(path))).collect()
}

#[test]
fn the_connection_is_closed_on_exec_and_gone_after_the_verdict() {
    let door = Door::open();
    let daemon = door.serve(|mut peer| {
        peer.begin();
        peer.ask(PASSWORD);
        peer.say(&grant());
    });
    let seen = Arc::new(Mutex::new(Vec::new()));
    let stack = door.stack();
    let mut login = stack.login("alice").answering({
        let (seen, path) = (Arc::clone(&seen), door.socket());
        move |_, _| {
            *seen.lock().unwrap() = connections_to(&path);
            for fd in seen.lock().unwrap().iter() {
                // SAFETY: a query about a descriptor, without pointers.
                assert_eq!(unsafe { libc::fcntl(*fd, libc::F_GETFD) } & libc::FD_CLOEXEC, libc::FD_CLOEXEC);
            }
            Some(b"hunter2".to_vec())
        }
    });
    assert_eq!(login.authenticate(0), Code::SUCCESS);
    assert_eq!(seen.lock().unwrap().len(), 1);
    assert_eq!(connections_to(&door.socket()), Vec::<RawFd>::new());
    daemon.join().unwrap();
}

// --- what goes with a grant -----------------------------------------------------------------------------------------

fn grant_with_authtok(answer: u8, length: u16) -> Message {
    Message::Verdict(Verdict::Grant { ticket: None, authtok: Some(AuthTok { answer, length }) })
}

#[test]
fn modules_behind_find_the_password_without_the_code() {
    let door = Door::open();
    let daemon = door.serve(|mut peer| {
        peer.begin();
        peer.ask(CODE);
        peer.ask(PASSWORD);
        peer.say(&grant_with_authtok(1, 9));
    });
    let stack = door.stack().revealing_authtok();
    let mut login = stack.login("alice").typing("hunt\u{e9}r 2123456", "654321");
    assert_eq!(login.authenticate(0), Code::SUCCESS);
    assert_eq!(stack.revealed_authtok().unwrap(), "hunt\u{e9}r 2".as_bytes());
    daemon.join().unwrap();
}

#[test]
fn a_password_that_nobody_typed_is_malformed() {
    for (what, answer, length) in
        [("longer than the answer", 0, 8), ("an answer that was refused", 1, 0), ("no such answer", 2, 1)]
    {
        let door = Door::open();
        let daemon = door.serve(move |mut peer| {
            peer.begin();
            peer.ask(PASSWORD);
            peer.ask("Something else: ");
            peer.say(&grant_with_authtok(answer, length));
        });
        let stack = door.stack();
        assert_eq!(
            stack.login("alice").typing("hunter2", "").authenticate(0),
            Code::AUTHINFO_UNAVAIL,
            "{what}"
        );
        daemon.join().unwrap();
    }
}

#[test]
fn a_ticket_is_handed_over_once() {
    let door = Door::open();
    let ticket = Secret::new((1..=16).collect());
    let stack = door.stack();
    let mut login = stack.login("alice");
    let grant_with_ticket = Message::Verdict(Verdict::Grant { ticket: Some(ticket.clone()), authtok: None });

    let daemon = door.answer_with(grant_with_ticket.clone());
    assert_eq!(login.authenticate(0), Code::SUCCESS);
    assert_eq!(daemon.join().unwrap().ticket, None);
    for expected in [Some(ticket), None] {
        let daemon = door.answer_with(grant());
        assert_eq!(login.acct_mgmt(0), Code::SUCCESS);
        assert_eq!(daemon.join().unwrap().ticket, expected);
    }
    // A later attempt on the same handle makes an earlier ticket void, whatever becomes of it.
    for verdict in [grant_with_ticket, deny()] {
        let daemon = door.answer_with(verdict);
        login.authenticate(0);
        assert_eq!(daemon.join().unwrap().ticket, None);
    }
    let daemon = door.answer_with(grant());
    assert_eq!(login.acct_mgmt(0), Code::SUCCESS);
    assert_eq!(daemon.join().unwrap().ticket, None);
}

/// How often the password lies in the memory this process can write to. The password itself is never written down
/// in one piece here: it is made from what it is after each byte was flipped. Other tests run meanwhile, so a map
/// that was listed may be gone; one buffer serves all reads and is wiped whatever comes, or it would be found next time.
fn copies_in_memory(flipped: &[u8]) -> usize {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let memory = fs::File::open("/proc/self/mem").unwrap();
    let mut buffer = vec![0; 1 << 20];
    let step = u64::try_from(buffer.len() - flipped.len() + 1).unwrap();
    let mut copies = 0;
    for map in maps.lines().filter(|map| map.contains(" rw")) {
        let (from, to) = map.split(' ').next().unwrap().split_once('-').unwrap();
        let (mut from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        while from < to {
            let wanted = usize::try_from(to - from).unwrap().min(buffer.len());
            let read = memory.read_at(&mut buffer[..wanted], from).unwrap_or(0);
            copies += buffer[..read]
                .windows(flipped.len())
                .filter(|window| window.iter().zip(flipped).all(|(byte, flipped)| *byte == !flipped))
                .count();
            from += step;
        }
    }
    wipe(&mut buffer);
    copies
}

#[test]
fn no_password_is_left_in_memory_after_a_login() {
    let flipped: Arc<[u8]> = b"correct horse battery staple 7741".iter().map(|byte| !byte).collect();
    let door = Door::open();
    let length = u16::try_from(flipped.len()).unwrap();
    let daemon = door.serve(move |mut peer| {
        peer.begin();
        drop(peer.ask(PASSWORD));
        peer.ask(CODE);
        peer.say(&grant_with_authtok(0, length));
    });
    let while_it_is_needed = Arc::new(Mutex::new(0));
    let stack = door.stack();
    let mut login = stack.login("alice").answering({
        let (flipped, counted) = (Arc::clone(&flipped), Arc::clone(&while_it_is_needed));
        move |_, prompt| {
            if prompt == PASSWORD {
                return Some(flipped.iter().map(|byte| !byte).collect());
            }
            *counted.lock().unwrap() = copies_in_memory(&flipped);
            Some(b"123456".to_vec())
        }
    });
    assert_eq!(login.authenticate(0), Code::SUCCESS);
    daemon.join().unwrap();
    drop(login);
    assert_eq!(copies_in_memory(&flipped), 0);
    // The control: the search finds the copy that the module keeps until the verdict (and perhaps its own of that).
    assert!(*while_it_is_needed.lock().unwrap() >= 1);
}

// --- the other entries ----------------------------------------------------------------------------------------------

#[test]
fn the_account_phase_needs_the_daemon() {
    let door = Door::open();
    in_about_a_second(|| door.impatient(1).login("alice").acct_mgmt(0));
    drop(door.listener.accept().unwrap());
    let daemon = door.serve(|mut peer| {
        peer.begin();
        peer.write(b"garbage, and enough of it");
    });
    assert_eq!(door.stack().login("alice").acct_mgmt(0), Code::AUTHINFO_UNAVAIL);
    daemon.join().unwrap();
    let missing = door.folder.join("nothing.sock");
    let stack = Stack::of_module("sshd", &format!("socket={}", missing.display()));
    assert_eq!(stack.login("alice").acct_mgmt(0), Code::AUTHINFO_UNAVAIL);
}

#[test]
fn a_question_in_the_account_phase_is_malformed() {
    let door = Door::open();
    let daemon = door.serve(|mut peer| {
        peer.begin();
        peer.say(&Message::Ask { prompt: PASSWORD.into(), echo: false });
        peer.hear()
    });
    let stack = door.stack();
    let mut login = always(stack.login("alice"), b"hunter2");
    assert_eq!(login.acct_mgmt(0), Code::AUTHINFO_UNAVAIL);
    assert_eq!(login.transcript(), []);
    assert_eq!(daemon.join().unwrap(), None);
}

#[test]
fn a_wrong_argument_denies_and_asks_nobody() {
    let door = Door::open();
    let socket = format!("socket={}", door.socket().display());
    for arguments in [
        format!("{socket} debug"),
        format!("{socket} {socket}"),
        format!("{socket} timeout=0"),
        format!("{socket} timeout=101"),
        format!("{socket} timeout=1 timeout=1"),
        "socket=login.sock".to_owned(),
        format!("{socket}/"),
    ] {
        let stack = Stack::of_module("sshd", &arguments);
        assert_eq!(stack.login("alice").authenticate(0), Code::AUTH_ERR, "{arguments}");
        assert_eq!(stack.login("alice").acct_mgmt(0), Code::PERM_DENIED, "{arguments}");
    }
    door.listener.set_nonblocking(true).unwrap();
    assert!(door.listener.accept().is_err(), "the daemon was asked all the same");
}

#[test]
fn credentials_and_sessions_succeed_without_the_daemon() {
    let stack = Stack::of_module("sshd", "socket=/nonexistent/login.sock");
    let mut login = stack.login("alice");
    assert_eq!(login.setcred(2), Code::SUCCESS);
    assert_eq!(login.open_session(0), Code::SUCCESS);
    assert_eq!(login.close_session(0), Code::SUCCESS);
}

// --- how an account stands, and a new password ----------------------------------------------------------------------

fn withheld(standing: Standing) -> Message {
    Message::Verdict(Verdict::Withheld { standing, ticket: None })
}

#[test]
fn auth_and_account_map_how_an_account_stands() {
    let door = Door::open();
    for (standing, code) in [
        (Standing::AccountExpired, Code::ACCT_EXPIRED),
        (Standing::PasswordExpired, Code::AUTHTOK_EXPIRED),
        (Standing::NotNow, Code::PERM_DENIED),
        (Standing::NewPassword, Code::NEW_AUTHTOK_REQD),
    ] {
        let daemon = door.answer_with(withheld(standing));
        assert_eq!(door.stack().login("alice").authenticate(0), code);
        daemon.join().unwrap();
        let daemon = door.answer_with(withheld(standing));
        assert_eq!(door.stack().login("alice").acct_mgmt(0), code);
        daemon.join().unwrap();
    }
}

#[test]
fn a_change_asks_what_the_daemon_asks_and_leaves_the_new_password_behind() {
    let door = Door::open();
    let daemon = door.serve(|mut peer| {
        let begin = peer.begin();
        let typed = [peer.ask("New password: "), peer.ask("Retype new password: ")];
        peer.say(&Message::Tell { style: Tell::Error, text: "no".into() });
        let authtok = Some(AuthTok { answer: 0, length: 3 });
        peer.say(&Message::Verdict(Verdict::Grant { ticket: None, authtok }));
        (begin.phase, typed)
    });
    let stack = door.stack().revealing_authtok();
    let mut login = stack.login("alice").answering(|style, _| style.is_question().then(|| b"new".to_vec()));
    assert_eq!(login.chauthtok(0), Code::SUCCESS);
    let typed = Answer::Typed(Secret::copy_of(b"new"));
    assert_eq!(daemon.join().unwrap(), (Phase::Change, [typed.clone(), typed]));
    assert_eq!(login.prompts(), ["New password: ", "Retype new password: "]);
    assert_eq!(login.transcript().last(), Some(&line(Style::Error, "no")));
}

#[test]
fn a_change_maps_each_verdict() {
    let door = Door::open();
    for (verdict, code) in [
        (grant(), Code::SUCCESS),
        (deny(), Code::AUTHTOK_ERR),
        (withheld(Standing::AccountExpired), Code::ACCT_EXPIRED),
        (Message::Verdict(Verdict::Unavailable), Code::AUTHINFO_UNAVAIL),
    ] {
        let daemon = door.answer_with(verdict);
        assert_eq!(door.stack().login("alice").chauthtok(0), code);
        assert_eq!(daemon.join().unwrap().phase, Phase::Change);
    }
}

#[test]
fn the_first_pass_of_a_change_asks_nobody() {
    const PRELIM_ONLY: i32 = 0x4000;
    let stack = Stack::of_module("passwd", "socket=/nonexistent/login.sock");
    assert_eq!(stack.login("alice").chauthtok(0), Code::AUTHINFO_UNAVAIL, "the second one does");
    // libpam itself refuses an application that asks for one pass alone.
    assert_eq!(stack.login("alice").chauthtok(PRELIM_ONLY), Code::SYSTEM_ERR);
    let wrong = Stack::of_module("passwd", "sockt=/x");
    assert_eq!(wrong.login("alice").chauthtok(SILENT), Code::AUTHTOK_ERR);
}

#[test]
fn a_change_shows_the_ticket_that_the_account_phase_left_and_only_once() {
    let door = Door::open();
    let ticket = Secret::copy_of(&[7; 16]);
    let stack = door.stack();
    let mut login = stack.login("alice");
    let left = Verdict::Withheld { standing: Standing::NewPassword, ticket: Some(ticket.clone()) };
    let daemon = door.answer_with(Message::Verdict(left));
    assert_eq!(login.acct_mgmt(0), Code::NEW_AUTHTOK_REQD);
    daemon.join().unwrap();
    for shown in [Some(ticket), None] {
        let daemon = door.answer_with(deny());
        assert_eq!(login.chauthtok(0), Code::AUTHTOK_ERR);
        assert_eq!(daemon.join().unwrap().ticket, shown);
    }
}

#[test]
fn many_handles_log_in_at_the_same_time() {
    let door = Door::open();
    nix::sys::socket::listen(&door.listener, nix::sys::socket::Backlog::new(100).unwrap()).unwrap();
    let daemons: Vec<_> = (0..50)
        .map(|_| {
            door.serve(|mut peer| {
                let begin = peer.begin();
                let typed = peer.ask(PASSWORD);
                peer.say(&if typed == Answer::Typed(Secret::new(begin.user)) { grant() } else { deny() });
            })
        })
        .collect();
    let stack = door.stack();
    thread::scope(|scope| {
        for number in 0..50 {
            let stack = &stack;
            scope.spawn(move || {
                let name = format!("user{number}");
                let typed = if number % 2 == 0 { name.clone() } else { "wrong".to_owned() };
                let expected = if number % 2 == 0 { Code::SUCCESS } else { Code::AUTH_ERR };
                assert_eq!(stack.login(&name).typing(&typed, "").authenticate(0), expected, "{name}");
            });
        }
    });
    daemons.into_iter().for_each(|daemon| daemon.join().unwrap());
}

#[test]
fn every_row_of_the_contract_has_its_test() {
    let contract = include_str!("../../docs/contracts.md");
    let sources = [include_str!("module.rs"), include_str!("../../pam_module/src/guard.rs")].concat();
    let section = contract.split("\n## ").find(|section| section.starts_with("PAM codes")).unwrap();
    let rows: Vec<_> = section.lines().filter(|line| line.starts_with("| ")).skip(2).collect();
    assert!(rows.len() > 20, "the table was not found");
    for row in rows {
        let test = row.rsplit('|').nth(1).unwrap().trim().trim_matches('`');
        assert!(
            sources.contains(&format!("#[test]\nfn {test}()"))
                || sources.contains(&format!("    fn {test}()")),
            "{row}"
        );
    }
}
