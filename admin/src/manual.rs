//! twinlock(1) and the shells' completions, made from the definition in args.rs, so that they cannot drift from it. A test
//! makes them, not the command: what is installed carries none of this. `make man` says by TWINLOCK_MANUAL where to.

use crate::args::Args;
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};
use std::io::Write;
use std::path::Path;

/// What stands behind the commands.
const EXIT_CODES: [(&str, &str); 4] = [
    ("0", "Done."),
    ("1", "The answer is no."),
    ("2", "Wrong use: the command line or the request makes no sense."),
    ("3", "The daemon or a dependency is unavailable."),
];

/// The whole page.
fn page() -> Vec<u8> {
    let mut command = Args::command();
    command.build();
    let mut page =
        format!(".TH TWINLOCK 1 \"\" \"Twinlock {}\" Twinlock\n", env!("CARGO_PKG_VERSION")).into_bytes();
    let mut roff = Roff::new();
    roff.control("SH", ["NAME"]).text([roman("twinlock - administer Twinlock")]);
    roff.control("SH", ["SYNOPSIS"]).text([bold(usage(&command))]);
    roff.to_writer(&mut page).unwrap();
    let whole = Man::new(command.clone());
    whole.render_description_section(&mut page).unwrap();
    whole.render_options_section(&mut page).unwrap();
    roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    roff.to_writer(&mut page).unwrap();
    for below in command.get_subcommands() {
        entries(below, &mut page);
    }
    roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in EXIT_CODES {
        roff.control("TP", []).text([bold(code)]).text([roman(meaning)]);
    }
    roff.control("SH", ["FILES"]);
    roff.control("TP", []).text([italic("/etc/twinlock/twinlock.toml")]);
    roff.text([roman("The configuration; see "), bold("twinlock.toml"), roman("(5).")]);
    roff.control("TP", []).text([italic("/run/twinlock/admin.sock")]);
    roff.text([roman("Where the daemon answers. Root may ask everything, others "), bold("me"), roman(".")]);
    roff.control("SH", ["SEE ALSO"]);
    roff.text([
        bold("twinlockd"),
        roman("(8), "),
        bold("pam_twinlock"),
        roman("(8), "),
        bold("twinlock.toml"),
        roman("(5)"),
    ]);
    roff.to_writer(&mut page).unwrap();
    page
}

fn usage(command: &Command) -> String {
    command.clone().render_usage().to_string().trim_start_matches("Usage: ").to_owned()
}

/// A command, and those below it.
fn entries(command: &Command, page: &mut Vec<u8>) {
    if command.get_name() == "help" || command.is_hide_set() {
        return;
    }
    if !command.is_subcommand_required_set() {
        entry(command, page);
    }
    for below in command.get_subcommands() {
        entries(below, page);
    }
}

fn entry(command: &Command, page: &mut Vec<u8>) {
    let own = command.clone().disable_help_flag(true).mut_args(|arg| {
        let global = arg.is_global_set() || arg.get_id() == "help";
        arg.hide(global)
    });
    let mut roff = Roff::new();
    roff.control("SS", [usage(command).as_str()]);
    let about = own.get_long_about().or_else(|| own.get_about()).unwrap().to_string();
    roff.text([roman(format!("{about}."))]);
    roff.to_writer(page).unwrap();
    let mut options = Vec::new();
    Man::new(own).render_options_section(&mut options).unwrap();
    let options = String::from_utf8(options).unwrap();
    if let Some((_, listed)) = options.split_once(".SH OPTIONS\n") {
        page.write_all(listed.replace(".br\n\n.br\n", ".br\n").as_bytes()).unwrap();
    }
}

fn completions() -> [(&'static str, Vec<u8>); 3] {
    [("twinlock", Shell::Bash), ("_twinlock", Shell::Zsh), ("twinlock.fish", Shell::Fish)].map(
        |(file, shell)| {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "twinlock", &mut script);
            (file, script)
        },
    )
}

#[test]
fn the_manual_page_and_the_completions_name_every_command_and_option() {
    let page = page();
    let scripts = completions();
    if let Some(folder) = std::env::var_os("TWINLOCK_MANUAL") {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(Path::new(&folder).join("twinlock.1"), &page).unwrap();
        for (file, script) in &scripts {
            std::fs::write(Path::new(&folder).join(file), script).unwrap();
        }
    }
    let page = String::from_utf8(page).unwrap().replace("\\-", "-");
    let mut commands = vec![("twinlock".to_owned(), Args::command())];
    while let Some((name, command)) = commands.pop() {
        let headed = page.contains(&format!("\n.SS \"{name} ")) || page.contains(&format!("\n.SS {name}\n"));
        assert!(headed || command.is_subcommand_required_set(), "{name}");
        for option in command.get_opts().filter_map(clap::Arg::get_long) {
            assert!(page.contains(&format!("--{option}")), "--{option}");
            for (file, script) in &scripts {
                assert!(String::from_utf8_lossy(script).contains(option), "--{option} in {file}");
            }
        }
        commands.extend(
            command.get_subcommands().map(|below| (format!("{name} {}", below.get_name()), below.clone())),
        );
    }
}
