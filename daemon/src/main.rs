//! twinlockd: reads its configuration, builds the house, serves.

#![forbid(unsafe_code)]

use clap::Parser;
use nix::sys::{prctl, resource};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use twinlock_daemon::local_accounts::LocalAccounts;
use twinlock_daemon::start;
use twinlock_daemon::supervisor::HeldSocket;
use zeroizing_alloc::ZeroAlloc;

/// Wipes whatever is freed: libraries copy what was typed (an LDAP bind request, a JSON line), and the copies must not
/// outlive the login either.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<std::alloc::System> = ZeroAlloc(std::alloc::System);

/// Proves logins for pam_twinlock.so: password, code, place.
#[derive(Parser)]
#[command(name = "twinlockd", version)]
struct Arguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "/etc/twinlock/twinlock.toml")]
    config: PathBuf,
    /// Check the configuration and exit: 0 if it is fit to run, 1 if not.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            // Where standard error is closed, the exit code still tells.
            let _ = writeln!(std::io::stderr(), "{text}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    let (loaded, policy) = start::read(&arguments.config).map_err(|problems| problems.to_string())?;
    if arguments.check {
        return Ok(());
    }
    keep_secrets_in_memory()?;
    let held = HeldSocket::take()?;
    have_descriptors()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))?;
    let (house, audit_thread) = runtime
        .block_on(async { start::build(loaded, policy, LocalAccounts::new("/etc/passwd")) })
        .map_err(|problem| problem.to_string())?;
    let ended = runtime.block_on(start::run(house, held));
    drop(runtime);
    // The last records are written before the process ends.
    let _ = audit_thread.join();
    ended
}

/// No core dump, and no other process of this uid may read this one's memory.
fn keep_secrets_in_memory() -> Result<(), String> {
    let cannot = |error| format!("cannot switch off core dumps: {error}");
    prctl::set_dumpable(false).map_err(cannot)?;
    resource::setrlimit(resource::Resource::RLIMIT_CORE, 0, 0).map_err(cannot)
}

/// Descriptors for every connection that the sockets and the directory may have at once, with room to spare. Sessions
/// and services usually begin with 1,024, which the trusted callers alone could take: then the directory could not be
/// reached any more.
const DESCRIPTORS: u64 = 4096;

/// Raises the soft limit, as far as the hard one lets it.
fn have_descriptors() -> Result<(), String> {
    let cannot = |error| format!("cannot raise the number of open files: {error}");
    let (soft, hard) = resource::getrlimit(resource::Resource::RLIMIT_NOFILE).map_err(cannot)?;
    let wanted = soft.max(DESCRIPTORS).min(hard);
    resource::setrlimit(resource::Resource::RLIMIT_NOFILE, wanted, hard).map_err(cannot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_manual_page_names_every_option() {
        let page = include_str!("../../man/twinlockd.8").replace("\\-", "-");
        for option in Arguments::command().get_opts().filter_map(clap::Arg::get_long) {
            assert!(page.contains(&format!("--{option}")), "--{option}");
        }
        let usual = Arguments::parse_from(["twinlockd"]).config;
        assert!(page.contains(&usual.display().to_string()));
    }
}
