//! Peers that are wrong: clocks that run ahead, changes in a false name, garbage, and state that differs in secret.

use bytes::Bytes;
use replication_core::{Change, Delta, Hlc, Part, ReplicaId, Value, VersionVector, partition_of};
use replication_link::{Fault, Lane, NEWEST};
use smallvec::SmallVec;

use crate::{
    net::{NOON, Net},
    world::{get, set},
};

/// A change that puts a text, in anybody's name.
fn forged(replica: ReplicaId, seq: u64, hlc: Hlc, key: &str, text: &str) -> Delta {
    let key = Bytes::copy_from_slice(key.as_bytes());
    let put = Some(Value::Text(Bytes::copy_from_slice(text.as_bytes())));
    let change = Change { key: key.clone(), part: Part::Cell, removes: SmallVec::new(), put };
    let needs = VersionVector::new();
    Delta { partition: partition_of(&key), replica, first_seq: seq, hlc, needs, changes: vec![change] }
}

fn encoded(delta: &Delta) -> Vec<u8> {
    let mut bytes = Vec::new();
    delta.encode(&mut bytes);
    bytes
}

/// A batch frame of version 2.
fn batch(body: &[u8]) -> Bytes {
    let mut frame = (body.len() as u32 + 2).to_le_bytes().to_vec();
    frame.extend_from_slice(&[2, 0]);
    frame.extend_from_slice(body);
    frame.into()
}

fn linked(count: u16) -> Net {
    let mut net = Net::new(count);
    net.connect_all();
    net.run_op(1, &set("k", "v"));
    net.converge();
    net.until("the links are live", |net| net.status(1, 2).live && net.status(2, 1).live);
    net
}

fn fault_count(net: &Net, at: u16, peer: u16, fault: Fault) -> u64 {
    net.status(at, peer).faults.iter().find(|(kind, _)| *kind == fault).unwrap().1
}

#[test]
fn each_wrong_a_peer_can_do_quarantines_its_link_by_name_and_no_other() {
    let stranger = |region| ReplicaId { region, incarnation: 77 };
    let good = encoded(&forged(stranger(1), 1, Hlc::from_ms(NOON), "a", "b"));
    let mut broken = good.clone();
    *broken.last_mut().unwrap() ^= 1;
    let mut future = good.clone();
    future[4] = 9;
    let length = future.len();
    let sum = xxhash_rust::xxh3::xxh3_64(&future[4..length - 8]).to_le_bytes();
    future[length - 8..].copy_from_slice(&sum);
    let of_third = encoded(&forged(stranger(3), 1, Hlc::from_ms(NOON), "a", "b"));
    let of_ours = encoded(&forged(stranger(2), 1, Hlc::from_ms(NOON), "a", "b"));
    let table: [(&str, Bytes, Fault); 6] = [
        ("noise", Bytes::from_static(&[0xff; 64]), Fault::Garbage),
        ("an unknown frame", Bytes::from_static(&[2, 0, 0, 0, 99, 0]), Fault::Garbage),
        ("a wrong checksum", batch(&broken), Fault::Checksum),
        ("a future version", batch(&future), Fault::Version),
        ("a third region's change", batch(&of_third), Fault::ForeignDots),
        ("a change of ours that we never made", batch(&of_ours), Fault::ForeignDots),
    ];
    for (what, bytes, fault) in table {
        let mut net = linked(3);
        let now_ms = net.now_ms;
        net.link(1, 2).inject(now_ms, 2, Lane::Live, bytes);
        let why = net.link(1, 2).closed_by(2).unwrap_or_else(|| panic!("{what} passed")).to_owned();
        assert!(why.contains("unreadable") || why.contains("on the live lane"), "{what}: {why}");
        assert_eq!(fault_count(&net, 2, 1, fault), 1, "{what}");
        net.run(1);
        // It is closed at once when it comes back too soon, and forgiven later.
        net.connect(1, 2);
        net.run(1);
        assert!(net.link(1, 2).closed_by(2).is_some_and(|why| why.contains("quarantined")), "{what}");
        net.run_op(1, &set("after", what));
        net.until("the third region has it", |net| get(net.store(3), "after").as_deref() == Some(what));
        assert!(net.status(3, 1).connected && net.status(3, 2).connected, "{what}: another link went down");
        net.run(200);
        net.connect(1, 2);
        net.converge();
        assert_eq!(get(net.store(2), "a"), None, "{what} was applied");
    }
}

#[test]
fn a_peer_that_has_more_of_ours_than_we_made_costs_us_our_name_and_itself_a_pause() {
    let mut net = linked(2);
    let me = net.store(2).replica();
    // An ack of version 2: one replica, one partition, and a number that region 2 has not come to.
    let mut ack = vec![0, 0, 0, 0, 4, 0, 1];
    ack.extend_from_slice(&me.region.to_le_bytes());
    ack.extend_from_slice(&me.incarnation.to_le_bytes());
    ack.extend_from_slice(&[1, 7, 1, 0, 100]);
    ack[0] = ack.len() as u8 - 4;
    let now_ms = net.now_ms;
    net.link(1, 2).inject(now_ms, 2, Lane::Control, ack.into());
    assert!(net.link(1, 2).closed_by(2).is_some_and(|why| why.contains("100 changes of")));
    assert_eq!(fault_count(&net, 2, 1, Fault::ForeignDots), 1);
    assert_ne!(net.store(2).replica(), me, "a number might come to mean two things");
    net.run(300);
    net.connect(1, 2);
    net.run_op(2, &set("under the new name", "v"));
    net.converge();
    assert_eq!(get(net.store(1), "under the new name").as_deref(), Some("v"));
}

#[test]
fn quarantine_grows_while_a_peer_goes_on() {
    let mut net = linked(2);
    let mut pauses = Vec::new();
    for _ in 0..5 {
        let now_ms = net.now_ms;
        net.link(1, 2).inject(now_ms, 2, Lane::Live, Bytes::from_static(&[0; 8]));
        let until_ms = net.link(1, 2).session(2).quarantined_until();
        pauses.push(until_ms - now_ms);
        net.run(until_ms - now_ms + 1);
        net.connect(1, 2);
        net.run(1);
    }
    assert_eq!(pauses, [200, 400, 800, 1600, 3200]);
    net.run_op(1, &set("k", "new"));
    net.converge();
}

#[test]
fn a_clock_a_little_ahead_is_applied_counted_and_not_followed() {
    let mut net = linked(2);
    net.regions[0].hand.set(NOON + 5_000);
    net.regions[1].hand.set(NOON);
    net.run_op(1, &set("k", "from the near future"));
    net.converge();
    let status = net.status(2, 1);
    assert!(status.clock_alarms > 0 && status.worst_ahead_ms > 4_000, "{status:?}");
    assert_eq!(status.put_off, 0);
    let own = net.store(2).tick_watermark().0.ms();
    assert!(own < NOON + 1_000, "our own stamps follow by half a second at most, not to {}", own - NOON);
}

#[test]
fn a_clock_far_ahead_has_its_changes_put_off_until_ours_is_there() {
    let mut net = linked(3);
    net.regions[0].hand.set(NOON + 30_000);
    net.regions[1].hand.set(NOON);
    net.regions[2].hand.set(NOON);
    net.run_op(1, &set("future", "v"));
    net.until("it is put off", |net| net.status(2, 1).put_off > 0 && net.status(3, 1).put_off > 0);
    // Nobody else is held up, and nothing was applied or confirmed.
    net.run_op(2, &set("present", "v"));
    net.until("the others go on", |net| {
        get(net.store(3), "present").is_some() && get(net.store(1), "present").is_some()
    });
    assert_eq!((get(net.store(2), "future"), get(net.store(3), "future")), (None, None));
    let status = net.status(2, 1);
    assert!(status.connected && status.partitions_put_off == 1 && status.worst_ahead_ms > 20_000, "{status:?}");
    net.until("all but that is confirmed", |net| net.status(1, 2).unconfirmed == 1);
    // Its clock is set right: what it stamped is still ahead, for a while.
    net.regions[0].hand.set(NOON + 1_000);
    net.pass(10_000);
    assert_eq!(get(net.store(2), "future"), None);
    net.pass(15_000);
    net.converge();
    assert_eq!(get(net.store(2), "future").as_deref(), Some("v"));
    assert_eq!(net.status(2, 1).partitions_put_off, 0);
}

/// Invariant 2 is watched in production: a difference cannot hide.
#[test]
fn state_that_differs_in_secret_is_named_by_partition_bucket_and_key() {
    let mut net = linked(2);
    for n in 0..300 {
        net.run_op(1, &set(&format!("{{same}}:{n}"), "v"));
    }
    net.converge();
    net.run(2_000);
    assert_eq!((net.status(1, 2).divergent_buckets, net.status(2, 1).divergent_buckets), (0, 0));
    // One and the same change, but it does not say the same in both regions: damaged memory looks like this.
    let dead = ReplicaId { region: 9, incarnation: 1 };
    for (id, text) in [(1, "true"), (2, "false")] {
        net.store(id).offer(forged(dead, 1, Hlc::from_ms(NOON), "{same}:42:copy", text));
        net.store(id).write_pending().unwrap();
    }
    net.until("both name it", |net| {
        [(1, 2), (2, 1)].into_iter().all(|(at, peer)| net.status(at, peer).divergent.iter().any(|d| !d.keys.is_empty()))
    });
    for (at, peer) in [(1, 2), (2, 1)] {
        let status = net.status(at, peer);
        assert_eq!(status.divergent_buckets, 1);
        assert_eq!(status.divergent[0].partition, partition_of(b"{same}"));
        assert_eq!(status.divergent[0].keys, [b"{same}:42:copy".to_vec()]);
    }
    // A write that saw it puts both right.
    net.run_op(1, &set("{same}:42:copy", "right"));
    net.until("it is struck off", |net| net.status(1, 2).divergent_buckets + net.status(2, 1).divergent_buckets == 0);
}

#[test]
fn the_audit_says_nothing_false_under_load() {
    let mut net = linked(3);
    for n in 0..6_000_u32 {
        let id = 1 + (n % 3) as u16;
        net.run_op(id, &set(&format!("k{}", n * 7919 % 50), &n.to_string()));
        if n % 2 == 0 {
            net.run(1);
        }
        if n % 1000 == 999 {
            net.cut(1, 2);
        }
        if n % 1000 == 300 && !net.link(1, 2).is_up() {
            let now_ms = net.now_ms;
            net.link(1, 2).connect(now_ms, NEWEST);
        }
        let wrong = [(1, 2), (2, 1), (1, 3), (3, 1)].map(|(at, peer)| net.status(at, peer).divergent_buckets);
        assert_eq!(wrong, [0; 4], "after {n} writes");
    }
    if !net.link(1, 2).is_up() {
        net.connect(1, 2);
    }
    net.converge();
}
