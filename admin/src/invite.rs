//! `invite`: a ticket for a user's first authenticator, printed once; who has one; making one void.

use crate::args::{Args, InviteArgs};
use crate::client::{Client, unexpected};
use crate::outcome::{Answer, Failure};
use crate::report::date;
use crate::terminal::{self, harmless};
use twinlock_control::{InvitationMade, InvitationRevoked, Invitations, Reply, Request};

pub(crate) fn run(args: &Args, invite: &InviteArgs) -> Result<Answer, Failure> {
    let request = match &invite.user {
        None => Request::InviteList {},
        Some(user) if invite.revoke => Request::InviteRevoke { user: user.clone() },
        Some(user) => Request::Invite { user: user.clone() },
    };
    let reply = Client::connect(&args.admin_socket()?)?.ask(&request)?;
    let (text, answer) = match (&reply, &request) {
        (Reply::InvitationMade(made), Request::Invite { .. }) => (invited(made), Answer::Yes),
        (Reply::Invitations(all), Request::InviteList {}) => (listed(all), Answer::Yes),
        (Reply::InvitationRevoked(gone), Request::InviteRevoke { .. }) => {
            (revoked(gone), if gone.revoked { Answer::Yes } else { Answer::No })
        }
        _ => return Err(unexpected()),
    };
    if args.json {
        terminal::print_json(&reply)?;
    } else {
        terminal::print(&text)?;
    }
    Ok(answer)
}

fn invited(made: &InvitationMade) -> String {
    let replaced = if made.replaced { " The one before is void." } else { "" };
    format!(
        "Invitation of {}, good until {} and shown this once:\n\n  {}\n\n\
         To log in, type the password, and this as the verification code; the new authenticator is shown then. Services \
         with one field cannot show it: use ssh with keyboard-interactive.{replaced}",
        harmless(&made.account),
        date(made.until),
        harmless(made.invitation.expose()),
    )
}

fn listed(all: &Invitations) -> String {
    if all.invitations.is_empty() {
        return "Nobody is invited; to invite somebody: twinlock invite USER".into();
    }
    let row = |one: &twinlock_control::InvitationReport| {
        harmless(&format!(
            "{} ({})  made {} by {}  good until {}",
            one.account,
            one.id,
            date(one.made),
            one.by,
            date(one.until)
        ))
    };
    all.invitations.iter().map(row).collect::<Vec<_>>().join("\n")
}

fn revoked(gone: &InvitationRevoked) -> String {
    let who = harmless(&gone.account);
    if gone.revoked {
        format!("The invitation of {who} can no longer be used.")
    } else {
        format!("{who} has no invitation.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use twinlock_control::{InvitationReport, SecretText};

    #[test]
    fn an_invitation_is_printed_with_what_to_do_with_it() {
        let text = invited(&InvitationMade {
            account: "alice\u{1b}[2J".into(),
            id: "main:6f1d".into(),
            invitation: SecretText::from("ABCD-EFGH-IJKL-MNOP".to_owned()),
            until: 1_795_515_120,
            replaced: true,
        });
        assert!(text.starts_with("Invitation of alice\\u{1b}[2J, good until 2026-11-24"), "{text}");
        assert!(
            text.contains("\n  ABCD-EFGH-IJKL-MNOP\n") && text.ends_with("The one before is void."),
            "{text}"
        );
    }

    #[test]
    fn a_list_names_who_is_invited_by_whom_and_until_when() {
        let report = InvitationReport {
            account: "alice".into(),
            id: "main:6f1d".into(),
            made: 1_795_515_120,
            until: 1_796_119_920,
            by: "uid 0".into(),
        };
        let text = listed(&Invitations { invitations: vec![report] });
        assert!(text.starts_with("alice (main:6f1d)  made 2026-11-24"), "{text}");
        assert!(text.contains(" by uid 0  good until 2026-12-01"), "{text}");
        assert!(listed(&Invitations { invitations: Vec::new() }).contains("twinlock invite USER"));
    }
}
