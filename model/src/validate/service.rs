//! HTTPS and SVCB records of steered names (RFC 9460): everything but the hints, which steering says.

use super::Faults;
use crate::{Steered, TypeNumber, errors::KeyPath};

/// Parameters that steering says.
const HINTS: [(u16, &str); 2] = [(4, "ipv4hint"), (6, "ipv6hint")];

pub(super) fn check(steered: &Steered, path: &KeyPath, faults: &mut Faults) {
    let records = [("https", 65, &steered.https), ("svcb", 64, &steered.svcb)];
    for (key, number, value) in records {
        let Some(value) = value else { continue };
        if let Err((what, hint)) = fault_of(TypeNumber(number), value) {
            faults.add_with(path.key(key), what, hint.map(str::to_owned));
        }
    }
}

fn fault_of(number: TypeNumber, value: &str) -> Result<(), (String, Option<&'static str>)> {
    let wire = number.wire(value).map_err(|why| (format!("`{value}` is not such a record's data: {why}"), None))?;
    if wire.get(..2) == Some(&[0, 0]) {
        let what = "priority 0 makes an alias of it, which has no hints".to_owned();
        return Err((what, Some("write `1 .`, or a static record")));
    }
    if wire.get(2) != Some(&0) {
        let what = "hints are the addresses of the name itself, so that the target is `.`".to_owned();
        return Err((what, Some("write `1 .`, or a static record")));
    }
    let mut rest = wire.get(3..).unwrap_or_default();
    while let [a, b, c, d, more @ ..] = rest {
        let key = u16::from_be_bytes([*a, *b]);
        if let Some((_, name)) = HINTS.iter().find(|(hint, _)| *hint == key) {
            return Err((
                format!("`{name}` is said by steering: the addresses that the client would be told"),
                Some("drop it"),
            ));
        }
        rest = more.get(usize::from(u16::from_be_bytes([*c, *d]))..).unwrap_or_default();
    }
    Ok(())
}
