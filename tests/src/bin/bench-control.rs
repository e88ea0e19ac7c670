//! `cargo xtask bench control`: the controller on this host, against the best limits that do not change.
//! See [`profiler_tests::bench::control`].

use std::process::ExitCode;

fn main() -> ExitCode {
    profiler_tests::bench::control::main(std::env::args().skip(1).collect())
}
