//! Principals: whom a certificate speaks for.

use std::{fmt, net::Ipv4Addr};

use rustls::pki_types::{CertificateDer, DnsName, ServerName};
use webpki::EndEntityCert;

use crate::PkiError;

const REGION_SUFFIX: &str = ".region.atoll";
const ADMIN_SUFFIX: &str = ".admin.atoll";

/// Whom a certificate speaks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Principal {
    /// The processes of a region.
    Region(String),
    /// A person or a tool that administers the world.
    Admin(String),
}

impl Principal {
    /// The DNS name in the certificate: `eu-west.region.atoll`, `ops.admin.atoll`.
    pub fn dns_name(&self) -> String {
        match self {
            Self::Region(name) => format!("{name}{REGION_SUFFIX}"),
            Self::Admin(name) => format!("{name}{ADMIN_SUFFIX}"),
        }
    }

    /// The reverse of [`Principal::dns_name`]; `None` for a name that is not of this scheme.
    pub fn from_dns_name(dns_name: &str) -> Option<Self> {
        let principal = match dns_name.strip_suffix(REGION_SUFFIX) {
            Some(name) => Self::Region(name.to_owned()),
            None => Self::Admin(dns_name.strip_suffix(ADMIN_SUFFIX)?.to_owned()),
        };
        principal.check().is_ok().then_some(principal)
    }

    /// The bare name.
    pub fn name(&self) -> &str {
        match self {
            Self::Region(name) | Self::Admin(name) => name,
        }
    }

    /// A name must be one DNS label, or it could claim to be something else: `x.region.atoll` is not an admin's name.
    pub(crate) fn check(&self) -> Result<(), PkiError> {
        let what = match self {
            Self::Region(_) => "region",
            Self::Admin(_) => "admin",
        };
        let name = self.name();
        let bad = |why| Err(PkiError::BadName { what, name: name.to_owned(), why });
        if name.is_empty() || name.len() > 63 {
            bad("it must have 1 to 63 characters")
        } else if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            bad("only a-z, 0-9 and `-` are allowed")
        } else if name.starts_with('-') || name.ends_with('-') {
            bad("it must not begin or end with `-`")
        } else {
            Ok(())
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Region(name) => write!(f, "region {name}"),
            Self::Admin(name) => write!(f, "admin {name}"),
        }
    }
}

/// Whom an already verified chain speaks for. `None` if there is no certificate, if its names are none of ours, or if it
/// claims to be two at once, which nothing that we issue does.
pub fn peer_principal(chain: &[CertificateDer<'_>]) -> Option<Principal> {
    let cert = EndEntityCert::try_from(chain.first()?).ok()?;
    let mut principals = cert.valid_dns_names().filter_map(Principal::from_dns_name);
    let principal = principals.next()?;
    principals.next().is_none().then_some(principal)
}

/// The TLS server name to expect of a region, whatever address is dialled.
///
/// A text that is no region's name yields the broadcast address, which no certificate carries: the handshake fails, as it should.
pub fn region_server_name(region: &str) -> ServerName<'static> {
    match DnsName::try_from(format!("{region}{REGION_SUFFIX}")) {
        Ok(name) => ServerName::DnsName(name),
        Err(_) => ServerName::IpAddress(Ipv4Addr::BROADCAST.into()),
    }
}
