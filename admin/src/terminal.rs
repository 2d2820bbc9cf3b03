//! Standard input and output: what is printed, what is asked, and what is typed without being shown.
//!
//! Text from elsewhere is stripped of control characters first, so that no name in a directory moves the cursor.
//! Output that nobody reads any more is an error, never a panic.

use crate::outcome::Failure;
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use serde::Serialize;
use std::io::{BufRead, IsTerminal, Read, Write, stderr, stdin, stdout};
use zeroize::{Zeroize, Zeroizing};

/// Longest line read from standard input, in bytes.
const MAX_TYPED: usize = 4096;

/// Prints `text` and a newline.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|_| Failure::OutputClosed)
}

/// Prints one line of JSON.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let text = Zeroizing::new(
        serde_json::to_string(value)
            .map_err(|error| Failure::Unavailable(format!("the reply cannot be printed: {error}")))?,
    );
    print(&text)
}

/// Prints one line to standard error. That it cannot be printed changes nothing.
pub(crate) fn complain(line: &str) {
    let _ = writeln!(stderr(), "twinlock: {}", harmless(line));
}

/// Prints a question to standard error, so that standard output holds answers only.
pub(crate) fn prompt(text: &str) {
    let mut err = stderr().lock();
    let _ = write!(err, "{}", harmless(text)).and_then(|()| err.flush());
}

/// Says on standard error how far something has come, if somebody looks at it there; an empty text takes it away.
pub(crate) fn progress(text: &str) {
    let mut err = stderr().lock();
    if err.is_terminal() {
        // Only for the eye: nothing depends on it.
        let _ = write!(err, "\r\x1b[K{}", harmless(text)).and_then(|()| err.flush());
    }
}

/// Text without control characters.
pub(crate) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Whether somebody sits at standard input.
pub(crate) fn is_interactive() -> bool {
    stdin().is_terminal()
}

/// Columns of the terminal at standard output; none if it is no terminal.
pub(crate) fn columns() -> Option<usize> {
    let out = stdout();
    if !out.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(&out).ok()?;
    // Some consoles do not know their own size.
    Some(if size.ws_col == 0 { 80 } else { usize::from(size.ws_col) })
}

/// Asks `question` and reads a line, without its newline. With `echo` off, what is typed is not shown.
pub(crate) fn ask(question: &str, echo: bool) -> Result<Zeroizing<Vec<u8>>, Failure> {
    if is_interactive() {
        prompt(question);
    }
    let hidden = if echo { None } else { Hidden::begin() };
    let line = read_line();
    if hidden.is_some() {
        drop(hidden);
        let _ = writeln!(stderr());
    }
    line
}

/// Whether to go on: `yes` answers already; else whoever sits there is asked, and where nobody does it must be said.
pub(crate) fn agreed(question: &str, yes: bool) -> Result<bool, Failure> {
    if yes {
        return Ok(true);
    }
    if !is_interactive() {
        return Err(Failure::WrongUse(format!("{} Say so with --yes", harmless(question))));
    }
    let answer = ask(&format!("{question} [y/N] "), true)?;
    Ok(matches!(answer.trim_ascii(), b"y" | b"Y" | b"yes"))
}

/// Reads one line from standard input. Its end without a line is an error.
pub(crate) fn read_line() -> Result<Zeroizing<Vec<u8>>, Failure> {
    let unreadable = |why: &str| Failure::WrongUse(format!("standard input {why}"));
    // Of its final size from the start, so that no outgrown copy is left behind unwiped.
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_TYPED + 1));
    let mut input = stdin().lock().take(MAX_TYPED as u64 + 1);
    let read = input.read_until(b'\n', &mut line).map_err(|error| unreadable(&error.to_string()))?;
    if read == 0 {
        return Err(unreadable("ended before everything was answered"));
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if read > MAX_TYPED {
        return Err(unreadable("holds a line of more than 4096 bytes"));
    }
    Ok(line)
}

/// What is typed is not shown as long as this lives.
struct Hidden(Termios);

impl Hidden {
    fn begin() -> Option<Self> {
        let before = tcgetattr(stdin()).ok()?;
        let mut silent = before.clone();
        silent.local_flags.remove(LocalFlags::ECHO);
        silent.local_flags.remove(LocalFlags::ECHONL);
        tcsetattr(stdin(), SetArg::TCSAFLUSH, &silent).ok()?;
        Some(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // The terminal may be gone; then there is nothing to restore.
        let _ = tcsetattr(stdin(), SetArg::TCSADRAIN, &self.0);
    }
}

/// What was typed as text, which codes and seeds are.
pub(crate) fn text(mut typed: Zeroizing<Vec<u8>>) -> Result<String, Failure> {
    let bytes = std::mem::take(&mut *typed);
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) => {
            error.into_bytes().zeroize();
            Err(Failure::WrongUse("this is not UTF-8".into()))
        }
    }
}
