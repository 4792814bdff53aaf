//! A request's head and the frame around its body, as bytes for a worker.

use std::io::Write as _;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};

use super::head::forbidden_in_trailers;

/// How a worker is told where the request's body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is none.
    None,
    /// After so many bytes.
    Length(u64),
    /// After the last chunk; only so can trailers follow.
    Chunked,
}

/// The first line.
pub(crate) fn request_line(out: &mut Vec<u8>, method: &Method, target: &str) {
    out.extend_from_slice(method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// One field.
pub(crate) fn line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The field that frames the body, and the blank line. A method that means to bring a body says so even when there is none
/// (RFC 9110, 8.6).
pub(crate) fn end_of_head(out: &mut Vec<u8>, method: &Method, framing: Framing) {
    match framing {
        Framing::None if [Method::POST, Method::PUT, Method::PATCH].contains(method) => {
            out.extend_from_slice(b"content-length: 0\r\n\r\n");
        }
        Framing::None => out.extend_from_slice(b"\r\n"),
        Framing::Length(length) => number_line(out, "content-length", length),
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n"),
    }
}

fn number_line(out: &mut Vec<u8>, name: &str, number: u64) {
    // Writing to a vector does not fail.
    let _ = write!(out, "{name}: {number}\r\n\r\n");
}

/// Before a chunk.
pub(crate) fn chunk_size(out: &mut Vec<u8>, data: &Bytes) {
    let _ = write!(out, "{:x}\r\n", data.len());
}

/// The last chunk and the trailers after it.
pub(crate) fn end_of_chunks(out: &mut Vec<u8>, trailers: Option<&HeaderMap>) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.into_iter().flatten() {
        if !forbidden_in_trailers(name) {
            line(out, name.as_str(), HeaderValue::as_bytes(value));
        }
    }
    out.extend_from_slice(b"\r\n");
}
