//! HTTP/2 frame by frame, by hand, so that a client can say what no library would.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::PATIENCE;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const WITH_PRIORITY: u8 = 0x20;

/// A frame as it is sent.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Fields as literals without an index, without Huffman (RFC 7541 6.2.2).
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            integer(&mut bytes, text.len());
            bytes.extend(text.as_bytes());
        }
    }
    bytes
}

fn integer(bytes: &mut Vec<u8>, value: usize) {
    if value < 127 {
        return bytes.push(value as u8);
    }
    bytes.push(127);
    let mut left = value - 127;
    while left >= 128 {
        bytes.push((left % 128) as u8 | 128);
        left /= 128;
    }
    bytes.push(left as u8);
}

pub(crate) const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":authority", "shop.test"), (":path", "/")];
pub(crate) const POST: [(&str, &str); 4] =
    [(":method", "POST"), (":scheme", "http"), (":authority", "shop.test"), (":path", "/")];

/// HEADERS of a whole request.
pub(crate) fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&GET))
}

/// HEADERS of a request with a body to come.
pub(crate) fn post(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &block(&POST))
}

/// A frame as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The error code of RST_STREAM or GOAWAY.
    pub(crate) fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    /// The status of an answer's HEADERS.
    pub(crate) fn status(&self) -> u16 {
        let mut block = &self.payload[..];
        while block[0] & 0xe0 == 0x20 {
            block = &block[1..];
        }
        match block[0] {
            index @ 0x88..=0x8e => [200, 204, 206, 304, 400, 404, 500][usize::from(index - 0x88)],
            0x08 | 0x48 | 0x18 => {
                let (huffman, length) = (block[1] & 0x80 != 0, usize::from(block[1] & 0x7f));
                let text = &block[2..2 + length];
                if huffman { digits(text) } else { String::from_utf8(text.to_vec()).unwrap().parse().unwrap() }
            }
            other => panic!("a status of the form {other:#x}"),
        }
    }
}

/// Three digits in Huffman code (RFC 7541 appendix B).
fn digits(bytes: &[u8]) -> u16 {
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let (mut at, mut number) = (0, 0);
    for _ in 0..3 {
        let (length, digit) = match &bits[at..at + 5] {
            "00000" => (5, 0),
            "00001" => (5, 1),
            "00010" => (5, 2),
            _ => (6, u16::from_str_radix(&bits[at..at + 6], 2).unwrap() - 25 + 3),
        };
        at += length;
        number = number * 10 + digit;
    }
    number
}

/// A client's end of a connection.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

impl Raw {
    /// Connects and says nothing.
    pub(crate) async fn silent(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), buffer: Vec::new() }
    }

    /// Connects, says preface and settings (no table for header compression, so that answers can be read), and reads the
    /// gateway's settings.
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        Self::with_settings(address, &[(1, 0)]).await
    }

    pub(crate) async fn with_settings(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let mut this = Self::silent(address).await;
        let payload: Vec<u8> = settings.iter().flat_map(|(id, value)| setting(*id, *value)).collect();
        this.send(&[PREFACE, &frame(SETTINGS, 0, 0, &payload)].concat()).await;
        let theirs = this.next().await.expect("the gateway's settings");
        assert_eq!((theirs.kind, theirs.flags), (SETTINGS, 0));
        this.send(&frame(SETTINGS, ACK, 0, &[])).await;
        this
    }

    /// Sends what it can; the gateway may have hung up.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        matches!(timeout(PATIENCE, self.stream.write_all(bytes)).await, Ok(Ok(())))
    }

    /// The next frame; `None` when the connection has ended. A PING is answered.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let next = self.next_within(PATIENCE).await.expect("a frame or the end in time");
        if let Some(ping) = next.as_ref().filter(|next| next.kind == PING && next.flags & ACK == 0) {
            self.send(&frame(PING, ACK, 0, &ping.payload)).await;
        }
        next
    }

    /// An error if nothing comes in time.
    pub(crate) async fn next_within(&mut self, limit: Duration) -> Result<Option<Frame>, &'static str> {
        timeout(limit, self.read()).await.map_err(|_| "nothing came")
    }

    async fn read(&mut self) -> Option<Frame> {
        loop {
            if let Some(head) = self.buffer.first_chunk::<9>() {
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                if self.buffer.len() >= 9 + length {
                    let rest = self.buffer.split_off(9 + length);
                    let bytes = std::mem::replace(&mut self.buffer, rest);
                    let stream = u32::from_be_bytes(bytes[5..9].try_into().unwrap());
                    return Some(Frame { kind: bytes[3], flags: bytes[4], stream, payload: bytes[9..].to_vec() });
                }
            }
            if self.stream.read_buf(&mut self.buffer).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// Reads until the answer's head on a stream; `None` when the connection ended or the stream was reset.
    pub(crate) async fn status(&mut self, stream: u32) -> Option<u16> {
        loop {
            let frame = self.next().await?;
            match frame.kind {
                HEADERS if frame.stream == stream => return Some(frame.status()),
                RST_STREAM if frame.stream == stream => return None,
                SETTINGS if frame.flags & ACK == 0 => {
                    self.send(&self::frame(SETTINGS, ACK, 0, &[])).await;
                }
                _ => {}
            }
        }
    }

    /// Reads to the end of the connection; the code of its GOAWAY if there was one.
    pub(crate) async fn end(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some(frame) = self.next().await {
            if frame.kind == GOAWAY {
                code = Some(frame.code());
            }
        }
        code
    }
}

pub(crate) fn setting(id: u16, value: u32) -> Vec<u8> {
    [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()
}
