use std::{
    fs,
    os::unix::fs::PermissionsExt,
    sync::atomic::{AtomicUsize, Ordering},
    time::UNIX_EPOCH,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

/// A gateway that answers one request with these bytes.
async fn answering(bytes: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
        let _ = stream.write_all(bytes.as_bytes()).await;
        // Held open, so that only the deadline ends a probe that waits for more.
        std::future::pending::<()>().await;
    });
    at
}

/// A gateway that takes connections and is silent on all before the `nth`, as where packets get lost.
struct Silent {
    at: SocketAddr,
    /// Connections, and those of them on which somebody asked.
    taken: Arc<AtomicUsize>,
    asked: Arc<AtomicUsize>,
}

async fn silent_until(nth: usize) -> Silent {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = Silent { at: listener.local_addr().unwrap(), taken: Arc::new(0.into()), asked: Arc::new(0.into()) };
    let (taken, asked) = (silent.taken.clone(), silent.asked.clone());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let number = taken.fetch_add(1, Ordering::SeqCst) + 1;
            let asked = asked.clone();
            tokio::spawn(async move {
                if stream.read(&mut [0; 1024]).await.is_ok_and(|bytes| bytes > 0) {
                    asked.fetch_add(1, Ordering::SeqCst);
                    if number >= nth {
                        let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
                    }
                    let _ = stream.read(&mut [0; 1024]).await;
                }
            });
        }
    });
    silent
}

#[tokio::test]
async fn a_silent_connection_is_followed_by_others_of_which_three_are_asked_and_an_answered_one_by_none() {
    // A deadline far beyond what the test takes: only the connections decide.
    let (patient, redial) = (Duration::from_secs(30), Duration::from_millis(20));
    let (tools, subject, check) = (ProbeTools::default(), subject(), Check::default());
    let third = silent_until(3).await;
    let looked = first_answer(&tools, &subject, third.at, &check, redial);
    assert_eq!(timeout(patient, looked).await.unwrap().unwrap().finding, Finding::Good);
    let fourth = silent_until(4).await;
    let many = async {
        while fourth.taken.load(Ordering::SeqCst) < 8 {
            tokio::time::sleep(redial).await;
        }
    };
    tokio::select! {
        looked = first_answer(&tools, &subject, fourth.at, &check, redial) => panic!("a fourth one was asked: {looked:?}"),
        dialled = timeout(patient, many) => dialled.unwrap(),
    }
    assert_eq!(fourth.asked.load(Ordering::SeqCst), 3);
    let first = silent_until(1).await;
    let report = probe(&tools, &subject, first.at, &check, patient).await;
    assert_eq!((report.finding, first.taken.load(Ordering::SeqCst)), (Finding::Good, 1));
}

fn subject() -> Subject {
    "pool/web/eu".parse().unwrap()
}

async fn look(tools: &ProbeTools, at: SocketAddr, check: &Check) -> Report {
    probe(tools, &subject(), at, check, Duration::from_secs(5)).await
}

/// What an HTTP probe finds in an answer, and the load it was told.
async fn check(answer: &'static str, finding: Finding, load_rps: Option<u32>) {
    let at = answering(answer).await;
    let check = Check::default();
    let found = probe(&ProbeTools::default(), &subject(), at, &check, Duration::from_millis(300)).await;
    assert_eq!(found, Report { finding, load_rps }, "{answer:?}");
}

#[tokio::test]
async fn only_a_2xx_in_time_is_good_and_a_gateway_that_fails_its_users_is_poor() {
    check("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Finding::Good, None).await;
    check("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n", Finding::Failed, None).await;
    check("", Finding::Failed, None).await;
    check("nonsense\r\n\r\n", Finding::Failed, None).await;
    let told = "HTTP/1.1 200 OK\r\natoll-traffic: rps=50, errors=19\r\ncontent-length: 0\r\n\r\n";
    check(told, Finding::Good, Some(50)).await;
    let sick = "HTTP/1.1 200 OK\r\natoll-traffic: rps=50, errors=20\r\ncontent-length: 0\r\n\r\n";
    check(sick, Finding::Poor, Some(50)).await;
    let idle = "HTTP/1.1 200 OK\r\natoll-traffic: rps=0, errors=100\r\ncontent-length: 0\r\n\r\n";
    check(idle, Finding::Good, Some(0)).await;
}

#[tokio::test]
async fn an_open_port_is_enough_for_tcp_also_another_port_than_the_gateways() {
    let tools = ProbeTools::default();
    let tcp = Check { kind: CheckKind::Tcp, ..Check::default() };
    let open = answering("").await;
    assert_eq!(look(&tools, open, &tcp).await.finding, Finding::Good);
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(look(&tools, closed, &tcp).await.finding, Finding::Failed);
    let elsewhere = Check { port: Some(answering("").await.port()), ..tcp };
    assert_eq!(look(&tools, closed, &elsewhere).await.finding, Finding::Good);
}

/// A gRPC server that answers every call with this status byte in a HealthCheckResponse, or with that `grpc-status`.
async fn grpc_server(status: u8, grpc_status: &'static str) -> SocketAddr {
    use http_body_util::{BodyExt, Full};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = hyper::service::service_fn(move |request: ::http::Request<hyper::body::Incoming>| async move {
            assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
            assert_eq!(request.headers()["te"], "trailers");
            let asked = request.into_body().collect().await?.to_bytes();
            assert_eq!(&asked[..], [0, 0, 0, 0, 6, 0x0a, 4, b'c', b'a', b'r', b't'], "the service's name");
            let trailers = ::http::HeaderMap::from_iter([(
                ::http::HeaderName::from_static("grpc-status"),
                ::http::HeaderValue::from_static(grpc_status),
            )]);
            let body = Full::new(bytes::Bytes::copy_from_slice(&[0, 0, 0, 0, 2, 8, status]));
            Ok::<_, hyper::Error>(::http::Response::new(body.with_trailers(async move { Some(Ok(trailers)) })))
        });
        let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service)
            .await;
    });
    at
}

#[tokio::test]
async fn a_grpc_server_is_asked_in_its_own_protocol() {
    let check = Check { kind: CheckKind::Grpc, service: "cart".into(), ..Check::default() };
    for (status, grpc_status, finding) in
        [(1, "0", Finding::Good), (2, "0", Finding::Failed), (1, "14", Finding::Failed), (3, "0", Finding::Failed)]
    {
        let at = grpc_server(status, grpc_status).await;
        let found = look(&ProbeTools::default(), at, &check).await.finding;
        assert_eq!(found, finding, "status {status}, grpc-status {grpc_status}");
    }
    let at = answering("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    assert_eq!(look(&ProbeTools::default(), at, &check).await.finding, Finding::Failed, "no gRPC at all");
}

#[tokio::test]
async fn a_program_judges_by_its_exit_code_and_is_told_whom() {
    let dir = std::env::temp_dir().join(format!("atoll-checks-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let program = dir.join("judge");
    fs::write(&program, "#!/bin/sh\n[ \"$ATOLL_SUBJECT\" = pool/web/eu ] && [ -n \"$ATOLL_ADDRESS\" ] && exit $1\n")
        .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let tools = ProbeTools { programs: Some(dir.clone()), ..ProbeTools::default() };
    let at = SocketAddr::from(([127, 0, 0, 1], 9));
    let check = |program: &str, code: &str| Check {
        kind: CheckKind::Exec,
        command: vec![program.into(), code.into()],
        ..Check::default()
    };
    for (code, finding) in [("0", Finding::Good), ("1", Finding::Poor), ("2", Finding::Failed)] {
        assert_eq!(look(&tools, at, &check("judge", code)).await.finding, finding, "exit code {code}");
    }
    assert_eq!(look(&tools, at, &check("missing", "0")).await.finding, Finding::Failed);
    assert_eq!(look(&tools, at, &check("../judge", "0")).await.finding, Finding::Failed, "outside the directory");
    assert_eq!(look(&ProbeTools::default(), at, &check("judge", "0")).await.finding, Finding::Failed, "no directory");
    fs::remove_dir_all(dir).unwrap();
}

#[tokio::test]
async fn a_certificate_must_be_trusted_and_must_not_end_soon() {
    let dir = std::env::temp_dir().join(format!("atoll-probe-tls-{}", std::process::id()));
    let ca = pki::WorldCa::create(&dir, "probes").unwrap();
    let eu = pki::Principal::Region("eu".into());
    let files = ca.issue(&eu, &[[127, 0, 0, 1].into()]).unwrap();
    let identity = pki::Identity::load(&ca.ca_pem_path(), &files.cert, &files.key).unwrap();
    let server = identity.server_config(&[], pki::ClientAuth::Optional).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let acceptor = tokio_rustls::TlsAcceptor::from(server);
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        }
    });
    let trusting = pki::ca_client_config(&ca.ca_pem_path(), &[]).unwrap();
    let tools = ProbeTools { tls: Some(trusting), ..ProbeTools::default() };
    let https = Check { kind: CheckKind::Https, certificate_days: 0, ..Check::default() };
    assert_eq!(look(&tools, at, &https).await.finding, Finding::Good);
    let other_host = Check { host: Some("shop.test".into()), ..https.clone() };
    assert_eq!(look(&tools, at, &other_host).await.finding, Finding::Failed, "the certificate is for another name");
    let soon = Check { certificate_days: 365 * 200, ..https.clone() };
    assert_eq!(look(&tools, at, &soon).await.finding, Finding::Poor, "it ends within the days that the check asks for");
    assert_eq!(look(&ProbeTools::default(), at, &https).await.finding, Finding::Failed, "nobody is trusted");
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn the_end_of_a_certificate_is_told_days_before() {
    let day = |n: u64| UNIX_EPOCH + Duration::from_secs(n * 86_400);
    for (ends, now, days, finding) in [
        (100, 92, 7, Finding::Good),
        (100, 94, 7, Finding::Poor),
        (100, 99, 0, Finding::Good),
        (100, 101, 7, Finding::Poor),
    ] {
        assert_eq!(tls::judge(day(ends), day(now), days), finding, "ends on day {ends}, now {now}, {days} days");
    }
}
