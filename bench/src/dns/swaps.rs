//! Whether clients notice that a View is replaced: latencies of a server that is asked as fast as one core can ask, with swaps and
//! without.
//!
//! A swap that made the server pause would be seen by all questions that are under way then. With 20 swaps a second these are more
//! than one in a thousand, so that the 999th of 1000 latencies tells.

use std::{
    ffi::OsStr,
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::Context;

use super::{names::Question, packets::packets, servers::Server};
use crate::{stats::Spread, tools::Pins};

/// The step in latency that a swap may make.
pub(super) const BAR_MS: f64 = 1.0;

/// Questions under way.
const WINDOW: usize = 64;
/// Swaps of each run, 50 ms apart.
const SWAPS: u32 = 40;
/// Static names of each View: 41 of them are in memory at once.
const NAMES: usize = 10_000;
const RUN: Duration = Duration::from_secs(2);
/// What is lost is not waited for any longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The 999th of 1000 latencies, milliseconds.
pub(super) struct Swaps {
    pub(super) without_ms: Spread,
    pub(super) with_ms: Spread,
}

pub(super) fn measure(runs: u32, pins: Option<Pins>) -> anyhow::Result<Swaps> {
    let names = NAMES.to_string();
    let args = ["serve-dns", "swaps", "--names", &names].map(OsStr::new);
    let mut server = Server::own("Atoll", &args, pins.map(|pins| pins.server))?;
    let addr = server.addr();
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        without.push(latency(addr)?);
        server.tell(SWAPS)?;
        server.line().context("making Views")?;
        with.push(latency(addr)?);
    }
    let spread = |figures: &[f64]| Spread::of(figures).context("there were no runs");
    Ok(Swaps { without_ms: spread(&without)?, with_ms: spread(&with)? })
}

/// Asks for the time of a run; the 999th of 1000 latencies in milliseconds.
fn latency(addr: SocketAddr) -> anyhow::Result<f64> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(addr)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut questions = packets(Question::Steered);
    let (begin, mut latencies) = (Instant::now(), Vec::new());
    let mut sent = [begin; WINDOW];
    let mut answer = [0; 512];
    let mut ask = |id: usize, sent: &mut [Instant; WINDOW]| -> std::io::Result<()> {
        let count = questions.len();
        let packet = &mut questions[id % count];
        packet[..2].copy_from_slice(&(id as u16).to_be_bytes());
        sent[id % WINDOW] = Instant::now();
        socket.send(packet).map(|_| ())
    };
    for id in 0..WINDOW {
        ask(id, &mut sent)?;
    }
    while begin.elapsed() < RUN {
        socket.recv(&mut answer).context("the server does not answer")?;
        let id = usize::from(u16::from_be_bytes([answer[0], answer[1]]));
        latencies.push(sent[id % WINDOW].elapsed().as_secs_f64() * 1e3);
        // In the place of the one that is answered: the same slot, another number.
        ask(id % WINDOW, &mut sent)?;
    }
    latencies.sort_by(f64::total_cmp);
    latencies.get(latencies.len() * 999 / 1000).copied().context("nothing was answered")
}
