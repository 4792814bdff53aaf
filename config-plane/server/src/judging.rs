//! The judge's task: votes, Plans and the lead go in, proposals come out.
//!
//! ```text
//! votes (API) ──┐
//! Plans ────────┤                        ┌─→ propose, with the judge's fence and a fresh id
//! who leads ────┼─→ Judge::handle ───────┤
//! outcomes ─────┤                        └─→ wake_at
//! the lever ────┤
//! time ─────────┘
//! ```
//!
//! Every member runs it on the same votes, so a new leader decides at once from its own book.

use std::{collections::BTreeMap, sync::Arc};

use decision::{Command, Demand, Input, Judge, Outcome, Standing, Tally, Timing};
use model::{RegionName, Subject, Vote, VoteVector};
use plane_client::api::{ObserverVotes, VotesReport};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::sleep_until,
};

use crate::plane::Plane;

/// Vote vectors and questions that may wait for the judge. A vote that finds no room is dropped: the next one says the same.
pub(crate) const INBOX: usize = 256;

/// What the task is told.
pub(crate) enum Message {
    /// An observer's votes.
    Votes(VoteVector),
    /// Hand out what the judge holds.
    Look(oneshot::Sender<View>),
    /// Does a quorum call this region Down?
    IsDown(RegionName, oneshot::Sender<bool>),
}

/// A copy of what the judge holds.
pub(crate) struct View {
    judge: Judge,
    vectors: BTreeMap<RegionName, VoteVector>,
}

/// Runs until the member stops.
pub(crate) async fn run(plane: Arc<Plane>, mut inbox: mpsc::Receiver<Message>) {
    let mut task =
        Task { plane: Arc::clone(&plane), judge: Judge::new(), vectors: BTreeMap::new(), under_way: JoinSet::new() };
    let mut plans = plane.consensus.plans();
    let mut leads = plane.leads.clone();
    plans.mark_changed();
    let mut lever = plane.lever.watch();
    leads.mark_changed();
    loop {
        let wake_at = task.judge.wake_at().map(|ms| plane.clock.at(ms));
        tokio::select! {
            message = inbox.recv() => match message {
                Some(Message::Votes(vector)) => task.take_votes(vector),
                Some(Message::Look(reply)) => task.show(reply),
                Some(Message::IsDown(region, reply)) => {
                    // The asker may have gone away.
                    let _ = reply.send(task.judge.is_called_down(plane.clock.now(), &region));
                }
                None => return,
            },
            changed = plans.changed() => {
                if changed.is_err() { return }
                let plan = plans.borrow_and_update().clone();
                task.take_plan(plan);
            }
            changed = leads.changed() => {
                if changed.is_err() { return }
                leads.borrow_and_update();
                task.handle(Input::Leading(plane.may_propose()));
            }
            changed = lever.changed() => {
                if changed.is_err() { return }
                lever.borrow_and_update();
                task.handle(Input::Leading(plane.may_propose()));
            }
            Some(answered) = task.under_way.join_next() => task.handle(Input::Answered(answered.ok().flatten())),
            () = sleep_until(wake_at.unwrap_or_else(far_away)), if wake_at.is_some() => task.handle(Input::Tick),
        }
        task.propose();
    }
}

fn far_away() -> tokio::time::Instant {
    tokio::time::Instant::now() + std::time::Duration::from_secs(3600)
}

struct Task {
    plane: Arc<Plane>,
    judge: Judge,
    /// The newest vector of each observer, for people who ask.
    vectors: BTreeMap<RegionName, VoteVector>,
    under_way: JoinSet<Option<Outcome>>,
}

impl Task {
    fn handle(&mut self, input: Input) {
        self.judge.handle(self.plane.clock.now(), input);
    }

    fn take_votes(&mut self, vector: VoteVector) {
        // Only observers of this world, or anybody with a certificate could fill our memory.
        let known = self.plane.plan().is_some_and(|plan| plan.world.region(&vector.observer).is_some());
        if known {
            self.vectors.insert(vector.observer.clone(), vector.clone());
        }
        self.handle(Input::Votes(vector));
    }

    fn take_plan(&mut self, plan: Option<Arc<model::Plan>>) {
        let Some(plan) = plan else { return };
        self.vectors.retain(|observer, _| plan.world.region(observer).is_some());
        self.plane.history.remember(Arc::clone(&plan));
        self.handle(Input::Plan(plan));
    }

    fn show(&self, reply: oneshot::Sender<View>) {
        // The asker may have gone away.
        drop(reply.send(View { judge: self.judge.clone(), vectors: self.vectors.clone() }));
    }

    /// Proposes what the judge wants, beside the loop: votes keep coming in meanwhile.
    fn propose(&mut self) {
        while let Some(command) = self.judge.next_output() {
            let plane = Arc::clone(&self.plane);
            self.under_way.spawn(async move { propose_one(&plane, command).await });
        }
    }
}

/// `None` if nobody knows what became of it, or nothing did: the judge looks again after a pause.
async fn propose_one(plane: &Plane, command: Command) -> Option<Outcome> {
    let kind = command.kind();
    let proposed = match plane.request(command) {
        Ok(request) => plane.propose(request).await,
        Err(e) => Err(e),
    };
    match proposed {
        Ok(Outcome::Refused(refusal)) => {
            tracing::info!(kind, %refusal, "the plane refused a decision of the judge");
            Some(Outcome::Refused(refusal))
        }
        Ok(outcome) => {
            tracing::info!(kind, ?outcome, "the plane took a decision");
            Some(outcome)
        }
        Err(error) => {
            tracing::warn!(kind, %error, "a decision of the judge has no outcome");
            None
        }
    }
}

impl View {
    /// What users ask of the regions now.
    pub(crate) fn demand(&self) -> Demand {
        self.judge.demand()
    }

    /// Where every subject stands.
    pub(crate) fn standings(&self, now: decision::Now) -> BTreeMap<Subject, (Tally, Standing)> {
        self.judge.standings(now)
    }

    /// Who said what, and whether it counts.
    pub(crate) fn report(self, region: RegionName, now: decision::Now) -> VotesReport {
        let standings = self.judge.standings(now);
        let life_ms = self.judge.plan().map_or(u64::MAX, |plan| Timing::of_world(&plan.world).vote_life_ms);
        let votes = self.vectors.into_values().map(|vector| {
            let age_ms = self.judge.votes().heard_ms_ago(now.mono_ms, &vector.observer).unwrap_or(u64::MAX);
            let opinionated = |vote: &Vote| *vote != Vote::Unknown;
            let counted =
                standings.values().any(|(tally, _)| tally.votes.get(&vector.observer).is_some_and(opinionated));
            let why_not = if counted {
                None
            } else if age_ms > life_ms {
                Some(format!("silent for {age_ms} ms; a vote lives {life_ms} ms"))
            } else if vector.votes.values().any(opinionated) {
                Some("it calls most of the others Down, and the rest contradict it".into())
            } else {
                Some("it has no opinion of anybody".into())
            };
            ObserverVotes { vector, age_ms, qualified: counted, why_not }
        });
        VotesReport { region, votes: votes.collect() }
    }
}
