//! One worker through all its lives.
//!
//! ```text
//! start ─→ watch: an exit is noticed at once, a hung worker by its health checks ─→ end of the whole group ─→ back off ─→ start
//! ```

use std::{
    future::Future,
    path::PathBuf,
    pin::pin,
    process::ExitStatus,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::{
    process::{Child, Command},
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::{
    backoff::Backoff,
    board::{Board, Entry, Seat},
    environment,
    health::{Health, Readiness},
    lines::{self, Sink},
    logs::{Logs, Stream},
    port::Ports,
    probe,
    spawn::{Spawner, group_of},
    spec::AppSpec,
    status::WorkerState,
};

/// Numbers the starts of all workers of this process.
static LIVES: AtomicU64 = AtomicU64::new(0);

/// Lines of output told with an early end.
const TOLD_LINES: usize = 5;
/// After a worker's end its output is read for so long; a stray holder of the pipe must not delay the restart.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// How often an ending group is looked at.
const GROUP_POLL: Duration = Duration::from_millis(20);

pub(crate) struct Slot {
    pub(crate) id: u16,
    pub(crate) seat: Seat,
    pub(crate) spec: Arc<AppSpec>,
    pub(crate) program: PathBuf,
    pub(crate) spawner: Spawner,
    pub(crate) ports: Arc<Ports>,
    pub(crate) board: Arc<Board>,
    pub(crate) logs: Arc<Logs>,
    pub(crate) stopping: watch::Receiver<bool>,
}

/// How a life ended.
enum End {
    /// As it was asked to.
    Stopped,
    /// By itself, or because it was hung; why, in words.
    Died(String),
}

/// What the watch over a running worker saw.
enum Seen {
    Exit(std::io::Result<ExitStatus>),
    Hung,
    Stop,
}

/// A running worker.
struct Life {
    child: Child,
    group: Option<Pid>,
    number: u64,
    readers: Vec<JoinHandle<()>>,
}

impl Slot {
    pub(crate) async fn run(self) {
        let mut backoff = Backoff::new(&self.spec.timing);
        loop {
            let started = Instant::now();
            let end = self.live().await;
            self.board.update(self.seat, Entry::vacate);
            let End::Died(why) = end else { break };
            let uptime = started.elapsed();
            let pause = backoff.after(uptime, fastrand::f64());
            let problem = format!("{why}, {uptime:.1?} after its start; next start in {pause:.1?}");
            tracing::warn!(app = %self.spec.name, worker = self.id, "worker {} of app {} {problem}", self.id, self.spec.name);
            self.board.update(self.seat, |slot| (slot.state, slot.problem) = (WorkerState::BackingOff, Some(problem)));
            tokio::select! {
                () = sleep(pause) => {}
                () = self.stop_asked() => break,
            }
            self.board.update(self.seat, |slot| slot.restarts += 1);
        }
        self.board.update(self.seat, |slot| slot.state = WorkerState::Stopped);
    }

    fn path(&self) -> &str {
        self.spec.health_path.as_deref().unwrap_or("/")
    }

    /// Resolves when the supervisor stops, also by being dropped.
    fn stop_asked(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stopping = self.stopping.clone();
        async move {
            let _ = stopping.wait_for(|stop| *stop).await;
        }
    }

    async fn live(&self) -> End {
        let lease = match self.ports.lease(self.id) {
            Ok(lease) => lease,
            Err(error) => return End::Died(format!("has no port: {error}")),
        };
        let mut command = Command::new(&self.program);
        command.args(&self.spec.command[1..]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(cwd) = &self.spec.cwd {
            command.current_dir(cwd);
        }
        environment::apply(&mut command, &self.spec, self.id, lease.address);
        let child = match self.spawner.spawn(command).await {
            Ok(child) => child,
            Err(error) => {
                return End::Died(format!(
                    "could not be started: {error}; is {} a program, and the interpreter that it names installed?",
                    self.program.display()
                ));
            }
        };
        let pid = child.id();
        let number = LIVES.fetch_add(1, Ordering::Relaxed) + 1;
        self.board.update(self.seat, |slot| {
            (slot.state, slot.address, slot.pid) = (WorkerState::Starting, Some(lease.address), pid);
            slot.life = number;
            slot.since = Some(std::time::Instant::now());
        });
        tracing::info!(app = %self.spec.name, worker = self.id, address = %lease.address, pid, "worker started");
        let mut life = self.attend(child, number);
        let seen = self.watch(&mut life.child, lease.address).await;
        self.conclude(life, seen).await
    }

    fn attend(&self, mut child: Child, number: u64) -> Life {
        let sink = Sink {
            app: self.spec.name.as_str().into(),
            slot: self.id,
            life: number,
            logs: Arc::clone(&self.logs),
            forward: self.spec.log.forward,
            awaited: None,
        };
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            readers.push(lines::follow(stdout, Stream::Out, sink.clone()));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.push(lines::follow(stderr, Stream::Err, sink));
        }
        Life { group: group_of(&child), number, child, readers }
    }

    async fn watch(&self, child: &mut Child, address: std::net::SocketAddr) -> Seen {
        let mut exit = pin!(child.wait());
        let mut stop = pin!(self.stop_asked());
        let mut health = Health::new();
        let mut not_ready_since = Instant::now();
        loop {
            let pause = health.pause().mul_f64(0.9 + 0.2 * fastrand::f64());
            let check = async {
                sleep(pause).await;
                probe::passes(address, self.path(), self.spec.timing.probe_timeout).await
            };
            let passed = tokio::select! {
                biased;
                status = exit.as_mut() => return Seen::Exit(status),
                () = stop.as_mut() => return Seen::Stop,
                passed = check => passed,
            };
            if health.observe(passed) {
                self.readiness_changed(health.readiness);
                not_ready_since = Instant::now();
            }
            let hung =
                health.readiness != Readiness::Ready && not_ready_since.elapsed() >= self.spec.timing.ready_timeout;
            if hung {
                return Seen::Hung;
            }
        }
    }

    fn readiness_changed(&self, readiness: Readiness) {
        let ready = readiness == Readiness::Ready;
        tracing::info!(app = %self.spec.name, worker = self.id, ready, "worker's readiness changed");
        self.board.update(self.seat, |slot| {
            slot.state = if ready { WorkerState::Ready } else { WorkerState::Unhealthy };
            if ready {
                slot.problem = None;
            }
        });
    }

    /// Ends whatever of the worker still runs, and says how it ended.
    async fn conclude(&self, mut life: Life, seen: Seen) -> End {
        let what = match &seen {
            Seen::Exit(Ok(status)) => describe(*status),
            Seen::Exit(Err(error)) => format!("was lost: {error}"),
            Seen::Hung => format!(
                "did not pass its health check at {} for {:?}: it must answer 2xx on HOST:PORT as given to it",
                self.path(),
                self.spec.timing.ready_timeout
            ),
            Seen::Stop => String::new(),
        };
        // First out of use, then everything that takes time.
        let grace = if matches!(seen, Seen::Exit(_)) {
            self.board.update(self.seat, |slot| (slot.state, slot.address) = (WorkerState::BackingOff, None));
            // What a dead worker started itself serves nobody and may hold its port.
            Duration::ZERO
        } else {
            self.board.update(self.seat, |slot| slot.state = WorkerState::Stopping);
            self.spec.timing.kill_timeout
        };
        self.end_group(&mut life, grace).await;
        let told = life.last_words(self.id, &self.logs).await;
        match seen {
            Seen::Stop => End::Stopped,
            Seen::Exit(_) | Seen::Hung => End::Died(what + &told),
        }
    }

    /// SIGTERM to the group, `grace` to end, SIGKILL to what is left.
    async fn end_group(&self, life: &mut Life, grace: Duration) {
        let Some(group) = life.group else { return };
        // Errors mean that the group is empty, which is the aim.
        let _ = kill_process_group(group, Signal::TERM);
        let gone = async {
            let _ = life.child.wait().await;
            while test_kill_process_group(group).is_ok() {
                sleep(GROUP_POLL).await;
            }
        };
        if timeout(grace, gone).await.is_err() {
            if !grace.is_zero() {
                tracing::warn!(app = %self.spec.name, worker = self.id, "worker did not end in {grace:?} after SIGTERM: killed");
            }
            let _ = kill_process_group(group, Signal::KILL);
            let _ = life.child.wait().await;
        }
        self.spawner.forget(group);
    }
}

impl Life {
    /// What the worker said last, to be put behind how it ended.
    async fn last_words(self, slot: u16, logs: &Logs) -> String {
        let deadline = Instant::now() + LAST_WORDS;
        for reader in self.readers {
            let abort = reader.abort_handle();
            if tokio::time::timeout_at(deadline, reader).await.is_err() {
                abort.abort();
            }
        }
        let lines = logs.last_of(slot, self.number, TOLD_LINES);
        if lines.is_empty() { String::new() } else { format!(", saying: {}", lines.join(" | ")) }
    }
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(0), _) => "exited with status 0, though a worker should keep serving".to_owned(),
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}
