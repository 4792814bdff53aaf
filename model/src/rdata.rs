//! Data of records other than addresses: presentation form in, wire form out.
//!
//! ```text
//! "10 mail.shop.test." ─ words (quotes, escapes) ─ FORMS: MX is a number and a name ─▸ bytes, names uncompressed
//! ```
//!
//! A type is a list of fields, so that a further one is a line in the table. Any type at all, known or not, may be written
//! `\# LENGTH HEX` (RFC 3597). Names in data are absolute, as everywhere in a World; a last dot is welcome and not needed.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::labels::{LABEL_MAX, escaped, finish_wire, push_label};

mod bytes;
mod loc;
mod svcb;

pub(crate) use bytes::one_text;

/// A record type by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeNumber(pub u16);

/// The most that data may take: with its record around it, it fits into a message.
const DATA_MAX: usize = 60_000;

/// A piece of data.
#[derive(Clone, Copy)]
enum Field {
    Name,
    U8,
    U16,
    U32,
    /// A string of up to 255 bytes, with its length before it.
    Text,
    /// One such string or several, to the end.
    Texts,
    /// Bytes without a length, to the end.
    Bytes,
    /// A CAA tag: letters and digits.
    Tag,
    V4,
    V6,
    /// To the end.
    Hex,
    /// To the end.
    Base64,
    /// Parameters of SVCB and HTTPS, to the end.
    Params,
    /// A place on the globe, to the end.
    Place,
}

use Field::{Base64, Bytes, Hex, Name, Params, Place, Tag, Text, Texts, U8, U16, U32, V4, V6};

/// Mnemonic, number, and the fields of the data.
type Form = (&'static str, u16, &'static [Field]);

const FORMS: &[Form] = &[
    ("A", 1, &[V4]),
    ("NS", 2, &[Name]),
    ("CNAME", 5, &[Name]),
    ("SOA", 6, &[Name, Name, U32, U32, U32, U32, U32]),
    ("PTR", 12, &[Name]),
    ("HINFO", 13, &[Text, Text]),
    ("MX", 15, &[U16, Name]),
    ("TXT", 16, &[Texts]),
    ("RP", 17, &[Name, Name]),
    ("AFSDB", 18, &[U16, Name]),
    ("AAAA", 28, &[V6]),
    ("LOC", 29, &[Place]),
    ("SRV", 33, &[U16, U16, U16, Name]),
    ("NAPTR", 35, &[U16, U16, Text, Text, Text, Name]),
    ("KX", 36, &[U16, Name]),
    ("CERT", 37, &[U16, U16, U8, Base64]),
    ("DNAME", 39, &[Name]),
    ("DS", 43, &[U16, U8, U8, Hex]),
    ("SSHFP", 44, &[U8, U8, Hex]),
    ("DNSKEY", 48, &[U16, U8, U8, Base64]),
    ("TLSA", 52, &[U8, U8, U8, Hex]),
    ("SMIMEA", 53, &[U8, U8, U8, Hex]),
    ("CDS", 59, &[U16, U8, U8, Hex]),
    ("CDNSKEY", 60, &[U16, U8, U8, Base64]),
    ("OPENPGPKEY", 61, &[Base64]),
    ("SVCB", 64, &[U16, Name, Params]),
    ("HTTPS", 65, &[U16, Name, Params]),
    ("SPF", 99, &[Texts]),
    ("URI", 256, &[U16, U16, Bytes]),
    ("CAA", 257, &[U8, Tag, Bytes]),
];

impl TypeNumber {
    /// Reads a mnemonic in upper case, or `TYPE257`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let known = FORMS.iter().find(|form| form.0 == text).map(|form| form.1);
        let number = || text.strip_prefix("TYPE").filter(|n| n.bytes().all(|b| b.is_ascii_digit()))?.parse().ok();
        match known.or_else(number) {
            // 0 and 41 are none, and from 128 to 255 lie questions (RFC 6895, 3.1).
            Some(0 | 41 | 128..=255) => Err("that number belongs to questions and to the protocol, not to data".into()),
            Some(number) => Ok(Self(number)),
            None => Err("it is written like MX, HTTPS or TYPE257".into()),
        }
    }

    /// Its mnemonic, or `TYPE257`.
    pub(crate) fn mnemonic(self) -> String {
        self.form().map_or_else(|| format!("TYPE{}", self.0), |form| form.0.to_owned())
    }

    /// Whether so many words stand before a name in data of this type.
    pub(crate) fn has_name_at(self, words: usize) -> bool {
        let fields = self.form().map(|form| form.2);
        fields.and_then(|fields| fields.get(words)).is_some_and(|field| matches!(field, Name))
    }

    fn form(self) -> Option<&'static Form> {
        FORMS.iter().find(|form| form.1 == self.0)
    }

    /// Wire form of data of this type, names uncompressed and in lower case; or what is wrong with it.
    pub fn wire(self, value: &str) -> Result<Vec<u8>, String> {
        let words = words(value)?;
        let mut words = words.as_slice();
        let fields = self.form().map(|form| form.2);
        let mut out = Vec::new();
        if words.first().is_some_and(|word| !word.quoted && word.bytes == b"#" && word.escaped) {
            out = unknown(&words[1..])?;
            if let Some(fields) = fields
                && bytes::check(fields, &mut out).is_none()
            {
                return Err(format!("these {} bytes do not have its form", out.len()));
            }
        } else {
            let fields = fields.ok_or("data of this type is written `\\# LENGTH HEX` (RFC 3597)")?;
            for field in fields {
                field.read(&mut words, &mut out)?;
            }
            if let Some(word) = words.first() {
                return Err(format!("`{}` is too much", word.show()));
            }
        }
        if out.len() > DATA_MAX {
            return Err(format!("it has {} bytes, {DATA_MAX} fit", out.len()));
        }
        Ok(out)
    }
}

impl Field {
    fn read(self, words: &mut &[Word], out: &mut Vec<u8>) -> Result<(), String> {
        let to_the_end = matches!(self, Hex | Base64 | Params | Place | Texts);
        if to_the_end {
            let rest = std::mem::take(words);
            return match self {
                Params => svcb::params(rest, out),
                Place => loc::place(rest, out),
                _ if rest.is_empty() => Err(format!("{} is missing", self.what())),
                Texts => rest.iter().try_for_each(|word| string(word, out)),
                Hex => hex(rest, out),
                _ => base64(rest, out),
            };
        }
        let (word, rest) = words.split_first().ok_or_else(|| format!("{} is missing", self.what()))?;
        *words = rest;
        let text = || std::str::from_utf8(&word.bytes).unwrap_or_default();
        let wrong = || format!("`{}` is not {}", word.show(), self.what());
        match self {
            Name => out.extend(wire_name(word)?),
            U8 => out.push(text().parse().map_err(|_| wrong())?),
            U16 => out.extend(text().parse::<u16>().map_err(|_| wrong())?.to_be_bytes()),
            U32 => out.extend(text().parse::<u32>().map_err(|_| wrong())?.to_be_bytes()),
            V4 => out.extend(text().parse::<Ipv4Addr>().map_err(|_| wrong())?.octets()),
            V6 => out.extend(text().parse::<Ipv6Addr>().map_err(|_| wrong())?.octets()),
            Tag if word.bytes.is_empty() || !word.bytes.iter().all(u8::is_ascii_alphanumeric) => return Err(wrong()),
            Bytes => out.extend(&word.bytes),
            _ => string(word, out)?,
        }
        Ok(())
    }

    fn what(self) -> &'static str {
        match self {
            Name => "a name",
            U8 => "a number from 0 to 255",
            U16 => "a number from 0 to 65535",
            U32 => "a number from 0 to 4294967295",
            Text | Texts | Bytes => "a text",
            Tag => "a tag of letters and digits",
            V4 => "an IPv4 address",
            V6 => "an IPv6 address",
            Hex => "a row of hexadecimal digits",
            Base64 => "a text in base64",
            Params => "a parameter",
            Place => "a place",
        }
    }
}

/// A word of presentation form, its escapes resolved.
struct Word {
    bytes: Vec<u8>,
    /// The dots that separate labels: those that were not escaped.
    dots: Vec<usize>,
    quoted: bool,
    /// Whether there was any escape in it.
    escaped: bool,
}

impl Word {
    fn show(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// Words, parted by blanks; `"…"` keeps blanks, `\x` and `\123` stand for one byte (RFC 1035, 5.1).
fn words(text: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut rest = text.bytes().peekable();
    while let Some(&first) = rest.peek() {
        if first == b' ' || first == b'\t' {
            rest.next();
            continue;
        }
        let mut word = Word { bytes: Vec::new(), dots: Vec::new(), quoted: false, escaped: false };
        let mut inside = false;
        loop {
            match rest.next() {
                None if inside => return Err("a quote is not closed".into()),
                None => break,
                Some(b'"') => (inside, word.quoted) = (!inside, true),
                Some(b' ' | b'\t') if !inside => break,
                Some(b'\\') => {
                    word.escaped = true;
                    word.bytes.push(escaped(&mut rest)?);
                }
                Some(byte) => {
                    if byte == b'.' {
                        word.dots.push(word.bytes.len());
                    }
                    word.bytes.push(byte);
                }
            }
        }
        words.push(word);
    }
    Ok(words)
}

fn string(word: &Word, out: &mut Vec<u8>) -> Result<(), String> {
    let length =
        u8::try_from(word.bytes.len()).map_err(|_| "a text has at most 255 bytes; cut it in two".to_owned())?;
    out.push(length);
    out.extend(&word.bytes);
    Ok(())
}

fn wire_name(word: &Word) -> Result<Vec<u8>, String> {
    let wrong = |why: &str| format!("`{}` is not a name: {why}", word.show());
    let (mut wire, mut from) = (Vec::with_capacity(word.bytes.len() + 2), 0);
    if word.bytes == b"." {
        return Ok(vec![0]);
    }
    let end = word.bytes.len();
    for to in word.dots.iter().copied().chain((word.dots.last() != Some(&(end.wrapping_sub(1)))).then_some(end)) {
        let label = &word.bytes[from..to];
        match label.len() {
            0 => return Err(wrong("two dots stand side by side, or one at its head, or it is empty")),
            1..=LABEL_MAX => push_label(&mut wire, label),
            _ => return Err(wrong("a label has at most 63 bytes")),
        }
        from = to + 1;
    }
    finish_wire(wire).map_err(|why| wrong(&why))
}

fn unknown(words: &[Word]) -> Result<Vec<u8>, String> {
    let (length, rest) = words.split_first().ok_or("`\\#` is followed by a length and hexadecimal digits")?;
    let length: usize = length.show().parse().map_err(|_| format!("`{}` is not a length", length.show()))?;
    let mut out = Vec::new();
    hex(rest, &mut out)?;
    if out.len() == length { Ok(out) } else { Err(format!("{length} bytes are announced, {} given", out.len())) }
}

fn hex(words: &[Word], out: &mut Vec<u8>) -> Result<(), String> {
    let digits: Vec<u8> = words.iter().flat_map(|word| &word.bytes).copied().collect();
    for pair in digits.chunks(2) {
        let byte = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2 && !pair.starts_with('+'));
        let byte = byte.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        out.push(byte.ok_or("hexadecimal digits come in pairs of 0-9 and a-f")?);
    }
    Ok(())
}

fn base64(words: &[Word], out: &mut Vec<u8>) -> Result<(), String> {
    let wrong = || "base64 has A-Z, a-z, 0-9, `+`, `/`, and up to two `=` at its end".to_owned();
    let text: Vec<u8> = words.iter().flat_map(|word| &word.bytes).copied().collect();
    let bare = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(&text);
    if !text.len().is_multiple_of(4) || bare.len() % 4 == 1 {
        return Err(wrong());
    }
    for chunk in bare.chunks(4) {
        let mut bits = 0_u32;
        for &byte in chunk {
            let digit = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'a'..=b'z' => byte - b'a' + 26,
                b'0'..=b'9' => byte - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return Err(wrong()),
            };
            bits = bits << 6 | u32::from(digit);
        }
        bits <<= 6 * (4 - chunk.len());
        out.extend(&bits.to_be_bytes()[1..chunk.len()]);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
