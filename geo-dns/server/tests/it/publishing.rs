//! From Plans to Views to answers.

use std::{collections::BTreeSet, sync::Arc};

use dns_server::{
    DnsConfig, DnsHandle, Views, start,
    views::{Publishing, ViewPublisher, ViewStatus, publish},
};
use hickory_proto::rr::RecordType;
use model::{Plan, PlanId, RegionName, Subject, SubjectState, Verdict};
use steering::geo::Geo;
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
    let (plans, plans_seen) = watch::channel(first.map(Arc::new));
    let (demoted, demoted_seen) = watch::channel(BTreeSet::new());
    let views = Views::default();
    let publishing = Publishing { server_region: region("us-east"), geo: Arc::new(Geo::empty()) };
    let publisher = publish(publishing, plans_seen, demoted_seen, views.clone());
    let server = start(DnsConfig::new("127.0.0.1:0".parse().unwrap()), views.clone()).unwrap();
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
