//! What a proxy keeps of a connection that is open and does nothing, and what it takes when nobody is there.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{
    ALONE_BAR_MB, Body, Effort, IDLE_BAR_BYTES,
    report::Memory,
    servers::{self, Kind, Server, Upstream},
};
use crate::{proc::resident_bytes, stats::Spread, tools::Pins};

/// Connections before the count begins: pools and tables get their first size.
const WARM_UP: u32 = 64;
/// Descriptors for all else.
const SPARE: u64 = 256;

/// Each connection takes a descriptor here, and one or two in the servers, which inherit the limit.
pub(super) fn allow_descriptors(connections: u32) -> anyhow::Result<()> {
    let wanted = 2 * u64::from(servers::room(connections)) + SPARE;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    if maximum.is_some_and(|maximum| maximum < wanted) {
        bail!("this bench needs {wanted} open files (ulimit -Hn); give fewer --idle-connections");
    }
    let most = Rlimit { current: maximum.or(Some(wanted)), maximum };
    setrlimit(Resource::Nofile, most).context("raising the limit of open files")
}

/// Measures each proxy, freshly started in each run: memory that was used once is not given back.
pub(super) fn measure(upstream: &Upstream, effort: Effort, pins: Option<Pins>) -> anyhow::Result<Vec<Memory>> {
    let mut figures = Kind::ALL.map(|kind| (kind, Vec::new(), Vec::new()));
    for run in 0..effort.runs {
        eprintln!("idle connections: run {} of {}", run + 1, effort.runs);
        for (kind, alone, each) in &mut figures {
            let server = Server::proxy(*kind, upstream, pins)?;
            let name = kind.as_str();
            alone.push(resident_bytes(server.pid())? as f64 / 1e6);
            let _warm = open(&server, WARM_UP).with_context(|| name.to_owned())?;
            let before = resident_bytes(server.pid())?;
            let mut kept = open(&server, effort.idle_connections).with_context(|| name.to_owned())?;
            let grown = resident_bytes(server.pid())?.saturating_sub(before);
            each.push(grown as f64 / f64::from(effort.idle_connections));
            // Had the server closed them, it would be another figure.
            if let Some(last) = kept.first_mut() {
                ask(last).with_context(|| format!("{name} did not keep its oldest connection"))?;
            }
        }
    }
    let memory = |(kind, alone, each): (Kind, Vec<f64>, Vec<f64>)| {
        let (alone_mb, each_bytes) = (Spread::of(&alone)?, Spread::of(&each)?);
        let met = alone_mb.median <= ALONE_BAR_MB && each_bytes.median <= IDLE_BAR_BYTES;
        Some(Memory { proxy: kind, alone_mb, each_bytes, met: (kind == Kind::Atoll).then_some(met) })
    };
    Ok(figures.into_iter().filter_map(memory).collect())
}

/// Connections that have each been of use once.
fn open(server: &Server, count: u32) -> anyhow::Result<Vec<TcpStream>> {
    let mut connections = Vec::new();
    for i in 0..count {
        let mut stream =
            TcpStream::connect_timeout(&server.addr(), Duration::from_secs(5)).with_context(|| format!("the {i}th"))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        ask(&mut stream).with_context(|| format!("the {i}th"))?;
        connections.push(stream);
    }
    Ok(connections)
}

fn ask(stream: &mut TcpStream) -> anyhow::Result<()> {
    stream.write_all(format!("GET {} HTTP/1.1\r\nHost: bench\r\n\r\n", Body::Small.path()).as_bytes())?;
    let mut got = Vec::new();
    let mut piece = [0; 1024];
    while !super::offer::is_whole(&got)? {
        match stream.read(&mut piece)? {
            0 => bail!("closed before it answered"),
            count => got.extend_from_slice(&piece[..count]),
        }
    }
    Ok(())
}
