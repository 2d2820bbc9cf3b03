//! Several directories, realms, renamed entries, certificates on both sides: who an account is does not depend on how
//! its name is spelled, and no password leaves before a server has proved who it is.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::thread;
use std::time::Duration;
use support::desk::{at_desk, phases};
use support::host::can_play;
use support::pam::Code;
use support::proxy::RecordingProxy;
use support::site::{RULES, Site, field};
use support::slapd::{PEOPLE, Slapd, account};

const IN: (Code, Code) = (Code::SUCCESS, Code::SUCCESS);
const OUT: (Code, Code) = (Code::AUTH_ERR, Code::AUTH_ERR);

fn over_ldaps(slapd: &Slapd) -> String {
    slapd.settings("ldaps", &[slapd.ldaps_url()])
}

/// `first` with the realm A and `second` with the realm B.
fn two(first: &Slapd, second: &Slapd) -> Site {
    let rules = format!("[directory.second]\nrealm = \"B\"\n{}\n{RULES}", over_ldaps(second));
    Site::start(&format!("realm = \"A\"\n{}", over_ldaps(first)), &rules)
}

fn accounts(site: &Site, count: usize) -> Vec<String> {
    site.attempts(count).iter().map(|record| field(record, "account").to_owned()).collect()
}

#[test]
fn a_name_without_a_realm_is_asked_in_file_order_and_a_realm_selects_one() {
    let second = Slapd::start_with(&account(&format!("uid=zoe,{PEOPLE}"), "zoe", 2050, "zoe's password"));
    let first = Slapd::start();
    let site = two(&first, &second);
    for (user, expected) in [
        ("alice", IN),
        ("zoe", IN),
        ("zoe@B", IN),
        ("b\\zoe", IN),
        ("zoe@A", OUT),
        ("alice@a", IN),
        ("B\\alice", IN),
        ("alice@C", OUT),
    ] {
        let password = if user.contains("zoe") { "zoe's password" } else { "alice's password" };
        assert_eq!(phases(&site, user, password), expected, "{user}");
    }
    let ids = accounts(&site, 8);
    assert!(ids[0].starts_with("main:") && ids[0] == ids[5], "{ids:?}");
    assert!(ids[1].starts_with("second:") && ids[1] == ids[2] && ids[1] == ids[3], "{ids:?}");
    assert!(ids[6].starts_with("second:") && ids[6] != ids[0], "another entry of the same name: {ids:?}");
    let shown = site.twinlock(&["config", "show"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("id_attribute = \"entryUUID\""), "{shown:?}");
}

#[test]
fn while_a_directory_is_away_no_name_is_looked_for_below_it_but_a_realm_still_selects() {
    let mut second = Slapd::start_with(&account(&format!("uid=zoe,{PEOPLE}"), "zoe", 2050, "zoe's password"));
    let mut first = Slapd::start();
    let site = two(&first, &second);
    first.stop();
    let away = (Code::AUTHINFO_UNAVAIL, Code::AUTHINFO_UNAVAIL);
    assert_eq!(phases(&site, "zoe", "zoe's password"), away, "the first may hold another zoe");
    assert_eq!(phases(&site, "zoe@B", "zoe's password"), IN);
    first.restart();
    assert_eq!(phases(&site, "zoe", "zoe's password"), IN);
    // The other way round, names that nobody bears end at the second; a denial would tell that this one is somebody's.
    second.stop();
    assert_eq!(phases(&site, "nobody", "x"), away);
    assert_eq!(phases(&site, "alice", "wrong"), away);
    assert_eq!(phases(&site, "alice@A", "wrong"), OUT);
    assert_eq!(phases(&site, "alice", "alice's password"), IN);
}

#[test]
fn a_local_name_is_denied_in_every_spelling() {
    let root = account(&format!("uid=root,{PEOPLE}"), "root", 2051, "root's password");
    let (first, second) = (Slapd::start(), Slapd::start_with(&root));
    let site = two(&first, &second);
    for (count, user) in (1..).zip(["root", "ROOT", "root@B", "B\\root"]) {
        assert_eq!(phases(&site, user, "root's password"), OUT, "{user}");
        assert_eq!(field(&site.attempt(count), "reason"), "poses-as-local", "{user}");
    }
}

#[test]
fn two_entries_for_one_name_are_denied_and_said() {
    let slapd = Slapd::start();
    let site = Site::start(&over_ldaps(&slapd), RULES);
    assert_eq!(phases(&site, "twice", "first password"), OUT);
    let record = site.attempt(1);
    assert_eq!(field(&record, "reason"), "ambiguous-name");
    assert!(field(&record, "detail").contains("narrow `user_filter`"), "{record}");
}

#[test]
fn a_renamed_entry_is_the_same_account_with_the_same_phone() {
    let slapd = Slapd::start();
    let site = Site::start(&over_ldaps(&slapd), RULES);
    let mut phone = site.enroll("erin");
    let away = |user: &str, code: &str| {
        support::desk::far_away(&site, user, "erin's password", code).authenticate(0)
    };
    assert_eq!(away("erin", &phone.code()), Code::SUCCESS);
    slapd.modify(&format!(
        "dn: uid=erin,{PEOPLE}\nchangetype: modrdn\nnewrdn: uid=erin-smith\ndeleteoldrdn: 1\nnewsuperior: ou=services,dc=example,dc=org\n\n\
         dn: uid=erin-smith,ou=services,dc=example,dc=org\nchangetype: modrdn\nnewrdn: uid=erin-smith\ndeleteoldrdn: 1\nnewsuperior: {PEOPLE}\n"
    ));
    assert_eq!(away("erin-smith", &phone.code()), Code::SUCCESS, "the same phone");
    let ids = accounts(&site, 2);
    assert_eq!(ids[0], ids[1]);
    // What was found is kept for five seconds.
    thread::sleep(Duration::from_secs(6));
    assert_eq!(away("erin", &phone.code()), Code::AUTH_ERR);
    assert_eq!(field(&site.attempt(3), "reason"), "unknown-account");
}

#[test]
fn the_doctor_says_step_by_step_what_is_found_and_what_getent_says() {
    if !can_play("the doctor and getent") {
        return;
    }
    let slapd = Slapd::start();
    let mut site = Site::prepare(&format!("realm = \"A\"\n{}", over_ldaps(&slapd)), RULES);
    let (switch, extra) = (site.path("nsswitch.conf"), site.path("extrausers"));
    std::fs::write(&switch, "passwd: files extrausers\ngroup: files extrausers\n").unwrap();
    std::fs::create_dir(&extra).unwrap();
    std::fs::write(extra.join("passwd"), "alice:x:2001:100::/tmp:/bin/sh\nbob:x:9999:100::/tmp:/bin/sh\n")
        .unwrap();
    std::fs::write(extra.join("group"), "").unwrap();
    site.start_daemon_seeing(&[(&switch, "/etc/nsswitch.conf"), (&extra, "/var/lib/extrausers")]);
    for (user, code, said) in [
        ("alice", 0, "name service    says uid 2001, as the entry does"),
        ("A\\alice", 0, "directory main: (&(objectClass=posixAccount)(uid=alice)) under ou=people"),
        ("bob", 1, "says uid 9999, the entry uidNumber 2002"),
        ("carol", 1, "does not know it; let sssd or nslcd serve this directory"),
        ("nobody-at-all", 1, "no entry; check `base`"),
        ("twice", 1, "more than one entry"),
        ("*", 1, "(uid=\\2a)"),
    ] {
        let shown = site.twinlock(&["doctor", "directory", user]);
        let text = String::from_utf8_lossy(&shown.stdout);
        assert_eq!(shown.status.code(), Some(code), "{user}: {text}");
        assert!(text.contains(said), "{user}: {text}");
    }
    let json = site.twinlock(&["doctor", "directory", "alice", "--json"]);
    let text = String::from_utf8_lossy(&json.stdout);
    assert!(text.contains("\"step\":\"entry\"") && text.contains("\"result\":\"well\""), "{text}");
}

#[test]
fn the_daemon_shows_its_certificate_to_a_server_that_asks_for_one() {
    let slapd = Slapd::start();
    let (certificate, key) = slapd.client_certificate();
    slapd.modify_config(
        "dn: cn=config\nchangetype: modify\nreplace: olcTLSVerifyClient\nolcTLSVerifyClient: demand\n",
    );
    for (mode, url) in [("ldaps", slapd.ldaps_url()), ("starttls", slapd.ldap_url())] {
        let without = slapd.settings(mode, &[url]);
        let with = without.replace("tls = {", &format!("tls = {{ cert = {certificate:?}, key = {key:?},"));
        let unavailable = (Code::AUTHINFO_UNAVAIL, Code::AUTHINFO_UNAVAIL);
        assert_eq!(phases(&Site::start(&without, RULES), "alice", "alice's password"), unavailable, "{mode}");
        assert_eq!(phases(&Site::start(&with, RULES), "alice", "alice's password"), IN, "{mode}");
        // Without bind_dn it is whom searches are made as.
        let external: String =
            with.lines().filter(|line| !line.starts_with("bind_")).map(|line| format!("{line}\n")).collect();
        assert_eq!(
            phases(&Site::start(&external, RULES), "alice", "alice's password"),
            IN,
            "{mode}, SASL EXTERNAL"
        );
        assert!(slapd.log_text().contains("mech=EXTERNAL"), "{}", slapd.log_text());
    }
}

#[test]
fn a_key_that_others_may_read_or_that_does_not_fit_stops_the_daemon() {
    let slapd = Slapd::start();
    let (certificate, key) = slapd.client_certificate();
    let with = |key: &std::path::Path| {
        over_ldaps(&slapd).replace("tls = {", &format!("tls = {{ cert = {certificate:?}, key = {key:?},"))
    };
    let refusal = |key: &std::path::Path| {
        let site = Site::prepare(&with(key), RULES);
        let run = std::process::Command::new(support::site::binary("twinlockd"))
            .arg("--config")
            .arg(site.path("twinlock.toml"))
            .output()
            .unwrap();
        assert_eq!(run.status.code(), Some(1));
        String::from_utf8_lossy(&run.stderr).into_owned()
    };
    let other = key.with_file_name("other.key");
    std::fs::set_permissions(&other, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    assert!(refusal(&other).contains("do not fit"), "{}", refusal(&other));
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    assert!(refusal(&key).contains("chmod"), "{}", refusal(&key));
}

/// Promise: no byte of a password leaves before the server has proved who it is. The relay sees all that is sent.
#[test]
fn no_byte_of_a_password_leaves_towards_a_server_that_is_not_believed() {
    let expired = Slapd::start_presenting("DNS:localhost,IP:127.0.0.1", true, "", "");
    let named = Slapd::start_presenting("DNS:ldap.example.org", false, "", "");
    let good = Slapd::start();
    let stranger = Slapd::start();
    for (what, server, mode, authority) in [
        ("expired", expired.ldaps_address(), "ldaps", expired.authority()),
        ("expired, StartTLS", expired.ldap_address(), "starttls", expired.authority()),
        ("made out to another name", named.ldaps_address(), "ldaps", named.authority()),
        ("made out to another name, StartTLS", named.ldap_address(), "starttls", named.authority()),
        ("unknown authority", good.ldaps_address(), "ldaps", stranger.authority()),
        ("unknown authority, StartTLS", good.ldap_address(), "starttls", stranger.authority()),
        ("no TLS on the port for TLS", good.ldap_address(), "ldaps", good.authority()),
    ] {
        let relay = RecordingProxy::start("127.0.0.1:0", server);
        denied_and_silent(what, &relay, mode, &authority, &good);
    }
    let stripping = RecordingProxy::without_start_tls("127.0.0.1:0", good.ldap_address());
    denied_and_silent("StartTLS stripped", &stripping, "starttls", &good.authority(), &good);
    // The relay would have seen it: the same server, believed, over nothing.
    let relay = RecordingProxy::start("127.0.0.1:0", good.ldap_address());
    let site = Site::start(&good.settings("none", &[format!("ldap://{}", relay.address())]), RULES);
    assert_eq!(phases(&site, "alice", "alice's password"), IN);
    assert!(relay.saw(b"service password") && relay.saw(b"alice's password"));
}

fn denied_and_silent(
    what: &str,
    relay: &RecordingProxy,
    mode: &str,
    authority: &std::path::Path,
    any: &Slapd,
) {
    let scheme = if mode == "ldaps" { "ldaps" } else { "ldap" };
    let url = format!("{scheme}://{}", relay.address());
    let settings =
        any.settings(mode, &[url]).replace(any.authority().to_str().unwrap(), authority.to_str().unwrap());
    let site = Site::start(&settings, RULES);
    let mut login = at_desk(&site, "alice", &[("Password: ", "alice's password")]);
    assert_eq!(login.authenticate(0), Code::AUTHINFO_UNAVAIL, "{what}");
    assert!(relay.bytes() > 0, "{what}: the server was reached");
    for secret in [&b"alice's"[..], b"service password", b"password"] {
        assert!(!relay.saw(secret), "{what}");
    }
}
