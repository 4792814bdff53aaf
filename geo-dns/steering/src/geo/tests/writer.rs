//! Writes databases in MaxMind's format, for tests: what is read has to be made by somebody else than the reader.

use std::net::IpAddr;

/// A value of a record.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(&'static str),
    Map(Vec<(&'static str, Self)>),
    List(Vec<Self>),
    Double(f64),
    Float(f32),
    U16(u16),
    U32(u32),
    U64(u64),
    Bool(bool),
    /// Written elsewhere, and pointed to.
    Pointed(Box<Self>),
}

/// `{ "country": { "iso_code": code } }`.
pub(crate) fn country(code: &'static str) -> Value {
    Value::Map(vec![("country", Value::Map(vec![("iso_code", Value::Text(code))]))])
}

const LEAF: u32 = 1 << 31;
const EMPTY: u32 = u32::MAX;

/// A database: networks like `192.0.2.0/24`, later ones inside earlier ones; IPv4 stands at `::/96` of a tree of IPv6.
pub(crate) fn database(ip_version: u8, record_bits: u16, networks: &[(&str, Value)]) -> Vec<u8> {
    let mut nodes: Vec<[u32; 2]> = vec![[EMPTY; 2]];
    let (mut data, mut offsets) = (Vec::new(), Vec::new());
    for (network, value) in networks {
        let mut body = Vec::new();
        encode(value, &mut data, &mut body);
        offsets.push(data.len() as u32);
        data.extend(body);
        insert(&mut nodes, &bits_of(network, ip_version), LEAF | (offsets.len() as u32 - 1));
    }
    let count = nodes.len() as u32;
    let record = |record: u32| match record {
        EMPTY => count,
        leaf if leaf & LEAF != 0 => count + 16 + offsets[(leaf & !LEAF) as usize],
        node => node,
    };
    let mut out = Vec::new();
    for [left, right] in nodes {
        node(record_bits, record(left), record(right), &mut out);
    }
    out.extend([0; 16]);
    out.extend(data);
    out.extend(b"\xab\xcd\xefMaxMind.com");
    let head = Value::Map(vec![
        ("binary_format_major_version", Value::U16(2)),
        ("binary_format_minor_version", Value::U16(0)),
        ("build_epoch", Value::U64(1_750_000_000)),
        ("database_type", Value::Text("Test")),
        ("description", Value::Map(vec![("en", Value::Text("a test"))])),
        ("ip_version", Value::U16(ip_version.into())),
        ("languages", Value::List(vec![Value::Text("en")])),
        ("node_count", Value::U32(count)),
        ("record_size", Value::U16(record_bits)),
    ]);
    encode(&head, &mut Vec::new(), &mut out);
    out
}

fn bits_of(network: &str, ip_version: u8) -> Vec<bool> {
    let (addr, prefix) = network.split_once('/').expect("a network");
    let prefix: usize = prefix.parse().expect("a length");
    let (bits, lead): (u128, usize) = match (addr.parse().expect("an address"), ip_version) {
        (IpAddr::V4(v4), 4) => (u128::from(u32::from(v4)) << 96, 0),
        (IpAddr::V4(v4), _) => (u32::from(v4).into(), 96),
        (IpAddr::V6(v6), _) => (v6.into(), 0),
    };
    (0..lead + prefix).map(|i| bits >> (127 - i) & 1 == 1).collect()
}

fn insert(nodes: &mut Vec<[u32; 2]>, bits: &[bool], leaf: u32) {
    let mut at = 0;
    for (i, &bit) in bits.iter().enumerate() {
        let side = usize::from(bit);
        if i + 1 == bits.len() {
            nodes[at][side] = leaf;
            return;
        }
        let next = nodes[at][side];
        if next & LEAF != 0 {
            // Nothing yet, or a larger network, which goes on on both sides.
            nodes[at][side] = nodes.len() as u32;
            nodes.push([next; 2]);
        }
        at = nodes[at][side] as usize;
    }
}

fn node(record_bits: u16, left: u32, right: u32, out: &mut Vec<u8>) {
    match record_bits {
        24 => out.extend([&left.to_be_bytes()[1..], &right.to_be_bytes()[1..]].concat()),
        28 => {
            out.extend(&left.to_be_bytes()[1..]);
            out.push(((left >> 24) as u8) << 4 | (right >> 24) as u8);
            out.extend(&right.to_be_bytes()[1..]);
        }
        _ => out.extend([left.to_be_bytes(), right.to_be_bytes()].concat()),
    }
}

/// Encodes a value into `out`; what is pointed to goes to the end of `data`.
fn encode(value: &Value, data: &mut Vec<u8>, out: &mut Vec<u8>) {
    match value {
        Value::Text(text) => {
            head(2, text.len(), out);
            out.extend(text.bytes());
        }
        Value::Map(entries) => {
            head(7, entries.len(), out);
            for (key, value) in entries {
                encode(&Value::Text(key), data, out);
                encode(value, data, out);
            }
        }
        Value::List(values) => {
            head(11, values.len(), out);
            values.iter().for_each(|value| encode(value, data, out));
        }
        Value::Double(number) => {
            head(3, 8, out);
            out.extend(number.to_be_bytes());
        }
        Value::Float(number) => {
            head(15, 4, out);
            out.extend(number.to_be_bytes());
        }
        Value::U16(number) => {
            head(5, 2, out);
            out.extend(number.to_be_bytes());
        }
        Value::U32(number) => {
            head(6, 4, out);
            out.extend(number.to_be_bytes());
        }
        Value::U64(number) => {
            head(9, 8, out);
            out.extend(number.to_be_bytes());
        }
        Value::Bool(yes) => head(14, usize::from(*yes), out),
        Value::Pointed(value) => {
            let mut body = Vec::new();
            encode(value, data, &mut body);
            // A pointer of the largest kind, 32 bits.
            out.push(0b0011_1000);
            out.extend((data.len() as u32).to_be_bytes());
            data.extend(body);
        }
    }
}

/// Type and size; sizes up to 284 are all that is needed.
fn head(kind: u8, size: usize, out: &mut Vec<u8>) {
    let (low, more) = if size < 29 { (size as u8, None) } else { (29, Some((size - 29) as u8)) };
    if kind < 8 {
        out.push(kind << 5 | low);
    } else {
        out.extend([low, kind - 7]);
    }
    out.extend(more);
}
