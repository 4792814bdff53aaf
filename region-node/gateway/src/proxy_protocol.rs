//! The PROXY protocol, versions 1 and 2 (HAProxy's `doc/proxy-protocol.txt`): who a connection through a balancer comes from.
//!
//! In: the bytes of a connection so far. Out: how many more surely belong to the header, or the header, or that this is none.
//! So a reader never takes a byte of what follows, which may be TLS. Only connections from configured networks begin with a
//! header, and all of those do: a header that anybody could send would let anybody be anybody.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

/// The first twelve bytes of version 2.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Longest line of version 1, its end included.
const LINE_MAX: usize = 107;
/// Bytes behind the sixteen of version 2: addresses take 216 at most, the rest are extensions (TLVs), which are skipped.
const BODY_MAX: usize = 2048;

/// Where a reader of a header is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The header has at least so many bytes more; never zero.
    Need(usize),
    /// The header is whole and ends with the last byte.
    Done(Source),
    /// This is no header.
    Malformed(&'static str),
}

/// Who a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// From whoever opened it: a balancer's own probe, or one that does not know.
    Direct,
    /// From this client.
    Client(SocketAddr),
}

/// Looks at all bytes of a header that were read so far.
pub(crate) fn step(bytes: &[u8]) -> Step {
    let known = bytes.len().min(SIGNATURE.len());
    if bytes[..known] == SIGNATURE[..known] {
        // Twelve bytes are in either version, sixteen are not.
        return if known < SIGNATURE.len() { Step::Need(SIGNATURE.len() - known) } else { version_2(bytes) };
    }
    let known = bytes.len().min(6);
    if bytes[..known] == b"PROXY "[..known] { version_1(bytes) } else { Step::Malformed("it begins like no header") }
}

fn version_1(bytes: &[u8]) -> Step {
    // The shortest line is `PROXY UNKNOWN\r\n`.
    const SHORTEST: usize = 15;
    if bytes.len() < SHORTEST {
        return Step::Need(SHORTEST - bytes.len());
    }
    let Some(line) = bytes.strip_suffix(b"\r\n") else {
        return match bytes {
            [.., b'\n'] => Step::Malformed("its line ends without CR"),
            _ if bytes.len() >= LINE_MAX => Step::Malformed("its line does not end"),
            _ => Step::Need(1),
        };
    };
    match std::str::from_utf8(&line[6..]).ok().and_then(line_of_text) {
        Some(source) => Step::Done(source),
        None => Step::Malformed("its line is not as it must be"),
    }
}

fn line_of_text(text: &str) -> Option<Source> {
    if text == "UNKNOWN" || text.starts_with("UNKNOWN ") {
        return Some(Source::Direct);
    }
    let mut words = text.split(' ');
    let (family, source, destination) = (words.next()?, words.next()?, words.next()?);
    let (port, _) = (port(words.next()?)?, port(words.next()?)?);
    if words.next().is_some() {
        return None;
    }
    let source = match family {
        "TCP4" => both::<Ipv4Addr>(source, destination)?.into(),
        "TCP6" => both::<Ipv6Addr>(source, destination)?.into(),
        _ => return None,
    };
    Some(Source::Client(SocketAddr::new(source, port)))
}

fn both<A: FromStr>(source: &str, destination: &str) -> Option<A> {
    destination.parse::<A>().ok()?;
    source.parse().ok()
}

/// A decimal number without a sign or leading zeroes.
fn port(text: &str) -> Option<u16> {
    let canonical = text == "0" || text.as_bytes().first().is_some_and(|first| (b'1'..=b'9').contains(first));
    if canonical { text.parse().ok() } else { None }
}

fn version_2(bytes: &[u8]) -> Step {
    let Some(head) = bytes.first_chunk::<16>() else { return Step::Need(16 - bytes.len()) };
    let [.., command, family, high, low] = *head;
    if command >> 4 != 2 {
        return Step::Malformed("it is of an unknown version");
    }
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > BODY_MAX {
        return Step::Malformed("it is too long");
    }
    let local = match command & 0x0f {
        0 => true,
        1 => false,
        _ => return Step::Malformed("its command is unknown"),
    };
    let body = &bytes[16..];
    if body.len() < length {
        return Step::Need(length - body.len());
    }
    if local {
        return Step::Done(Source::Direct);
    }
    let client = match family {
        // TCP over IPv4: source, destination, ports.
        0x11 => body
            .first_chunk::<12>()
            .map(|b| (IpAddr::V4(Ipv4Addr::new(b[0], b[1], b[2], b[3])), u16::from_be_bytes([b[8], b[9]]))),
        // TCP over IPv6.
        0x21 => body.first_chunk::<36>().and_then(|b| {
            let address = Ipv6Addr::from(*b.first_chunk::<16>()?);
            Some((IpAddr::V6(address), u16::from_be_bytes([b[32], b[33]])))
        }),
        // Unspecified, datagrams, UNIX sockets: nothing that an HTTP client has an address in.
        0x00 | 0x12 | 0x22 | 0x31 | 0x32 => return Step::Done(Source::Direct),
        _ => return Step::Malformed("its family is unknown"),
    };
    match client {
        Some((address, port)) => Step::Done(Source::Client(SocketAddr::new(address, port))),
        None => Step::Malformed("it is too short for its addresses"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds a header as a reader does, in pieces of at most `piece` bytes; says what came out and what was left.
    fn read(bytes: &[u8], mut piece: impl FnMut() -> usize) -> (Step, usize) {
        let mut taken = 0;
        loop {
            match step(&bytes[..taken]) {
                Step::Need(more) if taken + more.min(1) <= bytes.len() => {
                    assert!(more > 0);
                    taken += more.min(piece().max(1)).min(bytes.len() - taken);
                }
                end => return (end, bytes.len() - taken),
            }
        }
    }

    fn check(bytes: &[u8], expected: Result<Option<&str>, ()>) {
        // What follows must stay where it is.
        let followed = [bytes, b"GET / HTTP/1.1\r\n"].concat();
        let (end, left) = read(&followed, || usize::MAX);
        let shown = bytes.escape_ascii();
        match expected {
            Ok(None) => assert_eq!(end, Step::Done(Source::Direct), "{shown}"),
            Ok(Some(client)) => assert_eq!(end, Step::Done(Source::Client(client.parse().unwrap())), "{shown}"),
            Err(()) => return assert!(matches!(end, Step::Malformed(_)), "{shown}: {end:?}"),
        }
        assert_eq!(left, 16, "{shown}: bytes behind the header were taken");
    }

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        bytes.extend([command, family]);
        bytes.extend((body.len() as u16).to_be_bytes());
        bytes.extend(body);
        bytes
    }

    const V4: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0xdc, 0x04, 0x01, 0xbb];

    #[test]
    fn lines_of_version_1() {
        // The specification's examples, section 2.1, the longest of each family among them.
        check(b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", Ok(Some("255.255.255.255:65535")));
        let longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        check(
            format!("PROXY TCP6 {longest} {longest} 65535 65535\r\n").as_bytes(),
            Ok(Some("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535")),
        );
        check(b"PROXY UNKNOWN\r\n", Ok(None));
        check(format!("PROXY UNKNOWN {longest} {longest} 65535 65535\r\n").as_bytes(), Ok(None));
        check(b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", Ok(Some("192.168.0.1:56324")));
        for malformed in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\n",
            b"PROXY TCP4 192.168.0.1 192.168.0.11 56324\r\n",
            b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443 1\r\n",
            b"PROXY TCP4  192.168.0.1 192.168.0.11 56324 443\r\n",
            b"PROXY TCP4 192.168.0.1 ::1 56324 443\r\n",
            b"PROXY TCP4 192.168.0.1 192.168.0.11 +1 443\r\n",
            b"PROXY TCP4 192.168.0.1 192.168.0.11 01 443\r\n",
            b"PROXY TCP4 192.168.0.1 192.168.0.11 65536 443\r\n",
            b"PROXY TCP4 192.168.0.256 192.168.0.11 1 443\r\n",
            b"PROXY TCP5 192.168.0.1 192.168.0.11 1 443\r\n",
            b"PROXY UDP4 192.168.0.1 192.168.0.11 1 443\r\n",
            b"PROXY \xff\xff\xff\xff\xff\xff\xff\xff\xff\r\n",
            &[&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat(),
        ] {
            check(malformed, Err(()));
        }
    }

    #[test]
    fn headers_of_version_2() {
        check(&v2(0x21, 0x11, &V4), Ok(Some("192.0.2.7:56324")));
        let mut v6 = [0; 36];
        v6[..16].copy_from_slice(&"2001:db8::7".parse::<Ipv6Addr>().unwrap().octets());
        v6[32..34].copy_from_slice(&56324_u16.to_be_bytes());
        check(&v2(0x21, 0x21, &v6), Ok(Some("[2001:db8::7]:56324")));
        check(&v2(0x21, 0x31, &[0; 216]), Ok(None));
        check(&v2(0x21, 0x00, b""), Ok(None));
        check(&v2(0x20, 0x00, b""), Ok(None));
        check(&v2(0x20, 0x11, &V4), Ok(None));
        // Extensions: whatever they say, they are skipped.
        check(&v2(0x21, 0x11, &[&V4[..], b"\x04\x00\x01\x00", b"\xee\xff\xff"].concat()), Ok(Some("192.0.2.7:56324")));
        check(&v2(0x21, 0x11, &V4[..11]), Err(()));
        check(&v2(0x21, 0x21, &V4), Err(()));
        check(&v2(0x31, 0x11, &V4), Err(()));
        check(&v2(0x22, 0x11, &V4), Err(()));
        check(&v2(0x21, 0x41, &V4), Err(()));
        check(&v2(0x21, 0x11, &[0; BODY_MAX + 1]), Err(()));
        check(b"\r\n\r\n\0\r\nQUIT\r", Err(()));
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_make_the_same_header(
            client in any::<SocketAddr>(), extensions in proptest::collection::vec(any::<u8>(), 0..300),
            text: bool, sizes in proptest::collection::vec(1_usize..40, 1..50),
        ) {
            let client = SocketAddr::new(client.ip(), client.port());
            let bytes = match (client, text) {
                (SocketAddr::V4(c), true) => format!("PROXY TCP4 {} 192.0.2.1 {} 443\r\n", c.ip(), c.port()).into_bytes(),
                (SocketAddr::V6(c), true) => format!("PROXY TCP6 {} ::1 {} 443\r\n", c.ip(), c.port()).into_bytes(),
                (SocketAddr::V4(c), false) => {
                    let port = c.port().to_be_bytes();
                    v2(0x21, 0x11, &[&c.ip().octets()[..], &[0; 4], &port, &[0; 2], &extensions].concat())
                }
                (SocketAddr::V6(c), false) => {
                    let port = c.port().to_be_bytes();
                    v2(0x21, 0x21, &[&c.ip().octets()[..], &[0; 16], &port, &[0; 2], &extensions].concat())
                }
            };
            let followed = [&bytes[..], b"next"].concat();
            let mut turn = sizes.iter().cycle();
            let (end, left) = read(&followed, || *turn.next().unwrap_or(&1));
            prop_assert_eq!(end, Step::Done(Source::Client(client)));
            prop_assert_eq!(left, 4);
        }

        #[test]
        fn no_bytes_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..400), kind in 0..3) {
            let start = [&b""[..], b"PROXY ", &SIGNATURE][kind as usize];
            let (end, left) = read(&[start, &bytes].concat(), || 7);
            prop_assert!(left <= start.len() + bytes.len());
            if let Step::Need(more) = end {
                prop_assert!(more <= BODY_MAX);
            }
        }
    }
}
