//! Catching up, step by step, and what it costs: the machines alone, without sockets or time.

use replication_link::Lane;

use crate::{
    net::Net,
    world::{del, get, incr, set},
};

/// A partition's worth of keys: the hash tag keeps them together.
fn key(n: usize) -> String {
    format!("{{together}}:{n:05}")
}

#[test]
fn two_regions_agree_without_sockets_or_clocks() {
    let mut net = Net::new(2);
    net.connect_all();
    for n in 0..100 {
        net.run_op(1, &set(&format!("a{n}"), "x"));
        net.run_op(2, &incr("n", 1));
    }
    let took = net.converge();
    assert!(took < 100, "{took} ms");
    assert_eq!(get(net.store(1), "n").as_deref(), Some("100"));
    net.until("both are live", |net| net.status(1, 2).live && net.status(2, 1).live);
}

#[test]
fn the_same_calls_give_the_same_bytes() {
    let trace = || {
        let mut net = Net::new(2);
        net.connect_all();
        for n in 0..50 {
            net.run_op(1 + n % 2, &set(&format!("k{}", n % 7), &n.to_string()));
            net.run(3);
        }
        net.converge();
        Lane::ALL.map(|lane| [net.link(1, 2).sent(1, lane), net.link(1, 2).sent(2, lane)])
    };
    assert_eq!(trace(), trace());
}

/// Invariant 13: no full copy.
#[test]
fn after_a_cut_the_bytes_are_in_proportion_to_what_changed() {
    let mut net = Net::new(2);
    for n in 0..5000 {
        net.run_op(1, &set(&key(n), &"x".repeat(100)));
    }
    net.connect_all();
    net.converge();
    net.run(200);
    net.cut(1, 2);
    for n in 0..50 {
        (0..20).for_each(|round| drop(net.run_op(1, &set(&key(n), &format!("changed {round}")))));
        net.run_op(1, &del(&key(n + 1000)));
    }
    let before = net.link(1, 2).sent(1, Lane::CatchUp);
    net.connect(1, 2);
    net.converge();
    let bytes = net.link(1, 2).sent(1, Lane::CatchUp) - before;
    assert!(bytes < 50 * 50 + 100 * 4 + 200, "{bytes} bytes for 50 changed and 50 deleted keys among 5000");
}

#[test]
fn where_the_removal_log_has_forgotten_sums_find_what_is_gone_at_the_cost_of_what_changed() {
    let mut net = Net::new(2);
    for n in 0..20_000 {
        net.run_op(1, &set(&key(n), "x"));
    }
    net.connect_all();
    net.converge();
    net.run(200);
    net.cut(1, 2);
    // More removals than the log keeps, all of one key's values; and a few keys gone for good.
    for n in 0..9000 {
        net.run_op(1, &set("{together}:hot", &n.to_string()));
    }
    (0..10).for_each(|n| drop(net.run_op(1, &del(&key(n + 500)))));
    let before = net.link(1, 2).sent(1, Lane::CatchUp);
    net.connect(1, 2);
    net.converge();
    let bytes = net.link(1, 2).sent(1, Lane::CatchUp) - before;
    assert_eq!(get(net.store(2), &key(505)), None);
    assert_eq!(get(net.store(2), &key(11)).as_deref(), Some("x"));
    // A list of all that lives would be 20 000 bytes and more.
    assert!(bytes < 2_000, "{bytes} bytes for 11 changed keys among 20 000");
}

#[test]
fn a_large_partition_travels_in_pieces_while_both_sides_write_to_it() {
    let mut net = Net::new(2);
    for n in 0..8000 {
        net.run_op(1, &set(&key(n), &format!("{n:0200}")));
    }
    net.link(1, 2).rate = 20_000;
    net.connect_all();
    for n in 0..400 {
        net.run(1);
        net.run_op(1, &set(&key(n * 7), "changed on the way"));
        net.run_op(1, &del(&key(n * 11 + 1)));
        net.run_op(2, &set(&key(n * 13 + 2), "of the taker"));
        let held = net.link(1, 2).session(1).held_bytes();
        assert!(held < 2 << 20, "{held} bytes held for the peer");
    }
    net.converge();
    let catch_ups = net.status(1, 2).catch_ups_sent;
    assert!(catch_ups < 20, "{catch_ups} catch-ups for one partition");
    net.until("both are live", |net| net.status(1, 2).live && net.status(2, 1).live);
}

/// Invariant 14: two recoveries at once wait for nothing of each other.
#[test]
fn two_regions_that_lost_everything_at_once_are_healed_by_the_third() {
    let mut net = Net::new(3);
    net.connect_all();
    for id in 1..=3 {
        (0..100).for_each(|n| drop(net.run_op(id, &set(&format!("of {id}: {n}"), "v"))));
        net.run_op(id, &incr("n", 10));
    }
    net.converge();
    net.run(300);
    for (a, b) in [(1, 2), (1, 3), (2, 3)] {
        net.cut(a, b);
    }
    net.lose_everything(1);
    net.lose_everything(2);
    assert_eq!((net.store(1).dbsize(), net.store(2).dbsize()), (0, 0));
    // The two see each other first, and each waits for nobody: writes go on.
    net.connect(1, 2);
    net.run(50);
    net.run_op(1, &incr("n", 1));
    net.run_op(2, &incr("n", 1));
    net.run(50);
    net.connect(1, 3);
    net.connect(2, 3);
    net.converge();
    for id in 1..=3 {
        assert_eq!(get(net.store(id), "n").as_deref(), Some("32"), "in region {id}");
        assert_eq!(net.store(id).dbsize(), 301);
    }
}

#[test]
fn a_rejoining_region_does_not_hold_up_live_changes() {
    let mut net = Net::new(2);
    for n in 0..30_000 {
        net.run_op(1, &set(&format!("k{n}"), &"x".repeat(300)));
    }
    // Some 9 MB at 20 kB a millisecond and lane: half a second of catching up.
    net.link(1, 2).rate = 20_000;
    net.connect_all();
    net.until("the round is under way", |net| net.status(2, 1).catch_ups_received > 100);
    let mut slowest = 0;
    let mut during = 0;
    for n in 0..20 {
        let key = format!("k{}", n * 3);
        net.run_op(1, &set(&key, "new"));
        if !net.status(2, 1).live {
            during += 1;
        }
        slowest = slowest.max(net.until("it arrives", |net| get(net.store(2), &key).as_deref() == Some("new")));
    }
    assert!(during > 5, "the round was over after {during} changes");
    assert!(slowest < 1500, "{slowest} ms");
    net.converge();
}

#[test]
fn session_writes_take_less_than_half_their_bytes_on_the_wire() {
    let mut net = Net::new(2);
    net.connect_all();
    net.until("the link is live", |net| net.status(1, 2).live);
    // 5000 a second for a fifth of a second: batches of ten.
    for n in 0..1000_usize {
        let (id, user) = (n.wrapping_mul(0x9E37_79B9_7F4A_7C15), n * 7919 % 50_000);
        let value = format!(
            r#"{{"cookie":{{"originalMaxAge":1800000,"httpOnly":true,"path":"/"}},"user":{{"id":{user},"roles":["customer"]}},"csrf":"{id:016x}"}}"#
        );
        net.run_op(1, &set(&format!("sess:{id:016x}"), &value));
        if n % 5 == 0 {
            net.run(1);
        }
    }
    net.converge();
    let status = net.status(1, 2);
    let per_write = status.live_bytes_sent / status.sent_deltas;
    assert!(status.sent_deltas == 1000 && per_write < 110, "{per_write} bytes a write, of some 230: {status:?}");
    assert!(status.lags.quantile_ms(0.99).is_some() || net.status(2, 1).lags.quantile_ms(0.99).is_some());
}
