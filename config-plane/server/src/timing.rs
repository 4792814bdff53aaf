//! Raft's patience, from the round trip that is to be expected.
//!
//! | longest p99 round trip | heartbeat | election | leaderless at most |
//! |---|---|---|---|
//! | 10 ms | 150 ms | 300 to 500 ms | 0.8 to 1.1 s |
//! | 50 ms | 150 ms | 600 to 1200 ms | 1.9 to 2.6 s |
//! | 150 ms | 300 ms | 1200 to 2000 ms | 3.6 to 4.5 s |
//! | 250 ms | 500 ms | 2000 to 3000 ms | 5.7 to 6.8 s |
//!
//! A leader whose region the observers see fall is not waited for that long (`raft/succession.rs`).
//!
//! Why: openraft gives an append ¾ of a heartbeat to be answered, so that must exceed a round trip and a follower's fsync; and
//! a follower campaigns only after the longest election timeout (the leader's lease) plus a random one.
//!
//! What was configured is held against what is measured when a member starts ([`RaftTiming::suited_to`]). A member alone may be
//! more patient than the others, within bounds: a leader whose heartbeats come less often than twice in anybody's lease would
//! be voted out again and again.
//!
//! Heartbeats are much of what an idle member does; with 100 instead of 150 ms between near members a dead leader was not replaced any
//! sooner.

use std::time::Duration;

use openraft::{Config, ConfigError, SnapshotPolicy};

use crate::clock::millis;

/// How patient the members of a plane are with each other. The same on all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RaftTiming {
    /// From one heartbeat to the next, milliseconds.
    pub heartbeat_ms: u64,
    /// Shortest random election timeout, milliseconds.
    pub election_min_ms: u64,
    /// Longest random election timeout, and the leader's lease, milliseconds.
    pub election_max_ms: u64,
}

impl RaftTiming {
    /// For links whose p99 round trip is at most this, milliseconds. Beyond 250 ms everything grows in proportion.
    pub fn for_rtt(rtt_ms: u64) -> Self {
        match rtt_ms {
            0..=10 => Self { heartbeat_ms: 150, election_min_ms: 300, election_max_ms: 500 },
            11..=50 => Self { heartbeat_ms: 150, election_min_ms: 600, election_max_ms: 1200 },
            51..=150 => Self { heartbeat_ms: 300, election_min_ms: 1200, election_max_ms: 2000 },
            151..=250 => Self { heartbeat_ms: 500, election_min_ms: 2000, election_max_ms: 3000 },
            _ => Self { heartbeat_ms: rtt_ms * 2, election_min_ms: rtt_ms * 8, election_max_ms: rtt_ms * 12 },
        }
    }

    /// A leader that was not heard for this long is missed: two heartbeats.
    pub(crate) fn silence(&self) -> Duration {
        Duration::from_millis(2 * self.heartbeat_ms)
    }

    /// How long a write may wait in all: for a leader to be elected, and then to be committed. Three seconds at most, so that a
    /// client hears "no quorum" while it still listens, and asks again.
    pub fn write_deadline(&self) -> Duration {
        Duration::from_millis((2 * self.election_max_ms).clamp(2_000, 3_000))
    }

    /// A write of the log that takes longer is a disk that stands still: a lease, or what a busy disk takes now and then.
    pub fn disk_patience(&self) -> Duration {
        Duration::from_millis(self.election_max_ms.max(1_200))
    }

    /// The longest round trip that appends survive: openraft's ¾ of a heartbeat.
    pub fn longest_rtt(&self) -> Duration {
        Duration::from_millis(self.heartbeat_ms * 3 / 4)
    }

    /// After a leader has lost its quorum it keeps quiet for this long, tries for as long, and so on, milliseconds: meanwhile those
    /// who still hear it may elect another one.
    pub(crate) fn probe_ms(&self) -> u64 {
        2 * self.election_max_ms
    }

    /// These settings, or more patient ones if the round trip that was measured (a median) asks for them. `None`: even the most
    /// patient ones that the other members get along with would not do.
    pub(crate) fn suited_to(self, measured: Duration) -> Option<Self> {
        // A p99 is not a median, and a follower syncs its disk before it answers.
        let needed = measured * 5 / 4 + Duration::from_millis(10);
        if needed <= self.longest_rtt() {
            return Some(self);
        }
        let patient = Self::for_rtt(millis(measured));
        (2 * patient.heartbeat_ms <= self.election_max_ms).then_some(patient)
    }

    pub(crate) fn openraft_config(&self) -> Result<Config, ConfigError> {
        let config = Config {
            cluster_name: "plane".into(),
            heartbeat_interval: self.heartbeat_ms,
            election_timeout_min: self.election_min_ms,
            election_timeout_max: self.election_max_ms,
            // Every heartbeat that is due is sent: in an idle world they are what keeps the quorum's age small.
            heartbeat_min_interval: Some(0),
            // A member that cannot win does not disturb one that can.
            enable_pre_vote: Some(true),
            // Without it a bridge between two halves can keep a world leaderless for ever.
            quorum_loss_probe_interval: Some(self.probe_ms()),
            // A restarted leader asks for votes like everybody else.
            enable_leader_restore: Some(false),
            // A member that lost its disk is filled again from the start. What makes that safe is
            // `newcomer.rs`: until then it elects nobody, and follows nobody whom it may have voted out of office.
            allow_log_reversion: Some(true),
            install_snapshot_timeout: 30_000,
            // The state is small and the log is held in memory: snapshots are cheap, long logs are not.
            snapshot_policy: SnapshotPolicy::LogsSinceLast(1000),
            max_in_snapshot_log_to_keep: 200,
            replication_lag_threshold: 2000,
            api_channel_size: Some(1024),
            notification_channel_size: Some(1024),
            backoff: "100ms 200ms ...1s".into(),
            ..Config::default()
        };
        config.validate()
    }
}

#[cfg(test)]
mod tests {
    use model::{Check, Profile};

    use super::*;

    #[test]
    fn every_timing_is_one_that_openraft_accepts_and_outlasts_its_round_trip() {
        for rtt in [0, 1, 10, 11, 50, 51, 150, 200, 250, 251, 400, 1000] {
            let timing = RaftTiming::for_rtt(rtt);
            timing.openraft_config().expect("valid");
            assert!(timing.longest_rtt() > Duration::from_millis(rtt), "{rtt} ms");
            let attempt = plane_client::Patience::default().attempt;
            assert!(
                timing.write_deadline() + Duration::from_millis(rtt) <= attempt,
                "{rtt} ms: a client hears the outcome"
            );
        }
    }

    #[test]
    fn a_dead_leader_is_replaced_as_soon_as_the_table_says() {
        for (rtt, want_ms) in [(10, 1100), (50, 2600), (150, 4500), (250, 6800)] {
            let timing = RaftTiming::for_rtt(rtt);
            let worst = 2 * timing.election_max_ms + 3 * rtt;
            assert!(worst <= want_ms, "{rtt} ms: {worst} ms");
        }
    }

    /// A leader's death, in place of the hold: a look at the votes, three round trips with their syncs (`raft/succession.rs`).
    #[test]
    fn the_death_of_a_leader_is_decided_as_soon_as_the_manual_says() {
        let manual = include_str!("../../../docs/failover.md");
        assert!(manual.contains("at 100 ms `default` decides within 3.1 s, `fast` within 1.5 s"));
        for (profile, most_ms) in [(Profile::Default, 3100), (Profile::Fast, 1500)] {
            let terms = decision::Timing::of(profile, &Check::default()).over(100);
            let raft = RaftTiming::for_rtt(100);
            let look_ms = millis(raft.silence()) / 16;
            let known_ms = terms.out_ms() - terms.hold_ms - terms.commit_ms;
            assert!(known_ms >= millis(raft.silence()), "it was missed before it was known to be dead");
            // Would you, will you, the first entry: each no longer than a commit; and then the decision's own.
            let decided_ms = known_ms + look_ms + 3 * terms.commit_ms + terms.commit_ms;
            assert!(decided_ms <= most_ms, "{profile:?}: {decided_ms} ms");
        }
    }

    #[test]
    fn settings_are_kept_raised_or_refused_by_what_was_measured() {
        let [near, lan, world] = [1, 50, 250].map(RaftTiming::for_rtt);
        let table = [
            (near, 0, Some(150)),
            (near, 80, Some(150)),
            (near, 90, None),
            (lan, 0, Some(150)),
            (lan, 80, Some(150)),
            (lan, 90, Some(300)),
            (lan, 180, Some(500)),
            (lan, 300, Some(600)),
            (lan, 310, None),
            (world, 200, Some(500)),
            (world, 285, Some(500)),
            (world, 400, Some(800)),
            (world, 760, None),
        ];
        for (configured, measured_ms, heartbeat_ms) in table {
            let suited = configured.suited_to(Duration::from_millis(measured_ms));
            assert_eq!(suited.map(|timing| timing.heartbeat_ms), heartbeat_ms, "{configured:?} at {measured_ms} ms");
            let Some(suited) = suited else { continue };
            assert!(suited.longest_rtt() >= Duration::from_millis(measured_ms * 5 / 4), "{measured_ms} ms");
            assert!(2 * suited.heartbeat_ms <= configured.election_max_ms, "two heartbeats in the others' lease");
        }
    }
}
