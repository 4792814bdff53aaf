//! The etcd side: three members on loopback, as Debian delivers them, speaking mutual TLS like ours, with ports and directories of their own.

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::Context;
use pki::{Identity, IssuedFiles, Principal, WorldCa};
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
/// Its members.
const NAMES: [&str; 3] = ["m0", "m1", "m2"];

/// Three running members, and a connection to each for the writes. Dropped, they are stopped.
pub(super) struct EtcdSide {
    clients: Vec<SocketAddr>,
    identity: Identity,
    writers: Vec<Etcd>,
    // In the order of dropping: the processes, then their files.
    members: Vec<Process>,
    _dir: Scratch,
}

/// What a member is started with.
struct Member<'a> {
    name: &'a str,
    dir: &'a Path,
    client: SocketAddr,
    peer: SocketAddr,
    /// NAME=URL of all of them.
    cluster: &'a str,
    files: &'a IssuedFiles,
}

impl EtcdSide {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let dir = Scratch::make("etcd")?;
        let ca = WorldCa::create(&dir.path().join("pki"), "bench")?;
        let (clients, peers) = (free_addresses::<3>()?, free_addresses::<3>()?);
        let cluster: Vec<String> = (0..3).map(|at| format!("{}=https://{}", NAMES[at], peers[at])).collect();
        let mut members = Vec::new();
        for (at, name) in NAMES.into_iter().enumerate() {
            let (client, peer) = (clients[at], peers[at]);
            // A member looks at the address that another one comes from, which is none of these two.
            let from = [client.ip(), peer.ip(), Ipv4Addr::LOCALHOST.into()];
            let files = ca.issue(&Principal::Region(name.into()), &from)?;
            let member = Member { name, dir: dir.path(), client, peer, cluster: &cluster.join(","), files: &files };
            members.push(Process(member.command()?.spawn().context("cannot start etcd")?));
        }
        let admin = ca.issue(&Principal::Admin("bench".into()), &[])?;
        let identity = Identity::load(&admin.ca, &admin.cert, &admin.key)?;
        let mut writers = Vec::new();
        for (addr, name) in clients.into_iter().zip(NAMES) {
            let writer = super::until("etcd answers to a put", async || ready(addr, name, &identity).await).await;
            writers.push(writer.with_context(|| format!("its log: {}", log_of(dir.path(), name)))?);
        }
        Ok(Self { clients: clients.to_vec(), identity, writers, members, _dir: dir })
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
            let connection =
                Etcd::connect(self.clients[at % NAMES.len()], NAMES[at % NAMES.len()], &self.identity).await?;
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

impl Member<'_> {
    /// Everything over mutual TLS, as between Atoll's members.
    fn command(&self) -> anyhow::Result<Command> {
        let log = File::create(self.dir.join(format!("{}.log", self.name))).context("cannot write etcd's log")?;
        let mut command = tools::on_core(None, "etcd".as_ref());
        command.arg("--name").arg(self.name).arg("--data-dir").arg(self.dir.join(self.name));
        let (client, peer) = (format!("https://{}", self.client), format!("https://{}", self.peer));
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", self.cluster, "--initial-cluster-state", "new"]);
        let IssuedFiles { ca, cert, key, .. } = self.files;
        command.arg("--client-cert-auth").arg("--trusted-ca-file").arg(ca);
        command.arg("--cert-file").arg(cert).arg("--key-file").arg(key);
        command.arg("--peer-client-cert-auth").arg("--peer-trusted-ca-file").arg(ca);
        command.arg("--peer-cert-file").arg(cert).arg("--peer-key-file").arg(key);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(command)
    }
}

/// The end of what a member said.
fn log_of(dir: &Path, name: &str) -> String {
    let log = std::fs::read_to_string(dir.join(format!("{name}.log"))).unwrap_or_default();
    log.lines().rev().take(3).collect::<Vec<_>>().join(" | ")
}

async fn ready(addr: SocketAddr, name: &str, own: &Identity) -> Option<Etcd> {
    let etcd = Etcd::connect(addr, name, own).await.ok()?;
    etcd.put(KEY, b"0").await.ok()?;
    Some(etcd)
}
