//! Integers as the protocol writes them: canonical decimal, so that the text of a number is unique.

/// Reads a canonical integer: no spaces, no `+`, no leading zero, no `-0`, within 64 bits. Anything else is `None`.
pub(crate) fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [] => return None,
        [b'0'] => return (!negative).then_some(0),
        [b'0', ..] => return None,
        _ if digits.len() > 19 => return None,
        _ => {}
    }
    // Counted downwards, because the negative half has one number more.
    let mut value = 0i64;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_sub(i64::from(digit - b'0'))?;
    }
    if negative { Some(value) } else { value.checked_neg() }
}

/// An integer written out in decimal on the stack.
pub(crate) struct Decimal {
    digits: [u8; 20],
    start: usize,
}

impl Decimal {
    /// Writes `value` out.
    pub(crate) fn new(value: i64) -> Self {
        let mut number = Self::unsigned(value.unsigned_abs());
        if value < 0 {
            number.start -= 1;
            number.digits[number.start] = b'-';
        }
        number
    }

    /// Writes a length or a count out.
    pub(crate) fn unsigned(mut value: u64) -> Self {
        let mut number = Self { digits: [0; 20], start: 20 };
        loop {
            number.start -= 1;
            number.digits[number.start] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                return number;
            }
        }
    }

    /// The text.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.digits[self.start..]
    }
}
