//! Both ends of the way whose latency is measured: an open-loop generator, and the upstream that answers it.
//!
//! Requests come at a fixed rate, whether or not the ones before are answered. wrk asks again when it is answered, so it never sees what
//! waits behind a slow answer. A latency counts from the moment that the request was due if all connections were taken then, else from
//! when it was sent: that the generator itself was late is told apart.
//!
//! In, as lines of JSON on stdin: whom to ask and how often. Out: the upstream's address, then for each line of stdin one of JSON with how many
//! were answered and how late. One thread, epoll, blocking nowhere else.
//!
//! Why one program: the two share a core, and as two processes each would wait for the other's turn on it to end, up to 3 ms, which is
//! the scheduler's latency and no proxy's.

use std::{
    collections::{HashMap, VecDeque},
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rustix::event::{Timespec, epoll};
use serde::{Deserialize, Serialize};

use super::Body;

/// What the generator is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Load {
    /// Whom to ask.
    pub(super) addr: SocketAddr,
    /// Requests a second.
    pub(super) rate: u32,
    /// How long, after half a second that does not count.
    pub(super) seconds: u64,
    /// Connections to ask over.
    pub(super) connections: usize,
}

/// What it tells.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Offered {
    pub(super) requests: u64,
    pub(super) p50_us: f64,
    /// Of each tenth of a second the 99th of a hundred, and of these the median: what a machine does to everything on it for a moment
    /// each second is in some of them, what a proxy does to one request of a hundred is in all.
    pub(super) p99_us: f64,
    /// The 99th of a hundred of all, whatever the reason.
    pub(super) whole_p99_us: f64,
    /// How late the generator itself was, the 99th of a hundred requests.
    pub(super) late_p99_us: f64,
}

/// What comes first warms caches and connections up.
const WARM_UP: Duration = Duration::from_millis(500);
/// The last answers may take so long.
const PATIENCE: Duration = Duration::from_secs(10);
/// A head and a body of this bench, by far.
const LONGEST_MESSAGE: usize = 16 << 10;

/// What `epoll` names things by: connections to whom is asked by their numbers, those of the upstream from `SERVED` on.
const SERVED: u64 = 1 << 32;
const COMMANDS: u64 = u64::MAX;
const LISTENER: u64 = u64::MAX - 1;

/// Answers and offers loads until stdin ends.
pub(crate) fn offer() -> anyhow::Result<()> {
    let mut ends = Ends::new()?;
    epoll::add(&ends.epoll, io::stdin(), epoll::EventData::new_u64(COMMANDS), epoll::EventFlags::IN)?;
    println!("{}", ends.upstream.addr()?);
    loop {
        match ends.turn()? {
            Turn::Again => {}
            Turn::Told(offered) => println!("{}", serde_json::to_string(&offered)?),
            Turn::Command => {
                let mut line = String::new();
                // A line at a time, so nothing is left in a buffer that `epoll` does not know of.
                if io::stdin().read_line(&mut line).context("reading what to do")? == 0 {
                    return Ok(());
                }
                ends.begin(&serde_json::from_str(&line).with_context(|| format!("no load: {line:?}"))?)?;
            }
        }
    }
}

/// What a look at everything that is ready came to.
enum Turn {
    Again,
    /// The load is over.
    Told(Offered),
    Command,
}

struct Ends {
    epoll: OwnedFd,
    upstream: Upstream,
    generator: Option<Generator>,
}

impl Ends {
    fn new() -> anyhow::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let upstream = Upstream::new(&epoll)?;
        Ok(Self { epoll, upstream, generator: None })
    }

    fn begin(&mut self, load: &Load) -> anyhow::Result<()> {
        self.generator = Some(Generator::new(load, &self.epoll)?);
        Ok(())
    }

    fn turn(&mut self) -> anyhow::Result<Turn> {
        if let Some(generator) = &mut self.generator
            && !generator.ask_what_is_due()?
        {
            let told = generator.told()?;
            self.generator = None;
            return Ok(Turn::Told(told));
        }
        // Under load it never sleeps: a timer and an interrupt for each request would cost more than all the rest.
        let patience = self.generator.is_some().then_some(&Timespec { tv_sec: 0, tv_nsec: 0 });
        let mut events = Vec::with_capacity(256);
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), patience) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => bail!("epoll: {error}"),
        }
        let mut turn = Turn::Again;
        for event in &events {
            match event.data.u64() {
                COMMANDS => turn = Turn::Command,
                LISTENER => self.upstream.accept(&self.epoll)?,
                served @ SERVED.. => self.upstream.readable(served),
                asked => {
                    if let Some(generator) = &mut self.generator {
                        generator.readable(asked as usize)?;
                    }
                }
            }
        }
        Ok(turn)
    }
}

/// Gives the small answer, whatever the path, on connections that stay.
struct Upstream {
    listener: TcpListener,
    answer: Vec<u8>,
    /// With what has come of the next request.
    connections: HashMap<u64, (TcpStream, Vec<u8>)>,
    next: u64,
}

impl Upstream {
    fn new(epoll: &OwnedFd) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on 127.0.0.1")?;
        listener.set_nonblocking(true)?;
        epoll::add(epoll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
        let bytes = Body::Small.bytes();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n{}", "x".repeat(bytes)).into_bytes();
        Ok(Self { listener, answer, connections: HashMap::new(), next: SERVED })
    }

    fn addr(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    fn accept(&mut self, epoll: &OwnedFd) -> anyhow::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("accepting a connection"),
            };
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            epoll::add(epoll, &stream, epoll::EventData::new_u64(self.next), epoll::EventFlags::IN)?;
            self.connections.insert(self.next, (stream, Vec::with_capacity(4096)));
            self.next += 1;
        }
    }

    /// A connection that ends, or breaks, is the proxy's affair: the client sees what it makes of it.
    fn readable(&mut self, which: u64) {
        let Some((stream, got)) = self.connections.get_mut(&which) else { return };
        let mut piece = [0; 4096];
        let open = match stream.read(&mut piece) {
            Ok(0) => false,
            Ok(count) => {
                got.extend_from_slice(&piece[..count]);
                // A request has no body here, and there is one at a time on a connection.
                match got.ends_with(b"\r\n\r\n") {
                    true => {
                        got.clear();
                        stream.write_all(&self.answer).is_ok()
                    }
                    false => got.len() < LONGEST_MESSAGE,
                }
            }
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        };
        if !open {
            self.connections.remove(&which);
        }
    }
}

struct Connection {
    stream: TcpStream,
    /// What has come of the answer.
    got: Vec<u8>,
    /// When the latency of the request under way began to count.
    since: Instant,
}

struct Generator {
    request: Vec<u8>,
    connections: Vec<Connection>,
    free: VecDeque<usize>,
    /// When requests were due that found no connection free.
    waiting: VecDeque<Instant>,
    pause: Duration,
    start: Instant,
    end: Instant,
    /// When the next request is.
    due: Instant,
    latencies: Vec<Duration>,
    late: Vec<Duration>,
}

impl Generator {
    fn new(load: &Load, epoll: &OwnedFd) -> anyhow::Result<Self> {
        let mut connections = Vec::new();
        for i in 0..load.connections {
            let stream = TcpStream::connect(load.addr).with_context(|| format!("cannot connect to {}", load.addr))?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            epoll::add(epoll, &stream, epoll::EventData::new_u64(i as u64), epoll::EventFlags::IN)?;
            connections.push(Connection { stream, got: Vec::with_capacity(LONGEST_MESSAGE), since: Instant::now() });
        }
        let start = Instant::now() + Duration::from_millis(10);
        let end = start + WARM_UP + Duration::from_secs(load.seconds);
        Ok(Self {
            request: format!("GET {} HTTP/1.1\r\nHost: bench\r\n\r\n", Body::Small.path()).into_bytes(),
            free: (0..connections.len()).collect(),
            connections,
            waiting: VecDeque::new(),
            pause: Duration::from_secs(1) / load.rate.max(1),
            start,
            end,
            due: start,
            latencies: Vec::new(),
            late: Vec::new(),
        })
    }

    /// `false` when all is asked and answered.
    fn ask_what_is_due(&mut self) -> anyhow::Result<bool> {
        let mut now = Instant::now();
        while self.due <= now && self.due < self.end {
            self.ask(self.due, now)?;
            self.due += self.pause;
            now = Instant::now();
        }
        let under_way = self.connections.len() - self.free.len();
        if now > self.end + PATIENCE {
            bail!("{under_way} requests are not answered after {PATIENCE:?}");
        }
        Ok(self.due < self.end || under_way > 0)
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

    fn told(&mut self) -> anyhow::Result<Offered> {
        let tenth = Duration::from_millis(100).as_nanos() / self.pause.as_nanos().max(1);
        let tenths = self.latencies.chunks_mut(usize::try_from(tenth)?.max(1));
        let mut of_tenths: Vec<Duration> = tenths
            .filter_map(|tenth| {
                tenth.sort_unstable();
                quantile(tenth, 990)
            })
            .collect();
        of_tenths.sort_unstable();
        self.latencies.sort_unstable();
        self.late.sort_unstable();
        let of = |sorted: &[Duration], permille| Some(quantile(sorted, permille)?.as_secs_f64() * 1e6);
        Ok(Offered {
            requests: self.latencies.len() as u64,
            p50_us: of(&self.latencies, 500).context("nothing was answered")?,
            p99_us: of(&of_tenths, 500).context("nothing was answered")?,
            whole_p99_us: of(&self.latencies, 990).context("nothing was answered")?,
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
        if got.len() > LONGEST_MESSAGE {
            bail!("a head of more than {LONGEST_MESSAGE} bytes");
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

    fn offered(ends: &mut Ends, load: &Load) -> Offered {
        ends.begin(load).unwrap();
        loop {
            if let Turn::Told(offered) = ends.turn().unwrap() {
                return offered;
            }
        }
    }

    #[test]
    fn the_upstream_answers_what_is_offered() {
        let mut ends = Ends::new().unwrap();
        let load = Load { addr: ends.upstream.addr().unwrap(), rate: 500, seconds: 1, connections: 4 };
        for _ in 0..2 {
            assert_eq!(offered(&mut ends, &load).requests, 500);
        }
    }

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
        let offered = offered(&mut Ends::new().unwrap(), &Load { addr, rate: 100, seconds: 1, connections: 1 });
        server.join().unwrap();
        assert!(offered.p50_us > 300_000.0, "a queue of half a second was not seen: {offered:?}");
    }
}
