//! Laws of all policies, over random chains: an answer is empty only where somebody wrote that down, everybody in a scope gets the
//! same one, hints are addresses, explanations are true, and servers agree.

use std::{collections::BTreeMap, net::IpAddr};

use hickory_proto::op::Message;
use model::{AllDown, Clients, NoneLeft, Plan, Policy, RegionName, SteeringPolicy, Step};
use proptest::prelude::*;

use super::{
    policies::{fine_geo, plan_of, view_under},
    scopes::{client, promise_holds},
    world::*,
};
use crate::{Basis, Rtype, View, ViewInputs, explain};

const REGIONS: [&str; 4] = ["us-east", "eu-west", "ap-south", "eu-north"];

fn region() -> impl Strategy<Value = RegionName> {
    prop::sample::select(REGIONS.map(region_name).to_vec())
}

fn some() -> impl Strategy<Value = Vec<RegionName>> {
    prop::sample::subsequence(REGIONS.map(region_name).to_vec(), 1..=3).prop_shuffle()
}

fn clients() -> impl Strategy<Value = Clients> {
    let texts = ["*", "europe", "asia", "DE", "FR", "US", "DE-BE", "AS64500", "list:office"];
    prop::sample::select(texts.map(|text| text.parse::<Clients>().unwrap()).to_vec())
}

fn weights() -> impl Strategy<Value = BTreeMap<RegionName, u32>> {
    prop::collection::btree_map(region(), prop::sample::select(vec![0, 1, 5, 100]), 0..4)
        .prop_map(|weights| if weights.values().all(|weight| *weight == 0) { BTreeMap::new() } else { weights })
}

fn filter() -> impl Strategy<Value = Step> {
    prop_oneof![
        (prop::collection::vec(clients(), 0..3), some(), any::<bool>()).prop_map(|(clients, regions, open)| {
            Step::Fence { clients, regions, none_left: if open { NoneLeft::Open } else { NoneLeft::Closed } }
        }),
        (1u32..=500, prop::collection::vec(region(), 0..2)).prop_map(|(permille, to)| Step::Trickle { permille, to }),
        (1u32..1000, 1u32..500).prop_map(|(low, more)| Step::Spill { low_permille: low, high_permille: low + more }),
        prop::collection::btree_map(clients(), some(), 1..4).prop_map(|orders| Step::Map { orders }),
    ]
}

fn order() -> impl Strategy<Value = Step> {
    let table = prop::collection::btree_map(region(), 1u32..200, 1..4);
    prop_oneof![
        prop::collection::btree_map(region(), -99i8..=99, 0..3).prop_map(|bias| Step::Nearest { bias }),
        some().prop_map(|order| Step::Failover { order }),
        prop::collection::btree_map(clients(), table, 1..3).prop_map(|ms| Step::Latency { ms }),
        weights().prop_map(|weights| Step::Weighted { weights }),
        Just(Step::Shuffle {}),
        (weights(), prop::option::of(101u32..200))
            .prop_map(|(weights, max_load_percent)| Step::Sticky { weights, max_load_percent }),
    ]
}

/// A chain whose steps may stand where they stand.
fn steps(fallback: &'static str) -> impl Strategy<Value = Vec<Step>> {
    (
        prop::collection::vec(filter(), 0..3),
        prop::option::of(order()),
        prop::option::of((1usize..4, prop::option::of(order()))),
        any::<bool>(),
    )
        .prop_map(move |(mut steps, first, second, falls_back)| {
            steps.extend(first);
            if let Some((count, then)) = second {
                steps.push(Step::Take { count });
                steps.extend(then);
            }
            if falls_back {
                let policy = SteeringPolicy::from(fallback.to_owned());
                steps.push(Step::Fallback { pool: "backup".into(), policy });
            }
            steps
        })
        .prop_filter("a policy has steps", |steps| !steps.is_empty())
}

#[derive(Debug, Clone)]
struct Case {
    plan: Plan,
    loads: Vec<(&'static str, u32)>,
    client: IpAddr,
    draw: u64,
}

impl Case {
    fn view(&self) -> View {
        view_under(&self.plan, &self.loads)
    }

    fn view_at(&self, region: &str) -> View {
        let load_permille = self.loads.iter().map(|(region, load)| (region_name(region), *load)).collect();
        let inputs = ViewInputs { geo: fine_geo(), load_permille, ..ViewInputs::new(region_name(region)) };
        View::compile(&self.plan, &inputs).unwrap()
    }
}

fn case() -> impl Strategy<Value = Case> {
    let states = prop::array::uniform4(prop::sample::select(vec![0u32, 1, 300, 1000, 1000, 1000]));
    let loads = prop::collection::vec((prop::sample::select(REGIONS.to_vec()), 0u32..1500), 0..3);
    (
        (steps("other"), steps("nearest")),
        (states, loads),
        (1usize..4, 1u32..3, any::<bool>(), prop::option::of(region())),
        (client(), any::<u64>()),
    )
        .prop_map(|((steps, other), (states, loads), (take, panic_below, closed, standby), (client, draw))| {
            let mut plan = plan_of(
                "[step]\nkind = \"shuffle\"\n---\nwww: https = \"1 . alpn=h2\"\n[[policy.other.step]]\nkind = \"shuffle\"\n\
                 [[prefix_list]]\nname = \"office\"\nprefixes = [\"5.1.0.0/20\", \"3.0.0.0/9\", \"2a00:5::/40\"]",
            );
            plan.world.policies = [("p".into(), Policy { steps }), ("other".into(), Policy { steps: other })].into();
            let pool = plan.world.pools.get_mut("web").unwrap();
            pool.panic_below = panic_below;
            pool.all_down = if closed { AllDown::FailClosed } else { AllDown::FailOpen };
            pool.weights.extend(standby.filter(|region| pool.members.contains(region)).map(|region| (region, 0)));
            plan.world.zones[0].steered[0].take = take;
            for (region, permille) in REGIONS.iter().zip(states) {
                match permille {
                    0 => down(&mut plan, region),
                    permille => ramp(&mut plan, region, permille),
                }
            }
            Case { plan, loads, client, draw }
        })
}

fn data(packet: &[u8]) -> Vec<String> {
    Message::from_vec(packet).unwrap().answers.iter().map(|record| record.data.to_string()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn laws_of_all_chains(case in case(), noise in prop::collection::vec(any::<u128>(), 4)) {
        let view = case.view();
        let draw = case.draw;
        let of = |rtype: &str| ask(&view, &format!("www.shop.test {rtype} @{} draw={draw}", case.client));
        let answers = ["A", "AAAA"].map(|rtype| {
            let (outcome, packet) = of(rtype);
            (outcome.basis.unwrap(), data(&packet))
        });
        for (basis, data) in &answers {
            let may_be_empty = matches!(basis, Basis::FailClosed | Basis::ClosedFence | Basis::NoMembers);
            prop_assert_eq!(data.is_empty(), may_be_empty, "{:?}", basis);
            prop_assert!(data.len() <= case.plan.world.zones[0].steered[0].take);
        }
        // Hints are what A and AAAA say, for the same client and the same draw.
        let https = data(&of("HTTPS").1).join("");
        let hint = |name: &str, data: &[String]| match data.is_empty() {
            true => String::new(),
            false => format!(" {name}={},", data.join(",")),
        };
        let want = format!("1 . alpn=h2,{}{}", hint("ipv4hint", &answers[0].1), hint("ipv6hint", &answers[1].1));
        prop_assert_eq!(https, want);
        for rtype in ["A", "AAAA", "HTTPS"] {
            promise_holds(&view, &format!("www.shop.test {rtype} draw={draw}"), case.client, &noise)?;
        }
        // Who is nowhere is at the server; all others get the same answer everywhere.
        if view.geo.place(view.geo.place_of(case.client)).location.is_some() {
            for region in ["eu-west", "ap-south"] {
                let there = ask(&case.view_at(region), &format!("www.shop.test A @{} draw={draw}", case.client)).1;
                prop_assert_eq!(&data(&there), &answers[0].1, "{}", region);
            }
        }
        let told = explain(&view, "www.shop.test", case.client, Rtype::A).unwrap();
        let answered = data(&ask(&view, &format!("www.shop.test A @{}", case.client)).1);
        prop_assert_eq!(&told.answers, &answered);
        let told = told.steering.unwrap();
        let named = told.members.iter().filter(|member| member.named).map(|member| member.address.unwrap().to_string());
        let (mut named, mut answered) = (named.collect::<Vec<_>>(), answered);
        named.sort();
        answered.sort();
        prop_assert_eq!(named, answered, "who is told to be named is named");
    }
}

/// Addresses of the spaces that carry IPv4 ones, and carry none. Their place is that of no range, and once led to the step that happened
/// to have been made first, behind the question for a share: to a region with next to none.
#[test]
fn who_could_carry_an_address_and_carries_none_is_nowhere() {
    for share_permille in [1, 999] {
        let mut plan = plan_of("[step]\nkind = \"nearest\"\n---\n");
        ramp(&mut plan, "us-east", share_permille);
        let view = view_under(&plan, &[]);
        let answers = |rtype: &str, client: &str| data(&ask(&view, &format!("www.shop.test {rtype} @{client}")).1);
        // Nobody's network here has a number at the edge of the thousand.
        let nowhere = ["A", "AAAA"].map(|rtype| answers(rtype, "10.0.0.1"));
        for client in ["::", "::1", "64:ff9b:0:0:1::1"] {
            let place = view.geo.place(view.geo.place_of(client.parse().unwrap()));
            assert_eq!(place.location, None, "{client}");
            assert_eq!(["A", "AAAA"].map(|rtype| answers(rtype, client)), nowhere, "{client}, share {share_permille}");
        }
    }
}

/// What a chain may cost to settle is bounded: many members, each with a part of its share, drawn and told apart by network.
#[test]
fn the_worst_chain_is_settled_and_never_empty() {
    let mut plan = plan_of(
        "[step]\nkind = \"sticky\"\nmax_load_percent = 120\n[step]\nkind = \"take\"\ncount = 8\n[step]\nkind = \"shuffle\"\n---\nwww: take = 8",
    );
    let names: Vec<RegionName> = (10..40).map(|n| region_name(&format!("r{n}"))).collect();
    for (name, id) in names.iter().zip(10u16..) {
        let at = model::Location { latitude: f64::from(id), longitude: 0.0 };
        let v4 = Some([198, 51, 100, id as u8].into());
        plan.world.regions.push(model::Region { gateway_v4: v4, ..model::Region::new(name.clone(), id, at) });
        let state = model::SubjectState { ramp_permille: 500, ..model::SubjectState::new(model::Verdict::Up, 0, 1) };
        plan.verdicts.insert(model::Subject::Region(name.clone()), state);
    }
    plan.world.pools.get_mut("web").unwrap().members = names;
    let view = view_under(&plan, &[]);
    for draw in 0..50 {
        let (_, packet) = ask(&view, &format!("www.shop.test A @87.32.{draw}.1 draw={draw}"));
        assert_eq!(data(&packet).len(), 8);
    }
}
