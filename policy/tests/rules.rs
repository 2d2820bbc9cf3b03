//! Rules as an administrator reads them: first match wins, what is unknown is never skipped, and the questions never
//! say less than any account could need.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use proptest::prelude::*;
use twinlock_config::{
    Config, DirectoryKind, DirectorySettings, LocationSettings, Lockout, RequiredFactor, RuleSettings,
    SecretRef, Span, StoreBackend, StoreSettings, Tls,
};
use twinlock_policy::*;

fn config(locations: &[(&str, &str)], rules: Vec<RuleSettings>) -> Config {
    let directory = DirectorySettings {
        kind: DirectoryKind::Rfc2307,
        servers: vec!["ldaps://ldap.example.org".into()],
        base: "dc=example,dc=org".into(),
        user_filter: None,
        group_base: None,
        bind_dn: None,
        bind_password: None,
        tls: Tls::default(),
        connect_timeout: Span::seconds(2),
        timeout: Span::seconds(5),
        lockout: Lockout::default(),
    };
    Config {
        daemon: Default::default(),
        directory: [("main".to_owned(), directory)].into_iter().collect(),
        totp: Default::default(),
        location: locations
            .iter()
            .map(|(name, network)| {
                let networks = vec![(*network).to_owned().try_into().unwrap()];
                ((*name).to_owned(), LocationSettings { networks })
            })
            .collect(),
        service: [(
            "sshd".to_owned(),
            twinlock_config::ServiceSettings { sshd: Some(true), ..Default::default() },
        )]
        .into_iter()
        .collect(),
        rule: rules,
        tarpit: Default::default(),
        store: StoreSettings {
            backend: StoreBackend::Sqlite,
            path: "/tmp/state.db".into(),
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
    policy.place(source, service)
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
        errors(vec![RuleSettings { after: list(&["publickey"]), ..require("a", &[CODE]) }]).len(),
        1,
        "a key and a code are both possession"
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
fn the_table_names_every_service_and_place() {
    let config = site();
    let rows = check::table(&config, &Policy::new(&config));
    let row = rows.iter().find(|row| row.service == "xrdp-sesman" && row.place == "office").unwrap();
    assert_eq!(row.rules, ["desks: password (waiver: office)", "everyone else: password + code"]);
    assert_eq!(check::waivers(&Policy::new(&config)), ["desks (office)"]);
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
        RuleSettings { name: "r".into(), services, groups, accounts, from, not_from, after, deny, require: (!deny).then_some(require), single_factor: true }
    }
}

proptest! {
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
