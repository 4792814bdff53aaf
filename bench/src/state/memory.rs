//! Resident memory per small key, in both servers.

use std::{
    env::current_exe,
    io::{Read, Write},
    net::TcpStream,
    thread,
    time::Duration,
};

use anyhow::{Context, ensure};

use super::{Bar, Figure};
use crate::{proc::resident_bytes, redis_protocol::Server};

/// Bytes of each key, and of each value.
const KEY_BYTES: usize = 16;
const VALUE_BYTES: usize = 16;
/// Commands sent before their replies are read.
const BATCH: u64 = 1000;
/// Until buffers have been given back and files synced.
const SETTLE: Duration = Duration::from_secs(3);

pub(super) fn measure(keys: u64) -> anyhow::Result<Vec<Figure>> {
    let atoll = per_key(&Server::atoll(&current_exe().context("cannot find this binary")?, None)?, keys)?;
    let redis = per_key(&Server::redis(None)?, keys)?;
    let what = |server: &str| format!("{server}: memory per key beyond key and value, {keys} keys");
    Ok(vec![
        Figure::new(what("Atoll"), atoll, "B", Some(Bar::AtMost(100.0))),
        Figure::new(what("redis-server"), redis, "B", None),
    ])
}

fn per_key(server: &Server, keys: u64) -> anyhow::Result<f64> {
    let mut stream = TcpStream::connect(server.addr)?;
    stream.set_nodelay(true)?;
    set_all(&mut stream, 0..BATCH)?;
    thread::sleep(SETTLE);
    let before = resident_bytes(server.pid())?;
    set_all(&mut stream, BATCH..BATCH + keys)?;
    thread::sleep(SETTLE);
    let grown = resident_bytes(server.pid())?.saturating_sub(before);
    Ok(grown as f64 / keys as f64 - (KEY_BYTES + VALUE_BYTES) as f64)
}

fn set_all(stream: &mut TcpStream, keys: std::ops::Range<u64>) -> anyhow::Result<()> {
    let mut replies = vec![0; "+OK\r\n".len() * BATCH as usize];
    for first in keys.clone().step_by(BATCH as usize) {
        let count = BATCH.min(keys.end - first);
        let mut bytes = Vec::new();
        for key in first..first + count {
            write!(
                bytes,
                "*3\r\n$3\r\nSET\r\n$16\r\nk:{key:014}\r\n$16\r\n{:016x}\r\n",
                key.wrapping_mul(0x9e37_79b9)
            )?;
        }
        stream.write_all(&bytes)?;
        let replies = &mut replies[..5 * count as usize];
        stream.read_exact(replies)?;
        ensure!(replies.chunks(5).all(|reply| reply == b"+OK\r\n"), "a SET was refused");
    }
    Ok(())
}
