//! Edits, conditions and referrers, on the world that `up` makes.

use axum::http::{HeaderMap, HeaderName, header};
use model::{SafetyRule, World};
use plane_client::ProblemKind;

use super::{edit, refer, *};

fn world() -> World {
    World::parse(&World::default_toml(3, 0), "world.toml").unwrap()
}

fn kind(plural: &str) -> &'static Kind {
    KINDS.iter().find(|kind| kind.plural == plural).unwrap()
}

#[test]
fn every_object_is_found_under_its_name_and_putting_it_back_changes_nothing() {
    let world = world();
    let value = world_value(&world).unwrap();
    for kind in &KINDS {
        for (name, object) in edit::all(&value, kind) {
            assert_eq!(edit::find(&value, kind, &name), Some(object), "{name}");
            let mut same = value.clone();
            edit::put(&mut same, kind, &name, object.clone());
            assert_eq!(same, value, "{name}");
            assert_eq!(edit::read(same).unwrap(), world, "{name}");
            let mut without = value.clone();
            edit::remove(&mut without, kind, &name);
            let left = edit::find(&without, kind, &name);
            assert_eq!(left, None, "{name}");
        }
    }
    assert_eq!(edit::all(&value, kind("regions")).len(), 3);
}

#[test]
fn a_new_object_comes_last_and_carries_its_name() {
    let mut value = world_value(&world()).unwrap();
    let rule = edit::named(kind("safety-rules"), "two", serde_json::json!({ "at_least": 2, "regions": ["us-east"] }));
    edit::put(&mut value, kind("safety-rules"), "two", rule.unwrap());
    assert_eq!(edit::read(value).unwrap().safety[0].name, "two");
    assert!(edit::named(kind("regions"), "a", serde_json::json!({ "name": "b" })).is_err(), "another name");
    assert!(edit::named(kind("pools"), "a", serde_json::json!([])).is_err(), "not an object");
}

#[test]
fn equal_objects_have_equal_tags_and_others_have_others() {
    let value = world_value(&world()).unwrap();
    let tags: std::collections::BTreeSet<String> =
        edit::all(&value, kind("regions")).into_iter().map(|(_, object)| etag(object)).collect();
    assert_eq!(tags.len(), 3);
    assert_eq!(etag(&value), etag(&world_value(&world()).unwrap()));
}

#[test]
fn a_change_says_what_it_was_made_from() {
    let object = serde_json::json!({ "a": 1 });
    let tag = etag(&object);
    let check = |name: Option<HeaderName>, text: &str, object: Option<&Value>| {
        let mut headers = HeaderMap::new();
        if let Some(name) = name {
            headers.insert(name, text.parse().unwrap());
        }
        Condition::of(&headers).and_then(|c| c.check("pool", "web", object)).map_err(|no| no.0.error)
    };
    let (is, not) = (Some(header::IF_MATCH), Some(header::IF_NONE_MATCH));
    let several = format!("\"0\", {tag}");
    let cases = [
        (is.clone(), tag.as_str(), true, Ok(())),
        (is.clone(), several.as_str(), true, Ok(())),
        (is.clone(), "\"0\"", true, Err(ProblemKind::Changed)),
        (is.clone(), tag.as_str(), false, Err(ProblemKind::Changed)),
        (is.clone(), "*", true, Ok(())),
        (is, "*", false, Err(ProblemKind::Changed)),
        (not.clone(), "*", false, Ok(())),
        (not.clone(), "*", true, Err(ProblemKind::Changed)),
        (not, tag.as_str(), true, Err(ProblemKind::Invalid)),
        (None, "", true, Err(ProblemKind::Unconditional)),
    ];
    for (name, text, there, expected) in cases {
        assert_eq!(check(name.clone(), text, there.then_some(&object)), expected, "{name:?} {text} {there}");
    }
}

#[test]
fn what_is_referred_to_names_who_refers_to_it() {
    let mut world = world();
    world.pools.get_mut("web").unwrap().home = Some(world.regions[0].name.clone());
    let regions = vec![world.regions[0].name.clone()];
    world.safety.push(SafetyRule { name: "one".into(), at_least: 1, regions, pool: Some("web".into()) });
    let referrers = |plural: &str, name: &str| match refer::check_free(kind(plural), name, &world) {
        Ok(()) => Vec::new(),
        Err(no) => no.0.referrers.into_vec(),
    };
    assert_eq!(referrers("regions", "us-east"), ["pool web", "name pay.shop.test", "safety rule one"]);
    let names = ["name www.shop.test", "name shop.test", "name pay.shop.test"];
    assert_eq!(referrers("pools", "web"), [&names[..], &["safety rule one"]].concat());
    let check = world.pools["web"].check.clone().unwrap();
    assert_eq!(referrers("checks", &check), ["pool web"]);
    assert_eq!(referrers("zones", "shop.test"), [] as [&str; 0]);
}
