//! `sd_notify`: a worker tells its state in datagrams (man 3 sd_notify).
//!
//! Each life has a socket of its own, in a directory that only this user may enter. So who wrote needs no asking: it was this
//! worker, or something that it started, as with `NotifyAccess=all`.

use std::{io, path::PathBuf};

use tokio::{net::UnixDatagram, sync::mpsc};

use crate::{life::Abort, word::Word};

/// A longer datagram is cut; nothing that is read here is as long.
const DATAGRAM_BYTES: usize = 4096;
const STATUS_CHARS: usize = 200;

/// A listening notify socket.
pub(crate) struct Notify {
    path: PathBuf,
    _task: Abort,
}

impl Notify {
    /// `ready` is what `READY=1` means.
    pub(crate) fn open(path: PathBuf, words: mpsc::Sender<Word>, ready: Word) -> io::Result<Self> {
        let socket = UnixDatagram::bind(&path)?;
        let task = Abort::spawn(async move {
            let mut buffer = vec![0; DATAGRAM_BYTES];
            while let Ok(read) = socket.recv(&mut buffer).await {
                for word in words_of(&String::from_utf8_lossy(&buffer[..read])) {
                    let word = if word == Word::Ready { ready.clone() } else { word };
                    if words.send(word).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(Self { path, _task: task })
    }
}

impl Drop for Notify {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn words_of(text: &str) -> Vec<Word> {
    let word = |line: &str| match line.trim_end() {
        "READY=1" => Some(Word::Ready),
        "STOPPING=1" => Some(Word::Leaving),
        "WATCHDOG=1" => Some(Word::Watchdog),
        "WATCHDOG=trigger" => Some(Word::Broken),
        line => line.strip_prefix("STATUS=").map(|text| Word::Status(text.chars().take(STATUS_CHARS).collect())),
    };
    text.lines().filter_map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_is_lines_of_which_some_count() {
        assert_eq!(words_of("READY=1\nSTATUS=serving\nMAINPID=7\n"), [Word::Ready, Word::Status("serving".to_owned())]);
        assert_eq!(words_of("WATCHDOG=1"), [Word::Watchdog]);
        assert_eq!(words_of("WATCHDOG=trigger\nSTOPPING=1"), [Word::Broken, Word::Leaving]);
        assert_eq!(words_of("READY=0\nREADY\n\n=\nready=1"), []);
    }
}
