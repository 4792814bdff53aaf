//! The tables against the types, the docs and editors.

use expect_test::expect_file;
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::Value;

use super::{
    Unsaid,
    json::default_value,
    markdown,
    tables::{ALL, CLIENTS_PATTERN, STEP},
};
use crate::{Clients, RegionName, World};

/// A world that says no more than it must, with a mark in every table that has defaults.
const BARE: &str = r##"
name = "shop"
#world

[[region]]
name = "eu"
id = 1
location = { latitude = 53.35, longitude = -6.26 }
gateway_v4 = "192.0.2.1"
#region

[check.c]
kind = "http"
#check

[pool.p]
members = ["eu"]
#pool

[[zone]]
origin = "shop.test"
ns = ["ns.else.where"]
#zone

[zone.soa]
#soa

[[zone.steered]]
name = "www"
pool = "p"
policy = "nearest"
#steered

[zone.steered.ttl]
#ttl

[state]
#state

[[state.prefix]]
starts_with = "x"
#prefix

[automation]
#automation
"##;

#[test]
fn what_the_tables_call_a_default_is_what_is_taken_when_nothing_is_said() {
    let bare = World::parse(BARE, "").unwrap_or_else(|errors| panic!("{errors}"));
    let mut said = 0;
    for (table, field) in ALL.iter().flat_map(|table| table.fields.iter().map(move |field| (table, field))) {
        let Unsaid::Is(value) = field.unsaid else { continue };
        let mark = format!("#{}\n", table.name);
        assert!(BARE.contains(&mark), "no place to say `{}` of {}", field.key, table.what);
        assert!(default_value(value).is_some(), "`{value}` is not a value");
        let text = BARE.replace(&mark, &format!("{} = {value}\n", field.key));
        let world = World::parse(&text, "").unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(world, bare, "{} = {value} of {}", field.key, table.what);
        said += 1;
    }
    assert!(said > 30, "{said}");
}

#[test]
fn what_steps_call_a_default_is_what_is_taken_too() {
    let with = |step: &str| {
        let text = BARE.replace("#pool\n", &format!("[[policy.x.step]]\n{step}\n"));
        World::parse(&text, "").unwrap_or_else(|errors| panic!("{step}: {errors}"))
    };
    let mut said = 0;
    for (case, field) in STEP.cases.iter().flat_map(|case| case.fields.iter().map(move |field| (case, field))) {
        let Unsaid::Is(value) = field.unsaid else { continue };
        let bare = match case.name {
            "fence" => "kind = \"fence\"\nregions = [\"eu\"]",
            "fallback" => "kind = \"fallback\"\npool = \"p\"",
            other => panic!("a step of kind {other} to try defaults with"),
        };
        assert_eq!(with(&format!("{bare}\n{} = {value}", field.key)), with(bare));
        said += 1;
    }
    assert_eq!(said, 2);
}

#[test]
fn the_tables_of_the_docs_are_those_of_the_schema() {
    let docs = include_str!("../../../docs/world.md");
    let fresh = markdown::renew(docs, &ALL, &[&STEP]).unwrap_or_else(|why| panic!("docs/world.md: {why}"));
    // Written anew with UPDATE_EXPECT=1.
    expect_file!["../../../docs/world.md"].assert_eq(&fresh);
    for table in ALL {
        assert!(docs.contains(&format!("<!-- keys: {} -->", table.name)), "the docs lack the table of {}", table.what);
    }
}

#[test]
fn editors_accept_every_default_world() {
    for regions in 1..=World::DEFAULT_REGIONS_MAX {
        assert_eq!(faults(&World::default_toml(regions, 0)), Vec::<String>::new());
    }
    assert_eq!(faults(BARE), Vec::<String>::new());
}

#[test]
fn editors_mark_what_is_wrong_in_a_value() {
    let good = World::default_toml(3, 0);
    for (from, to, at) in [
        ("gateway_v4 =", "gatewayv4 =", "/region/0: gatewayv4 is not known"),
        ("id = 2", "id = \"2\"", "/region/1/id: type"),
        ("id = 2", "id = 70000", "/region/1/id: maximum"),
        ("id = 2", "id = 0", "/region/1/id: minimum"),
        ("\"127.0.2.1\"", "\"127.0.2\"", "/region/1/gateway_v4: format"),
        ("name = \"eu-west\"", "name = \"EU West\"", "/region/1/name: pattern"),
        ("latitude = 39.04", "latitude = 139.04", "/region/0/location/latitude: maximum"),
        ("[pool.web]", "[pool.WEB]", "/pool: propertyNames"),
        ("[check.gateway]", "[[check]]", "/check: type"),
        ("kind = \"http\"", "kind = \"htttp\"", "/check/gateway/kind: enum"),
        ("interval_ms = 500", "interval_ms = 5", "/check/gateway/interval_ms: minimum"),
        ("members = [\"us-east\", \"eu-west\", \"ap-south\"]", "members = []", "/pool/web/members: minItems"),
        ("members = [\"us-east\", \"eu-west\", \"ap-south\"]", "members = \"us-east\"", "/pool/web/members: type"),
        ("origin = \"shop.test\"", "", "/zone/0: origin is missing"),
        ("ns = [", "# ns = [", "/zone/0: anyOf"),
        ("value = \"127.0.2.1\"", "value = \"here\"", "/zone/0/record/1/value: format"),
        ("max = 30", "max = 86400", "/zone/0/steered/0/ttl/max: maximum"),
        ("name = \"shop\"", "name = \"\"", "/name: minLength"),
    ] {
        assert!(good.contains(from), "the default world has no `{from}`");
        let found = faults(&good.replacen(from, to, 1));
        assert!(found.iter().any(|fault| fault == at), "`{to}` is to be marked as {at}: {found:?}");
    }
}

#[test]
fn the_pattern_of_names_lets_in_nothing_but_names() {
    let ("pattern", pattern) = super::tables::NAME_PATTERN else { panic!("it is a pattern") };
    // The anchors hold for editors, which would search for the pattern anywhere in a text.
    let names = proptest::string::string_regex(pattern.trim_matches(['^', '$'])).unwrap();
    TestRunner::default()
        .run(&names, |name| {
            prop_assert!(RegionName::new(name.clone()).is_ok(), "{name}");
            Ok(())
        })
        .unwrap();
}

/// What the generated schema finds wrong with a text.
fn faults(text: &str) -> Vec<String> {
    let world: toml::Table = toml::from_str(text).unwrap();
    let mut found = Vec::new();
    check(&World::json_schema(), &serde_json::to_value(world).unwrap(), "", &mut found);
    found
}

/// Validates by the keywords that the schema is made of. One that is not known here fails the test: nothing is let through.
fn check(schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    for (keyword, says) in schema.as_object().unwrap() {
        let holds = match keyword.as_str() {
            "$schema" | "title" | "description" | "default" => true,
            "type" => match says.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "integer" => value.is_i64() || value.is_u64(),
                "number" => value.is_number(),
                "boolean" => value.is_boolean(),
                other => panic!("type {other}"),
            },
            "const" => value == says,
            "enum" => says.as_array().unwrap().contains(value),
            "minimum" => value.as_f64().is_none_or(|n| n >= says.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|n| n <= says.as_f64().unwrap()),
            "minLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 >= says.as_u64().unwrap()),
            "maxLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 <= says.as_u64().unwrap()),
            "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= says.as_u64().unwrap()),
            "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= says.as_u64().unwrap()),
            "format" => value.as_str().is_none_or(|text| match says.as_str().unwrap() {
                "ipv4" => text.parse::<std::net::Ipv4Addr>().is_ok(),
                "ipv6" => text.parse::<std::net::Ipv6Addr>().is_ok(),
                other => panic!("format {other}"),
            }),
            "pattern" => value.as_str().is_none_or(|text| match says.as_str().unwrap() {
                pattern if pattern == super::tables::NAME_PATTERN.1 => RegionName::new(text).is_ok(),
                pattern if pattern == CLIENTS_PATTERN.1 => text.parse::<Clients>().is_ok(),
                "^[0-9a-fA-F.:]+/[0-9]{1,3}$" => crate::validate::network(text).is_ok(),
                "^[A-Z][A-Z0-9]*$" => text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()),
                other => panic!("pattern {other}"),
            }),
            "propertyNames" => {
                let mut names = value.as_object().into_iter().flatten().map(|(name, _)| Value::from(name.as_str()));
                names.all(|name| is_valid(says, &name))
            }
            "required" => {
                let lacking = |key: &&Value| value.as_object().is_some_and(|o| !o.contains_key(key.as_str().unwrap()));
                let lacking = says.as_array().unwrap().iter().filter(lacking);
                found.extend(lacking.map(|key| format!("{at}: {} is missing", key.as_str().unwrap())));
                true
            }
            "properties" => {
                for (key, schema) in says.as_object().unwrap() {
                    if let Some(value) = value.get(key) {
                        check(schema, value, &format!("{at}/{key}"), found);
                    }
                }
                true
            }
            "additionalProperties" => {
                let known = schema.get("properties").and_then(Value::as_object);
                let others = value.as_object().into_iter().flatten();
                for (key, value) in others.filter(|(key, _)| known.is_none_or(|known| !known.contains_key(*key))) {
                    match says {
                        Value::Bool(false) => found.push(format!("{at}: {key} is not known")),
                        schema => check(schema, value, &format!("{at}/{key}"), found),
                    }
                }
                true
            }
            "items" => {
                for (i, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(says, item, &format!("{at}/{i}"), found);
                }
                true
            }
            "allOf" => {
                says.as_array().unwrap().iter().for_each(|case| check(case, value, at, found));
                true
            }
            "anyOf" => says.as_array().unwrap().iter().any(|case| is_valid(case, value)),
            "if" => {
                if is_valid(says, value) {
                    check(&schema["then"], value, at, found);
                }
                true
            }
            "then" => true,
            other => panic!("keyword {other}"),
        };
        if !holds {
            found.push(format!("{at}: {keyword}"));
        }
    }
}

fn is_valid(schema: &Value, value: &Value) -> bool {
    let mut found = Vec::new();
    check(schema, value, "", &mut found);
    found.is_empty()
}
