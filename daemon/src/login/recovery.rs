//! What the use of a recovery code leaves behind: an event in the record, and a word to whoever was let in. A denial
//! says nothing of it.

use crate::audit::event_line;
use crate::decision::{Decision, Reason};
use crate::dialogue::Dialogue;
use crate::house::House;
use crate::tarpit::Charge;

/// A recovery code that the charge has spent.
pub(super) struct Used {
    account: String,
    user: String,
    left: u64,
}

impl Used {
    pub(super) fn of(charge: &Charge) -> Option<Self> {
        let (_, charge) = charge.of_account()?;
        let left = charge.recovery_left()?;
        Some(Self { account: charge.account().to_string(), user: charge.name().to_string(), left })
    }
}

/// Tells of it once it is settled. Where no secret was found wrong and nobody was let in, the code was given back.
pub(super) async fn tell(house: &House, dialogue: &mut Dialogue, used: Option<Used>, decision: &Decision) {
    let Some(used) = used else { return };
    let outcome = match decision {
        Decision::Grant(_) => "granted",
        Decision::Deny(Reason::Abandoned | Reason::Barred(_)) | Decision::Unavailable(_) => return,
        Decision::Deny(_) => "denied",
    };
    let left = used.left.to_string();
    let fields = [
        ("user", used.user.as_str()),
        ("account", used.account.as_str()),
        ("left", left.as_str()),
        ("verdict", outcome),
    ];
    house.auditor.warning(&event_line("recovery-code-used", &fields));
    if outcome == "granted" {
        let plural = if used.left == 1 { "" } else { "s" };
        dialogue.tell(&format!("{left} recovery code{plural} left.")).await;
    }
}
