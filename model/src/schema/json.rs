//! The tables as JSON Schema, draft 2020-12.

use serde_json::{Map, Value, json};

use super::{Choice, Field, Form, Shape, Table, Unsaid};

/// The schema of a whole document.
pub(super) fn document(table: &Table) -> Value {
    let mut schema = of_table(table);
    put(&mut schema, "$schema", "https://json-schema.org/draft/2020-12/schema");
    put(&mut schema, "title", "A world of Atoll");
    Value::Object(schema)
}

fn put(schema: &mut Map<String, Value>, key: &str, value: impl Into<Value>) {
    schema.insert(key.to_owned(), value.into());
}

fn of_table(table: &Table) -> Map<String, Value> {
    let properties: Map<String, Value> =
        table.fields.iter().map(|field| (field.key.to_owned(), Value::Object(of_field(field)))).collect();
    let needed = table.fields.iter().filter(|field| field.unsaid == Unsaid::Needed);
    let needed: Vec<&str> = needed.map(|field| field.key).collect();
    let conditions: Vec<Value> = table.fields.iter().flat_map(conditions).collect();
    let mut schema = Map::new();
    put(&mut schema, "title", table.name);
    put(&mut schema, "type", "object");
    put(&mut schema, "properties", properties);
    put(&mut schema, "additionalProperties", false);
    if !needed.is_empty() {
        put(&mut schema, "required", needed);
    }
    if !conditions.is_empty() {
        put(&mut schema, "allOf", conditions);
    }
    schema
}

fn of_field(field: &Field) -> Map<String, Value> {
    let mut schema = of_shape(&field.shape);
    match field.unsaid {
        Unsaid::Is(toml) => {
            // A test reads every default.
            if let Some(value) = default_value(toml) {
                put(&mut schema, "default", value);
            }
            put(&mut schema, "description", field.doc);
        }
        Unsaid::Means(words) if !words.is_empty() => {
            put(&mut schema, "description", format!("{} (if left out: {words})", field.doc));
        }
        Unsaid::Needed | Unsaid::NeededUnless(_) | Unsaid::Means(_) => put(&mut schema, "description", field.doc),
    }
    schema
}

/// A default as the tables write it, read.
pub(super) fn default_value(toml: &str) -> Option<Value> {
    let table: toml::Table = toml::from_str(&format!("it = {toml}")).ok()?;
    serde_json::to_value(table.get("it")?).ok()
}

/// What siblings say of a field.
fn conditions(field: &Field) -> Vec<Value> {
    if let Unsaid::NeededUnless(other) = field.unsaid {
        return vec![json!({ "anyOf": [{ "required": [field.key] }, { "required": [other] }] })];
    }
    let Shape::AsSays { sibling, cases } = &field.shape else { return Vec::new() };
    let case = |(word, shape): &(&str, Shape)| {
        json!({
            "if": { "properties": { *sibling: { "const": word } }, "required": [sibling] },
            "then": { "properties": { field.key: of_shape(shape) } },
        })
    };
    cases.iter().map(case).collect()
}

fn of_shape(shape: &Shape) -> Map<String, Value> {
    let mut schema = Map::new();
    match shape {
        Shape::Text(chars) => {
            put(&mut schema, "type", "string");
            bounds(&mut schema, ("minLength", "maxLength"), (*chars.start(), *chars.end()));
        }
        Shape::Reads(form) => {
            put(&mut schema, "type", "string");
            put(&mut schema, form.json.0, form.json.1);
        }
        Shape::Word(words) => put(&mut schema, "enum", words.to_vec()),
        Shape::Whole { limits, .. } => {
            put(&mut schema, "type", "integer");
            put(&mut schema, "minimum", *limits.start());
            put(&mut schema, "maximum", *limits.end());
        }
        Shape::Signed { least, most } => {
            put(&mut schema, "type", "integer");
            put(&mut schema, "minimum", *least);
            put(&mut schema, "maximum", *most);
        }
        Shape::Number { least, most } => {
            put(&mut schema, "type", "number");
            put(&mut schema, "minimum", *least);
            put(&mut schema, "maximum", *most);
        }
        Shape::Bool => put(&mut schema, "type", "boolean"),
        Shape::List(item, sizes) => {
            put(&mut schema, "type", "array");
            put(&mut schema, "items", of_shape(item));
            bounds(&mut schema, ("minItems", "maxItems"), (*sizes.start(), *sizes.end()));
        }
        Shape::Table(table) => return of_table(table),
        Shape::OneOf(choice) => return of_choice(choice),
        Shape::Named(form, value) => {
            put(&mut schema, "type", "object");
            put(&mut schema, "propertyNames", names(form));
            put(&mut schema, "additionalProperties", of_shape(value));
        }
        Shape::AsSays { .. } => put(&mut schema, "type", "string"),
    }
    schema
}

/// A table whose other keys depend on one.
fn of_choice(choice: &Choice) -> Map<String, Value> {
    let tag = json!({ choice.tag: { "enum": choice.words(), "description": "which kind it is" } });
    let cases = choice.cases.iter().map(|case| {
        let mut then = of_table(case);
        if let Some(Value::Object(properties)) = then.get_mut("properties") {
            properties.insert(choice.tag.to_owned(), json!({ "const": case.name }));
        }
        json!({
            "if": { "properties": { choice.tag: { "const": case.name } }, "required": [choice.tag] },
            "then": then,
        })
    });
    let mut schema = Map::new();
    put(&mut schema, "title", choice.name);
    put(&mut schema, "type", "object");
    put(&mut schema, "properties", tag);
    put(&mut schema, "required", vec![choice.tag]);
    put(&mut schema, "allOf", cases.collect::<Vec<_>>());
    schema
}

fn names(form: &Form) -> Value {
    json!({ form.json.0: form.json.1 })
}

/// Bounds that bind.
fn bounds(schema: &mut Map<String, Value>, keys: (&str, &str), (least, most): (u64, u64)) {
    if least > 0 {
        put(schema, keys.0, least);
    }
    if most < u64::MAX {
        put(schema, keys.1, most);
    }
}
