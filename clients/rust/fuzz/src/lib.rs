//! What must hold whatever comes in: the bodies of the fuzz targets, which the normal tests run too.

use profiler_client::interfaces::definition::Interface;
use profiler_client::protocol::{ControlCall, ServiceCall, WorkerCall};
use profiler_client::wire::{Call, Frames, Reply};

const LIMIT: usize = 256;

/// However a stream is cut into pieces, the same messages come out, and memory stays bounded. The first
/// byte is the size of the pieces.
pub fn frames(input: &[u8]) {
    let Some((&size, stream)) = input.split_first() else { return };
    let whole = messages(std::iter::once(stream));
    let cut = messages(stream.chunks(usize::from(size).max(1)));
    assert_eq!(whole, cut, "in pieces of {size} bytes");
}

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

/// No message makes its reader fail otherwise than by an error.
pub fn message(message: &[u8]) {
    if let Ok(call) = Call::parse(message) {
        let name: &str = &call.method;
        let method = name.rsplit_once('.').map_or(name, |(_, method)| method);
        // Whether it is a call is not asked: only that the answer comes.
        let _ = WorkerCall::parse(method, call.parameters());
        let _ = ControlCall::parse(method, call.parameters());
        let _ = ServiceCall::parse(method, call.parameters());
    }
    if let Ok(reply) = Reply::parse(message) {
        assert!(!reply.parameters().is_empty());
    }
    if let Ok(text) = std::str::from_utf8(message) {
        // Likewise for a text that may be a definition.
        let _ = Interface::parse(text);
    }
}
