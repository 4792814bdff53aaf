//! The table of routes as an OpenAPI 3.1 document.

mod schemas;

use std::sync::OnceLock;

use axum::{
    body::Bytes,
    http::{Method, header},
    response::IntoResponse,
};
use plane_client::api::apps;
use serde_json::{Map, Value, json};

use super::routes::{self, Gives, Route};

/// `GET /openapi.json`. The same for as long as the program runs.
pub(super) async fn document() -> impl IntoResponse {
    static WRITTEN: OnceLock<Bytes> = OnceLock::new();
    let bytes = WRITTEN.get_or_init(|| build(&routes::table()).to_string().into()).clone();
    ([(header::CONTENT_TYPE, "application/json")], bytes)
}

/// The document of a table.
fn build(table: &[Route]) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for route in table {
        let operations = paths.entry(template(&route.path)).or_insert_with(|| json!({}));
        if let Value::Object(operations) = operations {
            operations.insert(route.method.as_str().to_lowercase(), operation(route));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Atoll admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Any member answers, and forwards changes to the leader. What is below /v1/apps, /v1/node and /v1/state \
                            is about the region that answers. See docs/api.md.",
        },
        "security": [{ "token": [] }, { "certificate": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer" },
                "certificate": { "type": "mutualTLS" },
            },
        },
    })
}

/// `{*subject}` takes the rest of the address, which OpenAPI has no word for.
fn template(path: &str) -> String {
    path.replace("{*", "{")
}

/// The names in braces.
fn names_in(path: &str) -> impl Iterator<Item = &str> {
    path.split('{').skip(1).filter_map(|rest| rest.split('}').next()).map(|name| name.trim_start_matches('*'))
}

fn operation(route: &Route) -> Value {
    let mut parameters: Vec<Value> = names_in(&route.path)
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    parameters.extend(route.params.iter().map(|param| {
        json!({
            "name": param.name, "in": "query", "required": param.needed, "description": param.about,
            "schema": { "type": param.kind },
        })
    }));
    let header = |name: &str, about: &str| json!({ "name": name, "in": "header", "required": false, "description": about, "schema": { "type": "string" } });
    let changes = route.method != Method::GET;
    if route.knows_ids() {
        parameters.push(header(
            "x-request-id",
            "32 hexadecimal digits; repeat a change under the same ones to have it done once.",
        ));
    }
    if route.tagged && changes {
        parameters.push(header("If-Match", "The ETag of what the change was made from, or `*`."));
        parameters.push(header("If-None-Match", "`*`: only if there is none yet."));
    }
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.about,
        "parameters": parameters,
        "responses": responses(route),
    });
    if let (Some(schema), Value::Object(fields)) = (route.takes, &mut operation) {
        let content = json!({ "application/json": { "schema": reference(schema) } });
        fields.insert("requestBody".into(), json!({ "required": !route.takes_or_not, "content": content }));
    }
    operation
}

/// `put_v1_pools_name`.
fn operation_id(route: &Route) -> String {
    let words = route.path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    std::iter::once(route.method.as_str().to_lowercase().as_str()).chain(words).collect::<Vec<_>>().join("_")
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn responses(route: &Route) -> Value {
    let content = match route.gives {
        Gives::Json(schema) if route.params.iter().any(|param| param.name == "dry_run") => {
            json!({ "application/json": { "schema": { "anyOf": [reference(schema), reference("Preview")] } } })
        }
        Gives::Json(schema) => json!({ "application/json": { "schema": reference(schema) } }),
        // The schema is that of one line: OpenAPI 3.1 has no word for a sequence.
        Gives::Lines(schema) => json!({ apps::LINES: { "schema": reference(schema) } }),
        Gives::Bytes(media_type) => json!({ media_type: { "schema": { "type": "string" } } }),
    };
    let description = match route.gives {
        Gives::Lines(_) => "One JSON object a line.",
        Gives::Json(_) | Gives::Bytes(_) => "It is done, or this is the answer.",
    };
    let mut good = json!({ "description": description, "content": content });
    if let (true, Value::Object(fields)) = (route.tagged, &mut good) {
        let schema = json!({ "schema": { "type": "string" }, "description": "Hash of the object's content." });
        fields.insert("headers".into(), json!({ "ETag": schema }));
    }
    let problem = |what: &str| json!({ "description": what, "content": { "application/json": { "schema": reference("Problem") } } });
    let mut responses = Map::from_iter([("200".to_owned(), good)]);
    for status in [400, 401].iter().chain(route.fails) {
        responses.insert(status.to_string(), problem(what_is(*status)));
    }
    Value::Object(responses)
}

fn what_is(status: u16) -> &'static str {
    match status {
        400 => "The request makes no sense.",
        401 => "No certificate and no token, or wrong ones.",
        403 => "For regions among themselves only.",
        404 => "There is no such thing; a quorum says so where the read asks one.",
        409 => "A guard refused it, or something still refers to it. Nothing happened.",
        412 => "It is not what the change was made from. Nothing happened.",
        413 => "The body is too long.",
        428 => "The change does not say what it was made from.",
        503 => {
            "No leader with a quorum now, or too much to do. Nothing happened; ask again after `Retry-After` seconds."
        }
        504 => "The outcome is not known: repeat the request under the same id.",
        _ => "It failed.",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn references(value: &Value, into: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(key, value)| match (key.as_str(), value) {
                ("$ref", Value::String(to)) => drop(into.insert(to.clone())),
                _ => references(value, into),
            }),
            Value::Array(items) => items.iter().for_each(|item| references(item, into)),
            _ => {}
        }
    }

    #[test]
    fn every_row_is_one_operation_and_every_operation_a_row() {
        let table = routes::table();
        let document = build(&table);
        let paths = document["paths"].as_object().unwrap();
        let told: BTreeSet<String> = paths
            .iter()
            .flat_map(|(path, operations)| {
                operations.as_object().unwrap().keys().map(move |method| format!("{method} {path}"))
            })
            .collect();
        let rows: Vec<String> =
            table.iter().map(|r| format!("{} {}", r.method.as_str().to_lowercase(), template(&r.path))).collect();
        assert_eq!(told, rows.iter().cloned().collect());
        assert_eq!(told.len(), rows.len(), "no row hides another one");
        let ids: BTreeSet<String> = table.iter().map(operation_id).collect();
        assert_eq!(ids.len(), table.len(), "each operation has a name of its own");
    }

    #[test]
    fn every_reference_leads_to_a_schema_and_every_schema_is_referred_to() {
        let document = build(&routes::table());
        let mut referred = BTreeSet::new();
        references(&document, &mut referred);
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let known: BTreeSet<String> = schemas.keys().map(|name| format!("#/components/schemas/{name}")).collect();
        assert_eq!(referred, known);
    }
}
