//! `twinlock me`: what a user is told about itself, as text.

use crate::report::{authenticator, count, date};
use crate::terminal::harmless;
use twinlock_control::Me;

/// Everything.
pub(crate) fn me(me: &Me) -> String {
    let mut lines = vec![format!("account: {}", me.account), "authenticators:".into()];
    if me.authenticators.is_empty() {
        lines.push("  none".into());
    }
    lines.extend(me.authenticators.iter().map(|one| format!("  {}", authenticator(one))));
    lines.push(format!("recovery codes left: {}", me.recovery_codes_left));
    lines.push(format!(
        "known from: {}",
        if me.known_from.is_empty() { "nowhere yet".into() } else { me.known_from.join(", ") }
    ));
    if let Some(last) = &me.last_login {
        lines.push(format!(
            "last login: {} from {} ({}), {} since",
            date(last.at),
            last.source,
            last.service,
            count(last.failed_since.into(), "failed attempt")
        ));
    }
    lines.push("attempts under your name, newest first:".into());
    if me.attempts.is_empty() {
        lines.push("  none".into());
    }
    for attempt in &me.attempts {
        let times = if attempt.count > 1 { format!("  {} of them", attempt.count) } else { String::new() };
        lines.push(format!(
            "  {}  {:11}  {} from {}{times}",
            date(attempt.at),
            attempt.verdict,
            attempt.service,
            attempt.source
        ));
    }
    lines.iter().map(|line| harmless(line)).collect::<Vec<_>>().join("\n")
}
