//! Parameters of SVCB and HTTPS (RFC 9460): `alpn=h2,h3 port=8443 ipv4hint=192.0.2.1`. On the wire they stand in the order of
//! their numbers.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
};

use super::{Word, base64};

const KEYS: &[(&str, u16)] = &[
    ("mandatory", 0),
    ("alpn", 1),
    ("no-default-alpn", 2),
    ("port", 3),
    ("ipv4hint", 4),
    ("ech", 5),
    ("ipv6hint", 6),
    ("dohpath", 7),
];

pub(super) fn params(words: &[Word], out: &mut Vec<u8>) -> Result<(), String> {
    let mut known = BTreeMap::new();
    for word in words {
        let end = word.bytes.iter().position(|b| *b == b'=');
        let (key, value) = match end {
            Some(end) => (&word.bytes[..end], Some(&word.bytes[end + 1..])),
            None => (&word.bytes[..], None),
        };
        let name = String::from_utf8_lossy(key).into_owned();
        let number =
            number(&name).ok_or_else(|| format!("`{name}` is not a parameter; write alpn, port, … or key123"))?;
        if known.insert(number, data(number, &name, value)?).is_some() {
            return Err(format!("`{name}` is there twice"));
        }
    }
    check_mandatory(&known)?;
    for (key, data) in known {
        let length = u16::try_from(data.len()).map_err(|_| "a parameter has at most 65535 bytes".to_owned())?;
        out.extend(key.to_be_bytes());
        out.extend(length.to_be_bytes());
        out.extend(data);
    }
    Ok(())
}

fn number(name: &str) -> Option<u16> {
    let known = KEYS.iter().find(|(key, _)| *key == name).map(|(_, number)| *number);
    // 65535 is reserved as invalid.
    known.or_else(|| name.strip_prefix("key")?.parse().ok().filter(|number| *number < u16::MAX))
}

fn data(key: u16, name: &str, value: Option<&[u8]>) -> Result<Vec<u8>, String> {
    let wrong = |what: &str| format!("`{name}` is followed by {what}");
    let text = String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
    let items = || text.split(',');
    let mut out = Vec::new();
    match key {
        0 => {
            let keys: Option<Vec<u16>> = items().map(number).collect();
            let mut keys = keys.ok_or_else(|| wrong("names of parameters"))?;
            keys.sort_unstable();
            out.extend(keys.into_iter().flat_map(u16::to_be_bytes));
        }
        1 => {
            for protocol in items() {
                let length = u8::try_from(protocol.len()).ok().filter(|length| *length > 0);
                out.push(length.ok_or_else(|| wrong("names of protocols"))?);
                out.extend(protocol.bytes());
            }
        }
        2 if value.is_some() => return Err(format!("`{name}` has no value")),
        3 => out.extend(text.parse::<u16>().map_err(|_| wrong("a port"))?.to_be_bytes()),
        4 => {
            for item in items() {
                out.extend(item.parse::<Ipv4Addr>().map_err(|_| wrong("IPv4 addresses"))?.octets());
            }
        }
        5 => {
            let word = Word { bytes: text.into_bytes(), dots: Vec::new(), quoted: false, escaped: false };
            base64(&[word], &mut out)?;
        }
        6 => {
            for item in items() {
                out.extend(item.parse::<Ipv6Addr>().map_err(|_| wrong("IPv6 addresses"))?.octets());
            }
        }
        _ => out.extend(value.unwrap_or_default()),
    }
    Ok(out)
}

/// What is mandatory is there, and is neither `mandatory` itself nor named twice (RFC 9460, 8).
fn check_mandatory(known: &BTreeMap<u16, Vec<u8>>) -> Result<(), String> {
    let Some(keys) = known.get(&0) else { return Ok(()) };
    let keys: Vec<u16> = keys.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    if keys.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err("`mandatory` names a parameter twice".into());
    }
    match keys.iter().find(|key| **key == 0 || !known.contains_key(key)) {
        Some(0) => Err("`mandatory` does not name itself".into()),
        Some(key) => Err(format!("`mandatory` names parameter {key}, which is not there")),
        None => Ok(()),
    }
}
