//! Replies in, bytes out: one growing buffer per connection, in the protocol version that the client asked for.
//!
//! Version 3 has maps, sets, doubles, texts and a null of its own; to a client of version 2 they are
//! arrays and bulk strings.

use super::{Decimal, Double};

/// The protocol version of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Protocol {
    /// What a connection speaks until it says `HELLO 3`.
    #[default]
    Resp2,
    /// What newer clients ask for.
    Resp3,
}

/// The output buffer of a connection.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    protocol: Protocol,
}

/// A buffer that grew beyond this for a large reply is given back when it is empty.
const KEEP_CAPACITY: usize = 64 << 10;

impl Writer {
    /// What is to be sent.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How much is to be sent.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Everything was sent.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEEP_CAPACITY);
    }

    /// Takes back what was written after the first `length` bytes.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.bytes.truncate(length);
    }

    /// The version that replies are written in.
    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Changes the version from the next reply on.
    pub(crate) fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// `+OK`: a status of the server's own words.
    pub(crate) fn status(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// `-ERR …`: the text begins with its code. Line ends inside, which would break the protocol, become spaces.
    pub(crate) fn error(&mut self, text: &str) {
        self.bytes.push(b'-');
        self.bytes.extend(text.bytes().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
        self.end_line();
    }

    /// `:1`
    pub(crate) fn int(&mut self, value: i64) {
        self.line(b':', Decimal::new(value).as_bytes());
    }

    /// A count as an integer.
    pub(crate) fn count(&mut self, value: usize) {
        self.line(b':', Decimal::unsigned(value as u64).as_bytes());
    }

    /// `$5` and five bytes of anything.
    pub(crate) fn bulk(&mut self, value: &[u8]) {
        self.header(b'$', value.len());
        self.bytes.extend_from_slice(value);
        self.end_line();
    }

    /// A text for people: version 3 marks it as such.
    pub(crate) fn text(&mut self, value: &str) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(value.as_bytes()),
            Protocol::Resp3 => {
                self.header(b'=', value.len() + 4);
                self.bytes.extend_from_slice(b"txt:");
                self.bytes.extend_from_slice(value.as_bytes());
                self.end_line();
            }
        }
    }

    /// A number that is not whole.
    pub(crate) fn double(&mut self, value: f64) {
        let text = value.to_string();
        match self.protocol {
            Protocol::Resp2 => self.bulk(text.as_bytes()),
            Protocol::Resp3 => self.line(b',', text.as_bytes()),
        }
    }

    /// A sorted set member's score, in the digits that Redis gives it.
    pub(crate) fn score(&mut self, value: f64) {
        let text = Double::new(value);
        match self.protocol {
            Protocol::Resp2 => self.bulk(text.as_bytes()),
            Protocol::Resp3 => self.line(b',', text.as_bytes()),
        }
    }

    /// No value.
    pub(crate) fn null(&mut self) {
        self.bytes.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// No list, where there could have been one.
    pub(crate) fn null_array(&mut self) {
        self.bytes.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"*-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// So many values follow.
    pub(crate) fn array(&mut self, length: usize) {
        self.header(b'*', length);
    }

    /// So many pairs of values follow.
    pub(crate) fn map(&mut self, pairs: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', pairs * 2),
            Protocol::Resp3 => self.header(b'%', pairs),
        }
    }

    /// So many values in no order follow.
    pub(crate) fn set(&mut self, length: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', length),
            Protocol::Resp3 => self.header(b'~', length),
        }
    }

    fn header(&mut self, kind: u8, length: usize) {
        self.line(kind, Decimal::unsigned(length as u64).as_bytes());
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        self.bytes.reserve(text.len() + 3);
        self.bytes.push(kind);
        self.bytes.extend_from_slice(text);
        self.end_line();
    }

    fn end_line(&mut self) {
        self.bytes.extend_from_slice(b"\r\n");
    }
}
