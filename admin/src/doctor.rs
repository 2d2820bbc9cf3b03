//! What the doctor found, a line a step.

use crate::terminal::harmless;
use std::fmt::Write;
use twinlock_control::{Finding, FindingResult, Findings};

/// Whether anything keeps the account from logging in.
pub(crate) fn is_well(findings: &Findings) -> bool {
    findings.steps.iter().all(|step| step.result != FindingResult::Bad)
}

/// As text.
pub(crate) fn text(findings: &Findings) -> String {
    let mut text = String::new();
    for Finding { step, result, found } in &findings.steps {
        let mark = match result {
            FindingResult::Well => "ok ",
            FindingResult::Odd => "?  ",
            FindingResult::Bad => "BAD",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{mark}  {step:14}  {}", harmless(found));
    }
    text.trim_end().to_owned()
}
