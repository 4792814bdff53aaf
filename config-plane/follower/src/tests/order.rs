//! The order laws of the keeper and its file, over any sequence of Plans.

use proptest::prelude::*;
use tokio::sync::watch;

use super::{Dir, id, plan, poison};
use crate::{
    FollowerReport,
    backoff::Backoff,
    keeper::{Keeper, Offered},
    plan_file::PlanFile,
};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Reordered, repeated, stale and poisoned Plans: what is shown only grows and ends at the highest valid one, and so does
    /// the disk, also over a restart in the middle.
    #[test]
    fn whatever_comes_in_whatever_order_nothing_goes_back(
        ids in prop::collection::vec((1u64..4, 1u64..8, prop::bool::weighted(0.2)), 1..24),
        restart_at in 0usize..24,
    ) {
        let dir = Dir::new();
        runtime().block_on(async {
            let mut best = None;
            let (before, after) = ids.split_at(restart_at.min(ids.len()));
            for part in [before, after] {
                let (file, last) = PlanFile::open(&dir.0).unwrap();
                assert_eq!(last.as_ref().map(|plan| plan.id), best);
                let (mut keeper, writer) = Keeper::new(file, last, watch::Sender::default());
                let plans = keeper.plans();
                let writer = tokio::spawn(writer.run());
                for &(lineage, version, poisoned) in part {
                    let id = id(lineage, version);
                    let offered = keeper.offer(if poisoned { poison(id) } else { plan(id, "x") }, None).await;
                    let expected = if best > Some(id) {
                        Offered::NotNewer
                    } else if best == Some(id) && !poisoned {
                        Offered::Confirmed
                    } else if poisoned {
                        Offered::Poisoned
                    } else {
                        best = Some(id);
                        Offered::Taken
                    };
                    assert_eq!(offered, expected);
                    assert_eq!(plans.borrow().as_ref().map(|plan| plan.id), best);
                }
                drop(keeper);
                writer.await.unwrap();
            }
            assert_eq!(PlanFile::open(&dir.0).unwrap().1.map(|plan| plan.id), best);
        });
    }
}

#[test]
fn a_plan_that_comes_again_is_confirmed_and_one_that_went_wrong_is_put_right() {
    let dir = Dir::new();
    runtime().block_on(async {
        let (file, last) = PlanFile::open(&dir.0).unwrap();
        let report = watch::Sender::<FollowerReport>::default();
        let (mut keeper, writer) = Keeper::new(file, last, report.clone());
        let writer = tokio::spawn(writer.run());
        assert_eq!(keeper.offer(plan(id(1, 5), "wrong"), None).await, Offered::Taken);
        assert_eq!(keeper.offer(plan(id(1, 5), "wrong"), None).await, Offered::Confirmed);
        assert_eq!(keeper.offer(poison(id(1, 5)), None).await, Offered::Poisoned);
        assert_eq!(keeper.offer(plan(id(1, 5), "right"), Some("b".into())).await, Offered::Healed);
        assert_eq!(keeper.plans().borrow().as_ref().unwrap().made_by, "right");
        for (theirs, sum) in [(id(1, 5), "b"), (id(1, 6), "c"), (id(1, 5), "d")] {
            keeper.compare(Some(theirs), Some(sum));
        }
        let seen = report.borrow().clone();
        assert_eq!((seen.taken, seen.confirmed, seen.healed, seen.mismatched), (2, 1, 1, 1));
        drop(keeper);
        writer.await.unwrap();
        assert_eq!(PlanFile::open(&dir.0).unwrap().1.unwrap().made_by, "right");
    });
}

#[test]
fn a_disk_that_refuses_delays_nothing_and_is_reported() {
    let dir = Dir::new();
    runtime().block_on(async {
        let (file, last) = PlanFile::open(&dir.0).unwrap();
        let report = watch::Sender::<FollowerReport>::default();
        let (mut keeper, writer) = Keeper::new(file, last, report.clone());
        let writer = tokio::spawn(writer.run());
        // A directory in the file's place cannot be renamed over.
        std::fs::create_dir_all(dir.0.join("plan/in-the-way")).unwrap();
        assert_eq!(keeper.offer(plan(id(1, 1), "x"), None).await, Offered::Taken);
        assert_eq!(keeper.plans().borrow().as_ref().unwrap().id, id(1, 1));
        let seen = report.borrow().clone();
        assert_eq!(seen.on_disk, None);
        assert!(seen.trouble.unwrap().contains("cannot be written to disk"));

        std::fs::remove_dir_all(dir.0.join("plan")).unwrap();
        let mut reports = report.subscribe();
        reports.wait_for(|report| report.on_disk == Some(id(1, 1))).await.unwrap();
        drop(keeper);
        writer.await.unwrap();
    });
}

#[test]
fn pauses_grow_within_their_bounds_and_begin_anew() {
    let ms = std::time::Duration::from_millis;
    let mut backoff = Backoff::new(ms(100), ms(2000));
    let longest: Vec<_> = (0..7).map(|_| backoff.next(1.0).as_millis()).collect();
    assert_eq!(longest, [200, 400, 800, 1600, 2000, 2000, 2000]);
    assert_eq!(backoff.next(0.0), ms(100));
    backoff.reset();
    assert_eq!(backoff.next(1.0), ms(200));
}
