//! Regions that were detached, and peers so slow that they might as well be.

use crate::{
    net::Net,
    world::{del, get, set},
};

fn key(n: usize) -> String {
    format!("{{d}}:{n}")
}

/// Invariants 3 and 14: detached and attached again.
#[test]
fn a_detached_region_delivers_its_writes_when_it_returns_and_brings_nothing_back() {
    let mut net = Net::new(3);
    net.connect_all();
    for n in 0..500 {
        net.run_op(1, &set(&key(n), "v"));
    }
    net.converge();
    net.run(300);
    net.cut(1, 2);
    net.cut(2, 3);
    // The others wait for it no longer: what they remove, they forget as soon as they have told each other.
    net.store(1).set_peers(&[3]);
    net.store(3).set_peers(&[1]);
    for n in 0..400 {
        net.run_op(1, &del(&key(n)));
    }
    net.run_op(2, &set("of the detached one", "v"));
    net.run_op(2, &set(&key(5), "written without having seen the removal"));
    let removals = |net: &Net| net.store(1).stats().removals + net.store(3).stats().removals;
    net.until("removals are forgotten", |net| removals(net) == 0);
    net.store(1).set_peers(&[2, 3]);
    net.store(3).set_peers(&[1, 2]);
    net.connect(1, 2);
    net.connect(2, 3);
    net.converge();
    for id in 1..=3 {
        assert_eq!(get(net.store(id), "of the detached one").as_deref(), Some("v"), "in region {id}");
        assert_eq!(get(net.store(id), &key(7)), None, "a deleted key came back in region {id}");
        assert!(get(net.store(id), &key(5)).is_some_and(|value| value.starts_with("written")), "in region {id}");
        assert_eq!(get(net.store(id), &key(450)).as_deref(), Some("v"));
    }
}

#[test]
fn a_peer_that_takes_nothing_costs_its_windows_and_holds_up_nobody() {
    let mut net = Net::with(3, |config| config.ring_bytes = 256 << 10);
    net.connect_all();
    net.run(500);
    net.link(1, 2).rate = 0;
    let value = "x".repeat(2000);
    let mut slowest = 0;
    for n in 0..2000 {
        let key = format!("k{n}");
        net.run_op(1, &set(&key, &value));
        if n % 100 == 0 {
            slowest = slowest.max(net.until("the third has it", |net| get(net.store(3), &key).is_some()));
        }
    }
    assert!(slowest <= 10, "{slowest} ms to the well peer");
    let held = net.link(1, 2).session(1).held_bytes();
    assert!(held < 2 << 20, "{held} bytes are held for the peer that takes nothing, of 4 MB written");
    net.link(1, 2).rate = usize::MAX;
    net.converge();
    net.until("all is live again", |net| net.status(2, 1).live && net.status(1, 2).live);
}
