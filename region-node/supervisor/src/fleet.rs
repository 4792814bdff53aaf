//! An app's workers as a whole: which release runs in which slot, and how one takes the place of another.
//!
//! ```text
//! reload     for each slot: new worker on trial ─→ ready ─→ it has the slot ─→ the old one drains and ends
//!                                 └─→ not ready: it ends, and slots that were replaced go back the same way
//! wishes     memory, lifetime, lag: the same for one slot, with the same release
//! ```
//!
//! One change at a time. A change runs in a task of its own, so that it does not stop half-way when its caller goes away; it
//! does stop when the app is stopped.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use crate::{
    board::{Entry, Seat},
    command,
    life::Abort,
    proc,
    release::{FailKind, Progress, ReloadFailed, Reloaded, Step, StepKind},
    runner::{Common, Order, Phase, Runner, Wish},
    spec::AppSpec,
    status::{AppStatus, WorkerState},
};

/// How often memory, processor time and age are looked at.
const SAMPLE: Duration = Duration::from_secs(1);
/// A slot whose worker could not be replaced is left alone for so long; and no two workers are replaced for lag in that time.
const COOL_DOWN: Duration = Duration::from_secs(60);

/// A look at a wish takes the turn for less than this; a change that somebody asked for waits so long for it.
const A_MOMENT: Duration = Duration::from_millis(100);

/// What makes a release the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    Reload,
    /// The same spec: what a roll-back goes back to stays what it was.
    Restart,
    RollBack,
}

impl Why {
    fn word(self) -> &'static str {
        match self {
            Self::Reload => "reload",
            Self::Restart => "restart",
            Self::RollBack => "roll-back",
        }
    }
}

/// One version of the app.
#[derive(Clone)]
pub(crate) struct Release {
    number: u32,
    spec: Arc<AppSpec>,
    program: PathBuf,
}

/// A worker that somebody runs.
struct Handle {
    seat: Seat,
    orders: watch::Sender<Order>,
    phase: watch::Receiver<Phase>,
    task: Abort,
}

struct State {
    current: Release,
    previous: Option<Arc<AppSpec>>,
    last_release: u32,
    next_seat: Seat,
    slots: BTreeMap<u16, Handle>,
    stopped: bool,
    doing: Option<String>,
}

pub(crate) struct Fleet {
    name: String,
    common: Arc<Common>,
    state: Mutex<State>,
    /// Held by the change that runs.
    turn: tokio::sync::Mutex<()>,
    /// More than `Run` while the app is being stopped: changes give up; with `Stop`, nothing drains any more.
    halting: watch::Sender<Order>,
}

/// A new worker that did not become ready.
struct NotReady {
    slot: u16,
    why: String,
    last_lines: Vec<String>,
}

/// How far a change has come, for whoever follows it.
struct Course {
    progress: Progress,
    done: u16,
    of: u16,
}

impl Course {
    fn tell(&self, slot: u16, release: u32, what: StepKind) {
        (self.progress)(Step { slot, release, what, done: self.done, of: self.of });
    }
}

/// The app was stopped, or the new worker failed.
enum Unreplaced {
    Halted,
    NotReady(NotReady),
}

impl Fleet {
    pub(crate) fn new(spec: AppSpec, program: PathBuf, common: Arc<Common>) -> Self {
        let name = spec.name.clone();
        let current = Release { number: 1, spec: Arc::new(spec), program };
        let state = State {
            current,
            previous: None,
            last_release: 1,
            next_seat: 0,
            slots: BTreeMap::new(),
            stopped: false,
            doing: None,
        };
        let (turn, halting) = (tokio::sync::Mutex::new(()), watch::Sender::new(Order::Run));
        Self { name, common, state: Mutex::new(state), turn, halting }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn spec(&self) -> Arc<AppSpec> {
        Arc::clone(&self.state().current.spec)
    }

    pub(crate) fn previous(&self) -> Option<Arc<AppSpec>> {
        self.state().previous.clone()
    }

    pub(crate) fn status(&self) -> AppStatus {
        let workers = self.common.board.status();
        let state = self.state();
        AppStatus {
            name: self.name.clone(),
            release: state.current.number,
            can_roll_back: state.previous.is_some(),
            instances: state.current.spec.instances,
            stopped: state.stopped,
            doing: state.doing.clone(),
            workers,
        }
    }

    /// Starts a worker in every slot.
    pub(crate) fn launch(&self) {
        let release = self.state().current.clone();
        for slot in 0..release.spec.instances {
            let handle = self.run(slot, &release, false);
            self.state().slots.insert(slot, handle);
        }
    }

    fn run(&self, slot: u16, release: &Release, trial: bool) -> Handle {
        let seat = {
            let mut state = self.state();
            state.next_seat += 1;
            state.next_seat
        };
        self.common.board.add(seat, Entry::new(slot, release.number));
        let (orders, told) = watch::channel(Order::Run);
        let (says, phase) = watch::channel(Phase::Starting);
        let runner = Runner {
            slot,
            seat,
            release: release.number,
            spec: Arc::clone(&release.spec),
            program: release.program.clone(),
            trial,
            common: Arc::clone(&self.common),
            orders: told,
            phase: says,
        };
        Handle { seat, orders, phase, task: Abort::spawn(runner.run()) }
    }

    fn halts(&self) -> bool {
        *self.halting.borrow() > Order::Run
    }

    /// Resolves when the app is being stopped, at least so urgently.
    async fn halted(&self, least: Order) {
        let mut halting = self.halting.subscribe();
        let _ = halting.wait_for(|order| *order >= least).await;
    }

    /// Starts a worker that has to become ready; one that does not leaves nothing behind.
    async fn try_out(&self, slot: u16, release: &Release) -> Result<Handle, Unreplaced> {
        let mut handle = self.run(slot, release, true);
        let phase = tokio::select! {
            phase = handle.phase.wait_for(|phase| *phase != Phase::Starting) => Some(phase.map(|phase| phase.clone()).ok()),
            () = self.halted(Order::Drain) => None,
        };
        let Some(phase) = phase else {
            self.end(handle, Order::Stop).await;
            return Err(Unreplaced::Halted);
        };
        match phase {
            Some(Phase::Ready) => Ok(handle),
            Some(Phase::Failed { why, last_lines }) => {
                self.end(handle, Order::Stop).await;
                Err(Unreplaced::NotReady(NotReady { slot, why, last_lines }))
            }
            // It ended without a word: with a status that means that its work is done.
            Some(Phase::Starting) | None => {
                let told = self.common.board.entry(handle.seat).and_then(|entry| entry.problem);
                let why = told.unwrap_or_else(|| "ended before it was ready".to_owned());
                self.end(handle, Order::Stop).await;
                Err(Unreplaced::NotReady(NotReady { slot, why, last_lines: Vec::new() }))
            }
        }
    }

    /// Ends a worker and forgets it.
    async fn end(&self, mut handle: Handle, order: Order) {
        raise(&handle, order);
        tokio::select! {
            () = handle.task.ended() => {}
            () = self.halted(Order::Stop) => {
                raise(&handle, Order::Stop);
                handle.task.ended().await;
            }
        }
        self.common.board.remove(handle.seat);
    }

    /// Ends several at the same time.
    async fn end_all(&self, handles: Vec<Handle>, order: Order) {
        for handle in &handles {
            raise(handle, order);
        }
        for handle in handles {
            self.end(handle, order).await;
        }
    }

    /// A new worker takes a slot; the old one, if there is one, drains and ends.
    async fn replace(&self, slot: u16, release: &Release, course: &Course) -> Result<(), Unreplaced> {
        course.tell(slot, release.number, StepKind::Starting);
        let new = self.try_out(slot, release).await.inspect_err(|unreplaced| {
            if let Unreplaced::NotReady(NotReady { why, .. }) = unreplaced {
                course.tell(slot, release.number, StepKind::Failed(why.clone()));
            }
        })?;
        let old = self.state().slots.insert(slot, new);
        course.tell(slot, release.number, StepKind::Ready);
        if let Some(old) = old {
            self.retire(slot, old, course).await;
        }
        Ok(())
    }

    async fn retire(&self, slot: u16, old: Handle, course: &Course) {
        let release = self.common.board.entry(old.seat).map_or(0, |entry| entry.release);
        course.tell(slot, release, StepKind::Draining);
        self.end(old, Order::Drain).await;
        course.tell(slot, release, StepKind::Ended);
    }

    /// Takes the turn for a change that people asked for, or says what runs.
    async fn begin(&self) -> Result<tokio::sync::MutexGuard<'_, ()>, ReloadFailed> {
        let Ok(turn) = timeout(A_MOMENT, self.turn.lock()).await else {
            let runs = self.state().doing.clone().unwrap_or_else(|| "another change".to_owned());
            let why = format!("app {}: {runs} is under way; wait until it has ended, or stop the app", self.name);
            return Err(ReloadFailed::new(FailKind::Busy, why));
        };
        if self.state().stopped || self.halts() {
            let why = format!("app {} is stopped; start it first", self.name);
            return Err(ReloadFailed::new(FailKind::Stopped, why));
        }
        Ok(turn)
    }

    fn halted_answer(&self) -> ReloadFailed {
        ReloadFailed::new(FailKind::Stopped, format!("app {} was stopped meanwhile", self.name))
    }

    pub(crate) async fn reload(&self, spec: AppSpec, why: Why, progress: Progress) -> Result<Reloaded, ReloadFailed> {
        let program = command::resolve(&spec).map_err(|e| ReloadFailed::new(FailKind::Refused, e.to_string()))?;
        let _turn = self.begin().await?;
        let began = Instant::now();
        let wanted = spec.instances;
        let (old, number) = {
            let mut state = self.state();
            state.last_release += 1;
            let number = state.last_release;
            state.doing = Some(format!("a {} to release {number}", why.word()));
            (state.current.clone(), number)
        };
        let new = Release { number, spec: Arc::new(spec), program };
        let mut course = Course { progress, done: 0, of: wanted.max(old.spec.instances) };
        let mut replaced = Vec::new();
        let mut failure = None;
        for slot in 0..wanted {
            match self.replace(slot, &new, &course).await {
                Ok(()) => replaced.push(slot),
                Err(unreplaced) => {
                    failure = Some(unreplaced);
                    break;
                }
            }
            course.done += 1;
        }
        let answer = match failure {
            None => {
                {
                    let mut state = self.state();
                    if why != Why::Restart {
                        state.previous = Some(Arc::clone(&old.spec));
                    }
                    state.current = new;
                }
                self.shrink(wanted, &mut course).await;
                Ok(Reloaded { release: number, instances: wanted, took: began.elapsed() })
            }
            Some(Unreplaced::Halted) => {
                // The workers that are there end soon, whichever release they are of; the next start is of the old one.
                Err(self.halted_answer())
            }
            Some(Unreplaced::NotReady(failed)) => Err(self.put_back(failed, &replaced, &new, &old, course).await),
        };
        self.state().doing = None;
        answer
    }

    /// One release only: slots that run the new one get the old one again, and slots that only the new one has go.
    async fn put_back(
        &self,
        failed: NotReady,
        replaced: &[u16],
        new: &Release,
        old: &Release,
        mut course: Course,
    ) -> ReloadFailed {
        let mut stuck = Vec::new();
        for &slot in replaced.iter().rev() {
            course.tell(slot, old.number, StepKind::RollingBack);
            course.done = course.done.saturating_sub(1);
            if slot >= old.spec.instances {
                let handle = self.state().slots.remove(&slot);
                if let Some(handle) = handle {
                    self.retire(slot, handle, &course).await;
                }
            } else if let Err(unreplaced) = self.replace(slot, old, &course).await {
                if matches!(unreplaced, Unreplaced::Halted) {
                    return self.halted_answer();
                }
                stuck.push(slot.to_string());
            }
        }
        let NotReady { slot, why, last_lines } = failed;
        let mut told = format!(
            "app {}: worker {slot} of release {} {why}; release {} stays in service",
            self.name, new.number, old.number
        );
        if !stuck.is_empty() {
            told.push_str(&format!(
                ", but it did not become ready again in slots {}, where release {} serves on: reload again",
                stuck.join(", "),
                new.number
            ));
        }
        tracing::warn!(app = %self.name, "{told}");
        ReloadFailed { kind: FailKind::NotReady, why: told, last_lines }
    }

    /// Ends the workers of the slots from `instances` on, all at the same time.
    async fn shrink(&self, instances: u16, course: &mut Course) {
        let extra: Vec<(u16, Handle)> = self.state().slots.split_off(&instances).into_iter().collect();
        let (slots, handles): (Vec<u16>, Vec<Handle>) = extra.into_iter().unzip();
        let release = self.state().current.number;
        for &slot in &slots {
            course.tell(slot, release, StepKind::Draining);
        }
        self.end_all(handles, Order::Drain).await;
        for slot in slots {
            self.common.logs.forget(slot);
            course.done = (course.done + 1).min(course.of);
            course.tell(slot, release, StepKind::Ended);
        }
    }

    pub(crate) async fn scale(&self, instances: u16, progress: Progress) -> Result<Reloaded, ReloadFailed> {
        if instances == 0 {
            let why = format!("app {}: 0 workers serve nobody; stop the app, or give at least 1", self.name);
            return Err(ReloadFailed::new(FailKind::Refused, why));
        }
        let _turn = self.begin().await?;
        self.state().doing = Some(format!("scaling to {instances} workers"));
        let began = Instant::now();
        let release = self.state().current.clone();
        let have = release.spec.instances;
        let mut course = Course { progress, done: 0, of: instances.abs_diff(have) };
        let added = self.grow(have..instances, &release, &mut course).await;
        let answer = match added {
            Ok(()) => {
                let spec = AppSpec { instances, ..AppSpec::clone(&release.spec) };
                self.state().current.spec = Arc::new(spec);
                self.shrink(instances, &mut course).await;
                Ok(Reloaded { release: release.number, instances, took: began.elapsed() })
            }
            Err(Unreplaced::Halted) => Err(self.halted_answer()),
            Err(Unreplaced::NotReady(NotReady { slot, why, last_lines })) => {
                self.shrink(have, &mut course).await;
                let why = format!("app {}: worker {slot} {why}; there are {have} workers as before", self.name);
                Err(ReloadFailed { kind: FailKind::NotReady, why, last_lines })
            }
        };
        self.state().doing = None;
        answer
    }

    /// Starts workers in new slots, all at the same time. After a failure those that became ready are there all the same.
    async fn grow(
        &self,
        slots: std::ops::Range<u16>,
        release: &Release,
        course: &mut Course,
    ) -> Result<(), Unreplaced> {
        let starts = slots.map(|slot| {
            course.tell(slot, release.number, StepKind::Starting);
            async move { (slot, self.try_out(slot, release).await) }
        });
        let mut outcome = Ok(());
        for (slot, started) in join_all(starts.collect()).await {
            match started {
                Ok(handle) => {
                    self.state().slots.insert(slot, handle);
                    course.done += 1;
                    course.tell(slot, release.number, StepKind::Ready);
                }
                Err(unreplaced) => {
                    if let Unreplaced::NotReady(NotReady { why, .. }) = &unreplaced {
                        course.tell(slot, release.number, StepKind::Failed(why.clone()));
                    }
                    outcome = Err(unreplaced);
                }
            }
        }
        outcome
    }

    /// Ends all workers; a change that runs gives up first.
    pub(crate) async fn stop(&self, order: Order) {
        self.halting.send_replace(order);
        if order == Order::Stop {
            // What drains need not finish either.
            self.state().slots.values().for_each(|handle| raise(handle, order));
        }
        let _turn = self.turn.lock().await;
        let handles: Vec<Handle> = {
            let mut state = self.state();
            (state.stopped, state.doing) = (true, None);
            std::mem::take(&mut state.slots).into_values().collect()
        };
        for handle in &handles {
            raise(handle, order);
        }
        for mut handle in handles {
            // They stay on the board, stopped, for people to see.
            handle.task.ended().await;
        }
        self.halting.send_replace(Order::Run);
    }

    pub(crate) async fn start_again(&self) -> Result<(), ReloadFailed> {
        let _turn = self.turn.lock().await;
        {
            let mut state = self.state();
            if !state.stopped {
                return Ok(());
            }
            command::resolve(&state.current.spec)
                .map_err(|error| ReloadFailed::new(FailKind::Refused, error.to_string()))?;
            state.stopped = false;
        }
        for (seat, entry) in self.common.board.entries() {
            if entry.state == WorkerState::Stopped {
                self.common.board.remove(seat);
            }
        }
        self.launch();
        Ok(())
    }

    /// Kills everything at once: the app's handle is gone.
    pub(crate) fn abandon(&self) {
        self.halting.send_replace(Order::Stop);
        self.state().slots.clear();
    }

    /// Looks at each worker's memory, processor time and age, for ever.
    pub(crate) async fn sample(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(SAMPLE);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut before: BTreeMap<u32, (Instant, Duration)> = BTreeMap::new();
        loop {
            ticks.tick().await;
            let spec = self.spec();
            let limit = spec.limits.memory_bytes;
            let entries: Vec<(Seat, Entry, u32)> = self
                .common
                .board
                .entries()
                .into_iter()
                .filter_map(|(seat, e)| e.pid.map(|pid| (seat, e, pid)))
                .collect();
            let pids: Vec<u32> = entries.iter().map(|(.., pid)| *pid).collect();
            let work = move || {
                let table = proc::table();
                let figures = |pid: u32| {
                    let family = proc::family(&table.processes, pid);
                    (proc::memory_bytes(&family, limit), proc::cpu_time(&family))
                };
                (table.when, pids.into_iter().map(figures).collect::<Vec<_>>())
            };
            let Ok((now, figures)) = tokio::task::spawn_blocking(work).await else { continue };
            let mut after = BTreeMap::new();
            for ((seat, entry, pid), (memory, cpu)) in entries.iter().zip(figures) {
                let cpu_permille = match before.get(pid) {
                    Some((then, used)) if now > *then => Some(share(cpu.saturating_sub(*used), now - *then)),
                    // The same table once more.
                    Some(_) => entry.cpu_permille,
                    None => None,
                };
                after.insert(*pid, (now, cpu));
                self.common.board.update(*seat, |e| {
                    if e.life == entry.life && e.pid == Some(*pid) {
                        (e.memory_bytes, e.cpu_permille) = (Some(memory), cpu_permille);
                    }
                });
                if let Some(why) = outgrown(&spec, *seat, entry, memory) {
                    let wish = Wish { seat: *seat, life: entry.life, why, lag: false };
                    // A full queue means that enough is wished for.
                    let _ = self.common.wishes.try_send(wish);
                }
            }
            before = after;
        }
    }

    /// Replaces workers that should not go on, one after the other, for ever.
    pub(crate) async fn fulfil(self: Arc<Self>, mut wishes: mpsc::Receiver<Wish>) {
        let mut cooling: BTreeMap<u16, Instant> = BTreeMap::new();
        let mut lag_quiet: Option<Instant> = None;
        while let Some(wish) = wishes.recv().await {
            let quiet = |until: Option<&Instant>| until.is_some_and(|until| Instant::now() < *until);
            let _turn = self.turn.lock().await;
            let Some(entry) = self.common.board.entry(wish.seat).filter(|entry| entry.life == wish.life) else {
                continue;
            };
            let slot = entry.slot;
            let release = {
                let state = self.state();
                let there = state.slots.get(&slot).is_some_and(|handle| handle.seat == wish.seat);
                if !there || state.stopped || self.halts() {
                    continue;
                }
                state.current.clone()
            };
            // A worker that is not ready is dealt with by its runner; a lagging one among busy ones is not the only one that lags.
            let wait = quiet(cooling.get(&slot)) || (wish.lag && quiet(lag_quiet.as_ref()));
            if entry.state != WorkerState::Ready || wait {
                continue;
            }
            self.state().doing = Some(format!("the replacement of worker {slot}, since {}", wish.why));
            tracing::warn!(app = %self.name, worker = slot, "worker is replaced: {}", wish.why);
            let course = Course { progress: Arc::new(|_| {}), done: 0, of: 1 };
            match self.replace(slot, &release, &course).await {
                Ok(()) if wish.lag => lag_quiet = Some(Instant::now() + COOL_DOWN),
                Ok(()) | Err(Unreplaced::Halted) => {}
                Err(Unreplaced::NotReady(NotReady { why, .. })) => {
                    let problem = format!(
                        "should be replaced, since {}; but a new worker {why}; next try in {COOL_DOWN:?}",
                        wish.why
                    );
                    tracing::warn!(app = %self.name, worker = slot, "worker {problem}");
                    self.common.board.update(wish.seat, |entry| entry.problem = Some(problem));
                    cooling.insert(slot, Instant::now() + COOL_DOWN);
                }
            }
            self.state().doing = None;
        }
    }
}

/// Thousandths of one core.
fn share(used: Duration, of: Duration) -> u32 {
    // A float that is too large becomes the largest number.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let permille = (used.as_secs_f64() / of.as_secs_f64() * 1000.0) as u32;
    permille
}

/// Why a worker should be replaced by its memory or age.
fn outgrown(spec: &AppSpec, seat: Seat, entry: &Entry, memory: u64) -> Option<String> {
    if let Some(limit) = spec.limits.memory_bytes.filter(|limit| memory > *limit) {
        const MIB: u64 = 1 << 20;
        return Some(format!("it uses {} MiB of memory, more than its {} MiB", memory / MIB, limit / MIB));
    }
    // Workers that started together do not all go together; the same one always has the same limit.
    let spread = 0.9 + 0.2 * ((seat * 7) % 10) as f64 / 10.0;
    let limit = spec.limits.lifetime?.mul_f64(spread);
    let age = entry.since?.elapsed();
    (age > limit).then(|| format!("it has run for {age:.0?}, longer than its lifetime"))
}

/// Orders only ever go forward.
fn raise(handle: &Handle, order: Order) {
    handle.orders.send_if_modified(|now| {
        let further = order > *now;
        *now = order.max(*now);
        further
    });
}

/// All of them at the same time, on this task.
async fn join_all<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, output) in &mut waiting {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *output = Some(value),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    waiting.into_iter().filter_map(|(_, output)| output).collect()
}
