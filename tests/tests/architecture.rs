//! The direction in which data flows, held against the source.

use std::fs;
use std::path::{Path, PathBuf};

/// Each module of the product, with the modules that it may use. The pure core comes first: it may
/// use nothing that knows a clock, a file or a socket.
const MAY_USE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("learn", &["model"]),
    ("lease", &["model"]),
    ("control", &["learn", "lease", "model"]),
    ("kernel", &["model"]),
    ("config", &["model"]),
    ("background", &[]),
    ("store", &["background", "model"]),
    ("host", &["model"]),
    ("export", &["model"]),
    ("ipc", &[]),
    ("session", &["kernel", "model"]),
    ("ui", &["model", "session"]),
    ("simulate", &["control", "learn", "lease", "model"]),
    (
        "agent",
        &[
            "background",
            "config",
            "control",
            "host",
            "ipc",
            "kernel",
            "learn",
            "lease",
            "model",
            "session",
            "store",
        ],
    ),
    (
        "cli",
        &[
            "agent", "config", "control", "export", "ipc", "kernel", "model", "session",
            "simulate", "ui",
        ],
    ),
];

/// Which of them are the pure core.
const PURE: [&str; 4] = ["model", "learn", "lease", "control"];

/// What the pure core must not name.
const IMPURE: [&str; 6] =
    ["std::fs", "std::net", "std::time::Instant", "std::time::SystemTime", "rustix", "procfs"];

fn source() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../profiler/src");
    // The binary of this test also runs where there is no source, in a virtual machine.
    folder.is_dir().then_some(folder)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of the source");
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        if path.is_dir() && path.ends_with("tests") {
            // A folder of unit tests.
            continue;
        } else if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The lines of a file before its unit tests.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).expect("a source file");
    text.split("#[cfg(test)]").next().unwrap_or_default().to_owned()
}

#[test]
fn data_flows_one_way() {
    let Some(source) = source() else { return };
    let mut wrong = Vec::new();
    let mut seen = 0;
    for &(module, may_use) in MAY_USE {
        for file in files(&source.join(module)) {
            for line in code(&file).lines() {
                let Some((_, rest)) = line.split_once("crate::") else { continue };
                if line.trim_start().starts_with("//") {
                    continue;
                }
                let used: String = rest.chars().take_while(|c| c.is_alphanumeric()).collect();
                seen += 1;
                if used != module && !may_use.contains(&used.as_str()) {
                    wrong.push(format!("{}: {}", file.display(), line.trim()));
                }
            }
        }
    }
    assert!(seen > 20, "only {seen} uses found: is the source still laid out like this?");
    assert!(wrong.is_empty(), "against the flow:\n{}", wrong.join("\n"));
}

#[test]
fn every_module_has_its_place_in_the_flow() {
    let Some(source) = source() else { return };
    for entry in fs::read_dir(source).expect("the source") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("a name");
        let known = MAY_USE.iter().any(|(module, _)| *module == name);
        assert!(known || ["main.rs", "lib.rs"].contains(&name.as_str()), "{name} has no place");
    }
}

#[test]
fn the_pure_core_knows_no_clock_file_or_socket() {
    let Some(source) = source() else { return };
    for file in PURE.iter().flat_map(|module| files(&source.join(module))) {
        for name in IMPURE {
            assert!(!code(&file).contains(name), "{} names {name}", file.display());
        }
    }
}
