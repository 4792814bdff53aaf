//! The same bytes, in random portions, for us and for hyper's client: what both read must be one thing, and what hyper refuses we
//! must not take. (We may refuse more.)

use bytes::{Bytes, BytesMut};
use fastrand::Rng;
use http::{HeaderMap, Request, Version};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{
    decode::{Decoder, Piece},
    head::{self, Bounds},
};

const BOUNDS: Bounds = Bounds { bytes: 64 * 1024, lines: 100 };

/// What a client understands: status, headers but for those of the connection, body, trailers.
#[derive(Debug, PartialEq)]
struct Understood {
    status: u16,
    headers: Vec<String>,
    body: Vec<u8>,
    trailers: Vec<String>,
}

fn lines(headers: &HeaderMap) -> Vec<String> {
    let of_connection =
        ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "content-length"];
    let lines = headers.iter().filter(|(name, _)| !of_connection.contains(&name.as_str()));
    let mut lines: Vec<String> = lines.map(|(name, value)| format!("{name}: {value:?}")).collect();
    lines.sort();
    lines
}

fn portions(bytes: &[u8], random: &mut Rng) -> Vec<Bytes> {
    let (mut portions, mut rest) = (Vec::new(), bytes);
    let most = [1, 3, 20, 1000][random.usize(..4)];
    while !rest.is_empty() {
        let (now, later) = rest.split_at(random.usize(1..=most).min(rest.len()));
        portions.push(Bytes::copy_from_slice(now));
        rest = later;
    }
    portions
}

fn ours(portions: &[Bytes], to_head: bool) -> Result<Understood, String> {
    let mut portions = portions.iter();
    let mut buffer = BytesMut::new();
    let mut more = |buffer: &mut BytesMut| portions.next().map(|portion| buffer.extend_from_slice(portion)).is_some();
    let head = loop {
        match head::parse(&mut buffer, to_head, BOUNDS).map_err(|why| why.to_string())? {
            Some(head) if head.status.is_informational() => {}
            Some(head) => break head,
            None if more(&mut buffer) => {}
            None => return Err("closed".into()),
        }
    };
    let mut decoder = Decoder::new(head.framing, BOUNDS);
    let (mut body, mut trailers) = (Vec::new(), HeaderMap::new());
    loop {
        match decoder.next(&mut buffer).map_err(|why| why.to_string())? {
            Piece::Data(data) => body.extend_from_slice(&data),
            Piece::Trailers(fields) => trailers = fields,
            Piece::End => break,
            Piece::More if more(&mut buffer) => {}
            Piece::More => decoder.close().map_err(|why| why.to_string())?,
        }
    }
    Ok(Understood { status: head.status.as_u16(), headers: lines(&head.headers), body, trailers: lines(&trailers) })
}

async fn hypers(portions: &[Bytes], to_head: bool) -> Result<Understood, String> {
    let (near, mut far) = tokio::io::duplex(1024 * 1024);
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_headers(BOUNDS.lines)
        .handshake(TokioIo::new(near))
        .await
        .map_err(|error| error.to_string())?;
    let connection = tokio::spawn(connection);
    let method = if to_head { "HEAD" } else { "GET" };
    let request = Request::builder().method(method).uri("/").version(Version::HTTP_11).header("host", "a");
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let (head, body) = response.into_parts();
        let whole = body.collect().await.map_err(|error| error.to_string())?;
        let trailers = whole.trailers().cloned().unwrap_or_default();
        // What must not stand in trailers is left out by us.
        let trailers = trailers.iter().filter(|(name, _)| !head::forbidden_in_trailers(name));
        let trailers: HeaderMap = trailers.map(|(name, value)| (name.clone(), value.clone())).collect();
        let body = whole.to_bytes().to_vec();
        Ok(Understood { status: head.status.as_u16(), headers: lines(&head.headers), body, trailers: lines(&trailers) })
    };
    let feeding = async {
        // An answer before its request would be none.
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") && far.read_buf(&mut asked).await.is_ok_and(|read| read > 0) {}
        for portion in portions {
            if far.write_all(portion).await.is_err() {
                return;
            }
        }
        let _ = far.shutdown().await;
    };
    let (answer, ()) = tokio::join!(answer, feeding);
    connection.abort();
    answer
}

/// An answer as a worker might send it, and whether HEAD was asked.
fn answer(random: &mut Rng) -> (Vec<u8>, bool) {
    let mut text = String::new();
    if random.u8(..4) == 0 {
        text += "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    }
    let status = [200, 200, 200, 201, 204, 304, 404, 500][random.usize(..8)];
    text += &format!("HTTP/1.{} {status} Reason\r\n", u8::from(random.u8(..5) > 0));
    for n in 0..random.usize(..4) {
        text += &format!("x-{n}: {}\r\n", "v".repeat(random.usize(..40)));
    }
    let body: String = (0..random.usize(..300)).map(|_| random.alphanumeric()).collect();
    match random.u8(..4) {
        0 => text += &format!("content-length: {}\r\n\r\n{body}", body.len()),
        1 if text.contains("HTTP/1.1 ") && !text.contains("HTTP/1.0") => {
            text += "transfer-encoding: chunked\r\n\r\n";
            let mut rest = body.as_str();
            while !rest.is_empty() {
                let (chunk, later) = rest.split_at(random.usize(1..=rest.len()));
                let extension = ["", ";a=b", " ;x"][random.usize(..3)];
                text += &format!("{:x}{extension}\r\n{chunk}\r\n", chunk.len());
                rest = later;
            }
            text += ["0\r\n\r\n", "0\r\nx-sum: 7\r\n\r\n", "000\r\nx-a: 1\r\nhost: b\r\n\r\n"][random.usize(..3)];
        }
        2 => text += &format!("connection: close\r\n\r\n{body}"),
        _ => text += &format!("\r\n{body}"),
    }
    (text.into_bytes(), random.u8(..6) == 0)
}

#[tokio::test]
async fn what_is_sound_is_read_as_hyper_reads_it() {
    for seed in 0..400 {
        let mut random = Rng::with_seed(seed);
        let (bytes, to_head) = answer(&mut random);
        let portions = portions(&bytes, &mut random);
        let (ours, theirs) = (ours(&portions, to_head), hypers(&portions, to_head).await);
        assert_eq!(ours, theirs, "seed {seed}: {}", String::from_utf8_lossy(&bytes));
        assert!(ours.is_ok(), "seed {seed}");
    }
}

#[tokio::test]
async fn what_is_damaged_is_refused_or_read_as_hyper_reads_it() {
    let mut taken = 0;
    for seed in 0..3000 {
        let mut random = Rng::with_seed(seed);
        let (mut bytes, to_head) = answer(&mut random);
        for _ in 0..random.usize(1..4) {
            let at = random.usize(..bytes.len());
            match random.u8(..4) {
                0 => bytes[at] = random.u8(..),
                1 => bytes.insert(at, b"\r\n:; \t0a"[random.usize(..8)]),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at + 1),
            }
        }
        let portions = portions(&bytes, &mut random);
        let Ok(ours) = ours(&portions, to_head) else { continue };
        taken += 1;
        let theirs = hypers(&portions, to_head).await;
        assert_eq!(Ok(ours), theirs, "seed {seed}: {:?}", String::from_utf8_lossy(&bytes));
    }
    assert!(taken > 500, "{taken} of 3000 were taken at all");
}
