//! A new password: RFC 3062 on a connection bound with the old one, Active Directory's unicodePwd over TLS. The directory
//! judges both; what it says to a refusal is passed on in its own words, bounded and without control characters.

use super::DirectoryError;
use super::answer::Answered;
use super::pool::Lease;
use super::prove::{bindable, bound};
use crate::attempt::Deadline;
use ldap3::exop::PasswordModify;
use ldap3::{LdapError, LdapResult, Mod};
use std::collections::HashSet;
use twinlock_protocol::Secret;

/// Most characters of a server's words that are shown.
const LONGEST_WORDS: usize = 300;

const LATE: &str = "it did not answer a password's change in time";

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Changed {
    /// It is in force.
    Done,
    /// It is not; why, in the directory's words or ours.
    Refused(String),
}

/// What is asked for.
pub(super) struct Change<'a> {
    pub(super) dn: &'a str,
    pub(super) old: &'a Secret,
    pub(super) new: &'a Secret,
    /// Days since 1970.
    pub(super) today: i64,
}

impl Change<'_> {
    fn both(&self) -> Result<(&str, &str), Changed> {
        let refused = |why: &str| Changed::Refused(why.to_owned());
        let old = bindable(self.old).ok_or_else(|| refused("The current password cannot be one."))?;
        let new = bindable(self.new)
            .ok_or_else(|| refused("A password has 1 to 511 bytes of UTF-8, without NUL."))?;
        Ok((old, new))
    }
}

/// Binds with the old password, and asks for the new one there. `shadow`: the day goes into shadowLastChange, which the
/// directory does not write by itself; entries without it, and those that may not, are left as they are.
pub(super) async fn rfc3062(
    lease: Lease,
    change: &Change<'_>,
    shadow: bool,
    deadline: Deadline,
) -> Result<Changed, DirectoryError> {
    let (old, new) = match change.both() {
        Ok(both) => both,
        Err(refused) => return Ok(refused),
    };
    let (answered, mut lease) = bound(lease, change.dn, old, deadline).await?;
    if !matches!(answered, Answered::Accepted(_)) {
        return Ok(Changed::Refused("The directory does not take the current password.".into()));
    }
    let request = PasswordModify { user_id: Some(change.dn), old_pass: Some(old), new_pass: Some(new) };
    let asked = deadline.bound(lease.link.ldap().extended(request)).await;
    let changed = match asked {
        Some(answer) => outcome(&lease, answer.map(|answer| answer.1))?,
        None => return Err(unknown(lease.failed(LATE.into()))),
    };
    if changed == Changed::Done && shadow {
        let day = HashSet::from([change.today.to_string().into_bytes()]);
        let modification = vec![Mod::Replace(b"shadowLastChange".to_vec(), day)];
        let _ = deadline.bound(lease.link.ldap().modify(change.dn, modification)).await;
    }
    Ok(changed)
}

/// Takes the old value away and adds the new one, in one modification by the service account: Active Directory looks at
/// the old one itself. An account that must change its password cannot bind.
pub(super) async fn active_directory(
    mut lease: Lease,
    change: &Change<'_>,
    deadline: Deadline,
) -> Result<Changed, DirectoryError> {
    let (old, new) = match change.both() {
        Ok(both) => both,
        Err(refused) => return Ok(refused),
    };
    if !lease.is_over_tls() {
        return Err(DirectoryError::unavailable("unicodePwd is sent over TLS only; set tls.mode"));
    }
    let value = |password: &str| HashSet::from([unicode(password)]);
    let modification =
        vec![Mod::Delete(b"unicodePwd".to_vec(), value(old)), Mod::Add(b"unicodePwd".to_vec(), value(new))];
    let asked = deadline.bound(lease.link.ldap().modify(change.dn, modification)).await;
    let changed = match asked {
        Some(answer) => outcome(&lease, answer)?,
        None => return Err(unknown(lease.failed(LATE.into()))),
    };
    lease.give_back();
    Ok(changed)
}

fn outcome(lease: &Lease, answer: Result<LdapResult, LdapError>) -> Result<Changed, DirectoryError> {
    match answer {
        Ok(LdapResult { rc: 0, .. }) => Ok(Changed::Done),
        Ok(LdapResult { rc, text, .. }) => Ok(Changed::Refused(words(rc, &text))),
        Err(error) => Err(unknown(lease.said(&lease.link.end(error)))),
    }
}

fn unknown(reason: String) -> DirectoryError {
    DirectoryError::Unavailable {
        reason: format!("{reason}; the password may have been changed"),
        bind_sent: true,
    }
}

/// In quotation marks and UTF-16, as Active Directory wants it.
fn unicode(password: &str) -> Vec<u8> {
    let quoted = std::iter::once('"').chain(password.chars()).chain(std::iter::once('"'));
    let mut units = [0; 2];
    let mut bytes = Vec::with_capacity(2 * password.len() + 4);
    for character in quoted {
        bytes.extend(character.encode_utf16(&mut units).iter().flat_map(|unit| unit.to_le_bytes()));
    }
    bytes
}

/// What the server says, fit to be shown: no control characters, none that turn the writing's direction.
fn words(rc: u32, text: &str) -> String {
    let fit = |letter: char| {
        let turns =
            matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if letter.is_control() || turns { ' ' } else { letter }
    };
    let said: String = text.chars().map(fit).take(LONGEST_WORDS).collect();
    let said = said.trim();
    if said.is_empty() {
        format!("The directory refuses the new password (result code {rc}).")
    } else {
        format!("The directory refuses the new password: {said}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_words_are_bounded_and_cannot_play_with_a_terminal() {
        let said = words(19, "too \u{1b}[31mshort\n\u{202e}txt\0");
        assert_eq!(said, "The directory refuses the new password: too  [31mshort  txt");
        assert!(words(19, &"x".repeat(10_000)).chars().count() < 400);
        assert_eq!(words(53, " \n"), "The directory refuses the new password (result code 53).");
    }

    #[test]
    fn a_unicode_password_stands_in_quotation_marks() {
        assert_eq!(unicode("aß"), b"\"\0a\0\xdf\0\"\0");
    }
}
