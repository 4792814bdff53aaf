//! Who is who in a world: its certificate authority, the identities that it issues, and bearer tokens.
//!
//! ```text
//! WorldCa (ca.pem, ca.key) ── issue(principal, ips) ──→ NAME.pem, NAME.key
//!                                                          │
//! ca.pem ──────────────────────────────────────────→ Identity ──→ rustls server and client configurations
//!                                                                     │ after the handshake
//!                                        peer_principal(chain) ←──────┘ whom we speak to
//! AdminToken (text in a 0600 file)  ── hash() ──→ TokenHash, all that a server keeps
//! ```
//!
//! Names, not addresses, say who somebody is: a region's processes carry `REGION.region.atoll`, a person's certificate
//! carries `NAME.admin.atoll`. Whoever dials a region expects that name, whatever address leads there.
//!
//! TLS 1.3 only, with the ring provider passed explicitly, so that no process-wide default is needed. Private keys and
//! tokens are files with mode 0600, written whole or not at all.

mod ca;
mod error;
mod files;
mod fingerprint;
mod identity;
mod principal;
mod token;

pub use ca::{IssuedFiles, WorldCa};
pub use error::PkiError;
pub use fingerprint::fingerprint;
pub use identity::{ClientAuth, Identity, ca_client_config};
pub use principal::{Principal, peer_principal, region_server_name};
pub use token::{AdminToken, TokenHash};

#[cfg(test)]
mod tests;
