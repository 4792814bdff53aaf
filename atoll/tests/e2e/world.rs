//! A world of `atoll up` under test: started on loopback addresses of its own, stopped with all its processes.

use std::{
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        atomic::{AtomicU8, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use serde_json::Value;

/// Longest wait for anything that should happen at once.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// The binary: the one that `cargo xtask test` built for release, or the one beside this test.
pub(crate) fn binary() -> PathBuf {
    match std::env::var_os("ATOLL_BIN") {
        Some(path) => Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path),
        None => env!("CARGO_BIN_EXE_atoll").into(),
    }
}

/// A directory that goes when it is dropped.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("atoll-e2e-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("kept for a look: {}", self.0.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// The second byte of 127.x: one that nobody listens on.
pub(crate) fn free_net() -> u8 {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    for _ in 0..200 {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let net = (std::process::id() % 199) as u8 % 199 + 1;
        let net = (net.wrapping_add(step)).clamp(1, 250);
        let free = |port| std::net::TcpListener::bind((Ipv4Addr::new(127, net, 1, 1), port)).is_ok();
        if free(8080) && free(6379) && free(9700) {
            return net;
        }
    }
    panic!("no free loopback network");
}

/// One region of the ready line.
#[derive(Debug, Clone)]
pub(crate) struct Region {
    pub(crate) name: String,
    pub(crate) pid: u32,
    pub(crate) gateway: SocketAddr,
    pub(crate) redis: SocketAddr,
    pub(crate) dns: SocketAddr,
}

/// A running world.
pub(crate) struct Up {
    pub(crate) data: PathBuf,
    pub(crate) regions: Vec<Region>,
    pub(crate) ready_after: Duration,
    child: Child,
}

impl Up {
    /// Starts a world and waits until it is ready.
    pub(crate) fn start(data: &Path, args: &[&str]) -> Self {
        match Self::try_start(data, args) {
            Ok(up) => up,
            Err(error) => panic!("{error}"),
        }
    }

    /// Starts a world; if it ends before it is ready, gives what it said.
    pub(crate) fn try_start(data: &Path, args: &[&str]) -> Result<Self, String> {
        let start = Instant::now();
        let log = std::fs::File::create(data.with_extension("up.log")).unwrap();
        let mut child = Command::new(binary())
            .arg("up")
            .args(args)
            .arg("--json")
            .arg("--data")
            .arg(data)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the binary starts");
        let stdout = child.stdout.take().unwrap();
        let (lines, ready) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = lines.send(line);
            }
        });
        let said = || std::fs::read_to_string(data.with_extension("up.log")).unwrap_or_default();
        loop {
            let Ok(line) = ready.recv_timeout(Duration::from_secs(90)) else {
                let _ = child.kill();
                let _ = child.wait();
                return Err(said());
            };
            let event: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("not JSON ({e}): {line}"));
            if event["event"] == "ready" {
                let regions = event["regions"].as_array().unwrap().iter().map(region).collect();
                return Ok(Self { data: data.to_owned(), regions, ready_after: start.elapsed(), child });
            }
        }
    }

    pub(crate) fn region(&self, name: &str) -> &Region {
        self.regions.iter().find(|region| region.name == name).unwrap_or_else(|| panic!("no region {name}"))
    }

    /// Runs a verb against this world.
    pub(crate) fn atoll(&self, args: &[&str]) -> Output {
        Command::new(binary()).args(args).arg("--data").arg(&self.data).output().expect("the binary runs")
    }

    /// Runs a verb that must succeed and gives what it printed.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.atoll(args);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "{args:?}: {}\n{}{}",
            output.status,
            text(&output.stdout),
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    /// A verb's `--json` answer, whatever its exit code.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let output = self.atoll(&[args, &["--json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!("{args:?} gave no JSON ({error}): {}{}", text(&output.stdout), text(&output.stderr))
        })
    }

    /// The status, once some member answers.
    pub(crate) fn status(&self) -> Value {
        self.json(&["status"])
    }

    pub(crate) fn pids(&self) -> Vec<u32> {
        let children =
            std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.child.id())).unwrap_or_default();
        let mut pids: Vec<u32> = children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
        let workers: Vec<u32> = pids.iter().flat_map(|pid| children_of(*pid)).collect();
        pids.extend(workers);
        pids.push(self.child.id());
        pids
    }

    pub(crate) fn parent(&self) -> u32 {
        self.child.id()
    }

    /// Ctrl-C, and the wait for the end. Gives the exit code.
    pub(crate) fn stop(mut self) -> i32 {
        self.interrupt()
    }

    fn interrupt(&mut self) -> i32 {
        signal(self.child.id(), "INT");
        let deadline = Instant::now() + SOON;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            if Instant::now() > deadline {
                let _ = self.child.kill();
                panic!("the world did not stop in {SOON:?}");
            }
            pause();
        }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            signal(self.child.id(), "INT");
            let deadline = Instant::now() + SOON;
            while matches!(self.child.try_wait(), Ok(None)) {
                if Instant::now() > deadline {
                    let _ = self.child.kill();
                }
                pause();
            }
        }
    }
}

fn region(value: &Value) -> Region {
    let text = |key: &str| value[key].as_str().unwrap_or_else(|| panic!("{key} in {value}")).to_owned();
    Region {
        name: text("name"),
        pid: u32::try_from(value["pid"].as_u64().unwrap()).unwrap(),
        gateway: text("gateway").parse().unwrap(),
        redis: text("redis").parse().unwrap(),
        dns: text("dns").parse().unwrap(),
    }
}

pub(crate) fn children_of(pid: u32) -> Vec<u32> {
    let mut children = Vec::new();
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return children };
    for task in tasks.filter_map(Result::ok) {
        let text = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        children.extend(text.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    children
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn signal(pid: u32, signal: &str) {
    let _ = Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).stderr(Stdio::null()).status();
}

pub(crate) fn alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// The pause between two looks at a condition.
pub(crate) fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

/// Waits until a condition holds; panics with its name if it does not in time.
pub(crate) fn until(what: &str, within: Duration, mut condition: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < within, "not within {within:?}: {what}");
        pause();
    }
    start.elapsed()
}
