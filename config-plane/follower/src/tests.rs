//! The follower against fake members that say what a test wants, over real TLS; its file against every kind of damage.

mod fake_member;
mod file;
mod following;
mod invariants;
mod order;
mod stampede;

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use model::{Location, Plan, PlanId, Region, World};
use plane_client::api::Follow;

/// A directory of its own for each test, gone at the end.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("atoll-follower-test-{}-{n}", std::process::id())))
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn id(lineage: u64, version: u64) -> PlanId {
    PlanId { lineage, version }
}

/// A valid Plan; `made_by` tells where it comes from.
fn plan(id: PlanId, made_by: &str) -> Plan {
    let at = Location { latitude: 53.3, longitude: -6.3 };
    let region = Region { gateway_v4: Some([127, 0, 1, 1].into()), ..Region::new("eu-west".parse().unwrap(), 1, at) };
    Plan::new(id, 1, made_by, World::of("test", vec![region]))
}

fn poison(id: PlanId) -> Plan {
    let mut plan = plan(id, "poison");
    let twin = plan.world.regions[0].clone();
    plan.world.regions.push(twin);
    plan
}

fn message(plan: Plan) -> Follow {
    Follow::Plan(Box::new(plan))
}

fn alive(plan: Option<PlanId>, quorum_age_ms: Option<u64>, leader: Option<&str>) -> Follow {
    let leader = leader.map(|name| name.parse().unwrap());
    Follow::Alive { plan, sum: None, quorum_age_ms, leader, load_permille: Default::default() }
}
