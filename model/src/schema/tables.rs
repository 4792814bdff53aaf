//! The tables themselves, in the order of the file.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Choice, Field, Form, Shape, Table, Unsaid};
use crate::{
    Clients, RegionName, TypeNumber, World,
    limits::{self, Limits},
};

const fn needed(key: &'static str, shape: Shape, doc: &'static str) -> Field {
    Field { key, unsaid: Unsaid::Needed, shape, doc }
}

const fn or(key: &'static str, shape: Shape, default: &'static str, doc: &'static str) -> Field {
    Field { key, unsaid: Unsaid::Is(default), shape, doc }
}

const fn may(key: &'static str, shape: Shape, unsaid: &'static str, doc: &'static str) -> Field {
    Field { key, unsaid: Unsaid::Means(unsaid), shape, doc }
}

const TEXT: Shape = Shape::Text(0..=u64::MAX);
static TEXT_SHAPE: Shape = TEXT;
const REGION: Shape = Shape::Reads(&REGION_NAME);
const LABEL: Shape = Shape::Reads(&NAME);
const IPV4: Shape = Shape::Reads(&IPV4_ADDRESS);
const IPV6: Shape = Shape::Reads(&IPV6_ADDRESS);

const fn count(limits: Limits) -> Shape {
    Shape::Whole { limits, fits: u32::MAX as u64 }
}

const fn millis(limits: Limits) -> Shape {
    Shape::Whole { limits, fits: i64::MAX as u64 }
}

const fn short(limits: Limits) -> Shape {
    Shape::Whole { limits, fits: u16::MAX as u64 }
}

const fn up_to(most: usize) -> Limits {
    Limits::new(0, most as u64)
}

/// The rule of region names, for editors.
pub(super) const NAME_PATTERN: (&str, &str) = ("pattern", "^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$");

static REGION_NAME: Form = Form {
    as_what: "a region's name",
    check: |text| RegionName::new(text).map(drop).map_err(|error| error.why.to_owned()),
    json: NAME_PATTERN,
    docs: "name of a region",
};
static NAME: Form = Form {
    as_what: "a name",
    check: |text| RegionName::new(text).map(drop).map_err(|error| error.why.to_owned()),
    json: NAME_PATTERN,
    docs: "name",
};
static IPV4_ADDRESS: Form = Form {
    as_what: "an IPv4 address",
    check: |text| text.parse::<Ipv4Addr>().map(drop).map_err(|_| "it is written like 192.0.2.1".to_owned()),
    json: ("format", "ipv4"),
    docs: "IPv4 address",
};
static IPV6_ADDRESS: Form = Form {
    as_what: "an IPv6 address",
    check: |text| text.parse::<Ipv6Addr>().map(drop).map_err(|_| "it is written like 2001:db8::1".to_owned()),
    json: ("format", "ipv6"),
    docs: "IPv6 address",
};

static CLIENTS: Form = Form {
    as_what: "a group of clients",
    check: |text| text.parse::<Clients>().map(drop),
    json: CLIENTS_PATTERN,
    docs: "[clients](#which-clients)",
};
static NETWORK: Form = Form {
    as_what: "a network",
    check: |text| crate::validate::network(text).map(drop),
    json: ("pattern", "^[0-9a-fA-F.:]+/[0-9]{1,3}$"),
    docs: "network",
};

/// The rule of groups of clients, for editors.
pub(super) const CLIENTS_PATTERN: (&str, &str) = (
    "pattern",
    "^([*]|africa|antarctica|asia|europe|north-america|oceania|south-america|[A-Z]{2}|[A-Z]{2}-[A-Z0-9]{1,3}|[A-Z]{2}/.+|AS[0-9]+|list:.+)$",
);

static RECORD_TYPE: Form = Form {
    as_what: "a type of record",
    // ALIAS is none on the wire: what is answered are the addresses that it stands for.
    check: |text| if text == "ALIAS" { Ok(()) } else { TypeNumber::parse(text).map(drop) },
    json: ("pattern", "^[A-Z][A-Z0-9]*$"),
    docs: "type of record",
};

pub(crate) static WORLD: Table = Table {
    name: "world",
    what: "a world",
    fields: &[
        needed("name", Shape::Text(limits::TITLE_CHARS), "name of the world, for people; also in its CA"),
        or(
            "profile",
            Shape::Word(&["default", "fast"]),
            "\"default\"",
            "how quick failover is, see [timings](failover.md#the-profiles)",
        ),
        needed("region", Shape::List(&Shape::Table(&REGION_TABLE), limits::REGIONS), "the places that can serve alone"),
        may("check", Shape::Named(&NAME, &Shape::Table(&CHECK)), "", "how regions watch each other; up to 256"),
        may("pool", Shape::Named(&NAME, &Shape::Table(&POOL)), "", "regions that can serve the same names; up to 256"),
        may(
            "policy",
            Shape::Named(&NAME, &Shape::Table(&POLICY)),
            "",
            "chains of steps that pick members of a pool; up to 256",
        ),
        may(
            "prefix_list",
            Shape::List(&Shape::Table(&PREFIX_LIST), up_to(World::PREFIX_LISTS_MAX)),
            "",
            "networks that policies speak of by name",
        ),
        may("zone", Shape::List(&Shape::Table(&ZONE), up_to(World::ZONES_MAX)), "", "the zones that DNS answers for"),
        may("state", Shape::Table(&STATE), "", "limits and policies of the replicated state"),
        may("automation", Shape::Table(&AUTOMATION), "", "how far automation may go"),
        may(
            "safety",
            Shape::List(&Shape::Table(&SAFETY), limits::SAFETY_RULES),
            "",
            "what must hold after every change",
        ),
    ],
};

static REGION_TABLE: Table = Table {
    name: "region",
    what: "a region",
    fields: &[
        needed("name", REGION, "1 to 32 of `a-z 0-9 -`, beginning with a letter, not ending in `-`; unique"),
        needed(
            "id",
            short(limits::ID),
            "unique. Belongs to the region for ever: it is part of the name of every change it makes. Never give it to another region",
        ),
        may("place", Shape::Text(limits::PLACE_CHARS), "", "where it is, for people"),
        needed("location", Shape::Table(&LOCATION), "where it is, for distances: what `nearest` measures from"),
        may(
            "gateway_v4",
            IPV4,
            "",
            "what A answers name. At least one of the two; an address and port belong to one region",
        ),
        may("gateway_v6", IPV6, "", "what AAAA answers name"),
        or("gateway_port", short(limits::PORT), "8080", "port of the gateway"),
        may("check", LABEL, "the one on which its pools agree", "name of the check that judges the gateway"),
        may(
            "capacity_rps",
            count(limits::CAPACITY_RPS),
            "unknown",
            "what it can carry, requests per second. The capacity guard leaves out a region of which nobody knows",
        ),
    ],
};

static LOCATION: Table = Table {
    name: "location",
    what: "a location",
    fields: &[
        needed("latitude", Shape::Number { least: -90.0, most: 90.0 }, "degrees north"),
        needed("longitude", Shape::Number { least: -180.0, most: 180.0 }, "degrees east"),
    ],
};

static CHECK: Table = Table {
    name: "check",
    what: "a check",
    fields: &[
        needed(
            "kind",
            Shape::Word(&["tcp", "http", "https", "grpc", "exec"]),
            "`tcp`: a connection opens; `http`: `GET path` answers 2xx; `https`: the same over TLS with a certificate that the node trusts; \
             `grpc`: `grpc.health.v1.Health/Check` answers SERVING, over cleartext HTTP/2; `exec`: a program ends with 0 (Up), 1 (Degraded) or anything else (Down)",
        ),
        or(
            "path",
            Shape::Text(limits::PATH_CHARS),
            "\"/healthz\"",
            "of `http` and `https`: begins with `/`, printable characters",
        ),
        or("interval_ms", millis(limits::INTERVAL_MS), "500", "from one probe's start to the next one's"),
        or(
            "timeout_ms",
            millis(limits::TIMEOUT_MS),
            "1000",
            "a probe without an answer by then has failed; at most 10 intervals",
        ),
        or(
            "down_after",
            count(limits::DOWN_AFTER),
            "3",
            "failures until a vote becomes Down. Successes in between do not clear the count; that many in a row do",
        ),
        or("up_after", count(limits::UP_AFTER), "6", "successes in a row until it becomes Up again"),
        may("port", short(limits::PORT), "the gateway's", "port that is probed"),
        may(
            "host",
            TEXT,
            "",
            "host name that is sent along with `http`, `https` and `grpc`, and that the certificate must carry; needed for `https`",
        ),
        or(
            "service",
            Shape::Text(limits::SERVICE_CHARS),
            "\"\"",
            "service that `grpc` asks about; empty: the whole server",
        ),
        or(
            "command",
            Shape::List(&TEXT, up_to(16)),
            "[]",
            "of `exec`, needed there: the plain name of a program in the node's directory of checks, and up to 15 arguments of 256 bytes",
        ),
        or(
            "certificate_days",
            count(limits::CERTIFICATE_DAYS),
            "7",
            "of `https`: a certificate that ends within so many days makes the member Degraded; 0 never does",
        ),
        or(
            "errors_percent",
            count(limits::ERRORS_PERCENT),
            "20",
            "share of failed requests from which what the gateway tells of its own traffic makes the member Degraded; 0 never does",
        ),
    ],
};

static POOL: Table = Table {
    name: "pool",
    what: "a pool",
    fields: &[
        needed("members", Shape::List(&REGION, limits::REGIONS), "the regions whose gateways are members"),
        may("check", LABEL, "", "name of a check. Without one, members are never judged; overrides still hold"),
        or(
            "all_down",
            Shape::Word(&["fail_open", "fail_closed"]),
            "\"fail_open\"",
            "what is answered when every member is down: all of them, or nothing",
        ),
        may(
            "weights",
            Shape::Named(&REGION_NAME, &WEIGHT),
            "100 each",
            "relative weights of members. A member of weight 0 stands by: it is named when no other one serves. Not all are zero",
        ),
        or(
            "min_healthy",
            count(limits::REGIONS),
            "1",
            "automation leaves at least so many members serving; up to the number of members",
        ),
        or(
            "panic_below",
            count(limits::REGIONS),
            "1",
            "if fewer members than this serve, answers are given as if all were down; A and AAAA each count those with such an address",
        ),
        or("automation", Shape::Bool, "true", "whether automation may take members out and bring them back"),
        may(
            "home",
            REGION,
            "",
            "the one member that may write, of a pool whose state has a home; automation never moves it",
        ),
    ],
};

static WEIGHT: Shape = count(limits::WEIGHT);

static POLICY: Table = Table {
    name: "policy",
    what: "a policy",
    fields: &[needed("step", Shape::List(&Shape::OneOf(&STEP), limits::STEPS), "its steps, taken one after the other")],
};

const REGIONS: Shape = Shape::List(&REGION, limits::REGIONS);
static ORDER: Shape = Shape::List(&REGION, limits::REGIONS);
static BIAS: Shape = Shape::Signed { least: *limits::BIAS_PERCENT.start(), most: *limits::BIAS_PERCENT.end() };
static LATENCY: Shape = count(limits::LATENCY_MS);
static LATENCIES: Shape = Shape::Named(&REGION_NAME, &LATENCY);

const fn step(kind: &'static str, what: &'static str, fields: &'static [Field]) -> Table {
    Table { name: kind, what, fields }
}

/// The steps of policies.
pub(super) static STEP: Choice = Choice {
    name: "step",
    what: "a step",
    tag: "kind",
    cases: &[
        step(
            "fence",
            "a step of kind `fence`",
            &[
                may(
                    "clients",
                    Shape::List(&Shape::Reads(&CLIENTS), limits::MAP_ENTRIES),
                    "everybody",
                    "who is kept inside",
                ),
                needed("regions", REGIONS, "the regions they are kept in"),
                or(
                    "none_left",
                    Shape::Word(&["open", "closed"]),
                    "\"open\"",
                    "if none of these serves: `open` lets them out; `closed` does what the pool's `all_down` says, with the regions inside",
                ),
            ],
        ),
        step(
            "nearest",
            "a step of kind `nearest`",
            &[may(
                "bias",
                Shape::Named(&REGION_NAME, &BIAS),
                "0 each",
                "makes a region's area larger or smaller: a distance `d` counts as `d × (1 − bias/100)` if the bias is positive, as `d / (1 + bias/100)` if it is negative",
            )],
        ),
        step(
            "map",
            "a step of kind `map`",
            &[needed(
                "orders",
                Shape::Named(&CLIENTS, &ORDER),
                "which regions come first for whom, best first; of the entries that hold for a client the most specific one counts, `*` for everybody",
            )],
        ),
        step(
            "latency",
            "a step of kind `latency`",
            &[needed(
                "ms",
                Shape::Named(&CLIENTS, &LATENCIES),
                "measured round trips from clients to regions, milliseconds; the most specific entry counts. What it does not know comes after, by distance",
            )],
        ),
        step(
            "failover",
            "a step of kind `failover`",
            &[may("order", REGIONS, "the pool's order", "the regions, best first")],
        ),
        step(
            "weighted",
            "a step of kind `weighted`",
            &[may(
                "weights",
                Shape::Named(&REGION_NAME, &WEIGHT),
                "the pool's",
                "draws an order for each answer: first places are had as often as weights say",
            )],
        ),
        step("shuffle", "a step of kind `shuffle`", &[]),
        step(
            "sticky",
            "a step of kind `sticky`",
            &[
                may(
                    "weights",
                    Shape::Named(&REGION_NAME, &WEIGHT),
                    "the pool's",
                    "how large the parts of the clients are",
                ),
                may(
                    "max_load_percent",
                    count(limits::MAX_LOAD_PERCENT),
                    "no bound",
                    "the most that a member is sent, in percent of what its weight says, while others are out",
                ),
            ],
        ),
        step(
            "spill",
            "a step of kind `spill`",
            &[
                needed(
                    "low_permille",
                    count(limits::LOAD_PERMILLE),
                    "up to this load, per mille of what a region can carry, nobody is sent elsewhere",
                ),
                needed(
                    "high_permille",
                    count(limits::LOAD_PERMILLE),
                    "from this load on everybody is, if anybody else serves",
                ),
            ],
        ),
        step(
            "trickle",
            "a step of kind `trickle`",
            &[
                needed(
                    "permille",
                    count(limits::TRICKLE_PERMILLE),
                    "how many of a thousand client networks are always sent there",
                ),
                may("to", REGIONS, "members of weight 0", "where to"),
            ],
        ),
        step(
            "take",
            "a step of kind `take`",
            &[needed(
                "count",
                count(limits::STEP_TAKE),
                "the steps behind it see only so many members, the first that serve",
            )],
        ),
        step(
            "fallback",
            "a step of kind `fallback`",
            &[
                needed("pool", LABEL, "the pool that is asked when none of this one serves"),
                or("policy", LABEL, "\"nearest\"", "how its members are picked"),
            ],
        ),
    ],
};

static PREFIX_LIST: Table = Table {
    name: "prefix_list",
    what: "a prefix list",
    fields: &[
        needed("name", LABEL, "its name, unique; policies write `list:NAME`"),
        needed(
            "prefixes",
            Shape::List(&Shape::Reads(&NETWORK), limits::PREFIXES),
            "networks: `192.0.2.0/24`, `2001:db8::/32`",
        ),
    ],
};

static ZONE: Table = Table {
    name: "zone",
    what: "a zone",
    fields: &[
        needed(
            "origin",
            TEXT,
            "domain name, lower case, without a last dot; unique. It may lie inside another zone's if that one has nothing there",
        ),
        may(
            "file",
            TEXT,
            "",
            "a [master file](#zones-in-master-files), from the folder of the world file; it says `ttl`, `ns`, `soa` and all records",
        ),
        or("ttl", count(limits::STATIC_TTL), "300", "seconds: of SOA, NS and static records that say nothing else"),
        Field {
            key: "ns",
            unsaid: Unsaid::NeededUnless("file"),
            shape: Shape::List(&TEXT, limits::REGIONS),
            doc: "the zone's NS records, absolute names. One that lies in the zone needs an address there",
        },
        may("soa", Shape::Table(&SOA), "", "start of authority; the serial is the Plan's version"),
        may("record", Shape::List(&Shape::Table(&RECORD), up_to(World::NAMES_MAX)), "", "static records"),
        may("steered", Shape::List(&Shape::Table(&STEERED), up_to(World::NAMES_MAX)), "", "steered names"),
    ],
};

static SOA: Table = Table {
    name: "soa",
    what: "a start of authority",
    fields: &[
        may("primary", TEXT, "the first of `ns`", "name of the primary server"),
        may(
            "mail",
            TEXT,
            "`hostmaster.ORIGIN`",
            "mailbox of the responsible person in DNS form, with a dot for the `@`",
        ),
        or("refresh", count(limits::SOA), "3600", "seconds"),
        or("retry", count(limits::SOA), "600", "seconds"),
        or("expire", count(limits::SOA), "1209600", "seconds"),
        or("minimum", count(limits::NEGATIVE_TTL), "30", "seconds: the TTL of negative answers"),
        may(
            "ttl",
            count(limits::STATIC_TTL),
            "the zone's",
            "seconds: of the SOA record itself; negative answers live no longer",
        ),
    ],
};

static RECORD: Table = Table {
    name: "record",
    what: "a record",
    fields: &[
        needed(
            "name",
            TEXT,
            "relative to the origin; `@` is the origin itself, `*` or `*.x` a wildcard, `\\047` a byte that is no letter, digit, `-` or `_`",
        ),
        needed(
            "type",
            Shape::Reads(&RECORD_TYPE),
            "`A`, `AAAA`, `CNAME`, `ALIAS`, `TXT`, `MX`, `SRV`, `CAA`, `HTTPS`, …, see [dns.md](dns.md#types), or `TYPE257`",
        ),
        needed(
            "value",
            Shape::AsSays {
                sibling: "type",
                cases: &[
                    ("A", IPV4),
                    ("AAAA", IPV6),
                    ("CNAME", TEXT),
                    ("ALIAS", TEXT),
                    ("TXT", Shape::Text(limits::TXT_BYTES)),
                ],
            },
            "address, absolute name, or text of 1 to 4000 bytes; of other types, what a zone file would say, names absolute",
        ),
        may("ttl", count(limits::STATIC_TTL), "the zone's", "seconds"),
    ],
};

static STEERED: Table = Table {
    name: "steered",
    what: "a steered name",
    fields: &[
        needed("name", TEXT, "relative to the origin. Owns A and AAAA at its name; TXT may stand beside it"),
        needed("pool", LABEL, "name of the pool that serves it"),
        needed(
            "policy",
            LABEL,
            "`nearest`, `failover`, or a policy of this world: how members are picked, see [dns.md](dns.md#steering)",
        ),
        may("order", Shape::List(&REGION, up_to(64)), "the pool's order", "members of the pool; only for `failover`"),
        or("take", count(limits::TAKE), "1", "how many addresses an answer names"),
        may("ttl", Shape::Table(&TTL), "", "limits of the TTL; health decides inside them"),
        may(
            "https",
            TEXT,
            "no such record",
            "data of an HTTPS record: `1 . alpn=h2,h3 port=8443`. The hints are added: the addresses that the client would be told",
        ),
        may("svcb", TEXT, "no such record", "the same for SVCB"),
        may(
            "targets",
            Shape::Named(&REGION_NAME, &TEXT_SHAPE),
            "",
            "absolute names by region. With them the name is a CNAME to the picked member's name; a region without one is passed over",
        ),
    ],
};

static TTL: Table = Table {
    name: "ttl",
    what: "limits of a TTL",
    fields: &[
        or("min", count(Limits::new(0, *limits::STEERED_TTL.end())), "1", "seconds: never less"),
        or(
            "max",
            count(limits::STEERED_TTL),
            "30",
            "seconds: never more. Resolvers go on naming a dead region for as long as they may keep the answer",
        ),
    ],
};

static STATE: Table = Table {
    name: "state",
    what: "the state's policy",
    fields: &[
        or(
            "max_value_bytes",
            count(limits::MAX_VALUE_BYTES),
            "8388608",
            "longest value, field or member that a command may store; longer ones are refused before they are read",
        ),
        or(
            "detach_after_s",
            count(limits::DETACH_AFTER_S),
            "86400",
            "a region that has not been heard of for so long is waited for by nobody; when it returns, its own writes are taken in all the same",
        ),
        may(
            "prefix",
            Shape::List(&Shape::Table(&PREFIX), up_to(World::PREFIXES_MAX)),
            "",
            "policies by key prefix; the longest one that fits a key decides",
        ),
    ],
};

static PREFIX: Table = Table {
    name: "prefix",
    what: "a key prefix",
    fields: &[
        needed("starts_with", Shape::Text(limits::PREFIX_BYTES), "how the keys begin: `session:`; unique"),
        or(
            "conflicts",
            Shape::Word(&["add-wins", "remove-wins"]),
            "\"add-wins\"",
            "`remove-wins`: what one region removes stays away, even if another one adds it at the same moment",
        ),
        or(
            "durability",
            Shape::Word(&["everysec", "always"]),
            "\"everysec\"",
            "`always`: a write is acknowledged once the disk has it, not already when the system has it",
        ),
    ],
};

static AUTOMATION: Table = Table {
    name: "automation",
    what: "the limits of automation",
    fields: &[
        or(
            "enabled",
            Shape::Bool,
            "true",
            "whether automation may change verdicts at all; a pool can be exempted by its own `automation = false`",
        ),
        or(
            "max_removed_percent",
            count(limits::SHARE_PERCENT),
            "34",
            "how much of a pool's weight automation may take out within `velocity_window_s`. One region may always go; what has come back meanwhile does not count",
        ),
        or("velocity_window_s", count(limits::VELOCITY_WINDOW_S), "300", "the window of `max_removed_percent`"),
        or(
            "max_removals_per_hour",
            count(limits::REMOVALS_PER_HOUR),
            "60",
            "how many removals automation may make in an hour over the whole world",
        ),
        or(
            "common_mode_regions",
            count(limits::COMMON_MODE_REGIONS),
            "2",
            "when so many regions fall within `common_mode_window_s`, the observers or the backbone are taken to be at fault: automation stops and people are called",
        ),
        or("common_mode_window_s", count(limits::COMMON_MODE_WINDOW_S), "30", "the window of `common_mode_regions`"),
        or(
            "capacity_used_percent",
            count(limits::SHARE_PERCENT),
            "90",
            "how much of the capacity that would be left the present demand may take",
        ),
        or(
            "degraded_percent",
            count(limits::SHARE_PERCENT),
            "50",
            "which share of its normal traffic a Degraded member is sent",
        ),
        or(
            "ramp_percent",
            Shape::List(&RAMP, limits::RAMP_STEPS),
            "[10, 50]",
            "the shares that a member passes through on its way back, growing; then 100. Empty: at once",
        ),
        or("ramp_step_s", count(limits::RAMP_STEP_S), "5", "how long each of them lasts"),
    ],
};

static RAMP: Shape = count(limits::RAMP_PERCENT);

static SAFETY: Table = Table {
    name: "safety",
    what: "a safety rule",
    fields: &[
        needed("name", Shape::Text(limits::TITLE_CHARS), "its name, for refusals; unique"),
        needed(
            "at_least",
            count(limits::REGIONS),
            "at least so many of `regions` must serve after every change, whoever makes it",
        ),
        needed("regions", Shape::List(&REGION, limits::REGIONS), "which regions are counted"),
        may("pool", LABEL, "as regions", "the pool in which they are counted, as members"),
    ],
};

/// Every table, in the order of the file, for those who go through all of them.
#[cfg(test)]
pub(super) static ALL: [&Table; 16] = [
    &WORLD,
    &REGION_TABLE,
    &LOCATION,
    &CHECK,
    &POOL,
    &POLICY,
    &PREFIX_LIST,
    &ZONE,
    &SOA,
    &RECORD,
    &STEERED,
    &TTL,
    &STATE,
    &PREFIX,
    &AUTOMATION,
    &SAFETY,
];
