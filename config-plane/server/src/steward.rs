//! The tasks that look after this member's part in the group.
//!
//! ```text
//! while it writes, each ⅛ of the patience   how long has it been writing? ─→ watchdog ──→ fall silent, serve, rejoin
//! every 5 s                                 a pulse to each member and back ─→ reach ────→ is raft patient enough?
//!                                                                                └────────→ placement ─→ hand over
//! at the start, with an empty file          pulses, more often ──────────────→ newcomer
//! while the leader is missed                do the observers call it Down? ────→ succession
//! ```

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::future::{join, join_all};
use model::RegionName;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::{
    plane::Plane,
    raft::{
        carrier::Lane,
        placement::Placement,
        reach::WirePulse,
        rpc::Ask,
        watchdog::{Step, Watchdog},
    },
};

/// Between two pulses.
pub(crate) const PERIOD: Duration = Duration::from_secs(5);
/// Between two looks of a newcomer at itself, and at the others.
const SETTLE_PAUSE: Duration = Duration::from_millis(50);
const SETTLE_PERIOD: Duration = Duration::from_millis(500);
/// A pulse that takes longer is no answer.
const WITHIN: Duration = Duration::from_secs(3);

/// Watches the disk until the member stops.
pub(crate) async fn watch_disk(plane: Arc<Plane>) {
    let patience = plane.timing.disk_patience();
    let mut watchdog = Watchdog::new(patience);
    let started = Instant::now();
    loop {
        let consensus = &plane.consensus;
        if watchdog.is_at_rest() && consensus.disk_stalled_for().is_zero() {
            consensus.disk_queued().await;
        }
        sleep(patience / 8).await;
        let stalled = consensus.disk_stalled_for();
        match watchdog.look(started.elapsed(), stalled) {
            None => {}
            Some(Step::FallSilent) => fall_silent(&plane, stalled).await,
            Some(Step::Serve) => {
                tracing::info!("the plane's disk answers again; this member takes part, and does not campaign yet");
                consensus.serve();
            }
            Some(Step::Rejoin) => consensus.rejoin(),
        }
    }
}

async fn fall_silent(plane: &Plane, stalled: Duration) {
    let stalled_ms = stalled.as_millis();
    // A plane of one member has nobody to hand over to; silence would only make it worse.
    if plane.consensus.sight().voters.len() <= 1 {
        tracing::error!(stalled_ms, "the disk of the plane's only voter does not answer");
        return;
    }
    let heir = plane.consensus.fall_silent().await;
    let heir = heir.and_then(|id| plane.name(id));
    tracing::error!(
        stalled_ms,
        heir = heir.as_ref().map(RegionName::as_str),
        "the plane's disk does not answer; this member leads no more, and falls silent until it does"
    );
}

/// Lets a newcomer hear of the others what it may have forgotten, until it is settled.
pub(crate) async fn settle(plane: Arc<Plane>) {
    // Until then candidacies may be under way that this member supported.
    let mut ask_at = Instant::now() + Duration::from_millis(plane.timing.election_max_ms);
    while plane.consensus.is_newcomer() {
        sleep(SETTLE_PAUSE).await;
        if plane.consensus.settle().await {
            tracing::info!("this member has learnt what was committed and takes part in full");
            return;
        }
        if Instant::now() >= ask_at {
            ask_at = Instant::now() + SETTLE_PERIOD;
            for (id, pulse) in round(&plane).await {
                plane.consensus.hear(id, &pulse);
            }
        }
    }
}

/// Sends pulses until the member stops.
pub(crate) async fn pulse(plane: Arc<Plane>) {
    let started = Instant::now();
    let mut placement = Placement::default();
    let mut impatient = false;
    let mut rounds = interval(PERIOD);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        let answers = round(&plane).await;
        let voters = plane.consensus.sight().voters;
        warn_of_impatience(&plane, &voters, &mut impatient);
        if !plane.leads.borrow().ready {
            placement.rest();
            continue;
        }
        let others: Vec<(u64, Duration)> = answers
            .into_iter()
            .filter(|(id, pulse)| voters.contains(id) && pulse.disk_stalled_ms == 0)
            .filter(|(id, _)| plane.consensus.is_up_to_date(*id))
            .filter_map(|(id, pulse)| Some((id, Duration::from_micros(pulse.majority_us?))))
            .collect();
        let own = plane.reach().majority(plane.id, &voters);
        let heir = own.and_then(|own| placement.look(started.elapsed(), own, &others));
        if let Some(heir) = heir {
            let name = plane.name(heir);
            tracing::info!(
                heir = name.as_ref().map(RegionName::as_str),
                "a majority is nearer to another member: it shall lead"
            );
            plane.consensus.hand_over(heir).await;
        }
    }
}

/// Stands for the lead while a leader is missed that a quorum of observers calls Down, until the member stops.
///
/// Asking whether one would be elected costs nothing, so it is repeated until the others have been told too. Once somebody stands, it is
/// given time. Two who do so at once are no harm to each other: of candidates of one term the one with the highest number gets all the
/// votes.
pub(crate) async fn succeed(plane: Arc<Plane>) {
    let consensus = &plane.consensus;
    let pause = plane.timing.silence();
    loop {
        let missed = consensus.missed().await;
        let mut seen = missed.vote;
        while consensus.misses(&missed) {
            if !plane.is_called_down(missed.leader).await {
                sleep(pause / 16).await;
                continue;
            }
            let vote = consensus.vote();
            if vote == seen {
                let leader = plane.name(missed.leader);
                let leader = leader.as_ref().map(RegionName::as_str);
                tracing::info!(leader, "the leader is silent, and its region is down: this member would take over");
                consensus.stand_for(&missed).await;
                sleep(pause / 4).await;
            } else {
                seen = vote;
                sleep(pause).await;
            }
        }
    }
}

/// One pulse to each of the others, at once: over the lane of heartbeats, where nothing is in its way.
///
/// The one over the log's lane is only there to have a connection: who stands for the lead and then leads has three round trips to make,
/// and would have three more to dial first.
async fn round(plane: &Plane) -> Vec<(u64, WirePulse)> {
    let others = plane.members.keys().copied().filter(|id| *id != plane.id);
    let asked = others.map(|id| async move {
        let pulse = |lane| plane.network.call::<_, WirePulse>(id, lane, Ask::Pulse, &(), WITHIN);
        let measured = async {
            let sent = Instant::now();
            let answer = pulse(Lane::Heartbeats).await;
            let took = answer.is_ok().then(|| sent.elapsed());
            plane.reach().note(id, took);
            answer.ok().map(|pulse| (id, pulse))
        };
        join(measured, pulse(Lane::Log)).await.0
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// Says so once when raft's patience is not enough any more, and once when it is again.
fn warn_of_impatience(plane: &Plane, voters: &BTreeSet<u64>, impatient: &mut bool) {
    let concern = plane.impatience(voters);
    match &concern {
        Some(concern) if !*impatient => tracing::warn!("{concern}"),
        None if *impatient => tracing::info!("the plane's settings suit its round trips again"),
        _ => {}
    }
    *impatient = concern.is_some();
}
