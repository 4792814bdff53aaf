//! Each policy by examples: a world, a client, and whom it is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use hickory_proto::op::Message;
use model::{Plan, PlanId, RegionName, Subject, SubjectState, Verdict, World};

use super::{scopes::answer_for, world::*};
use crate::{
    Basis, Rtype, View, ViewInputs, explain,
    geo::{Geo, read_prefixes},
};

/// Four regions, two pools; `www.shop.test` is steered by policy `p`, which a test writes.
const WORLD: &str = r#"
name = "test"

[[region]]
name = "us-east"
id = 1
location = { latitude = 39.04, longitude = -77.49 }
gateway_v4 = "198.51.100.1"
gateway_v6 = "2001:db8:1::1"

[[region]]
name = "eu-west"
id = 2
location = { latitude = 53.35, longitude = -6.26 }
gateway_v4 = "198.51.100.2"
gateway_v6 = "2001:db8:2::1"

[[region]]
name = "ap-south"
id = 3
location = { latitude = 19.08, longitude = 72.88 }
gateway_v4 = "198.51.100.3"

[[region]]
name = "eu-north"
id = 4
location = { latitude = 59.33, longitude = 18.07 }
gateway_v4 = "198.51.100.4"
gateway_v6 = "2001:db8:4::1"

[check.web]
kind = "http"

[pool.web]
members = ["us-east", "eu-west", "ap-south"]
check = "web"
#web

[pool.backup]
members = ["eu-north"]
check = "web"

[[zone]]
origin = "shop.test"
ns = ["ns.else.test"]

[[zone.steered]]
name = "www"
pool = "web"
policy = "p"
#www
"#;

/// The regions that answers name, by the last part of an address that tells them.
const REGIONS: [&str; 4] = ["us-east", "eu-west", "ap-south", "eu-north"];

/// A world with these steps as policy `p`; further lines may follow behind `---`, and lines for the pool and the name at their marks.
pub(super) fn plan_of(text: &str) -> Plan {
    let (steps, more) = text.split_once("---").unwrap_or((text, ""));
    let steps = steps.replace("[step]", "[[policy.p.step]]").replace("[step.", "[policy.p.step.");
    let mut world = WORLD.to_owned();
    let mut rest = String::new();
    for line in more.lines() {
        match line.trim().split_once(": ") {
            Some((mark @ ("web" | "www"), said)) => {
                world = world.replace(&format!("#{mark}\n"), &format!("{said}\n#{mark}\n"));
            }
            _ => rest += &format!("{line}\n"),
        }
    }
    parsed(&format!("{world}\n{rest}\n{steps}"))
}

/// The world with policy `shop` as it is written.
pub(super) fn plan_from(policy: &str) -> Plan {
    parsed(&format!("{}\n{policy}", WORLD.replace("policy = \"p\"", "policy = \"shop\"")))
}

fn parsed(text: &str) -> Plan {
    let world = World::parse(text, "").unwrap_or_else(|errors| panic!("{errors}"));
    let mut plan = Plan::new(PlanId { lineage: 0xabc, version: 42 }, 0, "test", world);
    for region in REGIONS {
        let state = SubjectState::new(Verdict::Up, 0, 1);
        plan.verdicts.insert(Subject::Region(region_name(region)), state);
    }
    plan
}

fn without(mut plan: Plan, regions: &str) -> Plan {
    down(&mut plan, regions);
    plan
}

/// The usual places, and finer ones in them: 5.2/16 is in Berlin's state, 5.3/16 is announced by AS64500, and of 5.4/16 the upper
/// half is said to be in the US.
pub(super) fn fine_geo() -> Arc<Geo> {
    let text = "5.2.0.0/16 country=DE subdivision=BE location=52.5,13.4\n5.3.0.0/16 country=DE asn=64500 location=50.1,8.7\n\
                5.4.128.0/17 country=US location=41.9,-87.7\n2a00:7::/32 country=DE asn=64500 location=50.1,8.7\n";
    Arc::new(geo().with(&[read_prefixes(text, "a test").unwrap()]).unwrap())
}

pub(super) fn view_under(plan: &Plan, loads: &[(&str, u32)]) -> View {
    let load_permille: BTreeMap<RegionName, u32> =
        loads.iter().map(|(region, load)| (region_name(region), *load)).collect();
    let inputs = ViewInputs { geo: fine_geo(), load_permille, ..ViewInputs::new(region_name("us-east")) };
    View::compile(plan, &inputs).unwrap()
}

/// The regions of the addresses in an answer, in its order.
fn regions(view: &View, question: &str) -> Vec<&'static str> {
    let (_, packet) = ask(view, question);
    let message = Message::from_vec(&packet).unwrap();
    let region = |data: String| {
        let is = |n: &usize| data == format!("198.51.100.{n}") || data == format!("2001:db8:{n}::1");
        let n = (1..=4).find(is).unwrap_or_else(|| panic!("whose is {data}?"));
        REGIONS[n - 1]
    };
    message.answers.iter().map(|record| region(record.data.to_string())).collect()
}

fn basis(view: &View, question: &str) -> Basis {
    ask(view, question).0.basis.unwrap()
}

/// Who is told to clients in Germany, France, the US, India, and nowhere.
#[track_caller]
fn check(plan: &Plan, want: [&str; 5]) {
    let view = view_under(plan, &[]);
    for (client, want) in ["5.1.1.1", "5.200.1.1", "3.1.1.1", "49.1.1.1", "127.0.0.1"].into_iter().zip(want) {
        assert_eq!(regions(&view, &format!("www.shop.test A @{client}")).join(" "), want, "{client}");
    }
}

#[test]
fn a_map_puts_regions_first_and_the_most_specific_entry_counts() {
    let plan = plan_of(
        r#"
        [step]
        kind = "map"
        [step.orders]
        "*" = ["us-east"]
        europe = ["ap-south", "us-east"]
        DE = ["eu-west"]
        [step]
        kind = "nearest"
        "#,
    );
    check(&plan, ["eu-west", "ap-south", "us-east", "us-east", "us-east"]);
    // Whoever is not in the entry follows by distance.
    check(&without(plan.clone(), "eu-west"), ["ap-south", "ap-south", "us-east", "us-east", "us-east"]);
    check(&without(plan.clone(), "us-east"), ["eu-west", "ap-south", "eu-west", "ap-south", "eu-west"]);
    check(&without(plan, "ap-south us-east"), ["eu-west"; 5]);
}

#[test]
fn a_map_knows_subdivisions_autonomous_systems_and_prefix_lists() {
    let plan = plan_of(
        r#"
        [step]
        kind = "map"
        [step.orders]
        DE = ["eu-west"]
        DE-BE = ["us-east"]
        AS64500 = ["ap-south"]
        "list:office" = ["us-east"]
        "list:partner" = ["ap-south"]
        ---
        [[prefix_list]]
        name = "partner"
        prefixes = ["5.1.1.0/24", "5.3.7.0/24"]
        [[prefix_list]]
        name = "office"
        prefixes = ["5.1.1.128/25", "2a00:7::/48"]
        "#,
    );
    let view = view_under(&plan, &[]);
    let check = |client: &str, rtype: &str, want: &str, scope: u8| {
        assert_eq!(regions(&view, &format!("www.shop.test {rtype} @{client}")), [want], "{client}");
        assert_eq!(answer_for(&view, &format!("www.shop.test {rtype}"), client.parse().unwrap()).1, scope, "{client}");
    };
    check("5.1.2.1", "A", "eu-west", 23);
    check("5.2.0.1", "A", "us-east", 16);
    check("5.3.0.1", "A", "ap-south", 16);
    check("5.3.7.1", "A", "ap-south", 16);
    check("5.1.1.1", "A", "ap-south", 25);
    // In both lists: the first by its name counts.
    check("5.1.1.200", "A", "us-east", 25);
    // ap-south has no IPv6 address, so that the list makes no difference to its neighbours.
    check("2a00:7::1", "AAAA", "us-east", 32);
    check("2a00:8::1", "AAAA", "eu-west", 29);
}

#[test]
fn a_bias_moves_the_border_between_regions() {
    let plan = |bias: &str| without(plan_of(&format!("[step]\nkind = \"nearest\"\nbias = {{ {bias} }}")), "eu-west");
    // From Berlin it is 6288 km to ap-south and 6726 to us-east.
    check(&plan(""), ["ap-south", "us-east", "us-east", "ap-south", "us-east"]);
    check(&plan("us-east = 10"), ["us-east", "us-east", "us-east", "ap-south", "us-east"]);
    check(&plan("ap-south = -10"), ["us-east", "us-east", "us-east", "ap-south", "us-east"]);
    check(&plan("ap-south = 10"), ["ap-south", "us-east", "us-east", "ap-south", "us-east"]);
}

#[test]
fn measured_latency_orders_what_it_knows_and_distance_the_rest() {
    let plan = plan_of(
        r#"
        [step]
        kind = "latency"
        [step.ms.DE]
        us-east = 90
        ap-south = 120
        eu-west = 95
        [step.ms.europe]
        ap-south = 10
        "#,
    );
    check(&plan, ["us-east", "ap-south", "us-east", "ap-south", "us-east"]);
    check(&without(plan.clone(), "us-east"), ["eu-west", "ap-south", "eu-west", "ap-south", "eu-west"]);
    check(&without(plan, "ap-south"), ["us-east", "eu-west", "us-east", "eu-west", "us-east"]);
}

fn fence(none_left: &str, more: &str) -> Plan {
    plan_of(&format!(
        "[step]\nkind = \"fence\"\nclients = [\"europe\"]\nregions = [\"eu-west\", \"eu-north\"]\nnone_left = \"{none_left}\"\n\
         [step]\nkind = \"nearest\"\n{more}"
    ))
}

#[test]
fn a_fence_keeps_clients_inside() {
    check(&without(fence("open", ""), "us-east"), ["eu-west", "eu-west", "eu-west", "ap-south", "eu-west"]);
    // Open: out they go. Closed: what the pool says for the case that all are down is said of the members inside.
    check(&without(fence("open", ""), "eu-west"), ["ap-south", "us-east", "us-east", "ap-south", "us-east"]);
    check(&without(fence("closed", ""), "eu-west"), ["eu-west", "eu-west", "us-east", "ap-south", "us-east"]);
    let closed = fence("closed", "---\nweb: all_down = \"fail_closed\"");
    check(&without(closed, "eu-west"), ["", "", "us-east", "ap-south", "us-east"]);
    let view = |none_left| view_under(&without(fence(none_left, ""), "eu-west"), &[]);
    assert_eq!(basis(&view("open"), "www.shop.test A @5.1.1.1"), Basis::OutsideFence);
    assert_eq!(basis(&view("closed"), "www.shop.test A @5.1.1.1"), Basis::FailOpen);
    assert_eq!(basis(&view("closed"), "www.shop.test A @3.1.1.1"), Basis::FirstChoice);
}

#[test]
fn fences_that_leave_nobody_give_no_answer() {
    let plan = plan_of(
        r#"
        [step]
        kind = "fence"
        clients = ["europe"]
        regions = ["eu-west"]
        none_left = "closed"
        [step]
        kind = "fence"
        clients = ["DE"]
        regions = ["us-east"]
        none_left = "closed"
        "#,
    );
    check(&plan, ["", "eu-west", "us-east", "us-east", "us-east"]);
    assert_eq!(basis(&view_under(&plan, &[]), "www.shop.test A @5.1.1.1"), Basis::ClosedFence);
    assert!(show(&ask(&view_under(&plan, &[]), "www.shop.test A @5.1.1.1 edns=1232").1).contains("ede=0 (no member"));
}

#[test]
fn a_pool_that_is_down_falls_back_to_another_one() {
    let steps = "[step]\nkind = \"nearest\"\n[step]\nkind = \"fallback\"\npool = \"backup\"\n";
    let plan = plan_of(steps);
    check(&plan, ["eu-west", "eu-west", "us-east", "ap-south", "us-east"]);
    let all = "us-east eu-west ap-south";
    check(&without(plan.clone(), all), ["eu-north"; 5]);
    assert_eq!(basis(&view_under(&without(plan.clone(), all), &[]), "www.shop.test A"), Basis::Fallback);
    // If that one is down, too, the first pool's word on it counts.
    let none = format!("{all} eu-north");
    check(&without(plan, &none), ["eu-west", "eu-west", "us-east", "ap-south", "us-east"]);
    let closed = plan_of(&format!("{steps}---\nweb: all_down = \"fail_closed\""));
    check(&without(closed.clone(), all), ["eu-north"; 5]);
    check(&without(closed, &none), [""; 5]);
}

#[test]
fn falling_back_goes_on_and_a_closed_fence_holds_in_every_pool() {
    let mut plan = plan_of(
        r#"
        [step]
        kind = "fence"
        clients = ["DE"]
        regions = ["eu-west", "eu-north"]
        none_left = "closed"
        [step]
        kind = "fallback"
        pool = "far"
        policy = "next"
        ---
        [pool.far]
        members = ["ap-south"]
        check = "web"
        [[policy.next.step]]
        kind = "fallback"
        pool = "backup"
        "#,
    );
    plan.world.pools.get_mut("web").unwrap().members = vec![region_name("us-east"), region_name("eu-west")];
    check(&plan, ["eu-west", "us-east", "us-east", "us-east", "us-east"]);
    check(&without(plan.clone(), "us-east eu-west"), ["eu-north", "ap-south", "ap-south", "ap-south", "ap-south"]);
    check(&without(plan, "us-east eu-west ap-south"), ["eu-north"; 5]);
}

#[test]
fn too_few_members_count_as_none() {
    let text = |more: &str| format!("[step]\nkind = \"nearest\"\n{more}---\nweb: panic_below = 2");
    let down = "us-east eu-west";
    check(&without(plan_of(&text("")), "us-east"), ["eu-west", "eu-west", "eu-west", "ap-south", "eu-west"]);
    check(&without(plan_of(&text("")), down), ["eu-west", "eu-west", "us-east", "ap-south", "us-east"]);
    let back = text("[step]\nkind = \"fallback\"\npool = \"backup\"\n");
    check(&without(plan_of(&back), down), ["eu-north"; 5]);
    let view = view_under(&without(plan_of(&text("")), down), &[]);
    assert_eq!(basis(&view, "www.shop.test A @5.1.1.1"), Basis::Panic);
    // AAAA has two members, of which none serves.
    assert_eq!(basis(&view, "www.shop.test AAAA @5.1.1.1"), Basis::FailOpen);
}

/// How often each list of regions is told, of so many draws.
fn draws(view: &View, question: &str, draws: u64) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for draw in 0..draws {
        *counts.entry(regions(view, &format!("{question} draw={draw}")).join(" ")).or_default() += 1;
    }
    counts
}

/// A count that is as probable as `part` of a thousand is within five standard deviations.
#[track_caller]
fn check_count(counts: &BTreeMap<String, u64>, of: &str, part: f64) {
    let all: u64 = counts.values().sum();
    let (n, p) = (all as f64, part / 1000.0);
    let count = counts.get(of).copied().unwrap_or_default() as f64;
    assert!((count - n * p).abs() <= 5.0 * (n * p * (1.0 - p)).sqrt(), "{of}: {count} of {n} for {part} ‰: {counts:?}");
}

#[test]
fn weights_are_kept_by_draws() {
    let text = "[step]\nkind = \"weighted\"\nweights = { us-east = 600, eu-west = 300, ap-south = 100 }";
    let view = view_under(&plan_of(text), &[]);
    let counts = draws(&view, "www.shop.test A", 8000);
    for (region, part) in [("us-east", 600.0), ("eu-west", 300.0), ("ap-south", 100.0)] {
        check_count(&counts, region, part);
    }
    // Who is down is not drawn; the others keep the ratio of their weights.
    let counts = draws(&view_under(&without(plan_of(text), "us-east"), &[]), "www.shop.test A", 8000);
    assert_eq!(counts.len(), 2);
    check_count(&counts, "eu-west", 750.0);
    // Two of three: the second is drawn from those that are left.
    let counts = draws(&view_under(&plan_of(&format!("{text}\n---\nwww: take = 2")), &[]), "www.shop.test A", 8000);
    for (pair, part) in [("us-east eu-west", 450.0), ("eu-west us-east", 257.14), ("ap-south eu-west", 33.33)] {
        check_count(&counts, pair, part);
    }
    let (_, scope) = answer_for(&view, "www.shop.test A", "5.1.1.1".parse().unwrap());
    assert_eq!(scope, 0, "what is drawn is no matter of the client");
}

#[test]
fn weight_0_is_drawn_only_if_nobody_else_is_left() {
    let text = "[step]\nkind = \"weighted\"\nweights = { us-east = 1, eu-west = 1 }";
    let counts = draws(&view_under(&plan_of(text), &[]), "www.shop.test A", 500);
    assert_eq!(counts.len(), 2, "{counts:?}");
    let counts = draws(&view_under(&without(plan_of(text), "us-east eu-west"), &[]), "www.shop.test A", 20);
    assert_eq!(counts.keys().collect::<Vec<_>>(), ["ap-south"]);
}

#[test]
fn the_nearest_two_are_shuffled() {
    let text = |take: u32| {
        format!(
            "[step]\nkind = \"nearest\"\n[step]\nkind = \"take\"\ncount = 2\n[step]\nkind = \"shuffle\"\n---\nwww: take = {take}"
        )
    };
    let view = view_under(&plan_of(&text(2)), &[]);
    let counts = draws(&view, "www.shop.test A @49.1.1.1", 2000);
    assert_eq!(counts.len(), 2);
    check_count(&counts, "ap-south eu-west", 500.0);
    let view = view_under(&without(plan_of(&text(1)), "eu-west"), &[]);
    let counts = draws(&view, "www.shop.test A @5.1.1.1", 2000);
    check_count(&counts, "us-east", 500.0);
    check_count(&counts, "ap-south", 500.0);
}

#[test]
fn a_and_aaaa_are_drawn_alike() {
    let text = "[step]\nkind = \"weighted\"\nweights = { us-east = 5, eu-west = 3 }";
    let view = view_under(&plan_of(text), &[]);
    for draw in 0..200 {
        let of = |rtype: &str| regions(&view, &format!("www.shop.test {rtype} draw={draw}"));
        assert_eq!(of("A"), of("AAAA"));
    }
}

/// The clients of 4000 networks.
fn crowd() -> impl Iterator<Item = IpAddr> {
    (0..4000u32).map(|n| IpAddr::V4((n.wrapping_mul(2_654_435_761) | 1).into()))
}

fn placed(view: &View) -> Vec<&'static str> {
    crowd().map(|client| regions(view, &format!("www.shop.test A @{client}"))[0]).collect()
}

fn portion(placed: &[&str], region: &str) -> usize {
    placed.iter().filter(|other| **other == region).count() * 1000 / placed.len()
}

#[test]
fn sticky_clients_stay_when_another_member_leaves() {
    let text = "[step]\nkind = \"sticky\"\nweights = { us-east = 200, eu-west = 200, ap-south = 100 }";
    let plan = plan_of(text);
    let whole = placed(&view_under(&plan, &[]));
    for (region, part) in [("us-east", 400), ("eu-west", 400), ("ap-south", 200)] {
        assert!(portion(&whole, region).abs_diff(part) < 50, "{region} {}", portion(&whole, region));
    }
    let left = placed(&view_under(&without(plan.clone(), "eu-west"), &[]));
    for (before, after) in whole.iter().zip(&left) {
        assert!(before == after || *before == "eu-west");
        assert_ne!(*after, "eu-west");
    }
    // Its clients are shared out by the weights of the others.
    let moved: Vec<&str> = whole.iter().zip(&left).filter(|(b, _)| **b == "eu-west").map(|(_, after)| *after).collect();
    assert!(portion(&moved, "us-east").abs_diff(667) < 70, "{}", portion(&moved, "us-east"));
    assert_eq!(answer_for(&view_under(&plan, &[]), "www.shop.test A", "5.1.1.1".parse().unwrap()).1, 24);
    let there =
        View::compile(&plan, &ViewInputs { geo: fine_geo(), ..ViewInputs::new(region_name("ap-south")) }).unwrap();
    assert_eq!(placed(&there), whole, "all servers agree");
}

#[test]
fn a_bound_keeps_members_from_more_than_their_part() {
    let text = |bound: &str| format!("[step]\nkind = \"sticky\"\n{bound}");
    let free = placed(&view_under(&plan_of(&text("")), &[]));
    let bound = placed(&view_under(&plan_of(&text("max_load_percent = 101")), &[]));
    for region in ["us-east", "eu-west", "ap-south"] {
        assert!(portion(&bound, region) < 365, "{region} {}", portion(&bound, region));
    }
    let moved = free.iter().zip(&bound).filter(|(a, b)| a != b).count() * 1000 / free.len();
    assert!(moved < 100, "a bound moves only who is too many: {moved}");
    // One member leaves: of the clients of the others only those move that a bound pushes.
    let left = placed(&view_under(&without(plan_of(&text("max_load_percent = 110")), "eu-west"), &[]));
    let before = placed(&view_under(&plan_of(&text("max_load_percent = 110")), &[]));
    let pushed = before.iter().zip(&left).filter(|(b, a)| a != b && **b != "eu-west").count() * 1000 / left.len();
    assert!(pushed < 80, "{pushed}");
    assert!(portion(&left, "us-east") < 565 && portion(&left, "ap-south") < 565);
}

#[test]
fn a_loaded_region_spills_its_part() {
    let text = "[step]\nkind = \"failover\"\norder = [\"eu-west\", \"us-east\"]\n\
                [step]\nkind = \"spill\"\nlow_permille = 700\nhigh_permille = 900";
    let plan = plan_of(text);
    for (load, kept) in [(0, 1000), (700, 1000), (750, 750), (800, 500), (899, 5), (900, 0), (5000, 0)] {
        let placed = placed(&view_under(&plan, &[("eu-west", load)]));
        assert!(portion(&placed, "eu-west").abs_diff(kept) < 30, "load {load}: {}", portion(&placed, "eu-west"));
        assert!(placed.iter().all(|region| ["eu-west", "us-east"].contains(region)));
    }
    assert_eq!(portion(&placed(&view_under(&plan, &[("us-east", 950)])), "eu-west"), 1000, "no load is known of it");
    // Nobody else is left: it keeps all.
    let alone = view_under(&without(plan.clone(), "us-east ap-south"), &[("eu-west", 5000)]);
    assert_eq!(portion(&placed(&alone), "eu-west"), 1000);
    // All are loaded: none is spared.
    let all = [("eu-west", 2000), ("us-east", 2000), ("ap-south", 2000)];
    assert_eq!(portion(&placed(&view_under(&plan, &all)), "eu-west"), 1000);
    let view = view_under(&plan, &[("eu-west", 900)]);
    assert_eq!(basis(&view, "www.shop.test A"), Basis::Spilled);
    assert_eq!(answer_for(&view, "www.shop.test A", "5.1.1.1".parse().unwrap()).1, 0, "all are sent elsewhere");
    let half = view_under(&plan, &[("eu-west", 800)]);
    assert_eq!(answer_for(&half, "www.shop.test A", "5.1.1.1".parse().unwrap()).1, 24);
}

#[test]
fn a_trickle_keeps_those_who_stand_by_warm() {
    let text =
        "[step]\nkind = \"trickle\"\npermille = 50\n[step]\nkind = \"nearest\"\n---\nweb: weights = { ap-south = 0 }";
    let plan = plan_of(text);
    let placed_before = placed(&view_under(&plan, &[]));
    assert!(portion(&placed_before, "ap-south").abs_diff(50) < 15, "{}", portion(&placed_before, "ap-south"));
    // Who is down gets no trickle.
    assert_eq!(portion(&placed(&view_under(&without(plan.clone(), "ap-south"), &[])), "ap-south"), 0);
    // With the others down everybody goes there.
    assert_eq!(portion(&placed(&view_under(&without(plan, "us-east eu-west"), &[])), "ap-south"), 1000);
    let named = plan_of(
        "[step]\nkind = \"trickle\"\npermille = 500\nto = [\"us-east\"]\n[step]\nkind = \"failover\"\norder = [\"eu-west\"]",
    );
    let view = view_under(&named, &[]);
    assert!(portion(&placed(&view), "us-east").abs_diff(500) < 30);
    let grounds: BTreeSet<Basis> = crowd().map(|client| basis(&view, &format!("www.shop.test A @{client}"))).collect();
    assert_eq!(grounds, BTreeSet::from([Basis::FirstChoice, Basis::Trickled]));
}

#[test]
fn https_hints_are_the_addresses_that_the_client_would_be_told() {
    let text = "[step]\nkind = \"nearest\"\n---\nwww: https = \"1 . alpn=h2,h3 port=8443\"\nwww: svcb = \"3 . key9=x\"\nwww: take = 2";
    let plan = plan_of(text);
    let told = |plan: &Plan, question: &str| show(&ask(&view_under(plan, &[]), question).1);
    assert_eq!(
        told(&plan, "www.shop.test HTTPS @5.1.1.1"),
        "No Error aa\nwww.shop.test. 2 HTTPS 1 . alpn=h2,h3, port=8443 ipv4hint=198.51.100.2,198.51.100.3, \
         ipv6hint=2001:db8:2::1,2001:db8:1::1,\n"
    );
    assert!(told(&plan, "www.shop.test SVCB @5.1.1.1").contains(" 3 . "));
    let down = without(plan.clone(), "eu-west");
    assert!(told(&down, "www.shop.test HTTPS @5.1.1.1").contains("ipv4hint=198.51.100.3,198.51.100.1"));
    // Other types are as before.
    assert_eq!(told(&plan, "www.shop.test MX @5.1.1.1").lines().next(), Some("No Error aa"));
}

/// Of three members with IPv4 and two with IPv6, with their shares and a draw, there are more pairs of answers than answers that are
/// kept apart: the hints of some draws were once nobody's.
#[test]
fn hints_are_what_a_and_aaaa_say_however_many_answers_there_are() {
    let mut plan = plan_of(
        "[step]\nkind = \"sticky\"\n[step]\nkind = \"take\"\ncount = 3\n[step]\nkind = \"shuffle\"\n---\nwww: https = \"1 . alpn=h2\"",
    );
    ramp(&mut plan, "eu-west", 300);
    ramp(&mut plan, "ap-south", 300);
    let view = view_under(&plan, &[]);
    for draw in 0..200 {
        let told = |rtype| show(&ask(&view, &format!("www.shop.test {rtype} @2602:d9a1:bc9:: draw={draw}")).1);
        let https = told("HTTPS");
        for (rtype, hint) in [("A", "ipv4hint"), ("AAAA", "ipv6hint")] {
            let address = told(rtype).split_whitespace().last().unwrap().to_owned();
            assert!(https.contains(&format!(" {hint}={address},")), "draw {draw}: {address} in {https}");
        }
    }
}

#[test]
fn an_alias_at_the_apex_has_the_addresses_of_its_target() {
    let text = "[step]\nkind = \"nearest\"\n---\n\
                www: https = \"1 . alpn=h2\"\n\
                [[zone.record]]\nname = \"@\"\ntype = \"ALIAS\"\nvalue = \"on.other.test\"\n\
                [[zone.record]]\nname = \"@\"\ntype = \"MX\"\nvalue = \"10 mail.else.test\"\n\
                [[zone.record]]\nname = \"flat\"\ntype = \"ALIAS\"\nvalue = \"static.other.test\"\n\
                [[zone]]\norigin = \"other.test\"\nns = [\"ns.else.test\"]\n\
                [[zone.record]]\nname = \"on\"\ntype = \"CNAME\"\nvalue = \"deep.w.other.test\"\n\
                [[zone.record]]\nname = \"*.w\"\ntype = \"ALIAS\"\nvalue = \"www.shop.test\"\n\
                [[zone.record]]\nname = \"static\"\ntype = \"AAAA\"\nvalue = \"2001:db8::9\"\nttl = 77\n";
    let view = view_under(&plan_of(text), &[]);
    let told = |question: &str| show(&ask(&view, question).1);
    for (client, region) in [("5.1.1.1", "eu-west"), ("3.1.1.1", "us-east"), ("49.1.1.1", "ap-south")] {
        for name in ["shop.test", "www.shop.test", "x.w.other.test"] {
            assert_eq!(regions(&view, &format!("{name} A @{client}")), [region], "{name}");
        }
    }
    assert_eq!(answer_for(&view, "shop.test A", "5.200.1.1".parse().unwrap()).1, 9);
    assert_eq!(told("flat.shop.test AAAA"), "No Error aa\nflat.shop.test. 77 AAAA 2001:db8::9\n");
    assert!(told("flat.shop.test A").starts_with("No Error aa\nauthority "));
    assert!(told("shop.test MX").contains("10 mail.else.test."));
    // Only addresses are lent: HTTPS at the apex is the zone's own matter.
    assert!(told("shop.test HTTPS").starts_with("No Error aa\nauthority "), "{}", told("shop.test HTTPS"));
    assert!(told("www.shop.test HTTPS").contains("HTTPS 1 ."));
}

#[test]
fn a_steered_alias_leads_to_the_members_name() {
    let text = "[step]\nkind = \"nearest\"\n---\n\
                www: targets = { us-east = \"us.cdn.test\", eu-west = \"eu.shop.test\" }\n\
                [[zone.record]]\nname = \"eu\"\ntype = \"A\"\nvalue = \"192.0.2.7\"\n";
    let view = |down: &str| view_under(&without(plan_of(text), down), &[]);
    let told = |down: &str, question: &str| show(&ask(&view(down), question).1);
    let eu = "No Error aa\nwww.shop.test. 2 CNAME eu.shop.test.\neu.shop.test. 300 A 192.0.2.7\n";
    assert_eq!(told("", "www.shop.test A @5.1.1.1"), eu);
    assert_eq!(told("", "www.shop.test CNAME @5.1.1.1"), "No Error aa\nwww.shop.test. 2 CNAME eu.shop.test.\n");
    assert_eq!(told("", "www.shop.test A @3.1.1.1"), "No Error aa\nwww.shop.test. 2 CNAME us.cdn.test.\n");
    // A region without a name is passed over: from Kolkata Dublin is nearer than Virginia.
    assert_eq!(told("", "www.shop.test A @49.1.1.1"), eu);
    assert_eq!(told("eu-west", "www.shop.test A @5.1.1.1"), "No Error aa\nwww.shop.test. 2 CNAME us.cdn.test.\n");
    assert_eq!(answer_for(&view(""), "www.shop.test A", "5.200.1.1".parse().unwrap()).1, 9);
    let view = view("");
    let (outcome, _) = ask(&view, "www.shop.test A @5.1.1.1");
    assert_eq!(outcome.region.map(RegionName::as_str), Some("eu-west"));
}

#[test]
fn explanations_tell_what_each_step_did() {
    let text = r#"
        [step]
        kind = "fence"
        clients = ["europe"]
        regions = ["eu-west"]
        [step]
        kind = "map"
        orders = { DE = ["ap-south"] }
        [step]
        kind = "spill"
        low_permille = 700
        high_permille = 900
        [step]
        kind = "trickle"
        permille = 20
        to = ["us-east"]
        [step]
        kind = "nearest"
        bias = { us-east = 50 }
        [step]
        kind = "take"
        count = 2
        [step]
        kind = "weighted"
        [step]
        kind = "fallback"
        pool = "backup"
        "#;
    let view = view_under(&plan_of(text), &[("eu-west", 710)]);
    let told = explain(&view, "www.shop.test", "5.1.1.1".parse().unwrap(), Rtype::A).unwrap().steering.unwrap();
    let steps: Vec<String> = told.steps.iter().map(|step| format!("{}: {}", step.step, step.reason)).collect();
    expect_test::expect![[r#"
        fence: keeps the client inside eu-west; if none of these serves, us-east, ap-south
        map: `DE` holds for the client: ap-south first
        spill: eu-west carries 710 ‰, between 700 and 900 ‰: it keeps 950 of 1000 clients, and this client, number 575, is one of them
        trickle: 20 of 1000 clients are sent to us-east, and this client, number 431, is none of them
        nearest: eu-west 1315 km, us-east 6726 km, biased by 50 % to 3363
        take: goes on with the first 2 that serve
        weighted: drawn anew for each answer, by weights us-east 100, eu-west 100, ap-south 100: this is one draw of many
        fallback: pool backup by nearest would be next if none of pool web served"#]].assert_eq(&steps.join("\n"));
}
