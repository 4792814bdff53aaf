//! The head of a worker's answer: what it says, how its body ends, whether the connection may serve again.

use std::{mem::MaybeUninit, sync::LazyLock};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use memchr::memmem::Finder;

/// Room for header lines on the stack; no bound of lines is above it.
const MAX_LINES: usize = 256;
/// Headers that the gateway adds to an answer, so that the map need not grow for them.
const ADDED_LINES: usize = 4;

/// Made once: a finder looks at its needle first.
static BLANK_LINE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\r\n\r\n"));

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// How large a head, or a block of trailers, may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) bytes: usize,
    pub(crate) lines: usize,
}

/// How the end of a body is known (RFC 9112, 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is no body, whatever the headers say.
    None,
    /// After so many bytes.
    Length(u64),
    /// After the chunk of size zero and the trailers.
    Chunked,
    /// When the worker closes.
    UntilClose,
}

/// A worker's answer without its body.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    /// End to end only: what concerns the connection is not among them.
    pub(crate) headers: HeaderMap,
    pub(crate) framing: Framing,
    /// The connection may serve another request once the body was read.
    pub(crate) keep: bool,
}

/// Bytes that are no HTTP/1.1 answer, in words for the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

/// Takes a head off the front of `buffer`; `None` while it is not complete. `to_head` says that HEAD was asked, whose answer
/// has the headers of a body and no body.
pub(crate) fn parse(buffer: &mut BytesMut, to_head: bool, bounds: Bounds) -> Result<Option<Head>, Malformed> {
    let Some(end) = BLANK_LINE.find(buffer) else {
        return if buffer.len() >= bounds.bytes { Err(Malformed("its head is too large")) } else { Ok(None) };
    };
    if end + 4 > bounds.bytes {
        return Err(Malformed("its head is too large"));
    }
    let text = buffer.split_to(end + 4).freeze();
    let mut lines = [const { MaybeUninit::uninit() }; MAX_LINES];
    let mut response = httparse::Response::new(&mut []);
    let parser = httparse::ParserConfig::default();
    match parser.parse_response_with_uninit_headers(&mut response, &text, &mut lines) {
        // A blank line inside what was found to be the head would leave bytes over.
        Ok(httparse::Status::Complete(length)) if length == text.len() => {}
        Err(httparse::Error::TooManyHeaders) => return Err(Malformed("its head has too many lines")),
        _ => return Err(Malformed("it is no HTTP/1.1 answer")),
    }
    if response.headers.len() > bounds.lines {
        return Err(Malformed("its head has too many lines"));
    }
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(Malformed("its status is none"))?;
    let mut seen = Seen { old: response.version == Some(0), ..Seen::default() };
    let mut headers = HeaderMap::with_capacity(response.headers.len() + ADDED_LINES);
    for line in response.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| Malformed("a header's name is none"))?;
        // The value shares the bytes that were read: nothing is copied.
        let value = HeaderValue::from_maybe_shared(text.slice_ref(line.value));
        let value = value.map_err(|_| Malformed("a header's value is none"))?;
        if !seen.connection_line(&name, &value)? {
            headers.append(name, value);
        }
    }
    for option in &seen.named {
        headers.remove(option);
    }
    let framing = seen.framing(status, to_head);
    if seen.length.is_some() && (matches!(framing, Framing::Chunked) || status == StatusCode::NO_CONTENT) {
        headers.remove(header::CONTENT_LENGTH);
    }
    Ok(Some(Head { status, headers, framing, keep: seen.keep(framing) }))
}

/// What the lines that concern the connection said.
#[derive(Default)]
struct Seen {
    old: bool,
    chunked: bool,
    length: Option<u64>,
    close: bool,
    keep_alive: bool,
    /// Headers that `Connection` names; they end here too.
    named: Vec<HeaderName>,
}

impl Seen {
    /// Reads a line that concerns the connection; `false` for one that goes on to the client. A length does both.
    fn connection_line(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<bool, Malformed> {
        match *name {
            header::CONTENT_LENGTH => {
                let length = content_length(value.as_bytes()).ok_or(Malformed("its Content-Length is no number"))?;
                match self.length.replace(length) {
                    None => return Ok(false),
                    Some(before) if before == length => {}
                    Some(_) => return Err(Malformed("it has two Content-Lengths")),
                }
            }
            header::TRANSFER_ENCODING => {
                // Other codings would have to be undone here; who is told of no TE must not use them.
                if self.chunked || self.old || !value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    return Err(Malformed("its Transfer-Encoding is not chunked"));
                }
                self.chunked = true;
            }
            header::CONNECTION => {
                for option in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    match option {
                        _ if option.eq_ignore_ascii_case(b"close") => self.close = true,
                        _ if option.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
                        _ => self.named.extend(HeaderName::from_bytes(option)),
                    }
                }
            }
            header::UPGRADE => {}
            _ if *name == KEEP_ALIVE || *name == PROXY_CONNECTION => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn framing(&self, status: StatusCode, to_head: bool) -> Framing {
        let bodiless =
            to_head || status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        match self.length {
            _ if bodiless => Framing::None,
            _ if self.chunked => Framing::Chunked,
            Some(0) => Framing::None,
            Some(length) => Framing::Length(length),
            None => Framing::UntilClose,
        }
    }

    fn keep(&self, framing: Framing) -> bool {
        // Both at once is how smuggling begins: the answer is read as the RFC says, and the connection is not used again.
        let ambiguous = self.chunked && self.length.is_some();
        let persistent = if self.old { self.keep_alive && !self.close } else { !self.close };
        persistent && !ambiguous && framing != Framing::UntilClose
    }
}

/// Digits only, and not more than fit.
fn content_length(value: &[u8]) -> Option<u64> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(value).ok()?.parse().ok()).flatten()
}

/// Takes trailers, the blank line after them included, off the front of `buffer`; `None` while they are not complete.
pub(crate) fn parse_trailers(buffer: &mut BytesMut, bounds: Bounds) -> Result<Option<HeaderMap>, Malformed> {
    if buffer.starts_with(b"\r\n") {
        let _ = buffer.split_to(2);
        return Ok(Some(HeaderMap::new()));
    }
    let Some(end) = BLANK_LINE.find(buffer) else {
        return if buffer.len() >= bounds.bytes { Err(Malformed("its trailers are too large")) } else { Ok(None) };
    };
    if end + 4 > bounds.bytes {
        return Err(Malformed("its trailers are too large"));
    }
    let text: Bytes = buffer.split_to(end + 4).freeze();
    let mut lines = [httparse::EMPTY_HEADER; MAX_LINES];
    let Ok(httparse::Status::Complete((length, lines))) = httparse::parse_headers(&text, &mut lines) else {
        return Err(Malformed("its trailers are no headers"));
    };
    if length != text.len() || lines.len() > bounds.lines {
        return Err(Malformed("its trailers are no headers, or too many"));
    }
    let mut trailers = HeaderMap::with_capacity(lines.len());
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| Malformed("a trailer's name is none"))?;
        let value = HeaderValue::from_maybe_shared(text.slice_ref(line.value));
        if !forbidden_in_trailers(&name) {
            trailers.append(name, value.map_err(|_| Malformed("a trailer's value is none"))?);
        }
    }
    Ok(Some(trailers))
}

/// What frames, routes or authenticates a message must stand in its head (RFC 9110, 6.5.1).
pub(crate) fn forbidden_in_trailers(name: &HeaderName) -> bool {
    const FORBIDDEN: [HeaderName; 14] = [
        header::TRANSFER_ENCODING,
        header::CONTENT_LENGTH,
        header::CONNECTION,
        header::HOST,
        header::TE,
        header::TRAILER,
        header::UPGRADE,
        header::AUTHORIZATION,
        header::COOKIE,
        header::SET_COOKIE,
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::CONTENT_RANGE,
        header::CACHE_CONTROL,
    ];
    FORBIDDEN.contains(name) || *name == KEEP_ALIVE || *name == PROXY_CONNECTION
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { bytes: 1024, lines: 8 };

    /// What a head without its first CRLFs says, in one line: status, framing, whether the connection is kept, headers.
    fn check(to_head: bool, text: &str, expected: &str) {
        let mut buffer = BytesMut::from(text.replace('|', "\r\n").as_bytes());
        let said = match parse(&mut buffer, to_head, BOUNDS) {
            Err(why) => format!("error: {why}"),
            Ok(None) => "more".to_owned(),
            Ok(Some(head)) => {
                let lines = head.headers.iter().map(|(name, value)| format!(" {name}={}", value.to_str().unwrap()));
                let lines: String = lines.collect();
                let keep = if head.keep { "keep" } else { "close" };
                format!("{} {:?} {keep}{lines}", head.status.as_u16(), head.framing)
            }
        };
        assert_eq!(said, expected, "{text}");
    }

    #[test]
    fn framing_is_as_rfc_9112_says() {
        check(false, "HTTP/1.1 200 OK|content-length: 5||", "200 Length(5) keep content-length=5");
        check(false, "HTTP/1.1 200 OK|content-length: 0||", "200 None keep content-length=0");
        check(false, "HTTP/1.1 200 OK|transfer-encoding: Chunked||", "200 Chunked keep");
        check(false, "HTTP/1.1 200 OK||", "200 UntilClose close");
        check(true, "HTTP/1.1 200 OK|content-length: 5||", "200 None keep content-length=5");
        check(true, "HTTP/1.1 200 OK||", "200 None keep");
        check(false, "HTTP/1.1 204 No Content|content-length: 5||", "204 None keep");
        check(false, "HTTP/1.1 304 Not Modified|content-length: 5||", "304 None keep content-length=5");
        check(false, "HTTP/1.1 100 Continue||", "100 None keep");
        check(false, "HTTP/1.1 103 Early Hints|link: </a>||", "103 None keep link=</a>");
        check(false, "HTTP/1.1 200 OK|content-length: 5|content-length: 5||", "200 Length(5) keep content-length=5");
    }

    #[test]
    fn a_connection_is_kept_only_where_it_is_safe() {
        check(false, "HTTP/1.1 200 OK|content-length: 1|connection: close||", "200 Length(1) close content-length=1");
        check(false, "HTTP/1.0 200 OK|content-length: 1||", "200 Length(1) close content-length=1");
        check(
            false,
            "HTTP/1.0 200 OK|content-length: 1|connection: Keep-Alive||",
            "200 Length(1) keep content-length=1",
        );
        check(false, "HTTP/1.1 200 OK|content-length: 9|transfer-encoding: chunked||", "200 Chunked close");
        check(false, "HTTP/1.1 200 OK|transfer-encoding: chunked|content-length: 9||", "200 Chunked close");
    }

    #[test]
    fn what_concerns_the_connection_ends_here() {
        check(
            false,
            "HTTP/1.1 200 OK|x-mine: 1|connection: x-mine, keep-alive|keep-alive: timeout=5|upgrade: h2c|a: b|content-length: 0||",
            "200 None keep content-length=0 a=b",
        );
    }

    #[test]
    fn nonsense_is_refused() {
        check(false, "HTTP/1.1 200 OK|content-length: 5|content-length: 6||", "error: it has two Content-Lengths");
        check(false, "HTTP/1.1 200 OK|content-length: +5||", "error: its Content-Length is no number");
        check(false, "HTTP/1.1 200 OK|content-length: 5, 5||", "error: its Content-Length is no number");
        check(
            false,
            "HTTP/1.1 200 OK|content-length: 99999999999999999999||",
            "error: its Content-Length is no number",
        );
        check(false, "HTTP/1.1 200 OK|transfer-encoding: gzip||", "error: its Transfer-Encoding is not chunked");
        check(
            false,
            "HTTP/1.1 200 OK|transfer-encoding: gzip, chunked||",
            "error: its Transfer-Encoding is not chunked",
        );
        check(
            false,
            "HTTP/1.1 200 OK|transfer-encoding: chunked|transfer-encoding: chunked||",
            "error: its Transfer-Encoding is not chunked",
        );
        check(false, "HTTP/1.0 200 OK|transfer-encoding: chunked||", "error: its Transfer-Encoding is not chunked");
        check(false, "SSH-2.0-OpenSSH||", "error: it is no HTTP/1.1 answer");
        check(false, "HTTP/1.1 200 OK|a : b||", "error: it is no HTTP/1.1 answer");
        check(false, "HTTP/1.1 200 OK|a: b| folded||", "error: it is no HTTP/1.1 answer");
        check(false, "HTTP/1.1 099 ?||", "error: its status is none");
        check(false, "HTTP/1.1 200 OK|content-length: 5|", "more");
    }

    #[test]
    fn size_is_bounded() {
        let long = format!("HTTP/1.1 200 OK|a: {}||", "x".repeat(1100));
        check(false, &long, "error: its head is too large");
        check(false, &long[..1050], "error: its head is too large");
        let many = format!("HTTP/1.1 200 OK|{}|", "a: b|".repeat(9));
        check(false, &many, "error: its head has too many lines");
    }
}
