//! The command at a terminal: the QR code, the tries, and what is typed without being shown.

#![allow(clippy::unwrap_used, clippy::panic)]

use nix::pty::{Winsize, openpty};
use nix::sys::termios::{LocalFlags, tcgetattr};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, Command};
use twinlock_protocol::{Answer, Message, Secret, Verdict};

const ENROLLED: &str = r#"{"reply":"enrolled","account":"alice","authenticator":{"label":"phone","state":"pending","digits":6,"algorithm":"SHA1","step_s":30,"created":0},"uri":"otpauth://totp/Twinlock:alice?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Twinlock"}"#;
const CONFIRMED: &str = r#"{"reply":"confirmed","label":"phone","state":"active","digits":6,"algorithm":"SHA1","step_s":30,"created":0}"#;
const RECOVERY: &str = r#"{"reply":"recovery-codes","account":"alice","id":"main:6f1d","codes":["ABCD-EFGH-IJKL-MNOP"],"voided":0}"#;
const WRONG: &str = r#"{"reply":"error","kind":"no","message":"this is no code of it"}"#;

/// The person's side of a terminal in which the command runs.
struct Person {
    child: Child,
    terminal: File,
    screen: Vec<u8>,
    looked_at: usize,
}

impl Person {
    fn at_terminal(columns: u16, arguments: &[&str]) -> Self {
        let size = Winsize { ws_row: 40, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(&size, None).unwrap();
        let theirs = || pair.slave.try_clone().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_twinlock"))
            .args(arguments)
            .stdin(theirs())
            .stdout(theirs())
            .stderr(theirs())
            .spawn()
            .unwrap();
        Self { child, terminal: File::from(pair.master), screen: Vec::new(), looked_at: 0 }
    }

    /// Reads until `text` is on the screen, behind what was seen before.
    fn sees(&mut self, text: &str) {
        let mut bytes = [0; 4096];
        loop {
            let screen = String::from_utf8_lossy(&self.screen).into_owned();
            if let Some(at) = screen.get(self.looked_at..).unwrap_or_default().find(text) {
                self.looked_at += at + text.len();
                return;
            }
            match self.terminal.read(&mut bytes) {
                Ok(read) if read > 0 => self.screen.extend(bytes.iter().take(read)),
                _ => panic!("{text:?} never came:\n{screen}"),
            }
        }
    }

    fn types(&mut self, text: &str) {
        self.terminal.write_all(text.as_bytes()).unwrap();
    }

    fn leaves(mut self) -> (i32, String) {
        let code = self.child.wait().unwrap().code().unwrap();
        // A terminal that nobody is at any more ends in an error (EIO).
        let _ = self.terminal.read_to_end(&mut self.screen);
        (code, String::from_utf8_lossy(&self.screen).into_owned())
    }
}

fn socket(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("twinlock-terminal-{name}-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

/// Answers each line with the next reply.
fn daemon(path: &PathBuf, replies: Vec<&'static str>) -> std::thread::JoinHandle<Vec<String>> {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let mut asked = Vec::new();
        for reply in replies {
            asked.push(lines.next().unwrap().unwrap());
            writeln!(stream, "{reply}").unwrap();
        }
        asked
    })
}

#[test]
fn enrolling_shows_a_qr_code_and_activates_by_the_second_code() {
    let path = socket("enroll");
    let daemon = daemon(&path, vec![ENROLLED, WRONG, CONFIRMED]);
    let mut person = Person::at_terminal(100, &["--socket", path.to_str().unwrap(), "enroll", "alice"]);
    person.sees("A code of it, to activate it: ");
    person.types("111111\n");
    person.sees("this is no code of it");
    person.sees("A code of it, to activate it: ");
    person.types(" 123456 \n");
    let (code, seen) = person.leaves();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(code, 0, "{seen}");
    assert!(seen.contains('\u{2588}') && seen.contains("\u{1b}[38;5;16;48;5;231m"), "{seen}");
    assert!(seen.contains("otpauth://totp/Twinlock:alice"), "{seen}");
    assert!(seen.contains("is active"), "{seen}");
    assert_eq!(daemon.join().unwrap().last().unwrap(), r#"{"op":"confirm","user":"alice","code":"123456"}"#);
}

#[test]
fn three_wrong_codes_end_it_with_exit_code_1() {
    let path = socket("wrong");
    let daemon = daemon(&path, vec![ENROLLED, WRONG, WRONG, WRONG]);
    let mut person = Person::at_terminal(100, &["--socket", path.to_str().unwrap(), "enroll", "alice"]);
    for _ in 0..3 {
        person.sees("A code of it, to activate it: ");
        person.types("111111\n");
    }
    let (code, seen) = person.leaves();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(code, 1, "{seen}");
    assert_eq!(daemon.join().unwrap().len(), 4);
}

#[test]
fn a_narrow_terminal_gets_the_uri_and_a_hint_instead_of_a_broken_picture() {
    let path = socket("narrow");
    let daemon = daemon(&path, vec![ENROLLED, CONFIRMED]);
    let mut person = Person::at_terminal(30, &["--socket", path.to_str().unwrap(), "enroll", "alice"]);
    person.sees("A code of it, to activate it: ");
    person.types("123456\n");
    let (code, seen) = person.leaves();
    std::fs::remove_file(&path).unwrap();
    daemon.join().unwrap();
    assert_eq!(code, 0, "{seen}");
    assert!(!seen.contains('\u{2588}'), "{seen}");
    assert!(seen.contains("this one has 30") && seen.contains("otpauth://"), "{seen}");
}

#[test]
fn recovery_codes_are_replaced_only_after_a_yes() {
    let path = socket("recovery");
    let daemon = daemon(&path, vec![RECOVERY]);
    let arguments = ["--socket", path.to_str().unwrap(), "recovery", "alice"];
    for (answer, expected) in [("\n", 1), ("n\n", 1), ("y\n", 0)] {
        let mut person = Person::at_terminal(100, &arguments);
        person.sees("Go on? [y/N] ");
        person.types(answer);
        let (code, seen) = person.leaves();
        assert_eq!((code, seen.contains("ABCD-EFGH-IJKL-MNOP")), (expected, expected == 0), "{seen}");
    }
    std::fs::remove_file(&path).unwrap();
    assert_eq!(daemon.join().unwrap(), [r#"{"op":"recovery","user":"alice"}"#], "asked once, after the yes");
}

#[test]
fn a_password_is_not_shown_and_the_terminal_is_as_before() {
    let path = socket("try");
    let listener = UnixListener::bind(&path).unwrap();
    let daemon = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&Message::Ask { prompt: "Password: ".into(), echo: false }.encode()).unwrap();
        let expected = Message::Answer(Answer::Typed(Secret::copy_of(b"hunter2"))).encode();
        // The beginning comes first; what counts here is how the stream goes on.
        let mut bytes = Vec::new();
        while !bytes.ends_with(&expected) {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            bytes.extend(byte);
        }
        stream.write_all(&Message::Verdict(Verdict::Deny).encode()).unwrap();
    });
    let arguments = ["--socket", path.to_str().unwrap(), "try", "--user", "alice"];
    let mut person = Person::at_terminal(80, &arguments);
    person.sees("Password: ");
    // Typed only once the echo is off: a person is slower than that, a test is not.
    while tcgetattr(&person.terminal).unwrap().local_flags.contains(LocalFlags::ECHO) {
        std::thread::yield_now();
    }
    person.types("hunter2\n");
    person.sees("denied");
    assert!(tcgetattr(&person.terminal).unwrap().local_flags.contains(LocalFlags::ECHO));
    let (code, seen) = person.leaves();
    daemon.join().unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(code, 1, "{seen}");
    assert!(!seen.contains("hunter2"), "{seen}");
}
