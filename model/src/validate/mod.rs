//! Whether a world makes sense: everything that types cannot say. All faults at once, each at its key.
//!
//! `regions.rs` looks at regions, `checks.rs` at checks, `pools.rs` at pools; `policies.rs` at policies and prefix lists; `zones.rs` at zones and their names, `service.rs` at HTTPS and SVCB records that are steered, `cuts.rs` at
//! delegations and DNAMEs, `overlap.rs` at zones inside of zones, `aliases.rs` at names whose addresses are another name's; `automation.rs` at limits and rules; `state.rs` at the state's policy. `dns_name.rs` knows what a name is.
//! Which numbers are allowed is said in `limits.rs` alone.

mod aliases;
mod automation;
mod checks;
mod cuts;
mod dns_name;
mod overlap;
mod policies;
mod pools;
mod regions;
mod service;
mod state;
#[cfg(test)]
mod tests;
mod zones;

pub(crate) use policies::network;

use crate::{
    World, Zone,
    errors::{KeyPath, WorldError, WorldErrors},
    limits::{self, Limits},
};

/// The most of each thing in one world. Far beyond any use, and small enough that a Plan stays a small message.
impl World {
    /// Regions.
    pub const REGIONS_MAX: usize = 64;
    /// Pools, and checks.
    pub const POOLS_MAX: usize = 256;
    /// Policies.
    pub const POLICIES_MAX: usize = 256;
    /// How many pools a policy leads through: its own, and those that it falls back to.
    pub const FALLBACKS_MAX: usize = 4;
    /// Prefix lists.
    pub const PREFIX_LISTS_MAX: usize = 64;
    /// Zones.
    pub const ZONES_MAX: usize = 256;
    /// Static records and steered names of one zone, each.
    pub const NAMES_MAX: usize = 10_000;
    /// Size of a world as text, all its files together, bytes: 10 000 steered names with everything said take 1.5 MB.
    pub const TEXT_MAX: usize = 4 << 20;
    /// Size of a world as JSON, bytes: what is left out in a text is written out there.
    pub const JSON_MAX: usize = 6 << 20;

    /// Checks everything that types cannot say, and names every fault.
    pub fn validate(&self) -> Result<(), WorldErrors> {
        let mut faults = Faults::default();
        let root = KeyPath::root();
        if !is_title(&self.name) {
            faults.add(root.key("name"), "a world's name has 1 to 64 characters and no line breaks");
        }
        regions::check(self, &mut faults);
        checks::check(self, &mut faults);
        pools::check(self, &mut faults);
        policies::check(self, &mut faults);
        faults.size(&root.key("zone"), "zones", self.zones.len(), 0..=Self::ZONES_MAX as u64);
        for (i, zone) in self.zones.iter().enumerate() {
            zones::check(self, zone, &root.key("zone").at(i), &mut faults);
        }
        aliases::check(self, &mut faults);
        overlap::check(&self.zones, &root.key("zone"), &mut faults);
        state::check(&self.state, &mut faults);
        automation::check(self, &mut faults);
        if faults.0.is_empty() {
            Ok(())
        } else {
            Err(WorldErrors { file: String::new(), files: Vec::new(), errors: faults.0 })
        }
    }
}

impl Zone {
    /// What is wrong with the zone, as far as that can be said without the World around it; keys are the zone's.
    pub(crate) fn faults(&self) -> Vec<WorldError> {
        let mut faults = Faults::default();
        zones::check(&World::of("", Vec::new()), self, &KeyPath::root(), &mut faults);
        faults.0
    }
}

/// Whether a text can stand as a name for people: one line, not empty, not long.
fn is_title(text: &str) -> bool {
    limits::TITLE_CHARS.contains(&(text.trim().chars().count() as u64)) && !text.chars().any(char::is_control)
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

    fn size(&mut self, path: &KeyPath, what: &str, have: usize, range: Limits) {
        if !range.contains(&(have as u64)) {
            let (least, most) = (range.start(), range.end());
            self.add(path.clone(), format!("a world has {least} to {most} {what}, not {have}"));
        }
    }

    fn range(&mut self, path: KeyPath, what: &str, have: u64, range: Limits) {
        if !range.contains(&have) {
            self.add(path, format!("{what} must be {} to {}, not {have}", range.start(), range.end()));
        }
    }
}
