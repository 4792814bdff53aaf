//! What can go wrong with keys and certificates. Every message names the file and what to do.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Why an authority, an identity or a token cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file or directory could not be read or written.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried: `read`, `write`, `create`.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file is there but is not what its name says.
    #[error("{} is not usable: {why}; put back the file that belongs there", path.display())]
    Broken {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// An authority is already there.
    #[error("{} is already there; open that authority, or choose another directory", path.display())]
    AlreadyThere {
        /// Its certificate.
        path: PathBuf,
    },
    /// The authority belongs to another world.
    #[error("{} is the authority of world `{found}`, not of `{wanted}`; choose the data directory of `{wanted}`", path.display())]
    OtherWorld {
        /// Its certificate.
        path: PathBuf,
        /// The world it was made for.
        found: String,
        /// The world that was asked for.
        wanted: String,
    },
    /// A certificate was not issued by the authority, or is out of date.
    #[error("{} is not a valid certificate of {}: {why}; issue it anew from that authority", cert.display(), ca.display())]
    NotIssued {
        /// The certificate.
        cert: PathBuf,
        /// The authority's certificate.
        ca: PathBuf,
        /// What the verifier said.
        why: String,
    },
    /// A name cannot stand in a certificate.
    #[error("`{name}` cannot be the name of a {what}: {why}")]
    BadName {
        /// What was to be named.
        what: &'static str,
        /// The name.
        name: String,
        /// Which rule it breaks.
        why: &'static str,
    },
    /// The cryptographic library refused.
    #[error("cannot {what}: {why}")]
    Crypto {
        /// What was tried.
        what: &'static str,
        /// What the library said.
        why: String,
    },
}

impl PkiError {
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { what, path: path.to_owned(), source }
    }

    pub(crate) fn broken(path: &Path, why: &(impl ToString + ?Sized)) -> Self {
        Self::Broken { path: path.to_owned(), why: why.to_string() }
    }

    pub(crate) fn crypto<E: ToString>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |why| Self::Crypto { what, why: why.to_string() }
    }
}
