//! `config check` and `config show`: work with the daemon stopped.

use crate::args::Args;
use crate::outcome::{Answer, Failure};
use crate::terminal;
use std::path::Path;

/// Says everything that is wrong with the file at `path`.
pub(crate) fn check(path: &Path) -> Result<Answer, Failure> {
    twinlock_config::load(path).map_err(Failure::Config)?;
    terminal::print(&format!("{}: valid", terminal::harmless(&path.to_string_lossy())))?;
    Ok(Answer::Yes)
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
