//! The bytes of an HTTP/1 connection: where each message begins and ends, read so strictly that nobody could read it otherwise.
//!
//! In: what the client sends, in pieces of any size. Out: nothing while it is sound, else where it goes wrong and why.
//! hyper reads the same bytes after us. It makes up its mind where senders contradict themselves (`Content-Length` beside
//! `Transfer-Encoding`, bare LF, blanks behind a chunk's size), which RFC 9112 allows and which is what request smuggling
//! lives on when another proxy in front made up its mind otherwise. Here all of that is an error (RFC 9112 6.1, 6.3, 7.1).

use memchr::memchr;

/// A chunk's size line, extensions included.
const CHUNK_LINE_MAX: usize = 256;
/// More digits than a length of 64 bits has.
const CHUNK_DIGITS_MAX: usize = 16;

/// Where the bytes go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Bytes of this piece that are still sound.
    pub(crate) at: usize,
    /// What is wrong, for the operator's log.
    pub(crate) why: &'static str,
    /// Whether it is in a message's body; its head was passed on already.
    pub(crate) in_body: bool,
}

/// What became of a request that asked for something else than HTTP on its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nobody knows yet: the client has to wait.
    Open,
    /// The next bytes are HTTP again.
    Http,
    /// The next bytes are not HTTP any more.
    Tunnel,
}

/// A connection's reader.
#[derive(Debug)]
pub(crate) struct Framing {
    state: State,
    head: Head,
    /// The beginning of a line whose end did not come yet.
    partial: Vec<u8>,
    /// Bytes of the head or of trailers so far.
    taken: usize,
    max_head: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a request line; whether an empty line was there already.
    Start {
        blank: bool,
    },
    Fields,
    Length(u64),
    ChunkLine,
    ChunkData(u64),
    ChunkEnd {
        cr: bool,
    },
    Trailers,
    /// Behind a head that asks for a tunnel.
    Asked,
    /// Not HTTP any more, or refused by hyper for its size.
    Blind,
}

#[derive(Debug, Default, Clone, Copy)]
struct Head {
    http_10: bool,
    connect: bool,
    websocket: bool,
    chunked: bool,
    length: Option<u64>,
}

impl Framing {
    pub(crate) fn new(max_head: usize) -> Self {
        let state = State::Start { blank: false };
        Self { state, head: Head::default(), partial: Vec::new(), taken: 0, max_head }
    }

    /// Whether the last byte was the last one of a message, or there was none yet.
    pub(crate) fn between_messages(&self) -> bool {
        matches!(self.state, State::Start { blank: false }) && self.partial.is_empty()
    }

    /// Whether the last byte was in the middle of a message's body.
    pub(crate) fn in_body(&self) -> bool {
        !matches!(self.state, State::Start { .. } | State::Fields | State::Asked | State::Blind)
    }

    /// Whether bytes must wait for the answer to the request before them.
    pub(crate) fn asks(&self) -> bool {
        self.state == State::Asked
    }

    /// Takes the next bytes. After a fault the reader is of no use any more.
    pub(crate) fn feed(&mut self, bytes: &[u8], verdict: Verdict) -> Result<(), Fault> {
        if self.state == State::Asked {
            match verdict {
                Verdict::Open => {}
                Verdict::Http => self.state = State::Start { blank: false },
                Verdict::Tunnel => self.state = State::Blind,
            }
        }
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            let in_body = !matches!(self.state, State::Start { .. } | State::Fields | State::Asked);
            let fault = |why| Fault { at, why, in_body };
            at += match self.state {
                State::Blind => return Ok(()),
                State::Asked => return Err(fault("bytes behind a request for a tunnel, before its answer")),
                State::Length(left) => self.skip(left, rest, State::Length),
                State::ChunkData(left) => self.skip(left, rest, State::ChunkData),
                State::ChunkEnd { cr } => {
                    self.chunk_end(cr, rest[0]).map_err(fault)?;
                    1
                }
                State::Start { .. } | State::Fields | State::ChunkLine | State::Trailers => {
                    self.line(rest).map_err(fault)?
                }
            };
        }
        Ok(())
    }

    fn skip(&mut self, left: u64, rest: &[u8], state: fn(u64) -> State) -> usize {
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
        let left = left - taken as u64;
        self.state = match (left, state(left)) {
            (1.., same) => same,
            (0, State::ChunkData(_)) => State::ChunkEnd { cr: false },
            (0, _) => self.next_message(),
        };
        taken
    }

    fn chunk_end(&mut self, cr: bool, byte: u8) -> Result<(), &'static str> {
        self.state = match (cr, byte) {
            (false, b'\r') => State::ChunkEnd { cr: true },
            (true, b'\n') => State::ChunkLine,
            _ => return Err("a chunk's data do not end with CRLF"),
        };
        Ok(())
    }

    fn next_message(&mut self) -> State {
        self.head = Head::default();
        self.taken = 0;
        State::Start { blank: false }
    }

    /// Takes the bytes of one line, or of its beginning; says how many.
    fn line(&mut self, rest: &[u8]) -> Result<usize, &'static str> {
        let end = memchr(b'\n', rest);
        let taken = end.map_or(rest.len(), |end| end + 1);
        self.taken += taken;
        if self.state == State::ChunkLine {
            if self.partial.len() + taken > CHUNK_LINE_MAX {
                return Err("a chunk's size line is too long");
            }
        } else if self.taken > self.max_head {
            // hyper refuses it with 431 and closes, whatever is in it.
            self.partial = Vec::new();
            self.state = State::Blind;
            return Ok(taken);
        }
        let Some(end) = end else {
            self.partial.extend_from_slice(rest);
            return Ok(taken);
        };
        if self.partial.is_empty() {
            self.whole_line(&rest[..end])?;
        } else {
            self.partial.extend_from_slice(&rest[..end]);
            let line = std::mem::take(&mut self.partial);
            self.whole_line(&line)?;
        }
        Ok(taken)
    }

    /// A line without its LF.
    fn whole_line(&mut self, line: &[u8]) -> Result<(), &'static str> {
        let line = line.strip_suffix(b"\r").ok_or("a line ends with LF alone")?;
        self.state = match self.state {
            State::Start { blank: false } if line.is_empty() => State::Start { blank: true },
            State::Start { .. } if line.is_empty() => return Err("empty lines instead of a request"),
            State::Start { .. } => {
                self.request_line(line)?;
                State::Fields
            }
            State::Fields if line.is_empty() => self.end_of_head()?,
            State::Fields => {
                self.field(line)?;
                State::Fields
            }
            State::ChunkLine => match chunk_size(line)? {
                0 => {
                    self.taken = 0;
                    State::Trailers
                }
                size => State::ChunkData(size),
            },
            State::Trailers if line.is_empty() => self.next_message(),
            State::Trailers => {
                trailer(line)?;
                State::Trailers
            }
            other => other,
        };
        Ok(())
    }

    fn request_line(&mut self, line: &[u8]) -> Result<(), &'static str> {
        if !line.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
            return Err("a request line has bytes that it must not have");
        }
        let mut words = line.split(|byte| *byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err("a request line has not three parts");
        };
        if target.contains(&b'#') {
            return Err("a request's target has a fragment");
        }
        self.head.connect = method == b"CONNECT";
        self.head.http_10 = version == b"HTTP/1.0";
        Ok(())
    }

    fn field(&mut self, line: &[u8]) -> Result<(), &'static str> {
        let (name, value) = name_and_value(line)?;
        if name.eq_ignore_ascii_case(b"content-length") {
            let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
            let length = std::str::from_utf8(value).ok().filter(|_| digits).and_then(|text| text.parse().ok());
            let length = length.ok_or("Content-Length is no number")?;
            if self.head.length.replace(length).is_some() {
                return Err("more than one Content-Length");
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err("a Transfer-Encoding other than chunked");
            }
            if std::mem::replace(&mut self.head.chunked, true) {
                return Err("more than one Transfer-Encoding");
            }
        } else if name.eq_ignore_ascii_case(b"upgrade") && value.eq_ignore_ascii_case(b"websocket") {
            self.head.websocket = true;
        }
        Ok(())
    }

    fn end_of_head(&mut self) -> Result<State, &'static str> {
        let Head { http_10, connect, websocket, chunked, length } = self.head;
        if chunked && length.is_some() {
            return Err("Content-Length beside Transfer-Encoding");
        }
        if chunked && http_10 {
            return Err("Transfer-Encoding in HTTP/1.0");
        }
        let body = chunked || length.is_some_and(|length| length > 0);
        if connect || websocket {
            if body {
                return Err("a request for a tunnel with a body");
            }
            self.next_message();
            return Ok(State::Asked);
        }
        Ok(match (chunked, length) {
            (true, _) => State::ChunkLine,
            (false, Some(length @ 1..)) => State::Length(length),
            (false, _) => self.next_message(),
        })
    }
}

fn name_and_value(line: &[u8]) -> Result<(&[u8], &[u8]), &'static str> {
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        return Err("a folded header line");
    }
    let colon = memchr(b':', line).ok_or("a header line without a colon")?;
    let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
    if name.is_empty() || !name.iter().all(|byte| is_token(*byte)) {
        return Err("a header's name has bytes that it must not have");
    }
    if !value.iter().all(|byte| *byte >= b' ' && *byte != 0x7f || *byte == b'\t') {
        return Err("a header's value has control characters");
    }
    Ok((name, value))
}

fn trailer(line: &[u8]) -> Result<(), &'static str> {
    let (name, _) = name_and_value(line)?;
    let forbidden = [&b"content-length"[..], b"transfer-encoding", b"host"];
    if forbidden.iter().any(|other| name.eq_ignore_ascii_case(other)) {
        return Err("a trailer that belongs into the head");
    }
    Ok(())
}

/// `1*HEXDIG [ BWS ";" anything ]`.
fn chunk_size(line: &[u8]) -> Result<u64, &'static str> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, rest) = line.split_at(digits);
    if digits == 0 || digits > CHUNK_DIGITS_MAX {
        return Err("a chunk's size is no number");
    }
    let extension = rest.trim_ascii_start();
    if !rest.is_empty() && !extension.starts_with(b";") {
        return Err("a chunk's size is followed by something else");
    }
    if !rest.iter().all(|byte| *byte >= b' ' && *byte != 0x7f || *byte == b'\t') {
        return Err("a chunk's extension has control characters");
    }
    // One of sixteen digits could be a length that nobody can count on.
    let size = std::str::from_utf8(size).ok().and_then(|hex| u64::from_str_radix(hex, 16).ok());
    size.filter(|size| *size <= u64::MAX / 2).ok_or("a chunk's size is too large")
}

/// RFC 9110 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds in pieces; the offset of the fault in the whole and why, or whether it ended between messages.
    fn feed(bytes: &[u8], pieces: &[usize]) -> Result<bool, (usize, &'static str)> {
        let mut framing = Framing::new(1000);
        let (mut at, mut turn) = (0, pieces.iter().cycle());
        while at < bytes.len() {
            let end = (at + turn.next().copied().unwrap_or(usize::MAX).min(bytes.len())).min(bytes.len());
            framing.feed(&bytes[at..end], Verdict::Open).map_err(|fault| (at + fault.at, fault.why))?;
            at = end;
        }
        Ok(framing.between_messages())
    }

    const POST: &str = "POST / HTTP/1.1\r\nhost: a\r\n";

    fn cases() -> Vec<(String, Result<bool, &'static str>)> {
        let post = |rest: &str| format!("{POST}{rest}");
        let chunked = |rest: &str| post(&format!("transfer-encoding: chunked\r\n\r\n{rest}"));
        vec![
            ("".into(), Ok(true)),
            ("GET / HTTP/1.1\r\n\r\n".into(), Ok(true)),
            ("\r\nGET / HTTP/1.1\r\n\r\nGET / HTTP/1.0\r\n\r\n".into(), Ok(true)),
            ("GET / HT".into(), Ok(false)),
            (post("content-length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n\r\n"), Ok(true)),
            (post("content-length: 5\r\n\r\nhell"), Ok(false)),
            (post("Content-Length:5\r\n\r\nhello"), Ok(true)),
            (post("x: \u{e4}\t!\r\ny:\r\n\r\n"), Ok(true)),
            (chunked("5\r\nhello\r\n0\r\n\r\n"), Ok(true)),
            (chunked("00000005 ;a=\"b\"\r\nhello\r\nA;x\r\n0123456789\r\n0\r\nx-sum: 1\r\n\r\n"), Ok(true)),
            (chunked("5\r\nhello\r\n0\r\n"), Ok(false)),
            ("\r\n\r\nGET / HTTP/1.1\r\n\r\n".into(), Err("empty lines instead of a request")),
            ("GET / HTTP/1.1\n\r\n".into(), Err("a line ends with LF alone")),
            ("GET / HTTP/1.1\r\nhost: a\n\r\n".into(), Err("a line ends with LF alone")),
            ("GET  / HTTP/1.1\r\n\r\n".into(), Err("a request line has not three parts")),
            ("GET /\r\n\r\n".into(), Err("a request line has not three parts")),
            ("GET /\t HTTP/1.1\r\n\r\n".into(), Err("a request line has bytes that it must not have")),
            ("GET /a#b HTTP/1.1\r\n\r\n".into(), Err("a request's target has a fragment")),
            (post(" x: 1\r\n\r\n"), Err("a folded header line")),
            (post("x : 1\r\n\r\n"), Err("a header's name has bytes that it must not have")),
            (post(": 1\r\n\r\n"), Err("a header's name has bytes that it must not have")),
            (post("x\r\n\r\n"), Err("a header line without a colon")),
            (post("x: a\rb\r\n\r\n"), Err("a header's value has control characters")),
            (post("x: a\0b\r\n\r\n"), Err("a header's value has control characters")),
            (post("content-length: +5\r\n\r\n"), Err("Content-Length is no number")),
            (post("content-length: 5, 5\r\n\r\n"), Err("Content-Length is no number")),
            (post("content-length:\r\n\r\n"), Err("Content-Length is no number")),
            (post("content-length: 99999999999999999999\r\n\r\n"), Err("Content-Length is no number")),
            (post("content-length: 5\r\ncontent-length: 5\r\n\r\n"), Err("more than one Content-Length")),
            (
                post("content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n"),
                Err("Content-Length beside Transfer-Encoding"),
            ),
            (
                post("transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n"),
                Err("Content-Length beside Transfer-Encoding"),
            ),
            (post("transfer-encoding: gzip, chunked\r\n\r\n"), Err("a Transfer-Encoding other than chunked")),
            (post("transfer-encoding: \u{b}chunked\r\n\r\n"), Err("a header's value has control characters")),
            (
                post("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n"),
                Err("more than one Transfer-Encoding"),
            ),
            ("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n".into(), Err("Transfer-Encoding in HTTP/1.0")),
            (chunked("\r\n"), Err("a chunk's size is no number")),
            (chunked("0x5\r\nhello\r\n"), Err("a chunk's size is followed by something else")),
            (chunked("-5\r\n"), Err("a chunk's size is no number")),
            (chunked("5 \r\nhello\r\n"), Err("a chunk's size is followed by something else")),
            (chunked("5\nhello\r\n"), Err("a line ends with LF alone")),
            (chunked("5;a\rb\r\nhello\r\n"), Err("a chunk's extension has control characters")),
            (chunked("FFFFFFFFFFFFFFFF\r\n"), Err("a chunk's size is too large")),
            (chunked("10000000000000000\r\n"), Err("a chunk's size is no number")),
            (chunked("5\r\nhello0\r\n"), Err("a chunk's data do not end with CRLF")),
            (chunked("5\r\nhello\n0\r\n"), Err("a chunk's data do not end with CRLF")),
            (chunked(&format!("5;{}\r\n", "x".repeat(300))), Err("a chunk's size line is too long")),
            (chunked("0\r\ncontent-length: 5\r\n\r\n"), Err("a trailer that belongs into the head")),
            ("CONNECT a:1 HTTP/1.1\r\n\r\nx".into(), Err("bytes behind a request for a tunnel, before its answer")),
            (
                "GET / HTTP/1.1\r\nupgrade: websocket\r\n\r\nGET".into(),
                Err("bytes behind a request for a tunnel, before its answer"),
            ),
            (
                "GET / HTTP/1.1\r\nupgrade: websocket\r\ncontent-length: 3\r\n\r\n".into(),
                Err("a request for a tunnel with a body"),
            ),
        ]
    }

    #[test]
    fn whole_and_byte_by_byte_the_same_is_sound() {
        for (bytes, expected) in cases() {
            for pieces in [&[usize::MAX][..], &[1], &[3, 5]] {
                let got = feed(bytes.as_bytes(), pieces).map_err(|(_, why)| why);
                assert_eq!(got, expected, "{bytes:?} in pieces of {pieces:?}");
            }
        }
    }

    #[test]
    fn an_oversized_head_is_left_to_hyper() {
        let mut framing = Framing::new(1000);
        framing.feed(format!("{POST}x: {}", "a".repeat(1000)).as_bytes(), Verdict::Open).unwrap();
        assert_eq!(framing.state, State::Blind);
        assert!(framing.partial.is_empty());
    }

    #[test]
    fn a_tunnel_is_asked_for_and_given_or_not() {
        let ask = b"GET / HTTP/1.1\r\nUpgrade: WebSocket\r\n\r\n";
        for (verdict, next, sound) in [
            (Verdict::Tunnel, &b"\x81\x00\n\n\n"[..], true),
            (Verdict::Http, b"GET / HTTP/1.1\r\n\r\n", true),
            (Verdict::Http, b"\x81\x00\n\n\n", false),
            (Verdict::Open, b"GET / HTTP/1.1\r\n\r\n", false),
        ] {
            let mut framing = Framing::new(1000);
            framing.feed(ask, Verdict::Open).unwrap();
            assert!(framing.asks());
            assert_eq!(framing.feed(next, verdict).is_ok(), sound, "{verdict:?}");
        }
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_say_the_same(
            picks in proptest::collection::vec(0_usize..1000, 1..4), pieces in proptest::collection::vec(1_usize..30, 1..20),
        ) {
            let cases = cases();
            let bytes: String = picks.iter().map(|pick| cases[pick % cases.len()].0.as_str()).collect();
            let (whole, split) = (feed(bytes.as_bytes(), &[usize::MAX]), feed(bytes.as_bytes(), &pieces));
            prop_assert_eq!(whole.map_err(|(_, why)| why), split.map_err(|(_, why)| why));
        }
    }
}
