//! Where hyper accepts what must not reach a worker, because two readers could read it in two ways.
//!
//! - [`framing`]: the bytes of an HTTP/1 connection, before hyper reads them: where a message ends must be said once and clearly.
//! - [`frames`]: the frames of an HTTP/2 connection, before hyper reads them: how many of them ask for work and give none.
//! - [`check`], below: a request as it was read, of either protocol: whom it is for, and its path.
//!
//! All three are pure: no socket, no clock.

pub(crate) mod frames;
pub(crate) mod framing;

use http::{HeaderMap, Method, Request, StatusCode, Uri, Version, header, uri::Authority};

/// Why a request is not served, in words for its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) status: StatusCode,
    pub(crate) why: &'static str,
}

const fn bad(why: &'static str) -> Violation {
    Violation { status: StatusCode::BAD_REQUEST, why }
}

/// Fields that `Connection` may not name: without them a request would say something else, or come from somebody else.
const NOT_HOP_BY_HOP: [&str; 8] =
    ["authorization", "content-length", "content-type", "cookie", "forwarded", "host", "x-real-ip", "x-request-id"];
/// And all fields that begin so.
const NOT_HOP_BY_HOP_EITHER: &str = "x-forwarded-";

/// Looks at a request of either protocol before anything is done with it.
pub(crate) fn check<B>(request: &Request<B>, max_headers: u16) -> Result<(), Violation> {
    let (uri, headers) = (request.uri(), request.headers());
    if headers.len() > usize::from(max_headers) {
        return Err(Violation {
            status: StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            why: "the request has too many header fields",
        });
    }
    if request.method() == Method::TRACE {
        // It would show an attacker's script what only the browser should know, and no app needs it.
        return Err(Violation { status: StatusCode::METHOD_NOT_ALLOWED, why: "TRACE is not served here" });
    }
    host(request)?;
    // A CONNECT that has more than an authority is WebSocket on a stream of HTTP/2 (RFC 8441), whose path is a path.
    if request.method() != Method::CONNECT || uri.scheme().is_some() {
        target(request.method(), uri)?;
    }
    if named_by_connection(headers).any(is_end_to_end) {
        return Err(bad("Connection names a field that is not this connection's"));
    }
    if request.version() == Version::HTTP_2
        && headers.get_all(header::TE).iter().any(|te| !te.as_bytes().eq_ignore_ascii_case(b"trailers"))
    {
        return Err(bad("TE may only say trailers in HTTP/2"));
    }
    if headers.get_all(header::EXPECT).iter().any(|expect| !expect.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(Violation { status: StatusCode::EXPECTATION_FAILED, why: "only 100-continue can be expected" });
    }
    Ok(())
}

fn is_end_to_end(name: &str) -> bool {
    let begin = name.get(..NOT_HOP_BY_HOP_EITHER.len());
    begin.is_some_and(|begin| begin.eq_ignore_ascii_case(NOT_HOP_BY_HOP_EITHER))
        || NOT_HOP_BY_HOP.iter().any(|kept| name.eq_ignore_ascii_case(kept))
}

fn named_by_connection(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(header::CONNECTION).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

/// One host, said once, or twice the same (RFC 9112 3.2, RFC 9113 8.3.1).
fn host<B>(request: &Request<B>) -> Result<(), Violation> {
    let mut lines = request.headers().get_all(header::HOST).iter();
    let line = lines.next();
    if lines.next().is_some() {
        return Err(bad("the request has more than one Host header"));
    }
    let line = match line {
        None => None,
        Some(line) => {
            let text = line.to_str().ok().filter(|text| is_host(text));
            Some(text.ok_or(bad("the Host header is not a host"))?)
        }
    };
    match (request.uri().authority().map(Authority::as_str), line) {
        (Some(authority), _) if !is_host(authority) => Err(bad("the request's authority is not a host")),
        (Some(authority), Some(line)) if !authority.eq_ignore_ascii_case(line) => {
            Err(bad("the request names one host in its target and another one in Host"))
        }
        (None, None) if request.version() == Version::HTTP_11 => Err(bad("the request has no Host header")),
        (None, None) if request.version() == Version::HTTP_2 => Err(bad("the request names no host")),
        _ => Ok(()),
    }
}

/// A name, an IPv4 address or an IPv6 address in brackets, and perhaps a port; no user, no blanks, nothing empty.
fn is_host(text: &str) -> bool {
    let (name, port) = match text.rfind(']') {
        Some(end) => text.split_at(end + 1),
        None => text.find(':').map_or((text, ""), |at| text.split_at(at)),
    };
    let port_fits = match port.strip_prefix(':') {
        None => port.is_empty(),
        Some(digits) => {
            digits.bytes().all(|b| b.is_ascii_digit()) && (digits.is_empty() || digits.parse::<u16>().is_ok())
        }
    };
    let name_fits = match name.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok()),
        None => !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)),
    };
    port_fits && name_fits && text.len() <= 255 + 6
}

fn target(method: &Method, uri: &Uri) -> Result<(), Violation> {
    if uri.scheme().is_some_and(|scheme| scheme.as_str() != "http" && scheme.as_str() != "https") {
        return Err(bad("only http and https are served here"));
    }
    if uri.scheme().is_none() && uri.authority().is_some() {
        return Err(bad("the request's target is a host"));
    }
    let path = uri.path();
    if path == "*" {
        return if method == Method::OPTIONS { Ok(()) } else { Err(bad("the target * is for OPTIONS only")) };
    }
    // A target without a path may be `http://host`, which stands for `/`.
    if !path.is_empty() && !path.starts_with('/') {
        return Err(bad("the request's path does not begin with /"));
    }
    let bytes = uri.path_and_query().map_or(path, |both| both.as_str()).as_bytes();
    if !bytes.iter().all(u8::is_ascii_graphic) {
        return Err(bad("the request's target has bytes that must be percent-encoded"));
    }
    segments(path.as_bytes())
}

/// No NUL, no half escape, no segment that climbs: `..` however it is written, since workers decode before they look.
/// Clients resolve such segments before they ask (RFC 3986 5.2.4); who sends them wants to get around a route.
fn segments(path: &[u8]) -> Result<(), Violation> {
    let (mut at, mut dots, mut other) = (0, 0, false);
    while at < path.len() {
        let mut byte = path[at];
        at += 1;
        if byte == b'%' {
            let escaped = path.get(at..at + 2).and_then(|hex| std::str::from_utf8(hex).ok());
            let value = escaped.filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
            byte = value.and_then(|hex| u8::from_str_radix(hex, 16).ok()).ok_or(bad("the path has a broken escape"))?;
            at += 2;
        }
        match byte {
            0 => return Err(bad("the path has a NUL")),
            b'/' | b'\\' => {
                if dots == 2 && !other {
                    return Err(bad("the path has a .. segment"));
                }
                (dots, other) = (0, false);
            }
            b'.' => dots += 1,
            _ => other = true,
        }
    }
    if dots == 2 && !other { Err(bad("the path has a .. segment")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A head in lines, as in HTTP/1; `-` for a request that passes, else the status and a word of the reason.
    fn check_head(head: &str, expected: &str) {
        let mut lines = head.lines();
        let mut words = lines.next().unwrap().split(' ');
        let (method, uri) = (words.next().unwrap(), words.next().unwrap());
        let version = if words.next() == Some("HTTP/2") { Version::HTTP_2 } else { Version::HTTP_11 };
        let mut request = Request::builder().method(method).uri(uri).version(version);
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            request = request.header(name, value);
        }
        let got = match check(&request.body(()).unwrap(), 20) {
            Ok(()) => "-".to_owned(),
            Err(violation) => format!("{} {}", violation.status.as_u16(), violation.why),
        };
        let fits = expected.split(' ').all(|word| got.split(' ').any(|other| other == word));
        assert!(fits, "{head}\nexpected {expected}, got {got}");
    }

    #[test]
    fn whom_a_request_is_for_is_said_once() {
        for good in
            ["a", "a.test", "a.test:80", "a.test:", "192.0.2.1:8080", "[2001:db8::1]", "[::1]:443", "a_b-c.test"]
        {
            check_head(&format!("GET / HTTP/1.1\nhost: {good}"), "-");
        }
        for nonsense in ["a b", "a/b", "a@b", "a:b", "a:99999", "[::1", "[x]", ":80", "a,b", "a#", "a%41", "ä"] {
            check_head(&format!("GET / HTTP/1.1\nhost: {nonsense}"), "400 host");
        }
        check_head("GET / HTTP/1.1", "400 no Host");
        check_head("GET / HTTP/1.1\nhost: a\nhost: a", "400 more than one");
        check_head("GET http://a/ HTTP/1.1\nhost: a", "-");
        check_head("GET http://A/ HTTP/1.1\nhost: a", "-");
        check_head("GET http://a/ HTTP/1.1\nhost: b", "400 another");
        check_head("GET http://u:p@a/ HTTP/1.1\nhost: a", "400 authority");
        check_head("GET http://A.:80/ HTTP/1.1\nhost: a.:80", "-");
        // What is the same to a resolver is not the same to an app, which may build links of either.
        check_head("GET http://a./ HTTP/1.1\nhost: a", "400 another");
        check_head("GET http://a:80/ HTTP/1.1\nhost: a", "400 another");
        check_head("GET http://a/ HTTP/2", "-");
        check_head("GET http://a/ HTTP/2\nhost: b", "400 another");
        check_head("GET / HTTP/2\nhost: b", "-");
    }

    #[test]
    fn a_path_does_not_climb() {
        for good in
            ["/", "/a", "//", "/a//b", "/...", "/.well-known/x", "/a..b", "/..a", "/%41", "/a?..=/../%", "/a/./b"]
        {
            check_head(&format!("GET {good} HTTP/1.1\nhost: a"), "-");
        }
        for bad in ["/..", "/../a", "/a/..", "/a/%2e%2E/b", "/a/.%2e", "/a/..%2fb", "/a%5c..%5cb", "/%2f..%2f"] {
            check_head(&format!("GET {bad} HTTP/1.1\nhost: a"), "400 ..");
        }
        check_head("GET /a%00b HTTP/1.1\nhost: a", "400 NUL");
        check_head("GET /a%zz HTTP/1.1\nhost: a", "400 escape");
        check_head("GET /a% HTTP/1.1\nhost: a", "400 escape");
        check_head("GET /a%+1 HTTP/1.1\nhost: a", "400 escape");
        check_head("GET /ä HTTP/1.1\nhost: a", "400 bytes");
        check_head("CONNECT http://a/../b HTTP/2", "400 ..");
        check_head("CONNECT a:443 HTTP/2", "-");
        check_head("GET ftp://a/ HTTP/1.1\nhost: a", "400 https");
        check_head("GET a HTTP/1.1\nhost: a", "400 target");
        check_head("GET * HTTP/1.1\nhost: a", "400 OPTIONS");
        check_head("OPTIONS * HTTP/1.1\nhost: a", "-");
    }

    #[test]
    fn methods_fields_and_expectations() {
        check_head("TRACE / HTTP/1.1\nhost: a", "405");
        check_head("GET / HTTP/1.1\nhost: a\nconnection: close, TE", "-");
        check_head("GET / HTTP/1.1\nhost: a\nconnection: Content-Length", "400 Connection");
        check_head("GET / HTTP/1.1\nhost: a\nconnection: close\nconnection: x, X-Forwarded-For", "400 Connection");
        for named in ["X-Forwarded-Port", "x-real-ip", "close, x-forwarded-prefix", "Cookie"] {
            check_head(&format!("GET / HTTP/1.1\nhost: a\nconnection: {named}"), "400 Connection");
        }
        check_head("GET / HTTP/1.1\nhost: a\nconnection: x-forwarded, ä", "-");
        check_head("GET / HTTP/1.1\nhost: a\nexpect: 100-Continue", "-");
        check_head("GET / HTTP/1.1\nhost: a\nexpect: tea", "417");
        check_head("GET http://a/ HTTP/2\nte: trailers", "-");
        check_head("GET http://a/ HTTP/2\nte: gzip", "400 TE");
        let many: String = (0..20).map(|n| format!("\nx-{n}: 1")).collect();
        check_head(&format!("GET / HTTP/1.1\nhost: a{many}"), "431");
    }
}
