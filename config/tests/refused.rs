//! Every kind of mistake, one row each: what is changed in a valid file, and the one line that is printed for it.

#![allow(clippy::panic, clippy::unwrap_used)]

use std::path::Path;
use twinlock_config::{Problems, parse};

const VALID: &str = r#"[directory.main]
kind = "rfc2307"
servers = ["ldaps://ldap.example.org"]
base = "dc=example,dc=org"
bind_dn = "cn=twinlock,dc=example,dc=org"
bind_password = { file = "/etc/twinlock/bind-password" }
[store]
key = { file = "/etc/twinlock/seal.key" }
[location.office]
networks = ["192.0.2.0/24"]
[[rule]]
name = "office"
from = ["office"]
require = ["password"]
[[rule]]
name = "everyone else"
require = ["password", "code"]
"#;

/// The valid file with `from` changed into `to`, or with `to` at its end if `from` is empty.
fn changed(from: &str, to: &str) -> String {
    assert!(VALID.contains(from), "{from}");
    if from.is_empty() { format!("{VALID}{to}\n") } else { VALID.replacen(from, to, 1) }
}

fn printed(text: &str) -> String {
    match parse(text, Path::new("t")) {
        Ok(_) => String::new(),
        Err(problems) => problems.to_string(),
    }
}

#[test]
fn the_file_that_the_rows_change_is_valid() {
    assert_eq!(printed(VALID), "");
}

#[rustfmt::skip]
const ROWS: &[(&str, &str, &str)] = &[
    // Syntax and keys.
    ("base = \"dc", "base \"dc", "t:4:6: this is no valid TOML: key with no value, expected `=`"),
    ("base = \"dc=example,dc=org\"", "base = \"x=1\"\nbase = \"x=2\"", "t:5:1: this is no valid TOML: duplicate key"),
    ("[store]", "[directory.main]\n[store]", "t:7:12: this is no valid TOML: duplicate key"),
    ("base =", "baes =", "t:4:1: directory.main.baes: unknown key; did you mean base?\nt:1:1: directory.main.base: must be given"),
    ("", "[tarpit]\nfre = 3", "t:19:1: tarpit.fre: unknown key; did you mean free?"),
    ("", "[tarpits]\nfree = 3", "t:18:2: tarpits: unknown key; did you mean tarpit?"),
    ("", "singel_factor = true", "t:18:1: rule[1].singel_factor: unknown key; did you mean single_factor?"),
    ("", "xyzzy = true", "t:18:1: rule[1].xyzzy: unknown key"),
    ("", "[totp]\ndigits = { of = 6 }", "t:19:10: totp.digits: expected a whole number from 0 to 255, found a table"),
    ("name = \"office\"\n", "", "t:11:1: rule[0].name: must be given"),
    // Types.
    ("[\"ldaps://ldap.example.org\"]", "\"ldaps://ldap.example.org\"", "t:3:11: directory.main.servers: expected a list, found a string"),
    ("[\"192.0.2.0/24\"]", "[1]", "t:10:13: location.office.networks[0]: expected a string, found a whole number"),
    ("[\"192.0.2.0/24\"]", "[\"10.0.0.0/8\", \"192.0.2.7/24\"]", "t:10:27: location.office.networks[1]: has host bits set; did you mean 192.0.2.0/24?"),
    ("[\"192.0.2.0/24\"]", "[\"office\"]", "t:10:13: location.office.networks[0]: is not a network; write it as 192.0.2.0/24, 2001:db8::/32 or a single address"),
    ("\"rfc2307\"", "\"rfc2370\"", "t:2:8: directory.main.kind: expected \"rfc2307\" or \"rfc2307bis\" or \"389ds\" or \"freeipa\" or \"active-directory\"; did you mean rfc2307?"),
    ("\"rfc2307\"", "7", "t:2:8: directory.main.kind: expected a string, found a whole number"),
    ("[\"password\", \"code\"]", "[\"password\", \"coed\"]", "t:17:24: rule[1].require[1]: expected \"password\" or \"code\"; did you mean code?"),
    ("", "deny = \"yes\"", "t:18:8: rule[1].deny: expected true or false, found a string"),
    ("", "[tarpit]\nfree = -1", "t:19:8: tarpit.free: expected a whole number from 0 to 4294967295, found a whole number"),
    ("", "[tarpit]\nbase = 30", "t:19:8: tarpit.base: expected a length of time such as \"30s\", found a whole number"),
    ("", "[tarpit]\nbase = \"30\"", "t:19:8: tarpit.base: is not a length of time; write a whole number and ms, s, m, h or d, as in \"30s\""),
    ("", "[tarpit]\nbase = \"0s\"", "t:19:8: tarpit.base: is a length of time of zero, which is not allowed here"),
    ("", "[tarpit]\nbase = \"4000d\"", "t:19:8: tarpit.base: is longer than 3650 days"),
    ("", "[tarpit]\nsource_limit = 20", "t:19:16: tarpit.source_limit: expected a table, found a whole number"),
    ("", "[audit]\nsyslog = 1", "t:19:10: audit.syslog: expected a path in quotes, found a whole number"),
    // Secrets.
    ("{ file = \"/etc/twinlock/bind-password\" }", "\"hunter2\"", "t:6:17: directory.main.bind_password: expected { file = \"PATH\" } or { credential = \"NAME\" }; the secret itself never stands in this file"),
    ("{ file = \"/etc/twinlock/bind-password\" }", "{ flie = \"hunter2\" }", "t:6:17: directory.main.bind_password: expected { file = \"PATH\" } or { credential = \"NAME\" }; the secret itself never stands in this file"),
    ("{ file = \"/etc/twinlock/bind-password\" }", "{ file = [\"hunter2\"] }", "t:6:17: directory.main.bind_password: expected { file = \"PATH\" } or { credential = \"NAME\" }; the secret itself never stands in this file"),
    ("{ file = \"/etc/twinlock/seal.key\" }", "{ file = \"/a\", credential = \"hunter2\" }", "t:8:7: store.key: expected { file = \"PATH\" } or { credential = \"NAME\" }; the secret itself never stands in this file"),
    ("{ file = \"/etc/twinlock/seal.key\" }", "{ file = \"seal.key\" }", "t:8:16: store.key.file: must be an absolute path; begin it with /"),
    ("{ file = \"/etc/twinlock/seal.key\" }", "{ credential = \"a/b\" }", "t:8:22: store.key.credential: must be the name of a systemd credential, without a slash; name it as LoadCredential= does"),
    ("key = { file = \"/etc/twinlock/seal.key\" }\n", "", "t:7:1: store.key: must be given"),
    ("[store]\nkey = { file = \"/etc/twinlock/seal.key\" }\n", "", "t:1:1: store: must be given"),
    // Limits.
    ("", "[totp]\ndigits = 7", "t:19:10: totp.digits: must be 6 or 8"),
    ("", "[totp]\nstep = \"45s\"", "t:19:8: totp.step: must be \"30s\" or \"60s\""),
    ("", "[totp]\nwindow_steps = 2", "t:19:16: totp.window_steps: must be 0 or 1"),
    ("", "[totp]\nalgorithm = \"MD5\"", "t:19:13: totp.algorithm: expected \"SHA1\" or \"SHA256\" or \"SHA512\""),
    ("", "[tarpit]\nobserve_until = \"2026-02-30\"", "t:19:17: tarpit.observe_until: is no day; write year, month and day, as in \"2026-12-24\""),
    ("", "[tarpit]\nfree = 0", "t:19:8: tarpit.free: must be from 1 to 1000"),
    ("", "[tarpit]\nfree = 1001", "t:19:8: tarpit.free: must be from 1 to 1000"),
    ("", "[tarpit]\nbase = \"5h\"", "t:19:8: tarpit.base: is longer than cap; the first wait can be no longer than the longest"),
    ("", "[tarpit]\nuncounted = [\"::/0\"]", "t:19:14: tarpit.uncounted[0]: would leave every address uncounted; name the jump hosts only"),
    ("", "[tarpit]\nsource_limit = { failures = 0, within = \"1m\", refuse = \"1m\" }", "t:19:29: tarpit.source_limit.failures: must be from 1 to 1000000"),
    ("", "[tarpit]\nsource_limit = { failures = 1, within = \"1ms\", refuse = \"1m\" }", "t:19:41: tarpit.source_limit.within: must be from \"1s\" to \"30d\""),
    ("", "[tarpit]\nsource_limit = { failures = 1, within = \"1m\", refuse = \"31d\" }", "t:19:56: tarpit.source_limit.refuse: must be from \"1s\" to \"30d\""),
    ("", "[tarpit]\nspread_limit = { failures = 0, accounts = 1, within = \"1m\", for = \"1m\" }", "t:19:29: tarpit.spread_limit.failures: must be from 1 to 10000"),
    ("", "[tarpit]\nspread_limit = { failures = 5, accounts = 6, within = \"1m\", for = \"1m\" }", "t:19:43: tarpit.spread_limit.accounts: must be from 1 to what failures says"),
    ("", "[tarpit]\ncode_budget = { failures = 0, within = \"30d\" }", "t:19:28: tarpit.code_budget.failures: must be from 1 to 1000"),
    ("", "[tarpit]\ncode_budget = { failures = 1001, within = \"30d\" }", "t:19:28: tarpit.code_budget.failures: must be from 1 to 1000"),
    ("", "[tarpit]\ncode_budget = { failures = 20, within = \"59m\" }", "t:19:41: tarpit.code_budget.within: must be from \"1h\" to \"365d\""),
    ("", "[tarpit]\ncode_budget = { failures = 20, within = \"366d\" }", "t:19:41: tarpit.code_budget.within: must be from \"1h\" to \"365d\""),
    ("", "[tarpit]\ncode_budget = { failures = 20 }", "t:19:15: tarpit.code_budget.within: must be given"),
    ("", "[tarpit]\ncode_budget = 20", "t:19:15: tarpit.code_budget: expected a table, found a whole number"),
    ("", "[tarpit]\nguess_budget = 1", "t:19:16: tarpit.guess_budget: expected a string, found a whole number"),
    ("", "[tarpit]\nguess_budget = \"1%\"", "t:19:16: tarpit.guess_budget: is no share of a year; write a number above 0, at most 100, as in \"1%/year\""),
    ("", "[tarpit]\nguess_budget = \"0%/year\"", "t:19:16: tarpit.guess_budget: must be above 0 and at most 100 percent; as in \"1%/year\""),
    ("", "[tarpit]\nguess_budget = \"101%/year\"", "t:19:16: tarpit.guess_budget: must be above 0 and at most 100 percent; as in \"1%/year\""),
    ("", "[tarpit]\nguess_budged = \"1%/year\"", "t:19:1: tarpit.guess_budged: unknown key; did you mean guess_budget?"),
    ("", "[tarpit]\nhosts = 0", "t:19:9: tarpit.hosts: must be from 1 to 10000; it is the number of hosts that share seeds but not a store; 1 where all share one"),
    ("", "[tarpit]\nhosts = 10001", "t:19:9: tarpit.hosts: must be from 1 to 10000; it is the number of hosts that share seeds but not a store; 1 where all share one"),
    ("", "[tarpit]\nhosts = \"unlimited\"", "t:19:9: tarpit.hosts: expected a whole number from 0 to 4294967295, found a string"),
    ("[store]", "lockout = { failures = 1, within = \"1h\" }\n[store]", "t:7:24: directory.main.lockout.failures: must be from 2 to 1000"),
    ("[store]", "timeout = \"1h\"\n[store]", "t:7:11: directory.main.timeout: must be from \"10ms\" to \"15s\""),
    // The directory.
    ("[store]", "realm = \"A\"\n[directory.second]\nkind = \"rfc2307\"\nservers = [\"ldaps://b.example.org\"]\nbase = \"dc=b\"\nrealm = \"a\"\n[store]", "t:12:9: directory.second.realm: is another directory's realm too; give each directory its own"),
    ("[store]", "realm = \"A B\"\n[store]", "t:7:9: directory.main.realm: must be 1 to 64 letters, digits, -, _ or ."),
    ("[store]", "group_filter = \"(cn=x)\"\n[store]", "t:7:16: directory.main.group_filter: names no member, so it would find the same groups for every account; write {dn}, {user} or {gid} where the account stands, as in \"(member={dn})\""),
    ("ldaps://ldap.example.org", "srv://example..org", "t:3:12: directory.main.servers[0]: names no domain; as in srv://example.org, for what _ldap._tcp.example.org names"),
    ("[store]", "name_attributes = []\n[store]", "t:7:19: directory.main.name_attributes: must name at least one attribute; as in [\"uid\"]"),
    ("[store]", "id_attribute = \"entry UUID\"\n[store]", "t:7:16: directory.main.id_attribute: is no attribute's name; letters, digits and -, as in uid"),
    ("[store]", "tls = { cert = \"/c.pem\" }\n[store]", "t:7:7: directory.main.tls: has only one of cert and key; give both or neither"),
    ("[\"ldaps://ldap.example.org\"]", "[]", "t:3:11: directory.main.servers: must name at least one server; as in [\"ldaps://ldap.example.org\"]"),
    ("ldaps://ldap.example.org", "ldap.example.org", "t:3:12: directory.main.servers[0]: is not a URL; write ldaps://HOST, ldap://HOST or ldapi://%2Fpath%2Fto%2Fsocket"),
    ("ldaps://ldap.example.org", "https://ldap.example.org", "t:3:12: directory.main.servers[0]: has a scheme other than ldaps, ldap and ldapi; write ldaps://HOST, ldap://HOST or ldapi://%2Fpath%2Fto%2Fsocket"),
    ("ldaps://ldap.example.org", "ldaps://", "t:3:12: directory.main.servers[0]: has no host; write ldaps://HOST, ldap://HOST or ldapi://%2Fpath%2Fto%2Fsocket"),
    ("ldaps://ldap.example.org", "ldap:///dc=x", "t:3:12: directory.main.servers[0]: holds more than scheme, host and port; the search base goes into base"),
    ("ldaps://ldap.example.org", "ldap:foo", "t:3:12: directory.main.servers[0]: holds more than scheme, host and port; the search base goes into base"),
    ("ldaps://ldap.example.org", "ldaps://cn=a:hunter2@ldap.example.org", "t:3:12: directory.main.servers[0]: holds a name or password; use bind_dn and bind_password"),
    ("ldaps://ldap.example.org", "ldaps://ldap.example.org:99999", "t:3:12: directory.main.servers[0]: is not a URL; write ldaps://HOST, ldap://HOST or ldapi://%2Fpath%2Fto%2Fsocket"),
    ("ldaps://ldap.example.org", "ldap://ldap.example.org", "t:3:12: directory.main.servers[0]: does not fit tls.mode = \"ldaps\"; write ldaps://, or set tls.mode to \"starttls\" for ldap:// and to \"none\" for ldapi://"),
    ("[store]", "tls = { mode = \"starttls\" }\n[store]", "t:3:12: directory.main.servers[0]: does not fit tls.mode = \"starttls\"; write ldap://, where StartTLS begins"),
    ("\"ldaps://ldap.example.org\"]", "\"ldap://ldap.example.org\"]\ntls = { mode = \"none\" }", "t:3:12: directory.main.servers[0]: would carry passwords over the network in the clear; tls.mode = \"none\" is only for ldapi:// and for ldap:// to this host"),
    ("\"ldaps://ldap.example.org\"]", "\"ldapi://run/slapd\"]\ntls = { mode = \"none\" }", "t:3:12: directory.main.servers[0]: holds more than scheme, host and port; the search base goes into base"),
    ("[store]", "tls = { ca = \"ca.pem\" }\n[store]", "t:7:14: directory.main.tls.ca: must be an absolute path; begin it with /"),
    ("base = \"dc=example,dc=org\"", "base = \"\"", "t:4:8: directory.main.base: is not a distinguished name; as in dc=example,dc=org"),
    ("\"cn=twinlock,dc=example,dc=org\"", "\"\"", "t:5:11: directory.main.bind_dn: is not a distinguished name; as in dc=example,dc=org"),
    ("bind_dn = \"cn=twinlock,dc=example,dc=org\"\n", "", "t:5:17: directory.main.bind_password: stands without bind_dn; give both or neither"),
    ("bind_password = { file = \"/etc/twinlock/bind-password\" }\n", "", "t:5:11: directory.main.bind_dn: stands without bind_password; give both or neither"),
    ("[store]", "user_filter = \"(uid=alice)\"\n[store]", "t:7:15: directory.main.user_filter: does not contain {user}, so it would find the same accounts for every name; as in \"(&(objectClass=posixAccount)(uid={user}))\""),
    ("[store]", "user_filter = \"(uid={user}\"\n[store]", "t:7:15: directory.main.user_filter: has a parenthesis that is not closed"),
    ("[store]", "user_filter = \"uid={user}\"\n[store]", "t:7:15: directory.main.user_filter: must stand in parentheses as a whole"),
    ("[store]", "user_filter = \"(uid={user}))\"\n[store]", "t:7:15: directory.main.user_filter: goes on behind its last parenthesis; join conditions as in \"(&(…)(…))\""),
    // Places.
    ("[\"192.0.2.0/24\"]", "[]", "t:10:12: location.office.networks: must name at least one network"),
    ("[\"192.0.2.0/24\"]", "[\"0.0.0.0/0\"]", "t:10:13: location.office.networks[0]: holds every address, which is no place; leave out `from` in the rules that mean everywhere"),
    ("", "[location.local]\nnetworks = [\"10.0.0.0/8\"]", "t:18:1: location.local: this name is reserved; give the location another name"),
    ("", "[location.\"a b\"]\nnetworks = [\"10.0.0.0/8\"]", "t:18:1: location.\"a b\": must be named with 1 to 64 letters, digits, -, _ or ."),
    // Locations.
    ("networks = [\"192.0.2.0/24\"]", "any_service = false", "t:9:1: location.office: says nowhere; say one of networks, countries, asns, familiar or remembered"),
    ("networks = [\"192.0.2.0/24\"]", "remembered = \"7d\"\nnetworks = [\"192.0.2.0/24\"]", "t:10:14: location.office.remembered: stands beside networks; give each kind a location of its own; a rule's `from` may name several"),
    ("networks = [\"192.0.2.0/24\"]", "networks = [\"192.0.2.0/24\"]\nany_service = true", "t:11:15: location.office.any_service: means nothing here; it belongs beside familiar or remembered"),
    ("networks = [\"192.0.2.0/24\"]", "countries = [\"NL\"]", "t:9:1: location.office: needs a GeoIP file; add [geoip] database"),
    ("networks = [\"192.0.2.0/24\"]", "asns = [3320]", "t:9:1: location.office: needs a GeoIP file; add [geoip] database"),
    ("[location.office]\nnetworks = [\"192.0.2.0/24\"]", "[geoip]\ndatabase = \"/geo.mmdb\"\n[location.office]\ncountries = [\"NL\", \"UK\"]", "t:12:20: location.office.countries[1]: is no country's code; did you mean GB?"),
    ("[location.office]\nnetworks = [\"192.0.2.0/24\"]", "[geoip]\ndatabase = \"/geo.mmdb\"\n[location.office]\ncountries = [\"Holland\"]", "t:12:14: location.office.countries[0]: is no country's code; write two capital letters of ISO 3166-1, as in \"NL\""),
    ("[location.office]\nnetworks = [\"192.0.2.0/24\"]", "[geoip]\ndatabase = \"/geo.mmdb\"\n[location.office]\ncountries = []", "t:12:13: location.office.countries: must name at least one country"),
    ("[location.office]\nnetworks = [\"192.0.2.0/24\"]", "[geoip]\ndatabase = \"/geo.mmdb\"\n[location.office]\nasns = [0]", "t:12:9: location.office.asns[0]: is no autonomous system"),
    ("", "[geoip]\ndatabase = \"geo.mmdb\"", "t:19:12: geoip.database: must be an absolute path; begin it with /"),
    ("networks = [\"192.0.2.0/24\"]", "familiar = { logins = 0, at_most = 101, forget = \"1m\" }", "t:10:23: location.office.familiar.logins: must be from 1 to 1000\nt:10:36: location.office.familiar.at_most: must be from 1 to 100\nt:10:50: location.office.familiar.forget: must be from \"1h\" to \"3650d\""),
    ("networks = [\"192.0.2.0/24\"]", "familiar = { forget = \"90d\" }", "t:10:12: location.office.familiar.logins: must be given"),
    ("networks = [\"192.0.2.0/24\"]", "remembered = \"30s\"", "t:10:14: location.office.remembered: must be from \"1h\" to \"3650d\""),
    ("networks = [\"192.0.2.0/24\"]", "familiar = { logins = 5, any_service = true }", "t:10:26: location.office.familiar.any_service: unknown key"),
    // Times.
    ("from = [\"office\"]", "when = { days = [\"mon-fri\"] }", "t:13:8: rule[0].when.zone: must be given"),
    ("from = [\"office\"]", "when = { zone = \"UTC\" }", "t:13:8: rule[0].when: names no time; add days, from or to, or leave it out where always is meant"),
    ("from = [\"office\"]", "when = { days = [\"monday\"], zone = \"UTC\" }", "t:13:17: rule[0].when.days: must list days such as \"mon\", or runs such as \"mon-fri\""),
    ("from = [\"office\"]", "when = { from = \"8:00\", zone = \"UTC\" }", "t:13:17: rule[0].when.from: is no time of day; write it from \"00:00\" to \"23:59\""),
    // The first authenticator.
    ("", "enroll = { from = [] }", "t:18:19: rule[1].enroll.from: is empty; leave enroll out where only invitations are to count"),
    ("", "enroll = { grace_until = \"2027-01-31\" }", "t:18:10: rule[1].enroll.from: must be given"),
    ("", "enroll = { from = [\"offise\"] }", "t:18:20: rule[1].enroll.from[0]: is no location of networks; name a [location.NAME] with networks; countries, earned places and the reserved ones do not count here"),
    ("", "enroll = { from = [\"local\"] }", "t:18:20: rule[1].enroll.from[0]: is no location of networks; name a [location.NAME] with networks; countries, earned places and the reserved ones do not count here"),
    ("", "enroll = { from = [\"usual\"] }\n[location.usual]\nremembered = \"7d\"", "t:18:20: rule[1].enroll.from[0]: is no location of networks; name a [location.NAME] with networks; countries, earned places and the reserved ones do not count here"),
    ("require = [\"password\"]", "require = [\"password\"]\nenroll = { from = [\"office\"] }", "t:15:10: rule[0].enroll: stands in a rule that does not ask password and code; whoever enrols proves the password there, and a code from then on; leave it out here"),
    ("", "enroll = { from = [\"office\"], grace_until = \"2027-02-30\" }", "t:18:45: rule[1].enroll.grace_until: is no day; write year, month and day, as in \"2026-12-24\""),
    ("from = [\"office\"]", "when = { from = \"08:00\", to = \"08:00\", zone = \"UTC\" }", "t:13:31: rule[0].when.to: is the same as from, which is no time at all or a whole day; leave both out where whole days are meant"),
    ("from = [\"office\"]", "when = { from = \"08:00\", zone = \"Europe/Amsterdm\" }", "t:13:33: rule[0].when.zone: is no time zone; write it as in \"Europe/Amsterdam\" or \"UTC\""),
    ("from = [\"office\"]", "until = \"2027-02-29\"", "t:13:9: rule[0].until: is no day; write year, month and day, as in \"2026-12-24\""),
    // Rules.
    ("from = [\"office\"]", "from = [\"ofice\"]", "t:13:9: rule[0].from[0]: there is no [location.ofice]; define it, or use local, unknown, private or unlisted"),
    ("from = [\"office\"]", "not_from = [\"office\", \"unlisted\"]", "t:13:23: rule[0].not_from[1]: needs a GeoIP file; add [geoip] database"),
    ("from = [\"office\"]", "from = []", "t:13:8: rule[0].from: is empty; leave it out where it does not matter"),
    ("from = [\"office\"]", "services = []", "t:13:12: rule[0].services: is empty; leave it out where it does not matter"),
    ("from = [\"office\"]", "services = [\"ssh d\"]", "t:13:13: rule[0].services[0]: is no PAM service; as in \"sshd\": the name of a file in /etc/pam.d"),
    ("from = [\"office\"]", "accounts = [\"\"]", "t:13:13: rule[0].accounts[0]: is no name"),
    ("from = [\"office\"]", "groups = [\"staff\"]", "t:13:10: rule[0].groups: the directory has no group_base to look groups up in; add group_base to [directory.NAME]"),
    ("from = [\"office\"]", "after = [\"password\"]", "t:13:10: rule[0].after[0]: must be \"publickey\" or \"sshd\""),
    ("name = \"everyone else\"", "name = \"office\"", "t:16:8: rule[1].name: another rule has this name already; give each rule its own"),
    ("name = \"office\"", "name = \" \"", "t:12:8: rule[0].name: must not be empty; it stands in the audit record"),
    ("require = [\"password\"]\n", "", "t:11:1: rule[0]: says neither require nor deny; add require = [\"password\", \"code\"]"),
    ("require = [\"password\"]", "require = []", "t:14:11: rule[0].require: asks nothing at all; only a rule with `after` may ask nothing, because sshd has checked something"),
    ("require = [\"password\"]", "require = [\"code\", \"code\"]", "t:14:20: rule[0].require[1]: stands twice"),
    ("require = [\"password\"]", "require = [\"code\"]\ndeny = true", "t:15:8: rule[0].deny: stands beside require; a rule asks or refuses, not both"),
    ("require = [\"password\"]", "deny = true\nsingle_factor = true", "t:15:17: rule[0].single_factor: means nothing in a rule that refuses; leave it out"),
    // Paths.
    ("", "[daemon]\nlogin_socket = \"login.sock\"", "t:19:16: daemon.login_socket: must be an absolute path; begin it with /"),
    ("", "[daemon]\nadmin_socket = \"/run/twinlock/login.sock\"", "t:19:16: daemon.admin_socket: is the same as login_socket; give each its own path"),
    ("", "[audit]\nsyslog = \"log\"", "t:19:10: audit.syslog: must be an absolute path; begin it with /"),
    ("[location.office]", "generation = \"latest\"\n[location.office]", "t:9:14: store.generation: must be an absolute path; begin it with /"),
    ("", "[audit]\nhistory = \"h\"", "t:19:11: audit.history: must be an absolute path; begin it with /"),
    ("", "[audit]\nhistory = \"/var/lib/twinlock/state.db\"", "t:19:11: audit.history: is the store's file; give the history a file of its own"),
    ("", "[audit]\nhistory_size = \"1KiB\"", "t:19:16: audit.history_size: must be from \"1MiB\" to \"64GiB\""),
    ("", "[audit]\nhistory_size = \"64MB\"", "t:19:16: audit.history_size: is not a size; write a whole number and KiB, MiB or GiB, as in \"64MiB\""),
    ("", "[audit]\nkeep = \"1h\"", "t:19:8: audit.keep: must be from \"1d\" to \"3650d\""),
    ("[location.office]", "path = \"state.db\"\n[location.office]", "t:9:8: store.path: must be an absolute path; begin it with /"),
];

#[test]
fn every_mistake_is_refused_at_its_line_and_column_with_its_remedy() {
    let mut wrong = String::new();
    for (from, to, expected) in ROWS {
        let found = printed(&changed(from, to));
        let mut expected: Vec<_> = expected.lines().collect();
        let mut lines: Vec<_> = found.lines().collect();
        expected.sort_unstable();
        lines.sort_unstable();
        if lines != expected {
            wrong.push_str(&format!("{to:?}\n  expected {expected:?}\n  found    {lines:?}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn no_rule_at_all_is_refused() {
    let text = VALID.split("[[rule]]").next().unwrap();
    assert!(printed(text).contains("rule: there is no [[rule]]"), "{}", printed(text));
}

#[test]
fn a_long_socket_path_is_refused() {
    let text = changed("", &format!("[daemon]\nlogin_socket = \"/{}\"", "x".repeat(107)));
    assert_eq!(
        printed(&text),
        "t:19:16: daemon.login_socket: is too long for a socket; 107 bytes are the most"
    );
}

#[test]
fn all_mistakes_are_reported_in_the_order_of_the_file() {
    let text = changed("from = [\"office\"]", "from = [\"home\"]\nsingel_factor = true")
        .replace("kind = \"rfc2307\"", "kind = \"ldap\"")
        .replace("[\"192.0.2.0/24\"]", "[\"nowhere\"]");
    let found = printed(&text);
    let places: Vec<_> = found.lines().map(|line| line.split(' ').nth(1).unwrap()).collect();
    assert_eq!(places, ["directory.main.kind:", "location.office.networks[0]:", "rule[0].singel_factor:"]);
}

#[test]
fn servers_that_can_be_reached_are_taken() {
    for (server, mode) in [
        ("ldaps://ldap.example.org:636", "ldaps"),
        ("ldaps://[::1]", "ldaps"),
        ("ldaps://[2001:db8::1]:636/", "ldaps"),
        ("ldap://ldap.example.org", "starttls"),
        ("ldapi://%2Frun%2Fslapd%2Fldapi", "none"),
        ("ldapi://%2frun%2fslapd%2fldapi/", "none"),
        ("ldap://127.0.0.1:3890", "none"),
        ("ldap://[::1]:3890", "none"),
        ("ldap://localhost:3890", "none"),
    ] {
        let text = changed("ldaps://ldap.example.org", server)
            .replace("[store]", &format!("tls = {{ mode = \"{mode}\" }}\n[store]"));
        assert_eq!(printed(&text), "", "{server}");
    }
}

#[test]
fn servers_that_lie_about_being_local_are_refused() {
    for server in [
        "ldap://127.0.0.1.example.org",
        "ldap://localhost.example.org",
        "ldap://128.0.0.1",
        "ldap://[::2]",
        "ldap://0x7f000001",
        "ldap://127.1",
        "ldap://0.0.0.0",
        "ldapi://localhost",
    ] {
        let text = changed("ldaps://ldap.example.org", server)
            .replace("[store]", "tls = { mode = \"none\" }\n[store]");
        assert!(printed(&text).contains("servers[0]"), "{server}");
    }
}

#[test]
fn a_problem_of_another_crate_stands_where_its_key_stands() {
    let loaded = parse(VALID, Path::new("t")).unwrap();
    let at = |key: &str| loaded.problem_at(key, "is odd", Some("think")).to_string();
    assert_eq!(at("location.office.networks[0]"), "t:10:13: location.office.networks[0]: is odd; think");
    assert_eq!(at("rule[1].single_factor"), "t:15:1: rule[1].single_factor: is odd; think");
    assert_eq!(at("tarpit.free"), "t:1:1: tarpit.free: is odd; think");
}

#[test]
fn problems_are_an_error() {
    let problems: Problems = parse("", Path::new("t")).unwrap_err();
    let error: Box<dyn std::error::Error> = Box::new(problems);
    assert_eq!(error.to_string(), "t:1:1: directory: must be given");
}
