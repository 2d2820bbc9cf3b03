//! The story without a terminal: what a visitor would do, with what they would see.

use crate::scene::{DESK, HOME, STRANGER, Scene};
use support::pam::Code;

/// Plays the story and prints it; panics, and so fails, if it does not go as it must.
pub(crate) fn play(mut scene: Scene) {
    let user = scene.user.clone();
    let password = scene.password.clone();
    println!("Twinlock, played by itself. At a terminal, `make demo` lets you play.\n");
    println!("Running in {}: twinlockd, an LDAP directory with {user} in it,", scene.site.path("").display());
    println!(
        "and libpam with pam_twinlock.so. The office is 192.0.2.0/24; everywhere else a code is asked.\n"
    );

    println!("# {user} gets an authenticator");
    let seed = scene.phone.seed().to_owned();
    println!("$ twinlock enroll {user} --seed {} --active", "*".repeat(8));
    assert!(scene.twinlock(&["enroll", &user, "--seed", "-", "--active"], &format!("{seed}\n")));

    let mut number = 0;
    let mut login = |scene: &mut Scene, title: &str, from: &str, typed: (&str, &str), expected: Code| {
        println!("\n# {title}");
        println!("$ ssh {user}@host            (from {from})");
        let shown_code =
            if typed.1.is_empty() { String::new() } else { format!("   Verification code: {}", typed.1) };
        println!("Password: ********{shown_code}");
        let code = scene.login(from, typed.0, typed.1);
        println!("-> PAM_{}", code.name());
        assert_eq!(code, expected, "{title}");
        number += 1;
        for record in scene.records_of_attempt(number) {
            println!("   {record}");
        }
    };

    let first = scene.phone.code();
    let wrong = scene.phone.wrong_code();
    login(&mut scene, "The right password and the right code", HOME, (&password, &first), Code::SUCCESS);
    login(&mut scene, "The same code again: refused as a replay", HOME, (&password, &first), Code::AUTH_ERR);
    login(
        &mut scene,
        "A wrong code: only afterwards is the directory asked, once, whether the password was right",
        HOME,
        (&password, &wrong),
        Code::AUTH_ERR,
    );
    let second = scene.phone.code();
    login(&mut scene, "A wrong password", HOME, ("a typo", &second), Code::AUTH_ERR);
    login(
        &mut scene,
        "The right password, and the same code still serves",
        HOME,
        (&password, &second),
        Code::SUCCESS,
    );
    login(
        &mut scene,
        "In the office no code is asked: a waiver, and recorded as one",
        DESK,
        (&password, ""),
        Code::SUCCESS,
    );
    for _ in 0..3 {
        login(
            &mut scene,
            "A stranger who knows the password guesses codes",
            STRANGER,
            (&password, &wrong),
            Code::AUTH_ERR,
        );
    }
    login(
        &mut scene,
        "The strangers' lane is closed now: nothing is compared any more",
        STRANGER,
        (&password, &wrong),
        Code::AUTH_ERR,
    );
    let third = scene.phone.code();
    login(
        &mut scene,
        "The owner, at home, gets in as ever, and is told about the stranger",
        HOME,
        (&password, &third),
        Code::SUCCESS,
    );

    println!("\n# What the administrator sees\n$ twinlock user show {user}");
    assert!(scene.twinlock(&["user", "show", &user], ""));
    println!("$ twinlock status");
    assert!(scene.twinlock(&["status"], ""));
    println!("\nDone. Everything ran in a temporary folder, which is gone now.");
}
