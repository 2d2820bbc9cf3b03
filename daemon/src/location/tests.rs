//! GeoIP files as they are found in the field: every way of writing a country, and every way of being broken. What a file
//! cannot tell is unknown, and an unfit file never takes the place of one in use.

// The stories use more of it.
#[allow(dead_code, unreachable_pub)]
#[path = "../../../tests/support/mmdb.rs"]
mod mmdb;

use super::Locations;
use super::database::{Database, Needs};
use super::geo::Geo;
use crate::audit::Auditor;
use crate::clock::{Clock, WallTime};
use crate::store::{EarnedPlace, Evidence};
use mmdb::{Value, file, flat, nested, system};
use proptest::prelude::*;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use twinlock_config::Country;
use twinlock_policy::{AccountId, Listing, Origin, Policy, Prefix, Service, Source, Username};

const BUILT: u64 = 1_790_000_000;
const ANY: Needs = Needs { countries: false, asns: false };
const COUNTRIES: Needs = Needs { countries: true, asns: false };

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("twinlock-geo-{}", crate::attempt::AttemptId::random().unwrap());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("geo.mmdb")
    }

    /// Puts a file there as updaters do: under another name first.
    fn put(&self, bytes: &[u8]) -> PathBuf {
        let new = self.0.join("new");
        std::fs::write(&new, bytes).unwrap();
        std::fs::rename(&new, self.file()).unwrap();
        self.file()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn country(code: &str) -> Listing<Country> {
    Listing::Listed(Country::assigned(code).unwrap())
}

fn origin(database: &Database, address: &str) -> Origin {
    database.origin(address.parse::<IpAddr>().unwrap())
}

fn text(key: &'static str, text: &str) -> Value {
    Value::Map(vec![(key, Value::Text(text.into()))])
}

#[test]
fn countries_are_read_however_they_are_written() {
    let folder = Folder::new();
    let registered =
        Value::Map(vec![("registered_country", Value::Map(vec![("iso_code", Value::Text("DE".into()))]))]);
    let nameless = Value::Map(vec![("country", Value::Map(vec![("geoname_id", Value::U32(7))]))]);
    let path = folder.put(&file(
        BUILT,
        &[
            ("192.0.2.0/24", nested("NL")),
            ("198.51.100.0/24", flat("BE")),
            ("203.0.113.0/25", text("country", "FR")),
            ("203.0.113.128/25", registered),
            ("2001:db8::/32", nested("LU")),
            ("2001:db9::/32", flat("EU")),
            ("2001:dba::/32", nameless),
        ],
    ));
    let (database, _) = Database::read(&path, COUNTRIES).unwrap_or_else(|unfit| panic!("{unfit}"));
    assert_eq!(database.built(), BUILT);
    for (address, listing) in [
        ("192.0.2.7", country("NL")),
        ("::ffff:192.0.2.7", country("NL")),
        ("198.51.100.7", country("BE")),
        ("203.0.113.7", country("FR")),
        ("2001:db8::7", country("LU")),
        // Where an address is registered is not where it is; EU is no country; some records name none.
        ("203.0.113.200", Listing::Unlisted),
        ("2001:db9::7", Listing::Unlisted),
        ("2001:dba::7", Listing::Unlisted),
        ("2001:dbb::7", Listing::Unlisted),
        ("8.8.8.8", Listing::Unlisted),
    ] {
        let expected = Origin { country: listing, asn: Listing::Unknown };
        assert_eq!(origin(&database, address), expected, "{address}");
    }
}

#[test]
fn systems_are_read_where_the_file_tells_them() {
    let folder = Folder::new();
    let both =
        Value::Map(vec![("country", Value::Text("NL".into())), ("asn", Value::Text("AS64501".into()))]);
    let number = Value::Map(vec![("asn", Value::U32(64502))]);
    let path = folder.put(&file(
        BUILT,
        &[("192.0.2.0/24", system(64500)), ("198.51.100.0/24", both), ("203.0.113.0/24", number)],
    ));
    let (database, _) =
        Database::read(&path, Needs { countries: true, asns: true }).unwrap_or_else(|e| panic!("{e}"));
    let systems = ["192.0.2.7", "198.51.100.7", "203.0.113.7", "8.8.8.8"].map(|at| origin(&database, at).asn);
    assert_eq!(
        systems,
        [Listing::Listed(64500), Listing::Listed(64501), Listing::Listed(64502), Listing::Unlisted]
    );
    assert_eq!(origin(&database, "192.0.2.7").country, Listing::Unlisted);

    let path = folder.put(&file(BUILT, &[("192.0.2.0/24", system(64500))]));
    let (database, _) = Database::read(&path, ANY).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(origin(&database, "192.0.2.7").country, Listing::Unknown, "it does not speak of countries");
    let unfit = Database::read(&path, COUNTRIES).err().unwrap().to_string();
    assert_eq!(unfit, "tells no countries, which a location needs; name a file that does");
}

fn sample() -> Vec<u8> {
    file(
        BUILT,
        &[
            ("192.0.2.0/24", nested("NL")),
            ("198.51.100.0/24", flat("BE")),
            ("203.0.113.0/24", system(64500)),
            ("2001:db8::/32", nested("LU")),
        ],
    )
}

#[test]
fn a_file_that_is_cut_short_anywhere_is_unfit() {
    let (folder, whole) = (Folder::new(), sample());
    let path = folder.file();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        assert!(Database::read(&path, COUNTRIES).is_err(), "{length} of {}", whole.len());
    }
    std::fs::write(&path, &whole).unwrap();
    assert!(Database::read(&path, COUNTRIES).is_ok());
    assert!(Database::read(&folder.0, COUNTRIES).is_err(), "a folder");
    assert!(Database::read(Path::new("/dev/zero"), COUNTRIES).is_err(), "without end");
}

#[test]
fn a_file_that_tells_nothing_is_unfit() {
    let folder = Folder::new();
    for networks in [vec![], vec![("192.0.2.0/24", text("city", "Utrecht"))]] {
        let path = folder.put(&file(BUILT, &networks));
        let unfit = Database::read(&path, ANY).err().unwrap().to_string();
        assert!(unfit.contains("names no country and no autonomous system"), "{unfit}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Promise 1: whatever a damaged file is taken for, asking it never ends the daemon.
    #[test]
    fn a_damaged_file_is_unfit_or_answers_and_never_panics(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        asked in any::<IpAddr>(),
    ) {
        let folder = Folder::new();
        let mut bytes = sample();
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let path = folder.put(&bytes);
        if let Ok((database, _)) = Database::read(&path, ANY) {
            let _ = database.origin(asked);
            let _ = database.origin("192.0.2.7".parse().unwrap());
        }
    }
}

struct Watched {
    folder: Folder,
    geo: Geo,
    auditor: Auditor,
}

impl Watched {
    fn new() -> Self {
        let folder = Folder::new();
        let geo = Geo::new(&folder.file(), COUNTRIES);
        let (auditor, _) = Auditor::start(&folder.0.join("log")).unwrap();
        Self { folder, geo, auditor }
    }

    /// Twice: a file must have come to rest.
    fn look(&self) {
        for _ in 0..2 {
            self.geo.look(&self.auditor, WallTime(BUILT + 5));
        }
    }

    fn told(&self) -> Listing<Country> {
        self.geo.origin("192.0.2.7".parse().unwrap()).country
    }

    fn problem(&self) -> String {
        self.geo.status().problem.unwrap_or_default()
    }
}

#[test]
fn a_missing_file_leaves_everything_unknown_until_it_comes() {
    let watched = Watched::new();
    watched.look();
    assert_eq!(watched.told(), Listing::Unknown);
    assert!(watched.problem().contains("No such file"), "{}", watched.problem());
    assert_eq!(watched.geo.status().built, None);
    watched.folder.put(&sample());
    watched.look();
    assert_eq!(watched.told(), country("NL"));
    let status = watched.geo.status();
    assert_eq!((status.built, status.read, status.problem), (Some(BUILT), Some(BUILT + 5), None));
    assert_eq!(status.tells, ["countries", "autonomous systems"]);
}

#[test]
fn a_new_file_takes_the_place_of_the_old_one_and_an_unfit_one_does_not() {
    let watched = Watched::new();
    watched.folder.put(&sample());
    watched.look();
    watched.folder.put(&file(BUILT + 1, &[("192.0.2.0/24", nested("DE"))]));
    watched.look();
    assert_eq!(watched.told(), country("DE"));
    let whole = file(BUILT + 2, &[("192.0.2.0/24", nested("FR"))]);
    for unfit in
        [&whole[..whole.len() / 2], b"", b"no such thing", &file(BUILT, &[("192.0.2.0/24", system(1))])[..]]
    {
        watched.folder.put(unfit);
        watched.look();
        assert_eq!(watched.told(), country("DE"));
        assert_ne!(watched.problem(), "");
        assert_eq!(watched.geo.status().built, Some(BUILT + 1), "its age is told");
    }
    std::fs::remove_file(watched.folder.file()).unwrap();
    watched.look();
    assert_eq!(watched.told(), country("DE"));
    assert!(watched.problem().contains("No such file"));
    watched.folder.put(&whole);
    watched.look();
    assert_eq!((watched.told(), watched.problem()), (country("FR"), String::new()));
}

#[test]
fn a_file_that_is_still_being_written_is_waited_for() {
    let watched = Watched::new();
    watched.folder.put(&sample());
    watched.look();
    let whole = file(BUILT + 2, &[("192.0.2.0/24", nested("FR"))]);
    for length in [10, 20, whole.len()] {
        // In place, so that every look finds it changed.
        std::fs::write(watched.folder.file(), &whole[..length]).unwrap();
        watched.geo.look(&watched.auditor, WallTime(BUILT));
        assert_eq!((watched.told(), watched.problem()), (country("NL"), String::new()));
        std::thread::sleep(Duration::from_millis(20));
    }
    watched.geo.look(&watched.auditor, WallTime(BUILT));
    assert_eq!(watched.told(), country("FR"));
}

/// Promise 12: what was earned is forgotten by itself, and only of use to the account that earned it.
#[test]
fn an_earned_place_is_held_until_it_is_forgotten() {
    let text = "[directory.main]\nkind = \"rfc2307\"\nservers = [\"ldaps://ldap.example.org\"]\nbase = \"dc=example\"\n\
                [location.usual]\nfamiliar = { logins = 2, forget = \"30d\" }\n[location.today]\nremembered = \"24h\"\n\
                [[rule]]\nname = \"all\"\nrequire = [\"password\", \"code\"]\n[store]\nkey = { file = \"/k\" }\n";
    let config = twinlock_config::parse(text, Path::new("t")).unwrap().config;
    let (policy, clock) = (Policy::new(&config), Clock::manual(WallTime(BUILT)));
    let (account, name) = (AccountId::new("main:alice"), Username::from_pam(b"Alice").unwrap());
    let source = Source::Address("2001:db8:1:2::9".parse().unwrap());
    let row = EarnedPlace {
        account: account.clone(),
        prefix: Prefix::of("2001:db8:1:2:3:4:5:6".parse().unwrap()),
        service: Some(Service::new("sshd")),
        evidence: Evidence::Logins,
        spelling: "alice".into(),
        since: WallTime(BUILT),
        last_used: WallTime(BUILT),
        logins: 2,
        until: None,
    };
    let locations = Locations::new(&config, clock.clone(), &[row]);
    let held = |account: &AccountId| {
        let place = locations.place(&policy, source, &Service::new("sshd"), Some(&name));
        let own = locations.place_of(&policy, &place, &name, account);
        own.names().join(",")
    };
    assert_eq!(held(&account), "usual,today");
    clock.advance(Duration::from_secs(86_400));
    assert_eq!(held(&account), "usual");
    clock.advance(Duration::from_secs(29 * 86_400 - 1));
    assert_eq!(held(&account), "usual");
    assert_eq!(held(&AccountId::new("main:other")), "");
    clock.advance(Duration::from_secs(1));
    assert_eq!(held(&account), "");

    // Promise 13: a clock that was set tells no time of the week, and brings nothing back.
    let at = || locations.place(&policy, source, &Service::new("sshd"), None).at();
    assert!(at().is_some());
    clock.set_wall(WallTime(BUILT));
    assert_eq!((at(), held(&account).as_str()), (None, ""));
}

/// Real data, free to use (PDDL-1.0), which `scripts/test` fetches where it can. Its schema is the flat one, and its
/// description is empty, which stricter readers refuse.
#[test]
fn a_real_file_tells_where_well_known_addresses_are() {
    use std::io::Write;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/geoip/iptoasn-country.mmdb");
    if !path.exists() {
        let line = "a real GeoIP file: none is there; run scripts/fetch-geoip, which needs npm";
        let _ = writeln!(std::io::stderr(), "SKIPPED {line}");
        if let Some(list) = std::env::var_os("TWINLOCK_SKIPPED") {
            let list = std::fs::OpenOptions::new().append(true).create(true).open(list);
            writeln!(list.unwrap(), "{line}").unwrap();
        }
        return;
    }
    let (database, _) = Database::read(&path, COUNTRIES).unwrap_or_else(|unfit| panic!("{unfit}"));
    // Networks of RIPE NCC and DENIC, which are where they have always been.
    for (address, code) in [("193.0.6.139", "NL"), ("2001:67c:2e8:22::c100:68b", "NL"), ("194.0.0.53", "DE")]
    {
        assert_eq!(origin(&database, address).country, country(code), "{address}");
    }
    for reserved in ["192.0.2.7", "203.0.113.7", "2001:db8::1"] {
        assert_eq!(origin(&database, reserved).country, Listing::Unlisted, "{reserved}");
    }
}
