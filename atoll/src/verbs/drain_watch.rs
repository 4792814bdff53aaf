//! `atoll drain --watch`: how a drain goes, until the world has forgotten the region.
//!
//! A resolver keeps an answer for its TTL at most. Answers were given evenly over that time, so of all caches that hold the last
//! of them 99 % have expired 0.99 of the longest TTL after the last answer that named the region:
//!
//! ```text
//! 99 % expired at = when its share became 0 + 0.99 × the longest TTL of the names that it served
//! ```

use std::time::Duration;

use model::{Plan, PlanId, Subject};
use plane_client::PlaneClient;
use serde::Serialize;

use super::{overrides::short, reach::explain_error};
use crate::{exit::Exit, output, up::unix_ms};

const EVERY: Duration = Duration::from_secs(1);
/// A member hears of a Plan this much later at most, as a rule.
const SOON: Duration = Duration::from_millis(50);

/// Where a drain stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Progress {
    /// What it is sent now, per mille of its normal traffic.
    share_permille: u32,
    /// What it is sent next, and when, Unix milliseconds.
    next: Option<(u32, u64)>,
    /// When 99 % of caches will have forgotten it, if all goes on as planned, Unix milliseconds.
    expired_at_ms: u64,
}

/// What a Plan says of a drain.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// Nothing: it is from before the drain. The member that answered is not the one that took it.
    TooOld,
    /// Somebody took it back, or its time was up.
    Ended,
    At(Progress),
}

/// Watches the drain that was made with the Plan `made_with`.
pub(crate) async fn run(
    client: &PlaneClient,
    subject: &Subject,
    made_with: PlanId,
    json: bool,
) -> anyhow::Result<Exit> {
    let mut told = None;
    loop {
        let plan = client.plan(None).await.map_err(explain_error)?;
        let now = match seen(&plan, made_with, subject, told.as_ref()) {
            Seen::At(now) => now,
            Seen::Ended => {
                output::say(format!("{} is not drained any more", short(subject)));
                return Ok(Exit::Failed);
            }
            Seen::TooOld => {
                tokio::time::sleep(SOON).await;
                continue;
            }
        };
        if told.as_ref() != Some(&now) {
            if json {
                output::say_json(&now)?;
            } else {
                output::say(line(&now, subject));
            }
        }
        if now.next.is_none() && unix_ms() >= now.expired_at_ms {
            return Ok(Exit::Done);
        }
        told = Some(now);
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            // The drain goes on; only the watching ends.
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Done),
        }
    }
}

fn seen(plan: &Plan, made_with: PlanId, subject: &Subject, before: Option<&Progress>) -> Seen {
    if plan.id < made_with {
        return Seen::TooOld;
    }
    progress(plan, subject, before).map_or(Seen::Ended, Seen::At)
}

/// Where the drain of a subject stands; none if there is none. `before` is what was seen last.
fn progress(plan: &Plan, subject: &Subject, before: Option<&Progress>) -> Option<Progress> {
    let word = plan.override_on(subject)?;
    let ttl_ms = u64::from(longest_ttl_s(plan, subject)) * 1000;
    let (next, empty_at_ms) = match &word.stages {
        Some(stages) => {
            let steps = u64::try_from(stages.left_permille.len().saturating_sub(1)).unwrap_or(u64::MAX);
            let last_ms = stages.next_at_ms.saturating_add(stages.step_ms.saturating_mul(steps));
            (stages.left_permille.first().map(|share| (*share, stages.next_at_ms)), last_ms)
        }
        // The step that emptied it was seen to come, or the word emptied it at once.
        None => match before.filter(|before| before.share_permille > 0) {
            Some(_) => (None, plan.made_at_ms),
            None => match before {
                Some(same) => return Some(same.clone()),
                None => (None, word.set_at_ms),
            },
        },
    };
    let expired_at_ms = empty_at_ms.saturating_add(ttl_ms * 99 / 100);
    Some(Progress { share_permille: word.share_permille, next, expired_at_ms })
}

/// The longest TTL of the names that may have named it, seconds.
fn longest_ttl_s(plan: &Plan, subject: &Subject) -> u32 {
    let serves = |pool: &str| {
        let members = plan.world.pools.get(pool).is_some_and(|pool| pool.members.contains(subject.region()));
        members && subject.pool().is_none_or(|own| own == pool)
    };
    let names = plan.world.zones.iter().flat_map(|zone| &zone.steered);
    names.filter(|name| serves(&name.pool)).map(|name| name.ttl.max).max().unwrap_or(0)
}

fn line(now: &Progress, subject: &Subject) -> String {
    let next = match now.next {
        Some((share, at_ms)) => format!("{} % at {}, ", percent(share), clock(at_ms)),
        None => String::new(),
    };
    let (name, share) = (short(subject), percent(now.share_permille));
    format!("{name} is sent {share} % of its traffic; {next}99 % of caches expired at {}", clock(now.expired_at_ms))
}

fn percent(permille: u32) -> String {
    if permille.is_multiple_of(10) {
        (permille / 10).to_string()
    } else {
        format!("{}.{}", permille / 10, permille % 10)
    }
}

/// Time of day in UTC.
fn clock(unix_ms: u64) -> String {
    let seconds = unix_ms / 1000;
    format!("{:02}:{:02}:{:02}Z", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use model::{Override, OverrideAction, RegionName, Stages, World};

    use super::*;

    fn drained(share_permille: u32, left: &[u32]) -> (Plan, Subject) {
        let world = World::parse(&World::default_toml(3, 0), "world.toml").unwrap();
        let subject = Subject::Region(RegionName::new("eu-west").unwrap());
        let mut plan = Plan::new(PlanId { lineage: 1, version: 1 }, 50_000, "a test", world);
        plan.world.zones[0].steered[0].ttl.max = 30;
        let mut word = Override::new(subject.clone(), OverrideAction::Down, ("r", "w"), 10_000, 1_000_000);
        word.share_permille = share_permille;
        let stages = || Stages { left_permille: left.to_vec(), step_ms: 60_000, next_at_ms: 70_000 };
        word.stages = (!left.is_empty()).then(stages);
        plan.overrides.push(word);
        (plan, subject)
    }

    #[test]
    fn caches_forget_a_region_a_ttl_after_the_last_answer_that_named_it() {
        let (plan, subject) = drained(0, &[]);
        let at_once = progress(&plan, &subject, None).unwrap();
        assert_eq!(at_once, Progress { share_permille: 0, next: None, expired_at_ms: 10_000 + 29_700 });
        let (staged, _) = drained(500, &[250, 0]);
        let going = progress(&staged, &subject, None).unwrap();
        assert_eq!(going.next, Some((250, 70_000)));
        assert_eq!(going.expired_at_ms, 130_000 + 29_700, "two more steps, then the TTL");
        let done = progress(&plan, &subject, Some(&going)).unwrap();
        assert_eq!(done.expired_at_ms, 50_000 + 29_700, "from the Plan that emptied it");
        assert_eq!(progress(&plan, &subject, Some(&done)), Some(done.clone()), "newer Plans change nothing");
        let told = line(&going, &subject);
        assert_eq!(told, "eu-west is sent 50 % of its traffic; 25 % at 00:01:10Z, 99 % of caches expired at 00:02:39Z");
    }

    #[test]
    fn without_a_word_there_is_no_drain() {
        let (mut plan, subject) = drained(0, &[]);
        plan.overrides.clear();
        let seen_from = |made_with| seen(&plan, PlanId { lineage: 1, version: made_with }, &subject, None);
        assert_eq!(seen_from(1), Seen::Ended);
        assert_eq!(seen_from(2), Seen::TooOld, "the member that answered does not know of it yet");
    }
}
