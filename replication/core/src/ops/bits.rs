//! GETBIT, SETBIT, BITCOUNT, BITPOS, BITOP: strings as rows of bits, the first one the most significant of the first byte. A write
//! ships the string as a whole.

use bytes::Bytes;

use super::string::{is_backwards, plan_set, range};
use super::{Answer, Scene, text};
use crate::types::Kind;
use crate::{BitRange, BitUnit, BitsOp, Bitwise, OpError, Reply};

pub(super) fn run(ask: &BitsOp, scene: &mut Scene<'_>) -> Answer {
    match ask {
        BitsOp::Get { offset } => {
            let text = scene.string()?;
            Ok(Reply::Int(text.map_or(0, |text| bit(text.as_slice(), *offset).into())))
        }
        BitsOp::Set { offset, on } => set(scene, *offset, *on),
        BitsOp::Count { range } => {
            let text = scene.string()?;
            Ok(Reply::Int(text.map_or(0, |text| count(text.as_slice(), *range) as i64)))
        }
        BitsOp::Pos { on, range } => {
            let text = scene.string()?;
            let none = if *on { -1 } else { 0 };
            Ok(Reply::Int(text.map_or(none, |text| position(text.as_slice(), *on, *range))))
        }
        BitsOp::Combine { how, sources } => combine(scene, *how, sources),
        BitsOp::Field { steps } => super::bitfield::run(scene, steps),
    }
}

/// What lies behind the end is zero.
pub(super) fn bit(bytes: &[u8], offset: u64) -> bool {
    let byte = usize::try_from(offset / 8).ok().and_then(|at| bytes.get(at)).copied().unwrap_or_default();
    byte >> (7 - offset % 8) & 1 == 1
}

/// The string, grown by zeros until it has the bit at `last`.
pub(super) fn grown(scene: &Scene<'_>, last: u64) -> Result<(Vec<u8>, bool), OpError> {
    let old = scene.string()?;
    let mut bytes = old.as_ref().map_or_else(Vec::new, |text| text.as_slice().to_vec());
    let len = last / 8 + 1;
    if len > scene.rules.max_value_bytes as u64 {
        return Err(OpError::BitOffset);
    }
    let grows = len > bytes.len() as u64;
    if grows {
        bytes.resize(len as usize, 0);
    }
    Ok((bytes, grows))
}

fn set(scene: &mut Scene<'_>, offset: u64, on: bool) -> Answer {
    let (mut bytes, grows) = grown(scene, offset)?;
    let old = bit(&bytes, offset);
    if grows || old != on {
        bytes[(offset / 8) as usize] ^= u8::from(old != on) << (7 - offset % 8);
        scene.rewrite(bytes);
    }
    Ok(Reply::Int(old.into()))
}

/// The bits of a range, first and last.
fn bits_of(bytes: &[u8], given: Option<BitRange>) -> Option<(usize, usize)> {
    let BitRange { start, end, unit } = given.unwrap_or(BitRange { start: 0, end: None, unit: BitUnit::Bytes });
    let end = end.unwrap_or(-1);
    match unit {
        BitUnit::Bits => range(start, end, bytes.len() * 8).map(|bits| (*bits.start(), *bits.end())),
        BitUnit::Bytes => range(start, end, bytes.len()).map(|bytes| (bytes.start() * 8, bytes.end() * 8 + 7)),
    }
}

/// The bytes of a range of bits, with the bits beside it as `fill` has them.
fn masked(bytes: &[u8], (first, last): (usize, usize), fill: u8) -> impl Iterator<Item = u8> {
    let (start, end) = (first / 8, last / 8);
    bytes[start..=end].iter().enumerate().map(move |(at, byte)| {
        let mut mask = 0xff;
        if at == 0 {
            mask &= 0xff >> (first % 8);
        }
        if start + at == end {
            mask &= 0xff << (7 - last % 8);
        }
        byte & mask | fill & !mask
    })
}

fn count(bytes: &[u8], given: Option<BitRange>) -> u64 {
    if given.is_some_and(|range| is_backwards(range.start, range.end.unwrap_or(-1))) {
        return 0;
    }
    let Some((first, last)) = bits_of(bytes, given) else { return 0 };
    if first % 8 == 0 && last % 8 == 7 {
        let (words, rest) = bytes[first / 8..=last / 8].as_chunks::<8>();
        let whole: u64 = words.iter().map(|word| u64::from(u64::from_ne_bytes(*word).count_ones())).sum();
        return whole + rest.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>();
    }
    masked(bytes, (first, last), 0).map(|byte| u64::from(byte.count_ones())).sum()
}

fn position(bytes: &[u8], on: bool, given: Option<BitRange>) -> i64 {
    let Some((first, last)) = bits_of(bytes, given) else { return -1 };
    let skipped = if on { 0 } else { 0xff };
    let found = masked(bytes, (first, last), skipped).enumerate().find(|(_, byte)| *byte != skipped);
    match found {
        Some((at, byte)) => ((first / 8 + at) * 8 + (byte ^ skipped).leading_zeros() as usize) as i64,
        // Without an end the string goes on in zeros.
        None if !on && given.is_none_or(|range| range.end.is_none()) => (bytes.len() * 8) as i64,
        None => -1,
    }
}

fn combine(scene: &mut Scene<'_>, how: Bitwise, sources: &[Bytes]) -> Answer {
    let mut texts = Vec::with_capacity(sources.len());
    for source in sources {
        let (body, view) = scene.look(source);
        texts.push(text::read(body, &view, scene.plan.replicas)?);
    }
    let texts: Vec<&[u8]> = texts.iter().map(|text| text.as_ref().map_or(&[][..], text::Text::as_slice)).collect();
    let len = texts.iter().map(|text| text.len()).max().unwrap_or_default();
    let mut combined = texts.first().map_or_else(Vec::new, |first| first.to_vec());
    combined.resize(len, 0);
    for text in texts.iter().skip(1) {
        let (shared, tail) = combined.split_at_mut(text.len());
        let pairs = shared.iter_mut().zip(*text);
        match how {
            Bitwise::And => {
                pairs.for_each(|(byte, other)| *byte &= other);
                tail.fill(0);
            }
            Bitwise::Or => pairs.for_each(|(byte, other)| *byte |= other),
            Bitwise::Xor => pairs.for_each(|(byte, other)| *byte ^= other),
            Bitwise::Not => {}
        }
    }
    if how == Bitwise::Not {
        combined.iter_mut().for_each(|byte| *byte = !*byte);
    }
    if len > 0 {
        plan_set(scene, &Bytes::from(combined), None);
    } else if scene.view.present() != Kind::None {
        scene.plan.clear_key(scene.body);
    }
    Ok(Reply::Int(len as i64))
}
