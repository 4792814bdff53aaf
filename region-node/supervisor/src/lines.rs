//! A worker's output, line by line: to the log, and the last ones kept to explain an early end. Bounded in every direction.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    task::JoinHandle,
};

/// A longer line is cut here.
const LINE_MAX_BYTES: usize = 4096;
/// Lines kept for the status.
const TAIL_LINES: usize = 20;
const READ_BYTES: usize = 8192;

/// Cuts bytes into lines.
#[derive(Default)]
struct Cutter {
    line: Vec<u8>,
    overflowed: bool,
}

impl Cutter {
    fn push(&mut self, bytes: &[u8], emit: &mut impl FnMut(String)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, complete) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            let room = LINE_MAX_BYTES - self.line.len();
            self.overflowed |= text.len() > room;
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            if complete {
                self.finish(emit);
            }
        }
    }

    fn finish(&mut self, emit: &mut impl FnMut(String)) {
        let mut text = String::from_utf8_lossy(&self.line).trim_end().to_owned();
        if std::mem::take(&mut self.overflowed) {
            text.push('…');
        }
        self.line.clear();
        if !text.is_empty() {
            emit(text);
        }
    }
}

/// The last lines of a worker, both streams together.
#[derive(Clone, Default)]
pub(crate) struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == TAIL_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// At most `count` of the last lines.
    pub(crate) fn last(&self, count: usize) -> Vec<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().skip(lines.len().saturating_sub(count)).cloned().collect()
    }
}

/// Reads a stream to its end, in its own task.
pub(crate) fn follow(
    mut stream: impl AsyncRead + Send + Unpin + 'static,
    app: String,
    worker: u16,
    tail: Tail,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut cutter = Cutter::default();
        let mut buffer = vec![0; READ_BYTES];
        let mut emit = |line: String| {
            tracing::info!(target: "app", %app, worker, "{line}");
            tail.push(line);
        };
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            cutter.push(&buffer[..read], &mut emit);
        }
        cutter.finish(&mut emit);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pieces: &[&[u8]], expected: &[&str]) {
        let mut lines = Vec::new();
        let mut emit = |line| lines.push(line);
        let mut cutter = Cutter::default();
        pieces.iter().for_each(|piece| cutter.push(piece, &mut emit));
        cutter.finish(&mut emit);
        assert_eq!(lines, expected);
    }

    #[test]
    fn bytes_become_lines_however_they_arrive() {
        check(&[b"one\ntw", b"o\r\n", b"\n\nthree"], &["one", "two", "three"]);
        check(&[b"\xff\n"], &["\u{fffd}"]);
    }

    #[test]
    fn an_endless_line_is_cut() {
        let cut = "x".repeat(LINE_MAX_BYTES) + "…";
        check(&[&[b'x'; 3000], &[b'x'; 3000], b"\nshort\n"], &[&cut, "short"]);
    }
}
