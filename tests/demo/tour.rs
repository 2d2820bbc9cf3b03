//! The guided tour at a terminal: log in from where you like, guess, look at the records as they appear.

use crate::scene::{DESK, HOME, STRANGER, Scene, told};
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use std::io::{BufRead, Write};
use std::sync::{Arc, Mutex};
use support::pam::Code;

/// Walks until the visitor leaves.
pub(crate) fn walk(mut scene: Scene) {
    let user = scene.user.clone();
    println!("\n{}", bold("Twinlock: a login guard, in a temporary folder"));
    println!("twinlockd is running, with a small LDAP directory and the real libpam.");
    println!("You are {user}; your password is: {}\n", bold(&scene.password));
    if !enroll(&mut scene) {
        return;
    }
    let mut attempts = 0;
    loop {
        menu(&user);
        let Some(choice) = line("> ") else { return };
        match choice.trim() {
            "1" => attempts += visit(&scene, HOME),
            "2" => attempts += visit(&scene, DESK),
            "3" => attempts += guess(&scene),
            "4" => println!("\nYour phone shows {} (each code works once)", bold(&scene.phone.code())),
            "5" => drop(scene.twinlock(&["user", "show", &user], "")),
            "6" => drop(scene.twinlock(&["status"], "")),
            "7" => drop(scene.twinlock(&["config", "check"], "")),
            "q" | "Q" => break,
            _ => println!("Type one of 1 to 7, or q."),
        }
        for record in scene.records_of_attempt(attempts) {
            println!(
                "{} {}",
                dim("record"),
                if record.starts_with("attempt") { told(&record) } else { record }
            );
        }
    }
    println!("\nEverything ran in {}, which is removed now.", scene.site.path("").display());
}

fn menu(user: &str) {
    println!("\n{}", bold("What next?"));
    println!("  1  log in as {user} from home ({HOME}): password and code");
    println!("  2  log in from the office ({DESK}): no code is asked, and the record says so");
    println!(
        "  3  be a stranger ({STRANGER}) who knows the password and guesses codes, until the lane closes"
    );
    println!("  4  show the code on your phone");
    println!("  5  twinlock user show {user}        6  twinlock status        7  twinlock config check");
    println!("  q  leave");
}

fn enroll(scene: &mut Scene) -> bool {
    println!("First, your phone. Scan this with any authenticator app, or let the demo be your phone.\n");
    let seed = format!("{}\n", scene.phone.seed());
    let user = scene.user.clone();
    if !scene.twinlock(&["enroll", &user, "--seed", "-"], &seed) {
        return false;
    }
    loop {
        let Some(typed) = line("\nThe code your phone shows (just Enter: the demo is your phone): ") else {
            return false;
        };
        let code = if typed.trim().is_empty() { scene.phone.code() } else { typed.trim().to_owned() };
        if typed.trim().is_empty() {
            println!("Your phone shows {}", bold(&code));
        }
        if scene.twinlock(&["enroll", &user, "--confirm", &code], "") {
            return true;
        }
    }
}

/// One login, asked at this terminal.
fn visit(scene: &Scene, from: &str) -> usize {
    println!("\n$ ssh {}@host   (from {from})", scene.user);
    let asked = Arc::new(Mutex::new(()));
    let mut handle = scene.site.stack("sshd").login(&scene.user).from(from).answering(move |style, text| {
        let _one_at_a_time = asked.lock();
        if style.is_question() {
            hidden(text).map(String::into_bytes)
        } else {
            println!("{text}");
            None
        }
    });
    show(handle.authenticate(0));
    1
}

fn guess(scene: &Scene) -> usize {
    println!("\nFive guesses from {STRANGER}, with the right password:");
    for _ in 0..5 {
        let code = scene.phone.wrong_code();
        print!("  {code} ");
        show(scene.login(STRANGER, &scene.password, &code));
    }
    println!(
        "The records say which were compared before the strangers' lane closed. {} still gets in from an",
        scene.user
    );
    println!(
        "address that was used before (1, if you did that first), and from the office (2). The password looks"
    );
    println!(
        "stolen now: until the next login with both, the office takes it with the code behind it, and the"
    );
    println!("owner is told about the stranger then.");
    5
}

fn show(code: Code) {
    if code == Code::SUCCESS {
        println!("{}", bold("-> let in"))
    } else {
        println!("-> refused (PAM_{})", code.name())
    }
}

fn line(prompt: &str) -> Option<String> {
    print!("{prompt}");
    std::io::stdout().flush().ok()?;
    let mut typed = String::new();
    (std::io::stdin().lock().read_line(&mut typed).ok()? > 0).then_some(typed)
}

/// Asks without showing what is typed.
fn hidden(prompt: &str) -> Option<String> {
    let terminal = std::io::stdin();
    let before = tcgetattr(&terminal).ok()?;
    let mut quiet = before.clone();
    quiet.local_flags.remove(LocalFlags::ECHO);
    tcsetattr(&terminal, SetArg::TCSADRAIN, &quiet).ok()?;
    let typed = line(prompt);
    let _ = tcsetattr(&terminal, SetArg::TCSADRAIN, &before);
    println!();
    typed.map(|typed| typed.trim_end_matches('\n').to_owned())
}

fn bold(text: &str) -> String {
    format!("\u{1b}[1m{text}\u{1b}[0m")
}

fn dim(text: &str) -> String {
    format!("\u{1b}[2m{text}\u{1b}[0m")
}
