//! What is told of a change: two Plans go in, events come out. Pure.

use axum::body::Bytes;
use model::{Gate, Override, Plan, PlanId, RegionName};
use plane_client::api::human::SurveyReport;
use serde_json::{Value, json};

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Event {
    pub(super) name: &'static str,
    pub(super) id: Option<PlanId>,
    pub(super) data: Value,
}

impl Event {
    fn new(name: &'static str, data: Value) -> Self {
        Self { name, id: None, data }
    }

    /// As server-sent events are written. JSON on one line needs no escaping there.
    pub(super) fn bytes(&self) -> Bytes {
        let id = self.id.map(|id| format!("id: {id}\n")).unwrap_or_default();
        format!("{id}event: {}\ndata: {}\n\n", self.name, self.data).into()
    }
}

/// Everything that is new in a Plan, the Plan itself last.
pub(super) fn between(before: &Plan, after: &Plan) -> Vec<Event> {
    let fresh = after.decisions.iter().filter(|decision| decision.version > before.id.version);
    let mut events: Vec<Event> = fresh.map(|decision| Event::new("decision", json!(decision))).collect();
    events.extend(overrides(before, after));
    events.extend(gates(before, after));
    let moved = after.homes.iter().filter(|(pool, home)| before.homes.get(*pool) != Some(home));
    events.extend(moved.map(|(pool, home)| Event::new("home", json!({ "pool": pool, "home": home }))));
    events.push(plan(Some(before), after));
    events
}

/// A Plan in short.
pub(super) fn plan(before: Option<&Plan>, after: &Plan) -> Event {
    let data = json!({
        "plan": after.id,
        "made_by": after.made_by,
        "made_at_ms": after.made_at_ms,
        "world_changed": before.is_some_and(|before| before.world != after.world),
    });
    Event { id: Some(after.id), ..Event::new("plan", data) }
}

/// The reader knows less than is kept.
pub(super) fn gap(after: PlanId) -> Event {
    Event::new("gap", json!({ "after": after }))
}

fn overrides(before: &Plan, after: &Plan) -> Vec<Event> {
    let told = |what: &str, word: &Override| Event::new("override", json!({ "what": what, "override": word }));
    let news = after.overrides.iter().filter_map(|word| match before.override_on(&word.subject) {
        Some(same) if same == word => None,
        Some(was) if was.set_at_ms == word.set_at_ms && was.who == word.who => Some(told("stepped", word)),
        Some(_) | None => Some(told("set", word)),
    });
    let ended = before.overrides.iter().filter(|word| after.override_on(&word.subject).is_none());
    news.chain(ended.map(|word| told("ended", word))).collect()
}

fn gates(before: &Plan, after: &Plan) -> Vec<Event> {
    let told = |what: &str, gate: &Gate| Event::new("gate", json!({ "what": what, "gate": gate }));
    let closed = after.gates.iter().filter(|gate| !before.gates.contains(gate)).map(|gate| told("closed", gate));
    let is_open = |gate: &&Gate| after.gates.iter().all(|other| other.scope != gate.scope);
    closed.chain(before.gates.iter().filter(is_open).map(|gate| told("opened", gate))).collect()
}

fn cannot(report: &SurveyReport, region: &RegionName) -> Vec<String> {
    report.losses.get(region).map(|loss| loss.cannot.clone()).unwrap_or_default()
}

/// What a survey says of a region.
pub(super) fn alarm(region: &RegionName, now: &SurveyReport) -> Event {
    let cannot = cannot(now, region);
    let data = json!({ "region": region, "carried": cannot.is_empty(), "cannot": cannot, "at_ms": now.at_ms });
    Event::new("alarm", data)
}

/// Regions of which a survey says something else than the one before.
pub(super) fn alarms(before: &SurveyReport, now: &SurveyReport) -> Vec<Event> {
    let mut regions: Vec<_> = before.losses.keys().chain(now.losses.keys()).collect();
    regions.sort();
    regions.dedup();
    let news = regions.into_iter().filter(|region| cannot(before, region) != cannot(now, region));
    news.map(|region| alarm(region, now)).collect()
}

#[cfg(test)]
mod tests {
    use model::{OverrideAction, Subject, World};
    use plane_client::api::human::LossReport;

    use super::*;

    fn at(version: u64) -> Plan {
        Plan::new(PlanId { lineage: 1, version }, version, format!("made {version}"), World::of("test", Vec::new()))
    }

    fn names(events: &[Event]) -> Vec<String> {
        events
            .iter()
            .map(|e| format!("{} {}", e.name, e.data.get("what").and_then(Value::as_str).unwrap_or("-")))
            .collect()
    }

    #[test]
    fn a_change_is_told_in_full_and_only_its_last_event_carries_the_id() {
        let subject = Subject::Region(RegionName::new("eu").unwrap());
        let (before, mut drained) = (at(1), at(2));
        drained.overrides.push(Override::new(subject, OverrideAction::Down, ("why", "who"), 5, 1000));
        let events = between(&before, &drained);
        assert_eq!(names(&events), ["override set", "plan -"]);
        assert_eq!(events.iter().map(|e| e.id).collect::<Vec<_>>(), [None, Some(drained.id)]);
        let mut stepped = drained.clone();
        stepped.id.version = 3;
        stepped.overrides[0].share_permille = 500;
        assert_eq!(names(&between(&drained, &stepped)), ["override stepped", "plan -"]);
        assert_eq!(names(&between(&stepped, &at(4))), ["override ended", "plan -"]);
        let text = String::from_utf8(events[1].bytes().to_vec()).unwrap();
        assert!(text.starts_with("id: 1:2\nevent: plan\ndata: {") && text.ends_with("}\n\n"), "{text}");
    }

    #[test]
    fn an_alarm_is_told_once_when_it_begins_and_once_when_it_ends() {
        let report = |cannot: &[&str]| {
            let cannot = cannot.iter().map(|text| (*text).to_owned()).collect();
            let loss = LossReport { cannot, capacity_left_percent: None };
            SurveyReport { at_ms: Some(1), losses: [(RegionName::new("eu").unwrap(), loss)].into() }
        };
        let (quiet, loud) = (report(&[]), report(&["nobody left"]));
        let nothing = SurveyReport::default();
        let carried = |before, now| {
            let events = alarms(before, now);
            events.iter().map(|e| e.data["carried"].as_bool().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(carried(&nothing, &quiet), [] as [bool; 0]);
        assert_eq!(carried(&quiet, &loud), [false]);
        assert_eq!(carried(&loud, &loud), [] as [bool; 0]);
        assert_eq!(carried(&loud, &quiet), [true]);
    }
}
