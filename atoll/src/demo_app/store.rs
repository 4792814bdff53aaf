//! The Redis port as the shop uses it: one connection, made when needed, every call bounded in time.
//!
//! An app must not hang because its state does: a call that gets no answer in time fails, the connection is dropped, and the
//! next call makes a new one. So it does not matter which of the two, app or Redis port, comes up first.

use std::time::Duration;

use redis::{AsyncConnectionConfig, Client, FromRedisValue, Pipeline, RedisResult, aio::MultiplexedConnection};
use tokio::{sync::Mutex, time::timeout};

const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Why the shop cannot reach its state just now; the page says so in friendlier words.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error("the Redis port does not answer in time")]
    Late,
    #[error("the Redis port says: {0}")]
    Redis(#[from] redis::RedisError),
}

pub(super) struct Store {
    client: Client,
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl Store {
    pub(super) fn new(url: &str) -> RedisResult<Self> {
        Ok(Self { client: Client::open(url)?, connection: Mutex::new(None) })
    }

    /// Sends a pipeline and reads its answers.
    pub(super) async fn query<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, StoreError> {
        let mut connection = self.connection().await?;
        match timeout(ANSWER_TIMEOUT, pipeline.query_async(&mut connection)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                if error.is_io_error() || error.is_connection_dropped() || error.is_timeout() {
                    self.forget().await;
                }
                Err(error.into())
            }
            Err(_) => {
                self.forget().await;
                Err(StoreError::Late)
            }
        }
    }

    /// The one connection, made now if there is none. Held while it is made, so that a crowd makes one and not many.
    async fn connection(&self) -> Result<MultiplexedConnection, StoreError> {
        let mut kept = timeout(2 * CONNECT_TIMEOUT, self.connection.lock()).await.map_err(|_| StoreError::Late)?;
        if let Some(connection) = &*kept {
            return Ok(connection.clone());
        }
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(ANSWER_TIMEOUT));
        let made = timeout(CONNECT_TIMEOUT, self.client.get_multiplexed_async_connection_with_config(&config));
        let connection = made.await.map_err(|_| StoreError::Late)??;
        Ok(kept.insert(connection).clone())
    }

    async fn forget(&self) {
        *self.connection.lock().await = None;
    }
}
