//! Data that is written by its bytes (RFC 3597, 5), of a type whose form is known: held to that form, so that nobody is sent what is
//! no data of that type, and names in it are in lower case as everywhere.

use super::Field;
use crate::{
    labels::{LABEL_MAX, WIRE_MAX},
    limits,
};

/// Checks data field by field and brings its names into lower case. None if it is no such data.
pub(super) fn check(fields: &[Field], data: &mut [u8]) -> Option<()> {
    let mut at = 0;
    for field in fields {
        let rest = data.get_mut(at..)?;
        at += match field {
            Field::Name => name(rest)?,
            Field::U8 => 1,
            Field::U16 => 2,
            Field::U32 | Field::V4 => 4,
            Field::V6 | Field::Place => 16,
            Field::Text => 1 + usize::from(*rest.first()?),
            Field::Tag => tag(rest)?,
            Field::Texts => texts(rest)?,
            Field::Params => params(rest)?,
            Field::Hex | Field::Base64 if rest.is_empty() => return None,
            Field::Bytes | Field::Hex | Field::Base64 => rest.len(),
        };
    }
    (at == data.len()).then_some(())
}

fn name(rest: &mut [u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let length = usize::from(*rest.get(at)?);
        at += 1 + length;
        if length > LABEL_MAX || at > WIRE_MAX {
            return None;
        }
        if length == 0 {
            // Lengths lie below all letters.
            rest[..at].make_ascii_lowercase();
            return Some(at);
        }
    }
}

fn tag(rest: &[u8]) -> Option<usize> {
    let length = usize::from(*rest.first()?);
    let tag = rest.get(1..=length)?;
    (length > 0 && tag.iter().all(u8::is_ascii_alphanumeric)).then_some(1 + length)
}

fn texts(rest: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < rest.len() {
        at += 1 + usize::from(rest[at]);
    }
    (at > 0 && at == rest.len()).then_some(at)
}

/// Numbers rise, and each value is there (RFC 9460, 2.2).
fn params(rest: &[u8]) -> Option<usize> {
    let (mut at, mut last) = (0, None);
    while at < rest.len() {
        let head = rest.get(at..at + 4)?;
        let key = u16::from_be_bytes([head[0], head[1]]);
        if last.is_some_and(|last| last >= key) {
            return None;
        }
        last = Some(key);
        at += 4 + usize::from(u16::from_be_bytes([head[2], head[3]]));
    }
    (at == rest.len()).then_some(at)
}

/// Data of TXT as one text, if that is all there is to say of it: strings of 255 bytes, but for the last, that are UTF-8.
pub(crate) fn one_text(data: &[u8]) -> Option<String> {
    let (mut rest, mut text) = (data, Vec::new());
    while let Some((&length, after)) = rest.split_first() {
        let (string, after) = after.split_at_checked(usize::from(length))?;
        if string.is_empty() || (length < 255 && !after.is_empty()) {
            return None;
        }
        text.extend(string);
        rest = after;
    }
    let fits = limits::TXT_BYTES.contains(&(text.len() as u64));
    String::from_utf8(text).ok().filter(|_| fits)
}
