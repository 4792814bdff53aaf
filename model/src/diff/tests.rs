//! The words of changes, and the laws that they obey.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::{DiffGroup, WorldDiff};
use crate::{Override, OverrideAction, Plan, PlanId, Subject, World};

fn world(text: &str) -> World {
    World::parse(text, "").unwrap_or_else(|errors| panic!("{errors}"))
}

/// The default world with each `from` replaced by its `to`.
fn changed(changes: &[(&str, &str)]) -> World {
    let mut text = World::default_toml(3, 0);
    for (from, to) in changes {
        assert!(text.contains(from), "there is no `{from}`");
        text = text.replacen(from, to, 1);
    }
    world(&text)
}

#[expect(clippy::needless_pass_by_value, reason = "an expectation is written in the call")]
fn check(changes: &[(&str, &str)], words: Expect) {
    words.assert_eq(&WorldDiff::between(&changed(&[]), &changed(changes)).to_string());
}

#[test]
fn a_change_of_names_is_told_name_by_name() {
    check(&[], expect!["nothing changes"]);
    check(
        &[("ttl = { min = 1, max = 30 }", "ttl = { min = 2, max = 60 }")],
        expect![[r#"
        1 name changes, none becomes empty

        names
          www.shop.test: TTL 30 → 60, least TTL 1 → 2"#]],
    );
    check(
        &[
            (
                "name = \"pay\"\npool = \"web\"\npolicy = \"failover\"",
                "name = \"buy\"\npool = \"web\"\npolicy = \"failover\"",
            ),
            ("value = \"served by atoll\"", "value = \"served by another\"\nttl = 60"),
            (
                "name = \"shop\"\ntype = \"CNAME\"\nvalue = \"www.shop.test\"",
                "name = \"shop\"\ntype = \"A\"\nvalue = \"192.0.2.1\"",
            ),
        ],
        expect![[r#"
            2 names change, 1 name comes, 1 name goes, none becomes empty

            names
              pay.shop.test goes
              buy.shop.test comes, steered to pool `web`
              shop.shop.test: A (none) → 192.0.2.1, CNAME www.shop.test → (none)
              shop.test: TXT served by atoll → served by another (TTL 60)"#]],
    );
}

#[test]
fn a_change_of_a_pool_counts_the_names_that_it_serves() {
    check(
        &[
            (
                "members = [\"us-east\", \"eu-west\", \"ap-south\"]",
                "members = [\"us-east\", \"ap-south\"]\nmin_healthy = 2\nweights = { us-east = 50 }",
            ),
            ("order = [\"us-east\", \"eu-west\", \"ap-south\"]", "order = [\"us-east\"]"),
        ],
        expect![[r#"
            3 names change, none becomes empty, also changed: pools (1)

            pools
              pool `web` loses eu-west, min_healthy (not said) → 2, weights.us-east (not said) → 50

            names
              pay.shop.test: order [us-east, eu-west, ap-south] → [us-east]"#]],
    );
}

#[test]
fn what_is_no_name_is_told_by_kind() {
    check(
        &[
            ("profile = \"default\"", "profile = \"fast\""),
            ("place = \"Dublin\"", "place = \"Cork\"\ncapacity_rps = 5000"),
            ("interval_ms = 500", "interval_ms = 250"),
            (
                "\n# --- State",
                "\n[automation]\nenabled = false\nramp_percent = []\n\n[[safety]]\nname = \"two\"\nat_least = 2\nregions = [\"us-east\", \"eu-west\"]\n\n# --- State",
            ),
            ("max_value_bytes = 8388608", "max_value_bytes = 1048576"),
            ("starts_with = \"revoked:\"", "starts_with = \"session:\""),
            ("ttl = 300", "ttl = 600"),
        ],
        expect![[r#"
            no name changes, none becomes empty, also changed: world (1), regions (1), checks (1), zones (1), automation (2), safety rules (1), state (3)

            world
              profile default → fast

            regions
              region `eu-west`: capacity_rps (not said) → 5000, place Dublin → Cork

            checks
              check `gateway`: interval_ms 500 → 250

            zones
              zone `shop.test`: ttl 300 → 600

            automation
              enabled true → false
              ramp_percent [10, 50] → []

            safety rules
              rule `two` comes

            state
              state: max_value_bytes 8388608 → 1048576
              prefix `revoked:` goes
              prefix `session:` comes"#]],
    );
}

#[test]
fn a_name_that_would_lose_its_addresses_is_shouted() {
    let both = ("gateway_v4 = \"127.0.2.1\"", "gateway_v4 = \"127.0.2.1\"\ngateway_v6 = \"2001:db8::2\"");
    let before = changed(&[both]);
    let after = changed(&[]);
    let words = WorldDiff::between(&before, &after);
    // The region changes, not the pool: its names are told of all the same.
    assert_eq!(words.names.empty, 3, "{words}");
    let closed = ("all_down = \"fail_open\"", "all_down = \"fail_closed\"");
    let two = ("members = [\"us-east\", \"eu-west\", \"ap-south\"]", "members = [\"eu-west\"]");
    let order = ("order = [\"us-east\", \"eu-west\", \"ap-south\"]", "order = []");
    let mut plan = Plan::new(PlanId { lineage: 1, version: 7 }, 0, "a test", changed(&[]));
    let (eu, who) = (Subject::Region("eu-west".parse().unwrap()), ("a drain", "the test"));
    plan.overrides.push(Override::new(eu, OverrideAction::Down, who, 0, 3_600_000));
    let after = changed(&[closed, two, order]);
    expect![[r#"
        3 names change, 3 BECOME EMPTY, also changed: pools (1)

        pools
          pool `web` loses us-east, ap-south, all_down fail_open → fail_closed

        names without an address
          pay.shop.test has no address any more
          shop.test has no address any more
          www.shop.test has no address any more

        names
          pay.shop.test: order [us-east, eu-west, ap-south] → (not said)"#]]
    .assert_eq(&WorldDiff::of_plan(&plan, &after).to_string());
    assert_eq!(WorldDiff::between(&plan.world, &after).names.empty, 0, "nobody is drained there");
}

#[test]
fn another_order_is_a_change_and_a_long_one_is_cut() {
    let (mut before, mut after) = (changed(&[]), changed(&[]));
    after.regions.reverse();
    expect![[r#"
        no name changes, none becomes empty, also changed: order (1)

        order
          the same things stand in another order"#]]
    .assert_eq(&WorldDiff::between(&before, &after).to_string());
    let steered = before.zones[0].steered[0].clone();
    for n in 0..5000 {
        before.zones[0].steered.push(crate::Steered { name: format!("{}{n}", "x".repeat(58)), ..steered.clone() });
    }
    let words = WorldDiff::between(&before, &after);
    assert_eq!((words.names.go, words.groups[0].lines.len(), words.groups[0].more), (5000, DiffGroup::LINES_MAX, 4988));
    assert!(words.to_string().len() < 2000, "{words}");
}

proptest! {
    #[test]
    fn nothing_is_said_of_equal_worlds_and_something_of_all_others(a in crate::parse::tests::worlds(), b in crate::parse::tests::worlds()) {
        prop_assert!(WorldDiff::between(&a, &a).is_empty());
        let words = WorldDiff::between(&a, &b);
        prop_assert_eq!(words.is_empty(), a == b, "{}", words);
        let lines = words.groups.iter().flat_map(|group| &group.lines);
        prop_assert!(lines.map(|line| line.chars().count()).all(|chars| chars < 2000), "{}", words);
    }
}
