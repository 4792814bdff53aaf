//! Policies, prefix lists, and what steered names have beside addresses.

use expect_test::{Expect, expect};

use super::check;

/// The good world with these steps as policy `p`, which steers its name: the errors of each.
fn check_steps(steps: &[&str], errors: Expect) {
    let wrong: Vec<String> = steps
        .iter()
        .map(|steps| {
            let steps = steps.replace("[step]", "[[policy.p.step]]");
            format!("policy = \"p\"\nttl = {{ max = 60 }}\n{steps}\n[[policy.other.step]]\nkind = \"shuffle\"")
        })
        .collect();
    let changes: Vec<(&str, &str)> =
        wrong.iter().map(|to| ("policy = \"nearest\"\nttl = { max = 60 }", to.as_str())).collect();
    check(&changes, errors);
}

#[test]
fn steps_mean_something_where_they_stand() {
    check_steps(
        &[
            "[step]\nkind = \"nearst\"",
            "[step]\nbias = { eu = 1 }",
            "[step]\nkind = \"nearest\"\ncount = 2",
            "[step]\nkind = \"nearest\"\n[step]\nkind = \"weighted\"",
            "[step]\nkind = \"failover\"\n[step]\nkind = \"map\"\norders = { \"*\" = [\"eu\"] }",
            "[step]\nkind = \"take\"\ncount = 1\n[step]\nkind = \"fence\"\nregions = [\"eu\"]",
            "[step]\nkind = \"fallback\"\npool = \"web\"\n[step]\nkind = \"fallback\"\npool = \"web\"",
            "[step]\nkind = \"nearest\"\nbias = { eu = 100 }",
            "[step]\nkind = \"nearest\"\nbias = { asia = 10 }",
            "[step]\nkind = \"weighted\"\nweights = { eu = 0, us = 0 }",
            "[step]\nkind = \"spill\"\nlow_permille = 900\nhigh_permille = 900",
            "[step]\nkind = \"trickle\"\npermille = 501",
            "[step]\nkind = \"sticky\"\nmax_load_percent = 100",
            "[step]\nkind = \"take\"\ncount = 0",
            "[step]\nkind = \"map\"\norders = { Europe = [\"eu\"] }",
            "[step]\nkind = \"map\"\norders = { europe = [] }",
            "[step]\nkind = \"map\"\norders = { \"list:office\" = [\"eu\"] }",
            "[step]\nkind = \"fence\"\nregions = []",
            "[step]\nkind = \"latency\"\nms = { DE = { eu = 99999 } }",
        ],
        expect![[r#"
            policy.p.step[0].kind: a step needs `kind`, one of "fence", "nearest", "map", "latency", "failover", "weighted", "shuffle", "sticky", "spill", "trickle", "take", "fallback" (did you mean `nearest`?)
            policy.p.step[0].kind: a step needs `kind`, one of "fence", "nearest", "map", "latency", "failover", "weighted", "shuffle", "sticky", "spill", "trickle", "take", "fallback"
            policy.p.step[0].count: a step of kind `nearest` has no key `count` (it has: bias)
            policy.p.step[1].kind: `nearest` has put all members in order: `weighted` would change nothing (put a `take` between the two, or drop one)
            policy.p.step[1].kind: `failover` has put all members in order: `map` would change nothing (put a `take` between the two, or drop one)
            policy.p.step[1].kind: `fence` behind `take` would come too late: members have been picked by then (put it before the first `take`)
            policy.p.step[1].kind: a policy falls back once; the pool it falls back to may do so again
            policy.p.step[0].bias.eu: 100 must be a whole number from -99 to 99
            policy.p.step[0]: there is no region `asia`
            policy.p.step[0].weights: the weights are all zero: nobody would be sent anything
            policy.p.step[0].high_permille: the load from which everybody is sent elsewhere, 900 ‰, must be above 900 ‰
            policy.p.step[0].permille: a trickle (‰) must be 1 to 500, not 501
            policy.p.step[0].max_load_percent: the most that a member is sent (%) must be 101 to 1000, not 100
            policy.p.step[0].count: the number of members must be 1 to 64, not 0
            policy.p.step[0].orders.Europe: `Europe` is not a group of clients: write *, a continent (europe), a country (DE), a part of one (US-CA), a city (DE/Berlin), AS64500, or list:NAME
            policy.p.step[0].orders.europe: a list without regions leads nowhere
            policy.p.step[0].orders.list:office: there is no prefix list `office`
            policy.p.step[0].regions: a list without regions leads nowhere
            policy.p.step[0].ms.DE.eu: a round trip (ms) must be 0 to 60000, not 99999"#]],
    );
}

#[test]
fn falling_back_leads_somewhere_and_ends() {
    let long: String = (0..5)
        .map(|n| format!("[[policy.q{n}.step]]\nkind = \"fallback\"\npool = \"web\"\npolicy = \"q{}\"\n", n + 1))
        .collect();
    let long = format!(
        "[step]\nkind = \"fallback\"\npool = \"web\"\npolicy = \"q0\"\n{long}[[policy.q5.step]]\nkind = \"shuffle\""
    );
    check_steps(
        &[
            "[step]\nkind = \"fallback\"\npool = \"wbe\"",
            "[step]\nkind = \"fallback\"\npool = \"web\"\npolicy = \"othr\"",
            "[step]\nkind = \"fallback\"\npool = \"web\"\npolicy = \"p\"",
            "[step]\nkind = \"fallback\"\npool = \"web\"\npolicy = \"q\"\n[[policy.q.step]]\nkind = \"fallback\"\npool = \"web\"\npolicy = \"p\"",
            &long,
            "[[policy.nearest.step]]\nkind = \"shuffle\"\n[step]\nkind = \"shuffle\"",
            "",
        ],
        expect![[r#"
            policy.p.step[0].pool: there is no pool `wbe` (did you mean `web`?)
            policy.p.step[0].policy: there is no policy `othr` (did you mean `other`?)
            policy.p.step: falling back leads in a circle: p → p
            policy.p.step: falling back leads in a circle: p → q → p
            policy.q.step: falling back leads in a circle: q → p → q
            policy.p.step: more than 4 policies fall back to each other: p → q0 → q1 → q2 → q3
            policy.q0.step: more than 4 policies fall back to each other: q0 → q1 → q2 → q3 → q4
            policy.q1.step: more than 4 policies fall back to each other: q1 → q2 → q3 → q4 → q5
            policy.nearest: `nearest` is always there, and cannot be another policy's name
            zone[0].steered[0].policy: there is no policy `p`"#]],
    );
}

#[test]
fn pools_ask_for_no_more_than_they_have_and_fences_have_somebody_inside() {
    check(
        &[
            ("min_healthy = 1", "panic_below = 0"),
            ("min_healthy = 1", "panic_below = 3"),
            (
                "[pool.web]",
                "[[policy.p.step]]\nkind = \"fence\"\nregions = [\"us\"]\n[pool.eu]\nmembers = [\"eu\"]\ncheck = \"web\"\n\
                 [[zone]]\norigin = \"else.test\"\nns = [\"ns.else.where\"]\n[[zone.steered]]\nname = \"x\"\npool = \"eu\"\npolicy = \"p\"\n[pool.web]",
            ),
        ],
        expect![[r#"
            pool.web.panic_below: of 2 members 1 to 2 can be asked for, not 0
            pool.web.panic_below: of 2 members 1 to 2 can be asked for, not 3
            zone[0].steered[0].policy: policy `p` has a fence that no member of pool `eu` is inside of"#]],
    );
}

#[test]
fn prefix_lists_are_lists_of_networks() {
    let list = |prefixes: &str| format!("[[prefix_list]]\nname = \"office\"\nprefixes = [{prefixes}]\n[pool.web]");
    let wrong = [
        list("\"192.0.2.0\""),
        list("\"192.0.2.0/33\""),
        list("\"192.0.2.1/24\""),
        list("\"2001:db8::1/64\""),
        list("\"office.test/24\""),
        list(""),
        format!("[[prefix_list]]\nname = \"office\"\nprefixes = [\"0.0.0.0/0\"]\n{}", list("\"::/0\"")),
    ];
    let changes: Vec<(&str, &str)> = wrong.iter().map(|to| ("[pool.web]", to.as_str())).collect();
    check(
        &changes,
        expect![[r#"
        prefix_list[0].prefixes[0]: `192.0.2.0` is not a network: it is written like 192.0.2.0/24 or 2001:db8::/32
        prefix_list[0].prefixes[0]: `192.0.2.0/33` is not a network: its length is 0 to 32
        prefix_list[0].prefixes[0]: `192.0.2.1/24` is not a network: it has bits behind the first 24
        prefix_list[0].prefixes[0]: `2001:db8::1/64` is not a network: it has bits behind the first 64
        prefix_list[0].prefixes[0]: `office.test/24` is not a network: it is written like 192.0.2.0/24 or 2001:db8::/32
        prefix_list[0].prefixes: the number of networks must be 1 to 10000, not 0
        prefix_list[1].name: there is a prefix list `office` already"#]],
    );
}

#[test]
fn an_alias_is_another_name_of_this_world() {
    let text = "name = \"api.eu\"\ntype = \"TXT\"\nvalue = \"here\"";
    let alias = |name: &str, target: &str| format!("name = \"{name}\"\ntype = \"ALIAS\"\nvalue = \"{target}\"");
    let and = |a: &str, b: &str| format!("{a}\n[[zone.record]]\n{b}");
    let wrong = [
        alias("@", "www.shop.tst"),
        alias("@", "nothing.shop.test"),
        alias("@", "www"),
        alias("x", "x.shop.test"),
        and(&alias("x", "y.shop.test"), &alias("y", "x.shop.test")),
        and(&alias("x", "t.shop.test"), "name = \"t\"\ntype = \"TXT\"\nvalue = \"t\""),
        alias("www", "shop.test"),
        and(&alias("x", "www.shop.test"), "name = \"x\"\ntype = \"A\"\nvalue = \"192.0.2.1\""),
        and(&alias("x", "www.shop.test"), &alias("x", "on.shop.test")),
        format!("{}\nttl = 60", alias("@", "www.shop.test")),
        and(&alias("x", "www.shop.test"), "name = \"x\"\ntype = \"MX\"\nvalue = \"10 mail.shop.test\""),
        and(&alias("x", "on.w.shop.test"), "name = \"*.w\"\ntype = \"CNAME\"\nvalue = \"www.shop.test\""),
    ];
    let changes: Vec<(&str, &str)> = wrong.iter().map(|to| (text, to.as_str())).collect();
    check(
        &changes,
        expect![[r#"
        zone[0].record[0].value: `www.shop.tst` lies in none of this world's zones: an ALIAS is answered with addresses that are known here (use a CNAME below the zone's own name, or write A and AAAA records)
        zone[0].record[0].value: there is no name `nothing.shop.test` in this world
        zone[0].record[0].value: `www` must be written in full (did you mean `www.shop.test`?)
        zone[0].record[0].value: `www` lies in none of this world's zones: an ALIAS is answered with addresses that are known here (use a CNAME below the zone's own name, or write A and AAAA records)
        zone[0].record[0].value: `x.shop.test` leads in a circle, or over more than 8 aliases
        zone[0].record[0].value: `y.shop.test` leads in a circle, or over more than 8 aliases
        zone[0].record[1].value: `x.shop.test` leads in a circle, or over more than 8 aliases
        zone[0].record[0].value: `t.shop.test` has no addresses that could be given
        zone[0].steered[0].name: `www` has a static ALIAS record; a steered name owns its addresses alone (drop the record, or the steering)
        zone[0].record[0].value: there is no name `shop.test` in this world
        zone[0].record[0].name: an ALIAS says all addresses of `x`, which has others, too
        zone[0].record[0].name: an ALIAS says all addresses of `x`, which has others, too
        zone[0].record[1].value: there is no name `on.shop.test` in this world
        zone[0].record[0].ttl: an ALIAS has none of its own: its addresses have the TTL of those they are
        name = "x"
        type = "ALIAS"
        value = "www.shop.test"
        [[zone.record]]
        name = "x"
        type = "MX"
        value = "10 mail.shop.test": no error
        name = "x"
        type = "ALIAS"
        value = "on.w.shop.test"
        [[zone.record]]
        name = "*.w"
        type = "CNAME"
        value = "www.shop.test": no error"#]],
    );
}

#[test]
fn services_leave_their_hints_to_steering() {
    let wrong = [
        "https = \"1 . ipv4hint=192.0.2.1\"",
        "https = \"0 www.shop.test.\"",
        "https = \"1 www.shop.test. alpn=h2\"",
        "https = \"1\"",
        "svcb = \"1 . ipv6hint=2001:db8::1\"",
        "https = \"1 . alpn=h2\"\n[[zone.record]]\nname = \"www\"\ntype = \"HTTPS\"\nvalue = \"1 . alpn=h3\"",
        "https = \"1 . alpn=h2,h3 port=8443\"",
    ];
    let wrong: Vec<String> = wrong.iter().map(|line| format!("ttl = {{ max = 60 }}\n{line}")).collect();
    let changes: Vec<(&str, &str)> = wrong.iter().map(|to| ("ttl = { max = 60 }", to.as_str())).collect();
    check(
        &changes,
        expect![[r#"
        zone[0].steered[0].https: `ipv4hint` is said by steering: the addresses that the client would be told (drop it)
        zone[0].steered[0].https: priority 0 makes an alias of it, which has no hints (write `1 .`, or a static record)
        zone[0].steered[0].https: hints are the addresses of the name itself, so that the target is `.` (write `1 .`, or a static record)
        zone[0].steered[0].https: `1` is not such a record's data: a name is missing
        zone[0].steered[0].svcb: `ipv6hint` is said by steering: the addresses that the client would be told (drop it)
        zone[0].steered[0].name: `www` has a static record of this type, too (drop the record, or `https`)
        ttl = { max = 60 }
        https = "1 . alpn=h2,h3 port=8443": no error"#]],
    );
}

#[test]
fn a_steered_alias_stands_alone() {
    let wrong = [
        "targets = { eu = \"eu.cdn.test\", asia = \"a.cdn.test\" }",
        "targets = { eu = \"eu\" }",
        "targets = { eu = \"eu.cdn.test\" }\ntake = 2",
        "targets = { eu = \"eu.cdn.test\" }\nhttps = \"1 .\"",
        "targets = { eu = \"eu.cdn.test\" }\n[[zone.record]]\nname = \"www\"\ntype = \"TXT\"\nvalue = \"x\"",
        "targets = { eu = \"eu.cdn.test\", us = \"us.cdn.test\" }",
    ];
    let wrong: Vec<String> = wrong.iter().map(|line| format!("ttl = {{ max = 60 }}\n{line}")).collect();
    let mut changes: Vec<(&str, &str)> = wrong.iter().map(|to| ("ttl = { max = 60 }", to.as_str())).collect();
    changes.push(("name = \"www\"", "name = \"@\"\ntargets = { eu = \"eu.cdn.test\" }"));
    check(
        &changes,
        expect![[r#"
        zone[0].steered[0].targets.asia: there is no region `asia`
        zone[0].steered[0].targets.eu: `eu` must be written in full (did you mean `eu.shop.test`?)
        zone[0].steered[0].take: a name has one CNAME: take = 1
        zone[0].steered[0].targets: a CNAME stands alone: the names it leads to have their own HTTPS and SVCB records
        zone[0].steered[0].targets: a CNAME stands alone: `www` has a TXT record
        ttl = { max = 60 }
        targets = { eu = "eu.cdn.test", us = "us.cdn.test" }: no error
        zone[0].steered[0].targets: a CNAME cannot stand at the zone's own name, beside SOA and NS (RFC 1034, 3.6.2) (steer addresses there, or write an ALIAS)"#]],
    );
}
