//! The file that is shipped is valid, and what `config show` makes of it is the same configuration.

use std::path::Path;
use twinlock_config::{load, parse, show};

fn shipped() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/twinlock.toml"))
}

#[test]
fn the_shipped_file_is_valid() {
    let loaded = load(shipped()).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(loaded.config.rule.len(), 3);
    assert_eq!(loaded.config.rule[2].name, "everyone else");
}

#[test]
fn what_is_shown_reads_back_as_the_configuration_in_force() {
    let config = load(shipped()).unwrap().config;
    let text = show(&config).unwrap();
    let again =
        parse(&text, Path::new("shown")).unwrap_or_else(|problems| panic!("{problems}\n{text}")).config;
    assert_eq!(again, config.effective());
    assert!(text.contains("(&(objectClass=posixAccount)(uid={user}))"), "{text}");
    assert!(text.contains("/etc/twinlock/bind-password"), "{text}");
}
