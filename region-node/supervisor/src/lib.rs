//! The user's workers: start, ready, restart with back-off, stop.
//!
//! In: what to run and how often (`AppSpec`). Out: the list of workers with address and readiness, which the gateway follows,
//! and a status for people. One task per worker; they share a board and one thread that starts processes.
//!
//! ```text
//! slot 0 ─ start ─ probe until ready ─ probe on ─ exit ─ back off ─┐    board ─→ watch<[Worker]> ─→ gateway
//!   ▲                                                              │      ▲
//!   └──────────────────────────────────────────────────────────────┘──────┘
//! ```
//!
//! No worker outlives the region's process, however that ends: each worker is tied to the thread that started it by the
//! kernel (`spawn`), and a guard process ends what the worker started itself (`guard`).

mod app;
mod backoff;
mod board;
mod command;
mod environment;
mod guard;
mod health;
mod lines;
mod log_file;
mod logs;
mod pattern;
mod port;
mod probe;
mod release;
mod slot;
mod spawn;
mod spec;
mod status;
#[allow(dead_code, reason = "the ways that bring words are not built yet")]
mod word;

pub use app::{App, InFlight, Wiring, start};
pub use logs::{LogEvent, LogLine, LogQuery, LogTail, Stream};
pub use pattern::Pattern;
pub use release::{FailKind, Progress, ReloadFailed, Reloaded, Step, StepKind};
pub use spec::{AppSpec, Limits, LogFile, LogSpec, PortChoice, Ready, StartError, StopSignal, StopSpec, Timing};
pub use status::{AppStatus, EventLoop, WorkerState, WorkerStatus};
