//! The follower stream: the Plan at once and at each change, and a sign of life each second, whatever happens.
//!
//! Nothing is queued for a follower. A message is made when its connection takes one, from the newest Plan; so a slow one
//! misses intermediate Plans, which is right, and one that takes nothing for long is let go, which frees its connection.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::header,
    response::IntoResponse,
};
use futures_util::stream;
use model::{Plan, PlanId};
use plane_client::{api::Follow, frame};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::plane::{Plane, asked_to_stop};

/// From one sign of life to the next.
const PERIOD: Duration = Duration::from_secs(1);
/// A follower that takes no message for this long is let go. It reconnects, and begins with the newest Plan.
const STALLED_AFTER: Duration = Duration::from_secs(10);

pub(super) async fn follow(State(plane): State<Arc<Plane>>) -> impl IntoResponse {
    let feed = Feed {
        plans: plane.consensus.plans(),
        stopping: plane.stopping.clone(),
        plane,
        sent: None,
        due: Instant::now(),
    };
    let messages = stream::unfold(feed, |mut feed| async move {
        let message = feed.next().await?;
        Some((Ok::<_, Infallible>(message), feed))
    });
    ([(header::CONTENT_TYPE, "application/vnd.atoll.follow")], Body::from_stream(messages))
}

struct Feed {
    plane: Arc<Plane>,
    plans: watch::Receiver<Option<Arc<Plan>>>,
    stopping: watch::Receiver<bool>,
    /// The Plan that the follower has.
    sent: Option<PlanId>,
    /// When the next sign of life is due.
    due: Instant,
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
            let news = plan.filter(|plan| Some(plan.id) > self.sent);
            if let Some(plan) = news {
                self.sent = Some(plan.id);
                return self.encode(&Follow::Plan(Box::new(Plan::clone(&plan))));
            }
            tokio::select! {
                changed = self.plans.changed() => if changed.is_err() { return None },
                () = sleep_until(self.due) => return self.alive(),
                () = asked_to_stop(&mut self.stopping) => return None,
            }
        }
    }

    fn alive(&mut self) -> Option<Bytes> {
        self.due = Instant::now() + PERIOD;
        let plane = &self.plane;
        let message = Follow::Alive { plan: self.sent, quorum_age_ms: plane.quorum_age_ms(), leader: plane.leader() };
        self.encode(&message)
    }

    fn encode(&mut self, message: &Follow) -> Option<Bytes> {
        match frame::encode(message) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                tracing::error!(%error, "a message to a follower cannot be written; the follower is let go");
                None
            }
        }
    }
}
