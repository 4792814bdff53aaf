//! Reads a query.

use crate::{
    name::AskedName,
    rr::{Rcode, Rtype},
};

use super::{Edns, HEADER, Taker};

/// What a reply repeats of its query, as far as it could be read.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'q> {
    pub(crate) id: u16,
    /// The second 16 bits of the header.
    pub(crate) flags: u16,
    /// The question as it was sent, letter case kept; empty if it could not be read.
    pub(crate) question: &'q [u8],
    pub(crate) edns: Option<Edns>,
}

/// The one question of a query.
pub(crate) struct Question<'n> {
    pub(crate) name: &'n AskedName,
    pub(crate) rtype: Rtype,
    pub(crate) class: u16,
}

/// Reads a packet: what a reply repeats of it, and the question, or what it gets for not being one.
///
/// None for what is not even a header, and for responses: answering them could make two servers talk for ever.
/// `name` is the room for the name that is asked for.
pub(crate) fn read<'q, 'n>(
    packet: &'q [u8],
    name: &'n mut AskedName,
) -> Option<(Asked<'q>, Result<Question<'n>, Rcode>)> {
    let mut rest = Taker(packet);
    let header = rest.bytes(HEADER)?;
    let field = |i: usize| u16::from_be_bytes([header[2 * i], header[2 * i + 1]]);
    let mut asked = Asked { id: field(0), flags: field(1), question: &[], edns: None };
    if asked.flags & 0x8000 != 0 {
        return None;
    }
    let counts = [field(2), field(3), field(4), field(5)];
    let question = read_message(packet, rest, counts, &mut asked, name);
    Some((asked, question))
}

/// Reads what follows the header, and notes in `asked` how far it got.
fn read_message<'q, 'n>(
    packet: &'q [u8],
    mut rest: Taker<'q>,
    [questions, answers, authorities, additional]: [u16; 4],
    asked: &mut Asked<'q>,
    name: &'n mut AskedName,
) -> Result<Question<'n>, Rcode> {
    if asked.flags & 0x7800 != 0 {
        return Err(Rcode::NotImp);
    }
    if questions != 1 {
        return Err(Rcode::FormErr);
    }
    let question = read_question(&mut rest, name).ok_or(Rcode::FormErr)?;
    asked.question = &packet[HEADER..packet.len() - rest.0.len()];
    // IXFR carries the client's SOA, and is refused whatever it says; no other query has records in front.
    if question.rtype == Rtype::IXFR {
        return Err(Rcode::Refused);
    }
    if answers != 0 || authorities != 0 {
        return Err(Rcode::FormErr);
    }
    read_additional(rest, additional, &mut asked.edns)?;
    match asked.edns {
        Some(edns) if edns.version > 0 => Err(Rcode::BadVers),
        _ => Ok(question),
    }
}

fn read_question<'n>(rest: &mut Taker<'_>, name: &'n mut AskedName) -> Option<Question<'n>> {
    name.read(rest.0)?;
    rest.bytes(name.as_wire().len())?;
    Some(Question { name, rtype: Rtype(rest.u16()?), class: rest.u16()? })
}

/// Finds the OPT record. Every record takes 11 bytes at least, so that a forged count ends with the packet.
///
/// Of an OPT record with a fault in its options the fixed part is kept: the reply has to have one too.
fn read_additional(mut rest: Taker<'_>, count: u16, edns: &mut Option<Edns>) -> Result<(), Rcode> {
    for _ in 0..count {
        let record = read_record(&mut rest).ok_or(Rcode::FormErr)?;
        match record.rtype {
            Rtype::OPT if edns.is_some() || !record.at_root => return Err(Rcode::FormErr),
            Rtype::OPT => {
                let found = edns.insert(Edns::new(record.class, record.ttl));
                found.read_options(record.data).ok_or(Rcode::FormErr)?;
            }
            Rtype::TSIG => return Err(Rcode::NotAuth),
            _ => {}
        }
    }
    Ok(())
}

struct Record<'q> {
    at_root: bool,
    rtype: Rtype,
    class: u16,
    ttl: u32,
    data: &'q [u8],
}

fn read_record<'q>(rest: &mut Taker<'q>) -> Option<Record<'q>> {
    let at_root = rest.0.first() == Some(&0);
    skip_name(rest)?;
    let (rtype, class) = (Rtype(rest.u16()?), rest.u16()?);
    let ttl = u32::from(rest.u16()?) << 16 | u32::from(rest.u16()?);
    let length = rest.u16()?;
    Some(Record { at_root, rtype, class, ttl, data: rest.bytes(length.into())? })
}

/// Passes over a name, compressed or not; what it points to does not matter.
fn skip_name(rest: &mut Taker<'_>) -> Option<()> {
    loop {
        match rest.u8()? {
            0 => return Some(()),
            label @ 1..=63 => _ = rest.bytes(label.into())?,
            192.. => return rest.u8().map(|_| ()),
            _ => return None,
        }
    }
}
