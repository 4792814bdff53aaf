//! What a DNS name is, in the three forms that a world uses: an origin, an owner inside it, an absolute name.
//! How each byte of it is written, `labels.rs` says.

use crate::labels::{self, LABEL_MAX, WIRE_MAX};

/// Most bytes of a name, its dots counted and its last one not: 255 on the wire.
const NAME_MAX: usize = WIRE_MAX - 2;

/// Why a text is not a host or domain name; none if it is one. No last dot expected.
pub(crate) fn fault_of_name(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("a name is needed".into());
    }
    let long = length(name);
    if long > NAME_MAX {
        return Some(format!("a name has at most {NAME_MAX} characters, this has {long}"));
    }
    name.split('.').find_map(fault_of_label)
}

/// Bytes of a name, an escape being one.
fn length(name: &str) -> usize {
    name.len() - 3 * name.bytes().filter(|b| *b == b'\\').count().min(name.len() / 4)
}

fn fault_of_label(label: &str) -> Option<String> {
    if label.is_empty() {
        return Some("two dots stand side by side, or one at an end".into());
    }
    if length(label) > LABEL_MAX {
        return Some(format!("`{label}` is longer than 63 characters"));
    }
    if label.bytes().any(|b| b.is_ascii_uppercase()) {
        return Some(format!("`{label}` must be written in lower case"));
    }
    if label.contains('\\') {
        return fault_of_escapes(label);
    }
    if !label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_') {
        return Some(format!("`{label}` may hold only a-z, 0-9, `-` and `_`; write other alphabets as `xn--…`"));
    }
    (label.starts_with('-') || label.ends_with('-')).then(|| format!("`{label}` must not begin or end with `-`"))
}

/// Escapes stand for what cannot be said plainly, and for nothing else: equal names are equal texts.
fn fault_of_escapes(label: &str) -> Option<String> {
    let mut right = String::new();
    let read = labels::labels(label, |label| {
        labels::write_label(label, &mut right);
        Ok(())
    });
    match read {
        Err(why) => Some(format!("`{label}`: {why}")),
        Ok(_) => (right != label).then(|| format!("`{label}` must be written `{right}`")),
    }
}

/// Why a text is not an owner relative to `origin`, and what was probably meant; none if it is one.
pub(crate) fn fault_of_owner(owner: &str, origin: &str) -> Option<(String, Option<String>)> {
    if owner == "@" || owner == "*" {
        return None;
    }
    let bare = owner.trim_end_matches('.');
    if bare == origin {
        return Some((format!("`{owner}` is the zone itself"), Some("write `@`".into())));
    }
    if let Some(inner) = bare.strip_suffix(origin).and_then(|rest| rest.strip_suffix('.')) {
        let hint = format!("write `{inner}`: `.{origin}` is added");
        return Some((format!("`{owner}` must be relative to its zone"), Some(hint)));
    }
    let rest = owner.strip_prefix("*.").unwrap_or(owner);
    if rest.contains('*') {
        let hint = "write `\\042` for an asterisk that is no wildcard".to_owned();
        return Some((format!("`{owner}`: `*` stands only at the very front"), Some(hint)));
    }
    if let Some(fault) = fault_of_name(rest) {
        return Some((format!("`{owner}` is not a name inside a zone: {fault}"), None));
    }
    let long = length(owner) + 1 + length(origin) > NAME_MAX;
    long.then(|| (format!("`{owner}.{origin}` is longer than {NAME_MAX} characters"), None))
}

/// Why a text is not an absolute name; none if it is one. A last dot is welcome and not needed.
pub(crate) fn fault_of_absolute(name: &str, origin: &str) -> Option<(String, Option<String>)> {
    let bare = name.strip_suffix('.').unwrap_or(name);
    if let Some(fault) = fault_of_name(bare) {
        return Some((format!("`{name}` is not a name: {fault}"), None));
    }
    let relative = !bare.contains('.') && !name.ends_with('.');
    relative.then(|| (format!("`{name}` must be written in full"), Some(format!("did you mean `{name}.{origin}`?"))))
}

/// The owner, relative to `origin`, of an absolute name inside it; none if it lies elsewhere.
pub(crate) fn owner_within<'n>(name: &'n str, origin: &str) -> Option<&'n str> {
    let bare = name.strip_suffix('.').unwrap_or(name);
    if bare == origin { Some("@") } else { bare.strip_suffix(origin)?.strip_suffix('.') }
}
