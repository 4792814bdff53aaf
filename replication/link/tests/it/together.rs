//! Regions that are well: what one writes, the others have.

use std::time::Duration;

use replication_link::LinkHandle;
use replication_storage::StateStore;
use tokio::time::Instant;

use crate::{
    net::Net,
    world::{World, converged, eventually, get, incr, run, set, to},
};

/// Three regions, all linked.
async fn three() -> (World, Vec<StateStore>, Vec<LinkHandle>) {
    let mut world = World::new();
    let stores: Vec<_> = (1..=3).map(|id| world.store(id)).collect();
    let mut links = Vec::new();
    for id in [3, 2, 1] {
        let others: Vec<u16> = (1..=3).filter(|other| *other != id).collect();
        links.insert(0, world.link(id, &stores[usize::from(id) - 1], &others).await);
    }
    (world, stores, links)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_region_writes_all_regions_have() {
    let (_world, stores, links) = three().await;
    for n in 0..200 {
        for (at, store) in stores.iter().enumerate() {
            run(store, &incr("visits", 1)).await;
            run(store, &set(&format!("cart:{at}:{n}"), "a book")).await;
        }
    }
    converged(&[&stores[0], &stores[1], &stores[2]]).await;
    for store in &stores {
        assert_eq!(get(store, "visits").as_deref(), Some("600"));
        assert_eq!(store.dbsize(), 601);
        assert_eq!(store.stats().applied_late, 0);
    }
    for link in &links {
        eventually("everything is confirmed", || link.status().iter().all(|peer| peer.unconfirmed == 0)).await;
        eventually("the first round is over", || link.status().iter().all(|peer| peer.live)).await;
        for peer in link.status() {
            assert!(peer.connected && peer.live && peer.connects == 1, "{peer:?}");
            assert!(peer.rtt_ms.is_some_and(|rtt| rtt < 1000.0), "{peer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_reached_soon_after_the_write() {
    let (_world, stores, _links) = three().await;
    for n in 0..5 {
        run(&stores[0], &set("session", &n.to_string())).await;
        let token = stores[0].last_write_hlc();
        for store in &stores[1..] {
            assert!(store.wait_for(1, token, Instant::now() + Duration::from_secs(10)).await);
            assert_eq!(get(store, "session"), Some(n.to_string()));
        }
    }
}

/// In played time: what is measured is two seconds of nothing.
#[test]
fn an_idle_link_knows_that_it_is_up_to_date() {
    let mut net = Net::new(3);
    net.connect_all();
    net.run_op(1, &set("k", "v"));
    net.converge();
    let ways = || (1..=3).flat_map(|from| (1..=3).filter(move |to| *to != from).map(move |to| (from, to)));
    let is_current = |net: &Net| {
        ways().map(|(from, to)| net.status(from, to)).all(|peer| peer.live && peer.lag_ms.is_some_and(|lag| lag < 500))
    };
    net.until("all links are live", is_current);
    let sent = |net: &Net| ways().map(|(from, to)| net.status(from, to).sent_bytes).sum::<u64>();
    let before = sent(&net);
    // Marks only, no acks, no deltas.
    net.run(2000);
    let spent = sent(&net) - before;
    assert!(spent > 0 && spent < 6 * 12 * 25, "{spent} bytes in 2 idle seconds over 6 directions");
    assert!(is_current(&net));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_that_overruns_the_ring_arrives_all_the_same() {
    let mut world = World::new();
    let (a, b) = (world.store_with(1, |config| config.ring_bytes = 4096), world.store(2));
    let _to_a = world.link(2, &b, &[1]).await;
    let link = world.link(1, &a, &[2]).await;
    eventually("the link is up", || to(&link, 2).live).await;
    for n in 0..3000 {
        a.execute(&set(&format!("key:{n}"), "value"));
        if n % 100 == 0 {
            a.write_pending().unwrap();
        }
    }
    a.persist_pending().await.unwrap();
    converged(&[&a, &b]).await;
    assert_eq!(b.dbsize(), 3000);
    assert!(to(&link, 2).catch_ups_sent > 0);
    let token = a.last_write_hlc();
    assert!(b.wait_for(1, token, Instant::now() + Duration::from_secs(10)).await);
}
