//! A program made to be measured: each subcommand uses the machine in one way of its own and
//! reports what the kernel says that it cost. See `profiler_tests::workload`.

use std::process::ExitCode;

fn main() -> ExitCode {
    profiler_tests::workload::main(std::env::args().skip(1).collect())
}
