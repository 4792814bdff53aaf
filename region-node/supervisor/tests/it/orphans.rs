//! No worker outlives the region's process, and no worker dies with a thread of it.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use supervisor::{AppSpec, WorkerState};

use crate::support::{Scratch, app, runs, server, start, until};

const PID_FILE: &str = "SUPERVISOR_TEST_PID_FILE";
const CGROUP: &str = "SUPERVISOR_TEST_CGROUP";

/// The region's process of the next test: supervises a worker that has a child of its own, until it is killed. Without the
/// variable that names its file it is nobody's process and ends at once.
#[tokio::test]
async fn helper_that_supervises_until_it_is_killed() {
    let Ok(file) = std::env::var(PID_FILE) else { return };
    let script = format!(
        "sleep 1000 & a=$!; setsid sleep 1001 & b=$!; (setsid sleep 1002 & echo $! > {file}.c); \
         (setsid env -i sleep 1003 </dev/null >/dev/null 2>&1 & echo $! > {file}.d); \
         echo $$ $a $b $(cat {file}.c {file}.d) ${{NODE_OPTIONS#*require}} > {file}.new; mv {file}.new {file}; wait"
    );
    let cgroup = std::env::var(CGROUP).is_ok();
    let _supervisor = start(AppSpec { cgroup, ..app(&["sh", "-c", &script]) });
    std::future::pending::<()>().await;
}

fn helper(pid_file: &Path, cgroup: bool) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "orphans::helper_that_supervises_until_it_is_killed", "--nocapture"]);
    command.env(PID_FILE, pid_file).stdout(Stdio::null());
    if cgroup {
        command.env(CGROUP, "yes");
    }
    command.spawn().unwrap()
}

async fn all_end_with_a_supervisor_that_was_killed(name: &str, cgroup: bool) {
    let scratch = Scratch::new(name);
    let file = scratch.path().join("pids");
    let mut region = helper(&file, cgroup);
    until("the worker and its children run", || file.exists()).await;
    let text = std::fs::read_to_string(&file).unwrap();
    let mut words = text.split_whitespace();
    let pids: Vec<u32> = words.by_ref().take(5).map(|pid| pid.parse().unwrap()).collect();
    until("the last one has left everything behind", || {
        std::fs::read(format!("/proc/{}/environ", pids[4])).is_ok_and(|text| text.is_empty())
    })
    .await;
    assert!(pids.iter().all(|pid| runs(*pid)), "{pids:?}");
    let preload = Path::new(words.next().unwrap().trim_matches('"')).to_owned();
    assert!(preload.exists(), "{preload:?}");
    let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", pids[0])).unwrap();
    region.kill().unwrap();
    region.wait().unwrap();
    until("all are gone", || !pids.iter().any(|pid| runs(*pid))).await;
    until("the app's directory is gone", || !preload.parent().unwrap().exists()).await;
    // Of control groups, where there are any, nothing stays either.
    if let Some(group) =
        groups.lines().find_map(|line| line.strip_prefix("0::/")).filter(|path| path.contains("atoll-"))
    {
        let at = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(|mount| Path::new(mount).join(group));
        let app = at.map(|path| path.parent().unwrap().to_owned());
        until("the app's control groups are gone", || !app.iter().any(|path| path.exists())).await;
    }
}

#[tokio::test]
async fn a_worker_and_its_children_end_with_a_supervisor_that_was_killed() {
    all_end_with_a_supervisor_that_was_killed("orphans", false).await;
}

#[tokio::test]
async fn so_they_do_with_control_groups() {
    all_end_with_a_supervisor_that_was_killed("orphans-cgroup", true).await;
}

/// The parent-death signal follows the thread that started the child; a worker must not die with the one that called `start`.
#[test]
fn a_worker_survives_the_thread_that_called_start() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    let caller = thread::spawn(move || {
        let _within = handle.enter();
        start(server())
    });
    let supervisor = caller.join().unwrap();
    runtime.block_on(async {
        until("the worker is ready", || supervisor.status().workers[0].state == WorkerState::Ready).await;
        // A burst of short-lived threads of the pool changes nothing either.
        for _ in 0..20 {
            tokio::task::spawn_blocking(|| ()).await.unwrap();
        }
        assert_eq!(
            (supervisor.status().workers[0].state, supervisor.status().workers[0].restarts),
            (WorkerState::Ready, 0)
        );
        supervisor.shutdown().await;
    });
}

#[tokio::test]
async fn a_dropped_supervisor_takes_its_workers_along() {
    let supervisor = start(AppSpec { instances: 2, ..app(&["sleep", "1000"]) });
    until("both run", || supervisor.status().workers.iter().all(|worker| worker.pid.is_some())).await;
    let pids: Vec<u32> = supervisor.status().workers.iter().filter_map(|worker| worker.pid).collect();
    assert!(pids.iter().all(|pid| runs(*pid)));
    drop(supervisor);
    until("both are gone", || !pids.iter().any(|pid| runs(*pid))).await;
}
