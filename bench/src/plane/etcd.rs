//! The etcd side: three members on loopback, as Debian delivers them, with ports and directories of their own.

use std::{
    fs::File,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::Context;
use tokio::time::Instant;

use super::{
    free_addresses,
    grpc::Etcd,
    latency::{Seen, Watchers},
};
use crate::{
    redis_protocol::{Process, Scratch},
    tools,
};

/// The key that is written and watched.
const KEY: &[u8] = b"atoll/bench/plane";

/// Three running members, and a connection to each for the writes. Dropped, they are stopped.
pub(super) struct EtcdSide {
    clients: Vec<SocketAddr>,
    writers: Vec<Etcd>,
    // In the order of dropping: the processes, then their files.
    members: Vec<Process>,
    _dir: Scratch,
}

impl EtcdSide {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let dir = Scratch::make("etcd")?;
        let (clients, peers) = (free_addresses::<3>()?, free_addresses::<3>()?);
        let cluster: Vec<String> = (0..3).map(|at| format!("m{at}=http://{}", peers[at])).collect();
        let mut members = Vec::new();
        for at in 0..3 {
            let command = member(dir.path(), at, clients[at], peers[at], &cluster.join(","))?;
            members.push(Process({ command }.spawn().context("cannot start etcd")?));
        }
        let mut writers = Vec::new();
        for addr in clients {
            writers.push(super::until("etcd answers to a put", async || ready(addr).await).await?);
        }
        Ok(Self { clients: clients.to_vec(), writers, members, _dir: dir })
    }

    /// The process of each member.
    pub(super) fn pids(&self) -> Vec<u32> {
        self.members.iter().map(|member| member.0.id()).collect()
    }

    /// Writes through one member; gives the revision.
    pub(super) async fn put(&self, at: usize, text: &str) -> anyhow::Result<u64> {
        self.writers[at % self.writers.len()].put(KEY, text.as_bytes()).await
    }

    /// So many watchers, spread over the members, each with a connection of its own.
    pub(super) async fn watchers(&self, count: usize) -> anyhow::Result<Watchers> {
        let mut watchers = Watchers::default();
        for at in 0..count {
            let connection = Etcd::connect(self.clients[at % self.clients.len()]).await?;
            let mut watch = connection.watch(KEY).await?;
            watchers.add(|seen: Seen| async move {
                let _connection = connection;
                while let Ok(revision) = watch.next().await {
                    seen.note(revision, Instant::now());
                }
            });
        }
        Ok(watchers)
    }
}

fn member(dir: &Path, at: usize, client: SocketAddr, peer: SocketAddr, cluster: &str) -> anyhow::Result<Command> {
    let log = File::create(dir.join(format!("m{at}.log"))).context("cannot write etcd's log")?;
    let mut command = tools::on_core(None, "etcd".as_ref());
    command.arg("--name").arg(format!("m{at}")).arg("--data-dir").arg(dir.join(format!("m{at}")));
    let (client, peer) = (format!("http://{client}"), format!("http://{peer}"));
    command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    command.args(["--initial-cluster", cluster, "--initial-cluster-state", "new"]);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Ok(command)
}

async fn ready(addr: SocketAddr) -> Option<Etcd> {
    let etcd = Etcd::connect(addr).await.ok()?;
    etcd.put(KEY, b"0").await.ok()?;
    Some(etcd)
}
