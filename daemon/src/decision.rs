//! What can come of an attempt, and why. The reason goes into the audit record; a caller never learns it.

use crate::directory::Bar;
use crate::grant::Grant;
use twinlock_protocol::{Standing, Verdict};

/// What came of an attempt.
#[derive(Debug)]
#[must_use]
pub enum Decision {
    /// Everything the rule asks was proved.
    Grant(Grant),
    /// It was not.
    Deny(Reason),
    /// It could not be decided; no secret was found wrong.
    Unavailable(Reason),
}

/// Why. The words stand in docs/contracts.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The rule is met.
    RuleMet,
    /// An emergency password was spent.
    EmergencyPassword,
    /// The bytes given cannot be anybody's name.
    UnusableName,
    /// sshd refuses this account by itself and sent its marker instead of what was typed.
    RefusedBySshd,
    /// No directory entry bears the name.
    UnknownAccount,
    /// The entry bears a local account's name or a uid that is not for people.
    PosesAsLocal,
    /// Two entries bear the name.
    AmbiguousName,
    /// The entry lacks what an account needs.
    UnfitEntry,
    /// The rule asks what nobody was asked for: the questions rested on earned places that this account has not.
    NotAsked,
    /// A rule denies.
    DeniedByRule,
    /// No rule matches.
    NoRule,
    /// Too many failures from this address; nothing was compared.
    PrefixClosed,
    /// Too many failures in this account lane; nothing was compared.
    LaneClosed,
    /// All slots of the lane were taken; nothing was compared.
    LaneFull,
    /// The lane takes only two consecutive codes or a recovery code; nothing was compared.
    TwoCodesOnly,
    /// Two codes or a recovery code were tried in a lane that takes nothing else, and are none.
    NoWayIn,
    /// Another failed bind could lock the account in the directory; nothing was sent.
    NoBindLeft,
    /// The code is wrong.
    WrongCode,
    /// The account has no authenticator, and the rule asks for a code.
    NoAuthenticator,
    /// The new authenticator was shown, and no code of it was typed.
    EnrollmentUnconfirmed,
    /// The code was spent already.
    ReplayedCode,
    /// The code is being used by another attempt at this moment.
    CodeInUse,
    /// The password is wrong.
    WrongPassword,
    /// The same wrong password from the same address within ten minutes: not bound again, not counted again.
    RepeatedPassword,
    /// The caller hung up or could not ask.
    Abandoned,
    /// The person took too long.
    TimedOut,
    /// Everything was proved, and the account may not log in as it stands.
    Barred(Bar),
    /// The directory did not look at the password, for this.
    NotLookedAt(Bar),
    /// Everything was proved, and the password must be changed first.
    NewPasswordNeeded,
    /// The password was changed.
    PasswordChanged,
    /// The directory takes none of the new passwords.
    NewPasswordRefused,
    /// The methods sshd accepted do not meet the rule.
    RuleNotMet,
    /// An administrator has locked the account.
    DisabledByAdministrator,
    /// The directory did not answer.
    DirectoryUnavailable,
    /// The store did not answer.
    StoreUnavailable,
    /// The wall clock is not believed, and so no code.
    ClockSuspect,
    /// The store is a copy that was put back, and codes used since would be taken again.
    StoreRestored,
    /// A rule's condition could not be told.
    ConditionUnknown,
    /// The list of local accounts cannot be read.
    LocalAccountsUnknown,
}

impl Reason {
    /// The word in the record.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::RuleMet => "rule-met",
            Self::EmergencyPassword => "emergency-password",
            Self::UnusableName => "unusable-name",
            Self::RefusedBySshd => "refused-by-sshd",
            Self::UnknownAccount => "unknown-account",
            Self::PosesAsLocal => "poses-as-local",
            Self::AmbiguousName => "ambiguous-name",
            Self::UnfitEntry => "unfit-entry",
            Self::NotAsked => "not-asked",
            Self::DeniedByRule => "denied-by-rule",
            Self::NoRule => "no-rule",
            Self::PrefixClosed => "prefix-closed",
            Self::LaneClosed => "lane-closed",
            Self::LaneFull => "lane-full",
            Self::TwoCodesOnly => "two-codes-only",
            Self::NoWayIn => "no-way-in",
            Self::NoBindLeft => "no-bind-left",
            Self::WrongCode => "wrong-code",
            Self::NoAuthenticator => "no-authenticator",
            Self::EnrollmentUnconfirmed => "enrollment-unconfirmed",
            Self::ReplayedCode => "replayed-code",
            Self::CodeInUse => "code-in-use",
            Self::WrongPassword => "wrong-password",
            Self::RepeatedPassword => "repeated-password",
            Self::Abandoned => "abandoned",
            Self::TimedOut => "timed-out",
            Self::Barred(bar) | Self::NotLookedAt(bar) => match bar {
                Bar::Disabled => "account-disabled",
                Bar::AccountExpired => "account-expired",
                Bar::PasswordExpired => "password-expired",
                Bar::Locked => "account-locked",
                Bar::OutsideHours => "outside-hours",
                Bar::OtherHosts => "other-hosts-only",
            },
            Self::NewPasswordNeeded => "new-password-needed",
            Self::PasswordChanged => "password-changed",
            Self::NewPasswordRefused => "new-password-refused",
            Self::RuleNotMet => "rule-not-met",
            Self::DisabledByAdministrator => "disabled-by-administrator",
            Self::DirectoryUnavailable => "directory-unavailable",
            Self::StoreUnavailable => "store-unavailable",
            Self::ClockSuspect => "clock-suspect",
            Self::StoreRestored => "store-restored",
            Self::ConditionUnknown => "condition-unknown",
            Self::LocalAccountsUnknown => "local-accounts-unknown",
        }
    }

    /// What the caller of a denied attempt learns: how the account stands only if everything was proved.
    #[must_use]
    pub fn denial(self) -> Verdict {
        let withheld = |standing| Verdict::Withheld { standing, ticket: None };
        if let Self::NewPasswordNeeded = self {
            return withheld(Standing::NewPassword);
        }
        let Self::Barred(bar) = self else { return Verdict::Deny };
        withheld(match bar {
            Bar::Disabled | Bar::AccountExpired => Standing::AccountExpired,
            Bar::PasswordExpired => Standing::PasswordExpired,
            Bar::Locked | Bar::OutsideHours | Bar::OtherHosts => Standing::NotNow,
        })
    }
}
