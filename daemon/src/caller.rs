//! Who speaks on the login socket, and what of it counts. Root's word is taken for account, source and service.
//! Anybody else (a screen locker) speaks for itself only: its own account, at this host's console.

use crate::tickets::Bearer;
use nix::unistd::{Uid, User};
use tokio::net::unix::UCred;
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
}

/// Whether a peer's word is taken: root's, and that of the daemon's own uid, which owns the state anyway.
#[must_use]
pub fn is_trusted(peer: &UCred) -> bool {
    peer.uid() == 0 || peer.uid() == Uid::effective().as_raw()
}

impl Caller {
    /// Reads an opening by a peer. Blocks on NSS for peers that are not trusted: call it off the async threads.
    #[must_use]
    pub fn new(policy: &Policy, peer: &UCred, begin: &Begin) -> Self {
        let label = if peer.uid() == 0 { "root".to_owned() } else { format!("uid {}", peer.uid()) };
        if is_trusted(peer) {
            return Self::believed(policy, begin, label);
        }
        let own = User::from_uid(Uid::from_raw(peer.uid()))
            .ok()
            .flatten()
            .map(|user| user.name)
            .unwrap_or_default();
        Self {
            trusted: false,
            user: own.clone().into_bytes(),
            service: Service::new(LOCKER),
            source: Source::Local,
            accepted: Accepted::default(),
            invoker: own,
            label,
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
        Self { trusted: true, user: begin.user.clone(), service, source, accepted, invoker, label }
    }

    /// What a grant's ticket is bound to.
    #[must_use]
    pub fn bearer(&self) -> Bearer {
        Bearer { user: self.user.clone(), service: self.service.clone(), source: self.source }
    }
}
