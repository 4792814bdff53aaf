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

/// A server that answers every path with its environment, and ends at once on SIGTERM. Its status is `STATUS`, or 503 while there
/// is a file at `UNWELL`. Bare sockets, since Python takes long to load its own HTTP server. No single quotes: shells quote it.
pub(crate) const SERVER: &str = r#"
import os, socket
server = socket.create_server((os.environ["HOST"], int(os.environ["PORT"])), backlog=64)
while True:
    client = server.accept()[0]
    try:
        client.recv(4096)
        status = 503 if os.path.exists(os.environ.get("UNWELL", "")) else os.environ.get("STATUS", 200)
        body = "\n".join(f"{k}={v}" for k, v in os.environ.items())
        client.sendall(f"HTTP/1.1 {status} X\r\nconnection: close\r\n\r\n{body}".encode())
        client.close()
    except OSError:
        pass
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

/// Waits until the first worker has a problem that is told with all these words. It may be that of a later life: on a slow
/// machine the first one may have been too slow to say anything.
pub(crate) async fn problem(app: &App, words: &[&str]) -> String {
    let problem = || app.status().workers.first().and_then(|worker| worker.problem.clone()).unwrap_or_default();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let told = problem();
        if words.iter().all(|word| told.contains(word)) {
            return told;
        }
        assert!(Instant::now() < deadline, "{words:?} is not told: {told}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
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
