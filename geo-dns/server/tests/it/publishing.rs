//! From Plans to Views to answers.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use dns_server::{
    DnsConfig, DnsHandle, Views, start,
    views::{Publishing, ViewPublisher, ViewStatus, publish},
};
use hickory_proto::rr::RecordType;
use model::{Plan, PlanId, Policy, PrefixList, RegionName, Step, Subject, SubjectState, Verdict};
use steering::{CompileError, View, ViewInputs, geo::Geo};
use tokio::{sync::watch, time::timeout};

use crate::world::*;

struct Stage {
    plans: watch::Sender<Option<Arc<Plan>>>,
    demoted: watch::Sender<BTreeSet<RegionName>>,
    views: Views,
    publisher: ViewPublisher,
    server: DnsHandle,
}

fn stage(first: Option<Plan>) -> Stage {
    stage_with(first, |_| ())
}

fn stage_with(first: Option<Plan>, change: impl FnOnce(&mut Publishing)) -> Stage {
    let (plans, plans_seen) = watch::channel(first.map(Arc::new));
    let (demoted, demoted_seen) = watch::channel(BTreeSet::new());
    let views = Views::default();
    let mut publishing =
        Publishing { geo: watch::channel(Arc::new(Geo::empty())).1, ..Publishing::new(region("us-east")) };
    change(&mut publishing);
    let publisher = publish(publishing, plans_seen, demoted_seen, views.clone());
    let server = start(DnsConfig::new("127.0.0.1:0".parse().unwrap()), views.clone(), never_heard()).unwrap();
    Stage { plans, demoted, views, publisher, server }
}

impl Stage {
    async fn until(&self, what: impl FnMut(&ViewStatus) -> bool) -> ViewStatus {
        let mut status = self.publisher.status();
        timeout(SOON, status.wait_for(what)).await.expect("the status comes in time").unwrap().clone()
    }

    async fn published(&self, version: u64) -> ViewStatus {
        self.until(|status| status.plan == Some(PlanId { lineage: 7, version })).await
    }

    fn send(&self, plan: Plan) {
        self.plans.send_replace(Some(Arc::new(plan)));
    }

    async fn www(&self) -> String {
        let addr = self.server.local_addr();
        let ask = move || data(&ask_udp(addr, &query(1, "www.shop.test.", RecordType::A))).join(" ");
        tokio::task::spawn_blocking(ask).await.unwrap()
    }
}

fn without(region_down: &str, version: u64) -> Plan {
    let mut plan = plan(version);
    let state = SubjectState::new(Verdict::Down, 0, version);
    plan.verdicts.insert(Subject::Region(region(region_down)), state);
    plan
}

#[tokio::test]
async fn a_new_plan_changes_the_answer() {
    let stage = stage(Some(plan(1)));
    stage.published(1).await;
    assert_eq!(stage.www().await, "192.0.2.1");
    stage.send(without("us-east", 2));
    stage.published(2).await;
    assert_eq!(stage.www().await, "192.0.2.2");
}

#[tokio::test]
async fn nothing_is_published_before_there_is_a_plan() {
    let stage = stage(None);
    assert_eq!(stage.www().await, "");
    stage.send(plan(1));
    stage.published(1).await;
    assert_eq!(stage.www().await, "192.0.2.1");
}

#[tokio::test]
async fn prefix_lists_are_laid_over_locations_only_when_they_change() {
    let with_list = |version: u64, prefix: &str| {
        let mut plan = plan(version);
        plan.world.prefix_lists = vec![PrefixList { name: "office".into(), prefixes: vec![prefix.into()] }];
        plan
    };
    let stage = stage(Some(with_list(1, "192.0.2.0/24")));
    let mut seen: Vec<Arc<Geo>> = Vec::new();
    for (version, prefix) in [(1, "192.0.2.0/24"), (2, "192.0.2.0/24"), (3, "192.0.2.0/25")] {
        stage.send(with_list(version, prefix));
        stage.published(version).await;
        seen.push(stage.views.load().as_ref().unwrap().geo().clone());
        let spot = seen.last().unwrap().spot("192.0.2.1".parse().unwrap());
        assert_eq!(
            (spot.lists, spot.prefix),
            (vec!["office".to_owned()], prefix.rsplit('/').next().unwrap().parse().unwrap())
        );
    }
    assert!(Arc::ptr_eq(&seen[0], &seen[1]), "the same lists cost nothing");
    assert!(!Arc::ptr_eq(&seen[1], &seen[2]));
}

#[tokio::test]
async fn loads_move_clients_where_a_policy_spills_and_small_changes_cost_nothing() {
    let spilling = |version: u64| {
        let mut plan = plan(version);
        let steps = vec![Step::Spill { low_permille: 700, high_permille: 900 }, Step::Failover { order: Vec::new() }];
        plan.world.policies = BTreeMap::from([("shop".into(), Policy { steps })]);
        plan.world.zones[0].steered[0].policy = "shop".to_owned().into();
        plan
    };
    let (loads, told) = watch::channel(BTreeMap::new());
    let stage = stage_with(Some(plan(1)), |publishing| publishing.load_permille = told);
    let first = stage.published(1).await;
    let of_us_east = |permille: u32| loads.send_replace(BTreeMap::from([(region("us-east"), permille)]));
    of_us_east(950);
    stage.send(spilling(2));
    let second = stage.published(2).await;
    assert_eq!(stage.www().await, "192.0.2.2", "us-east is full");
    assert!(second.since > first.since);

    of_us_east(920);
    of_us_east(650);
    let third = stage.until(|status| status.since > second.since).await;
    assert_eq!(stage.www().await, "192.0.2.1");
    of_us_east(690);
    loads.send_replace(BTreeMap::new());
    let fourth = stage.until(|status| status.since > third.since).await;
    assert_eq!(fourth.plan, second.plan);
    assert_eq!(stage.www().await, "192.0.2.1", "who is not known to be loaded is not");
}

#[tokio::test]
async fn an_older_plan_is_not_taken() {
    let stage = stage(Some(plan(5)));
    stage.published(5).await;
    stage.send(without("us-east", 4));
    stage.demoted.send_replace(BTreeSet::from([region("eu-west")]));
    stage.send(plan(6));
    stage.until(|s| s.plan.is_some_and(|p| p.version == 6)).await;
    assert_eq!(stage.www().await, "192.0.2.1");
}

#[tokio::test]
async fn a_plan_that_cannot_be_served_leaves_the_view_before_it() {
    let stage = stage(Some(plan(1)));
    stage.published(1).await;
    let mut broken = plan(2);
    broken.world.pools.clear();
    stage.send(broken);
    let status = stage.until(|status| status.refused.is_some()).await;
    assert_eq!(status.plan.unwrap().version, 1);
    assert_eq!(status.refused.unwrap().1, "zone shop.test: `www` refers to pool `web`, which the world does not have");
    assert_eq!(stage.www().await, "192.0.2.1");
    stage.send(without("us-east", 3));
    assert_eq!(stage.published(3).await.refused, None);
    assert_eq!(stage.www().await, "192.0.2.2");
}

/// Panics at version 2, never ends at versions 3 to 5.
fn poisonous(plan: &Plan, inputs: &ViewInputs) -> Result<View, CompileError> {
    match plan.id.version {
        2 => panic!("poison"),
        3..=5 => loop {
            std::thread::park_timeout(STUCK);
            if RELEASED.load(Ordering::Relaxed) {
                return View::compile(plan, inputs);
            }
        },
        _ => View::compile(plan, inputs),
    }
}

static RELEASED: AtomicBool = AtomicBool::new(false);
const STUCK: Duration = Duration::from_millis(5);
/// Long enough for a panic to tell its story on a busy machine.
const PATIENCE: Duration = Duration::from_millis(1500);

/// INVARIANT: one poisonous state update cannot stop query serving in any region.
#[tokio::test]
async fn a_plan_that_panics_or_hangs_the_compiler_leaves_the_view_before_it_and_the_next_one_is_taken() {
    let stage = stage_with(Some(plan(1)), |p| {
        p.compile = poisonous;
        p.compile_within = PATIENCE;
    });
    stage.published(1).await;
    let refused = async |version: u64, why: &str| {
        stage.send(without("us-east", version));
        let is_it = |status: &ViewStatus| status.refused.as_ref().is_some_and(|(plan, _)| plan.version == version);
        let status = stage.until(is_it).await;
        assert_eq!((status.plan.unwrap().version, status.refusals), (1, version - 1));
        assert!(status.refused.as_ref().unwrap().1.contains(why), "{status:?}");
        assert_eq!(stage.www().await, "192.0.2.1", "queries are answered all the time");
    };
    refused(2, "panic").await;
    refused(3, "not compiled after 1500 ms").await;
    refused(4, "not compiled after 1500 ms").await;
    refused(5, "restart this process").await;
    RELEASED.store(true, Ordering::Relaxed);
    let mut version = 6;
    // The compilers that were left behind end some time after that.
    while stage.views.load().as_ref().is_some_and(|view| view.plan().version == 1) {
        stage.send(without("us-east", version));
        stage
            .until(|s| s.plan.max(s.refused.as_ref().map(|(id, _)| *id)).is_some_and(|id| id.version == version))
            .await;
        version += 1;
    }
    assert_eq!(stage.www().await, "192.0.2.2");
}

#[tokio::test]
async fn a_plan_whose_content_was_put_right_is_taken_under_the_same_number() {
    let stage = stage(Some(plan(1)));
    stage.published(1).await;
    stage.send(without("us-east", 1));
    stage.demoted.send_replace(BTreeSet::from([region("ap-south")]));
    stage.until(|status| status.demoted.len() == 1).await;
    assert_eq!(stage.www().await, "192.0.2.2");
}

#[tokio::test]
async fn a_demotion_changes_the_answer_and_is_undone() {
    let stage = stage(Some(plan(1)));
    stage.published(1).await;
    let demoted = BTreeSet::from([region("us-east")]);
    stage.demoted.send_replace(demoted.clone());
    stage.until(|status| status.demoted == demoted).await;
    assert_eq!(stage.www().await, "192.0.2.2");
    stage.demoted.send_replace(BTreeSet::new());
    stage.until(|status| status.demoted.is_empty()).await;
    assert_eq!(stage.www().await, "192.0.2.1");
}

#[tokio::test]
async fn the_last_view_outlives_its_publisher() {
    let mut stage = stage(Some(plan(1)));
    stage.published(1).await;
    drop((stage.plans, stage.demoted));
    stage.plans = watch::Sender::new(None);
    stage.demoted = watch::Sender::new(BTreeSet::new());
    drop(stage.publisher);
    assert_eq!(stage.views.load().as_ref().map(|view| view.plan().version), Some(1));
    let addr = stage.server.local_addr();
    let answer = tokio::task::spawn_blocking(move || ask_udp(addr, &query(1, "www.shop.test.", RecordType::A)));
    assert_eq!(data(&answer.await.unwrap()), ["192.0.2.1"]);
}
