//! A GeoIP file in MaxMind's DB format, read whole and checked to its last record before it is asked anything. Both ways
//! of writing a country are read: nested (`country.iso_code`, as MaxMind and DB-IP have it) and flat (`country_code` or
//! `country`, as others do).

use maxminddb::{MaxMindDbError, Reader, WithinOptions};
use serde::Deserialize;
use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use twinlock_config::Country;
use twinlock_policy::{Listing, Origin};

/// Largest file that is read, in bytes.
const LARGEST: u64 = 512 * 1024 * 1024;

/// What the locations of a configuration need to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Needs {
    /// Countries.
    pub(super) countries: bool,
    /// Autonomous systems.
    pub(super) asns: bool,
}

/// One state of the file on disk; another one after every change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(path: &Path) -> Result<Self, Unfit> {
        std::fs::metadata(path).map(|about| Self::from(&about)).map_err(Unfit::Unreadable)
    }
}

impl From<&std::fs::Metadata> for Stamp {
    fn from(about: &std::fs::Metadata) -> Self {
        Self {
            device: about.dev(),
            inode: about.ino(),
            size: about.size(),
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
        }
    }
}

/// Why a file is not used.
#[derive(Debug)]
pub(super) enum Unfit {
    /// It cannot be read.
    Unreadable(std::io::Error),
    /// It is larger than [`LARGEST`].
    TooLarge,
    /// It is not in MaxMind's DB format, or is damaged.
    Damaged(String),
    /// Its tree has no end.
    Endless,
    /// A location needs what it does not tell.
    TellsNo(&'static str),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "cannot be read: {error}"),
            Self::TooLarge => write!(f, "is larger than {} MiB", LARGEST / (1024 * 1024)),
            Self::Damaged(problem) => write!(f, "is damaged or no MaxMind DB file: {problem}"),
            Self::Endless => f.write_str("is damaged: its tree has no end"),
            Self::TellsNo(what) => {
                write!(f, "tells no {what}, which a location needs; name a file that does")
            }
        }
    }
}

impl From<MaxMindDbError> for Unfit {
    fn from(error: MaxMindDbError) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// A country as a record writes it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Named {
    Nested { iso_code: Option<String> },
    Flat(String),
}

/// A system's number as a record writes it: 64500 or "AS64500".
#[derive(Deserialize)]
#[serde(untagged)]
enum Numbered {
    Number(u32),
    Text(String),
}

/// What is read of a record.
#[derive(Deserialize)]
struct Entry {
    country: Option<Named>,
    country_code: Option<String>,
    autonomous_system_number: Option<u32>,
    asn: Option<Numbered>,
}

impl Entry {
    fn country(&self) -> Option<Country> {
        let code = match (&self.country, &self.country_code) {
            (_, Some(code)) | (Some(Named::Flat(code)), None) => code,
            (Some(Named::Nested { iso_code }), None) => iso_code.as_ref()?,
            (None, None) => return None,
        };
        Country::assigned(code)
    }

    fn asn(&self) -> Option<u32> {
        match (self.autonomous_system_number, &self.asn) {
            (Some(number), _) => Some(number),
            (None, Some(Numbered::Number(number))) => Some(*number),
            (None, Some(Numbered::Text(text))) => text.strip_prefix("AS").unwrap_or(text).parse().ok(),
            (None, None) => None,
        }
    }
}

/// A file that was found sound.
pub(super) struct Database {
    reader: Reader<Vec<u8>>,
    tells: Needs,
}

impl Database {
    /// Reads and checks the file. Blocks, and takes some tenths of a second for a large one.
    pub(super) fn read(path: &Path, needs: Needs) -> Result<(Self, Stamp), Unfit> {
        let file = File::open(path).map_err(Unfit::Unreadable)?;
        let about = file.metadata().map_err(Unfit::Unreadable)?;
        let mut bytes = Vec::with_capacity(usize::try_from(about.len().min(LARGEST)).unwrap_or(0));
        file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(Unfit::Unreadable)?;
        if bytes.len() as u64 > LARGEST {
            return Err(Unfit::TooLarge);
        }
        let reader = Reader::from_source(bytes)?;
        let tells = what_it_tells(&reader)?;
        match (needs.countries && !tells.countries, needs.asns && !tells.asns) {
            (true, _) => return Err(Unfit::TellsNo("countries")),
            (false, true) => return Err(Unfit::TellsNo("autonomous systems")),
            (false, false) => {}
        }
        Ok((Self { reader, tells }, Stamp::from(&about)))
    }

    /// Where a public address belongs. What cannot be decoded after all is unknown.
    pub(super) fn origin(&self, address: IpAddr) -> Origin {
        let found = self.reader.lookup(address.to_canonical()).and_then(|found| found.decode::<Entry>());
        let Ok(entry) = found else { return Origin::default() };
        let entry = entry.as_ref();
        Origin {
            country: listing(entry.and_then(Entry::country), self.tells.countries),
            asn: listing(entry.and_then(Entry::asn), self.tells.asns),
        }
    }

    pub(super) const fn tells(&self) -> Needs {
        self.tells
    }

    /// When it was made, in seconds since 1970, as it says itself.
    pub(super) fn built(&self) -> u64 {
        self.reader.metadata().build_epoch
    }
}

/// What a record says, or that it says nothing, where the file speaks of such things at all.
fn listing<T>(found: Option<T>, tells: bool) -> Listing<T> {
    match found {
        Some(found) => Listing::Listed(found),
        None if tells => Listing::Unlisted,
        None => Listing::Unknown,
    }
}

/// Walks the whole tree and decodes each record once. A file that tells nothing is damaged.
fn what_it_tells(reader: &Reader<Vec<u8>>) -> Result<Needs, Unfit> {
    let most = u64::from(reader.metadata().node_count) * 3;
    let mut tells = Needs { countries: false, asns: false };
    let mut decoded = HashSet::new();
    let mut networks = 0;
    for found in reader.networks(WithinOptions::default())? {
        let found = found?;
        networks += 1;
        if networks > most {
            return Err(Unfit::Endless);
        }
        if found.offset().is_some_and(|offset| decoded.insert(offset))
            && let Some(entry) = found.decode::<Entry>()?
        {
            tells.countries |= entry.country().is_some();
            tells.asns |= entry.asn().is_some();
        }
    }
    if tells.countries || tells.asns {
        return Ok(tells);
    }
    Err(Unfit::Damaged("it names no country and no autonomous system".into()))
}
