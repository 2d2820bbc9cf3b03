//! The shipped examples of real sites (config/examples): each passes what `config check` looks at, and decides as its
//! comments say. Real servers play them in the stories `sites` and `samba`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::path::PathBuf;
use twinlock_config::{Config, Country};
use twinlock_policy::*;

/// 2026-11-25 and 2027-04-01, at noon UTC.
const DURING: u64 = 1_795_608_000;
const AFTERWARDS: u64 = 1_806_580_800;

struct Example {
    config: Config,
    policy: Policy,
}

/// A login: where it comes from and by what, what is known of its place, and who it is.
#[derive(Clone, Copy)]
struct Login<'a> {
    from: &'a str,
    service: &'a str,
    country: Option<&'a str>,
    remembered: bool,
    accepted: Accepted,
    user: &'a str,
    groups: &'a [&'a str],
    at: u64,
}

const BY_SSH: Login<'_> = Login {
    from: "203.0.113.77",
    service: "sshd",
    country: None,
    remembered: false,
    accepted: Accepted { publickey: false, sshd: false },
    user: "alice",
    groups: &[],
    at: DURING,
};

impl Example {
    fn read(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../config/examples").join(name);
        let loaded = twinlock_config::load(&path).unwrap_or_else(|problems| panic!("{problems}"));
        let policy = check::accept(&loaded).unwrap_or_else(|problems| panic!("{problems}"));
        Self { config: loaded.config, policy }
    }

    /// What everybody is asked there, and what decides: `asked | rule: factors (waiver)`.
    fn decides(&self, login: Login<'_>) -> String {
        let source = match login.from {
            "local" => Source::Local,
            "unknown" => Source::Unknown,
            literal => Source::Address(literal.parse().unwrap()),
        };
        let country =
            login.country.map_or(Listing::Unknown, |code| Listing::Listed(Country::assigned(code).unwrap()));
        let earned = [Earned {
            service: Some(Service::new(login.service)),
            by: EarnedBy::Logins { logins: 1, unused_s: 3600, newer: 0 },
        }];
        let seen = Seen {
            at: Some(Moment(login.at)),
            origin: Origin { country, asn: Listing::Unknown },
            earned: if login.remembered { &earned } else { &[] },
        };
        let place = self.policy.place(source, Service::new(login.service), &seen);
        let names = [Username::from_pam(login.user.as_bytes()).unwrap()];
        let groups: Vec<GroupName> = login.groups.iter().map(|group| GroupName::new(*group)).collect();
        let subject = Subject::Account { names: &names, groups: Some(&groups) };
        let explained = self.policy.explain(&place, &place, login.accepted, subject);
        let what = match explained.outcome {
            Outcome::LetIn => explained.factors.join(" + "),
            Outcome::Denied => "denied".into(),
            Outcome::Unavailable => "unavailable".into(),
        };
        let waiver = explained.waiver.map(|waiver| format!(" ({waiver})")).unwrap_or_default();
        format!("{} | {}: {what}{waiver}", explained.asked, explained.rule.as_deref().unwrap_or("-"))
    }
}

#[test]
fn each_example_is_accepted_and_the_daemon_has_nothing_to_warn_of_but_its_observing() {
    for name in ["active-directory.toml", "openldap-one-nat.toml", "university.toml"] {
        let example = Example::read(name);
        let warnings = check::check(&example.config, &example.policy).warnings;
        let keys: Vec<_> = warnings.iter().map(|warning| warning.key.as_str()).collect();
        let observes = example.config.tarpit.observe_until.is_some();
        assert_eq!(keys, if observes { vec!["tarpit.observe_until"] } else { vec![] }, "{name}");
        let hasty = check::overlaps(&example.config, &example.policy)
            .into_iter()
            .filter(|pair| !["administrators", "has a code"].contains(&pair.above.as_str()));
        assert_eq!(hasty.collect::<Vec<_>>(), [], "{name}: only groups that need a code go before others");
    }
}

#[test]
fn an_office_behind_one_nat_decides_as_its_comments_say() {
    let example = Example::read("openldap-one-nat.toml");
    let office = Login { from: "198.51.100.10", ..BY_SSH };
    let xrdp = Login { from: "unknown", service: "xrdp-sesman", ..BY_SSH };
    let admins = ["admins"];
    for (login, expected) in [
        (office, "password,code | office: password (office)"),
        (Login { groups: &admins, ..office }, "password,code | administrators: password + code"),
        (BY_SSH, "password,code | everyone else: password + code"),
        (Login { remembered: true, ..BY_SSH }, "password,code | elsewhere, again today: password (today)"),
        (
            Login { remembered: true, groups: &admins, ..BY_SSH },
            "password,code | administrators: password + code",
        ),
        (xrdp, "field | everyone else: password + code"),
        (Login { from: "198.51.100.10", ..xrdp }, "field | everyone else: password + code"),
        (Login { from: "local", service: "sudo", ..BY_SSH }, "password | console, su, sudo: password"),
        (Login { service: "vsftpd", ..BY_SSH }, "password | -: denied"),
    ] {
        assert_eq!(example.decides(login), expected, "{} {}", login.service, login.from);
    }
}

#[test]
fn an_active_directory_with_a_jump_host_decides_as_its_comments_say() {
    let example = Example::read("active-directory.toml");
    let by_key = Accepted { publickey: false, sshd: true };
    let backup = Login { user: "SVC-Backup", from: "192.0.2.20", accepted: by_key, ..BY_SSH };
    let helpdesk = Login { from: "192.0.2.70", groups: &["helpdesk"], ..BY_SSH };
    let jump = Login { from: "192.0.2.10", ..BY_SSH };
    for (login, expected) in [
        (jump, "password | through the jump host: password (jump-host)"),
        (BY_SSH, "password | -: denied"),
        (helpdesk, "password,code | helpdesk at its desks: password + code"),
        (
            Login { from: "2001:db8:10:64::5", ..helpdesk },
            "password,code | helpdesk at its desks: password + code",
        ),
        (Login { groups: &["staff"], ..helpdesk }, "password,code | -: denied"),
        (Login { from: "203.0.113.9", ..helpdesk }, "password | -: denied"),
        (backup, "- | backup by key:  (backup-server)"),
        (Login { from: "192.0.2.10", ..backup }, "password | backup, no other way: denied"),
        (Login { accepted: Accepted::default(), ..backup }, "password | backup, no other way: denied"),
        (Login { user: "alice", ..backup }, "- | -: denied"),
        (Login { from: "local", service: "login", ..BY_SSH }, "password | console, su, sudo: password"),
        (
            Login { from: "local", service: "login", user: "svc-backup", ..BY_SSH },
            "password | backup, no other way: denied",
        ),
    ] {
        assert_eq!(example.decides(login), expected, "{} {} {}", login.user, login.service, login.from);
    }
    let seen = Seen { at: Some(Moment(DURING)), ..Seen::default() };
    let place =
        example.policy.place(Source::Address("192.0.2.10".parse().unwrap()), Service::new("sshd"), &seen);
    assert_eq!(place.counted_address(), None, "the jump host is not counted by its address");
    assert_eq!(place.earnable_prefix(), None, "and nothing is learned of it");
}

#[test]
fn a_university_decides_as_its_comments_say_during_the_rollout_and_after_it() {
    let example = Example::read("university.toml");
    let near = Login { from: "198.51.100.66", country: Some("NL"), ..BY_SSH };
    let far = Login { country: Some("BR"), ..BY_SSH };
    let campus = Login { from: "192.0.2.10", ..BY_SSH };
    let rolled_out = ["library", "second-factor"];
    let code = |login| Login { groups: &rolled_out, ..login };
    for (login, expected) in [
        (near, "password,code | not yet: password"),
        (far, "password,code | everyone: password + code"),
        (campus, "password,code | campus: password (campus)"),
        (code(near), "password,code | has a code: password + code"),
        (code(campus), "password,code | has a code: password + code"),
        (Login { at: AFTERWARDS, ..near }, "password,code | everyone: password + code"),
        (Login { at: AFTERWARDS, ..campus }, "password,code | campus: password (campus)"),
        // The GeoIP file is missing.
        (Login { country: None, ..near }, "password,code | not yet: unavailable"),
        (Login { from: "local", service: "su", ..BY_SSH }, "password | console, su, sudo: password"),
    ] {
        assert_eq!(example.decides(login), expected, "{} {}", login.from, login.at);
    }
}
