//! Leaders die, quorums are lost, worlds are stopped and started again.

use std::time::{Duration, Instant};

use model::{OverrideAction, Plan, Subject, World};
use plane_client::{Because, Call, ChannelOptions, Credentials, Transport, api::path};
use plane_server::ProposeError;

use crate::trio::{NAMES, Trio, name};

const BECAUSE: Because<'_> = Because { who: "ops", reason: "a test" };
const HOUR: Duration = Duration::from_secs(3600);

fn region(text: &str) -> Subject {
    Subject::Region(name(text))
}

fn overridden<'a>(texts: &'a [&str]) -> impl Fn(&Plan) -> bool + 'a {
    move |plan| texts.iter().all(|text| plan.override_on(&region(text)).is_some())
}

#[tokio::test]
async fn three_members_found_a_world_and_an_override_at_any_of_them_is_in_everybodys_plan() {
    let trio = Trio::founded().await;
    let founded = trio.everywhere("the first Plan", |_| true).await;
    for (seat, target) in [(0, "eu-west"), (1, "eu-west"), (2, "eu-west")] {
        let action = if seat == 1 { OverrideAction::Up } else { OverrideAction::Down };
        let done = trio.only(seat).set_override(&region(target), action, BECAUSE, HOUR).await.expect("taken");
        assert!(done.changed);
        assert_eq!(done.plan.lineage, founded.lineage);
        let id = trio.everywhere("the override", |plan| plan.id >= done.plan).await;
        assert_eq!(id, done.plan);
        let plan = trio.plan(seat).expect("founded");
        assert_eq!(plan.override_on(&region(target)).map(|o| o.action), Some(action));
    }
    let done = trio.only(2).clear_override(&name("eu-west"), BECAUSE).await.expect("taken");
    trio.everywhere("the override is gone", |plan| plan.id >= done.plan && plan.overrides.is_empty()).await;
    let again = trio.only(1).clear_override(&name("eu-west"), BECAUSE).await.expect("taken");
    assert!(!again.changed, "what is already so is not done again");
    let earlier = trio.only(0).plan(Some(founded.version)).await.expect("still kept");
    assert_eq!(earlier.id, founded);
}

#[tokio::test]
async fn when_the_leader_is_killed_another_takes_over_in_time_and_the_dead_one_catches_up_when_it_is_back() {
    let mut trio = Trio::founded().await;
    let dead = trio.leader().await;
    let killed = Instant::now();
    trio.kill(dead);
    let next = trio.leader().await;
    let leaderless = killed.elapsed();
    assert_ne!(next, dead);
    assert!(leaderless < Duration::from_millis(2600 + 1400), "this timing promises 2.6 s; it took {leaderless:?}");

    let survivor = trio.running()[0];
    trio.only(survivor).set_override(&region("eu-west"), OverrideAction::Down, BECAUSE, HOUR).await.expect("taken");
    let id = trio.everywhere("the override at both survivors", overridden(&["eu-west"])).await;

    trio.start(dead).await;
    trio.everywhere("the override at the one that came back", |plan| plan.id == id).await;
}

#[tokio::test]
async fn a_world_that_was_stopped_starts_again_with_its_lineage_and_goes_on() {
    let mut trio = Trio::founded().await;
    let before =
        trio.only(0).set_override(&region("ap-south"), OverrideAction::Down, BECAUSE, HOUR).await.expect("taken");
    trio.everywhere("the override", overridden(&["ap-south"])).await;
    for seat in 0..3 {
        if seat == 1 { trio.kill(seat) } else { trio.stop(seat).await }
    }
    for seat in 0..3 {
        trio.start(seat).await;
        if seat == 0 {
            let status = trio.only(0).status().await.expect("it answers before there is a leader");
            assert_eq!((status.quorum_age_ms, status.plan), (None, Some(before.plan)), "and from its own disk");
        }
    }
    trio.everywhere("what was there", |plan| plan.id == before.plan).await;
    let after = trio.client.set_override(&region("eu-west"), OverrideAction::Up, BECAUSE, HOUR).await.expect("taken");
    assert_eq!(after.plan.lineage, before.plan.lineage);
    assert!(after.plan.version > before.plan.version);
    trio.everywhere("both overrides", overridden(&["ap-south", "eu-west"])).await;
}

#[tokio::test]
async fn without_a_quorum_reads_go_on_and_writes_are_refused_in_plain_words() {
    let mut trio = Trio::founded().await;
    let leader = trio.leader().await;
    let plan = trio.plan(leader).expect("founded");
    for seat in (0..3).filter(|seat| *seat != leader) {
        trio.kill(seat);
    }
    let drain = || decision::Command::set_override(region("eu-west"), OverrideAction::Down, ("a test", "ops"), 60_000);
    let mut unknown = 0;
    loop {
        let asked = Instant::now();
        let request = trio.handle(leader).request(drain()).expect("random bytes");
        let answer = trio.handle(leader).propose(request).await;
        assert!(asked.elapsed() < Duration::from_secs(5), "an answer within the deadline, took {:?}", asked.elapsed());
        match answer {
            Err(ProposeError::NoQuorum) => break,
            // Its lease had not run out yet: the leader took the request in, and could not say what became of it.
            Err(ProposeError::Unknown) if unknown == 0 => unknown += 1,
            other => panic!("{other:?}"),
        }
    }
    let body = serde_json::json!({"subject": region("eu-west"), "action": "down", "reason": "a test", "who": "ops",
        "ttl_ms": 60_000, "request_id": "0123456789abcdef0123456789abcdef"});
    let call = Call::post(path::OVERRIDES, "application/json", body.to_string());
    let transport = Transport::new(&Credentials::Identity(trio.identity(leader)), ChannelOptions::default());
    let answer = transport.expect("a transport").call(&trio.endpoint(leader), &call, Duration::from_secs(5)).await;
    let answer = answer.expect("an answer");
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).expect("a problem");
    assert_eq!((answer.status.as_u16(), problem["error"].as_str()), (503, Some("no_quorum")), "{problem}");
    let lonely = trio.only(leader);
    assert_eq!(lonely.plan(None).await.expect("reads go on").id, plan.id);
    let age = |status: plane_client::api::PlaneStatus| status.quorum_age_ms.expect("there was a quorum");
    let first = age(lonely.status().await.expect("reads go on"));
    let later = age(lonely.status().await.expect("reads go on"));
    assert!(first > 1000 && later >= first, "the quorum's age grows: {first}, {later} ms");

    for seat in (0..3).filter(|seat| *seat != leader) {
        trio.start(seat).await;
    }
    trio.client.set_override(&region("eu-west"), OverrideAction::Down, BECAUSE, HOUR).await.expect("taken again");
    trio.everywhere("the override", overridden(&["eu-west"])).await;
}

#[tokio::test]
async fn the_same_request_is_done_once_however_often_and_wherever_it_is_proposed() {
    let trio = Trio::founded().await;
    let command = decision::Command::set_override(region(NAMES[1]), OverrideAction::Down, ("a test", "ops"), 60_000);
    let leader = trio.leader().await;
    let request = trio.handle(leader).request(command).expect("random bytes");
    let mut outcomes = Vec::new();
    for seat in [leader, (leader + 1) % 3, (leader + 2) % 3, leader] {
        outcomes.push(trio.handle(seat).propose(request.clone()).await.expect("an outcome"));
    }
    assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]), "{outcomes:?}");
}

/// More than openraft keeps in the log after a snapshot, so that the log alone cannot bring anybody up to date.
const MANY: u64 = 1400;

#[tokio::test]
async fn a_member_that_was_away_for_longer_than_the_log_reaches_back_gets_a_snapshot() {
    let mut trio = Trio::founded().await;
    let leader = trio.leader().await;
    let away = (leader + 1) % 3;
    trio.kill(away);
    for batch in 0..MANY / 100 {
        let proposals = (0..100).map(|number| {
            let command = decision::Command::set_override(
                region(NAMES[away]),
                OverrideAction::Down,
                (&format!("change {}", batch * 100 + number), "ops"),
                60_000,
            );
            let handle = trio.handle(leader);
            async move { handle.propose(handle.request(command).expect("random bytes")).await.expect("an outcome") }
        });
        futures_util::future::join_all(proposals).await;
    }
    let plan = trio.plan(leader).expect("founded");
    assert!(plan.id.version > MANY);
    trio.start(away).await;
    trio.everywhere("the newest Plan at the one that was away", |held| held.id == plan.id).await;

    // And the snapshot that it was given is good enough to start from.
    trio.kill(away);
    trio.start(away).await;
    assert_eq!(trio.plan(away).map(|held| held.id.lineage), Some(plan.id.lineage), "from its own disk, at once");
    trio.everywhere("the newest Plan once more", |held| held.id == plan.id).await;
}

#[tokio::test]
async fn a_member_that_lost_its_disk_learns_everything_again_and_harms_nobody() {
    let mut trio = Trio::founded().await;
    trio.client.set_override(&region("ap-south"), OverrideAction::Down, BECAUSE, HOUR).await.expect("taken");
    let id = trio.everywhere("the override", overridden(&["ap-south"])).await;
    let leader = trio.leader().await;
    // The one that made the group among them: it must not make another.
    for seat in (0..3).filter(|seat| *seat != leader) {
        trio.stop(seat).await;
        std::fs::remove_dir_all(trio.dir().join(NAMES[seat])).expect("its disk is gone");
        trio.start(seat).await;
        trio.everywhere("the same Plan on a new disk", |plan| plan.id == id).await;
        assert_eq!(trio.handle(leader).fault(), None);
    }
    trio.kill(leader);
    trio.leader().await;
    let after = trio.client.clear_override(&name("ap-south"), BECAUSE).await.expect("taken");
    assert_eq!(after.plan.lineage, id.lineage);
    trio.everywhere("the world goes on", |plan| plan.id == after.plan).await;
}

#[tokio::test]
async fn a_damaged_log_is_refused_by_name_and_its_member_learns_everything_again_once_it_is_moved_away() {
    let mut trio = Trio::founded().await;
    let leader = trio.leader().await;
    let hurt = (leader + 1) % 3;
    trio.client.set_override(&region("ap-south"), OverrideAction::Down, BECAUSE, HOUR).await.expect("taken");
    let id = trio.everywhere("the override", overridden(&["ap-south"])).await;
    trio.stop(hurt).await;
    let file = trio.dir().join(NAMES[hurt]).join("plane.redb");
    let mut bytes = std::fs::read(&file).expect("its log");
    // Every text in it loses a letter; where they are is the database's business.
    for at in 1..bytes.len() {
        if bytes[at - 1..=at] == *b"\"t" {
            bytes[at] = b'T';
        }
    }
    std::fs::write(&file, bytes).expect("written");
    let refused = trio.refused(hurt).await;
    let path = file.display().to_string();
    assert!(refused.contains(&path) && refused.contains("damaged") && refused.contains("move"), "{refused}");

    std::fs::rename(&file, file.with_extension("damaged")).expect("moved away, as it says");
    trio.start(hurt).await;
    trio.everywhere("everything learnt again", |plan| plan.id == id).await;
    assert_eq!(trio.handle(hurt).concerns(), Vec::<String>::new());
    let state = trio.handle(hurt).read_state().await.expect("a quorum");
    assert_eq!(state.plan().map(|plan| plan.id), Some(id));
}

#[tokio::test]
async fn a_world_that_was_replaced_is_kept_by_every_member_over_a_restart_and_can_be_put_back() {
    let mut trio = Trio::founded().await;
    let founded = trio.everywhere("the first Plan", |_| true).await;
    let was = World::clone(&trio.plan(0).expect("founded").world);
    let mut other = was.clone();
    other.profile = model::Profile::Fast;
    let changed = trio.client.set_world(&other, founded, BECAUSE).await.expect("taken").plan;
    trio.everywhere("the other world", |plan| plan.world == other).await;
    for seat in 0..3 {
        trio.stop(seat).await;
    }
    for seat in 0..3 {
        trio.start(seat).await;
    }
    trio.leader().await;
    for seat in 0..3 {
        let client = trio.only(seat);
        let kept = client.plan_world(changed.version - 1).await.expect("it was replaced");
        assert_eq!((kept.head.version, &kept.world), (founded.version, &was), "member {seat}");
        assert_eq!(client.plan_world(changed.version).await.expect("it is in force").world, other);
        assert!(client.plan_world(changed.version + 1000).await.is_err(), "not made yet");
        let worlds = client.plan_history().await.expect("known").worlds;
        assert_eq!(worlds.iter().map(|w| w.version).collect::<Vec<_>>(), [founded.version, changed.version]);
    }
    let back = trio.client.set_world(&was, changed, BECAUSE).await.expect("taken");
    assert!(back.changed && back.plan > changed, "a roll-back goes forward");
}
