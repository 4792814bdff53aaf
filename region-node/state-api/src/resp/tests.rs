//! The codec's laws: where a stream of bytes is cut changes nothing; no bytes make it panic or hoard.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::{
    Decimal, Decoder, Double, Limits, Step, Writer, decode::ProtocolError, parse_bound, parse_f64, parse_i64,
    split_words,
};

/// Feeds `pieces` one after the other; gives the commands that came out, and the error that ended the stream, if any.
fn decode(pieces: &[&[u8]], limits: &Limits) -> (Vec<Vec<Vec<u8>>>, Option<ProtocolError>) {
    let (mut decoder, mut buffer, mut args) = (Decoder::default(), BytesMut::new(), Vec::<Bytes>::new());
    let mut commands = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match decoder.next(&mut buffer, limits, &mut args) {
                Ok(Step::Command) => commands.push(args.iter().map(|arg| arg.to_vec()).collect()),
                Ok(Step::NeedMore(_)) => break,
                Err(error) => return (commands, Some(error)),
            }
        }
    }
    (commands, None)
}

fn encode(commands: &[Vec<Vec<u8>>]) -> Vec<u8> {
    let mut out = Writer::default();
    for command in commands {
        out.array(command.len());
        command.iter().for_each(|arg| out.bulk(arg));
    }
    out.as_bytes().to_vec()
}

#[track_caller]
fn check(input: &str, want: &[&[&str]]) {
    let (commands, error) = decode(&[input.as_bytes()], &Limits::DEFAULT);
    assert_eq!(error, None, "{input:?}");
    let want: Vec<Vec<Vec<u8>>> =
        want.iter().map(|command| command.iter().map(|arg| arg.as_bytes().to_vec()).collect()).collect();
    assert_eq!(commands, want, "{input:?}");
}

#[track_caller]
fn refuse(input: impl AsRef<[u8]>, limits: &Limits, want: &str) {
    let (_, error) = decode(&[input.as_ref()], limits);
    assert_eq!(error.map(|error| error.to_string()).as_deref(), Some(want), "{:?}", input.as_ref().escape_ascii());
}

#[test]
fn commands_come_out_as_they_were_meant() {
    check("*1\r\n$4\r\nPING\r\n", &[&["PING"]]);
    check("*2\r\n$3\r\nGET\r\n$0\r\n\r\n*1\r\n$4\r\nPING\r\n", &[&["GET", ""], &["PING"]]);
    check("*2\r\n$4\r\nECHO\r\n$4\r\na\r\nb\r\n", &[&["ECHO", "a\r\nb"]]);
    check("*0\r\n*-1\r\nPING\r\n\r\n\n", &[&["PING"]]);
    check("PING\r\nECHO  hi\n", &[&["PING"], &["ECHO", "hi"]]);
    check("SET k \"a b\\x41\\n\" \r\n", &[&["SET", "k", "a bA\n"]]);
    check("ECHO 'it\\'s'\r\n", &[&["ECHO", "it's"]]);
    check("*2\r\n$3\r\nGET\r\n$1\r\n", &[]);
}

#[test]
fn what_breaks_the_protocol_is_named_in_redis_words() {
    let limits = &Limits::DEFAULT;
    refuse("*x\r\n", limits, "invalid multibulk length");
    refuse("*1048577\r\n", limits, "invalid multibulk length");
    refuse("*99999999999999999999\r\n", limits, "invalid multibulk length");
    refuse("*1\r\n+OK\r\n", limits, "expected '$', got '+'");
    refuse("*1\r\n$-1\r\n", limits, "invalid bulk length");
    refuse("*1\r\n$abc\r\n", limits, "invalid bulk length");
    refuse("*1\r\n$16777217\r\n", limits, "invalid bulk length");
    refuse("GET \"k\r\n", limits, "unbalanced quotes in request");
    refuse("GET 'k'x\r\n", limits, "unbalanced quotes in request");
    refuse(vec![b'a'; (64 << 10) + 1], limits, "too big inline request");
    refuse([b"*".to_vec(), vec![b'1'; (64 << 10) + 2]].concat(), limits, "too big mbulk count string");
    refuse([b"*1\r\n$".to_vec(), vec![b'1'; (64 << 10) + 2]].concat(), limits, "too big bulk count string");
}

#[test]
fn a_peer_without_a_password_may_send_little() {
    let limits = &Limits::UNAUTHENTICATED;
    refuse("*11\r\n", limits, "unauthenticated multibulk length");
    refuse("*2\r\n$4\r\nAUTH\r\n$16385\r\n", limits, "unauthenticated bulk length");
    refuse("*2000000\r\n", limits, "invalid multibulk length");
}

#[test]
fn an_unfinished_command_holds_a_bounded_buffer() {
    let limits = Limits { query: 100, ..Limits::DEFAULT };
    let input = [b"*3\r\n$90\r\n".to_vec(), vec![b'x'; 90], b"\r\n$90\r\n".to_vec(), vec![b'x'; 20]].concat();
    refuse(input, &limits, "query buffer limit of 100 bytes exceeded");
}

#[test]
fn a_missing_rest_is_announced_where_it_is_known() {
    let (mut decoder, mut buffer, mut args) = (Decoder::default(), BytesMut::from("*1\r\n$10\r\nab"), Vec::new());
    assert_eq!(decoder.next(&mut buffer, &Limits::DEFAULT, &mut args), Ok(Step::NeedMore(10)));
}

#[test]
fn integers_are_canonical() {
    for (text, want) in [
        ("0", Some(0)),
        ("7", Some(7)),
        ("-7", Some(-7)),
        ("9223372036854775807", Some(i64::MAX)),
        ("-9223372036854775808", Some(i64::MIN)),
        ("9223372036854775808", None),
        ("-9223372036854775809", None),
        ("", None),
        ("-", None),
        ("-0", None),
        ("01", None),
        ("+1", None),
        (" 1", None),
        ("1 ", None),
        ("1e3", None),
        ("99999999999999999999", None),
    ] {
        assert_eq!(parse_i64(text.as_bytes()), want, "{text:?}");
    }
}

/// Bytes that look like the protocol more often than chance would have it.
fn nearly_protocol() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        4 => prop::sample::select(vec!["*", "$", "\r\n", "\r", "\n", "-", "0", "1", "2", "3", "12", "\"", "'", "\\x4", " ", "GET"])
            .prop_map(|token| token.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop::collection::vec(token, 0..60).prop_map(|tokens| tokens.concat())
}

fn commands() -> impl Strategy<Value = Vec<Vec<Vec<u8>>>> {
    prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..6), 0..6)
}

/// Cuts `input` at the given places.
fn cut<'a>(input: &'a [u8], places: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(input.len() + 1)).collect();
    places.extend([0, input.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &input[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(commands in commands()) {
        let (decoded, error) = decode(&[&encode(&commands)], &Limits::DEFAULT);
        prop_assert_eq!((decoded, error), (commands, None));
    }

    #[test]
    fn where_the_stream_is_cut_changes_nothing(
        commands in commands(), junk in nearly_protocol(), places in prop::collection::vec(any::<prop::sample::Index>(), 0..8)
    ) {
        let input = [encode(&commands), junk].concat();
        prop_assert_eq!(decode(&cut(&input, &places), &Limits::DEFAULT), decode(&[&input], &Limits::DEFAULT));
    }

    #[test]
    fn integers_survive_the_round_trip(value: i64) {
        let text = value.to_string();
        prop_assert_eq!(Decimal::new(value).as_bytes().to_vec(), text.as_bytes().to_vec());
        prop_assert_eq!(parse_i64(text.as_bytes()), Some(value));
    }

    #[test]
    fn only_canonical_text_is_an_integer(text in "[-+ 0-9]{0,21}") {
        let want = text.parse::<i64>().ok().filter(|value| value.to_string() == text);
        prop_assert_eq!(parse_i64(text.as_bytes()), want);
    }

    #[test]
    fn any_word_survives_quoting(word in prop::collection::vec(any::<u8>(), 0..40)) {
        let quoted: String = word.iter().map(|byte| format!("\\x{byte:02x}")).collect();
        prop_assert_eq!(split_words(format!("\"{quoted}\"").as_bytes()), Some(vec![word]));
    }
}

/// A million frames of noise and of spoilt commands take some seconds: an ordinary run takes a part of them,
/// `ATOLL_RESP_FRAMES=1000000` all.
#[test]
fn noise_neither_panics_nor_grows() {
    let frames = std::env::var("ATOLL_RESP_FRAMES").ok().and_then(|count| count.parse().ok()).unwrap_or(50_000);
    let mut luck = proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    let (mut decoder, mut buffer, mut args) = (Decoder::default(), BytesMut::new(), Vec::new());
    for _ in 0..frames {
        let mut frame = encode(&[vec![b"SET".to_vec(), vec![b'k'; (luck.next_u32() % 40) as usize], vec![b'v'; 9]]]);
        for _ in 0..luck.next_u32() % 4 {
            let place = luck.next_u32() as usize % frame.len();
            frame[place] = luck.next_u32() as u8;
        }
        buffer.extend_from_slice(&frame);
        loop {
            match decoder.next(&mut buffer, &Limits::DEFAULT, &mut args) {
                Ok(Step::Command) => {}
                // A spoilt length may announce up to 16 MiB: what matters is that only what arrived is held.
                Ok(Step::NeedMore(_)) if buffer.len() < 8 << 10 => break,
                Ok(Step::NeedMore(_)) | Err(_) => {
                    decoder = Decoder::default();
                    buffer.clear();
                }
            }
        }
        assert!(buffer.capacity() <= 64 << 10, "the buffer grew to {} bytes", buffer.capacity());
    }
}

#[test]
fn floats_are_written_as_redis_writes_them() {
    for (value, text) in [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.5, "1.5"),
        (-3.0, "-3"),
        (0.1, "0.10000000000000001"),
        (0.3, "0.29999999999999999"),
        (1e16, "10000000000000000"),
        (12_345_678_901_234_567.0, "12345678901234568"),
        (1e17, "1e+17"),
        (123_456_789_012_345_678.0, "1.2345678901234568e+17"),
        (0.000_01, "1.0000000000000001e-05"),
        (0.000_1, "0.0001"),
        (0.012_5, "0.012500000000000001"),
        (1e300, "1.0000000000000001e+300"),
        (-5e-324, "-4.9406564584124654e-324"),
        (1234.5678, "1234.5678"),
        (f64::MAX, "1.7976931348623157e+308"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
    ] {
        assert_eq!(std::str::from_utf8(Double::new(value).as_bytes()).unwrap(), text);
    }
}

#[test]
fn floats_are_read_as_redis_reads_them() {
    for (text, value) in [
        ("1", 1.0),
        ("+5", 5.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-1e3", -1000.0),
        ("0x10", 16.0),
        ("0X1.8p3", 12.0),
        ("-0x.8", -0.5),
        ("0x123456789abcdef01", 20_988_295_479_420_645_120.0),
        ("Infinity", f64::INFINITY),
        ("-inf", f64::NEG_INFINITY),
        ("0e999", 0.0),
        ("0x0p-9999", 0.0),
    ] {
        assert_eq!(parse_f64(text.as_bytes()), Some(value), "{text}");
        assert_eq!(parse_bound(text.as_bytes()), Some(value), "{text}");
    }
    for text in ["nan", "-", "+", ".", "e5", "1e", "1 ", "1_0", "0x", "0xg", "0x1p", "infinite", "1.2.3", "--1"] {
        assert_eq!(parse_f64(text.as_bytes()), None, "{text}");
        assert_eq!(parse_bound(text.as_bytes()), None, "{text}");
    }
    // Only the ends of ranges take these.
    for (text, value) in
        [("", 0.0), (" 7", 7.0), ("1e400", f64::INFINITY), ("-1e-400", 0.0), ("0x1p9999", f64::INFINITY), ("7\0x", 7.0)]
    {
        assert_eq!((parse_f64(text.as_bytes()), parse_bound(text.as_bytes())), (None, Some(value)), "{text}");
    }
}
