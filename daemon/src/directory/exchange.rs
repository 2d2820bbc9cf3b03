//! Which requests are open on one connection, so that an answer passes only to the request it belongs to.
//!
//! `ldap3` hands a message to whoever waits under its id, whatever kind it is, and panics in the waiting task if the
//! kind is another. A server could also answer a bind before it was sent. Both end the connection here.

use super::guard::{Envelope, Refused, tag};

/// Most bytes in answer to one request: thousands of groups. Decoded they take some thirty times as much memory.
const MOST_ANSWERS: usize = 1024 * 1024;

struct Open {
    id: u32,
    operation: u8,
    answered: usize,
}

/// The open requests of one connection.
#[derive(Default)]
pub(crate) struct Exchange(Vec<Open>);

impl Exchange {
    /// A request goes out. Unbind and abandon have no answer and are not kept.
    pub(crate) fn asked(&mut self, request: Envelope) {
        if matches!(
            request.operation,
            tag::BIND_REQUEST | tag::SEARCH_REQUEST | tag::MODIFY_REQUEST | tag::EXTENDED_REQUEST
        ) {
            self.0.push(Open { id: request.id, operation: request.operation, answered: 0 });
        }
    }

    /// An answer of `size` bytes came in.
    ///
    /// # Errors
    /// [`Refused::Unasked`] or [`Refused::TooMuch`].
    pub(crate) fn answered(&mut self, response: Envelope, size: usize) -> Result<(), Refused> {
        let place = self.0.iter().position(|open| open.id == response.id).ok_or(Refused::Unasked)?;
        let open = self.0.get_mut(place).ok_or(Refused::Unasked)?;
        let last = match (open.operation, response.operation) {
            (tag::BIND_REQUEST, tag::BIND_RESPONSE)
            | (tag::SEARCH_REQUEST, tag::SEARCH_DONE)
            | (tag::MODIFY_REQUEST, tag::MODIFY_RESPONSE)
            | (tag::EXTENDED_REQUEST, tag::EXTENDED_RESPONSE) => true,
            (tag::SEARCH_REQUEST, tag::SEARCH_ENTRY | tag::SEARCH_REFERENCE) => false,
            _ => return Err(Refused::Unasked),
        };
        open.answered = open.answered.saturating_add(size);
        if open.answered > MOST_ANSWERS {
            return Err(Refused::TooMuch);
        }
        if last {
            self.0.remove(place);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope(id: u32, operation: u8) -> Envelope {
        Envelope { id, operation, result: None }
    }

    #[test]
    fn an_answer_that_comes_before_its_request_is_refused() {
        let mut exchange = Exchange::default();
        assert_eq!(exchange.answered(envelope(1, tag::BIND_RESPONSE), 14), Err(Refused::Unasked));
    }

    #[test]
    fn a_second_answer_to_one_bind_is_refused() {
        let mut exchange = Exchange::default();
        exchange.asked(envelope(1, tag::BIND_REQUEST));
        assert_eq!(exchange.answered(envelope(1, tag::BIND_RESPONSE), 14), Ok(()));
        assert_eq!(exchange.answered(envelope(1, tag::BIND_RESPONSE), 14), Err(Refused::Unasked));
    }

    #[test]
    fn a_bind_is_not_answered_by_a_search() {
        let mut exchange = Exchange::default();
        exchange.asked(envelope(7, tag::BIND_REQUEST));
        for other in [tag::SEARCH_DONE, tag::SEARCH_ENTRY, tag::EXTENDED_RESPONSE, tag::INTERMEDIATE] {
            assert_eq!(exchange.answered(envelope(7, other), 14), Err(Refused::Unasked));
        }
    }

    #[test]
    fn endless_entries_are_cut_off() {
        let mut exchange = Exchange::default();
        exchange.asked(envelope(1, tag::SEARCH_REQUEST));
        let passed =
            (0..100).take_while(|_| exchange.answered(envelope(1, tag::SEARCH_ENTRY), 256 * 1024).is_ok());
        assert_eq!(passed.count(), 4);
    }
}
