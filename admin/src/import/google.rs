//! google-authenticator's file of one user: the seed in base32, options in lines that begin with `" `, then scratch
//! codes of eight digits.

use super::{Found, base32, seed, user_of};
use std::path::Path;

/// Reads such a file; whose it is follows from its path.
pub(super) fn read(path: &Path, text: &str) -> Result<Found, String> {
    let user = user_of(path).ok_or("the path does not tell whose it is")?;
    let mut lines = text.lines();
    let secret = lines.next().map(str::trim).filter(|line| !line.is_empty()).ok_or("the file is empty")?;
    let bytes = base32(secret)?;
    let (mut step_s, mut scratch_codes) = (30, 0_u32);
    let mut notes = Vec::new();
    for line in lines.map(str::trim_end) {
        let Some(option) = line.strip_prefix("\" ") else {
            scratch_codes += u32::from(line.len() == 8 && line.bytes().all(|byte| byte.is_ascii_digit()));
            continue;
        };
        let mut words = option.split(' ');
        match (words.next(), words.next()) {
            (Some("HOTP_COUNTER"), _) => {
                return Err("its codes go by a counter (HOTP), not by time; enrol this user anew".into());
            }
            (Some("STEP_SIZE"), Some(step)) => {
                step_s = step.parse().map_err(|_| format!("its step of {step} s makes no sense"))?;
            }
            (Some("TIME_SKEW"), Some(skew)) if skew != "0" => {
                notes.push(format!("the phone's clock was {skew} steps off; it must be set right"));
            }
            _ => {}
        }
    }
    if scratch_codes > 0 {
        notes.push(format!(
            "{scratch_codes} scratch codes are not taken over (eight digits are too few); make recovery codes instead"
        ));
    }
    Ok(Found { user, seed: seed(&bytes, 6, "SHA1", step_s), notes })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n\" RATE_LIMIT 3 30\n\" WINDOW_SIZE 17\n\
        \" DISALLOW_REUSE 55\n\" TOTP_AUTH\n12345678\n23456789\n";

    #[test]
    fn a_file_is_read_with_its_options_and_scratch_codes_are_named() {
        let found = read(Path::new("/home/alice/.google_authenticator"), FILE).unwrap();
        assert_eq!(found.user, "alice");
        assert_eq!(found.seed, seed(b"12345678901234567890", 6, "SHA1", 30));
        assert!(found.notes[0].starts_with("2 scratch codes are not taken over"), "{:?}", found.notes);
        let slow = FILE.replace("\" TOTP_AUTH", "\" TOTP_AUTH\n\" STEP_SIZE 60");
        assert_eq!(read(Path::new("/var/lib/ga/bob"), &slow).unwrap().seed.step_s, 60);
        assert_eq!(read(Path::new("/var/lib/ga/bob"), &slow).unwrap().user, "bob");
    }

    #[test]
    fn what_cannot_be_taken_over_is_refused_with_a_reason() {
        let hotp = FILE.replace("\" TOTP_AUTH", "\" HOTP_COUNTER 1");
        assert!(read(Path::new("/home/a/.google_authenticator"), &hotp).unwrap_err().contains("HOTP"));
        assert!(read(Path::new("/home/a/.google_authenticator"), "").unwrap_err().contains("empty"));
        assert!(read(Path::new("/home/a/.google_authenticator"), "?!\n").unwrap_err().contains("base32"));
    }
}
