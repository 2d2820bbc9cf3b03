//! Who speaks on the login socket, and what of it counts. Root's word is taken for account, source and service.
//! Anybody else (a screen locker) speaks for itself only: its own account, at this host's console.

use crate::tickets::Bearer;
use nix::unistd::{Uid, User};
use twinlock_policy::{Accepted, Policy, Service, Source};
use twinlock_protocol::Begin;

/// The service every caller without root's trust is.
pub const LOCKER: &str = "locker";

/// What of an opening counts.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Whether what it says is believed and may be learned from.
    pub trusted: bool,
    /// The user's name, unchanged.
    pub user: Vec<u8>,
    /// PAM service.
    pub service: Service,
    /// Where the attempt comes from.
    pub source: Source,
    /// What sshd accepted already.
    pub accepted: Accepted,
    /// Who called su or sudo.
    pub invoker: String,
    /// For the record: `root` or `uid N`.
    pub label: String,
    /// Something stood where an address belongs that is none, and nothing else told the address.
    pub named: bool,
}

/// Whether the word of a peer of this uid is taken: root's, and that of the daemon's own uid, which owns the state
/// anyway.
#[must_use]
pub fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == Uid::effective().as_raw()
}

impl Caller {
    /// Reads an opening by a peer of this uid. Blocks on NSS for peers that are not trusted: call it off the async
    /// threads.
    #[must_use]
    pub fn new(policy: &Policy, uid: u32, begin: &Begin) -> Self {
        let label = if uid == 0 { "root".to_owned() } else { format!("uid {uid}") };
        if is_trusted(uid) {
            return Self::believed(policy, begin, label);
        }
        let own = User::from_uid(Uid::from_raw(uid)).ok().flatten().map(|user| user.name).unwrap_or_default();
        Self {
            trusted: false,
            user: own.clone().into_bytes(),
            service: Service::new(LOCKER),
            source: Source::Local,
            accepted: Accepted::default(),
            invoker: own,
            label,
            named: false,
        }
    }

    fn believed(policy: &Policy, begin: &Begin, label: String) -> Self {
        let service = Service::from_pam(&begin.service);
        let source = policy.source(&service, begin.rhost.as_deref(), begin.ssh_connection.as_deref());
        let accepted = match &begin.ssh_auth_info {
            Some(info) if policy.is_sshd(&service) => Accepted::from_ssh_auth_info(info),
            Some(_) | None => Accepted::default(),
        };
        let invoker = begin.ruser.as_deref().map(String::from_utf8_lossy).unwrap_or_default().into_owned();
        let named = source == Source::Unknown && begin.rhost.as_ref().is_some_and(|rhost| !rhost.is_empty());
        Self { trusted: true, user: begin.user.clone(), service, source, accepted, invoker, label, named }
    }

    /// What a grant's ticket is bound to.
    #[must_use]
    pub fn bearer(&self) -> Bearer {
        Bearer { user: self.user.clone(), service: self.service.clone(), source: self.source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use twinlock_protocol::Phase;

    fn policy() -> Policy {
        let text = "[directory.main]\nkind = \"rfc2307\"\nservers = [\"ldaps://ldap.example.org\"]\nbase = \"dc=example\"\n\
                    [service.sshd]\nsshd = true\n[[rule]]\nname = \"all\"\nrequire = [\"password\", \"code\"]\n\
                    [store]\nkey = { file = \"/seal.key\" }\n";
        Policy::new(&twinlock_config::parse(text, "twinlock.toml".as_ref()).unwrap().config)
    }

    fn opening(service: &str) -> Begin {
        Begin {
            phase: Phase::Authenticate,
            service: service.into(),
            user: b"alice".to_vec(),
            rhost: Some(b"192.0.2.9".to_vec()),
            ruser: Some(b"carol".to_vec()),
            tty: None,
            ssh_connection: Some(b"198.51.100.7 5 192.0.2.1 22".to_vec()),
            ssh_auth_info: Some(b"publickey ssh-ed25519 AAAA\n".to_vec()),
            silent: false,
            ticket: None,
        }
    }

    #[test]
    fn roots_word_counts_and_sshds_environment_only_for_services_marked_so() {
        let sshd = Caller::new(&policy(), 0, &opening("sshd"));
        assert!(sshd.trusted && sshd.user == b"alice" && sshd.service == Service::new("sshd"));
        assert_eq!(sshd.source.to_string(), "198.51.100.7");
        assert_eq!(sshd.accepted, Accepted { publickey: true, sshd: false });
        assert_eq!((sshd.invoker.as_str(), sshd.label.as_str()), ("carol", "root"));
        let other = Caller::new(&policy(), 0, &opening("vsftpd"));
        assert_eq!(other.source.to_string(), "192.0.2.9");
        assert_eq!(other.accepted, Accepted::default(), "no key was checked by a service that is no sshd");
    }

    #[test]
    fn nothing_that_any_other_uid_says_counts() {
        let nobody = 65_534;
        let caller = Caller::new(&policy(), nobody, &opening("sshd"));
        let own = User::from_uid(Uid::from_raw(nobody)).unwrap().map(|user| user.name).unwrap_or_default();
        assert_eq!(caller.user, own.as_bytes());
        assert_eq!(caller.invoker, own);
        assert!(!caller.trusted);
        assert_eq!((caller.service.as_str(), caller.source), (LOCKER, Source::Local));
        assert_eq!(caller.accepted, Accepted::default());
        assert_eq!(caller.label, "uid 65534");
    }
}
