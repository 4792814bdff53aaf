//! An open-loop generator: requests at a fixed rate, whether or not the ones before are answered. wrk asks again when it is
//! answered, so it never sees what waits behind a slow answer.
//!
//! In: an address, a path, a rate. Out, as a line of JSON: how many were answered, and latencies. A latency counts from the moment that the request
//! was due if all connections were taken then, else from when it was sent: that the generator itself was late is told apart.
//! One thread, epoll, blocking nowhere else.

use std::{
    collections::VecDeque,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    num::NonZeroU64,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::Args;
use rustix::{
    event::{Timespec, epoll},
    thread::set_current_timer_slack,
};
use serde::{Deserialize, Serialize};

/// What the generator is told.
#[derive(Debug, Clone, Args)]
pub(crate) struct OfferArgs {
    /// Whom to ask
    #[arg(long)]
    pub(super) addr: SocketAddr,
    /// What for
    #[arg(long)]
    pub(super) path: String,
    /// Requests a second
    #[arg(long)]
    pub(super) rate: u32,
    /// How long, after half a second that does not count
    #[arg(long)]
    pub(super) seconds: u64,
    /// Connections to ask over
    #[arg(long)]
    pub(super) connections: usize,
}

/// What it tells.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Offered {
    pub(super) requests: u64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    /// How late the generator itself was, the 99th of a hundred requests.
    pub(super) late_p99_us: f64,
}

/// What comes first warms caches and connections up.
const WARM_UP: Duration = Duration::from_millis(500);
/// The last answers may take so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// A head and a body of this bench, by far.
const LONGEST_ANSWER: usize = 16 << 10;

struct Connection {
    stream: TcpStream,
    /// What has come of the answer.
    got: Vec<u8>,
    /// When the latency of the request under way began to count.
    since: Instant,
}

/// Offers the load and prints what came of it.
pub(crate) fn offer(args: &OfferArgs) -> anyhow::Result<()> {
    // Timers are exact to 50 µs without it, which is more than what is to be measured.
    set_current_timer_slack(NonZeroU64::new(1)).context("asking for exact timers")?;
    let offered = Generator::new(args)?.run()?;
    println!("{}", serde_json::to_string(&offered)?);
    Ok(())
}

struct Generator {
    epoll: OwnedFd,
    request: Vec<u8>,
    connections: Vec<Connection>,
    free: VecDeque<usize>,
    /// When requests were due that found no connection free.
    waiting: VecDeque<Instant>,
    pause: Duration,
    start: Instant,
    end: Instant,
    latencies: Vec<Duration>,
    late: Vec<Duration>,
}

impl Generator {
    fn new(args: &OfferArgs) -> anyhow::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut connections = Vec::new();
        for i in 0..args.connections {
            let stream = TcpStream::connect(args.addr).with_context(|| format!("cannot connect to {}", args.addr))?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            epoll::add(&epoll, &stream, epoll::EventData::new_u64(i as u64), epoll::EventFlags::IN)?;
            connections.push(Connection { stream, got: Vec::with_capacity(LONGEST_ANSWER), since: Instant::now() });
        }
        let start = Instant::now() + Duration::from_millis(10);
        let end = start + WARM_UP + Duration::from_secs(args.seconds);
        Ok(Self {
            epoll,
            request: format!("GET {} HTTP/1.1\r\nHost: bench\r\n\r\n", args.path).into_bytes(),
            free: (0..connections.len()).collect(),
            connections,
            waiting: VecDeque::new(),
            pause: Duration::from_secs(1) / args.rate.max(1),
            start,
            end,
            latencies: Vec::new(),
            late: Vec::new(),
        })
    }

    fn run(mut self) -> anyhow::Result<Offered> {
        let mut due = self.start;
        let mut events = Vec::with_capacity(256);
        while due < self.end || self.free.len() < self.connections.len() {
            let mut now = Instant::now();
            while due <= now && due < self.end {
                self.ask(due, now)?;
                due += self.pause;
                now = Instant::now();
            }
            if now > self.end + PATIENCE {
                bail!("{} requests are not answered after {PATIENCE:?}", self.connections.len() - self.free.len());
            }
            let until = if due < self.end { due } else { self.end + PATIENCE };
            let left = until.saturating_duration_since(Instant::now());
            let left = Timespec { tv_sec: left.as_secs() as _, tv_nsec: left.subsec_nanos().into() };
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&left)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => bail!("epoll: {error}"),
            }
            for event in &events {
                self.readable(event.data.u64() as usize)?;
            }
        }
        self.told()
    }

    /// The connection that has rested longest takes the request; if there is none, it waits.
    fn ask(&mut self, due: Instant, now: Instant) -> anyhow::Result<()> {
        match self.free.pop_front() {
            Some(i) => {
                if due >= self.start + WARM_UP {
                    self.late.push(now.duration_since(due));
                }
                self.send(i, now)
            }
            None => {
                self.waiting.push_back(due);
                Ok(())
            }
        }
    }

    fn send(&mut self, i: usize, since: Instant) -> anyhow::Result<()> {
        let connection = &mut self.connections[i];
        connection.since = since;
        connection.stream.write_all(&self.request).context("a request could not be sent")
    }

    fn readable(&mut self, i: usize) -> anyhow::Result<()> {
        let connection = &mut self.connections[i];
        let mut piece = [0; 4096];
        match connection.stream.read(&mut piece) {
            Ok(0) => bail!("the server closed a connection"),
            Ok(count) => connection.got.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).context("an answer could not be read"),
        }
        if !is_whole(&connection.got)? {
            return Ok(());
        }
        connection.got.clear();
        if connection.since >= self.start + WARM_UP {
            self.latencies.push(connection.since.elapsed());
        }
        match self.waiting.pop_front() {
            Some(due) => self.send(i, due),
            None => {
                self.free.push_back(i);
                Ok(())
            }
        }
    }

    fn told(mut self) -> anyhow::Result<Offered> {
        self.latencies.sort_unstable();
        self.late.sort_unstable();
        let of = |sorted: &[Duration], permille| Some(quantile(sorted, permille)?.as_secs_f64() * 1e6);
        Ok(Offered {
            requests: self.latencies.len() as u64,
            p50_us: of(&self.latencies, 500).context("nothing was answered")?,
            p99_us: of(&self.latencies, 990).context("nothing was answered")?,
            late_p99_us: of(&self.late, 990).unwrap_or(0.0),
        })
    }
}

fn quantile(sorted: &[Duration], permille: usize) -> Option<Duration> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((sorted.len() * permille / 1000).min(last)).copied()
}

/// Whether an answer has come to its end; an error if it is not the one that was asked for.
pub(super) fn is_whole(got: &[u8]) -> anyhow::Result<bool> {
    let Some(end) = got.windows(4).position(|four| four == b"\r\n\r\n") else {
        if got.len() > LONGEST_ANSWER {
            bail!("a head of more than {LONGEST_ANSWER} bytes");
        }
        return Ok(false);
    };
    let head = std::str::from_utf8(&got[..end]).context("a head that is no text")?;
    if !head.starts_with("HTTP/1.1 200 ") {
        bail!("an answer other than 200: {}", head.lines().next().unwrap_or_default());
    }
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let mut lengths = fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let (_, length) = lengths.next().context("an answer without a length")?;
    let length: usize = length.trim().parse().context("an answer whose length is no number")?;
    Ok(got.len() >= end + 4 + length)
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, thread};

    use super::*;

    #[track_caller]
    fn check(got: &str, wanted: Option<bool>) {
        assert_eq!(is_whole(got.as_bytes()).ok(), wanted, "{got:?}");
    }

    #[test]
    fn an_answer_ends_where_it_says() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Some(true));
        check("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no", Some(false));
        check("HTTP/1.1 200 OK\r\nConte", Some(false));
        check("HTTP/1.1 200 OK\r\n\r\n", None);
        check("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", None);
    }

    #[test]
    fn quantiles_are_of_what_is_there() {
        let sorted: Vec<_> = (1..=1000).map(Duration::from_micros).collect();
        assert_eq!(quantile(&sorted, 500), Some(Duration::from_micros(501)));
        assert_eq!(quantile(&sorted, 990), Some(Duration::from_micros(991)));
        assert_eq!(quantile(&sorted[..1], 990), Some(Duration::from_micros(1)));
        assert_eq!(quantile(&[], 500), None);
    }

    #[test]
    fn what_waits_behind_a_slow_answer_is_late_too() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        // One connection, each answer takes 20 ms: at 100 requests a second, every other one waits.
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut piece = [0; 1024];
            while matches!(stream.read(&mut piece), Ok(1..)) {
                thread::sleep(Duration::from_millis(20));
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
            }
        });
        let args = OfferArgs { addr, path: "/".into(), rate: 100, seconds: 1, connections: 1 };
        let offered = Generator::new(&args).unwrap().run().unwrap();
        server.join().unwrap();
        assert!(offered.p50_us > 300_000.0, "a queue of half a second was not seen: {offered:?}");
    }
}
