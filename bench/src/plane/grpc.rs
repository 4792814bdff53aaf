//! As much of gRPC and of etcd's messages as a put and a watch take: HTTP/2 over mutual TLS, and protobuf by hand.
//!
//! etcd's HTTP gateway would add a second server and JSON to each of its answers; this speaks to etcd as its own client does.
//!
//! ```text
//! message = 00  length (4 bytes, big-endian)  protobuf
//! PutRequest    { key = 1, value = 2 }            PutResponse   { header = 1 { revision = 3 } }
//! WatchRequest  { create_request = 1 { key = 1 } }
//! WatchResponse { created = 3, events = 11 { kv = 2 { mod_revision = 3 } } }
//! ```

use std::{convert::Infallible, net::SocketAddr};

use anyhow::{Context, bail};
use bytes::{Buf, Bytes, BytesMut};
use http::{Request, Response};
use http_body_util::{
    BodyExt, Either, Full,
    channel::{Channel, Sender},
};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use pki::{Identity, region_server_name};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A whole request, or one that goes on. A channel whose sender has gone may end before what was sent over it, so it is not for both.
type Body = Either<Full<Bytes>, Channel<Bytes, Infallible>>;

/// No answer to a put or a watch of small values is longer.
const MESSAGE_MOST: usize = 1 << 20;

/// One connection to one member of etcd.
pub(super) struct Etcd {
    addr: SocketAddr,
    sender: http2::SendRequest<Body>,
}

/// A watch that has begun.
pub(super) struct Watch {
    messages: Messages,
    /// The end of the request would end the watch.
    _request: Sender<Bytes, Infallible>,
}

impl Etcd {
    /// Connects to the member whose certificate carries this name.
    pub(super) async fn connect(addr: SocketAddr, name: &str, own: &Identity) -> anyhow::Result<Self> {
        let tcp = TcpStream::connect(addr).await.with_context(|| format!("cannot connect to etcd at {addr}"))?;
        tcp.set_nodelay(true)?;
        let connector = TlsConnector::from(own.client_config(&[b"h2"])?);
        let tls = connector.connect(region_server_name(name), tcp).await.context("etcd's handshake")?;
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await?;
        // It ends with the last sender; its calls learn how.
        tokio::spawn(connection);
        Ok(Self { addr, sender })
    }

    /// Puts a value; gives the revision that it made.
    pub(super) async fn put(&self, key: &[u8], value: &[u8]) -> anyhow::Result<u64> {
        let body = Full::new(framed(&[field(1, key), field(2, value)].concat()));
        let response = self.call("/etcdserverpb.KV/Put", Either::Left(body)).await?;
        let answer = Messages::of(response.await?)?.next().await?;
        bytes_of(&answer, 1).and_then(|header| number_of(header, 3)).context("etcd's answer to a put has no revision")
    }

    /// Watches a key; returns once etcd has said that it does.
    pub(super) async fn watch(&self, key: &[u8]) -> anyhow::Result<Watch> {
        let (mut request, body) = Channel::new(1);
        let response = self.call("/etcdserverpb.Watch/Watch", Either::Right(body)).await?;
        request.send_data(framed(&field(1, &field(1, key)))).await.context("etcd closed a request")?;
        let mut messages = Messages::of(response.await?)?;
        match number_of(&messages.next().await?, 3) {
            Some(1) => Ok(Watch { messages, _request: request }),
            _ => bail!("etcd does not begin to watch"),
        }
    }

    /// Sends a request; gives its answer to come.
    async fn call(
        &self,
        path: &str,
        body: Body,
    ) -> anyhow::Result<impl Future<Output = hyper::Result<Response<Incoming>>> + use<>> {
        let post = Request::post(format!("https://{}{path}", self.addr));
        let post = post.header("content-type", "application/grpc").header("te", "trailers").body(body)?;
        let mut sender = self.sender.clone();
        sender.ready().await?;
        Ok(sender.send_request(post))
    }
}

impl Watch {
    /// The newest revision of the next events.
    pub(super) async fn next(&mut self) -> anyhow::Result<u64> {
        loop {
            let message = self.messages.next().await?;
            let events = fields(&message).filter(|(number, _)| *number == 11);
            let of_event = |event: &Value<'_>| number_of(bytes_of(event.bytes()?, 2)?, 3);
            if let Some(revision) = events.filter_map(|(_, event)| of_event(&event)).max() {
                return Ok(revision);
            }
        }
    }
}

/// The messages of an answer.
struct Messages {
    body: Incoming,
    buffer: BytesMut,
}

impl Messages {
    fn of(response: Response<Incoming>) -> anyhow::Result<Self> {
        if let Some(status) = response.headers().get("grpc-status").filter(|status| *status != "0") {
            bail!("etcd refuses: status {status:?}, {:?}", response.headers().get("grpc-message"));
        }
        Ok(Self { body: response.into_body(), buffer: BytesMut::new() })
    }

    async fn next(&mut self) -> anyhow::Result<Bytes> {
        loop {
            if let Some(message) = take(&mut self.buffer)? {
                return Ok(message);
            }
            let frame = self.body.frame().await.context("etcd ended its answer")??;
            match frame.into_data() {
                Ok(data) => self.buffer.extend_from_slice(&data),
                Err(rest) => bail!("etcd ended its answer: {:?}", rest.into_trailers()),
            }
        }
    }
}

fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0], &length[..], message].concat().into()
}

/// The next whole message of what has come, or nothing yet.
fn take(buffer: &mut BytesMut) -> anyhow::Result<Option<Bytes>> {
    let Some(&[compressed, a, b, c, d]) = buffer.first_chunk::<5>() else { return Ok(None) };
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if compressed != 0 || length > MESSAGE_MOST {
        bail!("etcd sends a message of {length} bytes, compressed {compressed}, which nobody asked for");
    }
    if buffer.len() < 5 + length {
        return Ok(None);
    }
    buffer.advance(5);
    Ok(Some(buffer.split_to(length).freeze()))
}

/// A field of bytes, of fewer than 128 of them.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    debug_assert!(bytes.len() < 128, "longer ones take a longer varint");
    [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value<'m> {
    Number(u64),
    Bytes(&'m [u8]),
}

impl<'m> Value<'m> {
    fn bytes(self) -> Option<&'m [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Number(_) => None,
        }
    }
}

/// The fields of a message, until its end or until it makes no sense.
fn fields(mut message: &[u8]) -> impl Iterator<Item = (u64, Value<'_>)> {
    std::iter::from_fn(move || {
        let tag = varint(&mut message)?;
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut message)?),
            2 => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                let (bytes, rest) = message.split_at_checked(length)?;
                message = rest;
                Value::Bytes(bytes)
            }
            _ => return None,
        };
        Some((tag >> 3, value))
    })
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = message.split_first()?;
        *message = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn bytes_of(message: &[u8], number: u64) -> Option<&[u8]> {
    fields(message).find(|(found, _)| *found == number)?.1.bytes()
}

fn number_of(message: &[u8], number: u64) -> Option<u64> {
    fields(message).find_map(|(found, value)| match value {
        Value::Number(value) if found == number => Some(value),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_the_bytes_that_etcd_expects() {
        let put = [field(1, b"k"), field(2, b"v")].concat();
        assert_eq!(framed(&put)[..], *b"\x00\x00\x00\x00\x06\x0a\x01k\x12\x01v");
        assert_eq!(field(1, &field(1, b"k")), b"\x0a\x03\x0a\x01k");
    }

    #[test]
    fn a_revision_is_found_among_fields_that_nobody_asked_for() {
        // header { cluster_id = 1: 300, revision = 3: 7 }, watch_id = 2: 1, events = 11 { type = 1: 0, kv = 2 { key = 1, mod_revision = 3: 129 } }
        let header = b"\x08\xac\x02\x18\x07";
        let event = b"\x08\x00\x12\x06\x0a\x01k\x18\x81\x01";
        let message = [&[0x0a, 5][..], header, &[0x10, 1, 0x5a, 10][..], event].concat();
        let message = &message[..message.len() - 10 + event.len()];
        assert_eq!(bytes_of(message, 1).and_then(|header| number_of(header, 3)), Some(7));
        assert_eq!(number_of(message, 2), Some(1));
        assert_eq!(number_of(message, 3), None);
    }

    #[test]
    fn messages_come_whole_whatever_the_pieces() {
        let stream = [framed(b"one"), framed(b""), framed(b"three")].concat();
        for cut in 0..=stream.len() {
            let (mut buffer, mut got) = (BytesMut::new(), Vec::new());
            for piece in [&stream[..cut], &stream[cut..]] {
                buffer.extend_from_slice(piece);
                while let Some(message) = take(&mut buffer).unwrap() {
                    got.push(message);
                }
            }
            assert_eq!(got, [&b"one"[..], b"", b"three"], "cut at {cut}");
        }
        assert!(take(&mut BytesMut::from(&b"\x00\xff\xff\xff\xff"[..])).is_err(), "too long");
        assert!(take(&mut BytesMut::from(&b"\x01\x00\x00\x00\x00"[..])).is_err(), "compressed");
    }
}
