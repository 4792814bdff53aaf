//! Ids that travel with a request: its own, and the trace that it is part of. Pure: luck is an argument.

use http::HeaderValue;

const HEX: &[u8; 16] = b"0123456789abcdef";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// `00-TRACE-PARENT-FLAGS`: 2, 32, 16 and 2 digits.
const TRACE_PARENT_LEN: usize = 55;

/// A request id that looks like a random UUID (RFC 9562, version 4).
pub(crate) fn request_id(draw: u128) -> HeaderValue {
    let bytes = uuid_bytes(draw);
    let mut text = [b'-'; 36];
    let mut at = 0;
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            at += 1;
        }
        text[at] = HEX[usize::from(byte >> 4)];
        text[at + 1] = HEX[usize::from(byte & 15)];
        at += 2;
    }
    // Hexadecimal digits and dashes are always a valid value.
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("0"))
}

fn uuid_bytes(draw: u128) -> [u8; 16] {
    let mut bytes = draw.to_be_bytes();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    bytes
}

/// W3C Trace Context, level 1.
///
/// One that comes along is passed on untouched, as the gateway records no span of its own: a parent that nobody recorded would be a hole
/// in the trace. One that is begun here has the request's id as its trace id, so that either finds the other, and says
/// "sampled": an app that would have sampled its own traces still does.
#[derive(Debug, Clone)]
pub(crate) enum TraceParent {
    Continued(HeaderValue),
    Begun([u8; TRACE_PARENT_LEN]),
}

impl TraceParent {
    /// What a client sent, if it is sound.
    pub(crate) fn continued(given: Option<&HeaderValue>) -> Option<Self> {
        let given = given?;
        let text = given.as_bytes();
        let hex =
            |from: usize, to: usize| text[from..to].iter().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b));
        let zero = |from: usize, to: usize| text[from..to].iter().all(|b| *b == b'0');
        let version_sound = |text: &[u8]| match &text[..2] {
            b"00" => text.len() == TRACE_PARENT_LEN,
            b"ff" => false,
            _ => text.len() == TRACE_PARENT_LEN || text[TRACE_PARENT_LEN] == b'-',
        };
        let sound = text.len() >= TRACE_PARENT_LEN
            && [2, 35, 52].iter().all(|at| text[*at] == b'-')
            && hex(0, 2)
            && hex(3, 35)
            && hex(36, 52)
            && hex(53, 55)
            && !zero(3, 35)
            && !zero(36, 52)
            && version_sound(text);
        sound.then(|| Self::Continued(given.clone()))
    }

    /// A new trace, of the same luck as the request's id.
    pub(crate) fn begun(draw: u128) -> Self {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-01";
        let mut put = |at: usize, bytes: &[u8]| {
            for (index, byte) in bytes.iter().enumerate() {
                text[at + 2 * index] = HEX[usize::from(byte >> 4)];
                text[at + 2 * index + 1] = HEX[usize::from(byte & 15)];
            }
        };
        put(3, &uuid_bytes(draw));
        // Another number than the trace's, never 0.
        let parent = (draw as u64 ^ 0x9e37_79b9_7f4a_7c15).max(1);
        put(36, &parent.to_be_bytes());
        Self::Begun(text)
    }

    pub(crate) fn is_continued(&self) -> bool {
        matches!(self, Self::Continued(_))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Continued(value) => value.as_bytes(),
            Self::Begun(text) => text,
        }
    }

    /// The trace's id.
    pub(crate) fn trace_id(&self) -> &str {
        self.as_bytes().get(3..35).and_then(|id| std::str::from_utf8(id).ok()).unwrap_or_default()
    }
}

/// The key of a WebSocket handshake of the gateway's own: 16 bytes in base64 (RFC 6455, 4.1), taken from `seed`, which has to have
/// more. It guards against caches that misread, not against people.
pub(crate) fn websocket_key(seed: &[u8]) -> String {
    let bytes: Vec<u8> = seed.iter().copied().filter(|byte| *byte != b'-').take(32).collect();
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or(0) as u8;
    let bytes: Vec<u8> =
        bytes.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(*pair.get(1).unwrap_or(&b'0'))).collect();
    base64(&bytes)
}

/// What a server answers to a handshake's key (RFC 6455, 4.2.2).
pub(crate) fn websocket_accept(key: &[u8]) -> String {
    const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    // SHA-1 because the protocol says so; nothing is kept safe by it.
    let mut context = ring::digest::Context::new(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(key);
    context.update(GUID);
    base64(context.finish().as_ref())
}

fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let number = three.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for at in 0..4 {
            let digit = BASE64[(number >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAW: u128 = 0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10;

    #[test]
    fn an_id_looks_like_a_random_uuid() {
        assert_eq!(request_id(DRAW), "01020304-0506-4708-890a-0b0c0d0e0f10");
        assert_eq!(request_id(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }

    #[test]
    fn a_trace_that_is_begun_is_sound_and_has_the_requests_id() {
        let begun = TraceParent::begun(DRAW);
        assert_eq!(begun.trace_id(), "0102030405064708890a0b0c0d0e0f10");
        let value = HeaderValue::from_bytes(begun.as_bytes()).unwrap();
        assert!(TraceParent::continued(Some(&value)).is_some(), "{value:?}");
    }

    #[test]
    fn a_trace_is_continued_if_it_is_one() {
        let check = |text: &str, sound: bool| {
            let value = HeaderValue::from_str(text).unwrap();
            assert_eq!(TraceParent::continued(Some(&value)).is_some(), sound, "{text}");
        };
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        check(good, true);
        check("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true);
        check("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what", true);
        check("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.what", false);
        check("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false);
        check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x", false);
        check("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", false);
        check("00-00000000000000000000000000000000-b7ad6b7169203331-01", false);
        check("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false);
        check(&good[..54], false);
        check("", false);
        assert!(TraceParent::continued(None).is_none());
    }

    /// The example of RFC 6455, 1.3.
    #[test]
    fn a_websocket_key_is_answered_as_the_rfc_says() {
        assert_eq!(websocket_accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_websocket_key_is_sixteen_bytes_in_base64() {
        assert_eq!(websocket_key(b"000102030405060708090a0b0c0d0e0f"), "AAECAwQFBgcICQoLDA0ODw==");
        let key = websocket_key(TraceParent::begun(DRAW).as_bytes());
        assert_eq!((key.len(), key.ends_with("==")), (24, true), "{key}");
    }
}
