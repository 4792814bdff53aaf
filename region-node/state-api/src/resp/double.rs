//! Floats as Redis reads and writes them: `strtod` on the way in, `%.17g` on the way out.

use std::io::Write as _;

use super::Decimal;

/// A float that was read, and whether it is what the text says: `1e400` reads as infinity, `1e-400` as nothing.
struct Read {
    value: f64,
    in_range: bool,
}

/// A float in any spelling of C's: `1`, `-.5`, `1e9`, `inf`, `0x1p3`. Nothing around it, not NaN, and not out of range.
pub(crate) fn parse_f64(text: &[u8]) -> Option<f64> {
    read(text).filter(|read| read.in_range).map(|read| read.value)
}

/// The end of a range, which Redis reads less strictly: up to the first zero byte, blanks before it are passed over, no text at all
/// is 0, and what is out of range is as large or as small as can be.
pub(crate) fn parse_bound(text: &[u8]) -> Option<f64> {
    let text = &text[..memchr::memchr(0, text).unwrap_or(text.len())];
    let blanks = text.iter().take_while(|byte| byte.is_ascii_whitespace() || **byte == 0x0b).count();
    if text.is_empty() { Some(0.0) } else { read(&text[blanks..]).map(|read| read.value) }
}

fn read(text: &[u8]) -> Option<Read> {
    let (negative, rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let read = match rest {
        [b'0', b'x' | b'X', digits @ ..] => read_hex(digits)?,
        [b'0'..=b'9' | b'.', ..] => {
            let value: f64 = std::str::from_utf8(rest).ok()?.parse().ok()?;
            let mantissa = rest.split(|byte| matches!(byte, b'e' | b'E')).next().unwrap_or_default();
            let is_zero = !mantissa.iter().any(|byte| matches!(byte, b'1'..=b'9'));
            Read { value, in_range: value.is_finite() && (is_zero || value != 0.0) }
        }
        _ if rest.eq_ignore_ascii_case(b"inf") || rest.eq_ignore_ascii_case(b"infinity") => {
            Read { value: f64::INFINITY, in_range: true }
        }
        _ => return None,
    };
    Some(Read { value: if negative { -read.value } else { read.value }, ..read })
}

/// `1f.8p-3`, what follows `0x`.
fn read_hex(text: &[u8]) -> Option<Read> {
    let (number, exponent) = match text.iter().position(|byte| matches!(byte, b'p' | b'P')) {
        Some(at) => (&text[..at], std::str::from_utf8(&text[at + 1..]).ok()?.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (mut mantissa, mut shift, mut digits, mut behind) = (0u64, 0i32, 0, false);
    for &byte in number {
        if byte == b'.' && !behind {
            behind = true;
            continue;
        }
        let digit = u64::from(char::from(byte).to_digit(16)?);
        digits += 1;
        if mantissa >> 59 == 0 {
            mantissa = mantissa << 4 | digit;
            shift -= if behind { 4 } else { 0 };
        } else {
            mantissa |= u64::from(digit != 0); // too far behind to be more than a hint for rounding
            shift += if behind { 0 } else { 4 };
        }
    }
    if digits == 0 {
        return None;
    }
    // In two steps, so that neither power leaves the range that the product is in.
    let exponent = exponent.saturating_add(shift).clamp(-2200, 2200);
    let value = mantissa as f64 * 2f64.powi(exponent / 2) * 2f64.powi(exponent - exponent / 2);
    Some(Read { value, in_range: value.is_finite() && (mantissa == 0 || value != 0.0) })
}

/// A float written out on the stack as `%.17g` writes it.
pub(crate) struct Double {
    text: [u8; 32],
    len: usize,
}

impl Double {
    /// Writes `value` out.
    pub(crate) fn new(value: f64) -> Self {
        const WHOLE: f64 = 1e15; // well within both the integers and the 17 digits
        let mut double = Self { text: [0; 32], len: 0 };
        if value.is_infinite() {
            double.push(if value > 0.0 { b"inf" } else { b"-inf" });
        } else if value.fract() == 0.0 && value.abs() < WHOLE && (value != 0.0 || value.is_sign_positive()) {
            double.push(Decimal::new(value as i64).as_bytes());
        } else {
            double.general(value);
        }
        double
    }

    /// The text.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.text[..self.len]
    }

    fn push(&mut self, bytes: &[u8]) {
        self.text[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// 17 digits, without trailing zeros; with an exponent where the point would lie far from them.
    fn general(&mut self, value: f64) {
        let mut scientific = [0u8; 32];
        let mut rest = &mut scientific[..];
        // A sign, 17 digits, a point and an exponent take 24 bytes.
        let _ = write!(rest, "{:.16e}", value.abs());
        let left = rest.len();
        let scientific = &scientific[..32 - left];
        let mut parts = scientific.split(|byte| *byte == b'e');
        let (mantissa, exponent) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let exponent: i32 = std::str::from_utf8(exponent).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
        let mut digits = [b'0'; 17];
        mantissa.iter().filter(|byte| **byte != b'.').zip(&mut digits).for_each(|(from, to)| *to = *from);
        let digits = &digits[..digits.iter().rposition(|digit| *digit != b'0').map_or(1, |last| last + 1)];
        if value.is_sign_negative() {
            self.push(b"-");
        }
        match exponent {
            0..17 => self.fixed(digits, exponent as usize + 1),
            -4..0 => {
                self.push(b"0.");
                (1..-exponent).for_each(|_| self.push(b"0"));
                self.push(digits);
            }
            _ => {
                self.fixed(digits, 1);
                self.push(if exponent < 0 { b"e-" } else { b"e+" });
                if exponent.abs() < 10 {
                    self.push(b"0");
                }
                self.push(Decimal::unsigned(u64::from(exponent.unsigned_abs())).as_bytes());
            }
        }
    }

    /// Digits with a point behind the first `whole` of them.
    fn fixed(&mut self, digits: &[u8], whole: usize) {
        self.push(&digits[..digits.len().min(whole)]);
        (digits.len()..whole).for_each(|_| self.push(b"0"));
        if digits.len() > whole {
            self.push(b".");
            self.push(&digits[whole..]);
        }
    }
}
