//! HTTP/2 as RFC 9113 has it (sections 3 to 8) and RFC 7541, in our own words: frames that a client sends, what must come of
//! them. After everything but a connection error the connection serves on; after a connection error another one does.
//!
//! Where the standard names a code of its own (FRAME_SIZE_ERROR, COMPRESSION_ERROR, FLOW_CONTROL_ERROR), h2 says PROTOCOL_ERROR of
//! some frames. The connection ends either way, so both are taken.

use std::fmt::Write as _;

use crate::{
    frames::*,
    support::{World, text, worker},
};

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
const COMPRESSION_ERROR: u32 = 9;

#[derive(Debug, Clone, Copy)]
enum Expect {
    /// The request is answered with this status.
    Status(u16),
    /// The connection is ended, with one of these codes, or without a word.
    Connection(&'static [u32]),
    /// The stream is reset with one of these codes, or answered with 400; or the connection is ended with one of them.
    Stream(&'static [u32]),
}
use Expect::{Connection, Status, Stream};

struct Case {
    /// What is tried; where the rule is.
    name: &'static str,
    /// Frames that the client sends after both sides' settings.
    send: Vec<u8>,
    expect: Expect,
}

fn case(name: &'static str, send: &[Vec<u8>], expect: Expect) -> Case {
    Case { name, send: send.concat(), expect }
}

/// A request made of these fields, on stream 1.
fn request(fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(fields))
}

/// GET with further fields.
fn with(fields: &[(&str, &str)]) -> Vec<u8> {
    request(&[&GET[..], fields].concat())
}

fn data(flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    frame(DATA, flags, stream, payload)
}

fn window(stream: u32, by: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &by.to_be_bytes())
}

fn cases() -> Vec<Case> {
    let big = vec![0; 16_385];
    let priority = |on: u32| [&on.to_be_bytes()[..], &[10]].concat();
    let settings = |id, value| frame(SETTINGS, 0, 0, &setting(id, value));
    let reset = |stream| frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
    let long = "a".repeat(5000);
    let whole = block(&GET);
    let (half, rest) = whole.split_at(10);
    let get_in = |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &whole);
    vec![
        // --- Frames, 4 ---
        case("an unknown frame is ignored; 4.1", &[frame(0x16, 0xff, 0, b"what"), get(1)], Status(200)),
        case(
            "an unknown frame on a stream is ignored; 5.5",
            &[post(1), frame(0x16, 0, 1, b"x"), data(1, 1, b"")],
            Status(200),
        ),
        case("unknown flags are ignored; 4.1", &[frame(PING, 0x16, 0, &[0; 8]), get(1)], Status(200)),
        case("the reserved bit is ignored; 4.1", &[frame(PING, 0, 0x8000_0000, &[0; 8]), get(1)], Status(200)),
        case("a DATA frame of the largest size; 4.2", &[post(1), data(1, 1, &big[..16_384])], Status(200)),
        case(
            "a DATA frame beyond the largest size; 4.2",
            &[post(1), data(1, 1, &big)],
            Connection(&[FRAME_SIZE_ERROR]),
        ),
        case(
            "a HEADERS frame beyond the largest size; 4.2",
            &[frame(HEADERS, END_HEADERS | END_STREAM, 1, &[&whole[..], &big].concat())],
            Connection(&[FRAME_SIZE_ERROR]),
        ),
        case(
            "a header block that nobody can decode; 4.3, 7541 6.1",
            &[frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff, 0xff, 0xff, 0xff, 0xff])],
            Connection(&[COMPRESSION_ERROR, PROTOCOL_ERROR]),
        ),
        case(
            "an index of no field; 7541 2.3.3",
            &[frame(HEADERS, END_HEADERS | END_STREAM, 1, &[&whole[..], &[0xc6]].concat())],
            Connection(&[COMPRESSION_ERROR, PROTOCOL_ERROR]),
        ),
        case(
            "the index 0; 7541 6.1",
            &[frame(HEADERS, END_HEADERS | END_STREAM, 1, &[&whole[..], &[0x80]].concat())],
            Connection(&[COMPRESSION_ERROR, PROTOCOL_ERROR]),
        ),
        case(
            "a table larger than allowed; 7541 6.3",
            &[frame(HEADERS, END_HEADERS | END_STREAM, 1, &[&[0x3f, 0xe2, 0x1f][..], &whole].concat())],
            Connection(&[COMPRESSION_ERROR, PROTOCOL_ERROR]),
        ),
        case(
            "a table's size behind fields; 7541 4.2",
            &[frame(HEADERS, END_HEADERS | END_STREAM, 1, &[&whole[..], &[0x20]].concat())],
            Connection(&[COMPRESSION_ERROR, PROTOCOL_ERROR]),
        ),
        case(
            "a Huffman string with EOS in it; 7541 5.2",
            &[frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                1,
                &[&whole[..], &[0, 1, b'x', 0x84, 0xff, 0xff, 0xff, 0xff]].concat(),
            )],
            Connection(&[COMPRESSION_ERROR, PROTOCOL_ERROR]),
        ),
        case(
            "another frame within a header block; 4.3",
            &[
                frame(HEADERS, END_STREAM, 1, half),
                frame(PRIORITY, 0, 1, &priority(0)),
                frame(CONTINUATION, END_HEADERS, 1, rest),
            ],
            Connection(&[PROTOCOL_ERROR]),
        ),
        case(
            "another stream's HEADERS within a header block; 4.3",
            &[frame(HEADERS, END_STREAM, 1, half), get_in(3)],
            Connection(&[PROTOCOL_ERROR]),
        ),
        // --- Streams, 5 ---
        case("DATA on an idle stream; 5.1", &[data(1, 1, b"x")], Connection(&[PROTOCOL_ERROR])),
        case("RST_STREAM on an idle stream; 5.1", &[reset(1)], Connection(&[PROTOCOL_ERROR])),
        case("WINDOW_UPDATE on an idle stream; 5.1", &[window(1, 100)], Connection(&[PROTOCOL_ERROR])),
        case(
            "CONTINUATION on an idle stream; 5.1",
            &[frame(CONTINUATION, END_HEADERS, 1, &whole)],
            Connection(&[PROTOCOL_ERROR]),
        ),
        case(
            "DATA on a stream that its client ended; 5.1",
            &[get(1), data(1, 1, b"x")],
            Stream(&[STREAM_CLOSED, PROTOCOL_ERROR]),
        ),
        case(
            "HEADERS on a stream that its client ended; 5.1",
            &[get(1), get(1)],
            Stream(&[STREAM_CLOSED, PROTOCOL_ERROR]),
        ),
        case(
            "CONTINUATION on a stream that its client ended; 5.1",
            &[get(1), frame(CONTINUATION, END_HEADERS, 1, &whole)],
            Connection(&[STREAM_CLOSED, PROTOCOL_ERROR]),
        ),
        case("DATA behind RST_STREAM; 5.1", &[post(1), reset(1), data(1, 1, b"x")], Stream(&[STREAM_CLOSED])),
        case("HEADERS behind RST_STREAM; 5.1", &[post(1), reset(1), get(1)], Stream(&[STREAM_CLOSED, PROTOCOL_ERROR])),
        case("WINDOW_UPDATE behind the end is ignored; 5.1", &[get(1), window(1, 100)], Status(200)),
        case("PRIORITY on an idle stream; 5.1", &[frame(PRIORITY, 0, 9, &priority(0)), get(1)], Status(200)),
        case("an even stream; 5.1.1", &[get(2)], Connection(&[PROTOCOL_ERROR])),
        case("a stream with a smaller number; 5.1.1", &[get(5), get(3)], Connection(&[PROTOCOL_ERROR, STREAM_CLOSED])),
        case(
            "a window that grows beyond 2^31-1; 6.9.1",
            &[window(0, 0x7fff_ffff), window(0, 0x7fff_ffff)],
            Connection(&[FLOW_CONTROL_ERROR]),
        ),
        case(
            "a stream's window that grows beyond 2^31-1; 6.9.1",
            &[post(1), window(1, 0x7fff_ffff)],
            Stream(&[FLOW_CONTROL_ERROR]),
        ),
        // --- DATA, 6.1 ---
        case("DATA on stream 0; 6.1", &[data(0, 0, b"x")], Connection(&[PROTOCOL_ERROR])),
        case("DATA with padding; 6.1", &[post(1), data(END_STREAM | PADDED, 1, &[2, b'x', 0, 0])], Status(200)),
        case(
            "padding longer than its frame; 6.1",
            &[post(1), data(END_STREAM | PADDED, 1, &[5, b'x'])],
            Connection(&[PROTOCOL_ERROR]),
        ),
        case(
            "padding as long as its frame; 6.1",
            &[post(1), data(END_STREAM | PADDED, 1, &[2, b'x'])],
            Connection(&[PROTOCOL_ERROR]),
        ),
        case(
            "padding announced in an empty frame; 6.1",
            &[post(1), data(END_STREAM | PADDED, 1, b"")],
            Connection(&[PROTOCOL_ERROR, FRAME_SIZE_ERROR]),
        ),
        // --- HEADERS, 6.2 ---
        case(
            "HEADERS on stream 0; 6.2",
            &[frame(HEADERS, END_HEADERS | END_STREAM, 0, &whole)],
            Connection(&[PROTOCOL_ERROR]),
        ),
        case(
            "HEADERS with padding and priority; 6.2",
            &[frame(
                HEADERS,
                END_HEADERS | END_STREAM | PADDED | WITH_PRIORITY,
                1,
                &[&[1][..], &priority(0), &whole, &[0]].concat(),
            )],
            Status(200),
        ),
        case(
            "HEADERS with too much padding; 6.2",
            &[frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, &[&[0xff][..], &whole].concat())],
            Connection(&[PROTOCOL_ERROR]),
        ),
        case(
            "HEADERS whose stream depends on itself; 5.3.1 of RFC 7540",
            &[frame(HEADERS, END_HEADERS | END_STREAM | WITH_PRIORITY, 1, &[&priority(1)[..], &whole].concat())],
            Stream(&[PROTOCOL_ERROR]),
        ),
        // --- PRIORITY, RST_STREAM, 6.3 and 6.4 ---
        case("PRIORITY on stream 0; 6.3", &[frame(PRIORITY, 0, 0, &priority(1))], Connection(&[PROTOCOL_ERROR])),
        case(
            "PRIORITY of another length; 6.3",
            &[post(1), frame(PRIORITY, 0, 1, &[0; 4])],
            Stream(&[FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
        ),
        case(
            "a stream that depends on itself; 5.3.1 of RFC 7540",
            &[post(1), frame(PRIORITY, 0, 1, &priority(1))],
            Stream(&[PROTOCOL_ERROR]),
        ),
        case("RST_STREAM on stream 0; 6.4", &[reset(0)], Connection(&[PROTOCOL_ERROR])),
        case(
            "RST_STREAM of another length; 6.4",
            &[post(1), frame(RST_STREAM, 0, 1, &[0; 3])],
            Connection(&[FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
        ),
        // --- SETTINGS, 6.5 ---
        case(
            "SETTINGS ACK with a payload; 6.5",
            &[frame(SETTINGS, ACK, 0, &[0])],
            Connection(&[FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
        ),
        case("SETTINGS on a stream; 6.5", &[frame(SETTINGS, 0, 1, &[])], Connection(&[PROTOCOL_ERROR])),
        case(
            "SETTINGS of another length; 6.5",
            &[frame(SETTINGS, 0, 0, &[0; 3])],
            Connection(&[FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
        ),
        case("ENABLE_PUSH of 2; 6.5.2", &[settings(2, 2)], Connection(&[PROTOCOL_ERROR])),
        case(
            "INITIAL_WINDOW_SIZE beyond 2^31-1; 6.5.2",
            &[settings(4, 0x8000_0000)],
            Connection(&[FLOW_CONTROL_ERROR, PROTOCOL_ERROR]),
        ),
        case("MAX_FRAME_SIZE below 2^14; 6.5.2", &[settings(5, 16_383)], Connection(&[PROTOCOL_ERROR])),
        case("MAX_FRAME_SIZE beyond 2^24-1; 6.5.2", &[settings(5, 0x100_0000)], Connection(&[PROTOCOL_ERROR])),
        case("an unknown setting is ignored; 6.5.2", &[settings(0xfe, 1), get(1)], Status(200)),
        case("the last of two values counts; 6.5.3", &[settings(4, 0), settings(4, 65_535), get(1)], Status(200)),
        // --- PUSH_PROMISE, PING, GOAWAY, 6.6 to 6.8 ---
        case(
            "a client that pushes; 8.4",
            &[post(1), frame(PUSH_PROMISE, END_HEADERS, 1, &[&2_u32.to_be_bytes()[..], &whole].concat())],
            Connection(&[PROTOCOL_ERROR]),
        ),
        case("PING on a stream; 6.7", &[frame(PING, 0, 1, &[0; 8])], Connection(&[PROTOCOL_ERROR])),
        case(
            "PING of another length; 6.7",
            &[frame(PING, 0, 0, &[0; 6])],
            Connection(&[FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
        ),
        case("PING ACK that nobody asked for; 6.7", &[frame(PING, ACK, 0, &[7; 8]), get(1)], Status(200)),
        case("GOAWAY on a stream; 6.8", &[frame(GOAWAY, 0, 1, &[0; 8])], Connection(&[PROTOCOL_ERROR])),
        // --- WINDOW_UPDATE, CONTINUATION, 6.9 and 6.10 ---
        case("a connection's window that grows by nothing; 6.9", &[window(0, 0)], Connection(&[PROTOCOL_ERROR])),
        case("a stream's window that grows by nothing; 6.9", &[post(1), window(1, 0)], Stream(&[PROTOCOL_ERROR])),
        case(
            "WINDOW_UPDATE of another length; 6.9",
            &[frame(WINDOW_UPDATE, 0, 0, &[0; 3])],
            Connection(&[FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
        ),
        case(
            "a block in three frames; 6.10",
            &[
                frame(HEADERS, END_STREAM, 1, half),
                frame(CONTINUATION, 0, 1, &[]),
                frame(CONTINUATION, END_HEADERS, 1, rest),
            ],
            Status(200),
        ),
        case(
            "CONTINUATION behind a whole block; 6.10",
            &[post(1), frame(CONTINUATION, END_HEADERS, 1, &whole)],
            Connection(&[PROTOCOL_ERROR]),
        ),
        case(
            "CONTINUATION on stream 0; 6.10",
            &[frame(HEADERS, END_STREAM, 1, half), frame(CONTINUATION, END_HEADERS, 0, rest)],
            Connection(&[PROTOCOL_ERROR]),
        ),
        case(
            "CONTINUATION behind DATA; 6.10",
            &[post(1), data(0, 1, b"x"), frame(CONTINUATION, END_HEADERS, 1, &whole)],
            Connection(&[PROTOCOL_ERROR]),
        ),
        // --- Requests, 8 ---
        case("a second HEADERS that does not end the stream; 8.1", &[post(1), post(1)], Stream(&[PROTOCOL_ERROR])),
        case(
            "trailers; 8.1",
            &[post(1), data(0, 1, b"x"), frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[("x-sum", "1")]))],
            Status(200),
        ),
        case(
            "a pseudo-field in trailers does not reach the app (h2 drops it, where 8.1 would have the stream reset)",
            &[post(1), data(0, 1, b"x"), frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[(":path", "/")]))],
            Status(200),
        ),
        case("a name in capitals; 8.2.1", &[with(&[("X-Name", "1")])], Stream(&[PROTOCOL_ERROR])),
        case("a name with a blank; 8.2.1", &[with(&[("x name", "1")])], Stream(&[PROTOCOL_ERROR])),
        case("an empty name; 8.2.1", &[with(&[("", "1")])], Stream(&[PROTOCOL_ERROR])),
        case("a name with a colon; 8.2.1", &[with(&[("x:y", "1")])], Stream(&[PROTOCOL_ERROR])),
        case("a value with a NUL; 8.2.1", &[with(&[("x", "a\0b")])], Stream(&[PROTOCOL_ERROR])),
        case("a value with CR and LF; 8.2.1", &[with(&[("x", "a\r\ny: b")])], Stream(&[PROTOCOL_ERROR])),
        case("Connection; 8.2.2", &[with(&[("connection", "keep-alive")])], Stream(&[PROTOCOL_ERROR])),
        case("Keep-Alive; 8.2.2", &[with(&[("keep-alive", "1")])], Stream(&[PROTOCOL_ERROR])),
        case("Proxy-Connection; 8.2.2", &[with(&[("proxy-connection", "close")])], Stream(&[PROTOCOL_ERROR])),
        case("Transfer-Encoding; 8.2.2", &[with(&[("transfer-encoding", "chunked")])], Stream(&[PROTOCOL_ERROR])),
        case("Upgrade; 8.2.2", &[with(&[("upgrade", "h2c")])], Stream(&[PROTOCOL_ERROR])),
        case("TE that says gzip; 8.2.2", &[with(&[("te", "gzip, trailers")])], Stream(&[PROTOCOL_ERROR])),
        case("TE that says trailers; 8.2.2", &[with(&[("te", "trailers")])], Status(200)),
        case(
            "an unknown pseudo-field; 8.3",
            &[request(&[&GET[..], &[(":test", "x")]].concat())],
            Stream(&[PROTOCOL_ERROR]),
        ),
        case(
            "a pseudo-field of answers; 8.3",
            &[request(&[&GET[..], &[(":status", "200")]].concat())],
            Stream(&[PROTOCOL_ERROR]),
        ),
        case(
            "a pseudo-field behind a field; 8.3",
            &[request(&[(":method", "GET"), (":scheme", "http"), ("x", "1"), (":authority", "a"), (":path", "/")])],
            Stream(&[PROTOCOL_ERROR]),
        ),
        case(
            "an empty path; 8.3.1",
            &[request(&[(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "")])],
            Stream(&[PROTOCOL_ERROR]),
        ),
        case("no path; 8.3.1", &[request(&GET[..3])], Stream(&[PROTOCOL_ERROR])),
        case("no method; 8.3.1", &[request(&GET[1..])], Stream(&[PROTOCOL_ERROR])),
        case("no scheme; 8.3.1", &[request(&[GET[0], GET[2], GET[3]])], Stream(&[PROTOCOL_ERROR])),
        case("two methods; 8.3.1", &[request(&[&GET[..1], &GET].concat())], Stream(&[PROTOCOL_ERROR])),
        case("two schemes; 8.3.1", &[request(&[&GET[..2], &GET[1..]].concat())], Stream(&[PROTOCOL_ERROR])),
        case("two paths; 8.3.1", &[request(&[&GET[..], &GET[3..]].concat())], Stream(&[PROTOCOL_ERROR])),
        case("two authorities; 8.3.1", &[request(&[&GET[..3], &GET[2..]].concat())], Stream(&[PROTOCOL_ERROR])),
        case(
            "a Host that differs from the authority; 8.3.1",
            &[with(&[("host", "other.test")])],
            Stream(&[PROTOCOL_ERROR]),
        ),
        case("a Host that agrees; 8.3.1", &[with(&[("host", "shop.test")])], Status(200)),
        case("no host at all; 8.3.1", &[request(&[GET[0], GET[1], GET[3]])], Stream(&[PROTOCOL_ERROR])),
        case(
            "a user in the authority; 8.3.1",
            &[request(&[GET[0], GET[1], (":authority", "u@a"), GET[3]])],
            Stream(&[PROTOCOL_ERROR]),
        ),
        case(
            "a path that is no path; 8.3.1",
            &[request(&[GET[0], GET[1], GET[2], (":path", "a")])],
            Stream(&[PROTOCOL_ERROR]),
        ),
        case(
            "a path that is a whole URL; 8.3.1",
            &[request(&[GET[0], GET[1], GET[2], (":path", "http://evil/x")])],
            Stream(&[PROTOCOL_ERROR]),
        ),
        case(
            "a path that is * for GET; 8.3.1",
            &[request(&[GET[0], GET[1], GET[2], (":path", "*")])],
            Stream(&[PROTOCOL_ERROR]),
        ),
        case(
            "a path that climbs; 3986 5.2.4",
            &[request(&[GET[0], GET[1], GET[2], (":path", "/a/%2e%2E/b")])],
            Status(400),
        ),
        case(
            "an authority that is a list; 8.3.1",
            &[request(&[GET[0], GET[1], (":authority", "a,b"), GET[3]])],
            Stream(&[PROTOCOL_ERROR]),
        ),
        case(
            "an authority with a path; 8.3.1",
            &[request(&[GET[0], GET[1], (":authority", "a/b"), GET[3]])],
            Stream(&[PROTOCOL_ERROR]),
        ),
        case("a scheme of another kind; 8.3.1", &[request(&[GET[0], (":scheme", "ftp"), GET[2], GET[3]])], Status(400)),
        case("TE twice; 8.2.2", &[with(&[("te", "trailers"), ("te", "gzip")])], Stream(&[PROTOCOL_ERROR])),
        case("a value with LF; 8.2.1", &[with(&[("cookie", "a=1\nx: y")])], Stream(&[PROTOCOL_ERROR])),
        case(
            "a path with a line in it; 8.3.1",
            &[request(&[GET[0], GET[1], GET[2], (":path", "/ HTTP/1.1\r\nx: y")])],
            Stream(&[PROTOCOL_ERROR]),
        ),
        case(
            "a method with a line in it; 8.3.1",
            &[request(&[(":method", "GET / HTTP/1.1\r\nx: y"), GET[1], GET[2], GET[3]])],
            Stream(&[PROTOCOL_ERROR]),
        ),
        case(
            "a body shorter than its length; 8.1.1",
            &[
                frame(HEADERS, END_HEADERS, 1, &block(&[&POST[..], &[("content-length", "5")]].concat())),
                data(1, 1, b"x"),
            ],
            Stream(&[PROTOCOL_ERROR]),
        ),
        case(
            "a body longer than its length; 8.1.1",
            &[
                frame(HEADERS, END_HEADERS, 1, &block(&[&POST[..], &[("content-length", "1")]].concat())),
                data(1, 1, b"hello"),
            ],
            Stream(&[PROTOCOL_ERROR]),
        ),
        case(
            "no body for a length; 8.1.1",
            &[frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[&POST[..], &[("content-length", "5")]].concat()))],
            Stream(&[PROTOCOL_ERROR]),
        ),
        case(
            "two lengths; 8.1.1",
            &[
                frame(
                    HEADERS,
                    END_HEADERS,
                    1,
                    &block(&[&POST[..], &[("content-length", "1"), ("content-length", "2")]].concat()),
                ),
                data(1, 1, b"x"),
            ],
            Stream(&[PROTOCOL_ERROR]),
        ),
        case("CONNECT; 8.5", &[request(&[(":method", "CONNECT"), (":authority", "a:443")])], Status(405)),
        case(
            "CONNECT with a path; 8.5",
            &[request(&[(":method", "CONNECT"), GET[1], GET[2], GET[3]])],
            Stream(&[PROTOCOL_ERROR]),
        ),
        case(
            "extended CONNECT to a protocol that is not on offer; 8441 4",
            &[request(&[&[(":method", "CONNECT"), (":protocol", "connect-udp")], &GET[1..]].concat())],
            Status(405),
        ),
        case("TRACE; 9110 9.3.8", &[request(&[(":method", "TRACE"), GET[1], GET[2], GET[3]])], Status(405)),
        case("a long field; 6.5.2", &[with(&[("x", &long)])], Status(200)),
        case("a field with a cookie in two; 8.2.3", &[with(&[("cookie", "a=1"), ("cookie", "b=2")])], Status(200)),
    ]
}

async fn serves(connection: &mut Raw, stream: u32) -> bool {
    connection.send(&get(stream)).await && connection.status(stream).await == Some(200)
}

/// Tries a case; says what went otherwise than it should.
async fn play(case: &Case, world: &World) -> Result<(), String> {
    let mut client = Raw::connect(world.address()).await;
    client.send(&case.send).await;
    // A PING ends what is asked: its answer comes behind what is decided at once.
    let mut seen = String::new();
    let mut ended = None;
    loop {
        let Ok(next) = client.next_within(crate::support::PATIENCE).await else {
            return Err(format!("nothing more; seen {seen}"));
        };
        let Some(frame) = next else {
            ended.get_or_insert(None);
            break;
        };
        let _ = write!(seen, " {}:{}", frame.kind, frame.stream);
        match (frame.kind, case.expect) {
            (GOAWAY, _) if frame.code() != 0 => ended = Some(Some(frame.code())),
            (HEADERS, Status(expected)) if frame.status() == expected => break,
            (HEADERS, Stream(_)) if frame.status() == 400 => break,
            (RST_STREAM, Stream(codes)) if codes.contains(&frame.code()) => break,
            // An answer of the app may come before the error on its stream, never instead of it.
            (HEADERS, Stream(_)) if frame.status() == 200 => {}
            (HEADERS, expected) => return Err(format!("{} instead of {expected:?}", frame.status())),
            (RST_STREAM, expected) => return Err(format!("reset with {} instead of {expected:?}", frame.code())),
            _ => {}
        }
    }
    match (case.expect, ended) {
        (Connection(codes) | Stream(codes), Some(Some(code))) if codes.contains(&code) => {}
        (Connection(_), Some(None)) => {}
        (Status(_) | Stream(_), None) => {
            if !serves(&mut client, 101).await {
                return Err("the connection does not serve on".to_owned());
            }
            return Ok(());
        }
        (expected, ended) => return Err(format!("ended with {ended:?} instead of {expected:?}; seen {seen}")),
    }
    let mut another = Raw::connect(world.address()).await;
    if serves(&mut another, 1).await { Ok(()) } else { Err("another connection is not served".to_owned()) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_is_spoken_as_the_standard_says() {
    let world = World::start().await;
    let shop = worker(async |request| {
        use http_body_util::BodyExt;
        // Waits for the whole body, as apps do.
        let _ = request.into_body().collect().await;
        text("hello")
    })
    .await;
    world.set_workers(&[shop.address]);
    let cases = cases();
    assert!(cases.len() > 90, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        if let Err(why) = play(case, &world).await {
            wrong.push(format!("{}\n    {why}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[tokio::test]
async fn an_http2_connection_begins_with_preface_and_settings() {
    let world = World::with(|limits| limits.header_timeout = std::time::Duration::from_secs(2)).await;
    // 3.4: a preface with a wrong end is no HTTP/2, and no HTTP/1 either.
    let mut client = Raw::silent(world.address()).await;
    client.send(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n").await;
    let mut answer = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut client.stream, &mut answer).await;
    assert!(answer.starts_with(b"HTTP/1.1 400"), "{}", answer.escape_ascii());
    // Something else than SETTINGS first.
    let mut client = Raw::silent(world.address()).await;
    client.send(&[PREFACE, &frame(PING, 0, 0, &[0; 8])].concat()).await;
    assert!(matches!(client.end().await, None | Some(PROTOCOL_ERROR)));
    // Nothing at all.
    let mut client = Raw::silent(world.address()).await;
    client.send(PREFACE).await;
    client.end().await;
}

#[tokio::test]
async fn ping_settings_and_windows_are_answered() {
    let world = World::start().await;
    let shop = worker(async |_| text("hello")).await;
    world.set_workers(&[shop.address]);
    let mut client = Raw::with_settings(world.address(), &[(1, 0), (4, 2)]).await;
    // 6.7: the same eight bytes, acknowledged.
    client.send(&frame(PING, 0, 0, b"12345678")).await;
    let pong = loop {
        let frame = client.next().await.unwrap();
        if frame.kind == PING {
            break frame;
        }
        assert!(frame.kind == SETTINGS || frame.kind == WINDOW_UPDATE, "{frame:?}");
    };
    assert_eq!((pong.flags, &pong.payload[..]), (ACK, &b"12345678"[..]));
    // 6.9.2: two bytes may be sent, no more.
    client.send(&get(1)).await;
    assert_eq!(client.status(1).await, Some(200));
    let first = client.next().await.unwrap();
    assert_eq!((first.kind, first.payload.len(), first.flags), (DATA, 2, 0));
    // 6.9.2: a setting changes the windows of streams that are open.
    client.send(&frame(SETTINGS, 0, 0, &setting(4, 3))).await;
    let mut rest = Vec::new();
    while rest.is_empty() {
        let frame = client.next().await.unwrap();
        if frame.kind == DATA {
            rest = frame.payload;
        }
    }
    assert_eq!(rest.len(), 1);
    client.send(&window(1, 100)).await;
    while !rest.ends_with(b"lo") {
        let frame = client.next().await.unwrap();
        rest.extend(frame.payload);
    }
}

#[tokio::test]
async fn too_many_streams_are_refused_one_by_one() {
    let world = World::with(|limits| limits.max_streams = 2).await;
    let never = worker(async |_| std::future::pending().await).await;
    world.set_workers(&[never.address]);
    let mut client = Raw::connect(world.address()).await;
    // 5.1.2
    client.send(&[get(1), get(3), get(5)].concat()).await;
    let refused = loop {
        let frame = client.next().await.unwrap();
        if frame.kind == RST_STREAM {
            break frame;
        }
    };
    assert_eq!((refused.stream, refused.code()), (5, 7), "REFUSED_STREAM");
}

#[tokio::test]
async fn a_gateway_that_stops_says_goaway_and_close() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let world = World::start().await;
    let release = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let held = std::sync::Arc::clone(&release);
    let slow = worker(move |_| {
        let held = std::sync::Arc::clone(&held);
        async move {
            drop(held.acquire().await);
            text("finished")
        }
    })
    .await;
    world.set_workers(&[slow.address]);
    let mut two = Raw::connect(world.address()).await;
    two.send(&get(1)).await;
    let mut one = tokio::net::TcpStream::connect(world.address()).await.unwrap();
    one.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    crate::support::until("both are at the worker", || world.in_flight()[0].1 == 2).await;
    let shutdown = tokio::spawn(world.gateway.shutdown(crate::support::PATIENCE));
    let goaway = loop {
        let next = two.next().await.unwrap();
        if next.kind == GOAWAY {
            break next;
        }
    };
    assert_eq!(goaway.code(), 0);
    release.add_permits(10);
    assert_eq!(two.status(1).await, Some(200), "what was under way is finished");
    let mut answer = String::new();
    one.read_to_string(&mut answer).await.unwrap();
    assert!(answer.to_lowercase().contains("connection: close") && answer.ends_with("finished"), "{answer}");
    assert!(shutdown.await.unwrap(), "nothing had to be cut");
}
