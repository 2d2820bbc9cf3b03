//! What one record says, and how it is written. docs/contracts.md, section "Audit record", fixes the fields.

use super::escape::put;
use crate::attempt::AttemptId;
use crate::caller::Caller;
use crate::decision::Reason;
use std::time::Duration;
use syslog::Severity;
use twinlock_policy::{Place, Plan, Questions};

/// What the caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Let in.
    Grant,
    /// Not let in.
    Deny,
    /// Not decided.
    Unavailable,
}

impl Verdict {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Deny => "deny",
            Self::Unavailable => "unavailable",
        }
    }
}

/// What came of one factor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Proved {
    /// Nothing was compared.
    #[default]
    No,
    /// Compared and right.
    Right,
    /// A recovery code, and right.
    Recovery,
    /// No code yet, but an invitation to get one, and right.
    Invited,
    /// Compared and wrong.
    Wrong,
    /// Right, but spent or reserved already.
    Used,
}

impl Proved {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::No => "-",
            Self::Right => "right",
            Self::Recovery => "recovery",
            Self::Invited => "invited",
            Self::Wrong => "wrong",
            Self::Used => "used",
        }
    }
}

/// One attempt's record, filled in along the way.
#[derive(Debug, Clone)]
pub struct Record {
    /// The attempt's id.
    pub id: AttemptId,
    /// `auth`, `account` or `password`.
    pub phase: &'static str,
    /// What was given as the user's name, unchanged.
    pub user: Vec<u8>,
    /// The account's immutable id, once known.
    pub account: Option<String>,
    /// PAM service.
    pub service: String,
    /// Where it comes from.
    pub source: String,
    /// The locations that hold the source.
    pub place: String,
    /// The rule that decided.
    pub rule: Option<String>,
    /// What sshd had accepted: `publickey`, `sshd`, or nothing.
    pub after: &'static str,
    /// What was asked of the person.
    pub asked: &'static str,
    /// What came of the password.
    pub password: Proved,
    /// What came of the code.
    pub code: Proved,
    /// The location that stood in for the code.
    pub waiver: Option<String>,
    /// The location that would have stood in for the code, did the account's password not look stolen.
    pub withdrawn: Option<String>,
    /// The account lane.
    pub lane: Option<String>,
    /// Why the tarpit would have refused it, while it only observes.
    pub observed: Option<Reason>,
    /// Whether the caller was trusted: `root`, or `uid N` for one that speaks for itself only.
    pub caller: String,
    /// Which server answered last, or what failed.
    pub detail: Option<String>,
}

impl Record {
    /// An empty one.
    #[must_use]
    pub fn new(id: AttemptId, phase: &'static str, user: &[u8]) -> Self {
        Self {
            id,
            phase,
            user: user.to_vec(),
            account: None,
            service: String::new(),
            source: String::new(),
            place: String::new(),
            rule: None,
            after: "",
            asked: "",
            password: Proved::No,
            code: Proved::No,
            waiver: None,
            withdrawn: None,
            lane: None,
            observed: None,
            caller: String::new(),
            detail: None,
        }
    }

    /// Notes who comes from where, and what is asked of everybody there.
    pub(crate) fn opened(&mut self, caller: &Caller, place: &Place, questions: Questions) {
        self.service = caller.service.to_string();
        self.source = caller.source.to_string();
        self.placed(place);
        self.caller.clone_from(&caller.label);
        self.after = if caller.accepted.publickey { "publickey" } else { "" };
        self.asked = questions.word();
    }

    /// Notes which locations hold the source; once more when the account is known, whose earned places are its own.
    pub(crate) fn placed(&mut self, place: &Place) {
        self.place = match place.names().as_slice() {
            [] => "-".to_owned(),
            names => names.join(","),
        };
    }

    /// Notes which rule decides.
    pub(crate) fn planned(&mut self, plan: &Plan) {
        self.rule = plan.rule().map(ToString::to_string);
        if let Plan::Require { waiver: Some(waiver), .. } = plan {
            self.waiver = Some(waiver.to_string());
        }
    }

    /// The line, at most [`LONGEST`] bytes: a few words, then `key="value"` fields. What the program itself says
    /// stands first, so that cutting can only ever hurt what a caller said.
    #[must_use]
    pub fn line(&self, verdict: Verdict, reason: Reason, took: Duration) -> String {
        let mut line = String::with_capacity(LONGEST);
        line.push_str("attempt");
        let mut say = |key: &str, value: &str, limit: usize| put(&mut line, key, value.as_bytes(), limit);
        say("id", &self.id.to_string(), 16);
        say("phase", self.phase, 16);
        say("verdict", verdict.word(), 16);
        say("reason", reason.word(), 32);
        say("service", &self.service, 68);
        say("source", &self.source, 48);
        say("place", &self.place, 80);
        say("rule", self.rule.as_deref().unwrap_or("-"), 67);
        say("asked", self.asked, 32);
        say("password", self.password.word(), 8);
        say("code", self.code.word(), 8);
        say("waiver", self.waiver.as_deref().unwrap_or("-"), 43);
        if let Some(withdrawn) = &self.withdrawn {
            say("withdrawn", withdrawn, 43);
        }
        say("lane", self.lane.as_deref().unwrap_or("-"), 67);
        if let Some(observed) = self.observed {
            say("observed", observed.word(), 16);
        }
        say("ms", &took.as_millis().to_string(), 8);
        say("caller", &self.caller, 16);
        say("account", self.account.as_deref().unwrap_or("-"), 83);
        if let Some(detail) = &self.detail {
            say("detail", detail, 120);
        }
        let room = LONGEST.saturating_sub(line.len() + r#" user="""#.len()).min(131);
        put(&mut line, "user", &self.user, room);
        line
    }
}

/// Longest line in bytes, header not counted.
pub(crate) const LONGEST: usize = 1024;

/// What matters stands out: a grant is information, a refusal a notice, an outage a warning.
pub(super) const fn severity(verdict: Verdict) -> Severity {
    match verdict {
        Verdict::Grant => Severity::LOG_INFO,
        Verdict::Deny => Severity::LOG_NOTICE,
        Verdict::Unavailable => Severity::LOG_WARNING,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_never_exceeds_its_limit_whatever_the_fields_hold() {
        let nasty = "\u{2028}\"\\\n".repeat(3000);
        let mut record = Record::new(AttemptId::from_number(u64::MAX), "account", nasty.as_bytes());
        record.account = Some(nasty.clone());
        record.service.clone_from(&nasty);
        record.source.clone_from(&nasty);
        record.place.clone_from(&nasty);
        record.rule = Some(nasty.clone());
        record.waiver = Some(nasty.clone());
        record.withdrawn = Some(nasty.clone());
        record.lane = Some(nasty.clone());
        record.observed = Some(Reason::PrefixClosed);
        record.caller.clone_from(&nasty);
        record.detail = Some(nasty);
        let line = record.line(Verdict::Unavailable, Reason::DirectoryUnavailable, Duration::from_secs(3600));
        assert!(line.len() <= LONGEST, "{}", line.len());
        assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        assert!(line.ends_with("...\""), "the name is what is cut: {line}");
    }

    #[test]
    fn a_refusal_stands_out_from_a_grant_and_an_outage_from_both() {
        assert!(matches!(severity(Verdict::Grant), Severity::LOG_INFO));
        assert!(matches!(severity(Verdict::Deny), Severity::LOG_NOTICE));
        assert!(matches!(severity(Verdict::Unavailable), Severity::LOG_WARNING));
    }

    #[test]
    fn a_forged_name_stays_inside_its_quotes() {
        let record = Record::new(AttemptId::from_number(1), "auth", b"x\" verdict=\"grant\" from 192.0.2.1");
        let line = record.line(Verdict::Deny, Reason::UnknownAccount, Duration::ZERO);
        assert_eq!(line.matches("verdict=\"").count(), 1);
        assert!(line.contains(r#" verdict="deny""#));
    }
}
