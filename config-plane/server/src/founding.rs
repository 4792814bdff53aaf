//! The first minutes of a world: who makes the raft group, and who proposes the first Plan.
//!
//! The member with the lowest id makes the group, with all voters at once; the others wait to be told. Doing so again on a
//! member that belongs to a group is refused by raft, so a restart just resumes. The first Plan comes from a `Found` request,
//! repeated under the same id until it is there; the state machine founds a world once.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use decision::{Command, Outcome};
use model::World;

use crate::{
    StartError,
    config::PlaneConfig,
    plane::Plane,
    raft::{consensus::Consensus, types::RegionNode},
};

/// Between two attempts to found, or to add a learner.
const PAUSE: Duration = Duration::from_millis(500);

/// Makes the raft group if it is this member's turn.
pub(crate) async fn make_group(config: &PlaneConfig, consensus: &Consensus) -> Result<(), StartError> {
    let voters = config.voters();
    if config.founding.is_none() || voters.first() != Some(&config.id) {
        return Ok(());
    }
    let nodes: BTreeMap<u64, RegionNode> = config
        .members
        .iter()
        .filter(|member| voters.contains(&member.id))
        .map(|member| (member.id.into(), RegionNode { name: member.name.to_string() }))
        .collect();
    consensus.initialise(nodes).await.map_err(StartError::Raft)
}

/// Founds the world, unless somebody has. Ends when there is a Plan.
pub(crate) async fn found(plane: Arc<Plane>, world: World) {
    let mut lineage = [0; 8];
    if let Err(error) = getrandom::fill(&mut lineage) {
        tracing::error!(%error, "no random bytes for this world's lineage; it is not founded from here");
        return;
    }
    // High bits stay free, so that a restore from backup always finds a higher lineage.
    // 52 bits are plenty, and every JSON reader keeps them exact.
    let lineage = u64::from_be_bytes(lineage) >> 12;
    let Ok(request) = plane.request(Command::Found { world: world.into(), lineage }) else { return };
    let mut plans = plane.consensus.plans();
    let mut leads = plane.leads.clone();
    while plans.borrow_and_update().is_none() {
        // The leader proposes; whoever else has the World at hand stands by.
        if leads.borrow_and_update().ready {
            match plane.propose(request.clone()).await {
                Ok(Outcome::Applied(id)) => tracing::info!(plan = %id, "the world is founded"),
                Ok(Outcome::Unchanged(_)) => {}
                Ok(Outcome::Refused(refusal)) => {
                    tracing::error!(%refusal, "the world cannot be founded");
                    return;
                }
                Err(error) => tracing::warn!(%error, "the world is not founded yet"),
            }
        }
        tokio::select! {
            changed = plans.changed() => if changed.is_err() { return },
            changed = leads.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Whenever this member leads, adds the members that are in the configuration and not yet in the group.
pub(crate) async fn add_learners(plane: Arc<Plane>) {
    let mut leads = plane.leads.clone();
    loop {
        if leads.wait_for(|now| now.ready).await.is_err() {
            return;
        }
        let mut all = true;
        for member in plane.members.values() {
            let node = RegionNode { name: member.name.to_string() };
            if let Err(error) = plane.consensus.add_learner(member.id.into(), node).await {
                tracing::warn!(member = %member.name, %error, "cannot add a member to the plane yet");
                all = false;
            }
        }
        let pause = tokio::time::sleep(PAUSE);
        tokio::select! {
            changed = leads.changed() => if changed.is_err() { return },
            () = pause, if !all => {}
        }
    }
}
