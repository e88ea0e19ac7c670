//! The body of the fuzz target for the configuration, over its corpus and over what is like it.

#![allow(clippy::expect_used, clippy::panic, reason = "a test ends so")]

use std::fs;
use std::path::Path;

use proptest::prelude::*;

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "a package of its own for the fuzzer")]
mod bodies;

fn corpus() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/configuration");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .expect("a corpus")
        .map(|entry| entry.expect("a file").path())
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a file")).collect()
}

/// Lines of the corpus in another order, with some bytes replaced.
fn like() -> impl Strategy<Value = Vec<u8>> {
    let lines: Vec<Vec<u8>> =
        corpus().iter().flat_map(|file| file.split(|&byte| byte == b'\n')).map(Vec::from).collect();
    let line = proptest::sample::select(lines);
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    (proptest::collection::vec(line, 1..8), changes).prop_map(|(lines, changes)| {
        let mut bytes = lines.join(&b'\n');
        for (place, byte) in changes {
            if !bytes.is_empty() {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
        }
        bytes
    })
}

#[test]
fn the_corpus_breaks_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    for input in corpus() {
        bodies::configuration(&input, &folder.path().join("profiler.toml"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn what_is_like_a_configuration_is_refused_in_words_or_shown_as_it_is(input in like()) {
        let folder = tempfile::tempdir().expect("a folder");
        bodies::configuration(&input, &folder.path().join("profiler.toml"));
    }
}
