//! The differences that are known and meant: `docs/dns.md` lists each with the RFC that decides and our reason.

use crate::{
    ask::{Ask, Reply},
    peer::Maker,
};

/// A difference: takes out of both answers what it explains.
pub(crate) struct Known {
    /// Its first words in the table of the docs.
    pub(crate) name: &'static str,
    /// Who differs from us in it.
    pub(crate) peers: &'static [Maker],
    pub(crate) settle: fn(&Ask, ours: &mut Reply, theirs: &mut Reply),
}

pub(crate) const KNOWN: &[Known] = &[];
