//! Errors as people see them, and the laws between text, types and schema.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};
use proptest::prelude::*;

use crate::{
    AllDown, Automation, Check, CheckKind, Clients, Conflicts, Durability, LoadedFile, Location, NameTtl, NoneLeft,
    Policy, Pool, PrefixList, PrefixPolicy, Profile, Record, RecordData, Region, RegionName, SafetyRule, Soa,
    StatePolicy, Steered, SteeringPolicy, Step, World, WorldErrors, Zone,
};

/// The default world with `from` replaced by `to`, parsed: the errors are what is expected.
fn check(from: &str, to: &str, errors: Expect) {
    let text = World::default_toml(3, 0);
    assert!(text.contains(from), "the default world has no `{from}`");
    check_text(&text.replacen(from, to, 1), errors);
}

#[expect(clippy::needless_pass_by_value, reason = "an expectation is written in the call")]
fn check_text(text: &str, errors: Expect) {
    let found = World::parse(text, "world.toml").map_or_else(|errors| errors.to_string(), |_| "no error".to_owned());
    errors.assert_eq(&found);
}

#[test]
fn the_default_world_is_valid_and_has_a_gateway_per_region() {
    for regions in 1..=World::DEFAULT_REGIONS_MAX {
        let text = World::default_toml(regions, 7);
        let world = World::parse(&text, "world.toml").unwrap_or_else(|e| panic!("{e}"));
        let gateways: Vec<String> = world.regions.iter().map(|r| r.gateway().unwrap().to_string()).collect();
        let expected: Vec<String> = (1..=regions).map(|i| format!("127.7.{i}.1:8080")).collect();
        assert_eq!(gateways, expected);
        assert_eq!(
            world.check_of(&world.regions[0].name).unwrap().1,
            &Check::default(),
            "the comments tell the defaults"
        );
        for profile in [Profile::Default, Profile::Fast] {
            let text = World::default_toml_of(profile, regions, 7);
            assert_eq!(World::parse(&text, "world.toml").map(|world| world.profile), Ok(profile));
        }
    }
}

#[test]
fn a_policy_of_the_state_is_checked() {
    check(
        "max_value_bytes = 8388608",
        "max_value_bytes = 12",
        expect![
            "world.toml:117:19: state.max_value_bytes: the limit of a value, in bytes, must be 1024 to 33554432, not 12"
        ],
    );
    check(
        "detach_after_s = 86400",
        "detach_after_s = 5",
        expect![
            "world.toml:118:18: state.detach_after_s: the time to detachment, in seconds, must be 60 to 2592000, not 5"
        ],
    );
    check(
        "conflicts = \"remove-wins\"",
        "conflicts = \"last-wins\"",
        expect![[
            r#"world.toml:123:13: state.prefix[0].conflicts: `last-wins` is not one of "add-wins", "remove-wins" (did you mean `add-wins`?)"#
        ]],
    );
    check(
        "durability = \"always\"",
        "durability = \"sometimes\"",
        expect![[r#"world.toml:124:14: state.prefix[0].durability: `sometimes` is not one of "everysec", "always""#]],
    );
    check(
        "starts_with = \"revoked:\"",
        "begins_with = \"revoked:\"",
        expect![[r#"
        world.toml:121:1: state.prefix[0].starts_with: a key prefix needs `starts_with`: a text
        world.toml:122:1: state.prefix[0].begins_with: a key prefix has no key `begins_with` (it has: starts_with, conflicts, durability)"#]],
    );
    check(
        "[[state.prefix]]",
        "[[state.prefix]]\nstarts_with = \"revoked:\"\n\n[[state.prefix]]",
        expect!["world.toml:125:15: state.prefix[1].starts_with: `revoked:` has a policy already: prefix[0]"],
    );
}

#[test]
fn syntax_errors_name_line_and_column() {
    check(
        "name = \"shop\"",
        "name = shop",
        expect!["world.toml:4:8: not TOML: string values must be quoted, expected literal string"],
    );
    check("[pool.web]", "[pool.web", expect!["world.toml:51:10: not TOML: unclosed table, expected `]`"]);
    check("id = 2", "id = 2\nid = 3", expect!["world.toml:25:1: not TOML: duplicate key"]);
}

#[test]
fn unknown_keys_are_errors_with_a_suggestion() {
    check(
        "gateway_v4 =",
        "gatewayv4 =",
        expect!["world.toml:19:1: region[0].gatewayv4: a region has no key `gatewayv4` (did you mean `gateway_v4`?)"],
    );
    check(
        "down_after = 3",
        "down_atfer = 3",
        expect![
            "world.toml:46:1: check.gateway.down_atfer: a check has no key `down_atfer` (did you mean `down_after`?)"
        ],
    );
    check(
        "profile = \"default\"",
        "colour = \"blue\"",
        expect![
            "world.toml:8:1: colour: a world has no key `colour` (it has: name, profile, region, check, pool, policy, prefix_list, zone, state, automation, safety)"
        ],
    );
    check(
        "[[region]]",
        "[[regions]]",
        expect!["world.toml:14:3: regions: a world has no key `regions` (did you mean `region`?)"],
    );
}

#[test]
fn wrong_kinds_of_values_say_what_is_wanted() {
    check(
        "id = 2",
        "id = \"2\"",
        expect!["world.toml:24:6: region[1].id: this is a text, not a whole number (drop the quotes: 2)"],
    );
    check(
        "id = 2",
        "id = 70000",
        expect!["world.toml:24:6: region[1].id: 70000 must be a whole number from 0 to 65535"],
    );
    check(
        "\"127.0.2.1\"",
        "\"127.0.2\"",
        expect![
            "world.toml:27:14: region[1].gateway_v4: `127.0.2` is not an IPv4 address: it is written like 192.0.2.1"
        ],
    );
    check(
        "policy = \"nearest\"",
        "policy = \"nearby\"",
        expect!["world.toml:100:10: zone[0].steered[0].policy: there is no policy `nearby` (did you mean `nearest`?)"],
    );
    check(
        "name = \"eu-west\"",
        "name = \"EU West\"",
        expect!["world.toml:23:8: region[1].name: `EU West` is not a region's name: only a-z, 0-9 and `-` are allowed"],
    );
    check(
        "[check.gateway]",
        "[[check]]",
        expect![
            "world.toml:41:1: check: this is a list, not a table of named tables (write [check.NAME] instead of [[check]])"
        ],
    );
    check(
        "latitude = 53.35",
        "latitude = nan",
        expect!["world.toml:26:25: region[1].location.latitude: nan must be a plain number"],
    );
    check(
        "members = [\"us-east\", \"eu-west\", \"ap-south\"]",
        "members = \"us-east\"",
        expect![[r#"world.toml:52:11: pool.web.members: this is a text, not a list (did you mean ["us-east"]?)"#]],
    );
}

#[test]
fn missing_keys_say_what_they_are_for() {
    check("origin = \"shop.test\"", "", expect!["world.toml:58:1: zone[0].origin: a zone needs `origin`: a text"]);
    check_text(
        "",
        expect![[r#"
        world.toml:1:1: name: a world needs `name`: a text
        world.toml:1:1: region: a world needs `region`: a list of tables, each a region"#]],
    );
}

#[test]
fn references_that_lead_nowhere_suggest_the_nearest_name() {
    check(
        "pool = \"web\"",
        "pool = \"wbe\"",
        expect!["world.toml:99:8: zone[0].steered[0].pool: there is no pool `wbe` (did you mean `web`?)"],
    );
    check(
        "\"eu-west\", \"ap-south\"]",
        "\"eu-wset\", \"ap-south\"]",
        expect![[r#"
            world.toml:52:23: pool.web.members[1]: there is no region `eu-wset` (did you mean `eu-west`?)
            world.toml:112:21: zone[0].steered[2].order[1]: `eu-west` is not a member of pool `web`"#]],
    );
    check(
        "check = \"gateway\"",
        "check = \"gatewya\"",
        expect!["world.toml:53:9: pool.web.check: there is no check `gatewya` (did you mean `gateway`?)"],
    );
}

#[test]
fn regions_are_distinct_reachable_and_on_this_planet() {
    check("id = 2", "id = 1", expect!["world.toml:24:6: region[1].id: 1 is region[0]'s id already"]);
    check("id = 2", "id = 0", expect!["world.toml:24:6: region[1].id: a region's id must be 1 to 65535, not 0"]);
    check(
        "name = \"eu-west\"",
        "name = \"us-east\"",
        expect![[r#"
        world.toml:23:8: region[1].name: `us-east` is region[0]'s name already
        world.toml:52:23: pool.web.members[1]: there is no region `eu-west` (did you mean `us-east`?)
        world.toml:112:21: zone[0].steered[2].order[1]: there is no region `eu-west` (did you mean `us-east`?)"#]],
    );
    check(
        "\"127.0.2.1\"",
        "\"127.0.1.1\"",
        expect!["world.toml:27:14: region[1].gateway_v4: 127.0.1.1 port 8080 is region[0]'s gateway already"],
    );
    check(
        "gateway_v4 = \"127.0.2.1\"\n",
        "",
        expect![[
            r#"world.toml:22:1: region[1]: region `eu-west` has no gateway, so nobody could be sent there (add `gateway_v4 = "…"` or `gateway_v6 = "…"`)"#
        ]],
    );
    check(
        "latitude = 39.04, longitude = -77.49",
        "latitude = 139.04, longitude = -77.49",
        expect![
            "world.toml:18:25: region[0].location.latitude: latitude must be -90 to 90, not 139.04 (are latitude and longitude swapped?)"
        ],
    );
}

#[test]
fn names_obey_the_dns() {
    check(
        "origin = \"shop.test\"",
        "origin = \"shop.test.\"",
        expect![
            "world.toml:59:10: zone[0].origin: `shop.test.` is not an origin: two dots stand side by side, or one at an end (did you mean `shop.test`?)"
        ],
    );
    check(
        "name = \"www\"",
        "name = \"www.shop.test\"",
        expect![
            "world.toml:98:8: zone[0].steered[0].name: `www.shop.test` must be relative to its zone (write `www`: `.shop.test` is added)"
        ],
    );
    check(
        "name = \"*.dev\"",
        "name = \"dev.*\"",
        expect![[
            r#"world.toml:91:8: zone[0].record[5].name: `dev.*`: `*` stands only at the very front (write `\042` for an asterisk that is no wildcard)"#
        ]],
    );
    check(
        "value = \"www.shop.test\"",
        "value = \"www\"",
        expect![
            "world.toml:88:9: zone[0].record[4].value: `www` must be written in full (did you mean `www.shop.test`?)"
        ],
    );
    check(
        "value = \"www.shop.test\"",
        "value = \"shop.shop.test\"",
        expect![
            "world.toml:88:9: zone[0].record[4].value: the alias `shop` leads in a circle, or over more than 16 others"
        ],
    );
    check(
        "name = \"shop\"\ntype",
        "name = \"@\"\ntype",
        expect![[r#"
            world.toml:86:8: zone[0].record[4].name: a CNAME stands alone: `@` has other records, too
            world.toml:87:8: zone[0].record[4].type: a CNAME cannot stand at the zone's own name, beside SOA and NS (RFC 1034, 3.6.2) (write an ALIAS, or steer `@` with a [[zone.steered]])
            world.toml:104:8: zone[0].steered[1].name: `@` has a static CNAME record; a steered name owns its addresses alone (drop the record, or the steering)"#]],
    );
    check(
        "name = \"shop\"\ntype",
        "name = \"www\"\ntype",
        expect![[r#"
        world.toml:88:9: zone[0].record[4].value: the alias `www` leads in a circle, or over more than 16 others
        world.toml:98:8: zone[0].steered[0].name: `www` has a static CNAME record; a steered name owns its addresses alone (drop the record, or the steering)"#]],
    );
    check(
        "name = \"ns2\"",
        "name = \"www\"",
        expect![[r#"
            world.toml:61:24: zone[0].ns[1]: `ns2.shop.test` lies in this zone, which has no address for it (add an A or AAAA record of `ns2`)
            world.toml:98:8: zone[0].steered[0].name: `www` has a static A record; a steered name owns its addresses alone (drop the record, or the steering)"#]],
    );
    check(
        "name = \"ns2\"\ntype = \"A\"\nvalue = \"127.0.2.1\"",
        "name = \"ns1\"\ntype = \"A\"\nvalue = \"127.0.1.1\"\nttl = 9",
        expect![[r#"
            world.toml:61:24: zone[0].ns[1]: `ns2.shop.test` lies in this zone, which has no address for it (add an A or AAAA record of `ns2`)
            world.toml:70:1: zone[0].record[1]: `ns1` has this very record already
            world.toml:74:7: zone[0].record[1].ttl: the A records of `ns1` must have one TTL"#]],
    );
}

#[test]
fn steering_keeps_to_its_pool_and_its_limits() {
    check(
        "ttl = { min = 1, max = 30 }",
        "ttl = { min = 60, max = 30 }",
        expect!["world.toml:101:15: zone[0].steered[0].ttl.min: the least TTL, 60 s, is above the greatest, 30 s"],
    );
    check(
        "ttl = { min = 1, max = 30 }",
        "ttl = { max = 90000 }\ntake = 9",
        expect![[r#"
            world.toml:101:15: zone[0].steered[0].ttl.max: the TTL of a steered name must be 1 to 3600 s, not 90000: resolvers go on naming a dead region for as long as they may keep the answer
            world.toml:102:8: zone[0].steered[0].take: the number of addresses in an answer must be 1 to 8, not 9"#]],
    );
    check(
        "policy = \"nearest\"",
        "policy = \"nearest\"\norder = [\"us-east\"]",
        expect![[
            r#"world.toml:101:9: zone[0].steered[0].order: an order says nothing to this policy (use policy = "failover", or drop it)"#
        ]],
    );
    check(
        "members = [\"us-east\", \"eu-west\", \"ap-south\"]",
        "members = [\"us-east\", \"us-east\"]",
        expect![[r#"
            world.toml:52:23: pool.web.members[1]: `us-east` is in the list already
            world.toml:112:21: zone[0].steered[2].order[1]: `eu-west` is not a member of pool `web`
            world.toml:112:32: zone[0].steered[2].order[2]: `ap-south` is not a member of pool `web`"#]],
    );
    check(
        "name = \"pay\"",
        "name = \"www\"",
        expect!["world.toml:109:8: zone[0].steered[2].name: `www` is steered[0] already"],
    );
}

#[test]
fn checks_keep_to_their_limits() {
    check(
        "interval_ms = 500",
        "interval_ms = 5",
        expect![[r#"
        world.toml:44:15: check.gateway.interval_ms: an interval (ms) must be 100 to 60000, not 5
        world.toml:45:14: check.gateway.timeout_ms: a timeout of more than ten intervals would pile up unanswered probes"#]],
    );
    check(
        "path = \"/healthz\"",
        "path = \"healthz\"",
        expect![
            "world.toml:43:8: check.gateway.path: `healthz` is not a path: it begins with `/`, without spaces, 512 characters at most (did you mean `/healthz`?)"
        ],
    );
    check(
        "[pool.web]",
        "[check.other]\nkind = \"tcp\"\n\n[pool.vip]\nmembers = [\"us-east\"]\ncheck = \"other\"\n\n[pool.web]",
        expect![
            "world.toml:60:9: pool.web.check: pool `vip` judges region `us-east` by check `other`, this one by `gateway`: which one judges the region itself? (give region `us-east` a `check` of its own)"
        ],
    );
}

#[test]
fn all_errors_come_at_once_in_the_order_of_the_file() {
    let text = World::default_toml(3, 0)
        .replacen("profile = \"default\"", "colour = \"blue\"", 1)
        .replacen("id = 2", "id = 1", 1)
        .replacen("pool = \"web\"", "pool = \"wbe\"", 1);
    check_text(
        &text,
        expect![[r#"
            world.toml:8:1: colour: a world has no key `colour` (it has: name, profile, region, check, pool, policy, prefix_list, zone, state, automation, safety)
            world.toml:24:6: region[1].id: 1 is region[0]'s id already
            world.toml:99:8: zone[0].steered[0].pool: there is no pool `wbe` (did you mean `web`?)"#]],
    );
}

#[test]
fn a_file_beyond_the_limit_is_refused_unread() {
    check_text(
        &"#".repeat(World::TEXT_MAX + 1),
        expect!["world.toml: a world has at most 4194304 bytes, this has 4194305"],
    );
}

proptest! {
    #[test]
    fn a_valid_world_survives_the_way_through_text(world in worlds()) {
        prop_assert_eq!(world.validate(), Ok(()));
        let text = world.to_toml();
        let back = World::parse(&text, "").map_err(|errors| TestCaseError::fail(format!("{errors}\n{text}")))?;
        prop_assert_eq!(back, world);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
        let _ = World::parse(&text, "");
    }

    #[test]
    fn no_damage_to_a_good_file_makes_the_parser_panic(at in 0usize..4000, cut in 0usize..40, patch in "[\\[\\]{}=\"a-z0-9.,\n-]{0,6}") {
        let mut chars: Vec<char> = World::default_toml(3, 0).chars().collect();
        let at = at.min(chars.len());
        let end = (at + cut).min(chars.len());
        chars.splice(at..end, patch.chars());
        let text: String = chars.into_iter().collect();
        if let Err(errors) = World::parse(&text, "w") {
            prop_assert!(!errors.errors.is_empty());
            prop_assert!(errors.errors.is_sorted_by_key(|error| error.place));
        }
    }
}

/// Worlds with every key in use, so that schema, types and text cannot drift apart.
pub(crate) fn worlds() -> impl Strategy<Value = World> {
    let label = "[a-z]([a-z0-9-]{0,8}[a-z0-9])?";
    (2usize..7, label, label, 100u64..60_000, 1u32..100, "\\PC{1,40}", any::<[bool; 4]>(), -90.0f64..90.0, 1u32..86_400)
        .prop_map(|(regions, pool, check, interval_ms, count, text, flags, latitude, ttl)| {
            let name = |i: usize| RegionName::new(format!("r{i}")).unwrap();
            let region = |i: usize| Region {
                name: name(i),
                id: u16::try_from(i + 1).unwrap(),
                place: text.clone(),
                location: Location { latitude, longitude: latitude * 2.0 },
                gateway_v4: flags[0].then(|| [10, 0, 0, u8::try_from(i).unwrap()].into()),
                gateway_v6: (!flags[0] || flags[1])
                    .then(|| [0xfd00, 0, 0, 0, 0, 0, 0, u16::try_from(i + 1).unwrap()].into()),
                gateway_port: u16::try_from(ttl % 60_000 + 1).unwrap(),
                check: flags[3].then(|| check.clone()),
                capacity_rps: flags[1].then_some(count),
            };
            let members: Vec<RegionName> = (0..regions).map(name).collect();
            let kind = [CheckKind::Tcp, CheckKind::Http, CheckKind::Https, CheckKind::Grpc, CheckKind::Exec]
                [count as usize % 5];
            let web = matches!(kind, CheckKind::Http | CheckKind::Https);
            World {
                name: format!("w{}", text.trim()).chars().take(30).collect(),
                profile: if flags[2] { Profile::Fast } else { Profile::Default },
                regions: (0..regions).map(region).collect(),
                checks: [(
                    check.clone(),
                    Check {
                        kind,
                        path: if web { "/x".into() } else { Check::default().path },
                        interval_ms,
                        timeout_ms: interval_ms,
                        down_after: count,
                        up_after: count * 10,
                        port: flags[0].then_some(9),
                        host: (web || kind == CheckKind::Grpc).then(|| "shop.test".into()),
                        service: if kind == CheckKind::Grpc { "shop.Cart".into() } else { String::new() },
                        command: if kind == CheckKind::Exec { vec!["x".into(), text.clone()] } else { Vec::new() },
                        certificate_days: if kind == CheckKind::Https { count } else { 7 },
                        errors_percent: count,
                    },
                )]
                .into(),
                pools: [(
                    pool.clone(),
                    Pool {
                        members: members.clone(),
                        check: flags[2].then_some(check),
                        all_down: if flags[1] { AllDown::FailClosed } else { AllDown::FailOpen },
                        weights: if flags[0] { [(name(0), count)].into() } else { Default::default() },
                        min_healthy: if flags[1] { 2 } else { 1 },
                        panic_below: if flags[3] { 2 } else { 1 },
                        automation: flags[2],
                        home: flags[3].then(|| name(1)),
                    },
                )]
                .into(),
                policies: if flags[2] { policies(&pool, &members, count) } else { Default::default() },
                prefix_lists: vec![PrefixList { name: "office".into(), prefixes: vec!["192.0.2.0/24".into()] }],
                zones: vec![zone(&pool, members, &text, ttl)],
                state: StatePolicy {
                    max_value_bytes: (interval_ms * 1024).min(32 << 20),
                    detach_after_s: u64::from(ttl) + 60,
                    prefixes: flags[0]
                        .then(|| PrefixPolicy {
                            starts_with: text.clone(),
                            conflicts: if flags[1] { Conflicts::RemoveWins } else { Conflicts::AddWins },
                            durability: if flags[2] { Durability::Always } else { Durability::EverySec },
                        })
                        .into_iter()
                        .collect(),
                },
                automation: Automation {
                    enabled: flags[0],
                    ramp_step_s: count,
                    ramp_percent: if flags[1] { vec![count.min(49), 50] } else { Vec::new() },
                    ..Automation::default()
                },
                safety: vec![SafetyRule {
                    name: "two".into(),
                    at_least: 2,
                    regions: vec![name(0), name(1)],
                    pool: flags[1].then(|| pool.clone()),
                }],
            }
        })
        .prop_filter("printable", |world| !world.name.chars().any(char::is_control))
}

/// A policy with every kind of step, and one that it falls back to.
fn policies(pool: &str, members: &[RegionName], count: u32) -> BTreeMap<String, Policy> {
    let numbers = || members.iter().map(|member| (member.clone(), count)).collect::<BTreeMap<_, _>>();
    let clients = |text: &str| text.parse::<Clients>().unwrap();
    let all = || Step::Take { count: 64 };
    let steps = vec![
        Step::Fence { clients: vec![clients("europe")], regions: members.to_vec(), none_left: NoneLeft::Closed },
        Step::Trickle { permille: count.min(500), to: members.to_vec() },
        Step::Spill { low_permille: count, high_permille: count + 1 },
        Step::Map {
            orders: ["*", "DE", "US-CA", "DE/Berlin", "AS64500", "list:office"]
                .map(|text| (clients(text), members.to_vec()))
                .into(),
        },
        Step::Latency { ms: [(clients("DE"), numbers())].into() },
        all(),
        Step::Nearest { bias: members.iter().map(|member| (member.clone(), -7)).collect() },
        all(),
        Step::Weighted { weights: numbers() },
        all(),
        Step::Shuffle {},
        all(),
        Step::Sticky { weights: numbers(), max_load_percent: Some(100 + count.max(1)) },
        all(),
        Step::Failover { order: members.to_vec() },
        Step::Fallback { pool: pool.into(), policy: SteeringPolicy::Named("other".into()) },
    ];
    let other = vec![Step::Fallback { pool: pool.into(), policy: SteeringPolicy::Failover }];
    [("chain".into(), Policy { steps }), ("other".into(), Policy { steps: other })].into()
}

fn zone(pool: &str, order: Vec<RegionName>, text: &str, ttl: u32) -> Zone {
    let record = |name: &str, data, ttl| Record { name: name.into(), data, ttl };
    let steered = |name: &str, policy, order| Steered {
        order,
        take: 3,
        ttl: NameTtl { min: ttl / 48, max: ttl / 24 + 1 },
        ..Steered::to(name, pool, policy)
    };
    Zone {
        origin: "shop.test".into(),
        ttl,
        soa: Soa {
            primary: "ns.else.where.".into(),
            mail: "admin.shop.test".into(),
            refresh: ttl,
            retry: ttl,
            expire: ttl,
            minimum: ttl,
            ttl: Some(ttl),
        },
        ns: vec!["ns1.shop.test".into(), "ns.else.where.".into()],
        records: vec![
            record("ns1", RecordData::A([192, 0, 2, 1].into()), Some(ttl)),
            record("ns1", RecordData::Aaaa([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into()), None),
            record("*.dev", RecordData::Cname("www.shop.test".into()), None),
            record("@", RecordData::Txt(text.into()), Some(0)),
        ],
        steered: vec![steered("@", SteeringPolicy::Nearest, vec![]), steered("pay", SteeringPolicy::Failover, order)],
    }
}

/// A world of several files: the errors are what is expected.
#[expect(clippy::needless_pass_by_value, reason = "an expectation is written in the call")]
fn check_files(files: &[(&str, &str)], errors: Expect) {
    let found =
        World::parse_files("world/", files, None).map_or_else(|errors| errors.to_string(), |_| "no error".to_owned());
    errors.assert_eq(&found);
}

/// The default world cut before each of these headings.
fn cut<'t>(mut text: &'t str, before: &[&str]) -> Vec<&'t str> {
    let mut parts = Vec::new();
    for heading in before {
        let (head, tail) = text.split_at(text.find(heading).unwrap());
        parts.push(head);
        text = tail;
    }
    parts.push(text);
    parts
}

#[test]
fn a_world_in_several_files_is_the_world_in_one() {
    let whole = World::default_toml(3, 0);
    let parts =
        cut(&whole, &["[[region]]\nname = \"eu-west\"", "[check.gateway]", "[[zone]]", "[state]", "[[state.prefix]]"]);
    let names: Vec<String> = (0..parts.len()).map(|n| format!("{n}.toml")).collect();
    let files: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(parts).collect();
    assert_eq!(World::parse_files("world/", &files, None), World::parse(&whole, ""));
}

#[test]
fn what_two_files_say_is_an_error_that_names_both() {
    let whole = World::default_toml(3, 0);
    let with = |second: &'static str, errors| check_files(&[("a.toml", &whole), ("b.toml", second)], errors);
    with(
        "\nname = \"other\"",
        expect!["b.toml:2:8: name: this is said already in a.toml:4:8 (say it in one of the files)"],
    );
    with(
        "[pool.web]\nmin_healthy = 1\nmembers = [\"us-east\"]",
        expect!["b.toml:1:1: pool.web: this is said already in a.toml:51:1 (say it in one of the files)"],
    );
    with(
        "[state]\ndetach_after_s = 90\n[[state.prefix]]\nstarts_with = \"x\"",
        expect![
            "b.toml:2:18: state.detach_after_s: this is said already in a.toml:118:18 (say it in one of the files)"
        ],
    );
    with(
        "[automation]\nramp_percent = [1]\n[pool.other]\nmembers = [\"us-east\"]\n[[state.prefix]]\nstarts_with = \"x\"",
        expect!["no error"],
    );
}

#[test]
fn errors_of_several_files_are_told_by_file_and_line() {
    let whole = World::default_toml(3, 0);
    let with = |second: &'static str, errors| check_files(&[("a.toml", &whole), ("b.toml", second)], errors);
    with(
        "[[region]]\nname = \"us-east\"\nid = 4\nlocation = { latitude = 0, longitude = 0 }\ngateway_v4 = \"192.0.2.4\"",
        expect!["b.toml:2:8: region[3].name: `us-east` is region[0]'s name already"],
    );
    with(
        "[[zone]]\norigin = \"b.test\"\nns = []\ncolour = 1\n\n[[zone.steered]]\nname = \"x\"\npool = \"wbe\"\npolicy = \"nearest\"",
        expect![[r#"
            b.toml:3:6: zone[1].ns: a zone needs the name of a server at least
            b.toml:4:1: zone[1].colour: a zone has no key `colour` (it has: origin, file, ttl, ns, soa, record, steered)
            b.toml:8:8: zone[1].steered[0].pool: there is no pool `wbe` (did you mean `web`?)"#]],
    );
    with("[zone", expect!["b.toml:1:6: not TOML: unclosed table, expected `]`"]);
    check_files(
        &[("a.toml", "name = \"x\""), ("b.toml", "profile = \"fast\"")],
        expect!["world/: region: a world needs `region`: a list of tables, each a region"],
    );
    check_files(
        &[],
        expect![[r#"
        world/: name: a world needs `name`: a text
        world/: region: a world needs `region`: a list of tables, each a region"#]],
    );
}

/// The default world with a zone more, whose file, beside it, says this; the errors are what is expected.
#[expect(clippy::needless_pass_by_value, reason = "an expectation is written in the call")]
fn check_zone_file(zone: &str, file: &str, errors: Expect) {
    let found = world_with_zone_file(zone, file);
    errors.assert_eq(&found.map_or_else(|errors| errors.to_string(), |_| "no error".to_owned()));
}

fn world_with_zone_file(zone: &str, file: &str) -> Result<World, WorldErrors> {
    let (whole, zone) = (World::default_toml(3, 0), format!("[[zone]]\n{zone}"));
    let load = |from: &str, name: &str| match name {
        "example.zone" => Ok(LoadedFile { name: format!("{from}/{name}"), text: file.to_owned() }),
        "more" => Ok(LoadedFile { name: name.to_owned(), text: "\nmore A 192.0.2.9\nmore CNAME www\n".to_owned() }),
        _ => Err(format!("`{name}` cannot be read: there is no such file")),
    };
    World::parse_files("world", &[("a.toml", &whole), ("b.toml", &zone)], Some(&load))
}

const ZONE_FILE: &str =
    "$TTL 300\n@ 60 SOA ns.else. hostmaster 1 3600 600 2w 30\n@ NS ns.else.\nwww A 192.0.2.1\nmail MX 10 www\n";

#[test]
fn a_zone_may_be_written_in_a_master_file() {
    let world = world_with_zone_file("origin = \"example.test\"\nfile = \"example.zone\"", ZONE_FILE).unwrap();
    let written = r#"
        [[zone]]
        origin = "example.test"
        ttl = 300
        ns = ["ns.else"]
        soa = { primary = "ns.else", mail = "hostmaster.example.test", ttl = 60 }
        [[zone.record]]
        name = "www"
        type = "A"
        value = "192.0.2.1"
        [[zone.record]]
        name = "mail"
        type = "MX"
        value = "10 www.example.test""#;
    let written = World::parse(&(World::default_toml(3, 0) + written), "").unwrap();
    assert_eq!(world, written);
    let steered = "origin = \"example.test\"\nfile = \"example.zone\"\n[[zone.steered]]\nname = \"shop\"\npool = \"web\"\npolicy = \"nearest\"";
    assert_eq!(world_with_zone_file(steered, ZONE_FILE).unwrap().zones[1].steered.len(), 1);
}

#[test]
fn what_is_wrong_with_a_zones_file_is_told_where_it_is() {
    let zone = "origin = \"example.test\"\nfile = \"example.zone\"";
    check_zone_file(
        zone,
        "$TTL 300\n@ SOA ns.else.\nwww A here\n",
        expect![[r#"
        b.toml/example.zone:2:7: this is not data of SOA: a SOA has a primary server, a mailbox, a serial and four times, 7 words in all, not 1; parentheses join lines
        b.toml/example.zone:3:7: this is not data of A: `here` is not an IPv4 address"#]],
    );
    check_zone_file(
        &format!("{zone}\n[[zone.steered]]\nname = \"www\"\npool = \"web\"\npolicy = \"nearest\""),
        &format!("{ZONE_FILE}ns.in NS ns\n$INCLUDE more\n").replace(" 30\n", " 90000\n"),
        expect![[r#"
            b.toml:5:8: zone[1].steered[0].name: `www` has a static A record; a steered name owns its addresses alone (drop the record, or the steering)
            b.toml/example.zone:2:1: zone[1].soa.minimum: the TTL of negative answers (s) must be 0 to 86400, not 90000
            more:3:1: zone[1].record[4].name: a CNAME stands alone: `more` has other records, too, included at b.toml/example.zone:7"#]],
    );
    check_zone_file(
        "file = \"example.zone\"",
        ZONE_FILE,
        expect!["b.toml:1:1: zone[1].origin: a zone needs `origin`: a text"],
    );
    check_zone_file(
        "origin = \"example.test\"\nfile = \"none\"",
        ZONE_FILE,
        expect!["b.toml:3:8: zone[1].file: `none` cannot be read: there is no such file"],
    );
    check_zone_file(
        &format!("{zone}\nns = [\"ns.else.where\"]\nttl = 5"),
        ZONE_FILE,
        expect![[r#"
        b.toml:4:6: zone[1].ns: the zone's file, `example.zone`, says this (say it there)
        b.toml:5:7: zone[1].ttl: the zone's file, `example.zone`, says this (say it there)"#]],
    );
    let world = World::default_toml(3, 0) + "\n[[zone]]\n" + zone;
    check_text(
        &world,
        expect![
            "world.toml:130:8: zone[1].file: a zone's file is read where the world file lies, and this has no place (use `atoll apply`, or write the records into the world)"
        ],
    );
}
