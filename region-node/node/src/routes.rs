//! The region's own routes on the admin listener: `/v1/state` and `/metrics`. The plane's member mounts them behind its authentication.

use std::sync::Arc;

use axum::{Json, Router, extract::State, http::header, routing::get};
use model::RegionName;
use plane_client::api::{DivergentBucket, PeerSummary, StateSummary, path};

use crate::{Shared, metrics};

/// More metrics from rooms this crate does not know: DNS, plane.
pub type MoreMetrics = Arc<dyn Fn(&mut String) + Send + Sync>;

pub(crate) fn routes(shared: Arc<Shared>) -> Router {
    Router::new().route(path::STATE, get(state)).route(path::METRICS, get(metrics_text)).with_state(shared)
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
        conflicts: store.stats().conflicts,
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
        divergent_buckets: peer.divergent_buckets,
        divergent: peer.divergent.iter().map(divergent).collect(),
        faults: peer.faults.iter().filter(|(_, n)| *n > 0).map(|(fault, n)| (fault.name().to_owned(), *n)).collect(),
    })
}

fn divergent(found: &replication_link::Divergence) -> DivergentBucket {
    let keys = found.keys.iter().map(|key| key.escape_ascii().to_string()).collect();
    DivergentBucket { partition: found.partition, bucket: found.bucket, keys }
}

async fn metrics_text(State(shared): State<Arc<Shared>>) -> ([(header::HeaderName, &'static str); 1], String) {
    let mut text = String::with_capacity(16 * 1024);
    text.push_str(&shared.gateway_metrics());
    if let Some(apps) = &shared.apps {
        text.push_str(&apps.metrics().await);
    }
    metrics::of_state(&shared.store, &mut text);
    metrics::of_links(&shared.region, &shared.links.status(), &mut text);
    for more in &shared.more_metrics {
        more(&mut text);
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}
