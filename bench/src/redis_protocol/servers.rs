//! The two servers: started in directories of their own, on free ports, stopped by their own process ids.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::tools::{self, Pins};

/// How long a server may take to start, and to stop.
const PATIENCE: Duration = Duration::from_secs(10);
/// A port that was free a moment ago may be taken; as often another one is tried.
const PORTS_TRIED: usize = 3;

/// A running server; dropped, it is stopped and its directory removed.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) addr: SocketAddr,
    // In the order of dropping: the process, then its files.
    process: Process,
    _dir: Scratch,
}

impl Server {
    pub(crate) fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// This binary, serving a store.
    pub(crate) fn atoll(binary: &Path, pins: Option<Pins>) -> anyhow::Result<Self> {
        let dir = Scratch::make("atoll")?;
        let mut command = tools::on_core(pins.map(|pins| pins.server), binary.as_os_str());
        command.arg("serve-redis-protocol").arg("--dir").arg(dir.0.join("state"));
        let child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("cannot start Atoll's side")?;
        let mut process = Process(child);
        let said = process.0.stdout.take().context("Atoll's side has no stdout")?;
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line).context("Atoll's side does not tell its address")?;
        let addr = line.trim().parse().context("Atoll's side ended before it served; its reason is above")?;
        Ok(Self { name: "Atoll", addr, process, _dir: dir })
    }

    /// redis-server with the durability that Atoll has: AOF, synced each second, and no snapshots.
    pub(crate) fn redis(pins: Option<Pins>) -> anyhow::Result<Self> {
        let dir = Scratch::make("redis")?;
        let log_path = dir.0.join("redis.log");
        for _ in 0..PORTS_TRIED {
            let addr = free_address()?;
            let log = File::create(&log_path).with_context(|| format!("cannot write {}", log_path.display()))?;
            let mut command = tools::on_core(pins.map(|pins| pins.server), OsStr::new("redis-server"));
            command.args(["--bind", &addr.ip().to_string(), "--port", &addr.port().to_string()]);
            command.args(["--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--daemonize", "no"]);
            command.arg("--dir").arg(&dir.0);
            command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
            let mut process = Process(command.spawn().context("cannot start redis-server")?);
            if process.serves_as_redis(addr)? {
                return Ok(Self { name: "redis-server", addr, process, _dir: dir });
            }
        }
        let log = fs::read_to_string(&log_path).unwrap_or_default();
        bail!("redis-server does not start; its log ends: {}", log.lines().last().unwrap_or_default())
    }
}

/// A child that is never left behind.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    /// Waits until the child itself, nobody else, serves at the address. False: it has ended.
    fn serves_as_redis(&mut self, addr: SocketAddr) -> anyhow::Result<bool> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.0.try_wait()?.is_some() {
                return Ok(false);
            }
            if redis_pid(addr).is_some_and(|pid| pid == self.0.id()) {
                return Ok(true);
            }
            thread::sleep(Duration::from_millis(20));
        }
        bail!("redis-server does not serve at {addr} within {PATIENCE:?}")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Atoll's side ends with its stdin, redis-server when asked to.
        if self.0.stdin.take().is_none() {
            let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        }
        if !matches!(tools::wait(&mut self.0, PATIENCE), Ok(Some(_))) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// The process id that whoever listens there gives in `INFO`.
fn redis_pid(addr: SocketAddr) -> Option<u32> {
    let mut stream = TcpStream::connect_timeout(&addr, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    stream.write_all(b"INFO server\r\nQUIT\r\n").ok()?;
    let mut said = Vec::new();
    stream.take(64 << 10).read_to_end(&mut said).ok()?;
    parse_pid(&String::from_utf8_lossy(&said))
}

fn parse_pid(info: &str) -> Option<u32> {
    info.lines().find_map(|line| line.strip_prefix("process_id:"))?.trim().parse().ok()
}

fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?)
}

/// A directory that goes with its owner.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn make(name: &str) -> anyhow::Result<Self> {
        let dir = std::env::temp_dir().join(format!("atoll-bench-{}-{name}", std::process::id()));
        fs::create_dir(&dir).with_context(|| format!("cannot make {}; is TMPDIR right?", dir.display()))?;
        Ok(Self(dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_id_is_read_from_info() {
        assert_eq!(
            parse_pid("$99\r\n# Server\r\nredis_version:7.0.15\r\nprocess_id:4242\r\ntcp_port:1\r\n"),
            Some(4242)
        );
        assert_eq!(parse_pid("-NOAUTH Authentication required.\r\n"), None);
    }

    #[test]
    fn a_scratch_directory_goes_with_its_owner() {
        let dir = Scratch::make("test").unwrap();
        let path = dir.0.clone();
        fs::write(path.join("file"), "x").unwrap();
        drop(dir);
        assert!(!path.exists());
    }
}
