//! What people do by hand and what they ask first, as typed calls.

use std::time::Duration;

use http::{HeaderValue, Method, header::HeaderName};
use model::{GateScope, OverrideAction, RegionName, Subject};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Because, Call, ClientError, PlaneClient,
    api::{
        Applied, SetOverride,
        human::{DecisionExplanation, LeverReport, MoveHome, SetGate, SetLever, Staging, SurveyReport, WhatIfReport},
        path,
    },
    client::{JSON, json, request_id, with_query},
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A human's word on a subject.
#[derive(Debug, Clone)]
pub struct Word {
    /// On what.
    pub subject: Subject,
    /// What is wanted.
    pub action: OverrideAction,
    /// For how long.
    pub lasts: Duration,
    /// Break-glass: a second person who takes the responsibility too.
    pub second: Option<String>,
    /// A drain in steps; at once if there is none.
    pub staging: Option<Staging>,
}

/// Why and by whom, as query.
#[derive(Serialize)]
struct Signature<'a> {
    who: &'a str,
    reason: &'a str,
}

impl PlaneClient {
    /// Says a human's word.
    pub async fn say(&self, word: &Word, because: Because<'_>) -> Result<Applied, ClientError> {
        let body = SetOverride {
            subject: word.subject.clone(),
            action: word.action,
            reason: because.reason.into(),
            who: because.who.into(),
            ttl_ms: millis(word.lasts),
            request_id: request_id()?,
            second: word.second.clone(),
            staging: word.staging.clone(),
        };
        self.write(&Call::post(path::OVERRIDES, JSON, json(&body)?)).await
    }

    /// Takes a human's word on a subject back.
    pub async fn clear_override_of(&self, subject: &Subject, because: Because<'_>) -> Result<Applied, ClientError> {
        // A region by its name alone, as members of the version before understand it too.
        let address = match subject {
            Subject::Region(region) => region.to_string(),
            Subject::Member { .. } => subject.to_string(),
        };
        self.change(Method::DELETE, &format!("{}/{address}", path::OVERRIDES), because, None::<&()>).await
    }

    /// Closes a gate.
    pub async fn close_gate(
        &self,
        scope: &GateScope,
        binds_people: bool,
        because: Because<'_>,
        lasts: Duration,
    ) -> Result<Applied, ClientError> {
        let body = SetGate { binds_people, ttl_ms: millis(lasts) };
        self.change(Method::PUT, &gate(scope), because, Some(&body)).await
    }

    /// Opens a gate.
    pub async fn open_gate(&self, scope: &GateScope, because: Because<'_>) -> Result<Applied, ClientError> {
        self.change(Method::DELETE, &gate(scope), because, None::<&()>).await
    }

    /// Moves the home of a pool's state; from the epoch in force if none is given.
    pub async fn move_home(
        &self,
        pool: &str,
        to: &RegionName,
        epoch: Option<u64>,
        because: Because<'_>,
    ) -> Result<Applied, ClientError> {
        let body = MoveHome { to: to.clone(), epoch };
        self.change(Method::PUT, &format!("{}/{pool}", path::HOMES), because, Some(&body)).await
    }

    /// Why a version of the Plan is what it is.
    pub async fn explain_decision(&self, version: u64) -> Result<DecisionExplanation, ClientError> {
        self.read(&format!("{}/{version}", path::EXPLAIN_DECISION)).await
    }

    /// What would come of these deaths.
    pub async fn what_if(&self, down: &[Subject]) -> Result<WhatIfReport, ClientError> {
        #[derive(Serialize)]
        struct Deaths {
            down: String,
        }
        let names: Vec<String> = down.iter().map(ToString::to_string).collect();
        self.read(&with_query(path::WHAT_IF, &Deaths { down: names.join(",") })?).await
    }

    /// What the member that answers found at its last look at each region's loss.
    pub async fn survey(&self) -> Result<SurveyReport, ClientError> {
        self.read(path::SURVEY).await
    }

    /// Whether the automation of the member that answers is stopped. Ask one endpoint: see [`PlaneClient::only`].
    pub async fn node_automation(&self) -> Result<LeverReport, ClientError> {
        self.read(path::NODE_AUTOMATION).await
    }

    /// Stops or starts the automation of the member that answers, without a quorum.
    pub async fn set_node_automation(&self, enabled: bool, because: Because<'_>) -> Result<LeverReport, ClientError> {
        self.change(Method::PUT, path::NODE_AUTOMATION, because, Some(&SetLever { enabled })).await
    }

    /// A signed change under one request id, however often it is sent.
    pub(crate) async fn change<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        because: Because<'_>,
        body: Option<&impl Serialize>,
    ) -> Result<T, ClientError> {
        let call = signed_call(method, path, because)?;
        let call = match body {
            Some(body) => call.body(JSON, json(body)?),
            None => call,
        };
        self.write(&call).await
    }
}

/// A call that says who, why, and under which id.
pub(crate) fn signed_call(method: Method, path: &str, because: Because<'_>) -> Result<Call, ClientError> {
    let path = with_query(path, &Signature { who: because.who, reason: because.reason })?;
    let id = request_id()?;
    let id = HeaderValue::try_from(&id).map_err(|e| ClientError::Protocol(format!("`{id}` cannot be sent: {e}")))?;
    Ok(Call::new(method, path).header(REQUEST_ID, id))
}

fn gate(scope: &GateScope) -> String {
    match scope {
        GateScope::World => format!("{}/world", path::GATES),
        GateScope::Pool(pool) => format!("{}/pool/{pool}", path::GATES),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
