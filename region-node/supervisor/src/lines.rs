//! A worker's output, line by line: kept for people, passed on to listeners, files and the region's log. Bounded in every direction.
//!
//! A line without end comes in pieces of 8 KiB. Whoever writes faster than its lines can be kept waits at its pipe: output is
//! never dropped on the way in.

use std::{sync::Arc, time::SystemTime};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::mpsc,
    task::JoinHandle,
};

use crate::{
    logs::{LogLine, Logs, Stream},
    pattern::Pattern,
    word::Word,
};

/// A longer line comes in pieces of so many bytes.
const PIECE_BYTES: usize = 8192;
const READ_BYTES: usize = 32 * 1024;

/// Cuts bytes into lines; `emit` gets the text and whether the line goes on.
#[derive(Default)]
struct Cutter {
    line: Vec<u8>,
    /// A piece of the present line has been given out.
    within: bool,
}

impl Cutter {
    fn push(&mut self, bytes: &[u8], emit: &mut impl FnMut(String, bool)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (mut text, complete) = match part.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (part, false),
            };
            while self.line.len() + text.len() > PIECE_BYTES {
                let (now, later) = text.split_at(PIECE_BYTES - self.line.len());
                self.line.extend_from_slice(now);
                self.cut(emit);
                text = later;
            }
            self.line.extend_from_slice(text);
            if complete {
                self.finish(emit);
            }
        }
    }

    /// Gives out a full piece, all but the beginning of a character that it cuts in two.
    fn cut(&mut self, emit: &mut impl FnMut(String, bool)) {
        let whole = match std::str::from_utf8(&self.line) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            _ => self.line.len(),
        };
        let rest = self.line.split_off(whole);
        emit(String::from_utf8_lossy(&self.line).into_owned(), true);
        (self.line, self.within) = (rest, true);
    }

    fn finish(&mut self, emit: &mut impl FnMut(String, bool)) {
        let text = String::from_utf8_lossy(&self.line).trim_end().to_owned();
        self.line.clear();
        let within = std::mem::take(&mut self.within);
        if !text.is_empty() || within {
            emit(text, false);
        }
    }
}

/// Where the lines of one life of a worker go.
#[derive(Clone)]
pub(crate) struct Sink {
    pub(crate) app: Arc<str>,
    pub(crate) slot: u16,
    pub(crate) life: u64,
    pub(crate) logs: Arc<Logs>,
    /// Put lines into the region's own log too.
    pub(crate) forward: bool,
    /// The line that says that the worker is ready, and who wants to know.
    pub(crate) awaited: Option<(Pattern, mpsc::Sender<Word>)>,
}

/// Reads a stream to its end, in its own task.
pub(crate) fn follow(
    mut stream: impl AsyncRead + Send + Unpin + 'static,
    which: Stream,
    mut sink: Sink,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut cutter = Cutter::default();
        let mut buffer = vec![0; READ_BYTES];
        let mut fresh = Vec::new();
        loop {
            let read = stream.read(&mut buffer).await.unwrap_or(0);
            let mut emit = |text, partial| fresh.push((text, partial));
            match read {
                0 => cutter.finish(&mut emit),
                read => cutter.push(&buffer[..read], &mut emit),
            }
            for (text, partial) in fresh.drain(..) {
                sink.take(which, text, partial).await;
            }
            if read == 0 {
                break;
            }
        }
    })
}

impl Sink {
    async fn take(&mut self, stream: Stream, text: String, partial: bool) {
        if self.forward {
            tracing::info!(target: "app", app = %self.app, worker = self.slot, "{text}");
        }
        let said = self.awaited.take_if(|(pattern, _)| pattern.finds(&text));
        let line = LogLine { time: SystemTime::now(), slot: self.slot, life: self.life, stream, text, partial };
        self.logs.push(line).await;
        if let Some((_, listener)) = said {
            // Nobody listens any more: the worker is about to end.
            let _ = listener.send(Word::Ready).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pieces: &[&[u8]], expected: &[(&str, bool)]) {
        let mut lines = Vec::new();
        let mut emit = |text, partial| lines.push((text, partial));
        let mut cutter = Cutter::default();
        pieces.iter().for_each(|piece| cutter.push(piece, &mut emit));
        cutter.finish(&mut emit);
        let lines: Vec<(&str, bool)> = lines.iter().map(|(text, partial)| (text.as_str(), *partial)).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn bytes_become_lines_however_they_arrive() {
        let whole = |text| (text, false);
        check(&[b"one\ntw", b"o\r\n", b"\n\nthree"], &["one", "two", "three"].map(whole));
        check(&[b"\xff\n"], &[whole("\u{fffd}")]);
        check(&["\u{1b}[31mred\u{1b}[0m\n".as_bytes()], &[whole("\u{1b}[31mred\u{1b}[0m")]);
    }

    #[test]
    fn an_endless_line_comes_in_pieces_between_characters() {
        let piece = "x".repeat(PIECE_BYTES);
        check(
            &[&[b'x'; 3000], &[b'x'; 6000], b"y\nshort\n"],
            &[(&piece, true), (&("x".repeat(9000 - PIECE_BYTES) + "y"), false), ("short", false)],
        );
        let text = "x".repeat(PIECE_BYTES - 1) + "é";
        check(&[text.as_bytes(), b"\n"], &[(&"x".repeat(PIECE_BYTES - 1), true), ("é", false)]);
        check(&[&[b'x'; PIECE_BYTES], b"\n"], &[(&piece, false)]);
    }
}
