//! The follower stream.

use std::time::Duration;

use model::{OverrideAction, Subject};
use plane_client::{Because, ChannelOptions, Credentials, FollowStream, Transport, api::Follow};

use crate::trio::{NAMES, Trio, name};

const WITHIN: Duration = Duration::from_secs(5);
const BECAUSE: Because<'_> = Because { who: "ops", reason: "a test" };

async fn follow(trio: &Trio, seat: usize) -> FollowStream {
    let credentials = Credentials::Identity(trio.identity(seat));
    let transport = Transport::new(&credentials, ChannelOptions::default()).expect("a transport");
    FollowStream::open(&transport, &trio.endpoint(seat), WITHIN).await.expect("a stream")
}

async fn next(stream: &mut FollowStream) -> Follow {
    let message = tokio::time::timeout(WITHIN, stream.next()).await.expect("there is a message each second");
    message.expect("a message")
}

#[tokio::test]
async fn a_follower_gets_the_plan_at_once_and_at_each_change_and_a_sign_of_life_in_between() {
    let trio = Trio::founded().await;
    let leader = trio.leader().await;
    let follower = (leader + 1) % 3;
    let mut stream = follow(&trio, follower).await;
    let Follow::Plan(first) = next(&mut stream).await else { panic!("the Plan comes first") };
    let Follow::Alive { plan, leader: says, .. } = next(&mut stream).await else { panic!("then a sign of life") };
    assert_eq!(plan, Some(first.id));
    assert_eq!(says, Some(name(NAMES[leader])));

    let subject = Subject::Region(name(NAMES[follower]));
    let hour = Duration::from_secs(3600);
    let done = trio.client.set_override(&subject, OverrideAction::Down, BECAUSE, hour).await.expect("taken");
    let second = loop {
        if let Follow::Plan(plan) = next(&mut stream).await {
            break plan;
        }
    };
    assert_eq!(second.id, done.plan);
    assert!(second.override_on(&subject).is_some());
}

#[tokio::test]
async fn a_follower_of_a_member_without_a_quorum_sees_its_age_grow() {
    let mut trio = Trio::founded().await;
    let leader = trio.leader().await;
    let mut stream = follow(&trio, leader).await;
    for seat in (0..3).filter(|seat| *seat != leader) {
        trio.kill(seat);
    }
    let mut ages = Vec::new();
    while ages.last().is_none_or(|age| *age < 3000) {
        if let Follow::Alive { quorum_age_ms, .. } = next(&mut stream).await {
            ages.push(quorum_age_ms.expect("there was a quorum"));
        }
    }
    assert!(ages.windows(2).skip(1).all(|pair| pair[0] < pair[1]), "{ages:?}");
}

#[tokio::test]
async fn a_member_that_is_stopped_ends_its_followers_streams() {
    let mut trio = Trio::founded().await;
    let mut stream = follow(&trio, 0).await;
    next(&mut stream).await;
    trio.stop(0).await;
    while let Ok(message) = tokio::time::timeout(WITHIN, stream.next()).await.expect("it ends") {
        assert!(matches!(message, Follow::Plan(_) | Follow::Alive { .. }));
    }
}
