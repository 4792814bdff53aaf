//! Many apps behind one gateway: whose request it is, who may call whom, what is said where nobody answers.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use gateway::{AppConfig, Fallback, HashOn, Route, Sticky};
use http::{Method, StatusCode};
use model::Worker;
use tokio::sync::watch;
use traffic::{Policy, PoolConfig, StickyKey};

use crate::support::{Answer, Raw, TestWorker, World, app, request, text, until, worker};

async fn named(name: &'static str) -> TestWorker {
    worker(move |_| async move { text(name) }).await
}

fn routed(name: &str, addresses: &[SocketAddr], host: Option<&str>, path: &str) -> AppConfig {
    let route = Route { host: host.map(str::to_owned), path: path.to_owned() };
    AppConfig { routes: vec![route], default: false, ..app(name, addresses) }
}

async fn get(address: SocketAddr, host: &str, path: &str) -> Answer {
    let mut client = Raw::connect(address).await;
    client.write(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")).await;
    let head = client.head().await;
    let body = client.until("\0").await;
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let mut headers = http::HeaderMap::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(": ").unwrap();
        headers.append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
    }
    Answer { status, headers, body }
}

#[tokio::test]
async fn requests_go_to_the_app_whose_route_is_the_most_particular() {
    let world = World::start().await;
    let (web, api, tenant) = (named("web").await, named("api").await, named("tenant").await);
    world
        .gateway
        .set_apps(vec![
            routed("web", &[web.address], Some("shop.test"), "/"),
            routed("api", &[api.address], Some("shop.test"), "/api"),
            routed("tenant", &[tenant.address], Some("*.shop.test"), "/"),
        ])
        .unwrap();
    for (host, path, expected) in [
        ("shop.test", "/", "web"),
        ("SHOP.test:8080", "/cart?api=/api", "web"),
        ("shop.test", "/api/x", "api"),
        ("shop.test", "/apis", "web"),
        ("acme.shop.test", "/api", "tenant"),
        ("shop.test", "http://shop.test/api", "api"),
    ] {
        assert_eq!(get(world.address(), host, path).await.body, expected, "{host}{path}");
    }
    let unknown = get(world.address(), "blog.test", "/").await;
    assert_eq!(unknown.status, 404);
    assert_eq!(unknown.header("x-atoll-refused"), Some("unknown-host"));
    assert_eq!(unknown.body, "no app of this region is known as blog.test; give one of them a route for it\n");
    assert_eq!(get(world.address(), "shop.test", "/x/../api").await.status, 400);
    assert_eq!(get(world.address(), "shop.test", "/x/%2e%2E/api").await.status, 400);
}

#[tokio::test]
async fn a_list_is_published_whole_or_not_at_all_and_an_app_keeps_what_it_has() {
    let world = World::start().await;
    let (one, two) = (named("one").await, named("two").await);
    world.gateway.set_apps(vec![app("shop", &[one.address])]).unwrap();
    for _ in 0..3 {
        assert_eq!(world.get("/", &[]).await.body, "one");
    }
    let error = world.gateway.set_apps(vec![app("a", &[two.address]), app("b", &[two.address])]).unwrap_err();
    assert_eq!(error.to_string(), "apps a and b both take what no route takes; only one can be the default");
    assert_eq!(world.get("/", &[]).await.body, "one");
    world.gateway.set_apps(vec![app("shop", &[two.address])]).unwrap();
    assert_eq!(world.get("/", &[]).await.body, "two");
    assert_eq!(world.metric(r#"app_requests_total{app="shop",class="2xx"}"#), 5.0);
    world.gateway.set_apps(vec![]).unwrap();
    assert_eq!(world.get("/", &[]).await.header("x-atoll-refused"), Some("no-app"));
    assert_eq!(world.metric(r#"requests_total{class="2xx"}"#), 5.0, "what was counted of an app outlives it");
}

#[tokio::test]
async fn internal_names_are_known_inside_only() {
    let world = World::configured(|config| config.internal = Some("127.0.0.1:0".parse().unwrap())).await;
    let (web, orders) = (named("web").await, named("orders").await);
    let internal = Some("orders.internal".to_owned());
    world
        .gateway
        .set_apps(vec![
            routed("web", &[web.address], Some("shop.test"), "/"),
            AppConfig { default: false, internal, ..app("orders", &[orders.address]) },
        ])
        .unwrap();
    let inside = world.gateway.internal_addr().unwrap();
    assert_eq!(get(inside, "orders.internal", "/").await.body, "orders");
    assert_eq!(
        get(inside, "orders.internal", "http://orders.internal/list").await.body,
        "orders",
        "as a client of a proxy asks"
    );
    assert_eq!(get(inside, "shop.test", "/").await.body, "web");
    assert_eq!(get(world.address(), "orders.internal", "/").await.status, 404);
    assert_eq!(get(world.address(), "orders.internal", "http://orders.internal/").await.status, 404);
}

#[tokio::test]
async fn an_internal_listener_that_can_be_reached_from_outside_is_refused() {
    let region = model::RegionName::new("eu-west").unwrap();
    let mut config = gateway::GatewayConfig::new("127.0.0.1:0".parse().unwrap(), region, None);
    config.internal = Some("0.0.0.0:0".parse().unwrap());
    let world = World::start().await;
    let workers = watch::channel(std::sync::Arc::from([])).1;
    let started = gateway::start(config, workers, world.state.clone(), world.state.clone()).await;
    assert!(started.err().unwrap().to_string().contains("can be reached from outside"));
}

#[tokio::test]
async fn a_refusal_says_why_in_the_clients_language() {
    let world = World::start().await;
    let mut shop = app("shop", &[]);
    shop.limits.worker_wait = Duration::from_millis(20);
    world.gateway.set_apps(vec![shop.clone()]).unwrap();
    let json = world.get("/", &[("accept", "application/json")]).await;
    assert_eq!((json.status.as_u16(), json.header("x-atoll-refused")), (503, Some("no-worker")));
    assert!(json.body.contains(r#""reason":"no-worker""#), "{}", json.body);
    assert!(json.body.contains(json.header("x-request-id").unwrap()));
    let grpc = world.send(Method::POST, "/a.B/C", &[("content-type", "application/grpc+proto")], "").await;
    assert_eq!((grpc.status.as_u16(), grpc.header("grpc-status")), (200, Some("14")));
    assert_eq!(grpc.header("grpc-message"), Some("no worker of the app is ready; try again in a moment"));

    shop.fallback = Some(Fallback {
        status: StatusCode::SERVICE_UNAVAILABLE,
        content_type: "text/html".into(),
        body: Bytes::from_static(b"<h1>Back soon</h1>"),
    });
    world.gateway.set_apps(vec![shop]).unwrap();
    let page = world.get("/", &[]).await;
    assert_eq!((page.status.as_u16(), page.body.as_str()), (503, "<h1>Back soon</h1>"));
    assert_eq!((page.header("content-type"), page.header("retry-after")), (Some("text/html"), Some("1")));
}

#[tokio::test]
async fn too_much_at_a_time_or_at_once_is_refused() {
    let world = World::start().await;
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let slow = {
        let gate = gate.clone();
        worker(move |_| {
            let gate = gate.clone();
            async move {
                drop(gate.acquire().await);
                text("done")
            }
        })
        .await
    };
    let mut shop = app("shop", &[slow.address]);
    shop.pool.in_flight.total = Some(1);
    shop.limits.max_body_bytes = Some(10);
    world.gateway.set_apps(vec![shop]).unwrap();
    let gateway = world.address();
    let first = tokio::spawn(async move { request(gateway, Method::GET, "/", &[], "").await.unwrap() });
    until("one is under way", || world.in_flight() == [(0, 1)]).await;
    let second = world.get("/", &[]).await;
    assert_eq!((second.status.as_u16(), second.header("x-atoll-refused")), (503, Some("full")));
    assert_eq!(second.header("retry-after"), Some("1"));
    let large = world.send(Method::POST, "/", &[], "more than ten bytes").await;
    assert_eq!((large.status.as_u16(), large.header("x-atoll-refused")), (413, Some("too-large")));
    gate.add_permits(10);
    assert_eq!(first.await.unwrap().body, "done");
    let mut client = Raw::connect(gateway).await;
    client.write("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n8\r\n12345678\r\n8\r\n12345678\r\n0\r\n\r\n").await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 413"), "{head}");
}

fn two_slots(addresses: &[SocketAddr; 2], life: u64) -> std::sync::Arc<[Worker]> {
    let list: Vec<Worker> = (0..)
        .zip(addresses)
        .map(|(id, address)| Worker { life: life + u64::from(id), ..Worker::ready_at(id, *address) })
        .collect();
    list.into()
}

#[tokio::test]
async fn a_sticky_cookie_names_a_slot_across_lives_and_cannot_be_forged() {
    let world = World::start().await;
    let (old0, old1) = (named("old 0").await, named("old 1").await);
    let (new0, new1) = (named("new 0").await, named("new 1").await);
    let (workers, list) = watch::channel(two_slots(&[old0.address, old1.address], 10));
    let key = StickyKey::new(b"secret", "shop");
    let sticky = Some(Sticky { cookie: "stay".into(), key: key.clone(), secure: false });
    world.gateway.set_apps(vec![AppConfig { sticky, ..AppConfig::new("shop", list) }]).unwrap();
    let first = world.get("/", &[]).await;
    let cookie = first.header("set-cookie").unwrap().to_owned();
    assert!(cookie.starts_with("stay=") && cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax"), "{cookie}");
    let (pair, slot) = (cookie.split(';').next().unwrap().to_owned(), first.body.chars().last().unwrap());
    let same = format!("a=b; {pair}");
    let forged = format!("stay={slot}.{}", "0".repeat(32));
    let answer = world.get("/", &[("cookie", &forged)]).await;
    assert!(answer.header("set-cookie").is_some(), "a forged cookie is as good as none");
    workers.send_replace(two_slots(&[new0.address, new1.address], 20));
    until("the new lives are known", || world.in_flight().iter().any(|(life, _)| *life == 20)).await;
    for _ in 0..6 {
        let answer = world.get("/", &[("cookie", &same)]).await;
        assert!(
            answer.body.ends_with(slot) && answer.header("set-cookie").is_none(),
            "{} {:?}",
            answer.body,
            answer.headers
        );
        assert!(answer.body.starts_with("new"));
    }
    assert_eq!(key.decode(pair.split_once('=').unwrap().1), slot.to_digit(10).map(|slot| slot as u16));
}

#[tokio::test]
async fn a_hash_of_a_header_is_taken_where_it_is_asked_for() {
    let world = World::start().await;
    let only = named("only").await;
    let hash_on = HashOn::Header(http::HeaderName::from_static("x-user"));
    let pool = PoolConfig { policy: Policy::Rendezvous, ..PoolConfig::default() };
    world.gateway.set_apps(vec![AppConfig { hash_on, pool, ..app("shop", &[only.address]) }]).unwrap();
    assert_eq!(world.get("/", &[("x-user", "7")]).await.body, "only");
    assert_eq!(world.get("/", &[]).await.body, "only");
}

#[tokio::test]
async fn a_deadline_of_the_callers_own_is_kept_and_passed_on() {
    let world = World::start().await;
    let told = worker(async |request| {
        let deadline = request.headers()["x-request-deadline"].to_str().unwrap().to_owned();
        if request.uri().path() == "/never" {
            std::future::pending::<()>().await;
        }
        text(deadline)
    })
    .await;
    world.set_workers(&[told.address]);
    let left = |answer: Answer| answer.body.parse::<u64>().unwrap();
    let unlimited = left(world.get("/", &[]).await);
    assert!((20_000..=30_000).contains(&unlimited), "{unlimited}");
    let limited = left(world.get("/", &[("x-request-deadline", "9000")]).await);
    assert!((1..=9000).contains(&limited), "{limited}");
    let late = world.get("/never", &[("x-request-deadline", "50")]).await;
    assert_eq!((late.status.as_u16(), late.header("x-atoll-refused")), (504, Some("deadline")));
}
