//! A real redis-server, to compare with. Where none is installed, that is said, and the comparison is left out.

use std::{
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A redis-server process without files, killed at the end.
pub(crate) struct RedisServer {
    process: Child,
    pub(crate) address: SocketAddr,
    /// Major and minor.
    pub(crate) version: (u32, u32),
}

impl RedisServer {
    /// Starts one, if it is installed.
    pub(crate) fn start() -> Option<Self> {
        let Some(version) = version() else {
            eprintln!("SKIPPED: no redis-server in the path, so nothing was compared with it (Debian: redis-server)");
            return None;
        };
        // Between our giving the port back and redis-server's taking it somebody else may: then another one is tried.
        (0..5).find_map(|_| Self::try_start(version))
    }

    fn try_start(version: (u32, u32)) -> Option<Self> {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let process = Command::new("redis-server")
            .args(["--port", &address.port().to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--daemonize", "no"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self { process, address, version };
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).is_err() {
            if server.process.try_wait().unwrap().is_some() {
                return None;
            }
            assert!(Instant::now() < deadline, "redis-server does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(server)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `Redis server v=7.0.15 sha=…`
fn version() -> Option<(u32, u32)> {
    let output = Command::new("redis-server").arg("--version").output().ok()?;
    let line = BufReader::new(&output.stdout[..]).lines().next()?.ok()?;
    let mut numbers = line.split("v=").nth(1)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}
