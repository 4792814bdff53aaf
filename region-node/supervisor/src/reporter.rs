//! The supervisor's side of the Node.js preload: each process of a worker that listens connects here and tells each second how
//! it is; on request it closes idle connections, or gives its metrics.
//!
//! A Unix socket of the life's own, and not Node's IPC channel: that one is the app's, is gone after `process.disconnect()`, and
//! ends at `npm` where a worker is `npm start`. JSON on lines, both ways.

use std::{collections::VecDeque, io, path::PathBuf, time::Duration};

use serde_json::Value;
use tokio::{
    io::AsyncWriteExt,
    net::{UnixListener, UnixStream, unix::OwnedWriteHalf},
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::{bounded::Lines, life::Abort, status::EventLoop, word::Word};

/// Room for a worker's metrics; reports are far smaller.
const LINE_MAX_BYTES: usize = 1 << 20;
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);
/// Processes of one worker that are heard (a worker of Node's `cluster` has several).
const MAX_PROCESSES: usize = 32;
/// Questions for metrics that wait for their answers.
const MAX_QUESTIONS: usize = 8;

/// What the preload is told.
pub(crate) enum Tell {
    /// Close idle connections, and the others after their response.
    Drain,
    /// Answer with the metrics of `prom-client`.
    Metrics(oneshot::Sender<String>),
}

/// A listening socket for the preload.
pub(crate) struct Reporter {
    path: PathBuf,
    tell: mpsc::Sender<Tell>,
    _task: Abort,
}

impl Reporter {
    pub(crate) fn open(path: PathBuf, words: mpsc::Sender<Word>) -> io::Result<Self> {
        let listener = UnixListener::bind(&path)?;
        let (tell, orders) = mpsc::channel(8);
        let task = Abort::spawn(Hall::new(words).run(listener, orders));
        Ok(Self { path, tell, _task: task })
    }

    pub(crate) fn tell(&self) -> mpsc::Sender<Tell> {
        self.tell.clone()
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Something that one of the processes did.
enum Event {
    Line(u64, Vec<u8>),
    Gone(u64),
}

/// One connected process.
struct Process {
    number: u64,
    writer: OwnedWriteHalf,
    questions: VecDeque<oneshot::Sender<String>>,
    _reader: Abort,
}

/// The processes that are connected. The oldest one speaks for the worker; all of them are told to drain.
struct Hall {
    words: mpsc::Sender<Word>,
    processes: Vec<Process>,
    next: u64,
}

impl Hall {
    fn new(words: mpsc::Sender<Word>) -> Self {
        Self { words, processes: Vec::new(), next: 0 }
    }

    async fn run(mut self, listener: UnixListener, mut orders: mpsc::Receiver<Tell>) {
        let (events, mut inbox) = mpsc::channel(16);
        loop {
            let room = self.processes.len() < MAX_PROCESSES;
            tokio::select! {
                Ok((stream, _)) = listener.accept(), if room => self.admit(stream, events.clone()),
                Some(event) = inbox.recv() => {
                    if self.take(event).await.is_none() {
                        return;
                    }
                }
                order = orders.recv() => match order {
                    Some(Tell::Drain) => self.drain().await,
                    Some(Tell::Metrics(answer)) => self.ask(answer).await,
                    None => return,
                },
            }
        }
    }

    fn admit(&mut self, stream: UnixStream, events: mpsc::Sender<Event>) {
        let (reader, writer) = stream.into_split();
        let number = self.next;
        self.next += 1;
        let reader = Abort::spawn(async move {
            let mut lines = Lines::new(reader, LINE_MAX_BYTES);
            while let Ok(Some(line)) = lines.next().await {
                if events.send(Event::Line(number, line)).await.is_err() {
                    return;
                }
            }
            let _ = events.send(Event::Gone(number)).await;
        });
        self.processes.push(Process { number, writer, questions: VecDeque::new(), _reader: reader });
    }

    /// `None` when nobody wants to hear any more.
    async fn take(&mut self, event: Event) -> Option<()> {
        let word = match event {
            Event::Gone(number) => {
                let speaker = self.processes.first().is_some_and(|process| process.number == number);
                self.processes.retain(|process| process.number != number);
                speaker.then_some(Word::Mute)
            }
            Event::Line(number, line) => {
                let Some(process) = self.processes.iter_mut().find(|process| process.number == number) else {
                    return Some(());
                };
                match read(&line) {
                    Some(Said::Listening) => Some(Word::Listening),
                    Some(Said::Metrics(text)) => {
                        if let Some(question) = process.questions.pop_front() {
                            let _ = question.send(text);
                        }
                        None
                    }
                    Some(Said::Report(report)) => {
                        let speaker = self.processes.first().is_some_and(|first| first.number == number);
                        speaker.then_some(Word::Report(report))
                    }
                    None => None,
                }
            }
        };
        match word {
            Some(word) => self.words.send(word).await.ok(),
            None => Some(()),
        }
    }

    async fn drain(&mut self) {
        for process in &mut self.processes {
            write(&mut process.writer, b"{\"do\":\"drain\"}\n").await;
        }
    }

    async fn ask(&mut self, answer: oneshot::Sender<String>) {
        let Some(speaker) = self.processes.first_mut() else { return };
        // Answers come in the order of the questions, so one that nobody waits for keeps its place.
        if speaker.questions.len() < MAX_QUESTIONS && write(&mut speaker.writer, b"{\"do\":\"metrics\"}\n").await {
            speaker.questions.push_back(answer);
        }
    }
}

async fn write(writer: &mut OwnedWriteHalf, line: &[u8]) -> bool {
    matches!(timeout(WRITE_TIMEOUT, writer.write_all(line)).await, Ok(Ok(())))
}

/// What a line of the preload says.
#[derive(Debug, PartialEq)]
enum Said {
    Listening,
    Report(EventLoop),
    Metrics(String),
}

fn read(line: &[u8]) -> Option<Said> {
    let value: Value = serde_json::from_slice(line).ok()?;
    match value["say"].as_str()? {
        "listening" => Some(Said::Listening),
        "metrics" => Some(Said::Metrics(value["text"].as_str()?.to_owned())),
        "report" => Some(Said::Report(report(&value))),
        _ => None,
    }
}

/// Whatever is missing or no number counts as nothing.
fn report(value: &Value) -> EventLoop {
    let number = |key: &str| value[key].as_f64().filter(|number| number.is_finite()).unwrap_or(0.0).max(0.0);
    // `as` saturates, which is what is wanted of numbers that somebody else made up.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = |key: &str| number(key) as u64;
    EventLoop {
        utilisation_permille: u16::try_from(whole("elu_permille").min(1000)).unwrap_or(1000),
        delay_p50_ms: number("p50_ms"),
        delay_p99_ms: number("p99_ms"),
        delay_max_ms: number("max_ms"),
        heap_used_bytes: whole("heap_used"),
        heap_total_bytes: whole("heap_total"),
        gc_ms: number("gc_ms"),
        active_handles: u32::try_from(whole("handles")).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_preload_are_read_and_nonsense_is_not() {
        assert_eq!(read(br#"{"say":"listening","port":1}"#), Some(Said::Listening));
        assert_eq!(read(br#"{"say":"metrics","text":"a 1\n"}"#), Some(Said::Metrics("a 1\n".to_owned())));
        let line = br#"{"say":"report","elu_permille":2000,"p50_ms":"x","max_ms":-1,"heap_used":1e300,"handles":3}"#;
        let expected = EventLoop {
            utilisation_permille: 1000,
            heap_used_bytes: u64::MAX,
            active_handles: 3,
            ..EventLoop::default()
        };
        assert_eq!(read(line), Some(Said::Report(expected)));
        for nonsense in ["", "{}", "[]", "null", r#"{"say":1}"#, r#"{"say":"metrics"}"#, "\u{1b}"] {
            assert_eq!(read(nonsense.as_bytes()), None, "{nonsense}");
        }
    }
}
