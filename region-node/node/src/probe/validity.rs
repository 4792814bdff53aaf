//! When a certificate ends. One field of X.509, four steps into its DER, so it is read here instead of by a parser of everything.
//!
//! ```text
//! Certificate ::= SEQUENCE { tbsCertificate SEQUENCE { [0] version?, serialNumber, signature, issuer,
//!                                                      validity SEQUENCE { notBefore, notAfter }, … }, … }     (RFC 5280, 4.1)
//! ```

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The end of a certificate's validity; none if that cannot be read.
pub(super) fn ends(certificate: &[u8]) -> Option<SystemTime> {
    let (certificate, _) = inside(certificate, SEQUENCE)?;
    let (mut tbs, _) = inside(certificate, SEQUENCE)?;
    if tbs.first() == Some(&VERSION) {
        tbs = next(tbs)?.2;
    }
    for _ in ["serial number", "signature", "issuer"] {
        tbs = next(tbs)?.2;
    }
    let (validity, _) = inside(tbs, SEQUENCE)?;
    let (tag, text, _) = next(next(validity)?.2)?;
    let text = std::str::from_utf8(text).ok()?;
    match tag {
        // Two digits of the year: 50 to 99 are of the last century (RFC 5280, 4.1.2.5.1).
        UTC_TIME => {
            let year: u64 = text.get(..2)?.parse().ok()?;
            moment(if year < 50 { 2000 + year } else { 1900 + year }, text.get(2..)?)
        }
        GENERALIZED_TIME => moment(text.get(..4)?.parse().ok()?, text.get(4..)?),
        _ => None,
    }
}

/// `MMDDHHMMSSZ` of a year. Months and days out of range make a wrong date, never a panic: a certificate of such a kind does not
/// pass the handshake.
fn moment(year: u64, rest: &str) -> Option<SystemTime> {
    let two = |at: usize| rest.get(at..at + 2)?.parse::<u64>().ok();
    let (month, day) = (two(0)?, two(2)?);
    let seconds = two(4)? * 3600 + two(6)? * 60 + two(8)?;
    // Days since 1970 of the proleptic Gregorian calendar: years begin in March, so that the leap day comes last.
    let (y, m) = if month <= 2 { (year.checked_sub(1)?, month + 9) } else { (year, month.checked_sub(3)?) };
    let days = (365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day).checked_sub(719_469)?;
    UNIX_EPOCH.checked_add(Duration::from_secs(days.checked_mul(86_400)? + seconds))
}

/// The content of the first element, which must have this tag, and what follows it.
fn inside(der: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = next(der)?;
    (tag == wanted).then_some((content, rest))
}

/// Tag and content of the first element, and what follows it.
fn next(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let bytes = usize::from(first & 0x7f);
        let digits = rest.get(..bytes).filter(|_| (1..=4).contains(&bytes))?;
        (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest.get(bytes..)?)
    };
    Some((tag, rest.get(..length)?, rest.get(length..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_time_are_read() {
        let at = |year, rest| moment(year, rest).and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map(|d| d.as_secs());
        assert_eq!(at(1970, "0101000000Z"), Some(0));
        assert_eq!(at(2000, "0229235959Z"), Some(951_868_799));
        assert_eq!(at(2026, "1122120000Z"), Some(1_795_348_800));
        assert_eq!(at(2026, "11"), None);
        assert_eq!(at(0, "0000000000Z"), None);
    }

    #[test]
    fn nonsense_is_nothing() {
        for nonsense in
            [&[][..], &[0x30], &[0x30, 0x84, 1], &[0x30, 0x80], &[0x30, 0x85, 0, 0, 0, 0, 1, 0], &[0x30, 2, 0x30, 0]]
        {
            assert_eq!(ends(nonsense), None, "{nonsense:?}");
        }
    }
}
