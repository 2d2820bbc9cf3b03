//! OpenLDAP with ppolicy and memberOf: each way an account can stand there, through libpam and the daemon to PAM's code.
//! What a person learns of it, they learn after everything was proved, and not before.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use support::desk::{at_desk, errors, far_away, phases, told};
use support::host::{Host, can_play};
use support::pam::Code;
use support::policies::{self, LOCKOUT};
use support::site::{RULES, Site, field};
use support::slapd::{PEOPLE, Slapd};

const UNCHANGED: (Code, Code) = (Code::SUCCESS, Code::SUCCESS);

fn site() -> (Slapd, Site) {
    let slapd = policies::start();
    let site = Site::start(&settings(&slapd), RULES);
    (slapd, site)
}

fn settings(slapd: &Slapd) -> String {
    slapd.settings("ldaps", &[slapd.ldaps_url()]).replace("\"rfc2307\"", "\"rfc2307bis\"")
}

fn own(user: &str) -> String {
    format!("{user}'s password")
}

/// The row: auth and account for the right password, and what the record says. The wrong one is a plain denial.
fn row(user: &str, right: (Code, Code), reason: &str) {
    let (_slapd, site) = site();
    assert_eq!(phases(&site, user, "wrong"), (Code::AUTH_ERR, Code::AUTH_ERR), "{user}, wrong");
    assert_eq!(phases(&site, user, &own(user)), right, "{user}, right");
    let record = site.attempt(2);
    assert_eq!(field(&record, "reason"), reason, "{record}");
}

#[test]
fn an_account_that_stands_well_is_let_in() {
    row("fine", UNCHANGED, "rule-met");
}

#[test]
fn an_unknown_name_is_denied_as_a_wrong_password_is() {
    let (_slapd, site) = site();
    assert_eq!(phases(&site, "nobody", "x"), (Code::AUTH_ERR, Code::AUTH_ERR));
    assert_eq!(field(&site.attempt(1), "reason"), "unknown-account");
}

#[test]
fn an_empty_password_is_denied_without_a_bind() {
    let (slapd, site) = site();
    assert_eq!(phases(&site, "fine", ""), (Code::AUTH_ERR, Code::AUTH_ERR));
    assert_eq!(slapd.binds(&format!("uid=fine,{PEOPLE}")), 0);
}

#[test]
fn an_expired_password_is_said_to_whoever_knows_it() {
    row("expired", (Code::AUTHTOK_EXPIRED, Code::AUTHTOK_EXPIRED), "password-expired");
}

#[test]
fn a_lock_by_an_administrator_is_a_plain_denial_because_the_directory_looks_at_no_password() {
    row("adminlock", (Code::AUTH_ERR, Code::AUTH_ERR), "account-locked");
}

#[test]
fn an_account_whose_last_day_is_over_is_a_plain_denial_because_the_directory_looks_at_no_password() {
    row("ended", (Code::AUTH_ERR, Code::AUTH_ERR), "account-locked");
}

#[test]
fn shadow_attributes_expire_accounts_and_passwords() {
    row("shadowended", (Code::ACCT_EXPIRED, Code::ACCT_EXPIRED), "account-expired");
    row("shadowinactive", (Code::AUTHTOK_EXPIRED, Code::AUTHTOK_EXPIRED), "password-expired");
}

#[test]
fn a_locked_account_is_a_plain_denial_for_the_right_password_too() {
    let (slapd, site) = site();
    for _ in 0..LOCKOUT {
        assert!(!bound(&slapd, "lockable", "wrong"));
    }
    assert_eq!(phases(&site, "lockable", &own("lockable")), (Code::AUTH_ERR, Code::AUTH_ERR));
    let record = site.attempt(1);
    assert_eq!((field(&record, "reason"), field(&record, "password")), ("account-locked", "-"), "{record}");
}

/// A bind past the daemon.
fn bound(slapd: &Slapd, user: &str, password: &str) -> bool {
    std::process::Command::new("ldapwhoami")
        .args(["-x", "-H", &slapd.ldapi_url(), "-D", &format!("uid={user},{PEOPLE}"), "-w", password])
        .output()
        .unwrap()
        .status
        .success()
}

#[test]
fn days_left_and_logins_left_are_told_after_the_grant_and_to_nobody_else() {
    let (_slapd, site) = site();
    for (user, words) in [
        ("warned", "Your password expires in 3 days."),
        ("shadowwarned", "Your password expires in 3 days."),
        ("grace", "Your password has expired. It serves for one more login. Change it now."),
    ] {
        let mut login = at_desk(&site, user, &[("Password: ", "wrong")]);
        assert_eq!(login.authenticate(0), Code::AUTH_ERR);
        assert_eq!(told(&login), [""; 0], "{user}");
        let mut login = at_desk(&site, user, &[("Password: ", &own(user))]);
        assert_eq!(login.authenticate(0), Code::SUCCESS);
        assert_eq!(told(&login), [words], "{user}");
        assert_eq!(login.acct_mgmt(0), Code::SUCCESS);
    }
}

#[test]
fn a_stranger_without_the_code_does_not_learn_how_the_account_stands() {
    let (_slapd, site) = site();
    for (user, code) in [("expired", Code::AUTHTOK_EXPIRED), ("shadowended", Code::ACCT_EXPIRED)] {
        let mut phone = site.enroll(user);
        let mut login = far_away(&site, user, &own(user), &phone.wrong_code());
        assert_eq!(login.authenticate(0), Code::AUTH_ERR, "{user}: the right password, a wrong code");
        assert_eq!(told(&login), [""; 0]);
        let mut login = far_away(&site, user, "wrong", &phone.code());
        assert_eq!(login.authenticate(0), Code::AUTH_ERR, "{user}: a wrong password, a right code");
        let mut login = far_away(&site, user, &own(user), &phone.code());
        assert_eq!(login.authenticate(0), code, "{user}: both");
    }
}

#[test]
fn who_is_barred_has_guessed_nothing_and_is_not_charged() {
    let (_slapd, site) = site();
    for _ in 0..8 {
        assert_eq!(phases(&site, "expired", &own("expired")).0, Code::AUTHTOK_EXPIRED);
    }
    let shown = site.twinlock(&["user", "show", "expired", "--json"]);
    assert!(!String::from_utf8_lossy(&shown.stdout).contains("\"failures\":"), "{shown:?}");
}

#[test]
fn a_password_that_must_be_changed_lets_in_after_it_was_changed_in_the_same_conversation() {
    let (slapd, site) = site();
    let mut login = at_desk(
        &site,
        "reset",
        &[
            ("Password: ", &own("reset")),
            ("New password: ", "a better one"),
            ("Retype new password: ", "a better one"),
        ],
    );
    assert_eq!(login.authenticate(0), Code::SUCCESS);
    assert_eq!(login.acct_mgmt(0), Code::NEW_AUTHTOK_REQD);
    assert_eq!(login.chauthtok(0), Code::SUCCESS, "{:?}", login.transcript());
    assert_eq!(
        login.prompts(),
        ["Password: ", "New password: ", "Retype new password: "],
        "the old one is not asked again"
    );
    assert_eq!(told(&login), ["The password was changed."]);
    assert!(bound(&slapd, "reset", "a better one") && !bound(&slapd, "reset", &own("reset")));
    assert_eq!(phases(&site, "reset", "a better one"), UNCHANGED, "and nothing is to be changed any more");
    assert_eq!(field(&site.attempt(2), "reason"), "password-changed");
}

#[test]
fn shadow_attributes_ask_for_a_new_password_and_the_day_of_the_change_is_written() {
    let (_slapd, site) = site();
    for user in ["shadowmust", "shadowaged"] {
        let new = [
            ("Password: ", own(user)),
            ("New password: ", "a better one".into()),
            ("Retype new password: ", "a better one".into()),
        ];
        let new: Vec<_> = new.iter().map(|(prompt, answer)| (*prompt, answer.as_str())).collect();
        let mut login = at_desk(&site, user, &new);
        assert_eq!(
            (login.authenticate(0), login.acct_mgmt(0)),
            (Code::SUCCESS, Code::NEW_AUTHTOK_REQD),
            "{user}"
        );
        assert_eq!(login.chauthtok(0), Code::SUCCESS);
        assert_eq!(phases(&site, user, "a better one"), UNCHANGED, "{user}");
    }
}

#[test]
fn what_the_policy_refuses_is_said_in_the_servers_words_and_loses_nothing() {
    let (slapd, site) = site();
    let mut answers = vec![("Password: ", "reset2's password")];
    for new in ["short", "reset2's password", "one thing", "long enough now"] {
        answers.push(("New password: ", new));
        answers.push(("Retype new password: ", if new == "one thing" { "another thing" } else { new }));
    }
    let mut login = at_desk(&site, "reset2", &answers);
    assert_eq!((login.authenticate(0), login.acct_mgmt(0)), (Code::SUCCESS, Code::NEW_AUTHTOK_REQD));
    assert_eq!(login.chauthtok(0), Code::AUTHTOK_ERR, "three tries and no more");
    assert_eq!(
        errors(&login),
        [
            "The directory refuses the new password: Password fails quality checking policy",
            "That is the current password.",
            "The two are not the same.",
        ]
    );
    assert!(bound(&slapd, "reset2", "reset2's password"), "the old one is as good as before");
    let mut login = at_desk(
        &site,
        "reset2",
        &[
            ("Password: ", "reset2's password"),
            ("New password: ", "long enough now"),
            ("Retype new password: ", "long enough now"),
        ],
    );
    assert_eq!((login.authenticate(0), login.acct_mgmt(0)), (Code::SUCCESS, Code::NEW_AUTHTOK_REQD));
    assert_eq!(login.chauthtok(0), Code::SUCCESS);
}

#[test]
fn a_directory_that_hangs_in_the_middle_of_a_change_loses_nothing() {
    let (slapd, site) = site();
    let answers = [
        ("Password: ", "reset's password"),
        ("New password: ", "a better one"),
        ("Retype new password: ", "a better one"),
    ];
    let mut login = at_desk(&site, "reset", &answers);
    assert_eq!((login.authenticate(0), login.acct_mgmt(0)), (Code::SUCCESS, Code::NEW_AUTHTOK_REQD));
    slapd.freeze();
    assert_eq!(login.chauthtok(0), Code::AUTHINFO_UNAVAIL);
    slapd.thaw();
    let mut login = at_desk(&site, "reset", &answers);
    assert_eq!((login.authenticate(0), login.acct_mgmt(0)), (Code::SUCCESS, Code::NEW_AUTHTOK_REQD));
    assert_eq!(login.chauthtok(0), Code::SUCCESS, "{:?}", login.transcript());
    assert!(bound(&slapd, "reset", "a better one"));
}

#[test]
fn passwd_proves_the_code_first_and_changes_nothing_without_both() {
    let (slapd, site) = site();
    let mut phone = site.enroll("fine");
    let dn = format!("uid=fine,{PEOPLE}");
    let asked = |password: &str, code: &str| {
        at_desk(
            &site,
            "fine",
            &[
                ("Current password: ", password),
                ("Verification code: ", code),
                ("New password: ", "a better one"),
                ("Retype new password: ", "a better one"),
            ],
        )
    };
    let mut login = asked(&own("fine"), &phone.wrong_code());
    assert_eq!(login.chauthtok(0), Code::AUTHTOK_ERR);
    assert_eq!(login.prompts(), ["Current password: ", "Verification code: "], "no new one is asked for");
    assert_eq!(slapd.binds(&dn), 0, "the directory sees no password without a right code");
    let mut login = asked("wrong", &phone.code());
    assert_eq!(login.chauthtok(0), Code::AUTHTOK_ERR);
    assert_eq!(slapd.binds(&dn), 1);
    let mut login = asked(&own("fine"), &phone.code());
    assert_eq!(login.chauthtok(0), Code::SUCCESS, "{:?}", login.transcript());
    assert!(bound(&slapd, "fine", "a better one"));
    let reasons: Vec<_> = site.attempts(3).iter().map(|record| field(record, "reason").to_owned()).collect();
    assert_eq!(reasons, ["wrong-code", "wrong-password", "password-changed"]);
    let shown = site.twinlock(&["user", "show", "fine", "--json"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("\"failures\":2"), "{shown:?}");
}

#[test]
fn passwd_of_an_account_without_an_authenticator_takes_the_password_alone() {
    let (_slapd, site) = site();
    let mut login = at_desk(
        &site,
        "fine",
        &[
            ("Current password: ", &own("fine")),
            ("Verification code: ", ""),
            ("New password: ", "a better one"),
            ("Retype new password: ", "a better one"),
        ],
    );
    assert_eq!(login.chauthtok(0), Code::SUCCESS, "{:?}", login.transcript());
    let record = site.attempt(1);
    for (key, value) in
        [("phase", "password"), ("verdict", "grant"), ("reason", "password-changed"), ("password", "right")]
    {
        assert_eq!(field(&record, key), value, "{record}");
    }
    assert!(!record.contains("better one") && !record.contains(&own("fine")), "{record}");
    let mut nobody = at_desk(&site, "nobody", &[("Current password: ", "x"), ("Verification code: ", "")]);
    assert_eq!(nobody.chauthtok(0), Code::AUTHTOK_ERR);
    assert_eq!(nobody.prompts(), ["Current password: ", "Verification code: "]);
}

#[test]
fn ssh_asks_for_the_new_password_in_the_same_conversation() {
    if !can_play("a new password over ssh") {
        return;
    }
    let (slapd, site) = site();
    let mut phone = site.enroll("reset");
    let host = Host::start(&site, &["reset"], "");
    std::fs::write(site.path("host/new"), "a better one").unwrap();
    let session = host.ssh("reset", "keyboard-interactive", &own("reset"), &phone.code());
    assert!(session.entered, "{session:?} {}", host.sshd_log());
    assert_eq!(
        session.prompts,
        [
            "(reset@127.0.0.1) Password: ",
            "(reset@127.0.0.1) Verification code: ",
            "(reset@127.0.0.1) New password: ",
            "(reset@127.0.0.1) Retype new password: ",
        ]
    );
    assert!(bound(&slapd, "reset", "a better one"));
    let reasons: Vec<_> = site.attempts(2).iter().map(|record| field(record, "reason").to_owned()).collect();
    assert_eq!(reasons, ["rule-met", "password-changed"]);
}

#[test]
fn a_key_does_not_let_in_an_account_that_is_out_of_use_and_a_passwords_age_does_not_stop_it() {
    if !can_play("key logins and the directory") {
        return;
    }
    let slapd = policies::start();
    let rules = format!(
        "{RULES}\n[[rule]]\nname = \"by key\"\nservices = [\"sshd\"]\nafter = [\"sshd\"]\nrequire = []\nsingle_factor = true\n"
    );
    // The first rule that matches decides.
    let rules = rules.replacen(
        "[[rule]]\nname = \"everyone else\"",
        "[[rule]]\nname = \"everyone else\"\nservices = [\"desk\"]",
        1,
    );
    let site = Site::start(&settings(&slapd), &rules);
    let users = ["fine", "adminlock", "ended", "shadowended", "shadowinactive", "reset", "lockable"];
    let host = Host::start(&site, &users, "");
    for _ in 0..LOCKOUT {
        assert!(!bound(&slapd, "lockable", "wrong"));
    }
    let explained = site.twinlock(&[
        "explain",
        "--user",
        "shadowended",
        "--service",
        "sshd",
        "--after",
        "sshd",
        "--json",
    ]);
    let text = String::from_utf8_lossy(&explained.stdout);
    assert!(explained.status.code() == Some(1) && text.contains("account-expired"), "{explained:?}");
    for (count, (user, reason)) in (1..).zip([
        ("fine", "rule-met"),
        ("adminlock", "account-locked"),
        ("ended", "account-expired"),
        ("shadowended", "account-expired"),
        ("shadowinactive", "password-expired"),
        // It was used for nothing here.
        ("reset", "rule-met"),
        // A stranger's failed binds do not stop a key.
        ("lockable", "rule-met"),
    ]) {
        let session = host.ssh_by_key(user);
        let record = site.attempt(count);
        assert_eq!(
            (field(&record, "phase"), field(&record, "reason")),
            ("account", reason),
            "{user}: {record}"
        );
        assert_eq!(session.entered, reason == "rule-met", "{user}: {session:?}");
    }
}

#[test]
fn groups_in_groups_are_found_and_a_circle_of_them_ends() {
    let (_slapd, site) = site();
    let shown = site.twinlock(&["user", "show", "fine", "--json"]);
    let text = String::from_utf8_lossy(&shown.stdout);
    // Groups are read where a rule names some.
    assert!(text.contains("\"groups\":null") || !text.contains("groups"), "{text}");
    let rules =
        RULES.replace("name = \"everyone else\"\n", "name = \"everyone else\"\ngroups = [\"outer\"]\n");
    let slapd = policies::start();
    let site = Site::start(&settings(&slapd), &rules);
    let shown = site.twinlock(&["user", "show", "fine", "--json"]);
    let text = String::from_utf8_lossy(&shown.stdout);
    for group in ["inner", "middle", "outer", "staff"] {
        assert!(text.contains(&format!("\"{group}\"")), "{group} in {text}");
    }
}

/// The file says five failures; the server says three.
#[test]
fn failed_binds_stay_below_the_lock_out_that_the_server_tells() {
    let (slapd, site) = site();
    for number in 0..6 {
        assert_eq!(phases(&site, "strict", &format!("wrong {number}")).0, Code::AUTH_ERR);
    }
    let reasons: Vec<_> = site.attempts(6).iter().map(|record| field(record, "reason").to_owned()).collect();
    let mut expected = vec!["wrong-password"; 1];
    expected.resize(6, "no-bind-left");
    assert_eq!(reasons, expected, "the last one is kept for a right code");
    assert!(bound(&slapd, "strict", "strict's password"), "it is not locked");
}
