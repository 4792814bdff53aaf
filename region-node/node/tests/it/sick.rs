//! One worker of four is slow or fails, or a route has a bug, or everybody is sick: what people notice of it.
//!
//! Bounds are on counts. Where time is compared, work takes long enough (30 ms) that a busy machine does not decide.

use std::time::Duration;

use crate::{
    apps::has_node,
    house::{House, Ways},
    people::{self, Answer, come, failed, quantile},
    worker::{fault, working},
};

const WORK: Duration = Duration::from_millis(30);
const PER_SECOND: u32 = 200;
/// So many requests that one in a thousand is more than a worker can have under way before anybody can know that it is slow,
/// and one or two later when it is tried again.
const MANY: usize = 6000;
/// Enough to see who is asked.
const SOME: usize = 1200;
/// Whoever waits longer has given up.
const GIVES_UP: Duration = Duration::from_secs(2);

async fn four() -> House {
    House::open(working(4, WORK), Ways::default()).await
}

/// How many answers each slot gave.
fn by_worker(answers: &[Answer]) -> [usize; 4] {
    std::array::from_fn(|slot| answers.iter().filter(|a| a.worker.map(usize::from) == Some(slot)).count())
}

/// People come before and after the fault: at least 999 of a thousand are served in time, and p99 stays below twice what it was.
async fn check_one_of_four(switches: &str) {
    let house = four().await;
    let before = come(&house.url(), &["/"], PER_SECOND, SOME / 2).await;
    assert!(failed(&before, GIVES_UP).is_empty(), "all are well: {:?}", failed(&before, GIVES_UP));
    fault(&house, 2, switches).await;
    let after = come(&house.url(), &["/"], PER_SECOND, MANY).await;
    let (bad, of) = (failed(&after, GIVES_UP), after.len());
    let shares = by_worker(&after);
    assert!(
        bad.len() * 1000 <= of,
        "{switches}: {} of {of} not served in time, {bad:#?}; by worker {shares:?}",
        bad.len()
    );
    let (normal, sick) = (quantile(&before, 990), quantile(&after, 990));
    assert!(sick <= 2 * normal.max(2 * WORK), "{switches}: p99 is {sick:?}, was {normal:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_worker_of_four_is_left_alone() {
    if has_node() {
        check_one_of_four("slow_ms=5000").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_of_four_that_fails_half_of_the_time_is_left_alone() {
    if has_node() {
        check_one_of_four("fail=0.5").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bug_in_one_route_ejects_nobody() {
    if !has_node() {
        return;
    }
    let house = four().await;
    for slot in 0..4 {
        fault(&house, slot, "fail=1&route=/buggy").await;
    }
    let answers = come(&house.url(), &["/", "/buggy", "/", "/"], PER_SECOND, SOME).await;
    let (buggy, well): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.path == "/buggy");
    assert!(buggy.iter().all(|answer| answer.status == 500 && answer.worker.is_some()), "the app's own answer");
    assert!(failed(&well, GIVES_UP).is_empty(), "{:#?}", failed(&well, GIVES_UP));
    let shares = by_worker(&well);
    assert!(shares.iter().all(|share| share * 20 > well.len()), "somebody was left out: {shares:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_are_sick_all_are_tried_and_the_answers_are_theirs() {
    if !has_node() {
        return;
    }
    let house = four().await;
    for slot in 0..4 {
        fault(&house, slot, "fail=1").await;
    }
    let answers = come(&house.url(), &["/"], PER_SECOND, SOME).await;
    let ours = answers.iter().filter(|answer| answer.worker.is_none()).count();
    assert_eq!(ours, 0, "answers that no worker gave, of {}", answers.len());
    assert!(answers.iter().all(|answer| answer.status == 500));
    for slot in 0..4 {
        fault(&house, slot, "").await;
    }
    assert_eq!(people::ask(&house.url()).await.unwrap().status, 200, "well again is served at once");
}
