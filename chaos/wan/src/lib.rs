//! The WAN emulator: every packet between two regions of a local world passes through it.
//!
//! In: a set of directed links (`us-east → eu-west`) and, for each pair of regions, TCP and UDP paths laid over them.
//! Out: the same bytes, later (delay, jitter, rate), sometimes never (loss, cut), each direction on its own terms.
//!
//! ```text
//! us-east ── 127.0.1.102:9701 ─▶ [ link us→eu: delay, jitter, loss, rate, cut ] ─▶ 127.0.2.1:9701  eu-west
//!         ◀────────────────────── [ link eu→us: its own shape                 ] ◀──
//! ```
//!
//! Why in user space: netem is missing on many hosts and wants root; this needs neither. Faults act on datagrams as a wire would
//! (lost, late, reordered by jitter). A TCP path carries a byte stream whose segments the kernel has already acknowledged, so
//! nothing can be lost there: a lost segment is what the peer would see of it, a pause of one retransmission time-out, and a cut
//! holds bytes back until it heals or the connection gives up.

mod line;
mod shape;
mod tcp;
mod udp;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};

pub use shape::{LinkShape, ShapeError};

/// Name of an end of a link; a region's name.
pub type End = String;

/// One direction between two regions: its shape and what went through.
#[derive(Debug)]
pub(crate) struct Link {
    shape: RwLock<LinkShape>,
    /// Wakes paths that hold bytes back when the shape changes.
    changed: Notify,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Counters {
    bytes: AtomicU64,
    packets: AtomicU64,
    dropped: AtomicU64,
}

impl Link {
    pub(crate) fn shape(&self) -> LinkShape {
        *self.shape.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn count(&self, bytes: usize) {
        self.counters.packets.fetch_add(1, Ordering::Relaxed);
        self.counters.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn count_drop(&self) {
        self.counters.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns once the link is not cut. A cut is polled on change only, so a held path costs nothing.
    pub(crate) async fn until_open(&self) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if !self.shape().cut {
                return;
            }
            changed.await;
        }
    }
}

/// What went over one direction so far: the proof that a fault bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct LinkCount {
    /// Payload bytes forwarded.
    pub bytes: u64,
    /// Datagrams and stream chunks forwarded.
    pub packets: u64,
    /// Datagrams lost and chunks delayed by an emulated loss.
    pub dropped: u64,
}

/// The two directions a path runs over.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) forth: Arc<Link>,
    pub(crate) back: Arc<Link>,
}

/// The emulator. Dropping it closes every path.
#[derive(Debug)]
pub struct Wan {
    links: BTreeMap<(End, End), Arc<Link>>,
    paths: JoinSet<()>,
    closing: watch::Sender<bool>,
}

/// What a path carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carries {
    /// Byte streams.
    Tcp,
    /// Datagrams.
    Udp,
}

/// A path from one region to a service of another.
#[derive(Debug, Clone)]
pub struct Path {
    /// The region that dials.
    pub from: End,
    /// The region that is dialled.
    pub to: End,
    /// TCP or UDP.
    pub carries: Carries,
    /// Where `from` dials.
    pub listen: SocketAddr,
    /// Where `to` listens.
    pub target: SocketAddr,
}

impl Wan {
    /// An emulator with a link in each direction between each two ends, all of them open and without delay.
    pub fn new(ends: &[End]) -> Self {
        let mut links = BTreeMap::new();
        for from in ends {
            for to in ends.iter().filter(|to| *to != from) {
                let link = Link {
                    shape: RwLock::new(LinkShape::default()),
                    changed: Notify::new(),
                    counters: Counters::default(),
                };
                links.insert((from.clone(), to.clone()), Arc::new(link));
            }
        }
        Self { links, paths: JoinSet::new(), closing: watch::Sender::new(false) }
    }

    /// Opens a path. Fails if the address is taken or an end is unknown; everything later is the path's own business.
    pub async fn open(&mut self, path: &Path) -> anyhow::Result<()> {
        let pair = Pair { forth: self.link(&path.from, &path.to)?, back: self.link(&path.to, &path.from)? };
        let closing = self.closing.subscribe();
        match path.carries {
            Carries::Tcp => {
                let listener = tcp::listen(path.listen)?;
                self.paths.spawn(tcp::serve(listener, path.target, pair, closing));
            }
            Carries::Udp => {
                let socket = udp::bind(path.listen).await?;
                self.paths.spawn(udp::serve(socket, path.target, pair, closing));
            }
        }
        Ok(())
    }

    /// The shape of one direction.
    pub fn shape(&self, from: &str, to: &str) -> anyhow::Result<LinkShape> {
        Ok(self.link(from, to)?.shape())
    }

    /// Changes one direction; packets already on the way keep the delay they were given.
    pub fn set(&self, from: &str, to: &str, shape: LinkShape) -> anyhow::Result<()> {
        let shape = shape.checked()?;
        let link = self.link(from, to)?;
        *link.shape.write().unwrap_or_else(std::sync::PoisonError::into_inner) = shape;
        link.changed.notify_waiters();
        Ok(())
    }

    /// What each direction carried so far.
    pub fn counts(&self) -> BTreeMap<(End, End), LinkCount> {
        let read = |a: &AtomicU64| a.load(Ordering::Relaxed);
        let count =
            |c: &Counters| LinkCount { bytes: read(&c.bytes), packets: read(&c.packets), dropped: read(&c.dropped) };
        self.links.iter().map(|(ends, link)| (ends.clone(), count(&link.counters))).collect()
    }

    fn link(&self, from: &str, to: &str) -> anyhow::Result<Arc<Link>> {
        let found = self.links.get(&(from.to_owned(), to.to_owned()));
        found.cloned().ok_or_else(|| {
            let mut ends: Vec<&str> = self.links.keys().map(|(from, _)| from.as_str()).collect();
            ends.dedup();
            anyhow::anyhow!("there is no link from `{from}` to `{to}`; the ends are {}", ends.join(", "))
        })
    }
}

impl Drop for Wan {
    fn drop(&mut self) {
        self.closing.send_replace(true);
    }
}
