//! Follows one member at a time: opens its stream, hands Plans to the keeper, and moves on when it is of no use.
//!
//! ```text
//!            ┌──────────── pause, next member ←──────────────┐
//!            ↓                                               │ it ended, fell silent, lost its quorum,
//!   open(member) ──→ read: Plan → keeper, Alive → heard ─────┘ or its newer Plan does not come
//!                     │
//!                     └─ not our preferred member: try that one again now and then, beside the stream that works
//! ```

use std::time::{Duration, Instant};

use model::PlanId;
use plane_client::{Endpoint, FollowError, FollowStream, Transport, api::Follow};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tracing::{debug, info};

use crate::{
    FollowerReport, Heard, Loads, Timings,
    backoff::Backoff,
    keeper::{Keeper, Offered},
};

pub(crate) struct Session {
    pub(crate) members: Vec<Endpoint>,
    pub(crate) transport: Transport,
    pub(crate) timings: Timings,
    pub(crate) keeper: Keeper,
    pub(crate) heard: Heard,
    pub(crate) loads: watch::Sender<Loads>,
    pub(crate) report: watch::Sender<FollowerReport>,
}

/// The preferred member, proven good: its stream, and what it said so far.
struct Home {
    stream: FollowStream,
    said: Vec<Said>,
}

/// A message, and the sum of its content.
type Said = (Follow, Option<String>);

impl Session {
    /// Runs until it is aborted. With no members there is nothing to follow, and the Plan on disk stands.
    pub(crate) async fn run(mut self) {
        if self.members.is_empty() {
            return std::future::pending().await;
        }
        let mut backoff = Backoff::new(self.timings.pause_least, self.timings.pause_most);
        let mut at = 0;
        loop {
            let why = match open(&self.transport, &self.members[at], self.timings).await {
                Ok(stream) => self.read(stream, &mut at, &mut backoff).await,
                Err(why) => why,
            };
            self.lost(&self.members[at], &why);
            at = (at + 1) % self.members.len();
            sleep(backoff.next(fastrand::f64())).await;
        }
    }

    /// Reads a stream for as long as it is of use; then says why it is not. `at` becomes 0 if the preferred member takes over.
    async fn read(&mut self, mut stream: FollowStream, at: &mut usize, backoff: &mut Backoff) -> String {
        self.now_following(*at);
        let mut useful_at = Instant::now();
        let home = come_home(self.transport.clone(), self.members[0].clone(), self.timings);
        tokio::pin!(home);
        loop {
            let message = tokio::select! {
                message = timeout(self.timings.silence, stream.next()) => message,
                home = &mut home, if *at != 0 => {
                    info!(member = %self.members[0], "the preferred member is well again: following it");
                    (stream, *at) = (home.stream, 0);
                    self.now_following(*at);
                    for said in home.said {
                        self.take(said).await;
                    }
                    continue;
                }
            };
            let useful = match message {
                Err(_) => return format!("no message for {} ms", self.timings.silence.as_millis()),
                Ok(Err(FollowError::Ended(why))) => return why,
                Ok(Err(e @ FollowError::Undecodable(_))) => {
                    self.keeper.poisoned(&format!("{}: {e}", self.members[*at]));
                    false
                }
                Ok(Ok(message)) => {
                    let sum = stream.last_sum().map(str::to_owned);
                    self.take((message, sum)).await
                }
            };
            if useful {
                useful_at = Instant::now();
                backoff.reset();
            } else if useful_at.elapsed() >= self.timings.useless {
                return "it has no quorum, or its newer Plan does not come".into();
            }
        }
    }

    /// Takes a message in. True if it shows that the member is worth following.
    async fn take(&mut self, (message, own_sum): Said) -> bool {
        match message {
            Follow::Plan(plan) => {
                // One that comes again proves nothing: a member cut off from the others sends it too.
                matches!(self.keeper.offer(*plan, own_sum).await, Offered::Taken | Offered::Healed)
            }
            Follow::Alive { plan, sum, quorum_age_ms, leader, load_permille } => {
                self.keeper.compare(plan, sum.as_deref());
                self.loads.send_if_modified(|known| {
                    let news = *known != load_permille;
                    *known = load_permille;
                    news
                });
                let fresh = leader.is_some() && is_fresh(quorum_age_ms);
                if fresh {
                    self.heard.note(Instant::now());
                }
                fresh && !is_ahead(plan, self.keeper.held())
            }
        }
    }

    fn now_following(&self, at: usize) {
        let member = self.members[at].clone();
        debug!(%member, "following");
        self.report.send_modify(|report| report.following = Some(member));
    }

    fn lost(&self, member: &Endpoint, why: &str) {
        let trouble = format!("stopped following {member}: {why}");
        // What is not heard of any more is not known: whoever goes by loads then takes nobody for loaded.
        self.loads.send_if_modified(|known| !std::mem::take(known).is_empty());
        // Only the first of a row is news: in a cut there is one of these every two seconds.
        if self.report.borrow().following.is_some() {
            info!("{trouble}");
        } else {
            debug!("{trouble}");
        }
        self.report.send_modify(|report| {
            report.following = None;
            report.lost += 1;
            report.trouble = Some(trouble);
        });
    }
}

fn is_fresh(quorum_age_ms: Option<u64>) -> bool {
    quorum_age_ms.is_some_and(|age| Duration::from_millis(age) <= Heard::FRESH_WITHIN)
}

/// A member whose Plan is newer than ours, although it sends each Plan before it speaks of it: that one did not get through.
fn is_ahead(theirs: Option<PlanId>, ours: Option<PlanId>) -> bool {
    theirs > ours
}

async fn open(transport: &Transport, member: &Endpoint, timings: Timings) -> Result<FollowStream, String> {
    // The body of a refusal is read within the same bound again, which this one cuts short.
    let opened = timeout(timings.open_within, FollowStream::open(transport, member, timings.open_within)).await;
    match opened {
        Ok(opened) => opened.map_err(|e| e.to_string()),
        Err(_) => Err(format!("no stream within {} ms", timings.open_within.as_millis())),
    }
}

/// Waits until the preferred member has a quorum behind it again.
async fn come_home(transport: Transport, member: Endpoint, timings: Timings) -> Home {
    loop {
        // Scattered, so that a region that comes back is not met by all its followers in one moment.
        sleep(timings.homesick.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
        if let Ok(stream) = open(&transport, &member, timings).await
            && let Some(home) = prove(stream, timings).await
        {
            return home;
        }
    }
}

/// Reads the first messages of a stream up to one that speaks of a fresh quorum.
async fn prove(mut stream: FollowStream, timings: Timings) -> Option<Home> {
    const ENOUGH: usize = 3;
    let mut said = Vec::with_capacity(ENOUGH);
    while said.len() < ENOUGH {
        let message = timeout(timings.silence, stream.next()).await.ok()?.ok()?;
        let proven =
            matches!(&message, Follow::Alive { leader: Some(_), quorum_age_ms, .. } if is_fresh(*quorum_age_ms));
        said.push((message, stream.last_sum().map(str::to_owned)));
        if proven {
            return Some(Home { stream, said });
        }
    }
    None
}
