//! Two stores and the link between them, over an emulated wide area network in this process: how old the other side's view is, what
//! a write costs on the wire, and how long two regions need to agree after they were cut off from each other.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use bytes::Bytes;
use chaos_wan::{Carries, LinkShape, Path, Wan};
use pki::{Identity, Principal, WorldCa};
use replication_core::{Reply, SetExpiry, SetIf, TextOp};
use replication_link::{LinkConfig, LinkHandle, Peer};
use replication_storage::{StateStore, StoreConfig};

use super::{Bar, Figure};
use crate::{StateArgs, redis_protocol::Scratch};

/// Writes per second, in steps of two milliseconds.
const RATE: u64 = 5_000;
const STEP: Duration = Duration::from_millis(2);
const PER_STEP: u64 = RATE / 500;
/// Keys that are written, and bytes of a value; a key has 16.
const KEYS: u64 = 100_000;
const VALUE_BYTES: usize = 64;
const KEY_BYTES: usize = 16;
/// How long regions may take to agree before that is an error.
const PATIENCE: Duration = Duration::from_secs(120);

/// Two regions, and the network between them.
struct Two {
    stores: [StateStore; 2],
    links: Vec<LinkHandle>,
    wan: Wan,
    shape: LinkShape,
    _dir: Scratch,
}

pub(super) fn measure(rtt_ms: f64, args: &StateArgs) -> anyhow::Result<Vec<Figure>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let two = Two::start(rtt_ms).await?;
        let mut figures = two.lag(rtt_ms, args.seconds).await?;
        figures.extend(two.heal(rtt_ms, args.apart_s).await?);
        for link in two.links {
            link.shutdown().await;
        }
        Ok(figures)
    })
}

fn name(id: u16) -> String {
    format!("region-{id}")
}

impl Two {
    async fn start(rtt_ms: f64) -> anyhow::Result<Self> {
        let dir = Scratch::make(&format!("replication-{rtt_ms}"))?;
        let ca = WorldCa::create(&dir.path().join("pki"), "bench")?;
        let free = || Ok::<_, anyhow::Error>(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?);
        let (own, path): ([SocketAddr; 2], SocketAddr) = ([free()?, free()?], free()?);
        let mut wan = Wan::new(&[name(1), name(2)]);
        // The region with the smaller number dials, so one path is enough.
        wan.open(&Path { from: name(1), to: name(2), carries: Carries::Udp, listen: path, target: own[1] }).await?;
        let store = |id: u16| anyhow::Ok(StateStore::open(StoreConfig::new(dir.path().join(name(id)), "bench", id))?.0);
        let stores = [store(1)?, store(2)?];
        let link = |id: u16, peer: u16, addr: SocketAddr| {
            let files = ca.issue(&Principal::Region(name(id)), &[Ipv4Addr::LOCALHOST.into()])?;
            let identity = Identity::load(&files.ca, &files.cert, &files.key)?;
            let peers = vec![Peer { id: peer, name: name(peer), addr }];
            let listen = own[usize::from(id) - 1];
            let config = LinkConfig { self_id: id, self_name: name(id), listen, peers, identity };
            anyhow::Ok(replication_link::start(config, stores[usize::from(id) - 1].clone())?)
        };
        let links = vec![link(2, 1, own[0])?, link(1, 2, path)?];
        let two = Self { stores, links, wan, shape: LinkShape::of_round_trip(rtt_ms), _dir: dir };
        two.shape(two.shape)?;
        two.agree().await.context("the link does not come up")?;
        Ok(two)
    }

    fn shape(&self, shape: LinkShape) -> anyhow::Result<()> {
        self.wan.set(&name(1), &name(2), shape)?;
        self.wan.set(&name(2), &name(1), shape)
    }

    fn wire_bytes(&self) -> u64 {
        self.wan.counts().values().map(|count| count.bytes).sum()
    }

    /// Waits until both hold the same and know it; how long that took.
    async fn agree(&self) -> anyhow::Result<Duration> {
        let start = Instant::now();
        let connected = || self.links.iter().all(|link| link.status().iter().all(|peer| peer.connected));
        while !connected() || self.stores[0].digest() != self.stores[1].digest() {
            if start.elapsed() > PATIENCE {
                bail!("the regions do not agree within {} s", PATIENCE.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(start.elapsed())
    }

    /// Writes at the rate, and watches from the other side.
    async fn lag(&self, rtt_ms: f64, seconds: u64) -> anyhow::Result<Vec<Figure>> {
        let before = self.wire_bytes();
        let watcher = Watcher::start(self.stores[1].clone());
        let written = self.write(Duration::from_secs(seconds), Some(&watcher)).await?;
        self.agree().await?;
        let mut lags_ms = watcher.stop();
        lags_ms.sort_by(f64::total_cmp);
        let at = |share: f64| lags_ms.get((lags_ms.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
        let bytes = (self.wire_bytes() - before) as f64 / written.writes as f64;
        let what = |what: &str| format!("{what}, {RATE} writes/s, round trip {rtt_ms} ms");
        let bar = Bar::AtMost(rtt_ms / 2.0 + 15.0);
        Ok(vec![
            Figure::new(what("replication lag, median"), at(0.5), "ms", None),
            Figure::new(what("replication lag, p99"), at(0.99), "ms", Some(bar)),
            Figure::new(what("bytes on the wire per write of 80 bytes, both ways"), bytes, "B", None),
        ])
    }

    /// Cuts the link, writes, and heals it.
    async fn heal(&self, rtt_ms: f64, apart_s: u64) -> anyhow::Result<Vec<Figure>> {
        self.shape(LinkShape { cut: true, ..self.shape })?;
        let written = self.write(Duration::from_secs(apart_s), None).await?;
        let before = self.wire_bytes();
        self.shape(self.shape)?;
        let took = self.agree().await?;
        let changed = written.keys.len() * (KEY_BYTES + VALUE_BYTES);
        let ratio = (self.wire_bytes() - before) as f64 / changed as f64;
        let what = |what: &str| format!("{what} after {apart_s} s apart at {RATE} writes/s, round trip {rtt_ms} ms");
        Ok(vec![
            Figure::new(what("converged"), took.as_secs_f64(), "s", Some(Bar::AtMost(5.0))),
            Figure::new(what("bytes sent / changed data"), ratio, "", Some(Bar::AtMost(1.3))),
        ])
    }

    async fn write(&self, time: Duration, watcher: Option<&Watcher>) -> anyhow::Result<Written> {
        let store = &self.stores[0];
        let start = Instant::now();
        let mut written = Written { writes: 0, keys: BTreeSet::new() };
        let mut ticks = tokio::time::interval(STEP);
        let mut luck = 0x5eed_u64;
        while start.elapsed() < time {
            ticks.tick().await;
            for _ in 0..PER_STEP {
                luck = luck.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let key = (luck >> 33) % KEYS;
                written.keys.insert(key);
                written.writes += 1;
                store.execute(&set(format!("k:{key:014}"), value(luck)));
            }
            if let Some(watcher) = watcher {
                watcher.sends(written.writes);
                store.execute(&set(PROBE.to_owned(), Bytes::from(written.writes.to_string())));
            }
            store.persist_pending().await?;
        }
        Ok(written)
    }
}

/// What was written while it was measured.
struct Written {
    writes: u64,
    keys: BTreeSet<u64>,
}

/// A text that compresses no better than random letters do.
fn value(seed: u64) -> Bytes {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    // Another sequence than the one that chooses keys, or values would repeat each other.
    let mut state = (seed ^ (seed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let letters = (0..VALUE_BYTES).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        LETTERS[(state >> 58) as usize]
    });
    letters.collect::<Vec<u8>>().into()
}

fn set(key: String, value: Bytes) -> replication_core::Op {
    TextOp::Set { value, expiry: SetExpiry::Clear, condition: SetIf::Always, get: false }.on(key)
}

/// The key that carries the number of the newest write.
const PROBE: &str = "probe";
/// How often the other side is looked at.
const LOOK_EACH: Duration = Duration::from_micros(200);

/// Looks at the probe on the other side until it is told to stop.
struct Watcher {
    sent: Arc<Mutex<Vec<(u64, Instant)>>>,
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<Vec<f64>>,
}

impl Watcher {
    fn start(store: StateStore) -> Self {
        let (sent, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (theirs, stops) = (Arc::clone(&sent), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let probe = TextOp::Get.on(PROBE);
            let (mut lags_ms, mut next) = (Vec::new(), 0);
            while !stops.load(Ordering::Acquire) {
                thread::sleep(LOOK_EACH);
                let Reply::Bulk(text) = store.execute(&probe).reply else { continue };
                let seen: u64 = std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
                let now = Instant::now();
                let sent: &Mutex<Vec<(u64, Instant)>> = &theirs;
                let sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
                while let Some((_, at)) = sent.get(next).filter(|(number, _)| *number <= seen) {
                    lags_ms.push((now - *at).as_secs_f64() * 1e3);
                    next += 1;
                }
            }
            lags_ms
        });
        Self { sent, stop, thread }
    }

    /// Notes that this write is about to be made.
    fn sends(&self, number: u64) {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).push((number, Instant::now()));
    }

    fn stop(self) -> Vec<f64> {
        self.stop.store(true, Ordering::Release);
        self.thread.join().unwrap_or_default()
    }
}
