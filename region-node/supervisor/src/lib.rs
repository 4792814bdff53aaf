//! The user's workers: start, ready, watch, replace, restart with back-off, stop.
//!
//! In: what to run and how often (`AppSpec`), and how many requests each worker has in flight. Out: the list of workers with
//! address and readiness, which the gateway follows; a status, the workers' output and metrics for people.
//!
//! ```text
//! App ─→ fleet: slots, releases, one change at a time
//!          └─→ runner: one worker through its lives ─→ board ─→ watch<[Worker]> ─→ gateway
//!                ├─ spawn, guard: processes that end with this one        ◀── in flight ──┘
//!                ├─ health, pulse: ready, hung? ◀─ probe, lines, notify (sd_notify), ipc (Node), reporter (the preload)
//!                └─ lines ─→ logs: kept, live, file
//! ```
//!
//! No worker outlives the region's process, however that ends: each worker is tied to the thread that started it by the
//! kernel (`spawn`), and a guard process ends what the worker started itself (`guard`), wherever it has gone: it is found by its control
//! group (`cgroup`), by its environment, or by a mark that nothing loses (`limit_mark`).

mod app;
mod backoff;
mod board;
mod bounded;
mod cgroup;
mod command;
mod environment;
mod fleet;
mod guard;
mod health;
mod ipc;
mod life;
mod limit_mark;
mod lines;
mod log_file;
mod logs;
mod notify;
mod pattern;
mod port;
mod probe;
mod proc;
mod prom;
mod pulse;
mod release;
mod reporter;
mod run_dir;
mod runner;
mod spawn;
mod spec;
mod status;
mod word;

pub use app::{App, InFlight, Wiring, start};
pub use logs::{LogEvent, LogLine, LogQuery, LogTail, Stream};
pub use pattern::Pattern;
pub use release::{FailKind, Progress, ReloadFailed, Reloaded, Step, StepKind};
pub use spec::{AppSpec, Limits, LogFile, LogSpec, PortChoice, Ready, StartError, StopSignal, StopSpec, Timing};
pub use status::{AppStatus, EventLoop, WorkerState, WorkerStatus};
