//! What happens to workers while people ask, and must not be noticed by any of them: 0 failed of at least 10 000 requests each.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use supervisor::{AppSpec, FailKind, Limits, Progress, Timing};

use crate::{
    apps::has_node,
    house::{House, PATIENCE, Ways},
    load::{Generator, Load, has_generators},
    people,
    worker::{grow, with_env, working},
};

/// Each has requests under way at any moment: it is asked by 16 people, and answers after 5 ms.
fn workers(instances: u16) -> AppSpec {
    working(instances, Duration::from_millis(5))
}

/// Nobody listens to what a change tells on its way.
fn quietly() -> Progress {
    Arc::new(|_| {})
}

/// Three workers; `None` where the test is to be left out.
async fn three(more: impl Fn(AppSpec) -> AppSpec) -> Option<House> {
    if !has_node() || !has_generators() {
        return None;
    }
    Some(House::open(more(workers(3)), Ways::default()).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_that_a_worker_is_killed() {
    let Some(house) = three(|spec| spec).await else { return };
    for generator in [Generator::Wrk, Generator::H2] {
        let load = Load::start(generator, &house.url());
        for slot in [0, 1, 2, 0] {
            let pid = house.pids()[slot];
            kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), Signal::KILL).unwrap();
            gone(&house, pid).await;
            house.ready(3).await;
        }
        load.ends_well().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_a_reload() {
    let Some(house) = three(|spec| spec).await else { return };
    for generator in [Generator::Wrk, Generator::H2] {
        let load = Load::start(generator, &house.url());
        for edition in ["first", "second"] {
            let before = house.pids();
            let reloaded = house.app.reload(with_env(workers(3), "EDITION", edition), quietly()).await.unwrap();
            assert_eq!(reloaded.instances, 3);
            assert!(house.pids().iter().all(|pid| !before.contains(pid)), "all are new");
        }
        load.ends_well().await;
    }
}

/// The new release ends at once, or never says that it is ready: what ran before runs on, and the reason is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_a_reload_that_fails() {
    let Some(house) = three(|spec| spec).await else { return };
    let before = house.pids();
    let load = Load::start(Generator::Wrk, &house.url());
    for broken in ["exit", "never-ready"] {
        let mut spec = with_env(workers(3), "BROKEN", broken);
        spec.timing = Timing { ready_timeout: Duration::from_secs(3), ..spec.timing };
        let failed = house.app.reload(spec, quietly()).await.unwrap_err();
        assert_eq!(failed.kind, FailKind::NotReady, "{failed}");
        if broken == "exit" {
            let said = failed.last_lines.join("\n");
            assert!(said.contains("cannot find the database"), "the worker's own words are told: {failed:?}");
        }
    }
    load.ends_well().await;
    assert_eq!(house.pids(), before, "the workers are those that ran before");
    assert_eq!(house.app.status().release, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_that_there_are_more_workers_or_fewer() {
    let Some(house) = three(|spec| spec).await else { return };
    let load = Load::start(Generator::Wrk, &house.url());
    for count in [5, 1, 4] {
        house.app.scale(count, quietly()).await.unwrap();
        house.ready(count.into()).await;
    }
    load.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_that_a_worker_has_grown_too_large() {
    const MB: u64 = 1 << 20;
    let limit = |spec| AppSpec { limits: Limits { memory_bytes: Some(250 * MB), ..Limits::default() }, ..spec };
    let Some(house) = three(limit).await else { return };
    let load = Load::start(Generator::Wrk, &house.url());
    for slot in [1, 2] {
        let pid = house.pids()[usize::from(slot)];
        grow(&house, slot, 300).await;
        gone(&house, pid).await;
        house.ready(3).await;
    }
    load.ends_well().await;
}

/// A request that takes long, at a worker that is replaced meanwhile, is answered by that worker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_under_way_outlives_its_worker_s_place_in_the_list() {
    if !has_node() {
        return;
    }
    let spec = with_env(workers(1), "WORK_MS", "3000");
    let house = House::open(spec.clone(), Ways::default()).await;
    let url = house.url();
    let asked = tokio::spawn(async move { people::ask(&format!("{url}/")).await.unwrap() });
    while house.in_flight() == 0 {
        assert!(!asked.is_finished(), "it was answered before anything happened");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    house.app.reload(with_env(spec, "EDITION", "second"), quietly()).await.unwrap();
    let answer = asked.await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.took < Duration::from_secs(6), "it was asked once: {answer:?}");
}

/// Waits until the supervisor does not count on a process any more.
async fn gone(house: &House, pid: u32) {
    let deadline = Instant::now() + PATIENCE;
    while house.pids().contains(&pid) {
        assert!(Instant::now() < deadline, "process {pid} is still in use: {:#?}", house.app.status());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
