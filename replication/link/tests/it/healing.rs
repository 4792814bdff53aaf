//! Regions that were cut off, killed, set back, or died for good.

use crate::world::{World, converged, copy_dir, del, eventually, get, incr, run, set, to};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_heals_at_the_cost_of_what_changed() {
    let mut world = World::new();
    let (a, b) = (world.store(1), world.store(2));
    let at_b = world.link(2, &b, &[1]).await;
    let at_a = world.link(1, &a, &[2]).await;
    let value = "x".repeat(100);
    for n in 0..4000 {
        a.execute(&set(&format!("key:{n}"), &value));
    }
    run(&a, &incr("counter", 100)).await;
    converged(&[&a, &b]).await;
    eventually("b has confirmed", || to(&at_a, 2).unconfirmed == 0).await;

    at_a.shutdown().await;
    eventually("b notices", || !to(&at_b, 1).connected).await;
    for n in 0..20 {
        run(&a, &set(&format!("key:{n}"), "changed in a")).await;
        run(&b, &set(&format!("key:{}", n + 10), "changed in b")).await;
        run(&a, &incr("counter", 1)).await;
        run(&b, &incr("counter", 1)).await;
    }
    run(&b, &del("key:3000")).await;
    assert_ne!(a.digest(), b.digest());

    let before = to(&at_b, 1);
    let at_a = world.link(1, &a, &[2]).await;
    converged(&[&a, &b]).await;
    for store in [&a, &b] {
        assert_eq!(get(store, "counter").as_deref(), Some("140"));
        assert_eq!(get(store, "key:3000"), None);
        assert_eq!(get(store, "key:5").as_deref(), Some("changed in a"));
        assert_eq!(get(store, "key:25").as_deref(), Some("changed in b"));
    }
    assert_eq!(get(&a, "key:15"), get(&b, "key:15"));
    let (from_a, from_b) = (to(&at_a, 2), to(&at_b, 1));
    let sent = from_a.catch_up_bytes_sent + from_b.catch_up_bytes_sent - before.catch_up_bytes_sent;
    assert!(sent < 20_000, "{sent} bytes of catch-up for some 60 changes among 4000 keys");
    assert!(from_a.catch_ups_sent < 80, "{from_a:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_region_comes_back_with_its_writes_and_gets_what_it_missed() {
    let mut world = World::new();
    let (a, b) = (world.store(1), world.store(2));
    let at_b = world.link(2, &b, &[1]).await;
    let at_a = world.link(1, &a, &[2]).await;
    run(&a, &set("shared", "v")).await;
    converged(&[&a, &b]).await;
    // The link goes first, so that the last write is known to b alone.
    at_b.shutdown().await;
    run(&b, &set("acknowledged", "before the kill")).await;
    drop(b);
    eventually("a notices", || !to(&at_a, 2).connected).await;
    run(&a, &set("meanwhile", "v")).await;

    let b = world.store(2);
    assert_eq!(get(&b, "acknowledged").as_deref(), Some("before the kill"));
    let _at_b = world.link(2, &b, &[1]).await;
    converged(&[&a, &b]).await;
    assert_eq!(get(&a, "acknowledged").as_deref(), Some("before the kill"));
    assert_eq!(get(&b, "meanwhile").as_deref(), Some("v"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_lost_everything_gets_it_back_from_its_peers() {
    let mut world = World::new();
    let (a, b) = (world.store(1), world.store(2));
    let at_b = world.link(2, &b, &[1]).await;
    let _at_a = world.link(1, &a, &[2]).await;
    run(&a, &set("of a", "v")).await;
    run(&b, &set("of b", "v")).await;
    converged(&[&a, &b]).await;
    at_b.shutdown().await;
    drop(b);
    std::fs::remove_dir_all(world.state_dir(2)).unwrap();
    let b = world.store(2);
    let _at_b = world.link(2, &b, &[1]).await;
    run(&b, &set("new", "v")).await;
    converged(&[&a, &b]).await;
    assert_eq!((get(&b, "of a").as_deref(), get(&b, "of b").as_deref()), (Some("v"), Some("v")));
    assert_eq!(get(&a, "new").as_deref(), Some("v"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_set_back_to_a_backup_takes_a_new_name_and_loses_nothing() {
    let mut world = World::new();
    let (a, b) = (world.store(1), world.store(2));
    let at_b = world.link(2, &b, &[1]).await;
    let _at_a = world.link(1, &a, &[2]).await;
    run(&b, &set("k", "old")).await;
    let backup = world.dir.path().join("backup");
    copy_dir(&world.state_dir(2), &backup);
    run(&b, &set("k", "new")).await;
    run(&b, &set("j", "v")).await;
    converged(&[&a, &b]).await;
    let replica = b.replica();
    at_b.shutdown().await;
    drop(b);
    // Into the very same files, so that the region cannot see it and only its peer can tell.
    copy_dir(&backup, &world.state_dir(2));
    let b = world.store(2);
    assert_eq!((b.replica(), get(&b, "k").as_deref()), (replica, Some("old")));
    let _at_b = world.link(2, &b, &[1]).await;
    converged(&[&a, &b]).await;
    assert_ne!(b.replica(), replica);
    run(&b, &set("i", "v")).await;
    converged(&[&a, &b]).await;
    assert_eq!((get(&b, "k").as_deref(), get(&a, "i").as_deref()), (Some("new"), Some("v")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_dead_region_told_only_one_peer_reaches_the_others() {
    let mut world = World::new();
    let (a, b, c) = (world.store(1), world.store(2), world.store(3));
    // Between a and c there is no link, as if it had been cut just before a died.
    let _at_c = world.link(3, &c, &[2]).await;
    let _at_b = world.link(2, &b, &[1, 3]).await;
    let at_a = world.link(1, &a, &[2]).await;
    converged(&[&a, &b, &c]).await;
    eventually("all are linked", || at_a.status()[0].live).await;
    run(&a, &set("last words", "v")).await;
    eventually("b has them", || get(&b, "last words").is_some()).await;
    at_a.shutdown().await;
    drop(a);
    eventually("c has them", || get(&c, "last words").is_some()).await;
    converged(&[&b, &c]).await;
}

/// Invariant 13: a dead peer stalls no other pair.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_peer_disturbs_no_other() {
    let mut world = World::new();
    let (a, b) = (world.store(1), world.store(2));
    let _at_b = world.link(2, &b, &[1]).await;
    let at_a = world.link(1, &a, &[2, 3]).await; // nobody is region 3
    for n in 0..500 {
        run(&a, &set(&format!("key:{n}"), "v")).await;
    }
    converged(&[&a, &b]).await;
    eventually("the link to b is live", || to(&at_a, 2).live).await;
    let dead = to(&at_a, 3);
    assert!(!dead.connected && dead.lag_ms.is_none(), "{dead:?}");
    eventually("the dead link says why", || to(&at_a, 3).last_error.is_some()).await;
    assert_eq!(to(&at_a, 3).unconfirmed, 500);
}
