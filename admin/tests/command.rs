//! The command as people and scripts meet it: the binary is run, and its exit code, output and questions are looked
//! at. A scripted socket stands in for the daemon, whose own side has its stories elsewhere.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use twinlock_protocol::{Answer, Assembler, AuthTok, Message, Phase, Secret, Tell, Verdict};

/// A folder of one test, removed when it ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("twinlock-admin-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("socket")
    }

    /// Answers each line with the next of `replies`, then hangs up; returns the lines.
    fn daemon(&self, replies: &[&str]) -> JoinHandle<Vec<String>> {
        let listener = UnixListener::bind(self.socket()).unwrap();
        let replies: Vec<String> = replies.iter().map(|reply| (*reply).to_owned()).collect();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let mut asked = Vec::new();
            for reply in replies {
                asked.push(lines.next().unwrap().unwrap());
                // The command may have seen enough of an overlong reply.
                let _ = stream.write_all(reply.as_bytes());
            }
            asked
        })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

struct Run {
    code: i32,
    out: String,
    err: String,
}

fn twinlock(arguments: &[&str], typed: &str) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_twinlock"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end without having read anything.
    let _ = child.stdin.take().unwrap().write_all(typed.as_bytes());
    let output = child.wait_with_output().unwrap();
    Run {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs against a daemon that gives `replies`; returns what it was asked, too.
fn against(name: &str, replies: &[&str], arguments: &[&str], typed: &str) -> (Run, Vec<String>) {
    let folder = Folder::new(name);
    let daemon = folder.daemon(replies);
    let socket = folder.socket();
    let run = twinlock(&[&["--socket", socket.to_str().unwrap()], arguments].concat(), typed);
    (run, daemon.join().unwrap())
}

const STATUS: &str = r#"{"reply":"status","version":"0.1.0","uptime_s":3700,"config":"/etc/twinlock/twinlock.toml","servers":[{"directory":"main","url":"ldaps://a","healthy":true},{"directory":"main","url":"ldaps://b","healthy":false,"error":"timed out"}],"accounts_enrolled":1,"authenticators_pending":2,"lanes_closed":0,"prefixes_closed":1,"attempts_running":0,"granted":5,"denied":6,"unavailable":7,"records_lost":0,"history_lost":0,"waivers":["office"],"grace_accounts":0}"#;
const ENROLLED: &str = r#"{"reply":"enrolled","account":"alice","authenticator":{"label":"phone","state":"pending","digits":6,"algorithm":"SHA1","step_s":30,"created":0},"uri":"otpauth://totp/Twinlock:alice?secret=JBSWY3DPEHPK3PXP"}"#;
const ACTIVE: &str = r#"{"reply":"enrolled","account":"alice","authenticator":{"label":"phone","state":"active","digits":6,"algorithm":"SHA1","step_s":30,"created":0},"uri":"otpauth://totp/Twinlock:alice?secret=JBSWY3DPEHPK3PXP"}"#;
const RECOVERY: &str = r#"{"reply":"recovery-codes","account":"alice","id":"main:6f1d","codes":["ABCD-EFGH-IJKL-MNOP"],"voided":2}"#;
const CONFIRMED: &str = r#"{"reply":"confirmed","label":"phone","state":"active","digits":6,"algorithm":"SHA1","step_s":30,"created":0}"#;

#[test]
fn wrong_use_is_exit_code_2() {
    for arguments in [
        &[][..],
        &["frobnicate"],
        &["enroll"],
        &["enroll", "alice", "--active"],
        &["enroll", "alice", "--confirm", "1", "--seed", "A"],
        &["try", "--from", "office"],
        &["user"],
        &["user", "unlock"],
        &["user", "revoke", "alice"],
        &["emergency", "create"],
        &["emergency", "create", "alice", "--count", "21"],
        &["enroll", "alice", "--confirm", "1", "--replace"],
        &["locks", "clear"],
        &["locks", "192.0.2.7"],
        &["status", "--force"],
    ] {
        let run = twinlock(arguments, "");
        assert_eq!(run.code, 2, "{arguments:?}: {}", run.err);
    }
}

#[test]
fn help_and_version_are_exit_code_0_and_say_that_arguments_are_visible() {
    assert_eq!(twinlock(&["--version"], "").code, 0);
    let help = twinlock(&["enroll", "--help"], "");
    assert_eq!(help.code, 0);
    assert!(help.out.contains("visible to everybody"), "{}", help.out);
}

#[test]
fn without_a_daemon_everything_that_needs_it_is_exit_code_3_with_the_remedy() {
    for arguments in
        [&["status"][..], &["user", "show", "alice"], &["enroll", "alice"], &["try", "--user", "alice"]]
    {
        let run = twinlock(&[&["--socket", "/nowhere/socket"], arguments].concat(), "");
        assert_eq!(run.code, 3, "{arguments:?}");
        assert!(run.err.contains("/nowhere/socket: cannot connect"), "{}", run.err);
        assert!(run.err.contains("is twinlockd running"), "{}", run.err);
    }
}

#[test]
fn config_check_says_yes_to_the_shipped_file_and_no_to_a_mistake_with_its_place() {
    let folder = Folder::new("check");
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/twinlock.toml");
    let run = twinlock(&["config", "check", "--config", shipped], "");
    assert_eq!((run.code, run.err.as_str()), (0, ""));
    let bound = run.out.lines().find(|line| line.starts_with("bound: ")).unwrap();
    assert!(bound.starts_with("bound: everyone else: 0.912 % a year at most"), "{bound}");
    assert!(bound.contains("2202 codes guessed") && bound.contains("520"), "{bound}");
    assert!(
        run.out.contains("login, su, sudo, locker  office ")
            && run.out.contains("one factor: console, su, sudo: a password is all"),
        "{}",
        run.out
    );
    let json = twinlock(&["config", "check", "--json", "--config", shipped], "");
    assert!(
        json.out.contains(r#""bounds":[{"code":0.0081"#)
            && json.out.contains(r#""own_guesses":520,"rule":"everyone else""#)
            && json.out.contains(r#""unfamiliar_guesses":2202"#)
            && json.out.contains(r#""single_factors":["console, su, sudo: a password"]"#),
        "{}",
        json.out
    );
    let bad = folder.0.join("bad.toml");
    std::fs::write(&bad, std::fs::read_to_string(shipped).unwrap().replace("digits = 6", "digits = 7"))
        .unwrap();
    let run = twinlock(&["config", "check", "--config", bad.to_str().unwrap()], "");
    assert_eq!(run.code, 1);
    assert!(run.err.contains("totp.digits: must be 6 or 8"), "{}", run.err);
    let missing = folder.0.join("missing.toml");
    assert_eq!(twinlock(&["config", "check", "--config", missing.to_str().unwrap()], "").code, 1);
}

#[test]
fn config_show_fills_in_what_was_left_out() {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/twinlock.toml");
    let run = twinlock(&["config", "show", "--config", shipped], "");
    assert_eq!(run.code, 0);
    assert!(run.out.contains("user_filter = \"(&(objectClass=posixAccount)(uid={user}))\""), "{}", run.out);
    let json = twinlock(&["config", "show", "--json", "--config", shipped], "");
    assert!(json.out.starts_with("{\"daemon\":"), "{}", json.out);
}

#[test]
fn the_socket_is_the_one_that_the_configuration_names() {
    let folder = Folder::new("names");
    let shipped = include_str!("../../config/twinlock.toml");
    let config = folder.0.join("twinlock.toml");
    let daemon = folder.daemon(&[&format!("{STATUS}\n")]);
    std::fs::write(&config, shipped.replace("/run/twinlock/admin.sock", folder.socket().to_str().unwrap()))
        .unwrap();
    let run = twinlock(&["--config", config.to_str().unwrap(), "status"], "");
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(daemon.join().unwrap(), [r#"{"op":"status"}"#]);
}

#[test]
fn status_is_shown_aligned_or_as_the_daemon_said_it() {
    let (run, asked) = against("status", &[&format!("{STATUS}\n")], &["status"], "");
    assert_eq!(asked, [r#"{"op":"status"}"#]);
    let expected = "\
version         0.1.0
up for          1 h 1 min
configuration   /etc/twinlock/twinlock.toml
directory       main  ldaps://a  answers
                main  ldaps://b  does not answer: timed out
enrolled        1 account, 2 authenticators waiting to be confirmed
closed now      0 account lanes, 1 prefix lane
under way       0 logins
since the start 5 granted, 6 denied, 7 unavailable
records lost    0
code waived by  office
";
    assert_eq!((run.code, run.out.as_str()), (0, expected));
    let (run, _) = against("status-json", &[&format!("{STATUS}\n")], &["status", "--json"], "");
    assert_eq!((run.code, run.out), (0, format!("{STATUS}\n")));
}

#[test]
fn a_refusal_of_the_daemon_becomes_its_exit_code() {
    for (kind, code) in [("no", 1), ("wrong-use", 2), ("unavailable", 3)] {
        let reply =
            format!("{{\"reply\":\"error\",\"kind\":\"{kind}\",\"message\":\"because \\u001b[2J\"}}\n");
        let (run, _) = against(kind, &[&reply], &["user", "show", "nobody"], "");
        assert_eq!((run.code, run.err.as_str()), (code, "twinlock: because \\u{1b}[2J\n"));
    }
}

#[test]
fn what_is_no_reply_is_exit_code_3_and_is_not_repeated() {
    let long = "x".repeat(2100 * 1024);
    for (name, reply, expected) in [
        ("garbage", "hunter2\n", "not understood"),
        ("unknown", "{\"reply\":\"hunter2\"}\n", "not understood"),
        ("other", &format!("{ENROLLED}\n"), "not understood"),
        ("half", "{\"reply\":", "hung up before it replied"),
        ("nothing", "", "hung up before it replied"),
        ("long", &long, "longer than 2 MiB"),
    ] {
        let (run, _) = against(name, &[reply], &["status"], "");
        assert_eq!(run.code, 3, "{name}");
        assert!(run.err.contains(expected), "{name}: {}", run.err);
        assert!(!run.err.contains("hunter2") && run.out.is_empty(), "{name}");
    }
}

#[test]
fn enrolling_without_a_terminal_shows_the_uri_and_leaves_it_pending() {
    let (run, asked) = against("pending", &[&format!("{ENROLLED}\n")], &["enroll", "alice"], "");
    assert_eq!(asked, [r#"{"op":"enroll","user":"alice","label":"phone","active":false}"#]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert!(run.out.contains("\notpauth://totp/Twinlock:alice?secret=JBSWY3DPEHPK3PXP\n"), "{}", run.out);
    assert!(run.out.contains("twinlock enroll alice --confirm CODE"), "{}", run.out);
    assert!(!run.out.contains('\u{1b}'));
}

#[test]
fn enrolling_for_scripts_prints_the_uri_as_json() {
    let (run, asked) =
        against("json", &[&format!("{ENROLLED}\n")], &["enroll", "alice", "--json"], "123456\n");
    assert_eq!((run.code, asked.len()), (0, 1));
    assert!(run.out.contains(r#""account":"alice","uri":"otpauth://totp/"#), "{}", run.out);
}

#[test]
fn a_code_given_as_an_argument_activates_the_pending_one() {
    let (run, asked) =
        against("confirm", &[&format!("{CONFIRMED}\n")], &["enroll", "alice", "--confirm", "123456"], "");
    assert_eq!(asked, [r#"{"op":"confirm","user":"alice","code":"123456"}"#]);
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(
        run.out,
        "Authenticator \"phone\" of alice is active.\nRecovery codes, for a lost phone: twinlock recovery alice\n"
    );
}

#[test]
fn recovery_codes_are_printed_once_and_replace_others_only_when_that_is_said() {
    let asked_for = r#"{"op":"recovery","user":"alice"}"#;
    let run = twinlock(&["--socket", "/nowhere", "recovery", "alice"], "");
    assert_eq!(run.code, 2);
    assert!(run.err.contains("--yes"), "{}", run.err);
    let replies = [&*format!("{RECOVERY}\n")];
    let (run, asked) = against("recovery", &replies, &["recovery", "alice", "--yes"], "");
    assert_eq!((run.code, asked), (0, vec![asked_for.to_owned()]));
    assert!(run.out.contains("\n  ABCD-EFGH-IJKL-MNOP\n"), "{}", run.out);
    assert!(run.out.contains("2 codes of the earlier set can no longer be used"), "{}", run.out);
    let (run, _) = against("recovery-json", &replies, &["recovery", "alice", "--yes", "--json"], "");
    assert_eq!(run.out.trim_end(), RECOVERY);

    let replies = [&*format!("{CONFIRMED}\n"), &*format!("{RECOVERY}\n")];
    let arguments = ["enroll", "alice", "--confirm", "123456", "--recovery"];
    let (run, asked) = against("recovery-enrol", &replies, &arguments, "");
    assert_eq!((run.code, asked.last().unwrap().as_str()), (0, asked_for), "{}", run.err);
    assert!(run.out.contains("ABCD-EFGH-IJKL-MNOP"), "{}", run.out);
}

#[test]
fn a_seed_is_taken_over_at_once_from_an_argument_or_from_standard_input() {
    let expected =
        r#"{"op":"enroll","user":"alice","label":"token","seed":"JBSWY3DPEHPK3PXP","active":true}"#;
    for (name, seed, typed) in [("argument", "JBSWY3DPEHPK3PXP", ""), ("stdin", "-", "JBSWY3DPEHPK3PXP\n")] {
        let arguments = ["enroll", "alice", "--label", "token", "--seed", seed, "--active"];
        let (run, asked) = against(name, &[&format!("{ACTIVE}\n")], &arguments, typed);
        assert_eq!(asked, [expected]);
        assert_eq!(run.code, 0, "{}", run.err);
        assert!(run.out.contains("is active") && !run.out.contains("JBSWY3DP"), "{}", run.out);
    }
}

#[test]
fn output_that_nobody_reads_is_no_panic() {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/twinlock.toml");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_twinlock"))
        .args(["config", "show", "--config", shipped])
        .stdout(writer)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn receive(stream: &mut UnixStream) -> Message {
    let mut assembler = Assembler::new();
    loop {
        let mut bytes = vec![0; assembler.wants()];
        stream.read_exact(&mut bytes).unwrap();
        if let Some(body) = assembler.push(&bytes).unwrap() {
            return Message::decode(&body).unwrap();
        }
    }
}

/// Runs `try` against a login socket that asks for a password and a code and ends with `verdict`.
fn tried(name: &str, verdict: Verdict, arguments: &[&str]) -> Run {
    let folder = Folder::new(name);
    let listener = UnixListener::bind(folder.socket()).unwrap();
    let daemon = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let Message::Begin(begin) = receive(&mut stream) else { panic!("no beginning") };
        assert_eq!(begin.phase, Phase::Authenticate);
        assert_eq!((begin.user, begin.service), (b"alice".to_vec(), b"sshd".to_vec()));
        assert_eq!(begin.rhost, Some(b"192.0.2.7".to_vec()));
        for (prompt, expected) in [("Password: ", "right"), ("Verification code: ", "123456")] {
            stream.write_all(&Message::Ask { prompt: prompt.into(), echo: false }.encode()).unwrap();
            assert_eq!(
                receive(&mut stream),
                Message::Answer(Answer::Typed(Secret::copy_of(expected.as_bytes())))
            );
        }
        let told = Message::Tell { style: Tell::Info, text: "two\nlines".into() };
        stream.write_all(&told.encode()).unwrap();
        stream.write_all(&Message::Verdict(verdict).encode()).unwrap();
    });
    let socket = folder.socket();
    let first = ["--socket", socket.to_str().unwrap(), "try", "--user", "alice", "--from", "192.0.2.7"];
    let run = twinlock(&[&first, arguments].concat(), "right\n123456\n");
    daemon.join().unwrap();
    run
}

#[test]
fn a_try_answers_the_daemons_questions_and_ends_as_the_verdict_says() {
    let granted = Verdict::Grant { ticket: None, authtok: Some(AuthTok { answer: 0, length: 5 }) };
    let run = tried("granted", granted, &[]);
    assert_eq!((run.code, run.out.as_str()), (0, "granted\n"));
    assert_eq!(run.err, "twinlock: two\ntwinlock: lines\n");
    let run = tried("denied", Verdict::Deny, &["--json"]);
    assert_eq!((run.code, run.out.as_str()), (1, "{\"verdict\":\"denied\"}\n"));
    let run = tried("unavailable", Verdict::Unavailable, &[]);
    assert_eq!((run.code, run.out.as_str()), (3, "unavailable\n"));
}

#[test]
fn a_login_socket_that_talks_nonsense_is_exit_code_3() {
    let told = Message::Answer(Answer::Refused).encode();
    for (name, bytes) in [("gone", &b""[..]), ("http", b"HTTP/1.1 400 Bad Request\r\n"), ("turn", &told)] {
        let folder = Folder::new(name);
        let listener = UnixListener::bind(folder.socket()).unwrap();
        let bytes = bytes.to_vec();
        let daemon = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            receive(&mut stream);
            stream.write_all(&bytes).unwrap();
        });
        let run =
            twinlock(&["--socket", folder.socket().to_str().unwrap(), "try", "--user", "alice"], "right\n");
        daemon.join().unwrap();
        assert_eq!(run.code, 3, "{name}: {}", run.err);
        assert!(run.err.contains("hung up") || run.err.contains("not understood"), "{name}: {}", run.err);
    }
}
