//! Who gets in, and how far.

use std::{sync::Arc, time::Duration};

use http::{Method, StatusCode};
use model::VoteVector;
use pki::{AdminToken, Identity, Principal, WorldCa};
use plane_client::{Answer, Call, CallError, ChannelOptions, Credentials, Transport, api::path};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

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
        let answer = call(&person, &trio, Method::POST, path::VOTES, "{}").await;
        assert_eq!((answer.status, error_of(&answer).as_str()), (StatusCode::FORBIDDEN, "forbidden"));
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

    let cases: [(Method, &str, &str, StatusCode, &str); 7] = [
        (Method::POST, path::VOTES, "nonsense", StatusCode::BAD_REQUEST, "invalid"),
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

#[tokio::test]
async fn raft_is_spoken_with_regions_only() {
    let trio = one().await;
    let admin = trio.ca.issue(&Principal::Admin("ops".into()), &[]).expect("a certificate");
    // A pulse: no body's length, number 1, question 8. Whoever is let in is answered under its number.
    let ask = b"\0\0\0\0\0\0\0\x01\x08";
    for (identity, is_let_in) in [(trio.identity(1), true), (load(&admin), false)] {
        let tls = TlsConnector::from(identity.client_config(&[b"atoll-raft/1"]).expect("a configuration"));
        let tcp = TcpStream::connect(trio.endpoint(0).addr).await.expect("it listens");
        let mut stream = tls.connect(pki::region_server_name(NAMES[0]), tcp).await.expect("a handshake");
        let mut answer = Vec::new();
        let talk = async {
            // The server may have hung up already.
            let _ = stream.write_all(ask).await;
            stream.take(9).read_to_end(&mut answer).await
        };
        let _ = timeout(WITHIN, talk).await.expect("an answer or an end");
        match is_let_in {
            true => assert_eq!((answer.len(), &answer[4..]), (9, &b"\0\0\0\x01\0"[..]), "done"),
            false => assert_eq!(answer, b""),
        }
    }
}
