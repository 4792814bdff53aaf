//! The whole server as one function: bytes in, bytes out.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use model::RegionName;

use crate::{
    about::about_itself,
    decide::{Client, Decision, decide},
    name::{self, AskedName},
    rr::{Rcode, Records, RrSet, Rtype},
    steer::Basis,
    view::View,
    wire::{Asked, CLASS_CH, CLASS_IN, Ede, PLAIN_UDP_MAX, Reply, UDP_MAX, read},
};

/// How a query came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// A datagram: the answer has to fit what the client takes.
    Udp,
    /// A stream: up to 65 535 bytes.
    Tcp,
}

impl Transport {
    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }
}

/// What became of a query, for counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome<'v> {
    /// What was said; None if nothing was, and nothing may be sent.
    pub rcode: Option<Rcode>,
    /// Origin of the zone that was asked.
    pub zone: Option<&'v str>,
    /// The number of that zone among the View's [`crate::Names`].
    pub zone_index: Option<u32>,
    /// The region named first in a steered answer.
    pub region: Option<&'v RegionName>,
    /// The number of that region among the View's [`crate::Names`].
    pub region_index: Option<u16>,
    /// On which ground a steered answer names whom it names.
    pub basis: Option<Basis>,
    /// The answer did not fit; the client will ask over TCP.
    pub truncated: bool,
    /// TTL of the answer, or of the SOA record that proves a "no", seconds; none for a refusal or a fault.
    pub ttl: Option<u32>,
    /// Length of the client network's prefix for which the answer holds; none if no client network was named.
    pub scope: Option<u8>,
}

impl Outcome<'_> {
    const SILENCE: Self = Self {
        rcode: None,
        zone: None,
        zone_index: None,
        region: None,
        region_index: None,
        basis: None,
        truncated: false,
        ttl: None,
        scope: None,
    };

    fn of(rcode: Rcode, truncated: bool) -> Self {
        Self { rcode: Some(rcode), truncated, ..Self::SILENCE }
    }
}

/// For how long no quorum of the plane was heard of; none if it was not since the start.
///
/// A question, since time is not the core's: it is put only for the one name whose answer tells it, so that all others pay nothing.
pub type Heard<'h> = &'h dyn Fn() -> Option<Duration>;

/// Who asks, how, and what he may be told besides the answer.
#[derive(Clone, Copy)]
pub struct Asker<'h> {
    /// The address that the query came from.
    pub client: IpAddr,
    /// How it came.
    pub transport: Transport,
    /// How old the Plan may be.
    pub heard: Heard<'h>,
    /// A number that is another one for each packet: where a policy draws members, it decides who is drawn, and has no influence on
    /// anything else. The core draws no numbers itself, and does not take them from the packet: the ids of DNS over QUIC are all 0,
    /// and so are those of cacheable DNS over HTTPS.
    pub draw: u64,
    /// For how long the connection may be idle, in units of 100 ms (RFC 7828); none where there is no connection.
    pub idle_100ms: Option<u16>,
    /// Whether answers are explained to that address: a question too, put for names that ask for an explanation.
    pub trusted: &'h dyn Fn(IpAddr) -> bool,
}

impl<'h> Asker<'h> {
    /// Somebody who is told the answer and nothing else.
    pub fn new(client: IpAddr, transport: Transport, heard: Heard<'h>, draw: u64) -> Self {
        Self { client, transport, heard, draw, idle_100ms: None, trusted: &|_| false }
    }
}

/// [`answer_to`] somebody who is told the answer and nothing else. `client` is the address the packet came from.
pub fn answer<'v>(
    view: &'v View,
    query: &[u8],
    client: IpAddr,
    transport: Transport,
    heard: Heard<'_>,
    draw: u64,
    out: &mut Vec<u8>,
) -> Outcome<'v> {
    answer_to(view, query, &Asker::new(client, transport, heard, draw), out)
}

/// Answers a packet. The answer replaces what is in `out`; if the outcome has no rcode, `out` is empty and nothing is to be
/// sent.
pub fn answer_to<'v>(view: &'v View, query: &[u8], asker: &Asker<'_>, out: &mut Vec<u8>) -> Outcome<'v> {
    let mut name = AskedName::EMPTY;
    let (asked, question) = match read(query, &mut name) {
        None => return silence(out),
        Some((asked, question)) => (asked, question),
    };
    let begin = Beginning { identity: view.server_region.as_str().as_bytes(), asked, asker };
    let question = match question {
        Err(rcode) => return begin.fault(rcode, None, out),
        Ok(_) if begin.asks_wrongly_for_keepalive() => return begin.fault(Rcode::FormErr, None, out),
        Ok(question) => question,
    };
    match (question.class, question.rtype) {
        (CLASS_IN | CLASS_CH, Rtype::OPT | Rtype::TSIG) => begin.fault(Rcode::FormErr, None, out),
        (CLASS_IN | CLASS_CH, Rtype::TKEY | Rtype::MAILA | Rtype::MAILB) => begin.fault(Rcode::NotImp, None, out),
        (CLASS_IN, Rtype::AXFR) => begin.fault(Rcode::Refused, Some(Ede::NO_TRANSFER), out),
        (CLASS_IN, rtype) => {
            let decision = decide(view, question.name.as_wire(), rtype, whom_for(&asked, asker.client, asker.draw));
            write(&decision, begin.reply(out))
        }
        (CLASS_CH, rtype) => {
            let is_text = matches!(rtype, Rtype::TXT | Rtype::ANY);
            let told = is_text.then(|| {
                about_itself(view, question.name.as_wire(), asker, whom_for(&asked, asker.client, asker.draw))
            });
            match told.unwrap_or(Err(None)) {
                Ok(set) => write_identity(&set, begin.reply(out)),
                Err(reason) => begin.fault(Rcode::Refused, reason, out),
            }
        }
        _ => begin.fault(Rcode::Refused, None, out),
    }
}

/// Answers as a server that has no Plan yet: it has no zone, so that it refuses every name.
pub fn refuse(query: &[u8], transport: Transport, out: &mut Vec<u8>) -> Outcome<'static> {
    let mut name = AskedName::EMPTY;
    match read(query, &mut name) {
        None => silence(out),
        Some((asked, question)) => {
            let asker = Asker::new(Ipv4Addr::UNSPECIFIED.into(), transport, &|| None, 0);
            let begin = Beginning { identity: &[], asked, asker: &asker };
            begin.fault(question.err().unwrap_or(Rcode::Refused), Some(Ede::NO_PLAN), out)
        }
    }
}

/// The question of a query as people write it, name and type, for a log of queries; none if it cannot be read.
pub fn question_of(query: &[u8]) -> Option<(String, Rtype)> {
    let mut name = AskedName::EMPTY;
    let (_, question) = read(query, &mut name)?;
    question.ok().map(|question| (name::display(question.name.as_wire()), question.rtype))
}

fn silence(out: &mut Vec<u8>) -> Outcome<'static> {
    out.clear();
    Outcome::SILENCE
}

/// What every reply to a query begins with.
struct Beginning<'q> {
    identity: &'q [u8],
    asked: Asked<'q>,
    asker: &'q Asker<'q>,
}

impl<'q> Beginning<'q> {
    fn reply<'o>(&self, out: &'o mut Vec<u8>) -> Reply<'o, 'q> {
        let mut reply = Reply::new(self.asked, limit(&self.asked, self.asker.transport), self.identity, out);
        reply.keepalive(self.asker.idle_100ms);
        reply
    }

    /// A query for the idle time-out has nothing to say itself (RFC 7828, 3.2.1). Over UDP the option counts for nothing.
    fn asks_wrongly_for_keepalive(&self) -> bool {
        self.asker.transport == Transport::Tcp
            && self.asked.edns.and_then(|edns| edns.keepalive).is_some_and(|len| len > 0)
    }

    fn fault(&self, rcode: Rcode, reason: Option<Ede>, out: &mut Vec<u8>) -> Outcome<'static> {
        let mut reply = self.reply(out);
        reply.reason(reason);
        Outcome::of(rcode, reply.finish(rcode, false))
    }
}

/// The client subnet's place if the query names one, else the place of whoever sent it.
fn whom_for(asked: &Asked<'_>, source: IpAddr, draw: u64) -> Client {
    let subnet = asked.edns.and_then(|edns| edns.subnet?.place());
    Client { place: subnet.unwrap_or(source), scoped: subnet.is_some(), draw }
}

/// How long a reply may be.
fn limit(asked: &Asked<'_>, transport: Transport) -> usize {
    match (transport, asked.edns) {
        (Transport::Tcp, _) => usize::from(u16::MAX),
        (Transport::Udp, None) => PLAIN_UDP_MAX,
        (Transport::Udp, Some(edns)) => usize::from(edns.payload.min(UDP_MAX)).max(PLAIN_UDP_MAX),
    }
}

fn write<'v>(decision: &Decision<'v>, mut reply: Reply<'_, '_>) -> Outcome<'v> {
    reply.reason(reason(decision));
    reply.scope(decision.scope);
    decision.aliases.iter().for_each(|alias| reply.alias(alias));
    match &decision.records {
        Some(Records::Set(set)) => reply.answer(CLASS_IN, set),
        Some(Records::Service(hinted)) => reply.service(hinted),
        None => {}
    }
    if let (Some(zone), Some(ttl)) = (decision.end_zone, decision.negative_ttl) {
        reply.denial(zone.origin.as_wire().len(), ttl, &zone.soa);
    }
    if let Some((front, delegation)) = decision.referral {
        reply.referral(front, delegation);
    }
    // A referral is nobody's word; an alias before it is.
    let authoritative = decision.zone.is_some() && (decision.referral.is_none() || !decision.aliases.is_empty());
    let scope = reply.told_scope();
    let truncated = reply.finish(decision.rcode, authoritative);
    let named = decision.steered.and_then(|answer| answer.steering.members.get(*answer.variant.chosen.first()?));
    Outcome {
        zone: decision.zone.map(|zone| zone.text.as_str()),
        zone_index: decision.zone.map(|zone| zone.index),
        region: named.map(|member| &member.region),
        region_index: named.map(|member| member.id),
        ttl: ttl(decision),
        scope,
        basis: decision.steered.map(|answer| answer.variant.basis),
        ..Outcome::of(decision.rcode, truncated)
    }
}

/// For how long the end of the way may be kept.
fn ttl(decision: &Decision<'_>) -> Option<u32> {
    let found = decision.records.map(|records| records.ttl()).or(decision.negative_ttl);
    let referred = || decision.referral.map(|(_, delegation)| delegation.servers.ttl);
    found.or_else(referred).or_else(|| decision.aliases.iter().last().map(|alias| alias.set().ttl))
}

/// What a person could not guess of an answer.
fn reason(decision: &Decision<'_>) -> Option<Ede> {
    if decision.zone.is_none() {
        return Some(Ede::NO_ZONE);
    }
    match decision.steered.map(|answer| answer.variant.basis) {
        Some(Basis::FailOpen) => Some(Ede::ALL_DOWN),
        Some(Basis::FailClosed) => Some(Ede::CLOSED),
        Some(Basis::Panic) => Some(Ede::TOO_FEW),
        Some(Basis::ClosedFence) => Some(Ede::FENCED),
        Some(Basis::Fallback) => Some(Ede::FALLBACK),
        Some(Basis::DemotionIgnored) => Some(Ede::DOUBTED),
        _ => decision.cut_short.then_some(Ede::LOOSE_END),
    }
}

fn write_identity(set: &RrSet, mut reply: Reply<'_, '_>) -> Outcome<'static> {
    reply.answer(CLASS_CH, set);
    Outcome::of(Rcode::NoError, reply.finish(Rcode::NoError, true))
}
