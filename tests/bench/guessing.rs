//! How many codes a guesser gets compared in a year and how often one is right, on a simulated clock, beside the bound
//! that `twinlock config check` prints for the configuration that is shipped. Part of `make bench`.
//!
//! A right code of six digits is too rare to be counted, so the account's codes have two or three; what was counted is
//! scaled to six. The error bar is three standard deviations.

#![forbid(unsafe_code)]
// A table on standard output is what this program is for; where it cannot go on, it has nothing better to do than to
// panic.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

// The tests beside it use more of it.
#[allow(dead_code)]
#[path = "../../policy/tests/simulation/mod.rs"]
mod simulation;

use simulation::{Manner, Tally, Year, shipped};
use std::process::ExitCode;
use twinlock_policy::bound::{Bound, Percent, Reach};

/// Digits of the codes that the table speaks of.
const LONG: u8 = 6;

/// Addresses, manner, whether the password is known, simulated years and digits of their codes.
type Kind = (u32, Manner, bool, u64, u8);

const KINDS: [Kind; 13] = [
    (1, Manner::Hasty, true, 400, 3),
    (100, Manner::Hasty, true, 400, 3),
    (10_000, Manner::Hasty, true, 400, 3),
    (10_000, Manner::Hasty, false, 100, 3),
    (1, Manner::Patient, true, 400, 3),
    (100, Manner::Patient, true, 400, 3),
    (10_000, Manner::Patient, true, 400, 3),
    (1, Manner::TwoCodes, true, 100, 2),
    (100, Manner::TwoCodes, true, 40, 2),
    (1000, Manner::TwoCodes, true, 10, 2),
    (10_000, Manner::TwoCodes, true, 3, 2),
    (1000, Manner::Everywhere, true, 100, 3),
    (10_000, Manner::Everywhere, true, 100, 3),
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
        "{:>9}  {:<22} {:<8} {:>5}  {:>10} {:>6} {:>10}  {:>16}  {:>7}  owner",
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
    for (number, kind) in (0..).zip(KINDS) {
        let (addresses, manner, password, years, digits) = kind;
        let year = Year { config: &config, manner, addresses, password, digits };
        let first = number << 32;
        let sum = (first..first + years).fold(Tally::default(), |sum, seed| add(&sum, &year.play(seed)));
        let row = Row { sum, years, password, scale: 10_f64.powi(i32::from(digits) - i32::from(LONG)) };
        within &= row.agrees(&bound);
        println!(
            "{addresses:>9}  {:<22} {:<8} {years:>5}  {:>10.1} {:>6.1} {:>10.0}  {:>16}  {:>7}  {}",
            spoken(manner),
            if password { "known" } else { "unknown" },
            row.wrong_a_year(row.sum.unfamiliar),
            row.wrong_a_year(row.sum.own),
            row.wrong_a_year(row.sum.two),
            format!("{:.3} ± {:.3} %", 100.0 * row.chance(), 100.0 * row.error()),
            bound.to_string(),
            if row.sum.owner.1 == 0 { "always in" } else { "KEPT OUT" }
        );
    }
    println!(
        "\n{}",
        if within {
            "Every row is within the bound, and the owner got in whenever it tried."
        } else {
            "A row is NOT within the bound, or the owner was kept out."
        }
    );
    if within { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Row {
    sum: Tally,
    years: u64,
    password: bool,
    /// How much rarer a code of [`LONG`] digits is guessed.
    scale: f64,
}

impl Row {
    /// A right code is a login and gives its slot back, so only wrong ones are bounded in number.
    fn wrong_a_year(&self, (all, right): (u64, u64)) -> f64 {
        (all - right) as f64 / self.years as f64
    }

    /// Right codes, and right pairs of codes, that let in.
    fn hits(&self) -> (f64, f64) {
        if !self.password {
            return (0.0, 0.0);
        }
        ((self.sum.unfamiliar.1 + self.sum.own.1) as f64, self.sum.two.1 as f64)
    }

    /// How often a year, scaled to long codes.
    fn chance(&self) -> f64 {
        let (single, pair) = self.hits();
        (single * self.scale + pair * self.scale.powi(2)) / self.years as f64
    }

    fn error(&self) -> f64 {
        let (single, pair) = self.hits();
        3.0 * (single * self.scale.powi(2) + pair * self.scale.powi(4)).sqrt() / self.years as f64
    }

    fn agrees(&self, bound: &Bound) -> bool {
        self.wrong_a_year(self.sum.unfamiliar) <= bound.unfamiliar_guesses as f64
            && self.wrong_a_year(self.sum.own) <= bound.own_guesses as f64
            && self.chance() - self.error() <= bound.total
            && self.sum.owner.1 == 0
    }
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
