//! The routes with an app that is played.

use std::sync::{
    Mutex,
    atomic::{AtomicU8, Ordering},
};

use axum::http::{Method, Request};
use http_body_util::BodyExt;
use plane_client::api::apps::{AppDone, AppReport};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::*;

/// One app, `web`, that does as it is told and remembers it.
#[derive(Default)]
struct Played {
    asked: Mutex<Vec<Asked>>,
    fails: bool,
    /// Holds a change until it is dropped.
    tail: Mutex<Option<mpsc::Receiver<AppLog>>>,
}

fn line(text: &str) -> AppLog {
    AppLog::Line { time_ms: 1, slot: 0, life: 1, error: false, text: text.into(), partial: false }
}

impl AppControl for Played {
    fn list(&self) -> AppsReport {
        let web = AppReport {
            name: "web".into(),
            release: 1,
            can_roll_back: false,
            instances: 2,
            ready: 2,
            stopped: false,
            doing: None,
            workers: Vec::new(),
        };
        AppsReport { region: "eu-west".parse().expect("a name"), file: None, apps: vec![web] }
    }

    fn describe(&self, app: &str) -> Option<AppDescription> {
        let AppsReport { region, apps, file } = self.list();
        let app = apps.into_iter().find(|known| known.name == app)?;
        let (toml, notes) = (String::new(), Vec::new());
        Some(AppDescription { region, app, file, toml, notes, next_restart_in_ms: None })
    }

    fn change(self: Arc<Self>, asked: Asked, tell: mpsc::Sender<ChangeEvent>) -> Later<ChangeEvent> {
        let fails = self.fails;
        self.asked.lock().expect("unpoisoned").push(asked);
        Box::pin(async move {
            let _ = tell.send(ChangeEvent::Note { text: "begun".into() }).await;
            if fails {
                return ChangeEvent::Failed {
                    kind: "not_ready".into(),
                    why: "it ends".into(),
                    last_lines: vec!["oh".into()],
                };
            }
            let apps = vec![AppDone { name: "web".into(), release: 2, instances: 2 }];
            ChangeEvent::Done { text: "done".into(), apps, took_ms: 1 }
        })
    }

    fn lines(&self, app: &str, slot: Option<u16>, lines: usize) -> Option<Vec<AppLog>> {
        let lines = if slot.is_some_and(|slot| slot > 0) { 0 } else { lines };
        (app == "web").then(|| (0..lines.min(3)).map(|n| line(&format!("line {n}"))).collect())
    }

    fn follow(&self, app: &str) -> Option<mpsc::Receiver<AppLog>> {
        (app == "web").then(|| self.tail.lock().expect("unpoisoned").take()).flatten()
    }
}

async fn ask(control: &Arc<Played>, method: Method, path: &str, body: &str) -> (u16, Vec<Value>) {
    let request = Request::builder().method(method).uri(path).body(Body::from(body.to_owned())).expect("a request");
    let control: Arc<dyn AppControl> = control.clone();
    let response = routes(control).oneshot(request).await.expect("never fails");
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    (status, lines.map(|line| serde_json::from_slice(line).expect("JSON")).collect())
}

#[tokio::test]
async fn a_change_is_told_line_by_line_and_ends_with_its_outcome() {
    let played = Arc::new(Played::default());
    let (status, lines) = ask(&played, Method::POST, "/v1/apps/web/reload", "").await;
    assert_eq!(status, 200);
    let events: Vec<&str> = lines.iter().filter_map(|line| line["event"].as_str()).collect();
    assert_eq!(events, ["note", "done"]);
    let (_, lines) = ask(&played, Method::POST, "/v1/apps", "{\"env\":\"production\"}").await;
    assert_eq!(lines.len(), 2);
    let (_, lines) = ask(&played, Method::POST, "/v1/apps/web/scale", "{\"instances\":4}").await;
    assert_eq!(lines.len(), 2);
    let asked = played.asked.lock().expect("unpoisoned").clone();
    let of = |app: Option<&str>, verb, instances, env: Option<&str>| Asked {
        app: app.map(str::to_owned),
        verb,
        how: ChangeApp { instances, env: env.map(str::to_owned) },
    };
    assert_eq!(
        asked,
        [
            of(Some("web"), AppVerb::Reload, None, None),
            of(None, AppVerb::Reload, None, Some("production")),
            of(Some("web"), AppVerb::Scale, Some(4), None)
        ]
    );

    let failing = Arc::new(Played { fails: true, ..Played::default() });
    let (status, lines) = ask(&failing, Method::POST, "/v1/apps/web/restart", "").await;
    assert_eq!(status, 200, "the outcome stands in the last line");
    assert_eq!(lines[1], json!({ "event": "failed", "kind": "not_ready", "why": "it ends", "last_lines": ["oh"] }));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_before_anything_happens() {
    let played = Arc::new(Played::default());
    for (method, path, body, status, word) in [
        (Method::GET, "/v1/apps/shop", "", 404, "its apps are: web"),
        (Method::POST, "/v1/apps/shop/stop", "", 404, "there is no app `shop`"),
        (Method::POST, "/v1/apps/web/explode", "", 404, "write one of reload, restart"),
        (Method::POST, "/v1/apps/web/scale", "", 400, "`instances` is needed"),
        (Method::POST, "/v1/apps/web/scale", "{\"instances\":0}", 400, "`stop` ends all"),
        (Method::POST, "/v1/apps/web/stop", "{\"instances\":3}", 400, "`instances` is needed"),
        (Method::POST, "/v1/apps/web/reload", "{\"envv\":\"x\"}", 400, "unknown field `envv`"),
        (Method::POST, "/v1/apps/web/reload", "{", 400, "the body"),
        (Method::GET, "/v1/apps/shop/logs", "", 404, "there is no app `shop`"),
        (Method::GET, "/v1/apps/web/logs?lines=x", "", 400, "lines"),
        (Method::GET, "/v1/apps/web/logs?lines=9999999", "", 400, "at most 100000"),
        (Method::GET, "/v1/apps/web/logs?follow=2", "", 400, "`follow` is 1 or 0"),
        (Method::GET, "/v1/apps/web/logs?slot=2", "", 404, "its workers are 0 to 1"),
    ] {
        let (got, lines) = ask(&played, method, path, body).await;
        let text = format!("{lines:?}");
        assert!(got == status && text.contains(word), "{path} {body}: {got} {text}");
    }
    assert!(played.asked.lock().expect("unpoisoned").is_empty());
    let long = " ".repeat(BODY_MOST + 1);
    let request =
        Request::builder().method(Method::POST).uri("/v1/apps/web/stop").body(Body::from(long)).expect("a request");
    let control: Arc<dyn AppControl> = played.clone();
    let response = routes(control).oneshot(request).await.expect("never fails");
    assert_eq!(response.status(), 413);
    let said = response.into_body().collect().await.expect("a body").to_bytes();
    let said: Value = serde_json::from_slice(&said).expect("a problem is JSON");
    assert_eq!(said["error"], "too_large");
}

#[tokio::test]
async fn logs_are_the_past_and_what_follows_each_line_once() {
    let (out, tail) = mpsc::channel(8);
    let played = Arc::new(Played { tail: Mutex::new(Some(tail)), ..Played::default() });
    // One line was written while the past was looked up: it is in both.
    for event in [line("line 2"), line("line 3"), AppLog::Lost { lines: 7 }, line("line 2")] {
        out.send(event).await.expect("there is room");
    }
    drop(out);
    let (status, lines) = ask(&played, Method::GET, "/v1/apps/web/logs?lines=3&follow=1", "").await;
    let texts: Vec<String> = lines
        .iter()
        .map(|line| line["text"].as_str().map_or_else(|| format!("lost {}", line["lines"]), str::to_owned))
        .collect();
    assert_eq!(
        (status, texts),
        (200, ["line 0", "line 1", "line 2", "line 3", "lost 7", "line 2"].map(str::to_owned).into())
    );
    for nothing in ["/v1/apps/web/logs?lines=0", "/v1/apps/web/logs?slot=1"] {
        let (status, none) = ask(&played, Method::GET, nothing, "").await;
        assert!(status == 200 && none.is_empty(), "{nothing}");
    }
}

#[tokio::test]
async fn answers_that_go_on_are_bounded() {
    let shared = Shared { control: Arc::new(Played::default()), streams: Arc::new(Semaphore::new(1)) };
    let first = stream(&shared).ok();
    assert!(first.is_some());
    let second = stream(&shared).err();
    let second = second.expect("there is room for one").into_response();
    assert_eq!((second.status().as_u16(), second.headers()["retry-after"].as_bytes()), (503, &b"1"[..]));
    drop(first);
    assert!(stream(&shared).is_ok());
}

#[tokio::test]
async fn every_route_that_is_described_is_served() {
    let played = Arc::new(Played::default());
    for route in AppRoute::all() {
        let path = route.path().replace("{app}", "web");
        let body = if route == AppRoute::Change(AppVerb::Scale) { r#"{"instances":1}"# } else { "" };
        let (status, _) = ask(&played, route.method(), &path, body).await;
        assert_eq!(status, 200, "{} {path}", route.method());
    }
}

/// The task that says the last line may end in the moment in which the connection's task, on another thread, looks for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_line_is_not_lost_when_its_teller_goes_away_at_the_same_moment() {
    let control: Arc<dyn AppControl> = Arc::<Played>::default();
    let shared = Shared { control, streams: Arc::new(Semaphore::new(STREAMS)) };
    let spin = || std::hint::spin_loop();
    for round in 0..20_000_u32 {
        let (mut answer, response) = stream(&shared).unwrap_or_else(|_| panic!("there is room"));
        let go = Arc::new(AtomicU8::new(0));
        let told = go.clone();
        let telling = tokio::spawn(async move {
            told.store(1, Ordering::SeqCst);
            while told.load(Ordering::SeqCst) == 1 {
                spin();
            }
            answer.say(&ChangeEvent::Note { text: "done".into() }).await
        });
        while go.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        go.store(2, Ordering::SeqCst);
        // Sometimes before the line is said, sometimes behind it, and now and then between the line and the end.
        (0..round % 200).for_each(|_| spin());
        let body = response.into_body().collect().await.expect("a whole body").to_bytes();
        assert!(body.ends_with(b"\n"), "round {round}: {body:?}");
        assert!(telling.await.expect("no panic"));
    }
}
