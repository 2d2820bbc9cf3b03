//! Tickets: how the account phase recognises a login that the auth phase has just granted. 128 random bits, one use,
//! sixty seconds, bound to name, service and source. They live in memory; a restarted daemon knows none.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use twinlock_policy::{AccountId, Service, Source};
use twinlock_protocol::{Secret, TICKET_BYTES};

const LIFE: Duration = Duration::from_secs(60);
/// A person has to think of a new password.
const LIFE_OF_A_CHANGE: Duration = Duration::from_secs(300);
/// Tickets at once; beyond them the oldest are forgotten, and their logins are judged anew in the account phase.
const CAPACITY: usize = 10_000;

/// What a ticket is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// The user's name as PAM gave it.
    pub user: Vec<u8>,
    /// PAM service.
    pub service: Service,
    /// Where the attempt came from.
    pub source: Source,
}

/// A password that was proved and must be changed. Wiped with its ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MustChange {
    /// Whose it is.
    pub account: AccountId,
    /// The password that is in force.
    pub password: Secret,
}

/// The tickets that are out.
pub struct Tickets {
    out: Mutex<HashMap<[u8; TICKET_BYTES], Issued>>,
    life: Duration,
}

struct Issued {
    bearer: Bearer,
    at: Instant,
    must_change: Option<MustChange>,
}

impl Default for Tickets {
    fn default() -> Self {
        Self { out: Mutex::default(), life: LIFE }
    }
}

impl Tickets {
    /// Those that let a password be changed without being asked for again: they live five minutes.
    #[must_use]
    pub fn of_changes() -> Self {
        Self { life: LIFE_OF_A_CHANGE, ..Self::default() }
    }

    /// A new ticket.
    ///
    /// # Errors
    /// The operating system has no random numbers to give.
    pub fn issue(&self, bearer: Bearer, must_change: Option<MustChange>) -> Result<Secret, getrandom::Error> {
        let mut number = [0; TICKET_BYTES];
        getrandom::fill(&mut number)?;
        let now = Instant::now();
        let mut tickets = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        if tickets.len() >= CAPACITY {
            tickets.retain(|_, issued| now.duration_since(issued.at) < self.life);
        }
        if tickets.len() >= CAPACITY
            && let Some(oldest) =
                tickets.iter().min_by_key(|(_, issued)| issued.at).map(|(number, _)| *number)
        {
            tickets.remove(&oldest);
        }
        tickets.insert(number, Issued { bearer, at: now, must_change });
        Ok(Secret::copy_of(&number))
    }

    /// What goes with `ticket`, if it is `bearer`'s and fresh. It is used up either way.
    #[must_use]
    pub fn redeem(&self, ticket: &Secret, bearer: &Bearer) -> Option<Option<MustChange>> {
        let number = <[u8; TICKET_BYTES]>::try_from(ticket.expose()).ok()?;
        let issued = self.out.lock().unwrap_or_else(PoisonError::into_inner).remove(&number)?;
        (issued.bearer == *bearer && issued.at.elapsed() < self.life).then_some(issued.must_change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> Bearer {
        Bearer { user: b"alice".to_vec(), service: Service::new("sshd"), source: Source::Unknown }
    }

    #[test]
    fn a_ticket_is_recognised_once_and_never_a_second_time() {
        let tickets = Tickets::default();
        let ticket = tickets.issue(alice(), None).unwrap();
        assert_eq!(tickets.redeem(&ticket, &alice()), Some(None));
        assert_eq!(tickets.redeem(&ticket, &alice()), None);
    }

    #[test]
    fn a_ticket_is_bound_to_name_service_and_source() {
        let others = [
            Bearer { user: b"bob".to_vec(), ..alice() },
            Bearer { service: Service::new("sudo"), ..alice() },
            Bearer { source: Source::Local, ..alice() },
        ];
        let tickets = Tickets::default();
        for other in others {
            let ticket = tickets.issue(alice(), None).unwrap();
            assert_eq!(tickets.redeem(&ticket, &other), None);
            assert_eq!(
                tickets.redeem(&ticket, &alice()),
                None,
                "presented by the wrong bearer, it is used up"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_ticket_dies_after_sixty_seconds() {
        let tickets = Tickets::default();
        let ticket = tickets.issue(alice(), None).unwrap();
        tokio::time::advance(LIFE).await;
        assert_eq!(tickets.redeem(&ticket, &alice()), None);
    }

    #[test]
    fn the_number_of_tickets_is_bounded() {
        let tickets = Tickets::default();
        for _ in 0..CAPACITY + 10 {
            let _ = tickets.issue(alice(), None).unwrap();
        }
        assert_eq!(tickets.out.lock().unwrap().len(), CAPACITY);
    }
}
