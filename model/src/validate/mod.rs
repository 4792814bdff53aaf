//! Whether a world makes sense: everything that types cannot say. All faults at once, each at its key.
//!
//! `regions.rs` looks at regions, checks and pools; `zones.rs` at zones and their names; `state.rs` at the state's policy; `dns_name.rs` knows what a name is.

mod dns_name;
mod regions;
mod state;
mod zones;

use std::{collections::BTreeMap, ops::RangeInclusive};

use crate::{
    World,
    errors::{KeyPath, WorldError, WorldErrors},
};

/// The most of each thing in one world. Far beyond any use, and small enough that a Plan stays a small message.
impl World {
    /// Regions.
    pub const REGIONS_MAX: usize = 64;
    /// Pools, and checks.
    pub const POOLS_MAX: usize = 256;
    /// Zones.
    pub const ZONES_MAX: usize = 256;
    /// Static records and steered names of one zone, each.
    pub const NAMES_MAX: usize = 10_000;
    /// Size of a world file, bytes.
    pub const TEXT_MAX: usize = 1 << 20;
    /// Seconds: the longest TTL of a steered name.
    pub const STEERED_TTL_MAX: u32 = 86_400;
    /// Seconds: the longest TTL of a static record.
    pub const STATIC_TTL_MAX: u32 = 604_800;

    /// Checks everything that types cannot say, and names every fault.
    pub fn validate(&self) -> Result<(), WorldErrors> {
        let mut faults = Faults::default();
        let root = KeyPath::root();
        let shown = self.name.trim().chars().count();
        if shown == 0 || shown > 64 || self.name.chars().any(char::is_control) {
            faults.add(root.key("name"), "a world's name has 1 to 64 characters and no line breaks");
        }
        regions::check(self, &mut faults);
        faults.size(&root.key("zone"), "zones", self.zones.len(), 0..=Self::ZONES_MAX);
        let mut origins = BTreeMap::new();
        for (i, zone) in self.zones.iter().enumerate() {
            let path = root.key("zone").at(i);
            if let Some(first) = origins.insert(zone.origin.as_str(), i) {
                faults.add(path.key("origin"), format!("`{}` is zone[{first}]'s origin already", zone.origin));
            }
            zones::check(self, zone, &path, &mut faults);
        }
        state::check(&self.state, &mut faults);
        if faults.0.is_empty() { Ok(()) } else { Err(WorldErrors { file: String::new(), errors: faults.0 }) }
    }
}

/// What was found so far.
#[derive(Default)]
struct Faults(Vec<WorldError>);

impl Faults {
    fn add(&mut self, path: KeyPath, what: impl Into<String>) {
        self.0.push(WorldError::new(path, what));
    }

    fn add_with(&mut self, path: KeyPath, what: impl Into<String>, hint: impl Into<Option<String>>) {
        self.0.push(WorldError::new(path, what).maybe_hint(hint.into()));
    }

    fn size(&mut self, path: &KeyPath, what: &str, have: usize, range: RangeInclusive<usize>) {
        if !range.contains(&have) {
            let (least, most) = (range.start(), range.end());
            self.add(path.clone(), format!("a world has {least} to {most} {what}, not {have}"));
        }
    }

    fn range(&mut self, path: KeyPath, what: &str, have: u64, range: RangeInclusive<u64>) {
        if !range.contains(&have) {
            self.add(path, format!("{what} must be {} to {}, not {have}", range.start(), range.end()));
        }
    }
}
