//! The otpauth URI that a phone scans. It holds the seed.

use super::{Parameters, Seed};
use zeroize::Zeroizing;

/// `otpauth://totp/Twinlock:NAME?…` with every parameter written out, because applications differ in what they
/// take for granted.
#[must_use]
pub fn otpauth(name: &str, parameters: &Parameters, seed: &Seed) -> Zeroizing<String> {
    let name = escaped(name);
    let secret = seed.to_base32();
    Zeroizing::new(format!(
        "otpauth://totp/Twinlock:{name}?secret={}&issuer=Twinlock&algorithm={}&digits={}&period={}",
        secret.as_str(),
        parameters.algorithm_name(),
        parameters.digits(),
        parameters.step_s(),
    ))
}

/// Percent-encodes all but RFC 3986's unreserved characters.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use twinlock_config::TotpAlgorithm;

    #[test]
    fn a_uri_reads_back_as_what_it_was_made_of() {
        let seed = Seed::from_base32("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
        let parameters = Parameters::new(8, TotpAlgorithm::Sha256, 60).unwrap();
        for name in ["alice", "grüße & co", "a?secret=b#c", "alice@example.org", "100%"] {
            let uri = otpauth(name, &parameters, &seed);
            let read = totp_rs::Totp::from_url(uri.as_str()).unwrap();
            assert_eq!(read.account_name(), name);
            assert_eq!(read.issuer(), Some("Twinlock"));
            assert_eq!(read.secret().as_bytes(), seed.expose());
            assert_eq!((read.digits(), read.next_step(0)), (8, 60));
            assert_eq!(read.algorithm(), totp_rs::Algorithm::SHA256);
        }
    }
}
