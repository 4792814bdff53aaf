//! One peer's task: dial or wait, run the connection, pause, again. No peer's trouble reaches another's task.

use std::time::Duration;

use quinn::{Connection, Endpoint};
use replication_storage::StateStore;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{
    Input, Session,
    shell::{self, Clock},
};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// A path that was cut is used again so soon after it is mended, at most: an attempt costs a silent peer nothing, and two packets
/// a second cost nobody anything.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How long one attempt may take; two round trips have to fit. A peer that is down says nothing, so this is part of the pause.
/// Within an attempt the first packet is sent again after 0.3 and 0.9 s, so a mended path is knocked at within 0.6 s.
const ATTEMPT: Duration = Duration::from_millis(1500);

/// Growing pauses, from half to the whole of a doubling length, so that regions do not knock in step.
struct Backoff(Duration);

impl Backoff {
    fn next(&mut self, spent: Duration) -> Duration {
        let pause = self.0.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
        pause.saturating_sub(spent)
    }
}

/// The link to one peer and what it needs.
pub(crate) struct Link {
    pub(crate) session: Session,
    pub(crate) store: StateStore,
    pub(crate) clock: Clock,
}

impl Link {
    async fn run(&mut self, connection: &Connection) {
        shell::run(&mut self.session, &self.store, connection, self.clock).await;
    }

    fn down(&mut self, why: String) {
        self.session.handle(self.clock.now_ms(), Input::Closed { why });
    }
}

/// The task of a peer that this region dials. Never returns; dropped at shutdown.
pub(crate) async fn dial(mut link: Link, endpoint: Endpoint) {
    let name = format!("{}.region.atoll", link.session.peer().name);
    let mut backoff = Backoff(FIRST_PAUSE);
    loop {
        sleep_until(link.clock.at(link.session.quarantined_until())).await;
        let began = Instant::now();
        let connects = link.session.gauges().connects();
        match connect(&link.session, &endpoint, &name).await {
            Ok(connection) => link.run(&connection).await,
            Err(why) => link.down(why),
        }
        if link.session.gauges().connects() > connects {
            backoff = Backoff(FIRST_PAUSE); // there was a hello, so the other side is well
        }
        sleep(backoff.next(began.elapsed())).await;
    }
}

async fn connect(session: &Session, endpoint: &Endpoint, name: &str) -> Result<Connection, String> {
    let addr = session.peer().addr;
    let connecting = endpoint.connect(addr, name).map_err(|e| format!("cannot dial {addr}: {e}"))?;
    match timeout(ATTEMPT, connecting).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(e)) => Err(format!("cannot connect to {addr}: {e}")),
        Err(_) => Err(format!("cannot connect to {addr}: no answer within {} ms", ATTEMPT.as_millis())),
    }
}

/// The task of a peer that dials this region. A newer connection replaces an older one: the peer has been restarted,
/// and the older one merely has not noticed.
pub(crate) async fn answer(mut link: Link, mut arrivals: mpsc::Receiver<Connection>) {
    let mut next = arrivals.recv().await;
    while let Some(connection) = next.take() {
        let newer = tokio::select! {
            () = link.run(&connection) => None,
            newer = arrivals.recv() => newer,
        };
        if newer.is_some() {
            connection.close(0_u32.into(), b"replaced by a newer connection");
            link.down("replaced by a newer connection".to_owned());
            next = newer;
        } else {
            next = arrivals.recv().await;
        }
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
