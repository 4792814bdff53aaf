//! Which keys of one thing change, found by writing both down: whatever a thing says is compared.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

/// The longest value that is told, characters.
const VALUE_CHARS: usize = 60;

/// The keys that differ, each as `key before → after`, but for those in `without`. Tables are gone into, lists are not.
pub(super) fn changes<T: Serialize>(before: &T, after: &T, without: &[&str]) -> Vec<String> {
    let (before, after) = (leaves(before, without), leaves(after, without));
    let mut keys: Vec<&String> = before.keys().chain(after.keys().filter(|key| !before.contains_key(*key))).collect();
    keys.sort();
    let differ = keys.into_iter().filter(|key| before.get(*key) != after.get(*key));
    differ.map(|key| format!("{key} {} → {}", told(before.get(key)), told(after.get(key)))).collect()
}

/// Every key that holds a value, by its way from the thing.
fn leaves<T: Serialize>(thing: &T, without: &[&str]) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    if let Ok(Value::Object(keys)) = serde_json::to_value(thing) {
        let keys = keys.into_iter().filter(|(key, _)| !without.contains(&key.as_str()));
        keys.for_each(|(key, value)| leaf(key, value, &mut found));
    }
    found
}

fn leaf(path: String, value: Value, found: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(keys) => {
            for (key, value) in keys {
                leaf(format!("{path}.{key}"), value, found);
            }
        }
        Value::Null => {}
        value => {
            found.insert(path, value);
        }
    }
}

/// A value as people read it.
fn told(value: Option<&Value>) -> String {
    let text = match value {
        None => return "(not said)".into(),
        Some(Value::String(text)) if text.is_empty() => return "(empty)".into(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => {
            let items: Vec<String> = items.iter().map(|item| told(Some(item))).collect();
            format!("[{}]", items.join(", "))
        }
        Some(value) => value.to_string(),
    };
    short(&text)
}

/// A text that fits into a line.
pub(super) fn short(text: &str) -> String {
    let mut shown: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(VALUE_CHARS).collect();
    if text.chars().count() > VALUE_CHARS {
        shown.push('…');
    }
    shown
}
