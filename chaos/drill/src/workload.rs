//! The workload: acknowledged writes through the Redis protocol, to every region, at a steady rate.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use model::RegionName;
use redis::{AsyncConnectionConfig, aio::MultiplexedConnection};
use tokio::{sync::watch, task::JoinSet, time::MissedTickBehavior};

use crate::{
    history::{History, Write, WriteKind, WriteResult},
    stage::Access,
};

/// A write without an answer after this long has an unknown outcome.
const ANSWER: Duration = Duration::from_secs(1);
/// Pause before a broken connection is dialled again.
const REDIAL: Duration = Duration::from_millis(200);

/// Names of the keys that a drill writes. All of them begin with its own prefix, so that drills never meet.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    prefix: String,
}

impl Keys {
    pub(crate) fn new(run: &str) -> Self {
        Self { prefix: format!("drill:{run}") }
    }

    pub(crate) fn counter(&self) -> String {
        format!("{}:count", self.prefix)
    }

    pub(crate) fn set(&self) -> String {
        format!("{}:set", self.prefix)
    }

    fn own(&self, region: &RegionName, number: u64) -> String {
        format!("{}:{region}:{number}", self.prefix)
    }
}

/// Writers on their way. They stop when the sender of `stop` says so.
pub(crate) struct Workload {
    pub(crate) history: Arc<History>,
    stop: watch::Sender<bool>,
    writers: JoinSet<()>,
}

impl Workload {
    /// Starts one writer per region; together they offer `rate` writes a second.
    pub(crate) fn start(regions: &[Access], keys: &Keys, rate: u32, now_ms: fn() -> u64) -> Self {
        let history = Arc::new(History::default());
        let stop = watch::Sender::new(false);
        let mut writers = JoinSet::new();
        let share = f64::from(rate.max(1)) / regions.len().max(1) as f64;
        for region in regions {
            let writer = Writer {
                region: region.name.clone(),
                at: region.redis,
                keys: keys.clone(),
                history: history.clone(),
                number: 0,
                now_ms,
            };
            writers.spawn(writer.run(Duration::from_secs_f64(1.0 / share), stop.subscribe()));
        }
        Self { history, stop, writers }
    }

    /// Stops the writers and waits for their last answers.
    pub(crate) async fn stop(mut self) -> Arc<History> {
        self.stop.send_replace(true);
        while self.writers.join_next().await.is_some() {}
        self.history
    }
}

/// Dials a region's Redis port.
pub(crate) async fn dial(at: SocketAddr) -> anyhow::Result<MultiplexedConnection> {
    let client = redis::Client::open(format!("redis://{at}/"))?;
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(ANSWER)).set_response_timeout(Some(ANSWER));
    client.get_multiplexed_async_connection_with_config(&config).await.with_context(|| format!("Redis port {at}"))
}

struct Writer {
    region: RegionName,
    at: SocketAddr,
    keys: Keys,
    history: Arc<History>,
    number: u64,
    now_ms: fn() -> u64,
}

impl Writer {
    async fn run(mut self, every: Duration, mut stop: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut connection = None;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            if connection.is_none() {
                connection = dial(self.at).await.ok();
            }
            let Some(open) = &mut connection else {
                tokio::time::sleep(REDIAL).await;
                continue;
            };
            if self.write(open).await == WriteResult::Info {
                connection = None;
            }
        }
    }

    async fn write(&mut self, connection: &mut MultiplexedConnection) -> WriteResult {
        let number = self.number;
        self.number += 1;
        let (kind, key, value) = match number % 8 {
            0..4 => (WriteKind::Set, self.keys.own(&self.region, number), format!("{}-{number}", self.region)),
            4 | 5 => (WriteKind::Incr, self.keys.counter(), String::new()),
            6 => (WriteKind::Sadd, format!("{}-{number}", self.region), String::new()),
            // The key that this writer set seven writes ago; its neighbours stay.
            _ => (WriteKind::Del, self.keys.own(&self.region, number - 7), String::new()),
        };
        let command = match kind {
            WriteKind::Set => redis::cmd("SET").arg(&key).arg(&value).to_owned(),
            WriteKind::Incr => redis::cmd("INCR").arg(&key).to_owned(),
            WriteKind::Sadd => redis::cmd("SADD").arg(self.keys.set()).arg(&key).to_owned(),
            WriteKind::Del => redis::cmd("DEL").arg(&key).to_owned(),
        };
        let sent_ms = (self.now_ms)();
        let result = match command.query_async::<redis::Value>(connection).await {
            Ok(_) => WriteResult::Ok,
            // An error that the server worded is a refusal; everything else leaves the outcome open.
            Err(error) if error.code().is_some() && !error.is_io_error() => WriteResult::Fail,
            Err(_) => WriteResult::Info,
        };
        let done_ms = (self.now_ms)();
        self.history.note(Write { region: self.region.clone(), kind, key, value, sent_ms, done_ms, result });
        result
    }
}
