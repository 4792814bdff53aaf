//! One worker through all its lives.
//!
//! ```text
//! start ─→ watch: an exit is noticed at once, a hung worker by its checks or its silence ─→ end of everything it started ─→ back off ─→ start
//!             └── told to drain: no new requests ─→ none in flight, or time is up ─→ asked to end ─→ killed if it does not
//! ```
//!
//! A runner on trial (the new worker of a reload) has one life to become ready in; if it does not, that is the end of it.

use std::{
    future::Future,
    net::SocketAddr,
    os::fd::OwnedFd,
    path::PathBuf,
    pin::pin,
    process::{ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::{
    process::{Child, Command},
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout, timeout_at},
};

use crate::{
    app::InFlight,
    backoff::Backoff,
    board::{Board, Entry, Seat},
    cgroup::{Cell, Cgroups},
    command, environment,
    health::{Health, Readiness},
    ipc::Ipc,
    lines::{self, Sink},
    logs::{Logs, Stream},
    notify::Notify,
    port::{self, Lease},
    probe, proc,
    pulse::{Pulse, Silent, TICK},
    reporter::{Reporter, Tell},
    run_dir::RunDir,
    spawn::{Gifts, Spawner, group_of},
    spec::{AppSpec, Ready},
    status::WorkerState,
    word::Word,
};

/// Numbers the starts of all workers of this process.
static LIVES: AtomicU64 = AtomicU64::new(0);

/// Lines of output told with an early end, in words of one line.
const TOLD_LINES: usize = 5;
/// Lines of output told with a reload that failed.
const LAST_LINES: usize = 20;
/// After a worker's end its output is read for so long; a stray holder of the pipe must not delay the restart.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// How often an ending group is looked at.
const GROUP_POLL: Duration = Duration::from_millis(20);
/// How often requests in flight are counted.
const DRAIN_POLL: Duration = Duration::from_millis(20);
/// The gateway may just have chosen the worker when it was told of the drain; nothing in flight counts only after so long.
const DRAIN_SETTLE: Duration = Duration::from_millis(100);
/// What says nothing of itself has started if it has run for so long: an error in its first lines ends it sooner.
const SETTLED: Duration = Duration::from_secs(1);
/// A blocked worker cannot answer a signal; it is asked nevertheless, but not for long.
const BLOCKED_GRACE: Duration = Duration::from_secs(1);

/// What all runners of an app share.
pub(crate) struct Common {
    pub(crate) board: Board,
    pub(crate) logs: Arc<Logs>,
    pub(crate) spawner: Spawner,
    pub(crate) run_dir: Arc<RunDir>,
    pub(crate) cgroups: Option<Cgroups>,
    pub(crate) in_flight: InFlight,
    /// Workers that should be replaced.
    pub(crate) wishes: mpsc::Sender<Wish>,
}

/// A worker should be replaced, though it runs.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) seat: Seat,
    pub(crate) life: u64,
    pub(crate) why: String,
    /// Its event loop lags: perhaps all do, and replacing them all in a row would not help.
    pub(crate) lag: bool,
}

/// What a runner is told; it only ever goes forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Order {
    Run,
    /// Finish requests, then end.
    Drain,
    /// End now.
    Stop,
}

/// How far a runner has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phase {
    Starting,
    /// Has been ready once.
    Ready,
    /// On trial, and did not become ready.
    Failed {
        why: String,
        last_lines: Vec<String>,
    },
}

pub(crate) struct Runner {
    pub(crate) slot: u16,
    pub(crate) seat: Seat,
    pub(crate) release: u32,
    pub(crate) spec: Arc<AppSpec>,
    pub(crate) program: PathBuf,
    pub(crate) trial: bool,
    pub(crate) common: Arc<Common>,
    pub(crate) orders: watch::Receiver<Order>,
    pub(crate) phase: watch::Sender<Phase>,
}

/// How a life ended.
enum End {
    /// As it was asked to.
    Stopped,
    /// By itself, with one of the statuses that mean that it has done its work.
    Done(i32),
    /// By itself, or because it was hung; why, in words, and its last lines.
    Died { why: String, last_lines: Vec<String> },
}

impl End {
    fn died(why: impl Into<String>) -> Self {
        Self::Died { why: why.into(), last_lines: Vec::new() }
    }
}

/// What the watch over a running worker saw.
enum Seen {
    Exit(std::io::Result<ExitStatus>),
    /// Not ready for too long.
    NotReady,
    /// Says nothing any more, though it should.
    Silent(Silent),
    /// It says itself that it is broken.
    Broken,
    Order(Order),
}

/// A running worker.
struct Life {
    number: u64,
    address: SocketAddr,
    child: Child,
    group: Option<Pid>,
    /// Everything of it is in there, if there is one.
    cell: Option<Cell>,
    readers: Vec<JoinHandle<()>>,
    words: mpsc::Receiver<Word>,
    ways: Ways,
    was_ready: bool,
    // Its port is promised to it until all of it has ended.
    _lease: Lease,
}

/// The ways on which a worker speaks; they end with its life.
struct Ways {
    ipc: Option<Ipc>,
    reporter: Option<Reporter>,
    _notify: Option<Notify>,
}

impl Runner {
    pub(crate) async fn run(self) {
        let mut backoff = Backoff::new(&self.spec.timing);
        loop {
            let started = Instant::now();
            let end = self.live().await;
            self.update(Entry::vacate);
            let (why, last_lines) = match end {
                End::Died { why, last_lines } => (why, last_lines),
                End::Stopped => break,
                End::Done(code) => {
                    if self.spec.ready == Ready::Started {
                        // Work that is done at once was done all the same.
                        self.has_been_ready();
                    }
                    let told =
                        format!("exited with status {code}, one of its `stop_exit_codes`, and is not started again");
                    self.update(|entry| entry.problem = Some(told));
                    break;
                }
            };
            let uptime = started.elapsed();
            if self.trial && *self.phase.borrow() == Phase::Starting {
                let why = format!("{why}, {uptime:.1?} after its start");
                self.phase.send_replace(Phase::Failed { why, last_lines });
                break;
            }
            let pause = backoff.after(uptime, fastrand::f64());
            let words = if last_lines.is_empty() {
                String::new()
            } else {
                format!(", saying: {}", telling(&last_lines).join(" | "))
            };
            let problem = format!("{why}{words}, {uptime:.1?} after its start; next start in {pause:.1?}");
            tracing::warn!(app = %self.spec.name, worker = self.slot, "worker {} of app {} {problem}", self.slot, self.spec.name);
            self.update(|entry| (entry.state, entry.problem) = (WorkerState::BackingOff, Some(problem)));
            tokio::select! {
                () = sleep(pause) => {}
                _ = self.ordered(Order::Drain) => break,
            }
            self.update(|entry| entry.restarts += 1);
        }
        self.update(|entry| entry.state = WorkerState::Stopped);
    }

    fn update(&self, change: impl FnOnce(&mut Entry)) {
        self.common.board.update(self.seat, change);
    }

    /// Resolves when the runner is told to do so much, or when nobody is left to tell it anything.
    fn ordered(&self, least: Order) -> impl Future<Output = Order> + Send + use<> {
        let mut orders = self.orders.clone();
        async move { orders.wait_for(|order| *order >= least).await.map_or(Order::Stop, |order| *order) }
    }

    async fn live(&self) -> End {
        let mut life = match self.start().await {
            Ok(life) => life,
            Err(why) => return End::died(why),
        };
        let mut seen = self.watch(&mut life).await;
        if let Seen::Order(Order::Drain) = seen {
            seen = self.drain(&mut life).await;
        }
        self.conclude(life, seen).await
    }

    /// Starts the process and opens the ways on which it speaks; else says why not.
    async fn start(&self) -> Result<Life, String> {
        let spec = &self.spec;
        let mut lease =
            port::lease(spec.host, spec.ports, self.slot).map_err(|error| format!("has no port: {error}"))?;
        let number = LIVES.fetch_add(1, Ordering::Relaxed) + 1;
        let (say, words) = mpsc::channel(64);
        let no_way = |error| format!("could not be given its sockets: {error}");
        let (ways, ipc) = self.ways(number, &say).map_err(no_way)?;
        // Without LISTEN_FDS the worker makes its own socket at the address, so ours goes now.
        let listener = lease.listener.take().filter(|_| spec.listen_fds).map(Into::into);
        let cell = self.common.cgroups.as_ref().filter(|_| spec.cgroup).and_then(|groups| groups.cell(number).ok());
        let entrance = cell.as_ref().and_then(|cell| cell.entrance().ok()).map(Into::into);
        let gifts = Gifts::new(ipc, listener, entrance).map_err(no_way)?;
        let run_dir = &self.common.run_dir;
        let place = environment::Place {
            slot: self.slot,
            release: self.release,
            address: lease.address,
            mark: run_dir.mark(number),
            ipc: gifts.ipc_number(),
            notify: ways._notify.is_some().then(|| run_dir.socket(number, "n")),
            preload: spec.preload.then(|| (run_dir.preload(), run_dir.socket(number, "p"))),
        };
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(cwd) = &spec.cwd {
            command.current_dir(cwd);
        }
        environment::apply(&mut command, spec, &place);
        let mut child = self.common.spawner.spawn(command, gifts, run_dir.limit_mark(number)).await.map_err(|error| {
            let program = self.program.display();
            format!(
                "could not be started: {error}; is {program} a program, and the interpreter that it names installed?"
            )
        })?;
        let sink = Sink {
            app: spec.name.as_str().into(),
            slot: self.slot,
            life: number,
            logs: Arc::clone(&self.common.logs),
            forward: spec.log.forward,
            awaited: match &spec.ready {
                Ready::Log(pattern) => Some((pattern.clone(), say)),
                _ => None,
            },
        };
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            readers.push(lines::follow(stdout, Stream::Out, sink.clone()));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.push(lines::follow(stderr, Stream::Err, sink));
        }
        let (pid, address) = (child.id(), lease.address);
        self.update(|entry| {
            (entry.state, entry.address, entry.pid) = (WorkerState::Starting, Some(address), pid);
            (entry.life, entry.since) = (number, Some(std::time::Instant::now()));
            entry.tell = ways.reporter.as_ref().map(Reporter::tell);
        });
        tracing::info!(app = %spec.name, worker = self.slot, release = self.release, %address, pid, "worker started");
        let group = group_of(&child);
        let cell = cell.filter(|cell| pid.is_some_and(|pid| cell.holds(pid)));
        Ok(Life { number, address, child, group, cell, readers, words, ways, was_ready: false, _lease: lease })
    }

    fn command(&self) -> Command {
        if !self.spec.listen_fds {
            let mut command = Command::new(&self.program);
            command.args(&self.spec.command[1..]);
            return command;
        }
        // A program that is passed sockets looks for its own number in LISTEN_PID, and the shell becomes that program.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", r#"LISTEN_PID=$$; export LISTEN_PID; exec "$@""#, "sh"]);
        command.arg(&self.program).args(&self.spec.command[1..]);
        command
    }

    fn ways(&self, life: u64, say: &mpsc::Sender<Word>) -> std::io::Result<(Ways, Option<OwnedFd>)> {
        let spec = &self.spec;
        let dir = &self.common.run_dir;
        let wanted = spec.ready == Ready::Ipc || spec.stop.with_message || command::is_node(&self.program);
        // Where another sign makes it ready, this one is a reason to look for that.
        let means = |way| if spec.ready == way { Word::Ready } else { Word::Listening };
        let (ipc, theirs) = wanted.then(|| Ipc::open(say.clone(), means(Ready::Ipc))).transpose()?.unzip();
        let notify = spec.ready == Ready::SdNotify || spec.limits.watchdog.is_some();
        let notify =
            notify.then(|| Notify::open(dir.socket(life, "n"), say.clone(), means(Ready::SdNotify))).transpose()?;
        let reporter = spec.preload.then(|| Reporter::open(dir.socket(life, "p"), say.clone())).transpose()?;
        Ok((Ways { ipc, reporter, _notify: notify }, theirs))
    }

    async fn watch(&self, life: &mut Life) -> Seen {
        let Life { child, words, was_ready, address, number, .. } = life;
        let limits = &self.spec.limits;
        let mut exit = pin!(child.wait());
        let mut order = pin!(self.ordered(Order::Drain));
        let mut health = Health::new(&self.spec.timing);
        let mut pulse = Pulse::new(limits.event_loop_lag, limits.heartbeat_timeout, limits.watchdog);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut not_ready_since = Instant::now();
        let mut next_check = pin!(sleep(jittered(health.pause())));
        let mut check = pin!(self.check(*address, true));
        let mut checking = false;
        let mut settled = pin!(sleep(SETTLED));
        let says_nothing = self.spec.ready == Ready::Started;
        let mut changed = false;
        loop {
            if std::mem::take(&mut changed) {
                not_ready_since = Instant::now();
                let ready = health.readiness == Readiness::Ready;
                if ready && !*was_ready {
                    *was_ready = true;
                    pulse.fed();
                }
                self.readiness_changed(ready);
                next_check.as_mut().reset(Instant::now() + jittered(health.pause()));
            }
            tokio::select! {
                biased;
                status = exit.as_mut() => return Seen::Exit(status),
                order = order.as_mut() => return Seen::Order(order),
                Some(word) = words.recv() => match word {
                    Word::Ready => changed = health.announce(),
                    Word::Listening => next_check.as_mut().reset(Instant::now()),
                    Word::Leaving => self.update(|entry| entry.leaving = true),
                    Word::Status(text) => self.update(|entry| entry.says = Some(text)),
                    Word::Watchdog => pulse.fed(),
                    Word::Broken => return Seen::Broken,
                    Word::Mute => pulse.mute(),
                    Word::Report(report) => {
                        self.update(|entry| entry.event_loop = Some(report));
                        if pulse.report(report.delay_p99_ms) {
                            self.wish_for_quicker_one(*number, report.delay_p99_ms);
                        }
                    }
                },
                () = next_check.as_mut(), if !checking => {
                    check.set(self.check(*address, health.readiness == Readiness::Starting));
                    checking = true;
                }
                passed = check.as_mut(), if checking => {
                    checking = false;
                    changed = passed.is_some_and(|passed| health.observe(passed));
                    next_check.as_mut().reset(Instant::now() + jittered(health.pause()));
                }
                () = settled.as_mut(), if says_nothing && health.readiness == Readiness::Starting => {
                    changed = health.announce();
                }
                _ = ticks.tick() => {
                    if let Some(silent) = pulse.tick() {
                        return Seen::Silent(silent);
                    }
                    let waited = not_ready_since.elapsed();
                    if health.readiness != Readiness::Ready && waited >= self.spec.timing.ready_timeout {
                        return Seen::NotReady;
                    }
                }
            }
        }
    }

    fn wish_for_quicker_one(&self, life: u64, delay_ms: f64) {
        let why = format!("its event loop lags: {delay_ms:.0} ms at the 99th percentile, for 5 of the last 10 seconds");
        // A full queue means that enough is wished for.
        let _ = self.common.wishes.try_send(Wish { seat: self.seat, life, why, lag: true });
    }

    /// Asks the worker how it is; `None` where it is not to be asked now.
    fn check(&self, address: SocketAddr, starting: bool) -> impl Future<Output = Option<bool>> + Send + use<'_> {
        let limit = self.spec.timing.probe_timeout;
        async move {
            match (&self.spec.ready, &self.spec.health_path) {
                // These become ready by their own word.
                (Ready::Log(_) | Ready::SdNotify | Ready::Ipc | Ready::Started, _) if starting => None,
                (Ready::Tcp, None) => Some(probe::accepts(address, limit).await),
                (Ready::Tcp, Some(_)) if starting => Some(probe::accepts(address, limit).await),
                (Ready::Http, None) => Some(probe::passes(address, "/", limit).await),
                (_, Some(path)) => Some(probe::passes(address, path, limit).await),
                (_, None) => None,
            }
        }
    }

    fn readiness_changed(&self, ready: bool) {
        tracing::info!(app = %self.spec.name, worker = self.slot, ready, "worker's readiness changed");
        self.update(|entry| {
            entry.state = if ready { WorkerState::Ready } else { WorkerState::Unhealthy };
            entry.problem = if ready {
                None
            } else {
                let needed = match self.spec.timing.probe_successes {
                    0 | 1 => "passes one".to_owned(),
                    more => format!("passes {more} in a row"),
                };
                Some(format!("fails its health checks; it gets no requests until it {needed}"))
            };
        });
        if ready {
            self.has_been_ready();
        }
    }

    fn has_been_ready(&self) {
        self.phase.send_if_modified(|phase| {
            let first = *phase == Phase::Starting;
            if first {
                *phase = Phase::Ready;
            }
            first
        });
    }

    /// Out of use first; then requests finish, within limits.
    async fn drain(&self, life: &mut Life) -> Seen {
        life.words.close();
        self.update(|entry| entry.state = WorkerState::Draining);
        if let Some(reporter) = &life.ways.reporter {
            let _ = reporter.tell().try_send(Tell::Drain);
        }
        let limit = self.spec.timing.drain_timeout;
        let began = Instant::now();
        let settle = if life.was_ready { DRAIN_SETTLE.min(limit) } else { Duration::ZERO };
        let number = life.number;
        let drained = async {
            sleep(settle).await;
            loop {
                let left = (self.common.in_flight)(number);
                if left == 0 || began.elapsed() >= limit {
                    return left;
                }
                sleep(DRAIN_POLL).await;
            }
        };
        tokio::select! {
            biased;
            status = life.child.wait() => Seen::Exit(status),
            order = self.ordered(Order::Stop) => Seen::Order(order),
            left = drained => {
                if left > 0 {
                    tracing::warn!(app = %self.spec.name, worker = self.slot, "{left} requests were in flight after {limit:?}; the worker ends nevertheless");
                }
                Seen::Order(Order::Drain)
            }
        }
    }

    /// Ends whatever of the worker still runs, and says how it ended.
    async fn conclude(&self, mut life: Life, seen: Seen) -> End {
        let asked = *self.orders.borrow() >= Order::Drain;
        // What it says now is for its log only; whoever brings words must not wait.
        life.words.close();
        let what = match &seen {
            Seen::Exit(Ok(status)) => describe(*status),
            Seen::Exit(Err(error)) => format!("was lost: {error}"),
            Seen::NotReady => self.why_not_ready(&life).await,
            Seen::Silent(Silent::EventLoop) => {
                let limit = self.spec.limits.heartbeat_timeout.unwrap_or_default();
                format!("did not turn its event loop for {limit:?}: something in it computes or waits without a pause")
            }
            Seen::Silent(Silent::Watchdog) => {
                let limit = self.spec.limits.watchdog.unwrap_or_default();
                format!("did not send WATCHDOG=1 for {limit:?}")
            }
            Seen::Broken => "said that it is broken (WATCHDOG=trigger)".to_owned(),
            Seen::Order(_) => String::new(),
        };
        // First out of use, then everything that takes time.
        let kill_timeout = self.spec.timing.kill_timeout;
        let grace = match seen {
            Seen::Exit(_) => {
                self.update(|entry| (entry.state, entry.address) = (WorkerState::BackingOff, None));
                // What a dead worker started itself serves nobody and may hold its port.
                Duration::ZERO
            }
            Seen::Silent(_) => BLOCKED_GRACE.min(kill_timeout),
            Seen::NotReady | Seen::Broken | Seen::Order(_) => kill_timeout,
        };
        if !matches!(seen, Seen::Exit(_)) {
            self.update(|entry| entry.state = WorkerState::Stopping);
        }
        self.end_all(&mut life, grace).await;
        life.last_words().await;
        match seen {
            _ if asked => End::Stopped,
            Seen::Exit(Ok(status)) if status.code().is_some_and(|code| self.spec.stop.exit_codes.contains(&code)) => {
                End::Done(status.code().unwrap_or_default())
            }
            _ => End::Died { why: what, last_lines: self.common.logs.last_of(self.slot, life.number, LAST_LINES) },
        }
    }

    async fn why_not_ready(&self, life: &Life) -> String {
        let limit = self.spec.timing.ready_timeout;
        let path = self.spec.health_path.as_deref().unwrap_or("/");
        let word = match &self.spec.ready {
            _ if life.was_ready => format!("failed its health check at {path} for {limit:?}: it must answer 2xx there"),
            Ready::Http => {
                format!(
                    "did not pass its health check at {path} for {limit:?}: it must answer 2xx on HOST:PORT as given to it"
                )
            }
            Ready::Tcp => format!("did not accept connections on HOST:PORT as given to it for {limit:?}"),
            Ready::Log(pattern) => format!("wrote no line with `{}` for {limit:?}", pattern.as_str()),
            Ready::SdNotify => format!("did not send READY=1 to NOTIFY_SOCKET for {limit:?}"),
            Ready::Ipc => format!("did not call process.send('ready') for {limit:?}"),
            Ready::Started => format!("did not run for {limit:?}"),
        };
        let Some(pid) = life.child.id() else { return word };
        let listening = tokio::task::spawn_blocking(move || proc::listening(pid)).await.unwrap_or_default();
        let wanted = life.address;
        let right =
            |at: &SocketAddr| at.port() == wanted.port() && (at.ip() == wanted.ip() || at.ip().is_unspecified());
        if listening.iter().any(right) {
            return word;
        }
        let list = |show: fn(&SocketAddr) -> String| listening.iter().take(5).map(show).collect::<Vec<_>>().join(", ");
        let where_else = if listening.is_empty() {
            format!("it listens on no TCP port at all, PORT={} neither", wanted.port())
        } else if listening.iter().any(|at| at.port() == wanted.port()) {
            format!("it listens on {}, not on HOST={}", list(SocketAddr::to_string), wanted.ip())
        } else {
            format!("it listens on {}, not on PORT={}", list(|at| at.port().to_string()), wanted.port())
        };
        format!("{word}; {where_else}")
    }

    /// Asks the worker to end, and kills what of it does not within `grace`, wherever it has gone.
    async fn end_all(&self, life: &mut Life, grace: Duration) {
        let Some(group) = life.group else { return };
        let leader = u32::try_from(group.as_raw_nonzero().get()).unwrap_or_default();
        // What left the group is a descendant yet, and is known by that while its parents live.
        let known = blocking(move || {
            let table = proc::fresh_table();
            proc::family(&table, leader).iter().map(|p| (p.pid, p.started)).collect::<Vec<_>>()
        });
        let known = known.await.unwrap_or_default();
        if !grace.is_zero() {
            self.ask_to_end(life, group);
        }
        let ended = !grace.is_zero() && timeout(grace, gone(&mut life.child, group)).await.is_ok();
        if !ended {
            if !grace.is_zero() {
                tracing::warn!(app = %self.spec.name, worker = self.slot, "worker did not end in {grace:?} after it was asked to: killed");
            }
            // Errors mean that the group is empty, which is the aim.
            let _ = kill_process_group(group, Signal::KILL);
            let _ = life.child.wait().await;
        }
        let mark = self.common.run_dir.mark(life.number);
        let limit_mark = self.common.run_dir.limit_mark(life.number);
        let cell = life.cell.take();
        let kill = move || cell.map_or_else(|| proc::kill_strays(&mark, limit_mark, &known), Cell::kill);
        let strays = blocking(kill).await.unwrap_or_default();
        if strays > 0 {
            tracing::warn!(app = %self.spec.name, worker = self.slot, "worker left {strays} processes behind: killed");
        }
        self.common.spawner.forget(group);
    }

    fn ask_to_end(&self, life: &Life, group: Pid) {
        if self.spec.stop.with_message && life.ways.ipc.as_ref().is_some_and(|ipc| ipc.send("shutdown")) {
            return;
        }
        // An error means that the group is empty, which is the aim.
        let _ = kill_process_group(group, self.spec.stop.signal.into());
    }
}

/// Resolves when the worker and its group have ended.
async fn gone(child: &mut Child, group: Pid) {
    let _ = child.wait().await;
    while test_kill_process_group(group).is_ok() {
        sleep(GROUP_POLL).await;
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}

/// The last lines that tell something: not the frames of a stack, of which Node.js and Java write many behind the error.
fn telling(lines: &[String]) -> Vec<&str> {
    let frame =
        |line: &str| line.trim_start().starts_with("at ") || line.starts_with("Node.js v") || line.trim().len() < 2;
    let mut told: Vec<&str> = lines.iter().map(String::as_str).filter(|line| !frame(line)).collect();
    if told.is_empty() {
        told = lines.iter().map(String::as_str).collect();
    }
    told.split_off(told.len().saturating_sub(TOLD_LINES))
}

fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(0.9 + 0.2 * fastrand::f64())
}

impl Life {
    /// Lets what the worker said last come in.
    async fn last_words(&mut self) {
        let deadline = Instant::now() + LAST_WORDS;
        for mut reader in self.readers.drain(..) {
            if timeout_at(deadline, &mut reader).await.is_err() {
                reader.abort();
            }
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        for reader in &self.readers {
            reader.abort();
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_told_and_not_its_stack() {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let node = lines(
            "/app/server.js:1\n\nthrow x\n^\n\nError: no\n    at Module.load (a:1)\n    at b:2\n\nNode.js v20.20.2",
        );
        assert_eq!(telling(&node), ["/app/server.js:1", "throw x", "Error: no"]);
        assert_eq!(telling(&lines("1\n10\n20\n30\n40\n50\n60")), ["20", "30", "40", "50", "60"]);
        assert_eq!(telling(&lines("  at a:1")), ["  at a:1"]);
        assert!(telling(&[]).is_empty());
    }
}
