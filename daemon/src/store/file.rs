//! The store's file: who may open it, how SQLite is set, which tables are in it.
//!
//! Schema changes within a major version only add, so that the previous minor version runs on them.

use super::schema::MIGRATIONS;
use super::{SealKey, StoreError};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// "TWLK": the file is one of ours.
const APPLICATION: i64 = 0x5457_4c4b;
/// Schemas up to this belong to this major version, later ones of which only add.
const LAST_OF_THIS_MAJOR: i64 = 999;
/// The key that seals new seeds.
pub(super) const PRESENT_KEY: i64 = 1;

/// Keeps a second daemon away for as long as it lives.
pub(super) struct Lock {
    _held: Flock<File>,
}

/// Opens the file, makes it where there is none, and brings it to the present schema.
pub(super) fn open(path: &Path, key: &SealKey) -> Result<(Connection, Lock), StoreError> {
    let lock = lock(path)?;
    private_file(path)?;
    let mut db = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(|error| refuse(path, format!("SQLite cannot open it: {error}")))?;
    recognise(path, &db, APPLICATION)?;
    set_up(&db).map_err(|error| refuse(path, format!("SQLite cannot be set up on it: {error}")))?;
    migrate(&mut db, key).map_err(|error| refuse(path, format!("its tables cannot be made: {error}")))?;
    check_key(path, &db, key)?;
    Ok((db, lock))
}

/// Opens a file of another kind, with tables and a lock of its own.
pub(super) fn open_apart(
    path: &Path,
    application: i64,
    tables: &str,
) -> Result<(Connection, Lock), StoreError> {
    let lock = lock(path)?;
    private_file(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(path, flags)
        .map_err(|error| refuse(path, format!("SQLite cannot open it: {error}")))?;
    recognise(path, &db, application)?;
    set_up(&db).map_err(|error| refuse(path, format!("SQLite cannot be set up on it: {error}")))?;
    let mut made = || -> rusqlite::Result<()> {
        let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version > 0 {
            return Ok(());
        }
        let transaction = db.transaction()?;
        transaction.execute_batch(tables)?;
        transaction.pragma_update(None, "application_id", application)?;
        transaction.pragma_update(None, "user_version", 1)?;
        transaction.commit()
    };
    made().map_err(|error| refuse(path, format!("its tables cannot be made: {error}")))?;
    Ok((db, lock))
}

fn refuse(path: &Path, problem: String) -> StoreError {
    StoreError::Open { path: path.to_owned(), problem }
}

fn lock(path: &Path) -> Result<Lock, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock_path = PathBuf::from(name);
    let file = private(&lock_path).map_err(|error| refuse(&lock_path, remedy(&error)))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(held) => Ok(Lock { _held: held }),
        Err((_, Errno::EWOULDBLOCK)) => Err(refuse(
            path,
            "another twinlockd has this store open; stop it first, or give this one a [store] path of its own"
                .into(),
        )),
        Err((_, errno)) => Err(refuse(&lock_path, format!("it cannot be locked: {errno}"))),
    }
}

fn private_file(path: &Path) -> Result<(), StoreError> {
    let file = private(path).map_err(|error| refuse(path, remedy(&error)))?;
    let about = file.metadata().map_err(|error| refuse(path, remedy(&error)))?;
    if !about.is_file() {
        return Err(refuse(path, "it is no file; set [store] path to one".into()));
    }
    if about.mode() & 0o077 != 0 {
        return Err(refuse(path, "others than its owner may use it; run chmod 600 on it".into()));
    }
    Ok(())
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn remedy(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound {
        return "its folder does not exist; make it, owned by the user twinlockd runs as, with mode 0700"
            .into();
    }
    if error.kind() == io::ErrorKind::PermissionDenied {
        return "the user twinlockd runs as may not read and write it; change its owner".into();
    }
    format!("it cannot be opened: {error}")
}

/// Refuses a database that is not ours before anything is written to it.
fn recognise(path: &Path, db: &Connection, ours: i64) -> Result<(), StoreError> {
    let read = || -> rusqlite::Result<(i64, i64, i64)> {
        Ok((
            db.pragma_query_value(None, "application_id", |row| row.get(0))?,
            db.pragma_query_value(None, "user_version", |row| row.get(0))?,
            db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?,
        ))
    };
    let (application, version, tables) = read().map_err(|error| {
        refuse(path, format!("it is not a readable store ({error}); restore a backup or name another file"))
    })?;
    let fresh = application == 0 && version == 0 && tables == 0;
    if !fresh && application != ours {
        return Err(refuse(path, "it is a database, but not a Twinlock store; name another file".into()));
    }
    if version > LAST_OF_THIS_MAJOR {
        return Err(refuse(
            path,
            "a later major version of Twinlock has written it; run that version".into(),
        ));
    }
    Ok(())
}

fn set_up(db: &Connection) -> rusqlite::Result<()> {
    db.busy_timeout(Duration::from_secs(2))?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "foreign_keys", true)?;
    db.pragma_update(None, "trusted_schema", false)?;
    db.pragma_update(None, "cell_size_check", true)?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn migrate(db: &mut Connection, key: &SealKey) -> Result<(), StoreError> {
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for (step, sql) in (1_i64..).zip(MIGRATIONS).filter(|(step, _)| *step > version) {
        let transaction = db.transaction()?;
        transaction.execute_batch(sql)?;
        if step == 1 {
            transaction.pragma_update(None, "application_id", APPLICATION)?;
            transaction.execute(
                "INSERT INTO seal_key VALUES (?1, ?2)",
                params![PRESENT_KEY, key.check_value(PRESENT_KEY)?],
            )?;
        }
        transaction.pragma_update(None, "user_version", step)?;
        transaction.commit()?;
    }
    Ok(())
}

fn check_key(path: &Path, db: &Connection, key: &SealKey) -> Result<(), StoreError> {
    let check_value: Option<Vec<u8>> = db
        .query_row("SELECT check_value FROM seal_key WHERE id = ?1", [PRESENT_KEY], |row| row.get(0))
        .optional()?;
    if check_value.is_some_and(|value| key.made(PRESENT_KEY, &value)) {
        return Ok(());
    }
    Err(StoreError::OtherKey { path: path.to_owned() })
}
