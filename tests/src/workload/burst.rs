//! A crowd that comes and goes between two words of somebody who watches.

use std::path::Path;

use super::args::Args;
use super::{family, sleep_us};

/// Says `begun`; when the file `--go` exists, has `--count` children as [`family::children`] does;
/// says `done`, and ends when the file `--until` exists.
pub(crate) fn run(args: &Args) {
    let wait_for = |name: &str| wait_for(args, name);
    println!("begun");
    wait_for("go");
    family::children(args);
    println!("done");
    wait_for("until");
}

/// Waits until the file that the option names exists.
pub(crate) fn wait_for(args: &Args, name: &str) {
    let path = args.text(name).unwrap_or_else(|| panic!("--{name}"));
    while !Path::new(path).exists() {
        sleep_us(2000);
    }
}
