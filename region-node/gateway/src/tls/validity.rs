//! When a certificate expires: the one date that is read from it by hand (RFC 5280 4.1), since webpki keeps it to itself.

/// The end of a DER certificate's validity, Unix time in seconds; `None` if it cannot be read.
pub(crate) fn not_after(certificate: &[u8]) -> Option<i64> {
    let (_, whole, _) = element(certificate)?;
    let (_, mut fields, _) = element(whole)?;
    // [0] version if there is one; serial number, signature algorithm, issuer.
    if fields.first() == Some(&0xa0) {
        fields = element(fields)?.2;
    }
    for _ in 0..3 {
        fields = element(fields)?.2;
    }
    let (_, validity, _) = element(fields)?;
    let (_, _, after) = element(validity)?;
    let (tag, text, _) = element(after)?;
    seconds(tag, std::str::from_utf8(text).ok()?)
}

/// A DER element: tag, content, what follows.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

/// `YYMMDDHHMMSSZ` (tag 23, years 1950 to 2049) or `YYYYMMDDHHMMSSZ` (tag 24).
fn seconds(tag: u8, text: &str) -> Option<i64> {
    let digits = text.strip_suffix('Z').filter(|text| text.bytes().all(|b| b.is_ascii_digit()))?;
    let (year, rest) = match (tag, digits.len()) {
        (0x17, 12) => {
            let year: i64 = digits[..2].parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, &digits[2..])
        }
        (0x18, 14) => (digits[..4].parse().ok()?, &digits[4..]),
        _ => return None,
    };
    let two = |at: usize| rest[at..at + 2].parse::<i64>().ok();
    let (month, day) = (two(0).filter(|m| (1..=12).contains(m))?, two(2).filter(|d| (1..=31).contains(d))?);
    Some(days(year, month, day) * 86_400 + two(4)? * 3600 + two(6)? * 60 + two(8)?)
}

/// Days since 1970-01-01 in the Gregorian calendar, counting years from March so that leap days come last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_become_seconds() {
        for (tag, text, expected) in [
            (0x17, "700101000000Z", Some(0)),
            (0x17, "491231235959Z", Some(2_524_607_999)),
            (0x17, "500101000000Z", Some(-631_152_000)),
            (0x18, "20240229120000Z", Some(1_709_208_000)),
            (0x18, "99991231235959Z", Some(253_402_300_799)),
            (0x17, "7001010000Z", None),
            (0x17, "700101000000", None),
            (0x18, "20241301000000Z", None),
            (0x0c, "700101000000Z", None),
        ] {
            assert_eq!(seconds(tag, text), expected, "{text}");
        }
    }

    #[test]
    fn a_certificate_says_when_it_ends_and_nonsense_says_nothing() {
        let mut parameters = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        parameters.not_after = time::OffsetDateTime::from_unix_timestamp(2_000_000_000).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let der = parameters.self_signed(&key).unwrap().der().to_vec();
        assert_eq!(not_after(&der), Some(2_000_000_000));
        for end in 0..der.len() {
            assert_eq!(not_after(&der[..end]), None);
        }
    }
}
