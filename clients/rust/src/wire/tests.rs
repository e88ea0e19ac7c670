use proptest::prelude::*;

use super::*;

/// Feeds pieces, and gives the messages that came out.
fn split(frames: &mut Frames, pieces: &[&[u8]]) -> Result<Vec<Vec<u8>>, WireError> {
    let mut messages = Vec::new();
    for piece in pieces {
        let mut piece = *piece;
        while let Some(message) = frames.next(&mut piece)? {
            messages.push(message.to_vec());
        }
    }
    Ok(messages)
}

/// Cuts a stream at the places given, in any order.
fn cut<'a>(stream: &'a [u8], places: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(stream.len() + 1)).collect();
    places.sort_unstable();
    let begins = std::iter::once(0).chain(places.iter().copied());
    let ends = places.iter().copied().chain([stream.len()]);
    begins.zip(ends).map(|(begin, end)| &stream[begin..end]).collect()
}

proptest! {
    #[test]
    fn however_a_stream_is_split_the_messages_are_the_same(
        messages in prop::collection::vec(prop::collection::vec(1_u8.., 0..40), 0..12),
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let stream: Vec<u8> = messages.iter().flat_map(|m| m.iter().copied().chain([0])).collect();
        let mut frames = Frames::new(40);
        prop_assert_eq!(split(&mut frames, &cut(&stream, &places)).unwrap(), messages);
        prop_assert_eq!(frames.kept_bytes(), 0);
    }

    #[test]
    fn what_is_kept_for_later_comes_out_first_and_in_order(
        messages in prop::collection::vec(prop::collection::vec(1_u8.., 0..20), 1..8),
        places in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
    ) {
        let stream: Vec<u8> = messages.iter().flat_map(|m| m.iter().copied().chain([0])).collect();
        let mut frames = Frames::new(64);
        let pieces = cut(&stream, &places);
        let (last, kept) = pieces.split_last().unwrap();
        for piece in kept {
            frames.keep(piece);
        }
        prop_assert_eq!(split(&mut frames, &[last]).unwrap(), messages);
    }

    #[test]
    fn a_message_above_the_limit_is_refused_however_it_is_split(
        excess in 1_usize..50,
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        has_end in any::<bool>(),
    ) {
        let mut stream = vec![b'x'; 100 + excess];
        stream.extend(has_end.then_some(0));
        let mut frames = Frames::new(100);
        let found = split(&mut frames, &cut(&stream, &places));
        let is_too_long = matches!(found, Err(WireError::TooLong { limit: 100 }));
        prop_assert!(is_too_long);
        prop_assert!(frames.kept_bytes() <= 101 + excess);
    }

    #[test]
    fn no_bytes_make_the_reader_of_calls_and_replies_fail_otherwise_than_by_an_error(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        // Whether they are a call or a reply is not asked: only that the answer comes.
        let _ = Call::parse(&bytes).map(|call| call.parameters().len());
        let _ = Reply::parse(&bytes).map(|reply| reply.parameters().len());
    }

    #[test]
    fn a_call_that_was_written_reads_as_the_same(
        method in "\\PC{0,30}", value in "\\PC{0,30}", mode in 0..3,
    ) {
        let mode = [Mode::One, Mode::More, Mode::Oneway][usize::try_from(mode).unwrap()];
        let mut out = Vec::new();
        put_call(&mut out, &method, &serde_json::json!({ "value": value }), mode).unwrap();
        let mut frames = Frames::new(MAX_CALL_BYTES);
        let messages = split(&mut frames, &[&out]).unwrap();
        prop_assert_eq!(messages.len(), 1);
        let call = Call::parse(&messages[0]).unwrap();
        prop_assert_eq!(&*call.method, method);
        prop_assert_eq!((call.more(), call.oneway()), (mode == Mode::More, mode == Mode::Oneway));
        let parameters: serde_json::Value = serde_json::from_str(call.parameters()).unwrap();
        prop_assert_eq!(parameters["value"].as_str().unwrap(), value);
    }
}

#[test]
fn a_message_of_exactly_the_limit_passes() {
    let mut stream = vec![b'x'; MAX_CALL_BYTES];
    stream.push(0);
    let found = split(&mut Frames::new(MAX_CALL_BYTES), &[&stream]).unwrap();
    assert_eq!(found, [&stream[..MAX_CALL_BYTES]]);
}

#[test]
fn a_missing_nul_is_no_message() {
    let mut frames = Frames::new(10);
    assert!(split(&mut frames, &[b"{}"]).unwrap().is_empty());
    assert_eq!(frames.kept_bytes(), 2);
}

#[test]
fn memory_is_given_back_when_nothing_is_kept() {
    let mut frames = Frames::new(100_000);
    let long = vec![b'x'; 50_000];
    assert!(split(&mut frames, &[&long]).unwrap().is_empty());
    assert_eq!(split(&mut frames, &[b"\0", b"\0"]).unwrap().len(), 2);
    assert_eq!(frames.kept.capacity(), 0);
}

fn malformed(message: &str) -> String {
    match Call::parse(message.as_bytes()) {
        Err(WireError::Malformed(error)) => error.to_string(),
        other => panic!("{message}: {other:?}"),
    }
}

#[test]
fn what_is_no_call_is_told_what_is_wrong_with_it() {
    assert!(malformed("").contains("EOF"));
    assert!(malformed("nonsense").contains("expected"));
    assert!(malformed("{}").contains("missing field `method`"));
    assert!(malformed("[\"a\"]").contains("expected an object"));
    assert!(malformed("{\"method\":\"a\",\"parameters\":[1]}").contains("expected an object"));
    assert!(malformed("{\"method\":1}").contains("invalid type"));
    assert!(malformed("{\"method\":\"a\",\"method\":\"b\"}").contains("duplicate field `method`"));
    assert!(malformed("{\"method\":\"a\",\"mode\":1}").contains("unknown field `mode`"));
    assert!(malformed("{\"method\":\"a\",\"more\":1}").contains("invalid type"));
    assert!(malformed("{\"method\":\"a\"} {}").contains("trailing characters"));
    assert!(malformed("{\"method\":\"a\",\"parameters\":{\"x\":}}").contains("expected value"));
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let found = Call::parse(b"{\"method\":\"\xff\"}");
    assert!(matches!(found, Err(WireError::NotUtf8)), "{found:?}");
}

#[test]
fn nesting_is_bounded_and_brackets_in_strings_do_not_count() {
    let nested = |levels| {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        format!("{{\"method\":\"a\",\"parameters\":{{\"b\":{open}{close}}}}}")
    };
    assert!(Call::parse(nested(MAX_DEPTH - 2).as_bytes()).is_ok());
    for levels in [MAX_DEPTH - 1, 30_000] {
        let found = Call::parse(nested(levels).as_bytes()).map(|_| ());
        assert!(matches!(found, Err(WireError::TooDeep)), "{found:?}");
    }
    let text = format!("{{\"method\":\"{}\\\"[\"}}", "[{".repeat(40));
    assert!(Call::parse(text.as_bytes()).is_ok());
}

#[test]
fn what_json_cannot_say_leaves_nothing_behind() {
    let mut out = b"before".to_vec();
    let map = std::collections::BTreeMap::from([((1, 2), 3)]);
    assert!(put_reply(&mut out, &map, false).is_err());
    assert_eq!(out, b"before");
}

#[test]
fn parameters_may_be_left_out_or_null() {
    for message in ["{\"method\":\"a\"}", "{\"method\":\"a\",\"parameters\":null}"] {
        assert_eq!(Call::parse(message.as_bytes()).unwrap().parameters(), "{}");
    }
}
