//! The worker with switches, `tests/apps/worker.js`: how it is started, and how its faults are switched.

use std::time::Duration;

use supervisor::AppSpec;

use crate::{
    house::{House, app},
    people,
};

/// So many of them.
pub(crate) fn workers(instances: u16) -> AppSpec {
    AppSpec { instances, ..app(&["node", "worker.js"]) }
}

/// Those take so long to answer.
pub(crate) fn working(instances: u16, work: Duration) -> AppSpec {
    with_env(workers(instances), "WORK_MS", &work.as_millis().to_string())
}

/// The same with one more variable in its environment.
pub(crate) fn with_env(mut spec: AppSpec, name: &str, value: &str) -> AppSpec {
    spec.env.insert(name.to_owned(), value.to_owned());
    spec
}

/// Switches the faults of one worker: `slow_ms=5000`, `fail=0.5`, `fail=1&route=/buggy`, or nothing of all that.
pub(crate) async fn fault(house: &House, slot: u16, switches: &str) {
    tell(house, slot, &format!("/_fault?{switches}")).await;
}

/// Makes one worker larger by so much.
pub(crate) async fn grow(house: &House, slot: u16, mb: u32) {
    tell(house, slot, &format!("/_grow?mb={mb}")).await;
}

async fn tell(house: &House, slot: u16, path: &str) {
    let answer = people::ask(&format!("{}{path}", house.worker_url(slot))).await.unwrap();
    assert_eq!(answer.status, 200, "{path}");
}
