//! Reading the file: bytes, syntax, types, then the checks of values. Every problem that can be found is reported.
//!
//! The texts of the TOML and serde libraries quote what they found, and that may be a secret. Only the parts of
//! them that name types and keys are used here.

use crate::check;
use crate::mistyped::typed;
use crate::position::{Lines, Positions};
use crate::problem::{Position, Problem, Problems};
use crate::schema::Config;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use toml::de::DeTable;

/// Largest file read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;
/// Beyond so many problems the rest is not looked for.
const MAX_PROBLEMS: usize = 50;

/// A valid configuration that still knows where in its file everything stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    file: PathBuf,
    positions: Positions,
}

impl Loaded {
    /// A problem with the value of `key`, written as in `location.office.networks[0]`; if the key is left out in
    /// the file, it is reported where the table around it stands.
    #[must_use]
    pub fn problem_at(&self, key: &str, message: impl Into<String>, hint: Option<&str>) -> Problem {
        Problem {
            file: self.file.clone(),
            position: Some(self.positions.find(key)),
            key: key.to_owned(),
            message: message.into(),
            hint: hint.map(str::to_owned),
        }
    }

    /// The file it was read from.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }
}

/// Reads and checks the file at `path`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(path: &Path) -> Result<Loaded, Problems> {
    let text = read(path).map_err(|(position, message, hint)| {
        Problems(vec![Problem {
            file: path.to_owned(),
            position,
            key: String::new(),
            message,
            hint: hint.map(str::to_owned),
        }])
    })?;
    parse(&text, path)
}

type Unreadable = (Option<Position>, String, Option<&'static str>);

fn read(path: &Path) -> Result<String, Unreadable> {
    let io = |error: std::io::Error| (None, format!("cannot be read: {error}"), None);
    // Looked at before it is opened: opening a pipe would wait for somebody to write into it.
    if !std::fs::metadata(path).map_err(io)?.is_file() {
        return Err((None, "is not a regular file".into(), None));
    }
    let file = std::fs::File::open(path).map_err(io)?;
    let about = file.metadata().map_err(io)?;
    if about.permissions().mode() & 0o002 != 0 {
        return Err((None, "may be written by everybody".into(), Some("take that right away: chmod o-w")));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err((None, "is larger than 1 MiB".into(), None));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes().get(..valid).unwrap_or_default()).into_owned();
        let position = Lines::of(&text).position(valid);
        (Some(position), "is not UTF-8 from here on".into(), None)
    })
}

/// Reads and checks `text`, which came from `file`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(text: &str, file: &Path) -> Result<Loaded, Problems> {
    let lines = Lines::of(text);
    let problem = |position: Position, key: &str, message: String, hint: Option<String>| Problem {
        file: file.to_owned(),
        position: Some(position),
        key: key.to_owned(),
        message,
        hint,
    };

    let (tree, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let found = errors.iter().take(MAX_PROBLEMS).map(|error| {
            let position = lines.position(error.span().map_or(0, |span| span.start));
            problem(position, "", syntax_message(error.message()), None)
        });
        return Err(Problems(found.collect()).sorted());
    }

    let positions = Positions::of(text, tree.get_ref());
    let config = typed(tree).map_err(|found| {
        let found = found.into_iter().map(|mistyped| {
            let position = match mistyped.offset {
                Some(offset) => lines.position(offset),
                None => positions.find(&mistyped.key),
            };
            problem(position, &mistyped.key, mistyped.message, mistyped.hint)
        });
        Problems(found.collect()).sorted()
    })?;
    let loaded = Loaded { config, file: file.to_owned(), positions };
    check::check(&loaded).or(()).map(|()| loaded)
}

/// The parser's message, which names what it expected and quotes nothing of the file.
fn syntax_message(message: &str) -> String {
    format!("this is no valid TOML: {message}")
}
