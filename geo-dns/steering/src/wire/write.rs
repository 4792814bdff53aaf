//! Writes a reply.

use crate::{
    decide::Alias,
    name::{self, MAX_NAME},
    rr::{Rcode, RrSet, Rtype},
    service::Hinted,
    view::Delegation,
};

use super::{
    Asked, CLASS_IN, Ede, Edns, HEADER, UDP_MAX,
    edns::{KEEPALIVE, NSID},
};

const QR: u16 = 0x8000;
const AA: u16 = 0x0400;
const TC: u16 = 0x0200;
/// Opcode, RD and CD come back as they were sent; AD, RA and the unknown bit do not.
const ECHOED: u16 = 0x7910;

/// How many servers of a delegation have their addresses told.
const GLUE_SERVERS: usize = 32;

/// A reply in the making.
///
/// A section that does not fit takes all records with it: the reply then says "truncated", and the client asks over TCP.
pub(crate) struct Reply<'o, 'q> {
    out: &'o mut Vec<u8>,
    asked: Asked<'q>,
    limit: usize,
    /// Who the server is, told to whoever asks.
    identity: &'q [u8],
    reason: Option<Ede>,
    /// For how long the connection may be idle, in units of 100 ms; told to whoever asks for it.
    keepalive: Option<u16>,
    scope: u8,
    answers: u16,
    authorities: u16,
    additional: u16,
    /// Where the name stands that the way has come to: the one asked for, then the target of each alias.
    name_at: usize,
    /// Where the data of the latest record begins.
    data_at: usize,
    truncated: bool,
}

impl<'o, 'q> Reply<'o, 'q> {
    /// Begins a reply of at most `limit` bytes in an emptied buffer; 512 have room for everything that is no record.
    pub(crate) fn new(asked: Asked<'q>, limit: usize, identity: &'q [u8], out: &'o mut Vec<u8>) -> Self {
        out.clear();
        out.extend_from_slice(&[0; HEADER]);
        out.extend_from_slice(asked.question);
        Self {
            out,
            asked,
            limit,
            identity,
            reason: None,
            keepalive: None,
            scope: 0,
            answers: 0,
            authorities: 0,
            additional: 0,
            name_at: HEADER,
            data_at: 0,
            truncated: false,
        }
    }

    /// Why the answer is what it is. To be said before there are records, which leave room for it.
    pub(crate) fn reason(&mut self, reason: Option<Ede>) {
        self.reason = reason;
    }

    /// For how long the connection may be idle, in units of 100 ms. To be said before there are records.
    pub(crate) fn keepalive(&mut self, units: Option<u16>) {
        self.keepalive = units;
    }

    /// For how much of the client's network the answer holds.
    pub(crate) fn scope(&mut self, bits: u8) {
        self.scope = bits;
    }

    /// Adds records of the name that the way has come to.
    pub(crate) fn answer(&mut self, class: u16, set: &RrSet) {
        self.answers = self.answers.saturating_add(self.records(self.name_at, class, set.ttl, set));
    }

    /// Adds the record of a service at that name.
    pub(crate) fn service(&mut self, hinted: &Hinted<'_>) {
        if self.begin(self.name_at, hinted.service.rtype, (CLASS_IN, hinted.ttl), hinted.len()) {
            hinted.write(self.out);
            self.answers = self.answers.saturating_add(1);
        }
    }

    /// Adds an alias of that name and goes on to its target.
    pub(crate) fn alias(&mut self, alias: Alias<'_>) {
        match alias {
            Alias::Cname(set) => self.answer(CLASS_IN, set),
            Alias::Dname(front, set) => {
                let owner = self.name_at + front;
                self.answers = self.answers.saturating_add(self.records(owner, CLASS_IN, set.ttl, set));
                if let Some(target) = set.rdata.first() {
                    self.made_alias(front, set.ttl, target);
                }
            }
        }
        self.name_at = self.data_at;
    }

    /// Adds the CNAME that follows from a DNAME: the name's labels before the DNAME's owner, put before its target.
    fn made_alias(&mut self, front: usize, ttl: u32, target: &[u8]) {
        let labels = self.name_at..self.name_at + front;
        if front + target.len() > MAX_NAME
            || !self.begin(self.name_at, Rtype::CNAME, (CLASS_IN, ttl), front + target.len())
        {
            return;
        }
        self.out.extend_from_within(labels);
        self.out.extend(target);
        self.answers = self.answers.saturating_add(1);
    }

    /// Adds the SOA of the zone that the way has come to, whose origin has so many bytes: the proof of a "no".
    pub(crate) fn denial(&mut self, origin: usize, ttl: u32, soa: &RrSet) {
        let name = self.out.get(self.name_at..).map_or(0, name_len);
        let owner = self.name_at + name.saturating_sub(origin);
        self.authorities = self.authorities.saturating_add(self.records(owner, CLASS_IN, ttl, soa));
    }

    /// Names the servers to ask instead, those of their addresses without which nobody could, and others as far as there is room
    /// (RFC 9471).
    pub(crate) fn referral(&mut self, front: usize, delegation: &Delegation) {
        let mut servers_at = [0; GLUE_SERVERS];
        let servers = &delegation.servers;
        for (i, data) in servers.rdata.iter().enumerate() {
            self.authorities +=
                u16::from(self.record(self.name_at + front, servers.rtype, (CLASS_IN, servers.ttl), data));
            if let Some(at) = servers_at.get_mut(i) {
                *at = self.data_at;
            }
        }
        for (server, set) in &delegation.glue {
            if let Some(at) = servers_at.get(*server) {
                self.additional += self.records(*at, CLASS_IN, set.ttl, set);
            }
        }
        for (server, set) in &delegation.siblings {
            if let Some(at) = servers_at.get(*server).filter(|_| self.has_room_for(set)) {
                self.additional += self.records(*at, CLASS_IN, set.ttl, set);
            }
        }
    }

    /// Whether a whole set fits, its owner being a pointer.
    fn has_room_for(&self, set: &RrSet) -> bool {
        let length: usize = set.rdata.iter().map(|data| 12 + data.len()).sum();
        self.out.len() + length + self.opt_len() <= self.limit
    }

    fn records(&mut self, owner_at: usize, class: u16, ttl: u32, set: &RrSet) -> u16 {
        set.rdata.iter().map(|data| u16::from(self.record(owner_at, set.rtype, (class, ttl), data))).sum()
    }

    fn record(&mut self, owner_at: usize, rtype: Rtype, class_ttl: (u16, u32), data: &[u8]) -> bool {
        let room = self.begin(owner_at, rtype, class_ttl, data.len());
        if room {
            self.out.extend_from_slice(data);
        }
        room
    }

    /// Writes a record up to its data. False if there is no room for it; then there is none for any further one.
    fn begin(&mut self, owner_at: usize, rtype: Rtype, (class, ttl): (u16, u32), length: usize) -> bool {
        // A pointer reaches far beyond the few aliases that are followed; a wrong one must not go out all the same.
        let fits = self.out.len() + 12 + length + self.opt_len() <= self.limit && owner_at <= 0x3fff;
        self.truncated |= !fits;
        if self.truncated {
            return false;
        }
        let mut head = [0; 12];
        head[..2].copy_from_slice(&(0xc000 | owner_at as u16).to_be_bytes());
        head[2..4].copy_from_slice(&rtype.0.to_be_bytes());
        head[4..6].copy_from_slice(&class.to_be_bytes());
        head[6..10].copy_from_slice(&ttl.to_be_bytes());
        head[10..].copy_from_slice(&(length as u16).to_be_bytes());
        self.out.extend_from_slice(&head);
        self.data_at = self.out.len();
        true
    }

    fn opt_len(&self) -> usize {
        self.asked.edns.map_or(0, |edns| 11 + self.options_len(edns))
    }

    fn options_len(&self, edns: Edns) -> usize {
        let subnet = edns.subnet.map_or(0, |subnet| subnet.written_len());
        let identity = if edns.wants_identity { 4 + self.identity.len() } else { 0 };
        let keepalive = if self.keepalive_for(edns).is_some() { 6 } else { 0 };
        subnet + identity + keepalive + self.reason.map_or(0, Ede::written_len)
    }

    /// The scope, if the reply tells it.
    pub(crate) fn told_scope(&self) -> Option<u8> {
        self.asked.edns.and_then(|edns| edns.subnet).map(|_| self.scope)
    }

    fn keepalive_for(&self, edns: Edns) -> Option<u16> {
        self.keepalive.filter(|_| edns.keepalive.is_some())
    }

    /// Ends the reply; says whether it was truncated.
    pub(crate) fn finish(mut self, rcode: Rcode, authoritative: bool) -> bool {
        if self.truncated {
            self.out.truncate(HEADER + self.asked.question.len());
            (self.answers, self.authorities, self.additional) = (0, 0, 0);
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
            self.additional + u16::from(self.asked.edns.is_some()),
        ];
        let [questions, answers, authorities, additional] = counts;
        let fields = [self.asked.id, flags, questions, answers, authorities, additional].map(u16::to_be_bytes);
        if let Some(header) = self.out.get_mut(..HEADER) {
            header.copy_from_slice(fields.as_flattened());
        }
        self.truncated
    }

    fn opt(&mut self, edns: Edns, rcode: Rcode) {
        let ([size_high, size_low], dnssec_ok) = (UDP_MAX.to_be_bytes(), if edns.dnssec_ok { 0x80 } else { 0 });
        let [length_high, length_low] = (self.options_len(edns) as u16).to_be_bytes();
        let version = 0;
        self.out.extend_from_slice(&[
            0,
            0,
            41,
            size_high,
            size_low,
            (rcode.number() >> 4) as u8,
            version,
            dnssec_ok,
            0,
            length_high,
            length_low,
        ]);
        if edns.wants_identity {
            self.out.extend(NSID.to_be_bytes());
            self.out.extend((self.identity.len() as u16).to_be_bytes());
            self.out.extend(self.identity);
        }
        if let Some(units) = self.keepalive_for(edns) {
            [KEEPALIVE, 2, units].into_iter().for_each(|field| self.out.extend(field.to_be_bytes()));
        }
        if let Some(reason) = self.reason {
            reason.write(self.out);
        }
        if let Some(subnet) = edns.subnet {
            subnet.write(self.scope, self.out);
        }
    }
}

/// Length of the uncompressed name at the head of some bytes.
fn name_len(bytes: &[u8]) -> usize {
    name::suffixes(bytes).take(MAX_NAME).map(|suffix| 1 + usize::from(suffix[0])).sum::<usize>() + 1
}
