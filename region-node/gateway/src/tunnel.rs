//! A WebSocket through the gateway: after the handshake, bytes both ways until one side closes or the gateway does.
//!
//! Bounded: a tunnel keeps its connection's slot and its seat at the worker, and holds two small buffers.

use std::sync::Arc;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional_with_sizes;

use crate::{
    accept::{Connection, Phase},
    upstream::Link,
};

const BUFFER_BYTES: usize = 8 * 1024;

/// Joins the two sides as soon as both have switched.
pub(crate) fn spawn(client: OnUpgrade, worker: OnUpgrade, link: Link, connection: Arc<Connection>) {
    tokio::spawn(async move {
        let mut phase = connection.phase.clone();
        tokio::select! {
            () = run(client, worker) => {}
            // A tunnel has no end of its own; it may stay for the whole grace.
            _ = phase.wait_for(|phase| *phase == Phase::Closed) => {}
        }
        drop(link);
    });
}

async fn run(client: OnUpgrade, worker: OnUpgrade) {
    let (client, worker) = match tokio::try_join!(client, worker) {
        Ok(both) => both,
        Err(error) => return tracing::debug!(%error, "one side left during the upgrade"),
    };
    let (mut client, mut worker) = (TokioIo::new(client), TokioIo::new(worker));
    if let Err(error) = copy_bidirectional_with_sizes(&mut client, &mut worker, BUFFER_BYTES, BUFFER_BYTES).await {
        tracing::debug!(%error, "tunnel broke");
    }
}
