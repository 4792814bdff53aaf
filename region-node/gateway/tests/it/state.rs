//! The region's own words: its name, its health, its end.

use std::time::Duration;

use http::Method;

use crate::support::{PATIENCE, World, request, text, until, worker};

#[tokio::test]
async fn every_answer_names_the_region_and_every_request_its_origin() {
    let world = World::start().await;
    let echo = worker(async |request| {
        let header = |name: &str| request.headers().get(name).map_or("-", |value| value.to_str().unwrap()).to_owned();
        let id = header("x-request-id");
        let all = [header("host"), header("x-forwarded-for"), header("x-forwarded-host"), header("x-forwarded-proto")];
        text(format!("{} {}", all.join(" "), if id.len() == 36 { "id" } else { &id }))
    })
    .await;
    world.set_workers(&[echo.address]);
    let answer = world.get("/", &[("x-forwarded-for", "6.6.6.6"), ("x-request-id", "forged")]).await;
    assert_eq!(answer.body, "shop.test 127.0.0.1 shop.test http id");
    assert_eq!(answer.header("x-atoll-region"), Some("us-east"));
    assert_eq!(answer.header("x-request-id").map(str::len), Some(36));
}

#[tokio::test]
async fn health_says_what_a_user_would_meet() {
    let world = World::start().await;
    let check = async |path: &str, status: u16, reasons: &str| {
        let answer = world.get(path, &[]).await;
        let body = format!("{{\"reasons\":{reasons},\"region\":\"us-east\",\"status\":");
        assert_eq!(answer.status.as_u16(), status, "{path}: {}", answer.body);
        assert!(answer.body.starts_with(&body), "{path}: {}", answer.body);
        assert_eq!(answer.header("x-atoll-region"), Some("us-east"));
    };
    check("/healthz", 503, r#"["no worker of app shop is ready"]"#).await;
    let shop = worker(async |_| text("the app's own")).await;
    world.set_workers(&[shop.address]);
    until("the worker is known", || !world.in_flight().is_empty()).await;
    check("/healthz", 200, "[]").await;
    check("/readyz", 200, "[]").await;
    world.state.problems.lock().unwrap().push("the journal cannot be written".to_owned());
    check("/healthz", 503, r#"["the journal cannot be written"]"#).await;
    world.state.problems.lock().unwrap().clear();
    world.gateway.announce_stop();
    check("/healthz", 503, r#"["the region is stopping"]"#).await;
    check("/readyz", 503, r#"["the region is stopping"]"#).await;
    assert_eq!(world.get("/", &[]).await.body, "the app's own");
    assert_eq!(world.send(Method::POST, "/healthz", &[], "").await.status, 405);
}

#[tokio::test]
async fn a_shutdown_lets_requests_finish_within_its_grace() {
    let world = World::start().await;
    let release = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let slow = {
        let release = std::sync::Arc::clone(&release);
        worker(move |_| {
            let release = std::sync::Arc::clone(&release);
            async move {
                drop(release.acquire().await);
                text("finished")
            }
        })
        .await
    };
    world.set_workers(&[slow.address]);
    let gateway = world.address();
    let waiting = tokio::spawn(async move { request(gateway, Method::GET, "/", &[], "").await });
    until("the request is at the worker", || world.in_flight() == [(0, 1)]).await;
    let shutdown = tokio::spawn(world.gateway.shutdown(PATIENCE));
    until("nobody is accepted any more", || std::net::TcpStream::connect(gateway).is_err()).await;
    release.add_permits(1);
    assert_eq!(waiting.await.unwrap().unwrap().body, "finished");
    assert!(shutdown.await.unwrap(), "nothing had to be cut");
}

#[tokio::test]
async fn a_shutdown_cuts_what_outlasts_its_grace() {
    let world = World::start().await;
    let never = worker(async |_| std::future::pending().await).await;
    world.set_workers(&[never.address]);
    let gateway = world.address();
    let waiting = tokio::spawn(async move { request(gateway, Method::GET, "/", &[], "").await });
    until("the request is at the worker", || world.in_flight() == [(0, 1)]).await;
    assert!(!world.gateway.shutdown(Duration::from_millis(100)).await);
    assert!(waiting.await.unwrap().is_err());
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let world = World::start().await;
    let region = model::RegionName::new("eu-west").unwrap();
    let config = gateway::GatewayConfig::new(world.address(), region, None);
    let workers = world.workers.subscribe();
    let error = gateway::start(config, workers, world.state.clone(), world.state.clone()).await.err().unwrap();
    let text = error.to_string();
    assert!(text.contains(&world.address().to_string()) && text.contains("in use"), "{text}");
}
