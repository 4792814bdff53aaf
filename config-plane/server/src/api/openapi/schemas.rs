//! The schemas of what travels. Those of the World's parts come from the model's tables, the same that its files are checked by;
//! the others are listed here by their keys, and a test compares them with what is really written.

use model::World;
use serde_json::{Map, Value, json};

use super::reference;

/// All schemas by name.
pub(super) fn all() -> Map<String, Value> {
    let mut schemas = of_the_world();
    schemas.extend(written_here().into_iter().map(|(name, schema)| (name.to_owned(), schema)));
    schemas
}

/// The World, and each kind of object as its place in the World describes it.
fn of_the_world() -> Map<String, Value> {
    let world = without_files(World::json_schema());
    let part = |place: &str| world.pointer(place).cloned().unwrap_or(Value::Bool(true));
    let parts = [
        ("Region", part("/properties/region/items")),
        ("Check", part("/properties/check/additionalProperties")),
        ("Pool", part("/properties/pool/additionalProperties")),
        ("Policy", part("/properties/policy/additionalProperties")),
        ("PrefixList", part("/properties/prefix_list/items")),
        ("Zone", part("/properties/zone/items")),
        ("SafetyRule", part("/properties/safety/items")),
        ("StatePolicy", part("/properties/state")),
        ("Automation", part("/properties/automation")),
    ];
    let parts = parts.into_iter().map(|(name, schema)| (name.to_owned(), schema));
    std::iter::once(("World".to_owned(), world.clone())).chain(parts).collect()
}

/// What travels is a World that is whole: the files of its zones were read where they lie.
fn without_files(mut world: Value) -> Value {
    if let Some(Value::Object(zone)) = world.pointer_mut("/properties/zone/items") {
        if let Some(Value::Object(keys)) = zone.get_mut("properties") {
            keys.remove("file");
        }
        // One of `ns` and `file` is needed in a world file.
        zone.remove("allOf");
        zone.insert("required".to_owned(), json!(["origin", "ns"]));
    }
    world
}

const TEXT: &str = "string";
const WHOLE: &str = "integer";
const FLAG: &str = "boolean";
const MANY: &str = "array";
const THING: &str = "object";
const NUMBER: &str = "number";
const TEXTS: &str = "[string]";

/// An object with these keys, in JSON Schema's words; `?` after a type: it may be left out or null. `Name` is another schema of
/// this file, `[Name]` a list of such.
fn of(keys: &[(&str, &str)]) -> Value {
    let properties: Map<String, Value> = keys.iter().map(|(key, kind)| ((*key).to_owned(), kind_of(kind))).collect();
    let required: Vec<&str> = keys.iter().filter(|(_, kind)| !kind.ends_with('?')).map(|(key, _)| *key).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

fn kind_of(kind: &str) -> Value {
    let (kind, null) = kind.strip_suffix('?').map_or((kind, false), |kind| (kind, true));
    if let Some(item) = kind.strip_prefix('[').and_then(|kind| kind.strip_suffix(']')) {
        return json!({ "type": "array", "items": kind_of(item) });
    }
    match (kind.starts_with(char::is_uppercase), null) {
        (true, false) => reference(kind),
        (true, true) => json!({ "anyOf": [reference(kind), { "type": "null" }] }),
        (false, false) => json!({ "type": kind }),
        (false, true) => json!({ "type": [kind, "null"] }),
    }
}

/// One of several objects, which are told apart by `event`.
fn one_of(variants: &[(&str, &[(&str, &str)])]) -> Value {
    let variant = |(event, keys): &(&str, &[(&str, &str)])| {
        let mut schema = of(&[&[("event", TEXT)], *keys].concat());
        schema["properties"]["event"] = json!({ "const": event });
        schema
    };
    json!({ "oneOf": variants.iter().map(variant).collect::<Vec<_>>() })
}

fn list() -> Value {
    of(&[("plan", THING), ("items", MANY)])
}

fn written_here() -> Vec<(&'static str, Value)> {
    let mut schemas = of_changes();
    schemas.extend(of_answers());
    schemas.extend(of_apps());
    schemas
}

/// What is served below `/v1/apps`.
fn of_apps() -> Vec<(&'static str, Value)> {
    let app: &[(&str, &str)] = &[
        ("name", TEXT),
        ("release", WHOLE),
        ("can_roll_back", FLAG),
        ("instances", WHOLE),
        ("ready", WHOLE),
        ("stopped", FLAG),
        ("doing", "string?"),
        ("workers", "[WorkerReport]"),
    ];
    let described: &[(&str, &str)] =
        &[("region", TEXT), ("file", "string?"), ("toml", TEXT), ("notes", TEXTS), ("next_restart_in_ms", "integer?")];
    vec![
        ("AppsReport", of(&[("region", TEXT), ("file", "string?"), ("apps", "[AppReport]")])),
        ("AppReport", of(app)),
        ("AppDescription", of(&[described, app].concat())),
        ("WorkerReport", worker()),
        ("EventLoopReport", event_loop()),
        ("ChangeApp", of(&[("instances", "integer?"), ("env", "string?")])),
        ("ScaleApp", of(&[("instances", WHOLE)])),
        ("ChangeEvent", change_event()),
        ("AppDone", of(&[("name", TEXT), ("release", WHOLE), ("instances", WHOLE)])),
        ("AppLog", app_log()),
    ]
}

fn worker() -> Value {
    of(&[
        ("slot", WHOLE),
        ("life", WHOLE),
        ("release", WHOLE),
        ("state", TEXT),
        ("address", "string?"),
        ("pid", "integer?"),
        ("restarts", WHOLE),
        ("uptime_ms", "integer?"),
        ("memory_bytes", "integer?"),
        ("cpu_permille", "integer?"),
        ("event_loop", "EventLoopReport?"),
        ("says", "string?"),
        ("problem", "string?"),
    ])
}

fn event_loop() -> Value {
    of(&[
        ("utilisation_permille", WHOLE),
        ("delay_p50_ms", NUMBER),
        ("delay_p99_ms", NUMBER),
        ("delay_max_ms", NUMBER),
        ("heap_used_bytes", WHOLE),
        ("heap_total_bytes", WHOLE),
        ("gc_ms", NUMBER),
        ("active_handles", WHOLE),
    ])
}

fn change_event() -> Value {
    let step: &[(&str, &str)] = &[
        ("app", TEXT),
        ("slot", WHOLE),
        ("release", WHOLE),
        ("what", TEXT),
        ("text", TEXT),
        ("done", WHOLE),
        ("of", WHOLE),
    ];
    one_of(&[
        ("note", &[("text", TEXT)]),
        ("step", step),
        ("alive", &[]),
        ("done", &[("text", TEXT), ("apps", "[AppDone]"), ("took_ms", WHOLE)]),
        ("failed", &[("kind", TEXT), ("why", TEXT), ("last_lines", TEXTS)]),
    ])
}

fn app_log() -> Value {
    let line: &[(&str, &str)] = &[
        ("time_ms", WHOLE),
        ("slot", WHOLE),
        ("life", WHOLE),
        ("error", FLAG),
        ("text", TEXT),
        ("partial", "boolean?"),
    ];
    one_of(&[("line", line), ("lost", &[("lines", WHOLE)]), ("alive", &[])])
}

fn of_changes() -> Vec<(&'static str, Value)> {
    vec![
        ("Applied", of(&[("plan", THING), ("changed", FLAG)])),
        (
            "Preview",
            of(&[
                ("dry_run", FLAG),
                ("plan", THING),
                ("changes", FLAG),
                ("made_by", "string?"),
                ("refused", "object?"),
                ("diff", "object?"),
            ]),
        ),
        (
            "Problem",
            of(&[
                ("error", TEXT),
                ("rule", "string?"),
                ("message", TEXT),
                ("hint", "string?"),
                ("leader", "string?"),
                ("referrers", "array?"),
            ]),
        ),
        (
            "SetOverride",
            of(&[
                ("subject", TEXT),
                ("action", TEXT),
                ("reason", TEXT),
                ("who", TEXT),
                ("ttl_ms", WHOLE),
                ("request_id", "string?"),
                ("second", "string?"),
                ("staging", "object?"),
            ]),
        ),
        ("SetGate", of(&[("binds_people", "boolean?"), ("ttl_ms", WHOLE)])),
        ("MoveHome", of(&[("to", TEXT), ("epoch", "integer?")])),
        ("SetLever", of(&[("enabled", FLAG)])),
        (
            "VoteVector",
            of(&[
                ("observer", TEXT),
                ("epoch_ms", WHOLE),
                ("seq", WHOLE),
                ("votes", THING),
                ("failing_since_ms", "object?"),
                ("never_up", "string[]?"),
                ("sent_ms", "integer?"),
                ("load_rps", "object?"),
            ]),
        ),
        ("VoteReceipt", of(&[("leader", "string?"), ("is_leader", FLAG), ("quorum_age_ms", "integer?")])),
    ]
}

fn of_answers() -> Vec<(&'static str, Value)> {
    vec![
        ("OpenApi", of(&[("openapi", TEXT), ("info", THING), ("paths", THING), ("components", THING)])),
        (
            "PlaneStatus",
            of(&[
                ("region", TEXT),
                ("id", WHOLE),
                ("leader", "string?"),
                ("term", WHOLE),
                ("members", MANY),
                ("quorum_age_ms", "integer?"),
                ("plan", "object?"),
                ("last_applied", "integer?"),
                ("committed", "integer?"),
                ("concerns", MANY),
            ]),
        ),
        (
            "Plan",
            of(&[
                ("id", THING),
                ("made_at_ms", WHOLE),
                ("made_by", TEXT),
                ("world", THING),
                ("verdicts", THING),
                ("overrides", MANY),
                ("decisions", MANY),
                ("gates", "array?"),
                ("homes", "object?"),
                ("removals", "object?"),
            ]),
        ),
        ("PlanHistory", of(&[("region", TEXT), ("plans", MANY), ("worlds", MANY)])),
        ("KeptWorld", of(&[("version", WHOLE), ("made_at_ms", WHOLE), ("made_by", TEXT), ("world", THING)])),
        ("VotesReport", of(&[("region", TEXT), ("votes", MANY)])),
        ("ObjectList", list()),
        ("Overrides", list()),
        ("Gates", list()),
        ("Homes", list()),
        (
            "DecisionExplanation",
            of(&[
                ("version", WHOLE),
                ("made_by", "string?"),
                ("made_at_ms", "integer?"),
                ("decisions", MANY),
                ("refused", "object?"),
            ]),
        ),
        (
            "WhatIfReport",
            of(&[
                ("plan", THING),
                ("down", MANY),
                ("decided", MANY),
                ("serving", THING),
                ("cannot", MANY),
                ("capacity_left_percent", "integer?"),
            ]),
        ),
        ("SurveyReport", of(&[("at_ms", "integer?"), ("losses", THING)])),
        ("LeverReport", of(&[("region", TEXT), ("stopped", "object?")])),
        (
            "StateSummary",
            of(&[
                ("region", TEXT),
                ("id", WHOLE),
                ("incarnation", WHOLE),
                ("keys", WHOLE),
                ("digest", TEXT),
                ("version_vector", THING),
                ("conflicts", WHOLE),
                ("peers", MANY),
            ]),
        ),
        (
            "DnsExplanation",
            of(&[("region", TEXT), ("plan", "object?"), ("rcode", TEXT), ("answer", MANY), ("steps", MANY)]),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use model::{OverrideAction, Plan, PlanId, RegionName, Subject, VoteVector};
    use plane_client::{
        Problem, ProblemKind,
        api::{
            Applied, PlaneStatus, SetOverride, VoteReceipt,
            apps::{
                AppDescription, AppDone, AppLog, AppReport, AppsReport, ChangeApp, ChangeEvent, EventLoopReport,
                WorkerReport,
            },
            human::{LeverReport, MoveHome, Preview, SetGate, SurveyReport, WhatIfReport},
        },
    };
    use serde::Serialize;

    use super::*;

    /// What is written has the needed keys, and no key that its schema does not have.
    fn check(name: &str, example: &impl Serialize) {
        let schemas = all();
        let written = serde_json::to_value(example).unwrap();
        let written = written.as_object().unwrap();
        let schema = match schemas[name]["oneOf"].as_array() {
            Some(variants) => {
                let meant = variants.iter().find(|v| v["properties"]["event"]["const"] == written["event"]);
                meant.unwrap_or_else(|| panic!("{name} has no `{}`", written["event"]))
            }
            None => &schemas[name],
        };
        for key in written.keys() {
            assert!(schema["properties"].get(key).is_some(), "{name} has no `{key}`");
        }
        for needed in schema["required"].as_array().into_iter().flatten() {
            assert!(written.contains_key(needed.as_str().unwrap()), "{name}: `{needed}` is not written");
        }
    }

    #[test]
    fn schemas_of_apps_have_the_keys_that_are_written() {
        let event_loop = EventLoopReport {
            utilisation_permille: 1,
            delay_p50_ms: 0.1,
            delay_p99_ms: 0.2,
            delay_max_ms: 0.3,
            heap_used_bytes: 1,
            heap_total_bytes: 2,
            gc_ms: 0.0,
            active_handles: 1,
        };
        check("EventLoopReport", &event_loop);
        let worker = WorkerReport {
            slot: 0,
            life: 1,
            release: 1,
            state: "ready".into(),
            address: None,
            pid: Some(1),
            restarts: 0,
            uptime_ms: None,
            memory_bytes: None,
            cpu_permille: None,
            event_loop: Some(event_loop),
            says: None,
            problem: None,
        };
        check("WorkerReport", &worker);
        let app = AppReport {
            name: "web".into(),
            release: 1,
            can_roll_back: false,
            instances: 1,
            ready: 1,
            stopped: false,
            doing: None,
            workers: vec![worker],
        };
        check("AppReport", &app);
        let region = RegionName::new("eu").unwrap();
        check("AppsReport", &AppsReport { region: region.clone(), file: None, apps: vec![app.clone()] });
        let (file, toml, notes, next_restart_in_ms) = (None, String::new(), Vec::new(), Some(1));
        check("AppDescription", &AppDescription { region, app, file, toml, notes, next_restart_in_ms });
        check("ChangeApp", &ChangeApp { instances: Some(2), env: Some("production".into()) });
        check("ScaleApp", &ChangeApp { instances: Some(2), env: None });
        let done = AppDone { name: "web".into(), release: 2, instances: 1 };
        check("AppDone", &done);
        let (app, text) = ("web".to_owned(), "is ready".to_owned());
        for event in [
            ChangeEvent::Note { text: text.clone() },
            ChangeEvent::Step { app, slot: 0, release: 2, what: "ready".into(), text: text.clone(), done: 1, of: 2 },
            ChangeEvent::Alive,
            ChangeEvent::Done { text: text.clone(), apps: vec![done], took_ms: 1 },
            ChangeEvent::Failed { kind: "busy".into(), why: "later".into(), last_lines: vec![] },
        ] {
            check("ChangeEvent", &event);
        }
        for log in [
            AppLog::Line { time_ms: 1, slot: 0, life: 1, error: false, text, partial: true },
            AppLog::Lost { lines: 1 },
            AppLog::Alive,
        ] {
            check("AppLog", &log);
        }
    }

    #[test]
    fn schemas_have_the_keys_that_are_written() {
        let region = RegionName::new("eu").unwrap();
        let plan = PlanId { lineage: 1, version: 2 };
        let world = World::parse(&World::default_toml(3, 0), "world.toml").unwrap();
        check("World", &world);
        check("Region", &world.regions[0]);
        check("Check", world.checks.values().next().unwrap());
        check("Pool", world.pools.values().next().unwrap());
        check("Zone", &world.zones[0]);
        assert_eq!(all()["Zone"]["properties"].get("file"), None, "files of zones do not travel");
        check("Automation", &world.automation);
        check("StatePolicy", &world.state);
        check("Plan", &Plan::new(plan, 1, "test", world));
        check("Applied", &Applied { plan, changed: true });
        let problem = Problem { referrers: ["pool web".to_owned()].into(), ..Problem::new(ProblemKind::Refused, "no") };
        check("Problem", &problem.hint("h").rule("r"));
        let refused = Some(Problem::new(ProblemKind::Refused, "no"));
        let diff = Some(json!({}));
        check("Preview", &Preview { dry_run: true, plan, changes: true, made_by: Some("x".into()), refused, diff });
        let subject = Subject::Region(region.clone());
        check(
            "SetOverride",
            &SetOverride {
                subject,
                action: OverrideAction::Down,
                reason: "r".into(),
                who: "w".into(),
                ttl_ms: 1,
                request_id: "1".into(),
                second: Some("s".into()),
                staging: None,
            },
        );
        check("SetGate", &SetGate { binds_people: true, ttl_ms: 1 });
        check("MoveHome", &MoveHome { to: region.clone(), epoch: Some(1) });
        check("VoteReceipt", &VoteReceipt { leader: None, is_leader: false, quorum_age_ms: None });
        let load_rps = [(region.clone(), 1)].into();
        check("VoteVector", &VoteVector { load_rps, ..VoteVector::new(region.clone(), 1, 1, Default::default()) });
        check(
            "WhatIfReport",
            &WhatIfReport {
                plan,
                down: vec![],
                decided: vec![],
                serving: Default::default(),
                cannot: vec![],
                capacity_left_percent: None,
            },
        );
        check("SurveyReport", &SurveyReport::default());
        check("LeverReport", &LeverReport { region: region.clone(), stopped: None });
        check(
            "PlaneStatus",
            &PlaneStatus {
                region,
                id: 1,
                leader: None,
                term: 1,
                members: vec![],
                quorum_age_ms: None,
                plan: None,
                last_applied: None,
                committed: None,
                concerns: vec![],
            },
        );
    }
}
