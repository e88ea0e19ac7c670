//! The project's chores, as `cargo xtask VERB`. Each verb has a file of its own.

use std::process::ExitCode;

use clap::Parser;

mod apt;
mod bench;
mod build;
mod docs;
mod process;
mod run;
mod setup;
mod test;
mod toolchain;
mod vm;

/// Set up, build, run, test and measure profiler.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Verb {
    /// Find or install what the kernel half is built with
    Setup(setup::Options),
    /// Build profiler
    Build(build::Options),
    /// Build profiler and run it with the arguments after `--`
    Run(run::Options),
    /// Run all checks and tests, here and on other kernels
    Test(test::Options),
    /// Run the integration tests, or a command, in a virtual machine with another kernel
    Vm(vm::Options),
    /// Build and run a benchmark
    Bench(bench::Options),
    /// Write the documents that follow from the source
    Docs(docs::Options),
}

fn main() -> ExitCode {
    let done = match Verb::parse() {
        Verb::Setup(options) => setup::run(&options).map(|()| ExitCode::SUCCESS),
        Verb::Build(options) => build::run(&options).map(|()| ExitCode::SUCCESS),
        Verb::Run(options) => run::run(&options).map(|()| ExitCode::SUCCESS),
        Verb::Test(options) => test::run(&options),
        Verb::Vm(options) => vm::run(&options),
        Verb::Bench(options) => bench::run(&options).map(|()| ExitCode::SUCCESS),
        Verb::Docs(options) => docs::run(&options).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
