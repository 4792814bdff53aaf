//! Links between stores without sockets or time: sessions driven by hand, over lanes that can be held, cut and counted.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use replication_link::{Input, Lane, NEWEST, Output, Peer, PeerStatus, Session};
use replication_storage::{Luck, StateStore, StoreConfig, Threads, WallClock};

use crate::world::{LOCAL, TempDir, name};

/// Noon of some day.
pub(crate) const NOON: u64 = 1_700_000_000_000;

/// A wall clock that is set by hand.
#[derive(Clone)]
pub(crate) struct Hand(Arc<AtomicU64>);

impl Hand {
    fn at(ms: u64) -> Self {
        Self(Arc::new(AtomicU64::new(ms)))
    }

    pub(crate) fn set(&self, ms: u64) {
        self.0.store(ms, Ordering::Release);
    }

    fn clock(&self) -> WallClock {
        let at = self.0.clone();
        WallClock::new(move || at.load(Ordering::Acquire))
    }
}

/// A region: its store and its wall clock.
pub(crate) struct Region {
    pub(crate) id: u16,
    pub(crate) store: StateStore,
    pub(crate) hand: Hand,
}

/// One end of a link, and what is on its way to it.
struct End {
    session: Session,
    store: StateStore,
    arriving: [VecDeque<Bytes>; 3],
    /// Why the machine closed the connection.
    closed: Option<String>,
    sent: [usize; 3],
}

/// Two regions' link.
pub(crate) struct Link {
    pub(crate) between: [u16; 2],
    ends: [End; 2],
    up: bool,
    /// How many bytes each lane takes per millisecond; `usize::MAX` for all.
    pub(crate) rate: usize,
}

/// Some regions, their links, one clock for all sessions.
pub(crate) struct Net {
    dir: TempDir,
    pub(crate) regions: Vec<Region>,
    pub(crate) links: Vec<Link>,
    pub(crate) now_ms: u64,
}

fn peer(id: u16) -> Peer {
    Peer { id, name: name(id), addr: (LOCAL, 9).into() }
}

impl Net {
    /// Regions numbered from 1, all linked with each other; nothing is connected yet.
    pub(crate) fn new(count: u16) -> Self {
        Self::with(count, |_| {})
    }

    pub(crate) fn with(count: u16, change: impl Fn(&mut StoreConfig)) -> Self {
        let dir = TempDir::new();
        let open = |id: u16| {
            let hand = Hand::at(NOON);
            let mut config = StoreConfig::new(dir.path().join(name(id)), "shop", id);
            config.clock = hand.clock();
            config.luck = Luck::seeded(u64::from(id));
            config.threads = Threads::None;
            change(&mut config);
            let store = StateStore::open(config).unwrap().0;
            let others: Vec<u16> = (1..=count).filter(|other| *other != id).collect();
            store.set_peers(&others);
            Region { id, store, hand }
        };
        let regions: Vec<Region> = (1..=count).map(open).collect();
        let mut net = Self { dir, regions, links: Vec::new(), now_ms: 1000 };
        for a in 1..=count {
            for b in a + 1..=count {
                net.links.push(Link::new(net.store(a), net.store(b)));
            }
        }
        net
    }

    /// Puts an empty store in the place of a region's, as after the loss of its disk.
    pub(crate) fn lose_everything(&mut self, id: u16) {
        let at = usize::from(id) - 1;
        let (hand, others) = (self.regions[at].hand.clone(), self.regions.iter().map(|r| r.id).filter(|o| *o != id));
        let mut config = StoreConfig::new(self.dir.path().join(format!("{}-{}", name(id), self.now_ms)), "shop", id);
        config.clock = hand.clock();
        config.luck = Luck::seeded(self.now_ms << 16 | u64::from(id));
        config.threads = Threads::None;
        let store = StateStore::open(config).unwrap().0;
        store.set_peers(&others.collect::<Vec<_>>());
        self.put_in(Region { id, store, hand });
    }

    /// Puts another store in the place of a region's, as when a disk that was thought lost is found.
    pub(crate) fn put_back(&mut self, id: u16, store: StateStore) {
        let hand = self.regions[usize::from(id) - 1].hand.clone();
        self.put_in(Region { id, store, hand });
    }

    fn put_in(&mut self, region: Region) {
        let id = region.id;
        self.regions[usize::from(id) - 1] = region;
        for link in 0..self.links.len() {
            let [a, b] = self.links[link].between;
            if a == id || b == id {
                self.links[link] = Link::new(self.store(a), self.store(b));
            }
        }
    }

    pub(crate) fn store(&self, id: u16) -> &StateStore {
        &self.regions[usize::from(id) - 1].store
    }

    pub(crate) fn link(&mut self, a: u16, b: u16) -> &mut Link {
        self.links.iter_mut().find(|link| link.between == [a.min(b), a.max(b)]).unwrap()
    }

    pub(crate) fn connect_all(&mut self) {
        let now_ms = self.now_ms;
        self.links.iter_mut().for_each(|link| link.connect(now_ms, NEWEST));
    }

    pub(crate) fn connect(&mut self, a: u16, b: u16) {
        let now_ms = self.now_ms;
        self.link(a, b).connect(now_ms, NEWEST);
    }

    pub(crate) fn cut(&mut self, a: u16, b: u16) {
        let now_ms = self.now_ms;
        self.link(a, b).cut(now_ms);
    }

    /// Lets time go on, and everything with it.
    pub(crate) fn run(&mut self, ms: u64) {
        (0..ms).for_each(|_| self.step(1));
    }

    /// Lets much time go on in larger steps.
    pub(crate) fn pass(&mut self, ms: u64) {
        (0..ms / 20).for_each(|_| self.step(20));
    }

    fn step(&mut self, ms: u64) {
        self.now_ms += ms;
        for region in &self.regions {
            region.hand.0.fetch_add(ms, Ordering::AcqRel);
            if self.now_ms % 1000 < ms {
                region.store.tick();
            }
            region.store.write_pending().unwrap();
        }
        let now_ms = self.now_ms;
        self.links.iter_mut().for_each(|link| link.step(now_ms));
    }

    /// Runs until something holds; panics with `what` if it does not within a minute.
    pub(crate) fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) -> u64 {
        self.until_each(1, what, holds)
    }

    /// The same, looking each so many milliseconds.
    fn until_each(&mut self, ms: u64, what: &str, holds: impl Fn(&Self) -> bool) -> u64 {
        let began = self.now_ms;
        while !holds(self) {
            assert!(self.now_ms < began + 60_000, "not within a minute: {what}");
            self.run(ms);
        }
        self.now_ms - began
    }

    /// Runs until all regions have seen and hold the same.
    pub(crate) fn converge(&mut self) -> u64 {
        self.converge_of("the regions agree")
    }

    /// The same, with a name for the case.
    pub(crate) fn converge_of(&mut self, what: &str) -> u64 {
        let agree = |net: &Self| net.regions.windows(2).all(|pair| pair[0].store.digest() == pair[1].store.digest());
        self.until_each(10, what, agree)
    }

    /// What region `at` sees of its link to `peer`.
    pub(crate) fn status(&self, at: u16, peer: u16) -> PeerStatus {
        let link = self.links.iter().find(|link| link.between == [at.min(peer), at.max(peer)]).unwrap();
        link.ends[usize::from(at > peer)].session.status(self.now_ms)
    }

    /// Executes and writes, as a client would see it.
    pub(crate) fn run_op(&self, id: u16, op: &replication_core::Op) -> replication_core::Reply {
        let done = self.store(id).execute(op);
        if let Some(mark) = done.mark {
            self.store(id).persist_now(mark).unwrap();
        }
        done.reply
    }
}

impl Link {
    fn new(a: &StateStore, b: &StateStore) -> Self {
        let end = |store: &StateStore, other: u16| End {
            session: Session::new(store.clone(), peer(other)),
            store: store.clone(),
            arriving: Default::default(),
            closed: None,
            sent: [0; 3],
        };
        let ends = [end(a, b.region()), end(b, a.region())];
        Self { between: [a.region(), b.region()], ends, up: false, rate: usize::MAX }
    }

    pub(crate) fn connect(&mut self, now_ms: u64, version: u16) {
        self.up = true;
        for end in &mut self.ends {
            end.closed = None;
            end.arriving = Default::default();
            end.session.handle(now_ms, Input::Opened { version });
        }
    }

    pub(crate) fn cut(&mut self, now_ms: u64) {
        self.up = false;
        for end in &mut self.ends {
            end.session.handle(now_ms, Input::Closed { why: "cut".to_owned() });
            end.arriving = Default::default();
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.up
    }

    /// Why the machine at `id` closed the connection.
    pub(crate) fn closed_by(&self, id: u16) -> Option<&str> {
        self.ends[self.at(id)].closed.as_deref()
    }

    pub(crate) fn session(&self, id: u16) -> &Session {
        &self.ends[self.at(id)].session
    }

    /// Bytes that the end at `id` has sent on a lane.
    pub(crate) fn sent(&self, id: u16, lane: Lane) -> usize {
        self.ends[self.at(id)].sent[lane as usize]
    }

    /// Lets the end at `id` receive bytes that nobody sent.
    pub(crate) fn inject(&mut self, now_ms: u64, id: u16, lane: Lane, bytes: Bytes) {
        let at = self.at(id);
        self.ends[at].session.handle(now_ms, Input::Frame { lane, bytes });
        self.put_out(now_ms, at);
    }

    fn at(&self, id: u16) -> usize {
        usize::from(self.between[0] != id)
    }

    fn step(&mut self, now_ms: u64) {
        if !self.up {
            return;
        }
        for at in 0..2 {
            self.ends[at].session.handle(now_ms, Input::Tick);
            self.put_out(now_ms, at);
            for lane in Lane::ALL {
                self.deliver(now_ms, at, lane);
            }
        }
        if self.ends.iter().any(|end| end.closed.is_some()) {
            self.cut(now_ms);
        }
    }

    /// Brings what is on its way to one end, as fast as the link is.
    fn deliver(&mut self, now_ms: u64, at: usize, lane: Lane) {
        let mut left = self.rate;
        while left > 0
            && let Some(mut bytes) = self.ends[at].arriving[lane as usize].pop_front()
        {
            let now = bytes.split_to(bytes.len().min(left));
            left -= now.len();
            if !bytes.is_empty() {
                self.ends[at].arriving[lane as usize].push_front(bytes);
            }
            self.ends[1 - at].session.handle(now_ms, Input::Wrote { lane, bytes: now.len() });
            self.put_out(now_ms, 1 - at);
            self.ends[at].session.handle(now_ms, Input::Frame { lane, bytes: now });
            self.put_out(now_ms, at);
        }
    }

    fn put_out(&mut self, now_ms: u64, at: usize) {
        while let Some(output) = self.ends[at].session.next_output() {
            match output {
                Output::Send { lane, bytes } => {
                    self.ends[at].sent[lane as usize] += bytes.len();
                    self.ends[1 - at].arriving[lane as usize].push_back(bytes);
                }
                Output::Persist(mark) => {
                    self.ends[at].store.persist_now(mark).unwrap();
                    self.ends[at].session.handle(now_ms, Input::Persisted(mark));
                }
                Output::Close { reason } => self.ends[at].closed = Some(reason),
            }
        }
    }
}
