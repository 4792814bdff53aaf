//! Why the plane said no. Each refusal names the rule, the thing, and what to do about it.

use model::{GateScope, PlanId, RegionName, Subject, Verdict};
use serde::{Deserialize, Serialize};

use crate::Family;

/// The first guard that refused a request.
///
/// Adding a variant is a change of the log's format: an older member must be able to read what a newer leader recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum Refusal {
    /// Nothing but `Found` is possible before it.
    #[error("this world is not founded yet: wait until the first `atoll up` or `atoll region` has founded it")]
    NotFounded,
    /// A world is founded once.
    #[error("this world was founded already, with lineage {lineage:x}: change it with `atoll apply`")]
    AlreadyFounded {
        /// The lineage in force.
        lineage: u64,
    },
    /// The Plan moved on while the proposer was thinking.
    #[error(
        "fence: the change was made from Plan {based_on}, but Plan {current} is in force: look again, then repeat it"
    )]
    Stale {
        /// What the proposer looked at.
        based_on: PlanId,
        /// What is in force.
        current: PlanId,
    },
    /// The proposer belongs to another life of this world.
    #[error(
        "fence: Plan {based_on} belongs to another lineage than Plan {current}, which is in force: its sender must rejoin this world"
    )]
    OtherLineage {
        /// What the proposer looked at.
        based_on: PlanId,
        /// What is in force.
        current: PlanId,
    },
    /// The World has no such subject.
    #[error("there is no `{subject}` in this world; it has: {}", join(known))]
    UnknownSubject {
        /// As given.
        subject: Subject,
        /// What there is.
        known: Vec<Subject>,
    },
    /// One subject twice in one decision.
    #[error("the decision names `{subject}` twice: send one change per subject")]
    NamedTwice {
        /// Which.
        subject: Subject,
    },
    /// The proposer believes in another verdict than the one in force.
    #[error("the decision takes `{subject}` for {believed:?}, but it is {actual:?}: look again, then repeat it")]
    OtherVerdict {
        /// On what.
        subject: Subject,
        /// What the proposer believed.
        believed: Verdict,
        /// What is in force.
        actual: Verdict,
    },
    /// The evidence does not carry the decision.
    #[error(
        "quorum: {agree} of {qualified} qualified observers call `{subject}` {to:?}; {needed} of at least {qualified_needed} must"
    )]
    WeakEvidence {
        /// On what.
        subject: Subject,
        /// What was wanted.
        to: Verdict,
        /// Votes for it.
        agree: usize,
        /// How many must agree.
        needed: usize,
        /// Observers other than the subject with an opinion.
        qualified: usize,
        /// How many there must be.
        qualified_needed: usize,
    },
    /// After the change nobody would serve a pool.
    #[error(
        "never the last: after this nobody would serve pool `{pool}` ({}): bring another member back first (`atoll undrain`, `atoll override … up`)",
        join(members)
    )]
    LastMember {
        /// The pool that would be empty.
        pool: String,
        /// Its members.
        members: Vec<RegionName>,
    },
    /// A human's word must say why and who.
    #[error("`{field}` must have 1 to {max} characters and no line breaks: it is what others read in `atoll explain`")]
    Unsigned {
        /// `reason` or `who`.
        field: String,
        /// The longest that is kept, characters.
        max: usize,
    },
    /// A human's word must expire.
    #[error(
        "an override lasts from 1 second to {max_ms} ms (72 hours), not {lasts_ms} ms: renew it if it still holds by then"
    )]
    Lifetime {
        /// As given, milliseconds.
        lasts_ms: u64,
        /// The longest, milliseconds.
        max_ms: u64,
    },
    /// The new World is wrong in itself.
    #[error("the world is not valid:\n  {}", errors.join("\n  "))]
    InvalidWorld {
        /// What is wrong, a line each; the first 20.
        errors: Vec<String>,
    },
    /// A region's number belongs to its name for ever: it is part of every replica's identity.
    #[error("region id {id} belongs to `{was}` and cannot become `{now}`'s: give `{now}` an id that was never used")]
    IdReused {
        /// The number.
        id: u16,
        /// Its first owner.
        was: RegionName,
        /// Who wants it.
        now: RegionName,
    },
    /// A region keeps its number while it exists.
    #[error(
        "region `{region}` has id {was} and cannot change it to {now}: put {was} back, or add a region of another name"
    )]
    IdChanged {
        /// Which.
        region: RegionName,
        /// Its number.
        was: u16,
        /// What was wanted.
        now: u16,
    },
    /// Somebody closed a gate.
    #[error(
        "gate: nothing {} changes for {} min more: {who} closed it ({reason}): ask them, or open it with `atoll gate open`",
        behind(scope),
        left_ms.div_ceil(60_000)
    )]
    Gate {
        /// Before what it stands.
        scope: GateScope,
        /// Who closed it.
        who: String,
        /// Why.
        reason: String,
        /// How long it stays closed, milliseconds.
        left_ms: u64,
    },
    /// The World tells automation to keep its hands off.
    #[error(
        "gate: automation is off for {}: change it by hand (`atoll drain`, `atoll override`), or set {} in the World",
        whole_or_pool(pool),
        automation_key(pool)
    )]
    AutomationOff {
        /// The pool; none: the whole World.
        pool: Option<String>,
    },
    /// After the change nobody would serve a pool's names to users of one address family.
    #[error(
        "never the last: after this nobody would serve pool `{pool}` over {family} ({}): bring another of them back first (`atoll undrain`, `atoll override … up`)",
        join(members)
    )]
    LastAddress {
        /// The pool.
        pool: String,
        /// The family that would have no address left.
        family: Family,
        /// Its members with an address of that family.
        members: Vec<RegionName>,
    },
    /// Automation would leave fewer members than the pool wants.
    #[error(
        "min_healthy: after this {left} members would serve pool `{pool}`, which wants {min}: drain by hand if that is right, or lower `min_healthy`"
    )]
    MinHealthy {
        /// The pool.
        pool: String,
        /// How many would serve.
        left: u32,
        /// How many automation must leave.
        min: u32,
    },
    /// A safety rule of the World would not hold.
    #[error(
        "safety rule `{name}`: after this {left} of {} would serve, and at least {at_least} must: bring another of them back first, or change the rule",
        join(regions)
    )]
    SafetyRule {
        /// Its name.
        name: String,
        /// How many would serve.
        left: u32,
        /// How many must.
        at_least: u32,
        /// Of which.
        regions: Vec<RegionName>,
    },
    /// What is left could not carry what is asked of it.
    #[error(
        "capacity: after this the regions left could carry {usable_rps} requests/s ({used_percent} % of what they have), and users ask for {demand_rps}: add capacity, or break the glass with a second person (`--second NAME`)"
    )]
    Capacity {
        /// What they may be asked to carry, requests per second.
        usable_rps: u64,
        /// Which share of their capacity that is, percent.
        used_percent: u32,
        /// What users ask for now, requests per second.
        demand_rps: u64,
    },
    /// Automation would take out too much at once.
    #[error(
        "velocity: automation would hold {out_percent} % of pool `{pool}` out within {window_s} s ({}), and may hold {max_percent} % or one region: look at the observers first, then drain by hand",
        join(out)
    )]
    Velocity {
        /// The pool.
        pool: String,
        /// How much of its weight would be out, percent.
        out_percent: u32,
        /// How much may be.
        max_percent: u32,
        /// Counted from when, seconds.
        window_s: u32,
        /// What automation took out since then, this change included.
        out: Vec<RegionName>,
    },
    /// Automation took out too much in this hour.
    #[error(
        "velocity: automation made {made} removals within the hour, and may make {max}: something flaps; look at `atoll explain`, then drain by hand"
    )]
    RemovalsPerHour {
        /// How many it would have made.
        made: u32,
        /// How many it may make.
        max: u32,
    },
    /// Too much fell at the same time to be believed.
    #[error(
        "common mode: {} fell within {window_s} s of each other, so the observers or the backbone are taken to be at fault: look at them; if the regions are dead, say so with `atoll drain`",
        join(regions)
    )]
    CommonMode {
        /// What fell together.
        regions: Vec<RegionName>,
        /// How close, seconds.
        window_s: u32,
    },
    /// A subject that flaps stays out until it has been quiet.
    #[error(
        "damping: `{subject}` flapped (penalty {penalty}) and stays out until that is below {release}, for {} min more: find the cause, then `atoll damping clear {subject}`",
        left_ms.div_ceil(60_000)
    )]
    Damped {
        /// Which.
        subject: Subject,
        /// Its penalty now.
        penalty: u64,
        /// Below which it is released.
        release: u64,
        /// In how long, milliseconds.
        left_ms: u64,
    },
    /// Break-glass takes two people.
    #[error("break-glass takes two people, and `{who}` is one: have somebody else sign as the second")]
    OnePerson {
        /// Who signed twice.
        who: String,
    },
    /// A staged drain whose stages make no sense.
    #[error(
        "the stages of a drain are 1 to {max} shares below 1000 per mille, falling, the last one 0, of 1 s to 24 h each, and end before the override does: {why}"
    )]
    Stages {
        /// Which rule is broken.
        why: String,
        /// The most stages.
        max: usize,
    },
    /// The World has no such pool.
    #[error("there is no pool `{pool}` in this world; it has: {}", join(known))]
    UnknownPool {
        /// As given.
        pool: String,
        /// What there is.
        known: Vec<String>,
    },
    /// Only a pool with a home has one to move.
    #[error("pool `{pool}` has no home: give it one in the World (`home = \"REGION\"`)")]
    NoHome {
        /// Which.
        pool: String,
    },
    /// The home moved on while the mover was thinking.
    #[error(
        "fence: the home of pool `{pool}` was to be moved from epoch {believed}, but it is at {region} since epoch {actual}: look again, then repeat it"
    )]
    OtherEpoch {
        /// Which pool.
        pool: String,
        /// What the mover believed.
        believed: u64,
        /// What is in force.
        actual: u64,
        /// Where the home is.
        region: RegionName,
    },
    /// A home must be a member that serves.
    #[error(
        "the home of pool `{pool}` cannot be {region}: it must be a member that serves; these do: {}",
        join(serving)
    )]
    HomeNotServing {
        /// Which pool.
        pool: String,
        /// Where to.
        region: RegionName,
        /// Who could.
        serving: Vec<RegionName>,
    },
    /// A new World does not move a home.
    #[error(
        "the home of pool `{pool}` is {home}, and a new World does not move it: keep it there, move it with `atoll home move` (which draws a new fencing epoch), then write the new one into the World"
    )]
    HomeMoves {
        /// Which pool.
        pool: String,
        /// Where it is.
        home: RegionName,
    },
}

fn behind(scope: &GateScope) -> String {
    match scope {
        GateScope::World => "in this world".into(),
        GateScope::Pool(pool) => format!("of pool `{pool}`"),
    }
}

fn whole_or_pool(pool: &Option<String>) -> String {
    pool.as_ref().map_or_else(|| "this world".into(), |pool| format!("pool `{pool}`"))
}

fn automation_key(pool: &Option<String>) -> String {
    pool.as_ref().map_or_else(|| "`automation.enabled`".into(), |pool| format!("`pool.{pool}.automation`"))
}

fn join<T: std::fmt::Display>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
