//! The probes of RFC 8906, and packets that nobody should send, over UDP and TCP: each gets the answer that the RFCs want, the
//! same over both, and the server answers the next question.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
};

use hickory_proto::{op::Message, rr::rdata::opt::EdnsCode};

use super::{plan, serve};
use crate::world::SOON;

const RD: u16 = 0x0100;
const AD: u16 = 0x0020;
const CD: u16 = 0x0010;
/// The bit of the header that nobody has given a meaning.
const Z: u16 = 0x0040;
const DO: u32 = 0x8000;
/// A flag of EDNS that nobody has given a meaning.
const UNKNOWN_FLAG: u32 = 0x0080;

const A: u16 = 1;
const SOA: u16 = 6;

/// A packet in the making: header, question `name type IN`, what comes after it.
struct Probe {
    flags: u16,
    counts: [u16; 4],
    question: Vec<u8>,
    rest: Vec<u8>,
}

fn query(name: &str, rtype: u16) -> Probe {
    let mut question = Vec::new();
    for label in name.split('.') {
        question.push(label.len() as u8);
        question.extend(label.bytes());
    }
    question.push(0);
    question.extend(rtype.to_be_bytes());
    question.extend([0, 1]);
    Probe { flags: 0, counts: [1, 0, 0, 0], question, rest: Vec::new() }
}

fn soa() -> Probe {
    query("shop.test", SOA)
}

impl Probe {
    fn flags(mut self, flags: u16) -> Self {
        self.flags |= flags;
        self
    }

    fn opcode(self, opcode: u16) -> Self {
        self.flags(opcode << 11)
    }

    fn counts(mut self, counts: [u16; 4]) -> Self {
        self.counts = counts;
        self
    }

    /// Other bytes in the place of the question.
    fn asking(mut self, question: &[u8]) -> Self {
        self.question = question.to_vec();
        self
    }

    fn opt(mut self, version: u32, flags: u32, options: &[u8]) -> Self {
        self.counts[3] += 1;
        self.rest.extend([0, 0, 41, 0x04, 0xd0]);
        self.rest.extend((version << 16 | flags).to_be_bytes());
        self.rest.extend((options.len() as u16).to_be_bytes());
        self.rest.extend(options);
        self
    }

    fn packet(&self) -> Vec<u8> {
        let mut packet = vec![0xab, 0xcd];
        packet.extend([self.flags].into_iter().chain(self.counts).flat_map(u16::to_be_bytes));
        packet.extend(&self.question);
        packet.extend(&self.rest);
        packet
    }
}

fn option(code: u16, data: &[u8]) -> Vec<u8> {
    [&code.to_be_bytes(), &(data.len() as u16).to_be_bytes(), data].concat()
}

/// An answer in one line: rcode, opcode if it is not QUERY, flags, numbers of records, EDNS.
fn line(packet: &[u8]) -> String {
    let message = Message::from_vec(packet).unwrap_or_else(|error| panic!("{error}: {packet:?}"));
    let flags = u16::from_be_bytes([packet[2], packet[3]]);
    assert_eq!(packet[..2], [0xab, 0xcd]);
    assert_eq!(flags & 0x8000, 0x8000, "it is a response");
    let mut text = match u16::from(message.metadata.response_code) {
        0 => "NOERROR".to_owned(),
        1 => "FORMERR".to_owned(),
        3 => "NXDOMAIN".to_owned(),
        4 => "NOTIMP".to_owned(),
        5 => "REFUSED".to_owned(),
        16 => "BADVERS".to_owned(),
        other => format!("rcode {other}"),
    };
    if flags >> 11 & 15 != 0 {
        text += &format!(" opcode={}", flags >> 11 & 15);
    }
    for (name, bit) in [("aa", 0x0400), ("tc", 0x0200), ("rd", RD), ("ra", 0x0080), ("z", Z), ("ad", AD), ("cd", CD)] {
        text += &if flags & bit != 0 { format!(" {name}") } else { String::new() };
    }
    if !message.answers.is_empty() {
        text += &format!(" {}", message.answers[0].record_type());
    }
    text += if message.authorities.is_empty() { "" } else { " nodata" };
    if let Some(edns) = &message.edns {
        text += &format!(" edns{}", edns.version());
        text += if edns.flags().dnssec_ok { " do" } else { "" };
        text += if edns.flags().z != 0 { " unknown-flag" } else { "" };
        for (code, name) in [
            (EdnsCode::NSID, "nsid"),
            (EdnsCode::Subnet, "ecs"),
            (EdnsCode::Cookie, "cookie"),
            (EdnsCode::Unknown(9), "expire"),
        ] {
            text += &if edns.option(code).is_some() { format!(" {name}") } else { String::new() };
        }
    }
    text
}

fn over_udp(server: SocketAddr, packet: &[u8]) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket.send_to(packet, server).unwrap();
    // What is sent behind it is answered after it, so that silence need not be waited for.
    let mut known = query("www.shop.test", A).packet();
    known[..2].copy_from_slice(&[0x77, 0x77]);
    socket.send_to(&known, server).unwrap();
    let mut buffer = [0; 4096];
    let mut said = "silence".to_owned();
    loop {
        let length = socket.recv(&mut buffer).expect("the server still answers");
        if buffer[..2] == [0x77, 0x77] {
            return said;
        }
        said = line(&buffer[..length]);
    }
}

fn over_tcp(server: SocketAddr, packet: &[u8]) -> String {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(&[&(packet.len() as u16).to_be_bytes(), packet].concat()).unwrap();
    let mut length = [0; 2];
    match stream.read_exact(&mut length) {
        Ok(()) => {
            let mut answer = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut answer).unwrap();
            line(&answer)
        }
        // Closed, or reset.
        Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => "silence".to_owned(),
        Err(error) => panic!("{error}"),
    }
}

/// The probes: what it is, the packet, the answer.
fn probes() -> Vec<(&'static str, Probe, &'static str)> {
    let options =
        [option(3, b""), option(9, b""), option(10, b"12345678"), option(8, &[0, 1, 24, 0, 5, 1, 2])].concat();
    vec![
        // RFC 8906, 8.1.
        ("a plain query", soa(), "NOERROR aa SOA"),
        ("an unknown type", query("shop.test", 1000), "NOERROR aa nodata"),
        ("CD", soa().flags(CD), "NOERROR aa cd SOA"),
        ("AD", soa().flags(AD), "NOERROR aa SOA"),
        ("the reserved bit", soa().flags(Z), "NOERROR aa SOA"),
        ("RD", soa().flags(RD), "NOERROR aa rd SOA"),
        ("AA, TC and RA in a query", soa().flags(0x0680), "NOERROR aa SOA"),
        ("an rcode in a query", soa().flags(5), "NOERROR aa SOA"),
        ("an unknown opcode, header alone", soa().opcode(15).asking(&[]).counts([0; 4]), "NOTIMP opcode=15"),
        ("an unknown opcode", soa().opcode(15), "NOTIMP opcode=15"),
        ("the opcode of inverse queries", soa().opcode(1), "NOTIMP opcode=1"),
        ("a NOTIFY", soa().opcode(4), "NOTIMP opcode=4"),
        ("an UPDATE", soa().opcode(5), "NOTIMP opcode=5"),
        // RFC 8906, 8.2.
        ("EDNS 0", soa().opt(0, 0, &[]), "NOERROR aa SOA edns0"),
        ("EDNS 1", soa().opt(1, 0, &[]), "BADVERS edns0"),
        ("EDNS 255", soa().opt(255, 0, &[]), "BADVERS edns0"),
        ("an unknown option", soa().opt(0, 0, &option(100, b"x")), "NOERROR aa SOA edns0"),
        ("an unknown flag of EDNS", soa().opt(0, UNKNOWN_FLAG, &[]), "NOERROR aa SOA edns0"),
        ("EDNS 1 with an unknown flag", soa().opt(1, UNKNOWN_FLAG, &[]), "BADVERS edns0"),
        ("EDNS 1 with an unknown option", soa().opt(1, 0, &option(100, b"x")), "BADVERS edns0"),
        ("EDNS 1 with what is no option", soa().opt(1, 0, b"\0"), "BADVERS edns0"),
        ("DO", soa().opt(0, DO, &[]), "NOERROR aa SOA edns0 do"),
        ("EDNS 1 with DO", soa().opt(1, DO, &[]), "BADVERS edns0 do"),
        ("several known options", soa().opt(0, 0, &options), "NOERROR aa SOA edns0 nsid ecs"),
        ("EDNS with an unknown type", query("shop.test", 1000).opt(0, 0, &[]), "NOERROR aa nodata edns0"),
        ("EDNS at a name that is not", query("no.shop.test", A).opt(0, 0, &[]), "NXDOMAIN aa nodata edns0"),
        ("EDNS at a name of others", query("example.com", A).opt(0, DO, &[]), "REFUSED edns0 do"),
        // What nobody should send.
        ("no question", soa().asking(&[]).counts([0; 4]), "FORMERR"),
        ("no question, but EDNS", soa().asking(&[]).counts([0; 4]).opt(0, 0, &[]), "FORMERR"),
        ("65535 questions", soa().counts([65535, 0, 0, 0]), "FORMERR"),
        ("two questions", soa().counts([2, 0, 0, 0]), "FORMERR"),
        ("65535 answers", soa().counts([1, 65535, 0, 0]), "FORMERR"),
        ("65535 authorities", soa().counts([1, 0, 65535, 0]), "FORMERR"),
        ("65535 additional records", soa().counts([1, 0, 0, 65535]), "FORMERR"),
        ("all counts at their greatest", soa().counts([65535; 4]), "FORMERR"),
        ("a name that points to itself", soa().asking(b"\xc0\x0c\0\x01\0\x01"), "FORMERR"),
        ("a name that points to the header", soa().asking(b"\x03www\xc0\0\0\x01\0\x01"), "FORMERR"),
        ("two names that point to each other", soa().asking(b"\xc0\x0e\xc0\x0c\0\x01\0\x01"), "FORMERR"),
        ("a name of 64 bytes a label", soa().asking(&[64; 70]), "FORMERR"),
        ("a name without an end", soa().asking(b"\x03www"), "FORMERR"),
        ("a question without a type", soa().asking(b"\x03www\0"), "FORMERR"),
        ("two OPT records", soa().opt(0, 0, &[]).opt(0, 0, &[]), "FORMERR edns0"),
        ("an option longer than its record", soa().opt(0, 0, &[0, 10, 0, 9, 1]), "FORMERR edns0"),
        ("a header alone", soa().asking(&[]), "FORMERR"),
        ("a response", soa().flags(0x8000), "silence"),
        ("a response that is an error", soa().flags(0x8001), "silence"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_probe_gets_its_answer_over_both_transports() {
    let stage = serve(&plan(1, &[]));
    let server = stage.server.local_addr();
    for (what, probe, want) in probes() {
        let packet = probe.packet();
        assert_eq!(over_udp(server, &packet), want, "{what} over UDP");
        assert_eq!(over_tcp(server, &packet), want, "{what} over TCP");
    }
    for length in 0..12 {
        let packet = &soa().packet()[..length];
        assert_eq!(over_udp(server, packet), "silence", "{length} bytes");
        assert_eq!(over_tcp(server, packet), "silence", "{length} bytes");
    }
}

/// RFC 8906, 8.2 and RFC 7766: what does not fit is truncated over UDP, with EDNS if there was some, and whole over TCP.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_long_is_truncated_over_udp_alone() {
    let stage = serve(&plan(1, &[]));
    let server = stage.server.local_addr();
    for (probe, udp, tcp) in [
        (query("big.types.test", 16), "NOERROR aa tc", "NOERROR aa TXT"),
        (query("big.types.test", 16).opt(0, DO, &[]), "NOERROR aa tc edns0 do", "NOERROR aa TXT edns0 do"),
    ] {
        assert_eq!(over_udp(server, &probe.packet()), udp);
        assert_eq!(over_tcp(server, &probe.packet()), tcp);
    }
}
