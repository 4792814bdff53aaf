//! A World as JSON, and one object in it: found, put, removed. Pure.
//!
//! Edited as JSON, so that one function serves all kinds; read back as a World, so that nothing wrong gets any further.

use model::World;
use serde_json::{Map, Value};

use super::kinds::{Kind, Shape};
use crate::api::problem::No;

/// A World as JSON, with everything in it that may be left out where it says what holds anyway.
pub(crate) fn world_value(world: &World) -> Result<Value, No> {
    let written = |value: Result<Value, serde_json::Error>| value.map_err(|e| No::internal(&e));
    let mut value = written(serde_json::to_value(world))?;
    if let Value::Object(fields) = &mut value {
        fields.insert("state".into(), written(serde_json::to_value(&world.state))?);
        fields.insert("automation".into(), written(serde_json::to_value(&world.automation))?);
        fields.entry("safety").or_insert_with(|| Value::Array(Vec::new()));
    }
    Ok(value)
}

/// The World that a JSON value is.
pub(super) fn read(value: Value) -> Result<World, No> {
    serde_json::from_value(value).map_err(|e| No::invalid(format!("the object does not fit into the World: {e}")))
}

/// All objects of a kind with their names, in the order of the World. The one without a name is named as its kind.
pub(super) fn all<'v>(world: &'v Value, kind: &Kind) -> Vec<(String, &'v Value)> {
    let Some(value) = world.get(kind.key) else { return Vec::new() };
    match (kind.shape, value) {
        (Shape::List(key), Value::Array(list)) => {
            list.iter().filter_map(|object| Some((object.get(key)?.as_str()?.to_owned(), object))).collect()
        }
        (Shape::Map, Value::Object(map)) => map.iter().map(|(name, object)| (name.clone(), object)).collect(),
        (Shape::One, object) => vec![(kind.plural.to_owned(), object)],
        (Shape::List(_) | Shape::Map, _) => Vec::new(),
    }
}

/// The object of that name.
pub(super) fn find<'v>(world: &'v Value, kind: &Kind, name: &str) -> Option<&'v Value> {
    let value = world.get(kind.key)?;
    match kind.shape {
        Shape::List(key) => value.as_array()?.iter().find(|object| is_called(object, key, name)),
        Shape::Map => value.get(name),
        Shape::One => Some(value),
    }
}

fn is_called(object: &Value, key: &str, name: &str) -> bool {
    object.get(key).and_then(Value::as_str) == Some(name)
}

/// An object under its name: one that stands in a list carries it, and cannot carry another one.
pub(super) fn named(kind: &Kind, name: &str, object: Value) -> Result<Value, No> {
    let Value::Object(mut fields) = object else {
        return Err(No::invalid(format!("a {} is a JSON object", kind.noun)));
    };
    if let Shape::List(key) = kind.shape {
        let own = fields.entry(key).or_insert_with(|| name.into());
        if own.as_str() != Some(name) {
            let noun = kind.noun;
            return Err(No::invalid(format!(
                "the {noun} calls itself {own}, and the address says `{name}`: to give it another name, make a new one and remove the old one"
            )));
        }
    }
    Ok(Value::Object(fields))
}

/// Replaces the object in its place, or adds it at the end.
pub(super) fn put(world: &mut Value, kind: &Kind, name: &str, object: Value) {
    let Value::Object(fields) = world else { return };
    let place = fields.entry(kind.key).or_insert_with(|| match kind.shape {
        Shape::List(_) => Value::Array(Vec::new()),
        Shape::Map | Shape::One => Value::Object(Map::new()),
    });
    match (kind.shape, place) {
        (Shape::List(key), Value::Array(list)) => match list.iter_mut().find(|other| is_called(other, key, name)) {
            Some(other) => *other = object,
            None => list.push(object),
        },
        (Shape::Map, Value::Object(map)) => drop(map.insert(name.to_owned(), object)),
        (Shape::One, place) => *place = object,
        // A World is never written otherwise.
        (Shape::List(_) | Shape::Map, _) => {}
    }
}

/// Takes the object away.
pub(super) fn remove(world: &mut Value, kind: &Kind, name: &str) {
    let Value::Object(fields) = world else { return };
    match (kind.shape, fields.get_mut(kind.key)) {
        (Shape::List(key), Some(Value::Array(list))) => list.retain(|object| !is_called(object, key, name)),
        (Shape::Map, Some(Value::Object(map))) => drop(map.remove(name)),
        (Shape::One, _) => drop(fields.remove(kind.key)),
        (Shape::List(_) | Shape::Map, _) => {}
    }
}
