//! Local demotion (the last resort when the plane is silent): which regions may this region's DNS server leave out by itself?
//!
//! Laws. Only after 10 s without word from a quorum. Only what this region's own probes see Down. Never a promotion: what the Plan
//! leaves out stays out. Never to an empty answer: the View sees to that. Undone as soon as a quorum is heard.
//!
//! It is safe because state is active-active: an answer that names a live region is right, whoever else is named elsewhere.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use model::{RegionName, Vote, VoteVector};
use tokio::sync::watch;

/// How long the plane must have been silent.
pub const SILENCE: Duration = Duration::from_secs(10);

/// The regions to leave out, from the age of the last word of a quorum and the region's own votes.
pub fn demoted(silent_for: Duration, own: Option<&VoteVector>) -> BTreeSet<RegionName> {
    let Some(own) = own.filter(|_| silent_for >= SILENCE) else { return BTreeSet::new() };
    let down = own.votes.iter().filter(|(subject, vote)| **vote == Vote::Down && *subject.region() != own.observer);
    down.map(|(subject, _)| subject.region().clone()).collect()
}

/// Keeps the set up to date, looking twice a second. `heard` says when a quorum was last known to stand behind the plane.
pub(crate) async fn run(
    started: Instant,
    heard: impl Fn() -> Option<Instant> + Send,
    votes: watch::Receiver<Option<Arc<VoteVector>>>,
    out: watch::Sender<BTreeSet<RegionName>>,
) {
    let mut tick = tokio::time::interval(Duration::from_millis(500));
    loop {
        tick.tick().await;
        let silent_for = heard().unwrap_or(started).elapsed();
        let now = demoted(silent_for, votes.borrow().as_deref());
        let changed = out.send_if_modified(|before| {
            let changed = *before != now;
            if changed {
                before.clone_from(&now);
            }
            changed
        });
        if changed && now.is_empty() {
            tracing::info!("a quorum of the plane is heard again; its Plan alone decides who is named");
        } else if changed {
            let names: Vec<&str> = now.iter().map(RegionName::as_str).collect();
            tracing::warn!(
                regions = names.join(","),
                "no quorum of the plane for {SILENCE:?}; leaving out what our own probes see down"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use model::Subject;

    use super::*;

    #[test]
    fn only_after_ten_silent_seconds_and_only_what_we_see_down_ourselves() {
        let name = |text: &str| RegionName::new(text).unwrap();
        let vote = |region: &str, vote| (Subject::Region(name(region)), vote);
        let votes = [vote("us", Vote::Down), vote("eu", Vote::Down), vote("ap", Vote::Unknown), vote("sa", Vote::Up)];
        let own = VoteVector::new(name("us"), 0, 1, votes.into());
        let silent = |seconds| demoted(Duration::from_secs(seconds), Some(&own));
        assert_eq!(silent(9), BTreeSet::new());
        assert_eq!(silent(10), [name("eu")].into(), "not ourselves, not the unknown");
        assert_eq!(demoted(Duration::from_secs(99), None), BTreeSet::new());
    }
}
