//! How many codes a guesser gets compared in a year and how often one is right, on a simulated clock, beside the bound
//! that `twinlock config check` prints for the configuration that is shipped. Part of `make bench`.
//!
//! A right code of six digits is too rare to be counted, so the account's codes have three; what was counted is scaled
//! to six. Figures agree to within the error bar, three standard deviations.

#![forbid(unsafe_code)]
// A table on standard output is what this program is for; where it cannot go on, it has nothing better to do than to
// panic.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "../../policy/tests/simulation/mod.rs"]
mod simulation;

use simulation::{Manner, Tally, Year, shipped};
use std::process::ExitCode;
use twinlock_policy::bound::{Bound, Percent, Reach};

/// Digits of the simulated codes.
const SHORT: u8 = 3;
/// Digits of the codes that the table speaks of.
const LONG: u8 = 6;

/// Rows: addresses, manner, whether the password is known, simulated years.
const ROWS: [(u32, Manner, bool, u64); 13] = [
    (1, Manner::Hasty, true, 400),
    (100, Manner::Hasty, true, 400),
    (10_000, Manner::Hasty, true, 400),
    (10_000, Manner::Hasty, false, 100),
    (1, Manner::Patient, true, 400),
    (100, Manner::Patient, true, 400),
    (10_000, Manner::Patient, true, 400),
    (1, Manner::TwoCodes, true, 100),
    (100, Manner::TwoCodes, true, 40),
    (1000, Manner::TwoCodes, true, 10),
    (10_000, Manner::TwoCodes, true, 2),
    (1000, Manner::Everywhere, true, 100),
    (10_000, Manner::Everywhere, true, 100),
];

fn main() -> ExitCode {
    let config = shipped();
    let bound = Bound::new(&config, Reach::Anywhere, &[LONG]);
    println!(
        "The shipped configuration, one authenticator of {LONG} digits: bound {bound} a year: {} codes in the unfamiliar lane\n\
         and {} in the account's own ({}), two codes typed as one ({}).\n",
        bound.unfamiliar_guesses,
        bound.own_guesses,
        Percent(bound.code),
        Percent(bound.way_in)
    );
    println!(
        "{:>9}  {:<22} {:<8} {:>5}  {:>10} {:>8} {:>11}  {:>19}  {:>8}  owner kept out",
        "addresses",
        "guesses",
        "password",
        "years",
        "unfamiliar",
        "own",
        "two codes",
        "let in a year",
        "bound"
    );
    let mut within = true;
    for (addresses, manner, password, years) in ROWS {
        let year = Year { config: &config, manner, addresses, password, digits: SHORT };
        let sum = (0..years).fold(Tally::default(), |sum, seed| add(&sum, &year.play(seed)));
        let row = Row { sum, years, password };
        within &= row.agrees(&bound);
        println!(
            "{addresses:>9}  {:<22} {:<8} {years:>5}  {:>10.1} {:>8.1} {:>11.0}  {:>19}  {:>8}  {}",
            spoken(manner),
            if password { "known" } else { "unknown" },
            row.a_year(row.sum.unfamiliar.0),
            row.a_year(row.sum.own.0),
            row.a_year(row.sum.two.0),
            format!("{:.3} ± {:.3} %", 100.0 * row.chance(), 100.0 * row.error()),
            bound.to_string(),
            365 * years - row.sum.owner.0.min(365 * years)
        );
    }
    println!(
        "\n{}",
        if within { "Every row is within the bound." } else { "A row is NOT within the bound." }
    );
    if within { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Row {
    sum: Tally,
    years: u64,
    password: bool,
}

impl Row {
    fn a_year(&self, count: u64) -> f64 {
        count as f64 / self.years as f64
    }

    /// Right codes, and right pairs of codes, that let in.
    fn hits(&self) -> (f64, f64) {
        if !self.password {
            return (0.0, 0.0);
        }
        ((self.sum.unfamiliar.1 + self.sum.own.1) as f64, self.sum.two.1 as f64)
    }

    /// Of a year, scaled to long codes.
    fn chance(&self) -> f64 {
        let (single, pair) = self.hits();
        (single * scale() + pair * scale() * scale()) / self.years as f64
    }

    fn error(&self) -> f64 {
        let (single, pair) = self.hits();
        3.0 * (single * scale().powi(2) + pair * scale().powi(4)).sqrt() / self.years as f64
    }

    /// Right codes are logins and give their slot back, so that only wrong ones are bounded in number.
    fn agrees(&self, bound: &Bound) -> bool {
        let wrong = |(all, right): (u64, u64)| all - right;
        wrong(self.sum.unfamiliar) <= bound.unfamiliar_guesses * self.years
            && wrong(self.sum.own) <= bound.own_guesses * self.years
            && self.chance() - self.error() <= bound.total
    }
}

/// How much rarer a code of [`LONG`] digits is guessed than one of [`SHORT`].
fn scale() -> f64 {
    10_f64.powi(i32::from(SHORT) - i32::from(LONG))
}

fn add(sum: &Tally, more: &Tally) -> Tally {
    let both = |a: (u64, u64), b: (u64, u64)| (a.0 + b.0, a.1 + b.1);
    Tally {
        unfamiliar: both(sum.unfamiliar, more.unfamiliar),
        own: both(sum.own, more.own),
        two: both(sum.two, more.two),
        broken_in: sum.broken_in + more.broken_in,
        wrong_binds: sum.wrong_binds + more.wrong_binds,
        owner: both(sum.owner, more.owner),
    }
}

const fn spoken(manner: Manner) -> &'static str {
    match manner {
        Manner::Hasty => "at once when it opens",
        Manner::Patient => "in bursts after quiet",
        Manner::TwoCodes => "and two codes",
        Manner::Everywhere => "and at its own places",
    }
}
