//! The region's own routes on the admin listener: `/v1/state` and `/metrics`. The plane's member mounts them behind its authentication.

use std::{fmt::Write as _, sync::Arc};

use axum::{Json, Router, extract::State, http::header, routing::get};
use model::RegionName;
use plane_client::api::{PeerSummary, StateSummary, path};

use crate::Shared;

/// More metrics from rooms this crate does not know: DNS, plane.
pub type MoreMetrics = Arc<dyn Fn(&mut String) + Send + Sync>;

pub(crate) fn routes(shared: Arc<Shared>) -> Router {
    Router::new().route(path::STATE, get(state)).route(path::METRICS, get(metrics)).with_state(shared)
}

async fn state(State(shared): State<Arc<Shared>>) -> Json<StateSummary> {
    // The digest walks all partitions, each under its own short lock: some milliseconds, so not on the runtime's own threads.
    let summary = tokio::task::spawn_blocking(move || summary(&shared)).await;
    Json(summary.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())))
}

fn summary(shared: &Shared) -> StateSummary {
    let store = &shared.store;
    let digest = store.digest();
    let mut version_vector = std::collections::BTreeMap::new();
    for partition in &digest.partitions {
        for (replica, seq) in partition.vv.iter() {
            *version_vector.entry(format!("{}.{}", replica.region, replica.incarnation)).or_insert(0) += seq;
        }
    }
    StateSummary {
        region: shared.region.clone(),
        id: store.region(),
        incarnation: store.replica().incarnation,
        keys: store.dbsize() as u64,
        digest: format!("{:016x}", digest.combined()),
        version_vector,
        peers: shared.links.status().into_iter().filter_map(peer_summary).collect(),
    }
}

fn peer_summary(peer: replication_link::PeerStatus) -> Option<PeerSummary> {
    Some(PeerSummary {
        region: RegionName::new(peer.name).ok()?,
        id: peer.id,
        connected: peer.connected,
        rtt_ms: peer.rtt_ms,
        lag_ms: peer.lag_ms,
        unacknowledged: peer.unconfirmed,
        sent_bytes: peer.sent_bytes,
        received_bytes: peer.received_bytes,
    })
}

async fn metrics(State(shared): State<Arc<Shared>>) -> ([(header::HeaderName, &'static str); 1], String) {
    let mut text = String::with_capacity(16 * 1024);
    text.push_str(&shared.gateway_metrics());
    state_metrics(&shared, &mut text);
    link_metrics(&shared, &mut text);
    for more in &shared.more_metrics {
        more(&mut text);
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

/// One sample with its help and type, as the exposition format wants them.
fn sample(text: &mut String, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
}

fn state_metrics(shared: &Shared, text: &mut String) {
    let stats = shared.store.stats();
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
    let refusing = u8::from(stats.refusing_writes);
    sample(text, "atoll_state_refusing_writes", "gauge", "1 while the journal cannot be written.", refusing);
}

fn link_metrics(shared: &Shared, text: &mut String) {
    let peers = shared.links.status();
    let mut each =
        |name: &str, kind: &str, help: &str, value: &dyn Fn(&replication_link::PeerStatus) -> Option<f64>| {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for peer in &peers {
                if let Some(value) = value(peer) {
                    let _ = writeln!(text, "{name}{{peer=\"{}\"}} {value}", peer.name);
                }
            }
        };
    each("atoll_link_connected", "gauge", "1 while the link stands.", &|p| Some(f64::from(u8::from(p.connected))));
    each("atoll_link_lag_seconds", "gauge", "Age of what is visible here of the peer.", &|p| {
        p.lag_ms.map(|ms| ms as f64 / 1e3)
    });
    each("atoll_link_rtt_seconds", "gauge", "Round trip of the link.", &|p| p.rtt_ms.map(|ms| ms / 1e3));
    each("atoll_link_sent_bytes_total", "counter", "Bytes sent.", &|p| Some(p.sent_bytes as f64));
    each("atoll_link_received_bytes_total", "counter", "Bytes received.", &|p| Some(p.received_bytes as f64));
}
