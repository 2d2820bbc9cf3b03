//! Samba as an Active Directory domain controller: each sub-code of a refused bind, through libpam and the daemon to PAM's
//! code; nested groups by the in-chain rule; a new password by unicodePwd.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use support::desk::{at_desk, errors, phases, told};
use support::host::{Host, Session, can_play};
use support::pam::Code;
use support::samba::{self, LOCKOUT, PASSWORD, Samba};
use support::site::{RULES, Site, field};

fn site(story: &str) -> Option<(&'static Samba, Site)> {
    let samba = samba::shared(story)?;
    // Every account here is tried from one address.
    let rules = format!("{RULES}\n[tarpit]\nfree = 10\nguess_budget = \"100%/year\"\n");
    Some((samba, Site::start(&samba.settings(), &rules)))
}

/// The row: auth and account for the right password, and what the record says. The wrong one is a plain denial.
fn row(user: &str, right: (Code, Code), reason: &str) {
    let Some((_, site)) = site(user) else { return };
    assert_eq!(phases(&site, user, "wrong"), (Code::AUTH_ERR, Code::AUTH_ERR), "{user}, wrong");
    assert_eq!(field(&site.attempt(1), "reason"), "wrong-password");
    assert_eq!(phases(&site, user, PASSWORD), right, "{user}, right");
    let record = site.attempt(2);
    assert_eq!((field(&record, "reason"), field(&record, "password")), (reason, "right"), "{record}");
}

#[test]
fn an_account_that_stands_well_is_let_in_by_every_way_to_spell_it() {
    let Some((_, site)) = site("spellings") else { return };
    let spellings = ["fine", "FINE", "ADTEST\\fine", "adtest\\Fine", "fine@ADTEST", "fine@ad.example.org"];
    for user in spellings {
        assert_eq!(phases(&site, user, PASSWORD), (Code::SUCCESS, Code::SUCCESS), "{user}");
    }
    let ids: Vec<_> =
        site.attempts(spellings.len()).iter().map(|record| field(record, "account").to_owned()).collect();
    assert!(ids.iter().all(|id| *id == ids[0] && id.len() == "main:".len() + 36), "{ids:?}");
}

#[test]
fn data_52e_is_a_wrong_password_and_an_unknown_name_is_denied_alike() {
    let Some((_, site)) = site("52e") else { return };
    assert_eq!(phases(&site, "fine", "wrong"), (Code::AUTH_ERR, Code::AUTH_ERR));
    assert_eq!(phases(&site, "nobody", "wrong"), (Code::AUTH_ERR, Code::AUTH_ERR));
    assert_eq!(phases(&site, "fine", ""), (Code::AUTH_ERR, Code::AUTH_ERR));
}

#[test]
fn data_530_outside_logon_hours() {
    row("hours", (Code::PERM_DENIED, Code::PERM_DENIED), "outside-hours");
}

#[test]
fn data_531_only_from_other_hosts() {
    row("hosts", (Code::PERM_DENIED, Code::PERM_DENIED), "other-hosts-only");
}

#[test]
fn data_532_an_expired_password_must_be_changed() {
    row("aged", (Code::SUCCESS, Code::NEW_AUTHTOK_REQD), "rule-met");
}

#[test]
fn data_533_a_disabled_account() {
    row("disabled", (Code::ACCT_EXPIRED, Code::ACCT_EXPIRED), "account-disabled");
}

#[test]
fn data_701_an_account_whose_last_day_is_over() {
    row("ended", (Code::ACCT_EXPIRED, Code::ACCT_EXPIRED), "account-expired");
}

#[test]
fn data_773_a_password_that_must_be_changed_is_changed_over_tls_and_then_lets_in() {
    let Some((_, site)) = site("773") else { return };
    let answers = [
        ("Password: ", PASSWORD),
        ("New password: ", "x"),
        ("Retype new password: ", "x"),
        ("New password: ", "An0ther grüner one"),
        ("Retype new password: ", "An0ther grüner one"),
    ];
    let mut login = at_desk(&site, "reset", &answers);
    assert_eq!((login.authenticate(0), login.acct_mgmt(0)), (Code::SUCCESS, Code::NEW_AUTHTOK_REQD));
    assert_eq!(login.chauthtok(0), Code::SUCCESS, "{:?}", login.transcript());
    let errors = errors(&login);
    assert!(errors.len() == 1 && errors[0].contains("too short"), "in the server's words: {errors:?}");
    assert_eq!(phases(&site, "reset", "An0ther grüner one"), (Code::SUCCESS, Code::SUCCESS));
}

#[test]
fn data_775_a_locked_account_is_a_plain_denial_for_the_right_password_too() {
    let Some((samba, site)) = site("775") else { return };
    for _ in 0..LOCKOUT {
        let bind = std::process::Command::new("ldapsearch")
            .args([
                "-x",
                "-H",
                &samba.ldaps_url(),
                "-D",
                "locked@ad.example.org",
                "-w",
                "wrong",
                "-b",
                "",
                "-s",
                "base",
            ])
            .env("LDAPTLS_REQCERT", "never")
            .output()
            .unwrap();
        assert_eq!(bind.status.code(), Some(49), "{bind:?}");
    }
    assert_eq!(phases(&site, "locked", PASSWORD), (Code::AUTH_ERR, Code::AUTH_ERR));
    let record = site.attempt(1);
    assert_eq!((field(&record, "reason"), field(&record, "password")), ("account-locked", "-"), "{record}");
}

#[test]
fn a_plain_connection_is_refused_by_the_server_and_said() {
    let Some(samba) = samba::shared("plain") else { return };
    let plain =
        samba.settings().replace("ldaps://", "ldap://").replace("mode = \"ldaps\"", "mode = \"none\"");
    let site = Site::start(&plain, RULES);
    assert_eq!(phases(&site, "fine", PASSWORD), (Code::AUTHINFO_UNAVAIL, Code::AUTHINFO_UNAVAIL));
    let record = site.attempt(1);
    assert!(record.contains("result code 8"), "{record}");
}

#[test]
fn days_left_are_told_after_the_grant() {
    let Some((_, site)) = site("warned") else { return };
    let mut login = at_desk(&site, "warned", &[("Password: ", PASSWORD)]);
    assert_eq!(login.authenticate(0), Code::SUCCESS);
    assert_eq!(told(&login), ["Your password expires in 2 days."]);
}

#[test]
fn nested_groups_are_found_by_the_in_chain_rule_and_the_primary_one_too() {
    let Some(samba) = samba::shared("groups") else { return };
    let rules =
        RULES.replace("name = \"everyone else\"\n", "name = \"everyone else\"\ngroups = [\"outer\"]\n");
    let site = Site::start(&samba.settings(), &rules);
    let shown = site.twinlock(&["user", "show", "fine", "--json"]);
    let text = String::from_utf8_lossy(&shown.stdout);
    for group in ["inner", "outer", "Domain Users"] {
        assert!(text.contains(&format!("\"{group}\"")), "{group} in {text}");
    }
}

#[test]
fn passwd_changes_by_the_word_of_the_old_password() {
    let Some((_, site)) = site("passwd") else { return };
    let answers = |old: &'static str, new: &'static str| {
        [
            ("Current password: ", old),
            ("Verification code: ", ""),
            ("New password: ", new),
            ("Retype new password: ", new),
        ]
    };
    let mut login = at_desk(&site, "renamed", &answers("wrong", "Unus3d one"));
    assert_eq!(login.chauthtok(0), Code::AUTHTOK_ERR);
    let mut login = at_desk(&site, "renamed", &answers(PASSWORD, "An0ther one"));
    assert_eq!(login.chauthtok(0), Code::SUCCESS, "{:?}", login.transcript());
    assert_eq!(phases(&site, "renamed", "An0ther one"), (Code::SUCCESS, Code::SUCCESS));
}

#[test]
fn servers_that_dns_names_are_found_and_certified_by_their_own_names() {
    let Some(samba) = samba::shared("srv") else { return };
    for (mode, domain, expected) in [
        ("ldaps", "ad.example.org", Code::SUCCESS),
        ("starttls", "ad.example.org", Code::SUCCESS),
        ("ldaps", "other.example.org", Code::AUTHINFO_UNAVAIL),
    ] {
        let url = format!("srv://{domain}");
        let settings = samba
            .settings()
            .replace(&samba.ldaps_url(), &url)
            .replace("mode = \"ldaps\"", &format!("mode = {mode:?}"));
        let mut site = Site::prepare(&settings, RULES);
        site.start_daemon_asking(samba.address());
        assert_eq!(phases(&site, "fine", PASSWORD).0, expected, "{mode} {domain}: {}", site.attempt(1));
        let shown = site.twinlock(&["status", "--json"]);
        let text = String::from_utf8_lossy(&shown.stdout);
        assert_eq!(text.contains("://dc1.ad.example.org:"), expected == Code::SUCCESS, "{text}");
    }
}

/// The file says five failures; the server says four.
#[test]
fn failed_binds_stay_below_the_lock_out_that_the_server_tells() {
    let Some((samba, site)) = site("strict") else { return };
    for number in 0..6 {
        assert_eq!(phases(&site, "strict", &format!("wrong {number}")).0, Code::AUTH_ERR);
    }
    let reasons: Vec<_> = site.attempts(6).iter().map(|record| field(record, "reason").to_owned()).collect();
    let mut expected = vec!["wrong-password"; 2];
    expected.resize(6, "no-bind-left");
    assert_eq!(reasons, expected, "the last one is kept for a right code");
    let bind = std::process::Command::new("ldapsearch")
        .args([
            "-x",
            "-H",
            &samba.ldaps_url(),
            "-D",
            "strict@ad.example.org",
            "-w",
            PASSWORD,
            "-b",
            "",
            "-s",
            "base",
        ])
        .env("LDAPTLS_REQCERT", "never")
        .output()
        .unwrap();
    assert!(bind.status.success(), "it is not locked: {bind:?}");
}

/// The shipped example (config/examples/active-directory.toml), run as it is, asked by real sshd.
#[test]
fn the_example_of_a_jump_host_a_helpdesk_and_a_backup_by_key() {
    const JUMP_HOST: &str = "192.0.2.10";
    const DESKS: &str = "198.51.100.7";
    const BACKUP_SERVER: &str = "198.51.100.66";
    const ELSEWHERE: &str = "203.0.113.77";
    let Some(samba) = samba::shared("the example of Active Directory") else { return };
    if !can_play("the example of Active Directory") {
        return;
    }
    let url = format!("{:?}", [samba.ldaps_url()]);
    let (password, ca) = (samba.bind_password_file(), samba.authority());
    let site = Site::of_example(
        "active-directory.toml",
        &[
            ("[\"ldaps://dc1.ad.example.org\", \"ldaps://dc2.ad.example.org\"]", &url),
            ("/etc/twinlock/bind-password", password.to_str().unwrap()),
            ("/etc/twinlock/domain-ca.pem", ca.to_str().unwrap()),
            ("realm = \"EXAMPLE\"", "realm = \"ADTEST\""),
            ("192.0.2.64/27", "198.51.100.7/32"),
            ("192.0.2.20/32", "198.51.100.66/32"),
        ],
    )
    .started();
    let mut helen = site.enroll("helen");
    let host = Host::start(&site, &["fine", "helen", "svc-backup"], "");
    let ssh = |from: &str, user: &str, code: &str| -> Session {
        host.ssh_around(from, user, "keyboard-interactive", PASSWORD, code)
    };
    let by_key = |from: &str, user: &str| host.ssh_by_key_around(from, user, "publickey", "").entered;
    let outcome = |count: usize| {
        let record = site.attempt(count);
        ["rule", "verdict", "reason", "waiver", "lane"].map(|key| field(&record, key).to_owned()).join("; ")
    };

    // Through the jump host: one question. Its lane is the account's own, and nothing is learned of its address.
    for count in 1..=2 {
        let session = ssh(JUMP_HOST, "fine", "");
        assert!(session.entered, "{session:?} {:#?} {}", site.records(), host.sshd_log());
        assert_eq!(session.prompts.len(), 1, "{session:?}");
        assert_eq!(outcome(count), "through the jump host; grant; rule-met; jump-host; in jump-host");
    }
    assert!(!ssh(ELSEWHERE, "fine", "").entered, "not past it");
    assert_eq!(outcome(3), "-; deny; no-rule; -; -");

    // The helpdesk, by a group within the group, at its desks; nobody else there.
    assert!(ssh(DESKS, "helen", &helen.code()).entered, "{:#?}", site.records());
    assert_eq!(outcome(4), "helpdesk at its desks; grant; rule-met; -; in helpdesk-desks");
    assert!(!ssh(DESKS, "helen", "").entered);
    assert_eq!(
        outcome(5).split("; ").take(3).collect::<Vec<_>>(),
        ["helpdesk at its desks", "deny", "wrong-code"]
    );
    assert!(!ssh(DESKS, "fine", "").entered);
    assert_eq!(outcome(6), "-; deny; no-rule; -; -");

    // The backup account: by its key from its server, and by nothing else.
    assert!(by_key(BACKUP_SERVER, "svc-backup"), "{:#?}", site.records());
    assert_eq!(outcome(7), "backup by key; grant; rule-met; backup-server; -");
    assert!(!by_key(JUMP_HOST, "svc-backup"));
    assert_eq!(outcome(8), "backup, no other way; deny; denied-by-rule; -; -");
    assert!(!ssh(JUMP_HOST, "svc-backup", "").entered, "nor by its password");
    assert_eq!(outcome(9), "backup, no other way; deny; denied-by-rule; -; -");
    assert!(!by_key(BACKUP_SERVER, "fine"), "somebody else's key");
    assert_eq!(outcome(10), "-; deny; no-rule; -; -");
    assert!(!by_key(JUMP_HOST, "fine"), "a key skips the password");
    assert_eq!(outcome(11), "through the jump host; deny; rule-not-met; jump-host; -");
}
