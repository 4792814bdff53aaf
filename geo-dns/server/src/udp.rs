//! UDP: one thread, one socket. Receive, answer, send; no hand-over to anybody.
//!
//! A thread of its own keeps answers coming while the runtime is busy with everything else that a region does.

use std::{
    io,
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use steering::Transport;

use crate::Answerer;

/// Longest query that is looked at whole. One question with every option there is takes a tenth of it.
const QUERY_MAX: usize = 4096;

/// Pause after an error of the socket that is nobody's packet, so that a broken socket does not eat a core.
const PAUSE: Duration = Duration::from_millis(10);

/// The thread. Dropping it tells the thread to end.
#[derive(Debug)]
pub(crate) struct Server {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(socket: UdpSocket, answerer: Answerer) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = stop.clone();
        let thread = thread::Builder::new().name("dns-udp".into()).spawn(move || run(&socket, &answerer, &seen))?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Ends the thread and waits for it, [`crate::bind::UDP_WAKE`] at most.
    pub(crate) async fn stop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // Joined off the runtime's threads. A panic in there has been reported by itself.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}

fn run(socket: &UdpSocket, answerer: &Answerer, stop: &AtomicBool) {
    let mut query = [0; QUERY_MAX];
    let mut out = Vec::with_capacity(QUERY_MAX);
    while !stop.load(Relaxed) {
        let (length, from) = match socket.recv_from(&mut query) {
            Ok(received) => received,
            Err(error) => {
                if !is_quiet(&error) {
                    answerer.counters.receive_errors.fetch_add(1, Relaxed);
                    thread::sleep(PAUSE);
                }
                continue;
            }
        };
        let packet = query.get(..length).unwrap_or_default();
        // Port 0 cannot be answered; a forged packet may carry it.
        if from.port() != 0
            && answerer.answer(packet, from, Transport::Udp, &mut out)
            && socket.send_to(&out, from).is_err()
        {
            answerer.counters.send_errors.fetch_add(1, Relaxed);
        }
    }
}

/// Nothing came, or an earlier answer's receiver is gone.
fn is_quiet(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted | ConnectionRefused | ConnectionReset)
}
