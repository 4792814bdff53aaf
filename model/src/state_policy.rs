//! What the World says about replicated state: limits, and policies by key prefix.

use serde::{Deserialize, Serialize};

/// Limits and policies of the state, the same in every region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatePolicy {
    /// Longest value, field or member that a command may store, in bytes: 1 KiB to 32 MiB.
    #[serde(default = "default_max_value_bytes")]
    pub max_value_bytes: u64,
    /// A region that has not been heard of for so long is detached: the others keep nothing for it any more beyond what they need
    /// themselves. When it returns, its own writes are taken in all the same. 60 s to 30 days.
    #[serde(default = "default_detach_after_s")]
    pub detach_after_s: u64,
    /// Policies by key prefix; the longest one that fits a key decides.
    #[serde(rename = "prefix", default)]
    pub prefixes: Vec<PrefixPolicy>,
}

/// What holds for the keys that begin with something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrefixPolicy {
    /// How the keys begin: `session:`.
    pub starts_with: String,
    /// Who wins when one region removes what another one adds at the same time.
    #[serde(default)]
    pub conflicts: Conflicts,
    /// When a write counts as written.
    #[serde(default)]
    pub durability: Durability,
}

/// Who wins when one region removes what another one adds at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conflicts {
    /// What was added stays: nothing that somebody wrote is lost.
    #[default]
    AddWins,
    /// What was removed stays away: for sessions and revocations.
    RemoveWins,
}

/// When a write counts as written, so that it may be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// The system has it; the disk has it within a second. A killed process loses nothing.
    #[default]
    EverySec,
    /// The disk has it.
    Always,
}

fn default_max_value_bytes() -> u64 {
    8 << 20
}
fn default_detach_after_s() -> u64 {
    86_400
}

impl Default for StatePolicy {
    fn default() -> Self {
        Self {
            max_value_bytes: default_max_value_bytes(),
            detach_after_s: default_detach_after_s(),
            prefixes: Vec::new(),
        }
    }
}

impl StatePolicy {
    /// Whether nothing but the defaults is said.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
