//! Random histories of three linked regions: writes, cuts, slow lanes, full rings, lost disks. Whatever happens, in the
//! end all have seen the same and hold the same, and the audit has never said otherwise.

use crate::{
    net::Net,
    world::{del, incr, set},
};

const PAIRS: [(u16, u16); 3] = [(1, 2), (1, 3), (2, 3)];

fn write(net: &Net, dice: &mut fastrand::Rng) {
    let id = dice.u16(1..=3);
    // Two crowded partitions, and some keys anywhere.
    let key = match dice.u8(..3) {
        0 => format!("{{a}}:{}", dice.u16(..900)),
        1 => format!("{{b}}:{}", dice.u8(..20)),
        _ => format!("c:{}", dice.u8(..100)),
    };
    match dice.u8(..8) {
        0 => drop(net.run_op(id, &del(&key))),
        1 => drop(net.run_op(id, &incr(&format!("n{key}"), 1))),
        _ => drop(net.run_op(id, &set(&key, &"v".repeat(dice.usize(1..2000))))),
    }
}

fn disturb(net: &mut Net, dice: &mut fastrand::Rng) {
    let (a, b) = PAIRS[dice.usize(..3)];
    match dice.u8(..10) {
        0..3 if net.link(a, b).is_up() => net.cut(a, b),
        0..7 if !net.link(a, b).is_up() => net.connect(a, b),
        7 => net.link(a, b).rate = dice.usize(0..5000),
        8 => net.link(a, b).rate = usize::MAX,
        9 if dice.u8(..8) == 0 => net.lose_everything(dice.u16(1..=3)),
        _ => {}
    }
}

fn history(seed: u64) {
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut net = Net::with(3, |config| config.ring_bytes = 64 << 10);
    net.connect_all();
    for _ in 0..400 {
        (0..dice.u8(..20)).for_each(|_| write(&net, &mut dice));
        if dice.u8(..10) == 0 {
            disturb(&mut net, &mut dice);
        }
        net.run(dice.u64(..4));
    }
    for (a, b) in PAIRS {
        net.link(a, b).rate = usize::MAX;
        if !net.link(a, b).is_up() {
            net.connect(a, b);
        }
    }
    net.converge_of(&format!("seed {seed}"));
    net.until("every link is live", |net| {
        PAIRS.iter().all(|(a, b)| net.status(*a, *b).live && net.status(*b, *a).live)
    });
    for (a, b) in PAIRS {
        for status in [net.status(a, b), net.status(b, a)] {
            assert_eq!(status.divergent_buckets, 0, "seed {seed}");
        }
    }
}

/// `ATOLL_SEEDS` says how many histories are tried.
#[test]
fn regions_agree_after_any_history() {
    let seeds = std::env::var("ATOLL_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(4);
    (0..seeds).for_each(history);
}
