//! What changes in a message's head between client and worker.
//!
//! Hop-by-hop fields end here (RFC 9110, 7.6.1), also those that `Connection` names. Towards the worker: origin-form target,
//! one `Host`, one `Cookie`, `X-Forwarded-For|Proto|Host`, `X-Request-Id`. Only WebSocket is let through as an upgrade:
//! others, `h2c` first of all, would let a client speak past the gateway to a worker.

use std::net::IpAddr;

use http::{
    HeaderMap, HeaderName, HeaderValue, Uri, Version, header,
    request::Parts,
    uri::{Authority, PathAndQuery},
};

pub(crate) const REGION: HeaderName = HeaderName::from_static("x-atoll-region");
pub(crate) const STALE: HeaderName = HeaderName::from_static("x-atoll-stale");
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const UPGRADE: HeaderValue = HeaderValue::from_static("upgrade");

/// A longer id than this is not carried into everybody's logs.
const REQUEST_ID_MAX_BYTES: usize = 128;

/// Whether the client asks to speak WebSocket on this connection.
pub(crate) fn wants_websocket(version: Version, headers: &HeaderMap) -> bool {
    version == Version::HTTP_11
        && headers.get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && connection_options(headers).any(|option| option.eq_ignore_ascii_case("upgrade"))
}

fn connection_options(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(header::CONNECTION).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

/// Removes what concerns only the connection that the message came through.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        let named: Vec<HeaderName> = connection_options(headers).filter_map(|name| name.parse().ok()).collect();
        for name in named {
            headers.remove(name);
        }
        headers.remove(header::CONNECTION);
    }
    for name in [KEEP_ALIVE, PROXY_CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE] {
        headers.remove(name);
    }
}

/// Marks a head as a WebSocket handshake, after `strip_hop_by_hop` took the marks away.
pub(crate) fn mark_websocket(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, UPGRADE);
    headers.insert(header::UPGRADE, WEBSOCKET);
}

/// Who the request comes from, and whether to believe what it says about that itself.
#[derive(Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) peer: IpAddr,
    pub(crate) trusted: bool,
    /// How it came here: `http` or `https`.
    pub(crate) scheme: &'static str,
}

/// Makes a client's head a worker's head. An error is the client's fault, in words for the client.
pub(crate) fn prepare_request(head: &mut Parts, origin: Origin, websocket: bool) -> Result<(), &'static str> {
    let host = host(head)?;
    strip_hop_by_hop(&mut head.headers);
    // hyper answers `Expect` itself when the body is read; `TE` promises what this hop may not keep.
    head.headers.remove(header::EXPECT);
    head.headers.remove(header::TE);
    if websocket {
        mark_websocket(&mut head.headers);
    }
    forwarded(&mut head.headers, origin, host.as_ref());
    if let Some(host) = host {
        head.headers.insert(header::HOST, host);
    }
    join_cookies(&mut head.headers);
    let target = head.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    head.uri = Uri::from(target);
    head.version = Version::HTTP_11;
    Ok(())
}

/// The one host that a request is for: the target's authority (HTTP/2, absolute form), else `Host`.
fn host(head: &Parts) -> Result<Option<HeaderValue>, &'static str> {
    let mut lines = head.headers.get_all(header::HOST).iter();
    let (line, more) = (lines.next(), lines.next());
    if more.is_some() {
        return Err("the request has more than one Host header");
    }
    let value = match (head.uri.authority(), line) {
        (Some(authority), _) => HeaderValue::from_str(without_user(authority)).ok(),
        (None, Some(line)) => Some(line.clone()),
        (None, None) if head.version == Version::HTTP_11 => return Err("the request has no Host header"),
        (None, None) => None,
    };
    Ok(value)
}

fn without_user(authority: &Authority) -> &str {
    let text = authority.as_str();
    text.rsplit_once('@').map_or(text, |(_, host)| host)
}

fn forwarded(headers: &mut HeaderMap, origin: Origin, host: Option<&HeaderValue>) {
    let peer = origin.peer.to_canonical().to_string();
    let chain = match headers.get(FORWARDED_FOR).and_then(|value| value.to_str().ok()) {
        Some(before) if origin.trusted => format!("{before}, {peer}"),
        _ => peer,
    };
    if let Ok(chain) = HeaderValue::from_str(&chain) {
        headers.insert(FORWARDED_FOR, chain);
    }
    if !(origin.trusted && headers.contains_key(FORWARDED_PROTO)) {
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static(origin.scheme));
    }
    if origin.trusted && headers.contains_key(FORWARDED_HOST) {
        return;
    }
    match host {
        Some(host) => headers.insert(FORWARDED_HOST, host.clone()),
        None => headers.remove(FORWARDED_HOST),
    };
}

/// HTTP/2 may split `Cookie` into many fields; HTTP/1.1 knows one (RFC 9113, 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut lines = headers.get_all(header::COOKIE).iter();
    if lines.next().is_none() || lines.next().is_none() {
        return;
    }
    let lines: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&lines.join(&b"; "[..])) {
        headers.insert(header::COOKIE, joined);
    }
}

/// The request's id: the client's own if it is sane, else a new one. Set on the head either way.
pub(crate) fn request_id(headers: &mut HeaderMap, fresh: impl FnOnce() -> u64) -> HeaderValue {
    let given = headers.get(REQUEST_ID).filter(|id| !id.is_empty() && id.len() <= REQUEST_ID_MAX_BYTES);
    if let Some(id) = given {
        return id.clone();
    }
    // Sixteen hexadecimal digits are always a valid value.
    let id = HeaderValue::from_str(&format!("{:016x}", fresh())).unwrap_or(HeaderValue::from_static("0"));
    headers.insert(REQUEST_ID, id.clone());
    id
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use expect_test::{Expect, expect};
    use http::Request;

    use super::*;

    fn head(text: &str) -> Parts {
        let mut lines = text.lines();
        let (method, rest) = lines.next().unwrap().split_once(' ').unwrap();
        let (target, version) = rest.rsplit_once(' ').unwrap();
        let version = match version {
            "HTTP/1.0" => Version::HTTP_10,
            "HTTP/2.0" => Version::HTTP_2,
            _ => Version::HTTP_11,
        };
        let mut request = Request::builder().method(method).uri(target).version(version);
        for line in lines {
            let (name, value) = line.trim().split_once(": ").unwrap();
            request = request.header(name, value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn check(trusted: bool, text: &str, expected: &Expect) {
        let mut head = head(text);
        let websocket = wants_websocket(head.version, &head.headers);
        let origin = Origin { peer: "192.0.2.7".parse().unwrap(), trusted, scheme: "http" };
        let mut out = String::new();
        match prepare_request(&mut head, origin, websocket) {
            Err(why) => writeln!(out, "refused: {why}").unwrap(),
            Ok(()) => {
                writeln!(out, "{} {}", head.method, head.uri).unwrap();
                let mut lines: Vec<String> =
                    head.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
                lines.sort();
                lines.iter().for_each(|line| writeln!(out, "{line}").unwrap());
            }
        }
        expected.assert_eq(&out);
    }

    #[test]
    fn a_plain_request_gets_its_origin() {
        check(
            false,
            "GET http://user:secret@shop.test/a?b=c HTTP/1.1\nHost: other.test\nX-Forwarded-For: 6.6.6.6\nX-Forwarded-Proto: https",
            &expect![[r#"
                GET /a?b=c
                host: shop.test
                x-forwarded-for: 192.0.2.7
                x-forwarded-host: shop.test
                x-forwarded-proto: http
            "#]],
        );
    }

    #[test]
    fn a_trusted_proxy_in_front_is_believed() {
        check(
            true,
            "GET / HTTP/1.1\nHost: shop.test\nX-Forwarded-For: 6.6.6.6\nX-Forwarded-Proto: https\nX-Forwarded-Host: www.shop.test",
            &expect![[r#"
                GET /
                host: shop.test
                x-forwarded-for: 6.6.6.6, 192.0.2.7
                x-forwarded-host: www.shop.test
                x-forwarded-proto: https
            "#]],
        );
    }

    #[test]
    fn hop_by_hop_fields_end_here() {
        check(
            false,
            "POST / HTTP/1.1\nHost: a\nConnection: close, X-Mine\nX-Mine: 1\nKeep-Alive: 5\nTE: trailers\nUpgrade: h2c\nExpect: 100-continue\nX-Kept: 1",
            &expect![[r#"
                POST /
                host: a
                x-forwarded-for: 192.0.2.7
                x-forwarded-host: a
                x-forwarded-proto: http
                x-kept: 1
            "#]],
        );
    }

    #[test]
    fn a_websocket_handshake_stays_one() {
        check(
            false,
            "GET /live HTTP/1.1\nHost: a\nConnection: keep-alive, Upgrade\nUpgrade: WebSocket\nSec-WebSocket-Version: 13",
            &expect![[r#"
                GET /live
                connection: upgrade
                host: a
                sec-websocket-version: 13
                upgrade: websocket
                x-forwarded-for: 192.0.2.7
                x-forwarded-host: a
                x-forwarded-proto: http
            "#]],
        );
    }

    #[test]
    fn crumbs_of_http2_become_one_cookie() {
        check(
            false,
            "GET https://shop.test HTTP/2.0\nCookie: a=1\nCookie: b=2",
            &expect![[r#"
                GET /
                cookie: a=1; b=2
                host: shop.test
                x-forwarded-for: 192.0.2.7
                x-forwarded-host: shop.test
                x-forwarded-proto: http
            "#]],
        );
    }

    #[test]
    fn an_unclear_host_is_refused() {
        check(
            false,
            "GET / HTTP/1.1",
            &expect![[r#"
            refused: the request has no Host header
        "#]],
        );
        check(
            false,
            "GET / HTTP/1.1\nHost: a\nHost: b",
            &expect![[r#"
            refused: the request has more than one Host header
        "#]],
        );
    }

    #[test]
    fn a_request_id_is_kept_when_sane_and_made_when_not() {
        let id = |given: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(given) = given {
                headers.insert(REQUEST_ID, given.parse().unwrap());
            }
            let id = request_id(&mut headers, || 0xab);
            assert_eq!(headers[REQUEST_ID], id);
            id.to_str().unwrap().to_owned()
        };
        assert_eq!(id(Some("mine")), "mine");
        assert_eq!(id(None), "00000000000000ab");
        assert_eq!(id(Some(&"x".repeat(129))), "00000000000000ab");
    }
}
