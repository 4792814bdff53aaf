//! Where a member of the plane is reached, and which name it must prove.

use std::{fmt, net::SocketAddr, str::FromStr};

use model::RegionName;
use rustls::pki_types::ServerName;

/// An address of the admin API, and the region that is expected there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The region whose certificate is demanded, whatever address is dialled. Without it the certificate must carry the address.
    pub name: Option<RegionName>,
    /// The address to dial.
    pub addr: SocketAddr,
}

impl Endpoint {
    /// A region at an address.
    pub fn region(name: RegionName, addr: SocketAddr) -> Self {
        Self { name: Some(name), addr }
    }

    pub(crate) fn server_name(&self) -> ServerName<'static> {
        match &self.name {
            Some(name) => pki::region_server_name(name.as_str()),
            None => ServerName::IpAddress(self.addr.ip().into()),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} ({})", self.addr),
            None => write!(f, "{}", self.addr),
        }
    }
}

/// `127.0.1.1:9700`, `https://127.0.1.1:9700` or `eu-west=127.0.1.1:9700`.
impl FromStr for Endpoint {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, rest) = match text.split_once('=') {
            Some((name, rest)) => (Some(name.parse().map_err(|e| format!("{e}"))?), rest),
            None => (None, text),
        };
        let addr = rest.strip_prefix("https://").unwrap_or(rest).trim_end_matches('/');
        let addr = addr.parse().map_err(|_| {
            format!("`{text}` is not an endpoint: write ADDRESS:PORT, https://ADDRESS:PORT or REGION=ADDRESS:PORT")
        })?;
        Ok(Self { name, addr })
    }
}
