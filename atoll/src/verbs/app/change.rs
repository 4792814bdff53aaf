//! A change of an app, region after region. It stops at the first one where it does not go through: a release that fails in one region
//! would fail in the next.

use plane_client::{
    ClientError,
    api::apps::{AppVerb, ChangeApp, ChangeEvent},
};
use serde_json::{Value, json};

use super::{Place, the_app};
use crate::{
    exit::{Exit, Misuse},
    output::{self, Paint},
    verbs::reach::explain_error,
};

/// What is wanted.
pub(super) struct Wanted {
    pub(super) verb: AppVerb,
    pub(super) name: Option<String>,
    pub(super) instances: Option<u16>,
    pub(super) env: Option<String>,
}

pub(super) async fn run(places: &[Place], wanted: &Wanted, is_json: bool) -> anyhow::Result<Exit> {
    let paint = Paint::for_stdout();
    for (at, place) in places.iter().enumerate() {
        let ended = one(place, wanted, is_json, at == 0, paint).await;
        let failed = match ended {
            Ok(true) => continue,
            Ok(false) => None,
            Err(error) => Some(error),
        };
        let (before, after) = (names(&places[..at]), names(places.get(at + 1..).unwrap_or_default()));
        // A question that makes no sense was refused before anything was asked of anybody.
        let makes_sense = !(at == 0 && failed.as_ref().is_some_and(is_mistaken));
        if !is_json && places.len() > 1 && makes_sense {
            output::remark(&advice(wanted.verb, &place.name, &before, &after));
        }
        return match failed {
            Some(error) => Err(error),
            None => Ok(Exit::Failed),
        };
    }
    Ok(Exit::Done)
}

/// Whether what was asked is wrong, rather than the region that was asked.
fn is_mistaken(error: &anyhow::Error) -> bool {
    let of_region = matches!(error.downcast_ref(), Some(ClientError::NotFound { .. } | ClientError::Invalid { .. }));
    of_region || error.downcast_ref::<Misuse>().is_some()
}

fn names(places: &[Place]) -> Vec<&str> {
    places.iter().map(|place| place.name.as_str()).collect()
}

/// What the other regions do, and what to do now.
fn advice(verb: AppVerb, here: &str, before: &[&str], after: &[&str]) -> String {
    let mut text = format!("stopped at {here}");
    if !after.is_empty() {
        text += &format!("; nothing was asked of {}", after.join(" and "));
    }
    if !before.is_empty() {
        text += &format!("; done in {}", before.join(" and "));
        if verb == AppVerb::Reload {
            text += &format!(
                ": `atoll app rollback --region {}` takes it back there",
                before.join("`, `atoll app rollback --region ")
            );
        }
    }
    text += match verb {
        AppVerb::Reload => "; correct it and reload again",
        _ => "; look with `atoll app ls`, then ask again",
    };
    text
}

/// Whether it went through in a region. What is to be known of the file is said once, at the first one.
async fn one(place: &Place, wanted: &Wanted, is_json: bool, is_first: bool, paint: Paint) -> anyhow::Result<bool> {
    let how = ChangeApp { instances: wanted.instances, env: wanted.env.clone() };
    let opened = match (wanted.verb, &wanted.name) {
        (AppVerb::Reload, None) => place.client.reload_apps(&how).await,
        (verb, name) => {
            let name = the_app(place, name.as_deref()).await?;
            place.client.change_app(&name, verb, &how).await
        }
    };
    let mut events = opened.map_err(|error| at(place, error))?;
    while let Some(event) = events.next().await.map_err(|error| at(place, error))? {
        if is_json {
            say_json(place, &event)?;
        } else if let ChangeEvent::Note { .. } = event
            && !is_first
        {
            continue;
        } else if let Some(line) = in_words(&place.name, &event, paint) {
            output::say(line);
        }
        match event {
            ChangeEvent::Done { .. } => return Ok(true),
            ChangeEvent::Failed { .. } => return Ok(false),
            ChangeEvent::Note { .. } | ChangeEvent::Step { .. } | ChangeEvent::Alive => {}
        }
    }
    anyhow::bail!("{}: the answer ended before the change did; look with `atoll app ls`", place.name)
}

fn at(place: &Place, error: ClientError) -> anyhow::Error {
    explain_error(error).context(format!("region {}", place.name))
}

fn say_json(place: &Place, event: &ChangeEvent) -> anyhow::Result<()> {
    if *event == ChangeEvent::Alive {
        return Ok(());
    }
    let mut event = serde_json::to_value(event)?;
    if let Value::Object(keys) = &mut event {
        keys.insert("region".into(), json!(place.name));
    }
    output::say_json(&event)
}

/// An event as people see it; none for a sign of life.
fn in_words(region: &str, event: &ChangeEvent, paint: Paint) -> Option<String> {
    Some(match event {
        ChangeEvent::Alive => return None,
        ChangeEvent::Note { text } => format!("{region}  {} {text}", paint.dim("note")),
        ChangeEvent::Step { app, what, text, .. } => {
            let text = match what.as_str() {
                "ready" => paint.good(text),
                "failed" => paint.bad(text),
                "rolling_back" => paint.warn(text),
                _ => text.clone(),
            };
            format!("{region}  {app} {text}")
        }
        ChangeEvent::Done { text, took_ms, .. } => {
            let tenths = took_ms / 100;
            format!("{region}  {} {text} ({}.{} s)", paint.good("done"), tenths / 10, tenths % 10)
        }
        ChangeEvent::Failed { why, last_lines, .. } => {
            let mut text = format!("{region}  {} {why}", paint.bad("failed"));
            if !last_lines.is_empty() {
                text += "\n  its last lines:";
            }
            for line in last_lines {
                text += &format!("\n  | {line}");
            }
            text
        }
    })
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn events_in_words() {
        let step = |what: &str, text: &str| ChangeEvent::Step {
            app: "web".into(),
            slot: 0,
            release: 2,
            what: what.into(),
            text: text.into(),
            done: 0,
            of: 2,
        };
        let events = [
            ChangeEvent::Note { text: "web: `watch`: left aside".into() },
            step("starting", "[0/2] worker 0 (release 2) is starting"),
            ChangeEvent::Alive,
            ChangeEvent::Failed {
                kind: "not_ready".into(),
                why: "app web: it ended".into(),
                last_lines: vec!["oh".into(), "no".into()],
            },
            ChangeEvent::Done { text: "web runs release 2 with 2 workers".into(), apps: Vec::new(), took_ms: 1234 },
        ];
        let lines: Vec<String> = events.iter().filter_map(|event| in_words("eu", event, Paint::none())).collect();
        expect![[r#"
            eu  note web: `watch`: left aside
            eu  web [0/2] worker 0 (release 2) is starting
            eu  failed app web: it ended
              its last lines:
              | oh
              | no
            eu  done web runs release 2 with 2 workers (1.2 s)
        "#]]
        .assert_eq(&(lines.join("\n") + "\n"));
    }

    #[test]
    fn a_question_that_makes_no_sense_is_told_from_a_region_that_does_not_answer() {
        let not_found = ClientError::NotFound { message: "there is no app `x`".into(), hint: None };
        let unreachable = ClientError::Unreachable { tried: vec!["refused".into()] };
        for (error, wanted) in [
            (Misuse("which app?".into()).into(), true),
            (explain_error(not_found).context("region a"), true),
            (explain_error(unreachable).context("region a"), false),
            (anyhow::anyhow!("the answer ended"), false),
        ] {
            assert_eq!(is_mistaken(&error), wanted, "{error:#}");
        }
    }

    #[test]
    fn a_failure_says_how_the_other_regions_are() {
        expect![["stopped at b; nothing was asked of c; done in a: `atoll app rollback --region a` takes it back there; correct it and reload again"]]
            .assert_eq(&advice(AppVerb::Reload, "b", &["a"], &["c"]));
        expect![["stopped at a; nothing was asked of b and c; look with `atoll app ls`, then ask again"]]
            .assert_eq(&advice(AppVerb::Stop, "a", &[], &["b", "c"]));
    }
}
