//! What people do by hand, and what they ask before they do it.

use std::collections::BTreeMap;

use model::{Decision, PlanId, RegionName};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Problem;

/// The shares that a staged drain passes through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Staging {
    /// Shares of the normal traffic, per mille: falling, the first one holds at once, the last one is 0; 1 to 16 of them.
    pub shares_permille: Vec<u32>,
    /// How long each lasts at least, milliseconds, 1000 to 86 400 000.
    pub step_ms: u64,
}

/// A gate to close: `PUT /v1/gates/SCOPE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetGate {
    /// Whether people are held back too, or automation alone.
    #[serde(default)]
    pub binds_people: bool,
    /// How long it stays closed, milliseconds; at most 72 hours.
    pub ttl_ms: u64,
}

/// A home to move: `PUT /v1/homes/POOL`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoveHome {
    /// To which member.
    pub to: RegionName,
    /// The epoch that it is moved from; the one in force if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
}

/// What would come of a change that is only tried: the answer to any change with `dry_run=1`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// Always true: nothing was changed.
    pub dry_run: bool,
    /// The Plan that it was tried on.
    pub plan: PlanId,
    /// Whether there would be a new Plan.
    pub changes: bool,
    /// What the new Plan would say made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_by: Option<String>,
    /// Who would refuse it, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Problem>,
    /// What would change in the World, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<Value>,
}

/// What is known of one version of the Plan: `GET /v1/explain/decision/VERSION`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionExplanation {
    /// The version asked for.
    pub version: u64,
    /// What made it, if the member that answers still holds that Plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_by: Option<String>,
    /// When it was proposed, Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_at_ms: Option<u64>,
    /// What automation decided in it, with the evidence.
    pub decisions: Vec<Decision>,
    /// Or what was refused at this place of the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedRequest>,
}

/// A request that a guard refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedRequest {
    /// When it was proposed, Unix milliseconds.
    pub proposed_at_ms: u64,
    /// The region whose member proposed it.
    pub proposed_by: RegionName,
    /// What was asked: `decide`, `set_override`, ….
    pub kind: String,
    /// Which guard said no.
    pub rule: Option<String>,
    /// In words.
    pub message: String,
}

/// What would come of some deaths: `GET /v1/what-if?down=…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhatIfReport {
    /// The Plan that it was played on.
    pub plan: PlanId,
    /// Who dies.
    pub down: Vec<String>,
    /// What would be decided: `region/eu-west Down`.
    pub decided: Vec<String>,
    /// Who would serve each pool then.
    pub serving: BTreeMap<String, Vec<RegionName>>,
    /// Why the loss could not be carried; empty if it could.
    pub cannot: Vec<String>,
    /// How much of the capacity would be left, percent; none if it is not known.
    pub capacity_left_percent: Option<u32>,
}

/// What the death of each region by itself would come to: `GET /v1/survey`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SurveyReport {
    /// When it was made, Unix milliseconds; none: not yet.
    pub at_ms: Option<u64>,
    /// By region that serves now.
    pub losses: BTreeMap<RegionName, LossReport>,
}

/// What the death of one region would come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossReport {
    /// Why it could not be carried; empty if it could.
    pub cannot: Vec<String>,
    /// How much of the capacity would be left, percent; none if it is not known.
    pub capacity_left_percent: Option<u32>,
}

/// Whether the automation of one member is stopped: `GET /v1/node/automation`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeverReport {
    /// The member that answers.
    pub region: RegionName,
    /// Who stopped it, why and when; none: it works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<LeverPulled>,
}

/// Who stopped a member's automation, why, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeverPulled {
    /// Who.
    pub who: String,
    /// Why.
    pub reason: String,
    /// When, Unix milliseconds.
    pub at_ms: u64,
}

/// `PUT /v1/node/automation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetLever {
    /// Whether the member's automation is to work.
    pub enabled: bool,
}
