//! The body of a worker's answer, piece by piece, from bytes that come in any portions.

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use memchr::memchr;

use super::head::{self, Bounds, Framing, Malformed};

/// A line with a chunk's size may be so long, extensions included.
const CHUNK_LINE_MAX: usize = 1024;

/// What a decoder made of the bytes it was given.
#[derive(Debug, PartialEq)]
pub(crate) enum Piece {
    /// Some of the body.
    Data(Bytes),
    /// The fields after it; the end has come too.
    Trailers(HeaderMap),
    /// The end.
    End,
    /// Nothing can be said before more bytes come.
    More,
}

/// Reads one body.
#[derive(Debug)]
pub(crate) struct Decoder {
    state: State,
    bounds: Bounds,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Length(u64),
    UntilClose,
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailers,
    Ended,
}

impl Decoder {
    pub(crate) fn new(framing: Framing, bounds: Bounds) -> Self {
        let state = match framing {
            Framing::None | Framing::Length(0) => State::Ended,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::ChunkSize,
            Framing::UntilClose => State::UntilClose,
        };
        Self { state, bounds }
    }

    /// Everything was read; what is in the buffer now is not of this body.
    pub(crate) fn ended(&self) -> bool {
        self.state == State::Ended
    }

    /// What is left, where that is known.
    pub(crate) fn left(&self) -> Option<u64> {
        match self.state {
            State::Length(left) => Some(left),
            State::Ended => Some(0),
            _ => None,
        }
    }

    /// The worker closed. An error if the body was not complete.
    pub(crate) fn close(&mut self) -> Result<(), Malformed> {
        match self.state {
            State::Ended => Ok(()),
            State::UntilClose => {
                self.state = State::Ended;
                Ok(())
            }
            _ => Err(Malformed("it ended too early")),
        }
    }

    /// Takes the next piece off the front of `buffer`.
    pub(crate) fn next(&mut self, buffer: &mut BytesMut) -> Result<Piece, Malformed> {
        loop {
            match self.state {
                State::Ended => return Ok(Piece::End),
                _ if buffer.is_empty() => return Ok(Piece::More),
                State::UntilClose => return Ok(Piece::Data(buffer.split().freeze())),
                State::Length(left) => {
                    let data = take(buffer, left);
                    self.state = match left - data.len() as u64 {
                        0 => State::Ended,
                        left => State::Length(left),
                    };
                    return Ok(Piece::Data(data));
                }
                State::ChunkSize => {
                    let Some(end) = memchr(b'\n', buffer) else {
                        if buffer.len() > CHUNK_LINE_MAX {
                            return Err(Malformed("the line with a chunk's size is too long"));
                        }
                        return Ok(Piece::More);
                    };
                    let line = buffer.split_to(end + 1);
                    self.state = match chunk_size(&line)? {
                        0 => State::Trailers,
                        size => State::Chunk(size),
                    };
                }
                State::Chunk(left) => {
                    let data = take(buffer, left);
                    self.state = match left - data.len() as u64 {
                        0 => State::ChunkEnd,
                        left => State::Chunk(left),
                    };
                    return Ok(Piece::Data(data));
                }
                State::ChunkEnd => {
                    if buffer.len() < 2 && buffer[0] == b'\r' {
                        return Ok(Piece::More);
                    }
                    if !buffer.starts_with(b"\r\n") {
                        return Err(Malformed("a chunk does not end where it says"));
                    }
                    let _ = buffer.split_to(2);
                    self.state = State::ChunkSize;
                }
                State::Trailers => {
                    return Ok(match head::parse_trailers(buffer, self.bounds)? {
                        None => Piece::More,
                        Some(trailers) => {
                            self.state = State::Ended;
                            if trailers.is_empty() { Piece::End } else { Piece::Trailers(trailers) }
                        }
                    });
                }
            }
        }
    }
}

fn take(buffer: &mut BytesMut, left: u64) -> Bytes {
    let length = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
    buffer.split_to(length).freeze()
}

/// The size that a line says: hexadecimal digits, perhaps extensions after `;`, then CRLF and nothing less.
fn chunk_size(line: &[u8]) -> Result<u64, Malformed> {
    const WRONG: Malformed = Malformed("a chunk's size is no number");
    if line.len() > CHUNK_LINE_MAX {
        return Err(Malformed("the line with a chunk's size is too long"));
    }
    let line = line.strip_suffix(b"\r\n").ok_or(Malformed("the line with a chunk's size does not end in CRLF"))?;
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (digits, rest) = line.split_at(digits);
    let rest = rest.trim_ascii_start();
    if !(rest.is_empty() || rest.starts_with(b";")) || rest.contains(&b'\r') {
        return Err(WRONG);
    }
    let digits = std::str::from_utf8(digits).map_err(|_| WRONG)?;
    u64::from_str_radix(digits, 16).map_err(|_| WRONG)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { bytes: 1024, lines: 8 };

    /// Feeds `bytes` in portions of the given sizes, then closes; returns the body, the trailers and what was left over.
    fn decode(
        framing: Framing,
        bytes: &[u8],
        mut portion: impl FnMut() -> usize,
    ) -> Result<(Vec<u8>, String, usize), Malformed> {
        let mut decoder = Decoder::new(framing, BOUNDS);
        let (mut buffer, mut body, mut trailers) = (BytesMut::new(), Vec::new(), String::new());
        let mut rest = bytes;
        loop {
            match decoder.next(&mut buffer)? {
                Piece::Data(data) => {
                    assert!(!data.is_empty(), "an empty piece is no piece");
                    body.extend_from_slice(&data);
                }
                Piece::Trailers(fields) => {
                    for (name, value) in &fields {
                        trailers += &format!("{name}={};", value.to_str().unwrap());
                    }
                }
                Piece::End => return Ok((body, trailers, buffer.len() + rest.len())),
                Piece::More if rest.is_empty() => decoder.close()?,
                Piece::More => {
                    let (now, later) = rest.split_at(portion().clamp(1, rest.len()));
                    buffer.extend_from_slice(now);
                    rest = later;
                }
            }
        }
    }

    fn check(framing: Framing, text: &str, expected: Result<(&str, &str, usize), &str>) {
        let bytes = text.replace('|', "\r\n").into_bytes();
        for portion in [1, 2, 3, 7, 1000] {
            let got = decode(framing, &bytes, || portion);
            let got = got.map(|(body, trailers, left)| (String::from_utf8(body).unwrap(), trailers, left));
            let got = got.as_ref().map(|(body, trailers, left)| (body.as_str(), trailers.as_str(), *left));
            assert_eq!(got.map_err(|why| why.0), expected, "{text} in portions of {portion}");
        }
    }

    #[test]
    fn bodies_end_where_their_framing_says() {
        check(Framing::None, "next", Ok(("", "", 4)));
        check(Framing::Length(5), "hellonext", Ok(("hello", "", 4)));
        check(Framing::Length(5), "hell", Err("it ended too early"));
        check(Framing::UntilClose, "all of it", Ok(("all of it", "", 0)));
        check(Framing::Chunked, "5|hello|0||next", Ok(("hello", "", 4)));
        check(Framing::Chunked, "5;a=b|hello|A |0123456789|0||", Ok(("hello0123456789", "", 0)));
        check(Framing::Chunked, "005|hello|000||", Ok(("hello", "", 0)));
        check(Framing::Chunked, "1|x|0|grpc-status: 0|x: y||next", Ok(("x", "grpc-status=0;x=y;", 4)));
        check(Framing::Chunked, "1|x|0|content-length: 5|x: y||", Ok(("x", "x=y;", 0)));
    }

    #[test]
    fn chunks_that_are_none_are_refused() {
        check(Framing::Chunked, "5|hello0||", Err("a chunk does not end where it says"));
        check(Framing::Chunked, "5\nhello|0||", Err("the line with a chunk's size does not end in CRLF"));
        check(Framing::Chunked, "|", Err("a chunk's size is no number"));
        check(Framing::Chunked, "-1|x|", Err("a chunk's size is no number"));
        check(Framing::Chunked, "+1|x|", Err("a chunk's size is no number"));
        check(Framing::Chunked, "0x1|x|", Err("a chunk's size is no number"));
        check(Framing::Chunked, "1 2|x|", Err("a chunk's size is no number"));
        check(Framing::Chunked, "10000000000000000|x|", Err("a chunk's size is no number"));
        check(Framing::Chunked, "5|hel", Err("it ended too early"));
        check(Framing::Chunked, "5|hello|0|", Err("it ended too early"));
        check(Framing::Chunked, "5|hello|", Err("it ended too early"));
        check(Framing::Chunked, &format!("1;{}|x|", "y".repeat(1100)), Err("the line with a chunk's size is too long"));
        check(Framing::Chunked, &format!("0|a: {}||", "y".repeat(1100)), Err("its trailers are too large"));
    }
}
