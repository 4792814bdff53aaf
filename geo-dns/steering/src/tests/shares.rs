//! Shares and weights: how many clients a member is sent, which ones, and that nobody is ever left without an answer.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use model::{Kept, Location, Override, OverrideAction, Plan, Region, RegionName, Subject, SubjectState, Verdict};
use proptest::prelude::*;

use super::{
    scopes::{answer_for, client, promise_holds},
    world::*,
};
use crate::{Rtype, View, explain};

/// The region of the first address of an answer.
fn named(view: &View, name: &str, client: IpAddr) -> String {
    let (records, _) = answer_for(view, name, client);
    let first = records.first().unwrap_or_else(|| panic!("{name} is empty for {client}"));
    let ids = [("us-east", 1), ("eu-west", 2), ("ap-south", 3)];
    let is = |id: u16| first.ends_with(&format!(" 198.51.100.{id}")) || first.ends_with(&format!(" 2001:db8:{id}::1"));
    ids.iter().find(|(_, id)| is(*id)).unwrap_or_else(|| panic!("whose is {first}?")).0.into()
}

/// The clients of 20 000 networks, scattered over all addresses.
fn crowd() -> impl Iterator<Item = IpAddr> {
    (0..20_000u32).map(|n| Ipv4Addr::from(n.wrapping_mul(2_654_435_761) | 1).into())
}

fn with_shares(shares: &[(&str, u32)]) -> View {
    let mut plan = plan();
    for (region, permille) in shares {
        ramp(&mut plan, region, *permille);
    }
    view(&plan)
}

#[test]
fn the_portion_that_is_sent_to_a_member_is_its_share() {
    for permille in [10, 100, 500, 900, 999] {
        let view = with_shares(&[("eu-west", permille)]);
        let sent = crowd().filter(|client| named(&view, "fo.shop.test A", *client) == "eu-west").count();
        let portion = sent as f64 / 20.0;
        assert!((portion - f64::from(permille)).abs() < 12.0, "{portion:.1} of 1000 for a share of {permille}");
    }
}

#[test]
fn a_member_that_is_down_keeps_its_part_of_the_clients_and_is_sent_nobody_else() {
    let mut plan = plan();
    plan.verdicts.insert(
        Subject::Region(region_name("eu-west")),
        SubjectState {
            kept: Some(Kept { permille: 200, asked_rps: 100, at_ms: 0 }),
            ..SubjectState::new(Verdict::Down, 0, 1)
        },
    );
    // Nobody is in the share of the others, so that only a walk without shares finds anybody.
    for region in ["us-east", "ap-south"] {
        ramp(&mut plan, region, 1);
    }
    let view = view(&plan);
    let kept = crowd().filter(|client| named(&view, "fo.shop.test A", *client) == "eu-west").count() / 20;
    assert!(kept.abs_diff(200) < 15, "{kept} of 1000");
    let told = explain(&view, "www.shop.test", "87.32.10.1".parse().unwrap(), Rtype::A);
    let told = told.unwrap().steering.unwrap();
    let eu = told.members.iter().find(|member| member.region.as_str() == "eu-west").expect("a member");
    assert_eq!(eu.standing, "down, kept in part");
}

#[test]
fn shares_of_two_members_are_drawn_independently() {
    let view = with_shares(&[("eu-west", 500), ("us-east", 500)]);
    let count = |region: &str| crowd().filter(|c| named(&view, "fo.shop.test A", *c) == region).count() / 20;
    // Half stay; half of the others go to the second, and half of those that are left to the third, which is whole.
    let (first, second, third) = (count("eu-west"), count("us-east"), count("ap-south"));
    assert!(
        first.abs_diff(500) < 15 && second.abs_diff(250) < 15 && third.abs_diff(250) < 15,
        "{first} {second} {third}"
    );
}

#[test]
fn a_share_moves_nobody_if_there_is_no_other_member() {
    let mut plan = plan();
    down(&mut plan, "us-east ap-south");
    ramp(&mut plan, "eu-west", 100);
    let view = view(&plan);
    for client in crowd().take(500) {
        assert_eq!(named(&view, "www.shop.test A", client), "eu-west");
    }
    assert_eq!(answer_for(&view, "www.shop.test A", "5.1.1.1".parse().unwrap()).1, 0, "nobody needs to be told apart");
}

#[test]
fn the_scope_is_the_clients_network_only_where_a_share_matters() {
    let check = |shares: &[(&str, u32)], client: &str, want: u8| {
        let view = with_shares(shares);
        assert_eq!(answer_for(&view, "www.shop.test A", client.parse().unwrap()).1, want, "{client} with {shares:?}");
    };
    check(&[], "5.1.1.1", 8);
    check(&[("eu-west", 1000)], "5.1.1.1", 8);
    check(&[("eu-west", 100)], "5.1.1.1", 24);
    check(&[("eu-west", 100)], "::ffff:5.1.1.1", 120);
    check(&[("eu-west", 100)], "2002:501:101::1", 40);
    check(&[("eu-west", 100)], "2a00::1", 48);
    check(&[("eu-west", 100)], "3.1.1.1", 8);
    check(&[("ap-south", 100)], "5.1.1.1", 8);
    check(&[("ap-south", 100)], "49.1.1.1", 24);
}

#[test]
fn a_name_without_places_tells_networks_apart_too() {
    let view = with_shares(&[("eu-west", 300)]);
    assert_eq!(answer_for(&view, "fo.shop.test A", "5.1.1.1".parse().unwrap()).1, 24);
    assert_eq!(answer_for(&view, "fo.shop.test AAAA", "2a00::1".parse().unwrap()).1, 48);
    // In these /48 lie addresses that carry IPv4 ones, whose networks are others.
    for (client, scope) in
        [("64:ff9b:0:1::", 64), ("64:ff9b::1:0:0", 96), ("::1", 96), ("0:0:0:1::", 64), ("64:ff9b::1", 120)]
    {
        assert_eq!(answer_for(&view, "fo.shop.test A", client.parse().unwrap()).1, scope, "{client}");
    }
}

#[test]
fn a_degraded_member_and_a_drain_in_stages_shed_their_part() {
    let eu_west = Subject::Region(region_name("eu-west"));
    let mut degraded = plan();
    degraded.verdicts.insert(eu_west.clone(), SubjectState::new(Verdict::Degraded, 0, 1));
    let mut draining = plan();
    let drain = Override::new(eu_west, OverrideAction::Down, ("upgrade", "ops"), 0, 1);
    draining.overrides.push(Override { share_permille: 500, ..drain });
    for plan in [degraded, draining] {
        let view = view(&plan);
        let stayed = crowd().filter(|client| named(&view, "fo.shop.test A", *client) == "eu-west").count() / 20;
        assert!(stayed.abs_diff(500) < 15, "{stayed}");
    }
}

#[test]
fn a_pools_own_verdict_cuts_the_share_in_that_pool_alone() {
    let mut plan = plan();
    let member = Subject::Member { pool: region_name("web"), region: region_name("eu-west") };
    plan.verdicts.insert(member.clone(), SubjectState::new(Verdict::Degraded, 0, 1));
    let halved = view(&plan);
    let sent = |name: &str| crowd().filter(|client| named(&halved, name, *client) == "eu-west").count();
    let whole = view(&super::world::plan());
    let before = crowd().filter(|client| named(&whole, "www.shop.test A", *client) == "eu-west").count();
    assert!(sent("www.shop.test A") < before * 6 / 10);
    assert_eq!(sent("closed.shop.test A"), before, "another pool");
    plan.verdicts.insert(member, SubjectState::new(Verdict::Down, 0, 1));
    let out = view(&plan);
    assert_eq!(named(&out, "fo.shop.test A", "5.1.1.1".parse().unwrap()), "us-east");
    let told = explain(&out, "www.shop.test", "5.1.1.1".parse().unwrap(), Rtype::A).unwrap().steering.unwrap();
    assert_eq!((told.members[0].standing, told.members[0].share_permille), ("down", 0));
}

#[test]
fn a_member_of_weight_0_is_named_when_no_other_one_serves() {
    let check = |down_regions: &str, demoted: &str, want: &str| {
        let mut plan = plan();
        plan.world.pools.get_mut("web").unwrap().weights.insert(region_name("eu-west"), 0);
        down(&mut plan, down_regions);
        let view = view_with(&plan, "us-east", demoted);
        // Berlin is nearest to eu-west.
        assert_eq!(named(&view, "www.shop.test A", "5.1.1.1".parse().unwrap()), want, "{down_regions}; {demoted}");
    };
    check("", "", "ap-south");
    check("ap-south", "", "us-east");
    check("ap-south us-east", "", "eu-west");
    check("ap-south", "us-east", "eu-west");
    check("ap-south eu-west", "us-east", "us-east");
    check("ap-south us-east eu-west", "", "eu-west");
    check("eu-west", "", "ap-south");
}

#[test]
fn a_partial_share_does_not_wake_a_member_that_stands_by() {
    let mut plan = plan();
    plan.world.pools.get_mut("web").unwrap().weights.insert(region_name("eu-west"), 0);
    down(&mut plan, "ap-south");
    ramp(&mut plan, "us-east", 10);
    let view = view(&plan);
    assert!(crowd().take(300).all(|client| named(&view, "www.shop.test A", client) == "us-east"));
}

#[test]
fn what_is_told_of_a_share_is_what_was_done() {
    let view = with_shares(&[("eu-west", 300)]);
    for client in crowd().take(200) {
        let told = explain(&view, "fo.shop.test", client, Rtype::A).unwrap().steering.unwrap();
        let eu_west = &told.members[0];
        assert_eq!((eu_west.region.as_str(), eu_west.share_permille), ("eu-west", 300));
        assert_eq!(eu_west.named, named(&view, "fo.shop.test A", client) == "eu-west");
        let why = "its share is 300 of 1000 clients since it is on its way back, and this client, number ";
        assert!(eu_west.reason.contains(why), "{}", eu_west.reason);
        let (begin, end) =
            if eu_west.named { ("named: ", ", is one of them") } else { ("left out: ", ", is none of them") };
        assert!(eu_west.reason.starts_with(begin) && eu_west.reason.ends_with(end), "{}", eu_west.reason);
    }
}

/// A world in which forty members come back at once.
fn many_on_their_way_back(permille: u32) -> Plan {
    let mut plan = plan();
    let names: Vec<RegionName> = (10..50).map(|n| region_name(&format!("r{n}"))).collect();
    for (name, id) in names.iter().zip(10u16..) {
        let at = Location { latitude: f64::from(id), longitude: 0.0 };
        let v4 = Some([198, 51, 100, id as u8].into());
        plan.world.regions.push(Region { gateway_v4: v4, ..Region::new(name.clone(), id, at) });
        let state = SubjectState { ramp_permille: permille, ..SubjectState::new(Verdict::Up, 0, 1) };
        plan.verdicts.insert(Subject::Region(name.clone()), state);
    }
    plan.world.pools.get_mut("web").unwrap().members = names;
    plan
}

#[test]
fn however_many_shares_there_are_the_way_to_an_answer_is_short_and_never_empty() {
    let view = view(&many_on_their_way_back(1));
    for client in crowd().take(300) {
        for name in ["www.shop.test A", "two.shop.test A", "all.shop.test A"] {
            assert!(!answer_for(&view, name, client).0.is_empty());
        }
    }
}

/// Shares of the three regions.
fn shares() -> impl Strategy<Value = [u32; 3]> {
    prop::array::uniform3(prop_oneof![Just(1000u32), 0..=1000u32, Just(1)])
}

fn world_with(shares: [u32; 3], down_mask: u8) -> Plan {
    let mut plan = plan();
    for (i, (region, share)) in ["us-east", "eu-west", "ap-south"].iter().zip(shares).enumerate() {
        if down_mask >> i & 1 == 1 {
            down(&mut plan, region);
        } else {
            ramp(&mut plan, region, share);
        }
    }
    plan
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Raising a share only adds clients: whoever was sent to a member stays with it.
    #[test]
    fn nobody_leaves_a_member_whose_share_rises(
        shares in shares(), less in 1u32..1000, more in 1u32..=1000, clients in prop::collection::vec(client(), 12),
    ) {
        let (less, more) = (less.min(more), less.max(more));
        let before = view(&world_with([shares[0], less, shares[2]], 0));
        let after = view(&world_with([shares[0], more, shares[2]], 0));
        for client in clients {
            for name in ["www.shop.test A", "fo.shop.test A", "www.shop.test AAAA"] {
                if named(&before, name, client) == "eu-west" {
                    prop_assert_eq!(named(&after, name, client), "eu-west", "{} for {}", name, client);
                }
            }
        }
    }

    #[test]
    fn a_and_aaaa_agree(mut shares in shares(), client in client()) {
        // Only members with both.
        shares[2] = 1000;
        let view = view(&world_with(shares, 0b100));
        for name in ["www.shop.test", "fo.shop.test"] {
            let of = |rtype: &str| named(&view, &format!("{name} {rtype}"), client);
            prop_assert_eq!(of("A"), of("AAAA"));
        }
    }

    #[test]
    fn servers_of_all_regions_agree(shares in shares(), client in client()) {
        let plan = world_with(shares, 0);
        let by_server = ["us-east", "eu-west", "ap-south"].map(|at| named(&view_with(&plan, at, ""), "fo.shop.test A", client));
        prop_assert_eq!(BTreeSet::from(by_server).len(), 1);
    }

    #[test]
    fn everybody_in_the_scope_gets_the_same_answer_also_while_shares_are_cut(
        shares in shares(), down_mask in 0u8..8, client in client(), noise in prop::collection::vec(any::<u128>(), 8),
    ) {
        let view = view(&world_with(shares, down_mask));
        for name in ["www.shop.test A", "two.shop.test A", "fo.shop.test A", "www.shop.test AAAA"] {
            promise_holds(&view, name, client, &noise)?;
        }
    }

    /// No share, verdict, weight or demotion makes an answer empty that is not to be empty by the World's own word.
    #[test]
    fn no_share_and_no_weight_empties_an_answer(
        shares in shares(), down_mask in 0u8..8, demoted in 0u8..8, standby in 0u8..8, client in client(),
    ) {
        let mut plan = world_with(shares, down_mask);
        let regions = ["us-east", "eu-west", "ap-south"];
        let of = |mask: u8| regions.iter().enumerate().filter(move |(i, _)| mask >> i & 1 == 1).map(|(_, r)| *r);
        for region in of(standby) {
            plan.world.pools.get_mut("web").unwrap().weights.insert(region_name(region), 0);
        }
        let view = view_with(&plan, "us-east", &of(demoted).collect::<Vec<_>>().join(" "));
        for name in ["www.shop.test A", "www.shop.test AAAA", "two.shop.test A", "fo.shop.test A"] {
            prop_assert!(!answer_for(&view, name, client).0.is_empty(), "{}", name);
        }
    }

    /// Clients of one network are never on two sides.
    #[test]
    fn a_network_stays_together(share in 0u32..1000, net in any::<u32>(), net6 in any::<u64>(), a in any::<u8>(), b in any::<u128>()) {
        let view = view(&world_with([1000, share, 1000], 0));
        let v4 = |host: u8| IpAddr::V4(Ipv4Addr::from(net & !255 | u32::from(host)));
        prop_assert_eq!(named(&view, "fo.shop.test A", v4(a)), named(&view, "fo.shop.test A", v4(!a)));
        let v6 = |host: u128| IpAddr::V6(Ipv6Addr::from(u128::from(net6 | 0x2a << 56) >> 16 << 80 | host >> 48));
        prop_assert_eq!(named(&view, "fo.shop.test A", v6(b)), named(&view, "fo.shop.test A", v6(!b)));
    }
}
