//! TCP: queries and answers with a length before each, any number on a connection, answered in the order they came.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use steering::Transport;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{Answerer, Book, TcpLimits, admission::Admission};

/// Longest query; see `udp.rs`. Who announces more is closed.
const QUERY_MAX: usize = 4096;

/// Answers are written out as soon as this much has gathered, however many queries are still waiting.
const OUTBOX: usize = 32 * 1024;

/// Pause after a failed accept that time may heal, such as too many open files.
const PAUSE: Duration = Duration::from_millis(50);

/// Accepts for ever. No error ends it: each is one connection's, or passes. Cancelling it closes all connections.
pub(crate) async fn accept(listener: TcpListener, limits: TcpLimits, answerer: Arc<Answerer>) {
    let desk = Arc::new(Desk { book: Mutex::new(answerer.book(Transport::Tcp)), answerer });
    let admission = Admission::new(limits.connections, limits.per_source);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // Forgets who has ended, so that the set is as large as there are connections.
            Some(_) = connections.join_next() => continue,
        };
        let counters = &desk.answerer.counters;
        match accepted {
            Ok((stream, from)) => match admission.admit(from.ip()) {
                Some(permit) => {
                    counters.connections.fetch_add(1, Relaxed);
                    let desk = desk.clone();
                    connections.spawn(async move {
                        let _permit = permit;
                        // How a connection ended is the client's affair; what was answered has been counted.
                        let _ = serve(stream, from, limits.idle, &desk).await;
                    });
                }
                None => _ = counters.connections_refused.fetch_add(1, Relaxed),
            },
            Err(error) => {
                counters.receive_errors.fetch_add(1, Relaxed);
                if !is_one_connections(&error) {
                    tracing::warn!(%error, "cannot accept a DNS connection; trying again");
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Whether the error belongs to a connection that has gone before it was accepted.
fn is_one_connections(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// What all connections answer with. What is written down of an answer is written by one at a time.
struct Desk {
    answerer: Arc<Answerer>,
    book: Mutex<Book>,
}

impl Desk {
    /// Answers into `out`; says whether there is anything to send.
    fn answer(&self, query: &[u8], from: SocketAddr, read: Instant, out: &mut Vec<u8>) -> bool {
        let view = self.answerer.views.load();
        let outcome = self.answerer.answer(view.as_deref(), query, from.ip(), Transport::Tcp, out);
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.turn_to(view.as_deref());
        book.note(&outcome, (query, from.ip()), out.len(), read);
        outcome.rcode.is_some()
    }

    fn took(&self, queries: u64, time: Duration) {
        self.book.lock().unwrap_or_else(PoisonError::into_inner).took(queries, time);
    }
}

/// Serves one connection until the client ends it, is too slow, or sends what is no query.
async fn serve(mut stream: TcpStream, from: SocketAddr, idle: Duration, desk: &Desk) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut inbox = Inbox::default();
    let (mut answer, mut outbox) = (Vec::new(), Vec::new());
    loop {
        timeout(idle, inbox.fill(&mut stream)).await??;
        let (read, mut queries) = (Instant::now(), 0);
        while let Some(query) = inbox.next_query() {
            if !desk.answer(query, from, read, &mut answer) {
                return Ok(());
            }
            queries += 1;
            outbox.extend((answer.len() as u16).to_be_bytes());
            outbox.extend(&answer);
            if outbox.len() >= OUTBOX {
                break;
            }
        }
        timeout(idle, stream.write_all(&outbox)).await??;
        desk.took(queries, read.elapsed());
        outbox.clear();
    }
}

/// Bytes that have come and not been answered: at most one query more than what is whole.
#[derive(Default)]
struct Inbox {
    bytes: Vec<u8>,
    /// Up to where they have been answered.
    done: usize,
}

impl Inbox {
    /// Reads until there is a whole query. Fails at the end of the stream, and on a length that no query has.
    async fn fill(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        self.bytes.drain(..self.done);
        self.done = 0;
        while !self.has_query()? {
            let mut chunk = [0; 2 + QUERY_MAX];
            let room = chunk.len().saturating_sub(self.bytes.len());
            let length = stream.read(chunk.get_mut(..room).unwrap_or_default()).await?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.bytes.extend(chunk.get(..length).unwrap_or_default());
        }
        Ok(())
    }

    /// Length of the next query, if its two bytes are there.
    fn announced(&self) -> Option<usize> {
        let head = self.bytes.get(self.done..self.done + 2)?;
        Some(usize::from(u16::from_be_bytes([head[0], head[1]])))
    }

    fn has_query(&self) -> io::Result<bool> {
        match self.announced() {
            Some(length) if length > QUERY_MAX => Err(io::ErrorKind::InvalidData.into()),
            Some(length) => Ok(self.bytes.len() >= self.done + 2 + length),
            None => Ok(false),
        }
    }

    fn next_query(&mut self) -> Option<&[u8]> {
        let length = self.announced()?;
        let begin = self.done + 2;
        let query = self.bytes.get(begin..begin + length)?;
        self.done = begin + length;
        Some(query)
    }
}
