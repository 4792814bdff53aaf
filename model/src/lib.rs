//! The nouns of Atoll. Data only: parse, validate, compare, print. No clock, no randomness, no I/O beyond text.
//!
//! ```text
//! World (what operators want) ─┐
//! votes → verdicts ────────────┼─→ Plan (lineage, version) ─→ every DNS server and node
//! overrides (a human's word) ──┘
//! ```

mod automation;
mod clients;
mod default_world;
mod diff;
mod errors;
mod labels;
mod limits;
mod name;
mod network;
mod overrides;
mod parse;
mod plan;
mod policy;
mod rdata;
mod record;
mod schema;
mod shared_world;
mod state_policy;
mod token;
mod validate;
mod vote;
mod worker;
mod world;
mod zone_file;

pub use automation::{Automation, SafetyRule};
pub use clients::Clients;
pub use diff::{DiffGroup, NameCounts, WorldDiff};
pub use errors::{KeyPath, Place, SourceFile, WorldError, WorldErrors};
pub use labels::name_wire;
pub use name::{NameError, RegionName, Subject};
pub use network::Network;
pub use overrides::{Gate, GateScope, Override, OverrideAction, Stages};
pub use plan::{Decision, Evidence, Home, Kept, Plan, PlanId, Serving, SubjectState, Verdict, Why};
pub use policy::{NoneLeft, Policy, PrefixList, SteeringPolicy, Step};
pub use rdata::TypeNumber;
pub use record::{Record, RecordData};
pub use shared_world::SharedWorld;
pub use state_policy::{Conflicts, Durability, PrefixPolicy, StatePolicy};
pub use token::Token;
pub use vote::{Vote, VoteVector};
pub use worker::Worker;
pub use world::{AllDown, Check, CheckKind, Location, NameTtl, Pool, Profile, Region, Soa, Steered, World, Zone};
pub use zone_file::{Limits as ZoneFileLimits, Load, LoadedFile, ZoneFile};
