//! `recovery`: a new set of recovery codes, printed once. Whoever had an earlier set is warned before it is void.

use crate::args::{Args, RecoveryArgs};
use crate::client::{Client, unexpected};
use crate::outcome::{Answer, Failure};
use crate::report::count;
use crate::terminal;
use std::fmt::Write;
use twinlock_control::{RecoveryCodes, Reply, Request};

pub(crate) fn run(args: &Args, recovery: &RecoveryArgs) -> Result<Answer, Failure> {
    let user = &recovery.user;
    let question = format!("{user}'s present recovery codes, if there are any, will be void. Go on?");
    if !terminal::agreed(&question, recovery.yes)? {
        return Ok(Answer::No);
    }
    let mut client = Client::connect(&args.admin_socket()?)?;
    make(args, &mut client, user)
}

/// Has a set made and prints it.
pub(crate) fn make(args: &Args, client: &mut Client, user: &str) -> Result<Answer, Failure> {
    let reply = client.ask(&Request::Recovery { user: user.to_owned() })?;
    let Reply::RecoveryCodes(codes) = &reply else { return Err(unexpected()) };
    if args.json {
        terminal::print_json(&reply)?;
    } else {
        terminal::print(&text(codes))?;
    }
    Ok(Answer::Yes)
}

fn text(made: &RecoveryCodes) -> String {
    let mut text = format!(
        "Recovery codes of {}. They are shown this once; each is good once, typed as the code or behind the password:\n\n",
        terminal::harmless(&made.account)
    );
    for code in &made.codes {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {}", terminal::harmless(code.expose()));
    }
    text.push_str("\nKeep them on paper, away from the phone.");
    if made.voided > 0 {
        let _ = write!(text, " {} of the earlier set can no longer be used.", count(made.voided, "code"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use twinlock_control::SecretText;

    #[test]
    fn a_set_is_printed_with_what_it_made_void() {
        let made = RecoveryCodes {
            account: "alice\u{1b}[2J".into(),
            id: "main:6f1d".into(),
            codes: vec![SecretText::from("ABCD-EFGH-IJKL-MNOP".to_owned())],
            voided: 1,
        };
        let expected = "\
Recovery codes of alice\\u{1b}[2J. They are shown this once; each is good once, typed as the code or behind the password:

  ABCD-EFGH-IJKL-MNOP

Keep them on paper, away from the phone. 1 code of the earlier set can no longer be used.";
        assert_eq!(text(&made), expected);
    }
}
