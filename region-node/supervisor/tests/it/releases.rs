//! Reload, roll-back, scaling, stopping: what runs while they run, and after they failed.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use supervisor::{App, AppSpec, FailKind, Progress, Step, StepKind, Wiring, WorkerState};

use crate::support::{get, nobody, ready, server, start, until};

/// A server whose answers name a version, and that becomes ready after a while.
fn version(name: &str) -> AppSpec {
    let mut spec = server();
    spec.env.insert("VERSION".to_owned(), name.to_owned());
    spec
}

/// One that exits at once.
fn broken() -> AppSpec {
    let mut spec = version("broken");
    spec.command =
        ["sh", "-c", "echo starting; echo cannot find module express >&2; exit 7"].map(str::to_owned).to_vec();
    spec
}

/// One that never becomes ready.
fn unready(limit: Duration) -> AppSpec {
    let mut spec = version("unready");
    spec.env.insert("STATUS".to_owned(), "500".to_owned());
    spec.timing.ready_timeout = limit;
    spec
}

/// Whatever a worker that takes requests says its version is, by slot.
fn versions(app: &App) -> BTreeMap<u16, String> {
    let workers = app.workers().borrow().clone();
    let of = |environment: String| {
        environment.lines().find_map(|line| line.strip_prefix("VERSION=").map(str::to_owned)).unwrap_or_default()
    };
    workers.iter().filter(|w| w.takes_requests()).map(|w| (w.id, of(get(w.address)))).collect()
}

fn all(count: u16, version: &str) -> BTreeMap<u16, String> {
    (0..count).map(|slot| (slot, version.to_owned())).collect()
}

/// Follows an app's list from here on and keeps the fewest workers that took requests.
fn fewest(app: &App) -> (Arc<AtomicU32>, tokio::task::JoinHandle<()>) {
    let mut workers = app.workers();
    let fewest = Arc::new(AtomicU32::new(u32::MAX));
    let seen = Arc::clone(&fewest);
    let task = tokio::spawn(async move {
        loop {
            let now = workers.borrow_and_update().iter().filter(|worker| worker.takes_requests()).count();
            seen.fetch_min(u32::try_from(now).unwrap(), Ordering::SeqCst);
            if workers.changed().await.is_err() {
                return;
            }
        }
    });
    (fewest, task)
}

fn steps() -> (Progress, Arc<Mutex<Vec<Step>>>) {
    let steps: Arc<Mutex<Vec<Step>>> = Arc::default();
    let list = Arc::clone(&steps);
    (Arc::new(move |step| list.lock().unwrap().push(step)), steps)
}

#[tokio::test]
async fn a_reload_replaces_workers_one_by_one_and_serves_all_the_time() {
    let app = start(AppSpec { instances: 2, ..version("one") });
    ready(&app, 2).await;
    let (fewest, _task) = fewest(&app);
    let (progress, steps) = steps();
    let reloaded = app.reload(AppSpec { instances: 2, ..version("two") }, progress).await.unwrap();
    assert_eq!((reloaded.release, reloaded.instances), (2, 2));
    assert_eq!(versions(&app), all(2, "two"));
    assert_eq!(fewest.load(Ordering::SeqCst), 2, "there were fewer workers than before");
    let told: Vec<(u16, u32, StepKind)> =
        steps.lock().unwrap().iter().map(|step| (step.slot, step.release, step.what.clone())).collect();
    let of_slot = |slot| {
        [(2, StepKind::Starting), (2, StepKind::Ready), (1, StepKind::Draining), (1, StepKind::Ended)]
            .map(|(release, what)| (slot, release, what))
    };
    assert_eq!(told, [of_slot(0), of_slot(1)].concat());
    let status = app.status();
    assert_eq!((status.release, status.can_roll_back, status.doing, status.workers.len()), (2, true, None, 2));
    assert!(get(app.workers().borrow()[0].address).contains("RELEASE_ID=2"));
    app.shutdown().await;
}

#[tokio::test]
async fn a_release_that_does_not_become_ready_replaces_nobody_and_says_why() {
    let app = start(AppSpec { instances: 2, ..version("one") });
    ready(&app, 2).await;
    let (fewest, _task) = fewest(&app);
    let lives: Vec<u64> = app.workers().borrow().iter().map(|worker| worker.life).collect();

    let failed = app.reload(AppSpec { instances: 2, ..broken() }, nobody()).await.unwrap_err();
    assert_eq!(failed.kind, FailKind::NotReady);
    assert!(failed.why.starts_with("app shop: worker 0 of release 2 exited with status 7, "), "{}", failed.why);
    assert!(failed.why.ends_with("release 1 stays in service"), "{}", failed.why);
    assert!(failed.last_lines.contains(&"cannot find module express".to_owned()), "{:?}", failed.last_lines);

    let failed = app.reload(unready(Duration::from_secs(1)), nobody()).await.unwrap_err();
    assert!(failed.why.contains("release 3 did not pass its health check at /healthz for 1s"), "{}", failed.why);

    let failed = app.reload(AppSpec { command: vec!["no-such".to_owned()], ..server() }, nobody()).await.unwrap_err();
    assert_eq!(failed.kind, FailKind::Refused);

    assert_eq!(app.workers().borrow().iter().map(|worker| worker.life).collect::<Vec<u64>>(), lives);
    assert_eq!((app.status().release, app.status().can_roll_back), (1, false));
    assert_eq!(fewest.load(Ordering::SeqCst), 2);
    app.shutdown().await;
}

#[tokio::test]
async fn workers_that_were_replaced_go_back_when_a_later_one_fails() {
    let app = start(AppSpec { instances: 3, ..version("one") });
    ready(&app, 3).await;
    let (fewest, _task) = fewest(&app);
    // Only the third worker fails.
    let mut spec = AppSpec { instances: 3, ..version("two") };
    let script = format!(
        "if [ $NODE_APP_INSTANCE = 2 ]; then echo no; exit 1; fi; exec python3 -c '{}'",
        crate::support::SERVER
    );
    spec.command = vec!["sh".to_owned(), "-c".to_owned(), script];
    let (progress, steps) = steps();
    let failed = app.reload(spec, progress).await.unwrap_err();
    assert_eq!((failed.kind, failed.last_lines), (FailKind::NotReady, vec!["no".to_owned()]));
    assert_eq!(versions(&app), all(3, "one"));
    let releases: Vec<u32> = app.status().workers.iter().map(|worker| worker.release).collect();
    assert_eq!(releases, [1, 1, 1]);
    assert_eq!(fewest.load(Ordering::SeqCst), 3);
    let back: Vec<u16> =
        steps.lock().unwrap().iter().filter(|s| s.what == StepKind::RollingBack).map(|step| step.slot).collect();
    assert_eq!(back, [1, 0]);
    app.shutdown().await;
}

#[tokio::test]
async fn a_reload_may_change_the_number_of_workers_and_roll_back_undoes_it() {
    let app = start(AppSpec { instances: 2, ..version("one") });
    ready(&app, 2).await;
    app.reload(AppSpec { instances: 3, ..version("two") }, nobody()).await.unwrap();
    assert_eq!(versions(&app), all(3, "two"));
    let back = app.rollback(nobody()).await.unwrap();
    assert_eq!((back.release, back.instances), (3, 2));
    assert_eq!(versions(&app), all(2, "one"));
    app.rollback(nobody()).await.unwrap();
    assert_eq!(versions(&app), all(3, "two"));
    // A restart is no step that could be taken back.
    app.restart(nobody()).await.unwrap();
    app.rollback(nobody()).await.unwrap();
    assert_eq!(versions(&app), all(2, "one"));
    app.shutdown().await;
}

/// What PM2's users write with `autorestart: false` and `cron_restart`.
#[tokio::test]
async fn work_that_was_done_is_done_again_by_a_restart() {
    let scratch = crate::support::Scratch::new("job");
    let file = scratch.path().join("done");
    let mut spec = version("job");
    spec.command = ["sh", "-c", &format!("echo x >> {}", file.display())].map(str::to_owned).to_vec();
    (spec.ready, spec.health_path, spec.stop.exit_codes) = (supervisor::Ready::Started, None, vec![0]);
    let app = start(spec);
    for times in 1..4 {
        let done = || std::fs::read_to_string(&file).is_ok_and(|text| text.lines().count() == times);
        until("the work is done", done).await;
        until("and the worker has ended", || app.status().workers[0].state == WorkerState::Stopped).await;
        app.restart(nobody()).await.unwrap();
    }
    app.shutdown().await;
}

#[tokio::test]
async fn a_change_while_another_runs_is_refused_and_stopping_ends_it() {
    let app = Arc::new(start(version("one")));
    ready(&app, 1).await;
    assert_eq!(app.rollback(nobody()).await.unwrap_err().kind, FailKind::NoPrevious);
    let slow = Arc::clone(&app);
    let reload = tokio::spawn(async move { slow.reload(unready(Duration::from_secs(600)), nobody()).await });
    until("it runs", || app.status().doing.is_some()).await;
    let refused = app.scale(3, nobody()).await.unwrap_err();
    assert_eq!(refused.kind, FailKind::Busy);
    assert!(refused.why.contains("a reload to release 2 is under way"), "{}", refused.why);
    app.stop().await;
    assert_eq!(reload.await.unwrap().unwrap_err().kind, FailKind::Stopped);
    assert_eq!(app.restart(nobody()).await.unwrap_err().kind, FailKind::Stopped);
    let status = app.status();
    assert!(status.stopped && status.workers.iter().all(|worker| worker.state == WorkerState::Stopped), "{status:?}");
    app.start_again().await.unwrap();
    ready(&app, 1).await;
    assert_eq!(versions(&app), all(1, "one"));
    assert_eq!((app.status().stopped, app.status().workers.len()), (false, 1));
}

#[tokio::test]
async fn scaling_adds_slots_and_takes_the_highest_away() {
    let app = start(version("one"));
    ready(&app, 1).await;
    app.scale(4, nobody()).await.unwrap();
    assert_eq!(versions(&app), all(4, "one"));
    let first = app.workers().borrow()[0].life;
    app.scale(2, nobody()).await.unwrap();
    assert_eq!(versions(&app), all(2, "one"));
    assert_eq!((app.workers().borrow()[0].life, app.status().instances), (first, 2));
    assert_eq!(app.scale(0, nobody()).await.unwrap_err().kind, FailKind::Refused);
    app.shutdown().await;
}

/// The gateway's count, played: requests are in flight to whatever drains until the test says otherwise.
#[tokio::test]
async fn a_worker_is_asked_to_end_when_nothing_is_in_flight_or_time_is_up() {
    let in_flight = Arc::new(AtomicU32::new(1));
    let count = Arc::clone(&in_flight);
    let asked = Arc::new(AtomicU32::new(0));
    let asks = Arc::clone(&asked);
    let wiring = Wiring {
        in_flight: Arc::new(move |_| {
            asks.fetch_add(1, Ordering::SeqCst);
            count.load(Ordering::SeqCst)
        }),
    };
    let app = Arc::new(supervisor::start(version("one"), wiring).unwrap());
    ready(&app, 1).await;
    let pid = app.status().workers[0].pid.unwrap();
    let reloading = Arc::clone(&app);
    let mut two = version("two");
    two.timing.drain_timeout = Duration::from_millis(300);
    let reload = tokio::spawn(async move { reloading.reload(two, nobody()).await });
    let drains = || app.status().workers.iter().any(|worker| worker.state == WorkerState::Draining);
    until("the old one drains", drains).await;
    // Both are on the list, and only the new one takes requests.
    let list = app.workers().borrow().clone();
    let told: Vec<(u16, u32, bool, bool)> = list.iter().map(|w| (w.id, w.release, w.ready, w.draining)).collect();
    assert_eq!(told, [(0, 1, true, true), (0, 2, true, false)]);
    until("it was asked a few times", || asked.load(Ordering::SeqCst) >= 5).await;
    assert!(crate::support::runs(pid) && !reload.is_finished());
    in_flight.store(0, Ordering::SeqCst);
    reload.await.unwrap().unwrap();
    assert!(!crate::support::runs(pid));

    // Requests that never end do not keep it for ever.
    in_flight.store(1, Ordering::SeqCst);
    app.reload(version("three"), nobody()).await.unwrap();
    assert_eq!(versions(&app), all(1, "three"));
}

#[tokio::test]
async fn the_old_one_may_crash_while_the_new_one_starts() {
    let app = Arc::new(start(version("one")));
    ready(&app, 1).await;
    let reloading = Arc::clone(&app);
    let mut spec = version("two");
    spec.command =
        vec!["sh".to_owned(), "-c".to_owned(), format!("sleep 1; exec python3 -c '{}'", crate::support::SERVER)];
    let reload = tokio::spawn(async move { reloading.reload(spec, nobody()).await });
    until("the new one starts", || app.status().workers.len() == 2).await;
    crate::support::kill(app.status().workers[0].pid.unwrap());
    reload.await.unwrap().unwrap();
    assert_eq!(versions(&app), all(1, "two"));
}

#[tokio::test]
async fn a_reload_goes_on_when_its_caller_goes_away() {
    let app = start(version("one"));
    ready(&app, 1).await;
    let waited = tokio::time::timeout(Duration::from_millis(1), app.reload(version("two"), nobody())).await;
    assert!(waited.is_err());
    until("it is through all the same", || app.status().release == 2 && app.status().doing.is_none()).await;
    assert_eq!(versions(&app), all(1, "two"));
    app.shutdown().await;
}

/// What a gateway does, in small: clients choose among workers that take requests, and count what they have in flight.
struct Clients {
    in_flight: Mutex<BTreeMap<u64, u32>>,
    answered: AtomicU32,
    failed: Mutex<Vec<String>>,
    done: std::sync::atomic::AtomicBool,
}

impl Clients {
    fn run(self: Arc<Self>, mut workers: tokio::sync::watch::Receiver<Arc<[model::Worker]>>) {
        while !self.done.load(Ordering::SeqCst) {
            let list: Vec<model::Worker> =
                workers.borrow_and_update().iter().filter(|worker| worker.takes_requests()).copied().collect();
            let turn = self.answered.load(Ordering::SeqCst) as usize;
            let Some(worker) = list.get(turn % list.len().max(1)) else {
                self.failed.lock().unwrap().push("nobody takes requests".to_owned());
                return;
            };
            *self.in_flight.lock().unwrap().entry(worker.life).or_default() += 1;
            let answer = std::panic::catch_unwind(|| get(worker.address));
            *self.in_flight.lock().unwrap().entry(worker.life).or_default() -= 1;
            match answer {
                Ok(answer) if answer.ends_with("hello") => {}
                other => self.failed.lock().unwrap().push(format!("{other:?}")),
            }
            self.answered.fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_workers_come_and_go() {
    // Ends at once on SIGTERM, as an app without any handler does; each answer takes a moment.
    let slow = r#"
import os, random, socket, threading, time
server = socket.create_server((os.environ["HOST"], int(os.environ["PORT"])), backlog=64)
def serve(client):
    client.recv(4096)
    time.sleep(0.4 if random.random() < 0.05 else 0.01)
    client.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello")
    client.close()
while True:
    threading.Thread(target=serve, args=server.accept()[:1], daemon=True).start()"#;
    let spec = AppSpec { instances: 2, ..crate::support::app(&["python3", "-c", slow]) };
    let clients = Arc::new(Clients {
        in_flight: Mutex::default(),
        answered: AtomicU32::new(0),
        failed: Mutex::default(),
        done: false.into(),
    });
    let counts = Arc::clone(&clients);
    let in_flight = Arc::new(move |life| counts.in_flight.lock().unwrap().get(&life).copied().unwrap_or(0));
    let app = supervisor::start(spec.clone(), Wiring { in_flight }).unwrap();
    ready(&app, 2).await;
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let (clients, workers) = (Arc::clone(&clients), app.workers());
            std::thread::spawn(move || clients.run(workers))
        })
        .collect();
    app.reload(spec, nobody()).await.unwrap();
    app.scale(3, nobody()).await.unwrap();
    app.reload(AppSpec { instances: 3, ..broken() }, nobody()).await.unwrap_err();
    app.scale(1, nobody()).await.unwrap();
    app.restart(nobody()).await.unwrap();
    clients.done.store(true, Ordering::SeqCst);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let failed = clients.failed.lock().unwrap().clone();
    let answered = clients.answered.load(Ordering::SeqCst);
    assert!(failed.is_empty() && answered > 100, "{} of {answered} failed: {:?}", failed.len(), failed.first());
    println!("{answered} requests, none failed");
    app.shutdown().await;
}
