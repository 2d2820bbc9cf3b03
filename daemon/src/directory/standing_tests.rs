//! Each state, from the attributes that tell it.

use super::*;

/// 2026-11-25 00:15:00 UTC, a Wednesday.
const NOW: i64 = 1_795_565_700;
const TODAY: i64 = NOW / DAY;

fn stands(state: AccountState, entry: &[(&str, &str)]) -> Standing {
    of(&[state], |name| entry.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_bytes()), NOW)
}

#[test]
fn a_generalized_time_is_read_to_the_second() {
    for (text, seconds) in [
        ("19700101000000Z", 0),
        ("20261125001500Z", NOW),
        ("202611250015Z", NOW),
        ("20261125001500.123456Z", NOW),
        ("2000022900Z", 951_782_400),
        ("16010101000000Z", -11_644_473_600),
    ] {
        assert_eq!(generalized(text), Some(seconds), "{text}");
    }
    for odd in ["", "Z", "20261125001500", "20261325001500Z", "2026112500150Z", "20261125001500+0100", "x"] {
        assert_eq!(generalized(odd), None, "{odd}");
    }
}

#[test]
fn shadow_attributes_count_days_as_shadow_5_does() {
    let day = |offset: i64| (TODAY + offset).to_string();
    let aged = |change: i64, more: &[(&str, &str)]| {
        let change = day(change);
        let mut entry = vec![("shadowLastChange", change.as_str()), ("shadowMax", "90")];
        entry.extend_from_slice(more);
        stands(AccountState::Shadow, &entry)
    };
    assert_eq!(aged(-10, &[]), Standing::default());
    assert_eq!(aged(-90, &[]), Standing::default());
    assert_eq!(aged(-91, &[]), Standing::aged(PasswordAge::MustChange));
    assert_eq!(aged(-91, &[("shadowInactive", "5")]), Standing::aged(PasswordAge::MustChange));
    assert_eq!(aged(-96, &[("shadowInactive", "5")]), Standing::barred(Bar::PasswordExpired));
    assert_eq!(aged(-96, &[("shadowInactive", "-1")]), Standing::aged(PasswordAge::MustChange));
    let three_days = 3 * DAY.unsigned_abs();
    assert_eq!(aged(-87, &[("shadowWarning", "7")]), Standing::aged(PasswordAge::ExpiresIn(three_days)));
    assert_eq!(aged(-80, &[("shadowWarning", "7")]), Standing::default());
    assert_eq!(
        stands(AccountState::Shadow, &[("shadowLastChange", "0")]),
        Standing::aged(PasswordAge::MustChange)
    );
    for (expire, bar) in [(day(0), Some(Bar::AccountExpired)), (day(1), None), ("-1".into(), None)] {
        assert_eq!(stands(AccountState::Shadow, &[("shadowExpire", &expire)]).bar, bar, "{expire}");
    }
}

#[test]
fn a_lock_by_an_administrator_bars_and_one_by_failures_does_not() {
    let locked = |at: &str| stands(AccountState::Ppolicy, &[("pwdAccountLockedTime", at)]).bar;
    assert_eq!(locked("000001010000Z"), Some(Bar::Locked));
    assert_eq!(locked("20261125001400Z"), None);
}

#[test]
fn ppolicy_knows_first_and_last_days_and_a_reset() {
    let stands = |name: &str, value: &str| stands(AccountState::Ppolicy, &[(name, value)]);
    assert_eq!(stands("pwdReset", "TRUE").password, PasswordAge::MustChange);
    assert_eq!(stands("pwdReset", "FALSE"), Standing::default());
    assert_eq!(stands("pwdEndTime", "20261125001459Z").bar, Some(Bar::AccountExpired));
    assert_eq!(stands("pwdEndTime", "20261125001501Z").bar, None);
    assert_eq!(stands("pwdStartTime", "20261125001501Z").bar, Some(Bar::AccountExpired));
}

#[test]
fn nsaccountlock_disables_in_389ds_and_freeipa() {
    for state in [AccountState::Ds389, AccountState::FreeIpa] {
        assert_eq!(stands(state, &[("nsAccountLock", "TRUE")]).bar, Some(Bar::Disabled));
        assert_eq!(stands(state, &[("nsAccountLock", "false")]).bar, None);
    }
    let ipa = |name: &str| stands(AccountState::FreeIpa, &[(name, "20261125000000Z")]);
    assert_eq!(ipa("krbPrincipalExpiration").bar, Some(Bar::AccountExpired));
    assert_eq!(ipa("krbPasswordExpiration").password, PasswordAge::MustChange);
}

fn filetime_at(seconds: i64) -> String {
    ((seconds + 11_644_473_600) * 10_000_000).to_string()
}

#[test]
fn active_directory_tells_by_flags_and_filetimes() {
    let stands = |name: &str, value: &str| stands(AccountState::ActiveDirectory, &[(name, value)]);
    assert_eq!(stands("userAccountControl", "514").bar, Some(Bar::Disabled));
    assert_eq!(stands("userAccountControl", "512").bar, None);
    assert_eq!(stands("accountExpires", &filetime_at(NOW - 1)).bar, Some(Bar::AccountExpired));
    for never in ["0", "9223372036854775807", &filetime_at(NOW + 1)] {
        assert_eq!(stands("accountExpires", never).bar, None, "{never}");
    }
    assert_eq!(stands("pwdLastSet", "0").password, PasswordAge::MustChange);
    let expiry =
        |seconds: i64| stands("msDS-UserPasswordExpiryTimeComputed", &filetime_at(NOW + seconds)).password;
    assert_eq!(expiry(-1), PasswordAge::MustChange);
    assert_eq!(expiry(3 * DAY), PasswordAge::ExpiresIn(3 * DAY.unsigned_abs()));
    assert_eq!(expiry(30 * DAY), PasswordAge::Fine);
}

#[test]
fn logon_hours_are_bits_of_a_week_that_begins_on_sunday_in_utc() {
    let hours = |bits: &[u8]| {
        of(&[AccountState::ActiveDirectory], |name| (name == "logonHours").then_some(bits), NOW).bar
    };
    assert_eq!(hours(&[0; 21]), Some(Bar::OutsideHours));
    assert_eq!(hours(&[0xff; 21]), None);
    assert_eq!(hours(&[0; 20]), None);
    // Wednesday 00:00 is hour 72 of the week.
    let mut only = [0; 21];
    only[9] = 1;
    assert_eq!(hours(&only), None);
    only[9] = 2;
    assert_eq!(hours(&only), Some(Bar::OutsideHours));
}

proptest::proptest! {
    #[test]
    fn no_value_makes_it_stumble(text in ".{0,40}", number in proptest::prelude::any::<i64>()) {
        let _ = generalized(&text);
        let number = number.to_string();
        for state in [AccountState::Shadow, AccountState::Ppolicy, AccountState::FreeIpa, AccountState::ActiveDirectory] {
            let _ = of(&[state], |_| Some(text.as_bytes()), NOW);
            let _ = of(&[state], |_| Some(number.as_bytes()), NOW);
        }
    }
}

#[test]
fn the_worst_of_several_counts() {
    let soon = Standing::aged(PasswordAge::ExpiresIn(5));
    assert_eq!(soon.and(Standing::default()), soon);
    assert_eq!(soon.and(Standing::aged(PasswordAge::ExpiresIn(9))), soon);
    assert_eq!(soon.and(Standing::aged(PasswordAge::MustChange)).password, PasswordAge::MustChange);
    assert_eq!(soon.and(Standing::barred(Bar::Disabled)).bar, Some(Bar::Disabled));
}

#[test]
fn a_notice_counts_days_upwards() {
    assert_eq!(PasswordAge::ExpiresIn(2 * 86_400 + 1).notice().unwrap(), "Your password expires in 3 days.");
    assert_eq!(
        PasswordAge::ExpiresIn(60).notice().unwrap(),
        "Your password expires within a day. Change it now."
    );
    assert_eq!(PasswordAge::Fine.notice(), None);
}
