//! What validation refuses, in tables: a change of a good world, and the errors that come of it.

mod policies;

use expect_test::{Expect, expect};

use crate::World;

/// A good world with one of everything that is new to the default one.
const GOOD: &str = r#"
name = "shop"

[[region]]
name = "eu"
id = 1
location = { latitude = 53.35, longitude = -6.26 }
gateway_v4 = "192.0.2.1"
capacity_rps = 5000

[[region]]
name = "us"
id = 2
location = { latitude = 39.04, longitude = -77.49 }
gateway_v4 = "192.0.2.2"
gateway_v6 = "2001:db8::2"

[check.web]
kind = "https"
path = "/up"
host = "www.shop.test"

[check.cart]
kind = "grpc"
service = "shop.Cart"
port = 9000

[check.disk]
kind = "exec"
command = ["check-disk", "--most", "90 %"]

[check.tcp]
kind = "tcp"

[pool.web]
members = ["eu", "us"]
check = "web"
weights = { eu = 200, us = 0 }
min_healthy = 1
home = "eu"

[[zone]]
origin = "shop.test"
ns = ["ns.else.where"]

[[zone.steered]]
name = "www"
pool = "web"
policy = "nearest"
ttl = { max = 60 }

[[zone.record]]
name = "api.eu"
type = "TXT"
value = "here"

[[zone]]
origin = "dev.shop.test"
ns = ["ns.else.where"]

[automation]
ramp_percent = [10, 50]

[[safety]]
name = "one of them"
at_least = 1
regions = ["eu", "us"]
pool = "web"
"#;

/// The good world with each `from` replaced by its `to`: the errors, without file and line.
#[expect(clippy::needless_pass_by_value, reason = "an expectation is written in the call")]
fn check(changes: &[(&str, &str)], errors: Expect) {
    let mut found = Vec::new();
    for (from, to) in changes {
        assert!(GOOD.contains(from), "the good world has no `{from}`");
        match World::parse(&GOOD.replacen(from, to, 1), "") {
            Ok(_) => found.push(format!("{to}: no error")),
            Err(errors) => found.extend(errors.errors.iter().map(ToString::to_string)),
        }
    }
    errors.assert_eq(&found.join("\n"));
}

#[test]
fn the_good_world_is_good_and_stays_so_as_json() {
    let world = World::parse(GOOD, "").unwrap_or_else(|errors| panic!("{errors}"));
    let json = serde_json::to_vec(&world).unwrap();
    let back: World = serde_json::from_slice(&json).unwrap();
    assert_eq!(back, world);
    assert_eq!(back.validate(), Ok(()));
}

#[test]
fn what_a_region_can_carry_is_not_nothing() {
    check(
        &[("capacity_rps = 5000", "capacity_rps = 0"), ("capacity_rps = 5000", "capacity_rps = 2000000000")],
        expect![[r#"
        region[0].capacity_rps: zero capacity: region `eu` could not serve a single request (leave the key out if nobody knows it; `atoll drain` takes a region out of answers)
        region[0].capacity_rps: requests per second must be 1 to 1000000000, not 2000000000"#]],
    );
}

#[test]
fn a_check_says_what_its_kind_looks_at_and_nothing_else() {
    check(
        &[
            ("kind = \"tcp\"", "kind = \"tcp\"\npath = \"/up\""),
            ("kind = \"tcp\"", "kind = \"tcp\"\nhost = \"www.shop.test\""),
            ("kind = \"tcp\"", "kind = \"tcp\"\nservice = \"shop.Cart\""),
            ("kind = \"tcp\"", "kind = \"tcp\"\ncommand = [\"check-disk\"]"),
            ("kind = \"tcp\"", "kind = \"tcp\"\ncertificate_days = 30"),
            ("kind = \"tcp\"", "kind = \"tcp\"\nerrors_percent = 101"),
            ("kind = \"tcp\"", "kind = \"tcp\"\nport = 0"),
            ("host = \"www.shop.test\"\n", ""),
            ("host = \"www.shop.test\"", "host = \"192.0.2.1:443\""),
            ("host = \"www.shop.test\"", "host = \"192.0.2.1\""),
            ("host = \"www.shop.test\"", "host = \"WWW.shop.test\""),
            ("host = \"www.shop.test\"", "host = \"www.shop.test\"\ncertificate_days = 366"),
            ("service = \"shop.Cart\"", "service = \"shop Cart\""),
        ],
        expect![[r#"
            check.tcp.path: a path says nothing to this kind of check (only kind = "http" or "https" looks at it; drop it)
            check.tcp.host: a host says nothing to this kind of check (only kind = "http", "https" or "grpc" looks at it; drop it)
            check.tcp.service: a service says nothing to this kind of check (only kind = "grpc" looks at it; drop it)
            check.tcp.command: a command says nothing to this kind of check (only kind = "exec" looks at it; drop it)
            check.tcp.certificate_days: a certificate's life says nothing to this kind of check (only kind = "https" looks at it; drop it)
            check.tcp.errors_percent: a share (percent) must be 0 to 100, not 101
            check.tcp.port: a port must be 1 to 65535, not 0
            check.web: an https check needs `host`: the name that the certificate must carry (add `host = "www.shop.test"`, a name that every region's certificate carries)
            check.web.host: `192.0.2.1:443` is not a host name: `1:443` may hold only a-z, 0-9, `-` and `_`; write other alphabets as `xn--…`
            check.web.host: `192.0.2.1` is an address, not a host name (a probe goes to the region's gateway; `host` is the name that it asks for there)
            check.web.host: `WWW.shop.test` is not a host name: `WWW` must be written in lower case
            check.web.certificate_days: days must be 0 to 365, not 366
            check.cart.service: `shop Cart` is not a service's name: up to 256 printable characters"#]],
    );
}

#[test]
fn an_exec_check_names_a_file_of_its_directory_and_no_other() {
    let long = format!("\"check-disk\", \"{}\"", "x".repeat(257));
    let many = format!("\"check-disk\"{}", ", \"x\"".repeat(16));
    check(
        &[
            ("command = [\"check-disk\", \"--most\", \"90 %\"]", ""),
            ("command = [\"check-disk\"", "command = [\"\""),
            ("command = [\"check-disk\"", "command = [\"/bin/sh\""),
            ("command = [\"check-disk\"", "command = [\"../sh\""),
            ("command = [\"check-disk\"", "command = [\"..\""),
            ("command = [\"check-disk\"", "command = [\"-c\""),
            ("command = [\"check-disk\"", "command = [\"check disk\""),
            ("\"90 %\"", "\"90\\n\""),
            ("\"check-disk\"", &long),
            ("\"check-disk\"", &many),
        ],
        expect![[r#"
            check.disk.command: an exec check needs `command` (name a program of the node's directory of checks: command = ["check-shop"])
            check.disk.command[0]: `` is not a plain file name: 1 to 64 of a-z, A-Z, 0-9, `.`, `_` and `-`, without a path before it (put the program, or a link to it, into the node's directory of checks)
            check.disk.command[0]: `/bin/sh` is not a plain file name: 1 to 64 of a-z, A-Z, 0-9, `.`, `_` and `-`, without a path before it (put the program, or a link to it, into the node's directory of checks)
            check.disk.command[0]: `../sh` is not a plain file name: 1 to 64 of a-z, A-Z, 0-9, `.`, `_` and `-`, without a path before it (put the program, or a link to it, into the node's directory of checks)
            check.disk.command[0]: `..` is not a plain file name: 1 to 64 of a-z, A-Z, 0-9, `.`, `_` and `-`, without a path before it (put the program, or a link to it, into the node's directory of checks)
            check.disk.command[0]: `-c` is not a plain file name: 1 to 64 of a-z, A-Z, 0-9, `.`, `_` and `-`, without a path before it (put the program, or a link to it, into the node's directory of checks)
            check.disk.command[0]: `check disk` is not a plain file name: 1 to 64 of a-z, A-Z, 0-9, `.`, `_` and `-`, without a path before it (put the program, or a link to it, into the node's directory of checks)
            check.disk.command[2]: an argument has up to 256 bytes and no control characters
            check.disk.command[1]: an argument has up to 256 bytes and no control characters
            check.disk.command: the number of a command's words must be 1 to 16, not 19"#]],
    );
}

#[test]
fn a_pool_speaks_of_its_members_only() {
    check(
        &[
            ("weights = { eu = 200, us = 0 }", "weights = { eu = 200, uk = 3 }"),
            ("weights = { eu = 200, us = 0 }", "weights = { eu = 1001 }"),
            ("weights = { eu = 200, us = 0 }", "weights = { eu = 0, us = 0 }"),
            ("weights = { eu = 200, us = 0 }", "weights = { \"E U\" = 1 }"),
            ("min_healthy = 1", "min_healthy = 0"),
            ("min_healthy = 1", "min_healthy = 3"),
            ("home = \"eu\"", "home = \"ap\""),
        ],
        expect![[r#"
            pool.web.weights.uk: `uk` is not a member of this pool (did you mean `us`?)
            pool.web.weights.eu: a weight must be 0 to 1000, not 1001
            pool.web.weights: the weights are all zero: nobody would be sent anything (a member of weight 0 stands by for the others; give one of them more)
            pool.web.weights.E U: `E U` is not a region's name: only a-z, 0-9 and `-` are allowed
            pool.web.min_healthy: of 2 members 1 to 2 can be kept serving, not 0
            pool.web.min_healthy: of 2 members 1 to 2 can be kept serving, not 3
            pool.web.home: `ap` is not a member of this pool"#]],
    );
}

#[test]
fn automation_keeps_to_its_limits_and_ramps_rise() {
    let key = "ramp_percent = [10, 50]";
    check(
        &[
            (key, "max_removed_percent = 0"),
            (key, "velocity_window_s = 9"),
            (key, "max_removals_per_hour = 0"),
            (key, "common_mode_regions = 1"),
            (key, "common_mode_window_s = 3601"),
            (key, "capacity_used_percent = 101"),
            (key, "degraded_percent = 0"),
            (key, "ramp_step_s = 0"),
            (key, "ramp_percent = [50, 10]"),
            (key, "ramp_percent = [10, 100]"),
            (key, "ramp_percent = [0]"),
            (key, "ramp_percent = [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]"),
            (key, "ramp_percent = []"),
        ],
        expect![[r#"
            automation.max_removed_percent: a share (percent) must be 1 to 100, not 0
            automation.velocity_window_s: a window (s) must be 10 to 86400, not 9
            automation.max_removals_per_hour: removals in an hour must be 1 to 10000, not 0
            automation.common_mode_regions: regions that fall together must be 2 to 64, not 1
            automation.common_mode_window_s: a window (s) must be 1 to 3600, not 3601
            automation.capacity_used_percent: a share (percent) must be 1 to 100, not 101
            automation.degraded_percent: a share (percent) must be 1 to 100, not 0
            automation.ramp_step_s: a step (s) must be 1 to 3600, not 0
            automation.ramp_percent[1]: a ramp grows from step to step: 10 % comes after 50 %
            automation.ramp_percent[1]: a share on the way back (percent) must be 1 to 99, not 100
            automation.ramp_percent[0]: a share on the way back (percent) must be 1 to 99, not 0
            automation.ramp_percent: the number of steps must be 0 to 16, not 17
            ramp_percent = []: no error"#]],
    );
}

#[test]
fn a_safety_rule_can_hold_and_counts_what_is_there() {
    check(
        &[
            ("[[safety]]", "[[safety]]\nname = \"one of them\"\nat_least = 1\nregions = [\"eu\"]\n\n[[safety]]"),
            ("name = \"one of them\"", "name = \"\""),
            ("at_least = 1", "at_least = 0"),
            ("at_least = 1", "at_least = 3"),
            ("regions = [\"eu\", \"us\"]", "regions = []"),
            ("regions = [\"eu\", \"us\"]", "regions = [\"eu\", \"uss\"]"),
            ("regions = [\"eu\", \"us\"]", "regions = [\"eu\", \"eu\"]"),
        ],
        expect![[r#"
            safety[1].name: `one of them` is safety[0]'s name already
            safety[0].name: a rule's name has 1 to 64 characters and no line breaks
            safety[0].at_least: of 2 regions 1 to 2 can be made to serve, not 0
            safety[0].at_least: of 2 regions 1 to 2 can be made to serve, not 3
            safety[0].regions: a rule without regions says nothing
            safety[0].regions[1]: there is no region `uss` (did you mean `us`?)
            safety[0].regions[1]: `eu` is in the list already"#]],
    );
    check(
        &[("members = [\"eu\", \"us\"]", "members = [\"eu\"]")],
        expect![[r#"
        pool.web.weights.us: `us` is not a member of this pool
        safety[0].regions[1]: `us` is not a member of pool `web`, so it would never be counted"#]],
    );
    check(
        &[("regions = [\"eu\", \"us\"]\npool = \"web\"", "regions = [\"eu\", \"us\"]\npool = \"wbe\"")],
        expect!["safety[0].pool: there is no pool `wbe` (did you mean `web`?)"],
    );
}

#[test]
fn a_steered_name_is_forgotten_within_the_hour() {
    check(
        &[("ttl = { max = 60 }", "ttl = { max = 86400 }"), ("ttl = { max = 60 }", "ttl = { max = 3600 }")],
        expect![[r#"
        zone[0].steered[0].ttl.max: the TTL of a steered name must be 1 to 3600 s, not 86400: resolvers go on naming a dead region for as long as they may keep the answer
        ttl = { max = 3600 }: no error"#]],
    );
}

#[test]
fn two_zones_do_not_answer_for_one_name() {
    check(
        &[
            ("origin = \"dev.shop.test\"", "origin = \"shop.test\""),
            ("name = \"api.eu\"", "name = \"dev\""),
            ("name = \"api.eu\"", "name = \"*.dev\""),
            ("name = \"api.eu\"", "name = \"a.b.dev\""),
            ("name = \"www\"", "name = \"www.dev\""),
            ("name = \"api.eu\"", "name = \"notdev\""),
            ("name = \"api.eu\"", "name = \"*\""),
            ("origin = \"dev.shop.test\"", "origin = \"eu.shop.test\""),
            ("origin = \"dev.shop.test\"", "origin = \"shop.test.dev\""),
        ],
        expect![[r#"
            zone[1].origin: `shop.test` is zone[0]'s origin already
            zone[1].origin: zone `dev.shop.test` lies inside zone[0], `shop.test`, which has `dev` there itself: nobody would ever be told of it (move `dev` into the inner zone; RFC 1034, 4.2 would want nothing but a delegation to it in the outer one)
            zone[1].origin: zone `dev.shop.test` lies inside zone[0], `shop.test`, which has `*.dev` there itself: nobody would ever be told of it (move `*.dev` into the inner zone; RFC 1034, 4.2 would want nothing but a delegation to it in the outer one)
            zone[1].origin: zone `dev.shop.test` lies inside zone[0], `shop.test`, which has `a.b.dev` there itself: nobody would ever be told of it (move `a.b.dev` into the inner zone; RFC 1034, 4.2 would want nothing but a delegation to it in the outer one)
            zone[1].origin: zone `dev.shop.test` lies inside zone[0], `shop.test`, which has `www.dev` there itself: nobody would ever be told of it (move `www.dev` into the inner zone; RFC 1034, 4.2 would want nothing but a delegation to it in the outer one)
            name = "notdev": no error
            name = "*": no error
            zone[1].origin: zone `eu.shop.test` lies inside zone[0], `shop.test`, which has `api.eu` there itself: nobody would ever be told of it (move `api.eu` into the inner zone; RFC 1034, 4.2 would want nothing but a delegation to it in the outer one)
            origin = "shop.test.dev": no error"#]],
    );
}

#[test]
fn ten_thousand_names_and_fifty_pools_fit() {
    let mut text = World::default_toml(5, 0);
    for pool in 0..50 {
        text +=
            &format!("\n[pool.pool-{pool}]\nmembers = [\"us-east\", \"eu-west\", \"sa-east\"]\ncheck = \"gateway\"\n");
    }
    text += "\n[[zone]]\norigin = \"customers.shop-of-many-tenants.test\"\nns = [\"ns1.shop.test\"]\n";
    for name in 0..World::NAMES_MAX {
        text += &format!(
            "\n[[zone.steered]]\nname = \"customer-{name:05}.storefront\"\npool = \"pool-{}\"\npolicy = \"failover\"\n\
             order = [\"eu-west\", \"us-east\", \"sa-east\"]\ntake = 2\nttl = {{ min = 5, max = 60 }}\n",
            name % 50
        );
    }
    let world = World::parse(&text, "").unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(world.zones[1].steered.len(), World::NAMES_MAX);
    let written = (text.len(), world.to_toml().len(), serde_json::to_vec(&world).unwrap().len());
    assert!(written.0.max(written.1) < World::TEXT_MAX / 2 && written.2 < World::JSON_MAX / 2, "{written:?} bytes");
}

#[test]
fn records_of_any_type_are_read_and_nothing_stands_where_nobody_would_hear_it() {
    let text = "name = \"api.eu\"\ntype = \"TXT\"\nvalue = \"here\"";
    let record = |name: &str, rtype: &str, value: &str| {
        format!("name = \"{name}\"\ntype = \"{rtype}\"\nvalue = '{value}'\n[[zone.record]]\n{text}")
    };
    let wrong = [
        record("@", "MX", "mail"),
        record("@", "mx", "10 mail.shop.test"),
        record("@", "TYPE16", "x"),
        record("@", "SOA", "a b 1 2 3 4 5"),
        record("@", "NS", "ns2.else.where"),
        record("x", "RRSIG", ""),
        record("*.x", "NS", "ns2.else.where"),
        record("eu", "NS", "ns2.else.where"),
        record("eu", "DNAME", "else.where"),
        record("api.eu", "NS", "ns2.else.where"),
        record("@", "DNAME", "else.where"),
        record("www", "NS", "ns2.else.where"),
        record("x", "HTTPS", "1 . port=https"),
        format!(
            "name = \"x\"\ntype = \"NS\"\nvalue = \"else.where\"\n[[zone.record]]\n{}",
            record("x", "DNAME", "else.where")
        ),
    ];
    let changes: Vec<(&str, &str)> = wrong.iter().map(|to| (text, to.as_str())).collect();
    check(
        &changes,
        expect![[r#"
            zone[0].record[0].value: `mail` is not data of MX: `mail` is not a number from 0 to 65535
            zone[0].record[0].type: `mx` is not a type of record: it is written like MX, HTTPS or TYPE257
            zone[0].record[0].type: `TYPE16` cannot be written here (write type = "TXT")
            zone[0].record[0].type: `SOA` cannot be written here (the zone's `soa` says it)
            zone[0].record[0].type: `NS` cannot be written here (the zone's `ns` says it)
            zone[0].record[0].type: `RRSIG` is not a type of record: it is written like MX, HTTPS or TYPE257
            zone[0].record[0].name: a wildcard cannot be the owner of NS (RFC 4592, 4)
            zone[0].record[1].name: `api.eu` lies at or below `eu`, which is delegated to other servers (nobody would ever be told of it; drop one of the two)
            zone[0].record[1].name: `api.eu` lies below `eu`, whose DNAME speaks for everything there (RFC 6672, 2.4) (nobody would ever be told of it; drop one of the two)
            zone[0].record[1].name: `api.eu` is delegated: beside NS only DS and addresses of servers stand there
            zone[0].steered[0].name: `www` lies below `@`, whose DNAME speaks for everything there (RFC 6672, 2.4) (nobody would ever be told of it; drop one of the two)
            zone[0].record[1].name: `api.eu` lies below `@`, whose DNAME speaks for everything there (RFC 6672, 2.4) (nobody would ever be told of it; drop one of the two)
            zone[0].steered[0].name: `www` lies at or below `www`, which is delegated to other servers (nobody would ever be told of it; drop one of the two)
            zone[0].record[0].value: `1 . port=https` is not data of HTTPS: `port` is followed by a port
            zone[0].record[1].name: `x` is delegated: beside NS only DS and addresses of servers stand there"#]],
    );
    for good in [
        record("@", "MX", "10 mail.shop.test"),
        record("www", "HTTPS", "1 . alpn=h2"),
        record("dev", "NS", "ns.else.where"),
        record("x", "TYPE731", r"\# 1 ff"),
        record("x", "DNAME", "else.where"),
    ] {
        if let Err(errors) = World::parse(&GOOD.replacen(text, &good, 1), "") {
            panic!("{good}: {errors}");
        }
    }
}
