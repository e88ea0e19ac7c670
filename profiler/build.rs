//! Builds the kernel half, and hands its path to the code that embeds it.
//!
//! Cargo has no way to build a dependency for another target with another compiler, so the eBPF
//! crate is a workspace of its own and this script runs a second cargo for it. Promises: that
//! cargo sees nothing of what the outer one was told (flags, wrappers, target folder), all
//! profiles and clippy share one build of the object, and an unchanged object keeps its
//! modification time, so nothing after it is rebuilt.
//!
//! Which compiler and linker to use was decided by `cargo xtask setup`, which left a record.

use std::collections::HashMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// Set to `1`, warnings in the eBPF crate are errors. `cargo xtask test` does.
const DENY_WARNINGS: &str = "PROFILER_DENY_WARNINGS";

/// Variables of cargo that say how to reach the network, not what to build.
const KEPT: [&str; 7] = [
    "CARGO_HOME",
    "CARGO_HTTP_",
    "CARGO_NET_",
    "CARGO_REGISTR",
    "CARGO_SOURCE_",
    "CARGO_TERM_",
    "RUSTUP_",
];

fn main() -> ExitCode {
    match build() {
        Ok(object) => {
            println!("cargo::rustc-env=PROFILER_EBPF_OBJECT={}", object.display());
            ExitCode::SUCCESS
        }
        Err(message) => {
            for line in message.lines() {
                println!("cargo::error={line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<PathBuf, String> {
    let out = path("OUT_DIR")?;
    let manifest = path("CARGO_MANIFEST_DIR")?;
    let workspace = manifest.parent().ok_or("this package lies outside of its workspace")?;
    let source = workspace.join("profiler-ebpf");
    let record = workspace.join(".bpf-toolchain");
    let shared = workspace.join("profiler-common");
    for watched in [
        source.join("src"),
        source.join("Cargo.toml"),
        source.join("Cargo.lock"),
        shared.join("src"),
        shared.join("Cargo.toml"),
        record.clone(),
    ] {
        println!("cargo::rerun-if-changed={}", watched.display());
    }
    println!("cargo::rerun-if-env-changed={DENY_WARNINGS}");

    let toolchain = Toolchain::read(&record)?;
    let target = match env::var("CARGO_CFG_TARGET_ENDIAN").as_deref() {
        Ok("big") => "bpfeb-unknown-none",
        _ => "bpfel-unknown-none",
    };
    let folder = target_folder(&out).join("profiler-ebpf");
    compile(&toolchain, &source, target, &folder)?;

    // A copy, because the next build with another profile writes over the original. Written only
    // when it differs: its time of modification decides what is compiled again.
    let built = folder.join(target).join("release").join("profiler-ebpf");
    let object = out.join("profiler-ebpf");
    let bytes = fs::read(&built).map_err(|error| format!("{}: {error}", built.display()))?;
    if fs::read(&object).ok().as_deref() != Some(&bytes) {
        fs::write(&object, bytes).map_err(|error| format!("{}: {error}", object.display()))?;
    }
    Ok(object)
}

/// What `cargo xtask setup` found; the keys are described in `xtask/src/toolchain.rs`.
struct Toolchain {
    cargo: OsString,
    rustc: PathBuf,
    linker: PathBuf,
    path_prefix: String,
    build_std: bool,
}

impl Toolchain {
    /// Reads the record, and makes sure that it still tells the truth.
    fn read(record: &Path) -> Result<Self, String> {
        let again = |why: String| {
            format!("the BPF toolchain is not set up: run `cargo xtask setup`\n({why})")
        };
        let text = fs::read_to_string(record)
            .map_err(|error| again(format!("{}: {error}", record.display())))?;
        let values: HashMap<&str, &str> =
            text.lines().filter_map(|line| line.split_once('=')).collect();
        let value = |key: &str| {
            values
                .get(key)
                .copied()
                .ok_or_else(|| again(format!("{}: no line {key}=", record.display())))
        };
        let rustc = PathBuf::from(value("RUSTC")?);
        let linker = PathBuf::from(value("LINKER")?);
        if !linker.is_file() {
            return Err(again(format!("{} is gone", linker.display())));
        }
        let answer = Command::new(&rustc)
            .arg("--version")
            .output()
            .map_err(|error| again(format!("{}: {error}", rustc.display())))?;
        let version = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
        let expected = value("RUSTC_VERSION")?;
        if version != expected {
            return Err(again(format!(
                "{} was {expected:?} and is now {version:?}",
                rustc.display()
            )));
        }
        let cargo = match value("CARGO")? {
            "" => env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
            cargo => cargo.into(),
        };
        let path_prefix = value("PATH_PREFIX")?.to_owned();
        let build_std = value("ROUTE")? == "nightly";
        Ok(Self { cargo, rustc, linker, path_prefix, build_std })
    }
}

/// Runs the inner cargo; its own checks decide whether there is anything to do.
fn compile(
    toolchain: &Toolchain,
    source: &Path,
    target: &str,
    folder: &Path,
) -> Result<(), String> {
    let architecture = env::var("CARGO_CFG_TARGET_ARCH")
        .map_err(|error| format!("CARGO_CFG_TARGET_ARCH: {error}"))?;
    // Separated by a byte that no path has, so that a folder's name may have spaces.
    let flags = [
        format!("--cfg=bpf_target_arch=\"{architecture}\""),
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
        format!("-Clinker={}", toolchain.linker.display()),
    ]
    .join("\u{1f}");

    let mut command = Command::new(&toolchain.cargo);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let cargos = text.starts_with("CARGO") || text.starts_with("RUST") || text == "MAKEFLAGS";
        if cargos && !KEPT.iter().any(|kept| text.starts_with(kept)) {
            command.env_remove(&name);
        }
    }
    command
        .args(["build", "--release", "--target", target, "--target-dir"])
        .arg(folder)
        .current_dir(source)
        .env("RUSTC", &toolchain.rustc)
        // The BPF target and some attributes in aya are unstable, and the compiler that a
        // distribution ships is a stable one.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags)
        .stdin(Stdio::null());
    if toolchain.build_std {
        command.args(["-Z", "build-std=core"]);
    }
    if !toolchain.path_prefix.is_empty() {
        let rest = env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{rest}", toolchain.path_prefix));
    }

    let done = command
        .output()
        .map_err(|error| format!("{}: {error}", toolchain.cargo.to_string_lossy()))?;
    let said = String::from_utf8_lossy(&done.stderr);
    if !done.status.success() {
        return Err(format!("the eBPF crate, profiler-ebpf, does not build:\n{said}"));
    }
    // Cargo repeats the warnings of an unchanged crate, so this holds in each build.
    let warned = said
        .lines()
        .any(|line| line.starts_with("warning: `profiler-") && line.contains("generated"));
    if warned {
        if env::var_os(DENY_WARNINGS).is_some_and(|value| value == "1") {
            return Err(format!("warnings in the eBPF crate, with {DENY_WARNINGS}=1:\n{said}"));
        }
        for line in said.lines() {
            println!("cargo::warning={line}");
        }
    }
    Ok(())
}

/// The outer cargo's target folder, which no variable names: the nearest folder above `OUT_DIR`
/// that cargo marked as a cache. Where there is none, `OUT_DIR` will do.
fn target_folder(out: &Path) -> PathBuf {
    out.ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file())
        .unwrap_or(out)
        .to_path_buf()
}

fn path(variable: &str) -> Result<PathBuf, String> {
    env::var_os(variable)
        .map(PathBuf::from)
        .ok_or_else(|| format!("{variable} is not set: this is cargo's build script"))
}
