//! The typed client: rotation, the leader's name, request ids, errors by kind, the follower stream.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Path, Query},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use model::{OverrideAction, PlanId, RegionName, World};

use super::{alive, server::TestWorld};
use crate::{
    Because, ClientError, Credentials, Endpoint, FollowError, FollowStream, Patience, PlaneClient, Problem,
    ProblemKind,
    api::{Applied, KeptWorld, PlanHead, PlanHistory, PlaneStatus, SetOverride, Signed, WorldHead, path},
    frame,
};

const PLAN: PlanId = PlanId { lineage: 7, version: 42 };
const WHY: Because<'_> = Because { who: "ana", reason: "drill & test, 50 %" };

fn name(region: &str) -> RegionName {
    region.parse().unwrap()
}

fn status(region: &str) -> PlaneStatus {
    PlaneStatus {
        region: name(region),
        id: 1,
        leader: Some(name("us-east")),
        term: 3,
        members: vec![],
        quorum_age_ms: Some(12),
        plan: Some(PLAN),
        last_applied: Some(42),
        committed: Some(42),
        concerns: vec![],
    }
}

fn answer_status(region: &'static str) -> Router {
    Router::new().route(path::STATUS, get(async move || Json(status(region))))
}

fn say_no(problem: Problem) -> Response {
    (problem.error.status(), Json(problem)).into_response()
}

fn dead_endpoint() -> Endpoint {
    // The discard port of a loopback address: nobody listens there.
    Endpoint { name: None, addr: ([127, 0, 0, 1], 9).into() }
}

fn client(world: &TestWorld, endpoints: Vec<Endpoint>) -> PlaneClient {
    let patience = Patience { attempt: Duration::from_secs(5), overall: Duration::from_secs(20) };
    PlaneClient::over(world.transport("ap-south"), endpoints).patience(patience)
}

#[tokio::test]
async fn who_answered_last_is_asked_first() {
    let world = TestWorld::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let electing = get(async move || {
        count.fetch_add(1, Ordering::Relaxed);
        say_no(Problem::new(ProblemKind::NoQuorum, "no leader is elected yet"))
    });
    let electing = world.serve("us-east", Router::new().route(path::STATUS, electing)).await;
    let server = world.serve("eu-west", answer_status("eu-west")).await;
    let client = client(&world, vec![dead_endpoint(), electing.endpoint.clone(), server.endpoint.clone()]);
    for _ in 0..3 {
        assert_eq!(client.status().await.unwrap(), status("eu-west"));
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn one_region_can_be_asked_alone() {
    let world = TestWorld::new();
    let eu = world.serve("eu-west", answer_status("eu-west")).await;
    let us = world.serve("us-east", answer_status("us-east")).await;
    let client = client(&world, vec![eu.endpoint.clone(), us.endpoint.clone()]);
    let only = client.only(&name("us-east")).unwrap();
    assert_eq!(only.status().await.unwrap().region, name("us-east"));
    assert!(client.only(&name("us-west")).is_none());
}

#[tokio::test]
async fn an_endpoint_without_a_name_gets_that_of_the_region_that_answers_there() {
    let world = TestWorld::new();
    let eu = world.serve("eu-west", answer_status("eu-west")).await;
    let unnamed = Endpoint { name: None, addr: eu.endpoint.addr };
    let mut client = client(&world, vec![dead_endpoint(), unnamed]);
    assert!(client.only(&name("eu-west")).is_none());
    client.learn_names().await;
    assert_eq!(client.endpoints(), [dead_endpoint(), eu.endpoint.clone()]);
    let only = client.only(&name("eu-west")).expect("it has a name now");
    assert_eq!(only.status().await.unwrap().region, name("eu-west"));
}

#[tokio::test]
async fn a_change_that_every_member_declines_ends_as_not_made_however_late() {
    let world = TestWorld::new();
    let declined = async || {
        // So slow that attempts of this client end anywhere in its time.
        tokio::time::sleep(Duration::from_millis(70)).await;
        say_no(Problem::new(ProblemKind::NoQuorum, "the plane has no quorum"))
    };
    let server = world.serve("eu-west", Router::new().route("/v1/overrides/{region}", delete(declined))).await;
    let mut client = client(&world, vec![server.endpoint.clone(), dead_endpoint()]);
    let region = name("eu-west");
    for overall_ms in [600, 700, 800, 900] {
        let patience = Patience { attempt: Duration::from_secs(5), overall: Duration::from_millis(overall_ms) };
        client = client.patience(patience);
        let e = client.clear_override(&region, WHY).await.unwrap_err();
        assert!(matches!(&e, ClientError::NotLeader { leader: None, .. }), "{overall_ms} ms: {e}");
        assert!(e.to_string().contains("1 of 2 members can be reached; nothing was changed"), "{e}");
    }
}

#[tokio::test]
async fn when_nobody_is_there_the_client_says_so_at_once_and_names_them_all() {
    let world = TestWorld::new();
    let client = client(&world, vec![dead_endpoint(), dead_endpoint()]);
    let e = client.status().await.unwrap_err();
    assert!(matches!(&e, ClientError::Unreachable { tried } if tried.len() == 2), "{e}");
    let nowhere = PlaneClient::over(world.transport("us-east"), vec![]);
    assert!(nowhere.status().await.unwrap_err().to_string().contains("no endpoint is known"));
}

#[tokio::test]
async fn a_change_goes_to_the_leader_under_one_request_id_whatever_the_detours() {
    let world = TestWorld::new();
    let seen: Arc<Mutex<Vec<SetOverride>>> = Arc::default();
    let noted = Arc::clone(&seen);
    let follower = post(async move |Json(body): Json<SetOverride>| {
        noted.lock().unwrap().push(body);
        say_no(Problem {
            leader: Some(name("us-east")),
            ..Problem::new(ProblemKind::NotLeader, "eu-west does not lead")
        })
    });
    let noted = Arc::clone(&seen);
    let leader = post(async move |Json(body): Json<SetOverride>| {
        let mut seen = noted.lock().unwrap();
        seen.push(body);
        // The first attempt at the leader meets an unknown outcome.
        if seen.len() < 3 {
            return say_no(Problem::new(ProblemKind::Timeout, "not committed in time"));
        }
        Json(Applied { plan: PLAN, changed: true }).into_response()
    });
    let follower = world.serve("eu-west", Router::new().route(path::OVERRIDES, follower)).await;
    let leader = world.serve("us-east", Router::new().route(path::OVERRIDES, leader)).await;
    let client = client(&world, vec![follower.endpoint.clone(), dead_endpoint(), leader.endpoint.clone()]);
    let subject = "region/ap-south".parse().unwrap();
    let lasts = Duration::from_secs(60);
    let applied = client.set_override(&subject, OverrideAction::Down, WHY, lasts).await.unwrap();
    assert_eq!(applied, Applied { plan: PLAN, changed: true });

    let seen = seen.lock().unwrap();
    assert!(seen.len() >= 3, "{seen:?}");
    assert_eq!(seen.iter().map(|s| &s.request_id).collect::<HashSet<_>>().len(), 1);
    assert_eq!((seen[0].ttl_ms, seen[0].request_id.len()), (60_000, 32));
}

#[tokio::test]
async fn an_election_is_waited_out_but_not_for_ever() {
    let world = TestWorld::new();
    let router = Router::new()
        .route(path::PLAN, get(async || say_no(Problem::new(ProblemKind::NoQuorum, "no leader is elected yet"))));
    let server = world.serve("eu-west", router).await;
    let patience = Patience { attempt: Duration::from_secs(5), overall: Duration::from_millis(500) };
    let client = client(&world, vec![server.endpoint.clone()]).patience(patience);
    let e = client.plan(None).await.unwrap_err();
    assert!(matches!(&e, ClientError::NotLeader { leader: None, message } if message.contains("elected yet")), "{e}");
}

#[tokio::test]
async fn errors_come_back_by_kind() {
    let world = TestWorld::new();
    let refused =
        Problem::new(ProblemKind::Refused, "nobody would serve pool `web`").rule("last_member").hint("undrain");
    let router = Router::new()
        .route("/v1/overrides/{region}", delete(async move || say_no(refused.clone())))
        .route(path::STATUS, get(async || say_no(Problem::new(ProblemKind::Unauthorized, "no token"))))
        .route("/v1/plan/{version}", get(async || say_no(Problem::new(ProblemKind::NotFound, "Plan 3 is gone"))))
        .route(path::VOTES, get(async || (StatusCode::INTERNAL_SERVER_ERROR, "oops")))
        .route(path::STATE, get(async || "not json"));
    let server = world.serve("eu-west", router).await;
    let client = client(&world, vec![server.endpoint.clone()]);
    let e = client.clear_override(&name("eu-west"), WHY).await.unwrap_err();
    assert!(matches!(&e, ClientError::Refused { rule: Some(rule), .. } if rule == "last_member"));
    assert_eq!(e.to_string(), "refused (last_member): nobody would serve pool `web`\n  undrain");
    assert!(matches!(client.status().await, Err(ClientError::Unauthorized { .. })));
    assert!(
        matches!(client.plan(Some(3)).await, Err(ClientError::NotFound { message, .. }) if message == "Plan 3 is gone")
    );
    assert_eq!(client.votes().await, Err(ClientError::Protocol("oops".into())));
    assert!(matches!(client.state().await, Err(ClientError::Protocol(_))));
    assert!(matches!(client.metrics().await, Err(ClientError::NotFound { .. })), "a server without this route");
}

#[tokio::test]
async fn who_why_and_which_plan_reach_the_server_as_they_were_given() {
    let world = TestWorld::new();
    let put = async |Query(signed): Query<Signed>, headers: HeaderMap, body: Bytes| {
        assert_eq!((signed.who.as_str(), signed.reason.as_str()), (WHY.who, WHY.reason));
        assert_eq!(headers["if-match"], "\"7:42\"");
        assert_eq!((headers["content-type"].as_bytes(), &*body), (&b"application/toml"[..], &b"name = 'x'"[..]));
        Json(Applied { plan: PLAN, changed: false })
    };
    let server = world.serve("eu-west", Router::new().route(path::WORLD, axum::routing::put(put))).await;
    let client = client(&world, vec![server.endpoint.clone()]);
    let applied = client.set_world_toml("name = 'x'", PLAN, WHY).await.unwrap();
    assert_eq!(applied, Applied { plan: PLAN, changed: false });
}

#[tokio::test]
async fn earlier_plans_and_worlds_are_read_by_version_and_one_that_is_not_kept_is_not_found() {
    let world = TestWorld::new();
    let head = WorldHead { version: 40, made_at_ms: 7, made_by: "world changed by ana: a test".into() };
    let history = PlanHistory {
        region: name("eu-west"),
        plans: vec![PlanHead { id: PLAN, made_at_ms: 9, made_by: "decided".into() }],
        worlds: vec![head.clone()],
    };
    let kept = KeptWorld { head, world: World::of("shop", Vec::new()) };
    let (told, found) = (history.clone(), kept.clone());
    let router = Router::new().route(path::PLAN_HISTORY, get(async move || Json(told))).route(
        "/v1/plan/{version}/world",
        get(async move |Path(version): Path<u64>| match version {
            41 => Json(found).into_response(),
            _ => say_no(Problem::new(ProblemKind::NotFound, "it is not kept")),
        }),
    );
    let server = world.serve("eu-west", router).await;
    let client = client(&world, vec![server.endpoint.clone()]);
    assert_eq!(client.plan_history().await, Ok(history));
    assert_eq!(client.plan_world(41).await, Ok(kept));
    assert!(matches!(client.plan_world(2).await, Err(ClientError::NotFound { .. })));
}

#[tokio::test]
async fn a_token_travels_as_a_bearer_header() {
    let world = TestWorld::new();
    let (token, credentials) = world.token();
    let hash = token.hash();
    let router = Router::new().route(
        path::STATUS,
        get(async move |headers: HeaderMap| {
            let bearer = headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap();
            if hash.admits(bearer) {
                Json(status("eu-west")).into_response()
            } else {
                StatusCode::FORBIDDEN.into_response()
            }
        }),
    );
    let server = world.serve("eu-west", router).await;
    let ask = async |credentials: &Credentials| {
        PlaneClient::new(vec![server.endpoint.clone()], credentials).unwrap().status().await
    };
    ask(&credentials).await.unwrap();
    let (_, other) = world.token();
    assert!(matches!(ask(&other).await, Err(ClientError::Unauthorized { .. })));
}

#[tokio::test]
async fn a_follower_reads_messages_until_the_member_closes_the_stream() {
    let world = TestWorld::new();
    let stream = async || {
        let (mut sender, body) = http_body_util::channel::Channel::<Bytes>::new(8);
        tokio::spawn(async move {
            for message in [frame::encode(&alive(None)).unwrap(), Bytes::from_static(&[0, 0, 0, 1, b'?'])] {
                sender.send_data(message).await.unwrap();
            }
            sender.send_data(frame::encode(&alive(Some("us-east"))).unwrap()).await.unwrap();
        });
        Body::new(body)
    };
    let server = world.serve("eu-west", Router::new().route(path::FOLLOW, get(stream))).await;
    let within = Duration::from_secs(20);
    let transport = world.transport("us-east");
    let mut following = FollowStream::open(&transport, &server.endpoint, within).await.unwrap();
    assert_eq!(following.next().await, Ok(alive(None)));
    assert!(matches!(following.next().await, Err(FollowError::Undecodable(_))));
    assert_eq!(following.next().await, Ok(alive(Some("us-east"))));
    assert!(matches!(following.next().await, Err(FollowError::Ended(_))));

    let refusing = world.serve("us-west", Router::new()).await;
    let e = FollowStream::open(&transport, &refusing.endpoint, within).await.err();
    assert!(matches!(e, Some(ClientError::NotFound { .. })), "{e:?}");
}
