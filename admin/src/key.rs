//! `key rotate`: a new seal key, in an order in which a crash at any moment loses nothing. The new key is on disk beside
//! the old one before anything is sealed by it, and the daemon finds it there; only then does it take the old one's
//! name. The old one is kept: older backups of the store need it.

use crate::args::Args;
use crate::client::{Client, unexpected};
use crate::outcome::{Answer, Failure};
use crate::terminal;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use twinlock_config::SecretRef;
use twinlock_control::{KeyRotated, Reply, Request};
use zeroize::Zeroizing;

const KEY_BYTES: usize = 32;

pub(crate) fn rotate(args: &Args) -> Result<Answer, Failure> {
    let loaded = twinlock_config::load(&args.config).map_err(Failure::Config)?;
    let mut client = Client::connect(&args.admin_socket()?)?;
    let key = &loaded.config.store.key;
    if let (SecretRef::File(present), SecretRef::File(new)) = (key, key.next()) {
        make(present, &new).map_err(|error| failed(&new, &error))?;
        let rotated = ask(&mut client)?;
        let old = keep(present).map_err(|error| failed(present, &error))?;
        fs::rename(&new, present)
            .and_then(|()| sync_folder(present))
            .map_err(|error| failed(present, &error))?;
        return report(
            args,
            &rotated,
            &format!(
                "{} is the new key: back it up. The old one is {}: older backups of the store need it; delete it with them.",
                present.display(),
                old.display()
            ),
        );
    }
    let rotated = ask(&mut client)?;
    report(
        args,
        &rotated,
        "Now let the unit's LoadCredential give the new key under the present one's name, and restart twinlockd.",
    )
}

fn ask(client: &mut Client) -> Result<KeyRotated, Failure> {
    let Reply::KeyRotated(rotated) = client.ask(&Request::KeyRotate {})? else { return Err(unexpected()) };
    Ok(rotated)
}

fn report(args: &Args, rotated: &KeyRotated, remark: &str) -> Result<Answer, Failure> {
    if args.json {
        terminal::print_json(&Reply::KeyRotated(rotated.clone()))?;
        return Ok(Answer::Yes);
    }
    let what = rotated.seeds.map_or_else(
        || "Everything was sealed by the new key already; what an earlier run began is done now.".to_owned(),
        |seeds| format!("{seeds} seeds are sealed by the new key."),
    );
    terminal::print(&format!("{what}\n{}", terminal::harmless(remark)))?;
    Ok(Answer::Yes)
}

/// Makes the new key's file, with the old one's owner and mode. One that is there was begun with: it is taken.
fn make(present: &Path, new: &Path) -> io::Result<()> {
    let about = fs::metadata(present)?;
    let mut bytes = Zeroizing::new([0; KEY_BYTES]);
    getrandom::fill(bytes.as_mut_slice()).map_err(io::Error::other)?;
    let text = Zeroizing::new(data_encoding::HEXLOWER.encode(bytes.as_slice()) + "\n");
    // Whole or not at all: a key that is cut short must never be found under that name.
    let draft = beside(present, "draft");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    fchown(&file, Some(about.uid()), Some(about.gid()))?;
    file.set_permissions(about.permissions())?;
    file.sync_all()?;
    match fs::hard_link(&draft, new) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => fs::remove_file(&draft)?,
    }
    sync_folder(present)
}

/// Gives the old key a second name that nothing has.
fn keep(present: &Path) -> io::Result<PathBuf> {
    for number in 1.. {
        let old = beside(present, &format!("old.{number}"));
        match fs::hard_link(present, &old) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                if fs::read(&old).map(Zeroizing::new)? == fs::read(present).map(Zeroizing::new)? {
                    return Ok(old);
                }
            }
            done => return done.map(|()| old),
        }
    }
    Err(io::Error::other("there are too many old keys beside it"))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::Unavailable(format!(
        "{}: {error}; nothing is lost: make room or rights, and run twinlock key rotate again",
        path.display()
    ))
}
