//! What changes in a message's head between client and worker.
//!
//! Hop-by-hop fields end here (RFC 9110, 7.6.1), also those that `Connection` names. Towards the worker: origin-form target,
//! one `Host`, one `Cookie`, `X-Forwarded-For|Proto|Host`, `X-Request-Id`, `X-Request-Deadline`, `traceparent`. Only WebSocket is let
//! through as an upgrade: others, `h2c` first of all, would let a client speak past the gateway to a worker.
//!
//! Nothing is moved about for it: the client's fields stay in their map, and are left out or written as they are when the head is
//! written for a worker, as often as the request is sent.

use std::{
    fmt::Write as _,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header,
    request::Parts,
    uri::{Authority, PathAndQuery},
};

use crate::{
    h1::{
        encode::{self, Framing},
        head::forbidden_in_trailers,
    },
    ids::{self, TraceParent},
};

pub(crate) const REGION: HeaderName = HeaderName::from_static("x-atoll-region");
pub(crate) const STALE: HeaderName = HeaderName::from_static("x-atoll-stale");
pub(crate) const REFUSED: HeaderName = HeaderName::from_static("x-atoll-refused");
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(crate) const DEADLINE: HeaderName = HeaderName::from_static("x-request-deadline");
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub(crate) const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");
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

/// Removes what concerns only the connection that an answer came through. (Of HTTP/1.1, `h1::head` has done so.)
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    const HOP_BY_HOP: [&str; 5] = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Whether a field, its name with `-` for `_`, says where a request comes from: the words of a proxy, not of a client.
fn says_who(name: &str) -> bool {
    name.starts_with("x-forwarded-") || matches!(name, "forwarded" | "x-real-ip")
}

/// What of a client's trailers goes on to a worker. Some servers put them among the fields of the head, so nothing that a head
/// is not passed on with may come in by them.
pub(crate) fn trailers_to_worker(trailers: &HeaderMap) -> HeaderMap {
    let passes = |name: &HeaderName| {
        let plain = name.as_str().replace('_', "-");
        let ours = matches!(&*plain, "x-request-id" | "x-request-deadline" | "grpc-timeout" | "traceparent");
        let forbidden = plain.parse().is_ok_and(|name| forbidden_in_trailers(&name));
        !(ours || forbidden || says_who(&plain) || plain == "proxy-authorization")
    };
    let kept = trailers.iter().filter(|(name, _)| passes(name));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Marks an answer as the end of a WebSocket handshake. `key` is the client's where the worker has not answered it.
pub(crate) fn mark_websocket(headers: &mut HeaderMap, key: Option<&HeaderValue>) {
    headers.insert(header::CONNECTION, UPGRADE);
    headers.insert(header::UPGRADE, WEBSOCKET);
    if let Some(accept) = key.and_then(|key| HeaderValue::from_str(&ids::websocket_accept(key.as_bytes())).ok()) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
}

/// Who the request comes from, and whether to believe what it says about that itself.
#[derive(Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) peer: IpAddr,
    pub(crate) trusted: bool,
    /// How it came here: `http` or `https`.
    pub(crate) scheme: &'static str,
}

/// How a request switches protocols, if it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Switch {
    No,
    /// HTTP/1.1: the client's own handshake goes on to the worker.
    Upgrade,
    /// HTTP/2: `:protocol` websocket (RFC 8441); the handshake with the worker is ours.
    Connect,
}

/// A client's head on its way to a worker.
pub(crate) struct Outbound {
    pub(crate) method: Method,
    pub(crate) target: PathAndQuery,
    /// Whom the request is for. `None` for HTTP/1.0, which may come without: then it is for the worker's address.
    pub(crate) host: Option<HeaderValue>,
    /// As the client sent them.
    pub(crate) headers: HeaderMap,
    pub(crate) id: HeaderValue,
    pub(crate) trace: TraceParent,
    pub(crate) switch: Switch,
    /// The client waits for `100 Continue` before it sends the body.
    pub(crate) expects: bool,
    origin: Origin,
    /// Fields that the client's `Connection` names.
    named: Vec<HeaderName>,
    /// Whether the client takes trailers.
    trailers: bool,
    /// All cookies in one, where they came in several.
    cookie: Option<Vec<u8>>,
}

impl Outbound {
    /// Reads a client's head; `draw` is luck, for the ids. An error is the client's fault, in words for the client.
    pub(crate) fn read(head: Parts, origin: Origin, switch: Switch, draw: u128) -> Result<Self, &'static str> {
        let host = host(&head)?;
        let Parts { method, uri, headers, .. } = head;
        let named = if headers.contains_key(header::CONNECTION) {
            connection_options(&headers).filter_map(|name| name.parse().ok()).collect()
        } else {
            Vec::new()
        };
        let given = headers.get(REQUEST_ID).filter(|id| origin.trusted && is_sane(id));
        let target = match uri.into_parts().path_and_query {
            Some(target) if !target.as_str().is_empty() => target,
            _ => PathAndQuery::from_static("/"),
        };
        Ok(Self {
            method: if switch == Switch::Connect { Method::GET } else { method },
            target,
            host,
            id: given.cloned().unwrap_or_else(|| ids::request_id(draw)),
            trace: TraceParent::continued(headers.get(TRACE_PARENT)).unwrap_or_else(|| TraceParent::begun(draw)),
            switch,
            expects: headers
                .get(header::EXPECT)
                .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue")),
            trailers: takes_trailers(&headers),
            cookie: joined_cookies(&headers),
            origin,
            named,
            headers,
        })
    }

    /// Whether a client's field goes on to the worker as it is.
    fn is_kept(&self, name: &HeaderName) -> bool {
        let text = name.as_str();
        // Many frameworks read `x_forwarded_for` as `x-forwarded-for`: it must not be a way around this, nor around a proxy in
        // front, which sets and clears only the names that it knows.
        if text.contains('_') {
            let plain = text.replace('_', "-");
            return self.may_be_kept(&plain) && !says_who(&plain) && plain != "cookie";
        }
        self.may_be_kept(text) && !(self.named.contains(name))
    }

    fn may_be_kept(&self, name: &str) -> bool {
        match name {
            "host" | "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "content-length"
            | "upgrade" | "te" | "expect" | "http2-settings" | "x-request-id" | "x-request-deadline"
            | "grpc-timeout" | "traceparent" | "x-forwarded-for" => false,
            "tracestate" => self.trace.is_continued(),
            "cookie" => self.cookie.is_none(),
            "x-forwarded-proto" | "x-forwarded-host" | "forwarded" | "x-real-ip" => self.origin.trusted,
            _ => self.origin.trusted || !name.starts_with("x-forwarded-"),
        }
    }

    /// Fields that are the gateway's own words.
    fn each_added(&self, left: Duration, mut add: impl FnMut(&'static str, &[u8])) {
        let Origin { peer, trusted, scheme } = self.origin;
        let mut text = String::with_capacity(64);
        if trusted {
            for before in self.headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()) {
                text += before;
                text += ", ";
            }
        }
        // Writing to a string does not fail.
        let _ = write!(text, "{}", peer.to_canonical());
        add("x-forwarded-for", text.as_bytes());
        if !(trusted && self.headers.contains_key(FORWARDED_PROTO)) {
            add("x-forwarded-proto", scheme.as_bytes());
        }
        if let Some(host) = &self.host
            && !(trusted && self.headers.contains_key(FORWARDED_HOST))
        {
            add("x-forwarded-host", host.as_bytes());
        }
        add("x-request-id", self.id.as_bytes());
        add("traceparent", self.trace.as_bytes());
        text.clear();
        let millis = left.as_millis().max(1);
        let _ = write!(text, "{millis}");
        add("x-request-deadline", text.as_bytes());
        if self.headers.contains_key(GRPC_TIMEOUT) {
            // At most eight digits (gRPC over HTTP/2).
            text.clear();
            let _ = if millis < 100_000_000 { write!(text, "{millis}m") } else { write!(text, "{}S", millis / 1000) };
            add("grpc-timeout", text.as_bytes());
        }
        if let Some(cookie) = &self.cookie {
            add("cookie", cookie);
        }
    }

    /// Writes the head for a worker that speaks HTTP/1.1; `left` is the time that it has.
    pub(crate) fn write_h1(
        &self,
        out: &mut Vec<u8>,
        worker: SocketAddr,
        left: Duration,
        framing: Framing,
        expect: bool,
    ) {
        encode::request_line(out, &self.method, self.target.as_str());
        match &self.host {
            Some(host) => encode::line(out, "host", host.as_bytes()),
            None => encode::line(out, "host", worker.to_string().as_bytes()),
        }
        for (name, value) in &self.headers {
            if self.is_kept(name) {
                encode::line(out, name.as_str(), value.as_bytes());
            }
        }
        self.each_added(left, |name, value| encode::line(out, name, value));
        match (self.switch, self.trailers) {
            (Switch::No, false) => {}
            // A field that is for this hop must be named by `Connection` (RFC 9110, 10.1.4).
            (Switch::No, true) => out.extend_from_slice(b"te: trailers\r\nconnection: te\r\n"),
            (Switch::Upgrade | Switch::Connect, _) => {
                out.extend_from_slice(b"connection: upgrade\r\nupgrade: websocket\r\n");
            }
        }
        if self.switch == Switch::Connect {
            encode::line(out, "sec-websocket-key", ids::websocket_key(self.trace.as_bytes()).as_bytes());
        }
        if expect {
            out.extend_from_slice(b"expect: 100-continue\r\n");
        }
        encode::end_of_head(out, &self.method, framing);
    }

    /// The head for a worker that speaks HTTP/2; `None` for a host that cannot be one there.
    pub(crate) fn h2<B>(&self, worker: SocketAddr, left: Duration, body: B) -> Option<Request<B>> {
        let host = match &self.host {
            Some(host) => host.to_str().ok()?.to_owned(),
            None => worker.to_string(),
        };
        let uri = Uri::builder().scheme("http").authority(host).path_and_query(self.target.clone()).build().ok()?;
        let mut request = Request::new(body);
        *request.version_mut() = Version::HTTP_2;
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        let switches = self.switch != Switch::No;
        if switches {
            *request.method_mut() = Method::CONNECT;
            request.extensions_mut().insert(hyper::ext::Protocol::from_static("websocket"));
        }
        let headers = request.headers_mut();
        headers.reserve(self.headers.len() + 8);
        for (name, value) in &self.headers {
            // The key is of HTTP/1.1's handshake; here nobody answers it (RFC 8441, 5).
            if self.is_kept(name) && !(switches && name == header::SEC_WEBSOCKET_KEY) {
                headers.append(name, value.clone());
            }
        }
        self.each_added(left, |name, value| {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                headers.append(name, value);
            }
        });
        if self.trailers {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
        }
        Some(request)
    }
}

/// The one host that a request is for: the target's authority (HTTP/2, absolute form), else `Host`.
pub(crate) fn host(head: &Parts) -> Result<Option<HeaderValue>, &'static str> {
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

/// `TE: trailers`: the only one that is passed on, and what gRPC insists on.
fn takes_trailers(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::TE).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
}

/// A cookie's value.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line: &HeaderValue| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// HTTP/2 may split `Cookie` into many fields; HTTP/1.1 knows one (RFC 9113, 8.2.3).
fn joined_cookies(headers: &HeaderMap) -> Option<Vec<u8>> {
    let mut lines = headers.get_all(header::COOKIE).iter();
    if lines.next().is_none() || lines.next().is_none() {
        return None;
    }
    let lines: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    Some(lines.join(&b"; "[..]))
}

fn is_sane(id: &HeaderValue) -> bool {
    !id.is_empty() && id.len() <= REQUEST_ID_MAX_BYTES && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

/// Whether this is a gRPC call.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

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

    const DRAW: u128 = 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10;

    fn outbound(trusted: bool, text: &str) -> Result<Outbound, &'static str> {
        let head = head(text);
        let switch = if wants_websocket(head.version, &head.headers) { Switch::Upgrade } else { Switch::No };
        let origin = Origin { peer: "192.0.2.7".parse().unwrap(), trusted, scheme: "http" };
        Outbound::read(head, origin, switch, DRAW)
    }

    fn check(trusted: bool, text: &str, expected: &Expect) {
        let worker = "127.0.0.1:9".parse().unwrap();
        let out = match outbound(trusted, text) {
            Err(why) => format!("refused: {why}\n"),
            Ok(outbound) => {
                let mut out = Vec::new();
                outbound.write_h1(&mut out, worker, Duration::from_millis(1500), Framing::None, outbound.expects);
                String::from_utf8(out).unwrap().replace("\r\n", "\n")
            }
        };
        expected.assert_eq(out.trim_end());
    }

    #[test]
    fn a_plain_request_gets_its_origin() {
        check(
            false,
            "GET http://user:secret@shop.test/a?b=c HTTP/1.1\nHost: other.test\nX-Forwarded-For: 6.6.6.6\nX-Forwarded-Proto: https\nX-Forwarded-Port: 1\nX-Real-IP: 6.6.6.6\nForwarded: for=6.6.6.6\nX_Forwarded_For: 6.6.6.6\nX-Request-Id: forged\nmy_own: 1",
            &expect![[r#"
                GET /a?b=c HTTP/1.1
                host: shop.test
                my_own: 1
                x-forwarded-for: 192.0.2.7
                x-forwarded-proto: http
                x-forwarded-host: shop.test
                x-request-id: 01020304-0506-4708-890a-0b0c0d0e0f10
                traceparent: 00-0102030405064708890a0b0c0d0e0f10-973d72b572447305-01
                x-request-deadline: 1500"#]],
        );
    }

    /// A proxy in front that sets `X-Real-IP` lets `X_Real_IP` pass, and the app may read that one.
    #[test]
    fn a_field_that_says_who_has_no_second_spelling_behind_a_proxy_either() {
        let worker = "127.0.0.1:9".parse().unwrap();
        let text = "GET / HTTP/1.1\nHost: a\nX-Real-IP: 192.0.2.1\nX_Real_IP: 6.6.6.6\nX_Forwarded_Proto: https\nfor_warded: kept\nFORWARDED: for=192.0.2.1\nX-Forwarded_Host: evil";
        let mut out = Vec::new();
        outbound(true, text).unwrap().write_h1(&mut out, worker, Duration::from_secs(1), Framing::None, false);
        let out = String::from_utf8(out).unwrap();
        for kept in ["x-real-ip: 192.0.2.1", "for_warded: kept", "forwarded: for=192.0.2.1"] {
            assert!(out.contains(kept), "{kept} in {out}");
        }
        for gone in ["x_real_ip", "x_forwarded_proto", "x-forwarded_host"] {
            assert!(!out.contains(gone), "{gone} in {out}");
        }
    }

    #[test]
    fn trailers_say_nothing_that_a_head_must_say() {
        let names = [
            "x-sum",
            "grpc-status",
            "content-length",
            "transfer-encoding",
            "host",
            "authorization",
            "cookie",
            "x-real-ip",
            "x-forwarded-for",
            "x_forwarded_for",
            "content_length",
            "forwarded",
            "x-request-id",
            "traceparent",
            "te",
        ];
        let value = HeaderValue::from_static("1");
        let trailers = names.map(|name| (HeaderName::from_static(name), value.clone())).into_iter().collect();
        let kept: Vec<String> = trailers_to_worker(&trailers).keys().map(ToString::to_string).collect();
        assert_eq!(kept, ["x-sum", "grpc-status"]);
    }

    #[test]
    fn a_trusted_proxy_in_front_is_believed() {
        check(
            true,
            "GET / HTTP/1.1\nHost: shop.test\nX-Forwarded-For: 6.6.6.6\nX-Forwarded-Proto: https\nX-Forwarded-Host: www.shop.test\nForwarded: for=6.6.6.6\nX-Request-Id: mine",
            &expect![[r#"
                GET / HTTP/1.1
                host: shop.test
                x-forwarded-proto: https
                x-forwarded-host: www.shop.test
                forwarded: for=6.6.6.6
                x-forwarded-for: 6.6.6.6, 192.0.2.7
                x-request-id: mine
                traceparent: 00-0102030405064708890a0b0c0d0e0f10-973d72b572447305-01
                x-request-deadline: 1500"#]],
        );
    }

    #[test]
    fn hop_by_hop_fields_end_here() {
        check(
            false,
            "POST / HTTP/1.1\nHost: a\nConnection: close, X-Mine\nX-Mine: 1\nKeep-Alive: 5\nTE: gzip\nUpgrade: h2c\nHTTP2-Settings: x\nExpect: 100-continue\nX-Kept: 1\nContent-Length: 0",
            &expect![[r#"
                POST / HTTP/1.1
                host: a
                x-kept: 1
                x-forwarded-for: 192.0.2.7
                x-forwarded-proto: http
                x-forwarded-host: a
                x-request-id: 01020304-0506-4708-890a-0b0c0d0e0f10
                traceparent: 00-0102030405064708890a0b0c0d0e0f10-973d72b572447305-01
                x-request-deadline: 1500
                expect: 100-continue
                content-length: 0"#]],
        );
    }

    #[test]
    fn a_websocket_handshake_stays_one() {
        check(
            false,
            "GET /live HTTP/1.1\nHost: a\nConnection: keep-alive, Upgrade\nUpgrade: WebSocket\nSec-WebSocket-Version: 13",
            &expect![[r#"
                GET /live HTTP/1.1
                host: a
                sec-websocket-version: 13
                x-forwarded-for: 192.0.2.7
                x-forwarded-proto: http
                x-forwarded-host: a
                x-request-id: 01020304-0506-4708-890a-0b0c0d0e0f10
                traceparent: 00-0102030405064708890a0b0c0d0e0f10-973d72b572447305-01
                x-request-deadline: 1500
                connection: upgrade
                upgrade: websocket"#]],
        );
    }

    #[test]
    fn crumbs_of_http2_become_one_cookie() {
        check(
            false,
            "GET https://shop.test HTTP/2.0\nCookie: a=1\nCookie: b=2",
            &expect![[r#"
            GET / HTTP/1.1
            host: shop.test
            x-forwarded-for: 192.0.2.7
            x-forwarded-proto: http
            x-forwarded-host: shop.test
            x-request-id: 01020304-0506-4708-890a-0b0c0d0e0f10
            traceparent: 00-0102030405064708890a0b0c0d0e0f10-973d72b572447305-01
            x-request-deadline: 1500
            cookie: a=1; b=2"#]],
        );
    }

    #[test]
    fn a_trace_and_a_deadline_go_on() {
        check(
            false,
            "POST /x.Y/Z HTTP/2.0\nHost: a\nTE: trailers\ngrpc-timeout: 2S\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00\ntracestate: a=b\nx-request-deadline: 60000",
            &expect![[r#"
                POST /x.Y/Z HTTP/1.1
                host: a
                tracestate: a=b
                x-forwarded-for: 192.0.2.7
                x-forwarded-proto: http
                x-forwarded-host: a
                x-request-id: 01020304-0506-4708-890a-0b0c0d0e0f10
                traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00
                x-request-deadline: 1500
                grpc-timeout: 1500m
                te: trailers
                connection: te
                content-length: 0"#]],
        );
        check(
            false,
            "GET / HTTP/1.1\nHost: a\ntraceparent: nonsense\ntracestate: a=b",
            &expect![[r#"
            GET / HTTP/1.1
            host: a
            x-forwarded-for: 192.0.2.7
            x-forwarded-proto: http
            x-forwarded-host: a
            x-request-id: 01020304-0506-4708-890a-0b0c0d0e0f10
            traceparent: 00-0102030405064708890a0b0c0d0e0f10-973d72b572447305-01
            x-request-deadline: 1500"#]],
        );
    }

    #[test]
    fn an_unclear_host_is_refused() {
        check(false, "GET / HTTP/1.1", &expect!["refused: the request has no Host header"]);
        check(
            false,
            "GET / HTTP/1.1\nHost: a\nHost: b",
            &expect!["refused: the request has more than one Host header"],
        );
        check(
            false,
            "GET / HTTP/1.0",
            &expect![[r#"
            GET / HTTP/1.1
            host: 127.0.0.1:9
            x-forwarded-for: 192.0.2.7
            x-forwarded-proto: http
            x-request-id: 01020304-0506-4708-890a-0b0c0d0e0f10
            traceparent: 00-0102030405064708890a0b0c0d0e0f10-973d72b572447305-01
            x-request-deadline: 1500"#]],
        );
    }

    #[test]
    fn a_head_for_http2_says_the_same() {
        let worker = "127.0.0.1:9".parse().unwrap();
        let text = "POST /x HTTP/2.0\nHost: shop.test\nTE: trailers\ncontent-type: application/grpc\nconnection: x-gone\nx-gone: 1";
        let request = outbound(false, text).unwrap().h2(worker, Duration::from_secs(1), ()).unwrap();
        assert_eq!(request.uri(), "http://shop.test/x");
        assert_eq!(request.headers()["te"], "trailers");
        assert_eq!(request.headers()["content-type"], "application/grpc");
        for name in ["host", "connection", "x-gone"] {
            assert!(!request.headers().contains_key(name), "{name}");
        }
    }

    #[test]
    fn a_request_id_is_kept_when_trusted_and_sane_and_made_when_not() {
        let id = |trusted: bool, given: &str| {
            let text = format!("GET / HTTP/1.1\nHost: a\nX-Request-Id: {given}");
            outbound(trusted, &text).unwrap().id.to_str().unwrap().to_owned()
        };
        const MADE: &str = "01020304-0506-4708-890a-0b0c0d0e0f10";
        assert_eq!(id(true, "mine"), "mine");
        assert_eq!(id(false, "mine"), MADE);
        assert_eq!(id(true, "two words"), MADE);
        assert_eq!(id(true, &"x".repeat(129)), MADE);
    }
}
