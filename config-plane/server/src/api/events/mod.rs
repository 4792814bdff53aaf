//! The event stream, as server-sent events: what changed, as soon as it is known here.
//!
//! ```text
//! event: decision          what automation decided, with its evidence
//! event: override, gate, home     what people said, and what became of it
//! event: plan      id: LINEAGE:VERSION      last of each change; a reader that resumes after it has seen all of the above
//! event: gap               the reader asked for more than is kept: look at /v1/plan
//! event: alarm             a loss that could not be carried, or could be again; of every region to a reader that resumes
//! : alive                  every ten seconds, whatever happens
//! ```
//!
//! Only `plan` carries an id: whoever lost the connection in the middle of a change gets all of that change again. Nothing is
//! queued for a reader but what one change says; the next one is made from the Plans kept when its connection takes it. So a
//! slow one costs nothing, and one that takes nothing for long is let go.

mod story;

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{Query, State},
    http::{HeaderMap, header},
    response::IntoResponse,
};
use futures_util::stream;
use model::{Plan, PlanId};
use plane_client::{Problem, ProblemKind, api::human::SurveyReport};
use serde::Deserialize;
use tokio::{
    sync::{Semaphore, SemaphorePermit, watch},
    time::{Instant, sleep_until},
};

use super::{problem::No, write::parse_plan_id};
use crate::plane::{Plane, asked_to_stop};
use story::Event;

/// Readers at once; followers have a stream of their own.
const READERS: usize = 64;
static ROOM: Semaphore = Semaphore::const_new(READERS);
/// From one sign of life to the next.
const PERIOD: Duration = Duration::from_secs(10);
/// A reader that takes nothing for this long after a sign of life was due is let go.
const STALLED_AFTER: Duration = Duration::from_secs(20);

/// For readers that cannot set a header.
#[derive(Deserialize)]
pub(super) struct Resume {
    last_event_id: Option<String>,
}

pub(super) async fn events(
    State(plane): State<Arc<Plane>>,
    Query(resume): Query<Resume>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, No> {
    let room = ROOM.try_acquire().map_err(|_| {
        No(Problem::new(ProblemKind::Busy, format!("{READERS} readers follow the events of this region already")))
    })?;
    let last = headers.get("last-event-id").map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let after = last.or(resume.last_event_id).map(|text| read_id(&text, &plane)).transpose()?;
    let feed = Feed::new(plane, after, room);
    let messages = stream::unfold(feed, |mut feed| async move {
        let message = feed.next().await?;
        Some((Ok::<_, Infallible>(message), feed))
    });
    let head = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((head, Body::from_stream(messages)))
}

/// An event's id, or a version alone, of the lineage in force.
fn read_id(text: &str, plane: &Plane) -> Result<PlanId, No> {
    let of_version = || {
        let lineage = plane.plan().map_or(0, |plan| plan.id.lineage);
        text.parse().ok().map(|version| PlanId { lineage, version })
    };
    let wrong = || No::invalid(format!("`{text}` is not the id of an event: it is LINEAGE:VERSION"));
    parse_plan_id(text).or_else(of_version).ok_or_else(wrong)
}

struct Feed {
    plane: Arc<Plane>,
    plans: watch::Receiver<Option<Arc<Plan>>>,
    survey: watch::Receiver<Arc<SurveyReport>>,
    stopping: watch::Receiver<bool>,
    /// Up to where the reader knows, before the first Plan was told.
    after: Option<PlanId>,
    /// The Plan told last.
    told: Option<Arc<Plan>>,
    /// Whether the reader resumes, and has not been told yet where the regions stand.
    resumed: bool,
    /// The survey told last.
    surveyed: Arc<SurveyReport>,
    /// What one change still has to say.
    ready: VecDeque<Event>,
    /// When the next sign of life is due.
    due: Instant,
    _room: SemaphorePermit<'static>,
}

impl Feed {
    fn new(plane: Arc<Plane>, after: Option<PlanId>, room: SemaphorePermit<'static>) -> Self {
        let mut survey = plane.survey.subscribe();
        survey.mark_changed();
        Self {
            plans: plane.consensus.plans(),
            survey,
            stopping: plane.stopping.clone(),
            plane,
            resumed: after.is_some(),
            after,
            told: None,
            surveyed: Arc::default(),
            ready: VecDeque::new(),
            due: Instant::now() + PERIOD,
            _room: room,
        }
    }

    /// The next bytes, or the end.
    async fn next(&mut self) -> Option<Bytes> {
        if Instant::now() > self.due + STALLED_AFTER {
            tracing::debug!("a reader of events took nothing for a while and is let go");
            return None;
        }
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event.bytes());
            }
            if self.tell_next_plan() {
                continue;
            }
            tokio::select! {
                changed = self.plans.changed() => if changed.is_err() { return None },
                changed = self.survey.changed() => {
                    if changed.is_err() { return None }
                    let now = self.survey.borrow_and_update().clone();
                    self.tell_alarms(&now);
                    self.surveyed = now;
                }
                () = sleep_until(self.due) => {
                    self.due = Instant::now() + PERIOD;
                    return Some(Bytes::from_static(b": alive\n\n"));
                }
                () = asked_to_stop(&mut self.stopping) => return None,
            }
        }
    }

    /// A reader that resumes may know of an alarm that has ended meanwhile, so it is told first where every region stands.
    fn tell_alarms(&mut self, now: &SurveyReport) {
        let plan = self.plans.borrow().clone().filter(|_| self.resumed && now.at_ms.is_some());
        match plan {
            Some(plan) => {
                self.resumed = false;
                let regions = plan.world.regions.iter().map(|region| &region.name);
                self.ready.extend(regions.map(|region| story::alarm(region, now)));
            }
            None if self.resumed => {}
            None => self.ready.extend(story::alarms(&self.surveyed, now)),
        }
    }

    /// Tells of the oldest Plan that the reader does not know; `false`: it knows them all.
    fn tell_next_plan(&mut self) -> bool {
        let Some(newest) = self.plans.borrow_and_update().clone() else { return false };
        if let Some(told) = self.told.clone() {
            let Some(next) = self.plane.history.after(told.id).or((newest.id > told.id).then_some(newest)) else {
                return false;
            };
            self.ready.extend(story::between(&told, &next));
            self.told = Some(next);
            return true;
        }
        match self.after.take() {
            // It was told more elsewhere than is known here: nothing to tell before this member has caught up with it.
            Some(after) if after > newest.id => {
                self.after = Some(after);
                return false;
            }
            Some(after) if after == newest.id => self.told = Some(newest),
            Some(after) => match self.plane.history.exactly(after) {
                Some(known) => self.told = Some(known),
                None => {
                    self.ready.extend([story::gap(after), story::plan(None, &newest)]);
                    self.told = Some(newest);
                }
            },
            None => {
                self.ready.push_back(story::plan(None, &newest));
                self.told = Some(newest);
            }
        }
        true
    }
}
