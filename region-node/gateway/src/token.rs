//! The token cookie: a session carries what it has seen from one region to the next.
//!
//! Laws, for one cookie `atoll-token=REGION.HLC`:
//!
//! - **Set** when the region acknowledged a write while the request ran (another request's write may be the cause: harmless,
//!   the token is only later than needed). The newest write wins: the cookie names one region, and a write here comes after
//!   everything that the request had waited for.
//! - **Kept** as it is when nothing was written, also when the wait for it ended in vain: the next region must still wait.
//! - **Never** on an answer that a shared cache may keep: it would hand one user's token to all. That write's token is lost.
//! - **Waited for** when it names another region, at most `token_wait`; then the answer says so in `x-atoll-stale`.
//! - **Ignored** when malformed.

use std::{future::Future, pin::Pin};

use http::{HeaderMap, HeaderValue, header};
use model::{RegionName, Token};
use tokio::time::Instant;

/// The cookie's name.
pub const TOKEN_COOKIE: &str = "atoll-token";

/// How waiting for a token ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waited {
    /// This region has everything that the token names.
    Reached,
    /// The deadline came first.
    TimedOut,
    /// It cannot be reached now: no link to its region, or no such region.
    OriginUnreachable,
}

/// What the gateway needs to know of the region's replicated state.
pub trait TokenSource: Send + Sync + 'static {
    /// The last write that this region acknowledged. Called twice per request: an atomic load, not a question.
    fn last_write(&self) -> Token;

    /// Resolves when this region has caught up to `token`, at `deadline`, or at once when waiting is in vain.
    fn wait_for(&self, token: Token, deadline: Instant) -> Pin<Box<dyn Future<Output = Waited> + Send + '_>>;

    /// The name of a region by its number.
    fn region_name(&self, region: u16) -> Option<RegionName>;
}

/// The token that a request carries, if it carries a well-formed one.
pub(crate) fn carried(headers: &HeaderMap) -> Option<Token> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == TOKEN_COOKIE).and_then(|(_, value)| value.parse().ok())
}

/// Sets the cookie if the region's last write moved from `before` to `after` and the answer allows it.
pub(crate) fn attach(headers: &mut HeaderMap, before: Token, after: Token) {
    if after <= before || may_be_shared(headers) {
        return;
    }
    let cookie = format!("{TOKEN_COOKIE}={after}; Path=/; HttpOnly; SameSite=Lax");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        headers.append(header::SET_COOKIE, cookie);
    }
}

/// Whether a shared cache may keep an answer with these headers. In doubt: yes.
pub(crate) fn may_be_shared(headers: &HeaderMap) -> bool {
    let lines: Vec<&HeaderValue> = headers.get_all(header::CACHE_CONTROL).iter().collect();
    if lines.is_empty() {
        let expires = headers.get(header::EXPIRES).map(HeaderValue::as_bytes);
        return expires.is_some_and(|value| value != b"0" && value != b"-1");
    }
    let Some(lines) = lines.iter().map(|line| line.to_str().ok()).collect::<Option<Vec<_>>>() else { return true };
    let (mut private, mut shared) = (false, false);
    for directive in lines.iter().flat_map(|line| line.split(',')) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let value = value.trim().trim_matches('"');
        match name.trim().to_ascii_lowercase().as_str() {
            // `private="field"` speaks of one field only.
            "private" => private |= value.is_empty(),
            "no-store" => private = true,
            "public" => shared = true,
            "max-age" | "s-maxage" => shared |= value != "0",
            _ => {}
        }
    }
    shared && !private
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_carried(cookies: &[&str], expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        for line in cookies {
            headers.append(header::COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        assert_eq!(carried(&headers).map(|token| token.to_string()).as_deref(), expected, "{cookies:?}");
    }

    #[test]
    fn a_request_carries_a_token_only_if_it_is_well_formed() {
        check_carried(&[], None);
        check_carried(&["atoll-token=2.18f3a2b4c5d60001"], Some("2.18f3a2b4c5d60001"));
        check_carried(&["sid=1; atoll-token=2.1; theme=dark"], Some("2.1"));
        check_carried(&["sid=1", "atoll-token=3.ff"], Some("3.ff"));
        check_carried(&["atoll-token=2.1; atoll-token=3.1"], Some("2.1"));
        check_carried(&["atoll-token=", "x"], None);
        check_carried(&["atoll-token=two.1"], None);
        check_carried(&["atoll-token=99999.1"], None);
        check_carried(&["atoll-token=2.fffffffffffffffff"], None);
        check_carried(&["atoll-token=2.é"], None);
        check_carried(&["my-atoll-token=2.1"], None);
    }

    fn check_attached(answer: &[(&str, &str)], expected: bool) {
        let mut headers = HeaderMap::new();
        for (name, value) in answer {
            headers.append(http::HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        attach(&mut headers, Token { region: 1, hlc: 5 }, Token { region: 1, hlc: 6 });
        let attached =
            headers.get_all(header::SET_COOKIE).iter().any(|value| value.as_bytes().starts_with(b"atoll-token="));
        assert_eq!(attached, expected, "{answer:?}");
    }

    #[test]
    fn an_answer_that_a_shared_cache_may_keep_never_carries_a_token() {
        check_attached(&[], true);
        check_attached(&[("set-cookie", "sid=1")], true);
        check_attached(&[("cache-control", "no-store")], true);
        check_attached(&[("cache-control", "private, max-age=60")], true);
        check_attached(&[("cache-control", "max-age=0, must-revalidate")], true);
        check_attached(&[("cache-control", "no-cache")], true);
        check_attached(&[("expires", "0")], true);
        check_attached(&[("cache-control", "public")], false);
        check_attached(&[("cache-control", "max-age=60")], false);
        check_attached(&[("cache-control", "Max-Age=\"60\"")], false);
        check_attached(&[("cache-control", "s-maxage=1, max-age=0")], false);
        check_attached(&[("cache-control", "no-cache"), ("cache-control", "public")], false);
        check_attached(&[("cache-control", "private=\"set-cookie\", public")], false);
        check_attached(&[("expires", "Thu, 01 Dec 2044 16:00:00 GMT")], false);
    }

    #[test]
    fn no_write_no_cookie() {
        let mut headers = HeaderMap::new();
        let token = Token { region: 1, hlc: 5 };
        attach(&mut headers, token, token);
        assert!(headers.is_empty());
    }
}
