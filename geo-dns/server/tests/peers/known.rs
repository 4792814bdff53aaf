//! The differences that are known and meant: `docs/dns.md` lists each with the RFC that decides and our reason.

use hickory_proto::rr::RecordType;

use crate::{
    ask::{Ask, Line, Reply},
    peer::Maker::{self, Bind, Knot, Nsd, PowerDns},
};

/// As the codec calls it.
const NO_ERROR: &str = "No Error";

/// A difference: takes out of both answers what it explains.
pub(crate) struct Known {
    /// Its name in the table of the docs.
    pub(crate) name: &'static str,
    /// Who differs from us in it.
    pub(crate) peers: &'static [Maker],
    pub(crate) settle: fn(&Case<'_>, ours: &mut Reply, theirs: &mut Reply),
}

/// What was asked, and of which zones everybody knows.
pub(crate) struct Case<'c> {
    pub(crate) ask: &'c Ask,
    pub(crate) origins: &'c [String],
}

impl Case<'_> {
    /// The innermost zone that a name lies in.
    fn zone_of(&self, name: &str) -> Option<&str> {
        let bare = name.trim_end_matches('.');
        let within = |origin: &&String| {
            bare.strip_suffix(origin.as_str()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        self.origins.iter().filter(within).max_by_key(|origin| origin.len()).map(String::as_str)
    }
}

pub(crate) const KNOWN: &[Known] = &[
    Known { name: "ANY", peers: &Maker::ALL, settle: any },
    Known { name: "aliases into another zone", peers: &[Bind, Knot, Nsd], settle: across },
    Known { name: "aliases in a circle", peers: &Maker::ALL, settle: circle },
    Known { name: "the zone's NS beside an answer", peers: &[Nsd], settle: servers_beside },
    Known { name: "additional data", peers: &Maker::ALL, settle: additional },
    Known { name: "addresses beside a referral", peers: &[Bind], settle: referral },
    Known { name: "a wildcard's address beside a referral", peers: &[Knot, Nsd], settle: made_address },
    Known { name: "any byte in a name", peers: &[PowerDns], settle: any_byte },
    Known { name: "CNAME that a wildcard or DNAME makes", peers: &[PowerDns], settle: made_cname },
];

fn any(case: &Case<'_>, ours: &mut Reply, theirs: &mut Reply) {
    if case.ask.rtype == RecordType::ANY {
        *theirs = ours.clone();
    }
}

/// They end where the alias leaves the zone.
fn across(case: &Case<'_>, ours: &mut Reply, theirs: &mut Reply) {
    let leads_across = theirs.answer.iter().any(|line| {
        let to = (line.rtype == RecordType::CNAME).then(|| case.zone_of(&line.data)).flatten();
        to.is_some_and(|to| case.zone_of(&line.owner) != Some(to))
    });
    if leads_across && theirs.rcode == NO_ERROR && theirs.answer.is_subset(&ours.answer) {
        *theirs = ours.clone();
    }
}

/// We end before an alias that was used already, or after eight; they elsewhere, or they fail.
fn circle(case: &Case<'_>, ours: &mut Reply, theirs: &mut Reply) {
    let aliases_only =
        |reply: &Reply| reply.answer.iter().all(|line| matches!(line.rtype, RecordType::CNAME | RecordType::DNAME));
    let has_owner = |name: &str| ours.answer.iter().any(|line| line.owner == name);
    let mut targets = ours.answer.iter().filter(|line| line.rtype == RecordType::CNAME).map(|line| &line.data);
    // Our answer leads to a name of our zones, of which it says nothing, or back to one of its own.
    let leads_on = targets.clone().any(|target| case.zone_of(target).is_some() && !has_owner(target));
    let leads_back = targets.all(|target| has_owner(target));
    let is_cut_short =
        ours.rcode == NO_ERROR && ours.authority.is_empty() && !ours.answer.is_empty() && aliases_only(ours);
    let is_part = ours.answer.is_subset(&theirs.answer) || theirs.answer.is_subset(&ours.answer);
    let is_end = is_part || theirs.rcode == "Server Failure";
    if case.ask.rtype != RecordType::CNAME && is_cut_short && (leads_on || leads_back) && aliases_only(theirs) && is_end
    {
        *theirs = ours.clone();
    }
}

/// To an answer by way of an alias or a wildcard they add which servers the zone has.
fn servers_beside(case: &Case<'_>, ours: &mut Reply, theirs: &mut Reply) {
    let of_the_zone = |line: &Line| {
        line.rtype == RecordType::NS && case.origins.contains(&line.owner.trim_end_matches('.').to_owned())
    };
    if ours.authoritative && !ours.answer.is_empty() && ours.authority.is_empty() {
        theirs.authority.retain(|line| !of_the_zone(line));
    }
}

/// They add addresses of those whom an answer names.
fn additional(_: &Case<'_>, ours: &mut Reply, theirs: &mut Reply) {
    if ours.authoritative && ours.additional.is_empty() {
        theirs.additional.retain(|line| !matches!(line.rtype, RecordType::A | RecordType::AAAA));
    }
}

fn is_referral(case: &Case<'_>, reply: &Reply) -> bool {
    let is_zone = |name: &str| case.origins.iter().any(|origin| name.trim_end_matches('.') == origin);
    let is_cut = |line: &Line| line.rtype == RecordType::NS && !is_zone(&line.owner);
    !reply.authority.is_empty() && reply.authority.iter().all(is_cut)
}

/// They tell addresses that a wildcard makes for a server.
fn made_address(case: &Case<'_>, ours: &mut Reply, theirs: &mut Reply) {
    let is_server = |line: &Line| ours.authority.iter().any(|server| server.data == line.owner);
    let is_address = |line: &Line| matches!(line.rtype, RecordType::A | RecordType::AAAA);
    if is_referral(case, ours) && ours.additional.is_subset(&theirs.additional) {
        theirs.additional.retain(|line| ours.additional.contains(line) || !(is_server(line) && is_address(line)));
    }
}

/// They leave out addresses that are the zone's own, not glue.
fn referral(case: &Case<'_>, ours: &mut Reply, theirs: &mut Reply) {
    if is_referral(case, ours) && theirs.additional.is_subset(&ours.additional) {
        ours.additional = theirs.additional.clone();
    }
}

/// They fail at names with bytes beyond ASCII or 0.
fn any_byte(case: &Case<'_>, ours: &mut Reply, theirs: &mut Reply) {
    let wire = model::name_wire(&case.ask.name).unwrap_or_default();
    let text = wire.iter().filter(|byte| !matches!(byte, 1..=63));
    let is_odd = text.clone().any(|byte| *byte >= 128) || text.filter(|byte| **byte == 0).count() > 1;
    if is_odd && theirs.rcode == "Server Failure" {
        *theirs = ours.clone();
    }
}

/// Asked for CNAME, they follow the one that a wildcard or a DNAME makes.
fn made_cname(case: &Case<'_>, ours: &mut Reply, theirs: &mut Reply) {
    let is_made = ours.answer.iter().any(|line| line.rtype == RecordType::CNAME && line.owner == case.ask.name);
    let goes_on = ours.answer.is_subset(&theirs.answer) || theirs.rcode == "Server Failure";
    if case.ask.rtype == RecordType::CNAME && is_made && ours.rcode == NO_ERROR && goes_on {
        *theirs = ours.clone();
    }
}
