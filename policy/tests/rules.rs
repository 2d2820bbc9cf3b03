//! Rules as an administrator reads them: first match wins, what is unknown is never skipped, and the questions never
//! say less than any account could need.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use proptest::prelude::*;
use twinlock_config::{
    Config, DirectoryKind, DirectorySettings, EnrollSettings, LocationSettings, RequiredFactor, RuleSettings,
    SecretRef, ServiceSettings, Span, StoreBackend, StoreSettings, WithoutAddress,
};
use twinlock_policy::bound::Percent;
use twinlock_policy::*;

fn config(locations: &[(&str, &str)], rules: Vec<RuleSettings>) -> Config {
    let servers = vec!["ldaps://ldap.example.org".into()];
    let directory = DirectorySettings::new(DirectoryKind::Rfc2307, servers, "dc=example,dc=org");
    Config {
        daemon: Default::default(),
        directory: [("main".to_owned(), directory)].into_iter().collect(),
        totp: Default::default(),
        geoip: None,
        location: locations
            .iter()
            .map(|(name, network)| {
                let networks = vec![(*network).to_owned().try_into().unwrap()];
                ((*name).to_owned(), LocationSettings { networks: Some(networks), ..Default::default() })
            })
            .collect(),
        service: [("sshd".to_owned(), ServiceSettings { sshd: Some(true), ..Default::default() })]
            .into_iter()
            .collect(),
        rule: rules,
        tarpit: Default::default(),
        store: StoreSettings {
            backend: StoreBackend::Sqlite,
            path: "/tmp/state.db".into(),
            generation: None,
            key: SecretRef::Credential("seal.key".into()),
        },
        audit: Default::default(),
    }
}

fn list(names: &[&str]) -> Option<Vec<String>> {
    Some(names.iter().map(|name| (*name).to_owned()).collect())
}

const PASSWORD: RequiredFactor = RequiredFactor::Password;
const CODE: RequiredFactor = RequiredFactor::Code;

fn require(name: &str, factors: &[RequiredFactor]) -> RuleSettings {
    RuleSettings { name: name.into(), require: Some(factors.to_vec()), ..Default::default() }
}

fn site() -> Config {
    config(
        &[("office", "192.0.2.0/24")],
        vec![
            RuleSettings {
                name: "abroad".into(),
                not_from: list(&["office", "vpn"]),
                groups: list(&["home-only"]),
                deny: true,
                ..Default::default()
            },
            RuleSettings {
                services: list(&["xrdp-sesman"]),
                groups: list(&["staff"]),
                from: list(&["office"]),
                ..require("desks", &[PASSWORD])
            },
            RuleSettings {
                services: list(&["su", "sudo"]),
                from: list(&["local"]),
                single_factor: true,
                ..require("console", &[PASSWORD])
            },
            RuleSettings {
                services: list(&["sshd"]),
                accounts: list(&["backup"]),
                after: list(&["sshd"]),
                single_factor: true,
                ..require("backup", &[])
            },
            RuleSettings {
                services: list(&["sshd"]),
                after: list(&["publickey"]),
                ..require("key, then code", &[CODE])
            },
            require("everyone else", &[PASSWORD, CODE]),
        ],
    )
}

fn place(policy: &Policy, source: &str, service: &str) -> Place {
    let service = Service::new(service);
    let source = match source {
        "local" => Source::Local,
        "unknown" => Source::Unknown,
        literal => Source::Address(literal.parse().unwrap()),
    };
    policy.place(source, service, &Seen::default())
}

fn decided(policy: &Policy, at: &Place, accepted: Accepted, name: &str, groups: Option<&[&str]>) -> String {
    let name = Username::from_pam(name.as_bytes()).unwrap();
    let groups = groups.map(|groups| groups.iter().map(|group| GroupName::new(*group)).collect::<Vec<_>>());
    let subject = Subject::Account { names: std::slice::from_ref(&name), groups: groups.as_deref() };
    match policy.plan(at, accepted, subject) {
        Plan::Require { rule, factors, waiver } => format!(
            "{rule}:{}{}{}",
            if factors.password { "p" } else { "" },
            if factors.code { "c" } else { "" },
            waiver.map(|location| format!("!{location}")).unwrap_or_default()
        ),
        Plan::Deny { rule } => format!("deny:{}", rule.map(|rule| rule.to_string()).unwrap_or_default()),
        Plan::Unavailable { rule } => format!("unavailable:{rule}"),
    }
}

/// Promise 12: a withdrawn waiver adds the code, and touches no rule that has none.
#[test]
fn without_its_waiver_a_rule_asks_the_code_and_one_that_has_none_stays_as_it_is() {
    let policy = Policy::new(&site());
    let name = Username::from_pam(b"alice").unwrap();
    let staff = [GroupName::new("staff")];
    let plan = |source: &str, service: &str| {
        let subject = Subject::Account { names: std::slice::from_ref(&name), groups: Some(&staff) };
        policy.plan(&place(&policy, source, service), Accepted::default(), subject)
    };
    let desk = plan("192.0.2.7", "xrdp-sesman");
    assert_eq!(desk.waiver().map(ToString::to_string).as_deref(), Some("office"));
    let both = Factors { password: true, code: true };
    let rule = RuleName::new("desks");
    assert_eq!(desk.without_waiver(), Plan::Require { rule, factors: both, waiver: None });
    for (source, service) in [("local", "sudo"), ("203.0.113.7", "sshd")] {
        let plan = plan(source, service);
        assert_eq!((plan.waiver(), plan.clone().without_waiver()), (None, plan.clone()), "{service}");
    }
}

#[test]
fn the_first_rule_that_is_not_false_decides() {
    let policy = Policy::new(&site());
    let none = Accepted::default();
    let key = Accepted { publickey: true, sshd: false };
    let alone = Accepted { publickey: false, sshd: true };
    let office = place(&policy, "192.0.2.9", "xrdp-sesman");
    assert_eq!(decided(&policy, &office, none, "alice", Some(&["staff"])), "desks:p!office");
    assert_eq!(decided(&policy, &office, none, "alice", Some(&[])), "everyone else:pc");
    assert_eq!(
        decided(&policy, &place(&policy, "203.0.113.1", "sshd"), none, "alice", Some(&["home-only"])),
        "deny:abroad"
    );
    assert_eq!(
        decided(&policy, &place(&policy, "local", "sudo"), none, "alice", Some(&["home-only"])),
        "console:p"
    );
    assert_eq!(
        decided(&policy, &place(&policy, "10.0.0.1", "sshd"), none, "alice", Some(&["home-only"])),
        "everyone else:pc"
    );
    assert_eq!(
        decided(&policy, &place(&policy, "203.0.113.1", "sshd"), key, "alice", Some(&[])),
        "key, then code:c"
    );
    assert_eq!(
        decided(&policy, &place(&policy, "203.0.113.1", "sshd"), alone, "Backup", Some(&[])),
        "backup:"
    );
    assert_eq!(
        decided(&policy, &place(&policy, "203.0.113.1", "sshd"), alone, "alice", Some(&[])),
        "everyone else:pc"
    );
}

#[test]
fn what_is_unknown_is_never_skipped_for_something_weaker() {
    let policy = Policy::new(&site());
    let none = Accepted::default();
    let outside = place(&policy, "203.0.113.1", "sshd");
    assert_eq!(decided(&policy, &outside, none, "alice", None), "deny:abroad");
    let office = place(&policy, "192.0.2.9", "xrdp-sesman");
    assert_eq!(decided(&policy, &office, none, "alice", None), "unavailable:desks");
    assert_eq!(
        decided(&policy, &place(&policy, "192.0.2.9", "sshd"), none, "alice", None),
        "everyone else:pc"
    );
}

#[test]
fn no_rule_means_deny() {
    let policy = Policy::new(&config(
        &[],
        vec![RuleSettings { services: list(&["sshd"]), ..require("ssh", &[PASSWORD, CODE]) }],
    ));
    let at = place(&policy, "203.0.113.1", "vsftpd");
    assert_eq!(decided(&policy, &at, Accepted::default(), "alice", Some(&[])), "deny:");
    assert!(policy.questions(&at, Accepted::default()).password, "a refused place asks like any other");
}

#[test]
fn a_refused_place_shows_the_same_questions() {
    let mut rules = vec![RuleSettings {
        name: "closed".into(),
        not_from: list(&["office"]),
        deny: true,
        ..Default::default()
    }];
    let open = Policy::new(&config(&[("office", "192.0.2.0/24")], vec![require("all", &[PASSWORD, CODE])]));
    rules.push(require("all", &[PASSWORD, CODE]));
    let closed = Policy::new(&config(&[("office", "192.0.2.0/24")], rules));
    let at = |policy: &Policy| policy.questions(&place(policy, "203.0.113.1", "sshd"), Accepted::default());
    assert_eq!(at(&open), at(&closed));
}

/// Promise 5: one account lane, chosen by the door; prefix lanes for those only who have none of their own.
#[test]
fn an_attempt_stands_in_the_lane_of_its_own_door() {
    let mut config = config(&[("office", "192.0.2.0/24"), ("lab", "192.0.2.128/25")], vec![]);
    config.tarpit.uncounted = vec!["198.51.100.10/32".to_owned().try_into().unwrap()];
    let policy = Policy::new(&config);
    for (source, known, lane, prefixes) in [
        ("203.0.113.1", false, "unfamiliar", Some("203.0.113.1")),
        ("203.0.113.1", true, "from 203.0.113.1/32", None),
        ("192.0.2.200", false, "in office", None),
        ("192.0.2.200", true, "from 192.0.2.200/32", None),
        ("local", false, "local carol", None),
        ("local", true, "local carol", None),
        ("unknown", false, "unfamiliar", None),
        ("unknown", true, "unfamiliar", None),
        ("127.0.0.1", true, "unfamiliar", Some("127.0.0.1")),
        ("198.51.100.10", false, "unfamiliar", None),
        ("198.51.100.10", true, "unfamiliar", None),
    ] {
        let stand = Stand::of_account(&place(&policy, source, "sshd"), known, "carol");
        let expected = prefixes.map(|address| address.parse().unwrap());
        assert_eq!(
            (stand.account.to_string().as_str(), stand.prefixes),
            (lane, expected),
            "{source} {known}"
        );
    }
}

/// Promises 2 and 5: jump hosts are everybody's, so nothing is counted, learned or reserved for them.
#[test]
fn nothing_is_counted_learned_or_reserved_where_the_tarpit_does_not_count() {
    let mut config = config(&[], vec![]);
    config.tarpit.uncounted = vec!["198.51.100.10/32".to_owned().try_into().unwrap()];
    let policy = Policy::new(&config);
    for (source, counted, earned, reserved) in [
        ("203.0.113.1", true, true, true),
        ("127.0.0.1", true, false, true),
        ("198.51.100.10", false, false, false),
        ("local", false, false, false),
        ("unknown", false, false, false),
    ] {
        let at = place(&policy, source, "sshd");
        assert_eq!(at.counted_address().is_some(), counted, "{source}");
        assert_eq!(at.earnable_prefix().is_some(), earned, "{source}");
        assert_eq!(at.can_hold_a_reservation(), reserved, "{source}");
        assert_eq!(Stand::prefixes_of_nobody(&at).is_some(), counted, "{source}");
    }
}

#[test]
fn a_service_says_what_a_login_without_an_address_is() {
    let mut config = config(&[], vec![]);
    for (name, without) in [("kiosk", WithoutAddress::Local), ("sudo", WithoutAddress::Unknown)] {
        let settings = ServiceSettings { without_address: Some(without), ..Default::default() };
        config.service.insert(name.into(), settings);
    }
    let policy = Policy::new(&config);
    let source = |service, rhost: Option<&[u8]>| policy.source(&Service::new(service), rhost, None);
    assert_eq!(source("kiosk", None), Source::Local);
    assert_eq!(source("sudo", None), Source::Unknown);
    assert_eq!(source("su", None), Source::Local);
    assert_eq!(source("kiosk", Some(b"somewhere")), Source::Unknown, "a name is no address");
}

#[test]
fn a_place_waives_no_code_that_a_key_stands_for() {
    let keyed = RuleSettings {
        after: list(&["publickey"]),
        from: list(&["office"]),
        ..require("key and password", &[PASSWORD])
    };
    let config = config(&[("office", "192.0.2.0/24")], vec![keyed]);
    let policy = Policy::new(&config);
    let key = Accepted { publickey: true, sshd: false };
    let at = place(&policy, "192.0.2.9", "sshd");
    assert_eq!(decided(&policy, &at, key, "alice", Some(&[])), "key and password:p");
    assert_eq!(check::waivers(&config, &policy, 0), [""; 0]);
}

/// Promise 1: only the rule that decides, only from its own places, and till the end of the last day.
#[test]
fn an_account_enrols_where_its_own_rule_says_so_and_grace_ends_with_its_day() {
    let enroll = EnrollSettings {
        from: vec!["office".into()],
        grace_until: Some("2027-01-31".to_owned().try_into().unwrap()),
    };
    let with = |name: &str, groups: Option<Vec<String>>| RuleSettings {
        groups,
        enroll: Some(enroll.clone()),
        ..require(name, &[PASSWORD, CODE])
    };
    let both = config(
        &[("office", "192.0.2.0/24")],
        vec![with("staff", list(&["staff"])), require("others", &[PASSWORD, CODE])],
    );
    let policy = Policy::new(&both);
    let end = 1_801_440_000;
    let name = Username::from_pam(b"alice").unwrap();
    let entrance = |source: &str, at: Option<u64>, groups: &[&str]| {
        let seen = Seen { at: at.map(Moment), ..Seen::default() };
        let place = policy.place(Source::Address(source.parse().unwrap()), Service::new("sshd"), &seen);
        let groups: Vec<_> = groups.iter().map(|group| GroupName::new(*group)).collect();
        let subject = Subject::Account { names: std::slice::from_ref(&name), groups: Some(&groups) };
        let plan = policy.plan(&place, Accepted::default(), subject);
        let entrance = policy.entrance(&plan, &place)?;
        let factors = plan.with_grace(&entrance).factors();
        Some((entrance.location.to_string(), entrance.grace.is_some(), factors.code))
    };
    let office = || "office".to_owned();
    assert_eq!(entrance("192.0.2.9", Some(end - 1), &["staff"]), Some((office(), true, false)));
    assert_eq!(entrance("192.0.2.9", Some(end), &["staff"]), Some((office(), false, true)));
    assert_eq!(entrance("192.0.2.9", None, &["staff"]), Some((office(), false, true)), "no time, no grace");
    assert_eq!(entrance("198.51.100.9", Some(0), &["staff"]), None);
    assert_eq!(entrance("192.0.2.9", Some(0), &[]), None, "another rule decides");

    let listed = |now| check::waivers(&both, &policy, now);
    assert_eq!(listed(end - 1), ["staff (until 2027-01-31 for accounts without an authenticator: office)"]);
    assert_eq!(listed(end), [""; 0]);
    assert!(check::expired(&policy, end - 1).is_empty());
    assert_eq!(check::expired(&policy, end)[0].key, "rule[0].enroll.grace_until");
}

fn errors(rules: Vec<RuleSettings>) -> Vec<String> {
    let config = config(&[("office", "192.0.2.0/24"), ("world", "0.0.0.0/0")], rules);
    check::check(&config, &Policy::new(&config))
        .errors
        .into_iter()
        .map(|finding| format!("{}: {}", finding.key, finding.message))
        .collect()
}

#[test]
fn a_rule_that_rests_on_one_thing_is_refused_unless_it_says_so() {
    assert_eq!(
        errors(vec![require("a", &[PASSWORD])]),
        ["rule[0]: the rule \"a\" rests on one thing only: a password"]
    );
    assert_eq!(errors(vec![RuleSettings { single_factor: true, ..require("a", &[PASSWORD]) }]), [""; 0]);
    assert_eq!(errors(vec![RuleSettings { from: list(&["office"]), ..require("a", &[PASSWORD]) }]), [""; 0]);
    assert_eq!(
        errors(vec![RuleSettings { from: list(&["world"]), ..require("a", &[PASSWORD]) }]).len(),
        1,
        "everywhere is no place"
    );
    assert_eq!(
        errors(vec![RuleSettings { from: list(&["office", "private"]), ..require("a", &[PASSWORD]) }]).len(),
        1
    );
    assert_eq!(errors(vec![RuleSettings { from: list(&["local"]), ..require("a", &[PASSWORD]) }]).len(), 1);
    assert_eq!(
        errors(vec![RuleSettings { after: list(&["publickey"]), ..require("a", &[CODE]) }]),
        ["rule[0]: the rule \"a\" rests on one thing only: a key and a code, both of them something to have"]
    );
    assert_eq!(
        errors(vec![RuleSettings { after: list(&["publickey"]), ..require("a", &[PASSWORD]) }]),
        [""; 0]
    );
}

#[test]
fn a_rule_below_a_wider_one_is_pointed_out() {
    let config = config(
        &[],
        vec![
            require("all", &[PASSWORD, CODE]),
            RuleSettings { services: list(&["sshd"]), ..require("ssh", &[PASSWORD, CODE]) },
        ],
    );
    let findings = check::check(&config, &Policy::new(&config));
    assert_eq!(findings.errors, []);
    assert_eq!(findings.warnings.len(), 1);
    assert!(findings.warnings[0].message.contains("never decide"));
}

#[test]
fn a_directory_that_locks_after_two_failures_leaves_no_bind_for_a_rule_without_a_code() {
    let site = |factors: &[RequiredFactor]| {
        let rule = RuleSettings { from: list(&["office"]), ..require("all", factors) };
        let mut config = config(&[("office", "192.0.2.0/24")], vec![rule]);
        config.directory["main"].lockout.failures = 2;
        check::check(&config, &Policy::new(&config)).errors.len()
    };
    assert_eq!(site(&[PASSWORD]), 1);
    assert_eq!(site(&[PASSWORD, CODE]), 0);
}

#[test]
fn the_table_names_every_service_and_place() {
    let config = site();
    let rows = check::table(&config, &Policy::new(&config));
    let row = rows.iter().find(|row| row.service == "xrdp-sesman" && row.place == "office").unwrap();
    assert_eq!(
        row.rules,
        ["desks: password, group staff (waiver: office)", "everyone else: password + code"]
    );
    assert_eq!(check::waivers(&config, &Policy::new(&config), 0), ["desks (office)"]);
}

#[test]
fn the_bound_of_the_defaults_is_0_912_percent_for_whoever_comes_from_anywhere() {
    let config = config(
        &[("office", "192.0.2.0/24")],
        vec![
            RuleSettings { from: list(&["office", "local"]), ..require("inside", &[PASSWORD, CODE]) },
            RuleSettings { from: list(&["private"]), ..require("private", &[PASSWORD]) },
            RuleSettings { from: list(&["office", "unknown"]), ..require("mixed", &[PASSWORD, CODE]) },
            require("everyone else", &[CODE]),
        ],
    );
    let bounds = check::bounds(&config, &Policy::new(&config));
    let told: Vec<_> = bounds
        .iter()
        .map(|rule| {
            let bound = &rule.bound;
            (rule.rule.as_str(), bound.unfamiliar_guesses, bound.own_guesses, bound.to_string())
        })
        .collect();
    assert_eq!(
        told,
        [
            ("inside", 0, 13 * (20 + 20), "0.251 %".to_owned()),
            ("mixed", 2202, 13 * (20 + 20), "0.912 %".into()),
            ("everyone else", 2202, 13 * (20 + 20), "0.912 %".into()),
        ]
    );
    assert_eq!(Percent(bounds[2].bound.code).to_string(), "0.817 %");
    assert_eq!(Percent(bounds[2].bound.way_in).to_string(), "0.0947 %");
}

#[test]
fn a_policy_above_its_guess_budget_is_refused_with_the_number_and_a_remedy() {
    let asks = || vec![require("everyone", &[PASSWORD, CODE])];
    let errors = |change: fn(&mut Config)| {
        let mut config = config(&[], asks());
        change(&mut config);
        check::check(&config, &Policy::new(&config)).errors
    };
    assert_eq!(errors(|_| {}), []);
    let refused = errors(|config| config.tarpit.hosts = 2);
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].key, "tarpit.guess_budget");
    assert!(refused[0].message.contains("\"everyone\""), "{}", refused[0].message);
    assert!(refused[0].message.contains("1.83 % a year (2722 codes"), "{}", refused[0].message);
    assert!(refused[0].message.ends_with("above 1%/year"), "{}", refused[0].message);
    assert!(
        refused[0]
            .hint
            .starts_with("set totp.digits = 8 for new authenticators, set totp.window_steps = 0, lengthen")
    );
    for change in [
        (|config: &mut Config| config.tarpit.cap = Span::seconds(3600)) as fn(&mut Config),
        |config| config.tarpit.free = 1000,
        |config| config.tarpit.code_budget.failures = 60,
        |config| config.tarpit.code_budget.within = Span::seconds(7 * 86_400),
        |config| config.tarpit.guess_budget = "0.9%/year".to_owned().try_into().unwrap(),
    ] {
        assert_eq!(errors(change).len(), 1);
    }
    for change in [
        (|config: &mut Config| {
            config.tarpit.hosts = 2;
            config.totp.digits = 8;
        }) as fn(&mut Config),
        |config| {
            config.tarpit.hosts = 2;
            config.totp.window_steps = 0;
        },
        |config| {
            config.tarpit.cap = Span::seconds(30);
            config.tarpit.guess_budget = "100%/year".to_owned().try_into().unwrap();
        },
    ] {
        assert_eq!(errors(change), []);
    }
}

#[test]
fn the_refusal_stands_at_the_budget_or_where_it_would_stand() {
    let shipped = include_str!("../../config/twinlock.toml");
    for (budget, column) in [("", "1"), ("guess_budget = \"1%/year\"\n", "16")] {
        let text = shipped.replace("free = 3\n", &format!("{budget}hosts = 2\nfree = 3\n"));
        let line =
            text.lines().position(|line| line == if budget.is_empty() { "[tarpit]" } else { budget.trim() });
        let loaded = twinlock_config::parse(&text, std::path::Path::new("t")).unwrap();
        let problems = check::accept(&loaded).unwrap_err().to_string();
        let place = format!("t:{}:{column}: tarpit.guess_budget: ", line.unwrap() + 1);
        assert!(problems.starts_with(&place), "{problems}");
    }
}

#[test]
fn a_policy_that_asks_no_code_has_no_bound_and_needs_no_budget() {
    let mut config = config(&[], vec![RuleSettings { single_factor: true, ..require("all", &[PASSWORD]) }]);
    config.tarpit.cap = Span::seconds(30);
    let policy = Policy::new(&config);
    assert_eq!(check::check(&config, &policy).errors, []);
    assert_eq!(check::bounds(&config, &policy), []);
    assert_eq!(check::would_exceed(&config, &policy, &[6; 8], 6), None);
}

#[test]
fn a_second_authenticator_of_six_digits_passes_the_budget_and_one_of_eight_does_not() {
    let config = config(&[], vec![require("everyone", &[PASSWORD, CODE])]);
    let policy = Policy::new(&config);
    assert_eq!(check::would_exceed(&config, &policy, &[], 6), None);
    assert_eq!(check::would_exceed(&config, &policy, &[6], 6).unwrap().to_string(), "1.83 %");
    assert_eq!(check::would_exceed(&config, &policy, &[6], 8), None);
    assert_eq!(check::would_exceed(&config, &policy, &[8; 7], 8), None);
    assert_eq!(check::would_exceed(&config, &policy, &[8; 7], 6), None);
}

fn names(of: &'static [&'static str]) -> impl Strategy<Value = Option<Vec<String>>> {
    prop::option::weighted(
        0.4,
        prop::sample::subsequence(of.to_vec(), 1..=of.len())
            .prop_map(|names| names.into_iter().map(str::to_owned).collect()),
    )
}

prop_compose! {
    fn rule()(
        services in names(&["sshd", "sudo"]), groups in names(&["staff", "admins"]), accounts in names(&["alice", "bob"]),
        from in names(&["office", "lab", "local", "unknown", "private"]), not_from in names(&["office", "lab"]),
        after in names(&["publickey"]), deny in any::<bool>(), password in any::<bool>(), code in any::<bool>(),
    ) -> RuleSettings {
        let mut require = Vec::new();
        if password { require.push(PASSWORD) }
        if code { require.push(CODE) }
        RuleSettings { name: "r".into(), services, groups, accounts, from, not_from, after, deny, require: (!deny).then_some(require), single_factor: true, ..Default::default() }
    }
}

proptest! {
    // Most sets of rules have no two rules that differ in what counts here.
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_questions_cover_every_plan_and_depend_on_no_account(
        rules in prop::collection::vec(rule(), 0..6),
        source in prop::sample::select(vec!["192.0.2.1", "198.51.100.1", "203.0.113.1", "10.0.0.1", "local", "unknown"]),
        service in prop::sample::select(vec!["sshd", "sudo", "other"]),
        name in prop::sample::select(vec!["alice", "bob", "carol"]),
        groups in prop::option::of(prop::sample::subsequence(vec!["staff", "admins"], 0..=2)),
        publickey in any::<bool>(),
    ) {
        let mut rules = rules;
        for (index, rule) in rules.iter_mut().enumerate() { rule.name = format!("r{index}"); }
        let policy = Policy::new(&config(&[("office", "192.0.2.0/24"), ("lab", "198.51.100.0/24")], rules));
        let at = place(&policy, source, service);
        let accepted = Accepted { publickey, sshd: false };
        let questions = policy.questions(&at, accepted);
        let name = Username::from_pam(name.as_bytes()).unwrap();
        let groups: Option<Vec<GroupName>> = groups.map(|groups| groups.into_iter().map(GroupName::new).collect());
        let subject = Subject::Account { names: std::slice::from_ref(&name), groups: groups.as_deref() };
        let factors = policy.plan(&at, accepted, subject).factors();
        prop_assert!(!factors.password || questions.password);
        prop_assert!(!factors.code || questions.code);
    }
}
