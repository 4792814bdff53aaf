//! Who gets in, and how far.

use std::{sync::Arc, time::Duration};

use http::{Method, StatusCode};
use model::VoteVector;
use pki::{AdminToken, Identity, Principal, WorldCa};
use plane_client::{Answer, Call, CallError, ChannelOptions, Credentials, Transport, api::path};

use crate::trio::{Dir, NAMES, Trio, load, name};

const WITHIN: Duration = Duration::from_secs(5);

fn transport(credentials: &Credentials) -> Transport {
    Transport::new(credentials, ChannelOptions::default()).expect("a transport")
}

fn certificate(identity: Arc<Identity>) -> Transport {
    transport(&Credentials::Identity(identity))
}

async fn call(transport: &Transport, trio: &Trio, method: Method, path: &str, body: impl Into<Vec<u8>>) -> Answer {
    let call = Call::new(method, path).body("application/json", body.into());
    transport.call(&trio.endpoint(0), &call, WITHIN).await.expect("an answer")
}

fn error_of(answer: &Answer) -> String {
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).expect("a problem in JSON");
    problem["error"].as_str().expect("its kind").to_owned()
}

/// One member is enough to be turned away by.
async fn one() -> Trio {
    let mut trio = Trio::seated();
    trio.start(0).await;
    trio
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused_in_the_handshake() {
    let trio = one().await;
    let elsewhere = Dir::new();
    let other = WorldCa::create(&elsewhere.path().join("pki"), "other").expect("an authority");
    let stranger = other.issue(&Principal::Region(NAMES[1].into()), &[]).expect("a certificate");
    // It trusts our authority, and shows its own: as somebody would who has our public files.
    let files = pki::IssuedFiles { ca: stranger.ca.clone(), ..stranger };
    let refused = certificate(load(&files)).call(&trio.endpoint(0), &Call::get(path::STATUS), WITHIN).await;
    assert!(matches!(&refused, Err(CallError::Unreachable { .. } | CallError::Broken { .. })), "{refused:?}");
}

#[tokio::test]
async fn the_token_admits_until_it_is_replaced() {
    let trio = one().await;
    let with = |token: &AdminToken| transport(&Credentials::Token { ca: trio.ca.ca_pem_path(), token: token.clone() });
    let status = call(&with(&trio.token), &trio, Method::GET, path::STATUS, "").await.status;
    assert_eq!(status, StatusCode::OK);

    let newer = AdminToken::create(&trio.dir().join("admin.token")).expect("a token");
    newer.hash().save(&trio.dir().join("admin.hash")).expect("its hash");
    let stale = call(&with(&trio.token), &trio, Method::GET, path::STATUS, "").await;
    assert_eq!((stale.status, error_of(&stale).as_str()), (StatusCode::UNAUTHORIZED, "unauthorized"));
    let hint = String::from_utf8_lossy(&stale.body);
    assert!(hint.contains("admin.token") && !hint.contains("atoll pki"), "it names what exists: {hint}");
    let fresh = call(&with(&newer), &trio, Method::GET, path::STATUS, "").await;
    assert_eq!(fresh.status, StatusCode::OK);
}

#[tokio::test]
async fn what_is_for_regions_is_not_for_people() {
    let trio = one().await;
    let token = transport(&Credentials::Token { ca: trio.ca.ca_pem_path(), token: trio.token.clone() });
    let admin = trio.ca.issue(&Principal::Admin("ops".into()), &[]).expect("a certificate");
    for person in [token, certificate(load(&admin))] {
        for path in [path::RAFT_APPEND, path::RAFT_VOTE, path::RAFT_SNAPSHOT, "/raft/propose", path::VOTES] {
            let answer = call(&person, &trio, Method::POST, path, "{}").await;
            assert_eq!((answer.status, error_of(&answer).as_str()), (StatusCode::FORBIDDEN, "forbidden"), "{path}");
        }
        for path in [path::STATUS, path::VOTES, path::METRICS] {
            assert_eq!(call(&person, &trio, Method::GET, path, "").await.status, StatusCode::OK, "{path}");
        }
    }
}

#[tokio::test]
async fn a_region_votes_in_its_own_name_only_and_nonsense_is_told_so() {
    let trio = one().await;
    let region = certificate(trio.identity(1));
    let vector = |observer: &str| {
        serde_json::to_vec(&VoteVector::new(name(observer), 1, 1, Default::default())).expect("encodes")
    };
    let own = call(&region, &trio, Method::POST, path::VOTES, vector(NAMES[1])).await;
    assert_eq!(own.status, StatusCode::OK);
    let others = call(&region, &trio, Method::POST, path::VOTES, vector(NAMES[2])).await;
    assert_eq!((others.status, error_of(&others).as_str()), (StatusCode::FORBIDDEN, "forbidden"));

    let cases: [(Method, &str, &str, StatusCode, &str); 9] = [
        (Method::POST, path::VOTES, "nonsense", StatusCode::BAD_REQUEST, "invalid"),
        (Method::POST, path::RAFT_APPEND, "nonsense", StatusCode::BAD_REQUEST, "invalid"),
        (Method::POST, path::RAFT_SNAPSHOT, "\u{0}\u{0}\u{0}\u{1}", StatusCode::BAD_REQUEST, "invalid"),
        (Method::POST, path::OVERRIDES, "{}", StatusCode::BAD_REQUEST, "invalid"),
        (Method::PUT, path::WORLD, "{}", StatusCode::PRECONDITION_REQUIRED, "unconditional"),
        (Method::DELETE, "/v1/overrides/NoRegion?who=a&reason=b&request_id=0", "", StatusCode::BAD_REQUEST, "invalid"),
        (Method::GET, "/v1/plan/newest", "", StatusCode::BAD_REQUEST, "invalid"),
        (Method::GET, "/v1/nothing", "", StatusCode::NOT_FOUND, "not_found"),
        (Method::DELETE, path::STATUS, "", StatusCode::NOT_FOUND, "not_found"),
    ];
    for (method, path, body, status, error) in cases {
        let answer = call(&region, &trio, method, path, body).await;
        assert_eq!((answer.status, error_of(&answer).as_str()), (status, error), "{path}");
    }
    let long = call(&region, &trio, Method::POST, path::OVERRIDES, vec![b' '; model::World::JSON_MAX + 1]).await;
    assert_eq!((long.status, error_of(&long).as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "too_large"));
}
