use model::{Plan, RecordData};

use super::*;
use crate::{
    name::Name,
    tests::world::{plan, region_name, view, view_with},
};

fn refused(change: impl FnOnce(&mut Plan)) -> String {
    let mut plan = plan();
    change(&mut plan);
    let inputs = ViewInputs { geo: Arc::new(Geo::empty()), ..ViewInputs::new(region_name("us-east")) };
    View::compile(&plan, &inputs).expect_err("this world cannot be served").to_string()
}

fn record(name: &str, data: RecordData) -> model::Record {
    model::Record { name: name.into(), data, ttl: None }
}

#[test]
fn a_world_that_cannot_be_served_is_refused_with_the_place() {
    let add =
        |name: &'static str, data: RecordData| refused(move |p| p.world.zones[0].records.push(record(name, data)));
    let a = || RecordData::A([192, 0, 2, 1].into());
    let cname = |target: &str| RecordData::Cname(target.into());
    assert_eq!(
        add("ns1", cname("x.test.")),
        "zone shop.test: `ns1.shop.test` has a CNAME and other data; keep one of them"
    );
    assert_eq!(
        add("www", cname("x.test.")),
        "zone shop.test: `www.shop.test` has a CNAME and other data; keep one of them"
    );
    assert_eq!(add("store", cname("x.test.")), "zone shop.test: `store.shop.test` has two CNAMEs; keep one of them");
    assert_eq!(add("www", a()), "zone shop.test: `www.shop.test` has static and steered addresses; keep one of them");
    assert_eq!(
        add("www.example.com.", a()),
        "zone shop.test: `www.example.com.` is not usable: it lies outside the zone"
    );
    assert!(add("a..b", a()).starts_with("zone shop.test: `a..b` is not usable: "));
    assert!(add("x", cname("")).starts_with("zone shop.test: `` is not usable: "));
    let long = format!("{0}.{0}.{0}.{0}", "x".repeat(62));
    assert!(add(long.leak(), a()).ends_with("is not usable: it has 263 bytes with its origin, a name may have 255"));
    let text = RecordData::Txt("x".repeat(50_001));
    assert_eq!(add("t", text), "zone shop.test: `t` is not usable: its text has 50001 bytes, 50000 fit");

    assert_eq!(
        refused(|p| drop(p.world.pools.remove("free"))),
        "zone shop.test: `free` refers to pool `free`, which the world does not have"
    );
    assert_eq!(
        refused(|p| drop(p.world.regions.remove(0))),
        "zone shop.test: `www` refers to region `us-east`, which the world does not have"
    );
    assert_eq!(
        refused(|p| p.world.checks.clear()),
        "zone shop.test: `www` refers to check `web`, which the world does not have"
    );
    assert_eq!(
        refused(|p| p.world.zones[1].origin = "Shop.Test".into()),
        "zone Shop.Test is there twice; put its names into one"
    );
    assert_eq!(
        refused(|p| {
            let again = p.world.zones[0].steered[0].clone();
            p.world.zones[0].steered.push(again);
        }),
        "zone shop.test: `www` has two steered entries; keep one of them"
    );
}

#[test]
fn names_that_are_steered_alike_share_what_is_settled() {
    let view = view(&plan());
    let zone = view.zone_of(b"\x04shop\x04test\0").unwrap();
    let steering = |name: &str| {
        let name = Name::parse(name, Some(&zone.origin)).unwrap();
        zone.nodes[&name].steering.clone().unwrap()
    };
    assert!(Arc::ptr_eq(&steering("www"), &steering("@")));
    assert!(Arc::ptr_eq(&steering("www"), &steering("*.apps")));
    assert!(!Arc::ptr_eq(&steering("www"), &steering("two")));
}

#[test]
fn a_view_knows_what_it_was_made_of() {
    let plan = plan();
    let view = view_with(&plan, "us-east", "eu-west");
    assert_eq!(view.plan(), plan.id);
    assert_eq!(view.demoted().iter().map(RegionName::as_str).collect::<Vec<_>>(), ["eu-west"]);
}

#[test]
fn the_root_can_be_a_zone() {
    let mut plan = plan();
    plan.world.zones[1].origin = ".".into();
    let view = view(&plan);
    assert_eq!(view.zone_of(b"\x03com\0").unwrap().text, ".");
    assert_eq!(view.zone_of(b"\0").unwrap().text, ".");
    assert_eq!(view.zone_of(b"\x04shop\x04test\0").unwrap().text, "shop.test");
}
