//! What tells one world from every other, for ever: the hash of its authority's certificate.

use std::path::Path;

use ring::digest;

use crate::{PkiError, files};

/// SHA-256 of an authority's certificate file, hexadecimal. Two worlds of the same name still differ in it.
pub fn fingerprint(ca: &Path) -> Result<String, PkiError> {
    let hash = digest::digest(&digest::SHA256, &files::read(ca)?);
    Ok(hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}
