//! Round trips before there is a plane: how long the other voters take to accept a connection, and what that means for raft's
//! settings, which cannot be changed once it runs.
//!
//! A connection is accepted by the peer's system, so this takes one round trip even if the peer itself is not serving yet. Whoever
//! does not accept one counts for nothing: a world that starts for the first time measures nobody. Once it runs, pulses say
//! more (`steward.rs`).

use std::{net::SocketAddr, time::Duration};

use futures_util::future::join_all;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::{
    PlaneConfig, RaftTiming, StartError,
    clock::millis,
    raft::reach::{median, within_majority},
};

/// Connections to each voter; their median counts.
const TRIES: usize = 3;
/// A connection that takes longer is none.
const WITHIN: Duration = Duration::from_secs(1);

/// The configured settings, more patient ones if a voter is too far away for them, or an error if even a majority is.
pub(crate) async fn suited(config: &PlaneConfig) -> Result<RaftTiming, StartError> {
    let voters = config.voters();
    let others = config.members.iter().filter(|member| voters.contains(&member.id) && member.id != config.id);
    let distances: Vec<Duration> =
        join_all(others.map(|member| distance(member.addr))).await.into_iter().flatten().collect();
    let own = voters.contains(&config.id).then_some(Duration::ZERO);
    choose(config.timing, distances, own, voters.len())
}

fn choose(
    configured: RaftTiming,
    distances: Vec<Duration>,
    own: Option<Duration>,
    voters: usize,
) -> Result<RaftTiming, StartError> {
    let Some(farthest) = distances.iter().copied().max() else { return Ok(configured) };
    // If one voter is beyond all patience, a majority may still be within.
    let majority = within_majority(distances.into_iter().chain(own).collect(), voters);
    let suited = configured.suited_to(farthest).or_else(|| configured.suited_to(majority?));
    let Some(suited) = suited else {
        let measured_ms = millis(majority.unwrap_or(farthest));
        return Err(StartError::Timing { measured_ms, most_ms: millis(configured.longest_rtt()) });
    };
    if suited != configured {
        let (farthest_ms, heartbeat_ms) = (millis(farthest), suited.heartbeat_ms);
        tracing::warn!(
            farthest_ms,
            heartbeat_ms,
            "a voter is farther away than raft's settings are for; this member starts with more patient ones: set `round_trip_ms` in every region's configuration"
        );
    }
    Ok(suited)
}

async fn distance(addr: SocketAddr) -> Option<Duration> {
    let mut took = Vec::with_capacity(TRIES);
    for _ in 0..TRIES {
        let asked = Instant::now();
        match timeout(WITHIN, TcpStream::connect(addr)).await {
            Ok(Ok(_)) => took.push(asked.elapsed()),
            Ok(Err(_)) | Err(_) => return None,
        }
    }
    Some(median(took))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(distances_ms: &[u64], voters: usize) -> Result<u64, String> {
        let distances = distances_ms.iter().copied().map(Duration::from_millis).collect();
        let chosen = choose(RaftTiming::for_rtt(50), distances, Some(Duration::ZERO), voters);
        chosen.map(|timing| timing.heartbeat_ms).map_err(|e| e.to_string())
    }

    #[test]
    fn who_is_too_far_away_raises_the_patience_and_a_majority_that_is_refuses_the_start() {
        assert_eq!(chosen(&[], 5), Ok(150), "nobody runs yet");
        assert_eq!(chosen(&[1, 2, 3, 4], 5), Ok(150));
        assert_eq!(chosen(&[1, 2, 3, 150], 5), Ok(300));
        assert_eq!(chosen(&[1, 2, 3, 900], 5), Ok(150), "one beyond all patience does not keep us from starting");
        assert_eq!(chosen(&[1, 150, 900, 900], 5), Ok(300));
        let refused = chosen(&[1, 800, 900, 900], 5).expect_err("too far");
        assert!(refused.contains("800 ms away") && refused.contains("round_trip_ms = 800"), "{refused}");
    }

    #[tokio::test]
    async fn a_listener_that_accepts_nobody_yet_is_measured_all_the_same() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let addr = listener.local_addr().expect("bound");
        assert!(distance(addr).await.is_some_and(|took| took < WITHIN));
        drop(listener);
        assert_eq!(distance(addr).await, None);
    }
}
