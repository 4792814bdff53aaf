//! A client that writes without end, and remembers what was acknowledged to it.

use std::{
    collections::BTreeSet,
    io::{Error, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::wire::command;

/// Commands sent before their replies are read: a kill falls between any two of them.
const BATCH: usize = 12;

/// Between two batches: the machine must also have time to start processes.
const PAUSE: Duration = Duration::from_millis(2);

/// What one client wrote, and what it knows of it.
pub(crate) struct Ledger {
    /// Ends every key of this client.
    pub(crate) owner: String,
    random: u64,
    /// The number of the next write.
    next: u64,
    /// The last number that was acknowledged, and the last that was sent.
    pub(crate) acked: u64,
    pub(crate) sent: u64,
    /// Increments acknowledged, and sent without an answer.
    pub(crate) counted: u64,
    pub(crate) uncertain: u64,
    /// Members whose last write was acknowledged, by what it was; members of uncertain state are in neither.
    pub(crate) added: BTreeSet<u64>,
    pub(crate) removed: BTreeSet<u64>,
}

/// One write under way.
enum Sent {
    Set(u64),
    Incr,
    Add(u64),
    Remove(u64),
    /// Both keys of it change, or none.
    Both,
}

impl Ledger {
    pub(crate) fn new(owner: String, seed: u64) -> Self {
        let (added, removed) = (BTreeSet::new(), BTreeSet::new());
        Self { owner, random: seed | 1, next: 1, acked: 0, sent: 0, counted: 0, uncertain: 0, added, removed }
    }

    fn luck(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    /// Writes until the connection ends.
    pub(crate) fn write_on(&mut self, stream: &mut TcpStream, stop: &dyn Fn() -> bool) -> std::io::Result<()> {
        while !stop() {
            let mut batch = Vec::new();
            let mut bytes = Vec::new();
            for _ in 0..BATCH {
                let (sent, words) = self.choose();
                for words in words {
                    let words: Vec<&str> = words.split(' ').collect();
                    bytes.extend(command(&words));
                }
                self.note_sent(&sent);
                batch.push(sent);
            }
            stream.write_all(&bytes)?;
            for sent in batch {
                // The reply to EXEC is the last of four.
                let replies = if matches!(sent, Sent::Both) { 4 } else { 1 };
                for _ in 0..replies {
                    read_reply(stream)?;
                }
                self.note_acked(&sent);
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn choose(&mut self) -> (Sent, Vec<String>) {
        let (number, owner) = (self.next, self.owner.clone());
        self.next += 1;
        let old = self.added.iter().next().copied().filter(|_| self.added.len() > 20);
        match self.luck(8) {
            0 | 1 => (Sent::Set(number), vec![format!("SET last:{owner} {number}")]),
            2 | 3 => (Sent::Incr, vec![format!("INCR count:{owner}")]),
            4 => {
                let (a, b) = (format!("{{pair:{owner}}}a"), format!("{{pair:{owner}}}b"));
                let words =
                    ["MULTI".to_owned(), format!("SET {a} {number}"), format!("SET {b} {number}"), "EXEC".into()];
                (Sent::Both, words.to_vec())
            }
            5 if old.is_some() => {
                let member = old.unwrap();
                (Sent::Remove(member), vec![format!("SREM members:{owner} {member}")])
            }
            _ => (Sent::Add(number), vec![format!("SADD members:{owner} {number}")]),
        }
    }

    fn note_sent(&mut self, sent: &Sent) {
        match sent {
            Sent::Set(number) => self.sent = *number,
            Sent::Incr => self.uncertain += 1,
            Sent::Remove(member) => drop(self.added.remove(member)),
            Sent::Add(_) | Sent::Both => {}
        }
    }

    fn note_acked(&mut self, sent: &Sent) {
        match sent {
            Sent::Set(number) => self.acked = *number,
            Sent::Incr => (self.uncertain, self.counted) = (self.uncertain - 1, self.counted + 1),
            Sent::Add(member) => drop(self.added.insert(*member)),
            Sent::Remove(member) => drop(self.removed.insert(*member)),
            Sent::Both => {}
        }
    }

    /// Whether a region still has what was acknowledged: everything that can be told of it, or what is wrong.
    pub(crate) fn check(&self, address: SocketAddr) -> Result<(), String> {
        let owner = &self.owner;
        let mut stream = connect(address).map_err(|error| error.to_string())?;
        let mut ask = |text: String| {
            let words: Vec<&str> = text.split(' ').collect();
            stream.write_all(&command(&words)).and_then(|()| read_reply(&mut stream)).map_err(|error| error.to_string())
        };
        let number = |reply: &[u8]| String::from_utf8_lossy(reply).parse::<u64>().unwrap_or(0);
        let last = number(&ask(format!("GET last:{owner}"))?[0]);
        if !(self.acked..=self.sent).contains(&last) {
            return Err(format!("last:{owner} is {last}; {} was acknowledged, {} was sent", self.acked, self.sent));
        }
        let counted = number(&ask(format!("GET count:{owner}"))?[0]);
        if !(self.counted..=self.counted + self.uncertain).contains(&counted) {
            let Self { counted: acked, uncertain, .. } = self;
            return Err(format!("count:{owner} is {counted}; {acked} were acknowledged, {uncertain} more were sent"));
        }
        let members: BTreeSet<u64> = ask(format!("SMEMBERS members:{owner}"))?.iter().map(|m| number(m)).collect();
        if let Some(lost) = self.added.difference(&members).next() {
            return Err(format!("members:{owner} has lost {lost}"));
        }
        if let Some(back) = self.removed.intersection(&members).next() {
            return Err(format!("members:{owner} has {back} again, which was removed"));
        }
        let both = [ask(format!("GET {{pair:{owner}}}a"))?, ask(format!("GET {{pair:{owner}}}b"))?];
        if both[0] != both[1] {
            return Err(format!("half of a transaction: {both:?}"));
        }
        Ok(())
    }
}

pub(crate) fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.set_write_timeout(Some(Duration::from_secs(30)))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The leaves of one reply; an error is an error.
fn read_reply(stream: &mut TcpStream) -> std::io::Result<Vec<Vec<u8>>> {
    let line = read_line(stream)?;
    let length = || std::str::from_utf8(&line[1..]).ok().and_then(|text| text.parse::<usize>().ok());
    match line[0] {
        b'-' => Err(Error::other(String::from_utf8_lossy(&line).into_owned())),
        b'$' => {
            let mut bytes = vec![0; length().map_or(0, |length| length + 2)];
            stream.read_exact(&mut bytes)?;
            bytes.truncate(bytes.len().saturating_sub(2));
            Ok(vec![bytes])
        }
        b'*' => {
            let mut leaves = Vec::new();
            for _ in 0..length().unwrap_or(0) {
                leaves.extend(read_reply(stream)?);
            }
            Ok(leaves)
        }
        _ => Ok(vec![line[1..].to_vec()]),
    }
}

fn read_line(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\r\n") {
        if stream.read(&mut byte)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        line.push(byte[0]);
    }
    line.truncate(line.len() - 2);
    Ok(line)
}
