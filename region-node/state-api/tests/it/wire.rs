//! The protocol as bytes: sends what it is told, reads exactly one reply at a time.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// A bare connection.
pub(crate) struct Wire {
    stream: BufReader<TcpStream>,
}

impl Wire {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    /// Sends bytes to a server that may have closed the connection already.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.get_mut().write_all(bytes).is_ok()
    }

    /// Sends one command and reads its reply.
    pub(crate) fn ask(&mut self, words: &[impl AsRef<[u8]>]) -> Vec<u8> {
        self.send(&command(words));
        self.reply()
    }

    /// As [`ask`](Self::ask), with words without spaces, and the reply as text.
    pub(crate) fn say(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        String::from_utf8_lossy(&self.ask(&words)).into_owned()
    }

    /// Reads one whole reply, nested ones included.
    pub(crate) fn reply(&mut self) -> Vec<u8> {
        let mut reply = Vec::new();
        self.stream.read_until(b'\n', &mut reply).unwrap();
        assert!(reply.ends_with(b"\r\n"), "the connection ended inside a reply: {:?}", reply.escape_ascii());
        let length = || std::str::from_utf8(&reply[1..reply.len() - 2]).unwrap().parse::<i64>();
        let nested = match reply[0] {
            b'$' | b'=' => {
                if let Ok(length) = usize::try_from(length().unwrap()) {
                    let at = reply.len();
                    reply.resize(at + length + 2, 0);
                    self.stream.read_exact(&mut reply[at..]).unwrap();
                }
                0
            }
            b'*' | b'~' | b'>' => length().unwrap().max(0),
            b'%' => length().unwrap() * 2,
            _ => 0,
        };
        for _ in 0..nested {
            reply.extend(self.reply());
        }
        reply
    }

    /// Reads until the server closes the connection.
    pub(crate) fn until_closed(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => rest,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => rest,
            Err(error) => panic!("the server did not close the connection: {error}"),
        }
    }
}

/// A command as clients send it.
pub(crate) fn command(words: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        let word = word.as_ref();
        bytes.extend(format!("${}\r\n", word.len()).bytes());
        bytes.extend(word);
        bytes.extend(b"\r\n");
    }
    bytes
}

/// Splits the items of an array, a set or a map, each with what is nested in it.
pub(crate) fn items(reply: &[u8]) -> Vec<&[u8]> {
    let mut rest = &reply[line_end(reply)..];
    let mut items = Vec::new();
    while !rest.is_empty() {
        let (item, after) = rest.split_at(reply_length(rest));
        items.push(item);
        rest = after;
    }
    items
}

fn line_end(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1)
}

fn reply_length(bytes: &[u8]) -> usize {
    let mut length = line_end(bytes);
    let count = std::str::from_utf8(&bytes[1..length - 2]).unwrap().parse::<i64>();
    match (bytes[0], count) {
        (b'$' | b'=', Ok(count @ 0..)) => length += count as usize + 2,
        (kind @ (b'*' | b'~' | b'>' | b'%'), Ok(count @ 0..)) => {
            for _ in 0..count * if kind == b'%' { 2 } else { 1 } {
                length += reply_length(&bytes[length..]);
            }
        }
        _ => {}
    }
    length
}
