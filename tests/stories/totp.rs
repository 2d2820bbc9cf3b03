//! Codes as another implementation makes them: oathtool of the OATH Toolkit.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fmt::Write;
use std::process::Command;
use support::pam::Code;
use support::site::{RULES, Site};
use support::slapd::Slapd;
use twinlock_config::TotpAlgorithm;
use twinlock_daemon::clock::WallTime;
use twinlock_daemon::totp::{Parameters, Seed, Step};

/// Draws of (seed, time, digits, algorithm, step), and codes in a row that oathtool gives for each.
const DRAWS: u64 = 1000;
const IN_A_ROW: u64 = 10;

/// A sequence that is the same in every run (splitmix64).
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }
}

/// The codes of `IN_A_ROW` steps from `time` on.
fn oathtool(seed: &[u8], algorithm: &str, digits: u8, step_s: u64, time: u64) -> Vec<String> {
    let hex = seed.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    let output = Command::new("oathtool")
        .arg(format!("--totp={algorithm}"))
        .args(["-d", &digits.to_string(), "-s", &format!("{step_s}s"), "-N", &format!("@{time}")])
        .args(["-w", &(IN_A_ROW - 1).to_string(), &hex])
        .output()
        .expect("oathtool is installed by scripts/test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(ToOwned::to_owned).collect()
}

#[test]
fn oathtool_agrees_with_ten_thousand_codes_over_seeds_times_digits_and_algorithms() {
    let mut draw = Draw(6238);
    let mut compared = 0;
    for _ in 0..DRAWS {
        let seed: Vec<u8> = (0..16 + draw.below(49)).map(|_| draw.next().to_le_bytes()[0]).collect();
        let (name, algorithm) = draw.of(&[
            ("SHA1", TotpAlgorithm::Sha1),
            ("SHA256", TotpAlgorithm::Sha256),
            ("SHA512", TotpAlgorithm::Sha512),
        ]);
        let (digits, step_s) = (draw.of(&[6, 8]), draw.of(&[30, 60]));
        // Up to the year 2603, as in RFC 6238, appendix B.
        let time = draw.below(20_000_000_000);
        let base32 = totp_rs::Secret::new(seed.clone().into()).to_base32();
        let ours = Seed::from_base32(&base32).unwrap();
        let parameters = Parameters::new(digits, algorithm, step_s).unwrap();
        for (number, code) in (0..).zip(oathtool(&seed, name, digits, step_s, time)) {
            let then = WallTime(time + number * step_s);
            let right = parameters.matching(&ours, code.as_bytes(), then, 0);
            assert_eq!(right, [Step(then.0 / step_s)], "{name} {digits} {step_s} {base32} at {}", then.0);
            compared += 1;
        }
    }
    assert_eq!(compared, DRAWS * IN_A_ROW);
}

/// Promise 6: no account gets more authenticators than its guess budget bears; one in another's stead is no more.
#[test]
fn an_authenticator_in_anothers_stead_fits_the_budget_that_a_second_one_would_pass() {
    let slapd = Slapd::start();
    let site = Site::start(&slapd.settings("ldaps", &[slapd.ldaps_url()]), RULES);
    let mut phone = site.enroll("alice");
    let refused = site.twinlock(&["enroll", "alice", "--label", "token"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("above guess_budget = \"1%/year\""), "{said}");
    assert!(site.twinlock(&["enroll", "alice", "--replace"]).status.success());
    let login = site.stack("sshd").login("alice").from("203.0.113.7");
    assert_eq!({ login.typing("alice's password", &phone.code()) }.authenticate(0), Code::SUCCESS);
}
