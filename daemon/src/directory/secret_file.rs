//! Reads the service account's password. It is kept in memory that is wiped; the copies that `ldap3` makes of a
//! password for a bind are not, and no use of that crate can avoid them.

use super::SetupError;
use twinlock_config::SecretRef;
use zeroize::Zeroizing;

/// The password that `place` holds.
///
/// # Errors
/// [`SetupError::BindPassword`]: it cannot be read, others can get at it, or it is no password.
pub(crate) fn read(place: &SecretRef) -> Result<Zeroizing<String>, SetupError> {
    let problem = |what: String| SetupError::BindPassword { what };
    let bytes = place.read().map_err(|error| problem(error.to_string()))?;
    let text = std::str::from_utf8(&bytes).map_err(|_| problem("it is not UTF-8".into()))?;
    if text.is_empty() || text.contains(['\n', '\0']) {
        return Err(problem("it must hold the password on one line, and nothing else".into()));
    }
    Ok(Zeroizing::new(text.to_owned()))
}
