//! The session cookie: a random name for a visitor, which the state knows under `session:<id>`.

use axum::http::{HeaderMap, HeaderValue, header};

const COOKIE: &str = "sid";
const ID_BYTES: usize = 16;
/// How long a session lives after its last use.
pub(super) const TTL_SECONDS: i64 = 30 * 60;

/// A session's id: 32 hexadecimal digits, so that it can stand in a key as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SessionId(String);

impl SessionId {
    /// A new one, from the operating system's randomness: who guesses it is logged in.
    pub(super) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; ID_BYTES];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// The one that a request carries, if it looks like one.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let (_, id) = pairs.find(|(name, _)| *name == COOKIE)?;
        let sane = id.len() == 2 * ID_BYTES && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        sane.then(|| Self(id.to_owned()))
    }

    pub(super) fn session_key(&self) -> String {
        format!("session:{}", self.0)
    }

    pub(super) fn cart_key(&self) -> String {
        format!("cart:{}", self.0)
    }

    /// The header that gives the visitor this id.
    pub(super) fn cookie(&self) -> Option<HeaderValue> {
        let text = format!("{COOKIE}={}; Path=/; Max-Age={TTL_SECONDS}; HttpOnly; SameSite=Lax", self.0);
        HeaderValue::from_str(&text).ok()
    }

    /// The header that takes any id away.
    pub(super) fn cleared_cookie() -> HeaderValue {
        HeaderValue::from_static("sid=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(cookie: &'static str, expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_static(cookie));
        assert_eq!(SessionId::of(&headers).map(|id| id.0).as_deref(), expected, "{cookie}");
    }

    #[test]
    fn only_an_id_of_our_making_is_taken() {
        const ID: &str = "00112233445566778899aabbccddeeff";
        check("sid=00112233445566778899aabbccddeeff", Some(ID));
        check("atoll-token=1.2; sid=00112233445566778899aabbccddeeff; theme=dark", Some(ID));
        check("sid=0011", None);
        check("sid=00112233445566778899aabbccddeefg", None);
        check("sid=*", None);
        check("asid=00112233445566778899aabbccddeeff", None);
    }

    #[test]
    fn a_random_id_survives_its_own_cookie() {
        let id = SessionId::random().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, id.cookie().unwrap());
        assert_eq!(SessionId::of(&headers), Some(id));
    }
}
