//! Names in wire form: lower case, uncompressed, ending in the root label. The form in which they are looked up.

use std::{borrow::Borrow, collections::HashMap, fmt};

use hickory_proto::{
    rr,
    serialize::binary::{BinEncodable, BinEncoder, NameEncoding},
};

/// Longest name on the wire, the root label counted (RFC 1035, 3.1).
pub(crate) const MAX_NAME: usize = 255;

/// A name of ours: lower case, in wire form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Name(Box<[u8]>);

/// What is looked up by name. Strangers ask, but only operators put names in, so that nobody can make names fall together, and a
/// fast hash may take the place of a careful one: it is a third of what an answer costs otherwise.
pub(crate) type NameMap<V> = HashMap<Name, V, hashbrown::DefaultHashBuilder>;

impl Name {
    /// Reads presentation form. A text without a last dot is relative to `origin` if there is one, else absolute all the same;
    /// `@` is the origin. International names become punycode.
    pub(crate) fn parse(text: &str, origin: Option<&Self>) -> Result<Self, String> {
        // What is written in a World is ASCII; what a person asks to have explained may not be.
        let absolute = |text: &str| match text.is_ascii() {
            true => model::name_wire(text).map(|wire| Self(wire.into())),
            false => Self::from_hickory(&hickory_name(text)?),
        };
        match origin {
            Some(origin) if text == "@" => Ok(origin.clone()),
            Some(origin) if !text.ends_with('.') => absolute(text)?.beneath(origin),
            _ => absolute(text),
        }
    }

    fn from_hickory(name: &rr::Name) -> Result<Self, String> {
        let mut wire = Vec::with_capacity(MAX_NAME);
        let mut encoder = BinEncoder::new(&mut wire);
        encoder.set_name_encoding(NameEncoding::UncompressedLowercase);
        name.emit(&mut encoder).map_err(|e| e.to_string())?;
        Ok(Self(wire.into()))
    }

    /// This name with its root label replaced by `origin`.
    fn beneath(&self, origin: &Self) -> Result<Self, String> {
        let wire = [&self.0[..self.0.len() - 1], &origin.0].concat();
        if wire.len() > MAX_NAME {
            return Err(format!("it has {} bytes with its origin, a name may have {MAX_NAME}", wire.len()));
        }
        Ok(Self(wire.into()))
    }

    /// A name that is in wire form already, lower case.
    pub(crate) fn from_wire(wire: &[u8]) -> Self {
        Self(wire.into())
    }

    pub(crate) fn as_wire(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn into_wire(self) -> Box<[u8]> {
        self.0
    }
}

/// Presentation form, absolute even without the last dot, as the codec wants it.
fn hickory_name(text: &str) -> Result<rr::Name, String> {
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    let mut name = rr::Name::from_str_relaxed(text).map_err(|e| e.to_string())?;
    name.set_fqdn(true);
    Ok(name)
}

impl Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Name {
    /// Without the last dot, as people write names here; the root is `.`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&display(&self.0))
    }
}

/// Presentation form of a wire name, without the last dot.
pub(crate) fn display(wire: &[u8]) -> String {
    let mut text = String::new();
    for suffix in suffixes(wire) {
        let label = suffix.get(1..=usize::from(suffix[0])).unwrap_or_default();
        if !text.is_empty() {
            text.push('.');
        }
        for &byte in label {
            match byte {
                b'.' | b'\\' => text.extend(['\\', char::from(byte)]),
                0x21..=0x7e => text.push(char::from(byte)),
                _ => text.push_str(&format!("\\{byte:03}")),
            }
        }
    }
    if text.is_empty() { ".".into() } else { text }
}

/// The name itself, then each of its parents, down to the last label; the root is left out. Of a damaged name, a part.
pub(crate) fn suffixes(wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = wire;
    std::iter::from_fn(move || {
        let here = rest;
        let length = usize::from(*here.first()?);
        if length == 0 {
            return None;
        }
        rest = here.get(length + 1..).unwrap_or_default();
        Some(here)
    })
}

/// Whether `name` is `origin` or beneath it.
pub(crate) fn is_within(name: &[u8], origin: &[u8]) -> bool {
    origin == [0] || suffixes(name).any(|suffix| suffix == origin)
}

/// A name as it was asked, lower-cased, on the stack.
#[derive(Clone)]
pub(crate) struct AskedName {
    bytes: [u8; MAX_NAME],
    len: u8,
}

impl AskedName {
    /// Room for a name. Handed down to where the name is read, since handing it back up would copy it at every step.
    pub(crate) const EMPTY: Self = Self { bytes: [0; MAX_NAME], len: 0 };

    /// Reads an uncompressed name at the head of `bytes`. None for anything else: a question has nothing to point back to.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Option<()> {
        let mut len = 0;
        loop {
            let label = usize::from(*bytes.get(len)?);
            if label > 63 {
                return None;
            }
            len += 1 + label;
            if len > MAX_NAME {
                return None;
            }
            if label == 0 {
                break;
            }
        }
        let lower = self.bytes.get_mut(..len)?;
        lower.copy_from_slice(bytes.get(..len)?);
        // Length bytes are below `A`, so that the whole of it can be lower-cased at once.
        lower.make_ascii_lowercase();
        self.len = len as u8;
        Some(())
    }

    /// Labels put before a name. None if that is longer than names may be.
    pub(crate) fn joined(front: &[u8], name: &[u8]) -> Option<Self> {
        let len = front.len() + name.len();
        let mut bytes = [0; MAX_NAME];
        bytes.get_mut(..len)?[..front.len()].copy_from_slice(front);
        bytes[front.len()..len].copy_from_slice(name);
        Some(Self { bytes, len: len as u8 })
    }

    pub(crate) fn as_wire(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}
