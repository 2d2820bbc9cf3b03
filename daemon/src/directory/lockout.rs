//! When a directory locks an account, read from where it tells: the policy that an entry names, and Active Directory's
//! domain. The stricter of that and the file's `lockout` counts, so that a policy that is misread cannot loosen it.

use super::find::{Entry, Question, search};
use super::lock;
use super::pool::Pool;
use crate::attempt::Deadline;
use ldap3::result::SearchResult;
use ldap3::{Scope, SearchEntry};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;
use twinlock_config::{AccountState, Lockout, Span};

/// How long a policy is kept.
const KEPT: Duration = Duration::from_secs(300);

/// Most policies kept; beyond that all are forgotten and read again.
const MOST: usize = 256;

/// Failures that a server never forgets by itself count as long as the file could say.
const FOR_EVER: u64 = 366 * 86_400;

/// The attributes of an account's entry that name its policy.
pub(crate) const NAMING: [&str; 2] = ["pwdPolicySubentry", "msDS-ResultantPSO"];

/// By a policy's name: until when what it told counts.
type Told = HashMap<String, (Instant, Option<Lockout>)>;

/// What the servers have told so far. Cloning shares it.
#[derive(Clone, Default)]
pub(crate) struct Policies(Arc<Mutex<Told>>);

impl Policies {
    /// The lock-out of an account's own policy, or else of its domain; never looser than `file`.
    pub(crate) async fn of(
        &self,
        pool: &Arc<Pool>,
        entry: &Entry,
        base: &str,
        states: &[AccountState],
        file: &Lockout,
        deadline: Deadline,
    ) -> Lockout {
        let own = NAMING.iter().find_map(|name| entry.only(name)).and_then(|dn| std::str::from_utf8(dn).ok());
        let told = match own.map(str::to_owned).or_else(|| common(states, base)) {
            Some(dn) => self.told(pool, &dn, deadline).await,
            None => None,
        };
        told.map_or_else(|| file.clone(), |told| stricter(file, &told))
    }

    async fn told(&self, pool: &Arc<Pool>, dn: &str, deadline: Deadline) -> Option<Lockout> {
        let now = Instant::now();
        if let Some((until, told)) = lock(&self.0).get(dn)
            && now < *until
        {
            return told.clone();
        }
        let attributes = ATTRIBUTES.iter().flat_map(|known| [known.failures, known.within, known.on]);
        let question = Question {
            base: dn.to_owned(),
            scope: Scope::Base,
            filter: "(objectClass=*)".to_owned(),
            attributes: attributes.filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            at_most: 1,
        };
        // A directory that does not answer is asked again by the next login; one that does not tell is not.
        let SearchResult(mut entries, _) = search(pool, &question, deadline).await.ok()?;
        entries.retain(|entry| !entry.is_ref() && !entry.is_intermediate());
        let told = entries.pop().and_then(|entry| read(&Entry(SearchEntry::construct(entry))));
        let mut known = lock(&self.0);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(dn.to_owned(), (now + KEPT, told.clone()));
        told
    }
}

/// Where a server keeps what holds for accounts without a policy of their own; OpenLDAP does not tell.
fn common(states: &[AccountState], base: &str) -> Option<String> {
    states.iter().find_map(|state| match state {
        AccountState::ActiveDirectory => {
            let domain: Vec<&str> = base
                .split(',')
                .map(str::trim)
                .filter(|part| part.to_ascii_uppercase().starts_with("DC="))
                .collect();
            (!domain.is_empty()).then(|| domain.join(","))
        }
        AccountState::Ds389 => Some("cn=config".to_owned()),
        AccountState::Shadow | AccountState::Ppolicy | AccountState::FreeIpa => None,
    })
}

/// One way to write a policy down.
struct Known {
    failures: &'static str,
    within: &'static str,
    /// The attribute that switches it on; empty where there is none.
    on: &'static str,
    /// Whether a missing attribute switches it off.
    off_unless_said: bool,
    /// Seconds that one of `within` stands for; 0 for 100 ns below zero.
    unit: u64,
}

const ATTRIBUTES: [Known; 4] = [
    Known {
        failures: "pwdMaxFailure",
        within: "pwdFailureCountInterval",
        on: "pwdLockout",
        off_unless_said: true,
        unit: 1,
    },
    Known {
        failures: "passwordMaxFailure",
        within: "passwordResetFailureCount",
        on: "passwordLockout",
        off_unless_said: false,
        unit: 1,
    },
    Known {
        failures: "msDS-LockoutThreshold",
        within: "msDS-LockoutObservationWindow",
        on: "",
        off_unless_said: false,
        unit: 0,
    },
    Known {
        failures: "lockoutThreshold",
        within: "lockOutObservationWindow",
        on: "",
        off_unless_said: false,
        unit: 0,
    },
];

/// The lock-out a policy's entry tells; `None` if it has none or does not show it.
fn read(entry: &Entry) -> Option<Lockout> {
    let text = |name: &str| entry.only(name).and_then(|value| std::str::from_utf8(value).ok());
    let number = |name: &str| text(name).and_then(|text| text.trim().parse::<i64>().ok());
    ATTRIBUTES.iter().find_map(|known| {
        let failures = number(known.failures).and_then(|failures| u32::try_from(failures).ok())?;
        let on = match text(known.on) {
            _ if known.on.is_empty() => true,
            Some(said) => said.eq_ignore_ascii_case("true") || said.eq_ignore_ascii_case("on"),
            None => !known.off_unless_said,
        };
        if !on || failures == 0 {
            return None;
        }
        let within = match number(known.within).unwrap_or(0) {
            below @ ..0 if known.unit == 0 => below.unsigned_abs() / 10_000_000,
            0 => FOR_EVER,
            seconds => seconds.unsigned_abs().saturating_mul(known.unit.max(1)),
        };
        Some(Lockout { failures, within: Span::seconds(within.clamp(1, FOR_EVER)) })
    })
}

/// Fewer failures, counted for longer. Below two the file's own bound ends: no bind would be left at all.
fn stricter(file: &Lockout, told: &Lockout) -> Lockout {
    Lockout { failures: file.failures.min(told.failures.max(2)), within: file.within.max(told.within) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(attributes: &[(&str, &str)]) -> Option<(u32, u64)> {
        let attrs =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()])).collect();
        let entry = Entry(SearchEntry { dn: "cn=p".into(), attrs, bin_attrs: HashMap::new() });
        read(&entry).map(|told| (told.failures, told.within.duration().as_secs()))
    }

    #[test]
    fn each_servers_way_to_say_it_is_read() {
        let openldap = [("pwdMaxFailure", "4"), ("pwdFailureCountInterval", "600"), ("pwdLockout", "TRUE")];
        assert_eq!(policy(&openldap), Some((4, 600)));
        assert_eq!(policy(&openldap[..2]), None, "pwdLockout is off unless it is said");
        let never_forgotten =
            [("pwdMaxFailure", "4"), ("pwdFailureCountInterval", "0"), ("pwdLockout", "TRUE")];
        assert_eq!(policy(&never_forgotten), Some((4, FOR_EVER)));
        let ds =
            [("passwordMaxFailure", "3"), ("passwordResetFailureCount", "60"), ("passwordLockout", "on")];
        assert_eq!(policy(&ds), Some((3, 60)));
        assert_eq!(policy(&[("passwordMaxFailure", "3"), ("passwordLockout", "off")]), None);
        let domain = [("lockoutThreshold", "10"), ("lockOutObservationWindow", "-18000000000")];
        assert_eq!(policy(&domain), Some((10, 1800)));
        assert_eq!(policy(&[("lockoutThreshold", "0"), ("lockOutObservationWindow", "-18000000000")]), None);
        let own = [("msDS-LockoutThreshold", "2"), ("msDS-LockoutObservationWindow", "-600000000")];
        assert_eq!(policy(&own), Some((2, 60)));
        for odd in ["", "x", "-1", "99999999999"] {
            assert_eq!(policy(&[("lockoutThreshold", odd)]), None, "{odd}");
        }
    }

    #[test]
    fn what_a_server_tells_can_only_make_it_stricter() {
        let lockout = |failures, seconds| Lockout { failures, within: Span::seconds(seconds) };
        assert_eq!(stricter(&lockout(5, 1800), &lockout(3, 600)), lockout(3, 1800));
        assert_eq!(stricter(&lockout(5, 600), &lockout(10, 1800)), lockout(5, 1800));
        assert_eq!(stricter(&lockout(5, 600), &lockout(1, 600)), lockout(2, 600));
    }

    #[test]
    fn a_domain_is_the_end_of_the_base() {
        let of = |base: &str| common(&[AccountState::ActiveDirectory], base);
        assert_eq!(of("OU=people, dc=ad,DC=example").as_deref(), Some("dc=ad,DC=example"));
        assert_eq!(of("o=example"), None);
    }
}
