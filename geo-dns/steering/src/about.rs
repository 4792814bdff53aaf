//! What a server is asked of itself in class CH: its version, who it is, how old its Plan may be, and why an answer is what
//! it is.
//!
//! ```text
//! dig @server CH TXT www.shop.test.explain.atoll                 why a client at this address gets the A records it gets
//! dig @server CH TXT _aaaa.www.shop.test.explain.atoll           the same for another type
//! dig @server CH TXT www.shop.test.explain.atoll +subnet=NET     the same for a client in that network
//! ```
//!
//! Explanations allocate and are long, so that they are given to those alone whom the server lists.

use std::borrow::Cow;

use crate::{
    answer::Asker,
    decide::Client,
    explain::explain,
    name::{self, suffixes},
    rr::{RrSet, Rtype},
    view::{View, text_set, texts_set},
    wire::Ede,
};

/// The end of names that ask for an explanation.
const EXPLAIN: &[u8] = b"\x07explain\x05atoll\0";

/// What there is to say of that name; else why not, if that is more than "no such thing here".
pub(crate) fn about_itself<'v>(
    view: &'v View,
    name: &[u8],
    asker: &Asker<'_>,
    client: Client,
) -> Result<Cow<'v, RrSet>, Option<Ede>> {
    match name {
        b"\x07version\x04bind\0" | b"\x07version\x06server\0" => Ok(Cow::Borrowed(&view.identity.version)),
        b"\x02id\x06server\0" | b"\x08hostname\x04bind\0" => Ok(Cow::Borrowed(&view.identity.region)),
        b"\x04plan\x05atoll\0" => Ok(Cow::Owned(view.freshness((asker.heard)()))),
        _ => match suffixes(name).any(|suffix| suffix == EXPLAIN) {
            true if (asker.trusted)(asker.client) => Ok(Cow::Owned(explained(view, name, client))),
            true => Err(Some(Ede::NOT_FOR_YOU)),
            false => Err(None),
        },
    }
}

/// The explanation as one record: a string for each line.
fn explained(view: &View, name: &[u8], client: Client) -> RrSet {
    let (wanted, rtype) = asked_about(name);
    match explain(view, &name::display(&wanted), client.place, rtype) {
        Ok(told) => texts_set(&told.lines()),
        Err(error) => text_set(&error.to_string()),
    }
}

/// The name without the end, and the type that a first label such as `_aaaa` names; else A.
fn asked_about(name: &[u8]) -> (Vec<u8>, Rtype) {
    let mut wanted = name.strip_suffix(EXPLAIN).unwrap_or_default();
    let label = wanted.first().and_then(|length| wanted.get(1..=usize::from(*length))).unwrap_or_default();
    let rtype = label.strip_prefix(b"_").and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
    if rtype.is_some() {
        wanted = wanted.get(1 + label.len()..).unwrap_or_default();
    }
    ([wanted, &[0]].concat(), rtype.unwrap_or(Rtype::A))
}
