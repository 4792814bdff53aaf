//! The event stream: what changes is told, and a reader that was away gets what it missed.

use std::time::Duration;

use model::{OverrideAction, PlanId, Subject};
use plane_client::{Because, ChannelOptions, Credentials, Event, EventReader, EventStream, PlaneClient, Transport};

use crate::trio::{NAMES, Trio, name};

const WITHIN: Duration = Duration::from_secs(10);
const BECAUSE: Because<'_> = Because { who: "ops", reason: "a test" };

async fn open(trio: &Trio, seat: usize, after: Option<&str>) -> EventStream {
    let credentials = Credentials::Token { ca: trio.ca.ca_pem_path(), token: trio.token.clone() };
    let transport = Transport::new(&credentials, ChannelOptions::default()).expect("a transport");
    EventStream::open(&transport, &trio.endpoint(seat), after, WITHIN).await.expect("a stream")
}

/// The next event that is not about what could be lost.
async fn next(stream: &mut EventStream) -> Event {
    loop {
        let event = tokio::time::timeout(WITHIN, stream.next()).await.expect("in time").expect("an event");
        if event.name != "alarm" {
            return event;
        }
    }
}

/// Name and id of the next event that is not about what could be lost.
async fn next_of(reader: &mut EventReader) -> (String, Option<String>) {
    loop {
        let event = tokio::time::timeout(WITHIN, reader.next()).await.expect("in time").expect("an event");
        if event.name != "alarm" {
            return (event.name, event.id);
        }
    }
}

fn plan_id(text: &str) -> Option<PlanId> {
    let (lineage, version) = text.split_once(':')?;
    Some(PlanId { lineage: u64::from_str_radix(lineage, 16).ok()?, version: version.parse().ok()? })
}

#[tokio::test]
async fn a_change_is_told_everywhere_and_a_reader_that_was_away_gets_what_it_missed() {
    let mut trio = Trio::founded().await;
    let mut stream = open(&trio, 1, None).await;
    let first = next(&mut stream).await;
    assert_eq!(first.name, "plan", "where things stand comes first");
    let subject = Subject::Region(name(NAMES[1]));
    let hour = Duration::from_secs(3600);
    let drained = trio.client.set_override(&subject, OverrideAction::Down, BECAUSE, hour).await.expect("taken");
    let word = next(&mut stream).await;
    assert_eq!((word.name.as_str(), word.data["what"].as_str(), word.id), ("override", Some("set"), None));
    let plan = next(&mut stream).await;
    assert_eq!((plan.name.as_str(), plan.id), ("plan", Some(drained.plan.to_string())));
    drop(stream);

    let back = trio.client.clear_override(&name(NAMES[1]), BECAUSE).await.expect("taken back");
    trio.everywhere("the end of the drain", |plan| plan.id >= back.plan).await;
    let resumed = async |seat| {
        let mut stream = open(&trio, seat, first.id.as_deref()).await;
        let mut told = Vec::new();
        loop {
            let event = next(&mut stream).await;
            let what = event.data["what"].as_str().unwrap_or("-").to_owned();
            told.push(format!("{} {what}", event.name));
            if event.id == Some(back.plan.to_string()) {
                return told;
            }
        }
    };
    for seat in 0..3 {
        assert_eq!(resumed(seat).await, ["override set", "plan -", "override ended", "plan -"], "member {seat}");
    }
    // The same, by a reader that goes on with another member when the one it reads from is killed.
    let credentials = Credentials::Token { ca: trio.ca.ca_pem_path(), token: trio.token.clone() };
    let reader = PlaneClient::new((0..3).map(|seat| trio.endpoint(seat)).collect(), &credentials).expect("a client");
    let mut reader = reader.events(first.id.as_deref().and_then(plan_id));
    let mut told = Vec::new();
    while told.last() != Some(&("plan".to_owned(), Some(drained.plan.to_string()))) {
        told.push(next_of(&mut reader).await);
    }
    trio.kill(0);
    while told.last() != Some(&("plan".to_owned(), Some(back.plan.to_string()))) {
        told.push(next_of(&mut reader).await);
    }
    let names: Vec<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["override", "plan", "override", "plan"]);
    let mut stranger = open(&trio, 1, Some("1")).await;
    assert_eq!([next(&mut stranger).await.name, next(&mut stranger).await.name], ["gap", "plan"]);
}
