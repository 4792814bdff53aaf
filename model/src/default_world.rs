//! The world file that `atoll up` writes for a newcomer: small, complete, and explained line by line.

use std::{fmt::Write as _, net::Ipv4Addr};

use crate::{Profile, World};

/// A place of the default world: region, place, latitude, longitude.
type Site = (&'static str, &'static str, f64, f64);

/// The regions of the default world, in the order of their ids, which begin at 1.
const SITES: [Site; 5] = [
    ("us-east", "Virginia", 39.04, -77.49),
    ("eu-west", "Dublin", 53.35, -6.26),
    ("ap-south", "Mumbai", 19.08, 72.88),
    ("us-west", "Oregon", 45.84, -119.7),
    ("sa-east", "São Paulo", -23.55, -46.63),
];

impl World {
    /// The most regions that the default world has places for.
    pub const DEFAULT_REGIONS_MAX: usize = SITES.len();

    /// The text of the default world: the first `regions` of its places (1 to [`World::DEFAULT_REGIONS_MAX`]; more or fewer
    /// are taken as that), region `i` with its gateway at `127.NET.i.1:8080`.
    pub fn default_toml(regions: usize, net: u8) -> String {
        Self::default_toml_of(Profile::Default, regions, net)
    }

    /// The same with a profile of one's choice.
    pub fn default_toml_of(profile: Profile, regions: usize, net: u8) -> String {
        let gateway = |id| Ipv4Addr::new(127, net, id, 1);
        let sites: Vec<(u8, &Site)> = (1..).zip(&SITES[..regions.clamp(1, SITES.len())]).collect();
        let mut text = String::from(HEAD);
        push(&mut text, format_args!("profile = \"{profile}\"\n{REGIONS}"));
        for (id, (name, place, latitude, longitude)) in &sites {
            let at = gateway(*id);
            push(
                &mut text,
                format_args!(
                    "\n[[region]]\nname = \"{name}\"\nid = {id}\nplace = \"{place}\"\n\
                 location = {{ latitude = {latitude}, longitude = {longitude} }}\ngateway_v4 = \"{at}\"\ngateway_port = 8080\n"
                ),
            );
        }
        let names: Vec<String> = sites.iter().map(|(_, (name, ..))| format!("\"{name}\"")).collect();
        let servers: Vec<String> = sites.iter().map(|(id, _)| format!("\"ns{id}.shop.test\"")).collect();
        text.push_str(CHECK);
        push(&mut text, format_args!("\n[pool.web]\nmembers = [{}]\n", names.join(", ")));
        text.push_str(POOL_REST);
        push(&mut text, format_args!("{ZONE}ns = [{}]\n{RECORDS}", servers.join(", ")));
        for (id, _) in &sites {
            let at = gateway(*id);
            push(&mut text, format_args!("\n[[zone.record]]\nname = \"ns{id}\"\ntype = \"A\"\nvalue = \"{at}\"\n"));
        }
        text.push_str(NAMES);
        push(&mut text, format_args!("{STEERED}order = [{}]\n", names.join(", ")));
        text.push_str(STATE);
        text
    }
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing into a String cannot fail.
    let _ = text.write_fmt(what);
}

const STATE: &str = r#"
# --- State: what every region keeps of what apps write (docs/state.md) ----------------------------------------------------

[state]
max_value_bytes = 8388608    # longest value, field or member; longer ones are refused before they are read
detach_after_s = 86400       # a region away for longer is waited for by nobody; its own writes are still taken in later

# Policies by key prefix; the longest one that fits a key decides.
[[state.prefix]]
starts_with = "revoked:"
conflicts = "remove-wins"    # what one region removes stays away, even if another one adds it at the same moment ("add-wins")
durability = "always"        # acknowledged once the disk has it ("everysec": once the system has it)

# [automation] says how far failover may go by itself, [[safety]] what must hold after every change: docs/world.md.
"#;

const HEAD: &str = r#"# The world: everything that this installation should be. A world is founded from it; one that runs already is changed with
# `atoll apply`, which shows what changes before it asks. Unknown keys are errors, and every error names its line.

name = "shop"

# How quick failover is: "default" (a dead region is out of all answers within 4 s) or "fast" (1.5 s, more probes,
# only for regions less than 100 ms apart).
"#;

const REGIONS: &str = r#"
# --- Regions: places that can serve alone ------------------------------------------------------------------------------
# `id` belongs to a region for ever: never give it to another one. `location` is what "nearest" measures from.
# `gateway_v4` and `gateway_v6` are the addresses that users are sent to.
"#;

const CHECK: &str = r#"
# --- Checks: how regions watch each other --------------------------------------------------------------------------------
# Every region probes every gateway. Two thirds of the others must call a region Down before it leaves the answers.

[check.gateway]
kind = "http"        # or "tcp": a connection that opens is enough
path = "/healthz"    # 2xx is good
interval_ms = 500    # from one probe to the next
timeout_ms = 1000    # a probe without an answer by then has failed
down_after = 3       # failures until a region's vote on another becomes Down
up_after = 6         # successes in a row until it becomes Up again: fast out, slow in

# --- Pools: regions that can serve the same name --------------------------------------------------------------------------
"#;

const POOL_REST: &str = r#"check = "gateway"
all_down = "fail_open"    # when every member is down, answer as if all were up: a guess beats an empty answer
"#;

const ZONE: &str = r#"
# --- Zones: the names that users ask for ----------------------------------------------------------------------------------

[[zone]]
origin = "shop.test"
ttl = 300    # of records that say nothing else, in seconds
"#;

const RECORDS: &str = r#"
# Static records. `name` is relative to the origin; "@" is the zone itself, "*" any name that is not there.
"#;

const NAMES: &str = r#"
[[zone.record]]
name = "@"
type = "TXT"
value = "served by atoll"

[[zone.record]]
name = "shop"
type = "CNAME"
value = "www.shop.test"

[[zone.record]]
name = "*.dev"
type = "TXT"
value = "any name below dev.shop.test"
"#;

const STEERED: &str = r#"
# Steered names: A and AAAA answers depend on who asks and on which regions live.

[[zone.steered]]
name = "www"
pool = "web"
policy = "nearest"              # the living region closest to the user
ttl = { min = 1, max = 30 }     # seconds; health decides inside these limits

[[zone.steered]]
name = "@"
pool = "web"
policy = "nearest"

[[zone.steered]]
name = "pay"
pool = "web"
policy = "failover"             # the first living region of this order
"#;
