//! Bits of strings.

use bytes::Bytes;
use replication_core::{BitField, BitRange, BitUnit, BitsOp, Bitwise, FieldAsk, Overflow};

use super::key_first;
use crate::{
    call::{Answer, Call, Refusal},
    key_specs::KeySpec,
    resp::parse_i64,
    table::{Command, Keys, flag::*},
};

const BITMAP: &[&str] = &["bitmap"];
/// Longest string in Redis, in bits: where a bit may be asked for, though strings are shorter here.
const REDIS_BITS: u64 = 1 << 32;
const OFFSET: Refusal = Refusal(std::borrow::Cow::Borrowed("ERR bit offset is not an integer or out of range"));

pub(super) const COMMANDS: &[Command] = &[
    Command::new("setbit", 4, WRITE | DENYOOM, "bitmap", set_bit)
        .keys(Keys::one(&["RW", "access", "update"]))
        .categories(BITMAP)
        .about("2.2.0", "Sets or clears the bit at offset in the string value stored at key")
        .complexity("O(N) where N is the length of the string: it is written as a whole.")
        .usage("key offset value"),
    Command::new("getbit", 3, READONLY | FAST, "bitmap", |call| {
        let offset = offset(&call.args[2], None)?;
        call.answer(&BitsOp::Get { offset }.on(call.key()))
    })
    .keys(Keys::one(&["RO", "access"]))
    .categories(BITMAP)
    .about("2.2.0", "Returns the bit value at offset in the string value stored at key")
    .usage("key offset"),
    Command::new("bitcount", -2, READONLY, "bitmap", bit_count)
        .keys(Keys::one(&["RO", "access"]))
        .categories(BITMAP)
        .about("2.6.0", "Count set bits in a string")
        .complexity("O(N)")
        .usage("key [start end [BYTE|BIT]]"),
    Command::new("bitpos", -3, READONLY, "bitmap", bit_pos)
        .keys(Keys::one(&["RO", "access"]))
        .categories(BITMAP)
        .about("2.8.7", "Find first bit set or clear in a string")
        .complexity("O(N)")
        .usage("key bit [start [end [BYTE|BIT]]]"),
    Command::new("bitop", -4, WRITE | DENYOOM, "bitmap", bit_op)
        .keys(Keys::range(2, -1, &[]))
        .specs(&[KeySpec::at(2, &["OW", "update"]), KeySpec::from(3, &["RO", "access"])])
        .categories(BITMAP)
        .about("2.6.0", "Perform bitwise operations between strings")
        .complexity("O(N)")
        .usage("AND|OR|XOR|NOT destkey key [key ...]"),
    Command::new("bitfield", -2, WRITE | DENYOOM, "bitmap", |call| bit_field(call, false))
        .keys(Keys::one_noted(
            &["RW", "access", "update", "variable_flags"],
            "This command allows both access and modification of the key",
        ))
        .categories(BITMAP)
        .about("3.2.0", "Perform arbitrary bitfield integer operations on strings")
        .complexity("O(1) for each subcommand specified, O(N) for the string if it is changed")
        .usage(
            "key [GET encoding offset | [OVERFLOW WRAP|SAT|FAIL] SET encoding offset value | INCRBY encoding offset increment ...]",
        ),
    Command::new("bitfield_ro", -2, READONLY | FAST, "bitmap", |call| bit_field(call, true))
        .keys(Keys::one(&["RO", "access"]))
        .categories(BITMAP)
        .about("6.0.0", "Perform arbitrary bitfield integer operations on strings. Read-only variant of BITFIELD")
        .complexity("O(1) for each subcommand specified")
        .usage("key [GET encoding offset [GET encoding offset ...]]"),
];

/// A bit's place. With a `width`, `#n` is the n-th integer of that width.
fn offset(text: &[u8], width: Option<u8>) -> Result<u64, Refusal> {
    let (text, unit) = match (text, width) {
        ([b'#', text @ ..], Some(width)) => (text, u64::from(width)),
        _ => (text, 1),
    };
    let offset = parse_i64(text).and_then(|n| u64::try_from(n).ok()).and_then(|n| n.checked_mul(unit));
    offset.filter(|offset| *offset < REDIS_BITS).ok_or(OFFSET)
}

fn set_bit(call: &mut Call<'_>) -> Answer {
    let offset = offset(&call.args[2], None)?;
    let on = match parse_i64(&call.args[3]) {
        Some(bit @ (0 | 1)) => bit == 1,
        _ => return Err("ERR bit is not an integer or out of range".into()),
    };
    call.answer(&BitsOp::Set { offset, on }.on(call.key()))
}

fn unit(word: &[u8]) -> Result<BitUnit, Refusal> {
    match word.to_ascii_lowercase().as_slice() {
        b"bit" => Ok(BitUnit::Bits),
        b"byte" => Ok(BitUnit::Bytes),
        _ => Err(Refusal::SYNTAX),
    }
}

fn bit_count(call: &mut Call<'_>) -> Answer {
    match count_range(call) {
        Ok(range) => call.answer(&BitsOp::Count { range }.on(call.key())),
        Err(why) => key_first(call, why, |out| out.int(0)),
    }
}

fn count_range(call: &Call<'_>) -> Result<Option<BitRange>, Refusal> {
    if call.args.len() == 2 {
        return Ok(None);
    }
    if !(4..=5).contains(&call.args.len()) {
        return Err(Refusal::SYNTAX);
    }
    let (start, end) = (call.int(2)?, call.int(3)?);
    let is_empty = start < 0 && end < 0 && start > end; // answered before the unit is looked at
    let unit =
        if is_empty { BitUnit::Bytes } else { call.args.get(4).map_or(Ok(BitUnit::Bytes), |word| unit(word))? };
    Ok(Some(BitRange { start, end: Some(end), unit }))
}

fn bit_pos(call: &mut Call<'_>) -> Answer {
    let on = match call.int(2)? {
        0 => false,
        1 => true,
        _ => return Err("ERR The bit argument must be 1 or 0.".into()),
    };
    match pos_range(call) {
        Ok(range) => call.answer(&BitsOp::Pos { on, range }.on(call.key())),
        Err(why) => key_first(call, why, |out| out.int(if on { -1 } else { 0 })),
    }
}

fn pos_range(call: &Call<'_>) -> Result<Option<BitRange>, Refusal> {
    match call.args.len() {
        3 => return Ok(None),
        4..=6 => {}
        _ => return Err(Refusal::SYNTAX),
    }
    let start = call.int(3)?;
    let unit = call.args.get(5).map_or(Ok(BitUnit::Bytes), |word| unit(word))?;
    let end = if call.args.len() > 4 { Some(call.int(4)?) } else { None };
    Ok(Some(BitRange { start, end, unit }))
}

fn bit_op(call: &mut Call<'_>) -> Answer {
    let how = match call.args[1].to_ascii_lowercase().as_slice() {
        b"and" => Bitwise::And,
        b"or" => Bitwise::Or,
        b"xor" => Bitwise::Xor,
        b"not" if call.args.len() == 4 => Bitwise::Not,
        b"not" => return Err("ERR BITOP NOT must be called with a single source key.".into()),
        _ => return Err(Refusal::SYNTAX),
    };
    call.same_partition()?;
    call.answer(&BitsOp::Combine { how, sources: call.rest(3) }.on(call.arg(2)))
}

fn bit_field(call: &mut Call<'_>, read_only: bool) -> Answer {
    let steps = field_steps(&call.args[2..])?;
    if read_only && steps.iter().any(|(_, ask)| *ask != FieldAsk::Get) {
        return Err("ERR BITFIELD_RO only supports the GET subcommand".into());
    }
    call.answer(&BitsOp::Field { steps }.on(call.key()))
}

fn field_steps(mut words: &[Bytes]) -> Result<Vec<(BitField, FieldAsk)>, Refusal> {
    let (mut steps, mut overflow) = (Vec::new(), Overflow::default());
    while let [what, rest @ ..] = words {
        let what = what.to_ascii_lowercase();
        words = match (what.as_slice(), rest) {
            (b"get", [kind, offset, rest @ ..]) => {
                steps.push((field(kind, offset)?, FieldAsk::Get));
                rest
            }
            (b"set" | b"incrby", [kind, offset, number, rest @ ..]) => {
                let field = field(kind, offset)?;
                let value = parse_i64(number).ok_or(Refusal::NOT_AN_INTEGER)?;
                let is_set = what == b"set";
                let ask =
                    if is_set { FieldAsk::Set { value, overflow } } else { FieldAsk::Incr { by: value, overflow } };
                steps.push((field, ask));
                rest
            }
            (b"overflow", [how, rest @ ..]) => {
                overflow = match how.to_ascii_lowercase().as_slice() {
                    b"wrap" => Overflow::Wrap,
                    b"sat" => Overflow::Saturate,
                    b"fail" => Overflow::Fail,
                    _ => return Err("ERR Invalid OVERFLOW type specified".into()),
                };
                rest
            }
            _ => return Err(Refusal::SYNTAX),
        };
    }
    Ok(steps)
}

fn field(kind: &[u8], place: &[u8]) -> Result<BitField, Refusal> {
    let (signed, width) = match kind {
        [b'i', width @ ..] => (true, width),
        [b'u', width @ ..] => (false, width),
        _ => (false, &[][..]),
    };
    let widest = if signed { 64 } else { 63 };
    let bits = parse_i64(width).and_then(|bits| u8::try_from(bits).ok()).filter(|bits| (1..=widest).contains(bits));
    let bits = bits.ok_or(Refusal::from(
        "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
    ))?;
    Ok(BitField { offset: offset(place, Some(bits))?, bits, signed })
}
