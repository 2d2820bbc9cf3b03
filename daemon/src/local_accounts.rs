//! Which names are this host's own. A directory entry that bears one, or a uid that is not for people, gains nothing.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// The names in a passwd(5) file, read again whenever it changes.
pub struct LocalAccounts {
    path: PathBuf,
    read: Mutex<Option<(Stamp, HashSet<String>)>>,
}

type Stamp = (SystemTime, u64);

impl LocalAccounts {
    /// Usually `/etc/passwd`. Nothing is read yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), read: Mutex::new(None) }
    }

    /// Whether `name`, whatever its case, is a local account's.
    ///
    /// # Errors
    /// The file cannot be read: then nobody can be told from a local account, and nobody may be let in.
    pub fn contains(&self, name: &str) -> io::Result<bool> {
        let meta = std::fs::metadata(&self.path)?;
        let stamp = (meta.modified()?, meta.len());
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((then, names)) = read.as_ref()
            && *then == stamp
        {
            return Ok(names.contains(&name.to_lowercase()));
        }
        let text = std::fs::read(&self.path)?;
        let names: HashSet<String> = text
            .split(|byte| *byte == b'\n')
            .filter_map(|line| line.split(|byte| *byte == b':').next())
            .filter(|name| !name.is_empty())
            .map(|name| String::from_utf8_lossy(name).to_lowercase())
            .collect();
        let found = names.contains(&name.to_lowercase());
        *read = Some((stamp, names));
        Ok(found)
    }
}

/// Whether a directory's uidNumber may belong to a person: at least 1000, and outside 61184 to 65519, where systemd
/// hands out dynamic users.
#[must_use]
pub fn is_uid_for_people(uid: u32) -> bool {
    uid >= 1000 && !(61_184..=65_519).contains(&uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_name_is_known_whatever_its_case_and_changes_are_seen() {
        let path = std::env::temp_dir().join(format!("twinlock-passwd-{}", std::process::id()));
        std::fs::write(&path, "root:x:0:0::/root:/bin/sh\ndaemon:x:1:1::/:/bin/false\n").unwrap();
        let accounts = LocalAccounts::new(&path);
        assert!(accounts.contains("root").unwrap());
        assert!(accounts.contains("ROOT").unwrap());
        assert!(!accounts.contains("alice").unwrap());
        std::fs::write(&path, "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n").unwrap();
        assert!(accounts.contains("alice").unwrap());
        std::fs::remove_file(&path).unwrap();
        assert!(accounts.contains("alice").is_err());
    }

    #[test]
    fn system_uids_are_not_for_people() {
        for (uid, fit) in [
            (0, false),
            (999, false),
            (1000, true),
            (61_183, true),
            (61_184, false),
            (65_519, false),
            (65_520, true),
        ] {
            assert_eq!(is_uid_for_people(uid), fit, "{uid}");
        }
    }
}
