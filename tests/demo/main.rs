//! `make demo`: one host's login guard in a temporary folder, on real parts: the release daemon and module, libpam, and
//! LDAP over a socket. At a terminal one can play with it; otherwise it plays the same story by itself.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod scene;
mod tour;
mod transcript;

use scene::Scene;
use std::io::IsTerminal;

fn main() {
    let scene = Scene::set();
    let played = std::env::args().any(|argument| argument == "--play");
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() && !played {
        tour::walk(scene);
    } else {
        transcript::play(scene);
    }
}
