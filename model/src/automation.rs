//! What automation may do alone, and the rules that nobody may break: the World's side of the guards.

use serde::{Deserialize, Serialize};

use crate::RegionName;

/// How far automation may go, and how carefully it brings regions back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Automation {
    /// Whether automation may change verdicts at all. A pool can be exempted by its own `automation = false`.
    pub enabled: bool,
    /// How much of a pool's weight automation may take out within [`Automation::velocity_window_s`], percent, 1 to 100. One region
    /// may always go; what has come back meanwhile does not count.
    pub max_removed_percent: u32,
    /// The window of [`Automation::max_removed_percent`], seconds, 10 to 86 400.
    pub velocity_window_s: u32,
    /// How many removals automation may make in an hour over the whole world, 1 to 10 000.
    pub max_removals_per_hour: u32,
    /// When so many regions fall within [`Automation::common_mode_window_s`], the observers or the backbone are taken to be at
    /// fault: automation stops and people are called. 2 to 64.
    pub common_mode_regions: u32,
    /// Seconds, 1 to 3600.
    pub common_mode_window_s: u32,
    /// How much of the capacity that would be left the present demand may take, percent, 1 to 100.
    pub capacity_used_percent: u32,
    /// Which share of its normal traffic a Degraded member is sent, percent, 1 to 100.
    pub degraded_percent: u32,
    /// The shares that a member passes through on its way back, percent, growing, each 1 to 99; then 100. Empty: at once.
    pub ramp_percent: Vec<u32>,
    /// How long each of them lasts, seconds, 1 to 3600.
    pub ramp_step_s: u32,
}

impl Default for Automation {
    fn default() -> Self {
        Self {
            enabled: true,
            max_removed_percent: 34,
            velocity_window_s: 300,
            max_removals_per_hour: 60,
            common_mode_regions: 2,
            common_mode_window_s: 30,
            capacity_used_percent: 90,
            degraded_percent: 50,
            ramp_percent: vec![10, 50],
            ramp_step_s: 5,
        }
    }
}

impl Automation {
    /// Whether nothing but the defaults is said.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// An assertion that must hold after every change, whoever makes it (AWS ARC's assertion rule).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SafetyRule {
    /// Its name, for refusals.
    pub name: String,
    /// At least so many of [`SafetyRule::regions`] must serve.
    pub at_least: u32,
    /// Which regions are counted.
    pub regions: Vec<RegionName>,
    /// In which pool they are counted; none: as regions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
}
