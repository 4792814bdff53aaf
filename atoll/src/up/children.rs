//! The region processes of a local world: started, watched, stopped, killed. One real process each, so that a death is a real death.
//!
//! ```text
//! Away ──start──▶ Starting ──says "serving"──▶ Serving
//!   ▲                │                            │
//!   └──── exit ──────┴─────── exit ───────────────┘      how it ended is kept for people
//! ```

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{File, OpenOptions},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use anyhow::{Context, bail};
use model::RegionName;
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, BufReader as AsyncBufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::{broadcast, watch},
    time::timeout,
};

/// A log larger than this is begun anew at the next start.
const LOG_BYTES_KEPT: u64 = 16 << 20;
/// Lines of a log that a complaint quotes.
const LINES_QUOTED: usize = 8;
/// A region that has not left this long after SIGTERM is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// A region that does not serve this long after its start has failed.
pub(crate) const START_PATIENCE: Duration = Duration::from_secs(60);

/// Where a region's process is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub(crate) enum State {
    /// No process. `ended` says how the last one went.
    Away { ended: Option<String> },
    /// The process runs but does not serve yet.
    Starting { pid: u32 },
    /// It serves.
    Serving { pid: u32 },
}

impl State {
    pub(crate) fn pid(&self) -> Option<u32> {
        match self {
            Self::Away { .. } => None,
            Self::Starting { pid } | Self::Serving { pid } => Some(*pid),
        }
    }
}

/// Proof that a process was killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Killed {
    pub(crate) pid: u32,
    /// When the signal was sent, Unix milliseconds.
    pub(crate) at_ms: u64,
    /// What the kernel said of the end: `signal: 9 (SIGKILL)`.
    pub(crate) ended: String,
}

/// All region processes of a world.
#[derive(Debug, Clone)]
pub(crate) struct Children {
    binary: PathBuf,
    slots: Arc<BTreeMap<RegionName, Slot>>,
    changes: broadcast::Sender<(RegionName, State)>,
}

#[derive(Debug)]
struct Slot {
    dir: PathBuf,
    state: watch::Sender<State>,
    /// How often it was started. A lease on a death ends with the next start, whoever that is.
    starts: AtomicU64,
    /// The write end of the child's standard input. When this process dies, however it dies, the child reads end-of-file and leaves.
    leash: Mutex<Option<ChildStdin>>,
}

impl Slot {
    fn leash(&self) -> MutexGuard<'_, Option<ChildStdin>> {
        self.leash.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Children {
    pub(crate) fn new(dirs: impl Iterator<Item = (RegionName, PathBuf)>) -> anyhow::Result<Self> {
        let slot = |dir| Slot {
            dir,
            state: watch::Sender::new(State::Away { ended: None }),
            starts: AtomicU64::new(0),
            leash: Mutex::default(),
        };
        let slots = dirs.map(|(name, dir)| (name, slot(dir))).collect();
        let binary = std::env::current_exe().context("the path of this program")?;
        Ok(Self { binary, slots: Arc::new(slots), changes: broadcast::Sender::new(64) })
    }

    /// Every change of state from now on. A reader that falls far behind misses the oldest ones.
    pub(crate) fn changes(&self) -> broadcast::Receiver<(RegionName, State)> {
        self.changes.subscribe()
    }

    /// The present state of every region.
    pub(crate) fn states(&self) -> BTreeMap<RegionName, State> {
        self.slots.iter().map(|(name, slot)| (name.clone(), slot.state.borrow().clone())).collect()
    }

    /// How often a region was started.
    pub(crate) fn starts(&self, name: &str) -> anyhow::Result<u64> {
        Ok(self.slot(name)?.1.starts.load(Ordering::Relaxed))
    }

    /// Starts a region's process and returns at once.
    pub(crate) fn spawn(&self, name: &str, fetch_state: bool) -> anyhow::Result<()> {
        let (name, slot) = self.slot(name)?;
        if let Some(pid) = slot.state.borrow().pid() {
            bail!("region `{name}` already runs as process {pid}");
        }
        let log = open_log(&slot.dir)?;
        let mut child = Command::new(&self.binary)
            .arg("region")
            .arg("--config")
            .arg(slot.dir.join("region.toml"))
            .arg("--leave-with-parent")
            .args(fetch_state.then_some("--fetch-state"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            // A group of its own, or the terminal's Ctrl-C would reach it beside us.
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", self.binary.display()))?;
        let pid = child.id().context("the process ended before it began")?;
        *slot.leash() = child.stdin.take();
        slot.starts.fetch_add(1, Ordering::Relaxed);
        self.note(&name, State::Starting { pid });
        tokio::spawn(self.clone().watch_over(name, child, pid));
        Ok(())
    }

    /// Waits until a region serves; if it ends or takes too long, says what its log said.
    pub(crate) async fn until_serving(&self, name: &str) -> anyhow::Result<u32> {
        let (name, slot) = self.slot(name)?;
        let mut state = slot.state.subscribe();
        let settled = state.wait_for(|state| !matches!(state, State::Starting { .. }));
        let state = match timeout(START_PATIENCE, settled).await {
            Ok(Ok(state)) => state.clone(),
            Ok(Err(_)) => bail!("region `{name}`: nobody watches it any more"),
            Err(_) => bail!("region `{name}` does not serve after {START_PATIENCE:?}{}", quote_log(&slot.dir)),
        };
        match state {
            State::Serving { pid } => Ok(pid),
            State::Away { ended } => {
                let how = ended.unwrap_or_else(|| "was never started".into());
                bail!("region `{name}` did not start: {how}{}", quote_log(&slot.dir))
            }
            State::Starting { .. } => bail!("region `{name}` is still starting"),
        }
    }

    /// Stops a region as an operator would: SIGTERM, patience, SIGKILL.
    pub(crate) async fn stop(&self, name: &str) -> anyhow::Result<()> {
        let (name, slot) = self.slot(name)?;
        let pid = self.signal(&name, slot, Signal::TERM)?;
        if timeout(STOP_PATIENCE, until_away(slot)).await.is_err() {
            tracing::warn!(region = %name, pid, "did not stop in {STOP_PATIENCE:?}; killing it");
            self.signal(&name, slot, Signal::KILL)?;
            until_away(slot).await;
        }
        Ok(())
    }

    /// Kills a region's process and waits until the kernel has confirmed it.
    pub(crate) async fn kill(&self, name: &str) -> anyhow::Result<Killed> {
        let (name, slot) = self.slot(name)?;
        let at_ms = unix_ms();
        let pid = self.signal(&name, slot, Signal::KILL)?;
        until_away(slot).await;
        let ended = match &*slot.state.borrow() {
            State::Away { ended: Some(ended) } => ended.clone(),
            other => format!("{other:?}"),
        };
        Ok(Killed { pid, at_ms, ended })
    }

    /// Stops every region that runs, all at once.
    pub(crate) async fn stop_all(&self) {
        let mut stops = tokio::task::JoinSet::new();
        for (name, state) in self.states() {
            if state.pid().is_some() {
                let children = self.clone();
                stops.spawn(async move { children.stop(name.as_str()).await });
            }
        }
        while stops.join_next().await.is_some() {}
    }

    fn signal(&self, name: &RegionName, slot: &Slot, signal: Signal) -> anyhow::Result<u32> {
        let pid = slot.state.borrow().pid();
        let Some(pid) = pid else { bail!("region `{name}` does not run; start it with `atoll up start {name}`") };
        let target = i32::try_from(pid).ok().and_then(Pid::from_raw).context("a process id out of range")?;
        kill_process(target, signal).with_context(|| format!("cannot signal process {pid} of region `{name}`"))?;
        Ok(pid)
    }

    /// Reads what a child says and notes how it ends. This task alone reaps it.
    async fn watch_over(self, name: RegionName, mut child: Child, pid: u32) {
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(self.clone().listen(name.clone(), stdout, pid));
        }
        let ended = match child.wait().await {
            Ok(status) => describe(status),
            Err(error) => format!("lost sight of it: {error}"),
        };
        self.note(&name, State::Away { ended: Some(ended) });
    }

    async fn listen(self, name: RegionName, stdout: ChildStdout, pid: u32) {
        let mut lines = AsyncBufReader::new(stdout).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let starting = self.slots.get(&name).is_some_and(|slot| *slot.state.borrow() == State::Starting { pid });
            if starting && is_serving(&line) {
                self.note(&name, State::Serving { pid });
            }
        }
    }

    fn note(&self, name: &RegionName, state: State) {
        let Some(slot) = self.slots.get(name) else { return };
        if matches!(state, State::Away { .. }) {
            *slot.leash() = None;
        }
        slot.state.send_replace(state.clone());
        // Nobody may be listening; the state itself is kept in the slot.
        let _ = self.changes.send((name.clone(), state));
    }

    fn slot(&self, name: &str) -> anyhow::Result<(RegionName, &Slot)> {
        let found = self.slots.iter().find(|(known, _)| known.as_str() == name);
        let (name, slot) = found.with_context(|| {
            let known: Vec<&str> = self.slots.keys().map(RegionName::as_str).collect();
            format!("there is no region `{name}`; this world has {}", known.join(", "))
        })?;
        Ok((name.clone(), slot))
    }
}

async fn until_away(slot: &Slot) {
    let _ = slot.state.subscribe().wait_for(|state| matches!(state, State::Away { .. })).await;
}

/// The one line a region prints on standard output: `{"event":"serving","region":"eu-west"}`.
fn is_serving(line: &str) -> bool {
    let event = serde_json::from_str::<serde_json::Value>(line).ok();
    event.is_some_and(|event| event["event"] == "serving")
}

fn describe(status: ExitStatus) -> String {
    if status.success() { "stopped".into() } else { status.to_string() }
}

fn open_log(dir: &Path) -> anyhow::Result<File> {
    let file = dir.join("region.log");
    let too_long = file.metadata().is_ok_and(|meta| meta.len() > LOG_BYTES_KEPT);
    let log = OpenOptions::new().create(true).write(true).append(!too_long).truncate(too_long).open(&file);
    log.with_context(|| format!("cannot open {}", file.display()))
}

/// The last lines of a region's log, as the end of a complaint.
fn quote_log(dir: &Path) -> String {
    let path = dir.join("region.log");
    let mut last = VecDeque::new();
    if let Ok(file) = File::open(&path) {
        for line in BufReader::new(file).lines().map_while(Result::ok) {
            if last.len() == LINES_QUOTED {
                last.pop_front();
            }
            last.push_back(line);
        }
    }
    let mut text = format!("\n  its log, {}, ends with", path.display());
    for line in last {
        text.push_str("\n    ");
        text.extend(line.chars().take(1000));
    }
    text
}

pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
