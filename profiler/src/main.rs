//! The `profiler` command: parses its arguments and passes on the exit status.

use std::process::ExitCode;

fn main() -> ExitCode {
    profiler::cli::main()
}
