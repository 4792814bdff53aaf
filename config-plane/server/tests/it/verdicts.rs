//! From votes to a changed Plan.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use model::{Plan, Subject, Verdict, Vote, VoteVector};
use plane_client::{ChannelOptions, Credentials, PlaneClient, Transport};
use plane_server::RaftTiming;
use tokio::time::timeout;

use crate::trio::{NAMES, PATIENCE, Trio, name, until};

/// From one vote of an observer to its next: often enough that none grows old.
const AGAIN: Duration = Duration::from_millis(50);

/// What an observer says of the three regions.
fn vector(observer: &str, seq: u64, down: &str) -> VoteVector {
    let subject = |text: &str| Subject::Region(name(text));
    let votes: BTreeMap<Subject, Vote> =
        NAMES.iter().map(|text| (subject(text), if *text == down { Vote::Down } else { Vote::Up })).collect();
    let failing_since_ms = BTreeMap::from([(subject(down), 1_700_000_000_000)]);
    VoteVector { failing_since_ms, ..VoteVector::new(name(observer), 1, seq, votes) }
}

pub(crate) struct Observers {
    transports: Vec<(usize, Transport)>,
    seq: u64,
}

impl Observers {
    pub(crate) fn at(trio: &Trio, seats: &[usize]) -> Self {
        let transport = |seat: usize| {
            let credentials = Credentials::Identity(trio.identity(seat));
            Transport::new(&credentials, ChannelOptions::default()).expect("a transport")
        };
        Self { transports: seats.iter().map(|seat| (*seat, transport(*seat))).collect(), seq: 0 }
    }

    /// Each observer tells every member, and passes on what the leader answers.
    pub(crate) async fn say_down(&mut self, trio: &Trio, down: &str) {
        self.say(trio, |observer, seq| vector(observer, seq, down)).await;
    }

    /// Each observer tells every member, until the leader's Plan says so too.
    pub(crate) async fn say_down_until_decided(&mut self, trio: &Trio, down: &str, leader: usize) {
        let subject = Subject::Region(name(down));
        let says_so =
            |plan: &Arc<Plan>| plan.verdicts.get(&subject).is_some_and(|state| state.verdict == Verdict::Down);
        let mut plans = trio.handle(leader).plans();
        let saying = async {
            loop {
                self.say_down(trio, down).await;
                if let Ok(seen) = timeout(AGAIN, plans.wait_for(|plan| plan.as_ref().is_some_and(says_so))).await {
                    return drop(seen.expect("the leader runs"));
                }
            }
        };
        timeout(PATIENCE, saying).await.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {down} is Down"));
    }

    /// Each observer tells every member that all are up, and that each gateway carries so much.
    pub(crate) async fn say_carried(&mut self, trio: &Trio, each_rps: u32) {
        let load_rps: BTreeMap<_, _> = NAMES.iter().map(|text| (name(text), each_rps)).collect();
        let carried = |observer: &str, seq| VoteVector {
            failing_since_ms: BTreeMap::new(),
            load_rps: load_rps.clone(),
            ..vector(observer, seq, "nobody")
        };
        self.say(trio, carried).await;
    }

    async fn say(&mut self, trio: &Trio, of: impl Fn(&str, u64) -> VoteVector) {
        self.seq += 1;
        for (observer, transport) in &self.transports {
            for seat in trio.running() {
                let vector = of(NAMES[*observer], self.seq);
                let told = PlaneClient::vote(transport, &trio.endpoint(seat), &vector, Duration::from_secs(2)).await;
                trio.handle(*observer).note_leader_report(&told.expect("a receipt"));
            }
        }
    }
}

#[tokio::test]
async fn two_observers_of_a_dead_region_make_a_decision_with_their_evidence() {
    let mut trio = Trio::founded().await;
    let leader = trio.leader().await;
    let dead = (leader + 1) % 3;
    trio.kill(dead);
    let mut observers = Observers::at(&trio, &trio.running());
    let subject = Subject::Region(name(NAMES[dead]));
    observers.say_down_until_decided(&trio, NAMES[dead], leader).await;
    trio.everywhere("the verdict", |plan| plan.verdicts[&subject].verdict == Verdict::Down).await;
    let plan = trio.plan(leader).expect("founded");
    assert_eq!(plan.decisions.len(), 1, "one death, one decision");
    let decision = &plan.decisions[0];
    assert_eq!((decision.from, decision.to), (Verdict::Up, Verdict::Down));
    assert_eq!(decision.evidence.votes.values().filter(|vote| **vote == Vote::Down).count(), 2);
    assert_eq!(decision.evidence.first_probe_ms, Some(1_700_000_000_000));
    assert!(!plan.serving(&name(NAMES[dead])).serves);

    let report = trio.only(leader).votes().await.expect("a report");
    assert_eq!(report.votes.len(), 2);
    assert!(report.votes.iter().all(|votes| votes.qualified), "{report:?}");
    let other = trio.running().into_iter().find(|seat| *seat != leader).expect("two run");
    let age = trio.handle(other).status().quorum_age_ms.expect("the leader reported");
    assert!(age < 10_000, "{age} ms");
}

/// Under a lease that is long enough to tell who waits for it.
#[tokio::test]
async fn a_dead_leader_whom_the_observers_call_down_is_succeeded_at_once_and_taken_out() {
    let mut trio = Trio::seated();
    trio.timing = RaftTiming { heartbeat_ms: 150, election_min_ms: 4000, election_max_ms: 8000 };
    trio.found().await;
    let dead = trio.leader().await;
    trio.kill(dead);
    let killed = Instant::now();
    let mut observers = Observers::at(&trio, &trio.running());
    let subject = Subject::Region(name(NAMES[dead]));
    let is_out = |seat: usize| {
        trio.plan(seat).is_some_and(|plan| plan.verdicts.get(&subject).is_some_and(|s| s.verdict == Verdict::Down))
    };
    let saying = async {
        while !trio.running().into_iter().all(is_out) {
            observers.say_down(&trio, NAMES[dead]).await;
            tokio::time::sleep(AGAIN).await;
        }
    };
    timeout(PATIENCE, saying).await.expect("a new leader took the dead one's region out");
    let took = killed.elapsed();
    assert!(took < Duration::from_millis(trio.timing.election_max_ms), "it took {took:?}: the lease was waited for");
}

#[tokio::test]
async fn one_observer_alone_decides_nothing_and_falls_silent_by_name() {
    let trio = Trio::founded().await;
    let leader = trio.leader().await;
    let other = (leader + 1) % 3;
    let mut observers = Observers::at(&trio, &[leader]);
    observers.say_down(&trio, NAMES[other]).await;
    let before = trio.plan(leader).expect("founded").id;
    let silent = until("the observer falls silent", || async {
        let report = trio.only(leader).votes().await.expect("a report");
        report.votes.into_iter().next().filter(|votes| !votes.qualified)
    })
    .await;
    assert!(silent.why_not.as_deref().is_some_and(|why| why.contains("silent")), "{silent:?}");
    assert_eq!(trio.plan(leader).expect("founded").id, before);
}
