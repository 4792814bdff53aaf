//! The floats of INCRBYFLOAT where decimals do not do (`1e300`, `0x1p4`, twenty digits behind the point): 80-bit extended precision,
//! which is what Redis computes with, read, added and shown to the same digits.
//!
//! A number is `mantissa × 2^exponent` with the mantissa's top bit set, rounded to nearest, ties to even. Only texts leave here, with
//! 17 digits behind the point, so numbers too small to show need no subnormal forms.

use crate::types::decimal;

/// Longest text that Redis takes for a number.
pub(crate) const MAX_TEXT: usize = 5 * 1024 - 1;
/// No number is as great as 2 to this power.
const MAX_POWER: i32 = 16_384;
/// What is not greater than half of 2 to this power reads as nothing, and is refused.
const MIN_POWER: i32 = -16_445;
/// Decimal exponents beyond this are beyond every number, whatever the digits before them.
const MAX_EXPONENT: i32 = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extended {
    Zero,
    Finite { negative: bool, mantissa: u64, exponent: i32 },
    Infinite { negative: bool },
}

impl Extended {
    /// A number as the C library's `strtold` reads it, all of it; no blanks, no NaN, nothing out of range.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let (negative, rest) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        if rest.eq_ignore_ascii_case(b"inf") || rest.eq_ignore_ascii_case(b"infinity") {
            return Some(Self::Infinite { negative });
        }
        let number = match rest {
            [b'0', b'x' | b'X', hex @ ..] => parse_hex(hex)?,
            rest => parse_decimal(rest)?,
        };
        match number.rounded(negative) {
            Self::Finite { exponent, .. } if exponent + 64 <= MIN_POWER => None,
            Self::Infinite { .. } => None,
            number => Some(number),
        }
    }

    /// The sum; `None` where it is no finite number.
    pub(crate) fn plus(self, other: Self) -> Option<Self> {
        let (a, b) = match (self, other) {
            (Self::Infinite { .. }, _) | (_, Self::Infinite { .. }) => return None,
            (Self::Zero, number) | (number, Self::Zero) => return Some(number),
            (Self::Finite { exponent: a, mantissa: m, .. }, Self::Finite { exponent: b, mantissa: n, .. }) => {
                if (a, m) >= (b, n) { (self, other) } else { (other, self) }
            }
        };
        let Self::Finite { negative, mantissa, exponent } = a else { return None };
        let Self::Finite { negative: opposite, mantissa: small, exponent: low } = b else { return None };
        // 63 bits below the last one that counts; what falls below even those only breaks ties.
        let shift = (exponent - low).min(127);
        let (great, small) = (u128::from(mantissa) << 63, u128::from(small) << 63);
        let lost = shift > 0 && small << (128 - shift) != 0;
        let small = small >> shift | u128::from(lost);
        let sum = if negative == opposite { great + small } else { great - small };
        match (Rough { bits: sum, exponent: exponent - 63, more: false }).rounded(negative) {
            Self::Infinite { .. } => None,
            sum => Some(sum),
        }
    }

    /// With at most 17 digits behind the point, no exponent, no superfluous zeros.
    pub(crate) fn show(self) -> String {
        let Self::Finite { negative, mantissa, exponent } = self else { return "0".to_owned() };
        let sign = if negative { "-" } else { "" };
        if exponent >= 0 {
            let mut whole = Big::from(mantissa);
            whole.shift_left(exponent as u32);
            return format!("{sign}{}", whole.show());
        }
        let scaled = u128::from(mantissa) * decimal::ONE.unsigned_abs();
        let scaled = Rough { bits: scaled, exponent, more: false }.to_integer();
        let shown = decimal::show(scaled as i128);
        if scaled == 0 { shown } else { format!("{sign}{shown}") }
    }
}

/// `bits × 2^exponent`, and a little more than that if `more`.
#[derive(Clone, Copy)]
struct Rough {
    bits: u128,
    exponent: i32,
    more: bool,
}

impl Rough {
    fn rounded(self, negative: bool) -> Extended {
        if self.bits == 0 {
            return Extended::Zero;
        }
        let excess = 64 - self.bits.leading_zeros() as i32;
        let mut exponent = self.exponent + excess;
        let mut mantissa =
            if excess <= 0 { self.bits << -excess } else { half_even(self.bits, excess as u32, self.more) };
        if mantissa >> 64 != 0 {
            (mantissa, exponent) = (mantissa >> 1, exponent + 1);
        }
        if exponent + 64 > MAX_POWER {
            return Extended::Infinite { negative };
        }
        Extended::Finite { negative, mantissa: mantissa as u64, exponent }
    }

    /// To the nearest integer, for a negative exponent.
    fn to_integer(self) -> u128 {
        match self.exponent.unsigned_abs() {
            0 => self.bits,
            shift @ 1..128 => half_even(self.bits, shift, self.more),
            _ => 0,
        }
    }
}

/// `bits / 2^shift` to the nearest, ties to even; `shift` is 1 to 127.
fn half_even(bits: u128, shift: u32, more: bool) -> u128 {
    let (quotient, rest, half) = (bits >> shift, bits & ((1 << shift) - 1), 1u128 << (shift - 1));
    let up = rest > half || rest == half && (more || quotient & 1 == 1);
    quotient + u128::from(up)
}

/// `12.5e-3`: digits, with a point somewhere, and perhaps an exponent.
struct Digits<'a> {
    before: &'a [u8],
    behind: &'a [u8],
    exponent: i32,
}

fn digits(text: &[u8], marks: [u8; 2]) -> Option<Digits<'_>> {
    let (mantissa, exponent) = match text.iter().position(|byte| marks.contains(byte)) {
        None => (text, 0),
        Some(at) => (&text[..at], parse_exponent(&text[at + 1..])?),
    };
    let (before, behind) = match mantissa.iter().position(|byte| *byte == b'.') {
        None => (mantissa, &[][..]),
        Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
    };
    (!(before.is_empty() && behind.is_empty())).then_some(Digits { before, behind, exponent })
}

fn parse_exponent(text: &[u8]) -> Option<i32> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let power = digits.iter().fold(0, |power, digit| (power * 10 + i32::from(digit - b'0')).min(100_000));
    Some(if negative { -power } else { power })
}

fn parse_hex(text: &[u8]) -> Option<Rough> {
    let Digits { before, behind, exponent } = digits(text, [b'p', b'P'])?;
    let mut number = Rough { bits: 0, exponent: exponent - 4 * behind.len() as i32, more: false };
    for byte in before.iter().chain(behind) {
        let digit = (*byte as char).to_digit(16)?;
        if number.bits >> 120 == 0 {
            number.bits = number.bits << 4 | u128::from(digit);
        } else {
            number.exponent += 4;
            number.more |= digit > 0;
        }
    }
    Some(number)
}

fn parse_decimal(text: &[u8]) -> Option<Rough> {
    let Digits { before, behind, exponent } = digits(text, [b'e', b'E'])?;
    let mut number = Big::from(0);
    for part in [before, behind] {
        for group in part.chunks(TENS.0) {
            let mut value = 0;
            for byte in group {
                value = value * 10 + (*byte as char).to_digit(10)?;
            }
            number.multiply_add(10u32.pow(group.len() as u32), value);
        }
    }
    if number.is_zero() {
        return Some(Rough { bits: 0, exponent: 0, more: false });
    }
    let exponent = exponent - behind.len() as i32;
    if exponent.abs() > MAX_EXPONENT {
        return None;
    }
    let power = exponent.unsigned_abs();
    if exponent >= 0 {
        number.times_power_of_5(power);
        return Some(number.top(power as i32, false));
    }
    // Room for 128 bits of the quotient: 5^power has less than 2.33 × power bits.
    let room = 128 + power * 7 / 3;
    number.shift_left(room);
    let more = number.over_power_of_5(power);
    Some(number.top(exponent - room as i32, more))
}

/// A natural number of any length, low words first.
struct Big(Vec<u32>);

/// The greatest power of five, and of ten, in a word.
const FIVES: (u32, u32) = (13, 1_220_703_125);
const TENS: (usize, u32) = (9, 1_000_000_000);

impl From<u64> for Big {
    fn from(n: u64) -> Self {
        Self(vec![n as u32, (n >> 32) as u32])
    }
}

impl Big {
    fn is_zero(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    fn multiply_add(&mut self, factor: u32, more: u32) {
        let mut carry = u64::from(more);
        for word in &mut self.0 {
            carry += u64::from(*word) * u64::from(factor);
            (*word, carry) = (carry as u32, carry >> 32);
        }
        if carry > 0 {
            self.0.push(carry as u32);
        }
    }

    /// Gives what is left over.
    fn divide(&mut self, divisor: u32) -> u32 {
        let mut rest = 0;
        for word in self.0.iter_mut().rev() {
            let dividend = rest << 32 | u64::from(*word);
            (*word, rest) = ((dividend / u64::from(divisor)) as u32, dividend % u64::from(divisor));
        }
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
        rest as u32
    }

    fn times_power_of_5(&mut self, power: u32) {
        (0..power / FIVES.0).for_each(|_| self.multiply_add(FIVES.1, 0));
        self.multiply_add(5u32.pow(power % FIVES.0), 0);
    }

    /// Whether something is left over.
    fn over_power_of_5(&mut self, power: u32) -> bool {
        let mut rest = self.divide(5u32.pow(power % FIVES.0));
        for _ in 0..power / FIVES.0 {
            rest |= self.divide(FIVES.1);
        }
        rest > 0
    }

    fn shift_left(&mut self, bits: u32) {
        self.multiply_add(1 << (bits % 32), 0);
        self.0.splice(..0, std::iter::repeat_n(0, bits as usize / 32));
    }

    /// The highest 128 bits of `self × 2^exponent`.
    fn top(&self, exponent: i32, more: bool) -> Rough {
        let used = self.0.iter().rposition(|word| *word != 0).map_or(0, |at| at + 1);
        let words = &self.0[..used];
        let (low, high) = words.split_at(used.saturating_sub(4));
        let bits = high.iter().rev().fold(0u128, |bits, word| bits << 32 | u128::from(*word));
        Rough { bits, exponent: exponent + 32 * low.len() as i32, more: more || low.iter().any(|word| *word != 0) }
    }

    fn show(mut self) -> String {
        let mut groups = Vec::new();
        while !self.is_zero() {
            groups.push(self.divide(TENS.1));
        }
        let mut groups = groups.into_iter().rev();
        let first = groups.next().unwrap_or_default().to_string();
        groups.fold(first, |shown, group| format!("{shown}{group:0width$}", width = TENS.0))
    }
}

#[cfg(test)]
mod tests;
