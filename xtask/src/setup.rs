//! `cargo xtask setup`: makes sure that there is a BPF toolchain, and says which.
//!
//! Promises: a machine that has one is left as it is, and finding that out takes well under a
//! second; each command that changes the machine is shown before it runs; where nothing may be
//! installed, the commands are printed instead and the exit status says that something is missing.

use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::apt;
use crate::process::{self, Rights};
use crate::toolchain::{Finding, Route, Step, Toolchain, distribution, nightly, record_path};

/// The options of `cargo xtask setup`.
#[derive(Args)]
pub(crate) struct Options {
    /// Print the commands that would install what is missing, and run none of them
    #[arg(long)]
    no_install: bool,
    /// Take this route, whatever else there is
    #[arg(long)]
    route: Option<Route>,
}

/// Installing goes on in rounds, since one part may have to be there before the next can be
/// named: package lists, then a compiler, then a linker for it.
const ROUNDS: usize = 5;

/// Sets the toolchain up and says what it is.
pub(crate) fn run(options: &Options) -> Result<()> {
    let started = Instant::now();
    let recorded = Toolchain::recorded();
    let toolchain = match recorded {
        Ok(found) if options.route.is_none_or(|route| route == found.route) => found,
        _ => find_or_install(options)?,
    };
    println!("BPF toolchain: {}", describe(&toolchain));
    println!("recorded in {} ({:.1?})", record_path().display(), started.elapsed());
    Ok(())
}

/// What the other verbs call: silent when the record is good.
pub(crate) fn ensure() -> Result<Toolchain> {
    match Toolchain::recorded() {
        Ok(toolchain) => Ok(toolchain),
        Err(why) => {
            eprintln!("the BPF toolchain has to be set up first ({why:#})");
            let toolchain = find_or_install(&Options { no_install: false, route: None })?;
            eprintln!("BPF toolchain: {}", describe(&toolchain));
            Ok(toolchain)
        }
    }
}

fn describe(toolchain: &Toolchain) -> String {
    let reason = match toolchain.route {
        Route::Nightly => "rustup's nightly with rust-src, which builds the core library itself",
        Route::Distribution => "the distribution's compiler, which has a core library for BPF",
    };
    format!(
        "route \"{}\": {reason}\n  compiler  {}  ({})\n  linker    {}",
        toolchain.route,
        toolchain.rustc.display(),
        toolchain.version,
        toolchain.linker.display()
    )
}

fn examine(route: Route) -> Result<Finding> {
    match route {
        Route::Nightly => nightly::examine(),
        Route::Distribution => distribution::examine(),
    }
    .with_context(|| format!("looking at route \"{route}\""))
}

fn find_or_install(options: &Options) -> Result<Toolchain> {
    let rights = process::rights();
    let mut lists_fetched = false;
    for _ in 0..ROUNDS {
        let (why, steps) = match choose(options.route, lists_fetched)? {
            Finding::Ready(toolchain) => {
                toolchain.record()?;
                return Ok(toolchain);
            }
            Finding::Missing { why, steps } => (why, steps),
            Finding::Impossible(why) => bail!("no BPF toolchain can be had here:\n{why}"),
        };
        let root_needed = steps.iter().any(|step| !matches!(step, Step::Run { .. }));
        if options.no_install || (root_needed && rights == Rights::None) {
            print_only(&why, &steps, options.no_install, rights);
            bail!("{why}; the commands above install it, then run `cargo xtask setup` again");
        }
        eprintln!("{why}: installing");
        for step in steps {
            match step {
                Step::UpdateLists => {
                    lists_fetched = true;
                    process::run(&mut apt::update_command(rights))?;
                }
                Step::Packages(packages) => {
                    eprintln!("installing {} packages, about half a minute", packages.len());
                    apt::install(rights, &packages)?;
                }
                Step::Run { what, mut command } => {
                    eprintln!("{what}");
                    process::run(&mut command)?;
                }
            }
        }
    }
    bail!("the BPF toolchain is still incomplete after {ROUNDS} rounds of installing: see above")
}

/// Takes the first route that is complete; else the one that is easier to complete, which is the
/// distribution's: packages need no compiling, and rustup cannot always fetch rust-src.
fn choose(wanted: Option<Route>, lists_fetched: bool) -> Result<Finding> {
    if let Some(route) = wanted {
        return Ok(without_lists(examine(route)?, lists_fetched));
    }
    let nightly = examine(Route::Nightly)?;
    if matches!(nightly, Finding::Ready(_)) {
        return Ok(nightly);
    }
    let packages = without_lists(examine(Route::Distribution)?, lists_fetched);
    Ok(match (packages, nightly) {
        (Finding::Impossible(packages), Finding::Impossible(nightly)) => {
            Finding::Impossible(format!("  distribution: {packages}\n  nightly: {nightly}"))
        }
        (Finding::Impossible(why), nightly) => {
            eprintln!("not the distribution's compiler: {why}");
            nightly
        }
        (packages, _) => packages,
    })
}

/// Lists that have just been fetched and still lack the library will not get it.
fn without_lists(finding: Finding, lists_fetched: bool) -> Finding {
    match finding {
        Finding::Missing { steps, .. }
            if lists_fetched && steps.iter().any(|step| matches!(step, Step::UpdateLists)) =>
        {
            Finding::Impossible("no package libstd-rust*-dev-bpf in this release".to_owned())
        }
        other => other,
    }
}

/// Standard output gets nothing but commands, so that it can be piped into a shell.
fn print_only(why: &str, steps: &[Step], asked: bool, rights: Rights) {
    let cause = if asked { "--no-install" } else { "neither root nor sudo without a password" };
    eprintln!("{why}. Nothing is installed ({cause}); these commands would:");
    for step in steps {
        let command = match step {
            Step::UpdateLists => process::shown(&apt::update_command(rights)),
            Step::Packages(packages) => process::shown(&apt::install_command(rights, packages)),
            Step::Run { command, .. } => process::shown(command),
        };
        println!("{command}");
    }
}
