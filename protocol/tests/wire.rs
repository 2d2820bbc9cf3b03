//! The wire's promises: golden bytes that old modules rely on, round trips, and a decoder that survives anything.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use proptest::prelude::*;
use twinlock_protocol::*;

fn body(message: &Message) -> Vec<u8> {
    message.encode()[4..].to_vec()
}

fn begin() -> Begin {
    Begin {
        phase: Phase::Authenticate,
        service: b"sshd".to_vec(),
        user: b"alice".to_vec(),
        rhost: Some(b"192.0.2.7".to_vec()),
        ruser: None,
        tty: None,
        ssh_connection: None,
        ssh_auth_info: None,
        silent: false,
        ticket: None,
    }
}

#[test]
fn the_bytes_of_version_1_stay_as_they_are() {
    let golden: [(Message, &[u8]); 10] = [
        (
            Message::Begin(begin()),
            b"\0\0\0\x26\0\x01\x01\x81\0\x01\x01\x82\0\x04sshd\x83\0\x05alice\x84\0\x09192.0.2.7\x09\0\x01\0",
        ),
        (
            Message::Ask { prompt: "Password: ".into(), echo: false },
            b"\0\0\0\x14\0\x01\x02\x8b\0\x0aPassword: \x8c\0\x01\0",
        ),
        (
            Message::Tell { style: Tell::Info, text: "hi".into() },
            b"\0\0\0\x0c\0\x01\x03\x8b\0\x02hi\x0d\0\x01\x01",
        ),
        (
            Message::Answer(Answer::Typed(Secret::copy_of(b"pw"))),
            b"\0\0\0\x0c\0\x01\x04\x8e\0\x01\x01\x8f\0\x02pw",
        ),
        (Message::Answer(Answer::TooLong), b"\0\0\0\x07\0\x01\x04\x8e\0\x01\x02"),
        (Message::Verdict(Verdict::Deny), b"\0\0\0\x07\0\x01\x05\x8e\0\x01\x02"),
        (
            Message::Begin(Begin { phase: Phase::Change, rhost: None, ..begin() }),
            b"\0\0\0\x1a\0\x01\x01\x81\0\x01\x03\x82\0\x04sshd\x83\0\x05alice\x09\0\x01\0",
        ),
        (
            Message::Verdict(Verdict::Withheld { standing: Standing::AccountExpired, ticket: None }),
            b"\0\0\0\x0b\0\x01\x05\x8e\0\x01\x02\x11\0\x01\x01",
        ),
        (
            Message::Verdict(Verdict::Withheld {
                standing: Standing::NewPassword,
                ticket: Some(Secret::copy_of(&[7; TICKET_BYTES])),
            }),
            b"\0\0\0\x1e\0\x01\x05\x8e\0\x01\x02\x11\0\x01\x04\x12\0\x10\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07",
        ),
        (
            Message::Verdict(Verdict::Grant {
                ticket: Some(Secret::copy_of(&[7; TICKET_BYTES])),
                authtok: Some(AuthTok { answer: 0, length: 300 }),
            }),
            b"\0\0\0\x20\0\x01\x05\x8e\0\x01\x01\x8a\0\x10\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x90\0\x03\0\x01\x2c",
        ),
    ];
    for (message, bytes) in golden {
        assert_eq!(message.encode().as_slice(), bytes, "{message:?}");
        assert_eq!(Message::decode(&bytes[4..]).unwrap(), message);
    }
}

#[test]
fn an_unknown_critical_field_is_refused_and_another_skipped() {
    let mut bytes = body(&Message::Verdict(Verdict::Deny));
    bytes.extend_from_slice(&[0x7f, 0, 1, 9]);
    assert_eq!(Message::decode(&bytes).unwrap(), Message::Verdict(Verdict::Deny));
    bytes.extend_from_slice(&[0xff, 0, 1, 9]);
    assert_eq!(Message::decode(&bytes), Err(DecodeError::UnknownCritical(0xff)));
}

#[test]
fn a_field_that_stands_twice_is_refused() {
    let mut bytes = body(&Message::Begin(begin()));
    bytes.extend_from_slice(b"\x83\0\x04root");
    assert_eq!(Message::decode(&bytes), Err(DecodeError::Repeated));
}

#[test]
fn a_denial_that_carries_a_ticket_is_no_message() {
    let mut bytes = body(&Message::Verdict(Verdict::Deny));
    bytes.extend_from_slice(b"\x8a\0\x10aaaaaaaaaaaaaaaa");
    assert!(Message::decode(&bytes).is_err());
}

#[test]
fn only_a_new_password_comes_with_a_ticket_and_no_grant_with_a_standing() {
    let mut bytes = body(&Message::Verdict(Verdict::Withheld { standing: Standing::NotNow, ticket: None }));
    bytes.extend_from_slice(b"\x12\0\x10aaaaaaaaaaaaaaaa");
    assert!(Message::decode(&bytes).is_err());
    let mut bytes = body(&Message::Verdict(Verdict::Grant { ticket: None, authtok: None }));
    bytes.extend_from_slice(b"\x11\0\x01\x01");
    assert!(Message::decode(&bytes).is_err());
    for odd in [0, 5, 255] {
        let mut bytes = body(&Message::Verdict(Verdict::Deny));
        bytes.extend_from_slice(&[0x11, 0, 1, odd]);
        assert!(Message::decode(&bytes).is_err());
    }
}

/// A module from before takes what is withheld for a denial: both fields may be skipped.
#[test]
fn the_fields_of_a_withheld_verdict_are_not_critical() {
    let bytes = body(&Message::Verdict(Verdict::Withheld {
        standing: Standing::NewPassword,
        ticket: Some(Secret::copy_of(&[7; TICKET_BYTES])),
    }));
    let denial = body(&Message::Verdict(Verdict::Deny));
    assert!(bytes.starts_with(&denial) && bytes[denial.len()] < 0x80 && bytes[denial.len() + 4] < 0x80);
}

#[test]
fn another_version_is_refused() {
    let mut bytes = body(&Message::Verdict(Verdict::Deny));
    bytes[1] = 2;
    assert_eq!(Message::decode(&bytes), Err(DecodeError::Version(2)));
    bytes[1] = 0;
    assert_eq!(Message::decode(&bytes), Err(DecodeError::Version(0)));
}

#[test]
fn an_answer_longer_than_pam_allows_travels_as_too_long() {
    let long = Message::Answer(Answer::Typed(Secret::new(vec![b'a'; MAX_ANSWER + 1])));
    assert_eq!(Message::decode(&body(&long)).unwrap(), Message::Answer(Answer::TooLong));
    let fits = Message::Answer(Answer::Typed(Secret::new(vec![b'a'; MAX_ANSWER])));
    assert_eq!(Message::decode(&body(&fits)).unwrap(), fits);
}

#[test]
fn what_is_typed_appears_in_no_debug_output() {
    let message = Message::Answer(Answer::Typed(Secret::copy_of(b"correct horse")));
    assert!(!format!("{message:?}").contains("horse"));
}

fn bytes(limit: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..=limit)
}

fn maybe(limit: usize) -> impl Strategy<Value = Option<Vec<u8>>> {
    prop::option::of(bytes(limit))
}

fn ticket() -> impl Strategy<Value = Option<Secret>> {
    prop::option::of(prop::array::uniform16(any::<u8>()).prop_map(|bytes| Secret::copy_of(&bytes)))
}

fn message() -> impl Strategy<Value = Message> {
    let begin = (
        prop_oneof![Just(Phase::Authenticate), Just(Phase::Account), Just(Phase::Change)],
        (bytes(MAX_ITEM), bytes(MAX_ITEM), maybe(MAX_ITEM), maybe(64), maybe(64)),
        (maybe(64), maybe(MAX_ITEM), any::<bool>(), ticket()),
    )
        .prop_map(
            |(phase, (service, user, rhost, ruser, tty), (ssh_connection, ssh_auth_info, silent, ticket))| {
                Message::Begin(Begin {
                    phase,
                    service,
                    user,
                    rhost,
                    ruser,
                    tty,
                    ssh_connection,
                    ssh_auth_info,
                    silent,
                    ticket,
                })
            },
        );
    let authtok = prop::option::of(
        (any::<u8>(), 0..=u16::try_from(MAX_ANSWER).unwrap())
            .prop_map(|(answer, length)| AuthTok { answer, length }),
    );
    prop_oneof![
        begin,
        ("[^\0]{0,200}", any::<bool>()).prop_map(|(prompt, echo)| Message::Ask { prompt, echo }),
        ("[^\0]{0,200}", any::<bool>()).prop_map(|(text, info)| Message::Tell {
            style: if info { Tell::Info } else { Tell::Error },
            text
        }),
        bytes(MAX_ANSWER).prop_map(|typed| Message::Answer(Answer::Typed(Secret::new(typed)))),
        Just(Message::Answer(Answer::TooLong)),
        Just(Message::Answer(Answer::Refused)),
        (ticket(), authtok)
            .prop_map(|(ticket, authtok)| Message::Verdict(Verdict::Grant { ticket, authtok })),
        Just(Message::Verdict(Verdict::Deny)),
        prop_oneof![Just(Standing::AccountExpired), Just(Standing::PasswordExpired), Just(Standing::NotNow)]
            .prop_map(|standing| Message::Verdict(Verdict::Withheld { standing, ticket: None })),
        ticket().prop_map(|ticket| Message::Verdict(Verdict::Withheld {
            standing: Standing::NewPassword,
            ticket
        })),
        Just(Message::Verdict(Verdict::Unavailable)),
    ]
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_to_the_same(message in message()) {
        let frame = message.encode();
        let mut assembler = Assembler::new();
        let mut rest = frame.as_slice();
        let whole = loop {
            let (now, later) = rest.split_at(assembler.wants().min(rest.len()));
            rest = later;
            if let Some(whole) = assembler.push(now).unwrap() { break whole }
        };
        prop_assert!(rest.is_empty());
        prop_assert_eq!(Message::decode(&whole).unwrap(), message);
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in bytes(2000)) {
        let _ = Message::decode(&bytes);
    }

    #[test]
    fn no_change_to_a_message_makes_the_decoder_panic(message in message(), at in any::<prop::sample::Index>(), to in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut bytes = body(&message);
        let index = at.index(bytes.len());
        bytes[index] = to;
        let _ = Message::decode(&bytes);
        let _ = Message::decode(&bytes[..cut.index(bytes.len() + 1)]);
    }
}
