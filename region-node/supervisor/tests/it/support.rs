//! The test world: apps written in `sh` and Python, and conditions to wait for.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use supervisor::{App, AppSpec, Progress, Timing, Wiring};

/// Long enough for a loaded machine; reached only by a failing test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A server that answers every path with its environment, and ends at once on SIGTERM.
pub(crate) const SERVER: &str = r#"
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = "\n".join(f"{k}={v}" for k, v in os.environ.items()).encode()
        self.send_response(int(os.environ.get("STATUS", "200")))
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
http.server.HTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"#;

pub(crate) fn app(command: &[&str]) -> AppSpec {
    AppSpec {
        region: "eu-west".to_owned(),
        redis_url: "redis://127.0.0.1:6379".to_owned(),
        timing: Timing { kill_timeout: Duration::from_secs(5), ..Timing::default() },
        ..AppSpec::new("shop", command.iter().map(|&word| word.to_owned()).collect())
    }
}

/// Starts an app that nobody sends requests to.
pub(crate) fn start(spec: AppSpec) -> App {
    supervisor::start(spec, Wiring::alone()).unwrap()
}

pub(crate) fn server() -> AppSpec {
    app(&["python3", "-c", SERVER])
}

/// Progress that nobody follows.
pub(crate) fn nobody() -> Progress {
    Arc::new(|_| {})
}

/// Waits until so many workers take requests.
pub(crate) async fn ready(app: &App, count: usize) {
    let workers = app.workers();
    let have = || workers.borrow().iter().filter(|worker| worker.takes_requests()).count();
    let deadline = Instant::now() + PATIENCE;
    while have() != count {
        assert!(Instant::now() < deadline, "{count} workers are not ready: {:#?}", app.status());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until the first worker has a problem that waits for its next start, and says it.
pub(crate) async fn problem(app: &App) -> String {
    let problem = || app.status().workers.first().and_then(|worker| worker.problem.clone());
    until("it says what is wrong", || problem().is_some_and(|told| told.contains("next start in"))).await;
    problem().unwrap_or_default()
}

pub(crate) fn pid(app: &App) -> u32 {
    app.status().workers[0].pid.unwrap()
}

pub(crate) fn kill(pid: u32) {
    kill_process(Pid::from_raw(pid.try_into().unwrap()).unwrap(), Signal::KILL).unwrap();
}

/// The whole answer of a server to a request for `/`.
pub(crate) fn get(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Waits until `done` says so.
pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Whether a process runs; a zombie does not.
pub(crate) fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // "pid (name) state …": the name may hold anything, so read from its end.
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z') && !rest.starts_with('X'))
}

/// A directory of this test alone, removed with it.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("atoll-supervisor-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
