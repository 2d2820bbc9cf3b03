//! What an entry's attributes say about its account: disabled, expired, must change, about to expire. Pure: the time
//! is given.
//!
//! A lock that failed binds brought about is not read here. Only a bind tells of it, so that strangers cannot stop a
//! login that uses no password.

use twinlock_config::AccountState;

const DAY: i64 = 86_400;

/// How long before Active Directory's expiry a login is told; the other kinds say it themselves.
const WARN: i64 = 14 * DAY;

/// Why an account may not log in, whatever is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bar {
    /// An administrator has taken it out of use.
    Disabled,
    /// Its last day is over.
    AccountExpired,
    /// Its password is too old to be changed by its owner.
    PasswordExpired,
    /// It is locked: by an administrator, or by failed binds.
    Locked,
    /// Not at this hour.
    OutsideHours,
    /// Only from hosts that this one is none of.
    OtherHosts,
}

/// What is to be said of the password. The later, the worse.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum PasswordAge {
    /// Nothing.
    #[default]
    Fine,
    /// It expires in so many seconds.
    ExpiresIn(u64),
    /// It has expired and serves for so many further logins.
    GraceLeft(u32),
    /// It must be changed before anything else.
    MustChange,
}

/// How an account stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Why it may not log in.
    pub bar: Option<Bar>,
    /// Its password.
    pub password: PasswordAge,
}

impl Standing {
    pub(crate) const fn barred(bar: Bar) -> Self {
        Self { bar: Some(bar), password: PasswordAge::Fine }
    }

    pub(crate) const fn aged(password: PasswordAge) -> Self {
        Self { bar: None, password }
    }

    /// What both say together. What `self` says of the password's remaining time counts, if it says anything.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let both_count =
            matches!((self.password, other.password), (PasswordAge::ExpiresIn(_), PasswordAge::ExpiresIn(_)));
        let password = if both_count { self.password } else { self.password.max(other.password) };
        Self { bar: self.bar.or(other.bar), password }
    }
}

impl PasswordAge {
    /// What a person is told after a grant.
    #[must_use]
    pub fn notice(self) -> Option<String> {
        match self {
            Self::Fine | Self::MustChange => None,
            Self::ExpiresIn(seconds) => Some(match seconds.div_ceil(DAY.unsigned_abs()) {
                0 | 1 => "Your password expires within a day. Change it now.".to_owned(),
                days => format!("Your password expires in {days} days."),
            }),
            Self::GraceLeft(0) => {
                Some("Your password has expired, and this was the last login with it. Change it now.".into())
            }
            Self::GraceLeft(1) => {
                Some("Your password has expired. It serves for one more login. Change it now.".into())
            }
            Self::GraceLeft(left) => {
                Some(format!("Your password has expired. It serves for {left} more logins. Change it now."))
            }
        }
    }
}

/// The attributes that tell it.
pub(crate) const fn attributes(of: AccountState) -> &'static [&'static str] {
    match of {
        AccountState::Shadow => {
            &["shadowLastChange", "shadowMax", "shadowWarning", "shadowInactive", "shadowExpire"]
        }
        AccountState::Ppolicy => &["pwdAccountLockedTime", "pwdReset", "pwdStartTime", "pwdEndTime"],
        AccountState::Ds389 => &["nsAccountLock"],
        AccountState::FreeIpa => &["nsAccountLock", "krbPrincipalExpiration", "krbPasswordExpiration"],
        AccountState::ActiveDirectory => &[
            "userAccountControl",
            "accountExpires",
            "pwdLastSet",
            "msDS-UserPasswordExpiryTimeComputed",
            "logonHours",
        ],
    }
}

/// How an entry stands at `now` (seconds since 1970). `value` gives an attribute's only value.
pub(crate) fn of<'a>(
    states: &[AccountState],
    value: impl Fn(&str) -> Option<&'a [u8]>,
    now: i64,
) -> Standing {
    states.iter().fold(Standing::default(), |standing, state| standing.and(told(*state, &value, now)))
}

fn told<'a>(state: AccountState, value: &impl Fn(&str) -> Option<&'a [u8]>, now: i64) -> Standing {
    let text = |name: &str| value(name).and_then(|bytes| std::str::from_utf8(bytes).ok());
    let number = |name: &str| text(name).and_then(|text| text.trim().parse::<i64>().ok());
    let is_true = |name: &str| text(name).is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let passed = |name: &str| text(name).and_then(generalized).is_some_and(|then| then <= now);
    let bar = |when: bool, bar: Bar| when.then_some(bar);
    match state {
        AccountState::Shadow => {
            let [change, max, warning, inactive, expire] =
                ["shadowLastChange", "shadowMax", "shadowWarning", "shadowInactive", "shadowExpire"]
                    .map(|name| number(name).filter(|days| *days >= 0));
            shadow(Shadow { change, max, warning, inactive, expire }, now / DAY)
        }
        AccountState::Ppolicy => {
            let by_administrator = text("pwdAccountLockedTime") == Some("000001010000Z");
            let not_begun = text("pwdStartTime").and_then(generalized).is_some_and(|then| then > now);
            Standing {
                bar: bar(by_administrator, Bar::Locked)
                    .or(bar(not_begun || passed("pwdEndTime"), Bar::AccountExpired)),
                password: if is_true("pwdReset") { PasswordAge::MustChange } else { PasswordAge::Fine },
            }
        }
        AccountState::Ds389 => {
            Standing { bar: bar(is_true("nsAccountLock"), Bar::Disabled), ..Standing::default() }
        }
        AccountState::FreeIpa => Standing {
            bar: bar(is_true("nsAccountLock"), Bar::Disabled)
                .or(bar(passed("krbPrincipalExpiration"), Bar::AccountExpired)),
            password: if passed("krbPasswordExpiration") {
                PasswordAge::MustChange
            } else {
                PasswordAge::Fine
            },
        },
        AccountState::ActiveDirectory => {
            let expires = number("accountExpires").and_then(filetime);
            let hours = value("logonHours");
            Standing {
                bar: bar(number("userAccountControl").is_some_and(|flags| flags & 2 != 0), Bar::Disabled)
                    .or(bar(expires.is_some_and(|then| then <= now), Bar::AccountExpired))
                    .or(bar(hours.is_some_and(|hours| !within_hours(hours, now)), Bar::OutsideHours)),
                password: active_directory_password(
                    number("pwdLastSet"),
                    number("userAccountControl").unwrap_or(0),
                    number("msDS-UserPasswordExpiryTimeComputed").and_then(filetime),
                    now,
                ),
            }
        }
    }
}

/// shadow(5): days since 1970, and days.
struct Shadow {
    change: Option<i64>,
    max: Option<i64>,
    warning: Option<i64>,
    inactive: Option<i64>,
    expire: Option<i64>,
}

fn shadow(shadow: Shadow, today: i64) -> Standing {
    if shadow.expire.is_some_and(|day| today >= day) {
        return Standing::barred(Bar::AccountExpired);
    }
    let Some(change) = shadow.change else { return Standing::default() };
    if change == 0 {
        return Standing::aged(PasswordAge::MustChange);
    }
    let Some(last) = shadow.max.map(|max| change.saturating_add(max)) else { return Standing::default() };
    if shadow.inactive.is_some_and(|inactive| today > last.saturating_add(inactive)) {
        return Standing::barred(Bar::PasswordExpired);
    }
    if today > last {
        return Standing::aged(PasswordAge::MustChange);
    }
    let left = last - today;
    if shadow.warning.is_some_and(|warning| left < warning) {
        return Standing::aged(PasswordAge::ExpiresIn(left.saturating_mul(DAY).unsigned_abs()));
    }
    Standing::default()
}

/// DONT_EXPIRE_PASSWORD of userAccountControl.
const NEVER_EXPIRES: i64 = 0x1_0000;

fn active_directory_password(set: Option<i64>, flags: i64, expires: Option<i64>, now: i64) -> PasswordAge {
    if flags & NEVER_EXPIRES != 0 {
        return PasswordAge::Fine;
    }
    if set == Some(0) {
        return PasswordAge::MustChange;
    }
    match expires.map(|then| then - now) {
        Some(..=0) => PasswordAge::MustChange,
        Some(left) if left < WARN => PasswordAge::ExpiresIn(left.unsigned_abs()),
        Some(_) | None => PasswordAge::Fine,
    }
}

/// 100 ns since 1601; 0 and the greatest number mean never.
fn filetime(value: i64) -> Option<i64> {
    (value != 0 && value != i64::MAX).then(|| value / 10_000_000 - 11_644_473_600)
}

/// A bit for each hour of the week from Sunday on, in UTC. What has another length says nothing.
fn within_hours(bits: &[u8], now: i64) -> bool {
    // 1970-01-01 was a Thursday.
    let hour = (now.div_euclid(3600) + 4 * 24).rem_euclid(7 * 24);
    let (byte, bit) = (usize::try_from(hour / 8).unwrap_or_default(), hour % 8);
    bits.len() != 21 || bits.get(byte).is_none_or(|bits| bits >> bit & 1 == 1)
}

/// Seconds since 1970 of a GeneralizedTime in UTC, such as `20261125001500Z`; seconds and fractions may be left out.
pub(crate) fn generalized(text: &str) -> Option<i64> {
    let digits = text.strip_suffix('Z')?;
    let digits = digits.split(['.', ',']).next()?;
    if !matches!(digits.len(), 10 | 12 | 14) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize, to: usize| digits.get(from..to).map_or(Some(0), |part| part.parse::<i64>().ok());
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days before the first of March of a year that begins in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year.div_euclid(4) - year.div_euclid(100)
        + year.div_euclid(400)
        + (month * 153 + 2) / 5
        + day
        - 1
        - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[cfg(test)]
#[path = "standing_tests.rs"]
mod tests;
