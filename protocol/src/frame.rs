//! Framing: how one message is cut out of a byte stream.
//!
//! A frame is a length (four bytes, big endian, counting what follows), a version (two bytes), a message kind
//! (one byte) and fields. A length beyond [`MAX_FRAME`] is refused before anything is allocated for it.

use core::fmt;
use zeroize::Zeroizing;

/// The wire version this crate writes.
pub const VERSION: u16 = 1;
/// The oldest version it still reads. An sshd that runs for months keeps the module it once loaded.
pub const OLDEST_VERSION: u16 = 1;
/// Largest frame body in bytes (what the length counts). Larger ones are refused unread.
pub const MAX_FRAME: usize = 16 * 1024;

pub(crate) const LENGTH_BYTES: usize = 4;
pub(crate) const HEAD_BYTES: usize = 3;

/// Why bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// The length says more than [`MAX_FRAME`].
    TooLarge,
    /// The length leaves no room for version and kind.
    TooSmall,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the frame is larger than 16 KiB",
            Self::TooSmall => "the frame is too small to hold a message",
        })
    }
}

impl core::error::Error for FrameError {}

/// Puts bytes together until a whole frame is there. Neither side reads more than one frame ahead, so a peer
/// that talks out of turn is noticed as surplus instead of being buffered.
///
/// The buffer is wiped on drop and never grows beyond one frame.
#[derive(Default)]
pub struct Assembler {
    head: [u8; LENGTH_BYTES],
    head_filled: usize,
    body: Zeroizing<Vec<u8>>,
    expected: usize,
}

impl Assembler {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes to read next: never more than the present frame still lacks.
    #[must_use]
    pub fn wants(&self) -> usize {
        if self.head_filled < LENGTH_BYTES {
            LENGTH_BYTES - self.head_filled
        } else {
            self.expected.saturating_sub(self.body.len())
        }
    }

    /// Whether part of a frame has arrived.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.head_filled > 0
    }

    /// Takes in `bytes`, at most [`Self::wants`] of them, and returns the frame's body once it is whole.
    ///
    /// # Errors
    /// [`FrameError`] as soon as the length is known to be unacceptable, or when more was given than wanted.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, FrameError> {
        if bytes.len() > self.wants() {
            return Err(FrameError::TooLarge);
        }
        if self.head_filled < LENGTH_BYTES {
            for (slot, byte) in self.head.iter_mut().skip(self.head_filled).zip(bytes) {
                *slot = *byte;
            }
            self.head_filled += bytes.len();
            if self.head_filled == LENGTH_BYTES {
                self.expected = usize::try_from(u32::from_be_bytes(self.head)).unwrap_or(usize::MAX);
                if self.expected > MAX_FRAME {
                    return Err(FrameError::TooLarge);
                }
                if self.expected < HEAD_BYTES {
                    return Err(FrameError::TooSmall);
                }
                self.body = Zeroizing::new(Vec::with_capacity(self.expected));
            }
            return Ok(None);
        }
        self.body.extend_from_slice(bytes);
        if self.body.len() < self.expected {
            return Ok(None);
        }
        self.head_filled = 0;
        self.expected = 0;
        Ok(Some(core::mem::take(&mut self.body)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_arrives_byte_by_byte() {
        let mut assembler = Assembler::new();
        for byte in [0, 0, 0, 4, 0, 1, 9] {
            assert_eq!(assembler.push(&[byte]).unwrap(), None);
        }
        assert_eq!(assembler.push(&[7]).unwrap().unwrap().as_slice(), &[0, 1, 9, 7]);
        assert!(!assembler.has_begun());
        assert_eq!(assembler.wants(), LENGTH_BYTES);
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_anything_is_allocated() {
        let mut assembler = Assembler::new();
        assert_eq!(assembler.push(&[0x7f, 0xff, 0xff, 0xff]), Err(FrameError::TooLarge));
        assert_eq!(Assembler::new().push(&[0, 0, 0x40, 0x01]), Err(FrameError::TooLarge));
        assert_eq!(Assembler::new().push(&[0, 0, 0, 2]), Err(FrameError::TooSmall));
    }

    #[test]
    fn surplus_bytes_are_refused() {
        let mut assembler = Assembler::new();
        assembler.push(&[0, 0, 0, 3]).unwrap();
        assert_eq!(assembler.push(&[0, 1, 1, 1]), Err(FrameError::TooLarge));
    }
}
