//! The follower stream: constant work, whatever happens.
//!
//! ```text
//! connect ─▸ Plan, Alive, Alive, …   one a second   … Alive, Plan, …   the whole Plan each 10 s, and at each change
//! ```
//!
//! A busy day costs what a quiet one does, so that nothing is found out on the busy one. The Plan that comes again heals whoever
//! has a damaged one, by itself. An Alive carries the sum of the Plan's content, so that both ends know they mean the same.
//!
//! Nothing is queued for a follower. A message is made when its connection takes one, from the newest Plan; so a slow one
//! misses intermediate Plans, which is right, and one that takes nothing for long is let go, which frees its connection.

mod encoded;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::header,
    response::IntoResponse,
};
use futures_util::stream;
use model::{Plan, RegionName};
use plane_client::{Problem, ProblemKind, api::Follow, frame, turnstile::Turnstile};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use self::encoded::{Encoded, LastEncoded};
use super::problem::No;
use crate::{
    clock::millis,
    plane::{Plane, asked_to_stop},
};

/// From one sign of life to the next.
const PERIOD: Duration = Duration::from_secs(1);
/// From one whole Plan to the next, if nothing changes.
const WHOLE_PERIOD: Duration = Duration::from_secs(10);
/// A follower that takes no message for this long is let go. It reconnects, and begins with the newest Plan.
const STALLED_AFTER: Duration = Duration::from_secs(10);

/// What a member keeps for all of its followers together.
pub(crate) struct Followers {
    began: Instant,
    turnstile: Mutex<Turnstile>,
    last: LastEncoded,
    loads: Mutex<Option<(Instant, Loads)>>,
}

/// What regions carry, per mille of what they can.
type Loads = BTreeMap<RegionName, u32>;

impl Followers {
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            turnstile: Mutex::new(Turnstile::new(0)),
            last: LastEncoded::default(),
            loads: Mutex::default(),
        }
    }

    fn admit(&self) -> bool {
        let mut turnstile = self.turnstile.lock().unwrap_or_else(PoisonError::into_inner);
        turnstile.admit(millis(self.began.elapsed()))
    }

    /// What regions carry now, if a policy goes by it. Asked of the votes once a period, however many followers there are.
    async fn loads(&self, plane: &Plane) -> Loads {
        let known = |now: Instant| {
            let loads = self.loads.lock().unwrap_or_else(PoisonError::into_inner);
            loads.as_ref().filter(|(at, _)| now < *at + PERIOD).map(|(_, loads)| loads.clone())
        };
        let Some(plan) = plane.plan().filter(|plan| plan.world.spills()) else { return Loads::new() };
        let now = Instant::now();
        if let Some(loads) = known(now) {
            return loads;
        }
        let loads = plan.world.load_permille(&plane.demand().await);
        *self.loads.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, loads.clone()));
        loads
    }
}

pub(super) async fn follow(State(plane): State<Arc<Plane>>) -> Result<impl IntoResponse, No> {
    if !plane.followers.admit() {
        let problem = Problem::new(ProblemKind::NoQuorum, "too many followers come at once");
        return Err(
            No(problem.hint("come back in some seconds, not all at the same moment, or follow another region")),
        );
    }
    let now = Instant::now();
    let feed = Feed {
        plans: plane.consensus.plans(),
        stopping: plane.stopping.clone(),
        plane,
        sent: None,
        due: now,
        whole_due: now,
    };
    let messages = stream::unfold(feed, |mut feed| async move {
        let message = feed.next().await?;
        Some((Ok::<_, Infallible>(message), feed))
    });
    Ok(([(header::CONTENT_TYPE, "application/vnd.atoll.follow")], Body::from_stream(messages)))
}

struct Feed {
    plane: Arc<Plane>,
    plans: watch::Receiver<Option<Arc<Plan>>>,
    stopping: watch::Receiver<bool>,
    /// The Plan that the follower has.
    sent: Option<Encoded>,
    /// When the next sign of life is due.
    due: Instant,
    /// When the Plan is sent again although it did not change.
    whole_due: Instant,
}

impl Feed {
    /// The next message, or the end.
    async fn next(&mut self) -> Option<Bytes> {
        if Instant::now() > self.due + STALLED_AFTER {
            tracing::debug!("a follower took no message for a while and is let go");
            return None;
        }
        loop {
            let plan = self.plans.borrow_and_update().clone();
            let again = Instant::now() >= self.whole_due;
            if let Some(plan) = plan.filter(|plan| again || Some(plan.id) > self.sent.as_ref().map(|sent| sent.id)) {
                return self.whole(&plan);
            }
            let wake_at = if self.sent.is_some() { self.due.min(self.whole_due) } else { self.due };
            tokio::select! {
                changed = self.plans.changed() => if changed.is_err() { return None },
                () = sleep_until(wake_at) => if Instant::now() >= self.due { return self.alive().await },
                () = asked_to_stop(&mut self.stopping) => return None,
            }
        }
    }

    fn whole(&mut self, plan: &Arc<Plan>) -> Option<Bytes> {
        self.whole_due = Instant::now() + WHOLE_PERIOD;
        match self.plane.followers.last.of(plan) {
            Ok(encoded) => Some(self.sent.insert(encoded).frame.clone()),
            Err(error) => unwritable(&error),
        }
    }

    async fn alive(&mut self) -> Option<Bytes> {
        self.due = Instant::now() + PERIOD;
        let (plane, sent) = (&self.plane, self.sent.as_ref());
        let load_permille = plane.followers.loads(plane).await;
        let message = Follow::Alive {
            plan: sent.map(|sent| sent.id),
            sum: sent.map(|sent| sent.sum.clone()),
            quorum_age_ms: plane.quorum_age_ms(),
            leader: plane.leader(),
            load_permille,
        };
        frame::encode(&message).map_or_else(|error| unwritable(&error), Some)
    }
}

fn unwritable(error: &frame::FrameError) -> Option<Bytes> {
    tracing::error!(%error, "a message to a follower cannot be written; the follower is let go");
    None
}
