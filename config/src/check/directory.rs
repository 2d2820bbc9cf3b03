//! `[directory.NAME]`: servers that can be reached, protected as `tls.mode` says, and a filter that finds one account.

use super::{Checker, plain_name, secret};
use crate::duration::Span;
use crate::position::{child, element};
use crate::schema::{Config, DirectoryKind, DirectorySettings, TlsMode};
use std::time::Duration;
use url::{Host, Url};

pub(super) fn check(checker: &mut Checker<'_>, config: &Config) {
    if config.directory.is_empty() {
        checker.refuse("directory", "there must be one [directory.NAME]", None);
    }
    let mut realms = Vec::new();
    for (name, directory) in &config.directory {
        let key = child("directory", name);
        plain_name(checker, &key, name);
        servers(checker, &key, directory);
        names(checker, &key, directory);
        shape(checker, &key, directory);
        limits(checker, &key, directory);
        let Some(realm) = directory.realm.as_ref().map(|realm| realm.to_lowercase()) else { continue };
        if realms.contains(&realm) {
            checker.refuse(
                &child(&key, "realm"),
                "is another directory's realm too",
                "give each directory its own",
            );
        }
        realms.push(realm);
    }
}

fn servers(checker: &mut Checker<'_>, key: &str, directory: &DirectorySettings) {
    let servers = child(key, "servers");
    if directory.servers.is_empty() {
        checker.refuse(&servers, "must name at least one server", "as in [\"ldaps://ldap.example.org\"]");
    }
    for (index, server) in directory.servers.iter().enumerate() {
        if let Err((message, hint)) = server_fits(server, directory.tls.mode) {
            checker.refuse(&element(&servers, index), message, hint);
        }
    }
    let tls = child(key, "tls");
    checker.absolute(&child(&tls, "ca"), &directory.tls.ca);
    for (name, path) in [("cert", &directory.tls.cert), ("key", &directory.tls.key)] {
        if let Some(path) = path {
            checker.absolute(&child(&tls, name), path);
        }
    }
    if directory.tls.cert.is_some() != directory.tls.key.is_some() {
        checker.refuse(&tls, "has only one of cert and key", "give both or neither");
    }
}

type Misfit = (&'static str, Option<&'static str>);

/// Whether `server` is a URL that can be connected to, and with this mode. Its text is never shown: somebody may
/// have put a password in.
fn server_fits(server: &str, mode: TlsMode) -> Result<(), Misfit> {
    const WRITE: Option<&str> = Some("write ldaps://HOST, ldap://HOST or ldapi://%2Fpath%2Fto%2Fsocket");
    if let Some(domain) = server.strip_prefix("srv://") {
        return domain_fits(domain.strip_suffix('/').unwrap_or(domain), mode);
    }
    let Ok(url) = Url::parse(server) else { return Err(("is not a URL", WRITE)) };
    if !matches!(url.scheme(), "ldap" | "ldaps" | "ldapi") {
        return Err(("has a scheme other than ldaps, ldap and ldapi", WRITE));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(("holds a name or password", Some("use bind_dn and bind_password")));
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
        return Err(("holds more than scheme, host and port", Some("the search base goes into base")));
    }
    let host = match url.host_str() {
        Some(host) if !host.is_empty() => host,
        _ => return Err(("has no host", WRITE)),
    };
    if url.scheme() == "ldapi" {
        if url.port().is_some() || !host.to_ascii_lowercase().starts_with("%2f") {
            return Err(("does not name a socket by an absolute path", WRITE));
        }
    } else if url.port() == Some(0) || host.contains(['%', ' ']) {
        return Err(("has a host or port that cannot be", WRITE));
    }
    match (mode, url.scheme()) {
        (TlsMode::Ldaps, "ldaps") | (TlsMode::Starttls, "ldap") | (TlsMode::None, "ldapi") => Ok(()),
        (TlsMode::None, "ldap") if is_loopback(&url) => Ok(()),
        (TlsMode::Ldaps, _) => Err((
            "does not fit tls.mode = \"ldaps\"",
            Some("write ldaps://, or set tls.mode to \"starttls\" for ldap:// and to \"none\" for ldapi://"),
        )),
        (TlsMode::Starttls, _) => {
            Err(("does not fit tls.mode = \"starttls\"", Some("write ldap://, where StartTLS begins")))
        }
        (TlsMode::None, _) => Err((
            "would carry passwords over the network in the clear",
            Some("tls.mode = \"none\" is only for ldapi:// and for ldap:// to this host"),
        )),
    }
}

/// Whether DNS can be asked for the servers of this domain, and they are then reached over TLS.
fn domain_fits(domain: &str, mode: TlsMode) -> Result<(), Misfit> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if domain.len() > 230 || !domain.split('.').all(label) {
        return Err((
            "names no domain",
            Some("as in srv://example.org, for what _ldap._tcp.example.org names"),
        ));
    }
    if mode == TlsMode::None {
        return Err((
            "would be reached without TLS",
            Some("set tls.mode to \"ldaps\" or \"starttls\" for servers that DNS names"),
        ));
    }
    Ok(())
}

fn is_loopback(url: &Url) -> bool {
    // Hosts of schemes that `url` does not know stay text, an IPv4 address too.
    match url.host() {
        Some(Host::Domain(name)) => {
            name == "localhost" || name.parse::<std::net::Ipv4Addr>().is_ok_and(|v4| v4.is_loopback())
        }
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn names(checker: &mut Checker<'_>, key: &str, directory: &DirectorySettings) {
    for (name, dn) in [
        ("base", Some(&directory.base)),
        ("group_base", directory.group_base.as_ref()),
        ("bind_dn", directory.bind_dn.as_ref()),
    ] {
        // Active Directory takes a userPrincipalName and DOMAIN\name too.
        let other_names = name == "bind_dn" && directory.kind == DirectoryKind::ActiveDirectory;
        let fits = |dn: &String| dn.contains('=') || (other_names && dn.contains(['@', '\\']));
        if dn.is_some_and(|dn| !fits(dn) || dn.trim() != dn) {
            checker.refuse(&child(key, name), "is not a distinguished name", "as in dc=example,dc=org");
        }
    }
    if let Some(filter) = &directory.user_filter
        && let Err((message, hint)) = filter_fits(filter)
    {
        checker.refuse(&child(key, "user_filter"), message, hint);
    }
    match (&directory.bind_dn, &directory.bind_password) {
        (Some(_), None) => {
            checker.refuse(&child(key, "bind_dn"), "stands without bind_password", "give both or neither");
        }
        (None, Some(_)) => {
            checker.refuse(&child(key, "bind_password"), "stands without bind_dn", "give both or neither");
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
    if let Some(password) = &directory.bind_password {
        secret(checker, &child(key, "bind_password"), password);
    }
}

/// What `kind` fills in and the file may say otherwise.
fn shape(checker: &mut Checker<'_>, key: &str, directory: &DirectorySettings) {
    if let Some(realm) = &directory.realm
        && (realm.is_empty()
            || realm.len() > 64
            || !realm.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')))
    {
        checker.refuse(&child(key, "realm"), "must be 1 to 64 letters, digits, -, _ or .", None);
    }
    if let Some(filter) = &directory.group_filter {
        let key = child(key, "group_filter");
        if !["{dn}", "{user}", "{gid}"].iter().any(|place| filter.contains(place)) {
            checker.refuse(
                &key,
                "names no member, so it would find the same groups for every account",
                "write {dn}, {user} or {gid} where the account stands, as in \"(member={dn})\"",
            );
        } else if let Err((message, hint)) = parentheses_fit(filter) {
            checker.refuse(&key, message, hint);
        }
    }
    let names = directory.name_attributes.as_ref();
    if names.is_some_and(Vec::is_empty) {
        checker.refuse(&child(key, "name_attributes"), "must name at least one attribute", "as in [\"uid\"]");
    }
    let listed = names.into_iter().flatten().map(|name| ("name_attributes", name));
    let single = [("id_attribute", &directory.id_attribute), ("group_name", &directory.group_name)];
    let single = single.into_iter().filter_map(|(key, name)| name.as_ref().map(|name| (key, name)));
    for (part, name) in listed.chain(single) {
        let fits = name.bytes().next().is_some_and(|first| first.is_ascii_alphabetic())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !fits {
            checker.refuse(&child(key, part), "is no attribute's name", "letters, digits and -, as in uid");
        }
    }
}

fn filter_fits(filter: &str) -> Result<(), Misfit> {
    if !filter.contains("{user}") {
        return Err((
            "does not contain {user}, so it would find the same accounts for every name",
            Some("as in \"(&(objectClass=posixAccount)(uid={user}))\""),
        ));
    }
    parentheses_fit(filter)
}

fn parentheses_fit(filter: &str) -> Result<(), Misfit> {
    let mut depth = 0_u32;
    for (offset, letter) in filter.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' if depth == 0 => return Err(("closes a parenthesis that is not open", None)),
            ')' => depth -= 1,
            _ if depth == 0 => return Err(("must stand in parentheses as a whole", None)),
            _ => {}
        }
        if depth == 0 && offset + 1 < filter.len() {
            return Err(("goes on behind its last parenthesis", Some("join conditions as in \"(&(…)(…))\"")));
        }
    }
    if depth > 0 {
        return Err(("has a parenthesis that is not closed", None));
    }
    Ok(())
}

fn limits(checker: &mut Checker<'_>, key: &str, directory: &DirectorySettings) {
    let (shortest, longest) = (Duration::from_millis(10), Span::seconds(15));
    checker.within(&child(key, "connect_timeout"), directory.connect_timeout, shortest, longest);
    checker.within(&child(key, "timeout"), directory.timeout, shortest, longest);
    let lockout = child(key, "lockout");
    if !(2..=1000).contains(&directory.lockout.failures) {
        checker.refuse(&child(&lockout, "failures"), "must be from 2 to 1000", None);
    }
    let (second, year) = (Duration::from_secs(1), Span::seconds(366 * 86_400));
    checker.within(&child(&lockout, "within"), directory.lockout.within, second, year);
}
