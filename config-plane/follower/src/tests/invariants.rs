//! The plane's invariants about followers, each under its name.

use std::{
    fs,
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Waker},
    time::{Duration, Instant},
};

use model::{Plan, PlanId, Pool, Record, RecordData, Soa, Steered, SteeringPolicy, Zone};
use proptest::prelude::*;
use steering::{View, ViewInputs};
use tokio::{
    sync::{Mutex, watch},
    task::yield_now,
};

use super::{Dir, fake_member::TestWorld, id, message, plan};
use crate::{
    FollowerConfig, FollowerReport, Timings, follow,
    keeper::{Keeper, Offered},
    plan_file::{NAMES, PlanFile, decode},
};

const LONG: Duration = Duration::from_secs(20);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A keeper on a directory, and its writer at work.
fn keeper(dir: &Dir) -> (Keeper, tokio::task::JoinHandle<()>, watch::Sender<FollowerReport>) {
    let (file, last) = PlanFile::open(&dir.0).unwrap();
    let report = watch::Sender::<FollowerReport>::default();
    let (keeper, writer) = Keeper::new(file, last, report.clone());
    (keeper, tokio::spawn(writer.run()), report)
}

fn shown(plans: &watch::Receiver<Option<Arc<Plan>>>) -> Option<PlanId> {
    plans.borrow().as_ref().map(|plan| plan.id)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// INVARIANT: applied (lineage, version) never decreases on any follower: three appliers at once, each with its own delays,
    /// repetitions and order.
    #[test]
    fn applied_never_decreases_whatever_three_appliers_deliver(
        deliveries in prop::array::uniform3(prop::collection::vec((1u64..3, 1u64..30, 0u8..6), 1..20)),
    ) {
        let highest = deliveries.iter().flatten().map(|&(lineage, version, _)| id(lineage, version)).max();
        let dir = Dir::new();
        runtime().block_on(async {
            let (keeper, writer, _) = keeper(&dir);
            let plans = keeper.plans();
            let keeper = Arc::new(Mutex::new(keeper));
            let appliers = deliveries.map(|mine| {
                let keeper = Arc::clone(&keeper);
                tokio::spawn(async move {
                    for (lineage, version, delays) in mine {
                        for _ in 0..delays {
                            yield_now().await;
                        }
                        keeper.lock().await.offer(plan(id(lineage, version), "x"), None).await;
                    }
                })
            });
            let mut before = None;
            while !appliers.iter().all(tokio::task::JoinHandle::is_finished) {
                assert!(shown(&plans) >= before, "{:?} after {before:?}", shown(&plans));
                before = shown(&plans);
                yield_now().await;
            }
            for applier in appliers {
                applier.await.unwrap();
            }
            assert_eq!(shown(&plans), highest);
            drop(keeper);
            writer.await.unwrap();
            assert_eq!(PlanFile::open(&dir.0).unwrap().1.map(|plan| plan.id), highest);
        });
    }
}

/// INVARIANT: the freshness check and the write are one atomic step: an applier that is stopped between any two steps, and never
/// goes on or goes on after a newer Plan came, takes nothing back.
#[test]
fn an_applier_that_pauses_between_any_two_steps_takes_nothing_back() {
    for steps in 0..12 {
        let dir = Dir::new();
        runtime().block_on(async {
            let (mut keeper, writer, _) = keeper(&dir);
            let plans = keeper.plans();
            keeper.offer(plan(id(1, 1), "first"), None).await;
            {
                // The old Plan's applier is let run for so many steps, and then no further.
                let mut paused = pin!(keeper.offer(plan(id(1, 5), "old"), None));
                for _ in 0..steps {
                    if paused.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                        break;
                    }
                    yield_now().await;
                }
            }
            assert_eq!(keeper.offer(plan(id(1, 9), "new"), None).await, Offered::Taken);
            assert_eq!(shown(&plans), Some(id(1, 9)));
            // It wakes up and begins where it was: with the Plan it had in its hands.
            assert_eq!(keeper.offer(plan(id(1, 5), "old"), None).await, Offered::NotNewer);
            assert_eq!(shown(&plans), Some(id(1, 9)));
            drop(keeper);
            writer.await.unwrap();
            assert_eq!(PlanFile::open(&dir.0).unwrap().1.map(|plan| plan.id), Some(id(1, 9)), "after {steps} steps");
        });
    }
}

/// The same on the disk: a writer that comes late with an older Plan writes nothing.
#[test]
fn a_late_writer_cannot_overwrite_a_newer_plan_on_disk() {
    let dir = Dir::new();
    let (mut file, _) = PlanFile::open(&dir.0).unwrap();
    file.store(&plan(id(1, 9), "new")).unwrap();
    for old in [id(1, 5), id(1, 8), id(0, 99)] {
        file.store(&plan(old, "late")).unwrap();
        assert_eq!(on_disk(&dir), Some(id(1, 9)));
    }
    assert!(PlanFile::open(&dir.0).is_err(), "and there is never a second writer");
}

/// The newest whole Plan in the files.
fn on_disk(dir: &Dir) -> Option<PlanId> {
    let whole = NAMES.iter().filter_map(|name| decode(&fs::read(dir.0.join(name)).ok()?).ok());
    whole.max_by_key(|(turn, _)| *turn).map(|(_, plan)| plan.id)
}

/// INVARIANT: no Plan that a follower holds is ever deleted: at every moment of a hundred replacements one file holds a whole Plan,
/// never an older one than before. (`file.rs` takes each write apart.)
#[test]
fn at_every_moment_there_is_a_whole_plan_on_disk() {
    let dir = Dir::new();
    let (mut file, _) = PlanFile::open(&dir.0).unwrap();
    for version in 1..=100 {
        file.store(&plan(id(1, version), "x")).unwrap();
        assert_eq!(on_disk(&dir), Some(id(1, version)));
        let other = NAMES[usize::from(version % 2 == 1)];
        let before =
            fs::read(dir.0.join(other)).map(|bytes| decode(&bytes).expect("the one before is left alone").1.id);
        assert_eq!(before.ok(), (version > 1).then(|| id(1, version - 1)));
    }
}

/// INVARIANT: automation repairs an inconsistent or empty plan by itself on the next tick: the file is damaged under a running
/// follower, and the Plan that comes again puts it right.
#[test]
fn a_damaged_file_is_put_right_by_the_next_plan_that_comes() {
    for damage in [b"".as_slice(), b"atoll-plan 1 nonsense", &[0; 9000]] {
        let dir = Dir::new();
        runtime().block_on(async {
            let (mut keeper, writer, _) = keeper(&dir);
            keeper.offer(plan(id(1, 5), "x"), None).await;
            fs::write(dir.0.join("plan"), damage).unwrap();
            assert_eq!(keeper.offer(plan(id(1, 5), "x"), None).await, Offered::Confirmed);
            drop(keeper);
            writer.await.unwrap();
        });
        assert_eq!(PlanFile::open(&dir.0).unwrap().1, Some(plan(id(1, 5), "x")));
    }
}

/// The same for a content that another version of this program understood less of: its number is right, its content is not.
#[test]
fn a_stored_plan_that_is_not_what_its_number_stands_for_is_put_right() {
    let dir = Dir::new();
    let (mut file, _) = PlanFile::open(&dir.0).unwrap();
    file.store(&plan(id(1, 5), "half understood")).unwrap();
    drop(file);
    runtime().block_on(async {
        let (mut keeper, writer, report) = keeper(&dir);
        assert_eq!(keeper.offer(plan(id(1, 5), "whole"), None).await, Offered::Healed);
        assert_eq!(report.borrow().healed, 1);
        drop(keeper);
        writer.await.unwrap();
    });
    assert_eq!(PlanFile::open(&dir.0).unwrap().1, Some(plan(id(1, 5), "whole")));
}

/// INVARIANT: one poisonous state update cannot stop query serving: a Plan that makes us panic is counted and left aside, the Plan
/// in force stays, and the next one is taken.
#[test]
fn a_plan_that_makes_us_panic_is_left_aside_and_the_next_one_is_taken() {
    let dir = Dir::new();
    runtime().block_on(async {
        let (mut keeper, writer, report) = keeper(&dir);
        keeper.examine = |plan| if plan.made_by == "poison" { panic!("poison") } else { Ok(()) };
        assert_eq!(keeper.offer(plan(id(1, 1), "good"), None).await, Offered::Taken);
        assert_eq!(keeper.offer(plan(id(1, 2), "poison"), None).await, Offered::Poisoned);
        assert_eq!(shown(&keeper.plans()), Some(id(1, 1)));
        let seen = report.borrow().clone();
        assert_eq!(seen.poisoned, 1);
        assert!(seen.trouble.unwrap().contains("the Plan in force stays"));
        assert_eq!(keeper.offer(plan(id(1, 3), "good"), None).await, Offered::Taken);
        drop(keeper);
        writer.await.unwrap();
    });
}

/// INVARIANT: oversized config cannot panic a consumer: a World beyond the limits is left aside.
#[test]
fn a_plan_beyond_the_limits_is_left_aside() {
    let dir = Dir::new();
    runtime().block_on(async {
        let (mut keeper, writer, _) = keeper(&dir);
        assert_eq!(keeper.offer(plan(id(1, 1), "good"), None).await, Offered::Taken);
        let mut huge = plan(id(1, 2), "huge");
        let region = huge.world.regions[0].clone();
        huge.world.regions = (1..=130u16)
            .map(|n| model::Region { name: format!("r{n}").parse().unwrap(), id: n, ..region.clone() })
            .collect();
        assert_eq!(keeper.offer(huge, None).await, Offered::Poisoned);
        let mut long = plan(id(1, 3), "long");
        long.world.name = "x".repeat(5 << 20);
        assert_eq!(keeper.offer(long, None).await, Offered::Poisoned);
        assert_eq!(shown(&keeper.plans()), Some(id(1, 1)));
        drop(keeper);
        writer.await.unwrap();
    });
}

/// What DNS answers out of a Plan, byte by byte.
fn answers(plan: &Plan) -> Vec<Vec<u8>> {
    let view = View::compile(plan, &ViewInputs::new("eu-west".parse().unwrap())).unwrap();
    let ask = |name: &[u8], rtype: u8| {
        let query = [b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0".as_slice(), name, &[0, rtype, 0, 1]].concat();
        let mut out = Vec::new();
        steering::answer(&view, &query, [127, 0, 0, 1].into(), steering::Transport::Udp, &|| None, 0, &mut out);
        out
    };
    let names: [&[u8]; 4] =
        [b"\x03www\x04shop\x04test\0", b"\x04shop\x04test\0", b"\x02no\x04shop\x04test\0", b"\x04else\0"];
    names.iter().flat_map(|name| [1, 6, 16, 28].map(|rtype| ask(name, rtype))).collect()
}

/// A Plan with a steered name.
fn plan_with_a_name(id: PlanId) -> Plan {
    let mut plan = plan(id, "x");
    let members = vec![plan.world.regions[0].name.clone()];
    plan.world.pools.insert("web".into(), Pool::of(members, None));
    let www = Steered::to("www", "web", SteeringPolicy::Nearest);
    plan.world.zones.push(Zone {
        origin: "shop.test".into(),
        ttl: 300,
        soa: Soa::default(),
        ns: vec!["ns1.shop.test".into()],
        records: vec![Record { name: "ns1".into(), data: RecordData::A([192, 0, 2, 1].into()), ttl: None }],
        steered: vec![www],
    });
    plan
}

/// INVARIANTS: plane down for 30 days = identical answers, also over restarts from disk; and DNS never withdraws itself because the
/// plane or another region is unreachable.
#[tokio::test]
async fn a_plane_that_is_down_for_a_month_changes_nothing_also_over_restarts() {
    let (world, dir) = (TestWorld::new(), Dir::new());
    let mut member = world.member("eu-west").await;
    let endpoint = member.endpoint.clone();
    let sent = plan_with_a_name(id(1, 5));
    let before = answers(&sent);
    assert!(before[0].ends_with(&[127, 0, 1, 1]), "an address is among them: {:?}", before[0]);
    member.say(&message(sent));
    let start = || {
        let members = vec![endpoint.clone()];
        follow(FollowerConfig {
            dir: dir.0.clone(),
            members,
            transport: world.transport(),
            timings: Timings::default(),
        })
        .unwrap()
    };
    let follower = start();
    let mut plans = follower.plans();
    tokio::time::timeout(LONG, plans.wait_for(Option::is_some)).await.unwrap().unwrap();
    follower.shutdown().await;
    let on_disk = fs::read(dir.0.join("plan")).unwrap();
    member.kill().await;

    for _ in 0..3 {
        let follower = start();
        let held = || follower.plans().borrow().as_deref().map(answers);
        assert_eq!(held().as_ref(), Some(&before), "at once, without network");
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(10 * 24 * 3600)).await;
        yield_now().await;
        assert_eq!(held().as_ref(), Some(&before), "ten days later");
        tokio::time::resume();
        let stale = follower.heard().stale_for(Instant::now() - Duration::from_secs(60), Instant::now());
        assert!(stale >= Duration::from_secs(60), "and it is told how stale that is");
        follower.shutdown().await;
        assert_eq!(fs::read(dir.0.join("plan")).unwrap(), on_disk, "not a byte has changed");
    }
}
