//! The demo app: a small shop, written as a user of Atoll would write it.
//!
//! It knows nothing of Atoll but what any worker finds in its environment: where to listen, its region's name, and the URL of
//! a Redis port. Sessions, carts and the visit counter live there; that they follow the visitor to another region is not this
//! program's doing.
//!
//! ```text
//! GET /            the page: visits, who is logged in, the cart       GET  /api/state        the same as JSON
//! POST /login      name=…                                             POST /api/login        the same, answering JSON
//! POST /logout                                                        POST /api/logout
//! POST /cart/add   item=…                                             POST /api/cart/add
//! POST /cart/remove item=…                                            POST /api/cart/remove
//! GET /healthz     this process answers
//! ```

mod api;
mod page;
mod routes;
mod session;
mod shop;
mod store;
#[cfg(test)]
mod tests;

use std::{env, net::IpAddr, sync::Arc};

use anyhow::Context;

use shop::Shop;
use store::Store;

/// Where the shop runs and finds its state.
#[derive(Debug, Clone)]
struct DemoConfig {
    /// The address to listen on.
    host: IpAddr,
    /// The region's name, shown on the page.
    region: String,
    /// Which of the region's workers this is, shown on the page.
    worker: String,
    /// The region's Redis port, as a URL.
    redis_url: String,
}

impl DemoConfig {
    /// As a worker finds it in its environment, with defaults for a try-out by hand.
    fn from_env() -> anyhow::Result<Self> {
        let var = |name: &str, default: &str| env::var(name).unwrap_or_else(|_| default.to_owned());
        let host = var("HOST", "127.0.0.1");
        Ok(Self {
            host: host.parse().with_context(|| format!("HOST is `{host}`, which is not an IP address"))?,
            region: var("REGION", "nowhere"),
            worker: var("NODE_APP_INSTANCE", "0"),
            redis_url: var("REDIS_URL", "redis://127.0.0.1:6379"),
        })
    }
}

/// Serves the shop on `port` until SIGTERM or Ctrl-C; the rest comes from the environment.
pub(crate) async fn run(port: u16) -> anyhow::Result<()> {
    let config = DemoConfig::from_env()?;
    let store = Store::new(&config.redis_url)
        .with_context(|| format!("REDIS_URL is `{}`, which is not the URL of a Redis port", config.redis_url))?;
    let address = (config.host, port);
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("the demo app cannot listen on {}:{port}", config.host))?;
    tracing::info!(address = %listener.local_addr()?, region = %config.region, "the shop is open");
    let shop = Arc::new(Shop { store, region: config.region, worker: config.worker });
    let app = routes::pages().merge(api::routes()).with_state(shop);
    axum::serve(listener, app).with_graceful_shutdown(asked_to_end()).await.context("the demo app stopped serving")
}

async fn asked_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let term = async {
        match signal(SignalKind::terminate()) {
            Ok(mut term) => drop(term.recv().await),
            Err(error) => {
                tracing::warn!(%error, "SIGTERM cannot be noticed");
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = term => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
