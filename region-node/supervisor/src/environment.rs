//! What a worker finds in its environment.
//!
//! `PORT` and `HOST` as every platform gives them; `NODE_APP_INSTANCE` as PM2 does; `REGION` and `REDIS_URL` for the state;
//! `RELEASE_ID`, `PRIMARY_REGION` and `REGION_NODE_URL` for apps that know regions; `ATOLL_*` once more under our own names, for an app whose own settings use the short ones.

use std::{env, net::SocketAddr, path::PathBuf};

use tokio::process::Command;

use crate::spec::AppSpec;

/// What differs between lives of an app's workers.
pub(crate) struct Place {
    pub(crate) slot: u16,
    pub(crate) release: u32,
    pub(crate) address: SocketAddr,
    /// Marks everything that this life starts.
    pub(crate) mark: String,
    /// The number of the IPC channel.
    pub(crate) ipc: Option<i32>,
    pub(crate) notify: Option<PathBuf>,
    /// The preload and its socket.
    pub(crate) preload: Option<(PathBuf, PathBuf)>,
}

/// Sets a worker's environment: the region's own without its `ATOLL_*` settings (secrets among them) and without what its own
/// parent meant for it, then the supervisor's, then the app's, then what must not be changed.
pub(crate) fn apply(command: &mut Command, spec: &AppSpec, place: &Place) {
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("ATOLL_") {
            command.env_remove(name);
        }
    }
    for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"] {
        command.env_remove(name);
    }
    let worker = place.slot.to_string();
    let release = place.release.to_string();
    command
        .env("REGION", &spec.region)
        .env("FLY_REGION", &spec.region)
        .env("REDIS_URL", &spec.redis_url)
        .env("INSTANCE_ID", &worker)
        .env("RELEASE_ID", &release)
        .env("ATOLL_REGION", &spec.region)
        .env("ATOLL_REDIS_URL", &spec.redis_url)
        .env("ATOLL_APP", &spec.name)
        .env("ATOLL_WORKER", &worker)
        .env("ATOLL_RELEASE", &release);
    if let Some(primary) = &spec.primary_region {
        command.env("PRIMARY_REGION", primary);
    }
    if let Some(url) = &spec.region_node_url {
        command.env("REGION_NODE_URL", url);
    }
    command
        .envs(&spec.env)
        .env("NODE_APP_INSTANCE", &worker)
        .env("HOST", place.address.ip().to_string())
        .env("PORT", place.address.port().to_string())
        .env("ATOLL_LIFE", &place.mark)
        .env_remove("NODE_CHANNEL_FD")
        .env_remove("NODE_CHANNEL_SERIALIZATION_MODE");
    if let Some(ipc) = place.ipc {
        command.env("NODE_CHANNEL_FD", ipc.to_string()).env("NODE_CHANNEL_SERIALIZATION_MODE", "json");
    }
    if let Some(path) = &place.notify {
        command.env("NOTIFY_SOCKET", path);
        if let Some(watchdog) = spec.limits.watchdog {
            command.env("WATCHDOG_USEC", watchdog.as_micros().to_string());
        }
    }
    if spec.listen_fds {
        // `LISTEN_PID` is set by the shell that starts the worker, since nobody else knows it.
        command.env("LISTEN_FDS", "1");
    }
    if let Some((script, socket)) = &place.preload {
        let own = spec.env.get("NODE_OPTIONS").cloned().or_else(|| env::var("NODE_OPTIONS").ok()).unwrap_or_default();
        command.env("ATOLL_PRELOAD", socket).env("NODE_OPTIONS", node_options(&own, &script.to_string_lossy()));
    }
}

/// The app's own options behind ours. Node.js reads quotes and backslashes in there.
fn node_options(own: &str, script: &str) -> String {
    let quoted = script.replace('\\', "\\\\").replace('"', "\\\"");
    format!("--require \"{quoted}\" {own}").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_apps_own_node_options_stay() {
        assert_eq!(node_options("", "/a/b.cjs"), r#"--require "/a/b.cjs""#);
        assert_eq!(
            node_options("--max-old-space-size=100", "/a b/c.cjs"),
            r#"--require "/a b/c.cjs" --max-old-space-size=100"#
        );
        assert_eq!(node_options("", r#"/a"\b"#), r#"--require "/a\"\\b""#);
    }
}
