//! `import`: takes over the authenticators of other software, so that nobody needs a new phone entry. The files are read
//! here, with the rights of who calls; the daemon judges every entry as it judges an enrolment.

mod google;
mod oath;
mod uri;

use crate::args::{Args, ImportArgs, ImportFormat};
use crate::client::{Client, unexpected};
use crate::outcome::{Answer, Failure};
use crate::terminal;
use data_encoding::BASE32_NOPAD;
use indexmap::IndexMap;
use indicatif::{ProgressBar, ProgressDrawTarget};
use serde::Serialize;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use twinlock_control::{ErrorKind, ImportOutcome, ImportSeed, Imported, Reply, Request, SecretText};
use zeroize::Zeroizing;

/// Longest file that is read, in bytes: some 100,000 authenticators.
const LONGEST: u64 = 16 * 1024 * 1024;

/// Names shown of those who share a note.
const SHOWN: usize = 5;

/// An authenticator as another software kept it.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    user: String,
    seed: ImportSeed,
    /// What is not taken over, in words.
    notes: Vec<String>,
}

/// One of them, or why it is none that can be taken over.
#[derive(Debug)]
struct Entry {
    /// File, and line where it has several.
    origin: String,
    found: Result<Found, String>,
}

/// What became of one.
#[derive(Debug, Serialize)]
struct Row {
    origin: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    outcome: Outcome,
    /// The seed is shorter than the 128 bits that RFC 4226 demands.
    weak: bool,
    /// What was not taken over, or why nothing was.
    notes: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    Taken,
    WouldBeTaken,
    AlreadyThere,
    Refused,
}

pub(crate) fn run(args: &Args, import: &ImportArgs) -> Result<Answer, Failure> {
    let mut entries = Vec::new();
    for path in &import.files {
        entries.extend(read(path, import)?);
    }
    if entries.is_empty() {
        return Err(Failure::WrongUse("there is no authenticator in what was named".into()));
    }
    let mut client = Client::connect(&args.admin_socket()?)?;
    let bar = ProgressBar::with_draw_target(Some(entries.len() as u64), ProgressDrawTarget::stderr());
    let mut rows = Vec::with_capacity(entries.len());
    for entry in entries {
        rows.push(take(&mut client, entry, import)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let all_well = rows.iter().all(|row| row.outcome != Outcome::Refused);
    if args.json {
        terminal::print_json(&rows)?;
    } else {
        terminal::print(&report(&rows, import.dry_run))?;
    }
    Ok(if all_well { Answer::Yes } else { Answer::No })
}

fn read(path: &Path, import: &ImportArgs) -> Result<Vec<Entry>, Failure> {
    let refuse = |error: &dyn std::fmt::Display| {
        Failure::WrongUse(format!("{}: it cannot be read: {error}", path.display()))
    };
    let mut text = Zeroizing::new(String::new());
    let file = File::open(path).map_err(|error| refuse(&error))?;
    let length = file.take(LONGEST + 1).read_to_string(&mut text).map_err(|error| refuse(&error))?;
    if length as u64 > LONGEST {
        return Err(refuse(&"it is longer than 16 MiB"));
    }
    let origin = path.display().to_string();
    Ok(match import.format {
        ImportFormat::GoogleAuthenticator => vec![Entry { found: google::read(path, &text), origin }],
        ImportFormat::PamOath => by_line(&origin, &text, oath::read),
        ImportFormat::Otpauth => by_line(&origin, &text, |line| uri::read(line, import.drop_realm)),
    })
}

/// One entry a line; empty lines and comments are left out.
fn by_line(origin: &str, text: &str, read: impl Fn(&str) -> Result<Found, String>) -> Vec<Entry> {
    (1..)
        .zip(text.lines())
        .map(|(number, line)| (number, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| Entry { origin: format!("{origin}:{number}"), found: read(line) })
        .collect()
}

fn take(client: &mut Client, entry: Entry, import: &ImportArgs) -> Result<Row, Failure> {
    let refused =
        |origin, user, why| Row { origin, user, outcome: Outcome::Refused, weak: false, notes: vec![why] };
    let Found { user, seed, mut notes } = match entry.found {
        Ok(found) => found,
        Err(why) => return Ok(refused(entry.origin, None, why)),
    };
    let asked = client.ask(&Request::Import {
        user: user.clone(),
        label: import.label.clone(),
        seed,
        dry_run: import.dry_run,
    });
    let Imported { account, weak, outcome } = match asked {
        Ok(Reply::Imported(imported)) => imported,
        Ok(_) => return Err(unexpected()),
        // The entry is at fault, not the daemon: the others may still be taken.
        Err(Failure::Refused(ErrorKind::No | ErrorKind::WrongUse, why)) => {
            return Ok(refused(entry.origin, Some(user), why));
        }
        Err(failure) => return Err(failure),
    };
    if weak {
        notes.push("weak: the seed has less than 128 bits; enrol anew when you can".into());
    }
    let outcome = match outcome {
        ImportOutcome::Taken => Outcome::Taken,
        ImportOutcome::WouldBeTaken => Outcome::WouldBeTaken,
        ImportOutcome::AlreadyThere => Outcome::AlreadyThere,
    };
    Ok(Row { origin: entry.origin, user: Some(account), outcome, weak, notes })
}

fn report(rows: &[Row], dry_run: bool) -> String {
    let mut lines: Vec<String> = noted(rows)
        .iter()
        .map(|((outcome, note), who)| {
            let word = match outcome {
                Outcome::Taken => "taken",
                Outcome::WouldBeTaken => "would be taken",
                Outcome::AlreadyThere => "already there",
                Outcome::Refused => "refused",
            };
            let shown = who.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
            let more = who.len().saturating_sub(SHOWN);
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            terminal::harmless(&format!("{} {word}: {note} ({shown}{more})", who.len()))
        })
        .collect();
    let count = |outcome| rows.iter().filter(|row| row.outcome == outcome).count();
    let (taken, verb) = if dry_run {
        (count(Outcome::WouldBeTaken), "would be taken over")
    } else {
        (count(Outcome::Taken), "taken over")
    };
    lines.push(format!(
        "{taken} of {} {verb}, {} already there, {} refused, {} weak",
        rows.len(),
        count(Outcome::AlreadyThere),
        count(Outcome::Refused),
        rows.iter().filter(|row| row.weak).count()
    ));
    lines.join("\n")
}

/// Who shares an outcome and a note, so that a thousand of a kind take one line.
fn noted(rows: &[Row]) -> IndexMap<(Outcome, &str), Vec<&str>> {
    let mut noted = IndexMap::<_, Vec<_>>::new();
    for row in rows {
        let who = row.user.as_deref().unwrap_or(&row.origin);
        for note in &row.notes {
            noted.entry((row.outcome, note.as_str())).or_default().push(who);
        }
    }
    noted
}

/// The seed's bytes as the daemon takes them.
fn seed(bytes: &[u8], digits: u8, algorithm: &str, step_s: u64) -> ImportSeed {
    ImportSeed {
        seed: SecretText::from(BASE32_NOPAD.encode(bytes)),
        digits,
        algorithm: algorithm.to_owned(),
        step_s,
    }
}

/// Reads base32 as such software writes it: in either case, with spaces, dashes or padding.
fn base32(text: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut plain = Zeroizing::new(String::with_capacity(text.len()));
    plain.extend(text.chars().filter(|c| !matches!(c, ' ' | '-' | '=')).map(
        |c| match c.to_ascii_uppercase() {
            // What google-authenticator takes these for.
            '0' => 'O',
            '1' => 'L',
            '8' => 'B',
            other => other,
        },
    ));
    let mut lax = BASE32_NOPAD.specification();
    // Bits beyond the last whole byte mean nothing.
    lax.check_trailing_bits = false;
    lax.encoding()
        .ok()
        .and_then(|encoding| encoding.decode(plain.as_bytes()).ok())
        .map(Zeroizing::new)
        .ok_or_else(|| "the seed is not base32".to_owned())
}

/// Who a per-user file belongs to: the folder's name for `/home/alice/.google_authenticator`, else the file's own.
fn user_of(path: &Path) -> Option<String> {
    let file = path.file_name()?.to_str()?;
    if file.starts_with('.') {
        return path.parent().and_then(last).map(str::to_owned);
    }
    Some(file.to_owned())
}

fn last(path: &Path) -> Option<&str> {
    path.file_name().and_then(std::ffi::OsStr::to_str)
}
