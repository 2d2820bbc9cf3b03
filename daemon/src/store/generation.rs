//! A restored store is noticed. The store holds a random word that changes with each start, each minute and each stop; a
//! file elsewhere, which is not restored with it, says which words are the latest. While they disagree, codes that were
//! used since the copy was made would be taken again: so none is taken, until an administrator accepts the copy.
//!
//! The words change in this order: the file names the old and the new one, the store takes the new one, the file forgets
//! the old one. Wherever that ends, the file names the one that the store holds.

use super::writer::Room;
use super::{Store, StoreError, invitations, recovery, sql_int, uint};
use crate::clock::{Now, WallTime};
use rusqlite::params;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// A random word in hexadecimal; `-` stands for a store that has none yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word(String);

const WORD_BYTES: usize = 16;
/// Longer than any file of ours.
const MOST_BYTES: u64 = 4096;
const HEAD: &str =
    "# Twinlock: which store is the latest one. Do not back this up or restore it together with the store.\n";

impl Word {
    fn none() -> Self {
        Self("-".into())
    }

    fn random() -> Result<Self, StoreError> {
        let mut bytes = [0; WORD_BYTES];
        getrandom::fill(&mut bytes).map_err(|_| StoreError::NoRandom)?;
        Ok(Self(format!("{:032x}", u128::from_be_bytes(bytes))))
    }

    fn parse(line: &str) -> Option<Self> {
        let hex = line.len() == 2 * WORD_BYTES && line.bytes().all(|byte| byte.is_ascii_hexdigit());
        (hex || line == "-").then(|| Self(line.to_owned()))
    }
}

/// The file beside which the store is compared.
pub struct Generation {
    path: PathBuf,
    /// One changes the words at a time.
    pub(super) changing: Arc<Mutex<()>>,
}

/// Held until a write has ended, also if nobody waits for it any more.
type Alone = OwnedMutexGuard<()>;

/// The file cannot be used.
#[derive(Debug)]
pub struct GenerationError {
    path: PathBuf,
    error: io::Error,
}

impl fmt::Display for GenerationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}; the user twinlockd runs as must be able to make files in its folder; name one that is not backed up \
             with the store, such as /var/lib/twinlock-generation/generation",
            self.path.display(),
            self.error
        )
    }
}

impl std::error::Error for GenerationError {}

impl Generation {
    /// Compares the store with the file. If they disagree, [`Store::is_restored`] says so from then on. Changes nothing.
    ///
    /// # Errors
    /// The file is there and cannot be read, or its folder takes no files.
    pub fn compare(path: &Path, store: &Store, held: &Held) -> Result<Self, GenerationError> {
        let at = |error| GenerationError { path: path.to_owned(), error };
        let words = read(path).map_err(at)?;
        let new_here = words.is_empty() && held.word == Word::none();
        if !(new_here || held.empty || words.contains(&held.word)) {
            store.note_restored();
        }
        // That it can be written is known before anybody depends on it.
        write(path, &words).map_err(at)?;
        Ok(Self { path: path.to_owned(), changing: Arc::default() })
    }

    /// Changes the words, so that every copy of the store made before is an old one. Does nothing while it is restored.
    ///
    /// # Errors
    /// They could not be changed; the file names the word that the store holds all the same.
    pub async fn move_on(&self, store: &Store) -> Result<(), StoreError> {
        let alone = Arc::clone(&self.changing).lock_owned().await;
        if store.is_restored() {
            return Ok(());
        }
        let (held, next) = (store.word().await?, Word::random()?);
        let alone = self.name(alone, vec![held, next.clone()]).await?;
        store.take_word(next.clone()).await?;
        self.name(alone, vec![next]).await.map(drop)
    }

    /// An administrator accepts the copy: see [`accept`]. Tells how many authenticators there are; `None` if the store is
    /// no copy.
    ///
    /// # Errors
    /// It is not accepted; what the store held before it holds still.
    pub async fn accept(&self, store: &Store, now: Now) -> Result<Option<u64>, StoreError> {
        let alone = Arc::clone(&self.changing).lock_owned().await;
        if !store.is_restored() {
            return Ok(None);
        }
        let next = Word::random()?;
        // The words of the file stay until the copy is made safe: it is no word of theirs that the copy holds.
        let mut words = read(&self.path).map_err(|error| self.failed(&error))?;
        words.push(next.clone());
        let alone = self.name(alone, words).await?;
        let authenticators = store.accept_copy(next.clone(), now).await?;
        // If the old words stay, they go when the words change next.
        let _ = self.name(alone, vec![next]).await;
        Ok(Some(authenticators))
    }

    async fn name(&self, alone: Alone, words: Vec<Word>) -> Result<Alone, StoreError> {
        let path = self.path.clone();
        let written = tokio::task::spawn_blocking(move || write(&path, &words).map(|()| alone)).await;
        written
            .unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into()))
            .map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &io::Error) -> StoreError {
        StoreError::Database(format!("{}: {error}", self.path.display()))
    }
}

/// What is no such file names no word: then it agrees with no store that holds one.
fn read(path: &Path) -> io::Result<Vec<Word>> {
    let mut text = String::new();
    match File::open(path) {
        Ok(file) => {
            file.take(MOST_BYTES).read_to_string(&mut text).map(drop).or_else(|error| {
                if error.kind() == io::ErrorKind::InvalidData { Ok(()) } else { Err(error) }
            })?
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(text.lines().filter_map(Word::parse).collect())
}

/// Whole or not at all, and on disk.
fn write(path: &Path, words: &[Word]) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    let lines: String = words.iter().map(|word| format!("{}\n", word.0)).collect();
    file.write_all(HEAD.as_bytes())?;
    file.write_all(lines.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    File::open(path.parent().unwrap_or_else(|| Path::new("/")))?.sync_all()
}

/// What the store holds when it is opened.
#[derive(Debug)]
pub struct Held {
    word: Word,
    /// Without an authenticator, a recovery code, an invitation, a place and a lock nothing in it could be good again:
    /// such a store is nobody's copy.
    empty: bool,
}

/// Reads it.
pub(super) fn held(room: &Room) -> Result<Held, StoreError> {
    let takes_codes: bool = room.db.query_row(
        "SELECT EXISTS (SELECT 1 FROM authenticator) OR EXISTS (SELECT 1 FROM recovery_code) \
         OR EXISTS (SELECT 1 FROM invitation) OR EXISTS (SELECT 1 FROM earned) OR EXISTS (SELECT 1 FROM disabled)",
        [],
        |row| row.get(0),
    )?;
    Ok(Held { word: word(room)?, empty: !takes_codes })
}

/// The word it holds now.
pub(super) fn word(room: &Room) -> Result<Word, StoreError> {
    let word: Option<String> = room.db.query_row("SELECT generation FROM progress", [], |row| row.get(0))?;
    Ok(word.map_or_else(Word::none, Word))
}

/// Holds another one from now on.
pub(super) fn take(room: &Room, word: &Word) -> Result<(), StoreError> {
    room.db.prepare_cached("UPDATE progress SET generation = ?1")?.execute([&word.0])?;
    Ok(())
}

/// Makes a copy safe and takes it for the latest store: every code up to the last that is accepted now counts as used, and
/// what else would work a second time is gone. Tells how many authenticators there are.
pub(super) fn accept(room: &Room, word: &Word, wall: WallTime) -> Result<u64, StoreError> {
    void_what_works_once(room)?;
    let raised = room.db.execute(
        "UPDATE authenticator SET used_step = max(used_step, ?1 / step_s + ?2)",
        params![sql_int(wall.0), room.window_steps],
    )?;
    take(room, word)?;
    Ok(uint(i64::try_from(raised).unwrap_or(i64::MAX)))
}

/// What is used up or earned, besides steps, and is in the copy as it was then: an enrolment that waits for its first
/// code, recovery codes, invitations, places.
fn void_what_works_once(room: &Room) -> Result<(), StoreError> {
    room.db.execute("DELETE FROM authenticator WHERE state = 'pending'", [])?;
    recovery::void_all(room)?;
    invitations::void_all(room)?;
    room.db.execute("DELETE FROM earned", [])?;
    Ok(())
}
