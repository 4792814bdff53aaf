//! The reader of the event stream: server-sent events of one member, as they come.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use crate::{Call, ClientError, Endpoint, FollowError, Problem, Transport, api::path, kept::in_full};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// The longest problem that is read, bytes.
const PROBLEM_MOST: usize = 64 << 10;
/// The longest event that is read, bytes: a decision with its evidence has a few thousand.
const EVENT_MOST: usize = 1 << 20;

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What it is about: `plan`, `decision`, `override`, `gate`, `home`, `alarm`, `gap`.
    pub name: String,
    /// Where to resume after it, if one can.
    pub id: Option<String>,
    /// What happened.
    pub data: serde_json::Value,
}

/// A stream of events of one member.
pub struct EventStream {
    body: Incoming,
    unread: Vec<u8>,
}

impl EventStream {
    /// Opens the stream of one member, after an event that is known or from now on.
    pub async fn open(
        transport: &Transport,
        endpoint: &Endpoint,
        after: Option<&str>,
        within: Duration,
    ) -> Result<Self, ClientError> {
        let mut call = Call::get(path::EVENTS);
        if let Some(after) = after {
            let value = HeaderValue::try_from(after)
                .map_err(|e| ClientError::Protocol(format!("`{after}` is not the id of an event: {e}")))?;
            call = call.header(LAST_EVENT_ID, value);
        }
        let opened = transport.open(endpoint, &call, within).await;
        let response = opened.map_err(|e| ClientError::from_call(&e))?;
        let status = response.status();
        if status.is_success() {
            return Ok(Self { body: response.into_body(), unread: Vec::new() });
        }
        let body = tokio::time::timeout(within, Limited::new(response.into_body(), PROBLEM_MOST).collect()).await;
        let body = body.ok().and_then(Result::ok).map(http_body_util::Collected::to_bytes).unwrap_or_default();
        Err(ClientError::from_problem(Problem::read(status, &body)))
    }

    /// The next event; signs of life are read over. No deadline. Cancelling loses nothing.
    pub async fn next(&mut self) -> Result<Event, FollowError> {
        loop {
            if let Some(event) = self.step().await? {
                return Ok(event);
            }
        }
    }

    /// The next event, or whatever else came that shows that the stream lives. No deadline. Cancelling loses nothing.
    pub(crate) async fn step(&mut self) -> Result<Option<Event>, FollowError> {
        while let Some(text) = take_message(&mut self.unread) {
            if let Some(event) = parse(&text) {
                return Ok(Some(event));
            }
        }
        if self.unread.len() > EVENT_MOST {
            return Err(FollowError::Ended(format!("an event is longer than {EVENT_MOST} bytes")));
        }
        match self.body.frame().await {
            Some(Ok(frame)) => self.unread.extend(frame.data_ref().into_iter().flatten()),
            Some(Err(e)) => return Err(FollowError::Ended(in_full(&e))),
            None => return Err(FollowError::Ended("the member closed it".into())),
        }
        Ok(None)
    }
}

/// The first whole message: up to an empty line.
fn take_message(unread: &mut Vec<u8>) -> Option<String> {
    let end = unread.windows(2).position(|pair| pair == b"\n\n")?;
    let message = unread.drain(..end + 2).collect::<Vec<u8>>();
    Some(String::from_utf8_lossy(&message).into_owned())
}

/// A message's event; none for a comment, or for data that is no JSON.
fn parse(message: &str) -> Option<Event> {
    let field = |name: &str| message.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    Some(Event {
        name: field("event")?.to_owned(),
        id: field("id").map(str::to_owned),
        data: serde_json::from_str(field("data")?).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_whole_whatever_pieces_they_come_in_and_signs_of_life_are_none() {
        let text =
            b": alive\n\nevent: gate\ndata: {\"what\":\"closed\"}\n\nid: 1:7\nevent: plan\ndata: {}\n\nevent: pl";
        let (mut unread, mut events) = (Vec::new(), Vec::new());
        for byte in text {
            unread.push(*byte);
            events.extend(take_message(&mut unread).and_then(|message| parse(&message)));
        }
        let told: Vec<_> = events.iter().map(|e| (e.name.as_str(), e.id.as_deref())).collect();
        assert_eq!(told, [("gate", None), ("plan", Some("1:7"))]);
        assert_eq!(unread, b"event: pl");
    }
}
