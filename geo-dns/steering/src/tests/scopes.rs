//! The scope of an answer is a promise: everybody inside gets the same one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::{
    op::Message,
    rr::rdata::opt::{EdnsCode, EdnsOption},
};
use proptest::prelude::*;

use super::world::*;
use crate::{View, ViewInputs};

/// Records as text, and the scope.
pub(super) fn answer_for(view: &View, name: &str, client: IpAddr) -> (Vec<String>, u8) {
    let bits = if client.is_ipv4() { 32 } else { 128 };
    let (_, packet) = ask(view, &format!("{name} ecs={client}/{bits}"));
    let message = Message::from_vec(&packet).unwrap();
    let Some(EdnsOption::Subnet(subnet)) = message.edns.as_ref().and_then(|e| e.option(EdnsCode::Subnet)) else {
        panic!("a subnet was asked, and none came back");
    };
    (message.answers.iter().map(ToString::to_string).collect(), subnet.scope_prefix())
}

/// The address with its bits behind the prefix replaced.
fn neighbour(addr: IpAddr, prefix: u8, noise: u128) -> IpAddr {
    match addr {
        IpAddr::V4(v4) => {
            let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
            Ipv4Addr::from(u32::from(v4) & !host | noise as u32 & host).into()
        }
        IpAddr::V6(v6) => {
            let host = u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
            Ipv6Addr::from(u128::from(v6) & !host | noise & host).into()
        }
    }
}

/// Addresses all over, and in the corners.
pub(super) fn client() -> impl Strategy<Value = IpAddr> {
    let corner = prop::sample::select(vec![
        "::",
        "::1",
        "::ffff:5.1.1.1",
        "::fffe:5.1.1.1",
        "::ffff:0:5.1.1.1",
        "64:ff9b::5.1.1.1",
        "64:ff9b:0:1::",
        "2002:501:101::1",
        "2001::1",
        "2001:1::",
        "2600::",
        "260f:ffff::",
        "2610::",
        "2a00::",
        "29ff::",
        "2a01::",
        "0.0.0.0",
        "5.127.255.255",
        "5.128.0.0",
        "2.255.255.255",
        "3.0.0.0",
        "255.255.255.255",
    ])
    .prop_map(|text| text.parse().unwrap());
    prop_oneof![
        any::<u32>().prop_map(|n| IpAddr::V4(n.into())),
        any::<u32>().prop_map(|n| IpAddr::V4((n & 0x07ff_ffff).into())),
        any::<u128>().prop_map(|n| IpAddr::V6(n.into())),
        any::<u128>().prop_map(|n| IpAddr::V6((n & !(0xf << 124) | 0x2 << 124).into())),
        corner,
    ]
}

pub(super) fn promise_holds(view: &View, name: &str, client: IpAddr, noise: &[u128]) -> Result<(), TestCaseError> {
    let (answer, scope) = answer_for(view, name, client);
    for noise in noise.iter().copied().chain([0, u128::MAX]) {
        let other = neighbour(client, scope, noise);
        prop_assert_eq!(&answer, &answer_for(view, name, other).0, "{} in {}/{}", other, client, scope);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn everybody_in_the_scope_gets_the_same_answer(client in client(), noise in prop::collection::vec(any::<u128>(), 8)) {
        thread_local! { static VIEW: View = view(&plan()); }
        VIEW.with(|view| promise_holds(view, "two.shop.test A", client, &noise))?;
        VIEW.with(|view| promise_holds(view, "www.shop.test AAAA", client, &noise))?;
    }

    #[test]
    fn so_it_is_with_the_embedded_table(client in client(), noise in prop::collection::vec(any::<u128>(), 8)) {
        thread_local! {
            static VIEW: View = View::compile(&plan(), &ViewInputs::new(region_name("eu-west"))).unwrap();
        }
        VIEW.with(|view| promise_holds(view, "www.shop.test A", client, &noise))?;
    }
}

#[test]
fn scopes_are_as_wide_as_the_answer_is_the_same() {
    let check = |down_regions: &str, client: &str, want: u8| {
        let mut plan = plan();
        down(&mut plan, down_regions);
        assert_eq!(answer_for(&view(&plan), "www.shop.test A", client.parse().unwrap()).1, want, "{client}");
    };
    // Germany and France (5/8) both lead to eu-west; 4/8 and 6/7 are nowhere, which is us-east here.
    check("", "5.1.1.1", 8);
    check("", "5.200.1.1", 8);
    // 2/8 France; 3/8 US.
    check("", "2.1.1.1", 8);
    // 3/8 US and what is nowhere lead to us-east; 2/8 does not.
    check("", "3.1.1.1", 8);
    check("", "100.1.1.1", 2);
    // With Europe down Berlin is nearer to Mumbai than to Virginia, and Paris is not.
    check("eu-west", "5.1.1.1", 9);
    check("eu-west", "5.200.1.1", 9);
    check("ap-south", "49.1.1.1", 8);
    // With one region left there is one answer for all.
    check("eu-west ap-south", "5.1.1.1", 0);
}
