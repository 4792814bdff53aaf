//! The upstream and the proxies before it: each in a directory of its own, on a free port, stopped by its own process id.
//!
//! All of them keep connections for ever as far as they can be told to, write no log of requests, and tell the upstream who asks.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use serde::Serialize;

use super::Body;
use crate::{
    redis_protocol::{Process, Scratch},
    tools::{self, Pins},
};

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(20);
/// A port that was free a moment ago may be taken; as often another one is tried.
const PORTS_TRIED: usize = 3;
/// Connections beside those that are idle.
const SPARE: u32 = 512;

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) enum Kind {
    #[serde(rename = "nginx")]
    Nginx,
    #[serde(rename = "HAProxy")]
    HaProxy,
    Atoll,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Nginx, Self::HaProxy, Self::Atoll];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::HaProxy => "HAProxy",
            Self::Atoll => "Atoll",
        }
    }
}

/// Who gives the answers.
pub(super) enum Upstream {
    /// nginx, on the generator's core.
    Nginx { server: Server, room: u32 },
    /// A program that is there already.
    At { addr: SocketAddr, pid: u32 },
}

impl Upstream {
    /// nginx on the generator's core. It and the proxies have room for so many connections that do nothing.
    pub(super) fn start(idle: u32, pins: Option<Pins>) -> anyhow::Result<Self> {
        let room = room(idle);
        let server = Server::nginx("upstream", Place::of(pins.map(|pins| pins.load)), &upstream_locations(), room)?;
        Ok(Self::Nginx { server, room })
    }

    pub(super) fn addr(&self) -> SocketAddr {
        match self {
            Self::Nginx { server, .. } => server.addr,
            Self::At { addr, .. } => *addr,
        }
    }

    pub(super) fn pid(&self) -> u32 {
        match self {
            Self::Nginx { server, .. } => server.pid,
            Self::At { pid, .. } => *pid,
        }
    }

    /// Connections that each server has room for.
    fn room(&self) -> u32 {
        match self {
            Self::Nginx { room, .. } => *room,
            Self::At { .. } => SPARE,
        }
    }
}

/// Where a server runs.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    Anywhere,
    Core(usize),
    /// Before everything else that wants that core.
    FirstOn(usize),
}

impl Place {
    fn of(core: Option<usize>) -> Self {
        core.map_or(Self::Anywhere, Self::Core)
    }

    fn command(self, program: &OsStr) -> Command {
        match self {
            Self::Anywhere => tools::on_core(None, program),
            Self::Core(core) => tools::on_core(Some(core), program),
            Self::FirstOn(core) => tools::first_on_core(core, program),
        }
    }
}

/// A running server; dropped, it is stopped and its directory removed.
pub(super) struct Server {
    addr: SocketAddr,
    /// The process that does the work.
    pid: u32,
    // In the order of dropping: the process, then its files.
    _process: Process,
    _dir: Option<Scratch>,
}

impl Server {
    /// A proxy before the upstream, on the servers' core.
    pub(super) fn proxy(kind: Kind, upstream: &Upstream, pins: Option<Pins>) -> anyhow::Result<Self> {
        Self::proxy_in(kind, upstream, Place::of(pins.map(|pins| pins.server)))
    }

    /// A proxy before the upstream.
    pub(super) fn proxy_in(kind: Kind, upstream: &Upstream, place: Place) -> anyhow::Result<Self> {
        match kind {
            Kind::Nginx => Self::nginx("nginx", place, &nginx_proxy(upstream.addr()), upstream.room()),
            Kind::HaProxy => Self::haproxy(place, upstream),
            Kind::Atoll => Self::atoll(place, upstream),
        }
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// This program, serving one gateway; its first line is its address.
    fn atoll(place: Place, upstream: &Upstream) -> anyhow::Result<Self> {
        let binary = std::env::current_exe().context("cannot find this binary")?;
        let mut command = place.command(binary.as_os_str());
        command.args(["serve-proxy", "--upstream", &upstream.addr().to_string()]);
        command.args(["--max-connections", &upstream.room().to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process(command.spawn().context("cannot start Atoll's side")?);
        let said = process.0.stdout.take().context("Atoll's side has no stdout")?;
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line).context("Atoll's side does not tell its address")?;
        let addr = line.trim().parse().context("Atoll's side ended before it served; its reason is above")?;
        let pid = process.0.id();
        answers(addr, Body::Small).context("Atoll's side does not answer")?;
        Ok(Self { addr, pid, _process: process, _dir: None })
    }

    fn nginx(name: &'static str, place: Place, http: &str, room: u32) -> anyhow::Result<Self> {
        let args = |dir: &Path| vec!["-p".into(), dir.into(), "-c".into(), dir.join("config").into()];
        let mut server = Self::peer(name, "nginx", place, |addr| nginx_config(addr, http, room), args)?;
        // The master does nothing but watch its worker.
        server.pid = only_child(server.pid)?;
        Ok(server)
    }

    fn haproxy(place: Place, upstream: &Upstream) -> anyhow::Result<Self> {
        let args = |dir: &Path| vec!["-db".into(), "-f".into(), dir.join("config").into()];
        Self::peer("haproxy", "haproxy", place, |addr| haproxy_config(addr, upstream.addr(), upstream.room()), args)
    }

    fn peer(
        name: &'static str,
        program: &str,
        place: Place,
        config: impl Fn(SocketAddr) -> String,
        args: impl Fn(&Path) -> Vec<OsString>,
    ) -> anyhow::Result<Self> {
        let dir = Scratch::make(name)?;
        let log_path = dir.path().join("log");
        for _ in 0..PORTS_TRIED {
            let addr = free_address()?;
            fs::write(dir.path().join("config"), config(addr)).with_context(|| format!("cannot configure {name}"))?;
            let log = File::create(&log_path).with_context(|| format!("cannot write {}", log_path.display()))?;
            // Debian keeps both programs where only root looks for them.
            let sbin = Path::new("/usr/sbin").join(program);
            let program = if sbin.is_file() { sbin.as_os_str() } else { OsStr::new(program) };
            let mut command = place.command(program);
            command.args(args(dir.path())).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
            let mut process = Process(command.spawn().with_context(|| format!("cannot start {name}"))?);
            let deadline = Instant::now() + PATIENCE;
            while process.0.try_wait()?.is_none() && Instant::now() < deadline {
                if answers(addr, Body::Small).is_ok() {
                    let pid = process.0.id();
                    return Ok(Self { addr, pid, _process: process, _dir: Some(dir) });
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
        let log = fs::read_to_string(&log_path).unwrap_or_default();
        bail!("{name} does not serve; its log ends: {}", log.lines().last().unwrap_or_default())
    }
}

/// Connections that a server has room for, of which so many do nothing.
pub(super) fn room(idle: u32) -> u32 {
    idle + SPARE
}

/// What both nginx have in common. `nginx_proxy` or `upstream_locations` come into it.
fn nginx_config(listen: SocketAddr, http: &str, room: u32) -> String {
    let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|what| format!("{what}_temp_path temp-{what};\n"))
        .collect();
    format!(
        "worker_processes 1;\ndaemon off;\npid pid;\nerror_log stderr warn;\nworker_rlimit_nofile {files};\n\
         events {{ worker_connections {files}; }}\n\
         http {{\naccess_log off;\nkeepalive_requests 1000000000;\nkeepalive_timeout 600s;\n{temp}{http}}}\n",
        files = 2 * room,
    )
    .replace("LISTEN", &listen.to_string())
}

fn upstream_locations() -> String {
    let locations: String = Body::ALL
        .iter()
        .map(|body| format!("location = {} {{ return 200 \"{}\"; }}\n", body.path(), "x".repeat(body.bytes())))
        .collect();
    format!("server {{\nlisten LISTEN;\n{locations}}}\n")
}

fn nginx_proxy(upstream: SocketAddr) -> String {
    format!(
        "upstream app {{ server {upstream}; keepalive 128; keepalive_requests 1000000000; keepalive_timeout 600s; }}\n\
         server {{\nlisten LISTEN;\nlocation / {{\nproxy_pass http://app;\nproxy_http_version 1.1;\n\
         proxy_set_header Connection \"\";\nproxy_set_header Host $host;\n\
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n}}\n}}\n"
    )
}

fn haproxy_config(listen: SocketAddr, upstream: SocketAddr, room: u32) -> String {
    format!(
        "global\n  nbthread 1\n  maxconn {room}\n\
         defaults\n  mode http\n  option forwardfor\n  http-reuse always\n\
         \x20 timeout connect 5s\n  timeout client 600s\n  timeout server 600s\n  timeout http-keep-alive 600s\n\
         frontend users\n  bind {listen}\n  default_backend app\n\
         backend app\n  server upstream {upstream}\n"
    )
}

/// What `nginx -v` and `haproxy -v` say of themselves.
pub(super) fn version(kind: Kind) -> anyhow::Result<String> {
    let program = kind.as_str().to_lowercase();
    let sbin = Path::new("/usr/sbin").join(&program);
    let program = if sbin.is_file() { sbin.into_os_string() } else { program.into() };
    let output = Command::new(&program).arg("-v").output().with_context(|| format!("cannot run {program:?}"))?;
    let said = [output.stdout, output.stderr].concat();
    Ok(version_number(&String::from_utf8_lossy(&said)).to_owned())
}

/// `nginx version: nginx/1.22.1`, or `HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/`.
fn version_number(said: &str) -> &str {
    let mut words = said.split([' ', '/', '-', '+', '\n']);
    words.find(|word| word.starts_with(|c: char| c.is_ascii_digit())).unwrap_or("unknown version")
}

/// The one process that another one has started.
fn only_child(pid: u32) -> anyhow::Result<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    match text.split_ascii_whitespace().collect::<Vec<_>>()[..] {
        [child] => child.parse().with_context(|| format!("{path}: {text:?}")),
        _ => bail!("{path} names not one child: {text:?}"),
    }
}

fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on 127.0.0.1")?;
    Ok(listener.local_addr()?)
}

/// Whether the server there gives the answer that the upstream gives.
fn answers(addr: SocketAddr, body: Body) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect_timeout(&addr, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(format!("GET {} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n", body.path()).as_bytes())?;
    let mut said = Vec::new();
    stream.take(64 << 10).read_to_end(&mut said)?;
    let said = String::from_utf8_lossy(&said);
    let (head, got) = said.split_once("\r\n\r\n").context("it is not HTTP")?;
    if !head.starts_with("HTTP/1.1 200 ") || got.len() != body.bytes() {
        bail!("it answers {:?} with {} bytes", head.lines().next().unwrap_or_default(), got.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers() {
        assert_eq!(version_number("nginx version: nginx/1.22.1\n"), "1.22.1");
        assert_eq!(version_number("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/\n"), "2.6.12");
        assert_eq!(version_number("no idea"), "unknown version");
    }

    #[test]
    fn each_configuration_names_both_addresses() {
        let (listen, upstream) = (([127, 0, 0, 1], 1234).into(), ([127, 0, 0, 1], 5678).into());
        for config in [nginx_config(listen, &nginx_proxy(upstream), 9), haproxy_config(listen, upstream, 9)] {
            assert!(config.contains("127.0.0.1:1234") && config.contains("127.0.0.1:5678"), "{config}");
        }
        let config = nginx_config(listen, &upstream_locations(), 9);
        assert!(config.contains(&"x".repeat(1024)) && !config.contains("LISTEN"), "{config}");
    }
}
