//! Bytes somebody typed, or bytes that prove something: wiped when dropped and never shown.

use core::fmt;
use zeroize::Zeroizing;

/// A secret of any length. `Debug` shows only that there is one; the memory is wiped on drop.
///
/// It is built from a buffer that is already of its final size, so that no copy stays behind where a growing
/// vector once lay.
#[derive(Clone, Default)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes over `bytes`; the vector is not reallocated.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Copies `bytes` into a buffer of exactly their length.
    #[must_use]
    pub fn copy_of(bytes: &[u8]) -> Self {
        Self::new(bytes.to_vec())
    }

    /// The bytes themselves. Whoever copies them wipes the copy.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Number of bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was typed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Not constant in time: for tests and for noticing that an application repeats an answer, never for proving.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_does_not_show_what_was_typed() {
        let shown = format!("{:?}", Secret::copy_of(b"hunter2"));
        assert_eq!(shown, "Secret(..)");
    }
}
