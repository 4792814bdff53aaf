//! Workers that are replaced though they run, and workers that have done their work.

use std::time::Duration;

use supervisor::{App, StopSignal, WorkerState};

use crate::support::{Scratch, app, pid, ready, runs, server, start, until};

/// Waits until another life serves, and that one served at every moment.
async fn replaced_while_serving(app: &App, life: u64) {
    let mut workers = app.workers();
    loop {
        let list = workers.borrow_and_update().clone();
        assert!(list.iter().any(model::Worker::takes_requests), "nobody serves: {list:?}");
        if list.iter().all(|worker| worker.life != life) {
            return;
        }
        tokio::time::timeout(crate::support::PATIENCE, workers.changed()).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_worker_that_uses_too_much_memory_is_replaced_while_it_serves() {
    let scratch = Scratch::new("memory");
    let once = scratch.path().join("once");
    // The first life grows; those after it do not.
    let grow = format!(
        "import os, threading, time\nif not os.path.exists('{0}'):\n    open('{0}', 'w')\n    \
         threading.Thread(target=lambda: (time.sleep(1.5), globals().update(a=bytearray(b'x' * (200 << 20)))), daemon=True).start()\n{1}",
        once.display(),
        crate::support::SERVER
    );
    let mut spec = app(&["python3", "-c", &grow]);
    spec.limits.memory_bytes = Some(120 << 20);
    let app = start(spec);
    ready(&app, 1).await;
    let life = app.workers().borrow()[0].life;
    replaced_while_serving(&app, life).await;
    until("its memory is known", || app.status().workers[0].memory_bytes.is_some_and(|bytes| bytes > 1 << 20)).await;
    until("its share of the processor is known", || app.status().workers[0].cpu_permille.is_some()).await;
    assert_eq!(app.status().release, 1);
    app.shutdown().await;
}

#[tokio::test]
async fn memory_of_what_a_worker_started_counts_and_one_that_cannot_be_replaced_stays() {
    let scratch = Scratch::new("stays");
    let once = scratch.path().join("once");
    let child = "import time; a = bytearray(b'x' * (150 << 20)); time.sleep(1000)";
    // Only the first life can start.
    let script = format!(
        "if [ -e {0} ]; then exit 4; fi; touch {0}; python3 -c \"{child}\" & exec python3 -c '{1}'",
        once.display(),
        crate::support::SERVER
    );
    let mut spec = app(&["sh", "-c", &script]);
    spec.limits.memory_bytes = Some(100 << 20);
    let app = start(spec);
    ready(&app, 1).await;
    let told = |app: &App| app.status().workers[0].problem.clone().unwrap_or_default();
    until("it says why it stays", || told(&app).contains("should be replaced")).await;
    assert!(
        told(&app).contains("MiB of memory, more than its 100 MiB; but a new worker exited with status 4"),
        "{}",
        told(&app)
    );
    assert_eq!(app.status().workers[0].restarts, 0);
    ready(&app, 1).await;
    app.shutdown().await;
}

#[tokio::test]
async fn a_worker_has_its_lifetime() {
    let mut spec = server();
    spec.limits.lifetime = Some(Duration::from_secs(2));
    let app = start(spec);
    ready(&app, 1).await;
    let life = app.workers().borrow()[0].life;
    replaced_while_serving(&app, life).await;
    app.shutdown().await;
}

#[tokio::test]
async fn an_exit_status_may_mean_that_the_work_is_done() {
    let mut spec = app(&["sh", "-c", "exit 42"]);
    spec.stop.exit_codes = vec![0, 42];
    let app = start(spec);
    until("it has stopped", || app.status().workers[0].state == WorkerState::Stopped).await;
    let status = app.status().workers[0].clone();
    assert!(status.problem.unwrap().contains("exited with status 42, one of its `stop_exit_codes`"));
    assert_eq!(status.restarts, 0);
    app.shutdown().await;
}

#[tokio::test]
async fn the_signal_to_end_is_the_specs() {
    let scratch = Scratch::new("signal");
    let (up, file) = (scratch.path().join("up"), scratch.path().join("signal"));
    // No shell: one that is told while it starts a program may end of it without a word.
    let script = format!(
        "import signal, sys\n\
         def told(*_):\n  open('{1}', 'w').write('int\\n')\n  sys.exit()\n\
         signal.signal(signal.SIGINT, told)\n\
         signal.signal(signal.SIGTERM, signal.SIG_IGN)\n\
         open('{0}', 'w').close()\n\
         while True: signal.pause()",
        up.display(),
        file.display()
    );
    let mut spec = app(&["python3", "-c", &script]);
    spec.stop.signal = StopSignal::Int;
    let app = start(spec);
    until("it runs", || up.exists()).await;
    app.shutdown().await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "int\n");
}

/// A worker with three that left its session: one has another parent too, one has forgotten its environment, one has done both.
async fn strays_end(name: &str, cgroup: bool) {
    let scratch = Scratch::new(name);
    let file = scratch.path().join("pids");
    let script = format!(
        "(setsid sleep 1001 & echo $! > {0}.a); setsid env -i sleep 1002 & echo $! > {0}.b; \
         (setsid env -i sleep 1003 & echo $! > {0}.c); cat {0}.a {0}.b {0}.c > {0}.new; mv {0}.new {0}; wait",
        file.display()
    );
    let app = start(supervisor::AppSpec { cgroup, ..app(&["sh", "-c", &script]) });
    until("all run", || file.exists()).await;
    let pids: Vec<u32> =
        std::fs::read_to_string(&file).unwrap().split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    until("they have left", || std::fs::read(format!("/proc/{}/environ", pids[2])).is_ok_and(|text| text.is_empty()))
        .await;
    assert!(pids.len() == 3 && pids.iter().all(|pid| runs(*pid)), "{pids:?}");
    let of_its_own = std::fs::read_to_string(format!("/proc/{}/cgroup", pid(&app))).unwrap().contains("/atoll-");
    assert!(cgroup || !of_its_own);
    app.shutdown().await;
    until("all are gone", || !pids.iter().any(|pid| runs(*pid))).await;
}

#[tokio::test]
async fn what_left_the_group_ends_with_its_worker_all_the_same() {
    strays_end("strays", false).await;
}

#[tokio::test]
async fn nothing_leaves_a_control_group() {
    strays_end("cells", true).await;
}

#[tokio::test]
async fn a_crash_leaves_nothing_behind_either() {
    let scratch = Scratch::new("crash");
    let file = scratch.path().join("pids");
    let script = format!(
        "if ! [ -e {0} ]; then setsid sleep 1003 & sleep 1004 & echo $! > {0}.new; mv {0}.new {0}; fi; wait; sleep 1000",
        file.display()
    );
    let app = start(app(&["sh", "-c", &script]));
    until("it runs", || file.exists()).await;
    let first = pid(&app);
    let strays = strays_of(first);
    assert!(strays.len() >= 2, "{strays:?}");
    crate::support::kill(first);
    until("all are gone", || !strays.iter().any(|pid| runs(*pid))).await;
    app.shutdown().await;
}

/// Children of a process.
fn strays_of(parent: u32) -> Vec<u32> {
    let pids =
        std::fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent_of = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse::<u32>().ok());
        parent_of == Some(parent)
    })
    .collect()
}
