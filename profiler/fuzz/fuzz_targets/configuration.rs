#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

// In memory where there is such a place: it is written for each input.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = PathBuf::from("/dev/shm");
    let folder = if folder.is_dir() { folder } else { std::env::temp_dir() };
    folder.join(format!("profiler-fuzz-{}.toml", std::process::id()))
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| profiler_fuzz::configuration(input, &FILE));
