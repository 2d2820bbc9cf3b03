//! otpauth URIs, one a line, as most software exports them.

use super::{Found, base32, seed};
use percent_encoding::percent_decode_str;
use url::Url;

/// Reads one URI. With `drop_realm`, `alice@example.org` is alice.
pub(super) fn read(line: &str, drop_realm: bool) -> Result<Found, String> {
    // The text of a parse error could repeat the seed.
    let uri = Url::parse(line).map_err(|_| "this is no otpauth URI".to_owned())?;
    if uri.scheme() != "otpauth" {
        return Err("this is no otpauth URI".into());
    }
    match uri.host_str() {
        Some("totp") => {}
        Some("hotp") => {
            return Err("its codes go by a counter (HOTP), not by time; enrol this user anew".into());
        }
        Some(_) | None => return Err("the URI is of a type that is not known; otpauth://totp/… is".into()),
    }
    let label = percent_decode_str(uri.path().trim_start_matches('/'));
    let label = label.decode_utf8().map_err(|_| "the URI's label is not UTF-8".to_owned())?;
    let name = label.rsplit_once(':').map_or(&*label, |(_issuer, name)| name).trim();
    let name = if drop_realm { name.split('@').next().unwrap_or(name) } else { name };
    if name.is_empty() {
        return Err("the URI does not say whose it is".into());
    }
    let value = |key: &str| uri.query_pairs().find(|(name, _)| name == key).map(|(_, value)| value);
    let bytes = base32(&value("secret").ok_or("the URI has no secret")?)?;
    let number = |key: &str, usual: u64| match value(key) {
        Some(text) => text.parse().map_err(|_| format!("{key}={text} is no number")),
        None => Ok(usual),
    };
    let digits = u8::try_from(number("digits", 6)?).unwrap_or(u8::MAX);
    let step_s = number("period", 30)?;
    let algorithm = value("algorithm").map_or_else(|| "SHA1".to_owned(), |name| name.to_ascii_uppercase());
    Ok(Found { user: name.to_owned(), seed: seed(&bytes, digits, &algorithm, step_s), notes: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    #[test]
    fn a_uri_is_read_with_all_its_parameters() {
        let text = format!("otpauth://totp/Example%20Org:alice@example.org?{SECRET}&issuer=Example%20Org");
        let found = read(&text, false).unwrap();
        assert_eq!(found.user, "alice@example.org");
        assert_eq!(found.seed, seed(b"12345678901234567890", 6, "SHA1", 30));
        assert_eq!(read(&text, true).unwrap().user, "alice");
        let text = format!("otpauth://totp/b%C3%A9a?{SECRET}&algorithm=sha256&digits=8&period=60");
        let found = read(&text, false).unwrap();
        assert_eq!(found.user, "béa");
        assert_eq!(found.seed, seed(b"12345678901234567890", 8, "SHA256", 60));
    }

    #[test]
    fn what_cannot_be_taken_over_is_refused_without_repeating_the_seed() {
        for text in [
            format!("otpauth://hotp/alice?{SECRET}&counter=1"),
            format!("otpauth://yaotp/alice?{SECRET}"),
            format!("otpauth://totp/?{SECRET}"),
            "otpauth://totp/alice?issuer=x".to_owned(),
            "otpauth://totp/alice?secret=GEZDGNBVG!".to_owned(),
            format!("otpauth://totp/alice?{SECRET}&digits=six"),
            format!("https://totp/alice?{SECRET}"),
            SECRET.to_owned(),
        ] {
            let why = read(&text, false).unwrap_err();
            assert!(!why.contains("GEZDGNBV"), "{why}");
        }
    }
}
