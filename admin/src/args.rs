//! What can be typed behind `twinlock`.

use crate::outcome::Failure;
use crate::when;
use clap::{Parser, Subcommand};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use twinlock_config::Daemon;

/// Where the package puts the configuration.
const USUAL_CONFIG: &str = "/etc/twinlock/twinlock.toml";

/// Administer Twinlock, which guards logins with a password and a code.
///
/// Exit codes: 0 done, 1 the answer is no, 2 wrong use, 3 the daemon or a dependency is unavailable.
#[derive(Debug, Parser)]
#[command(name = "twinlock", version, max_term_width = 100)]
pub(crate) struct Args {
    /// The configuration file
    #[arg(long, global = true, value_name = "FILE", default_value = USUAL_CONFIG)]
    pub(crate) config: PathBuf,
    /// The socket to ask, instead of the one that the configuration names
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Print the reply as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show how the daemon is
    Status,
    /// Log in as the module would, and show the verdict. Counts like a real attempt; for root only
    Try(TryArgs),
    /// Look at the configuration file
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Give a user an authenticator
    Enroll(EnrollArgs),
    /// Make an invitation: a ticket with which a user gets a first authenticator at a login
    Invite(InviteArgs),
    /// Take over authenticators from other software
    Import(ImportArgs),
    /// Make a user's recovery codes: ten, each good once in a code's stead. Those of an earlier set become void
    Recovery(RecoveryArgs),
    /// One-time passwords for the day when the directory or the store is down
    Emergency {
        #[command(subcommand)]
        command: EmergencyCommand,
    },
    /// Look at a user
    User {
        #[command(subcommand)]
        command: UserCommand,
    },
    /// Look at the places users earned, give them some, take some back
    Place {
        #[command(subcommand)]
        command: PlaceCommand,
    },
    /// Look for what is not as it should be
    Doctor {
        #[command(subcommand)]
        command: DoctorCommand,
    },
    /// Show which lanes are closed: whose, since what, until when
    Locks {
        #[command(subcommand)]
        command: Option<LocksCommand>,
    },
    /// Show recorded attempts, oldest first; exit code 1 if there are none
    History(HistoryArgs),
    /// Show what would come of a login, and why; with --since, whom the file that --config names would have treated
    /// differently. Exit code 0: let in, 1: denied, 3: not decided; with --since 1 if anything differs
    Explain(ExplainArgs),
    /// Show what is known of yourself: authenticators, places, logins
    Me,
    /// Show whether the wall clock is believed; while it is not, no code is taken
    Clock {
        #[command(subcommand)]
        command: Option<ClockCommand>,
    },
    /// The key that seals the seeds
    Key {
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// What concerns the store as a whole
    Store {
        #[command(subcommand)]
        command: StoreCommand,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a new seal key and seal everything by it, while the daemon runs. Cut short at any moment, it is taken up by
    /// running it again. The old key stays beside the new one: older backups of the store need it
    Rotate,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Take a store that was put back from a backup for the latest one. Every code up to now counts as used, enrolments
    /// that wait to be confirmed are dropped. What was revoked since the copy was made is there again: look through it
    AcceptRestore,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClockCommand {
    /// Say that the wall clock is right as it is; look at it first (date -u)
    Accept,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say everything that is wrong with the file; exit code 1 if anything is
    Check,
    /// Print the configuration in force, with everything filled in; secrets only by where they are kept
    Show,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Show what is known of a user
    Show {
        /// Name in the directory
        user: String,
    },
    /// Open every lane of a user, forget the failures in them, and end the mark of a password that looks stolen
    Unlock {
        /// Name in the directory
        user: String,
    },
    /// List the users that the store knows of: with an authenticator, recovery codes, a lock, or a known place
    List {
        /// List those of the directory who have no active authenticator instead
        #[arg(long)]
        without_authenticator: bool,
    },
    /// Remove an authenticator of a user, such as a lost phone's
    Revoke {
        /// Name in the directory
        user: String,
        /// What the authenticator is called; `user show` lists them
        label: String,
    },
    /// Lock a user out, whatever is proved, key logins included
    Disable(DisableArgs),
    /// Let a user in again who was locked out by `disable`
    Enable {
        /// Name in the directory
        user: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum EmergencyCommand {
    /// Make emergency passwords and print them once
    Create {
        /// Names in the directory
        #[arg(required = true, value_name = "USER")]
        users: Vec<String>,
        /// How many for each
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
        count: u32,
    },
    /// List who has some
    List,
    /// Make a user's emergency passwords void; the directory need not answer
    Revoke {
        /// What the account was called when they were made
        user: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum PlaceCommand {
    /// Show what a user earned and was given; without a user what was used last, over all users
    List {
        /// Name in the directory
        user: Option<String>,
    },
    /// Give a user a place: it counts as familiar and as remembered there, wherever a rule says so
    Add {
        /// Name in the directory
        user: String,
        /// An address, which means its place: 192.0.2.7/32 or 2001:db8::/64
        prefix: String,
        /// The PAM service it counts for; left out, every one
        #[arg(long)]
        service: Option<String>,
        /// Its last day (UTC), as in 2027-01-31; left out, it has none
        #[arg(long, value_name = "DAY")]
        until: Option<String>,
    },
    /// Take places back from a user, earned ones and given ones
    Forget {
        /// Name in the directory
        user: String,
        /// As for add
        #[arg(required_unless_present = "all")]
        prefix: Option<String>,
        /// The PAM service it counts for; left out, whatever service
        #[arg(long, requires = "prefix")]
        service: Option<String>,
        /// All places of the user
        #[arg(long, conflicts_with = "prefix")]
        all: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DoctorCommand {
    /// Show step by step what the directories hold of a user, and compare it with what getent says; exit code 1 if
    /// something keeps it from logging in
    Directory {
        /// As it would be typed at a login
        user: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum LocksCommand {
    /// Open the prefix lanes of an address, or one of them, and forget the failures
    Clear {
        /// An address, which means all its prefix lanes; or one lane: 192.0.2.7/32, 2001:db8::/64 or 2001:db8::/48
        prefix: String,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct TryArgs {
    /// Who logs in; left out, it is asked
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// The PAM service to log in to
    #[arg(long, default_value = "sshd")]
    pub(crate) service: String,
    /// Where the login comes from; left out, from no address
    #[arg(long, value_name = "IP")]
    pub(crate) from: Option<IpAddr>,
    /// Put the account phase's question, as after a login that the service decided by itself
    #[arg(long)]
    pub(crate) account_phase: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct HistoryArgs {
    /// Of this account, or with this name as it was given
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// From this address or network, or from local or unknown
    #[arg(long, value_name = "IP|NETWORK")]
    pub(crate) source: Option<String>,
    /// Not before: 7d, 2026-11-24 or 2026-11-24T10:12, in UTC
    #[arg(long, value_name = "WHEN", value_parser = when::moment)]
    pub(crate) since: Option<u64>,
    /// Not after
    #[arg(long, value_name = "WHEN", value_parser = when::moment)]
    pub(crate) until: Option<u64>,
    /// Only those that ended so
    #[arg(long)]
    pub(crate) verdict: Option<RecordedVerdict>,
    /// Only those with this reason, such as wrong-code
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// The newest so many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) limit: u32,
    /// Go on with what happens from now on
    #[arg(long, conflicts_with = "until")]
    pub(crate) follow: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// Who would log in
    #[arg(long, required_unless_present = "since")]
    pub(crate) user: Option<String>,
    /// Where from: an address, local or unknown
    #[arg(long, value_name = "IP|local|unknown", default_value = "unknown")]
    pub(crate) from: String,
    /// The PAM service
    #[arg(long, default_value = "sshd")]
    pub(crate) service: String,
    /// When: 2026-11-24 or 2026-11-24T10:12, in UTC; left out, now
    #[arg(long, value_name = "WHEN", value_parser = when::moment)]
    pub(crate) at: Option<u64>,
    /// What sshd accepted before: a public key, or sshd for a login that it decided alone
    #[arg(long)]
    pub(crate) after: Option<After>,
    /// Who calls su or sudo
    #[arg(long, value_name = "USER")]
    pub(crate) invoker: Option<String>,
    /// Suppose these groups, comma between, instead of the account's own
    #[arg(long, value_delimiter = ',')]
    pub(crate) groups: Option<Vec<String>>,
    /// Go through the recorded attempts since then: 7d, 2026-11-24
    #[arg(long, value_name = "WHEN", value_parser = when::moment,
          conflicts_with_all = ["user", "from", "service", "at", "after", "invoker", "groups"])]
    pub(crate) since: Option<u64>,
}

/// What sshd accepted before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum After {
    Publickey,
    Sshd,
}

impl After {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Publickey => "publickey",
            Self::Sshd => "sshd",
        }
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum RecordedVerdict {
    Grant,
    Deny,
    Unavailable,
}

impl RecordedVerdict {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Grant => "grant",
            Self::Deny => "deny",
            Self::Unavailable => "unavailable",
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct EnrollArgs {
    /// Name in the directory
    pub(crate) user: String,
    /// What to call the authenticator
    #[arg(long, default_value = "phone")]
    pub(crate) label: String,
    /// Activate the pending authenticator by a code of it
    #[arg(long, value_name = "CODE", conflicts_with_all = ["seed", "active", "label"])]
    pub(crate) confirm: Option<String>,
    /// Take over an existing seed. Arguments are visible to everybody on this host (ps); with "-" the seed is read from
    /// standard input instead
    #[arg(long, value_name = "BASE32")]
    pub(crate) seed: Option<String>,
    /// Let it count at once, without a code. Needs --seed
    #[arg(long, requires = "seed")]
    pub(crate) active: bool,
    /// Let it take the place of the active one of that label, which is good until the new one is confirmed
    #[arg(long, conflicts_with = "confirm")]
    pub(crate) replace: bool,
    /// Make recovery codes too, once the authenticator is active. Those of an earlier set become void
    #[arg(long)]
    pub(crate) recovery: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct InviteArgs {
    /// Name in the directory
    #[arg(required_unless_present = "list")]
    pub(crate) user: Option<String>,
    /// List the invitations that are good
    #[arg(long, conflicts_with_all = ["user", "revoke"])]
    pub(crate) list: bool,
    /// Make the user's invitation void
    #[arg(long)]
    pub(crate) revoke: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DisableArgs {
    /// Name in the directory
    pub(crate) user: String,
    /// The last day of the lock, in UTC, as in 2026-12-24; left out, it has no end
    #[arg(long, value_name = "DATE")]
    pub(crate) until: Option<String>,
    /// Why; shown by `user show` and kept in the record
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RecoveryArgs {
    /// Name in the directory
    pub(crate) user: String,
    /// Do not ask whether the earlier codes may become void
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ImportArgs {
    /// What the files are
    #[arg(value_enum)]
    pub(crate) format: ImportFormat,
    /// The files; one for each user from google-authenticator, such as /home/*/.google_authenticator
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// What to call the authenticators
    #[arg(long, default_value = "phone")]
    pub(crate) label: String,
    /// Say what would happen, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Of alice@example.org in an otpauth URI, take alice
    #[arg(long)]
    pub(crate) drop_realm: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum ImportFormat {
    /// One file for each user: the folder that it lies in, or its own name, tells whose it is
    GoogleAuthenticator,
    /// pam_oath's users.oath
    PamOath,
    /// otpauth://totp/ URIs, one a line
    Otpauth,
}

impl Args {
    /// Where the administrator's questions go.
    pub(crate) fn admin_socket(&self) -> Result<PathBuf, Failure> {
        self.configured(|daemon| &daemon.admin_socket)
    }

    /// Where logins go.
    pub(crate) fn login_socket(&self) -> Result<PathBuf, Failure> {
        self.configured(|daemon| &daemon.login_socket)
    }

    /// `--socket`, or else what the file names. If the usual file cannot be read, what is usual: users may not read it.
    /// One that was named must be readable, so that nobody asks another daemon than they mean.
    fn configured(&self, key: fn(&Daemon) -> &PathBuf) -> Result<PathBuf, Failure> {
        if let Some(path) = &self.socket {
            return Ok(path.clone());
        }
        match twinlock_config::load(&self.config) {
            Ok(loaded) => Ok(key(&loaded.config.daemon).clone()),
            Err(_) if self.config == Path::new(USUAL_CONFIG) => Ok(key(&Daemon::default()).clone()),
            Err(problems) => {
                Err(Failure::WrongUse(format!("{problems}\nname another --config, or a --socket")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn global_options_stand_before_or_behind_the_command() {
        let before = Args::try_parse_from(["twinlock", "--socket", "/s", "--json", "status"]).unwrap();
        let behind = Args::try_parse_from(["twinlock", "status", "--socket", "/s", "--json"]).unwrap();
        assert_eq!(before.admin_socket().unwrap(), PathBuf::from("/s"));
        assert_eq!(behind.admin_socket().unwrap(), PathBuf::from("/s"));
        assert!(before.json && behind.json);
    }
}
