//! The servers: each in a directory of its own, on a free port, with one thread for UDP, stopped by its own process id.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, UdpSocket},
    path::Path,
    process::{ChildStdout, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

use super::{load::Target, names, packets::packet};
use crate::{
    redis_protocol::{Process, Scratch},
    tools::{self, Pins},
};

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running server; dropped, it is stopped and its directory removed.
pub(super) struct Server {
    name: &'static str,
    addr: SocketAddr,
    // In the order of dropping: the process, then its files.
    process: Process,
    /// What it says, if it is one of ours.
    said: Option<BufReader<ChildStdout>>,
    _dir: Option<Scratch>,
}

impl Server {
    pub(super) fn target(&self) -> Target {
        Target { name: self.name, addr: self.addr, pid: self.process.0.id() }
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Tells it something, if it is one of ours.
    pub(super) fn tell(&mut self, what: impl std::fmt::Display) -> anyhow::Result<()> {
        let stdin = self.process.0.stdin.as_mut().context("it listens to nobody")?;
        writeln!(stdin, "{what}").with_context(|| format!("{} does not listen any more", self.name))
    }

    /// The next line that it says.
    pub(super) fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.said.as_mut().context("it says nothing")?.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    /// This program, serving what the arguments say; its first line is its address.
    pub(super) fn own(name: &'static str, args: &[&OsStr], core: Option<usize>) -> anyhow::Result<Self> {
        let binary = std::env::current_exe().context("cannot find this binary")?;
        let mut command = tools::on_core(core, binary.as_os_str());
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process(command.spawn().with_context(|| format!("cannot start {name}"))?);
        let said = process.0.stdout.take().map(BufReader::new);
        let addr = SocketAddr::from(([0; 4], 0));
        let mut server = Self { name, addr, process, said, _dir: None };
        let addr = server.line()?.parse();
        server.addr = addr.with_context(|| format!("{name} ended before it served; its reason is above"))?;
        Ok(server)
    }

    pub(super) fn gdnsd(pins: Option<Pins>) -> anyhow::Result<Self> {
        let (dir, addr) = (Scratch::make("gdnsd")?, free_address()?);
        write(dir.path(), &["run", "state", "zones"], &names::for_gdnsd(dir.path(), addr.port()))?;
        let args = ["-c".into(), dir.path().into(), "start".into()];
        Self::peer("gdnsd", &args, addr, dir, pins)
    }

    pub(super) fn knot(pins: Option<Pins>) -> anyhow::Result<Self> {
        let (dir, addr) = (Scratch::make("knot")?, free_address()?);
        write(dir.path(), &["run", "db"], &names::for_knot(dir.path(), addr.port()))?;
        let args = ["-c".into(), dir.path().join("knot.conf").into()];
        Self::peer("knotd", &args, addr, dir, pins)
    }

    fn peer(
        name: &'static str,
        args: &[OsString],
        addr: SocketAddr,
        dir: Scratch,
        pins: Option<Pins>,
    ) -> anyhow::Result<Self> {
        let log = File::create(dir.path().join("log")).context("cannot write the log")?;
        let mut command = tools::on_core(pins.map(|pins| pins.server), OsStr::new(name));
        command.args(args).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut process = Process(command.spawn().with_context(|| format!("cannot start {name}"))?);
        let deadline = Instant::now() + PATIENCE;
        while process.0.try_wait()?.is_none() && Instant::now() < deadline {
            if answers(addr, Duration::from_millis(100)) {
                return Ok(Self { name, addr, process, said: None, _dir: Some(dir) });
            }
            thread::sleep(Duration::from_millis(20));
        }
        let log = fs::read_to_string(dir.path().join("log")).unwrap_or_default();
        bail!("{name} does not serve at {addr}; its log ends: {}", log.lines().last().unwrap_or_default())
    }
}

fn write(dir: &Path, folders: &[&str], files: &[(&str, String)]) -> anyhow::Result<()> {
    for folder in folders {
        fs::create_dir(dir.join(folder)).with_context(|| format!("cannot make {folder} in {}", dir.display()))?;
    }
    for (name, text) in files {
        fs::write(dir.join(name), text).with_context(|| format!("cannot write {name} in {}", dir.display()))?;
    }
    Ok(())
}

/// A port that is free for UDP and TCP at this moment.
pub(super) fn free_address() -> anyhow::Result<SocketAddr> {
    for _ in 0..16 {
        let addr = UdpSocket::bind("127.0.0.1:0").context("no free port on 127.0.0.1")?.local_addr()?;
        if std::net::TcpListener::bind(addr).is_ok() {
            return Ok(addr);
        }
    }
    bail!("no port of 127.0.0.1 is free for both UDP and TCP")
}

/// Whether the name `s0` is answered there within that time.
pub(super) fn answers(addr: SocketAddr, within: Duration) -> bool {
    let ask = || -> std::io::Result<bool> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(addr)?;
        socket.set_read_timeout(Some(within))?;
        socket.send(&packet("s0", None))?;
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer)?;
        // NOERROR, and a record.
        Ok(length > 12 && answer[3] & 0xf == 0 && answer[7] == 1)
    };
    ask().unwrap_or(false)
}
