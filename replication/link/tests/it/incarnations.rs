//! Names that a region has left: what is told of them, and what they may still have to tell.

use replication_core::{CatchUp, Gone, PARTITIONS, ReplicaId, VersionVector};
use replication_link::{Lane, NEWEST};

use crate::{
    net::Net,
    world::{get, incr, set},
};

fn key(n: usize) -> String {
    format!("key:{n}")
}

/// Lets a region have seen so many changes of a replica, of which nothing is left.
fn all_gone(net: &Net, id: u16, partition: u16, replica: ReplicaId, seq: u64) {
    let (since, vv) = (VersionVector::new(), [(replica, seq)].into_iter().collect());
    let (gone, early, puts) = (Gone::These(Vec::new()), Vec::new(), Vec::new());
    net.store(id).apply_catch_up(&CatchUp { partition, since, vv, gone, early, puts }).unwrap();
}

/// Bytes that region 2 says on the control lane to 1 when they meet again, speaking `version`.
fn hello_bytes(net: &mut Net, version: u16) -> usize {
    net.cut(1, 2);
    let before = net.link(1, 2).sent(2, Lane::Control);
    let now_ms = net.now_ms;
    net.link(1, 2).connect(now_ms, version);
    net.until("both are live", |net| net.status(1, 2).live && net.status(2, 1).live);
    net.link(1, 2).sent(2, Lane::Control) - before
}

fn meet(net: &mut Net) {
    net.connect_all();
    net.converge();
    net.run(1500);
}

#[test]
fn names_that_were_left_cost_next_to_nothing_in_a_hello_and_nothing_in_an_acknowledgement() {
    let mut net = Net::new(2);
    for id in [1, 2] {
        let mut dice = fastrand::Rng::with_seed(1);
        for incarnation in 1..=5 {
            let left = ReplicaId { region: 1, incarnation };
            (0..PARTITIONS).for_each(|partition| all_gone(&net, id, partition, left, dice.u64(1..10_000)));
        }
    }
    // By the first hello region 2 hears which names region 1 has left.
    meet(&mut net);
    assert_eq!(net.store(2).closed().len(), 5);
    let [full, short] = [2, NEWEST].map(|version| hello_bytes(&mut net, version));
    assert!(full > short + 10_000, "{short} bytes, {full} with all names in full");
    let acked = |net: &mut Net| {
        let before = net.link(1, 2).sent(2, Lane::Control);
        net.run_op(1, &set("one", "more"));
        net.run(300);
        net.link(1, 2).sent(2, Lane::Control) - before
    };
    let short = acked(&mut net);
    hello_bytes(&mut net, 2);
    let full = acked(&mut net);
    assert!(short + 5 * 8 <= full, "{short} bytes, {full} with all names in full");
    net.until("all is confirmed", |net| net.status(1, 2).unconfirmed == 0);
}

#[test]
fn a_disk_that_is_found_again_delivers_what_nobody_else_has_of_a_name_long_left() {
    let mut net = Net::new(3);
    net.connect_all();
    (0..300).for_each(|n| drop(net.run_op(1, &set(&key(n), "v"))));
    net.run_op(1, &incr("total", 1));
    net.converge();
    net.cut(1, 2);
    net.cut(1, 3);
    net.run_op(1, &set("unsent", "v"));
    net.run_op(1, &incr("total", 10));
    let (lost, left) = (net.store(1).clone(), net.store(1).replica());
    net.lose_everything(1);
    for _ in 0..2 {
        net.run_op(1, &incr("total", 100));
        net.run_op(2, &set(&key(7), "w"));
        meet(&mut net);
        net.cut(1, 2);
        net.cut(1, 3);
    }
    assert!(net.store(2).closed().contains(&left) && net.store(3).closed().contains(&left));
    // The machine that had it is booted again, so the state goes on under a third name.
    lost.begin_new_incarnation("the machine was started anew").unwrap();
    net.put_back(1, lost);
    meet(&mut net);
    for id in 1..=3 {
        assert_eq!(get(net.store(id), "unsent").as_deref(), Some("v"), "region {id}");
        assert_eq!(get(net.store(id), "total").as_deref(), Some("211"), "region {id}");
        assert_eq!(get(net.store(id), &key(7)).as_deref(), Some("w"), "region {id}");
    }
    net.run(3000);
    net.until("all is confirmed", |net| net.status(2, 1).unconfirmed == 0 && net.status(3, 1).unconfirmed == 0);
}

#[test]
fn whoever_hears_that_his_region_left_his_name_takes_another() {
    let mut net = Net::new(2);
    net.connect_all();
    net.run_op(1, &set("k", "v"));
    net.converge();
    net.cut(1, 2);
    let (lost, left) = (net.store(1).clone(), net.store(1).replica());
    net.lose_everything(1);
    meet(&mut net);
    net.cut(1, 2);
    meet(&mut net);
    net.cut(1, 2);
    // Nothing here tells that it is old, and nobody has seen more of it than it has itself.
    net.put_back(1, lost);
    assert_eq!(net.store(1).replica(), left);
    net.connect(1, 2);
    net.until("the name is left", |net| net.store(1).replica() != left);
    net.run_op(1, &set("k", "w"));
    net.converge();
    assert_eq!(get(net.store(2), "k").as_deref(), Some("w"));
}

#[test]
fn a_region_set_back_in_time_stamps_behind_what_it_once_called_complete() {
    let mut net = Net::new(2);
    net.connect_all();
    net.run_op(1, &set("k", "v"));
    net.run(2000);
    let said = net.store(2).heard(1);
    assert!(said >= net.store(1).last_write_hlc());
    net.cut(1, 2);
    net.lose_everything(1);
    let hand = net.regions[0].hand.clone();
    hand.set(said.ms() - 5_000);
    net.connect(1, 2);
    net.until("it is live", |net| net.status(1, 2).live);
    net.run_op(1, &set("k", "w"));
    assert!(net.store(1).last_write_hlc() > said, "{} after {said}", net.store(1).last_write_hlc());
}
