//! Strangers for tests: luck with a seed, packets of real clients (`geo-dns/fuzz/corpus`), and what becomes of them on a bad line.
//!
//! Included by path by the test that counts allocations too, which is a program of its own.

use std::path::Path;

/// A small generator with a seed, so that a failure can be repeated (xorshift64*).
pub(crate) struct Luck(pub(crate) u64);

impl Luck {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// How many packets; `ATOLL_FUZZ_PACKETS=10000000` for the long run.
pub(crate) fn packets(usually: u64) -> u64 {
    std::env::var("ATOLL_FUZZ_PACKETS").ok().and_then(|n| n.parse().ok()).unwrap_or(usually)
}

/// Queries as `dig`, `kdig`, `drill`, `host` and `unbound` send them, one of each kind, and what fuzzing found worth keeping.
pub(crate) fn corpus() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/packet");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("the corpus").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).expect("a packet")).collect()
}

pub(crate) fn mutate(luck: &mut Luck, packet: &mut Vec<u8>) {
    for _ in 0..1 + luck.below(4) {
        let at = luck.below(packet.len());
        match luck.below(6) {
            0 | 1 => packet.iter_mut().skip(at).take(1).for_each(|b| *b ^= 1 << (luck.next() % 8)),
            2 => packet.iter_mut().skip(at).take(1).for_each(|b| *b = luck.next() as u8),
            3 => packet.truncate(at),
            4 => packet.insert(at, luck.next() as u8),
            _ => {
                let piece = packet[at..(at + luck.below(16)).min(packet.len())].to_vec();
                packet.extend(piece);
            }
        }
    }
}

/// A packet that may come: noise, or one of these on a bad line.
pub(crate) fn packet(luck: &mut Luck, seeds: &[Vec<u8>]) -> Vec<u8> {
    if luck.below(8) == 0 {
        return (0..luck.below(600)).map(|_| luck.next() as u8).collect();
    }
    let mut packet = seeds[luck.below(seeds.len())].clone();
    mutate(luck, &mut packet);
    packet
}
