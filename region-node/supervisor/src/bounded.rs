//! Lines from a stream that a worker writes: bounded, whatever it writes.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

const READ_BYTES: usize = 8192;

/// Cuts a stream into lines of at most `max_bytes`; longer ones are skipped.
pub(crate) struct Lines<R> {
    stream: R,
    max_bytes: usize,
    buffer: Vec<u8>,
    /// Bytes of the buffer that have been looked at.
    seen: usize,
    skipping: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn new(stream: R, max_bytes: usize) -> Self {
        Self { stream, max_bytes, buffer: Vec::new(), seen: 0, skipping: false }
    }

    /// The next line without its end; `None` at the stream's end. Cancel safe.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(at) = self.buffer[self.seen..].iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(self.seen + at + 1);
                let mut line = std::mem::replace(&mut self.buffer, rest);
                self.seen = 0;
                line.pop();
                if std::mem::take(&mut self.skipping) || line.len() > self.max_bytes {
                    continue;
                }
                return Ok(Some(line));
            }
            if self.buffer.len() > self.max_bytes {
                self.skipping = true;
                self.buffer.clear();
            }
            self.seen = self.buffer.len();
            let mut chunk = [0; READ_BYTES];
            match self.stream.read(&mut chunk).await? {
                0 => return Ok(None),
                read => self.buffer.extend_from_slice(&chunk[..read]),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_that_are_too_long_are_skipped_and_the_next_ones_are_read() {
        let long = "x".repeat(100_000);
        let text = format!("one\n\n{long}\ntwo\n{}\nthree\nrest", "y".repeat(11));
        let mut lines = Lines::new(text.as_bytes(), 10);
        let mut seen = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            seen.push(String::from_utf8(line).unwrap());
        }
        assert_eq!(seen, ["one", "", "two", "three"]);
    }
}
