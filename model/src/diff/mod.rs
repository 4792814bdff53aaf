//! What changes from one World to another, in words that an operator can agree to.
//!
//! ```text
//! two Worlds ─┬─ things.rs   regions, checks, pools, zones, rules: what comes, what goes, which keys change
//!             └─ names.rs    names: how many change, come and go, and which would have no address any more
//! ```
//!
//! Laws: nothing is said of two equal Worlds, and something is said of any two others. What is said is bounded: a group shows its
//! first lines and counts the rest. Keys are compared as they are written, so a key that is new to a World is told of without
//! a word here.

mod fields;
mod names;
#[cfg(test)]
mod tests;
mod things;

use std::fmt;

use serde::Serialize;

use crate::{Plan, RegionName, World};
use names::Names;

/// What changes, in groups.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct WorldDiff {
    /// The whole in one line: `3 names change, none becomes empty`. Empty if nothing changes.
    pub summary: String,
    /// How many names are answered in another way, come, go, or would have no address any more.
    pub names: NameCounts,
    /// What changes, thing by thing.
    pub groups: Vec<DiffGroup>,
}

/// Names of all zones, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct NameCounts {
    /// They are answered in another way: by what they say themselves, or by what their pool says.
    pub change: usize,
    /// They are new.
    pub come: usize,
    /// They are there no more.
    pub go: usize,
    /// They have an address now and would have none, or none of one family, though they stay.
    pub empty: usize,
}

/// Changes of one kind of thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DiffGroup {
    /// What they are: `pools`.
    pub what: &'static str,
    /// One change a line, at most [`DiffGroup::LINES_MAX`].
    pub lines: Vec<String>,
    /// How many more there are.
    pub more: usize,
}

impl DiffGroup {
    /// How many lines of a group are told.
    pub const LINES_MAX: usize = 12;

    fn of(what: &'static str, lines: impl Iterator<Item = String>) -> Option<Self> {
        let mut lines = lines.fuse();
        let told: Vec<String> = lines.by_ref().take(Self::LINES_MAX).collect();
        (!told.is_empty()).then(|| Self { what, lines: told, more: lines.count() })
    }
}

impl WorldDiff {
    /// What changes from one World to another, taking every member for one that serves.
    pub fn between(before: &World, after: &World) -> Self {
        Self::with(before, after, &|_, _| true)
    }

    /// What changes if a Plan's World is replaced: members that the Plan leaves out of answers have no addresses to give.
    pub fn of_plan(plan: &Plan, after: &World) -> Self {
        Self::with(&plan.world, after, &|pool, region| plan.serving_in(pool, region).serves)
    }

    fn with(before: &World, after: &World, serves: &dyn Fn(&str, &RegionName) -> bool) -> Self {
        if before == after {
            return Self::default();
        }
        let names = Names::between(before, after, serves);
        let mut groups: Vec<DiffGroup> = things::groups(before, after);
        groups.extend(DiffGroup::of("names without an address", names.empty.iter().cloned()));
        groups.extend(DiffGroup::of("names", names.lines.iter().cloned()));
        if groups.is_empty() {
            let line = "the same things stand in another order".to_owned();
            groups.extend(DiffGroup::of("order", std::iter::once(line)));
        }
        Self { summary: summary(names.counts, &groups), names: names.counts, groups }
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}

/// Names first, since they are what users notice; then what kinds of things change.
fn summary(counts: NameCounts, groups: &[DiffGroup]) -> String {
    let NameCounts { change, come, go, empty } = counts;
    let mut parts = Vec::new();
    let mut tell = |n: usize, one: &str, many: &str| match n {
        0 => {}
        1 => parts.push(format!("1 name {one}")),
        n => parts.push(format!("{n} names {many}")),
    };
    tell(change, "changes", "change");
    tell(come, "comes", "come");
    tell(go, "goes", "go");
    if parts.is_empty() {
        parts.push("no name changes".into());
    }
    match empty {
        0 => parts.push("none becomes empty".into()),
        1 => parts.push("1 BECOMES EMPTY".into()),
        n => parts.push(format!("{n} BECOME EMPTY")),
    }
    let others = groups.iter().filter(|group| !group.what.starts_with("names"));
    let others: Vec<String> =
        others.map(|group| format!("{} ({})", group.what, group.lines.len() + group.more)).collect();
    if !others.is_empty() {
        parts.push(format!("also changed: {}", others.join(", ")));
    }
    parts.join(", ")
}

impl fmt::Display for WorldDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing changes");
        }
        f.write_str(&self.summary)?;
        for group in &self.groups {
            write!(f, "\n\n{}", group.what)?;
            for line in &group.lines {
                write!(f, "\n  {line}")?;
            }
            if group.more > 0 {
                write!(f, "\n  and {} more", group.more)?;
            }
        }
        Ok(())
    }
}
