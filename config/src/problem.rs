//! What is wrong with a file, in one line each: where, which key, what, and the remedy.
//!
//! A problem never holds a piece of the file beyond the names of keys and values that cannot be secrets.

use std::fmt;
use std::path::PathBuf;

/// A place in a file, both counted from 1; columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// One thing that is wrong. `Display` is `FILE:LINE:COLUMN: KEY: MESSAGE; HINT` in one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// Where; absent if the file could not be read at all.
    pub position: Option<Position>,
    /// The key it is about, such as `rule[2].from[0]`; empty if it is about no key.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", OneLine(&self.file.to_string_lossy()))?;
        if let Some(Position { line, column }) = self.position {
            write!(f, "{line}:{column}:")?;
        }
        if !self.key.is_empty() {
            write!(f, " {}:", OneLine(&self.key))?;
        }
        write!(f, " {}", OneLine(&self.message))?;
        match &self.hint {
            Some(hint) => write!(f, "; {}", OneLine(hint)),
            None => Ok(()),
        }
    }
}

/// Text with its control characters escaped, so that it stays one line and moves no cursor.
struct OneLine<'a>(&'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if c.is_control() {
                write!(f, "{}", c.escape_default())?;
            } else {
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

/// All that is wrong with a file, in the order of the file; never empty when it is returned as an error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Adds one.
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// In the order of the file.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.0.sort_by_key(|problem| problem.position);
        self
    }

    /// `Ok(value)` if nothing is wrong.
    ///
    /// # Errors
    /// The problems, in the order of the file.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self.sorted()) }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_one_line_whatever_it_says() {
        let problem = Problem {
            file: "/etc/t\nw".into(),
            position: Some(Position { line: 3, column: 9 }),
            key: "rule[0].name".into(),
            message: "bad\u{1b}[2J\nvalue".into(),
            hint: Some("write another".into()),
        };
        assert_eq!(problem.to_string(), "/etc/t\\nw:3:9: rule[0].name: bad\\u{1b}[2J\\nvalue; write another");
    }
}
