//! What the types cannot say: limits that make no sense, names that are not there, settings that contradict each
//! other. Each setting is looked at by itself; what rules mean together is for the policy crate.

mod directory;
mod location;
mod rule;

use crate::duration::Span;
use crate::load::Loaded;
use crate::position::{child, element};
use crate::problem::Problems;
use crate::schema::Config;
use crate::size::Size;
use std::path::Path;
use std::time::Duration;

/// Names of locations that always exist and that no `[location.NAME]` may take.
pub const RESERVED_LOCATIONS: [&str; 4] = ["local", "unknown", "private", "unlisted"];
/// Longest path of a Unix socket in bytes (`sun_path` with its NUL taken off).
const MAX_SOCKET_PATH: usize = 107;

/// Collects the problems of one configuration.
struct Checker<'a> {
    loaded: &'a Loaded,
    problems: Problems,
}

impl Checker<'_> {
    fn refuse(&mut self, key: &str, message: impl Into<String>, hint: impl Into<Option<&'static str>>) {
        self.problems.push(self.loaded.problem_at(key, message, hint.into()));
    }

    fn absolute(&mut self, key: &str, path: &Path) {
        if !path.is_absolute() {
            self.refuse(key, "must be an absolute path", "begin it with /");
        }
    }

    fn within(&mut self, key: &str, span: Span, shortest: Duration, longest: Span) {
        if span.duration() < shortest || span > longest {
            let shortest = Span::try_from(format!("{}ms", shortest.as_millis()))
                .map_or_else(|_| "0s".to_owned(), |shortest| shortest.to_string());
            self.refuse(key, format!("must be from \"{shortest}\" to \"{longest}\""), None);
        }
    }
}

/// Everything that is wrong with the values of `loaded`.
pub(crate) fn check(loaded: &Loaded) -> Problems {
    let mut checker = Checker { loaded, problems: Problems::default() };
    let config = &loaded.config;
    paths(&mut checker, config);
    totp(&mut checker, config);
    location::check(&mut checker, config);
    services(&mut checker, config);
    tarpit(&mut checker, config);
    directory::check(&mut checker, config);
    rule::check(&mut checker, config);
    checker.problems
}

fn paths(checker: &mut Checker<'_>, config: &Config) {
    let sockets = [
        ("daemon.login_socket", &config.daemon.login_socket),
        ("daemon.admin_socket", &config.daemon.admin_socket),
    ];
    for (key, path) in sockets {
        checker.absolute(key, path);
        if path.as_os_str().len() > MAX_SOCKET_PATH {
            checker.refuse(key, "is too long for a socket; 107 bytes are the most", None);
        }
    }
    if config.daemon.login_socket == config.daemon.admin_socket {
        checker.refuse("daemon.admin_socket", "is the same as login_socket", "give each its own path");
    }
    checker.absolute("store.path", &config.store.path);
    if let Some(path) = &config.store.generation {
        checker.absolute("store.generation", path);
    }
    if let Some(geoip) = &config.geoip {
        checker.absolute("geoip.database", &geoip.database);
    }
    checker.absolute("audit.syslog", &config.audit.syslog);
    history(checker, config);
    secret(checker, "store.key", &config.store.key);
}

fn history(checker: &mut Checker<'_>, config: &Config) {
    if let Some(path) = &config.audit.history {
        checker.absolute("audit.history", path);
    }
    if config.history_path() == config.store.path {
        checker.refuse("audit.history", "is the store's file", "give the history a file of its own");
    }
    let size = config.audit.history_size;
    if size < Size::mebibytes(1) || size > Size::mebibytes(64 * 1024) {
        checker.refuse("audit.history_size", "must be from \"1MiB\" to \"64GiB\"", None);
    }
    let day = Duration::from_secs(86_400);
    checker.within("audit.keep", config.audit.keep, day, Span::seconds(3650 * 86_400));
}

fn secret(checker: &mut Checker<'_>, key: &str, secret: &crate::schema::SecretRef) {
    match secret {
        crate::schema::SecretRef::File(path) => checker.absolute(&child(key, "file"), path),
        crate::schema::SecretRef::Credential(name) => {
            if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
                checker.refuse(
                    &child(key, "credential"),
                    "must be the name of a systemd credential, without a slash",
                    "name it as LoadCredential= does",
                );
            }
        }
    }
}

fn totp(checker: &mut Checker<'_>, config: &Config) {
    if !matches!(config.totp.digits, 6 | 8) {
        checker.refuse("totp.digits", "must be 6 or 8", None);
    }
    if ![Span::seconds(30), Span::seconds(60)].contains(&config.totp.step) {
        checker.refuse("totp.step", "must be \"30s\" or \"60s\"", None);
    }
    if config.totp.window_steps > 1 {
        checker.refuse("totp.window_steps", "must be 0 or 1", None);
    }
}

/// Names that stand in audit records and tables: letters, digits, `-`, `_` and `.`.
fn plain_name(checker: &mut Checker<'_>, key: &str, name: &str) {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > 64 || !name.bytes().all(plain) {
        checker.refuse(key, "must be named with 1 to 64 letters, digits, -, _ or .", None);
    }
}

fn services(checker: &mut Checker<'_>, config: &Config) {
    for name in config.service.keys() {
        plain_name(checker, &child("service", name), name);
    }
}

fn tarpit(checker: &mut Checker<'_>, config: &Config) {
    let tarpit = &config.tarpit;
    if !(1..=1000).contains(&tarpit.free) {
        checker.refuse("tarpit.free", "must be from 1 to 1000", None);
    }
    if tarpit.base > tarpit.cap {
        checker.refuse(
            "tarpit.base",
            "is longer than cap",
            "the first wait can be no longer than the longest",
        );
    }
    if !(1..=1_000_000).contains(&tarpit.source_limit.failures) {
        checker.refuse("tarpit.source_limit.failures", "must be from 1 to 1000000", None);
    }
    let month = Span::seconds(30 * 86_400);
    let second = Duration::from_secs(1);
    checker.within("tarpit.source_limit.within", tarpit.source_limit.within, second, month);
    checker.within("tarpit.source_limit.refuse", tarpit.source_limit.refuse, second, month);
    let spread = &tarpit.spread_limit;
    if !(1..=10_000).contains(&spread.failures) {
        checker.refuse("tarpit.spread_limit.failures", "must be from 1 to 10000", None);
    }
    if !(1..=spread.failures.max(1)).contains(&spread.accounts) {
        checker.refuse("tarpit.spread_limit.accounts", "must be from 1 to what failures says", None);
    }
    checker.within("tarpit.spread_limit.within", spread.within, second, month);
    checker.within("tarpit.spread_limit.for", spread.lasts, second, month);
    if !(1..=1000).contains(&tarpit.code_budget.failures) {
        checker.refuse("tarpit.code_budget.failures", "must be from 1 to 1000", None);
    }
    let (hour, year) = (Duration::from_secs(3600), Span::seconds(365 * 86_400));
    checker.within("tarpit.code_budget.within", tarpit.code_budget.within, hour, year);
    if !(1..=10_000).contains(&tarpit.hosts) {
        checker.refuse(
            "tarpit.hosts",
            "must be from 1 to 10000",
            "it is the number of hosts that share seeds but not a store; 1 where all share one",
        );
    }
    for (index, network) in tarpit.uncounted.iter().enumerate() {
        if network.net().prefix_len() == 0 {
            checker.refuse(
                &element("tarpit.uncounted", index),
                "would leave every address uncounted",
                "name the jump hosts only",
            );
        }
    }
}
