//! Which key stands where: the parsed file's spans, kept as lines and columns so that the text need not be.

use crate::problem::Position;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The positions of every key's value, by key path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Positions(BTreeMap<String, Position>);

impl Positions {
    pub(crate) fn of(text: &str, table: &DeTable<'_>) -> Self {
        let lines = Lines::of(text);
        let mut positions = Self::default();
        positions.walk_table(&lines, "", table);
        positions
    }

    /// Where the value of `key` stands, or else the innermost table around it that is there.
    pub(crate) fn find(&self, key: &str) -> Position {
        let mut key = key;
        loop {
            if let Some(position) = self.0.get(key) {
                return *position;
            }
            let Some(parent) = key.rfind(['.', '[']).and_then(|end| key.get(..end)) else {
                return Position { line: 1, column: 1 };
            };
            key = parent;
        }
    }

    fn walk_table(&mut self, lines: &Lines<'_>, path: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let path = child(path, name.get_ref());
            // A table that only a deeper header names has no span of its own worth showing: its key has.
            let span = if value.span().is_empty() { name.span() } else { value.span() };
            self.walk_value(lines, path, value, &span);
        }
    }

    fn walk_value(
        &mut self,
        lines: &Lines<'_>,
        path: String,
        value: &Spanned<DeValue<'_>>,
        span: &Range<usize>,
    ) {
        match value.get_ref() {
            DeValue::Table(table) => self.walk_table(lines, &path, table),
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.walk_value(lines, element(&path, index), item, &item.span());
                }
            }
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => {}
        }
        self.0.insert(path, lines.position(span.start));
    }
}

/// The path of `name` in the table at `path`, quoted where TOML would quote it.
pub(crate) fn child(path: &str, name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    let name = if bare { name.to_owned() } else { format!("{name:?}") };
    if path.is_empty() { name } else { format!("{path}.{name}") }
}

/// The path of element `index` in the list at `path`.
pub(crate) fn element(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

/// Turns byte offsets into positions.
pub(crate) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        let starts =
            std::iter::once(0).chain(text.match_indices('\n').map(|(offset, _)| offset + 1)).collect();
        Self { text, starts }
    }

    pub(crate) fn position(&self, offset: usize) -> Position {
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let before = self.text.as_bytes().get(start..offset.min(self.text.len())).unwrap_or_default();
        // Characters, not bytes: continuation bytes of UTF-8 are not counted.
        let column = before.iter().filter(|byte| **byte & 0xc0 != 0x80).count() + 1;
        Position { line, column }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, key: &str) -> (usize, usize) {
        let table = DeTable::parse(text).unwrap();
        let position = Positions::of(text, table.get_ref()).find(key);
        (position.line, position.column)
    }

    #[test]
    fn values_are_found_in_headers_lists_and_inline_tables() {
        let text = "[a.b]\nx = 1\n\"é.\" = [ \"ä\", 2 ]\n[[r]]\nn = { m = 5 }\n[[r]]\nn = 3\n";
        assert_eq!(at(text, "a.b.x"), (2, 5));
        assert_eq!(at(text, "a.b"), (1, 1));
        assert_eq!(at(text, "a.b.\"é.\"[1]"), (3, 15));
        assert_eq!(at(text, "r[0].n.m"), (5, 11));
        assert_eq!(at(text, "r[1].n"), (7, 5));
        assert_eq!(at(text, "r[1]"), (6, 1));
    }

    #[test]
    fn what_is_not_there_is_reported_at_the_table_around_it() {
        assert_eq!(at("[a.b]\nx = 1\n", "a.b.missing[3].deeper"), (1, 1));
        assert_eq!(at("", "a"), (1, 1));
    }
}
