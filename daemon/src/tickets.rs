//! Tickets: how the account phase recognises a login that the auth phase has just granted. 128 random bits, one use,
//! sixty seconds, bound to name, service and source. They live in memory; a restarted daemon knows none.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use twinlock_policy::{Service, Source};
use twinlock_protocol::{Secret, TICKET_BYTES};

const LIFE: Duration = Duration::from_secs(60);
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

/// The tickets that are out.
#[derive(Default)]
pub struct Tickets(Mutex<HashMap<[u8; TICKET_BYTES], (Bearer, Instant)>>);

impl Tickets {
    /// A new ticket.
    ///
    /// # Errors
    /// The operating system has no random numbers to give.
    pub fn issue(&self, bearer: Bearer) -> Result<Secret, getrandom::Error> {
        let mut number = [0; TICKET_BYTES];
        getrandom::fill(&mut number)?;
        let now = Instant::now();
        let mut tickets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tickets.len() >= CAPACITY {
            tickets.retain(|_, (_, issued)| now.duration_since(*issued) < LIFE);
        }
        if tickets.len() >= CAPACITY
            && let Some(oldest) =
                tickets.iter().min_by_key(|(_, (_, issued))| *issued).map(|(number, _)| *number)
        {
            tickets.remove(&oldest);
        }
        tickets.insert(number, (bearer, now));
        Ok(Secret::copy_of(&number))
    }

    /// Whether `ticket` is `bearer`'s and fresh. It is used up either way.
    #[must_use]
    pub fn redeem(&self, ticket: &Secret, bearer: &Bearer) -> bool {
        let Ok(number) = <[u8; TICKET_BYTES]>::try_from(ticket.expose()) else { return false };
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
        found.is_some_and(|(owner, issued)| owner == *bearer && issued.elapsed() < LIFE)
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
        let ticket = tickets.issue(alice()).unwrap();
        assert!(tickets.redeem(&ticket, &alice()));
        assert!(!tickets.redeem(&ticket, &alice()));
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
            let ticket = tickets.issue(alice()).unwrap();
            assert!(!tickets.redeem(&ticket, &other));
            assert!(!tickets.redeem(&ticket, &alice()), "presented by the wrong bearer, it is used up");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_ticket_dies_after_sixty_seconds() {
        let tickets = Tickets::default();
        let ticket = tickets.issue(alice()).unwrap();
        tokio::time::advance(LIFE).await;
        assert!(!tickets.redeem(&ticket, &alice()));
    }

    #[test]
    fn the_number_of_tickets_is_bounded() {
        let tickets = Tickets::default();
        for _ in 0..CAPACITY + 10 {
            let _ = tickets.issue(alice()).unwrap();
        }
        assert_eq!(tickets.0.lock().unwrap().len(), CAPACITY);
    }
}
