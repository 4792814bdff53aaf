//! Static records: an owner, a type, and data as people write it.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::rdata::TypeNumber;

/// A static record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Record {
    /// Owner relative to the origin; `@` is the apex, `*` a wildcard.
    pub name: String,
    /// Type and data.
    pub data: RecordData,
    /// TTL in seconds; the zone's if absent.
    pub ttl: Option<u32>,
}

/// Type and data of a static record: `type = "A"`, `value = "192.0.2.1"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordData {
    /// IPv4 address.
    A(Ipv4Addr),
    /// IPv6 address.
    Aaaa(Ipv6Addr),
    /// Alias, absolute name.
    Cname(String),
    /// The addresses of another name of the World's zones, absolute name.
    Alias(String),
    /// Text; longer ones are cut into strings of 255 bytes.
    Txt(String),
    /// Any other type.
    Other {
        /// Its mnemonic, or `TYPE257`.
        rtype: String,
        /// Its data in presentation form, names absolute.
        value: String,
    },
}

impl RecordData {
    /// NS below the apex: the part of the zone from there on is another server's.
    pub(crate) const NS: TypeNumber = TypeNumber(2);
    /// An alias for everything below its name.
    pub(crate) const DNAME: TypeNumber = TypeNumber(39);

    fn read(rtype: &str, value: String) -> Result<Self, String> {
        let wrong = |what| format!("`{value}` is not {what}");
        Ok(match rtype {
            "A" => Self::A(value.parse().map_err(|_| wrong("an IPv4 address"))?),
            "AAAA" => Self::Aaaa(value.parse().map_err(|_| wrong("an IPv6 address"))?),
            "CNAME" => Self::Cname(value),
            "ALIAS" => Self::Alias(value),
            "TXT" => Self::Txt(value),
            _ => match TypeNumber::parse(rtype) {
                Ok(_) => Self::Other { rtype: rtype.to_owned(), value },
                Err(why) => return Err(format!("`{rtype}` is not a type of record: {why}")),
            },
        })
    }

    /// Its type as it is written.
    pub fn type_text(&self) -> &str {
        match self {
            Self::A(_) => "A",
            Self::Aaaa(_) => "AAAA",
            Self::Cname(_) => "CNAME",
            Self::Alias(_) => "ALIAS",
            Self::Txt(_) => "TXT",
            Self::Other { rtype, .. } => rtype,
        }
    }

    /// Its data as it is written.
    pub fn value_text(&self) -> String {
        match self {
            Self::A(ip) => ip.to_string(),
            Self::Aaaa(ip) => ip.to_string(),
            Self::Cname(text) | Self::Alias(text) | Self::Txt(text) | Self::Other { value: text, .. } => text.clone(),
        }
    }

    /// Its type's number; none if the type is not one, as ALIAS is none on the wire.
    pub fn number(&self) -> Option<TypeNumber> {
        TypeNumber::parse(self.type_text()).ok()
    }
}

/// A record as files and messages have it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    #[serde(rename = "type")]
    rtype: String,
    value: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl: Option<u32>,
}

impl TryFrom<Written> for Record {
    type Error = String;
    fn try_from(written: Written) -> Result<Self, String> {
        let Written { name, rtype, value, ttl } = written;
        Ok(Self { name, data: RecordData::read(&rtype, value)?, ttl })
    }
}

impl From<Record> for Written {
    fn from(record: Record) -> Self {
        let (rtype, value) = (record.data.type_text().to_owned(), record.data.value_text());
        Self { name: record.name, rtype, value, ttl: record.ttl }
    }
}
