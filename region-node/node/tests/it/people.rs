//! People who come at their own pace: requests at a fixed rate, whether or not those before them are answered.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{task::JoinSet, time::MissedTickBehavior};

/// One request and what became of it.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// 0: none came.
    pub(crate) status: u16,
    /// The slot that answered; `None` if no worker did.
    pub(crate) worker: Option<u16>,
    pub(crate) took: Duration,
    /// When it was asked, from the first one on.
    pub(crate) at: Duration,
    pub(crate) path: &'static str,
}

type People = Client<HttpConnector, Empty<Bytes>>;

/// Connections are kept from one request to the next.
fn people() -> People {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new()).build(connector)
}

/// Asks once.
pub(crate) async fn ask(url: &str) -> anyhow::Result<Answer> {
    ask_by(&people(), url).await
}

async fn ask_by(people: &People, url: &str) -> anyhow::Result<Answer> {
    let start = Instant::now();
    let response = people.get(url.parse()?).await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    response.into_body().collect().await?;
    let worker = headers.get("x-worker").and_then(|value| value.to_str().ok()?.parse().ok());
    Ok(Answer { status, worker, took: start.elapsed(), at: Duration::ZERO, path: "" })
}

/// So many requests, so many of them a second, over `paths` in turn; comes back when all are answered.
pub(crate) async fn come(url: &str, paths: &[&'static str], per_second: u32, count: usize) -> Vec<Answer> {
    let mut asked = JoinSet::new();
    let (people, start) = (people(), Instant::now());
    let mut beat = tokio::time::interval(Duration::from_secs(1) / per_second);
    // Whoever could not come while the machine stood still does not come in a crowd afterwards.
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for path in paths.iter().copied().cycle().take(count) {
        beat.tick().await;
        let (people, url) = (people.clone(), format!("{url}{path}"));
        let (at, now) = (start.elapsed(), Instant::now());
        asked.spawn(async move {
            let answer = tokio::time::timeout(Duration::from_secs(30), ask_by(&people, &url)).await;
            let (status, worker) =
                answer.ok().and_then(Result::ok).map_or((0, None), |answer| (answer.status, answer.worker));
            Answer { status, worker, took: now.elapsed(), at, path }
        });
    }
    asked.join_all().await
}

/// The latency that so many of a thousand stay below.
pub(crate) fn quantile(answers: &[Answer], permille: usize) -> Duration {
    let mut took: Vec<Duration> = answers.iter().map(|answer| answer.took).collect();
    took.sort_unstable();
    took.get((took.len() * permille / 1000).min(took.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// Those that were not answered well within that time, each in words.
pub(crate) fn failed(answers: &[Answer], within: Duration) -> Vec<String> {
    let failed = answers.iter().filter(|answer| answer.status != 200 || answer.took > within);
    let words = |Answer { status, worker, took, at, path }: &Answer| {
        format!("{path} asked after {at:.2?}: {status} by {worker:?} within {took:.2?}")
    };
    failed.map(words).collect()
}
