//! The control socket of a running `atoll up`: one JSON line in, one JSON line out, on a Unix socket that only the owner may open.
//!
//! A kill may carry a lease: when it runs out and nobody has started the region, the parent does. So a drill that dies leaves no
//! region dead behind it.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use model::RegionName;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    time::timeout,
};

use super::{
    children::{Children, Killed, START_PATIENCE, State},
    wan::{LinkReport, Network, WanAsk},
};
use crate::exit::Unreachable;

/// Longest line either side accepts.
const LINE_BYTES: u64 = 64 * 1024;
/// Conversations at a time.
const CONVERSATIONS: usize = 16;
/// A start waits for "serving"; everything else is quicker.
const ANSWER_PATIENCE: Duration = Duration::from_secs(START_PATIENCE.as_secs() + 10);

/// What can be asked of a running world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub(crate) enum Ask {
    Start {
        region: String,
        /// Put damaged state aside and fetch it from the other regions.
        #[serde(default)]
        fetch_state: bool,
    },
    Stop {
        region: String,
    },
    Kill {
        region: String,
        /// Start it again after this long if nobody else has, milliseconds.
        lease_ms: Option<u64>,
    },
    Regions,
    Wan(WanAsk),
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub(crate) enum Answer {
    Started { pid: u32 },
    Stopped,
    Killed(Killed),
    Regions { regions: BTreeMap<RegionName, State> },
    Wan { links: Vec<LinkReport> },
    Failed { message: String },
}

/// Where the socket of a data directory is. A path that is too long for a socket moves to the temporary directory.
pub(crate) fn socket_path(dir: &Path) -> PathBuf {
    let path = dir.join("up.sock");
    if path.as_os_str().len() < 100 {
        return path;
    }
    let bytes = path.as_os_str().as_encoded_bytes();
    let fnv = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3));
    std::env::temp_dir().join(format!("atoll-{fnv:016x}.sock"))
}

/// What the socket acts on.
#[derive(Debug, Clone)]
pub(crate) struct Controlled {
    pub(crate) children: Children,
    pub(crate) network: Arc<Network>,
}

/// Binds the socket; the caller holds the directory's lock, so a socket that is there is a dead one.
pub(crate) fn bind(dir: &Path) -> anyhow::Result<UnixListener> {
    let path = socket_path(dir);
    let _ = fs::remove_file(&path);
    let listener =
        UnixListener::bind(&path).with_context(|| format!("cannot make the control socket {}", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

pub(crate) async fn serve(listener: UnixListener, controlled: Controlled) {
    let slots = Arc::new(Semaphore::new(CONVERSATIONS));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else { continue };
        let controlled = controlled.clone();
        tokio::spawn(async move {
            if let Err(error) = converse(stream, &controlled).await {
                tracing::debug!("control socket: {error:#}");
            }
            drop(slot);
        });
    }
}

async fn converse(stream: UnixStream, controlled: &Controlled) -> anyhow::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    timeout(Duration::from_secs(5), BufReader::new(read.take(LINE_BYTES)).read_line(&mut line)).await??;
    let answer = match serde_json::from_str(&line) {
        Ok(ask) => {
            answer(ask, controlled).await.unwrap_or_else(|error| Answer::Failed { message: format!("{error:#}") })
        }
        Err(error) => Answer::Failed { message: format!("not a question this world understands: {error}") },
    };
    let mut text = serde_json::to_vec(&answer)?;
    text.push(b'\n');
    write.write_all(&text).await?;
    Ok(())
}

async fn answer(ask: Ask, on: &Controlled) -> anyhow::Result<Answer> {
    Ok(match ask {
        Ask::Start { region, fetch_state } => {
            on.children.spawn(&region, fetch_state)?;
            Answer::Started { pid: on.children.until_serving(&region).await? }
        }
        Ask::Stop { region } => {
            on.children.stop(&region).await?;
            Answer::Stopped
        }
        Ask::Kill { region, lease_ms } => {
            let killed = on.children.kill(&region).await?;
            tracing::info!(region, pid = killed.pid, "killed");
            if let Some(lease_ms) = lease_ms {
                let starts = on.children.starts(&region)?;
                tokio::spawn(end_lease(on.children.clone(), region, starts, Duration::from_millis(lease_ms)));
            }
            Answer::Killed(killed)
        }
        Ask::Regions => Answer::Regions { regions: on.children.states() },
        Ask::Wan(ask) => Answer::Wan { links: on.network.change(&ask)? },
    })
}

/// Starts a region again unless somebody has since its kill. A later death has a lease of its own, or none.
async fn end_lease(children: Children, region: String, starts: u64, lease: Duration) {
    tokio::time::sleep(lease).await;
    let untouched = children.starts(&region).is_ok_and(|now| now == starts);
    if untouched && children.spawn(&region, false).is_ok() {
        tracing::warn!(region, "the lease of its kill ran out; started again");
    }
}

/// Asks the parent of a data directory; a refusal is an error.
pub(crate) async fn ask(dir: &Path, ask: &Ask) -> anyhow::Result<Answer> {
    let unreachable = |why: String| {
        Unreachable(format!(
            "no world runs on {} ({why}); start one with `atoll up --data {}`",
            dir.display(),
            dir.display()
        ))
    };
    let real = dir.canonicalize().map_err(|error| unreachable(error.to_string()))?;
    let stream = UnixStream::connect(socket_path(&real)).await.map_err(|error| unreachable(error.to_string()))?;
    let (read, mut write) = stream.into_split();
    let mut line = serde_json::to_vec(ask)?;
    line.push(b'\n');
    write.write_all(&line).await?;
    let mut text = String::new();
    timeout(ANSWER_PATIENCE, BufReader::new(read.take(LINE_BYTES)).read_line(&mut text))
        .await
        .context("the parent process did not answer in time")??;
    match serde_json::from_str(&text).context("the parent process answered with something else than JSON")? {
        Answer::Failed { message } => bail!(message),
        answer => Ok(answer),
    }
}
