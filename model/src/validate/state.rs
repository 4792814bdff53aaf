//! Whether what the World says about state makes sense.

use std::collections::BTreeMap;

use super::Faults;
use crate::{StatePolicy, World, errors::KeyPath};

impl World {
    /// Key prefixes with a policy of their own.
    pub const PREFIXES_MAX: usize = 256;
    /// Length of a prefix, bytes.
    pub const PREFIX_BYTES_MAX: usize = 256;
}

pub(super) fn check(state: &StatePolicy, faults: &mut Faults) {
    let root = KeyPath::root().key("state");
    faults.range(
        root.key("max_value_bytes"),
        "the limit of a value, in bytes,",
        state.max_value_bytes,
        1024..=32 << 20,
    );
    faults.range(
        root.key("detach_after_s"),
        "the time to detachment, in seconds,",
        state.detach_after_s,
        60..=30 * 86_400,
    );
    let path = root.key("prefix");
    faults.size(&path, "key prefixes", state.prefixes.len(), 0..=World::PREFIXES_MAX);
    let mut seen = BTreeMap::new();
    for (i, prefix) in state.prefixes.iter().enumerate() {
        let path = path.at(i).key("starts_with");
        let text = prefix.starts_with.as_str();
        if text.len() > World::PREFIX_BYTES_MAX {
            faults
                .add(path.clone(), format!("a prefix has up to {} bytes, not {}", World::PREFIX_BYTES_MAX, text.len()));
        }
        if let Some(first) = seen.insert(text, i) {
            faults.add(path, format!("`{text}` has a policy already: prefix[{first}]"));
        }
    }
}
