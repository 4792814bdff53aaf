//! Node's IPC channel, seen from the parent: `process.send`, `process.on('message')`. No Node.js is needed on this side.
//!
//! The child finds the number of an open socket in `NODE_CHANNEL_FD`, and `json` in `NODE_CHANNEL_SERIALIZATION_MODE`; each
//! message is JSON on a line (lib/internal/child_process/serialization.js of Node.js; Bun speaks it too). Node.js takes both
//! variables out of its environment and closes the socket in what it starts, so grandchildren do not find them.

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream as StdStream},
};

use tokio::{
    io::AsyncWriteExt,
    net::UnixStream,
    sync::mpsc,
    time::{Duration, timeout},
};

use crate::{bounded::Lines, life::Abort, word::Word};

/// A longer message is skipped.
const MESSAGE_MAX_BYTES: usize = 64 * 1024;
/// A worker that does not read its messages for so long gets no more.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);

/// Our end of a worker's channel.
pub(crate) struct Ipc {
    messages: mpsc::Sender<String>,
    _task: Abort,
}

impl Ipc {
    /// Makes a channel; the other end is for the worker. `ready` is what the message `ready` means.
    pub(crate) fn open(words: mpsc::Sender<Word>, ready: Word) -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = StdStream::pair()?;
        ours.set_nonblocking(true)?;
        let stream = UnixStream::from_std(ours)?;
        let (messages, outbox) = mpsc::channel(8);
        let task = Abort::spawn(serve(stream, outbox, words, ready));
        Ok((Self { messages, _task: task }, theirs.into()))
    }

    /// Sends a string as a message; `false` if the worker has closed its end or does not read.
    pub(crate) fn send(&self, message: &str) -> bool {
        let line = format!("{}\n", serde_json::Value::from(message));
        self.messages.try_send(line).is_ok()
    }
}

async fn serve(stream: UnixStream, mut outbox: mpsc::Receiver<String>, words: mpsc::Sender<Word>, ready: Word) {
    let (reader, mut writer) = stream.into_split();
    let mut lines = Lines::new(reader, MESSAGE_MAX_BYTES);
    loop {
        tokio::select! {
            line = lines.next() => match line {
                Ok(Some(line)) if says_ready(&line) => {
                    if words.send(ready.clone()).await.is_err() {
                        return;
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return,
            },
            message = outbox.recv() => {
                let Some(message) = message else { return };
                if !matches!(timeout(WRITE_TIMEOUT, writer.write_all(message.as_bytes())).await, Ok(Ok(()))) {
                    return;
                }
            }
        }
    }
}

fn says_ready(line: &[u8]) -> bool {
    matches!(serde_json::from_slice(line), Ok(serde_json::Value::String(text)) if text == "ready")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_string_is_the_message() {
        for (line, expected) in [
            (r#""ready""#, true),
            (r#" "ready" "#, true),
            (r#"{"type":"ready"}"#, false),
            ("ready", false),
            ("", false),
            ("\u{0}", false),
        ] {
            assert_eq!(says_ready(line.as_bytes()), expected, "{line}");
        }
    }
}
