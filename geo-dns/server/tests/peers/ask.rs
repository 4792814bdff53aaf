//! A question, and an answer as it is compared.

use std::{
    collections::BTreeSet,
    fmt,
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query},
    rr::{Name, RData, Record, RecordType},
};

/// What is asked, over UDP, by a resolver that takes 1232 bytes.
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
        let wire = model::name_wire(&self.name).unwrap_or_else(|error| panic!("{}: {error}", self.name));
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
        write!(f, "{} {}", self.name, self.rtype)
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
        let mut reply = Self {
            rcode: message.metadata.response_code.to_string(),
            authoritative: message.metadata.authoritative,
            truncated: message.metadata.truncation,
            answer: section(&message.answers),
            authority: section(&message.authorities),
            additional: section(&message.additionals),
        };
        if reply.truncated {
            // What of it came along is no matter: the resolver asks again over TCP.
            for section in [&mut reply.answer, &mut reply.authority, &mut reply.additional] {
                section.clear();
            }
        }
        reply
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
        if buffer.get(..2) == Some(&id.to_be_bytes()) {
            let message = Message::from_vec(buffer.get(..length)?);
            return Some(Reply::of(
                &message.unwrap_or_else(|error| panic!("{ask}: an answer that cannot be read: {error}")),
            ));
        }
    }
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
