//! How the command ends. The only place that makes exit codes: 0 done, 1 the answer is no, 2 wrong use, 3 unavailable.

use crate::terminal;
use clap::error::ErrorKind as ClapError;
use std::process::ExitCode;
use twinlock_config::Problems;
use twinlock_control::ErrorKind;

/// It could be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Answer {
    /// Done, or yes.
    Yes,
    /// The answer is no, and has been printed.
    No,
}

/// It could not.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The daemon says so.
    Refused(ErrorKind, String),
    /// The request makes no sense.
    WrongUse(String),
    /// The configuration file is not valid.
    Config(Problems),
    /// The daemon does not answer, or not in words we know.
    Unavailable(String),
    /// The reader of our output went away: nobody is left to tell.
    OutputClosed,
}

/// Says what went wrong and returns the exit code.
pub(crate) fn exit_code(result: Result<Answer, Failure>) -> ExitCode {
    let (code, message) = match result {
        Ok(Answer::Yes) => return ExitCode::SUCCESS,
        Ok(Answer::No) => return ExitCode::from(1),
        Err(Failure::Refused(ErrorKind::No, message)) => (1, message),
        Err(Failure::Config(problems)) => (1, problems.to_string()),
        Err(Failure::Refused(ErrorKind::WrongUse, message) | Failure::WrongUse(message)) => (2, message),
        Err(Failure::Refused(ErrorKind::Unavailable, message) | Failure::Unavailable(message)) => {
            (3, message)
        }
        Err(Failure::OutputClosed) => return ExitCode::from(3),
    };
    // Each line of the daemon's message is shown for what it is: text.
    for line in message.lines() {
        terminal::complain(line);
    }
    ExitCode::from(code)
}

/// What was typed is not understood, or help was asked for.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    // Nobody is left to tell if this cannot be printed.
    let _ = error.print();
    let asked_for = matches!(error.kind(), ClapError::DisplayHelp | ClapError::DisplayVersion);
    if asked_for { ExitCode::SUCCESS } else { ExitCode::from(2) }
}
