//! The figures of the state and its links in Prometheus' text format.

use std::fmt::Write as _;

use model::RegionName;
use replication_core::ConflictKind;
use replication_link::PeerStatus;
use replication_storage::StateStore;

/// One sample with its help and type, as the exposition format wants them.
fn sample(text: &mut String, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
}

/// The region's own state.
pub(crate) fn of_state(store: &StateStore, text: &mut String) {
    let stats = store.stats();
    sample(text, "atoll_state_keys", "gauge", "Keys held, those that wait for their purge included.", stats.keys);
    sample(text, "atoll_state_commands_total", "counter", "Commands executed.", stats.commands);
    sample(text, "atoll_state_local_deltas_total", "counter", "Changes made here.", stats.local_deltas);
    sample(
        text,
        "atoll_state_remote_deltas_total",
        "counter",
        "Changes of other regions applied.",
        stats.remote_deltas,
    );
    sample(text, "atoll_state_held_back", "gauge", "Changes that wait for what they depend on.", stats.held_back);
    sample(
        text,
        "atoll_state_applied_late_total",
        "counter",
        "Changes applied without what they depend on.",
        stats.applied_late,
    );
    sample(
        text,
        "atoll_state_stamps_ahead_total",
        "counter",
        "Changes stamped over 0.5 s ahead of our clock.",
        stats.stamps_ahead,
    );
    sample(
        text,
        "atoll_state_stamps_far_ahead_total",
        "counter",
        "Changes stamped over 10 s ahead of our clock.",
        stats.stamps_far_ahead,
    );
    sample(text, "atoll_state_journal_bytes", "gauge", "Bytes of all journal files.", stats.journal_bytes);
    sample(
        text,
        "atoll_state_unsynced_records",
        "gauge",
        "Records that a power failure now would lose.",
        stats.unsynced,
    );
    sample(text, "atoll_state_checkpoints_total", "counter", "Checkpoints made.", stats.checkpoints);
    let name = "atoll_state_conflicts_total";
    let _ = writeln!(
        text,
        "# HELP {name} Writes that came to stand beside one they had not observed.\n# TYPE {name} counter"
    );
    for (kind, count) in ConflictKind::ALL.iter().zip(stats.conflicts_by_kind) {
        let _ = writeln!(text, "{name}{{kind=\"{}\"}} {count}", kind.name());
    }
    let refusing = u8::from(stats.refusing_writes);
    sample(text, "atoll_state_refusing_writes", "gauge", "1 while the journal cannot be written.", refusing);
}

/// Each link: from `source`, this region, to a peer, where things are sent; from a peer where they arrive.
pub(crate) fn of_links(source: &RegionName, peers: &[PeerStatus], text: &mut String) {
    let mut each = |name: &str, kind: &str, help: &str, value: &dyn Fn(&PeerStatus) -> Option<f64>| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for peer in peers {
            if let Some(value) = value(peer) {
                let _ = writeln!(text, "{name}{{region=\"{source}\",peer=\"{}\"}} {value}", peer.name);
            }
        }
    };
    let count = |n: u64| Some(n as f64);
    each("atoll_link_connected", "gauge", "1 while the link stands.", &|p| Some(f64::from(u8::from(p.connected))));
    each("atoll_link_lag_seconds", "gauge", "Age of what is visible here of the peer.", &|p| {
        p.lag_ms.map(|ms| ms as f64 / 1e3)
    });
    each("atoll_link_rtt_seconds", "gauge", "Round trip of the link.", &|p| p.rtt_ms.map(|ms| ms / 1e3));
    each("atoll_link_lag_ops", "gauge", "Changes made here that the peer has not confirmed.", &|p| {
        count(p.unconfirmed)
    });
    each("atoll_link_sent_bytes_total", "counter", "Bytes sent.", &|p| count(p.sent_bytes));
    each("atoll_link_received_bytes_total", "counter", "Bytes received.", &|p| count(p.received_bytes));
    each("atoll_link_sent_deltas_total", "counter", "Changes sent live.", &|p| count(p.sent_deltas));
    each("atoll_link_received_deltas_total", "counter", "Changes received live.", &|p| count(p.received_deltas));
    each("atoll_link_catch_up_sent_bytes_total", "counter", "Bytes of catch-ups sent.", &|p| {
        count(p.catch_up_bytes_sent)
    });
    each("atoll_link_catch_up_received_bytes_total", "counter", "Bytes of catch-ups received.", &|p| {
        count(p.catch_up_bytes_received)
    });
    each("atoll_link_clock_ahead_seconds", "gauge", "The peer's clock minus ours.", &|p| {
        Some(p.clock_ahead_ms as f64 / 1e3)
    });
    each("atoll_link_clock_alarms_total", "counter", "Changes stamped over 0.5 s ahead of our clock.", &|p| {
        count(p.clock_alarms)
    });
    each("atoll_link_put_off_total", "counter", "Changes put off: stamped over 10 s ahead of our clock.", &|p| {
        count(p.put_off)
    });
    each(
        "atoll_link_divergent_buckets",
        "gauge",
        "Buckets of keys that differ though both have seen the same. Must be 0.",
        &|p| count(p.divergent_buckets),
    );
    of_faults(source, peers, text);
}

fn of_faults(source: &RegionName, peers: &[PeerStatus], text: &mut String) {
    let name = "atoll_link_faults_total";
    let _ = writeln!(
        text,
        "# HELP {name} What a peer did that it should not; its link was quarantined.\n# TYPE {name} counter"
    );
    for peer in peers {
        for (fault, count) in &peer.faults {
            let (peer, fault) = (&peer.name, fault.name());
            let _ = writeln!(text, "{name}{{region=\"{source}\",peer=\"{peer}\",fault=\"{fault}\"}} {count}");
        }
    }
}
