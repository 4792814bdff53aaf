//! Unchanged apps behave through the gateway as they do without it: a client talks to the worker itself and then to the gateway, and
//! what it tells of both talks must be the same. `tests/apps/clients/talk.js` says what it leaves out.

use std::{
    process::{Output, Stdio},
    sync::OnceLock,
};

use supervisor::{AppSpec, Ready};

use crate::house::{self, House, PATIENCE, Ways, app};

/// Whether a program ends well in the directory of the apps; if not, why the test is left out.
fn has(command: &str, args: &[&str]) -> bool {
    let mut command = std::process::Command::new(command);
    let status = command.args(args).current_dir(house::apps()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let has = status.is_ok_and(|status| status.success());
    if !has {
        eprintln!("left out: {command:?} does not work here; `cargo xtask test` installs what it needs");
    }
    has
}

pub(crate) fn has_node() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| has("node", &["-e", "require('express'); require('socket.io'); require('@grpc/grpc-js')"]))
}

fn has_python() -> bool {
    has("python3", &["-c", "import uvicorn, starlette, websockets"])
}

/// What a client said.
async fn talk(client: &[&str], url: &str, more: &str) -> (String, String) {
    let mut command = tokio::process::Command::new(client[0]);
    command.args(&client[1..]).args([url, more]).current_dir(house::apps()).kill_on_drop(true);
    let output = tokio::time::timeout(2 * PATIENCE, command.output()).await.expect("a client that ends").unwrap();
    let Output { status, stdout, stderr } = output;
    let (said, complaints) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{client:?} at {url}: {status}\n{said}\n{complaints}");
    (said.into_owned(), complaints.into_owned())
}

/// Both talks; gives what the second client said beside.
async fn check(house: &House, client: &[&str]) -> String {
    let (straight, _) = talk(client, &house.worker_url(0), "first-visit").await;
    let (through, beside) = talk(client, &house.url(), "second-visit").await;
    let mut differ = Vec::new();
    let (mut a, mut b) = (straight.lines(), through.lines());
    loop {
        match (a.next(), b.next()) {
            (None, None) => break,
            (a, b) if a == b => {}
            (a, b) => differ.push(format!("  straight: {}\n   through: {}", a.unwrap_or("–"), b.unwrap_or("–"))),
        }
    }
    assert!(differ.is_empty(), "{client:?}: what users meet differs:\n{}", differ.join("\n"));
    assert!(straight.lines().count() > 3, "the client said nothing:\n{straight}");
    beside
}

fn node(script: &str) -> AppSpec {
    app(&["node", script])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn express_with_sessions_uploads_downloads_and_events() {
    if has_node() {
        let house = House::open(node("express.js"), Ways::default()).await;
        check(&house, &["node", "clients/express.js"]).await;
    }
}

/// Its port is written down in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fastify_with_schemas_etags_and_a_stream() {
    if has_node() {
        let house = House::open(node("fastify.js"), Ways::default()).await;
        check(&house, &["node", "clients/fastify.js"]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_react_streams_from_the_server() {
    if has_node() {
        let house = House::open(node("react.js"), Ways::default()).await;
        check(&house, &["node", "clients/react.js"]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grpc_service_with_streams_metadata_and_statuses() {
    if has_node() {
        let spec = AppSpec { ready: Ready::Tcp, health_path: None, ..node("grpc.js") };
        let house = House::open(spec, Ways { h2c: true, ..Ways::default() }).await;
        check(&house, &["node", "clients/grpc.js"]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn socket_io_over_three_workers_by_polling_and_websocket() {
    if has_node() {
        let spec = AppSpec { instances: 3, ..node("socketio.js") };
        let house = House::open(spec, Ways { sticky: true, ..Ways::default() }).await;
        let beside = check(&house, &["node", "clients/socketio.js"]).await;
        assert!(beside.contains("workers 0 1 2"), "thirty chats and not all of three workers: {beside}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_python_app_under_uvicorn_with_a_stream_and_a_websocket() {
    if has_python() {
        let house = House::open(app(&["python3", "asgi.py"]), Ways::default()).await;
        check(&house, &["python3", "clients/asgi.py"]).await;
    }
}
