//! What people do by hand: gates, staged drains, what-if, explanations, the lever of one member.

use std::time::{Duration, Instant};

use http::Method;
use model::{GateScope, OverrideAction, Subject, Verdict};
use plane_client::{
    Because, ClientError, Word,
    api::{ConcernKind, human::Staging},
};
use serde_json::{Value, json};

use crate::{
    objects::{Person, body_of},
    trio::{NAMES, Trio, name, until},
    verdicts::Observers,
};

const BECAUSE: Because<'_> = Because { who: "ops", reason: "a test" };
const HOUR: Duration = Duration::from_secs(3600);

fn region(text: &str) -> Subject {
    Subject::Region(name(text))
}

fn word(subject: Subject) -> Word {
    Word { subject, action: OverrideAction::Down, lasts: HOUR, second: None, staging: None }
}

fn rule(refused: Result<plane_client::api::Applied, ClientError>) -> String {
    match refused {
        Err(ClientError::Refused { rule, .. }) => rule.expect("a rule"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_gate_that_binds_people_holds_them_back_until_it_opens() {
    let trio = Trio::solo().await;
    let scope = GateScope::Pool("web".into());
    trio.client.close_gate(&scope, true, BECAUSE, HOUR).await.expect("closed");
    assert_eq!(rule(trio.client.say(&word(region(NAMES[1])), BECAUSE).await), "gate");
    let gates = body_of(&Person::at(&trio, 0).get("/v1/gates").await);
    assert_eq!(gates["items"][0]["scope"], json!({ "pool": "web" }));
    trio.client.open_gate(&scope, BECAUSE).await.expect("opened");
    trio.client.say(&word(region(NAMES[1])), BECAUSE).await.expect("taken");
    let unknown = trio.client.close_gate(&GateScope::Pool("none".into()), true, BECAUSE, HOUR).await;
    assert_eq!(rule(unknown), "unknown_pool");
    let homeless = trio.client.move_home("web", &name(NAMES[1]), None, BECAUSE).await;
    assert_eq!(rule(homeless), "no_home");
}

#[tokio::test]
async fn a_refusal_is_explained_by_its_place_in_the_log_and_a_dry_run_leaves_no_trace() {
    let trio = Trio::solo().await;
    let person = Person::at(&trio, 0);
    let before = trio.plan(0).expect("founded").id;
    let drain = json!({ "subject": "region/eu-west", "action": "down", "reason": "r", "who": "w", "ttl_ms": 60_000 });
    let tried = body_of(&person.ask(Method::POST, "/v1/overrides?dry_run=1", &[], drain).await);
    assert_eq!((&tried["changes"], &tried["dry_run"]), (&json!(true), &json!(true)), "{tried}");
    assert!(tried["made_by"].as_str().is_some_and(|words| words.contains("eu-west")), "{tried}");
    assert_eq!(trio.plan(0).expect("founded").id, before);

    let first = trio.client.say(&word(region(NAMES[1])), BECAUSE).await.expect("taken").plan.version;
    let explained = trio.client.explain_decision(first).await.expect("known");
    assert!(explained.made_by.is_some_and(|words| words.contains("ops")));
    trio.client.say(&word(region(NAMES[2])), BECAUSE).await.expect("taken");
    assert_eq!(rule(trio.client.say(&word(region(NAMES[0])), BECAUSE).await), "last_member");
    let refused = until("the refusal is explained", || async {
        let index = trio.handle(0).status().last_applied?;
        let told = trio.client.explain_decision(index).await.ok()?;
        told.refused
    })
    .await;
    assert_eq!((refused.rule.as_deref(), refused.kind.as_str()), (Some("last_member"), "set_override"));
    assert!(matches!(trio.client.explain_decision(1 << 40).await, Err(ClientError::NotFound { .. })));
}

#[tokio::test]
async fn two_people_break_the_glass_for_capacity_and_for_nothing_else() {
    let trio = Trio::solo().await;
    let plan = trio.plan(0).expect("founded");
    let mut world = plan.world.clone();
    world.regions.iter_mut().for_each(|region| region.capacity_rps = Some(100));
    trio.client.set_world(&world, plan.id, BECAUSE).await.expect("taken");
    // 180 of the 200 of two regions may be used, and 195 are asked for.
    Observers::at(&trio, &[0]).say_carried(&trio, 65).await;
    let drain =
        |region_name: &str, second: Option<&str>| Word { second: second.map(Into::into), ..word(region(region_name)) };
    let by = |second: Option<&'static str>, region_name: &'static str| {
        let (client, word) = (&trio.client, drain(region_name, second));
        async move { client.say(&word, BECAUSE).await }
    };
    assert_eq!(rule(by(None, NAMES[1]).await), "capacity", "one person");
    for same in ["ops", " OPS "] {
        assert_eq!(rule(by(Some(same), NAMES[1]).await), "one_person", "`{same}` is the first one again");
    }
    assert_eq!(rule(by(Some(""), NAMES[1]).await), "unsigned");
    assert_eq!(trio.plan(0).expect("founded").overrides, [], "nothing has come of it");

    let first = by(Some("ola"), NAMES[1]).await.expect("capacity is not asked").plan;
    let plan = trio.plan(0).expect("founded");
    assert_eq!(plan.id, first);
    assert_eq!(plan.override_on(&region(NAMES[1])).and_then(|o| o.second.as_deref()), Some("ola"), "it says who");
    assert!(plan.made_by.contains("glass broken with ola"), "{}", plan.made_by);
    // A second region within the windows of velocity and common mode, which bind automation alone.
    by(Some("ola"), NAMES[2]).await.expect("nor are velocity and common mode");
    assert_eq!(rule(by(Some("ola"), NAMES[0]).await), "last_member", "the last one stays, whoever signs");

    for drained in &NAMES[1..] {
        trio.client.clear_override_of(&region(drained), BECAUSE).await.expect("taken back");
    }
    let scope = GateScope::World;
    trio.client.close_gate(&scope, true, BECAUSE, HOUR).await.expect("closed");
    assert_eq!(rule(by(Some("ola"), NAMES[1]).await), "gate", "a gate that binds people binds two as well");
}

#[tokio::test]
async fn the_status_tells_what_people_should_look_at() {
    let trio = Trio::solo().await;
    let kinds = || async { trio.only(0).status().await.expect("it answers").concerns };
    let blind = until("it is blind without votes", || async {
        let told = kinds().await;
        told.into_iter().find(|concern| concern.kind == ConcernKind::Blind)
    })
    .await;
    assert!(blind.message.contains("its verdict is frozen"), "{blind:?}");
    for drained in &NAMES[..2] {
        trio.client.say(&word(region(drained)), BECAUSE).await.expect("taken");
    }
    trio.only(0).set_node_automation(false, BECAUSE).await.expect("stopped");
    until("the survey finds the loss", || async {
        let told = kinds().await;
        let lost = told.iter().any(|c| c.kind == ConcernKind::Loss && c.message.contains(NAMES[2]));
        let stopped = told.iter().any(|c| c.kind == ConcernKind::AutomationStopped && c.message.contains("ops"));
        (lost && stopped).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_staged_drain_goes_down_step_by_step() {
    let trio = Trio::solo().await;
    let staging = Staging { shares_permille: vec![500, 0], step_ms: 1000 };
    let word = Word { staging: Some(staging), ..word(region(NAMES[1])) };
    trio.client.say(&word, BECAUSE).await.expect("taken");
    let share = || trio.plan(0).and_then(|plan| plan.override_on(&region(NAMES[1])).map(|o| o.share_permille));
    assert_eq!(share(), Some(500));
    until("the last step", || std::future::ready(share().filter(|share| *share == 0))).await;
    trio.client.clear_override_of(&region(NAMES[1]), BECAUSE).await.expect("taken back");
}

#[tokio::test]
async fn a_loss_that_could_not_be_carried_is_told_when_asked_and_without_being_asked() {
    let trio = Trio::solo().await;
    let quiet = trio.client.what_if(&[region(NAMES[1])]).await.expect("played");
    assert_eq!(quiet.cannot, [] as [String; 0]);
    assert_eq!(quiet.serving["web"].len(), 2, "{quiet:?}");
    for drained in &NAMES[..2] {
        trio.client.say(&word(region(drained)), BECAUSE).await.expect("taken");
    }
    let last = trio.client.what_if(&[region(NAMES[2])]).await.expect("played");
    assert!(!last.cannot.is_empty(), "{last:?}");
    let alarm = until("the survey finds it", || async {
        let survey = trio.client.survey().await.ok()?;
        survey.losses.get(&name(NAMES[2])).filter(|loss| !loss.cannot.is_empty()).cloned()
    })
    .await;
    assert_eq!(alarm.cannot, last.cannot);
    assert!(matches!(trio.client.what_if(&[region("mars")]).await, Err(ClientError::Refused { .. })));
}

#[tokio::test]
async fn a_member_whose_lever_is_pulled_decides_nothing_until_it_is_put_back_and_a_lonely_one_takes_it_too() {
    let mut trio = Trio::founded().await;
    let leader = trio.leader().await;
    let dead = (leader + 1) % 3;
    let stopped = trio.only(leader).set_node_automation(false, BECAUSE).await.expect("stopped");
    assert_eq!(stopped.stopped.map(|word| word.who).as_deref(), Some("ops"));
    let mut observers = Observers::at(&trio, &[leader, (leader + 2) % 3]);
    let verdict = |trio: &Trio| {
        let plan = trio.plan(leader).expect("founded");
        plan.verdicts[&region(NAMES[dead])].verdict
    };
    // Ten times as long as the hold.
    let until_ms = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until_ms {
        observers.say_down(&trio, NAMES[dead]).await;
        assert_eq!(verdict(&trio), Verdict::Up, "nothing is decided");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    trio.only(leader).set_node_automation(true, BECAUSE).await.expect("started");
    observers.say_down_until_decided(&trio, NAMES[dead], leader).await;

    for seat in (0..3).filter(|seat| *seat != leader) {
        trio.kill(seat);
    }
    let alone = trio.only(leader).set_node_automation(false, BECAUSE).await.expect("no quorum is needed");
    assert_eq!((alone.region, alone.stopped.is_some()), (name(NAMES[leader]), true));
    assert_eq!(
        body_of(&Person::at(&trio, leader).get("/v1/node/automation").await)["stopped"]["who"],
        Value::from("ops")
    );
}
