//! 389 Directory Server: each way an account can stand there, with controls whose lengths take five bytes, through libpam
//! and the daemon to PAM's code.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use support::desk::{at_desk, errors, phases, told};
use support::ds389::{self, Ds389, LOCKOUT, PEOPLE};
use support::pam::Code;
use support::site::{RULES, Site, field};

fn site(story: &str) -> Option<(&'static Ds389, Site)> {
    let server = ds389::shared(story)?;
    let rules = format!("{RULES}\n[tarpit]\nfree = 10\nguess_budget = \"100%/year\"\n");
    Some((server, Site::start(&server.settings(), &rules)))
}

fn own(user: &str) -> String {
    format!("{user}'s password")
}

/// The row: auth and account for the right password, and what the record says. The wrong one is a plain denial.
fn row(user: &str, right: (Code, Code), reason: &str) {
    let Some((_, site)) = site(user) else { return };
    assert_eq!(phases(&site, user, "wrong"), (Code::AUTH_ERR, Code::AUTH_ERR), "{user}, wrong");
    assert_eq!(phases(&site, user, &own(user)), right, "{user}, right");
    assert_eq!(field(&site.attempt(2), "reason"), reason, "{}", site.attempt(2));
}

#[test]
fn an_account_that_stands_well_is_let_in_and_kept_under_its_nsuniqueid() {
    row("fine", (Code::SUCCESS, Code::SUCCESS), "rule-met");
    let Some((_, site)) = site("id") else { return };
    let shown = site.twinlock(&["user", "show", "fine", "--json"]);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    let id = text.split("\"id\":\"main:").nth(1).unwrap().split('"').next().unwrap();
    assert!(id.len() == 35 && id.matches('-').count() == 3, "{text}");
}

#[test]
fn an_unknown_name_and_an_empty_password_are_denied_as_a_wrong_one_is() {
    let Some((_, site)) = site("unknown") else { return };
    assert_eq!(phases(&site, "nobody", "wrong"), (Code::AUTH_ERR, Code::AUTH_ERR));
    assert_eq!(phases(&site, "fine", ""), (Code::AUTH_ERR, Code::AUTH_ERR));
}

#[test]
fn an_inactivated_account_is_a_plain_denial_because_the_server_looks_at_no_password() {
    row("inactive", (Code::AUTH_ERR, Code::AUTH_ERR), "account-disabled");
}

#[test]
fn a_locked_account_is_a_plain_denial_for_the_right_password_too() {
    let Some((server, site)) = site("locked") else { return };
    for _ in 0..=LOCKOUT {
        let _ = std::process::Command::new("ldapwhoami")
            .args(["-x", "-H", &server.ldap_url(), "-D", &format!("uid=locked,{PEOPLE}"), "-w", "wrong"])
            .output()
            .unwrap();
    }
    assert_eq!(phases(&site, "locked", &own("locked")), (Code::AUTH_ERR, Code::AUTH_ERR));
    let record = site.attempt(1);
    assert_eq!((field(&record, "reason"), field(&record, "password")), ("account-locked", "-"), "{record}");
}

#[test]
fn an_expired_password_is_said_to_whoever_knows_it() {
    row("expired", (Code::AUTHTOK_EXPIRED, Code::AUTHTOK_EXPIRED), "password-expired");
}

#[test]
fn days_left_are_told_after_the_grant() {
    let Some((_, site)) = site("warned") else { return };
    let mut login = at_desk(&site, "warned", &[("Password: ", &own("warned"))]);
    assert_eq!(login.authenticate(0), Code::SUCCESS);
    // With its first warning the server gives the password all the days of its warning time.
    assert_eq!(told(&login), ["Your password expires in 10 days."]);
}

#[test]
fn logins_left_are_told_after_the_grant() {
    let Some((_, site)) = site("grace") else { return };
    let mut login = at_desk(&site, "grace", &[("Password: ", &own("grace"))]);
    assert_eq!(login.authenticate(0), Code::SUCCESS);
    assert_eq!(told(&login), ["Your password has expired. It serves for one more login. Change it now."]);
}

#[test]
fn a_password_that_must_be_changed_is_changed_and_then_lets_in() {
    let Some((_, site)) = site("reset") else { return };
    let answers = [
        ("Password: ", "reset's password"),
        ("New password: ", "short"),
        ("Retype new password: ", "short"),
        ("New password: ", "An0ther, longer"),
        ("Retype new password: ", "An0ther, longer"),
    ];
    let mut login = at_desk(&site, "reset", &answers);
    assert_eq!((login.authenticate(0), login.acct_mgmt(0)), (Code::SUCCESS, Code::NEW_AUTHTOK_REQD));
    assert_eq!(login.chauthtok(0), Code::SUCCESS, "{:?}", login.transcript());
    let errors = errors(&login);
    assert!(
        errors.len() == 1 && errors[0].to_lowercase().contains("password"),
        "in the server's words: {errors:?}"
    );
    assert_eq!(phases(&site, "reset", "An0ther, longer"), (Code::SUCCESS, Code::SUCCESS));
}

#[test]
fn groups_in_groups_are_found() {
    let Some(server) = ds389::shared("groups") else { return };
    let rules =
        RULES.replace("name = \"everyone else\"\n", "name = \"everyone else\"\ngroups = [\"outer\"]\n");
    let site = Site::start(&server.settings(), &rules);
    let shown = site.twinlock(&["user", "show", "fine", "--json"]);
    let text = String::from_utf8_lossy(&shown.stdout);
    assert!(text.contains("\"inner\"") && text.contains("\"outer\""), "{text}");
}

/// The file says five failures; the server says three.
#[test]
fn failed_binds_stay_below_the_lock_out_that_the_server_tells() {
    let Some((server, site)) = site("strict") else { return };
    for number in 0..6 {
        assert_eq!(phases(&site, "strict", &format!("wrong {number}")).0, Code::AUTH_ERR);
    }
    let reasons: Vec<_> = site.attempts(6).iter().map(|record| field(record, "reason").to_owned()).collect();
    let mut expected = vec!["wrong-password"; 1];
    expected.resize(6, "no-bind-left");
    assert_eq!(reasons, expected, "the last one is kept for a right code");
    let bind = std::process::Command::new("ldapwhoami")
        .args(["-x", "-H", &server.ldap_url(), "-D", &format!("uid=strict,{PEOPLE}"), "-w", &own("strict")])
        .output()
        .unwrap();
    assert!(bind.status.success(), "it is not locked: {bind:?}");
}
