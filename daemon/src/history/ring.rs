//! The file: a header, then slots of one size, written round and round. All of its space is taken when it is made. A
//! slot's place follows from its attempt's number, so a write that a crash tears spoils one slot and nothing else.

use super::slot::{SLOT, Slot, checksum, decode, number};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, posix_fallocate};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use twinlock_config::HISTORY_HEADER;

const MAGIC: &[u8; 8] = b"TWLKHIST";
/// How a slot is laid out. A file of another layout is left alone.
const LAYOUT: u32 = 1;
/// Bytes of the header that say something: magic, layout, number of slots, checksum.
const HEADER: usize = 28;
/// Slots read at once.
const CHUNK: u64 = 512;
/// Attempts erased at once for their age.
const ERASED_AT_ONCE: u64 = 4096;

/// The file, open for writing by this process alone.
pub(super) struct Ring {
    file: Flock<File>,
    slots: u64,
    /// The number of the next attempt.
    next: u64,
    /// The oldest number that may not have been erased for its age yet.
    oldest: u64,
}

impl Ring {
    /// Opens the file, or makes it with room for `slots` attempts. If it has room for another number, the newest attempts
    /// move to a new file that takes its place.
    ///
    /// # Errors
    /// What is wrong, and the remedy.
    pub(super) fn open(path: &Path, slots: u64) -> Result<Self, String> {
        let refuse = |what: &str, error: &io::Error| format!("{}: {what}: {error}", path.display());
        let file = lock(path)?;
        let about = file.metadata().map_err(|error| refuse("it cannot be looked at", &error))?;
        if about.mode() & 0o077 != 0 {
            return Err(format!("{}: others than its owner may use it; run chmod 600 on it", path.display()));
        }
        if is_unfinished(&file).map_err(|error| refuse("it cannot be read", &error))? {
            let file = make(file, slots).map_err(|error| refuse("it cannot be made", &error))?;
            return Ok(Self { file, slots, next: 1, oldest: 1 });
        }
        let had = slots_of(&file).map_err(|problem| format!("{}: {problem}", path.display()))?;
        let next = next_number(&file, had).map_err(|error| refuse("it cannot be read", &error))?;
        let ring = Self { file, slots: had, next, oldest: next.saturating_sub(had).max(1) };
        if had == slots {
            return Ok(ring);
        }
        ring.resized(path, slots).map_err(|error| refuse("it cannot be brought to history_size", &error))
    }

    /// The number of the newest attempt, 0 if there is none.
    pub(super) const fn newest(&self) -> u64 {
        self.next - 1
    }

    /// The number that the next attempt gets.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// Writes the next attempt's slot; it is visible to readers at once, and on disk after [`Ring::sync`].
    pub(super) fn append(&mut self, slot: &Slot) -> io::Result<()> {
        self.file.write_all_at(slot, offset(self.next, self.slots))?;
        self.next += 1;
        Ok(())
    }

    /// Brings what was written to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Erases attempts decided before `moment` from the oldest on, some thousands at most. Tells whether any was.
    pub(super) fn erase_before(&mut self, moment: u64) -> io::Result<bool> {
        let mut erased = false;
        self.oldest = self.oldest.max(self.next.saturating_sub(self.slots));
        for number in (self.oldest..self.next).take(ERASED_AT_ONCE as usize) {
            let place = offset(number, self.slots);
            let mut slot = [0; SLOT];
            self.file.read_exact_at(&mut slot, place)?;
            if decode(&slot).is_some_and(|attempt| attempt.at >= moment) {
                break;
            }
            if slot != [0; SLOT] {
                self.file.write_all_at(&[0; SLOT], place)?;
                erased = true;
            }
            self.oldest = number + 1;
        }
        Ok(erased)
    }

    fn resized(self, path: &Path, slots: u64) -> io::Result<Self> {
        let fresh: PathBuf = beside(path, ".new");
        let _ = std::fs::remove_file(&fresh);
        let file = lock(&fresh).map_err(io::Error::other)?;
        let file = make(file, slots)?;
        for number in self.next.saturating_sub(slots.min(self.slots)).max(1)..self.next {
            let mut slot = [0; SLOT];
            self.file.read_exact_at(&mut slot, offset(number, self.slots))?;
            file.write_all_at(&slot, offset(number, slots))?;
        }
        file.sync_all()?;
        std::fs::rename(&fresh, path)?;
        let oldest = self.next.saturating_sub(slots).max(1);
        Ok(Self { file, slots, next: self.next, oldest })
    }
}

fn offset(number: u64, slots: u64) -> u64 {
    HISTORY_HEADER + number % slots * SLOT as u64
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn lock(path: &Path) -> Result<Flock<File>, String> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(nix::libc::O_NOFOLLOW)
        .open(path)
        .map_err(|error| format!("{}: it cannot be opened: {error}; see [audit] history", path.display()))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| {
        let why = if errno == Errno::EWOULDBLOCK {
            "another twinlockd writes it; give this one an [audit] history of its own".to_owned()
        } else {
            format!("it cannot be locked: {errno}")
        };
        format!("{}: {why}", path.display())
    })
}

/// Whether it is empty, or its making was cut short before it had a header.
fn is_unfinished(file: &File) -> io::Result<bool> {
    let mut header = [0; HEADER];
    match file.read_exact_at(&mut header, 0) {
        Ok(()) => Ok(header == [0; HEADER]),
        Err(_) => Ok(file.metadata()?.len() == 0),
    }
}

/// Takes all the space, then writes the header: a file without one was not finished.
fn make(file: Flock<File>, slots: u64) -> io::Result<Flock<File>> {
    let length = HISTORY_HEADER + slots * SLOT as u64;
    if let Err(errno) = posix_fallocate(&*file, 0, i64::try_from(length).map_err(io::Error::other)?) {
        // What there was room for would keep it from the others.
        file.set_len(0)?;
        return Err(errno.into());
    }
    let mut header = Vec::from(MAGIC);
    header.extend(LAYOUT.to_le_bytes());
    header.extend(slots.to_le_bytes());
    header.extend(checksum(&header));
    file.write_all_at(&header, 0)?;
    file.sync_all()?;
    Ok(file)
}

/// How many slots a file has by its header.
fn slots_of(file: &File) -> Result<u64, String> {
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, 0).map_err(|error| format!("it cannot be read: {error}"))?;
    let foreign =
        || "it is no history of Twinlock, or damaged; move it away, and a new one is made".to_owned();
    let (said, check) = header.split_at(HEADER - 8);
    let (layout, slots) =
        said.strip_prefix(MAGIC).and_then(|rest| rest.split_at_checked(4)).ok_or_else(foreign)?;
    if checksum(said) != *check || layout != LAYOUT.to_le_bytes() {
        return Err(foreign());
    }
    let slots = u64::from_le_bytes(slots.try_into().map_err(|_| foreign())?);
    if slots == 0 { Err(foreign()) } else { Ok(slots) }
}

/// One more than the highest number of a whole slot in its right place.
fn next_number(file: &File, slots: u64) -> io::Result<u64> {
    let mut numbers = Vec::new();
    for first in (0..slots).step_by(CHUNK as usize) {
        let bytes = read_slots(file, first, CHUNK.min(slots - first))?;
        for (index, slot) in (first..).zip(bytes.chunks_exact(SLOT)) {
            numbers.extend(number(slot).filter(|number| number % slots == index));
        }
    }
    numbers.sort_unstable();
    for number in numbers.into_iter().rev() {
        if decode(&read_slots(file, number % slots, 1)?).is_some() {
            return Ok(number + 1);
        }
    }
    Ok(1)
}

fn read_slots(file: &File, first: u64, count: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(count).unwrap_or(0) * SLOT];
    file.read_exact_at(&mut bytes, HISTORY_HEADER + first * SLOT as u64)?;
    Ok(bytes)
}

/// The file, open for reading, beside whoever writes it.
pub(super) struct Reader {
    file: File,
    slots: u64,
}

impl Reader {
    /// # Errors
    /// What is wrong, and the remedy.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let file =
            File::open(path).map_err(|error| format!("{}: it cannot be read: {error}", path.display()))?;
        let slots = slots_of(&file).map_err(|problem| format!("{}: {problem}", path.display()))?;
        Ok(Self { file, slots })
    }

    /// The lowest number that may be there while `newest` is the highest.
    pub(super) const fn oldest(&self, newest: u64) -> u64 {
        let oldest = (newest + 1).saturating_sub(self.slots);
        if oldest == 0 { 1 } else { oldest }
    }

    /// The attempts with these numbers, in order, as many as are whole. Slots that are being overwritten are none.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn read(
        &self,
        numbers: std::ops::RangeInclusive<u64>,
    ) -> io::Result<Vec<twinlock_control::RecordedAttempt>> {
        let mut found = Vec::new();
        let (mut number, last) = numbers.into_inner();
        while number <= last {
            let first = number % self.slots;
            let count = CHUNK.min(last - number + 1).min(self.slots - first);
            let bytes = read_slots(&self.file, first, count)?;
            let whole = (number..).zip(bytes.chunks_exact(SLOT));
            found.extend(
                whole.filter_map(|(number, slot)| decode(slot).filter(|attempt| attempt.number == number)),
            );
            number += count;
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::super::slot::encode;
    use super::*;
    use twinlock_control::RecordedAttempt;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("twinlock-history-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self) -> PathBuf {
            self.0.join("history")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn private(path: &Path) {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn fill(ring: &mut Ring, count: u64) {
        for _ in 0..count {
            let number = ring.next();
            ring.append(&encode(&RecordedAttempt {
                number,
                at: 1000 + number,
                ..RecordedAttempt::default()
            }))
            .unwrap();
        }
    }

    fn numbers(path: &Path, newest: u64) -> Vec<u64> {
        let reader = Reader::open(path).unwrap();
        let found = reader.read(reader.oldest(newest)..=newest).unwrap();
        found.iter().map(|attempt| attempt.number).collect()
    }

    #[test]
    fn the_newest_are_kept_and_the_file_never_grows() {
        let folder = Folder::new("round");
        let mut ring = Ring::open(&folder.file(), 10).unwrap();
        let length = std::fs::metadata(folder.file()).unwrap().len();
        assert!(numbers(&folder.file(), ring.newest()).is_empty());
        fill(&mut ring, 4);
        assert_eq!(numbers(&folder.file(), ring.newest()), [1, 2, 3, 4]);
        fill(&mut ring, 29);
        assert_eq!(numbers(&folder.file(), ring.newest()), (24..=33).collect::<Vec<_>>());
        let about = std::fs::metadata(folder.file()).unwrap();
        assert_eq!((about.len(), about.mode() & 0o777), (length, 0o600));
        assert!(about.blocks() * 512 >= length, "its space is taken");
        drop(ring);
        let mut ring = Ring::open(&folder.file(), 10).unwrap();
        assert_eq!(ring.newest(), 33);
        fill(&mut ring, 1);
        assert_eq!(numbers(&folder.file(), ring.newest()), (25..=34).collect::<Vec<_>>());
    }

    #[test]
    fn a_torn_record_is_skipped_and_nothing_older_is_lost() {
        let folder = Folder::new("torn");
        let mut ring = Ring::open(&folder.file(), 10).unwrap();
        fill(&mut ring, 13);
        // What a crash leaves of a write: the new number in front of the older attempt's rest.
        let torn = encode(&RecordedAttempt { number: 14, at: 9, ..RecordedAttempt::default() });
        ring.file.write_all_at(&torn[..16], offset(14, 10)).unwrap();
        drop(ring);
        let mut ring = Ring::open(&folder.file(), 10).unwrap();
        assert_eq!(ring.newest(), 13);
        assert_eq!(numbers(&folder.file(), 13), (5..=13).collect::<Vec<_>>(), "4 gave its slot");
        fill(&mut ring, 1);
        assert_eq!(numbers(&folder.file(), 14), (5..=14).collect::<Vec<_>>());
    }

    #[test]
    fn another_size_keeps_the_newest() {
        let folder = Folder::new("size");
        let mut ring = Ring::open(&folder.file(), 10).unwrap();
        fill(&mut ring, 25);
        drop(ring);
        for (slots, kept) in [(20, 16..=25), (3, 23..=25), (10, 23..=25)] {
            let ring = Ring::open(&folder.file(), slots).unwrap();
            assert_eq!(numbers(&folder.file(), ring.newest()), kept.collect::<Vec<_>>());
            assert!(!beside(&folder.file(), ".new").exists());
        }
    }

    #[test]
    fn the_old_are_erased_and_the_bytes_are_gone() {
        let folder = Folder::new("old");
        let mut ring = Ring::open(&folder.file(), 10).unwrap();
        fill(&mut ring, 14);
        assert!(ring.erase_before(1010).unwrap());
        assert_eq!(numbers(&folder.file(), 14), [10, 11, 12, 13, 14]);
        assert!(!ring.erase_before(1010).unwrap(), "once");
        assert!(read_slots(&ring.file, 9, 1).unwrap().iter().all(|byte| *byte == 0));
        drop(ring);
        assert_eq!(Ring::open(&folder.file(), 10).unwrap().newest(), 14);
    }

    #[test]
    fn one_whose_making_was_cut_short_is_made_anew() {
        let folder = Folder::new("short");
        std::fs::write(folder.file(), [0; 5000]).unwrap();
        private(&folder.file());
        let mut ring = Ring::open(&folder.file(), 100).unwrap();
        fill(&mut ring, 1);
        assert_eq!(numbers(&folder.file(), 1), [1]);
    }

    #[test]
    fn a_second_writer_and_a_foreign_file_are_refused() {
        let folder = Folder::new("foreign");
        let ring = Ring::open(&folder.file(), 10).unwrap();
        assert!(Ring::open(&folder.file(), 10).err().unwrap().contains("another twinlockd"));
        drop(ring);
        std::fs::write(folder.file(), [7; 5000]).unwrap();
        private(&folder.file());
        assert!(Ring::open(&folder.file(), 10).err().unwrap().contains("no history"));
        assert_eq!(std::fs::read(folder.file()).unwrap(), [7; 5000], "it is left alone");
    }
}
