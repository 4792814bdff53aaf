//! The sticky cookie's value: a slot, signed, so that nobody can choose a worker by writing a number.
//!
//! `SLOT.MAC`, where MAC is the first half of HMAC-SHA-256 over app and slot, in hex. The slot, not the process: the cookie
//! outlives restarts and releases. It says nothing of the user, and a value that does not verify is as good as none.

use ring::hmac;
use subtle::ConstantTimeEq;

/// Bytes of the MAC that are kept: 128 bits.
const MAC_LEN: usize = 16;

/// What signs and checks the cookies of one app.
#[derive(Debug, Clone)]
pub struct StickyKey {
    key: hmac::Key,
    app: String,
}

impl StickyKey {
    /// The key of an app, made of a secret of any length (32 random bytes are right), shared by all nodes that serve the app.
    pub fn new(secret: &[u8], app: &str) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, secret), app: app.to_owned() }
    }

    /// The cookie's value for a slot.
    pub fn encode(&self, slot: u16) -> String {
        use std::fmt::Write;
        let mut value = format!("{slot}.");
        for byte in self.mac(slot) {
            // Writing to a string does not fail.
            let _ = write!(value, "{byte:02x}");
        }
        value
    }

    /// The slot of a value that this key made for this app; `None` for any other value.
    pub fn decode(&self, value: &str) -> Option<u16> {
        let (slot, mac) = value.split_once('.')?;
        let number: u16 = slot.parse().ok()?;
        // One slot, one spelling.
        let canonical = slot.bytes().all(|byte| byte.is_ascii_digit()) && (slot == "0" || !slot.starts_with('0'));
        let told = from_hex(mac)?;
        (canonical && bool::from(told.ct_eq(&self.mac(number)))).then_some(number)
    }

    fn mac(&self, slot: u16) -> [u8; MAC_LEN] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(b"atoll sticky 1\0");
        context.update(&slot.to_be_bytes());
        context.update(self.app.as_bytes());
        let tag = context.sign();
        let mut mac = [0; MAC_LEN];
        mac.copy_from_slice(&tag.as_ref()[..MAC_LEN]);
        mac
    }
}

fn from_hex(text: &str) -> Option<[u8; MAC_LEN]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * MAC_LEN {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; MAC_LEN];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_reads_back_and_only_with_its_key_and_app() {
        let key = StickyKey::new(b"secret", "shop");
        for slot in [0, 1, 7, 99, u16::MAX] {
            let value = key.encode(slot);
            assert_eq!(key.decode(&value), Some(slot), "{value}");
            assert_eq!(StickyKey::new(b"other", "shop").decode(&value), None);
            assert_eq!(StickyKey::new(b"secret", "blog").decode(&value), None);
        }
    }

    #[test]
    fn whatever_was_changed_is_nothing() {
        let key = StickyKey::new(b"secret", "shop");
        let value = key.encode(3);
        let (_, mac) = value.split_once('.').unwrap();
        for bad in [
            String::new(),
            "3".into(),
            "3.".into(),
            format!("4.{mac}"),
            format!("03.{mac}"),
            format!("+3.{mac}"),
            format!("3.{}", mac.to_uppercase()),
            format!("3.{mac}0"),
            format!("3.{}", &mac[1..]),
            format!("65539.{mac}"),
            format!("3.{}", "é".repeat(16)),
        ] {
            assert_eq!(key.decode(&bad), None, "{bad}");
        }
    }
}
