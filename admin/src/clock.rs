//! Whether the wall clock is believed, as text for people, and what to do where it is not.

use crate::report::{date, duration};
use crate::terminal::harmless;
use twinlock_control::{ClockReport, ClockSuspicion, UsedAhead};

/// How it stands.
pub(crate) fn report(report: &ClockReport) -> String {
    let shows = date(report.shows);
    let kernel = match report.synchronised {
        Some(true) => "the kernel calls it synchronised",
        Some(false) => "the kernel does not call it synchronised",
        None => "the kernel does not tell whether it is synchronised",
    };
    let mut lines = match &report.suspicion {
        None => vec![format!("The wall clock shows {shows} and is believed; {kernel}.")],
        Some(suspicion) => vec![
            format!("The wall clock shows {shows} and is not believed: {}; {kernel}.", why(suspicion)),
            "No code is taken, and nothing is learned or forgotten, until it is synchronised (see timedatectl), or, if \
             it is right as it is, until: twinlock clock accept"
                .into(),
        ],
    };
    lines.extend(report.used_ahead.iter().map(ahead));
    lines.join("\n")
}

fn ahead(used: &UsedAhead) -> String {
    format!(
        "{} ({}) was used while the clock was ahead, and takes no code until {}; enrol it anew if that is too late.",
        harmless(&used.account),
        harmless(&used.label),
        date(used.until)
    )
}

fn why(suspicion: &ClockSuspicion) -> String {
    let by = duration(suspicion.by_s.unsigned_abs());
    match suspicion.why.as_str() {
        "below-highest" => {
            format!("it was {by} below {}, which it has shown", date(suspicion.believed_until))
        }
        _ if suspicion.by_s < 0 => format!("it was set back by {by}"),
        _ => format!("it was set forward by {by}"),
    }
}

/// What an administrator's word has done, told by how it stood before.
pub(crate) fn accepted(before: &ClockReport) -> String {
    let shows = date(before.shows);
    match &before.suspicion {
        Some(suspicion) => format!(
            "The wall clock is believed again, as it shows {shows}. It was not, because {}.",
            why(suspicion)
        ),
        None => format!("There was nothing to accept: the wall clock shows {shows} and is believed."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(suspicion: Option<ClockSuspicion>) -> ClockReport {
        ClockReport { shows: 3600, synchronised: Some(false), suspicion, used_ahead: Vec::new() }
    }

    #[test]
    fn it_says_what_is_wrong_and_what_ends_it() {
        let suspicion = |why: &str, by_s| ClockSuspicion { why: why.into(), by_s, believed_until: 7200 };
        for (suspicion, words) in [
            (suspicion("parted", -3600), "it was set back by 1 h"),
            (suspicion("parted", 90), "it was set forward by 1 min 30 s"),
            (suspicion("below-highest", -3600), "it was 1 h below 1970-01-01 02:00 UTC, which it has shown"),
        ] {
            let said = report(&clock(Some(suspicion.clone())));
            assert!(
                said.starts_with("The wall clock shows 1970-01-01 01:00 UTC and is not believed"),
                "{said}"
            );
            assert!(said.contains(words) && said.ends_with("until: twinlock clock accept"), "{said}");
            assert!(accepted(&clock(Some(suspicion))).contains(words));
        }
        assert!(report(&clock(None)).contains("is believed"));
        assert!(accepted(&clock(None)).starts_with("There was nothing to accept"));
    }
}
