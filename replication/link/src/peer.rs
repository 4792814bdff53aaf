//! One peer's task: dial or wait, run the connection, pause, again. No peer's trouble reaches another's task.

use std::{sync::Arc, time::Duration};

use quinn::{Connection, Endpoint};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

use crate::session::{self, Link};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long one attempt may take. A peer that is down says nothing, so this is part of the pause.
const ATTEMPT: Duration = Duration::from_secs(3);

/// Growing pauses, from half to the whole of a doubling length, so that regions do not knock in step.
struct Backoff(Duration);

impl Backoff {
    fn next(&mut self, spent: Duration) -> Duration {
        let pause = self.0.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
        pause.saturating_sub(spent)
    }
}

/// The task of a peer that this region dials. Never returns; dropped at shutdown.
pub(crate) async fn dial(link: Arc<Link>, endpoint: Endpoint) {
    let name = format!("{}.region.atoll", link.peer.name);
    let mut backoff = Backoff(FIRST_PAUSE);
    loop {
        let began = Instant::now();
        let connects = link.gauges.connects();
        let why = match connect(&link, &endpoint, &name).await {
            Ok(connection) => session::run(&link, connection).await.to_string(),
            Err(why) => why,
        };
        went_down(&link, why);
        if link.gauges.connects() > connects {
            backoff = Backoff(FIRST_PAUSE); // there was a hello, so the other side is well
        }
        sleep(backoff.next(began.elapsed())).await;
    }
}

async fn connect(link: &Link, endpoint: &Endpoint, name: &str) -> Result<Connection, String> {
    let addr = link.peer.addr;
    let connecting = endpoint.connect(addr, name).map_err(|e| format!("cannot dial {addr}: {e}"))?;
    match timeout(ATTEMPT, connecting).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(e)) => Err(format!("cannot connect to {addr}: {e}")),
        Err(_) => Err(format!("cannot connect to {addr}: no answer within {} s", ATTEMPT.as_secs())),
    }
}

/// The task of a peer that dials this region. A newer connection replaces an older one: the peer has been restarted,
/// and the older one merely has not noticed.
pub(crate) async fn answer(link: Arc<Link>, mut arrivals: mpsc::Receiver<Connection>) {
    let mut next = arrivals.recv().await;
    while let Some(connection) = next.take() {
        let why = tokio::select! {
            ended = session::run(&link, connection.clone()) => ended.to_string(),
            newer = arrivals.recv() => {
                connection.close(0_u32.into(), b"replaced by a newer connection");
                next = newer;
                "replaced by a newer connection".to_owned()
            }
        };
        went_down(&link, why);
        if next.is_none() {
            next = arrivals.recv().await;
        }
    }
}

fn went_down(link: &Link, why: String) {
    let text = why.clone();
    if link.gauges.down(why) {
        tracing::warn!(peer = %link.peer.name, why = %text, "link down");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_stay_bounded_and_count_the_time_that_the_attempt_took() {
        let mut backoff = Backoff(FIRST_PAUSE);
        let pauses: Vec<Duration> = (0..20).map(|_| backoff.next(Duration::ZERO)).collect();
        assert!(pauses[0] >= FIRST_PAUSE / 2 && pauses[0] <= FIRST_PAUSE);
        assert!(pauses.iter().all(|pause| *pause <= LONGEST_PAUSE));
        assert!(pauses[19] >= LONGEST_PAUSE / 2);
        assert_eq!(Backoff(FIRST_PAUSE).next(ATTEMPT), Duration::ZERO);
    }
}
