//! What is sent again, and what never is.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use http::Method;
use tokio::net::TcpStream;

use crate::support::{Raw, TestWorker, World, app, raw_worker, text, until, worker};

/// A worker that takes a whole request of one portion and closes without a word, and counts how often.
async fn dying(counter: &Arc<AtomicU32>, last_words: &'static str) -> TestWorker {
    let counter = Arc::clone(counter);
    raw_worker(move |stream: TcpStream| {
        let counter = Arc::clone(&counter);
        async move {
            let mut raw = Raw::of(stream);
            let head = raw.head().await;
            if head.is_empty() {
                return;
            }
            if head.to_lowercase().contains("content-length: 4") {
                raw.until("body").await;
            }
            counter.fetch_add(1, Ordering::Relaxed);
            raw.write(last_words).await;
        }
    })
    .await
}

/// Sends until the dying worker has been met; says what came of the request that met it, and how often it was met.
async fn meet(last_words: &'static str, method: Method, headers: &[(&str, &str)], body: &str) -> (u16, u32) {
    let world = World::start().await;
    let met = Arc::new(AtomicU32::new(0));
    let (dead, alive) = (dying(&met, last_words).await, worker(async |_| text("alive")).await);
    world.set_workers(&[dead.address, alive.address]);
    for _ in 0..50 {
        let answer = world.send(method.clone(), "/", headers, body).await;
        if met.load(Ordering::Relaxed) > 0 {
            return (answer.status.as_u16(), met.load(Ordering::Relaxed));
        }
    }
    panic!("the dying worker was never asked");
}

#[tokio::test]
async fn a_request_that_may_be_sent_twice_survives_the_death_of_its_worker() {
    for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE] {
        assert_eq!(meet("", method.clone(), &[], "").await, (200, 1), "{method}");
    }
    assert_eq!(meet("", Method::PUT, &[], "body").await, (200, 1));
    assert_eq!(meet("", Method::POST, &[("idempotency-key", "7")], "body").await, (200, 1));
}

#[tokio::test]
async fn a_request_that_must_not_be_sent_twice_is_not() {
    assert_eq!(meet("", Method::POST, &[], "body").await, (502, 1));
    assert_eq!(meet("", Method::POST, &[], "").await, (502, 1));
    assert_eq!(meet("", Method::PATCH, &[], "body").await, (502, 1));
}

#[tokio::test]
async fn half_a_head_is_no_answer_and_nonsense_is_not_asked_for_again() {
    assert_eq!(meet("HTTP/1.1 200 OK\r\ncontent-", Method::GET, &[], "").await, (200, 1));
    assert_eq!(meet("HTTP/1.1 200 OK\r\ncontent-", Method::POST, &[], "body").await, (502, 1));
    assert_eq!(meet("SSH-2.0-OpenSSH_9\r\n\r\n", Method::GET, &[], "").await, (502, 1));
    assert_eq!(meet("HTTP/1.1 101 Switching Protocols\r\n\r\n", Method::GET, &[], "").await, (502, 1));
}

#[tokio::test]
async fn a_body_that_is_too_long_to_keep_is_sent_once() {
    let world = World::start().await;
    let met = Arc::new(AtomicU32::new(0));
    let reading = {
        let met = Arc::clone(&met);
        raw_worker(move |stream: TcpStream| {
            let met = Arc::clone(&met);
            async move {
                let mut raw = Raw::of(stream);
                raw.until("end").await;
                met.fetch_add(1, Ordering::Relaxed);
            }
        })
        .await
    };
    world.set_workers(&[reading.address]);
    let long = format!("{}end", "x".repeat(100 * 1024));
    assert_eq!(world.send(Method::PUT, "/", &[], &long).await.status, 502);
    assert_eq!(met.load(Ordering::Relaxed), 1);
    let short = format!("{}end", "x".repeat(10 * 1024));
    assert_eq!(world.send(Method::PUT, "/", &[], &short).await.status, 502);
    assert_eq!(met.load(Ordering::Relaxed), 1 + 3, "three attempts at most");
}

#[tokio::test]
async fn a_request_that_kills_its_worker_kills_two_at_most() {
    let world = World::start().await;
    let killed = Arc::new(Mutex::new(BTreeSet::new()));
    let mut workers = Vec::new();
    for number in 0..4 {
        let killed = Arc::clone(&killed);
        workers.push(
            raw_worker(move |stream: TcpStream| {
                let killed = Arc::clone(&killed);
                async move {
                    let mut raw = Raw::of(stream);
                    loop {
                        let head = raw.head().await;
                        if head.is_empty() {
                            return;
                        }
                        if head.starts_with("GET /crash ") {
                            killed.lock().unwrap().insert(number);
                            return;
                        }
                        raw.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                    }
                }
            })
            .await,
        );
    }
    world.set_workers(&workers.iter().map(|worker| worker.address).collect::<Vec<_>>());
    assert_eq!(world.get("/crash", &[]).await.status, 502);
    assert_eq!(std::mem::take(&mut *killed.lock().unwrap()).len(), 2, "over fresh connections");
    for _ in 0..20 {
        assert_eq!(world.get("/", &[]).await.body, "ok");
    }
    assert_eq!(world.get("/crash", &[]).await.status, 502);
    assert_eq!(killed.lock().unwrap().len(), 2, "over one that had been used before");
}

/// Two answers on a connection, then it closes after `delay` requests more without a word.
#[tokio::test]
async fn a_connection_that_closes_while_a_request_is_on_its_way_costs_nobody_anything() {
    let world = World::start().await;
    let served = Arc::new(AtomicU32::new(0));
    let fickle = {
        let served = Arc::clone(&served);
        raw_worker(move |stream: TcpStream| {
            let served = Arc::clone(&served);
            async move {
                let mut raw = Raw::of(stream);
                for _ in 0..2 {
                    if raw.head().await.is_empty() {
                        return;
                    }
                    served.fetch_add(1, Ordering::Relaxed);
                    raw.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                }
                raw.head().await;
            }
        })
        .await
    };
    world.set_workers(&[fickle.address]);
    for _ in 0..30 {
        assert_eq!(world.get("/", &[]).await.body, "ok");
    }
    assert_eq!(served.load(Ordering::Relaxed), 30);
    assert!(world.metric("retries_total") >= 5.0);
}

#[tokio::test]
async fn when_all_workers_are_sick_they_are_still_asked() {
    let world = World::start().await;
    let sick = Arc::new(AtomicU32::new(1));
    let make = || {
        let sick = Arc::clone(&sick);
        worker(move |_| {
            let status = if sick.load(Ordering::Relaxed) == 1 { 500 } else { 200 };
            async move {
                let mut response = text("an answer");
                *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
                response
            }
        })
    };
    let workers = [make().await, make().await, make().await];
    world.set_workers(&[workers[0].address, workers[1].address, workers[2].address]);
    for _ in 0..100 {
        let answer = world.get("/", &[]).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (500, "an answer"), "the app's own words");
    }
    sick.store(0, Ordering::Relaxed);
    assert_eq!(world.get("/", &[]).await.status, 200);
}

#[tokio::test]
async fn a_draining_worker_gets_nothing_new_and_is_told_of_until_it_is_done() {
    let world = World::start().await;
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let old = {
        let gate = Arc::clone(&gate);
        worker(move |_| {
            let gate = Arc::clone(&gate);
            async move {
                drop(gate.acquire().await);
                text("old")
            }
        })
        .await
    };
    let new = worker(async |_| text("new")).await;
    world.set_workers(&[old.address]);
    let gateway = world.address();
    let waiting =
        tokio::spawn(async move { crate::support::request(gateway, Method::GET, "/", &[], "").await.unwrap() });
    until("a request is at the old worker", || world.in_flight() == [(0, 1)]).await;
    let draining = model::Worker { draining: true, ..model::Worker::ready_at(0, old.address) };
    let fresh = model::Worker { life: 9, ..model::Worker::ready_at(0, new.address) };
    world.workers.send_replace(vec![draining, fresh].into());
    until("the new worker is known", || world.in_flight().len() == 2).await;
    for _ in 0..10 {
        assert_eq!(world.get("/", &[]).await.body, "new");
    }
    assert!(world.in_flight().contains(&(0, 1)));
    // It leaves the list, and is still told of while something is under way.
    world.workers.send_replace(vec![fresh].into());
    until("the list is known", || !world.in_flight().iter().any(|(life, count)| *life == 0 && *count == 0)).await;
    gate.add_permits(1);
    assert_eq!(waiting.await.unwrap().body, "old");
    until("nothing is under way", || world.in_flight().iter().all(|(_, count)| *count == 0)).await;
}

#[tokio::test]
async fn retries_stay_within_their_budget() {
    let world = World::start().await;
    let met = Arc::new(AtomicU32::new(0));
    let dead = dying(&met, "").await;
    let mut shop = app("shop", &[dead.address]);
    shop.pool.budget.min_per_sec = 0;
    shop.pool.budget.ratio = 0.0;
    world.gateway.set_apps(vec![shop]).unwrap();
    assert_eq!(world.get("/", &[]).await.status, 502);
    assert_eq!(met.load(Ordering::Relaxed), 1, "no budget, no retry");
}
