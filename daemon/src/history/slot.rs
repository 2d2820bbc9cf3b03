//! One attempt as its fixed number of bytes in the file, and back. A slot that was torn, wiped or never written is
//! recognised by its checksum; a field that a later version adds is skipped.
//!
//! Checksum (8 bytes), number, time, and so many attempts it stands for, then fields: tag, length, text.

use sha2::{Digest, Sha256};
use twinlock_config::HISTORY_SLOT;
use twinlock_control::RecordedAttempt;

/// Bytes of a slot.
pub(super) const SLOT: usize = HISTORY_SLOT as usize;
const FIELDS: usize = 30;
const CUT: &str = "...";

/// A slot's bytes.
pub(super) type Slot = [u8; SLOT];

/// The texts of an attempt with their tags and longest lengths. Those that matter most stand first: where room runs out,
/// it is the last ones that are cut.
macro_rules! fields {
    ($attempt:expr) => {{
        let RecordedAttempt {
            number: _,
            at: _,
            count: _,
            ms: _,
            id,
            phase,
            verdict,
            reason,
            user,
            account,
            service,
            source,
            after,
            place,
            rule,
            asked,
            password,
            code,
            waiver,
            lane,
            observed,
            caller,
            detail,
        } = $attempt;
        [
            (1, 16, id),
            (2, 7, phase),
            (3, 11, verdict),
            (4, 24, reason),
            (5, 14, asked),
            (6, 5, password),
            (7, 5, code),
            (8, 9, after),
            (9, 14, observed),
            (10, 14, caller),
            (11, 83, account),
            (12, 46, source),
            (13, 64, service),
            (14, 128, user),
            (15, 67, lane),
            (16, 67, rule),
            (17, 43, waiver),
            (18, 80, place),
            (19, 120, detail),
        ]
    }};
}
const MS: u8 = 20;

/// The slot that holds `attempt`.
pub(super) fn encode(attempt: &RecordedAttempt) -> Slot {
    let mut body = Vec::with_capacity(SLOT);
    body.extend(attempt.number.to_le_bytes());
    body.extend(attempt.at.to_le_bytes());
    body.extend(attempt.count.to_le_bytes());
    body.extend([0; 2]);
    put(&mut body, MS, 8, &attempt.ms.to_string());
    for (tag, longest, text) in fields!(attempt) {
        put(&mut body, tag, longest, text);
    }
    let length = u16::try_from(body.len() + CHECK).unwrap_or(u16::MAX);
    if let Some(place) = body.get_mut(FIELDS - CHECK - 2..FIELDS - CHECK) {
        place.copy_from_slice(&length.to_le_bytes());
    }
    body.resize(SLOT - CHECK, 0);
    let mut slot = [0; SLOT];
    let (check, rest) = slot.split_at_mut(CHECK);
    check.copy_from_slice(&checksum(&body));
    rest.copy_from_slice(&body);
    slot
}

fn put(body: &mut Vec<u8>, tag: u8, longest: usize, text: &str) {
    let room = (SLOT - CHECK).saturating_sub(body.len() + 2).min(longest);
    if text.is_empty() || room < CUT.len() {
        return;
    }
    let (kept, cut) = if text.len() <= room { (text, "") } else { (start_of(text, room - CUT.len()), CUT) };
    let Ok(length) = u8::try_from(kept.len() + cut.len()) else { return };
    body.extend([tag, length]);
    body.extend(kept.bytes().chain(cut.bytes()));
}

/// As much of `text` as `room` bytes hold, cut between characters.
fn start_of(text: &str, room: usize) -> &str {
    let end = (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// The attempt in a slot; `None` for one that holds none.
pub(super) fn decode(slot: &[u8]) -> Option<RecordedAttempt> {
    let number = number(slot)?;
    let (check, body) = slot.split_at_checked(CHECK)?;
    if checksum(body) != *check {
        return None;
    }
    let mut attempt = RecordedAttempt {
        number,
        at: u64::from_le_bytes(slot.get(16..24)?.try_into().ok()?),
        count: u32::from_le_bytes(slot.get(24..28)?.try_into().ok()?),
        ..RecordedAttempt::default()
    };
    let length = u16::from_le_bytes(slot.get(28..FIELDS)?.try_into().ok()?);
    let mut rest = slot.get(FIELDS..usize::from(length))?;
    while let [tag, length, following @ ..] = rest {
        let (text, following) = following.split_at_checked(usize::from(*length))?;
        let text = String::from_utf8_lossy(text);
        if *tag == MS {
            attempt.ms = text.parse().unwrap_or_default();
        }
        for (known, _, field) in fields!(&mut attempt) {
            if known == *tag {
                field.clone_from(&text.as_ref().to_owned());
            }
        }
        rest = following;
    }
    Some(attempt)
}

/// The number a slot says it has, its checksum not looked at; `None` for one that is empty.
pub(super) fn number(slot: &[u8]) -> Option<u64> {
    let number = u64::from_le_bytes(slot.get(CHECK..16)?.try_into().ok()?);
    (number > 0 && slot.len() == SLOT).then_some(number)
}

const CHECK: usize = 8;

pub(super) fn checksum(bytes: &[u8]) -> [u8; CHECK] {
    let mut check = [0; CHECK];
    for (place, byte) in check.iter_mut().zip(Sha256::digest(bytes)) {
        *place = byte;
    }
    check
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_attempt() -> impl Strategy<Value = RecordedAttempt> {
        let texts = proptest::collection::vec("\\PC{0,200}", 19);
        (1..u64::MAX, any::<u64>(), any::<u32>(), 0..99_999_999_u64, texts).prop_map(
            |(number, at, count, ms, texts)| {
                let mut attempt = RecordedAttempt { number, at, count, ms, ..RecordedAttempt::default() };
                for ((_, _, field), text) in fields!(&mut attempt).into_iter().zip(texts) {
                    *field = text;
                }
                attempt
            },
        )
    }

    proptest! {
        #[test]
        fn an_attempt_reads_back_as_it_was_written_or_visibly_cut(attempt in any_attempt()) {
            let read = decode(&encode(&attempt)).unwrap();
            prop_assert_eq!((read.number, read.at, read.count, read.ms), (attempt.number, attempt.at, attempt.count, attempt.ms));
            for ((tag, _, read), (_, _, given)) in fields!(&read).into_iter().zip(fields!(&attempt)) {
                let cut = read.strip_suffix(CUT).is_some_and(|kept| given.starts_with(kept));
                prop_assert!(read == given || cut || (tag > 14 && read.is_empty()), "{}: {} of {}", tag, read, given);
            }
        }

        #[test]
        fn a_torn_slot_is_none(attempt in any_attempt(), at in 0..SLOT, bit in 0..8_u8) {
            let mut slot = encode(&attempt);
            slot[at] ^= 1 << bit;
            prop_assert_eq!(decode(&slot), None);
        }

        #[test]
        fn no_bytes_make_it_fail(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = decode(&bytes);
            let mut slot = bytes;
            slot.resize(SLOT, 7);
            let check = checksum(&slot[CHECK..]);
            slot[..CHECK].copy_from_slice(&check);
            let _ = decode(&slot);
        }
    }

    #[test]
    fn an_empty_slot_is_none() {
        assert_eq!(decode(&[0; SLOT]), None);
    }

    /// Files live longer than versions.
    #[test]
    fn the_bytes_do_not_change() {
        let attempt = RecordedAttempt {
            number: 7,
            at: 1_790_000_000,
            count: 1,
            ms: 12,
            id: "00000000000000ff".into(),
            verdict: "deny".into(),
            user: "alice".into(),
            ..RecordedAttempt::default()
        };
        let slot = encode(&attempt);
        let body = b"\x07\0\0\0\0\0\0\0\x80\x3b\xb1\x6a\0\0\0\0\x01\0\0\0\x41\0\x14\x0212\x01\x1000000000000000ff\x03\x04deny\x0e\x05alice";
        assert_eq!(&slot[CHECK..CHECK + body.len()], body);
        assert!(slot[CHECK + body.len()..].iter().all(|byte| *byte == 0));
        assert_eq!(decode(&slot), Some(attempt));
    }
}
