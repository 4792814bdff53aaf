//! The supervisor's words as those of the admin API.

use std::time::{Duration, SystemTime};

use plane_client::api::apps::{AppDone, AppLog, AppReport, ChangeEvent, EventLoopReport, WorkerReport};
use supervisor::{
    AppStatus, EventLoop, FailKind, LogEvent, LogLine, ReloadFailed, Step, StepKind, Stream, WorkerState, WorkerStatus,
};

pub(super) fn app(status: AppStatus) -> AppReport {
    let ready = status.workers.iter().filter(|worker| worker.state == WorkerState::Ready).count();
    AppReport {
        name: status.name,
        release: status.release,
        can_roll_back: status.can_roll_back,
        instances: status.instances,
        ready: u16::try_from(ready).unwrap_or(u16::MAX),
        stopped: status.stopped,
        doing: status.doing,
        workers: status.workers.into_iter().map(worker).collect(),
    }
}

fn worker(status: WorkerStatus) -> WorkerReport {
    WorkerReport {
        slot: status.id,
        life: status.life,
        release: status.release,
        state: status.state.word().to_owned(),
        address: status.address,
        pid: status.pid,
        restarts: status.restarts,
        uptime_ms: status.uptime.map(millis),
        memory_bytes: status.memory_bytes,
        cpu_permille: status.cpu_permille,
        event_loop: status.event_loop.map(event_loop),
        says: status.says,
        problem: status.problem,
    }
}

fn event_loop(told: EventLoop) -> EventLoopReport {
    EventLoopReport {
        utilisation_permille: told.utilisation_permille,
        delay_p50_ms: told.delay_p50_ms,
        delay_p99_ms: told.delay_p99_ms,
        delay_max_ms: told.delay_max_ms,
        heap_used_bytes: told.heap_used_bytes,
        heap_total_bytes: told.heap_total_bytes,
        gc_ms: told.gc_ms,
        active_handles: told.active_handles,
    }
}

pub(super) fn step(app: &str, step: &Step) -> ChangeEvent {
    let what = match &step.what {
        StepKind::Starting => "starting",
        StepKind::Ready => "ready",
        StepKind::Draining => "draining",
        StepKind::Ended => "ended",
        StepKind::Failed(_) => "failed",
        StepKind::RollingBack => "rolling_back",
    };
    ChangeEvent::Step {
        app: app.to_owned(),
        slot: step.slot,
        release: step.release,
        what: what.to_owned(),
        text: step.to_string(),
        done: step.done,
        of: step.of,
    }
}

pub(super) fn failed(app: &str, failed: ReloadFailed) -> ChangeEvent {
    let kind = match failed.kind {
        FailKind::Busy => "busy",
        FailKind::Refused => "refused",
        FailKind::NotReady => "not_ready",
        FailKind::Stopped => "stopped",
        FailKind::NoPrevious => "no_previous",
    };
    let ReloadFailed { why, last_lines, .. } = failed;
    let head = format!("app {app}: ");
    let why = if why.starts_with(&head) { why } else { head + &why };
    ChangeEvent::Failed { kind: kind.to_owned(), why, last_lines }
}

pub(super) fn refused(why: impl Into<String>) -> ChangeEvent {
    ChangeEvent::Failed { kind: "refused".to_owned(), why: why.into(), last_lines: Vec::new() }
}

pub(super) fn done(text: impl Into<String>, apps: Vec<AppDone>, took: Duration) -> ChangeEvent {
    ChangeEvent::Done { text: text.into(), apps, took_ms: millis(took) }
}

pub(super) fn line(line: &LogLine) -> AppLog {
    AppLog::Line {
        time_ms: line.time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, millis),
        slot: line.slot,
        life: line.life,
        error: line.stream == Stream::Err,
        text: line.text.clone(),
        partial: line.partial,
    }
}

pub(super) fn log(event: &LogEvent) -> AppLog {
    match event {
        LogEvent::Line(told) => line(told),
        LogEvent::Lost(lines) => AppLog::Lost { lines: *lines },
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
