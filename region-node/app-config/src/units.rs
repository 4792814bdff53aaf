//! Times, sizes and shares as people write them, and back: `30s`, `512M`, `20%`.

use std::time::Duration;

const TIMES: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
const SIZES: [(&str, u64); 5] = [("T", 1 << 40), ("G", 1 << 30), ("M", 1 << 20), ("K", 1 << 10), ("", 1)];

/// `500ms`, `30s`, `1.5s`, `5m`, `2h`, `1d`. A number alone is refused: nobody can see whether seconds or milliseconds are meant.
pub(crate) fn read_time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time; write 500ms, 30s, 5m or 2h");
    let (number, unit) = split(text);
    let (_, unit_ms) = TIMES.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    scaled(number, *unit_ms).map(Duration::from_millis).ok_or_else(wrong)
}

/// The shortest way to write a time in whole numbers.
pub(crate) fn show_time(time: Duration) -> String {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    if ms == 0 {
        return "0s".into();
    }
    shown(ms, &TIMES)
}

/// `512M`, `1.5G`, `64K`, or bytes; powers of 1024, as PM2 counts. `MB` and `MiB` are the same.
pub(crate) fn read_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size; write 512M, 2G, 64K, or a number of bytes");
    let (number, unit) = split(text);
    let unit = unit.to_ascii_uppercase();
    let unit = unit.strip_suffix("IB").or_else(|| unit.strip_suffix('B')).unwrap_or(&unit);
    let (_, bytes) = SIZES.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    scaled(number, *bytes).ok_or_else(wrong)
}

/// The shortest way to write a size in whole numbers.
pub(crate) fn show_size(bytes: u64) -> String {
    if bytes == 0 {
        return "0".into();
    }
    shown(bytes, &SIZES)
}

/// `20%`, `0.5%`, in thousandths.
pub(crate) fn read_share(text: &str) -> Result<u32, String> {
    let wrong = || format!("`{text}` is not a share; write 20%");
    let number = text.strip_suffix('%').ok_or_else(wrong)?;
    let permille = scaled(number.trim(), 10).ok_or_else(wrong)?;
    u32::try_from(permille).map_err(|_| wrong())
}

/// Thousandths as percents.
pub(crate) fn show_share(permille: u32) -> String {
    match permille % 10 {
        0 => format!("{}%", permille / 10),
        rest => format!("{}.{rest}%", permille / 10),
    }
}

/// Number and unit; spaces between them do no harm.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim())
}

/// A decimal number times a unit, if the product is whole and fits.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, parts) = number.split_once('.').unwrap_or((number, ""));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || (number.contains('.') && !is_number(parts)) || parts.len() > 9 {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let tens = 10_u128.pow(u32::try_from(parts.len()).ok()?);
    let parts: u128 = if parts.is_empty() { 0 } else { parts.parse().ok()? };
    let all = (u128::from(whole) * tens + parts) * u128::from(unit);
    if !all.is_multiple_of(tens) {
        return None;
    }
    u64::try_from(all / tens).ok()
}

fn shown(number: u64, units: &[(&str, u64)]) -> String {
    let unit = units.iter().find(|(_, size)| number.is_multiple_of(*size));
    unit.map_or_else(|| number.to_string(), |(name, size)| format!("{}{name}", number / size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let ms = |text| read_time(text).map(|time| time.as_millis() as u64).ok();
        for (text, wanted) in [
            ("500ms", Some(500)),
            ("30s", Some(30_000)),
            ("1.5s", Some(1500)),
            ("5m", Some(300_000)),
            ("2h", Some(7_200_000)),
            ("1d", Some(86_400_000)),
            ("30 s", Some(30_000)),
            ("0s", Some(0)),
            ("30", None),
            ("", None),
            ("s", None),
            ("1.5ms", None),
            ("-1s", None),
            ("1..5s", None),
            ("1.s", None),
            ("99999999999999999999d", None),
            ("30sec", None),
        ] {
            assert_eq!(ms(text), wanted, "{text}");
        }
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, wanted) in [
            ("512M", Some(512 << 20)),
            ("512MB", Some(512 << 20)),
            ("512MiB", Some(512 << 20)),
            ("1.5G", Some(3 << 29)),
            ("64k", Some(64 << 10)),
            ("1024", Some(1024)),
            ("2T", Some(2 << 40)),
            ("12X", None),
            ("", None),
            ("M", None),
        ] {
            assert_eq!(read_size(text).ok(), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_shown_reads_back() {
        for ms in [1, 999, 1000, 1500, 60_000, 90_000, 3_600_000, 86_400_000, 123_456_789] {
            let time = Duration::from_millis(ms);
            assert_eq!(read_time(&show_time(time)), Ok(time), "{ms}");
        }
        for bytes in [1, 1023, 1024, 1 << 20, (1 << 20) + 1, 3 << 30, 5 << 40] {
            assert_eq!(read_size(&show_size(bytes)), Ok(bytes), "{bytes}");
        }
        for permille in [0, 5, 10, 200, 1000, 1255] {
            assert_eq!(read_share(&show_share(permille)), Ok(permille), "{permille}");
        }
        assert!(read_share("20").is_err() && read_share("%").is_err() && read_share("0.05%").is_err());
    }
}
