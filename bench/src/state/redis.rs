//! The little of the Redis protocol that a bench needs to write to a region and to look at it: SETs by the batch, one GET.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, bail};

/// How long a region may take to answer before that is an error.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest value that is read.
const LONGEST: usize = 1 << 20;

/// A connection to a region's Redis port.
pub(super) struct Redis {
    stream: BufReader<TcpStream>,
    /// Commands that are not sent yet, and how many.
    batch: Vec<u8>,
    commands: usize,
}

impl Redis {
    pub(super) fn connect(at: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(at).with_context(|| format!("cannot connect to {at}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::new(stream), batch: Vec::new(), commands: 0 })
    }

    fn push(&mut self, args: &[&[u8]]) {
        self.batch.extend_from_slice(format!("*{}\r\n", args.len()).as_bytes());
        for arg in args {
            self.batch.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
            self.batch.extend_from_slice(arg);
            self.batch.extend_from_slice(b"\r\n");
        }
        self.commands += 1;
    }

    /// Adds a SET to the batch.
    pub(super) fn set(&mut self, key: &str, value: &[u8]) {
        self.push(&[b"SET", key.as_bytes(), value]);
    }

    /// Sends the batch and waits until all of it is acknowledged.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        for _ in 0..self.send()? {
            let line = self.line()?;
            if line != "+OK" {
                bail!("a region answered a SET with {line}");
            }
        }
        Ok(())
    }

    /// What a key says, if it is there.
    pub(super) fn get(&mut self, key: &str) -> anyhow::Result<Option<String>> {
        self.push(&[b"GET", key.as_bytes()]);
        self.send()?;
        let head = self.line()?;
        let length: i64 = head.strip_prefix('$').and_then(|n| n.parse().ok()).context("not a bulk string")?;
        let Ok(length) = usize::try_from(length) else { return Ok(None) };
        if length > LONGEST {
            bail!("a region answered a GET with {length} bytes");
        }
        let mut text = vec![0; length + 2];
        self.stream.read_exact(&mut text)?;
        text.truncate(length);
        Ok(Some(String::from_utf8(text)?))
    }

    fn send(&mut self) -> anyhow::Result<usize> {
        self.stream.get_mut().write_all(&self.batch)?;
        self.batch.clear();
        Ok(std::mem::take(&mut self.commands))
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            bail!("a region closed the connection");
        }
        Ok(line.trim_end().to_owned())
    }
}
