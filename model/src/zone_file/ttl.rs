//! Times in master files: seconds, or numbers with units, `1h30m`.

/// The most seconds (RFC 2181, 8).
const MOST: u64 = 0x7fff_ffff;

/// Reads a time, as BIND does; none if the word is no time at all, which tells a TTL from a type.
pub(super) fn seconds(word: &str) -> Option<Result<u32, String>> {
    if !word.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    let (mut total, mut number, mut digits) = (0_u64, 0_u64, 0);
    for byte in word.bytes() {
        if byte.is_ascii_digit() {
            number = number.saturating_mul(10).saturating_add(u64::from(byte - b'0'));
            digits += 1;
            continue;
        }
        let unit = match byte.to_ascii_lowercase() {
            b'w' => 604_800,
            b'd' => 86_400,
            b'h' => 3600,
            b'm' => 60,
            b's' => 1,
            _ => return None,
        };
        if digits == 0 {
            return None;
        }
        total = total.saturating_add(number.saturating_mul(unit));
        (number, digits) = (0, 0);
    }
    if digits == word.len() {
        total = number;
    } else if digits > 0 {
        return Some(Err(format!("`{word}` ends without a unit; write s, m, h, d or w behind each number")));
    }
    let fits = u32::try_from(total).ok().filter(|_| total <= MOST);
    Some(fits.ok_or_else(|| format!("`{word}` is more than {MOST} seconds (RFC 2181, 8)")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_master_files_have_them() {
        for (word, want) in [
            ("0", Some(Ok(0))),
            ("300", Some(Ok(300))),
            ("1h30m", Some(Ok(5400))),
            ("2W1D", Some(Ok(1_296_000))),
            ("0s", Some(Ok(0))),
            ("2147483647", Some(Ok(2_147_483_647))),
            ("2147483648", Some(Err(()))),
            ("99999999999999999999w", Some(Err(()))),
            ("1h30", Some(Err(()))),
            ("1x", None),
            ("1hh", None),
            ("h1", None),
            ("", None),
            ("-1", None),
        ] {
            assert_eq!(seconds(word).map(|read| read.map_err(drop)), want, "{word}");
        }
    }
}
