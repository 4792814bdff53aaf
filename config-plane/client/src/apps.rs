//! The apps of one region, as typed calls. Ask a client of that region alone: see [`PlaneClient::only`].

use std::{collections::VecDeque, marker::PhantomData, time::Duration};

use http::Method;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::{
    Call, ClientError, PlaneClient, Problem,
    api::apps::{APPS, AppDescription, AppLog, AppVerb, AppsReport, ChangeApp, ChangeEvent, LogsWanted},
    client::{JSON, json, with_query},
    kept::in_full,
};

/// The longest line that is read, bytes: a failed change brings the last lines of a worker.
const LINE_MOST: usize = 1 << 20;
/// A stream on which nothing comes for this long is dead: there is a sign of life every five seconds.
const SILENCE: Duration = Duration::from_secs(20);
const PROBLEM_MOST: usize = 64 << 10;

/// An answer that comes as one JSON object a line, for as long as it takes.
pub struct JsonLines<T> {
    body: Incoming,
    unread: Vec<u8>,
    ready: VecDeque<T>,
    of: PhantomData<T>,
}

impl<T: DeserializeOwned> JsonLines<T> {
    /// The next one; `None` at the end. Cancelling loses nothing.
    pub async fn next(&mut self) -> Result<Option<T>, ClientError> {
        loop {
            if let Some(next) = self.ready.pop_front() {
                return Ok(Some(next));
            }
            let frame = timeout(SILENCE, self.body.frame()).await;
            let Ok(frame) = frame else {
                let message = format!("the region fell silent for {} s", SILENCE.as_secs());
                return Err(ClientError::Timeout { message, maybe_done: true });
            };
            match frame {
                None if self.unread.is_empty() => return Ok(None),
                None => return Err(ClientError::Protocol("the answer ends within a line".into())),
                Some(Err(error)) => {
                    let message = format!("the answer broke off: {}", in_full(&error));
                    return Err(ClientError::Timeout { message, maybe_done: true });
                }
                Some(Ok(frame)) => self.unread.extend(frame.data_ref().into_iter().flatten()),
            }
            self.take_lines()?;
        }
    }

    fn take_lines(&mut self) -> Result<(), ClientError> {
        while let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.unread.drain(..=end).collect();
            self.ready.push_back(serde_json::from_slice(&line).map_err(|e| ClientError::Protocol(e.to_string()))?);
        }
        if self.unread.len() > LINE_MOST {
            return Err(ClientError::Protocol(format!("a line of the answer is longer than {LINE_MOST} bytes")));
        }
        Ok(())
    }
}

impl PlaneClient {
    /// The apps of the region that answers.
    pub async fn apps(&self) -> Result<AppsReport, ClientError> {
        self.read(APPS).await
    }

    /// One of them, and how it is configured.
    pub async fn app(&self, name: &str) -> Result<AppDescription, ClientError> {
        self.read(&format!("{APPS}/{name}")).await
    }

    /// Makes every app of the region what its file says now.
    pub async fn reload_apps(&self, change: &ChangeApp) -> Result<JsonLines<ChangeEvent>, ClientError> {
        self.lines(Call::post(APPS, JSON, json(change)?)).await
    }

    /// Changes one app. Nothing is repeated: whether a change that broke off was made, [`PlaneClient::apps`] tells.
    pub async fn change_app(
        &self,
        name: &str,
        verb: AppVerb,
        change: &ChangeApp,
    ) -> Result<JsonLines<ChangeEvent>, ClientError> {
        let path = format!("{APPS}/{name}/{}", verb.as_str());
        self.lines(Call::post(path, JSON, json(change)?)).await
    }

    /// Output of an app's workers.
    pub async fn app_logs(&self, name: &str, wanted: &LogsWanted) -> Result<JsonLines<AppLog>, ClientError> {
        let path = with_query(&format!("{APPS}/{name}/logs"), wanted)?;
        self.lines(Call::new(Method::GET, path)).await
    }

    async fn lines<T>(&self, call: Call) -> Result<JsonLines<T>, ClientError> {
        let response = self.open(&call).await?;
        let status = response.status();
        if status.is_success() {
            let body = response.into_body();
            return Ok(JsonLines { body, unread: Vec::new(), ready: VecDeque::new(), of: PhantomData });
        }
        let body = timeout(SILENCE, Limited::new(response.into_body(), PROBLEM_MOST).collect()).await;
        let body = body.ok().and_then(Result::ok).map(http_body_util::Collected::to_bytes).unwrap_or_default();
        Err(ClientError::from_problem(Problem::read(status, &body)))
    }
}
