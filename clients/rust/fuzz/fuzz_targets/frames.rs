//! However a stream is cut into pieces, the same messages come out, and memory stays bounded.

#![no_main]

use libfuzzer_sys::fuzz_target;
use profiler_client::wire::Frames;

const LIMIT: usize = 256;

fn messages<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Option<Vec<Vec<u8>>> {
    let mut frames = Frames::new(LIMIT);
    let mut found = Vec::new();
    for piece in pieces {
        let mut rest = piece;
        loop {
            match frames.next(&mut rest) {
                Ok(Some(message)) => found.push(message.to_vec()),
                Ok(None) => break,
                Err(_) => return None,
            }
        }
        assert!(frames.kept_bytes() <= LIMIT);
    }
    Some(found)
}

fuzz_target!(|input: (u8, &[u8])| {
    let (size, stream) = input;
    let whole = messages(std::iter::once(stream));
    let cut = messages(stream.chunks(usize::from(size).max(1)));
    assert_eq!(whole, cut);
});
