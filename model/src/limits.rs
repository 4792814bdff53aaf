//! Between which numbers each key of a World must lie: one place for the schema, which tells people, and for validation, which
//! holds them to it.

use std::ops::RangeInclusive;

/// A range of whole numbers, both ends included.
pub(crate) type Limits = RangeInclusive<u64>;

/// Numbers of regions.
pub(crate) const ID: Limits = 1..=65_535;
/// Ports.
pub(crate) const PORT: Limits = 1..=65_535;
/// What a region can carry, requests per second.
pub(crate) const CAPACITY_RPS: Limits = 1..=1_000_000_000;

/// From one probe's start to the next one's, milliseconds.
pub(crate) const INTERVAL_MS: Limits = 100..=60_000;
/// Until a probe without an answer has failed, milliseconds.
pub(crate) const TIMEOUT_MS: Limits = 50..=60_000;
/// Failures until Down.
pub(crate) const DOWN_AFTER: Limits = 1..=100;
/// Successes until Up.
pub(crate) const UP_AFTER: Limits = 1..=1000;
/// Days before a certificate's end.
pub(crate) const CERTIFICATE_DAYS: Limits = 0..=365;
/// Share of failed requests, percent.
pub(crate) const ERRORS_PERCENT: Limits = 0..=100;
/// Words of a check's command, the program's name among them.
pub(crate) const COMMAND_WORDS: Limits = 1..=16;
/// Bytes of each of them.
pub(crate) const COMMAND_BYTES: Limits = 0..=256;

/// Weights of a pool's members.
pub(crate) const WEIGHT: Limits = 0..=1000;
/// Members of a pool, or regions of a list.
pub(crate) const REGIONS: Limits = 1..=64;

/// Steps of a policy.
pub(crate) const STEPS: Limits = 1..=16;
/// By how much a region's area is made larger, percent.
pub(crate) const BIAS_PERCENT: RangeInclusive<i64> = -99..=99;
/// Measured round trips, milliseconds.
pub(crate) const LATENCY_MS: Limits = 0..=60_000;
/// Entries of a map or of a table of round trips.
pub(crate) const MAP_ENTRIES: Limits = 1..=1000;
/// The most that a member is sent, percent of what its weight says.
pub(crate) const MAX_LOAD_PERCENT: Limits = 101..=1000;
/// Load, per mille of what a region can carry.
pub(crate) const LOAD_PERMILLE: Limits = 1..=10_000;
/// A part of the clients, per mille.
pub(crate) const TRICKLE_PERMILLE: Limits = 1..=500;
/// How many members a step leaves.
pub(crate) const STEP_TAKE: Limits = 1..=64;
/// Networks of a prefix list.
pub(crate) const PREFIXES: Limits = 1..=10_000;

/// TTLs of static records, seconds.
pub(crate) const STATIC_TTL: Limits = 0..=604_800;
/// The greatest TTL of a steered name, seconds.
pub(crate) const STEERED_TTL: Limits = 1..=3600;
/// The TTL of negative answers, seconds.
pub(crate) const NEGATIVE_TTL: Limits = 0..=86_400;
/// Seconds in a start of authority: 31 bits (RFC 1035, 3.3.13, and RFC 2181, 8).
pub(crate) const SOA: Limits = 1..=2_147_483_647;
/// Addresses in an answer.
pub(crate) const TAKE: Limits = 1..=8;

/// A share that is not nothing, percent.
pub(crate) const SHARE_PERCENT: Limits = 1..=100;
/// A share on the way back, percent.
pub(crate) const RAMP_PERCENT: Limits = 1..=99;
/// Steps on the way back.
pub(crate) const RAMP_STEPS: Limits = 0..=16;
/// How long each of them lasts, seconds.
pub(crate) const RAMP_STEP_S: Limits = 1..=3600;
/// The window in which removals are counted, seconds.
pub(crate) const VELOCITY_WINDOW_S: Limits = 10..=86_400;
/// Removals in an hour.
pub(crate) const REMOVALS_PER_HOUR: Limits = 1..=10_000;
/// Regions that fall together.
pub(crate) const COMMON_MODE_REGIONS: Limits = 2..=64;
/// What counts as together, seconds.
pub(crate) const COMMON_MODE_WINDOW_S: Limits = 1..=3600;
/// Safety rules.
pub(crate) const SAFETY_RULES: Limits = 0..=64;

/// The longest value that a command may store, bytes.
pub(crate) const MAX_VALUE_BYTES: Limits = 1024..=33_554_432;
/// Until an absent region is waited for by nobody, seconds.
pub(crate) const DETACH_AFTER_S: Limits = 60..=2_592_000;

/// Characters of a name for people.
pub(crate) const TITLE_CHARS: Limits = 1..=64;
/// Characters of a place for people.
pub(crate) const PLACE_CHARS: Limits = 0..=64;
/// Characters of a check's path.
pub(crate) const PATH_CHARS: Limits = 1..=512;
/// Characters of a check's service.
pub(crate) const SERVICE_CHARS: Limits = 0..=256;
/// Bytes of a TXT value.
pub(crate) const TXT_BYTES: Limits = 1..=4000;
/// Bytes of a key prefix.
pub(crate) const PREFIX_BYTES: Limits = 0..=256;
