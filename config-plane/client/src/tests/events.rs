//! The reader of events over two members that break off, lag, fall silent and refuse.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper::body::Frame;
use model::PlanId;

use super::server::TestWorld;
use crate::{ClientError, EventPatience, EventReader, api::path};

const WITHIN: Duration = Duration::from_secs(20);

fn id(version: u64) -> PlanId {
    PlanId { lineage: 7, version }
}

fn word(version: u64) -> String {
    format!("event: override\ndata: {{\"of\":{version}}}\n\n")
}

fn change(version: u64) -> String {
    format!("{}id: {}\nevent: plan\ndata: {{\"of\":{version}}}\n\n", word(version), id(version))
}

/// What a member does with one reader.
enum Act {
    /// Sends this, and closes.
    Closes(String),
    /// Sends this, and nothing more.
    FallsSilent(String),
    /// Says no.
    Says(StatusCode),
}

/// A member that plays its acts, one a reader, and notes after what each of them wants to resume.
#[derive(Clone, Default)]
struct Member {
    acts: Arc<Mutex<VecDeque<Act>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Member {
    fn of(acts: impl IntoIterator<Item = Act>) -> Self {
        Self { acts: Arc::new(Mutex::new(acts.into_iter().collect())), ..Self::default() }
    }

    fn router(&self) -> Router {
        let member = self.clone();
        Router::new().route(path::EVENTS, get(move |headers: HeaderMap| std::future::ready(member.play(&headers))))
    }

    fn play(&self, headers: &HeaderMap) -> Response {
        let after = headers.get("last-event-id").map_or("-", |value| value.to_str().unwrap());
        self.asked.lock().unwrap().push(after.to_owned());
        match self.acts.lock().unwrap().pop_front() {
            Some(Act::Closes(text)) => text.into_response(),
            Some(Act::FallsSilent(text)) => Body::new(Silent(Some(text.into()))).into_response(),
            Some(Act::Says(status)) => status.into_response(),
            None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// Some bytes, and then no end.
struct Silent(Option<Bytes>);

impl hyper::body::Body for Silent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.0.take() {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None => Poll::Pending,
        }
    }
}

/// Reads from two members until the change is told that is the last of all, and says of which changes it heard, in order.
async fn read(first: &Member, second: &Member, after: Option<PlanId>, last: u64) -> Vec<String> {
    let world = TestWorld::new();
    let (one, two) = (world.serve("us-east", first.router()).await, world.serve("eu-west", second.router()).await);
    let endpoints = vec![one.endpoint.clone(), two.endpoint.clone()];
    let patience = EventPatience { silence: Duration::from_millis(300), ..EventPatience::default() };
    let mut reader = EventReader::over(world.transport("ap-south"), endpoints, after).patience(patience);
    let mut told = Vec::new();
    loop {
        let event = tokio::time::timeout(WITHIN, reader.next()).await.expect("in time").expect("an event");
        told.push(format!("{} {}", event.name, event.data["of"]));
        if event.id == Some(id(last).to_string()) {
            assert!(reader.trouble().is_some());
            return told;
        }
    }
}

fn all(versions: std::ops::RangeInclusive<u64>) -> Vec<String> {
    versions.flat_map(|version| [format!("override {version}"), format!("plan {version}")]).collect()
}

#[tokio::test]
async fn a_reader_goes_on_with_another_member_where_the_first_broke_off() {
    // The first one breaks off in the middle of the third change, whose beginning the second one tells again.
    let first = Member::of([Act::Closes([change(1), change(2), word(3)].concat())]);
    let second = Member::of([Act::Closes([change(3), change(4)].concat())]);
    assert_eq!(read(&first, &second, None, 4).await, all(1..=4));
    assert_eq!((first.asked(), second.asked()), (vec!["-".to_owned()], vec![id(2).to_string()]));
}

#[tokio::test]
async fn a_member_that_tells_what_is_known_is_read_over() {
    let first = Member::of([Act::Closes([change(5), change(6)].concat())]);
    let second = Member::of([Act::Closes([change(5), change(6), change(7)].concat())]);
    assert_eq!(read(&first, &second, Some(id(4)), 7).await, all(5..=7));
    assert_eq!((first.asked(), second.asked()), (vec![id(4).to_string()], vec![id(6).to_string()]));
}

#[tokio::test]
async fn a_member_that_falls_silent_or_has_no_room_is_left_for_the_other_one() {
    let busy = StatusCode::SERVICE_UNAVAILABLE;
    let first = Member::of([Act::FallsSilent(change(1)), Act::Says(busy), Act::Closes(change(3))]);
    let second = Member::of([Act::Says(busy), Act::Closes(change(2))]);
    assert_eq!(read(&first, &second, None, 3).await, all(1..=3));
}

#[tokio::test]
async fn a_reader_whose_credentials_are_not_good_is_told_so() {
    let world = TestWorld::new();
    let no = Member::of([Act::Says(StatusCode::UNAUTHORIZED)]);
    let server = world.serve("us-east", no.router()).await;
    let mut reader = EventReader::over(world.transport("ap-south"), vec![server.endpoint.clone()], None);
    assert!(matches!(reader.next().await, Err(ClientError::Unauthorized { .. })));
    let mut lost = EventReader::over(world.transport("ap-south"), vec![], None);
    assert!(matches!(lost.next().await, Err(ClientError::Unreachable { .. })));
}
