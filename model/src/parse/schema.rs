//! The keys of a world file, which kind of value each has, and which must be there. What serde knows, for people's errors.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::RegionName;

/// What a value must be.
pub(super) enum Shape {
    /// Any text.
    Text,
    /// A text that reads as something.
    Reads { as_what: &'static str, check: fn(&str) -> Result<(), String> },
    /// One of these words.
    Word(&'static [&'static str]),
    /// A whole number from 0 to this.
    Whole(u64),
    /// A number.
    Number,
    /// `true` or `false`.
    Bool,
    /// A list of these.
    List(&'static Self),
    /// A table with these keys.
    Table(&'static Table),
    /// A table with keys of one's own choice.
    Named(&'static Self),
    /// A text that is read as its sibling says: `value` by `type`.
    AsSays { sibling: &'static str, shape: fn(&str) -> Self },
}

/// A table.
pub(super) struct Table {
    /// What it is, for errors: `a region`.
    pub(super) what: &'static str,
    pub(super) fields: &'static [Field],
}

/// A key of a table.
pub(super) struct Field {
    pub(super) key: &'static str,
    pub(super) needed: bool,
    pub(super) shape: Shape,
}

const fn needed(key: &'static str, shape: Shape) -> Field {
    Field { key, needed: true, shape }
}

const fn may(key: &'static str, shape: Shape) -> Field {
    Field { key, needed: false, shape }
}

const SECONDS: Shape = Shape::Whole(u32::MAX as u64);
const COUNT: Shape = Shape::Whole(u32::MAX as u64);
const MILLIS: Shape = Shape::Whole(i64::MAX as u64);
const REGION_NAME: Shape = Shape::Reads {
    as_what: "a region's name",
    check: |text| RegionName::new(text).map(drop).map_err(|error| error.why.to_owned()),
};
const IPV4: Shape = Shape::Reads {
    as_what: "an IPv4 address",
    check: |text| text.parse::<Ipv4Addr>().map(drop).map_err(|_| "it is written like 192.0.2.1".to_owned()),
};
const IPV6: Shape = Shape::Reads {
    as_what: "an IPv6 address",
    check: |text| text.parse::<Ipv6Addr>().map(drop).map_err(|_| "it is written like 2001:db8::1".to_owned()),
};

pub(super) static WORLD: Table = Table {
    what: "a world",
    fields: &[
        needed("name", Shape::Text),
        may("profile", Shape::Word(&["default", "fast"])),
        needed("region", Shape::List(&Shape::Table(&REGION))),
        may("check", Shape::Named(&Shape::Table(&CHECK))),
        may("pool", Shape::Named(&Shape::Table(&POOL))),
        may("zone", Shape::List(&Shape::Table(&ZONE))),
        may("state", Shape::Table(&STATE)),
        may("automation", Shape::Table(&AUTOMATION)),
        may("safety", Shape::List(&Shape::Table(&SAFETY))),
    ],
};

static AUTOMATION: Table = Table {
    what: "the limits of automation",
    fields: &[
        may("enabled", Shape::Bool),
        may("max_removed_percent", COUNT),
        may("velocity_window_s", SECONDS),
        may("max_removals_per_hour", COUNT),
        may("common_mode_regions", COUNT),
        may("common_mode_window_s", SECONDS),
        may("capacity_used_percent", COUNT),
        may("degraded_percent", COUNT),
        may("ramp_percent", Shape::List(&COUNT)),
        may("ramp_step_s", SECONDS),
    ],
};

static SAFETY: Table = Table {
    what: "a safety rule",
    fields: &[
        needed("name", Shape::Text),
        needed("at_least", COUNT),
        needed("regions", Shape::List(&REGION_NAME)),
        may("pool", Shape::Text),
    ],
};

static STATE: Table = Table {
    what: "the state's policy",
    fields: &[
        may("max_value_bytes", COUNT),
        may("detach_after_s", SECONDS),
        may("prefix", Shape::List(&Shape::Table(&PREFIX))),
    ],
};

static PREFIX: Table = Table {
    what: "a key prefix",
    fields: &[
        needed("starts_with", Shape::Text),
        may("conflicts", Shape::Word(&["add-wins", "remove-wins"])),
        may("durability", Shape::Word(&["everysec", "always"])),
    ],
};

static REGION: Table = Table {
    what: "a region",
    fields: &[
        needed("name", REGION_NAME),
        needed("id", Shape::Whole(u16::MAX as u64)),
        may("place", Shape::Text),
        needed("location", Shape::Table(&LOCATION)),
        may("gateway_v4", IPV4),
        may("gateway_v6", IPV6),
        may("gateway_port", Shape::Whole(u16::MAX as u64)),
        may("check", Shape::Text),
        may("capacity_rps", COUNT),
    ],
};

static LOCATION: Table =
    Table { what: "a location", fields: &[needed("latitude", Shape::Number), needed("longitude", Shape::Number)] };

static CHECK: Table = Table {
    what: "a check",
    fields: &[
        needed("kind", Shape::Word(&["tcp", "http", "https", "grpc", "exec"])),
        may("path", Shape::Text),
        may("interval_ms", MILLIS),
        may("timeout_ms", MILLIS),
        may("down_after", COUNT),
        may("up_after", COUNT),
        may("port", Shape::Whole(u16::MAX as u64)),
        may("host", Shape::Text),
        may("service", Shape::Text),
        may("command", Shape::List(&Shape::Text)),
        may("certificate_days", COUNT),
        may("errors_percent", COUNT),
    ],
};

static POOL: Table = Table {
    what: "a pool",
    fields: &[
        needed("members", Shape::List(&REGION_NAME)),
        may("check", Shape::Text),
        may("all_down", Shape::Word(&["fail_open", "fail_closed"])),
        may("weights", Shape::Named(&COUNT)),
        may("min_healthy", COUNT),
        may("automation", Shape::Bool),
        may("home", REGION_NAME),
    ],
};

static ZONE: Table = Table {
    what: "a zone",
    fields: &[
        needed("origin", Shape::Text),
        may("ttl", SECONDS),
        may("soa", Shape::Table(&SOA)),
        needed("ns", Shape::List(&Shape::Text)),
        may("record", Shape::List(&Shape::Table(&RECORD))),
        may("steered", Shape::List(&Shape::Table(&STEERED))),
    ],
};

static SOA: Table = Table {
    what: "a start of authority",
    fields: &[
        may("mail", Shape::Text),
        may("refresh", SECONDS),
        may("retry", SECONDS),
        may("expire", SECONDS),
        may("minimum", SECONDS),
    ],
};

static RECORD: Table = Table {
    what: "a record",
    fields: &[
        needed("name", Shape::Text),
        needed("type", Shape::Word(&["A", "AAAA", "CNAME", "TXT"])),
        needed("value", Shape::AsSays { sibling: "type", shape: shape_of_record }),
        may("ttl", SECONDS),
    ],
};

fn shape_of_record(kind: &str) -> Shape {
    match kind {
        "A" => IPV4,
        "AAAA" => IPV6,
        _ => Shape::Text,
    }
}

static STEERED: Table = Table {
    what: "a steered name",
    fields: &[
        needed("name", Shape::Text),
        needed("pool", Shape::Text),
        needed("policy", Shape::Word(&["nearest", "failover"])),
        may("order", Shape::List(&REGION_NAME)),
        may("take", COUNT),
        may("ttl", Shape::Table(&TTL)),
    ],
};

static TTL: Table = Table { what: "limits of a TTL", fields: &[may("min", SECONDS), may("max", SECONDS)] };
