//! What must hold whatever is written in a configuration: the body of the fuzz target, which the normal
//! tests run too.

use std::fs;
use std::path::{Path, PathBuf};

use profiler::config::{Config, Layers, Surroundings};

/// A file is either refused, with everything that is wrong said in words, or it gives a configuration
/// that, shown and read again, is the same. The last line is taken as an argument of `--set`.
pub fn configuration(input: &[u8], file: &Path) {
    let (text, flag) = match input.iter().rposition(|&byte| byte == b'\n') {
        Some(end) => (&input[..end], String::from_utf8_lossy(&input[end + 1..]).into_owned()),
        None => (input, String::new()),
    };
    let set = if flag.is_empty() { Vec::new() } else { vec![flag] };
    let Some(config) = load(text, file, set) else { return };
    let shown = config.shown();
    let again = load(shown.as_bytes(), file, Vec::new());
    let again = again.unwrap_or_else(|| panic!("refused when it was shown:\n{shown}"));
    let changes = Config::changes(&config, &again);
    assert!(changes.is_empty(), "{changes:?}\n{shown}");
}

fn load(text: &[u8], file: &Path, set: Vec<String>) -> Option<Config> {
    fs::write(file, text).expect("a file");
    let layers = Layers {
        file: Some(file.to_owned()),
        set,
        environment: Vec::new(),
        surroundings: Surroundings {
            file: PathBuf::from("/nowhere"),
            runtime_directory: PathBuf::from("/run/profiler"),
            state_directory: PathBuf::from("/var/lib/profiler"),
        },
    };
    Config::load(&layers)
        .inspect_err(|problems| {
            let said = problems.to_string();
            assert!(!said.is_empty(), "refused without a word");
            assert!(!said.contains('\u{1b}'), "it reaches a terminal: {said:?}");
        })
        .ok()
}
