//! What a daemon takes for the wall clock, and for the kernel's word about it: libfaketime moves the one, a library of a
//! few lines, made here, says the other. The clock that waits are kept on is left alone, and so is the host's.

use crate::site::Site;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `adjtimex` as the kernel would answer it, by what stands in a file.
const KERNEL: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>

int adjtimex(struct timex *timex)
{
    char word[16] = "";
    const char *path = getenv("TWINLOCK_STORY_KERNEL");
    FILE *file = path ? fopen(path, "r") : NULL;
    if (file) {
        if (!fgets(word, sizeof word, file))
            word[0] = 0;
        fclose(file);
    }
    int synchronised = strcmp(word, "synchronised") == 0;
    memset(timex, 0, sizeof *timex);
    timex->maxerror = synchronised ? 5000 : 16000000;
    timex->status = synchronised ? STA_PLL : STA_UNSYNC;
    return synchronised ? TIME_OK : TIME_ERROR;
}
"#;

/// A wall clock of one site's own.
pub struct WallClock {
    libraries: String,
    offset: PathBuf,
    kernel: PathBuf,
}

impl WallClock {
    /// Shows the right time, and the kernel does not call it synchronised. `None` if this machine cannot fake one; that
    /// is said.
    ///
    /// # Panics
    /// The library cannot be made, or something is missing on a machine where nothing may be.
    #[must_use]
    pub fn beside(site: &Site) -> Option<Self> {
        let faketime = libfaketime()?;
        let (source, library) = (site.path("kernel.c"), site.path("kernel.so"));
        fs::write(&source, KERNEL).unwrap();
        let made = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status();
        assert!(made.unwrap().success(), "cc makes no library of {}", source.display());
        let clock = Self {
            libraries: format!("{}:{faketime}", library.display()),
            offset: site.path("clock"),
            kernel: site.path("kernel"),
        };
        clock.set("+0");
        clock.kernel_says(false);
        Some(clock)
    }

    /// Sets it off the right time: `+2d`, `-3600`.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn set(&self, offset: &str) {
        replace(&self.offset, offset);
    }

    /// Whether the kernel calls it synchronised.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn kernel_says(&self, synchronised: bool) {
        replace(&self.kernel, if synchronised { "synchronised" } else { "not" });
    }

    /// Starts the site's daemon under it.
    ///
    /// # Panics
    /// It does not come up.
    pub fn start_daemon(&self, site: &mut Site) {
        site.start_daemon_under(&[
            ("LD_PRELOAD", &self.libraries),
            ("FAKETIME_TIMESTAMP_FILE", self.offset.to_str().unwrap()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("TWINLOCK_STORY_KERNEL", self.kernel.to_str().unwrap()),
        ]);
    }
}

/// Whole or not at all: it is read at any moment.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(&new, path).unwrap();
}

fn libfaketime() -> Option<String> {
    let folders = ["x86_64-linux-gnu", "aarch64-linux-gnu"];
    let found = folders
        .map(|folder| format!("/usr/lib/{folder}/faketime/libfaketimeMT.so.1"))
        .into_iter()
        .find(|path| Path::new(path).exists());
    if found.is_none() {
        let line = "a wall clock that is set: needs libfaketime; install faketime";
        assert!(std::env::var("CI").as_deref() != Ok("true"), "a story cannot run: {line}");
        let _ = writeln!(std::io::stderr(), "SKIPPED {line}");
        if let Some(list) = std::env::var_os("TWINLOCK_SKIPPED") {
            writeln!(fs::OpenOptions::new().append(true).create(true).open(list).unwrap(), "{line}").unwrap();
        }
    }
    found
}
