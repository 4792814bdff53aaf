//! Writes a reply.

use crate::rr::{Rcode, RrSet};

use super::{Asked, CLASS_IN, Edns, HEADER, UDP_MAX};

const QR: u16 = 0x8000;
const AA: u16 = 0x0400;
const TC: u16 = 0x0200;
/// Opcode, RD and CD come back as they were sent; AD, RA and the unknown bit do not.
const ECHOED: u16 = 0x7910;

/// Whose record it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Owner {
    /// The name in the question.
    Asked,
    /// A parent of the name in the question, which ends with this many bytes.
    Parent(usize),
    /// The name that the record before points to: the target of a CNAME.
    Target,
}

/// A reply in the making.
///
/// A section that does not fit takes all records with it: the reply then says "truncated", and the client asks over TCP.
pub(crate) struct Reply<'o, 'q> {
    out: &'o mut Vec<u8>,
    asked: Asked<'q>,
    limit: usize,
    scope: u8,
    answers: u16,
    authorities: u16,
    /// Where the data of the latest record begins.
    data_at: usize,
    truncated: bool,
}

impl<'o, 'q> Reply<'o, 'q> {
    /// Begins a reply of at most `limit` bytes in an emptied buffer.
    pub(crate) fn new(asked: Asked<'q>, limit: usize, out: &'o mut Vec<u8>) -> Self {
        out.clear();
        out.extend([0; HEADER]);
        out.extend(asked.question);
        Self { out, asked, limit, scope: 0, answers: 0, authorities: 0, data_at: 0, truncated: false }
    }

    /// For how much of the client's network the answer holds.
    pub(crate) fn scope(&mut self, bits: u8) {
        self.scope = bits;
    }

    /// Adds records to the answer section.
    pub(crate) fn answer(&mut self, owner: Owner, class: u16, set: &RrSet) {
        self.answers = self.answers.saturating_add(self.records(owner, class, set.ttl, set));
    }

    /// Adds records to the authority section, with a TTL of their own.
    pub(crate) fn authority(&mut self, owner: Owner, ttl: u32, set: &RrSet) {
        self.authorities = self.authorities.saturating_add(self.records(owner, CLASS_IN, ttl, set));
    }

    fn records(&mut self, owner: Owner, class: u16, ttl: u32, set: &RrSet) -> u16 {
        let owner_at = match owner {
            Owner::Asked => HEADER,
            // The question ends with the name, then four bytes of type and class.
            Owner::Parent(length) => HEADER + self.asked.question.len().saturating_sub(4 + length),
            Owner::Target => self.data_at,
        };
        // A pointer reaches far beyond the few aliases that are followed; a wrong one must not go out all the same.
        if owner_at > 0x3fff {
            return 0;
        }
        let mut count = 0;
        for data in &set.rdata {
            if self.truncated || self.out.len() + 12 + data.len() + self.opt_len() > self.limit {
                self.truncated = true;
                return count;
            }
            self.out.extend((0xc000 | owner_at as u16).to_be_bytes());
            self.out.extend(set.rtype.0.to_be_bytes());
            self.out.extend(class.to_be_bytes());
            self.out.extend(ttl.to_be_bytes());
            self.out.extend((data.len() as u16).to_be_bytes());
            self.data_at = self.out.len();
            self.out.extend(&data[..]);
            count += 1;
        }
        count
    }

    fn opt_len(&self) -> usize {
        self.asked.edns.map_or(0, |edns| 11 + edns.subnet.map_or(0, |s| s.written_len()))
    }

    /// Ends the reply; says whether it was truncated.
    pub(crate) fn finish(mut self, rcode: Rcode, authoritative: bool) -> bool {
        if self.truncated {
            self.out.truncate(HEADER + self.asked.question.len());
            (self.answers, self.authorities) = (0, 0);
        }
        if let Some(edns) = self.asked.edns {
            self.opt(edns, rcode);
        }
        let mut flags = QR | self.asked.flags & ECHOED | rcode.number() & 0xf;
        flags |= if authoritative { AA } else { 0 };
        flags |= if self.truncated { TC } else { 0 };
        let counts = [
            u16::from(!self.asked.question.is_empty()),
            self.answers,
            self.authorities,
            u16::from(self.asked.edns.is_some()),
        ];
        let header = [self.asked.id, flags].into_iter().chain(counts).flat_map(u16::to_be_bytes);
        self.out.iter_mut().zip(header).for_each(|(byte, field)| *byte = field);
        self.truncated
    }

    fn opt(&mut self, edns: Edns, rcode: Rcode) {
        let subnet = edns.subnet;
        self.out.extend([0, 0, 41]);
        self.out.extend(UDP_MAX.to_be_bytes());
        self.out.extend([(rcode.number() >> 4) as u8, 0, if edns.dnssec_ok { 0x80 } else { 0 }, 0]);
        self.out.extend((subnet.map_or(0, |s| s.written_len()) as u16).to_be_bytes());
        if let Some(subnet) = subnet {
            subnet.write(self.scope, self.out);
        }
    }
}
