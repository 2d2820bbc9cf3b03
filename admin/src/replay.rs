//! `twinlock explain --since 7d --config NEW.toml`: whom a candidate configuration would have treated differently. The
//! daemon goes through its history, a page at a time; here the pages are put together.

use crate::args::Args;
use crate::client::{Client, unexpected};
use crate::outcome::{Answer, Failure};
use crate::report::{count, date};
use crate::terminal::{harmless, print, print_json};
use serde::Serialize;
use std::fs;
use twinlock_control::{Difference, ReplayQuery, Reply, Request, Treatment, Would};
use twinlock_policy::check;

#[derive(Default, Serialize)]
struct Replayed {
    looked_at: u64,
    skipped: u64,
    differences: Vec<Difference>,
}

/// Exit code 0 if nobody would have been treated differently, 1 if somebody would.
pub(crate) fn run(args: &Args, since: u64) -> Result<Answer, Failure> {
    let loaded = twinlock_config::load(&args.config).map_err(Failure::Config)?;
    check::accept(&loaded).map_err(Failure::Config)?;
    let config = fs::read_to_string(&args.config)
        .map_err(|error| Failure::WrongUse(format!("{}: {error}", args.config.display())))?;
    let mut client = Client::connect(&args.admin_socket()?)?;
    let mut all = Replayed::default();
    let mut from = None;
    loop {
        let query = ReplayQuery { config: config.clone(), since, from };
        let Reply::Replayed(page) = client.ask(&Request::Replay(query))? else { return Err(unexpected()) };
        all.looked_at += page.looked_at;
        all.skipped += page.skipped;
        page.differences.into_iter().for_each(|difference| all.add(difference));
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    all.differences.sort_by_key(|difference| std::cmp::Reverse(difference.count));
    if args.json {
        print_json(&all)?;
    } else {
        print(&all.text())?;
    }
    Ok(if all.differences.is_empty() { Answer::Yes } else { Answer::No })
}

impl Replayed {
    fn add(&mut self, new: Difference) {
        let alike = |known: &&mut Difference| {
            (&known.account, &known.service, &known.source, &known.before, &known.after)
                == (&new.account, &new.service, &new.source, &new.before, &new.after)
        };
        match self.differences.iter_mut().find(alike) {
            Some(known) => {
                known.count += new.count;
                known.last = known.last.max(new.last);
            }
            None => self.differences.push(new),
        }
    }

    fn text(&self) -> String {
        let mut lines = vec![format!(
            "{} looked at, {} of names that the directory does not know now",
            count(self.looked_at, "attempt"),
            self.skipped
        )];
        if self.differences.is_empty() {
            lines.push("nobody would have been treated differently".into());
        }
        for difference in &self.differences {
            lines.push(format!(
                "{} of {} at {} from {}, last {}: {}; now: {}",
                count(difference.count, "attempt"),
                difference.account,
                difference.service,
                difference.source,
                date(difference.last),
                treatment(&difference.after),
                treatment(&difference.before)
            ));
        }
        lines.push(
            "Groups, earned places and countries are those of now; lanes, and what was typed, are left aside.".into(),
        );
        lines.iter().map(|line| harmless(line)).collect::<Vec<_>>().join("\n")
    }
}

fn treatment(treatment: &Treatment) -> String {
    let rule = treatment.rule.as_ref().map_or_else(|| "by no rule".into(), |rule| format!("by \"{rule}\""));
    let asked = if treatment.asked == "-" { "nothing" } else { &treatment.asked };
    match treatment.would {
        Would::LetIn if treatment.factors.is_empty() => format!("let in {rule}, with nothing more"),
        Would::LetIn => format!("let in {rule}, with {} (asked: {asked})", treatment.factors.join(" and ")),
        Would::BeDenied => format!("denied {rule} (asked: {asked})"),
        Would::BeUnavailable => format!("not decided {rule}"),
    }
}
