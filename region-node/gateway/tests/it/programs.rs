//! Programs of other people as clients: curl, nghttp, h2load. Run where they are installed; where they are not, that is said.

use std::process::{Command, Output};

use gateway::TlsConfig;

use crate::{
    support::{PATIENCE, World, text, worker},
    tls::{Authority, LATE},
};

fn installed(program: &str, package: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("not tried: {program} is not installed (package {package})");
    }
    there
}

async fn run(program: &'static str, arguments: &[&str]) -> (Output, String) {
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    let run = move || Command::new(program).args(arguments).output().unwrap();
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output, text)
}

async fn world(name: &str) -> (World, crate::support::TestWorker, Authority) {
    let authority = Authority::new(name);
    let tls = TlsConfig::new("127.0.0.1:0".parse().unwrap(), vec![authority.issue("a", &["shop.test"], LATE)]);
    let world = World::configured(|config| {
        config.tls = Some(tls);
        // Hundreds of connections to one small worker on a busy machine take their time.
        config.limits.connect_timeout = PATIENCE;
        config.limits.worker_wait = PATIENCE;
    })
    .await;
    let shop = worker(async |request| {
        use http_body_util::BodyExt;
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        text(format!("{} {} {}", head.method, head.uri, body.len()))
    })
    .await;
    world.set_workers(&[shop.address]);
    (world, shop, authority)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_speaks_every_protocol_with_us() {
    if !installed("curl", "curl") {
        return;
    }
    let (world, _shop, authority) = world("curl").await;
    let ca = authority.root_file();
    let (plain, secure) = (world.address(), world.gateway.tls_addr().unwrap());
    let resolve = format!("shop.test:{}:127.0.0.1", secure.port());
    let http = format!("http://{plain}/a");
    let https = format!("https://shop.test:{}/a", secure.port());
    let body = "x".repeat(100_000);
    for (name, arguments, expected) in [
        ("HTTP/1.0", vec!["--http1.0", &http], "GET /a 0 1"),
        ("HTTP/1.1", vec!["--http1.1", &http], "GET /a 0 1.1"),
        (
            "an upload that waits for 100",
            vec!["--http1.1", "-H", "expect: 100-continue", "-d", &body, &http],
            "POST /a 100000 1.1",
        ),
        (
            "an upload in chunks",
            vec!["--http1.1", "-H", "transfer-encoding: chunked", "-d", &body, &http],
            "POST /a 100000 1.1",
        ),
        ("an upgrade that is declined", vec!["--http2", &http], "GET /a 0 1.1"),
        ("HTTP/2 with prior knowledge", vec!["--http2-prior-knowledge", "-d", &body, &http], "POST /a 100000 2"),
        ("HTTPS, HTTP/2", vec!["--http2", "--cacert", &ca, "--resolve", &resolve, &https], "GET /a 0 2"),
        ("HTTPS, HTTP/1.1", vec!["--http1.1", "--cacert", &ca, "--resolve", &resolve, &https], "GET /a 0 1.1"),
        ("TLS 1.2", vec!["--tls-max", "1.2", "--http2", "--cacert", &ca, "--resolve", &resolve, &https], "GET /a 0 2"),
    ] {
        let all = [&["-sS", "--max-time", "20", "-w", " %{http_version}"][..], &arguments].concat();
        let (output, text) = run("curl", &all).await;
        assert_eq!(text, expected, "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nghttp_and_h2load_find_nothing_wrong() {
    if !installed("nghttp", "nghttp2-client") || !installed("h2load", "nghttp2-client") {
        return;
    }
    let (world, _shop, _authority) = world("nghttp").await;
    let http = format!("http://{}/a", world.address());
    let (output, text) = run("nghttp", &["-v", "-t", "20", &http]).await;
    assert!(output.status.success() && text.contains(":status: 200") && text.contains("GET /a 0"), "{text}");
    let https = format!("https://{}/a", world.gateway.tls_addr().unwrap());
    for arguments in [
        &["-n", "2000", "-c", "8", "-m", "20", &http][..],
        &["-n", "2000", "-c", "8", "--h1", &http],
        &["-n", "1000", "-c", "8", "-m", "20", &https],
    ] {
        let (_, text) = run("h2load", arguments).await;
        let told = text.lines().find(|line| line.starts_with("requests:")).unwrap_or_default();
        assert!(told.contains(" 0 failed, 0 errored, 0 timeout"), "{arguments:?}: {text}");
    }
    assert_eq!(world.metric("connections_cut_total{reason=\"flood\"}"), 0.0);
}
