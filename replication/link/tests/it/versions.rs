//! This version beside the one before.

use bytes::Bytes;
use replication_core::{Change, Delta, Hlc, Part, ReplicaId, Score, Value, VersionVector, partition_of};
use smallvec::SmallVec;

use crate::{
    net::{NOON, Net},
    world::{get, incr, set},
};

/// A sorted set's member, written by a region that is no more.
fn rated(key: &str) -> Delta {
    let key = Bytes::copy_from_slice(key.as_bytes());
    let replica = ReplicaId { region: 9, incarnation: 1 };
    let put = Some(Value::Score(Score(2.5)));
    let change =
        Change { key: key.clone(), part: Part::Rated(Bytes::from_static(b"m")), removes: SmallVec::new(), put };
    let (partition, needs) = (partition_of(&key), VersionVector::new());
    Delta { partition, replica, first_seq: 1, hlc: Hlc::from_ms(NOON), needs, changes: vec![change] }
}

fn connect(net: &mut Net, version: u16) {
    let now_ms = net.now_ms;
    net.link(1, 2).connect(now_ms, version);
}

/// Invariant 15: version skew.
#[test]
fn a_peer_of_the_version_before_gets_and_gives_all_that_both_know() {
    let mut net = Net::new(2);
    net.run_op(1, &set("before", "v"));
    connect(&mut net, 1);
    for n in 0..50 {
        net.run_op(1, &set(&format!("a{n}"), "x"));
        net.run_op(2, &incr("n", 1));
        net.run(1);
    }
    net.converge();
    let status = net.status(1, 2);
    assert_eq!((status.version, status.held_off), (1, None));
    assert_eq!(get(net.store(1), "n").as_deref(), Some("50"));
    net.until("both are live", |net| net.status(1, 2).live && net.status(2, 1).live);
}

#[test]
fn a_peer_too_old_for_something_is_held_off_by_name_and_loses_nothing() {
    let mut net = Net::new(2);
    connect(&mut net, 1);
    net.run_op(1, &set("k", "v"));
    net.converge();
    net.cut(1, 2);
    net.store(1).offer(rated("scores"));
    connect(&mut net, 1);
    net.until("the peer is held off", |net| net.status(1, 2).held_off.is_some());
    let why = net.status(1, 2).held_off.unwrap();
    assert!(why.contains("peer too old for sorted sets"), "{why}");
    // It is not cut off: what it writes arrives.
    net.run_op(2, &set("of the old one", "v"));
    net.until("its changes arrive", |net| get(net.store(1), "of the old one").is_some());
    net.run_op(1, &set("meanwhile", "v"));
    net.run(1000);
    assert_eq!(get(net.store(2), "meanwhile"), None);
    assert!(net.status(1, 2).connected);
    // Upgraded, it comes back and gets everything.
    net.cut(1, 2);
    connect(&mut net, 2);
    net.converge();
    assert_eq!(get(net.store(2), "meanwhile").as_deref(), Some("v"));
    assert_eq!(net.status(1, 2).held_off, None);
}
