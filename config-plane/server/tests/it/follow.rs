//! The follower stream.

use std::{collections::BTreeMap, time::Duration};

use model::{OverrideAction, Policy, Step, Subject};
use plane_client::{Because, ChannelOptions, Credentials, FollowStream, Transport, api::Follow};

use crate::{
    trio::{NAMES, Trio, name},
    verdicts::Observers,
};

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
async fn the_whole_plan_comes_again_although_nothing_changes_and_signs_of_life_name_its_content() {
    let trio = Trio::founded().await;
    let mut stream = follow(&trio, 0).await;
    let (mut last, mut last_sum) = (None, None);
    let (mut plans, mut signs) = (0, 0);
    // Verdicts may still change at the beginning, which brings Plans of its own.
    let mut came_again = false;
    while !came_again {
        match next(&mut stream).await {
            Follow::Plan(plan) => {
                came_again = last.as_ref() == Some(&plan);
                assert!(!came_again || last_sum.as_deref() == stream.last_sum(), "the same bytes");
                (last, last_sum) = (Some(plan), stream.last_sum().map(str::to_owned));
                plans += 1;
            }
            Follow::Alive { plan, sum, .. } => {
                assert_eq!((plan, sum), (last.as_ref().map(|plan| plan.id), last_sum.clone()));
                signs += 1;
            }
        }
    }
    assert!(plans >= 2 && signs >= 8, "{plans} Plans and {signs} signs of life");
}

#[tokio::test]
async fn followers_that_come_all_at_once_are_let_in_a_bounded_number_at_a_time() {
    let trio = Trio::founded().await;
    let credentials = Credentials::Identity(trio.identity(1));
    let transport = Transport::new(&credentials, ChannelOptions::default()).expect("a transport");
    let mut turned_away = None;
    let mut streams = Vec::new();
    for _ in 0..2000 {
        match FollowStream::open(&transport, &trio.endpoint(0), WITHIN).await {
            // Its place on the connection becomes free again; the admission is used up.
            Ok(stream) => streams = vec![stream],
            Err(why) => {
                turned_away = Some(why.to_string());
                break;
            }
        }
    }
    assert!(turned_away.as_ref().is_some_and(|why| why.contains("too many followers")), "{turned_away:?}");
    drop(streams);
    let deadline = tokio::time::Instant::now() + WITHIN;
    while FollowStream::open(&transport, &trio.endpoint(0), WITHIN).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "the next one gets in soon after");
    }
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

#[tokio::test]
async fn loads_are_told_where_a_policy_goes_by_them_and_only_there() {
    let trio = Trio::solo().await;
    let mut stream = follow(&trio, 0).await;
    let mut observers = Observers::at(&trio, &[0]);
    observers.say_carried(&trio, 65).await;
    let loads = async |stream: &mut FollowStream| loop {
        if let Follow::Alive { load_permille, .. } = next(stream).await {
            return load_permille;
        }
    };
    assert_eq!(loads(&mut stream).await, BTreeMap::new(), "nobody asks for them");

    let plan = trio.plan(0).expect("founded");
    let mut world = plan.world.clone();
    let known = &mut world.regions[..2];
    known[0].capacity_rps = Some(100);
    known[1].capacity_rps = Some(260);
    let steps = vec![Step::Spill { low_permille: 500, high_permille: 900 }, Step::Failover { order: Vec::new() }];
    world.policies.insert("shop".into(), Policy { steps });
    trio.client.set_world(&world, plan.id, BECAUSE).await.expect("taken");
    let want = BTreeMap::from([(name(NAMES[0]), 650), (name(NAMES[1]), 250)]);
    // What observers said lives as long as a vote does.
    let told = async {
        loop {
            observers.say_carried(&trio, 65).await;
            if loads(&mut stream).await == want {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), told).await.expect("the third region's capacity is not known");
}
