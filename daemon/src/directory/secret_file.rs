//! Reads the service account's password. It is kept in memory that is wiped; the copies that `ldap3` makes of a
//! password for a bind are not, and no use of that crate can avoid them.

use super::SetupError;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use twinlock_config::SecretRef;
use zeroize::Zeroizing;

/// The password that `place` holds, without one line end.
///
/// # Errors
/// [`SetupError::BindPassword`]: it cannot be read, everybody on this host can read it, or it is no password.
pub(crate) fn read(place: &SecretRef) -> Result<Zeroizing<String>, SetupError> {
    let (path, credential) = located(place)?;
    let problem = |what: String| SetupError::BindPassword { place: path.display().to_string(), what };
    let metadata = fs::metadata(&path).map_err(|error| problem(format!("cannot be read: {error}")))?;
    if !credential && metadata.mode() & 0o007 != 0 {
        return Err(problem("everybody on this host can get at it; chmod o-rwx it".into()));
    }
    let bytes = Zeroizing::new(fs::read(&path).map_err(|error| problem(format!("cannot be read: {error}")))?);
    let text = std::str::from_utf8(&bytes).map_err(|_| problem("it is not UTF-8".into()))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() || text.contains(['\n', '\0']) {
        return Err(problem("it must hold the password on one line, and nothing else".into()));
    }
    Ok(Zeroizing::new(text.to_owned()))
}

fn located(place: &SecretRef) -> Result<(PathBuf, bool), SetupError> {
    match place {
        SecretRef::File(path) => Ok((path.clone(), false)),
        SecretRef::Credential(name) => {
            let problem = |what: &str| SetupError::BindPassword {
                place: format!("credential \"{name}\""),
                what: what.to_owned(),
            };
            if name.contains('/') || name.is_empty() {
                return Err(problem("a credential's name holds no /"));
            }
            let folder = std::env::var_os("CREDENTIALS_DIRECTORY")
                .ok_or_else(|| problem("systemd gave none; add LoadCredential= to the unit"))?;
            Ok((PathBuf::from(folder).join(name), true))
        }
    }
}
