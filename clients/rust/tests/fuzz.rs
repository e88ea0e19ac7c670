//! The fuzz targets' bodies, over their corpus and over what is like it.

#![allow(clippy::expect_used, clippy::panic, reason = "a test ends so")]

use std::fs;
use std::path::Path;

use proptest::prelude::*;

#[path = "../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "a package of its own for the fuzzer")]
mod bodies;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths: Vec<_> = fs::read_dir(folder)
        .expect("a corpus")
        .map(|entry| entry.expect("a file").path())
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a file")).collect()
}

/// One of the corpus with some bytes replaced, and perhaps the beginning of another one behind it.
fn like(target: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let one = proptest::sample::select(corpus(target));
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    (one.clone(), changes, one, any::<prop::sample::Index>()).prop_map(
        |(mut bytes, changes, other, end)| {
            for (place, byte) in changes {
                if !bytes.is_empty() {
                    let place = place.index(bytes.len());
                    bytes[place] = byte;
                }
            }
            bytes.extend(&other[..end.index(other.len() + 1)]);
            bytes
        },
    )
}

#[test]
fn the_corpus_breaks_nothing() {
    corpus("frames").iter().for_each(|input| bodies::frames(input));
    corpus("messages").iter().for_each(|input| bodies::message(input));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_like_a_stream_comes_out_the_same_however_it_is_cut(input in like("frames")) {
        bodies::frames(&input);
    }

    #[test]
    fn what_is_like_a_message_is_read_or_refused(input in like("messages")) {
        bodies::message(&input);
    }
}
