//! From the parsed tree to the schema's types, finding as many mistakes as possible: what is wrong is noted, taken
//! out, and the rest is tried again.
//!
//! serde's messages quote the value they found. It is cut off here; what was expected is said in plain words.

use crate::position::{child, element};
use crate::schema::Config;
use serde_path_to_error::{Path, Segment};
use std::collections::BTreeSet;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

/// Beyond so many mistakes the rest is not looked for.
const MAX_MISTAKES: usize = 50;

/// A key or value that the schema does not know.
pub(crate) struct Mistyped {
    /// Where, if the key itself is meant; else at its value.
    pub(crate) offset: Option<usize>,
    pub(crate) key: String,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// Reads the tree into a [`Config`], or says everything that is in the way.
pub(crate) fn typed(mut tree: Spanned<DeTable<'_>>) -> Result<Config, Vec<Mistyped>> {
    let mut found = Vec::new();
    let mut taken_out = BTreeSet::new();
    while found.len() < MAX_MISTAKES {
        let error = match serde_path_to_error::deserialize(Deserializer::from(tree.clone())) {
            Ok(config) if found.is_empty() => return Ok(config),
            Ok(_) => break,
            Err(error) => error,
        };
        let mut steps = steps(error.path());
        let mistake = Mistake::of(error.inner().message());
        if let Mistake::Unknown { name, .. } = &mistake
            && steps.last() != Some(&Step::Key(name.clone()))
        {
            steps.push(Step::Key(name.clone()));
        }
        let (depth, value) = look_up(tree.get_ref(), &steps);
        steps.truncate(depth);
        let key = path_text(&steps);
        match mistake {
            _ if let Some(depth) = secret_depth(&steps) => {
                steps.truncate(depth);
                found.push(secret_mistake(path_text(&steps)));
            }
            Mistake::Missing(name) => {
                let key = child(&key, &name);
                if !taken_out.contains(&key) {
                    found.push(Mistake::Missing(name).describe(key, None, None));
                }
            }
            Mistake::Unknown { .. } | Mistake::Word { .. } | Mistake::Type { .. } | Mistake::Value(_) => {
                let offset = error.inner().span().map(|span| span.start);
                found.push(mistake.describe(key, offset, value));
            }
        }
        // A list's element takes the list with it: the others would get other numbers.
        while let Some(Step::Index(_)) = steps.last() {
            steps.pop();
        }
        if !take_out(tree.get_mut(), &steps) {
            break;
        }
        taken_out.insert(path_text(&steps));
    }
    Err(found)
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

fn steps(path: &Path) -> Vec<Step> {
    path.iter()
        .map_while(|segment| match segment {
            Segment::Map { key } | Segment::Enum { variant: key } => Some(Step::Key(key.clone())),
            Segment::Seq { index } => Some(Step::Index(*index)),
            Segment::Unknown => None,
        })
        .collect()
}

fn path_text<'a>(steps: impl IntoIterator<Item = &'a Step>) -> String {
    steps.into_iter().fold(String::new(), |path, step| match step {
        Step::Key(key) => child(&path, key),
        Step::Index(index) => element(&path, *index),
    })
}

/// What serde found, without the value it found.
enum Mistake {
    Missing(String),
    Unknown {
        name: String,
        known: Vec<String>,
    },
    /// One of a few words was expected.
    Word {
        known: Vec<String>,
    },
    Type {
        expected: String,
    },
    /// A check of our own types; they show lengths of time and networks only.
    Value(String),
}

impl Mistake {
    fn of(message: &str) -> Self {
        let ticked = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        if let Some(rest) = message.strip_prefix("missing field ") {
            return Self::Missing(ticked(rest).into_iter().next().unwrap_or_default());
        }
        let (found, expected) = message.rsplit_once(", expected ").unwrap_or((message, ""));
        if let Some(rest) = found.strip_prefix("unknown field `") {
            return Self::Unknown {
                name: rest.strip_suffix('`').unwrap_or(rest).to_owned(),
                known: ticked(expected),
            };
        }
        if found.starts_with("unknown variant ") {
            return Self::Word { known: ticked(expected) };
        }
        if found.starts_with("invalid ") {
            return Self::Type { expected: plain(expected) };
        }
        if found.starts_with("wanted ") {
            return Self::Type { expected: "a string".into() };
        }
        Self::Value(message.to_owned())
    }

    fn describe(self, key: String, offset: Option<usize>, value: Option<&DeValue<'_>>) -> Mistyped {
        let at_value = |message: String, hint: Option<String>, key: String| Mistyped {
            offset: None,
            key,
            message,
            hint,
        };
        match self {
            Self::Missing(_) => at_value("must be given".into(), None, key),
            Self::Unknown { name, known } => {
                Mistyped { offset, key, message: "unknown key".into(), hint: did_you_mean(&name, &known) }
            }
            Self::Word { known } => {
                let typed = value.and_then(DeValue::as_str).unwrap_or_default();
                let hint = did_you_mean(typed, &known);
                let known: Vec<_> = known.iter().map(|word| format!("\"{word}\"")).collect();
                at_value(format!("expected {}", known.join(" or ")), hint, key)
            }
            Self::Type { expected } => {
                let found = value.map_or("nothing", |value| plain_type(value));
                at_value(format!("expected {expected}, found {found}"), None, key)
            }
            Self::Value(message) => at_value(message, None, key),
        }
    }
}

/// serde's names of types in plain words.
fn plain(expected: &str) -> String {
    let words = match expected {
        "u8" => "a whole number from 0 to 255",
        "u32" => "a whole number from 0 to 4294967295",
        "a sequence" => "a list",
        "a boolean" => "true or false",
        "a map" => "a table",
        "path string" => "a path in quotes",
        _ if expected.starts_with("struct ") => "a table",
        _ => expected,
    };
    words.to_owned()
}

fn plain_type(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn did_you_mean(name: &str, known: &[String]) -> Option<String> {
    let (distance, nearest) = known.iter().map(|word| (edits(name, word), word)).min()?;
    let close = distance <= 1 || distance * 3 <= nearest.len();
    close.then(|| format!("did you mean {nearest}?"))
}

/// Insertions, deletions, replacements and swaps of neighbours between two words.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    let mut previous = None;
    for (row, letter) in from.chars().take(64).enumerate() {
        let mut line = Vec::with_capacity(last.len());
        line.push(row + 1);
        let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX - 1);
        for (column, wanted) in to.iter().enumerate() {
            let replaced = at(&last, column) + usize::from(letter != *wanted);
            let mut best = replaced.min(at(&last, column + 1) + 1).min(at(&line, column) + 1);
            if column > 0 && previous == Some(*wanted) && to.get(column - 1) == Some(&letter) {
                best = best.min(at(&before_last, column - 1) + 1);
            }
            line.push(best);
        }
        before_last = std::mem::replace(&mut last, line);
        previous = Some(letter);
    }
    last.last().copied().unwrap_or(usize::MAX)
}

/// If the value at these steps says where a secret is kept, how many of them lead to it. Nothing of it may be shown.
fn secret_depth(steps: &[Step]) -> Option<usize> {
    let names: Vec<&str> = steps
        .iter()
        .map_while(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        })
        .collect();
    match names.as_slice() {
        ["directory", _, "bind_password", ..] => Some(3),
        ["store", "key", ..] => Some(2),
        _ => None,
    }
}

fn secret_mistake(key: String) -> Mistyped {
    Mistyped {
        offset: None,
        key,
        message: "expected { file = \"PATH\" } or { credential = \"NAME\" }".into(),
        hint: Some("the secret itself never stands in this file".into()),
    }
}

/// The value at `steps`, or at as many of them as lead somewhere.
fn look_up<'a, 'i>(table: &'a DeTable<'i>, steps: &[Step]) -> (usize, Option<&'a DeValue<'i>>) {
    let mut value: Option<&DeValue<'i>> = None;
    for (depth, step) in steps.iter().enumerate() {
        let next = match (step, value) {
            (Step::Key(key), None) => table.get(key.as_str()),
            (_, None) => None,
            (Step::Key(key), Some(inside)) => inside.get(key.as_str()),
            (Step::Index(index), Some(inside)) => inside.get(*index),
        };
        let Some(next) = next else { return (depth, value) };
        value = Some(next.get_ref());
    }
    (steps.len(), value)
}

/// Takes the key that `steps` end in out of its table.
fn take_out(tree: &mut DeTable<'_>, steps: &[Step]) -> bool {
    let Some((Step::Key(key), path)) = steps.split_last() else { return false };
    let mut path = path.iter();
    let Some(Step::Key(first)) = path.next() else { return tree.remove(key.as_str()).is_some() };
    let mut value = tree.get_mut(first.as_str()).map(Spanned::get_mut);
    for step in path {
        value = match (step, value) {
            (Step::Key(key), Some(DeValue::Table(table))) => {
                table.get_mut(key.as_str()).map(Spanned::get_mut)
            }
            (Step::Index(index), Some(DeValue::Array(items))) => items.get_mut(*index).map(Spanned::get_mut),
            _ => return false,
        };
    }
    match value {
        Some(DeValue::Table(table)) => table.remove(key.as_str()).is_some(),
        _ => false,
    }
}
