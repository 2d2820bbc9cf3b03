//! From a configuration file to a running daemon. Whatever is wrong is told before anything listens; it never starts
//! weaker than it was told to be.

use crate::audit::{Auditor, event_line};
use crate::clock::{Boot, Clock, RunningKernel, WallTime};
use crate::directory::Directories;
use crate::history::History;
use crate::house::{Counts, House};
use crate::local_accounts::LocalAccounts;
use crate::location::Locations;
use crate::store::{Emergency, Generation, SealKey, Store, StoreError};
use crate::supervisor::{self, HeldSocket};
use crate::tarpit::Tarpit;
use crate::tickets::Tickets;
use crate::{admin, clock_watch, listener, location};
use sd_notify::NotifyState;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;
use twinlock_config::{Loaded, Problem, Problems};
use twinlock_policy::lane::{AccountLimits, LaneLimits};
use twinlock_policy::{Policy, check};

/// How often the tarpit's time line is written down while nobody logs in.
const HEARTBEAT: Duration = Duration::from_secs(60);
/// The file of emergency passwords, beside the state.
const EMERGENCY: &str = "emergency.db";
/// How often what changed in prefix lanes is written down.
const PREFIXES: Duration = Duration::from_secs(1);

/// Reads and checks a configuration file: what `--check` and every start do first.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read(path: &Path) -> Result<(Loaded, Policy), Problems> {
    let loaded = twinlock_config::load(path)?;
    let policy = check::accept(&loaded)?;
    Ok((loaded, policy))
}

/// Opens the store, reads the secrets, builds every room. No network I/O.
///
/// # Errors
/// A [`Problem`] that names the key and the remedy.
pub fn build(
    loaded: Loaded,
    policy: Policy,
    local_accounts: LocalAccounts,
) -> Result<(House, JoinHandle<()>), Problem> {
    let config = loaded.config.clone();
    let at = |key: &str, error: &dyn std::fmt::Display| loaded.problem_at(key, error.to_string(), None);
    let Some((_, first)) = config.directory.first() else {
        return Err(loaded.problem_at("directory", "no directory is named", None));
    };
    let wants_groups = config.rule.iter().any(|rule| rule.groups.is_some());
    let directory = Directories::new(&config.directory, wants_groups)
        .map_err(|(name, error)| at(&format!("directory.{name}"), &error))?;
    let key = config.store.key.read().map_err(|error| at("store.key", &error))?;
    let key = SealKey::from_hex(&key).map_err(|error| at("store.key", &error))?;
    let limits = LaneLimits::new(&config.tarpit);
    let account_limits = AccountLimits::new(&config.tarpit, &first.lockout);
    let wall = WallTime::shown();
    let boot = Boot::present();
    let open = |key| {
        Store::open(&config.store.path, key, &config.totp, &limits, &account_limits, wall, boot.as_ref())
    };
    let mut opened = open(key);
    let mut runs_on_next_key = false;
    // A rotation that was cut short: what is sealed tells which key it was.
    if let (Err(StoreError::OtherKey { .. }), Ok(next)) = (&opened, config.store.key.next().read()) {
        opened = open(SealKey::from_hex(&next).map_err(|error| at("store.key", &error))?);
        runs_on_next_key = opened.is_ok();
    }
    let (store, resumed) = opened.map_err(|error| at("store.path", &error))?;
    let generation = Generation::compare(&config.store.generation(), &store, &resumed.generation)
        .map_err(|error| at("store.generation", &error))?;
    let emergency = Emergency::open(&config.store.path.with_file_name(EMERGENCY))
        .map_err(|error| at("store.path", &error))?;
    let clock = Clock::system(resumed.lane_time, &resumed.clock, boot.as_ref(), Arc::new(RunningKernel));
    let (auditor, audit_thread) =
        Auditor::start(&config.audit.syslog).map_err(|error| at("audit.syslog", &error))?;
    if runs_on_next_key {
        auditor
            .warning(&event_line("seal-key-rotation-unfinished", &[("remedy", "run: twinlock key rotate")]));
    }
    if resumed.crashed_charges > 0 {
        auditor.warning(&event_line("charges-kept", &[("count", &resumed.crashed_charges.to_string())]));
    }
    // A copy that was put back may hold places that were taken back since.
    let earned = if store.is_restored() { &[] } else { resumed.earned.as_slice() };
    let locations = Locations::new(&config, clock.clone(), earned);
    let tarpit = Tarpit::new(
        &config.tarpit,
        account_limits,
        config.totp.window_steps,
        store.clone(),
        clock.clone(),
        &resumed,
    )
    .map_err(|error| at("tarpit", &error))?;
    let history = History::start(&config, auditor.clone()).map_err(|error| at("audit.history", &error))?;
    let house = House {
        config_path: loaded.file().to_owned(),
        config,
        policy,
        locations,
        directory,
        tarpit,
        store,
        generation,
        emergency,
        auditor,
        history,
        clock,
        tickets: Tickets::default(),
        changes: Tickets::of_changes(),
        local_accounts,
        counts: Counts::default(),
    };
    Ok((house, audit_thread))
}

/// Listens until SIGTERM or SIGINT, then lets running logins end.
///
/// # Errors
/// A socket cannot be bound; the text names it.
pub async fn run(house: House, held: HeldSocket) -> Result<(), String> {
    let house = Arc::new(house);
    let told_to_end = told_to_end()?;
    house.generation.move_on(&house.store).await.map_err(|error| error.to_string())?;
    let reading = Arc::clone(&house);
    // A GeoIP file that cannot even be looked at leaves conditions on it unknown.
    let _ = tokio::task::spawn_blocking(move || reading.locations.look(&reading.auditor)).await;
    let bind = |path: &Path, mode| {
        listener::bind(path, mode).map_err(|error| format!("cannot listen on {}: {error}", path.display()))
    };
    let systemd_holds_it = held.is_there();
    let login_socket = match held.listener(&house.config.daemon.login_socket)? {
        Some(listener) => listener,
        None => bind(&house.config.daemon.login_socket, 0o666)?,
    };
    let admin_socket = bind(&house.config.daemon.admin_socket, 0o666)?;
    let (tell, stop) = watch::channel(false);
    let started = Instant::now();
    say_how_it_starts(&house);

    let logins = tokio::spawn(listener::serve(Arc::clone(&house), login_socket, stop.clone()));
    let commands = tokio::spawn(admin::serve(Arc::clone(&house), admin_socket, started, stop.clone()));
    let heartbeat = tokio::spawn(beat(Arc::clone(&house)));
    let prefixes = tokio::spawn(keep_prefixes(Arc::clone(&house)));
    let clock = tokio::spawn(clock_watch::watch(Arc::clone(&house)));
    let geoip = tokio::spawn(location::watch(Arc::clone(&house)));
    let watchdog = tokio::spawn(supervisor::reassure());
    supervisor::say(&[NotifyState::Ready]);
    told_to_end.await;
    supervisor::say(&[NotifyState::Stopping]);

    tell.send_replace(true);
    heartbeat.abort();
    prefixes.abort();
    clock.abort();
    geoip.abort();
    let _ = logins.await;
    let _ = commands.await;
    // A socket file that stays behind is replaced at the next start; one that systemd holds is still in use.
    let _ = std::fs::remove_file(&house.config.daemon.admin_socket);
    if !systemd_holds_it {
        let _ = std::fs::remove_file(&house.config.daemon.login_socket);
    }
    if let Err(error) = write_down(&house).await {
        house.auditor.warning(&event_line("store-unavailable", &[("error", &error.to_string())]));
    }
    house.auditor.event("stopped");
    house.store.clone().close().await;
    watchdog.abort();
    Ok(())
}

fn say_how_it_starts(house: &House) {
    let waivers = check::waivers(&house.config, &house.policy, house.clock.now().wall.0);
    house.auditor.event(&event_line("started", &[("version", env!("CARGO_PKG_VERSION"))]));
    if let Some(day) = house.tarpit.observes_until() {
        let until = day.to_string();
        house.auditor.warning(&event_line("tarpit-observes-only", &[("until", &until)]));
    }
    if house.store.is_restored() {
        house.auditor.warning("store-restored remedy=\"twinlock store accept-restore\"");
    }
    for waiver in waivers {
        house.auditor.event(&event_line("waiver-in-force", &[("rule", &waiver)]));
    }
}

async fn beat(house: Arc<House>) {
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        if let Err(error) = write_time(&house).await {
            house.auditor.warning(&event_line("store-unavailable", &[("error", &error.to_string())]));
        }
    }
}

async fn keep_prefixes(house: Arc<House>) {
    loop {
        tokio::time::sleep(PREFIXES).await;
        // What cannot be written is tried again; that the store is away is said with each heartbeat.
        let _ = house.tarpit.write_prefixes().await;
    }
}

/// What a stop need not lose.
async fn write_down(house: &House) -> Result<(), StoreError> {
    house.tarpit.write_prefixes().await?;
    write_time(house).await
}

async fn write_time(house: &House) -> Result<(), StoreError> {
    house.store.tick(house.clock.now()).await?;
    house.store.keep_clock(house.clock.kept()).await?;
    house.generation.move_on(&house.store).await
}

/// Ends with SIGTERM or SIGINT. They are caught from the call on, before anything listens: whoever finds a socket there
/// and ends the daemon finds it ended in order.
fn told_to_end() -> Result<impl Future<Output = ()>, String> {
    let cannot = |error: std::io::Error| format!("cannot wait for signals: {error}");
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
