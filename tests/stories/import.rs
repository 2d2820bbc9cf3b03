//! Moving in: authenticators of other software are taken over, from files that the software itself wrote.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use support::client::{Client, Told};
use support::ldap::{EmbeddedDirectory, Listen};
use support::pam::{Code, Stack};
use support::site::{RULES, Site, step_now};
use support::slapd::{self, PEOPLE};
use support::temp::TempDir;

const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const MANY: u32 = 1000;

struct Scene {
    site: Site,
    _directory: EmbeddedDirectory,
    folder: TempDir,
}

fn scene(names: &[String]) -> Scene {
    let folder = TempDir::new("import");
    let mut ldif = format!(
        "dn: dc=example,dc=org\nobjectClass: organization\no: example\n\n\
         dn: {PEOPLE}\nobjectClass: organizationalUnit\nou: people\n\n"
    );
    for (name, number) in names.iter().zip(2001..) {
        ldif.push_str(&slapd::account(&format!("uid={name},{PEOPLE}"), name, number, "right"));
    }
    let listen = Listen { socket: Some(folder.path().join("ldapi")), loopback: false };
    let directory = EmbeddedDirectory::start(&ldif, &listen).unwrap();
    let settings = format!(
        "kind = \"rfc2307\"\nservers = {:?}\nbase = {PEOPLE:?}\ntls = {{ mode = \"none\" }}\n",
        directory.urls()
    );
    Scene { site: Site::start(&settings, RULES), _directory: directory, folder }
}

impl Scene {
    /// Exit code and what was printed.
    fn import(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.site.twinlock(&[&["import"], arguments].concat());
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code().unwrap(), text)
    }

    fn login(&self, user: &str, code: &str) -> Told {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let stream = tokio::net::UnixStream::connect(self.site.path("login.sock")).await.unwrap();
            let answers: [&[u8]; 2] = [b"right", code.as_bytes()];
            Client::over(stream).login("sshd", user, "198.51.100.7", &answers).await
        })
    }
}

/// A code as the real oathtool makes it.
fn oathtool(seed: &[&str], step: u64) -> String {
    let output = Command::new("oathtool")
        .arg(format!("--now=@{}", step * 30))
        .arg("--totp")
        .args(seed)
        .output()
        .expect("oathtool; install the package oathtool");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_thousand_users_of_google_authenticator_move_in_and_log_in_with_the_phones_they_have() {
    let names: Vec<String> = (0..MANY).map(|number| format!("user{number}")).collect();
    let scene = scene(&names);
    let files: Vec<String> = names
        .iter()
        .map(|name| {
            let home = scene.folder.path().join(name);
            fs::create_dir(&home).unwrap();
            let file = home.join(".google_authenticator").display().to_string();
            let made = Command::new("google-authenticator")
                .args(["--time-based", "--disallow-reuse", "--force", "--quiet", "--no-rate-limit"])
                .args(["--window-size=3", "--secret", &file])
                .output()
                .expect("google-authenticator; install the package libpam-google-authenticator");
            assert!(made.status.success(), "{made:?}");
            file
        })
        .collect();
    let mut arguments: Vec<&str> = vec!["google-authenticator", "--dry-run"];
    arguments.extend(files.iter().map(String::as_str));
    let (code, text) = scene.import(&arguments);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.ends_with("1000 of 1000 would be taken over, 0 already there, 0 refused, 0 weak\n"),
        "{text}"
    );
    assert!(text.starts_with("1000 would be taken: 5 scratch codes are not taken over"), "{text}");
    assert!(text.contains("(user0, user1, user2, user3, user4 and 995 more)"), "{text}");
    let status = scene.site.twinlock(&["--json", "status"]);
    assert!(String::from_utf8_lossy(&status.stdout).contains("\"accounts_enrolled\":0"), "only tried");

    arguments.remove(1);
    let (code, text) = scene.import(&arguments);
    assert_eq!(code, 0, "{text}");
    assert!(text.ends_with("1000 of 1000 taken over, 0 already there, 0 refused, 0 weak\n"), "{text}");
    let (code, text) = scene.import(&arguments);
    assert_eq!(code, 0, "{text}");
    assert!(text.ends_with("0 of 1000 taken over, 1000 already there, 0 refused, 0 weak\n"), "{text}");

    let file = fs::read_to_string(&files[707]).unwrap();
    let seed = ["-b", file.lines().next().unwrap()];
    assert_eq!(
        scene.login("user707", &oathtool(&seed, step_now() - 1)),
        Told::Deny,
        "may have been used before"
    );
    assert_eq!(scene.login("user707", &oathtool(&seed, step_now() + 1)), Told::Grant);
    let imported = scene.site.records().iter().filter(|record| record.contains(" imported ")).count();
    assert_eq!(imported, 1000, "each is recorded");
}

#[test]
fn users_of_pam_oath_move_in_from_the_file_that_pam_oath_itself_wrote_to() {
    let scene = scene(&["alice".into(), "bob".into()]);
    let file = scene.folder.path().join("users.oath");
    let hex: String = b"12345678901234567890".iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    fs::write(&file, format!("# our users\nHOTP/T30/6\talice\t-\t{hex}\nHOTP\tbob\t-\t{hex}\n")).unwrap();
    let line = format!("auth required pam_oath.so usersfile={} window=2 digits=6", file.display());
    let stack = Stack::new("oath", &[line]);
    let used = oathtool(&[&hex], step_now());
    let typed = used.clone();
    assert_eq!(
        stack.login("alice").answering(move |_, _| Some(typed.clone().into_bytes())).authenticate(0),
        Code::SUCCESS,
        "install libpam-oath"
    );
    let written = fs::read_to_string(&file).unwrap();
    assert!(written.contains(&used), "pam_oath noted the code: {written}");

    let (code, text) = scene.import(&["pam-oath", file.to_str().unwrap()]);
    assert_eq!(code, 1, "bob's is refused: {text}");
    assert!(text.contains("1 of 2 taken over, 0 already there, 1 refused"), "{text}");
    assert!(text.contains("do not go by time"), "{text}");
    assert!(!text.contains(&hex), "no seed is shown");
    assert_eq!(scene.login("alice", &used), Told::Deny, "pam_oath has let it in once");
    assert_eq!(scene.login("alice", &oathtool(&[&hex], step_now() + 1)), Told::Grant);
}

#[test]
fn uris_are_taken_over_with_their_parameters_and_short_seeds_are_listed_as_weak() {
    let scene = scene(&["alice".into(), "bob".into()]);
    let file = scene.folder.path().join("uris");
    let lines = [
        format!("otpauth://totp/Old%20Site:alice@example.org?secret={SEED}&issuer=Old%20Site"),
        "otpauth://totp/bob?secret=GEZDGNBVGY3TQOJQ".to_owned(),
        format!("otpauth://totp/nobody?secret={SEED}"),
        "otpauth://totp/bob?secret=GEZDGNBV".to_owned(),
    ];
    fs::write(&file, lines.join("\n")).unwrap();
    let (code, text) =
        scene.import(&["otpauth", "--drop-realm", "--label", "old phone", file.to_str().unwrap()]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("2 of 4 taken over, 0 already there, 2 refused, 1 weak"), "{text}");
    assert!(text.contains("the directory knows no nobody"), "{text}");
    assert!(!text.contains("GEZDGNBV"), "no seed is shown: {text}");
    let shown = scene.site.twinlock(&["user", "show", "bob"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("weak seed: enrol anew"), "{shown:?}");
    assert_eq!(scene.login("bob", &oathtool(&["-b", "GEZDGNBVGY3TQOJQ"], step_now() + 1)), Told::Grant);
    assert_eq!(scene.login("alice", &oathtool(&["-b", SEED], step_now() + 1)), Told::Grant);
    let missing = Path::new("/nonexistent/users");
    let (code, text) = scene.import(&["pam-oath", missing.to_str().unwrap()]);
    assert_eq!((code, text.contains("/nonexistent/users: it cannot be read")), (2, true), "{text}");
}
