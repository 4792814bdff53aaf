//! The data of a record: a master file's words go in, what a World says of it comes out.

use super::{
    lex::Token,
    names::{in_data, of_token},
    ttl,
};
use crate::{RecordData, Soa, TypeNumber, labels::write_label, rdata::one_text};

/// What a record says.
pub(super) enum Data {
    /// The start of authority.
    Soa(Soa),
    /// Anything else.
    Of(RecordData),
}

/// Reads the data of a record of that type.
pub(super) fn read(rtype: TypeNumber, words: &[Token<'_>], origin: Option<&str>) -> Result<Data, String> {
    if words.first().is_some_and(|word| word.text == r"\#" && !word.is_quoted) {
        return by_bytes(rtype, &raw(words)).map(Data::Of);
    }
    let data = match rtype.0 {
        1 => RecordData::A(address(words, "an IPv4 address")?),
        28 => RecordData::Aaaa(address(words, "an IPv6 address")?),
        5 => RecordData::Cname(of_token(only(words, "a name")?, origin)?),
        6 => return soa(words, origin).map(Data::Soa),
        16 => texts(words)?,
        _ => other(rtype, words, origin)?,
    };
    Ok(Data::Of(data))
}

fn only<'w, 't>(words: &'w [Token<'t>], what: &str) -> Result<&'w Token<'t>, String> {
    match words {
        [] => Err(format!("{what} is missing")),
        [word] => Ok(word),
        [_, more, ..] => Err(format!("`{}` is too much", more.text)),
    }
}

fn address<A: std::str::FromStr>(words: &[Token<'_>], what: &str) -> Result<A, String> {
    let word = only(words, what)?;
    word.text.parse().map_err(|_| format!("`{}` is not {what}", word.text))
}

fn soa(words: &[Token<'_>], origin: Option<&str>) -> Result<Soa, String> {
    let [primary, mail, serial, refresh, retry, expire, minimum] = words else {
        return Err(format!(
            "a SOA has a primary server, a mailbox, a serial and four times, 7 words in all, not {}; parentheses join lines",
            words.len()
        ));
    };
    if serial.text.parse::<u32>().is_err() {
        return Err(format!("`{}` is not a serial, a number from 0 to 4294967295", serial.text));
    }
    let time = |word: &Token<'_>| {
        ttl::seconds(word.text).unwrap_or_else(|| Err(format!("`{}` is not a time; write 3600 or 1h", word.text)))
    };
    Ok(Soa {
        primary: of_token(primary, origin)?,
        mail: of_token(mail, origin)?,
        refresh: time(refresh)?,
        retry: time(retry)?,
        expire: time(expire)?,
        minimum: time(minimum)?,
        ttl: None,
    })
}

/// A TXT record as a World says it: one text, cut into strings of 255 bytes. One that is cut in another way, or is no text, keeps
/// its strings, as the data of `TYPE16`.
fn texts(words: &[Token<'_>]) -> Result<RecordData, String> {
    let value = raw(words);
    Ok(text_of(&TypeNumber(16).wire(&value)?, value))
}

fn text_of(wire: &[u8], value: String) -> RecordData {
    one_text(wire).map_or_else(|| data_of(TypeNumber(16), value), RecordData::Txt)
}

fn other(rtype: TypeNumber, words: &[Token<'_>], origin: Option<&str>) -> Result<RecordData, String> {
    let mut value = String::new();
    for (at, word) in words.iter().enumerate() {
        if at > 0 {
            value.push(' ');
        }
        if rtype.has_name_at(at) {
            value.push_str(&of_token(word, origin)?);
        } else {
            push_raw(word, &mut value);
        }
    }
    rtype.wire(&value)?;
    Ok(data_of(rtype, value))
}

fn data_of(rtype: TypeNumber, value: String) -> RecordData {
    let rtype = if rtype.0 == 16 { "TYPE16".to_owned() } else { rtype.mnemonic() };
    RecordData::Other { rtype, value }
}

fn raw(words: &[Token<'_>]) -> String {
    let mut text = String::new();
    for (at, word) in words.iter().enumerate() {
        if at > 0 {
            text.push(' ');
        }
        push_raw(word, &mut text);
    }
    text
}

fn push_raw(word: &Token<'_>, out: &mut String) {
    if word.is_quoted {
        out.push('"');
        out.push_str(word.text);
        out.push('"');
    } else {
        out.push_str(word.text);
    }
}

/// `\# LENGTH HEX` (RFC 3597). Types that have a form of their own in a World get it.
fn by_bytes(rtype: TypeNumber, value: &str) -> Result<RecordData, String> {
    let bytes = rtype.wire(value)?;
    let wrong = |what: &str| format!("these {} bytes are not {what}", bytes.len());
    Ok(match rtype.0 {
        1 => RecordData::A(<[u8; 4]>::try_from(&bytes[..]).map_err(|_| wrong("an IPv4 address"))?.into()),
        28 => RecordData::Aaaa(<[u8; 16]>::try_from(&bytes[..]).map_err(|_| wrong("an IPv6 address"))?.into()),
        5 => RecordData::Cname(name(&bytes).ok_or_else(|| wrong("a name"))?),
        2 | 12 | 39 => data_of(rtype, name(&bytes).ok_or_else(|| wrong("a name"))?),
        16 => text_of(&bytes, value.to_owned()),
        6 => return Err("a SOA is written in words".to_owned()),
        _ => data_of(rtype, value.to_owned()),
    })
}

/// A name in wire form, and nothing behind it.
fn name(wire: &[u8]) -> Option<String> {
    let (mut name, mut rest) = (String::new(), wire);
    loop {
        let (&length, after) = rest.split_first()?;
        if length == 0 {
            return (after.is_empty() && wire.len() <= crate::labels::WIRE_MAX).then(|| in_data(name));
        }
        let label = after.get(..usize::from(length)).filter(|_| length < 64)?;
        if !name.is_empty() {
            name.push('.');
        }
        write_label(label, &mut name);
        rest = &after[label.len()..];
    }
}
