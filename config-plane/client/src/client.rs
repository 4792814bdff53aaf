//! The typed client: one method a route, over any of the endpoints.
//!
//! A request goes to the endpoint that answered last. It moves on to the next one when an endpoint cannot be reached, does not
//! answer in time, or cannot take a change; to the leader, when it is named. Three rules keep this honest:
//!
//! - One deadline for all attempts together, and a pause after each round of all endpoints.
//! - A change is repeated only under the request id that it had the first time, which the plane does once.
//! - A refusal is an answer. It is never asked for twice.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use http::{HeaderValue, Method, Response, header};
use hyper::body::Incoming;
use model::{OverrideAction, Plan, PlanId, RegionName, Subject, VoteVector, World};
use pki::PkiError;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    Answer, Call, CallError, ChannelOptions, ClientError, Credentials, Endpoint, EventReader, Transport,
    api::{
        Applied, DnsExplanation, DnsQuestion, KeptWorld, PlanHistory, PlaneStatus, Signed, StateSummary, VoteReceipt,
        VotesReport, path,
    },
    human::Word,
    problem::Problem,
    rounds::Rounds,
};

pub(crate) const JSON: &str = "application/json";
const TOML: &str = "application/toml";
/// Between two rounds of all endpoints: an election takes a second or two, so there is no point in haste.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a client waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For one endpoint's answer.
    pub attempt: Duration,
    /// For everything together.
    pub overall: Duration,
}

impl Patience {
    fn of_one_attempt(self) -> Self {
        Self { overall: self.attempt, ..self }
    }
}

impl Default for Patience {
    /// Twelve seconds outlast an election on a slow WAN; four of them are enough for one endpoint that hangs, and more than a
    /// member takes to say that it has no quorum.
    fn default() -> Self {
        Self { attempt: Duration::from_secs(4), overall: Duration::from_secs(12) }
    }
}

/// A client of the plane and of the regions' own routes.
pub struct PlaneClient {
    transport: Transport,
    endpoints: Vec<Endpoint>,
    preferred: AtomicUsize,
    patience: Patience,
}

/// Who asks for a change, and why.
#[derive(Debug, Clone, Copy)]
pub struct Because<'a> {
    /// Who.
    pub who: &'a str,
    /// Why.
    pub reason: &'a str,
}

impl PlaneClient {
    /// A client of these endpoints, with its own connections.
    pub fn new(endpoints: Vec<Endpoint>, credentials: &Credentials) -> Result<Self, PkiError> {
        Ok(Self::over(Transport::new(credentials, ChannelOptions::default())?, endpoints))
    }

    /// A client of these endpoints over a transport that is there.
    pub fn over(transport: Transport, endpoints: Vec<Endpoint>) -> Self {
        Self { transport, endpoints, preferred: AtomicUsize::new(0), patience: Patience::default() }
    }

    /// With other deadlines.
    #[must_use]
    pub fn patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// The endpoints, in the order given.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Asks at each endpoint that has no name yet which region answers there, all at once, and names it so. An endpoint that
    /// does not answer within one attempt's time stays without a name. From then on the region's certificate is demanded there.
    pub async fn learn_names(&mut self) {
        let mut asked = JoinSet::new();
        for (at, endpoint) in self.endpoints.iter().enumerate().filter(|(_, endpoint)| endpoint.name.is_none()) {
            let only =
                Self::over(self.transport.clone(), vec![endpoint.clone()]).patience(self.patience.of_one_attempt());
            asked.spawn(async move { (at, only.status().await) });
        }
        while let Some(answered) = asked.join_next().await {
            // No answer, or a runtime that shuts down: there is no name to learn.
            let Ok((at, Ok(status))) = answered else { continue };
            if let Some(endpoint) = self.endpoints.get_mut(at) {
                endpoint.name = Some(status.region);
            }
        }
    }

    /// A client of one of the endpoints alone, over the same connections: "what does eu-west itself say?". Endpoints
    /// without a name are not found; see [`PlaneClient::learn_names`].
    pub fn only(&self, region: &RegionName) -> Option<Self> {
        let endpoint = self.endpoints.iter().find(|e| e.name.as_ref() == Some(region))?;
        Some(Self::over(self.transport.clone(), vec![endpoint.clone()]).patience(self.patience))
    }

    /// Events of whichever member answers, after a Plan that is known or from now on.
    pub fn events(&self, after: Option<PlanId>) -> EventReader {
        EventReader::over(self.transport.clone(), self.endpoints.clone(), after)
    }

    /// A client of each of the endpoints alone, in their order: for what concerns one member and nobody else.
    pub fn each(&self) -> impl Iterator<Item = Self> {
        let alone = |endpoint: &Endpoint| Self::over(self.transport.clone(), vec![endpoint.clone()]);
        self.endpoints.iter().map(alone).map(|one| one.patience(self.patience.of_one_attempt()))
    }

    /// How the plane does, seen by the member that answers.
    pub async fn status(&self) -> Result<PlaneStatus, ClientError> {
        self.read(path::STATUS).await
    }

    /// The Plan in force, or an earlier version of it if it is still kept.
    pub async fn plan(&self, version: Option<u64>) -> Result<Plan, ClientError> {
        match version {
            None => self.read(path::PLAN).await,
            Some(version) => self.read(&format!("{}/{version}", path::PLAN)).await,
        }
    }

    /// What is known of earlier Plans by the member that answers.
    pub async fn plan_history(&self) -> Result<PlanHistory, ClientError> {
        self.read(path::PLAN_HISTORY).await
    }

    /// The World that was in force at a version of the Plan.
    pub async fn plan_world(&self, version: u64) -> Result<KeptWorld, ClientError> {
        self.read(&format!("{}/{version}/world", path::PLAN)).await
    }

    /// The latest votes.
    pub async fn votes(&self) -> Result<VotesReport, ClientError> {
        self.read(path::VOTES).await
    }

    /// The replicated state of the region that answers.
    pub async fn state(&self) -> Result<StateSummary, ClientError> {
        self.read(path::STATE).await
    }

    /// What a DNS client would be told by the region that answers.
    pub async fn explain_dns(&self, question: &DnsQuestion) -> Result<DnsExplanation, ClientError> {
        self.read(&with_query(path::EXPLAIN_DNS, question)?).await
    }

    /// The metrics of the region that answers, in Prometheus' text format.
    pub async fn metrics(&self) -> Result<String, ClientError> {
        let answer = self.ask(&Call::get(path::METRICS), false).await?;
        String::from_utf8(answer.body.into()).map_err(|_| ClientError::Protocol("the metrics are not text".into()))
    }

    /// Takes a region out of answers, or keeps it in, for a while.
    pub async fn set_override(
        &self,
        subject: &Subject,
        action: OverrideAction,
        because: Because<'_>,
        lasts: Duration,
    ) -> Result<Applied, ClientError> {
        let word = Word { subject: subject.clone(), action, lasts, second: None, staging: None };
        self.say(&word, because).await
    }

    /// Takes a human's word on a region back.
    pub async fn clear_override(&self, region: &RegionName, because: Because<'_>) -> Result<Applied, ClientError> {
        self.clear_override_of(&Subject::Region(region.clone()), because).await
    }

    /// Forgets how often a subject went Down, so that it comes back as after a first time.
    pub async fn clear_damping(&self, subject: &Subject, because: Because<'_>) -> Result<Applied, ClientError> {
        let path = with_query(&format!("{}/{subject}", path::DAMPING), &signed(because)?)?;
        self.write(&Call::new(Method::DELETE, path)).await
    }

    /// Replaces the World, if the Plan in force is still `based_on`.
    pub async fn set_world(
        &self,
        world: &World,
        based_on: PlanId,
        because: Because<'_>,
    ) -> Result<Applied, ClientError> {
        self.put_world(JSON, json(world)?, based_on, because).await
    }

    /// As [`PlaneClient::set_world`], from TOML as written: the server's errors then name the lines of it.
    pub async fn set_world_toml(
        &self,
        text: &str,
        based_on: PlanId,
        because: Because<'_>,
    ) -> Result<Applied, ClientError> {
        self.put_world(TOML, text.as_bytes().to_vec(), based_on, because).await
    }

    /// Hands a vote vector to one member; a vote is worth nothing later or elsewhere, so there is one attempt.
    pub async fn vote(
        transport: &Transport,
        member: &Endpoint,
        vector: &VoteVector,
        within: Duration,
    ) -> Result<VoteReceipt, ClientError> {
        let call = Call::post(path::VOTES, JSON, json(vector)?);
        let answer = transport.call(member, &call, within).await.map_err(|e| ClientError::from_call(&e))?;
        parse(&understood(answer)?)
    }

    async fn put_world(
        &self,
        media_type: &'static str,
        body: Vec<u8>,
        based_on: PlanId,
        because: Because<'_>,
    ) -> Result<Applied, ClientError> {
        let path = with_query(path::WORLD, &signed(because)?)?;
        let if_match = HeaderValue::try_from(format!("\"{based_on}\""))
            .map_err(|e| ClientError::Protocol(format!("`{based_on}` cannot be sent: {e}")))?;
        self.write(&Call::new(Method::PUT, path).body(media_type, body).header(header::IF_MATCH, if_match)).await
    }

    pub(crate) async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        parse(&self.ask(&Call::get(path), false).await?)
    }

    pub(crate) async fn write<T: DeserializeOwned>(&self, call: &Call) -> Result<T, ClientError> {
        parse(&self.ask(call, true).await?)
    }

    /// Rounds over the endpoints until one gives an answer, or the deadline is there.
    pub(crate) async fn ask(&self, call: &Call, changes: bool) -> Result<Answer, ClientError> {
        let deadline = Instant::now() + self.patience.overall;
        let mut rounds = Rounds::new(self.endpoints.len(), self.preferred.load(Ordering::Relaxed), changes);
        loop {
            let remaining = deadline.saturating_duration_since(Instant::now());
            let Patience { attempt, overall } = self.patience;
            let Some(endpoint) =
                self.endpoints.get(rounds.turn()).filter(|_| rounds.may_ask(remaining, attempt, overall))
            else {
                return Err(rounds.give_up());
            };
            let leader = match self.transport.call(endpoint, call, attempt.min(remaining)).await {
                Err(e @ CallError::TooLarge { .. }) => return Err(ClientError::Protocol(e.to_string())),
                Err(e) => rounds.no_answer(e),
                Ok(answer) => match understood(answer) {
                    Err(e @ (ClientError::NotLeader { .. } | ClientError::Timeout { .. })) => rounds.not_now(e),
                    decided => {
                        self.preferred.store(rounds.turn(), Ordering::Relaxed);
                        return decided;
                    }
                },
            };
            if rounds.next(self.index_of(leader.as_ref())) {
                if rounds.nobody_is_there() {
                    return Err(rounds.give_up());
                }
                sleep(PAUSE.min(remaining)).await;
            }
        }
    }

    /// Opens an answer that is read as it comes, at the endpoint that answered last. One attempt.
    pub(crate) async fn open(&self, call: &Call) -> Result<Response<Incoming>, ClientError> {
        let Some(endpoint) = self.endpoints.get(self.preferred.load(Ordering::Relaxed)) else {
            return Err(ClientError::Unreachable { tried: vec!["no endpoint is known".into()] });
        };
        let opened = self.transport.open(endpoint, call, self.patience.attempt).await;
        opened.map_err(|e| ClientError::from_call(&e))
    }

    fn index_of(&self, region: Option<&RegionName>) -> Option<usize> {
        let region = region?;
        self.endpoints.iter().position(|e| e.name.as_ref() == Some(region))
    }
}

fn understood(answer: Answer) -> Result<Answer, ClientError> {
    if answer.status.is_success() {
        return Ok(answer);
    }
    Err(ClientError::from_problem(Problem::read(answer.status, &answer.body)))
}

pub(crate) fn parse<T: DeserializeOwned>(answer: &Answer) -> Result<T, ClientError> {
    serde_json::from_slice(&answer.body).map_err(|e| ClientError::Protocol(e.to_string()))
}

pub(crate) fn json(value: &impl Serialize) -> Result<Vec<u8>, ClientError> {
    serde_json::to_vec(value).map_err(|e| ClientError::Protocol(format!("the request cannot be written: {e}")))
}

pub(crate) fn with_query(path: &str, query: &impl Serialize) -> Result<String, ClientError> {
    let query = serde_urlencoded::to_string(query)
        .map_err(|e| ClientError::Protocol(format!("the request cannot be written: {e}")))?;
    Ok(format!("{path}?{query}"))
}

fn signed(because: Because<'_>) -> Result<Signed, ClientError> {
    Ok(Signed { who: because.who.into(), reason: because.reason.into(), request_id: request_id()? })
}

/// 128 random bits: two requests with one id would be taken for one.
pub(crate) fn request_id() -> Result<String, ClientError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|e| ClientError::Protocol(format!("no random bytes for a request id: {e}")))?;
    Ok(format!("{:032x}", u128::from_be_bytes(id)))
}
