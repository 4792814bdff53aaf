//! LOC (RFC 1876): `53 21 0 N 6 15 36 W 20m 1m 10000m 10m`, a place on the globe, its size and how exactly it is known.

use super::Word;

/// Thousandths of an arc second in a degree.
const DEGREE: u64 = 3_600_000;
/// Size and precisions where nothing is said, centimetres.
const DEFAULTS: [u64; 3] = [100, 1_000_000, 1000];
/// Altitudes are counted from so far below the reference spheroid, centimetres.
const BOTTOM: i64 = 10_000_000;

pub(super) fn place(words: &[Word], out: &mut Vec<u8>) -> Result<(), String> {
    let words: Vec<String> = words.iter().map(Word::show).collect();
    let mut rest = words.iter().map(String::as_str);
    let latitude = angle(&mut rest, 90, "N", "S")?;
    let longitude = angle(&mut rest, 180, "E", "W")?;
    let altitude = rest.next().ok_or("the altitude is missing; write 20m")?;
    let altitude = centimetres(altitude).and_then(|cm| u32::try_from(cm + BOTTOM).ok());
    let altitude = altitude.ok_or("an altitude is -100000.00m to 42849672.95m")?;
    out.push(0);
    for default in DEFAULTS {
        out.push(match rest.next() {
            None => size(default),
            Some(word) => {
                let cm = centimetres(word).and_then(|cm| u64::try_from(cm).ok()).filter(|cm| *cm <= 9_000_000_000);
                size(cm.ok_or_else(|| format!("`{word}` is not 0m to 90000000m"))?)
            }
        });
    }
    if let Some(word) = rest.next() {
        return Err(format!("`{word}` is too much"));
    }
    out.extend([latitude, longitude, altitude].iter().flat_map(|number| number.to_be_bytes()));
    Ok(())
}

/// Degrees, minutes and seconds up to a point of the compass; around 2^31.
fn angle<'w>(rest: &mut impl Iterator<Item = &'w str>, most: u64, plus: &str, minus: &str) -> Result<u32, String> {
    let wrong = || format!("an angle is degrees up to {most}, minutes and seconds, and {plus} or {minus}");
    let mut total = 0;
    for unit in [DEGREE, DEGREE / 60, DEGREE / 3600, 0] {
        let word = rest.next().ok_or_else(wrong)?;
        if unit < DEGREE && (word.eq_ignore_ascii_case(plus) || word.eq_ignore_ascii_case(minus)) {
            let total = u32::try_from(total).ok().filter(|_| total <= most * DEGREE).ok_or_else(wrong)?;
            let middle = 1_u32 << 31;
            return Ok(if word.eq_ignore_ascii_case(plus) { middle + total } else { middle - total });
        }
        total += match unit {
            0 => return Err(wrong()),
            1000 => decimal(word, 3).filter(|thousandths| *thousandths < 60_000).ok_or_else(wrong)?,
            unit => {
                let limit = if unit == DEGREE { most + 1 } else { 60 };
                unit * word.parse::<u64>().ok().filter(|n| *n < limit).ok_or_else(wrong)?
            }
        };
    }
    Err(wrong())
}

/// A number of metres, perhaps with an `m`.
fn centimetres(word: &str) -> Option<i64> {
    let word = word.strip_suffix(['m', 'M']).unwrap_or(word);
    let (sign, digits) = word.strip_prefix('-').map_or((1, word), |digits| (-1, digits));
    Some(sign * i64::try_from(decimal(digits, 2)?).ok()?)
}

/// A number with up to so many places, in units of the last one.
fn decimal(word: &str, places: usize) -> Option<u64> {
    let (whole, part) = word.split_once('.').unwrap_or((word, ""));
    let is_number = |text: &str| text.len() < 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || part.len() > places || !is_number(whole) || !is_number(part) {
        return None;
    }
    format!("{whole}{part:0<places$}").parse().ok()
}

/// A digit and a power of ten, in half a byte each.
fn size(mut centimetres: u64) -> u8 {
    let mut power = 0;
    while centimetres > 9 {
        centimetres /= 10;
        power += 1;
    }
    (centimetres as u8) << 4 | power
}
