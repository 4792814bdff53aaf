//! Whether what the World says about state makes sense.

use std::collections::BTreeMap;

use super::Faults;
use crate::{StatePolicy, World, errors::KeyPath, limits};

impl World {
    /// Key prefixes with a policy of their own.
    pub const PREFIXES_MAX: usize = 256;
}

pub(super) fn check(state: &StatePolicy, faults: &mut Faults) {
    let root = KeyPath::root().key("state");
    faults.range(
        root.key("max_value_bytes"),
        "the limit of a value, in bytes,",
        state.max_value_bytes,
        limits::MAX_VALUE_BYTES,
    );
    faults.range(
        root.key("detach_after_s"),
        "the time to detachment, in seconds,",
        state.detach_after_s,
        limits::DETACH_AFTER_S,
    );
    let path = root.key("prefix");
    faults.size(&path, "key prefixes", state.prefixes.len(), 0..=World::PREFIXES_MAX as u64);
    let mut seen = BTreeMap::new();
    for (i, prefix) in state.prefixes.iter().enumerate() {
        let path = path.at(i).key("starts_with");
        let text = prefix.starts_with.as_str();
        if !limits::PREFIX_BYTES.contains(&(text.len() as u64)) {
            let most = limits::PREFIX_BYTES.end();
            faults.add(path.clone(), format!("a prefix has up to {most} bytes, not {}", text.len()));
        }
        if let Some(first) = seen.insert(text, i) {
            faults.add(path, format!("`{text}` has a policy already: prefix[{first}]"));
        }
    }
}
