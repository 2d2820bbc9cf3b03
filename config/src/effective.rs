//! What is in force where the file leaves something out.

use crate::schema::{Config, SecretRef, ServiceSettings, StoreSettings, WithoutAddress, state_db};
use std::path::PathBuf;

/// Services of this host's own consoles.
const CONSOLES: [&str; 18] = [
    "login",
    "su",
    "su-l",
    "runuser",
    "runuser-l",
    "sudo",
    "sudo-i",
    "polkit-1",
    "locker",
    "vlock",
    "xscreensaver",
    "xlock",
    "i3lock",
    "swaylock",
    "kde",
    "kscreenlocker",
    "gnome-screensaver",
    "light-locker",
];

/// Whether a PAM service stands at this host's own consoles: without an address it is `local`.
#[must_use]
pub fn is_console(service: &str) -> bool {
    CONSOLES.contains(&service)
}

/// Whether a PAM service begins a session of its own, and does not lend rights in one or unlock it.
#[must_use]
pub fn is_session(service: &str) -> bool {
    service == "login" || !is_console(service)
}

impl StoreSettings {
    /// The file that says which store is the latest. Left out, it is in a folder of its own where the store is at its usual
    /// path, and else beside the key.
    #[must_use]
    pub fn generation(&self) -> PathBuf {
        match (&self.generation, &self.key) {
            (Some(path), _) => path.clone(),
            (None, SecretRef::File(key)) if self.path != state_db() => key.with_file_name("generation"),
            (None, SecretRef::File(_) | SecretRef::Credential(_)) => {
                "/var/lib/twinlock-generation/generation".into()
            }
        }
    }
}

impl Config {
    /// The settings of a PAM service, `without_address` and `sshd` filled in.
    #[must_use]
    pub fn service(&self, name: &str) -> ServiceSettings {
        let settings = self.service.get(name).cloned().unwrap_or_default();
        let usual = if is_console(name) { WithoutAddress::Local } else { WithoutAddress::Unknown };
        ServiceSettings {
            without_address: Some(settings.without_address.unwrap_or(usual)),
            sshd: Some(settings.is_sshd(name)),
            last_login: Some(settings.shows_last_login(name)),
            ..settings
        }
    }

    /// The same configuration with everything filled in.
    #[must_use]
    pub fn effective(&self) -> Self {
        let mut filled = self.clone();
        filled.store.generation = Some(self.store.generation());
        for directory in filled.directory.values_mut() {
            directory.fill_in();
        }
        for (name, settings) in &mut filled.service {
            *settings = self.service(name);
        }
        filled.audit.history = Some(self.history_path());
        filled
    }
}

/// The configuration in force as the text of a file, everything filled in. Secrets are shown as references only.
///
/// # Errors
/// If a value cannot be written as TOML, such as a path that is not UTF-8.
pub fn show(config: &Config) -> Result<String, String> {
    toml::to_string(&config.effective()).map_err(|error| error.to_string())
}
