//! Amounts of bytes as the file writes them: `"512KiB"`, `"64MiB"`, `"2GiB"`.

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use std::fmt;

/// A number of bytes with its unit, 1 KiB to 1 TiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct Size(u64);

const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
const LARGEST: u64 = 1 << 40;

impl Size {
    /// So many times 1,048,576 bytes, for defaults.
    #[must_use]
    pub const fn mebibytes(number: u64) -> Self {
        Self(number << 20)
    }

    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let remedy = || "is not a size; write a whole number and KiB, MiB or GiB, as in \"64MiB\"".to_owned();
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(remedy)?;
        let (number, unit) = text.split_at(digits);
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(remedy)?;
        let number: u64 = number.parse().map_err(|_| remedy())?;
        match number.checked_mul(*factor) {
            Some(0) => Err("is a size of zero, which is not allowed here".into()),
            Some(bytes) if bytes <= LARGEST => Ok(Self(bytes)),
            _ => Err("is more than 1024GiB".into()),
        }
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Size;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as \"64MiB\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Size, E> {
                Size::try_from(text.to_owned()).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, factor) =
            UNITS.iter().find(|(_, factor)| self.0.is_multiple_of(*factor)).unwrap_or(&("KiB", 1 << 10));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_back_as_they_are_written() {
        for (text, bytes) in
            [("1KiB", 1024), ("64MiB", 67_108_864), ("1536KiB", 1_572_864), ("2GiB", 1 << 31)]
        {
            let size = Size::try_from(text.to_owned()).unwrap();
            assert_eq!((size.bytes(), size.to_string().as_str()), (bytes, text));
        }
        assert_eq!(Size::mebibytes(64).to_string(), "64MiB");
        assert_eq!(Size::try_from("2048MiB".to_owned()).unwrap().to_string(), "2GiB");
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in
            ["", "64", "64MB", "64 MiB", "-1MiB", "0MiB", "1.5GiB", "1025GiB", "99999999999999999999GiB"]
        {
            assert!(Size::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
