//! The admin API in types: what travels between the plane's members, followers, the command line and drills.
//!
//! One TLS listener a region serves it all. Bodies are JSON; errors are a [`Problem`](crate::Problem).
//!
//! ```text
//! GET    /v1/status                 PlaneStatus           GET  /v1/votes            VotesReport
//! GET    /v1/plan  /v1/plan/VERSION Plan                  POST /v1/votes            VoteVector → VoteReceipt
//! GET    /v1/plan/history           PlanHistory           GET  /v1/plan/VERSION/world  KeptWorld
//! POST   /v1/overrides              SetOverride → Applied GET  /v1/follow           endless stream of Follow
//! DELETE /v1/overrides/SUBJECT?..   Signed → Applied      GET  /v1/state            StateSummary
//! PUT    /v1/world?..               World → Applied       GET  /v1/explain/dns?..   DnsQuestion → DnsExplanation
//! ```
//!
//! `/openapi.json` lists every route, from the table that registers them. What people do by hand is in [`human`], whole objects
//! of the World in [`objects`].
//!
//! Unknown fields are ignored on reading, so that members of neighbouring versions understand each other.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use model::{OverrideAction, Plan, PlanId, RegionName, Subject, VoteVector, World};
use serde::{Deserialize, Serialize};

pub mod apps;
pub mod human;
pub mod objects;

/// The paths of the API.
pub mod path {
    /// `GET`: [`PlaneStatus`](super::PlaneStatus).
    pub const STATUS: &str = "/v1/status";
    /// `GET`: the Plan in force; with `/VERSION` one that went before, if it is still kept.
    pub const PLAN: &str = "/v1/plan";
    /// `GET`: [`PlanHistory`](super::PlanHistory). The World of a version is at `PLAN/VERSION/world`: [`KeptWorld`](super::KeptWorld).
    pub const PLAN_HISTORY: &str = "/v1/plan/history";
    /// `GET`: those in force. `POST`: [`SetOverride`](super::SetOverride). `DELETE` with `/SUBJECT` and
    /// [`Signed`](super::Signed) as query.
    pub const OVERRIDES: &str = "/v1/overrides";
    /// `DELETE` with `/SUBJECT` and [`Signed`](super::Signed) as query: forget how often the subject went Down.
    pub const DAMPING: &str = "/v1/damping";
    /// `PUT` with `/world` or `/pool/NAME`, [`Signed`](super::Signed) as query and a [`SetGate`](super::human::SetGate): close a
    /// gate. `DELETE`: open it. `GET` without more: those that are closed.
    pub const GATES: &str = "/v1/gates";
    /// `PUT` with `/POOL`, [`Signed`](super::Signed) as query and a [`MoveHome`](super::human::MoveHome). `GET`: where homes are.
    pub const HOMES: &str = "/v1/homes";
    /// `GET` with `/VERSION`: [`DecisionExplanation`](super::human::DecisionExplanation).
    pub const EXPLAIN_DECISION: &str = "/v1/explain/decision";
    /// `GET` with `down=REGION[,REGION]` as query: what would come of these deaths.
    pub const WHAT_IF: &str = "/v1/what-if";
    /// `GET`: the latest survey of the member that answers.
    pub const SURVEY: &str = "/v1/survey";
    /// `GET`: server-sent events.
    pub const EVENTS: &str = "/v1/events";
    /// `GET`, `PUT` with [`Signed`](super::Signed) as query and a [`SetLever`](super::human::SetLever): whether the automation of
    /// the member that answers is stopped. Never forwarded, and needs no quorum.
    pub const NODE_AUTOMATION: &str = "/v1/node/automation";
    /// `GET`: this API as OpenAPI 3.1.
    pub const OPENAPI: &str = "/openapi.json";
    /// `GET`: the World with its `ETag`. `PUT` with [`Signed`](super::Signed) as query and `If-Match`: the World, as JSON or TOML.
    pub const WORLD: &str = "/v1/world";
    /// `GET`: [`VotesReport`](super::VotesReport). `POST`: a `VoteVector`, answered by a [`VoteReceipt`](super::VoteReceipt).
    pub const VOTES: &str = "/v1/votes";
    /// `GET`: an endless stream of [`Follow`](super::Follow) messages, framed as in [`frame`](crate::frame).
    pub const FOLLOW: &str = "/v1/follow";
    /// `GET`: [`StateSummary`](super::StateSummary) of the region that is asked.
    pub const STATE: &str = "/v1/state";
    /// `GET` with [`DnsQuestion`](super::DnsQuestion) as query: [`DnsExplanation`](super::DnsExplanation).
    pub const EXPLAIN_DNS: &str = "/v1/explain/dns";
    /// `GET`: metrics in Prometheus' text format.
    pub const METRICS: &str = "/metrics";
}

/// A plane member as another member knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its region.
    pub name: RegionName,
    /// Its number: region id and raft node id.
    pub id: u64,
    /// Where the one who reports reaches it.
    pub addr: SocketAddr,
    /// Voter or learner.
    pub voter: bool,
}

/// How the plane does, seen by one member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaneStatus {
    /// The region of the member that answers.
    pub region: RegionName,
    /// Its number.
    pub id: u64,
    /// Who leads, if it knows.
    pub leader: Option<RegionName>,
    /// Raft term.
    pub term: u64,
    /// Who belongs to the plane.
    pub members: Vec<Member>,
    /// How long ago a quorum was last known to stand behind the leader, milliseconds. `None`: never since start.
    pub quorum_age_ms: Option<u64>,
    /// The Plan it holds. `None`: this world has not been founded yet.
    pub plan: Option<PlanId>,
    /// Index of the last log entry that it applied.
    pub last_applied: Option<u64>,
    /// Index of the last log entry that it knows to be committed.
    pub committed: Option<u64>,
    /// What people should look at. What is only for a leader to know is told by the leader alone.
    #[serde(default)]
    pub concerns: Vec<Concern>,
}

/// Something that people should look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Concern {
    /// Of what kind.
    pub kind: ConcernKind,
    /// What it is, and what to do about it.
    pub message: String,
}

/// Kinds of concerns, the gravest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConcernKind {
    /// The member takes no part in the plane any more.
    Stopped,
    /// The disk of its log does not answer.
    Disk,
    /// Automation is stopped on it by hand.
    AutomationStopped,
    /// Too few observers have an opinion of a subject: its verdict is frozen.
    Blind,
    /// Subjects fell together: their verdicts are frozen.
    CommonMode,
    /// A region is Down, and the others cannot carry all of its users.
    Capacity,
    /// A guard holds back what a quorum of the observers wants.
    HeldBack,
    /// A subject flapped, and stays out until it was quiet.
    Damping,
    /// The loss of a region could not be carried.
    Loss,
    /// A member lacks much of the log.
    Lagging,
    /// Round trips have outgrown raft's settings.
    RoundTrip,
}

impl ConcernKind {
    /// In one or two words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Disk => "disk",
            Self::AutomationStopped => "automation stopped",
            Self::Blind => "blind",
            Self::CommonMode => "common mode",
            Self::Capacity => "capacity",
            Self::HeldBack => "held back",
            Self::Damping => "damping",
            Self::Loss => "loss",
            Self::Lagging => "lagging",
            Self::RoundTrip => "round trip",
        }
    }
}

/// What is known of the Plans that went before: `GET /v1/plan/history`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanHistory {
    /// The member that answers.
    pub region: RegionName,
    /// The Plans that it saw since its start, oldest first; the latest 256.
    pub plans: Vec<PlanHead>,
    /// The Worlds that all members keep, oldest first; the last one is in force.
    pub worlds: Vec<WorldHead>,
}

/// A Plan without what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanHead {
    /// Its number.
    pub id: PlanId,
    /// When it was made, Unix milliseconds of the proposer.
    pub made_at_ms: u64,
    /// What made it, in words.
    pub made_by: String,
}

/// Who made a World, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorldHead {
    /// The first version of a Plan that held it.
    pub version: u64,
    /// When that Plan was made, Unix milliseconds of the proposer.
    pub made_at_ms: u64,
    /// What made it, in words.
    pub made_by: String,
}

/// The World that was in force at some version of the Plan: `GET /v1/plan/VERSION/world`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptWorld {
    /// Since when it was.
    #[serde(flatten)]
    pub head: WorldHead,
    /// The World.
    pub world: World,
}

/// A human's word on a subject: `POST /v1/overrides`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetOverride {
    /// On what.
    pub subject: Subject,
    /// What is wanted.
    pub action: OverrideAction,
    /// Why.
    pub reason: String,
    /// Who.
    pub who: String,
    /// How long it holds, milliseconds.
    pub ttl_ms: u64,
    /// 32 hexadecimal digits, the same in every attempt, so that a repeated request is done once. Empty: that of the header
    /// `x-request-id`, or one of the member's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request_id: String,
    /// Break-glass: a second person who takes the responsibility too. Capacity is not asked then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second: Option<String>,
    /// A drain in steps; at once if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub staging: Option<human::Staging>,
}

/// Who asks for a change and why, for the requests whose body is taken or that have none: it travels as query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// Who.
    pub who: String,
    /// Why.
    pub reason: String,
    /// 32 hexadecimal digits, the same in every attempt, so that a repeated request is done once.
    pub request_id: String,
}

/// A change was made, or what was asked for is already so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The Plan that holds it.
    pub plan: PlanId,
    /// False if everything was already as asked.
    pub changed: bool,
}

/// The answer to a vote vector: `POST /v1/votes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoteReceipt {
    /// Who leads, if the member knows.
    pub leader: Option<RegionName>,
    /// Whether that is the member which answers.
    pub is_leader: bool,
    /// As in [`PlaneStatus`].
    pub quorum_age_ms: Option<u64>,
}

/// The latest vote vectors that a member holds: `GET /v1/votes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VotesReport {
    /// The member that answers.
    pub region: RegionName,
    /// One entry an observer.
    pub votes: Vec<ObserverVotes>,
}

/// What one observer said last, and whether it counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObserverVotes {
    /// What it said.
    pub vector: VoteVector,
    /// How long ago it arrived, milliseconds.
    pub age_ms: u64,
    /// Whether its votes count now.
    pub qualified: bool,
    /// Why they do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_not: Option<String>,
}

/// One message to a follower. Each second there is one, and each ten seconds a whole Plan, whatever happens: constant work, and
/// silence means trouble.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Follow {
    /// The Plan in force, whole: first thing on connecting, at each change, and again every ten seconds.
    Plan(Box<Plan>),
    /// Nothing new.
    Alive {
        /// The Plan that the member holds. `None`: not founded yet.
        plan: Option<PlanId>,
        /// Sum of the content of the last [`Follow::Plan`] on this stream, see [`crate::frame::sum`]. Whoever has another one under
        /// that number has something wrong, and the next Plan puts it right.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sum: Option<String>,
        /// As in [`PlaneStatus`].
        quorum_age_ms: Option<u64>,
        /// Who leads, if the member knows.
        leader: Option<RegionName>,
        /// What regions carry of what they can, per mille, as far as the votes tell. Only where a policy of the World goes by it.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        load_permille: BTreeMap<RegionName, u32>,
    },
}

/// The replicated state of one region: `GET /v1/state`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StateSummary {
    /// The region.
    pub region: RegionName,
    /// Its number.
    pub id: u16,
    /// Which life of its data this is.
    pub incarnation: u32,
    /// Live keys.
    pub keys: u64,
    /// Sum over the live state of all partitions, hexadecimal. Equal sums mean equal states.
    pub digest: String,
    /// Highest sequence number seen of each replica, written `REGION.INCARNATION`. Sequence numbers are per partition; this is
    /// the sum over all of them, so it only tells who is behind whom.
    pub version_vector: BTreeMap<String, u64>,
    /// Writes that came to stand beside one they had not observed, since the start.
    #[serde(default)]
    pub conflicts: u64,
    /// The other regions, seen from here.
    pub peers: Vec<PeerSummary>,
}

/// A link to another region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PeerSummary {
    /// The other region.
    pub region: RegionName,
    /// Its number.
    pub id: u16,
    /// Whether the link stands.
    pub connected: bool,
    /// Round trip, milliseconds.
    pub rtt_ms: Option<f64>,
    /// What that region acknowledged longer ago than this is visible here: milliseconds. `None` if nothing was ever heard of it.
    pub lag_ms: Option<u64>,
    /// Changes made here that it has not acknowledged yet.
    pub unacknowledged: u64,
    /// Bytes sent to it since start.
    pub sent_bytes: u64,
    /// Bytes received from it since start.
    pub received_bytes: u64,
    /// How many buckets of keys differ though both regions have seen the same. Anything but 0 is a fault of Atoll.
    #[serde(default)]
    pub divergent_buckets: u64,
    /// Some of them: partition, bucket, and keys that differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub divergent: Vec<DivergentBucket>,
    /// What the peer did that it should not: its link was quarantined each time. By name of the fault, since start.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub faults: BTreeMap<String, u64>,
}

/// Keys of which two regions hold different things though they have seen the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DivergentBucket {
    /// The partition, 0 to 1023.
    pub partition: u16,
    /// The bucket of the partition.
    pub bucket: u8,
    /// Some of the keys, readable; empty until they are known.
    pub keys: Vec<String>,
}

/// What a DNS client would ask: the query of `GET /v1/explain/dns`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsQuestion {
    /// The name, absolute.
    pub name: String,
    /// Where the client is.
    pub from: IpAddr,
    /// Record type: `A` if nothing is said.
    #[serde(rename = "type", default = "type_a")]
    pub record_type: String,
}

fn type_a() -> String {
    "A".into()
}

/// What this region's DNS server would answer now, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DnsExplanation {
    /// Whose server.
    pub region: RegionName,
    /// The Plan that it answers from.
    pub plan: Option<PlanId>,
    /// Response code: `NOERROR`, `NXDOMAIN`, …
    pub rcode: String,
    /// The answer's records as a zone file writes them.
    pub answer: Vec<String>,
    /// How it came about, a line a step.
    pub steps: Vec<String>,
}
