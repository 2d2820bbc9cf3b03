//! Fields inside a frame: tag (one byte), length (two bytes, big endian), value.
//!
//! A tag with the high bit set is critical: a reader that does not know it must refuse the message. Any other
//! unknown tag is skipped, so that a newer side can add hints without breaking an older one.

use crate::message::DecodeError;
use zeroize::Zeroizing;

/// Set in tags that a reader must understand.
pub(crate) const CRITICAL: u8 = 0x80;

const HEADER: usize = 3;

/// Collects fields in a buffer that is wiped on drop, because answers pass through it.
///
/// Sizes are counted first and written second, so that the buffer is allocated once and no half-filled copy
/// of a secret stays behind.
pub(crate) struct Writer<'a> {
    fields: Vec<(u8, &'a [u8])>,
}

impl<'a> Writer<'a> {
    pub(crate) fn new() -> Self {
        Self { fields: Vec::new() }
    }

    pub(crate) fn put(&mut self, tag: u8, value: &'a [u8]) {
        self.fields.push((tag, value));
    }

    pub(crate) fn put_present(&mut self, tag: u8, value: Option<&'a [u8]>) {
        if let Some(value) = value {
            self.put(tag, value);
        }
    }

    /// The fields after `head`. A value longer than a length field can say is cut; callers bound theirs first.
    pub(crate) fn finish(self, head: &[u8]) -> Zeroizing<Vec<u8>> {
        let size = head.len() + self.fields.iter().map(|(_, value)| HEADER + value.len()).sum::<usize>();
        let mut out = Zeroizing::new(Vec::with_capacity(size));
        out.extend_from_slice(head);
        for (tag, value) in self.fields {
            let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
            out.push(tag);
            out.extend_from_slice(&length.to_be_bytes());
            out.extend(value.iter().take(usize::from(length)));
        }
        out
    }
}

/// Walks the fields of a frame's body.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    /// The next field, `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(u8, &'a [u8])>, DecodeError> {
        let Some((&tag, rest)) = self.rest.split_first() else { return Ok(None) };
        let (length, rest) = rest.split_first_chunk::<2>().ok_or(DecodeError::Truncated)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (value, rest) = rest.split_at_checked(length).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(Some((tag, value)))
    }
}

/// A field that may stand once in a message; a second one is refused rather than overriding the first.
pub(crate) fn once<'a>(slot: &mut Option<&'a [u8]>, value: &'a [u8]) -> Result<(), DecodeError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(DecodeError::Repeated),
    }
}
