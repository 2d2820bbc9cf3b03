//! Stories that cannot run on this machine: said loudly, listed by `make test`, and with CI=true a failure.

use std::fs;
use std::io::Write as _;

/// Whether `story` can run: nothing is missing.
///
/// # Panics
/// With CI=true, if something is.
#[must_use]
pub fn can_run(story: &str, missing: Option<&str>) -> bool {
    let Some(missing) = missing else { return true };
    let line = format!("{story}: {missing}");
    assert!(std::env::var("CI").as_deref() != Ok("true"), "a story cannot run: {line}");
    let _ = writeln!(std::io::stderr(), "SKIPPED {line}");
    if let Some(list) = std::env::var_os("TWINLOCK_SKIPPED") {
        let mut list = fs::OpenOptions::new().append(true).create(true).open(list).unwrap();
        writeln!(list, "{line}").unwrap();
    }
    false
}

/// What a story of root's lacks: these files, or root.
#[must_use]
pub fn lacking(files: &[&str], packages: &str) -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("needs root".to_owned());
    }
    let file = files.iter().find(|file| !std::path::Path::new(file).exists())?;
    Some(format!("needs {file}: apt-get install {packages}"))
}
