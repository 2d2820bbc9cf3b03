//! The guard against `lber` and `ldap3` themselves: whatever it lets through, they take without a panic.

use super::*;
use proptest::prelude::*;

/// One element, with a length field of the short form where it fits.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match content.len() {
        length @ 0..=127 => bytes.push(length as u8),
        length => {
            bytes.push(0x84);
            bytes.extend((length as u32).to_be_bytes());
        }
    }
    bytes.extend(content);
    bytes
}

fn message(id: u8, operation: &[u8], behind: &[u8]) -> Vec<u8> {
    element(tag::SEQUENCE, &[&element(tag::INTEGER, &[id]), operation, behind].concat())
}

fn outcome(operation: u8, code: u8, behind: &[u8]) -> Vec<u8> {
    let parts =
        [&element(tag::ENUMERATED, &[code])[..], &element(tag::OCTETS, b""), &element(tag::OCTETS, b"why")];
    element(operation, &[&parts.concat(), behind].concat())
}

fn entry_of_alice() -> Vec<u8> {
    let values = element(tag::SET, &element(tag::OCTETS, b"alice"));
    let attribute = element(tag::SEQUENCE, &[element(tag::OCTETS, b"uid"), values].concat());
    let dn = element(tag::OCTETS, b"uid=alice,dc=example");
    element(tag::SEARCH_ENTRY, &[dn, element(tag::SEQUENCE, &attribute)].concat())
}

fn ppolicy_control(critical: &[u8]) -> Vec<u8> {
    let parts =
        [&element(tag::OCTETS, b"1.3.6.1.4.1.42.2.27.8.5.1")[..], critical, &element(tag::OCTETS, b"0\0")];
    element(tag::CONTROLS, &element(tag::SEQUENCE, &parts.concat()))
}

/// Messages as servers really send them.
fn good() -> Vec<Vec<u8>> {
    vec![
        message(1, &outcome(tag::BIND_RESPONSE, 0, b""), b""),
        message(2, &outcome(tag::BIND_RESPONSE, 49, b""), &ppolicy_control(b"")),
        message(2, &outcome(tag::BIND_RESPONSE, 49, b""), &ppolicy_control(&element(tag::BOOLEAN, &[255]))),
        message(3, &outcome(tag::BIND_RESPONSE, 14, &element(tag::SASL_CREDENTIALS, b"\xff")), b""),
        message(4, &entry_of_alice(), b""),
        message(5, &element(tag::SEARCH_REFERENCE, &element(tag::OCTETS, b"ldap://b/")), b""),
        message(
            6,
            &outcome(tag::SEARCH_DONE, 10, &element(tag::REFERRAL, &element(tag::OCTETS, b"ldap://b/"))),
            b"",
        ),
        message(7, &outcome(tag::EXTENDED_RESPONSE, 0, &element(tag::RESPONSE_NAME, b"1.2")), b""),
        message(8, &element(tag::INTERMEDIATE, &element(tag::INTERMEDIATE_NAME, b"1.2")), b""),
    ]
}

/// Lets `ldap3` itself read a message, and then take the operation apart as its callers do; panics where it does.
fn as_ldap3_would(bytes: &[u8]) {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    }
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
            std::io::Write::write_all(&mut theirs, bytes).unwrap();
            drop(theirs);
            let settings = ldap3::LdapConnSettings::new().set_std_stream(ldap3::StdStream::Unix(ours));
            let (driver, _ldap) = ldap3::LdapConnAsync::with_settings(settings, "ldapi:///").await.unwrap();
            driver.drive().await.expect("ldap3 reads it");
        });
    });
    let (rest, whole) = ldap3::asn1::parse_tag(bytes).expect("lber takes it");
    assert!(rest.is_empty(), "lber sees the same end");
    let operation = whole.expect_constructed().expect("a sequence").swap_remove(1);
    match operation.id {
        4 => drop(ldap3::SearchEntry::construct(ldap3::ResultEntry::new(operation))),
        19 => drop(ldap3::parse_refs(operation)),
        25 => (),
        _ => drop(ldap3::LdapResult::from(ldap3::asn1::Tag::StructureTag(operation))),
    }
}

#[test]
fn what_servers_send_passes() {
    for bytes in good() {
        let envelope = response(&bytes).unwrap();
        assert_eq!(envelope.id, u32::from(bytes[4]));
        as_ldap3_would(&bytes);
    }
}

#[test]
fn lengths_written_longer_than_needed_pass() {
    let tail = [&element(tag::INTEGER, &[1])[..], &outcome(tag::BIND_RESPONSE, 0, b"")].concat();
    let mut bytes = vec![tag::SEQUENCE, 0x84, 0, 0, 0, u8::try_from(tail.len()).unwrap()];
    bytes.extend(tail);
    assert_eq!(response(&bytes).unwrap().result, Some(0));
}

#[test]
fn what_stops_ldap3_is_refused() {
    let sound = outcome(tag::BIND_RESPONSE, 0, b"");
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("an empty sequence", vec![0x30, 0x00]),
        ("no message id", element(tag::SEQUENCE, &sound)),
        ("an id that is text", element(tag::SEQUENCE, &[element(tag::OCTETS, b"a"), sound.clone()].concat())),
        ("an empty id", element(tag::SEQUENCE, &[element(tag::INTEGER, b""), sound.clone()].concat())),
        ("a negative id", element(tag::SEQUENCE, &[element(tag::INTEGER, &[0xff]), sound.clone()].concat())),
        ("a long id", element(tag::SEQUENCE, &[element(tag::INTEGER, &[0; 9]), sound.clone()].concat())),
        ("an id only", element(tag::SEQUENCE, &element(tag::INTEGER, &[1]))),
        ("a request", message(1, &element(tag::BIND_REQUEST, b""), b"")),
        ("a primitive bind response", message(1, &element(0x41, b""), b"")),
        ("an empty bind response", message(1, &element(tag::BIND_RESPONSE, b""), b"")),
        ("a result without texts", message(1, &element(tag::BIND_RESPONSE, &[0x0a, 1, 0]), b"")),
        ("a result whose text is not UTF-8", {
            message(1, &element(tag::BIND_RESPONSE, &[0x0a, 1, 0, 4, 0, 4, 1, 0xff]), b"")
        }),
        ("an empty referral", message(1, &outcome(tag::BIND_RESPONSE, 0, &[tag::REFERRAL, 0]), b"")),
        ("a referral of the wrong form", message(1, &outcome(tag::BIND_RESPONSE, 0, &[0x83, 0]), b"")),
        ("an unknown part", message(1, &outcome(tag::BIND_RESPONSE, 0, &[0x03, 0]), b"")),
        ("an entry without attributes", message(1, &element(tag::SEARCH_ENTRY, &[4, 0]), b"")),
        (
            "an attribute without values",
            message(1, &element(tag::SEARCH_ENTRY, &[4, 0, 0x30, 4, 0x30, 2, 4, 0]), b""),
        ),
        ("an empty control", message(1, &sound, &element(tag::CONTROLS, &[0x30, 0]))),
        ("a control that is text", message(1, &sound, &element(tag::CONTROLS, &[4, 0]))),
        ("a critical flag without a value", message(1, &sound, &ppolicy_control(&[1, 0]))),
        ("primitive controls", message(1, &sound, &[0x80, 0])),
        ("two lists of controls", message(1, &sound, &[0xa0, 0, 0xa0, 0])),
        ("a notice in the wrong place", message(1, &sound, &element(tag::RESPONSE_NAME, b"1.2"))),
        ("an indefinite length", vec![0x30, 0x80, 2, 1, 1, 0, 0]),
        ("a length of nine bytes", vec![0x30, 0x89, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        ("a tag of two bytes", message(1, &[0x7f, 0x81, 0x00], b"")),
        ("a part that sticks out", vec![0x30, 5, 2, 1, 1, 0x61, 9]),
        ("bytes behind the message", [message(1, &sound, b""), vec![0]].concat()),
    ];
    for (what, bytes) in cases {
        assert!(response(&bytes).is_err(), "{what}");
    }
}

#[test]
fn nesting_ends_at_thirty_two() {
    let nested = |levels: usize| {
        let mut bytes = vec![];
        for _ in 0..levels {
            bytes = element(tag::SEQUENCE, &bytes);
        }
        bytes
    };
    assert_eq!(response(&nested(DEEPEST)), Err(Refused::NotAResponse));
    assert_eq!(response(&nested(DEEPEST + 1)), Err(Refused::TooDeep));
    assert_eq!(response(&nested(2000)), Err(Refused::TooDeep));
}

#[test]
fn a_length_beyond_the_limit_is_refused_before_it_is_buffered() {
    let mut frames = Frames::new();
    frames.feed(&[0x30, 0x84, 0x7f, 0xff, 0xff, 0xff]);
    assert_eq!(frames.next().unwrap_err(), Refused::TooLong);
}

#[test]
fn messages_come_out_whole_however_they_are_cut() {
    let all: Vec<u8> = good().concat();
    for size in [1, 2, 3, 7, 64, all.len()] {
        let (mut frames, mut seen) = (Frames::new(), Vec::new());
        for piece in all.chunks(size) {
            frames.feed(piece);
            while let Some(message) = frames.next().unwrap() {
                seen.push(message.to_vec());
            }
        }
        assert_eq!(seen, good());
        assert!(frames.is_empty());
    }
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 0..6);
    (prop::sample::select(good()), edits).prop_map(|(mut bytes, edits)| {
        for (place, byte, how) in edits {
            let place = place.index(bytes.len());
            match how {
                0 => bytes[place] = byte,
                1 => bytes.insert(place, byte),
                _ if bytes.len() > 1 => drop(bytes.remove(place)),
                _ => (),
            }
        }
        bytes
    })
}

/// Elements in random order and nesting, with sound lengths, so that the grammar behind the lengths is reached.
fn grown() -> impl Strategy<Value = Vec<u8>> {
    let tags = prop::sample::select(vec![
        0x01, 0x02, 0x04, 0x0a, 0x30, 0x31, 0x61, 0x64, 0x65, 0x73, 0x78, 0x79, 0x80, 0x81, 0x83, 0x87, 0x8a,
        0x8b, 0xa0, 0xa3, 0xa7, 0x24,
    ]);
    let leaf = (tags.clone(), prop::collection::vec(any::<u8>(), 0..3)).prop_map(|(tag, content)| {
        if tag & CONSTRUCTED == 0 { element(tag, &content) } else { element(tag, b"") }
    });
    let tree = leaf.prop_recursive(4, 24, 4, move |inner| {
        (tags.clone(), prop::collection::vec(inner, 0..4))
            .prop_map(|(tag, parts)| element(tag, &parts.concat()))
    });
    (
        prop::sample::select(vec![0x61u8, 0x64, 0x65, 0x73, 0x78, 0x79]),
        prop::collection::vec(tree, 0..4),
        any::<bool>(),
    )
        .prop_map(|(operation, parts, controlled)| {
            let behind = if controlled { element(tag::CONTROLS, &parts.concat()) } else { vec![] };
            // Behind a sound result, in place of the whole operation, or as controls.
            let parts = parts.concat();
            let whole = if controlled { outcome(operation, 0, b"") } else { element(operation, &parts) };
            if parts.len() % 2 == 0 {
                message(1, &outcome(operation, 0, &parts), &behind)
            } else {
                message(1, &whole, &behind)
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn what_passes_after_damage_is_taken_without_a_panic(bytes in mutated()) {
        if response(&bytes).is_ok() {
            as_ldap3_would(&bytes);
        }
    }

    #[test]
    fn what_passes_of_random_elements_is_taken_without_a_panic(bytes in grown()) {
        if response(&bytes).is_ok() {
            as_ldap3_would(&bytes);
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let mut frames = Frames::new();
        frames.feed(&bytes);
        while let Ok(Some(message)) = frames.next() {
            if response(&message).is_ok() {
                as_ldap3_would(&message);
            }
        }
    }
}

#[test]
fn a_page_cookie_is_read_and_what_is_none_is_refused() {
    assert_eq!(page_cookie(b"\x30\x07\x02\x01\x00\x04\x02ab").unwrap(), b"ab");
    assert_eq!(page_cookie(b"\x30\x05\x02\x01\x00\x04\x00").unwrap(), b"");
    for wrong in
        [b"".as_slice(), b"\x30\x00", b"\x30\x03\x02\x01\x00", b"\x30\x09\x02\x01\x00\x04\x02ab", b"\x04\x00"]
    {
        assert!(page_cookie(wrong).is_err(), "{wrong:?}");
    }
}
