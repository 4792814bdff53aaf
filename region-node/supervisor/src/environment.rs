//! What a worker finds in its environment.
//!
//! `PORT` and `HOST` as every platform gives them; `NODE_APP_INSTANCE` as PM2 does; `REGION` and `REDIS_URL` for the state;
//! `ATOLL_*` once more under our own names, for an app whose own settings use the short ones.

use std::{env, net::SocketAddr};

use tokio::process::Command;

use crate::spec::AppSpec;

/// Sets a worker's environment: the region's own without its `ATOLL_*` settings (secrets among them), then the supervisor's,
/// then the app's, then what must not be changed.
pub(crate) fn apply(command: &mut Command, spec: &AppSpec, worker: u16, address: SocketAddr) {
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("ATOLL_") {
            command.env_remove(name);
        }
    }
    let worker = worker.to_string();
    command
        .env("REGION", &spec.region)
        .env("FLY_REGION", &spec.region)
        .env("REDIS_URL", &spec.redis_url)
        .env("INSTANCE_ID", &worker)
        .env("ATOLL_REGION", &spec.region)
        .env("ATOLL_REDIS_URL", &spec.redis_url)
        .env("ATOLL_APP", &spec.name)
        .env("ATOLL_WORKER", &worker)
        .envs(&spec.env)
        .env("NODE_APP_INSTANCE", &worker)
        .env("HOST", address.ip().to_string())
        .env("PORT", address.port().to_string());
}
