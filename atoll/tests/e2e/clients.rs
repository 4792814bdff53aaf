//! The users of a world: `redis-cli`, `dig`, `curl`, and quick clients of our own where a figure is measured.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    process::Command,
    time::Duration,
};

use hickory_proto::{
    op::{Message, Query, ResponseCode},
    rr::{DNSClass, Name, RData, RecordType},
};

use crate::world::text;

/// `redis-cli` with these arguments; what it printed, without the last newline.
pub(crate) fn redis_cli(at: SocketAddr, args: &[&str]) -> String {
    let output = Command::new("redis-cli")
        .args(["-h", &at.ip().to_string(), "-p", &at.port().to_string()])
        .args(args)
        .output()
        .expect("redis-cli is installed");
    text(&output.stdout).trim_end().to_owned()
}

/// `dig +short`; the lines it printed.
pub(crate) fn dig(at: SocketAddr, args: &[&str]) -> Vec<String> {
    let output = Command::new("dig")
        .args([&format!("@{}", at.ip()), "-p", &at.port().to_string(), "+short", "+tries=2", "+time=2"])
        .args(args)
        .output()
        .expect("dig is installed");
    text(&output.stdout).lines().map(str::to_owned).collect()
}

/// One question over UDP: the response code and the addresses. `None` without an answer in a second.
pub(crate) fn ask(at: SocketAddr, name: &str) -> Option<(ResponseCode, Vec<String>)> {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    socket.connect(at).ok()?;
    let mut message = Message::query();
    message.metadata.id = 7;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    socket.send(&message.to_vec().unwrap()).ok()?;
    let mut buffer = [0; 2048];
    let size = socket.recv(&mut buffer).ok()?;
    let answer = Message::from_vec(&buffer[..size]).ok()?;
    let address = |record: &hickory_proto::rr::Record| match &record.data {
        RData::A(a) => Some(a.to_string()),
        _ => None,
    };
    Some((answer.metadata.response_code, answer.answers.iter().filter_map(address).collect()))
}

/// One question about the server itself, over UDP: the text of `NAME CH TXT`. `None` without an answer in a fifth of a second.
pub(crate) fn ask_itself(at: SocketAddr, name: &str) -> Option<String> {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    socket.connect(at).ok()?;
    let mut message = Message::query();
    let mut query = Query::query(Name::from_ascii(name).unwrap(), RecordType::TXT);
    query.set_query_class(DNSClass::CH);
    message.add_query(query);
    socket.send(&message.to_vec().unwrap()).ok()?;
    let mut buffer = [0; 2048];
    let size = socket.recv(&mut buffer).ok()?;
    let answer = Message::from_vec(&buffer[..size]).ok()?;
    answer.answers.first().map(|record| record.data.to_string())
}

/// One HTTP/1.1 request; status, head and body as they came.
pub(crate) fn get(at: SocketAddr, path: &str, headers: &str) -> Option<(u16, String, String)> {
    let mut stream = TcpStream::connect_timeout(&at, Duration::from_secs(2)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: shop.test\r\nconnection: close\r\n{headers}\r\n").ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let answer = text(&answer);
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    Some((status, head.to_ascii_lowercase(), body.to_owned()))
}

/// A quick client of the Redis port that keeps its connection.
pub(crate) struct Redis(redis::Connection);

impl Redis {
    pub(crate) fn to(at: SocketAddr) -> Self {
        Self::try_to(at).unwrap_or_else(|error| panic!("Redis port {at}: {error}"))
    }

    pub(crate) fn try_to(at: SocketAddr) -> redis::RedisResult<Self> {
        let client = redis::Client::open(format!("redis://{at}/"))?;
        let connection = client.get_connection_with_timeout(Duration::from_secs(2))?;
        connection.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok(Self(connection))
    }

    pub(crate) fn run<T: redis::FromRedisValue>(&mut self, command: &[&str]) -> redis::RedisResult<T> {
        redis::cmd(command[0]).arg(&command[1..]).query(&mut self.0)
    }
}
