//! Whatever happens to the file, reading it ends in a configuration or in problems, never in a panic, and no problem
//! repeats what may be a secret.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::prelude::*;
use std::path::Path;
use twinlock_config::{parse, show};

const SHIPPED: &str = include_str!("../twinlock.toml");
const SECRET: &str = "hunter2";

/// The shipped file after somebody wrote secrets where they do not belong.
fn with_secrets() -> String {
    SHIPPED
        .replace("{ file = \"/etc/twinlock/bind-password\" }", "\"hunter2\"  # hunter2")
        .replace("{ file = \"/etc/twinlock/seal.key\" }", "{ file = \"/etc/x\", hex = \"hunter2\" }")
        .replace("ldaps://ldap1.example.org", "ldaps://cn=a:hunter2@ldap1.example.org")
}

#[derive(Debug, Clone)]
enum Edit {
    Insert(usize, char),
    Remove(usize, usize),
    Replace(usize, char),
    DropLine(usize),
    RepeatLine(usize),
    SwapLines(usize, usize),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let letter = prop_oneof![
        prop::char::any(),
        prop::sample::select("\"'[]{}=,.#\\\n\r\t0-_ax\u{0}".chars().collect::<Vec<_>>()),
    ];
    let edit = prop_oneof![
        (any::<usize>(), letter.clone()).prop_map(|(at, c)| Edit::Insert(at, c)),
        (any::<usize>(), 1_usize..4).prop_map(|(at, length)| Edit::Remove(at, length)),
        (any::<usize>(), letter).prop_map(|(at, c)| Edit::Replace(at, c)),
        any::<usize>().prop_map(Edit::DropLine),
        any::<usize>().prop_map(Edit::RepeatLine),
        (any::<usize>(), any::<usize>()).prop_map(|(from, to)| Edit::SwapLines(from, to)),
    ];
    prop::collection::vec(edit, 1..6)
}

fn apply(text: &str, edits: &[Edit]) -> String {
    let mut text: Vec<char> = text.chars().collect();
    for edit in edits {
        let length = text.len().max(1);
        let mut lines: Vec<Vec<char>> = text.split(|c| *c == '\n').map(<[char]>::to_vec).collect();
        let count = lines.len();
        match *edit {
            Edit::Insert(at, c) => text.insert(at % length, c),
            Edit::Replace(at, c) => text[at % length] = c,
            Edit::Remove(at, removed) => {
                let at = at % length;
                let end = (at + removed).min(text.len());
                text.drain(at..end);
            }
            Edit::DropLine(at) => drop(lines.remove(at % count)),
            Edit::RepeatLine(at) => lines.insert(at % count, lines[at % count].clone()),
            Edit::SwapLines(from, to) => lines.swap(from % count, to % count),
        }
        if matches!(edit, Edit::DropLine(_) | Edit::RepeatLine(_) | Edit::SwapLines(..)) {
            text = lines.join(&'\n');
        }
    }
    text.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_edited_file_is_read_or_refused_and_what_is_read_can_be_shown(edits in edits()) {
        match parse(&apply(SHIPPED, &edits), Path::new("t")) {
            Ok(loaded) => {
                let text = show(&loaded.config).unwrap();
                let again = parse(&text, Path::new("t"));
                prop_assert_eq!(again.map(|again| again.config), Ok(loaded.config.effective()));
            }
            Err(problems) => {
                prop_assert!(!problems.0.is_empty());
                for problem in &problems.0 {
                    prop_assert!(!problem.to_string().contains('\n'));
                    prop_assert!(problem.position.is_some());
                }
            }
        }
    }

    #[test]
    fn no_problem_repeats_a_secret(edits in edits()) {
        let Err(problems) = parse(&apply(&with_secrets(), &edits), Path::new("t")) else { return Ok(()) };
        let printed = problems.to_string();
        prop_assert!(!printed.contains(SECRET), "{}", printed);
    }

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,200}") {
        let _ = parse(&text, Path::new("t"));
    }
}

#[test]
fn the_unedited_file_with_secrets_is_refused_without_showing_them() {
    let printed = parse(&with_secrets(), Path::new("t")).unwrap_err().to_string();
    assert!(printed.contains("bind_password"), "{printed}");
    assert!(printed.contains("store.key"), "{printed}");
    assert!(!printed.contains(SECRET), "{printed}");
}

#[test]
fn deep_nesting_is_refused_without_a_stack_overflow() {
    for (open, count) in [("[", 200_000), ("{a=", 200_000)] {
        assert!(parse(&format!("x = {}", open.repeat(count)), Path::new("t")).is_err());
    }
    assert!(parse(&format!("{}x = 1", "a.".repeat(100_000)), Path::new("t")).is_err());
    assert!(parse(&format!("[{}x]", "a.".repeat(100_000)), Path::new("t")).is_err());
}
