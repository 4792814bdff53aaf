//! A question, and an answer as it is compared.

use std::{
    collections::BTreeSet,
    fmt,
    io::{Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    time::{Duration, Instant},
};

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query},
    rr::{Name, RData, Record, RecordType},
};

/// What is asked, over UDP, by a resolver that takes 1232 bytes, and over TCP if that is not enough.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ask {
    /// Presentation form, with its last dot.
    pub(crate) name: String,
    pub(crate) rtype: RecordType,
}

impl Ask {
    pub(crate) fn new(name: &str, rtype: RecordType) -> Self {
        Self { name: name.to_owned(), rtype }
    }

    fn packet(&self, id: u16) -> Vec<u8> {
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        let mut wire = model::name_wire(&self.name).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        if self.rtype == RecordType::MX || self.rtype == RecordType::TXT {
            // The case of names means nothing. Lengths of labels lie below all letters.
            wire.make_ascii_uppercase();
        }
        let (mut labels, mut rest) = (Vec::new(), &wire[..]);
        while let Some((&length, after)) = rest.split_first().filter(|(length, _)| **length > 0) {
            labels.push(&after[..usize::from(length)]);
            rest = &after[usize::from(length)..];
        }
        message.add_query(Query::query(Name::from_labels(labels).unwrap(), self.rtype));
        let mut edns = Edns::new();
        edns.set_max_payload(1232);
        message.edns = Some(edns);
        message.to_vec().unwrap()
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} TYPE{}", self.name, u16::from(self.rtype))
    }
}

/// A record as text, its parts apart for the rules about differences.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Line {
    pub(crate) owner: String,
    pub(crate) rtype: RecordType,
    pub(crate) ttl: u32,
    pub(crate) data: String,
}

/// What is compared: sections are sets, names lower case; the SOA's serial is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) rcode: String,
    pub(crate) authoritative: bool,
    pub(crate) truncated: bool,
    pub(crate) answer: BTreeSet<Line>,
    pub(crate) authority: BTreeSet<Line>,
    pub(crate) additional: BTreeSet<Line>,
}

impl Reply {
    fn of(message: &Message) -> Self {
        let section = |records: &[Record]| records.iter().map(line).collect();
        Self {
            rcode: message.metadata.response_code.to_string(),
            authoritative: message.metadata.authoritative,
            truncated: message.metadata.truncation,
            answer: section(&message.answers),
            authority: section(&message.authorities),
            additional: section(&message.additionals),
        }
    }
}

impl Reply {
    /// In which parts two answers differ: for messages, which show a few of each kind.
    pub(crate) fn kind_of_difference(&self, other: &Self) -> String {
        let mut kind = String::new();
        let mut note = |differs: bool, what: &str| kind += if differs { what } else { "" };
        note(self.rcode != other.rcode, " rcode");
        note(self.authoritative != other.authoritative, " aa");
        note(self.truncated != other.truncated, " tc");
        for (name, ours, theirs) in [
            ("answer", &self.answer, &other.answer),
            ("authority", &self.authority, &other.authority),
            ("additional", &self.additional, &other.additional),
        ] {
            let types = |of: &BTreeSet<Line>, sign| {
                let types: BTreeSet<u16> = of.iter().map(|line| line.rtype.into()).collect();
                types.into_iter().map(|number| format!(" {sign}{number}")).collect::<String>()
            };
            let (only_ours, only_theirs) = (ours - theirs, theirs - ours);
            if ours != theirs {
                kind += &format!(" {name}{}{}", types(&only_ours, '-'), types(&only_theirs, '+'));
            }
        }
        kind
    }

    /// Equal to no answer of ours.
    fn unreadable(error: &str) -> Self {
        let nothing = BTreeSet::new;
        let rcode = format!("(cannot be read: {error})");
        let (answer, authority, additional) = (nothing(), nothing(), nothing());
        Self { rcode, authoritative: false, truncated: false, answer, authority, additional }
    }
}

fn line(record: &Record) -> Line {
    let rtype = record.record_type();
    let data = match &record.data {
        RData::SOA(soa) => {
            format!("{} {} {} {} {} {}", soa.mname, soa.rname, soa.refresh, soa.retry, soa.expire, soa.minimum)
        }
        data => data.to_string(),
    };
    // The case of names means nothing; that of texts does.
    let data = match rtype {
        RecordType::TXT | RecordType::CAA | RecordType::HINFO | RecordType::NAPTR => data,
        _ => data.to_ascii_lowercase(),
    };
    Line { owner: record.name.to_ascii().to_ascii_lowercase(), rtype, ttl: record.ttl, data }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flag = |set: bool, text| if set { text } else { "" };
        write!(f, "{}{}{}", self.rcode, flag(self.authoritative, " aa"), flag(self.truncated, " tc"))?;
        for (mark, section) in [("=", &self.answer), ("!", &self.authority), ("+", &self.additional)] {
            for Line { owner, rtype, ttl, data } in section {
                write!(f, "\n      {mark} {owner} {ttl} {rtype} {data}")?;
            }
        }
        Ok(())
    }
}

/// Asks a server once; none if it does not answer in time.
pub(crate) fn ask(server: SocketAddr, ask: &Ask, patience: Duration) -> Option<Reply> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(patience)).unwrap();
    exchange(&socket, ask, 1)
}

fn exchange(socket: &UdpSocket, ask: &Ask, id: u16) -> Option<Reply> {
    socket.send(&ask.packet(id)).ok()?;
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer).ok()?;
        if buffer.get(..2) != Some(&id.to_be_bytes()) {
            continue;
        }
        let reply = read(buffer.get(..length)?);
        if !reply.truncated {
            return Some(reply);
        }
        // What came along of it is no matter; that it did not fit is.
        return Some(Reply { truncated: true, ..over_tcp(socket.peer_addr().ok()?, &ask.packet(id)) });
    }
}

fn read(packet: &[u8]) -> Reply {
    match Message::from_vec(packet) {
        Ok(message) => Reply::of(&message),
        Err(error) => Reply::unreadable(&error.to_string()),
    }
}

fn over_tcp(server: SocketAddr, query: &[u8]) -> Reply {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(&[&(query.len() as u16).to_be_bytes(), query].concat()).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut packet = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut packet).unwrap();
    read(&packet)
}

/// Asks a server all of it, one after another. What the network loses is asked again.
pub(crate) fn ask_all(server: SocketAddr, asks: &[Ask]) -> Vec<Reply> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let one = |(number, ask): (usize, &Ask)| {
        let start = Instant::now();
        loop {
            if let Some(reply) = exchange(&socket, ask, number as u16) {
                return reply;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "{server} does not answer {ask}");
        }
    };
    asks.iter().enumerate().map(one).collect()
}
