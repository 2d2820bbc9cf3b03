//! `twinlock doctor directory USER`: what a login finds of a name, step by step, and whether this host's name service
//! says the same. It changes nothing and proves nothing.

use super::{PER_REQUEST, why_refused};
use crate::attempt::Deadline;
use crate::directory::{Account, Bar, DirectoryError, PasswordAge};
use crate::house::House;
use nix::unistd::{Gid, Group, User};
use std::collections::BTreeSet;
use std::ffi::CString;
use twinlock_control::{Finding, FindingResult, Findings, Reply};
use twinlock_policy::Username;

struct Sheet(Vec<Finding>);

impl Sheet {
    fn add(&mut self, step: &str, result: FindingResult, found: impl Into<String>) {
        self.0.push(Finding { step: step.to_owned(), result, found: found.into() });
    }

    fn well(&mut self, step: &str, found: impl Into<String>) {
        self.add(step, FindingResult::Well, found);
    }
}

/// Looks.
pub(super) async fn directory(house: &House, user: &str) -> Result<Reply, Reply> {
    let mut sheet = Sheet(Vec::new());
    if let Some(account) = entry(house, user, &mut sheet).await {
        state(&account, &mut sheet);
        match why_refused(house, &account) {
            Some(why) => sheet.add("local accounts", FindingResult::Bad, why),
            None => sheet.well("local accounts", "none bears its name, and its uidNumber is one for people"),
        }
        name_service(account, &mut sheet).await;
    }
    Ok(Reply::Findings(Findings { steps: sheet.0 }))
}

/// The entry that bears the name.
async fn entry(house: &House, user: &str, sheet: &mut Sheet) -> Option<Account> {
    let Ok(name) = Username::from_pam(user.as_bytes()) else {
        sheet.add(
            "name",
            FindingResult::Bad,
            "no entry can bear it: empty, too long, or with control characters",
        );
        return None;
    };
    for (directory, base, filter) in house.directory.questions(&name) {
        sheet.well("asked", format!("directory {directory}: {filter} under {base}"));
    }
    let found = house.directory.find(&name, Deadline::within(PER_REQUEST)).await;
    for server in house.directory.servers() {
        let label = format!("{} ({})", server.url, server.directory);
        match (server.healthy, server.error) {
            (Some(true), _) => sheet.well("server", format!("{label} answers")),
            (Some(false), why) => {
                let why = why.unwrap_or_else(|| "it does not answer".into());
                sheet.add("server", FindingResult::Bad, format!("{label}: {why}"));
            }
            (None, _) => sheet.well("server", format!("{label} was not needed so far")),
        }
    }
    match found {
        Ok(Some(account)) => {
            sheet.well("entry", account.dn.clone());
            sheet.well("account", format!("{}, kept under {}", account.name, account.id));
            Some(account)
        }
        Ok(None) => {
            let remedy =
                "no entry; check `base`, `user_filter`, `name_attributes`, and what bind_dn may read";
            sheet.add("entry", FindingResult::Bad, remedy);
            None
        }
        Err(error) => {
            let step = match error {
                DirectoryError::Unavailable { .. } => "search",
                DirectoryError::Ambiguous { .. } | DirectoryError::Unfit { .. } => "entry",
            };
            sheet.add(step, FindingResult::Bad, error.to_string());
            None
        }
    }
}

/// How the account stands.
fn state(account: &Account, sheet: &mut Sheet) {
    match &account.groups {
        None => sheet
            .well("groups", "not read: no rule names any, group_base is left out, or they could not be told"),
        Some(groups) if groups.is_empty() => sheet.well("groups", "none"),
        Some(groups) => {
            let names: Vec<&str> = groups.iter().map(|group| group.as_str()).collect();
            sheet.well("groups", names.join(", "));
        }
    }
    match account.standing.bar.map(words) {
        Some(bar) => sheet.add("state", FindingResult::Bad, bar),
        None => sheet.well("state", "in use, as far as its attributes tell; a bind may say more"),
    }
    match account.standing.password {
        PasswordAge::Fine => {}
        PasswordAge::MustChange => {
            sheet.add("password", FindingResult::Odd, "must be changed at the next login")
        }
        aged @ (PasswordAge::ExpiresIn(_) | PasswordAge::GraceLeft(_)) => {
            sheet.add("password", FindingResult::Odd, aged.notice().unwrap_or_default());
        }
    }
    let lockout = &account.lockout;
    sheet.well("lock-out", format!("failed binds stay below {} in {}", lockout.failures, lockout.within));
}

const fn words(bar: Bar) -> &'static str {
    match bar {
        Bar::Disabled => "the directory says that it is disabled",
        Bar::AccountExpired => "its last day is over, or its first has not come",
        Bar::PasswordExpired => "its password has expired for good; give it a new one in the directory",
        Bar::Locked => "an administrator has locked it in the directory",
        Bar::OutsideHours => "it may not log in at this hour",
        Bar::OtherHosts => "it may log in on other hosts only",
    }
}

/// What getent says.
async fn name_service(account: Account, sheet: &mut Sheet) {
    let name = account.name.clone();
    let asked = tokio::task::spawn_blocking(move || {
        let user = User::from_name(name.as_str())?;
        let groups = user.as_ref().and_then(|user| groups_of(name.as_str(), user.gid));
        Ok::<_, nix::Error>((user, groups))
    });
    let (user, groups) = match Deadline::within(PER_REQUEST).bound(asked).await {
        Some(Ok(Ok((Some(user), groups)))) => (user, groups),
        Some(Ok(Ok((None, _)))) => {
            let remedy = "does not know it; let sssd or nslcd serve this directory, and see nsswitch.conf";
            return sheet.add("name service", FindingResult::Bad, remedy);
        }
        Some(Ok(Err(error))) => {
            return sheet.add("name service", FindingResult::Bad, format!("fails: {error}"));
        }
        Some(Err(_)) | None => {
            return sheet.add(
                "name service",
                FindingResult::Bad,
                "does not answer; is sssd or nslcd running?",
            );
        }
    };
    let uid = user.uid.as_raw();
    match account.uid_number {
        Some(number) if number != uid => {
            let found =
                format!("says uid {uid}, the entry uidNumber {number}; whose sessions would these be?");
            sheet.add("name service", FindingResult::Bad, found);
        }
        Some(_) => sheet.well("name service", format!("says uid {uid}, as the entry does")),
        None => {
            sheet.well("name service", format!("says uid {uid}; the entry shows no uidNumber to bind_dn"))
        }
    }
    let (Some(theirs), Some(ours)) = (groups, account.groups) else { return };
    let ours: BTreeSet<String> = ours.iter().map(ToString::to_string).collect();
    let only = |left: &BTreeSet<String>, right: &BTreeSet<String>| {
        left.difference(right).cloned().collect::<Vec<_>>().join(", ")
    };
    let (here, there) = (only(&ours, &theirs), only(&theirs, &ours));
    if here.is_empty() && there.is_empty() {
        return sheet.well("its groups", "are the same there");
    }
    let found = format!("only in the directory: {here}; only there: {there}; rules go by the directory");
    sheet.add("its groups", FindingResult::Odd, found);
}

fn groups_of(name: &str, primary: Gid) -> Option<BTreeSet<String>> {
    let name = CString::new(name).ok()?;
    let ids = nix::unistd::getgrouplist(&name, primary).ok()?;
    let named =
        |id: Gid| Group::from_gid(id).ok().flatten().map_or_else(|| id.to_string(), |group| group.name);
    Some(ids.into_iter().map(named).collect())
}
