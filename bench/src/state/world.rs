//! Whole regions: `atoll up --wan world`, a process each, written to and looked at through their Redis ports.
//!
//! ```text
//! 5000 writes/s ─→ us-east ──┬─ 80 ms round trip ──→ eu-west   ←─ a reader    lag = seen there − about to be written here
//!                            └─ 200 ms round trip ─→ ap-south  ←─ a reader
//! ```
//! Then us-east is cut off from both, written to, and healed: until all three hold the same.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use serde_json::Value;

use super::{
    Bar, Figure,
    redis::Redis,
    replication::{KEY_BYTES, KEYS, PER_STEP, RATE, STEP, VALUE_BYTES, step, value},
    watcher::{PROBE, Sent, Watcher},
};
use crate::{
    StateArgs,
    redis_protocol::{Process, Scratch},
};

/// Where the writes are made, and who looks at them from which round trip away, in milliseconds (the preset's).
const HERE: &str = "us-east";
const THERE: [(&str, f64); 2] = [("eu-west", 80.0), ("ap-south", 200.0)];
/// How long a world may take to start, and regions to agree.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often regions are asked whether they agree.
const ASK_EACH: Duration = Duration::from_millis(20);
/// How long a peer is given to see that a link is cut before anything is written.
const CUT_SEEN: Duration = Duration::from_secs(1);

/// A running world. Dropped, it is stopped, and its directory goes.
struct World {
    atoll: PathBuf,
    data: PathBuf,
    redis: Vec<(String, SocketAddr)>,
    // In the order of dropping: the processes, then their files.
    _process: Process,
    _dir: Scratch,
}

pub(super) fn measure(args: &StateArgs, atoll: &Path) -> anyhow::Result<Vec<Figure>> {
    let world = World::start(atoll)?;
    world.agree().context("the regions do not come to hold the same")?;
    let mut figures = world.lag(args.seconds)?;
    figures.extend(world.heal(args.apart_s)?);
    Ok(figures)
}

impl World {
    fn start(atoll: &Path) -> anyhow::Result<Self> {
        let dir = Scratch::make("world")?;
        let (data, log) = (dir.path().join("world"), dir.path().join("log"));
        let mut command = Command::new(atoll);
        command.args(["up", "--wan", "world", "--json", "--net", &free_net()?.to_string(), "--data"]).arg(&data);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        let start = || format!("cannot start {}; build it with `cargo build --release`, or name it", atoll.display());
        let mut process = Process(command.spawn().with_context(start)?);
        let stdout = process.0.stdout.take().context("`atoll up` has no stdout")?;
        let (lines, said) = mpsc::channel();
        thread::spawn(move || {
            // Until it ends: nobody who has been started may block on a full pipe.
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = lines.send(line);
            }
        });
        let deadline = Instant::now() + PATIENCE;
        let ready = loop {
            let Ok(line) = said.recv_timeout(deadline.saturating_duration_since(Instant::now())) else {
                bail!("the world did not get ready: {}", std::fs::read_to_string(&log).unwrap_or_default());
            };
            let event: Value = serde_json::from_str(&line).context("`atoll up --json` said something else")?;
            if event["event"] == "ready" {
                break event;
            }
        };
        let redis = addresses(&ready).context("`atoll up --json` names no regions")?;
        Ok(Self { atoll: atoll.to_owned(), data, redis, _process: process, _dir: dir })
    }

    fn redis(&self, region: &str) -> anyhow::Result<Redis> {
        let found = self.redis.iter().find(|(name, _)| name == region);
        Redis::connect(found.with_context(|| format!("the world has no region {region}"))?.1)
    }

    /// Runs a verb against the world.
    fn verb(&self, args: &[&str]) -> anyhow::Result<Value> {
        let output = Command::new(&self.atoll).args(args).arg("--json").arg("--data").arg(&self.data).output()?;
        let said = || format!("atoll {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).with_context(said)
    }

    /// Bytes that all links have carried.
    fn wire_bytes(&self) -> anyhow::Result<u64> {
        let links = self.verb(&["up", "wan", "show"])?;
        let links = links["links"].as_array().or(links.as_array()).context("`up wan show` lists no links")?;
        Ok(links.iter().filter_map(|link| link["bytes"].as_u64()).sum())
    }

    /// Waits until all regions hold the same; how long that took.
    fn agree(&self) -> anyhow::Result<Duration> {
        let start = Instant::now();
        while !agrees(&self.verb(&["status"])?) {
            if start.elapsed() > PATIENCE {
                bail!("the regions do not agree within {} s", PATIENCE.as_secs());
            }
            thread::sleep(ASK_EACH);
        }
        Ok(start.elapsed())
    }

    /// Writes at the rate, and watches from the other regions.
    fn lag(&self, seconds: u64) -> anyhow::Result<Vec<Figure>> {
        let sent = Sent::default();
        let mut watchers = Vec::new();
        for (region, rtt_ms) in THERE {
            let mut redis = self.redis(region)?;
            let look = move || redis.get(PROBE).ok().flatten()?.parse().ok();
            watchers.push((region, rtt_ms, Watcher::start(sent.clone(), look)));
        }
        let before = self.wire_bytes()?;
        let written = self.write(Duration::from_secs(seconds), Some(&sent))?;
        self.agree()?;
        let bytes = (self.wire_bytes()? - before) as f64 / written.writes as f64;
        let rate = written.writes as f64 / written.took.as_secs_f64();
        // Lag under less than the rate says little.
        let bar = Bar::AtLeast(RATE as f64 * 0.98);
        let mut figures = vec![Figure::new("whole regions: writes taken per second", rate, "", Some(bar))];
        for (region, rtt_ms, watcher) in watchers {
            let lags = watcher.stop();
            let what = |what: &str| format!("whole regions: {HERE} to {region}, lag {what}, {RATE} writes/s");
            let bar = Bar::AtMost(rtt_ms / 2.0 + 15.0);
            figures.push(Figure::new(what("median"), lags.at(0.5), "ms", None));
            figures.push(Figure::new(what("p99"), lags.at(0.99), "ms", Some(bar)));
        }
        let what = "whole regions: bytes on all wires per write of 80 bytes to two regions";
        figures.push(Figure::new(what, bytes, "B", None));
        Ok(figures)
    }

    /// Cuts the region off from all others, writes, and heals it.
    fn heal(&self, apart_s: u64) -> anyhow::Result<Vec<Figure>> {
        for (region, _) in THERE {
            self.verb(&["up", "wan", "cut", HERE, region])?;
        }
        thread::sleep(CUT_SEEN);
        let written = self.write(Duration::from_secs(apart_s), None)?;
        let before = self.wire_bytes()?;
        let start = Instant::now();
        self.verb(&["up", "wan", "heal"])?;
        self.agree()?;
        let took = start.elapsed();
        // Each of the others lacks everything that was written.
        let changed = written.keys.len() * (KEY_BYTES + VALUE_BYTES) * THERE.len();
        let ratio = (self.wire_bytes()? - before) as f64 / changed as f64;
        let what = |what: &str| format!("whole regions: {what} after {apart_s} s apart at {RATE} writes/s");
        Ok(vec![
            Figure::new(what("converged"), took.as_secs_f64(), "s", Some(Bar::AtMost(5.0))),
            Figure::new(what("bytes sent / changed data"), ratio, "", Some(Bar::AtMost(1.3))),
        ])
    }

    fn write(&self, time: Duration, sent: Option<&Sent>) -> anyhow::Result<Written> {
        let mut redis = self.redis(HERE)?;
        let mut written = Written { writes: 0, took: Duration::ZERO, keys: BTreeSet::new() };
        let (start, mut luck, mut due) = (Instant::now(), 0x5eed_u64, Instant::now());
        while start.elapsed() < time {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            due += STEP;
            for _ in 0..PER_STEP {
                luck = step(luck);
                let key = (luck >> 33) % KEYS;
                written.keys.insert(key);
                written.writes += 1;
                redis.set(&format!("k:{key:014}"), &value(luck));
            }
            if let Some(sent) = sent {
                sent.note(written.writes);
                redis.set(PROBE, written.writes.to_string().as_bytes());
            }
            redis.flush()?;
        }
        written.took = start.elapsed();
        Ok(written)
    }
}

/// What was written while it was measured, and in what time.
struct Written {
    writes: u64,
    took: Duration,
    keys: BTreeSet<u64>,
}

/// Name and Redis port of every region of the ready line.
fn addresses(ready: &Value) -> Option<Vec<(String, SocketAddr)>> {
    let address = |region: &Value| Some((region["name"].as_str()?.to_owned(), region["redis"].as_str()?.parse().ok()?));
    ready["regions"].as_array()?.iter().map(address).collect()
}

/// Whether a status shows all regions with the same digest.
fn agrees(status: &Value) -> bool {
    let Some(regions) = status["regions"].as_array() else { return false };
    let digests: BTreeSet<Option<&str>> = regions.iter().map(|region| region["digest"].as_str()).collect();
    digests.len() == 1 && !digests.contains(&None)
}

/// The second byte of addresses 127.x that nobody listens on.
fn free_net() -> anyhow::Result<u8> {
    let free = |net: u8| {
        [8080, 6379, 9700].iter().all(|port| TcpListener::bind((Ipv4Addr::new(127, net, 1, 1), *port)).is_ok())
    };
    (200..=250).find(|net| free(*net)).context("no loopback network 127.200 to 127.250 is free")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn regions_agree_when_all_digests_are_there_and_the_same() {
        let check = |digests: &[Option<&str>], want| {
            let regions: Vec<Value> = digests.iter().map(|digest| json!({ "digest": digest })).collect();
            assert_eq!(agrees(&json!({ "regions": regions })), want, "{digests:?}");
        };
        check(&[Some("a"), Some("a"), Some("a")], true);
        check(&[Some("a"), Some("b"), Some("a")], false);
        check(&[Some("a"), None, Some("a")], false);
        check(&[None, None], false);
        check(&[], false);
        assert!(!agrees(&json!({})));
    }

    #[test]
    fn the_ready_line_names_the_ports() {
        let ready = json!({ "regions": [{ "name": "us-east", "redis": "127.0.1.1:6379" }] });
        assert_eq!(addresses(&ready), Some(vec![("us-east".to_owned(), "127.0.1.1:6379".parse().unwrap())]));
        assert_eq!(addresses(&json!({ "regions": [{ "name": "us-east" }] })), None);
    }
}
