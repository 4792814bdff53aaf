//! Record types, response codes, and record sets in wire form.

use std::{fmt, str::FromStr};

use crate::service::Hinted;

/// The number of a record type (or query type). Displayed as its mnemonic, or `TYPE257`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rtype(pub u16);

#[allow(missing_docs)] // the names say it
impl Rtype {
    pub const A: Self = Self(1);
    pub const NS: Self = Self(2);
    pub const CNAME: Self = Self(5);
    pub const SOA: Self = Self(6);
    pub const HINFO: Self = Self(13);
    pub const TXT: Self = Self(16);
    pub const AAAA: Self = Self(28);
    pub const DNAME: Self = Self(39);
    pub const OPT: Self = Self(41);
    pub const DS: Self = Self(43);
    pub const SVCB: Self = Self(64);
    pub const HTTPS: Self = Self(65);
    pub const TKEY: Self = Self(249);
    pub const TSIG: Self = Self(250);
    pub const IXFR: Self = Self(251);
    pub const AXFR: Self = Self(252);
    pub const MAILB: Self = Self(253);
    pub const MAILA: Self = Self(254);
    pub const ANY: Self = Self(255);
}

const MNEMONICS: &[(&str, Rtype)] = &[
    ("A", Rtype::A),
    ("NS", Rtype::NS),
    ("CNAME", Rtype::CNAME),
    ("SOA", Rtype::SOA),
    ("HINFO", Rtype::HINFO),
    ("TXT", Rtype::TXT),
    ("AAAA", Rtype::AAAA),
    ("PTR", Rtype(12)),
    ("MX", Rtype(15)),
    ("SRV", Rtype(33)),
    ("NAPTR", Rtype(35)),
    ("DNAME", Rtype::DNAME),
    ("DS", Rtype::DS),
    ("SSHFP", Rtype(44)),
    ("TLSA", Rtype(52)),
    ("SVCB", Rtype::SVCB),
    ("HTTPS", Rtype::HTTPS),
    ("CAA", Rtype(257)),
    ("IXFR", Rtype::IXFR),
    ("AXFR", Rtype::AXFR),
    ("ANY", Rtype::ANY),
];

impl fmt::Display for Rtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match MNEMONICS.iter().find(|m| m.1 == *self) {
            Some((text, _)) => f.pad(text),
            None => write!(f, "TYPE{}", self.0),
        }
    }
}

impl FromStr for Rtype {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let upper = text.to_ascii_uppercase();
        let known = MNEMONICS.iter().find(|m| m.0 == upper).map(|m| m.1);
        known
            .or_else(|| upper.strip_prefix("TYPE")?.parse().ok().map(Self))
            .ok_or_else(|| format!("`{text}` is no record type; write A, AAAA, TXT, … or TYPE257"))
    }
}

/// What the answer says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rcode {
    /// Here it is, or there is nothing of that type.
    NoError,
    /// The packet makes no sense.
    FormErr,
    /// There is no such name.
    NxDomain,
    /// Not an operation of this server.
    NotImp,
    /// A DNAME makes the name longer than names can be.
    YxDomain,
    /// Not a zone of this server.
    Refused,
    /// Signed with a key that this server does not hold.
    NotAuth,
    /// A later version of EDNS than this server speaks.
    BadVers,
}

impl Rcode {
    /// All of them, for tables of counters.
    pub const ALL: [Self; 8] = [
        Self::NoError,
        Self::FormErr,
        Self::NxDomain,
        Self::NotImp,
        Self::YxDomain,
        Self::Refused,
        Self::NotAuth,
        Self::BadVers,
    ];

    /// Its place in [`Self::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// Its number; more than 4 bits where EDNS carries the rest.
    pub fn number(self) -> u16 {
        match self {
            Self::NoError => 0,
            Self::FormErr => 1,
            Self::NxDomain => 3,
            Self::NotImp => 4,
            Self::Refused => 5,
            Self::YxDomain => 6,
            Self::NotAuth => 9,
            Self::BadVers => 16,
        }
    }

    /// Its mnemonic, as `dig` prints it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoError => "NOERROR",
            Self::FormErr => "FORMERR",
            Self::NxDomain => "NXDOMAIN",
            Self::NotImp => "NOTIMP",
            Self::Refused => "REFUSED",
            Self::YxDomain => "YXDOMAIN",
            Self::NotAuth => "NOTAUTH",
            Self::BadVers => "BADVERS",
        }
    }
}

impl fmt::Display for Rcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Records of one owner and type; the owner is known from where the set hangs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RrSet {
    pub(crate) rtype: Rtype,
    /// Seconds.
    pub(crate) ttl: u32,
    /// Data of each record as it goes onto the wire, names uncompressed.
    pub(crate) rdata: Vec<Box<[u8]>>,
}

/// Records of one owner and type, for one client.
#[derive(Clone, Copy)]
pub(crate) enum Records<'v> {
    /// As they lie in the View.
    Set(&'v RrSet),
    /// One that is put together from what lies there.
    Service(Hinted<'v>),
}

impl Records<'_> {
    /// Seconds.
    pub(crate) fn ttl(&self) -> u32 {
        match self {
            Self::Set(set) => set.ttl,
            Self::Service(hinted) => hinted.ttl,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Set(set) if set.rdata.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn response_codes_stand_where_they_say() {
        for (i, rcode) in Rcode::ALL.into_iter().enumerate() {
            assert_eq!(rcode.index(), i, "{rcode}");
        }
    }
}
