//! Locations of every kind and conditions on time: each by itself, and all of them together against a plain reading of
//! the design. What the GeoIP file or the clock cannot tell is neither true nor false.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use proptest::prelude::*;
use std::path::Path;
use twinlock_config::{Config, Country};
use twinlock_policy::*;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
/// 2026-11-23 00:00:00 UTC, a Monday.
const MONDAY: u64 = 1_795_392_000;

const LOCATIONS: &str = r#"
[geoip]
database = "/var/lib/GeoIP/country.mmdb"
[location.office]
networks = ["192.0.2.0/24", "2001:db8:10::/48"]
[location.lab]
networks = ["192.0.2.128/25"]
[location.home]
countries = ["NL", "BE"]
[location.provider]
asns = [64500]
[location.usual]
familiar = { logins = 3, forget = "90d", at_most = 2 }
[location.usual-anywhere]
familiar = { logins = 3, forget = "90d", at_most = 2 }
any_service = true
[location.this-week]
remembered = "7d"
[location.this-week-anywhere]
remembered = "7d"
any_service = true
"#;

fn parsed(rules: &str) -> Config {
    let text = format!(
        "[directory.main]\nkind = \"rfc2307\"\nservers = [\"ldaps://ldap.example.org\"]\nbase = \"dc=example\"\n\
         group_base = \"dc=groups\"\n[tarpit]\nuncounted = [\"198.51.100.10\"]\n[store]\nkey = {{ file = \"/k\" }}\n{LOCATIONS}{rules}"
    );
    match twinlock_config::parse(&text, Path::new("t")) {
        Ok(loaded) => loaded.config,
        Err(problems) => panic!("{problems}"),
    }
}

fn policy(rules: &str) -> Policy {
    Policy::new(&parsed(rules))
}

/// A rule with these conditions that asks for a password.
fn with(conditions: &str) -> Policy {
    policy(&format!("[[rule]]\nname = \"r\"\n{conditions}\nrequire = [\"password\"]\nsingle_factor = true\n"))
}

fn source(text: &str) -> Source {
    match text {
        "local" => Source::Local,
        "unknown" => Source::Unknown,
        literal => Source::Address(literal.parse().unwrap()),
    }
}

fn country(code: &str) -> Listing<Country> {
    match code {
        "?" => Listing::Unknown,
        "-" => Listing::Unlisted,
        code => Listing::Listed(Country::assigned(code).unwrap()),
    }
}

fn origin(code: &str) -> Origin {
    Origin { country: country(code), asn: if code == "?" { Listing::Unknown } else { Listing::Unlisted } }
}

fn logins(service: &str, logins: u32, unused_s: u64, newer: u32) -> Earned {
    Earned { service: Some(Service::new(service)), by: EarnedBy::Logins { logins, unused_s, newer } }
}

fn word(service: Option<&str>) -> Earned {
    Earned { service: service.map(Service::new), by: EarnedBy::Word }
}

fn seen<'a>(origin: Origin, earned: &'a [Earned]) -> Seen<'a> {
    Seen { at: Some(Moment(MONDAY)), origin, earned }
}

/// What a policy of one rule tells of that rule's conditions.
fn truth(policy: &Policy, place: &Place) -> Truth {
    let name = Username::from_pam(b"alice").unwrap();
    let groups = [GroupName::new("staff")];
    let subject = Subject::Account { names: std::slice::from_ref(&name), groups: Some(&groups) };
    match policy.plan(place, Accepted::default(), subject) {
        Plan::Require { .. } => Truth::True,
        Plan::Deny { .. } => Truth::False,
        Plan::Unavailable { .. } => Truth::Unknown,
    }
}

fn holds(location: &str, from: &str, service: &str, seen: &Seen<'_>) -> Truth {
    let policy = policy("[[rule]]\nname = \"r\"\nrequire = [\"password\", \"code\"]\n");
    policy.place(source(from), Service::new(service), seen).held_by(&LocationName::new(location))
}

#[test]
fn a_country_holds_public_addresses_that_the_file_knows() {
    use Truth::{False, True, Unknown};
    for (from, told, home, unlisted) in [
        ("203.0.113.1", "NL", True, False),
        ("2001:db8:ffff::1", "BE", True, False),
        ("203.0.113.1", "FR", False, False),
        ("203.0.113.1", "-", False, True),
        ("203.0.113.1", "?", Unknown, Unknown),
        // Classes of their own, whatever a file might say of them.
        ("10.0.0.1", "NL", False, False),
        ("10.0.0.1", "?", False, False),
        ("127.0.0.1", "-", False, False),
        ("fe80::1", "-", False, False),
        ("local", "?", False, False),
        ("unknown", "?", False, False),
    ] {
        let seen = seen(origin(told), &[]);
        assert_eq!(holds("home", from, "sshd", &seen), home, "{from} {told}");
        assert_eq!(holds("unlisted", from, "sshd", &seen), unlisted, "{from} {told}");
    }
}

#[test]
fn an_autonomous_system_holds_addresses_where_the_file_speaks_of_such() {
    for (asn, truth) in [
        (Listing::Listed(64500), Truth::True),
        (Listing::Listed(64501), Truth::False),
        (Listing::Unlisted, Truth::False),
        (Listing::Unknown, Truth::Unknown),
    ] {
        let origin = Origin { country: country("NL"), asn };
        assert_eq!(holds("provider", "203.0.113.1", "sshd", &seen(origin, &[])), truth);
    }
    let systems_only = |asn| Origin { country: Listing::Unknown, asn };
    let unlisted = |asn| holds("unlisted", "203.0.113.1", "sshd", &seen(systems_only(asn), &[]));
    assert_eq!(unlisted(Listing::Listed(64500)), Truth::False);
    assert_eq!(unlisted(Listing::Unlisted), Truth::True);
}

#[test]
fn a_place_is_familiar_after_so_many_logins_and_until_it_is_forgotten() {
    for (rows, held) in [
        (vec![], false),
        (vec![logins("sshd", 2, 0, 0)], false),
        (vec![logins("sshd", 3, 0, 0)], true),
        (vec![logins("sshd", 3, 90 * DAY - 1, 0)], true),
        (vec![logins("sshd", 3, 90 * DAY, 0)], false),
        (vec![logins("sshd", 3, 0, 1)], true),
        // At most two places an account.
        (vec![logins("sshd", 3, 0, 2)], false),
        (vec![logins("sshd", 2, 0, 0), logins("xrdp-sesman", 2, 0, 0)], false),
        (vec![logins("xrdp-sesman", 9, 0, 0)], false),
        (vec![word(None)], true),
        (vec![word(Some("sshd"))], true),
        (vec![word(Some("xrdp-sesman"))], false),
    ] {
        let truth = holds("usual", "203.0.113.1", "sshd", &seen(origin("?"), &rows));
        assert_eq!(truth, held.into(), "{rows:?}");
    }
}

#[test]
fn a_place_is_remembered_for_so_long_after_one_login() {
    for (rows, held) in [
        (vec![logins("sshd", 1, 0, 50)], true),
        (vec![logins("sshd", 1, 7 * DAY - 1, 0)], true),
        (vec![logins("sshd", 1, 7 * DAY, 0)], false),
        (vec![logins("sshd", 0, 0, 0)], false),
        (vec![logins("xrdp-sesman", 1, 0, 0)], false),
        (vec![word(Some("sshd"))], true),
    ] {
        let truth = holds("this-week", "203.0.113.1", "sshd", &seen(origin("?"), &rows));
        assert_eq!(truth, held.into(), "{rows:?}");
    }
}

#[test]
fn trust_counts_for_the_service_it_was_earned_at_unless_the_location_says_any() {
    let rows = [logins("sshd", 2, 0, 0), logins("xrdp-sesman", 1, 0, 0)];
    let seen = seen(origin("?"), &rows);
    for (location, service, held) in [
        ("usual", "sshd", false),
        ("usual-anywhere", "sshd", true),
        ("usual-anywhere", "vsftpd", true),
        ("this-week", "sshd", true),
        ("this-week", "vsftpd", false),
        ("this-week-anywhere", "vsftpd", true),
    ] {
        assert_eq!(holds(location, "203.0.113.1", service, &seen), held.into(), "{location} {service}");
    }
    let for_one = [word(Some("sshd"))];
    let seen = Seen { earned: &for_one, ..seen };
    assert_eq!(holds("usual-anywhere", "203.0.113.1", "vsftpd", &seen), Truth::True);
}

/// DESIGN 1: `local`, `unknown`, loopback, link-local and uncounted sources are never earned, whatever rows say.
#[test]
fn nothing_is_earned_where_anybody_can_be() {
    let rows = [logins("sshd", 9, 0, 0), word(None)];
    let seen = seen(origin("NL"), &rows);
    for from in ["local", "unknown", "127.0.0.1", "::1", "169.254.1.1", "fe80::1", "198.51.100.10"] {
        for location in ["usual", "usual-anywhere", "this-week", "this-week-anywhere"] {
            assert_eq!(holds(location, from, "sshd", &seen), Truth::False, "{from} {location}");
        }
    }
    assert_eq!(holds("usual", "10.1.2.3", "sshd", &seen), Truth::True);
}

#[test]
fn networks_and_earned_places_waive_the_code_and_countries_never() {
    let rows = [logins("sshd", 9, 0, 0)];
    for (from, waiver) in [
        ("[\"home\", \"office\"]", Some("office")),
        ("[\"home\", \"usual\"]", Some("usual")),
        ("[\"this-week\"]", Some("this-week")),
        ("[\"home\"]", None),
        ("[\"home\", \"provider\", \"unlisted\", \"private\"]", None),
    ] {
        let policy = with(&format!("from = {from}"));
        let place = policy.place(source("192.0.2.9"), Service::new("sshd"), &seen(origin("NL"), &rows));
        let Plan::Require { waiver: found, .. } = policy.plan(&place, Accepted::default(), Subject::Anybody)
        else {
            panic!("{from}")
        };
        assert_eq!(found.as_ref().map(LocationName::as_str), waiver, "{from}");
    }
}

fn errors(rule: &str) -> usize {
    let config = parsed(&format!("[[rule]]\nname = \"r\"\n{rule}\nrequire = [\"password\"]\n"));
    check::check(&config, &Policy::new(&config)).errors.len()
}

#[test]
fn a_rule_that_rests_on_a_country_rests_on_one_thing_only() {
    for from in ["office", "usual", "usual-anywhere", "this-week"] {
        assert_eq!(errors(&format!("from = [{from:?}]")), 0, "{from}");
        assert_eq!(errors(&format!("from = [{from:?}, \"home\"]")), 1, "{from}");
    }
    for from in ["home", "provider", "unlisted", "private", "local", "unknown"] {
        assert_eq!(errors(&format!("from = [{from:?}]")), 1, "{from}");
    }
    assert_eq!(errors("not_from = [\"home\"]"), 1);
    assert_eq!(errors("when = { days = [\"mon\"], zone = \"UTC\" }"), 1, "a time is no factor");
}

fn in_window(window: &str, at: u64) -> Truth {
    let policy = with(&format!("when = {window}"));
    let seen = Seen { at: Some(Moment(at)), ..Seen::default() };
    truth(&policy, &policy.place(source("203.0.113.1"), Service::new("sshd"), &seen))
}

#[test]
fn a_part_of_the_week_is_read_on_the_zones_clocks() {
    let office = "{ days = [\"mon-fri\"], from = \"08:00\", to = \"18:00\", zone = \"Europe/Amsterdam\" }";
    // Amsterdam is an hour ahead of UTC in November, two in July.
    let july = MONDAY - 126 * DAY;
    for (at, open) in [
        (MONDAY + 7 * HOUR - 1, false),
        (MONDAY + 7 * HOUR, true),
        (MONDAY + 17 * HOUR - 1, true),
        (MONDAY + 17 * HOUR, false),
        (MONDAY + 4 * DAY + 12 * HOUR, true),
        (MONDAY + 5 * DAY + 12 * HOUR, false),
        (MONDAY + 6 * DAY + 12 * HOUR, false),
        (july + 6 * HOUR - 1, false),
        (july + 6 * HOUR, true),
        (july + 16 * HOUR, false),
    ] {
        assert_eq!(in_window(office, at), open.into(), "{at}");
    }
}

#[test]
fn a_part_that_passes_midnight_belongs_to_the_day_it_begins_on() {
    let night = "{ days = [\"fri\"], from = \"22:00\", to = \"06:00\", zone = \"UTC\" }";
    let friday = MONDAY + 4 * DAY;
    for (at, open) in [
        (friday + 5 * HOUR, false),
        (friday + 22 * HOUR - 1, false),
        (friday + 22 * HOUR, true),
        (friday + DAY, true),
        (friday + DAY + 6 * HOUR - 1, true),
        (friday + DAY + 6 * HOUR, false),
        (friday + DAY + 22 * HOUR, false),
    ] {
        assert_eq!(in_window(night, at), open.into(), "{at}");
    }
    let to_midnight = "{ from = \"18:00\", to = \"00:00\", zone = \"UTC\" }";
    assert_eq!(in_window(to_midnight, MONDAY + DAY - 1), Truth::True);
    assert_eq!(in_window(to_midnight, MONDAY + DAY), Truth::False);
    let from_morning = "{ from = \"06:00\", zone = \"UTC\" }";
    assert_eq!(in_window(from_morning, MONDAY + DAY - 1), Truth::True);
    assert_eq!(in_window(from_morning, MONDAY + 6 * HOUR - 1), Truth::False);
    let mornings = "{ to = \"06:00\", zone = \"UTC\" }";
    assert_eq!(in_window(mornings, MONDAY), Truth::True);
    assert_eq!(in_window("{ days = [\"mon\"], zone = \"UTC\" }", MONDAY), Truth::True);
    assert_eq!(in_window("{ days = [\"mon\"], zone = \"UTC\" }", MONDAY - 1), Truth::False);
}

/// What counts is the clock's face: an hour that is shown twice is open twice, and one that is skipped closes nothing.
#[test]
fn clocks_that_are_put_forward_or_back_are_followed() {
    let early = "{ from = \"02:00\", to = \"03:00\", zone = \"Europe/Amsterdam\" }";
    // 2026-10-25: from 02:00 to 03:00 and again.
    let back = 1_792_886_400;
    let hours: Vec<_> = (0..5).map(|hour| in_window(early, back + hour * HOUR) == Truth::True).collect();
    assert_eq!(hours, [true, true, false, false, false]);
    // 2026-03-29: no such hour.
    let forward = 1_774_742_400;
    let minutes = (0..4 * 60).map(|minute| forward + minute * 60);
    assert!(minutes.clone().all(|at| in_window(early, at) == Truth::False));
    let across = "{ from = \"01:30\", to = \"03:30\", zone = \"Europe/Amsterdam\" }";
    assert_eq!(minutes.filter(|at| in_window(across, *at) == Truth::True).count(), 60);
}

#[test]
fn a_rule_ends_with_its_last_day() {
    let policy = with("until = \"2026-11-23\"");
    let at = |at| {
        let seen = Seen { at, ..Seen::default() };
        truth(&policy, &policy.place(source("203.0.113.1"), Service::new("sshd"), &seen))
    };
    assert_eq!(at(Some(Moment(MONDAY + DAY - 1))), Truth::True);
    assert_eq!(at(Some(Moment(MONDAY + DAY))), Truth::False);
    assert_eq!(at(None), Truth::Unknown, "the clock is not to be believed");
}

#[test]
fn what_the_file_cannot_tell_is_never_skipped_for_something_weaker() {
    let policy = policy(
        "[[rule]]\nname = \"abroad\"\nservices = [\"sshd\"]\nnot_from = [\"home\", \"office\"]\ndeny = true\n\
         [[rule]]\nname = \"home\"\nfrom = [\"home\"]\nrequire = [\"password\", \"code\"]\n\
         [[rule]]\nname = \"rest\"\nrequire = [\"password\"]\nsingle_factor = true\n",
    );
    let plan = |from: &str, service: &str, told: &str| {
        let place = policy.place(source(from), Service::new(service), &seen(origin(told), &[]));
        match policy.plan(&place, Accepted::default(), Subject::Anybody) {
            Plan::Require { rule, .. } => rule.to_string(),
            Plan::Deny { rule } => format!("deny:{}", rule.unwrap()),
            Plan::Unavailable { rule } => format!("unavailable:{rule}"),
        }
    };
    assert_eq!(plan("203.0.113.1", "sshd", "?"), "deny:abroad");
    assert_eq!(plan("203.0.113.1", "sshd", "-"), "deny:abroad");
    assert_eq!(plan("203.0.113.1", "sshd", "NL"), "home");
    assert_eq!(plan("203.0.113.1", "vsftpd", "?"), "unavailable:home");
    assert_eq!(plan("203.0.113.1", "vsftpd", "FR"), "rest");
    // An address inside a network of the list is known to be inside, file or no file.
    assert_eq!(plan("192.0.2.9", "sshd", "?"), "unavailable:home");
    assert_eq!(plan("10.0.0.1", "sshd", "?"), "rest");
    assert_eq!(plan("local", "sshd", "?"), "rest");
    assert_eq!(plan("unknown", "sshd", "?"), "deny:abroad");
}

#[test]
fn the_table_has_a_row_for_every_place_that_can_be_told_apart() {
    let config = parsed(
        "[[rule]]\nname = \"abroad\"\nnot_from = [\"home\", \"office\"]\ndeny = true\n\
         [[rule]]\nname = \"usual\"\nfrom = [\"usual\", \"this-week\"]\nuntil = \"2027-01-31\"\n\
         when = { days = [\"mon-tue\"], from = \"08:00\", zone = \"UTC\" }\nrequire = [\"password\"]\n\
         [[rule]]\nname = \"all\"\nrequire = [\"password\", \"code\"]\n",
    );
    let table = check::table(&config, &Policy::new(&config));
    let rules = |place: &str| {
        let row =
            table.iter().find(|row| row.place == place).unwrap_or_else(|| panic!("{place}: {table:#?}"));
        row.rules.join("; ")
    };
    let usual = "usual: password, mon, tue from 08:00 UTC, until 2027-01-31 (waiver: ";
    assert_eq!(rules("(elsewhere)"), "abroad: deny");
    assert_eq!(rules("unlisted"), "abroad: deny");
    assert_eq!(rules("unknown"), "abroad: deny");
    for inside in ["home", "office", "private", "local"] {
        assert_eq!(rules(inside), "all: password + code", "{inside}");
    }
    // It may lie at home or abroad.
    assert_eq!(rules("provider"), "abroad: deny; all: password + code");
    assert_eq!(rules("usual"), format!("abroad: deny; {usual}usual); all: password + code"));
    assert_eq!(check::waivers(&config, &Policy::new(&config), 0), ["usual (usual, this-week)"]);
    let config = parsed(
        "[[rule]]\nname = \"usual\"\nfrom = [\"usual\", \"this-week\"]\nuntil = \"2027-01-31\"\n\
         when = { days = [\"mon-tue\"], from = \"08:00\", zone = \"UTC\" }\nrequire = [\"password\"]\n\
         [[rule]]\nname = \"all\"\nrequire = [\"password\", \"code\"]\n",
    );
    let table = check::table(&config, &Policy::new(&config));
    for place in ["usual", "this-week"] {
        let row = table.iter().find(|row| row.place == place).unwrap();
        assert_eq!(row.rules.join("; "), format!("{usual}{place}); all: password + code"));
        assert_eq!(row.questions, "password, code", "not on every day");
    }
}

#[test]
fn rules_that_overlap_or_can_never_decide_are_pointed_out() {
    let config = parsed(
        "[[rule]]\nname = \"staff\"\ngroups = [\"staff\"]\nrequire = [\"password\", \"code\"]\n\
         [[rule]]\nname = \"desks\"\nservices = [\"desk\"]\nfrom = [\"office\"]\nrequire = [\"password\"]\n\
         [[rule]]\nname = \"ssh\"\nservices = [\"sshd\"]\nrequire = [\"password\", \"code\"]\n\
         [[rule]]\nname = \"ssh abroad\"\nservices = [\"sshd\"]\nnot_from = [\"home\"]\ndeny = true\n\
         [[rule]]\nname = \"for now\"\nuntil = \"2026-12-31\"\nrequire = [\"password\", \"code\"]\n\
         [[rule]]\nname = \"ever\"\nrequire = [\"password\", \"code\"]\n",
    );
    let policy = Policy::new(&config);
    let pairs: Vec<_> = check::overlaps(&config, &policy)
        .iter()
        .map(|pair| format!("{}/{}", pair.above, pair.below))
        .collect();
    assert_eq!(pairs, ["staff/desks"]);
    let overlapping = |networks: &str| {
        let config = parsed(&format!(
            "[location.other]\nnetworks = [{networks:?}]\n\
             [[rule]]\nname = \"there\"\nfrom = [\"other\"]\nrequire = [\"password\", \"code\"]\n\
             [[rule]]\nname = \"here\"\nfrom = [\"office\"]\nrequire = [\"password\"]\n"
        ));
        check::overlaps(&config, &Policy::new(&config)).len()
    };
    assert_eq!(
        ["192.0.2.7/32", "192.0.0.0/16", "198.51.100.0/24", "fd00::/8"].map(overlapping),
        [1, 1, 0, 0],
        "networks that share no address"
    );
    let warnings = check::check(&config, &policy).warnings;
    let messages: Vec<_> = warnings.iter().map(|finding| finding.message.as_str()).collect();
    assert_eq!(messages, ["the rule \"ssh abroad\" can never decide: \"ssh\" above it matches first"]);
}

#[test]
fn rules_that_rest_on_one_thing_are_listed_and_whoever_no_rule_fits_is_shown_as_refused() {
    let config = parsed(
        "[[rule]]\nname = \"backup\"\naccounts = [\"backup\"]\nafter = [\"sshd\"]\nrequire = []\nsingle_factor = true\n\
         [[rule]]\nname = \"consoles\"\nfrom = [\"local\"]\nrequire = [\"password\"]\nsingle_factor = true\n\
         [[rule]]\nname = \"office\"\nfrom = [\"office\"]\ngroups = [\"staff\", \"guests\"]\nrequire = [\"password\"]\n",
    );
    let policy = Policy::new(&config);
    assert_eq!(
        check::single_factors(&config, &policy),
        ["backup: what sshd decided alone", "consoles: a password"]
    );
    let table = check::table(&config, &policy);
    let rules = |place: &str| table.iter().find(|row| row.place == place).unwrap().rules.clone();
    let backup = "backup: nothing more after sshd alone, account backup";
    assert_eq!(
        rules("office"),
        [backup, "office: password, group staff or guests (waiver: office)", "no rule: deny"]
    );
    assert_eq!(rules("local"), [backup, "consoles: password"]);
    assert_eq!(rules("unknown"), [backup, "no rule: deny"]);
}

/// What one login is like, as plainly as can be.
#[derive(Debug, Clone)]
struct Facts {
    from: &'static str,
    service: &'static str,
    told: &'static str,
    at: Option<u64>,
    rows: Vec<Earned>,
}

fn facts() -> impl Strategy<Value = Facts> {
    let from = [
        "203.0.113.1",
        "192.0.2.9",
        "192.0.2.200",
        "10.0.0.1",
        "127.0.0.1",
        "198.51.100.10",
        "local",
        "unknown",
    ];
    let row = prop_oneof![
        (prop::sample::select(vec!["sshd", "sudo"]), 0..5_u32, 0..100 * DAY, 0..4_u32)
            .prop_map(|(service, count, unused, newer)| logins(service, count, unused, newer)),
        prop::sample::select(vec![Some("sshd"), Some("sudo"), None]).prop_map(word),
    ];
    (
        prop::sample::select(from.to_vec()),
        prop::sample::select(vec!["sshd", "sudo"]),
        prop::sample::select(vec!["NL", "FR", "-", "?"]),
        prop::option::weighted(0.9, MONDAY..MONDAY + 14 * DAY),
        prop::collection::vec(row, 0..3),
    )
        .prop_map(|(from, service, told, at, rows)| Facts { from, service, told, at, rows })
}

impl Facts {
    fn is_public(&self) -> bool {
        ["203.0.113.1", "192.0.2.9", "192.0.2.200", "198.51.100.10"].contains(&self.from)
    }

    fn inside(&self, location: &str) -> Truth {
        use Truth::{False, Unknown};
        let earns = ["203.0.113.1", "192.0.2.9", "192.0.2.200", "10.0.0.1"].contains(&self.from);
        let of_service = |row: &&Earned| row.service.as_ref().is_none_or(|at| at.as_str() == self.service);
        match location {
            "local" | "unknown" => (self.from == location).into(),
            "private" => ["10.0.0.1", "127.0.0.1"].contains(&self.from).into(),
            "office" => ["192.0.2.9", "192.0.2.200"].contains(&self.from).into(),
            "lab" => (self.from == "192.0.2.200").into(),
            "home" | "unlisted" if !self.is_public() => False,
            "home" | "unlisted" if self.told == "?" => Unknown,
            "home" => (self.told == "NL").into(),
            "unlisted" => (self.told == "-").into(),
            _ if !earns => False,
            "usual" => {
                let mut logins = 0;
                for row in self.rows.iter().filter(of_service) {
                    match row.by {
                        EarnedBy::Word => return Truth::True,
                        EarnedBy::Logins { logins: more, unused_s, newer }
                            if unused_s < 90 * DAY && newer < 2 =>
                        {
                            logins += more;
                        }
                        EarnedBy::Logins { .. } => {}
                    }
                }
                (logins >= 3).into()
            }
            "this-week" => self
                .rows
                .iter()
                .filter(of_service)
                .any(|row| match row.by {
                    EarnedBy::Word => true,
                    EarnedBy::Logins { logins, unused_s, .. } => logins > 0 && unused_s < 7 * DAY,
                })
                .into(),
            other => panic!("{other}"),
        }
    }
}

const NAMED: [&str; 8] = ["office", "lab", "home", "usual", "this-week", "local", "unknown", "private"];

/// All at once: false beside anything is false, else unknown beside anything is unknown.
fn together(values: &[Truth]) -> Truth {
    match (values.contains(&Truth::False), values.contains(&Truth::Unknown)) {
        (true, _) => Truth::False,
        (false, true) => Truth::Unknown,
        (false, false) => Truth::True,
    }
}

/// Any of them.
fn one_of(values: &[Truth]) -> Truth {
    match (values.contains(&Truth::True), values.contains(&Truth::Unknown)) {
        (true, _) => Truth::True,
        (false, true) => Truth::Unknown,
        (false, false) => Truth::False,
    }
}

fn list(names: &[&str]) -> String {
    format!("{names:?}")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_combination_of_conditions_is_what_the_design_says(
        facts in facts(),
        services in prop::option::of(prop::sample::subsequence(vec!["sshd", "sudo"], 1..=2)),
        groups in prop::option::weighted(0.3, prop::sample::subsequence(vec!["staff", "admins"], 1..=2)),
        accounts in prop::option::weighted(0.3, prop::sample::subsequence(vec!["Alice", "bob"], 1..=2)),
        from in prop::option::weighted(0.6, prop::sample::subsequence(NAMED.to_vec(), 1..=3)),
        not_from in prop::option::weighted(0.4, prop::sample::subsequence(vec!["office", "home", "unlisted", "usual"], 1..=2)),
        hours in prop::option::weighted(0.3, (0..24_u64, 0..24_u64).prop_filter("no time", |(from, to)| from != to)),
        until in prop::option::weighted(0.3, 0..14_u64),
    ) {
        let mut conditions = String::new();
        let mut values = Vec::new();
        let mut say = |key: &str, names: &[&str], value: Truth| {
            conditions.push_str(&format!("{key} = {}\n", list(names)));
            values.push(value);
        };
        if let Some(services) = &services {
            say("services", services, services.contains(&facts.service).into());
        }
        if let Some(groups) = &groups {
            say("groups", groups, groups.contains(&"staff").into());
        }
        if let Some(accounts) = &accounts {
            say("accounts", accounts, accounts.contains(&"Alice").into());
        }
        if let Some(from) = &from {
            let inside: Vec<_> = from.iter().map(|name| facts.inside(name)).collect();
            say("from", from, one_of(&inside));
        }
        if let Some(not_from) = &not_from {
            let outside = facts.is_public() || facts.from == "unknown";
            let inside: Vec<_> = not_from.iter().map(|name| facts.inside(name)).collect();
            let none = match one_of(&inside) { Truth::True => Truth::False, Truth::False => Truth::True, Truth::Unknown => Truth::Unknown };
            say("not_from", not_from, together(&[outside.into(), none]));
        }
        if let Some((begin, end)) = hours {
            conditions.push_str(&format!("when = {{ from = \"{begin:02}:00\", to = \"{end:02}:00\", zone = \"UTC\" }}\n"));
            values.push(facts.at.map_or(Truth::Unknown, |at| {
                let hour = at % DAY / HOUR;
                (if begin < end { (begin..end).contains(&hour) } else { hour >= begin || hour < end }).into()
            }));
        }
        if let Some(days) = until {
            conditions.push_str(&format!("until = \"2026-{}\"\n", ["11-23", "11-24", "11-25", "11-26", "11-27", "11-28", "11-29", "11-30", "12-01", "12-02", "12-03", "12-04", "12-05", "12-06"][usize::try_from(days).unwrap()]));
            values.push(facts.at.map_or(Truth::Unknown, |at| ((at - MONDAY) / DAY <= days).into()));
        }
        let policy = with(&conditions);
        let seen = Seen { at: facts.at.map(Moment), origin: origin(facts.told), earned: &facts.rows };
        let place = policy.place(source(facts.from), Service::new(facts.service), &seen);
        prop_assert_eq!(truth(&policy, &place), together(&values), "{} {:?}", conditions, facts);

        // What is explained is what decides, condition by condition.
        let names = [Username::from_pam(b"Alice").unwrap()];
        let subject = Subject::Account { names: &names, groups: Some(&[GroupName::new("staff")]) };
        let explained = policy.explain(&place, &place, Accepted::default(), subject);
        let look = &explained.rules[0];
        prop_assert_eq!(look.matches, together(&values));
        let mut told: Vec<_> = look.conditions.iter().map(|condition| condition.holds as u8).collect();
        let mut wanted: Vec<_> = values.iter().map(|value| *value as u8).collect();
        told.sort_unstable();
        wanted.sort_unstable();
        prop_assert_eq!(told, wanted);

        // Promise 7: whatever the plan of anybody may ask here is asked of everybody.
        let questions = policy.questions(&place, Accepted::default());
        prop_assert!(questions.password);
    }
}
