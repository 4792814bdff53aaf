//! Real processes, killed with `kill -9` at random moments under load: what was acknowledged is there after each start, and at
//! the end all regions hold the same. Invariants 3 (no resurrection), 4 (no lost update), 6 (an acknowledgement never comes before
//! its write), 7 (no half of a transaction) and 13 (the regions agree again).
//!
//! A kill loses nothing that was handed to the system, so at both levels (`everysec` and `always`) nothing acknowledged may go.
//! Each client writes to one region only and checks it right after its restart, before the peers can bring back what was lost.
//! `ATOLL_KILLS` says how many kills, `ATOLL_KILL_SEED` with what luck.

mod ledger;
mod region;

use std::{
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::setting;

use self::{
    ledger::{Ledger, connect},
    region::{Region, World},
};

const REGIONS: u16 = 3;
/// Clients of each region.
const CLIENTS: usize = 2;
/// How long regions may take to agree.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where each region is now; nowhere while it is down.
type Addresses = [Mutex<Option<SocketAddr>>; REGIONS as usize];

/// Kills and starts regions while clients write.
struct Killer {
    world: World,
    regions: Vec<Region>,
    random: u64,
}

/// Invariants 4 and 6, with real processes.
#[test]
fn nothing_acknowledged_is_lost_when_processes_are_killed() {
    let kills = setting("ATOLL_KILLS", 100);
    let seed = setting("ATOLL_KILL_SEED", 1);
    let world = World::new(REGIONS);
    let regions: Vec<Region> = (1..=REGIONS).map(|id| world.start(id)).collect();
    let addresses: Addresses = std::array::from_fn(|at| Mutex::new(Some(regions[at].address())));
    let mut killer = Killer { world, regions, random: seed };
    let stop = AtomicBool::new(false);
    let ledgers: Vec<Ledger> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..usize::from(REGIONS) * CLIENTS)
            .map(|client| {
                let ledger = Ledger::new(format!("{client}"), seed + client as u64);
                let address = &addresses[client % usize::from(REGIONS)];
                let stop = &stop;
                scope.spawn(move || be_a_client(ledger, address, stop))
            })
            .collect();
        let mut done = 0;
        let stopping = StopAtEnd(&stop);
        while done < kills && !stop.load(Ordering::Acquire) {
            done += killer.strike(&addresses);
        }
        drop(stopping);
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    killer.await_agreement();
    for ledger in &ledgers {
        assert!(ledger.counted > 0 && !ledger.removed.is_empty(), "client {} wrote too little", ledger.owner);
        for address in &addresses {
            let address = address.lock().unwrap().unwrap();
            ledger.check(address).unwrap_or_else(|wrong| panic!("at the end, in the region at {address}: {wrong}"));
        }
    }
}

/// Tells clients to stop, also when the killer's hand finds something wrong and panics: a scope waits for its threads.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Writes to one region for ever, and checks what it knows whenever the region comes back.
fn be_a_client(mut ledger: Ledger, address: &Mutex<Option<SocketAddr>>, stop: &AtomicBool) -> Ledger {
    let stops = || stop.load(Ordering::Acquire);
    while !stops() {
        let now = *address.lock().unwrap();
        let Some(mut stream) = now.and_then(|now| connect(now).ok()) else {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        };
        if let Err(wrong) = ledger.check(now.unwrap()) {
            // It may have been killed again meanwhile; then somebody else is there now, or nobody.
            if *address.lock().unwrap() == now && connect(now.unwrap()).is_ok() {
                stop.store(true, Ordering::Release);
                panic!("after a restart: {wrong}");
            }
            continue;
        }
        if let Err(error) = ledger.write_on(&mut stream, &stops)
            && error.kind() == std::io::ErrorKind::Other
        {
            stop.store(true, Ordering::Release);
            panic!("a write was refused: {error}");
        }
    }
    ledger
}

impl Killer {
    fn luck(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % below
    }

    /// Kills one region, at times two, at times one that has hardly begun; returns how many processes were killed.
    fn strike(&mut self, addresses: &Addresses) -> u64 {
        std::thread::sleep(Duration::from_millis(self.luck(150)));
        let first = self.luck(u64::from(REGIONS)) as usize;
        let mut struck = vec![first];
        if self.luck(6) == 0 {
            struck.push((first + 1) % usize::from(REGIONS));
        }
        for at in &struck {
            *addresses[*at].lock().unwrap() = None;
            self.regions[*at].kill();
        }
        let mut kills = struck.len() as u64;
        for at in &struck {
            self.regions[*at] = self.world.start(*at as u16 + 1);
            if self.luck(4) == 0 {
                // In the middle of its recovery.
                std::thread::sleep(Duration::from_millis(self.luck(40)));
                self.regions[*at].kill();
                self.regions[*at] = self.world.start(*at as u16 + 1);
                kills += 1;
            }
        }
        for at in struck {
            *addresses[at].lock().unwrap() = Some(self.regions[at].address());
        }
        self.audit();
        kills
    }

    /// Counts partitions that have seen the same and do not hold the same; there is none, ever. Returns whether all agree.
    fn audit(&mut self) -> bool {
        let digests: Vec<Vec<(u64, u64)>> = self.regions.iter_mut().map(Region::digest).collect();
        let divergent = |a: &[(u64, u64)], b: &[(u64, u64)]| {
            let pairs = a.iter().zip(b).enumerate();
            pairs.filter(|(_, (a, b))| a.0 == b.0 && a.1 != b.1).map(|(partition, _)| partition).collect::<Vec<_>>()
        };
        for (at, pair) in digests.windows(2).enumerate() {
            let divergent = divergent(&pair[0], &pair[1]);
            assert!(divergent.is_empty(), "regions {} and {} differ in partitions {divergent:?}", at + 1, at + 2);
        }
        digests.windows(2).all(|pair| pair[0] == pair[1])
    }

    fn await_agreement(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.audit() {
            assert!(Instant::now() < deadline, "the regions do not agree after {} s", PATIENCE.as_secs());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
