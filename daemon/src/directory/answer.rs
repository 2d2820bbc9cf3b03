//! What a directory's answer to a bind means: the result code, the controls behind it (ppolicy, and the two older ones of
//! 389 Directory Server), and Active Directory's sub-codes. Pure.
//!
//! An answer that says more than "no" is kept for the record. What it says reaches a person only where the answer also
//! shows that the password was right: everything else would tell strangers how an account stands.

use super::guard;
use super::standing::{Bar, PasswordAge, Standing};
use ldap3::controls::{Control, RawControl};

/// Asks for the ppolicy control in the answer (draft-behera-ldap-password-policy, 6.1).
pub(crate) const PPOLICY: &str = "1.3.6.1.4.1.42.2.27.8.5.1";

/// Netscape's "password expired": comes with a bind that only a change may follow.
const EXPIRED: &str = "2.16.840.1.113730.3.4.4";

/// Netscape's "password expiring": seconds, as text.
const EXPIRING: &str = "2.16.840.1.113730.3.4.5";

/// Result codes of RFC 4511 that say something about a password.
mod code {
    pub(super) const SUCCESS: u32 = 0;
    pub(super) const CONSTRAINT_VIOLATION: u32 = 19;
    pub(super) const NO_SUCH_OBJECT: u32 = 32;
    pub(super) const INAPPROPRIATE_AUTHENTICATION: u32 = 48;
    pub(super) const INVALID_CREDENTIALS: u32 = 49;
    pub(super) const UNWILLING_TO_PERFORM: u32 = 53;
}

/// What an answer says of the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answered {
    /// It is right and the bind was accepted.
    Accepted(Standing),
    /// It is right, and the account is not let in as it stands.
    RightBut(Standing),
    /// It is wrong, or the directory does not say; why it did not look, where it tells.
    Wrong(Option<Bar>),
    /// It says nothing about the password.
    Silent,
}

/// Reads one answer. `sub_codes`: the server is an Active Directory, whose diagnostic messages hold them.
pub(crate) fn read(rc: u32, diagnostic: &str, controls: &[Control], sub_codes: bool) -> Answered {
    let policy = Policy::of(controls);
    match rc {
        code::SUCCESS => Answered::Accepted(Standing::aged(policy.age())),
        code::INVALID_CREDENTIALS if sub_codes => sub_code(diagnostic),
        // Only who has shown the right password is told that it has expired.
        code::INVALID_CREDENTIALS if policy.error == Some(PASSWORD_EXPIRED) => {
            Answered::RightBut(Standing::barred(Bar::PasswordExpired))
        }
        code::UNWILLING_TO_PERFORM if policy.error == Some(ACCOUNT_LOCKED) => {
            Answered::Wrong(Some(Bar::Disabled))
        }
        code::INVALID_CREDENTIALS | code::CONSTRAINT_VIOLATION => {
            Answered::Wrong((policy.error == Some(ACCOUNT_LOCKED)).then_some(Bar::Locked))
        }
        code::UNWILLING_TO_PERFORM | code::INAPPROPRIATE_AUTHENTICATION | code::NO_SUCH_OBJECT => {
            Answered::Wrong(None)
        }
        _ => Answered::Silent,
    }
}

const PASSWORD_EXPIRED: u32 = 0;
const ACCOUNT_LOCKED: u32 = 1;
const CHANGE_AFTER_RESET: u32 = 2;

#[derive(Default)]
struct Policy {
    error: Option<u32>,
    expires_in: Option<u64>,
    grace_left: Option<u32>,
    must_change: bool,
}

impl Policy {
    fn of(controls: &[Control]) -> Self {
        let mut policy = Self::default();
        for Control(_, RawControl { ctype, val, .. }) in controls {
            let value = val.as_deref().unwrap_or_default();
            match ctype.as_str() {
                PPOLICY => policy.read(value),
                EXPIRED => policy.must_change = true,
                EXPIRING => {
                    policy.expires_in = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                }
                _ => {}
            }
        }
        policy
    }

    /// `SEQUENCE { warning [0] CHOICE { timeBeforeExpiration [0], graceAuthNsRemaining [1] }, error [1] }`, lengths in
    /// whatever form. What is no such value says nothing.
    fn read(&mut self, value: &[u8]) {
        let Some(parts) = guard::parts(value, guard::tag::SEQUENCE) else { return };
        for (tag, content) in parts {
            match tag {
                0xa0 => {
                    let Some((kind, number)) = guard::first(content) else { continue };
                    match kind {
                        0x80 => self.expires_in = guard::number(number).map(u64::from),
                        0x81 => self.grace_left = guard::number(number),
                        _ => {}
                    }
                }
                0x81 => self.error = guard::number(content),
                _ => {}
            }
        }
    }

    fn age(&self) -> PasswordAge {
        match (self.error, self.grace_left, self.expires_in) {
            (Some(CHANGE_AFTER_RESET), _, _) => PasswordAge::MustChange,
            // 389 Directory Server says with a grace login, too, that the password has expired.
            (_, Some(left), _) => PasswordAge::GraceLeft(left),
            (_, None, _) if self.must_change => PasswordAge::MustChange,
            (_, None, Some(seconds)) => PasswordAge::ExpiresIn(seconds),
            (_, None, None) => PasswordAge::Fine,
        }
    }
}

/// `80090308: LdapErr: DSID-…, comment: AcceptSecurityContext error, data 52e, v…`: a Win32 error code. Every one but
/// 525, 52e and 775 is given for a right password only.
fn sub_code(diagnostic: &str) -> Answered {
    let data = diagnostic.split_once(", data ").and_then(|(_, rest)| rest.split([',', ' ']).next());
    match data.and_then(|digits| u32::from_str_radix(digits, 16).ok()) {
        Some(0x530) => Answered::RightBut(Standing::barred(Bar::OutsideHours)),
        Some(0x531) => Answered::RightBut(Standing::barred(Bar::OtherHosts)),
        Some(0x532 | 0x773) => Answered::RightBut(Standing::aged(PasswordAge::MustChange)),
        Some(0x533) => Answered::RightBut(Standing::barred(Bar::Disabled)),
        Some(0x701) => Answered::RightBut(Standing::barred(Bar::AccountExpired)),
        Some(0x775) => Answered::Wrong(Some(Bar::Locked)),
        Some(_) | None => Answered::Wrong(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(rc: u32, value: &[u8]) -> Answered {
        let control = RawControl { ctype: PPOLICY.into(), crit: false, val: Some(value.to_vec()) };
        read(rc, "", &[Control(None, control)], false)
    }

    #[test]
    fn the_ppolicy_control_is_read_as_openldap_writes_it() {
        let aged = |age| Answered::Accepted(Standing::aged(age));
        assert_eq!(with(0, b"\x30\0"), aged(PasswordAge::Fine));
        assert_eq!(with(0, b"\x30\x03\x81\x01\x02"), aged(PasswordAge::MustChange));
        assert_eq!(with(0, b"\x30\x05\xa0\x03\x81\x01\x02"), aged(PasswordAge::GraceLeft(2)));
        assert_eq!(with(0, b"\x30\x07\xa0\x05\x80\x03\x01\x51\x54"), aged(PasswordAge::ExpiresIn(86_356)));
        assert_eq!(with(49, b"\x30\x03\x81\x01\x01"), Answered::Wrong(Some(Bar::Locked)));
        let expired = Answered::RightBut(Standing::barred(Bar::PasswordExpired));
        assert_eq!(with(49, b"\x30\x03\x81\x01\0"), expired);
        assert_eq!(with(49, b"\x30\0"), Answered::Wrong(None));
    }

    #[test]
    fn lengths_of_five_bytes_are_read_as_389_directory_server_writes_them() {
        let error = |number: u8| [0x30, 0x84, 0, 0, 0, 3, 0x81, 1, number];
        assert_eq!(with(19, &error(1)), Answered::Wrong(Some(Bar::Locked)));
        assert_eq!(with(53, &error(1)), Answered::Wrong(Some(Bar::Disabled)));
        assert_eq!(with(0, &error(2)), Answered::Accepted(Standing::aged(PasswordAge::MustChange)));
        let grace = b"\x30\x84\0\0\0\x09\xa0\x84\0\0\0\x03\x81\x01\0";
        assert_eq!(with(0, grace), Answered::Accepted(Standing::aged(PasswordAge::GraceLeft(0))));
    }

    #[test]
    fn the_older_controls_of_389_directory_server_are_read_too() {
        let with = |oid: &str, value: &[u8]| {
            let control = RawControl { ctype: oid.into(), crit: false, val: Some(value.to_vec()) };
            read(0, "", &[Control(None, control)], false)
        };
        assert_eq!(with(EXPIRED, b"0"), Answered::Accepted(Standing::aged(PasswordAge::MustChange)));
        assert_eq!(with(EXPIRING, b"3600"), Answered::Accepted(Standing::aged(PasswordAge::ExpiresIn(3600))));
        assert_eq!(with("1.2.3", b"0"), Answered::Accepted(Standing::default()));
    }

    #[test]
    fn a_control_that_is_none_says_nothing() {
        for odd in [
            &b""[..],
            b"\x30",
            b"\x30\x05\x81",
            b"\x31\0",
            b"\x30\x02\x81\0",
            b"\x30\x03\xa0\x01\x80",
            b"\x30\x80",
        ] {
            assert_eq!(with(0, odd), Answered::Accepted(Standing::default()), "{odd:?}");
            assert_eq!(with(49, odd), Answered::Wrong(None), "{odd:?}");
        }
    }

    #[test]
    fn active_directorys_sub_codes_are_read_and_only_there() {
        let text = |data: &str| {
            format!(
                "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data {data}, v1db1"
            )
        };
        let barred = |bar| Answered::RightBut(Standing::barred(bar));
        for (data, means) in [
            ("52e", Answered::Wrong(None)),
            ("525", Answered::Wrong(None)),
            ("775", Answered::Wrong(Some(Bar::Locked))),
            ("530", barred(Bar::OutsideHours)),
            ("531", barred(Bar::OtherHosts)),
            ("533", barred(Bar::Disabled)),
            ("701", barred(Bar::AccountExpired)),
            ("532", Answered::RightBut(Standing::aged(PasswordAge::MustChange))),
            ("773", Answered::RightBut(Standing::aged(PasswordAge::MustChange))),
            ("", Answered::Wrong(None)),
            ("zzz", Answered::Wrong(None)),
        ] {
            assert_eq!(read(49, &text(data), &[], true), means, "{data}");
            assert_eq!(read(49, &text(data), &[], false), Answered::Wrong(None), "{data}");
        }
        assert_eq!(read(49, "", &[], true), Answered::Wrong(None));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_and_no_words_make_it_stumble(
            rc in 0u32..100,
            value in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64),
            words in ".{0,80}",
        ) {
            let of = |oid: &str| Control(None, RawControl { ctype: oid.into(), crit: false, val: Some(value.clone()) });
            let _ = read(rc, &words, &[of(PPOLICY), of(EXPIRING), of(EXPIRED)], rc % 2 == 0);
            // Nothing but a success of the bind itself is taken for one.
            if let Answered::Accepted(_) = read(rc, &words, &[of(PPOLICY)], true) {
                proptest::prop_assert_eq!(rc, 0);
            }
        }
    }

    #[test]
    fn what_is_not_about_the_password_says_nothing() {
        for rc in [1, 2, 8, 13, 50, 51, 52, 80] {
            assert_eq!(read(rc, "", &[], false), Answered::Silent);
        }
    }
}
