//! Two stores and no network: deltas and catch-ups handed over by hand, in the worst order.

use std::time::Duration;

use replication_core::{CatchUp, Delta, Hlc};
use tokio::time::Instant;

use super::*;
use crate::{Offer, Tail, Threads};

struct Pair {
    a: StateStore,
    b: StateStore,
    _dirs: [TempDir; 2],
}

fn pair() -> Pair {
    let dirs = [TempDir::new(), TempDir::new()];
    let (a, b) = (open_with(config(&dirs[0], 1)).0, open_with(config(&dirs[1], 2)).0);
    a.set_peers(&[2]);
    b.set_peers(&[1]);
    Pair { a, b, _dirs: dirs }
}

fn deltas(store: &StateStore, from: u64) -> Vec<Delta> {
    match store.tail(from, usize::MAX) {
        Tail::Deltas { deltas, .. } => {
            deltas.iter().map(|delta| Delta::decode(&delta.bytes).unwrap().unwrap().0).collect()
        }
        Tail::FellOff { from } => panic!("fell off, from {from}"),
    }
}

/// Brings `to` up to what `from` has, through bytes, as a link does.
fn catch_up(from: &StateStore, to: &StateStore) -> usize {
    let mut bytes_sent = 0;
    for (id, has) in to.version_vectors().iter().enumerate() {
        if has.dominates(&from.version_vector(id as u16)) {
            continue;
        }
        let mut bytes = Vec::new();
        from.catch_up_since(id as u16, has).encode(&mut bytes);
        bytes_sent += bytes.len();
        to.apply_catch_up(&CatchUp::decode(&bytes).unwrap().unwrap().0).unwrap();
    }
    to.write_pending().unwrap();
    bytes_sent
}

/// Invariant 6: no acknowledgement, and no packet, before what it tells of is written.
#[test]
fn only_what_is_written_can_be_shipped() {
    let Pair { a, .. } = pair();
    a.execute(&set("k", "v"));
    assert_eq!(deltas(&a, 0).len(), 0);
    a.write_pending().unwrap();
    assert_eq!(deltas(&a, 0).len(), 1);
}

#[test]
fn deltas_bring_a_peer_up_to_date_and_it_recovers_them() {
    let Pair { a, b, _dirs: dirs } = pair();
    run(&a, &set("k", "v"));
    run(&a, &incr("n", 3));
    run(&b, &incr("n", 4));
    for delta in deltas(&a, 0) {
        assert!(matches!(b.offer(delta.clone()), Offer::Applied));
        assert!(matches!(b.offer(delta), Offer::Duplicate));
    }
    for delta in deltas(&b, 0) {
        assert!(matches!(a.offer(delta), Offer::Applied));
    }
    assert_eq!((get(&b, "k").as_deref(), get(&b, "n").as_deref()), (Some("v"), Some("7")));
    assert_eq!(a.digest(), b.digest());
    assert_eq!(a.digest().combined(), b.digest().combined());
    b.write_pending().unwrap();
    let digest = b.digest();
    drop(b);
    assert_eq!(open_with(config(&dirs[1], 2)).0.digest(), digest);
}

#[test]
fn a_gap_is_noticed_and_a_catch_up_closes_it() {
    let Pair { a, b, .. } = pair();
    for n in 0..5 {
        run(&a, &set("k", &n.to_string()));
    }
    let sent = deltas(&a, 0);
    assert!(matches!(b.offer(sent[0].clone()), Offer::Applied));
    assert!(matches!(b.offer(sent[3].clone()), Offer::Gap));
    catch_up(&a, &b);
    assert_eq!(a.digest(), b.digest());
    assert!(matches!(b.offer(sent[4].clone()), Offer::Duplicate));
}

#[test]
fn a_catch_up_costs_what_has_changed_and_brings_deletes() {
    let Pair { a, b, .. } = pair();
    let value = "x".repeat(100);
    for n in 0..2000 {
        run(&a, &set(&format!("key:{n}"), &value));
    }
    let all = catch_up(&a, &b);
    assert!(all > 2000 * 100);
    for n in 0..10 {
        run(&a, &del(&format!("key:{n}")));
        run(&a, &set(&format!("key:{}", n + 100), "changed"));
    }
    let some = catch_up(&a, &b);
    assert!(some < all / 50, "{some} bytes for 20 changes, {all} for everything");
    assert_eq!(a.digest(), b.digest());
    assert_eq!(get(&b, "key:3"), None);
    assert_eq!(catch_up(&a, &b), 0);
}

#[test]
fn confirmed_removals_are_forgotten_and_nothing_comes_back() {
    let Pair { a, b, .. } = pair();
    run(&a, &set("k", "v"));
    catch_up(&a, &b);
    run(&a, &del("k"));
    catch_up(&a, &b);
    for (id, vv) in b.version_vectors().iter().enumerate() {
        a.note_acked(2, id as u16, vv);
    }
    assert_eq!(a.unconfirmed(2), 0);
    run(&a, &set("j", "v"));
    assert_eq!(a.unconfirmed(2), 1);
    catch_up(&a, &b);
    catch_up(&b, &a);
    assert_eq!((get(&a, "k"), get(&b, "k")), (None, None));
    assert_eq!(a.digest(), b.digest());
}

#[test]
fn a_region_away_for_long_is_not_waited_for_and_still_brings_its_writes() {
    let (dirs, hand) = ([TempDir::new(), TempDir::new()], Hand::at(NOON));
    let at = |dir: &Path, region| {
        let quiet = StoreConfig { threads: Threads::None, clock: hand.clock(), ..config(dir, region) };
        open_with(StoreConfig { detach_after: Duration::from_secs(60), ..quiet }).0
    };
    let (a, b) = (at(&dirs[0], 1), at(&dirs[1], 2));
    a.set_peers(&[2, 3]);
    (0..20).for_each(|n| drop(run(&a, &set(&format!("key:{n}"), "v"))));
    catch_up(&a, &b);
    (0..10).for_each(|n| drop(run(&a, &del(&format!("key:{n}")))));
    run(&b, &set("written while away", "v"));
    hand.advance(59_000);
    a.note_watermark(3, Hlc::from_ms(NOON));
    a.tick();
    assert_eq!((a.detached(), a.stats().removals), (vec![], 10));
    hand.advance(1000);
    a.tick();
    assert_eq!((a.detached(), a.stats().removals), (vec![2], 10), "region 3 has not confirmed them either");
    hand.advance(60_000);
    a.tick();
    assert_eq!((a.detached(), a.stats().removals), (vec![2, 3], 0));
    // It returns, with keys that are gone here and a write of its own.
    let vectors: Vec<_> = b.version_vectors().into_iter().enumerate().map(|(id, vv)| (id as u16, vv)).collect();
    a.set_acked(2, &vectors);
    assert_eq!(a.detached(), [3]);
    catch_up(&a, &b);
    catch_up(&b, &a);
    assert_eq!((get(&b, "key:3"), get(&a, "written while away").as_deref()), (None, Some("v")));
    assert_eq!(a.digest(), b.digest());
}

#[test]
fn a_store_that_lost_its_past_gets_it_back_under_a_new_name() {
    let Pair { a, b, _dirs: dirs } = pair();
    let backup = {
        run(&a, &set("old", "v"));
        dirs[0].copy()
    };
    run(&a, &set("k", "acknowledged"));
    catch_up(&a, &b);
    drop(a);
    // The backup knows nothing of the last write, and cannot know that there was one.
    let a = open_with(config(&backup, 1)).0;
    let before = a.replica();
    assert!(b.version_vectors().iter().zip(a.version_vectors()).any(|(b, a)| b.get(before) > a.get(before)));
    a.begin_new_incarnation("the test says so").unwrap();
    assert_ne!(a.replica(), before);
    run(&a, &set("new", "v"));
    catch_up(&b, &a);
    catch_up(&a, &b);
    assert_eq!(get(&a, "k").as_deref(), Some("acknowledged"));
    assert_eq!(get(&b, "new").as_deref(), Some("v"));
    assert_eq!(a.digest(), b.digest());
    let (digest, replica) = (a.digest(), a.replica());
    drop(a);
    let (a, report) = open_with(config(&backup, 1));
    assert_eq!((a.digest(), a.replica(), report.in_doubt), (digest, replica, None));
}

/// Invariant 8: a read after a forced move waits for what its token names.
#[tokio::test]
async fn a_token_is_waited_for() {
    let Pair { a, b, .. } = pair();
    run(&a, &set("k", "v"));
    let token = a.last_write_hlc();
    let soon = || Instant::now() + Duration::from_millis(20);
    assert!(a.wait_for(1, token, soon()).await, "its own writes a region sees at once");
    assert!(!b.wait_for(1, token, soon()).await);
    let waiting = tokio::spawn({
        let b = b.clone();
        async move { b.wait_for(1, token, Instant::now() + Duration::from_secs(10)).await }
    });
    let (hlc, position) = a.tick_watermark();
    assert!(hlc >= token && position <= a.position());
    deltas(&a, 0).into_iter().for_each(|delta| drop(b.offer(delta)));
    b.note_watermark(1, hlc);
    assert!(waiting.await.unwrap());
    assert_eq!(b.watermark(1), hlc);
    assert!(b.wait_for(1, token, soon()).await);
}

#[test]
fn watermarks_survive_a_kill_when_something_was_written_after_them() {
    let Pair { a, b, _dirs: dirs } = pair();
    let hlc = a.tick_watermark().0;
    b.note_watermark(1, hlc);
    run(&b, &set("k", "v"));
    b.inner.note_watermarks(0);
    b.write_pending().unwrap();
    drop(b);
    let b = open_with(config(&dirs[1], 2)).0;
    assert_eq!(b.watermark(1), hlc);
    b.checkpoint().unwrap();
    drop(b);
    assert_eq!(open_with(config(&dirs[1], 2)).0.watermark(1), hlc);
}

#[test]
fn a_region_whose_clock_is_90_s_ahead_loses_nothing_and_drags_nobody_along() {
    let dirs = [TempDir::new(), TempDir::new()];
    let open_at =
        |dir: &Path, region, ms| open_with(StoreConfig { clock: Hand::at(ms).clock(), ..config(dir, region) }).0;
    let (right, ahead) = (open_at(&dirs[0], 1, NOON), open_at(&dirs[1], 2, NOON + 90_000));
    run(&ahead, &set("k", "from the future"));
    deltas(&ahead, 0).into_iter().for_each(|delta| assert!(matches!(right.offer(delta), Offer::Applied)));
    assert_eq!(right.stats().stamps_far_ahead, 1);
    assert!(right.tick_watermark().0 < Hlc::from_ms(NOON + 10_000));
    // Who has seen the value may replace it, whatever the clocks say.
    run(&right, &set("k", "replaced"));
    catch_up(&right, &ahead);
    assert_eq!(get(&ahead, "k").as_deref(), Some("replaced"));
    assert_eq!(right.digest(), ahead.digest());
}

/// Found by a simulation: stamps read from the journal were followed without a limit, and what was then called complete lay
/// beyond what a region that has lost its disk can know of.
#[test]
fn a_start_follows_the_stamps_of_others_no_further_than_their_arrival_did() {
    let dirs = [TempDir::new(), TempDir::new()];
    let at = |dir: &Path, region, ms| StoreConfig { clock: Hand::at(ms).clock(), ..config(dir, region) };
    for ahead_ms in [400, 9_000, 90_000] {
        let dirs = dirs.each_ref().map(|dir| dir.join(ahead_ms.to_string()));
        let ahead = open_with(at(&dirs[1], 2, NOON + ahead_ms)).0;
        run(&ahead, &set("k", "from the future"));
        let right = open_with(at(&dirs[0], 1, NOON)).0;
        deltas(&ahead, 0).into_iter().for_each(|delta| assert!(matches!(right.offer(delta), Offer::Applied)));
        right.write_pending().unwrap();
        drop(right);
        let (right, report) = open_with(at(&dirs[0], 1, NOON));
        assert_eq!((report.in_doubt, report.records), (None, 1));
        run(&right, &set("mine", "v"));
        let stamp = right.last_write_hlc();
        assert!(stamp.ms() <= NOON + replication_core::AHEAD_MS, "{ahead_ms} ms ahead: {stamp}");
    }
}
