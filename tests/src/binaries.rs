//! Where the programs under test are.

use std::path::PathBuf;

/// The product.
pub fn profiler() -> PathBuf {
    find("profiler", "PROFILER_BIN", "cargo build --release --package profiler")
}

/// The program made to be measured.
pub fn workload() -> PathBuf {
    find("workload", "PROFILER_WORKLOAD", "cargo build --package profiler-tests --bin workload")
}

/// The file that the variable names; else the one in the folder of the test's own profile
/// (`target/debug/deps/test` looks into `target/debug`), else in its neighbours.
fn find(name: &str, variable: &str, build: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable) {
        let path = PathBuf::from(path);
        assert!(path.is_file(), "{variable}: no such file: {}", path.display());
        return path;
    }
    let test = std::env::current_exe().expect("the path of this test");
    for folder in test.ancestors().skip(1).take(3) {
        for inside in [".", "release", "debug"] {
            let path = folder.join(inside).join(name);
            if path.is_file() {
                return path;
            }
        }
    }
    panic!("no {name} beside {}: build it with `{build}`, or set {variable}", test.display());
}
