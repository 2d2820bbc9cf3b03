//! Secrets, read from where the file says they are kept. What was read never stands in an error.

use crate::schema::SecretRef;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Longest secret in bytes.
const MAX_SECRET: usize = 4096;
/// systemd's name for where a unit's credentials lie.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// Why a secret could not be read.
#[derive(Debug)]
pub enum SecretError {
    /// The file is not there or may not be read.
    Unreadable(PathBuf, std::io::Error),
    /// It is a directory, a pipe or a device.
    NotAFile(PathBuf),
    /// More people than its owner and group may read it, or more than its owner may write it.
    TooOpen(PathBuf),
    /// It is empty.
    Empty(PathBuf),
    /// It is longer than 4 KiB.
    TooLong(PathBuf),
    /// A credential is named, but systemd gave this process none.
    NoCredentials(String),
    /// The credential's name holds a slash or is no name.
    BadName(String),
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, error) => write!(f, "{}: cannot be read: {error}", path.display()),
            Self::NotAFile(path) => write!(f, "{}: is not a regular file", path.display()),
            Self::TooOpen(path) => {
                write!(
                    f,
                    "{0}: others may read or change this secret; run: chmod g-w,o-rwx {0}",
                    path.display()
                )
            }
            Self::Empty(path) => write!(f, "{}: is empty; put the secret into it", path.display()),
            Self::TooLong(path) => write!(f, "{}: is longer than 4096 bytes", path.display()),
            Self::NoCredentials(name) => write!(
                f,
                "credential \"{name}\": ${CREDENTIALS} is not set; add LoadCredential={name}:PATH to the unit"
            ),
            Self::BadName(name) => write!(f, "credential {name:?}: this is no name of a credential"),
        }
    }
}

impl std::error::Error for SecretError {}

impl SecretRef {
    /// The secret itself, without one trailing newline. Wiped on drop.
    ///
    /// # Errors
    /// [`SecretError`], which names the path and the remedy and nothing of the content.
    pub fn read(&self) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        self.read_from(std::env::var_os(CREDENTIALS))
    }

    /// Where the secret that is to follow this one is kept: the same place with `.new` behind it.
    #[must_use]
    pub fn next(&self) -> Self {
        match self {
            Self::File(path) => {
                let mut next = path.as_os_str().to_owned();
                next.push(".new");
                Self::File(next.into())
            }
            Self::Credential(name) => Self::Credential(format!("{name}.new")),
        }
    }

    fn read_from(&self, credentials: Option<OsString>) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        match self {
            Self::File(path) => read(path),
            Self::Credential(name) => {
                if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
                    return Err(SecretError::BadName(name.clone()));
                }
                let folder = credentials.ok_or_else(|| SecretError::NoCredentials(name.clone()))?;
                read(&Path::new(&folder).join(name))
            }
        }
    }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let unreadable = |error| SecretError::Unreadable(path.to_owned(), error);
    // Looked at before it is opened: opening a pipe would wait for somebody to write into it.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(SecretError::NotAFile(path.to_owned()));
    }
    let file = File::open(path).map_err(unreadable)?;
    let about = file.metadata().map_err(unreadable)?;
    if !about.is_file() {
        return Err(SecretError::NotAFile(path.to_owned()));
    }
    if about.mode() & 0o027 != 0 {
        return Err(SecretError::TooOpen(path.to_owned()));
    }
    // Of its final size from the start, so that no outgrown copy is left behind unwiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_SECRET + 2));
    file.take(MAX_SECRET as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > MAX_SECRET {
        return Err(SecretError::TooLong(path.to_owned()));
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    if bytes.is_empty() {
        return Err(SecretError::Empty(path.to_owned()));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_credential_is_read_from_the_folder_that_systemd_made() {
        let folder = std::env::temp_dir().join(format!("twinlock-credentials-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("bind-password");
        std::fs::write(&path, "s3cret\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).unwrap();
        let secret = SecretRef::Credential("bind-password".into());
        let read = secret.read_from(Some(folder.clone().into_os_string()));
        let refusal = secret.read_from(None).unwrap_err().to_string();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(read.unwrap().as_slice(), b"s3cret");
        assert!(refusal.contains("LoadCredential=bind-password:PATH"), "{refusal}");
    }
}
