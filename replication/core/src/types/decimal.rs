//! Numbers that counters add up: exact decimals with 17 digits behind the point, as many as INCRBYFLOAT shows.
//!
//! A decimal is an integer count of 10^-17. Integers up to 64 bits and the fractions that people write fit, sums do not depend
//! on their order, and adding 0.1 ten times is 1. What does not fit (1e300, infinity) is not counted but written as text.

/// One, in units of 10^-17.
pub(crate) const ONE: i128 = 100_000_000_000_000_000;
const DIGITS: usize = 17;
/// Powers of ten as floats, all of them exact.
const POWERS: [f64; DIGITS + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17];

/// An integer as a decimal.
pub(crate) fn whole(n: i64) -> i128 {
    i128::from(n) * ONE
}

/// The integer that a decimal is, cut to 64 bits; `None` if it has a fraction.
pub(crate) fn to_integer(decimal: i128) -> Option<i64> {
    (decimal % ONE == 0).then(|| (decimal / ONE).clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
}

/// `-12.5`, `3`, `1.5e3`: a decimal number that fits; `None` for anything else.
pub(crate) fn parse(text: &[u8]) -> Option<i128> {
    let (negative, rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (mantissa, exponent) = match rest.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&rest[..at], std::str::from_utf8(&rest[at + 1..]).ok()?.parse::<i32>().ok()?),
        None => (rest, 0),
    };
    let (before, behind) = match mantissa.iter().position(|byte| *byte == b'.') {
        Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
        None => (mantissa, &[][..]),
    };
    if before.is_empty() && behind.is_empty() || exponent.abs() > 400 {
        return None;
    }
    let mut digits: i128 = 0;
    for byte in before.iter().chain(behind) {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        digits = digits.checked_mul(10)?.checked_add(i128::from(digit))?;
    }
    let shift = DIGITS as i32 + exponent - behind.len() as i32;
    let value = scale(digits, shift)?;
    Some(if negative { -value } else { value })
}

/// `digits × 10^shift`, if that is a whole number that fits.
fn scale(digits: i128, shift: i32) -> Option<i128> {
    if digits == 0 {
        return Some(0);
    }
    if shift >= 0 {
        return digits.checked_mul(10i128.checked_pow(shift as u32)?);
    }
    let divisor = 10i128.checked_pow(shift.unsigned_abs())?;
    (digits % divisor == 0).then(|| digits / divisor)
}

/// The decimal that a float reads as: its shortest spelling, so that 0.1 is exactly that. `None` where it is no such decimal,
/// or so large that sums of such could not be told apart as floats.
pub(crate) fn from_f64(number: f64) -> Option<i128> {
    const SAFE: f64 = 9_007_199_254_740_992.0; // 2^53
    if number.abs() >= i64::MAX as f64 {
        return None; // infinities too
    }
    if number.fract() == 0.0 && number.abs() <= SAFE {
        return Some(whole(number as i64));
    }
    parse(format!("{number:e}").as_bytes())
}

/// The float nearest to a decimal.
pub(crate) fn to_f64(decimal: i128) -> f64 {
    const SAFE: u128 = 1 << 53;
    if decimal % ONE == 0 {
        return (decimal / ONE) as f64;
    }
    // Without its trailing zeros it is mostly a number that a float holds exactly, over a power of ten that it holds too:
    // then one division is one rounding.
    let (mut digits, mut behind) = (decimal, DIGITS);
    while digits % 10 == 0 {
        (digits, behind) = (digits / 10, behind - 1);
    }
    if digits.unsigned_abs() <= SAFE {
        return digits as f64 / POWERS[behind];
    }
    show(decimal).parse().unwrap_or(f64::NAN)
}

/// The decimal as people write it: no exponent, no superfluous zeros.
pub(crate) fn show(decimal: i128) -> String {
    let sign = if decimal < 0 { "-" } else { "" };
    let (whole, fraction) = (decimal.unsigned_abs() / ONE.unsigned_abs(), decimal.unsigned_abs() % ONE.unsigned_abs());
    if fraction == 0 {
        return format!("{sign}{whole}");
    }
    let fraction = format!("{fraction:017}");
    format!("{sign}{whole}.{}", fraction.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_and_shown() {
        let check =
            |text: &str, shown: &str| assert_eq!(parse(text.as_bytes()).map(show).as_deref(), Some(shown), "{text}");
        for same in ["0", "1", "-1", "0.1", "-0.5", "10.6", "9223372036854775807", "0.00000000000000001"] {
            check(same, same);
        }
        for (text, shown) in
            [("1.50", "1.5"), ("+2", "2"), ("5.0e3", "5000"), ("25e-2", "0.25"), (".5", "0.5"), ("3.", "3")]
        {
            check(text, shown);
        }
        let bad =
            ["", "-", ".", "e5", "1e", "1e30", "inf", "nan", "1.2.3", "0.000000000000000001", "12a", " 1", "1e-9999"];
        for text in bad {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn floats_are_the_decimals_they_are_written_as() {
        let check = |number: f64, shown: &str| {
            let decimal = from_f64(number);
            assert_eq!(decimal.map(show).as_deref(), Some(shown), "{number}");
            assert_eq!(decimal.map(to_f64), Some(number), "{number}");
        };
        for (number, shown) in [
            (0.0, "0"),
            (0.1, "0.1"),
            (-2.5, "-2.5"),
            (1e18, "1000000000000000000"),
            (0.300_000_000_000_000_04, "0.30000000000000004"),
            (123_456_789.123_456_79, "123456789.12345679"),
            (1e-17, "0.00000000000000001"),
            (9_007_199_254_740_993.0, "9007199254740992"),
        ] {
            check(number, shown);
        }
        for number in [1e300, -1e19, f64::INFINITY, f64::NEG_INFINITY, 1e-18, 5e-324, 0.010_000_000_000_000_002] {
            assert_eq!(from_f64(number), None, "{number}");
        }
        assert_eq!(to_f64(from_f64(0.1).unwrap() + from_f64(0.2).unwrap()), 0.3);
        assert_eq!(to_f64(parse(b"1234567890123.45678901234567891").unwrap()), 1_234_567_890_123.456_8);
    }

    #[test]
    fn only_whole_decimals_are_integers() {
        assert_eq!(to_integer(whole(-7)), Some(-7));
        assert_eq!(to_integer(ONE / 2), None);
        assert_eq!(to_integer(whole(i64::MAX) + whole(1)), Some(i64::MAX));
    }
}
