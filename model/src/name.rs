//! Names that travel everywhere: a region's name and the subject of a vote.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The name of a region: 1 to 32 characters, `a-z`, `0-9` and `-`, beginning with a letter, not ending in `-`.
///
/// It is a DNS label, so that it can stand in certificates, metrics and host names as it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RegionName(String);

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}: {why}")]
pub struct NameError {
    /// What it was meant to name.
    pub what: &'static str,
    /// The text as given.
    pub text: String,
    /// Which rule it breaks.
    pub why: &'static str,
}

impl RegionName {
    /// Parses a name, or says which rule it breaks.
    pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
        let text = text.into();
        let why = if text.is_empty() || text.len() > 32 {
            Some("it must have 1 to 32 characters")
        } else if !text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            Some("only a-z, 0-9 and `-` are allowed")
        } else if !text.as_bytes()[0].is_ascii_lowercase() || text.ends_with('-') {
            Some("it must begin with a letter and not end in `-`")
        } else {
            None
        };
        match why {
            None => Ok(Self(text)),
            Some(why) => Err(NameError { what: "region name", text, why }),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RegionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for RegionName {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl TryFrom<String> for RegionName {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl From<RegionName> for String {
    fn from(name: RegionName) -> Self {
        name.0
    }
}

impl std::borrow::Borrow<str> for RegionName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// What votes and verdicts speak about. Written `region/eu-west`, or `pool/web/eu-west` for one member of one pool.
///
/// A region is judged at its gateway by the region's own check: when it dies, one decision takes it out of every pool. A member is
/// judged by its pool's check on top of that: what is broken in one region for one pool leaves that pool alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Subject {
    /// A region, judged at its gateway.
    Region(RegionName),
    /// A region as a member of a pool.
    Member {
        /// The pool, whose name obeys the rule of region names.
        pool: RegionName,
        /// The member.
        region: RegionName,
    },
}

impl Subject {
    /// The region the subject lies in.
    pub fn region(&self) -> &RegionName {
        match self {
            Self::Region(region) | Self::Member { region, .. } => region,
        }
    }

    /// The pool, if it is one pool's member.
    pub fn pool(&self) -> Option<&str> {
        match self {
            Self::Region(_) => None,
            Self::Member { pool, .. } => Some(pool.as_str()),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Region(name) => write!(f, "region/{name}"),
            Self::Member { pool, region } => write!(f, "pool/{pool}/{region}"),
        }
    }
}

impl TryFrom<String> for Subject {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        let parts: Vec<&str> = text.split('/').collect();
        match parts[..] {
            ["region", name] => Ok(Self::Region(RegionName::new(name)?)),
            ["pool", pool, region] => {
                let pool = RegionName::new(pool).map_err(|error| NameError { what: "pool name", ..error })?;
                Ok(Self::Member { pool, region: RegionName::new(region)? })
            }
            _ => Err(NameError { what: "subject", text, why: "it is written `region/NAME` or `pool/NAME/REGION`" }),
        }
    }
}

impl FromStr for Subject {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::try_from(text.to_owned())
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        subject.to_string()
    }
}
