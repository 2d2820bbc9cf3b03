//! pam_oath's users file: `HOTP/T30/6 alice - 3132…` and so on, the seed in hexadecimal, then what it noted of the last
//! code, which is not needed.

use super::{Found, seed};
use data_encoding::HEXLOWER_PERMISSIVE;
use zeroize::Zeroizing;

/// Reads one line.
pub(super) fn read(line: &str) -> Result<Found, String> {
    let mut words = line.split_ascii_whitespace();
    let (Some(kind), Some(user), Some(pin), Some(secret)) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err("a line has a type, a user, a PIN and a seed in hexadecimal".into());
    };
    let (step_s, digits) = time_based(kind)?;
    let bytes = HEXLOWER_PERMISSIVE
        .decode(secret.as_bytes())
        .map(Zeroizing::new)
        .map_err(|_| "the seed is not hexadecimal".to_owned())?;
    let mut notes = Vec::new();
    if !matches!(pin, "-" | "+") {
        notes.push("its PIN is not taken over: the directory's password stands in its place".into());
    }
    Ok(Found { user: user.to_owned(), seed: seed(&bytes, digits, "SHA1", step_s), notes })
}

/// `HOTP/T30/6`: by time, a step of 30 s, six digits; both may be left out, as in `HOTP/T30` and `HOTP/T60/8`.
fn time_based(kind: &str) -> Result<(u64, u8), String> {
    let mut parts = kind.split('/');
    let step = match (parts.next(), parts.next()) {
        (Some("HOTP"), Some(step)) => step.strip_prefix('T'),
        _ => None,
    };
    let Some(step) = step else {
        return Err(format!("codes of the type {kind} do not go by time; enrol this user anew"));
    };
    let step_s = if step.is_empty() { 30 } else { step.parse().map_err(|_| bad(kind))? };
    let digits = parts.next().map_or(Ok(6), str::parse).map_err(|_| bad(kind))?;
    Ok((step_s, digits))
}

fn bad(kind: &str) -> String {
    format!("the type {kind} makes no sense; pam_oath knows HOTP/T30, HOTP/T60/8 and so on")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "3132333435363738393031323334353637383930";

    #[test]
    fn a_line_is_read_with_step_and_digits() {
        for (kind, step_s, digits) in [("HOTP/T30", 30, 6), ("HOTP/T30/6", 30, 6), ("HOTP/T60/8", 60, 8)] {
            let found = read(&format!("{kind}\talice\t-\t{HEX}\t1\t328482\t2009-12-07T23:23:49L")).unwrap();
            assert_eq!(found.user, "alice");
            assert_eq!(found.seed, seed(b"12345678901234567890", digits, "SHA1", step_s));
            assert!(found.notes.is_empty());
        }
        assert!(read(&format!("HOTP/T30 bob 1234 {HEX}")).unwrap().notes[0].contains("PIN"));
    }

    #[test]
    fn what_cannot_be_taken_over_is_refused_with_a_reason() {
        for (line, reason) in [
            (format!("HOTP alice - {HEX}"), "do not go by time"),
            (format!("HOTP/E/6 alice - {HEX}"), "do not go by time"),
            (format!("HOTP/Tx alice - {HEX}"), "makes no sense"),
            ("HOTP/T30 alice - 31zz".to_owned(), "not hexadecimal"),
            ("HOTP/T30 alice".to_owned(), "a line has"),
        ] {
            assert!(read(&line).unwrap_err().contains(reason), "{line}");
        }
    }
}
