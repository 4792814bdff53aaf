//! Whole followers: restart, rotation, silence, lost quorum, poison.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use model::{Plan, PlanId};
use plane_client::api::Follow;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::{
    Dir, alive,
    fake_member::{FakeMember, TestWorld},
    id, message, plan, poison,
};
use crate::{FollowerConfig, FollowerHandle, FollowerReport, Loads, Timings, follow};

const LONG: Duration = Duration::from_secs(20);

/// Patient where a test does not say otherwise, so that a slow machine changes nothing.
fn timings() -> Timings {
    Timings {
        open_within: LONG,
        silence: LONG,
        useless: LONG,
        homesick: LONG,
        pause_least: Duration::from_millis(1),
        pause_most: Duration::from_millis(20),
    }
}

fn start(world: &TestWorld, dir: &Dir, members: &[&FakeMember], timings: Timings) -> FollowerHandle {
    let members = members.iter().map(|member| member.endpoint.clone()).collect();
    follow(FollowerConfig { dir: dir.0.clone(), members, transport: world.transport(), timings }).unwrap()
}

fn held(plans: &watch::Receiver<Option<Arc<Plan>>>) -> Option<PlanId> {
    plans.borrow().as_ref().map(|plan| plan.id)
}

async fn until_held(follower: &FollowerHandle, id: PlanId) {
    let mut plans = follower.plans();
    let reached = plans.wait_for(|plan| plan.as_ref().is_some_and(|plan| plan.id == id));
    timeout(LONG, reached).await.unwrap_or_else(|_| panic!("{id} never came: {:?}", follower.report())).unwrap();
}

async fn until(follower: &FollowerHandle, what: &str, is_so: impl Fn(&FollowerReport) -> bool) {
    let deadline = Instant::now() + LONG;
    while !is_so(&follower.report()) {
        assert!(Instant::now() < deadline, "never {what}: {:?}", follower.report());
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn plans_are_shown_as_they_come_and_stale_ones_are_not() {
    let (world, dir) = (TestWorld::new(), Dir::new());
    let member = world.member("eu-west").await;
    for version in [3, 1, 3, 2, 5, 4] {
        member.say(&message(plan(id(1, version), "x")));
    }
    let follower = start(&world, &dir, &[&member], timings());
    until_held(&follower, id(1, 5)).await;
    until(&follower, "through", |r| (r.not_newer, r.confirmed) == (3, 1)).await;
    member.say(&message(plan(id(2, 1), "restored")));
    until_held(&follower, id(2, 1)).await;
    assert_eq!(follower.report().taken, 3);
    follower.shutdown().await;
}

#[tokio::test]
async fn a_restart_without_network_shows_the_last_plan_at_once_and_says_that_nothing_was_heard() {
    let (world, dir) = (TestWorld::new(), Dir::new());
    let mut member = world.member("eu-west").await;
    member.say(&message(plan(id(1, 5), "x")));
    let follower = start(&world, &dir, &[&member], timings());
    until_held(&follower, id(1, 5)).await;
    follower.shutdown().await;
    member.kill().await;

    for members in [vec![&member], vec![]] {
        let follower = start(&world, &dir, &members, timings());
        assert_eq!(held(&follower.plans()), Some(id(1, 5)));
        assert_eq!(follower.heard().last(), None);
        follower.shutdown().await;
    }
}

#[tokio::test]
async fn loads_are_those_of_the_last_sign_of_life_and_none_while_nobody_is_followed() {
    let (world, dir) = (TestWorld::new(), Dir::new());
    let mut member = world.member("eu-west").await;
    let says = |permille: u32| match alive(None, None, None) {
        Follow::Alive { plan, sum, quorum_age_ms, leader, .. } => {
            let load_permille = Loads::from([("us-east".parse().unwrap(), permille)]);
            Follow::Alive { plan, sum, quorum_age_ms, leader, load_permille }
        }
        other => other,
    };
    let follower = start(&world, &dir, &[&member], timings());
    let mut loads = follower.loads();
    for permille in [300, 800] {
        member.say(&says(permille));
        let told = loads.wait_for(|loads| loads.values().eq([&permille]));
        timeout(LONG, told).await.expect("it is told").unwrap();
    }
    member.kill().await;
    timeout(LONG, loads.wait_for(Loads::is_empty)).await.expect("nobody says so any more").unwrap();
}

#[tokio::test]
async fn a_member_that_lost_its_memory_cannot_take_a_plan_back() {
    let (world, dir) = (TestWorld::new(), Dir::new());
    let member = world.member("eu-west").await;
    member.say(&message(plan(id(1, 5), "x")));
    let follower = start(&world, &dir, &[&member], timings());
    until_held(&follower, id(1, 5)).await;
    member.forget();
    member.say(&message(plan(id(1, 2), "old")));
    member.hang_up();
    until(&follower, "stale", |r| r.not_newer >= 1).await;
    assert_eq!(held(&follower.plans()), Some(id(1, 5)));
}

#[tokio::test]
async fn poison_is_reported_and_leaves_the_last_good_plan_in_force() {
    let (world, dir) = (TestWorld::new(), Dir::new());
    let member = world.member("eu-west").await;
    member.say(&message(plan(id(1, 5), "good")));
    let follower = start(&world, &dir, &[&member], timings());
    until_held(&follower, id(1, 5)).await;
    member.say(&message(poison(id(1, 6))));
    member.say_bytes(Bytes::from_static(b"\0\0\0\x0e{\"plan\":[1,2]}"));
    until(&follower, "poisoned twice", |r| r.poisoned == 2).await;
    assert_eq!(held(&follower.plans()), Some(id(1, 5)));
    assert!(follower.report().trouble.unwrap().contains("the Plan in force stays"));
    member.say(&message(plan(id(1, 7), "good again")));
    until_held(&follower, id(1, 7)).await;
    assert_eq!(member.streams(), 1, "no reconnect was needed");
}

#[tokio::test]
async fn an_oversized_message_ends_the_stream_and_the_next_member_is_followed() {
    let (world, dir) = (TestWorld::new(), Dir::new());
    let (bad, good) = (world.member("eu-west").await, world.member("us-east").await);
    bad.say_bytes(Bytes::from_static(&[0xff; 64]));
    good.say(&message(plan(id(1, 5), "x")));
    let follower = start(&world, &dir, &[&bad, &good], timings());
    until_held(&follower, id(1, 5)).await;
    assert_eq!(follower.report().following, Some(good.endpoint.clone()));
}

#[tokio::test]
async fn a_dead_member_is_passed_over_and_a_lost_stream_is_opened_again() {
    let (world, dir) = (TestWorld::new(), Dir::new());
    let (mut dead, good) = (world.member("eu-west").await, world.member("us-east").await);
    dead.kill().await;
    good.say(&message(plan(id(1, 5), "x")));
    let follower = start(&world, &dir, &[&dead, &good], timings());
    until_held(&follower, id(1, 5)).await;
    good.hang_up();
    good.say(&message(plan(id(1, 6), "x")));
    until_held(&follower, id(1, 6)).await;
    assert!(follower.report().lost >= 2);
}

#[tokio::test]
async fn a_silent_member_is_left() {
    let (world, dir) = (TestWorld::new(), Dir::new());
    let (silent, good) = (world.member("eu-west").await, world.member("us-east").await);
    good.say(&message(plan(id(1, 5), "x")));
    let follower = start(&world, &dir, &[&silent, &good], Timings { silence: Duration::from_millis(300), ..timings() });
    until_held(&follower, id(1, 5)).await;
    assert!(silent.streams() >= 1);
    assert_eq!(follower.heard().last(), None, "a Plan is no proof of a quorum");
}

#[tokio::test]
async fn only_a_leader_with_a_fresh_quorum_counts_as_heard() {
    let (world, dir) = (TestWorld::new(), Dir::new());
    let member = world.member("eu-west").await;
    for silence in [alive(None, None, None), alive(None, Some(10), None), alive(None, Some(3001), Some("us-east"))] {
        member.say(&silence);
    }
    member.say(&message(plan(id(1, 1), "x")));
    let follower = start(&world, &dir, &[&member], timings());
    until_held(&follower, id(1, 1)).await;
    assert_eq!(follower.heard().last(), None);
    member.say(&alive(Some(id(1, 1)), Some(3000), Some("us-east")));
    let heard = follower.heard();
    timeout(LONG, async {
        while heard.last().is_none() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    assert!(heard.silent_for(Instant::now()).unwrap() < LONG);
}

#[tokio::test]
async fn a_member_cut_off_from_the_others_is_left_for_one_with_a_quorum() {
    let (world, dir) = (TestWorld::new(), Dir::new());
    let (cut_off, good) = (world.member("eu-west").await, world.member("us-east").await);
    good.say(&alive(None, Some(1), Some("us-east")));
    let follower = start(&world, &dir, &[&cut_off, &good], Timings { useless: Duration::from_millis(50), ..timings() });
    let speak = async {
        loop {
            cut_off.say(&alive(None, Some(60_000), Some("ap-south")));
            sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = speak => {}
        () = until(&follower, "at the good one", |r| r.following.as_ref() == Some(&good.endpoint)) => {}
    }
}

#[tokio::test]
async fn the_preferred_member_is_followed_again_once_it_has_a_quorum_and_nothing_is_lost_meanwhile() {
    let (world, dir) = (TestWorld::new(), Dir::new());
    let (home, away) = (world.member("eu-west").await, world.member("us-east").await);
    home.say_bytes(Bytes::from_static(&[0xff; 64]));
    away.say(&message(plan(id(1, 5), "away")));
    let follower = start(&world, &dir, &[&home, &away], Timings { homesick: Duration::from_millis(50), ..timings() });
    until_held(&follower, id(1, 5)).await;

    home.forget();
    home.say(&message(plan(id(1, 6), "home")));
    home.say(&alive(Some(id(1, 6)), Some(1), Some("us-east")));
    until_held(&follower, id(1, 6)).await;
    until(&follower, "home", |r| r.following.as_ref() == Some(&home.endpoint)).await;
    assert_eq!(away.streams(), 1, "the stream that worked was kept until then");
}
