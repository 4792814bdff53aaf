//! HTTP/1.1: a client that sends any bytes, a worker that writes down what it was sent, the cases of `http1.txt` between them.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{PATIENCE, TestWorker, World, raw_worker};

#[derive(Debug, Default, Clone)]
struct Case {
    name: String,
    send: Vec<u8>,
    answer: Option<Vec<u8>>,
    eof: bool,
    statuses: Vec<u16>,
    keep: bool,
    worker: Vec<String>,
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for (number, line) in include_str!("http1.txt").lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        if key == "case" {
            cases.push(Case { name: format!("line {}: {value}", number + 1), ..Case::default() });
            continue;
        }
        let case = cases.last_mut().unwrap();
        match key {
            "send" => case.send.extend(bytes(value)),
            "answer" => case.answer = Some(bytes(value)),
            "eof" => case.eof = true,
            "worker" => case.worker.push(String::from_utf8(bytes(value)).unwrap()),
            "expect" => {
                let (statuses, end) = value.rsplit_once(' ').unwrap_or(("", value));
                case.statuses = statuses.split_whitespace().map(|status| status.parse().unwrap()).collect();
                case.keep = match end {
                    "keep" => true,
                    "close" => false,
                    other => panic!("line {}: {other}", number + 1),
                };
            }
            other => panic!("line {}: {other}", number + 1),
        }
    }
    cases
}

/// Escapes and `{what*times}`.
fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        rest = &rest[first.len_utf8()..];
        match first {
            '\\' => {
                let kind = rest.as_bytes()[0];
                rest = &rest[1..];
                out.push(match kind {
                    b'r' => b'\r',
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'0' => 0,
                    b'x' => {
                        let byte = u8::from_str_radix(&rest[..2], 16).unwrap();
                        rest = &rest[2..];
                        byte
                    }
                    other => other,
                });
            }
            '{' => {
                let (inner, after) = rest.split_once('}').unwrap();
                let (what, times) = inner.rsplit_once('*').unwrap();
                out.extend(bytes(what).repeat(times.parse().unwrap()));
                rest = after;
            }
            other => out.extend(other.to_string().as_bytes()),
        }
    }
    out
}

/// What the worker was sent, and what it says next.
#[derive(Default)]
struct Notes {
    seen: Mutex<Vec<String>>,
    answer: Mutex<Option<Vec<u8>>>,
    /// A head that could be read in two ways.
    ambiguous: AtomicBool,
}

/// A worker that fails fails the test.
struct Failure(Arc<Notes>);

impl Drop for Failure {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.ambiguous.store(true, Ordering::Relaxed);
        }
    }
}

async fn recording_worker(notes: Arc<Notes>) -> TestWorker {
    raw_worker(move |mut stream| {
        let notes = Arc::clone(&notes);
        async move {
            let _failure = Failure(Arc::clone(&notes));
            let mut buffer = Vec::new();
            while let Some(head) = read_until(&mut stream, &mut buffer, b"\r\n\r\n").await {
                let answer = notes.answer.lock().unwrap().take();
                let early = answer.as_ref().is_some_and(|answer| answer.starts_with(b"HTTP/1.1 413"));
                let line = if early {
                    unambiguous(&head);
                    Some("early".to_owned())
                } else {
                    request(&head, &mut stream, &mut buffer).await
                };
                let broken = line.is_none();
                let line = line.unwrap_or_else(|| "broken".to_owned());
                let is_head = line.starts_with("HEAD");
                let body = line.split(' ').take(2).collect::<Vec<_>>().join(" ");
                notes.seen.lock().unwrap().push(line);
                if broken {
                    return;
                }
                let answer = answer.unwrap_or_else(|| {
                    let shown = if is_head { "" } else { &body };
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{shown}", body.len()).into_bytes()
                });
                if stream.write_all(&answer).await.is_err() {
                    return;
                }
            }
        }
    })
    .await
}

/// Reads to a mark, which is taken too; `None` at the end of the connection.
async fn read_until(stream: &mut TcpStream, buffer: &mut Vec<u8>, mark: &[u8]) -> Option<Vec<u8>> {
    loop {
        if let Some(at) = buffer.windows(mark.len()).position(|window| window == mark) {
            let rest = buffer.split_off(at + mark.len());
            return Some(std::mem::replace(buffer, rest));
        }
        if stream.read_buf(buffer).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}

async fn read_exactly(stream: &mut TcpStream, buffer: &mut Vec<u8>, count: usize) -> Option<Vec<u8>> {
    while buffer.len() < count {
        if stream.read_buf(buffer).await.unwrap_or(0) == 0 {
            return None;
        }
    }
    let rest = buffer.split_off(count);
    Some(std::mem::replace(buffer, rest))
}

/// A worker's head must be such that no reader could read it in another way. Its fields in small letters.
fn unambiguous(head: &[u8]) -> (String, Vec<(String, String)>) {
    let shown = head.escape_ascii().to_string();
    let text: String = head.iter().map(|byte| char::from(*byte)).collect();
    let mut lines = text.strip_suffix("\r\n\r\n").unwrap().split("\r\n");
    let line = lines.next().unwrap().to_owned();
    assert_eq!(line.split(' ').count(), 3, "{shown}");
    assert!(line.ends_with(" HTTP/1.1") && line.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "{shown}");
    let mut fields = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("a line without a colon: {shown}"));
        assert!(
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)),
            "{shown}"
        );
        assert!(value.chars().all(|c| c >= ' ' && c != '\u{7f}'), "{shown}");
        fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let count = |wanted: &str| fields.iter().filter(|(name, _)| name == wanted).count();
    assert_eq!(count("host"), 1, "{shown}");
    assert!(count("content-length") + count("transfer-encoding") <= 1, "{shown}");
    assert!(fields.iter().all(|(name, value)| name != "transfer-encoding" || value == "chunked"), "{shown}");
    assert!(fields.iter().all(|(name, value)| name != "upgrade" || value == "websocket"), "{shown}");
    assert_eq!(count("te") + count("keep-alive") + count("proxy-connection"), 0, "{shown}");
    (line, fields)
}

/// Reads the body that belongs to a head; the request in a line, or `None` if it broke off.
async fn request(head: &[u8], stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<String> {
    let (line, fields) = unambiguous(head);
    let field = |wanted: &str| fields.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let mut body = Vec::new();
    if let Some(length) = field("content-length") {
        body = read_exactly(stream, buffer, length.parse().unwrap()).await?;
    } else if field("transfer-encoding").is_some() {
        loop {
            let size = read_until(stream, buffer, b"\r\n").await?;
            let size = std::str::from_utf8(&size).unwrap().trim_end();
            let size = usize::from_str_radix(size, 16).unwrap_or_else(|_| panic!("no plain chunk size: {size}"));
            if size == 0 {
                while read_until(stream, buffer, b"\r\n").await? != b"\r\n" {}
                break;
            }
            body.extend(read_exactly(stream, buffer, size).await?);
            assert_eq!(read_exactly(stream, buffer, 2).await?, b"\r\n");
        }
    }
    let (method, rest) = line.split_once(' ').unwrap();
    let target = rest.rsplit_once(' ').unwrap().0;
    let seen = format!("{method} {target} {} {}", field("host").unwrap(), String::from_utf8_lossy(&body));
    Some(seen.trim_end_matches(' ').to_owned())
}

/// One answer from the front of the bytes: its status and its body; `None` if it is not whole.
fn answer(bytes: &mut Vec<u8>, bodyless: bool) -> Option<(u16, Vec<u8>)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let status: u16 = head.strip_prefix("http/1.")?.get(2..5)?.parse().ok()?;
    let field = |name: &str| head.split("\r\n").find_map(|line| line.strip_prefix(name)).map(str::trim);
    let none = bodyless || status < 200 || status == 204 || status == 304;
    let length: usize = if none { 0 } else { field("content-length:").map_or(0, |length| length.parse().unwrap()) };
    assert!(none || field("transfer-encoding:").is_none(), "the worker never answers in chunks: {head}");
    if bytes.len() < end + length {
        return None;
    }
    let body = bytes[end..end + length].to_vec();
    bytes.drain(..end + length);
    Some((status, body))
}

const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nHost: next.test\r\n\r\n";

/// Tries a case; says what went otherwise than it should.
async fn play(case: &Case, gateway: SocketAddr) -> Result<(), String> {
    let mut client = TcpStream::connect(gateway).await.unwrap();
    // The gateway may hang up before it has read all.
    let _ = client.write_all(&case.send).await;
    if case.eof {
        let _ = client.shutdown().await;
    }
    let heads = case.send.starts_with(b"HEAD");
    let (mut bytes, mut got) = (Vec::new(), Vec::new());
    let wanted = case.statuses.len();
    let mut closed = false;
    let mut next_sent = false;
    loop {
        while let Some((status, body)) = answer(&mut bytes, heads && got.is_empty()) {
            got.push((status, body));
        }
        if case.keep && got.len() >= wanted && !next_sent {
            next_sent = true;
            let _ = client.write_all(NEXT).await;
        }
        if got.len() >= wanted + usize::from(case.keep) && case.keep || closed {
            break;
        }
        match timeout(PATIENCE, client.read_buf(&mut bytes)).await {
            Ok(Ok(0) | Err(_)) => closed = true,
            Ok(Ok(_)) => {}
            Err(_) => return Err(format!("nothing more after {got:?} and {}", bytes.escape_ascii())),
        }
    }
    let statuses: Vec<u16> = got.iter().map(|(status, _)| *status).take(wanted).collect();
    let told = || {
        let got: Vec<_> = got.iter().map(|(status, body)| (status, String::from_utf8_lossy(body))).collect();
        format!("got {got:?}, closed: {closed}, left: {}", bytes.escape_ascii())
    };
    if statuses != case.statuses || closed == case.keep || !bytes.is_empty() {
        return Err(told());
    }
    if case.keep && got.last().is_none_or(|(status, body)| *status != 200 || body != b"GET /next") {
        return Err(format!("the next request was answered wrongly: {}", told()));
    }
    if !case.keep && got.len() != wanted {
        return Err(told());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http1_is_spoken_as_the_standard_says_and_read_in_one_way_only() {
    // The time for a body that nobody waits for any more; everything else comes at once.
    let world = World::with(|limits| limits.header_timeout = Duration::from_secs(4)).await;
    let notes = Arc::new(Notes::default());
    let worker = recording_worker(Arc::clone(&notes)).await;
    world.set_workers(&[worker.address]);
    let cases = cases();
    assert!(cases.len() > 100, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        notes.answer.lock().unwrap().clone_from(&case.answer);
        notes.seen.lock().unwrap().clear();
        let mut expected = case.worker.clone();
        let played = play(case, world.address()).await;
        *notes.answer.lock().unwrap() = None;
        expected.push("GET /next next.test".to_owned());
        if !case.keep {
            let next = Case { send: NEXT.to_vec(), statuses: vec![200], keep: true, ..Case::default() };
            expected.push("GET /next next.test".to_owned());
            if let Err(why) = play(&next, world.address()).await {
                wrong.push(format!("{}\n    afterwards: {why}", case.name));
            }
        }
        let mut seen = notes.seen.lock().unwrap().clone();
        // A request that broke off is noted when its connection ends, which may be later; and whether a worker saw it at all
        // depends on how much of it had arrived.
        seen.retain(|line| line != "broken");
        expected.retain(|line| line != "broken");
        if let Err(why) = played {
            wrong.push(format!("{}\n    {why}", case.name));
        }
        if seen != expected {
            wrong.push(format!("{}\n    the worker was sent {seen:?}\n    instead of     {expected:?}", case.name));
        }
    }
    assert!(!notes.ambiguous.load(Ordering::Relaxed), "the worker was sent what could be read in two ways");
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// Changes a few bytes, as a fuzzer would: flips, drops, doubles, lines in other places, pieces of other cases.
fn mutated(cases: &[Case], random: &mut fastrand::Rng) -> Vec<u8> {
    const PIECES: [&[u8]; 16] = [
        b"\r",
        b"\n",
        b"\r\n",
        b"\0",
        b" ",
        b"\t",
        b":",
        b",",
        b"0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Length: 7\r\n",
        b"Host: b\r\n",
        b"chunked",
        b"Connection: close\r\n",
        b"GET /x HTTP/1.1\r\n",
        b";\xff",
    ];
    let short: Vec<&Case> = cases.iter().filter(|case| case.send.len() < 2000).collect();
    let mut bytes = short[random.usize(..short.len())].send.clone();
    for _ in 0..random.usize(1..6) {
        let at = random.usize(..=bytes.len());
        match random.u8(..6) {
            0 if at < bytes.len() => bytes[at] = random.u8(..),
            1 if at < bytes.len() => drop(bytes.remove(at)),
            2 => drop(bytes.splice(at..at, PIECES[random.usize(..PIECES.len())].iter().copied())),
            3 => bytes.extend(&short[random.usize(..short.len())].send),
            4 if at < bytes.len() => bytes[at] ^= 0x20,
            _ => {
                let end = (at + random.usize(..20)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
        }
    }
    bytes
}

/// `ATOLL_HTTP_MUTATIONS=1000000` for a long look.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_made_of_the_cases_reaches_a_worker_in_one_way_only() {
    let rounds = std::env::var("ATOLL_HTTP_MUTATIONS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(2000);
    let world = World::with(|limits| limits.header_timeout = Duration::from_secs(4)).await;
    let notes = Arc::new(Notes::default());
    let worker = recording_worker(Arc::clone(&notes)).await;
    world.set_workers(&[worker.address]);
    let cases = cases();
    let mut random = fastrand::Rng::with_seed(11);
    let next = Case { send: NEXT.to_vec(), statuses: vec![200], keep: true, ..Case::default() };
    for round in 0..rounds {
        let bytes = mutated(&cases, &mut random);
        let mut client = TcpStream::connect(world.address()).await.unwrap();
        let _ = client.write_all(&bytes).await;
        let _ = client.shutdown().await;
        let mut sink = Vec::new();
        let read = timeout(PATIENCE, client.read_to_end(&mut sink)).await;
        let shown = bytes.escape_ascii();
        assert!(read.is_ok(), "the gateway does not hang up after {shown}");
        assert!(!notes.ambiguous.load(Ordering::Relaxed), "what reached the worker could be read in two ways: {shown}");
        if round % 20 == 0 {
            play(&next, world.address()).await.unwrap_or_else(|why| panic!("after {shown}: {why}"));
        }
    }
    assert!(notes.seen.lock().unwrap().len() > rounds / 10, "some of it is still sound");
}
