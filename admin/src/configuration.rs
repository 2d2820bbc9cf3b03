//! `config check` and `config show`: work with the daemon stopped.

use crate::args::Args;
use crate::outcome::{Answer, Failure};
use crate::{table, terminal};
use std::time::{SystemTime, UNIX_EPOCH};
use twinlock_config::Config;
use twinlock_policy::bound::Percent;
use twinlock_policy::check::{self, RuleBound};

/// Says everything that is wrong with the file; if nothing is, prints what is asked of whom from where: what an
/// administrator signs.
pub(crate) fn check(args: &Args) -> Result<Answer, Failure> {
    let loaded = twinlock_config::load(&args.config).map_err(Failure::Config)?;
    let policy = check::accept(&loaded).map_err(Failure::Config)?;
    let table = check::table(&loaded.config, &policy);
    let bounds = check::bounds(&loaded.config, &policy);
    let mut warnings = check::check(&loaded.config, &policy).warnings;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    warnings.extend(check::expired(&policy, now));
    if args.json {
        let warnings: Vec<String> = warnings.iter().map(|finding| finding.at(&loaded).to_string()).collect();
        terminal::print_json(&serde_json::json!({
            "valid": true,
            "table": table,
            "bounds": bounds,
            "waivers": check::waivers(&loaded.config, &policy, now),
            "single_factors": check::single_factors(&loaded.config, &policy),
            "overlaps": check::overlaps(&loaded.config, &policy),
            "warnings": warnings,
            "history": {
                "path": loaded.config.history_path(),
                "bytes": loaded.config.audit.history_size.bytes(),
                "attempts": loaded.config.history_attempts(),
                "keep_s": loaded.config.audit.keep.duration().as_secs(),
            },
        }))?;
        return Ok(Answer::Yes);
    }
    terminal::print(&format!("{}: valid\n", terminal::harmless(&args.config.to_string_lossy())))?;
    terminal::print(&table::columns(&table))?;
    for rule in &bounds {
        terminal::print(&bound(rule))?;
    }
    for waiver in check::waivers(&loaded.config, &policy, now) {
        terminal::print(&format!(
            "waiver: {waiver}: the place stands in for the code; it is no factor to an auditor"
        ))?;
    }
    for rule in check::single_factors(&loaded.config, &policy) {
        terminal::print(&format!("one factor: {rule} is all that is needed, as single_factor = true says"))?;
    }
    for pair in check::overlaps(&loaded.config, &policy) {
        terminal::print(&format!(
            "overlap: a login that both \"{}\" and \"{}\" fit is decided by the first",
            pair.above, pair.below
        ))?;
    }
    terminal::print(&history(&loaded.config))?;
    for finding in warnings {
        terminal::print(&format!("warning: {}", finding.at(&loaded)))?;
    }
    Ok(Answer::Yes)
}

/// How much a rule that asks a code lets a guesser reach.
fn bound(rule: &RuleBound) -> String {
    let bound = &rule.bound;
    format!(
        "bound: {}: {bound} a year at most is the chance of whoever knows the password: {} codes guessed from unfamiliar places \
         and {} from the account's own ({}), and two codes typed as one ({})",
        rule.rule,
        bound.unfamiliar_guesses,
        bound.own_guesses,
        Percent(bound.code),
        Percent(bound.way_in)
    )
}

/// What the history takes and holds.
fn history(config: &Config) -> String {
    let (attempts, keep) = (config.history_attempts(), config.audit.keep);
    let days = (keep.duration().as_secs() / 86_400).max(1);
    format!(
        "history: {} takes {} and holds the last {attempts} attempts, none older than {keep}; with more than {} a day, \
         its size ends it first",
        terminal::harmless(&config.history_path().to_string_lossy()),
        config.audit.history_size,
        attempts / days
    )
}

/// Prints the configuration in force.
pub(crate) fn show(args: &Args) -> Result<Answer, Failure> {
    let config = twinlock_config::load(&args.config).map_err(Failure::Config)?.config;
    if args.json {
        terminal::print_json(&config.effective())?;
    } else {
        let text = twinlock_config::show(&config)
            .map_err(|error| Failure::WrongUse(format!("the configuration cannot be shown: {error}")))?;
        terminal::print(text.trim_end())?;
    }
    Ok(Answer::Yes)
}
