//! The follower stream as typed messages.

use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use crate::{
    Call, ClientError, Endpoint, Transport,
    api::{Follow, path},
    frame::{Decoder, FrameError},
    kept::in_full,
    problem::Problem,
};

/// An error's body is not read beyond this, bytes.
const PROBLEM_MOST: usize = 64 << 10;

/// An open follower stream of one member.
pub struct FollowStream {
    body: Incoming,
    decoder: Decoder,
}

/// Why there is no next message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// The stream is over; follow again, there or elsewhere.
    #[error("the stream ended: {0}")]
    Ended(String),
    /// One message was not understood. The stream goes on.
    #[error(transparent)]
    Undecodable(FrameError),
}

impl FollowStream {
    /// Opens the stream of one member.
    pub async fn open(transport: &Transport, endpoint: &Endpoint, within: Duration) -> Result<Self, ClientError> {
        let opened = transport.open(endpoint, &Call::get(path::FOLLOW), within).await;
        let response = opened.map_err(|e| ClientError::from_call(&e))?;
        let status = response.status();
        if status.is_success() {
            return Ok(Self { body: response.into_body(), decoder: Decoder::default() });
        }
        let body = tokio::time::timeout(within, Limited::new(response.into_body(), PROBLEM_MOST).collect()).await;
        let body = body.ok().and_then(Result::ok).map(http_body_util::Collected::to_bytes).unwrap_or_default();
        Err(ClientError::from_problem(Problem::read(status, &body)))
    }

    /// The sum of the content of the last message, see [`crate::frame::sum`].
    pub fn last_sum(&self) -> Option<&str> {
        self.decoder.last_sum()
    }

    /// The next message. No deadline: the caller knows how long silence is bearable. Cancelling loses nothing.
    pub async fn next(&mut self) -> Result<Follow, FollowError> {
        loop {
            match self.decoder.take() {
                Ok(Some(message)) => return Ok(message),
                Ok(None) => {}
                Err(e @ FrameError::Undecodable(_)) => return Err(FollowError::Undecodable(e)),
                Err(e @ FrameError::TooLong(_)) => return Err(FollowError::Ended(e.to_string())),
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Some(chunk) = frame.data_ref() {
                        self.decoder.push(chunk);
                    }
                }
                Some(Err(e)) => return Err(FollowError::Ended(in_full(&e))),
                None => return Err(FollowError::Ended("the member closed it".into())),
            }
        }
    }
}
