//! The shipped PAM stacks, line by line, by libpam's rules for controls and jumps: who is asked, and whose word is
//! final. Whether libpam agrees is shown by the stories that log in through it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

const AUTH: &str = include_str!("../pam.d/twinlock-auth");
const ACCOUNT: &str = include_str!("../pam.d/twinlock-account");
const PASSWORD: &str = include_str!("../pam.d/twinlock-password");

/// What each module answers, by name.
type Answers<'a> = &'a [(&'a str, &'a str)];

/// The result of a stack, and the modules that were asked.
fn walk(stack: &str, answers: Answers<'_>) -> (String, Vec<String>) {
    let lines: Vec<&str> = stack.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    let (mut status, mut asked, mut at) = (None::<String>, Vec::new(), 0);
    while let Some(line) = lines.get(at) {
        let rest = line.split_once(char::is_whitespace).unwrap().1.trim();
        let (control, module) = match rest.strip_prefix('[') {
            Some(rest) => rest.split_once(']').unwrap(),
            None => (
                "success=ok new_authtok_reqd=ok ignore=ignore default=bad",
                rest.split_once("required").unwrap().1,
            ),
        };
        let module = module.split_whitespace().next().unwrap();
        let answer = match module {
            "pam_permit.so" => "success",
            _ => answers
                .iter()
                .find(|(name, _)| *name == module)
                .map_or("module_unknown", |(_, answer)| answer),
        };
        asked.push(module.to_owned());
        let action =
            |key: &str| control.split_whitespace().find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
        match action(answer).or_else(|| action("default")).unwrap() {
            "ignore" => {}
            "ok" => {
                if status.as_deref().is_none_or(|status| status == "success") {
                    status = Some(answer.to_owned());
                }
            }
            "die" => return (answer.to_owned(), asked),
            number => at += number.parse::<usize>().unwrap(),
        }
        at += 1;
    }
    assert!(at <= lines.len(), "a jump leads beyond the stack");
    (status.unwrap_or_else(|| "perm_denied".into()), asked)
}

fn asked(found: &(String, Vec<String>), module: &str) -> bool {
    found.1.iter().any(|asked| asked == module)
}

const OTHER: (&str, &str) = ("pam_succeed_if.so", "auth_err");

#[test]
fn a_local_account_ends_in_pam_unix_and_never_reaches_the_daemon() {
    for stack in [AUTH, ACCOUNT, PASSWORD] {
        for result in ["success", "auth_err", "user_unknown", "acct_expired"] {
            let answers = [("pam_localuser.so", "success"), ("pam_unix.so", result), OTHER];
            let found = walk(stack, &answers);
            assert_eq!(found.0, result);
            assert!(asked(&found, "pam_unix.so") && !asked(&found, "pam_twinlock.so"), "{found:?}");
        }
    }
}

#[test]
fn a_directory_account_ends_in_twinlock_and_never_reaches_pam_unix() {
    for stack in [AUTH, ACCOUNT, PASSWORD] {
        for result in ["success", "auth_err", "authinfo_unavail", "ignore", "module_unknown", "abort"] {
            let answers = [("pam_localuser.so", "perm_denied"), ("pam_twinlock.so", result), OTHER];
            let found = walk(stack, &answers);
            assert_eq!(found.0, result);
            assert!(!asked(&found, "pam_unix.so"), "{found:?}");
        }
    }
}

#[test]
fn who_cannot_be_told_apart_is_refused() {
    for stack in [AUTH, ACCOUNT, PASSWORD] {
        for result in ["service_err", "module_unknown", "ignore", "user_unknown"] {
            let answers = [
                ("pam_localuser.so", result),
                ("pam_unix.so", "success"),
                ("pam_twinlock.so", "success"),
                OTHER,
            ];
            assert_eq!(walk(stack, &answers).0, result);
        }
    }
}

#[test]
fn an_expired_password_is_passed_on() {
    for (local, module) in [("success", "pam_unix.so"), ("perm_denied", "pam_twinlock.so")] {
        let answers = [("pam_localuser.so", local), (module, "new_authtok_reqd"), OTHER];
        assert_eq!(walk(ACCOUNT, &answers).0, "new_authtok_reqd");
    }
}

#[test]
fn a_stopped_daemon_does_not_stop_cron() {
    let answers = [
        ("pam_localuser.so", "perm_denied"),
        ("pam_succeed_if.so", "success"),
        ("pam_twinlock.so", "authinfo_unavail"),
    ];
    assert_eq!(walk(ACCOUNT, &answers).0, "success");
    assert!(ACCOUNT.contains("service in cron:crond:atd:systemd-user"));
}

#[test]
fn every_service_takes_both_stacks_in_and_nothing_is_sufficient() {
    for service in [
        include_str!("../pam.d/sshd"),
        include_str!("../pam.d/login"),
        include_str!("../pam.d/sudo"),
        include_str!("../pam.d/xrdp-sesman"),
    ] {
        let changes_passwords = !service.contains("/etc/pam.d/sudo ");
        let lines: Vec<String> = service
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        assert!(lines.contains(&"auth include twinlock-auth".to_owned()), "{service}");
        assert!(lines.contains(&"account include twinlock-account".to_owned()), "{service}");
        let included = lines.contains(&"password include twinlock-password".to_owned());
        assert_eq!(included, changes_passwords, "{service}");
        assert!(!lines.iter().any(|line| line.contains("sufficient")
            || line.contains("common-auth")
            || line.contains("common-account")
            || line.contains("common-password")));
    }
}
