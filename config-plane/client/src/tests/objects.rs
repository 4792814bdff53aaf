//! Objects and what people do by hand: tags, conditions, and one request id however often a change is sent.

use std::sync::{Arc, Mutex};

use axum::{
    Json, Router,
    extract::Query,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
    routing::{get, put},
};
use model::{GateScope, PlanId};
use serde_json::{Value, json};

use super::server::TestWorld;
use crate::{
    Because, ClientError, MadeFrom, PlaneClient, Problem, ProblemKind,
    api::{Applied, human::SetGate},
};

const PLAN: PlanId = PlanId { lineage: 7, version: 42 };
const WHY: Because<'_> = Because { who: "ana", reason: "drill & test, 50 %" };

fn no(kind: ProblemKind) -> Response {
    (kind.status(), Json(Problem::new(kind, "no"))).into_response()
}

#[derive(serde::Deserialize)]
struct Signed {
    who: String,
    reason: String,
}

#[tokio::test]
async fn an_object_comes_with_its_tag_and_goes_back_with_it() {
    let world = TestWorld::new();
    let put_it = async |Query(signed): Query<Signed>, headers: HeaderMap, body: String| {
        assert_eq!((signed.who.as_str(), signed.reason.as_str()), (WHY.who, WHY.reason));
        match headers.get(header::IF_MATCH).and_then(|tag| tag.to_str().ok()) {
            Some("\"abc\"") => {
                assert_eq!(body, "{\"members\":[]}");
                Json(Applied { plan: PLAN, changed: true }).into_response()
            }
            Some(_) => no(ProblemKind::Changed),
            None => no(ProblemKind::Unconditional),
        }
    };
    let get_it = async || ([(header::ETAG, "\"abc\"")], Json(json!({ "members": [] })));
    let server = world.serve("eu-west", Router::new().route("/v1/pools/web", get(get_it).put(put_it))).await;
    let client = PlaneClient::over(world.transport("ap-south"), vec![server.endpoint.clone()]);
    let web = client.object::<Value>("pools", "web").await.unwrap();
    assert_eq!(web.etag, "\"abc\"");
    let put = async |from| client.put_object(("pools", "web"), &web.object, from, WHY).await;
    assert_eq!(put(MadeFrom::Tag(&web.etag)).await, Ok(Applied { plan: PLAN, changed: true }));
    assert!(matches!(put(MadeFrom::Tag("\"old\"")).await, Err(ClientError::Changed { .. })));
    assert!(matches!(put(MadeFrom::Nothing).await, Err(ClientError::Invalid { .. })));
}

#[tokio::test]
async fn a_change_that_nobody_could_take_goes_to_the_next_member_under_the_same_id() {
    let world = TestWorld::new();
    let ids = Arc::new(Mutex::new(Vec::new()));
    let note = |kind: Option<ProblemKind>| {
        let ids = Arc::clone(&ids);
        put(async move |headers: HeaderMap, Json(gate): Json<SetGate>| {
            assert!(gate.binds_people);
            ids.lock().unwrap().push(headers["x-request-id"].clone());
            kind.map_or_else(|| Json(Applied { plan: PLAN, changed: true }).into_response(), no)
        })
    };
    let router = |kind| Router::new().route("/v1/gates/pool/web", note(kind));
    let busy = world.serve("us-east", router(Some(ProblemKind::Busy))).await;
    let electing = world.serve("ap-south", router(Some(ProblemKind::NoQuorum))).await;
    let good = world.serve("eu-west", router(None)).await;
    let endpoints = [&busy, &electing, &good].map(|server| server.endpoint.clone());
    let client = PlaneClient::over(world.transport("ap-south"), endpoints.into());
    let hour = std::time::Duration::from_secs(3600);
    client.close_gate(&GateScope::Pool("web".into()), true, WHY, hour).await.unwrap();
    let ids = ids.lock().unwrap();
    assert_eq!(ids.len(), 3);
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]), "{ids:?}");
}
