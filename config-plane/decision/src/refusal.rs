//! Why the plane said no. Each refusal names the rule, the thing, and what to do about it.

use model::{PlanId, RegionName, Subject, Verdict};
use serde::{Deserialize, Serialize};

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
    #[error(
        "this world was founded already, with lineage {lineage:x}: change it with `PUT /v1/world` of the admin API"
    )]
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
}

fn join<T: std::fmt::Display>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
