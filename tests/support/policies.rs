//! A slapd whose accounts stand differently: ppolicy and memberOf are on, and there is one account for each state that
//! OpenLDAP can tell. The password of each is its name and `'s password`, as everywhere.

use crate::slapd::{GROUPS, PEOPLE, Slapd, account};
use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Failures after which an account of this server is locked.
pub const LOCKOUT: usize = 5;

const POLICIES: &str = "ou=policies,dc=example,dc=org";

/// Account, its policy, and what else its entry holds. `{N}` is N days ago.
const STATES: [(&str, &str, &str); 15] = [
    ("fine", "default", ""),
    ("lockable", "default", ""),
    ("strict", "strict", ""),
    ("adminlock", "default", "pwdAccountLockedTime: 000001010000Z\n"),
    ("reset", "must", "pwdReset: TRUE\n"),
    ("reset2", "must", "pwdReset: TRUE\n"),
    ("expired", "aging", "pwdChangedTime: {400}\n"),
    ("grace", "grace", "pwdChangedTime: {400}\n"),
    ("warned", "aging", "pwdChangedTime: {27}\n"),
    ("ended", "default", "pwdEndTime: {1}\n"),
    ("shadowended", "default", "shadowExpire: 10000\n"),
    ("shadowinactive", "default", "shadowLastChange: 10000\nshadowMax: 90\nshadowInactive: 7\n"),
    ("shadowaged", "default", "shadowLastChange: 10000\nshadowMax: 90\n"),
    ("shadowmust", "default", "shadowLastChange: 0\n"),
    ("shadowwarned", "default", "shadowLastChange: [87]\nshadowMax: 90\nshadowWarning: 7\n"),
];

/// Starts it. `fine` is in `inner`, which is in `middle`, which is in `outer`, which is in `inner`.
///
/// # Panics
/// As [`Slapd::start`].
#[must_use]
pub fn start() -> Slapd {
    let config = "dn: cn=module{1},cn=config
objectClass: olcModuleList
cn: module{1}
olcModuleLoad: ppolicy
olcModuleLoad: memberof

dn: olcOverlay=ppolicy,olcDatabase={1}mdb,cn=config
objectClass: olcOverlayConfig
objectClass: olcPPolicyConfig
olcOverlay: ppolicy
olcPPolicyDefault: cn=default,ou=policies,dc=example,dc=org
olcPPolicyUseLockout: TRUE
olcPPolicyHashCleartext: TRUE

dn: olcOverlay=memberof,olcDatabase={1}mdb,cn=config
objectClass: olcOverlayConfig
objectClass: olcMemberOfConfig
olcOverlay: memberof
";
    let mut more = format!("dn: {POLICIES}\nobjectClass: organizationalUnit\nou: policies\n\n");
    let common = "pwdAttribute: userPassword\npwdLockout: TRUE\npwdLockoutDuration: 600\n\
         pwdFailureCountInterval: 600\npwdAllowUserChange: TRUE\npwdCheckQuality: 2\npwdMinLength: 8\n";
    let month = 30 * 86_400;
    for (name, own) in [
        ("default", String::new()),
        ("strict", String::new()),
        ("must", "pwdMustChange: TRUE\n".to_owned()),
        ("aging", format!("pwdMaxAge: {month}\npwdExpireWarning: 864000\n")),
        ("grace", format!("pwdMaxAge: {month}\npwdGraceAuthNLimit: 2\n")),
    ] {
        let _ = write!(
            more,
            "dn: cn={name},{POLICIES}\nobjectClass: pwdPolicy\nobjectClass: device\ncn: {name}\n\
             pwdMaxFailure: {}\n{common}{own}\n",
            if name == "strict" { 3 } else { LOCKOUT }
        );
    }
    for (number, (name, policy, state)) in (2100..).zip(STATES) {
        let entry = account(&format!("uid={name},{PEOPLE}"), name, number, &format!("{name}'s password"));
        let state = with_times(state);
        let _ = write!(
            more,
            "{}objectClass: shadowAccount\npwdPolicySubentry: cn={policy},{POLICIES}\n{state}\n",
            entry.trim_end_matches('\n').to_owned() + "\n"
        );
    }
    for (name, member) in [
        ("inner", format!("uid=fine,{PEOPLE}")),
        ("middle", format!("cn=inner,{GROUPS}")),
        ("outer", format!("cn=middle,{GROUPS}")),
    ] {
        let back = if name == "inner" { format!("member: cn=outer,{GROUPS}\n") } else { String::new() };
        let _ = write!(
            more,
            "dn: cn={name},{GROUPS}\nobjectClass: groupOfNames\ncn: {name}\nmember: {member}\n{back}\n"
        );
    }
    Slapd::start_configured(config, &more)
}

/// `{N}` as a GeneralizedTime N days ago, `[N]` as the day's number.
fn with_times(state: &str) -> String {
    let number = |open: char, close: char| -> Option<(String, u64)> {
        let (_, rest) = state.split_once(open)?;
        let (days, _) = rest.split_once(close)?;
        Some((format!("{open}{days}{close}"), days.parse().unwrap()))
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    if let Some((place, days)) = number('{', '}') {
        let then = now.checked_sub(Duration::from_secs(days * 86_400)).unwrap();
        return state.replace(&place, &generalized(then.as_secs()));
    }
    if let Some((place, days)) = number('[', ']') {
        return state.replace(&place, &(now.as_secs() / 86_400 - days).to_string());
    }
    state.to_owned()
}

fn generalized(seconds: u64) -> String {
    let output = std::process::Command::new("date")
        .args(["-u", "-d", &format!("@{seconds}"), "+%Y%m%d%H%M%SZ"])
        .output()
        .expect("date(1)");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
