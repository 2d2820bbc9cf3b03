//! The first login of an account that has no authenticator: by an invitation, which stands where a code would, or from a
//! place that the rule names, the new authenticator is shown in the dialogue and counts once a code of it was typed; in a
//! time of grace such a place stands in for the code.
//!
//! That there is none, only the charge says, in its transaction; the settlement looks once more. An error never means that
//! no code is needed. Nothing is shown before invitation or password were proved.

use super::steps::admitted;
use crate::audit::{Proved, Record, event_line};
use crate::caller::Caller;
use crate::decision::{Decision, Reason};
use crate::dialogue::{Answers, Dialogue};
use crate::directory::{Account, PasswordProof, Standing};
use crate::grant::Grant;
use crate::house::House;
use crate::store::{CodeOutcome, First};
use crate::tarpit::{Charge, Try};
use crate::totp::{FirstCode, Parameters, Seed, otpauth};
use twinlock_config::Day;
use twinlock_policy::{Entrance, Place, Plan, check};
use twinlock_qr::Picture;

/// So often a code may be mistyped.
const TRIES: u32 = 3;
/// Lines of a picture that fit the dialogue beside everything else that may be told: the module shows 64.
const MOST_LINES: usize = 40;
/// Typed as the code, asks for an authenticator where none is needed yet.
const WISH: &[u8] = b"enroll";

/// A place where an account without an authenticator may enrol or be let in, and what was typed there.
pub(super) struct Door {
    entrance: Entrance,
    wished: bool,
}

/// What such an account comes in by.
pub(super) enum Way {
    Invitation,
    Place,
    Grace(Entrance, Day),
}

/// Whether this place lets an account without an authenticator in, should it be one. Not where its password looks stolen,
/// and where one field takes everything only in a time of grace: there is nobody to show an authenticator to.
pub(super) async fn door(
    house: &House,
    account: &Account,
    plan: &Plan,
    place: &Place,
    answers: &Answers,
    record: &mut Record,
) -> Result<Option<Door>, Decision> {
    let Some(entrance) = house.policy.entrance(plan, place) else { return Ok(None) };
    let (apart, wished) = match answers {
        Answers::Separate { code, .. } => {
            (true, code.as_ref().is_some_and(|code| code.expose().trim_ascii().eq_ignore_ascii_case(WISH)))
        }
        Answers::Field(_) | Answers::SshdMarker => (false, false),
    };
    if !apart && entrance.grace.is_none() {
        return Ok(None);
    }
    match (house.store.stolen(&account.id).await, house.store.recovery_left(&account.id).await) {
        // Who has recovery codes has had an authenticator: that it was lost opens no door to whoever knows the password.
        (Ok(None), Ok(1..)) => Ok(None),
        (Ok(None), Ok(0)) => Ok(Some(Door { entrance, wished })),
        (Ok(Some(_)), Ok(_)) => Ok(None),
        (Err(error), _) | (_, Err(error)) => {
            record.detail = Some(error.to_string());
            Err(Decision::Unavailable(Reason::StoreUnavailable))
        }
    }
}

/// The way in, if the account has no authenticator and there is one.
pub(super) fn way(charge: &Charge, door: Option<Door>) -> Option<Way> {
    let (_, charge) = charge.of_account()?;
    match (charge.code(), door) {
        (CodeOutcome::Invited, _) => Some(Way::Invitation),
        (CodeOutcome::NoAuthenticator, Some(Door { entrance, wished })) => match entrance.grace {
            Some(day) if !wished => Some(Way::Grace(entrance, day)),
            Some(_) | None => Some(Way::Place),
        },
        (
            CodeOutcome::NoAuthenticator
            | CodeOutcome::NotAsked
            | CodeOutcome::Wrong
            | CodeOutcome::Replay { .. }
            | CodeOutcome::InUse
            | CodeOutcome::Right(_),
            _,
        ) => None,
    }
}

impl Way {
    /// Whether a bare password is bound on it.
    pub(super) const fn is_by_place(&self) -> bool {
        match self {
            Self::Place | Self::Grace(..) => true,
            Self::Invitation => false,
        }
    }
}

/// Everything else is proved: what is left is the new authenticator. With a grant comes what its settlement must do.
pub(super) async fn let_in(
    house: &House,
    dialogue: &mut Dialogue,
    tried: &Try<'_>,
    (account, standing): (&Account, Standing),
    (plan, password): (&Plan, Option<&PasswordProof>),
    way: &Way,
    record: &mut Record,
) -> (Decision, Option<First>) {
    if let Some(bar) = standing.bar {
        return (Decision::Deny(Reason::Barred(bar)), None);
    }
    let decided = |grant: Option<Grant>| {
        grant.map_or(Decision::Deny(Reason::RuleNotMet), |grant| admitted(grant, standing))
    };
    if let Way::Grace(entrance, until) = way {
        let plan = plan.clone().with_grace(entrance);
        record.planned(&plan);
        let grant = Grant::satisfied_by(&plan, tried.attempt, &account.id, None, password);
        return (decided(grant), Some(First::Grace { until: *until }));
    }
    match enrol(house, dialogue, tried, account).await {
        Err(decision) => (decision, None),
        Ok(code) => {
            record.code = Proved::Right;
            let grant = Grant::by_first_code(plan, tried.attempt, &account.id, &code, password);
            (decided(grant), Some(First::Enrolled { code, invited: matches!(way, Way::Invitation) }))
        }
    }
}

/// Shows a new authenticator, which exists in this dialogue only, until a code of it was typed.
async fn enrol(
    house: &House,
    dialogue: &mut Dialogue,
    tried: &Try<'_>,
    account: &Account,
) -> Result<FirstCode, Decision> {
    let totp = &house.config.totp;
    if check::would_exceed(&house.config, &house.policy, &[], totp.digits).is_some() {
        return Err(Decision::Deny(Reason::NoAuthenticator));
    }
    let unavailable = Decision::Unavailable(Reason::StoreUnavailable);
    let (Ok(parameters), Ok(mut seed)) = (Parameters::of_settings(totp), Seed::random()) else {
        return Err(unavailable);
    };
    for line in lines(otpauth(account.name.as_str(), &parameters, &seed).as_str()) {
        dialogue.tell(&line).await;
    }
    for left in (0..TRIES).rev() {
        let typed = dialogue.confirmation().await.map_err(|broken| Decision::Deny(broken.into()))?;
        if let Some(why) = house.tarpit.codes_refused() {
            return Err(Decision::Unavailable(why.into()));
        }
        let now = (house.clock.now().wall, totp.window_steps);
        match FirstCode::shown(tried.attempt, &account.id, seed, parameters, &typed, now) {
            Ok(code) => return Ok(code),
            Err(again) => seed = again,
        }
        if left > 0 {
            dialogue
                .tell("That is not its code now. Look at the phone's clock, and type the next code.")
                .await;
        }
    }
    Err(Decision::Deny(Reason::EnrollmentUnconfirmed))
}

/// What is shown, a message each: no message is longer than PAM's 512 bytes.
fn lines(uri: &str) -> Vec<String> {
    let mut lines = vec![
        "This account has no authenticator yet. Scan this with the authenticator app of your phone:"
            .to_owned(),
        String::new(),
    ];
    let picture = Picture::of(uri).map(|picture| picture.plain()).unwrap_or_default();
    if picture.len() <= MOST_LINES {
        lines.extend(picture);
    }
    lines.extend([
        String::new(),
        "Where that cannot be read (a narrow window, or no UTF-8), give the app this instead:".to_owned(),
        uri.to_owned(),
        String::new(),
        "Then type the code that it shows. Only then it counts.".to_owned(),
    ]);
    lines
}

/// What the settlement has done, for the record and for whoever was let in.
pub(super) struct Done {
    account: Account,
    what: What,
}

enum What {
    Enrolled { invited: bool },
    Grace(Day),
}

impl Done {
    pub(super) fn of(charge: &Charge, account: Option<&Account>) -> Option<Self> {
        let what = match charge.of_account()?.1.first()? {
            First::Enrolled { invited, .. } => What::Enrolled { invited: *invited },
            First::Grace { until } => What::Grace(*until),
        };
        Some(Self { account: account?.clone(), what })
    }
}

/// Records an enrolment, and tells of it with recovery codes, which are made only now that it counts.
pub(super) async fn tell(
    house: &House,
    caller: &Caller,
    dialogue: &mut Dialogue,
    done: Option<Done>,
    decision: &Decision,
) {
    let (Some(Done { account, what }), Decision::Grant(_)) = (done, decision) else { return };
    let invited = match what {
        What::Enrolled { invited } => invited,
        What::Grace(until) => {
            let news = format!(
                "After {until} (UTC) a code is needed here. For an authenticator, log in and type \"enroll\" as the code."
            );
            return dialogue.tell(&news).await;
        }
    };
    let source = caller.source.to_string();
    let fields = [
        ("by", if invited { "invitation" } else { "place" }),
        ("user", account.name.as_str()),
        ("account", account.id.as_str()),
        ("label", "phone"),
        ("service", caller.service.as_str()),
        ("source", source.as_str()),
    ];
    house.auditor.event(&event_line("enrolled", &fields));
    dialogue.tell("The authenticator is active: from now on its codes are asked.").await;
    // Whoever has some keeps them. What cannot be made now, the administrator makes.
    if house.store.recovery_left(&account.id).await.is_ok_and(|left| left == 0)
        && let Ok(made) = house.store.renew_recovery(&account.id, &account.name, house.clock.now()).await
    {
        let fields = [
            ("by", "first login"),
            ("user", account.name.as_str()),
            ("account", account.id.as_str()),
            ("voided", "0"),
        ];
        house.auditor.event(&event_line("recovery-codes-made", &fields));
        dialogue
            .tell(
                "Recovery codes, each good once in a code's stead. Keep them on paper, away from the phone:",
            )
            .await;
        for code in &made.codes {
            dialogue.tell(&format!("  {}", code.shown().as_str())).await;
        }
        dialogue.pause().await;
    }
}
