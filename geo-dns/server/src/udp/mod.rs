//! UDP: threads, a socket each. Receive a batch, answer it, send it; no hand-over to anybody.
//!
//! Threads of their own keep answers coming while the runtime is busy with everything else that a region does. The kernel gives
//! each client to one socket, so that threads share nothing but the View.
//!
//! A batch is what is waiting, never what might come: a single query is answered as soon as it is there. While there is always
//! more, a system call to receive and one to send are shared by up to [`batch::BATCH`] queries.

#[cfg(target_os = "linux")]
mod batch;
#[cfg(not(target_os = "linux"))]
#[path = "single.rs"]
mod batch;
#[cfg(all(test, target_os = "linux"))]
mod single;

use std::{
    io,
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use steering::Transport;

use self::batch::Batch;
use crate::{Answerer, Book};

/// Longest query that is looked at whole. One question with every option there is takes a tenth of it.
const QUERY_MAX: usize = 4096;

/// Pause after an error of the socket that is nobody's packet, so that a broken socket does not eat a core.
const PAUSE: Duration = Duration::from_millis(10);

/// What became of a batch's answers.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Sent {
    /// Answers that the socket had no room for, within the time that sending may take.
    dropped: u64,
    /// Answers that the system would not send: no route, a filter, an address that cannot be sent to.
    failed: u64,
}

/// The threads. Dropping it tells them to end.
#[derive(Debug)]
pub(crate) struct Server {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// A thread for each socket. With `wildcard` the sockets are bound to no address: answers go out from the one that was asked.
    pub(crate) fn start(sockets: Vec<UdpSocket>, wildcard: bool, answerer: &Arc<Answerer>) -> io::Result<Self> {
        let mut server = Self { stop: Arc::new(AtomicBool::new(false)), threads: Vec::new() };
        for (i, socket) in sockets.into_iter().enumerate() {
            if wildcard {
                batch::tell_destination(&socket)?;
            }
            let (stop, answerer) = (server.stop.clone(), answerer.clone());
            let book = answerer.book(Transport::Udp);
            let work = move || run(&mut Batch::new(socket, wildcard), &answerer, book, &stop);
            server.threads.push(thread::Builder::new().name(format!("dns-udp-{i}")).spawn(work)?);
        }
        Ok(server)
    }

    /// Ends the threads and waits for them, [`crate::bind::UDP_WAKE`] at most.
    pub(crate) async fn stop(&mut self) {
        self.stop.store(true, Relaxed);
        let threads = std::mem::take(&mut self.threads);
        // Joined off the runtime's threads. A panic in there has been reported by itself.
        let _ = tokio::task::spawn_blocking(move || threads.into_iter().for_each(|thread| _ = thread.join())).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

fn run(batch: &mut Batch, answerer: &Answerer, mut book: Book, stop: &AtomicBool) {
    while !stop.load(Relaxed) {
        let queries = match batch.receive() {
            Ok(queries) => queries,
            Err(error) => {
                if !is_quiet(&error) {
                    answerer.counters.receive_errors.fetch_add(1, Relaxed);
                    thread::sleep(PAUSE);
                }
                continue;
            }
        };
        let read = Instant::now();
        // One View for the whole batch, let go of before the thread waits again.
        let view = answerer.views.load();
        let view = view.as_deref();
        book.turn_to(view);
        batch.answer(|query, from, out| {
            let outcome = answerer.answer(view, query, from.ip(), Transport::Udp, out);
            book.note(&outcome, (query, from.ip()), out.len(), read);
            outcome.rcode.is_some()
        });
        let sent = batch.send();
        book.took(queries as u64, read.elapsed());
        if sent.dropped + sent.failed > 0 {
            answerer.counters.send_dropped.fetch_add(sent.dropped, Relaxed);
            answerer.counters.send_errors.fetch_add(sent.failed, Relaxed);
        }
    }
}

/// Nothing came, or an earlier answer's receiver is gone.
fn is_quiet(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted | ConnectionRefused | ConnectionReset)
}
