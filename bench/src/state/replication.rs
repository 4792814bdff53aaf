//! Two stores and the link between them, over an emulated wide area network in this process: how old the other side's view is, what
//! a write costs on the wire, and how long two regions need to agree after they were cut off from each other.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use bytes::Bytes;
use chaos_wan::{Carries, LinkShape, Path, Wan};
use pki::{Identity, Principal, WorldCa};
use replication_core::{Reply, SetExpiry, SetIf, TextOp};
use replication_link::{LinkConfig, LinkHandle, Peer};
use replication_storage::{StateStore, StoreConfig};

use super::{
    Bar, Figure,
    watcher::{PROBE, Sent, Watcher},
};
use crate::{StateArgs, redis_protocol::Scratch};

/// Writes per second, in steps of two milliseconds.
pub(super) const RATE: u64 = 5_000;
pub(super) const STEP: Duration = Duration::from_millis(2);
pub(super) const PER_STEP: u64 = RATE / 500;
/// Keys that are written, and bytes of a value; a key has 16.
pub(super) const KEYS: u64 = 100_000;
pub(super) const VALUE_BYTES: usize = 64;
pub(super) const KEY_BYTES: usize = 16;
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
        let (sent, there, probe) = (Sent::default(), self.stores[1].clone(), TextOp::Get.on(PROBE));
        let look = move || {
            let Reply::Bulk(text) = there.execute(&probe).reply else { return None };
            std::str::from_utf8(&text).ok()?.parse().ok()
        };
        let watcher = Watcher::start(sent.clone(), look);
        let written = self.write(Duration::from_secs(seconds), Some(&sent)).await?;
        self.agree().await?;
        let lags = watcher.stop();
        let bytes = (self.wire_bytes() - before) as f64 / written.writes as f64;
        let what = |what: &str| format!("{what}, {RATE} writes/s, round trip {rtt_ms} ms");
        let bar = Bar::AtMost(rtt_ms / 2.0 + 15.0);
        Ok(vec![
            Figure::new(what("replication lag, median"), lags.at(0.5), "ms", None),
            Figure::new(what("replication lag, p99"), lags.at(0.99), "ms", Some(bar)),
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

    async fn write(&self, time: Duration, sent: Option<&Sent>) -> anyhow::Result<Written> {
        let store = &self.stores[0];
        let start = Instant::now();
        let mut written = Written { writes: 0, keys: BTreeSet::new() };
        let mut ticks = tokio::time::interval(STEP);
        let mut luck = 0x5eed_u64;
        while start.elapsed() < time {
            ticks.tick().await;
            for _ in 0..PER_STEP {
                luck = step(luck);
                let key = (luck >> 33) % KEYS;
                written.keys.insert(key);
                written.writes += 1;
                store.execute(&set(format!("k:{key:014}"), value(luck)));
            }
            if let Some(sent) = sent {
                sent.note(written.writes);
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

/// The next number of a sequence without a pattern that compresses.
pub(super) fn step(luck: u64) -> u64 {
    luck.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
}

/// A text that compresses no better than random letters do.
pub(super) fn value(seed: u64) -> Bytes {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    // Another sequence than the one that chooses keys, or values would repeat each other.
    let mut state = (seed ^ (seed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let letters = (0..VALUE_BYTES).map(|_| {
        state = step(state);
        LETTERS[(state >> 58) as usize]
    });
    letters.collect::<Vec<u8>>().into()
}

fn set(key: String, value: Bytes) -> replication_core::Op {
    TextOp::Set { value, expiry: SetExpiry::Clear, condition: SetIf::Always, get: false }.on(key)
}
