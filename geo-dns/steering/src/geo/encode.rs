//! Writes the country table. Used by its generator and by tests; the format is described in [`super::table`].

use std::collections::BTreeMap;

use super::{
    fold::FOLDED_SPACE,
    table::{BLOCK, Country, FOLDED, MAGIC, NOWHERE},
};

/// Ranges of one address family: first and last key, both inside, and the ISO 3166 code. A key is an IPv4 address,
/// or the upper 64 bits of an IPv6 address. Sorted, not overlapping; what lies between them is nowhere.
pub type CountryRanges = Vec<(u64, u64, [u8; 2])>;

/// Why ranges cannot become a table.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// Two ranges overlap, or are not in order, or end before they begin.
    #[error("the range that begins at {first:#x} is out of order")]
    OutOfOrder {
        /// Its first key.
        first: u64,
    },
    /// The format numbers countries with one byte.
    #[error("{count} countries are more than the 254 that the table can number")]
    TooManyCountries {
        /// How many there are.
        count: usize,
    },
}

/// The bytes of a table.
pub fn encode(v4: &CountryRanges, v6: &CountryRanges) -> Result<Vec<u8>, EncodeError> {
    let numbers = number_countries(v4, v6)?;
    let v4 = tile(v4, u32::MAX.into(), &numbers)?;
    let v6 = set_apart(&tile(v6, u64::MAX, &numbers)?);

    let mut out = MAGIC.to_vec();
    out.extend((numbers.len() as u16).to_le_bytes());
    numbers.keys().for_each(|code| out.extend(code));
    encode_family(&v4, 4, &mut out);
    encode_family(&v6, 8, &mut out);
    Ok(out)
}

/// Countries in the order of their codes, after the two numbers that mean something else.
fn number_countries(v4: &CountryRanges, v6: &CountryRanges) -> Result<BTreeMap<[u8; 2], Country>, EncodeError> {
    let mut numbers: BTreeMap<[u8; 2], Country> = v4.iter().chain(v6).map(|r| (r.2, NOWHERE)).collect();
    let count = numbers.len();
    for (i, number) in numbers.values_mut().enumerate() {
        *number = Country::try_from(i + 2).map_err(|_| EncodeError::TooManyCountries { count })?;
    }
    Ok(numbers)
}

/// Starts that cover the whole key space: gaps become nowhere, neighbours of one country become one.
fn tile(
    ranges: &CountryRanges,
    max: u64,
    numbers: &BTreeMap<[u8; 2], Country>,
) -> Result<Vec<(u64, Country)>, EncodeError> {
    let mut starts = Vec::new();
    let mut next = Some(0);
    for &(first, last, code) in ranges {
        let free = next.ok_or(EncodeError::OutOfOrder { first })?;
        if first < free || last < first || last > max {
            return Err(EncodeError::OutOfOrder { first });
        }
        if first > free {
            push(&mut starts, free, NOWHERE);
        }
        push(&mut starts, first, numbers.get(&code).copied().unwrap_or(NOWHERE));
        next = last.checked_add(1).filter(|&n| n <= max);
    }
    if let Some(free) = next {
        push(&mut starts, free, NOWHERE);
    }
    Ok(starts)
}

fn push(starts: &mut Vec<(u64, Country)>, start: u64, country: Country) {
    if starts.last().is_none_or(|&(_, last)| last != country) {
        starts.push((start, country));
    }
}

/// Overwrites the space that is looked up as IPv4.
fn set_apart(starts: &[(u64, Country)]) -> Vec<(u64, Country)> {
    let country_at = |key: u64| starts.iter().rev().find(|s| s.0 <= key).map_or(NOWHERE, |s| s.1);
    let mut out: Vec<(u64, Country)> = starts
        .iter()
        .copied()
        .filter(|&(start, _)| !FOLDED_SPACE.iter().any(|&(a, b)| (a..=b).contains(&start)))
        .collect();
    for (first, last) in FOLDED_SPACE {
        out.push((first, FOLDED));
        let after = last + 1;
        if !out.iter().any(|s| s.0 == after) {
            out.push((after, country_at(after)));
        }
    }
    out.sort_unstable();
    out
}

fn encode_family(starts: &[(u64, Country)], key_bytes: usize, out: &mut Vec<u8>) {
    let (mut index, mut body) = (Vec::new(), Vec::new());
    for block in starts.chunks(BLOCK) {
        let mut previous = block[0].0;
        index.extend(&previous.to_le_bytes()[..key_bytes]);
        index.extend((body.len() as u32).to_le_bytes());
        body.push(block[0].1);
        for &(start, country) in &block[1..] {
            put_gap(start - previous, &mut body);
            body.push(country);
            previous = start;
        }
    }
    out.extend((starts.len() as u32).to_le_bytes());
    out.extend((body.len() as u32).to_le_bytes());
    out.extend(index);
    out.extend(body);
}

/// A gap is `odd << zeros`; most are a small odd number and one byte.
fn put_gap(gap: u64, out: &mut Vec<u8>) {
    let zeros = gap.trailing_zeros() as u8;
    let odd = (gap >> zeros) >> 1; // its last bit is known
    if odd < 3 {
        out.push(zeros | (odd as u8) << 6);
        return;
    }
    out.push(zeros | 3 << 6);
    let mut rest = odd - 3;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}
