//! The network between the regions: directed paths with delay, jitter and rate; connections with ordered lanes on top.
//!
//! A connection behaves as QUIC's do: nothing is lost or reordered within a lane, lanes overtake each other, a cut path holds
//! everything back until it heals or the connection times out, and a connection that ends takes with it what was under way.

use std::collections::BTreeMap;

use bytes::Bytes;
use replication_link::Lane;

use crate::rng::Rng;

/// How long a connection outlives a cut path, in milliseconds. Shorter than in production, as all times of the simulation are.
pub(crate) const IDLE_TIMEOUT_MS: u64 = 2_500;

/// One direction between two regions.
#[derive(Debug, Clone, Copy)]
struct Path {
    delay_ms: u64,
    jitter_ms: u64,
    /// 0 for no limit.
    bytes_per_ms: u64,
    /// How many faults hold it cut.
    cuts: u32,
    busy_until_ms: u64,
}

/// Something under way on a connection.
#[derive(Debug, Clone)]
pub(crate) struct Packet {
    /// Which connection.
    pub(crate) connection: u64,
    /// Sender.
    pub(crate) from: u16,
    /// Receiver.
    pub(crate) to: u16,
    /// On which lane.
    pub(crate) lane: Lane,
    /// What.
    pub(crate) bytes: Bytes,
}

#[derive(Debug)]
struct Connection {
    id: u64,
    /// Per direction (up: from the smaller region) and lane: when the last packet arrives.
    last_ms: [[u64; Lane::ALL.len()]; 2],
    held: Vec<Packet>,
}

/// All paths and connections.
#[derive(Debug)]
pub(crate) struct Net {
    paths: BTreeMap<(u16, u16), Path>,
    connections: BTreeMap<(u16, u16), Connection>,
    made: u64,
    rng: Rng,
}

fn pair(a: u16, b: u16) -> (u16, u16) {
    (a.min(b), a.max(b))
}

impl Net {
    /// Paths between the regions `1..=regions`, each with a delay of its own.
    pub(crate) fn new(regions: u16, mut rng: Rng) -> Self {
        let mut paths = BTreeMap::new();
        for from in 1..=regions {
            for to in (1..=regions).filter(|to| *to != from) {
                let delay_ms = rng.between(1, 80);
                let jitter_ms = rng.between(0, 20);
                paths.insert((from, to), Path { delay_ms, jitter_ms, bytes_per_ms: 0, cuts: 0, busy_until_ms: 0 });
            }
        }
        Self { paths, connections: BTreeMap::new(), made: 0, rng }
    }

    /// Whether nothing cuts the path.
    pub(crate) fn is_open(&self, from: u16, to: u16) -> bool {
        self.paths.get(&(from, to)).is_some_and(|path| path.cuts == 0)
    }

    /// The round trip between two regions, in milliseconds.
    pub(crate) fn round_trip_ms(&self, a: u16, b: u16) -> u64 {
        [(a, b), (b, a)].iter().filter_map(|way| self.paths.get(way)).map(|path| path.delay_ms).sum()
    }

    /// The connection between two regions, if there is one.
    pub(crate) fn connection(&self, a: u16, b: u16) -> Option<u64> {
        self.connections.get(&pair(a, b)).map(|connection| connection.id)
    }

    /// Makes a connection, in the place of an older one.
    pub(crate) fn connect(&mut self, a: u16, b: u16) -> u64 {
        self.made += 1;
        self.connections
            .insert(pair(a, b), Connection { id: self.made, last_ms: Default::default(), held: Vec::new() });
        self.made
    }

    /// Ends the connection; what was under way is lost.
    pub(crate) fn disconnect(&mut self, a: u16, b: u16) -> bool {
        self.connections.remove(&pair(a, b)).is_some()
    }

    /// Sends a packet; says when it has left and when it arrives. `None` if its connection is no more.
    pub(crate) fn send(&mut self, packet: &Packet, now_ms: u64) -> Option<(u64, u64)> {
        let path = self.paths.get_mut(&(packet.from, packet.to))?;
        let connection = self.connections.get_mut(&pair(packet.from, packet.to))?;
        if connection.id != packet.connection {
            return None;
        }
        let begins = path.busy_until_ms.max(now_ms);
        let left = begins + (packet.bytes.len() as u64).checked_div(path.bytes_per_ms).unwrap_or(0);
        path.busy_until_ms = left;
        let travels = left + path.delay_ms + self.rng.below(path.jitter_ms + 1);
        let last = &mut connection.last_ms[usize::from(packet.from > packet.to)][packet.lane as usize];
        *last = travels.max(*last);
        Some((left, *last))
    }

    /// What becomes of a packet at its arrival: it is there, or held back by a cut, or its connection is no more.
    pub(crate) fn arrive(&mut self, packet: Packet) -> Option<Packet> {
        let open = self.is_open(packet.from, packet.to);
        let connection = self.connections.get_mut(&pair(packet.from, packet.to))?;
        if connection.id != packet.connection {
            return None;
        }
        if !open {
            connection.held.push(packet);
            return None;
        }
        Some(packet)
    }

    /// Cuts a path once more.
    pub(crate) fn cut(&mut self, from: u16, to: u16) {
        if let Some(path) = self.paths.get_mut(&(from, to)) {
            path.cuts += 1;
        }
    }

    /// Takes one cut back, and returns what may go on now.
    pub(crate) fn heal(&mut self, from: u16, to: u16) -> Vec<Packet> {
        let Some(path) = self.paths.get_mut(&(from, to)) else { return Vec::new() };
        path.cuts = path.cuts.saturating_sub(1);
        if path.cuts > 0 {
            return Vec::new();
        }
        let Some(connection) = self.connections.get_mut(&pair(from, to)) else { return Vec::new() };
        let (freed, held) = std::mem::take(&mut connection.held).into_iter().partition(|packet| packet.from == from);
        connection.held = held;
        freed
    }

    /// Limits a path; 0 takes the limit away.
    pub(crate) fn limit(&mut self, from: u16, to: u16, bytes_per_ms: u64) {
        if let Some(path) = self.paths.get_mut(&(from, to)) {
            path.bytes_per_ms = bytes_per_ms;
            path.busy_until_ms = 0;
        }
    }

    /// Some milliseconds of network weather, below `bound`.
    pub(crate) fn weather_ms(&mut self, bound: u64) -> u64 {
        self.rng.below(bound)
    }
}
