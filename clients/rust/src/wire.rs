//! Messages on a byte stream: each is JSON text that ends with a NUL byte.
//!
//! Promises: however the stream is split on its way, the same messages come out; a message within one
//! piece of the stream is not copied; what passes a limit is an error as soon as that is known, and
//! memory never grows beyond the limit. No clock, no socket: whoever reads and writes is elsewhere.

use std::ffi::CStr;

use bytes::{Buf, BufMut, BytesMut};
use serde::de::Error;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use thiserror::Error;

use crate::protocol::Text;

/// Longest message that an agent takes, without its NUL.
pub const MAX_CALL_BYTES: usize = 64 * 1024;

/// Longest message that a client takes, without its NUL: lists of jobs are long.
pub const MAX_REPLY_BYTES: usize = 16 * 1024 * 1024;

/// Deepest nesting of objects and arrays in a message; the protocol itself needs 6.
pub const MAX_DEPTH: usize = 16;

/// What is wrong with a message, or with a stream of them.
#[derive(Debug, Error)]
pub enum WireError {
    /// A message passes the limit. What follows it cannot be told apart from it.
    #[error("a message is longer than {limit} bytes")]
    TooLong {
        /// The limit, without the NUL.
        limit: usize,
    },
    /// A message is not text.
    #[error("a message is not UTF-8")]
    NotUtf8,
    /// Objects and arrays are nested too deeply.
    #[error("a message is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// A message is not JSON, or not what Varlink says: a field is unknown, missing, there twice or
    /// of the wrong type.
    #[error("a message cannot be read: {0}")]
    Malformed(#[source] serde_json::Error),
}

/// Puts messages together from the pieces of a stream.
///
/// # Examples
/// ```
/// use profiler_client::wire::Frames;
///
/// let mut frames = Frames::new(1024);
/// let mut piece = b"{}\0{\"met".as_slice();
/// assert_eq!(frames.next(&mut piece).unwrap(), Some(b"{}".as_slice()));
/// assert_eq!(frames.next(&mut piece).unwrap(), None);
/// let mut piece = b"hod\"\0".as_slice();
/// assert_eq!(frames.next(&mut piece).unwrap(), Some(b"{\"method\"".as_slice()));
/// ```
#[derive(Debug)]
pub struct Frames {
    limit: usize,
    /// The begin of a message, or several that nobody asked for yet.
    kept: BytesMut,
    /// So much at the begin of `kept` was handed out and goes at the next call.
    handed_out: usize,
    /// So much of `kept` is known to have no NUL.
    searched: usize,
}

impl Frames {
    /// Takes messages of at most `limit` bytes, the NUL not counted.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, kept: BytesMut::new(), handed_out: 0, searched: 0 }
    }

    /// The next message, without its NUL, from what was kept and then `piece`, which is advanced past
    /// what was used. `None` once `piece` is used up.
    ///
    /// # Errors
    /// [`WireError::TooLong`]; the stream is of no use any more.
    pub fn next<'a, 'p: 'a>(
        &'a mut self,
        piece: &mut &'p [u8],
    ) -> Result<Option<&'a [u8]>, WireError> {
        self.forget_handed_out();
        if let Some(length) = find_nul(&self.kept[self.searched..]) {
            let end = self.searched + length;
            return self.hand_out(end).map(Some);
        }
        self.searched = self.kept.len();
        let Some(length) = find_nul(piece) else {
            self.keep(piece);
            *piece = &[];
            return self.check(self.kept.len()).map(|()| None);
        };
        let (message, rest) = piece.split_at(length);
        *piece = &rest[1..];
        if self.kept.is_empty() {
            self.check(length)?;
            return Ok(Some(message));
        }
        self.check(self.kept.len() + length)?;
        self.kept.put_slice(message);
        self.kept.put_u8(0);
        self.hand_out(self.kept.len() - 1).map(Some)
    }

    /// Keeps a piece for later. [`Self::next`] does that by itself with what it could not use.
    pub fn keep(&mut self, piece: &[u8]) {
        self.forget_handed_out();
        self.kept.put_slice(piece);
    }

    /// Bytes that came and make no message yet, or are messages that nobody asked for.
    #[must_use]
    pub fn kept_bytes(&self) -> usize {
        self.kept.len() - self.handed_out
    }

    fn hand_out(&mut self, end: usize) -> Result<&[u8], WireError> {
        self.check(end)?;
        self.handed_out = end + 1;
        Ok(&self.kept[..end])
    }

    fn forget_handed_out(&mut self) {
        if self.handed_out > 0 {
            self.kept.advance(self.handed_out);
            (self.handed_out, self.searched) = (0, 0);
        }
        if self.kept.is_empty() && self.kept.capacity() > 0 {
            // Most connections have nothing kept most of the time.
            self.kept = BytesMut::new();
        }
    }

    fn check(&self, length: usize) -> Result<(), WireError> {
        if length > self.limit { Err(WireError::TooLong { limit: self.limit }) } else { Ok(()) }
    }
}

fn find_nul(bytes: &[u8]) -> Option<usize> {
    CStr::from_bytes_until_nul(bytes).ok().map(|text| text.count_bytes())
}

/// A message as text.
///
/// # Errors
/// [`WireError::NotUtf8`] and [`WireError::TooDeep`].
pub fn text(message: &[u8]) -> Result<&str, WireError> {
    let text = std::str::from_utf8(message).map_err(|_| WireError::NotUtf8)?;
    // Nearly every message has few brackets at all.
    let brackets = message.iter().filter(|&&byte| byte == b'{' || byte == b'[').count();
    if brackets > MAX_DEPTH && depth(message) > MAX_DEPTH {
        return Err(WireError::TooDeep);
    }
    Ok(text)
}

/// The deepest nesting of objects and arrays, strings passed over.
fn depth(json: &[u8]) -> usize {
    let (mut now, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                now += 1;
                deepest = deepest.max(now);
            }
            b'}' | b']' if !in_string => now = now.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Reads an object. The reader of JSON would take an array for one, its fields in their order.
fn object<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, WireError> {
    check_object(json)?;
    serde_json::from_str(json).map_err(WireError::Malformed)
}

fn check_object(json: &str) -> Result<(), WireError> {
    if json.trim_ascii_start().starts_with('[') {
        return Err(WireError::Malformed(Error::custom("expected an object, found an array")));
    }
    Ok(())
}

/// A call as it stands in a message.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call<'a> {
    /// Interface and method, with a dot between them.
    #[serde(borrow)]
    pub method: Text<'a>,
    /// The parameters: an object, or nothing.
    #[serde(borrow, default)]
    parameters: Option<&'a RawValue>,
    #[serde(default)]
    more: Option<bool>,
    #[serde(default)]
    oneway: Option<bool>,
    #[serde(default)]
    upgrade: Option<bool>,
}

impl<'a> Call<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// All but [`WireError::TooLong`].
    pub fn parse(message: &'a [u8]) -> Result<Self, WireError> {
        let call: Self = object(text(message)?)?;
        call.parameters.map_or(Ok(()), |parameters| check_object(parameters.get()))?;
        Ok(call)
    }

    /// The parameters as JSON text.
    #[must_use]
    pub fn parameters(&self) -> &'a str {
        self.parameters.map_or("{}", RawValue::get)
    }

    /// Whether the caller takes several replies.
    #[must_use]
    pub fn more(&self) -> bool {
        self.more.unwrap_or(false)
    }

    /// Whether the caller wants no reply.
    #[must_use]
    pub fn oneway(&self) -> bool {
        self.oneway.unwrap_or(false)
    }

    /// Whether the caller wants to speak another protocol from here on.
    #[must_use]
    pub fn upgrade(&self) -> bool {
        self.upgrade.unwrap_or(false)
    }
}

/// A reply as it stands in a message.
#[derive(Debug, Deserialize)]
pub struct Reply<'a> {
    #[serde(borrow, default)]
    parameters: Option<&'a RawValue>,
    #[serde(default)]
    continues: Option<bool>,
    /// The name of the error, if it is one; its data are the parameters.
    #[serde(borrow, default)]
    pub error: Option<Text<'a>>,
}

impl<'a> Reply<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// All but [`WireError::TooLong`].
    pub fn parse(message: &'a [u8]) -> Result<Self, WireError> {
        object(text(message)?)
    }

    /// What the method gives, or the data of the error, as JSON text.
    #[must_use]
    pub fn parameters(&self) -> &'a str {
        self.parameters.map_or("{}", RawValue::get)
    }

    /// Whether another reply to the same call follows.
    #[must_use]
    pub fn continues(&self) -> bool {
        self.continues.unwrap_or(false)
    }
}

/// How a call is to be answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// By one reply.
    #[default]
    One,
    /// By replies until the last says so.
    More,
    /// Not at all.
    Oneway,
}

/// Appends a call to `out`.
///
/// # Errors
/// Parameters that JSON cannot say; `out` is as before then.
pub fn put_call(
    out: &mut Vec<u8>,
    method: &str,
    parameters: &impl Serialize,
    mode: Mode,
) -> Result<(), serde_json::Error> {
    let flags = match mode {
        Mode::One => "}",
        Mode::More => ",\"more\":true}",
        Mode::Oneway => ",\"oneway\":true}",
    };
    put(out, |out| {
        out.extend_from_slice(b"{\"method\":");
        serde_json::to_writer(&mut *out, method)?;
        out.extend_from_slice(b",\"parameters\":");
        serde_json::to_writer(&mut *out, parameters)?;
        out.extend_from_slice(flags.as_bytes());
        Ok(())
    })
}

/// Appends a reply to `out`; `continues` if another follows.
///
/// # Errors
/// Parameters that JSON cannot say; `out` is as before then.
pub fn put_reply(
    out: &mut Vec<u8>,
    parameters: &impl Serialize,
    continues: bool,
) -> Result<(), serde_json::Error> {
    put(out, |out| {
        out.extend_from_slice(b"{\"parameters\":");
        serde_json::to_writer(&mut *out, parameters)?;
        out.extend_from_slice(if continues { b",\"continues\":true}" } else { b"}" });
        Ok(())
    })
}

/// Appends to `out` an error, whose type writes its name and data.
///
/// # Errors
/// Data that JSON cannot say; `out` is as before then.
pub fn put_error(out: &mut Vec<u8>, error: &impl Serialize) -> Result<(), serde_json::Error> {
    put(out, |out| serde_json::to_writer(out, error))
}

/// Appends what `message` writes, and a NUL; or nothing if it fails.
fn put(
    out: &mut Vec<u8>,
    message: impl FnOnce(&mut Vec<u8>) -> Result<(), serde_json::Error>,
) -> Result<(), serde_json::Error> {
    let before = out.len();
    let written = message(out);
    match written {
        Ok(()) => out.push(0),
        Err(_) => out.truncate(before),
    }
    written
}

#[cfg(test)]
mod tests;
