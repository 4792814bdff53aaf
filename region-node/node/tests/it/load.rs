//! Load from outside: `wrk` and `h2load`, and how many requests they say have failed.

use std::{
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{process::Command, task::JoinHandle};

use crate::house::PATIENCE;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Generator {
    /// `wrk`: HTTP/1.1, 16 connections, counts errors of sockets and answers other than 2xx and 3xx.
    Wrk,
    /// `h2load` with HTTP/2 without TLS: 4 connections of 4 streams each.
    H2,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Count {
    pub(crate) requests: u64,
    pub(crate) failed: u64,
}

/// Load that goes on until it is asked to end, and has made enough requests.
pub(crate) struct Load {
    enough: Arc<AtomicBool>,
    task: JoinHandle<Count>,
}

/// How many requests a claim of no failures is made of, at least.
const REQUESTS: u64 = 10_000;

/// Whether the generators are here; if not, the test is left out.
pub(crate) fn has_generators() -> bool {
    let has = |program: &str| {
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|dir| dir.join(program).is_file())
    };
    let both = has("wrk") && has("h2load");
    if !both {
        eprintln!("left out: wrk and h2load are not here; `cargo xtask test` installs them");
    }
    both
}

impl Load {
    pub(crate) fn start(generator: Generator, url: &str) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let (until, url) = (Arc::clone(&enough), url.to_owned());
        let task = tokio::spawn(async move {
            let mut all = Count::default();
            while all.requests < REQUESTS || !until.load(Ordering::Relaxed) {
                let count = one_go(generator, &url).await;
                all = Count { requests: all.requests + count.requests, failed: all.failed + count.failed };
            }
            all
        });
        Self { enough, task }
    }

    /// Waits until enough was asked, and asserts that nothing of it failed.
    #[track_caller]
    pub(crate) fn ends_well(self) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            self.enough.store(true, Ordering::Relaxed);
            let Count { requests, failed } = self.task.await.unwrap();
            assert!(failed == 0, "{place}: {failed} of {requests} requests failed");
        }
    }
}

/// Two seconds of load, or 2000 requests.
async fn one_go(generator: Generator, url: &str) -> Count {
    let args: &[&str] = match generator {
        Generator::Wrk => &["wrk", "-t1", "-c16", "-d2s", "--timeout", "20s"],
        Generator::H2 => &["h2load", "-t1", "-c4", "-m4", "-n2000"],
    };
    let mut command = Command::new(args[0]);
    command.args(&args[1..]).arg(url).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(2 * PATIENCE, command.output()).await.expect("a generator that ends").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let count = match generator {
        Generator::Wrk => read_wrk(&said),
        Generator::H2 => read_h2load(&said),
    };
    let count = count.unwrap_or_else(|| panic!("{command:?}: {said}\n{}", String::from_utf8_lossy(&output.stderr)));
    if count.failed > 0 {
        eprintln!("{said}");
    }
    count
}

fn read_wrk(said: &str) -> Option<Count> {
    let lines = || said.lines().map(str::trim);
    let requests = lines().find_map(|line| line.split_once(" requests in ")?.0.parse().ok())?;
    let bad = lines().find_map(|line| line.strip_prefix("Non-2xx or 3xx responses:")?.trim().parse().ok());
    let sockets: u64 = lines()
        .find_map(|line| line.strip_prefix("Socket errors:"))
        .into_iter()
        .flat_map(|line| line.split(", "))
        .filter_map(|part| part.rsplit_once(' ')?.1.parse::<u64>().ok())
        .sum();
    Some(Count { requests, failed: bad.unwrap_or(0) + sockets })
}

/// `requests: 2000 total, 2000 started, 2000 done, 1999 succeeded, 1 failed, 0 errored, 0 timeout`
fn read_h2load(said: &str) -> Option<Count> {
    let line = said.lines().find_map(|line| line.strip_prefix("requests: "))?;
    let of = |what: &str| {
        let part = line.split(", ").find_map(|part| part.strip_suffix(what)?.strip_suffix(' '))?;
        part.parse::<u64>().ok()
    };
    let (total, succeeded) = (of("total")?, of("succeeded")?);
    Some(Count { requests: total, failed: total - succeeded })
}

#[test]
fn what_the_generators_say_is_read() {
    let wrk = "  54321 requests in 2.00s, 8.00MB read\n";
    assert_eq!(read_wrk(wrk), Some(Count { requests: 54_321, failed: 0 }));
    let more = "  Socket errors: connect 1, read 2, write 0, timeout 4\n  Non-2xx or 3xx responses: 3\n";
    assert_eq!(read_wrk(&format!("{wrk}{more}")), Some(Count { requests: 54_321, failed: 10 }));
    assert_eq!(read_wrk("unable to connect"), None);
    let h2load = "requests: 2000 total, 2000 started, 2000 done, 1990 succeeded, 10 failed, 4 errored, 0 timeout\nstatus codes: …\n";
    assert_eq!(read_h2load(h2load), Some(Count { requests: 2000, failed: 10 }));
    assert_eq!(read_h2load("nothing"), None);
}
