//! Bytes in, commands out, one at a time, remembering how far an unfinished command has been understood.
//!
//! ```text
//!   *2\r\n $3\r\n GET\r\n $1\r\n k\r\n        SET greeting "hello world"\r\n
//!   ── a command as clients send it ──        ── and as a person types it ──
//! ```
//!
//! The arguments of a command are slices of the buffer it arrived in, so reading a command copies nothing. Whoever keeps an
//! argument beyond the command should copy it, or it keeps the whole buffer alive.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::{Limits, parse_i64, split_words};

/// How a peer broke the protocol. It is told in Redis's words, then the connection ends: nothing after it can be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProtocolError {
    #[error("invalid multibulk length")]
    ArgumentCount,
    #[error("unauthenticated multibulk length")]
    UnauthenticatedArgumentCount,
    #[error("too big mbulk count string")]
    ArgumentCountLine,
    #[error("invalid bulk length")]
    BulkLength,
    #[error("unauthenticated bulk length")]
    UnauthenticatedBulkLength,
    #[error("too big bulk count string")]
    BulkLengthLine,
    #[error("expected '$', got '{}'", .0.escape_ascii())]
    NotABulk(u8),
    #[error("too big inline request")]
    InlineTooBig,
    #[error("unbalanced quotes in request")]
    UnbalancedQuotes,
    #[error("query buffer limit of {0} bytes exceeded")]
    QueryTooBig(usize),
}

/// What one look at the buffer came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A command lies in the arguments; it is never empty.
    Command,
    /// The rest has yet to arrive: at least so many bytes more, where that is known.
    NeedMore(usize),
}

/// The state between two reads: how much of the command at the front of the buffer is understood.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// Bytes of the buffer that belong to what is understood.
    at: usize,
    /// Arguments that the command still lacks. Zero: no command has begun.
    left: usize,
    /// The announced length of the argument at `at`.
    bulk: Option<usize>,
    /// Where the complete arguments lie.
    found: Vec<Range<usize>>,
}

/// A command of this many arguments is rare enough to give its memory back.
const KEEP_ARGUMENTS: usize = 1024;

impl Decoder {
    /// Takes one command from the front of `buffer` into `args`, if it is complete.
    pub(crate) fn next(
        &mut self,
        buffer: &mut BytesMut,
        limits: &Limits,
        args: &mut Vec<Bytes>,
    ) -> Result<Step, ProtocolError> {
        args.clear();
        loop {
            let step = match (self.left, buffer.first()) {
                (0, None) => return Ok(Step::NeedMore(0)),
                (0, Some(b'*')) => match self.begin(buffer, limits)? {
                    Some(()) => continue,
                    None => Step::NeedMore(0),
                },
                (0, Some(_)) => match inline_command(buffer, limits, args)? {
                    Some(()) if args.is_empty() => continue,
                    Some(()) => Step::Command,
                    None => Step::NeedMore(0),
                },
                _ => self.arguments(buffer, limits)?,
            };
            if self.left == 0 && !self.found.is_empty() {
                self.finish(buffer, args);
            }
            if step != Step::Command && buffer.len() > limits.query {
                return Err(ProtocolError::QueryTooBig(limits.query));
            }
            return Ok(step);
        }
    }

    /// Reads `*<count>`. A count of zero or less is an empty command, which is skipped.
    fn begin(&mut self, buffer: &mut BytesMut, limits: &Limits) -> Result<Option<()>, ProtocolError> {
        let Some(line) = line_at(buffer, 1, limits.line).map_err(|TooLong| ProtocolError::ArgumentCountLine)? else {
            return Ok(None);
        };
        let count = parse_i64(&buffer[line.clone()]).ok_or(ProtocolError::ArgumentCount)?;
        let count = usize::try_from(count).unwrap_or(0);
        if count > limits.arguments {
            return Err(match limits.arguments < Limits::DEFAULT.arguments && count <= Limits::DEFAULT.arguments {
                true => ProtocolError::UnauthenticatedArgumentCount,
                false => ProtocolError::ArgumentCount,
            });
        }
        let after = line.end + 2;
        if count == 0 {
            bytes::Buf::advance(buffer, after);
        } else {
            self.left = count;
            self.at = after;
        }
        Ok(Some(()))
    }

    /// Reads `$<length>` and its bytes for as many arguments as have arrived.
    fn arguments(&mut self, buffer: &BytesMut, limits: &Limits) -> Result<Step, ProtocolError> {
        while self.left > 0 {
            let length = match self.bulk {
                Some(length) => length,
                None => match self.bulk_header(buffer, limits)? {
                    Some(length) => length,
                    None => return Ok(Step::NeedMore(0)),
                },
            };
            let (end, have) = (self.at + length, buffer.len());
            if have < end + 2 {
                self.bulk = Some(length);
                return Ok(Step::NeedMore(end + 2 - have));
            }
            self.bulk = None;
            self.found.push(self.at..end);
            self.at = end + 2;
            self.left -= 1;
        }
        Ok(Step::Command)
    }

    /// Reads `$<length>` at the current place.
    fn bulk_header(&mut self, buffer: &[u8], limits: &Limits) -> Result<Option<usize>, ProtocolError> {
        match buffer.get(self.at) {
            None => return Ok(None),
            Some(b'$') => {}
            Some(&other) => return Err(ProtocolError::NotABulk(other)),
        }
        let Some(line) = line_at(buffer, self.at + 1, limits.line).map_err(|TooLong| ProtocolError::BulkLengthLine)?
        else {
            return Ok(None);
        };
        let length = parse_i64(&buffer[line.clone()]).and_then(|length| usize::try_from(length).ok());
        let length = length.ok_or(ProtocolError::BulkLength)?;
        if length > limits.bulk {
            return Err(match limits.arguments < Limits::DEFAULT.arguments && length <= Limits::DEFAULT.bulk {
                true => ProtocolError::UnauthenticatedBulkLength,
                false => ProtocolError::BulkLength,
            });
        }
        self.at = line.end + 2;
        Ok(Some(length))
    }

    /// Cuts the understood command off the buffer.
    fn finish(&mut self, buffer: &mut BytesMut, args: &mut Vec<Bytes>) {
        let command = buffer.split_to(self.at).freeze();
        args.extend(self.found.drain(..).map(|range| command.slice(range)));
        self.at = 0;
        if self.found.capacity() > KEEP_ARGUMENTS {
            self.found = Vec::new();
        }
    }
}

/// A line is longer than lines may be.
struct TooLong;

/// The line from `start` to the next carriage return, once that and its line feed have arrived.
fn line_at(buffer: &[u8], start: usize, limit: usize) -> Result<Option<Range<usize>>, TooLong> {
    let rest = &buffer[start..];
    match memchr::memchr(b'\r', &rest[..rest.len().min(limit + 1)]) {
        Some(length) if rest.len() > length + 1 => Ok(Some(start..start + length)),
        None if rest.len() > limit => Err(TooLong),
        _ => Ok(None),
    }
}

/// Takes one line of words off the buffer. An empty line leaves `args` empty.
fn inline_command(buffer: &mut BytesMut, limits: &Limits, args: &mut Vec<Bytes>) -> Result<Option<()>, ProtocolError> {
    let Some(end) = memchr::memchr(b'\n', &buffer[..buffer.len().min(limits.line + 1)]) else {
        return if buffer.len() > limits.line { Err(ProtocolError::InlineTooBig) } else { Ok(None) };
    };
    let line = buffer.split_to(end + 1);
    let line = line[..end].strip_suffix(b"\r").unwrap_or(&line[..end]);
    let words = split_words(line).ok_or(ProtocolError::UnbalancedQuotes)?;
    args.extend(words.into_iter().map(Bytes::from));
    Ok(Some(()))
}
