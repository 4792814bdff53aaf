//! The routes of a region's apps on the admin listener: who asks is known already, what is asked is checked here, and [`AppControl`]
//! does it.
//!
//! A change is a task of its own: it goes on when whoever asked has gone. What it tells on its way is passed on as a line each; with
//! nothing to tell a sign of life goes out, so that a silent connection is a dead one.

use std::{convert::Infallible, future::Future, pin::Pin, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{
        DefaultBodyLimit, Path, Query, State,
        rejection::{BytesRejection, QueryRejection},
    },
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, post},
};
use futures_util::stream::poll_fn;
use plane_client::{
    Problem, ProblemKind,
    api::apps::{
        APPS, AppDescription, AppLog, AppRoute, AppVerb, AppsReport, ChangeApp, ChangeEvent, LINES, LogsWanted,
    },
};
use serde::Serialize;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};

/// Answers at once that are streams: each holds a task.
const STREAMS: usize = 64;
/// Steps of a change that may wait for whoever reads them; of more than these the oldest are not told.
const STEPS: usize = 256;
/// How often a stream without news gives a sign of life.
const ALIVE_EVERY: Duration = Duration::from_secs(5);
/// A reader that takes nothing for so long is gone.
const TAKES_WITHIN: Duration = Duration::from_secs(10);
const BODY_MOST: usize = 16 << 10;
/// When to ask again where there are too many answers, seconds.
const RETRY_AFTER_S: &str = "1";
const LINES_USUAL: u32 = 20;
const LINES_MOST: u32 = 100_000;

/// A change, as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Of which app; `None`: of all, as their file says (a reload).
    pub app: Option<String>,
    /// What.
    pub verb: AppVerb,
    /// How.
    pub how: ChangeApp,
}

/// Something that comes later.
pub type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Whoever has the apps. A trait, so that the routes can be tried without processes.
pub trait AppControl: Send + Sync + 'static {
    /// All apps.
    fn list(&self) -> AppsReport;
    /// One of them.
    fn describe(&self, app: &str) -> Option<AppDescription>;
    /// Carries a change out. What happens on the way goes into `tell`, as far as there is room; what comes back is the last event.
    fn change(self: Arc<Self>, asked: Asked, tell: mpsc::Sender<ChangeEvent>) -> Later<ChangeEvent>;
    /// The last lines of an app, of one worker or of all; all that are kept if `lines` is 0.
    fn lines(&self, app: &str, slot: Option<u16>, lines: usize) -> Option<Vec<AppLog>>;
    /// Lines from now on.
    fn follow(&self, app: &str) -> Option<mpsc::Receiver<AppLog>>;
}

struct Shared {
    control: Arc<dyn AppControl>,
    streams: Arc<Semaphore>,
}

type Shares = State<Arc<Shared>>;
/// A request's body, or why it could not be taken in.
type Sent = Result<Bytes, BytesRejection>;

/// The routes: those that the document of the API describes.
pub fn routes(control: Arc<dyn AppControl>) -> Router {
    let shared = Arc::new(Shared { control, streams: Arc::new(Semaphore::new(STREAMS)) });
    let served = AppRoute::all().fold(Router::new(), |router, route| router.route(&route.path(), handler(route)));
    served
        .route(&format!("{APPS}/{{app}}/{{verb}}"), post(unknown_verb))
        .layer(DefaultBodyLimit::max(BODY_MOST))
        .with_state(shared)
}

fn handler(route: AppRoute) -> MethodRouter<Arc<Shared>> {
    match route {
        AppRoute::List => get(list),
        AppRoute::ReloadAll => post(reload_all),
        AppRoute::Describe => get(describe),
        AppRoute::Logs => get(logs),
        AppRoute::Change(verb) => post(async move |State(shared): Shares, Path(app): Path<String>, body: Sent| {
            change(&shared, app, verb, body)
        }),
    }
}

/// A no, as the API says it.
#[derive(Debug)]
struct No(Problem);

impl IntoResponse for No {
    fn into_response(self) -> Response {
        let kind = self.0.error;
        let mut response = (kind.status(), Json(self.0)).into_response();
        if kind == ProblemKind::Busy {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_S));
        }
        response
    }
}

fn no_app(control: &dyn AppControl, name: &str) -> No {
    let names: Vec<String> = control.list().apps.into_iter().map(|app| app.name).collect();
    let hint = match names.as_slice() {
        [] => "this region runs no apps".to_owned(),
        names => format!("its apps are: {}", names.join(", ")),
    };
    No(Problem::new(ProblemKind::NotFound, format!("there is no app `{name}` in this region")).hint(hint))
}

/// Whether an app has, or will have, a worker in a slot.
fn has_slot(control: &dyn AppControl, name: &str, slot: u16) -> Result<(), No> {
    let Some(AppDescription { app, .. }) = control.describe(name) else { return Err(no_app(control, name)) };
    if slot < app.instances || app.workers.iter().any(|worker| worker.slot == slot) {
        return Ok(());
    }
    let hint = match app.instances {
        1 => "its only one is worker 0".to_owned(),
        count => format!("its workers are 0 to {}", count.saturating_sub(1)),
    };
    Err(No(Problem::new(ProblemKind::NotFound, format!("app `{name}` has no worker {slot}")).hint(hint)))
}

fn invalid(message: impl Into<String>) -> No {
    No(Problem::new(ProblemKind::Invalid, message))
}

async fn list(State(shared): Shares) -> Json<AppsReport> {
    Json(shared.control.list())
}

async fn describe(State(shared): Shares, Path(app): Path<String>) -> Result<Json<AppDescription>, No> {
    shared.control.describe(&app).map(Json).ok_or_else(|| no_app(&*shared.control, &app))
}

async fn reload_all(State(shared): Shares, body: Sent) -> Result<Response, No> {
    begin(&shared, Asked { app: None, verb: AppVerb::Reload, how: how(body)? })
}

async fn unknown_verb(Path((_, verb)): Path<(String, String)>) -> No {
    let verbs: Vec<&str> = AppVerb::ALL.into_iter().map(AppVerb::as_str).collect();
    let problem = Problem::new(ProblemKind::NotFound, format!("an app cannot be asked to `{verb}`"));
    No(problem.hint(format!("write one of {}", verbs.join(", "))))
}

fn change(shared: &Shared, app: String, verb: AppVerb, body: Sent) -> Result<Response, No> {
    let how = how(body)?;
    if (verb == AppVerb::Scale) != how.instances.is_some() {
        return Err(invalid("`instances` is needed to scale, and means nothing otherwise"));
    }
    // A reload may bring a new app; all else is for one that is there.
    if verb != AppVerb::Reload && shared.control.describe(&app).is_none() {
        return Err(no_app(&*shared.control, &app));
    }
    begin(shared, Asked { app: Some(app), verb, how })
}

fn how(body: Sent) -> Result<ChangeApp, No> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            No(Problem::new(ProblemKind::TooLarge, format!("the body has more than {BODY_MOST} bytes")))
        }
        _ => invalid(format!("the body: {}", rejection.body_text())),
    })?;
    if body.is_empty() {
        return Ok(ChangeApp::default());
    }
    let how: ChangeApp = serde_json::from_slice(&body).map_err(|error| invalid(format!("the body: {error}")))?;
    if how.instances == Some(0) {
        return Err(No(
            Problem::new(ProblemKind::Invalid, "an app has one worker at least").hint("`stop` ends all of them")
        ));
    }
    Ok(how)
}

/// Starts a change, and answers with what it tells.
fn begin(shared: &Shared, asked: Asked) -> Result<Response, No> {
    let (answer, response) = stream(shared)?;
    let (tell, mut events) = mpsc::channel(STEPS);
    let control = Arc::clone(&shared.control);
    let change = tokio::spawn(async move { control.change(asked, tell).await });
    tokio::spawn(async move {
        let mut answer = answer;
        let mut listens = true;
        while let Some(event) = next_or_alive(&mut events, || ChangeEvent::Alive).await {
            listens = listens && answer.say(&event).await;
        }
        let end = change.await.unwrap_or_else(|error| {
            let why = format!("the change broke off: {error}; look with `atoll app ls`");
            ChangeEvent::Failed { kind: "internal".to_owned(), why, last_lines: Vec::new() }
        });
        if listens {
            answer.say(&end).await;
        }
    });
    Ok(response)
}

/// The next event; a sign of life after a while without one; `None` when there are no more.
async fn next_or_alive<T>(events: &mut mpsc::Receiver<T>, alive: fn() -> T) -> Option<T> {
    match timeout(ALIVE_EVERY, events.recv()).await {
        Ok(event) => event,
        Err(_) => Some(alive()),
    }
}

async fn logs(
    State(shared): Shares,
    Path(app): Path<String>,
    wanted: Result<Query<LogsWanted>, QueryRejection>,
) -> Result<Response, No> {
    let Query(wanted) = wanted.map_err(|error| invalid(error.body_text()))?;
    let lines = wanted.lines.unwrap_or(LINES_USUAL);
    if lines > LINES_MOST {
        return Err(invalid(format!("`lines` is at most {LINES_MOST}")));
    }
    let control = &shared.control;
    // Followed before looked back: a line that comes in between is told twice rather than never, and the overlap is cut below.
    let tail = match wanted.follow {
        Some(1) => Some(control.follow(&app).ok_or_else(|| no_app(&**control, &app))?),
        None | Some(0) => None,
        Some(other) => return Err(invalid(format!("`follow` is 1 or 0, not {other}"))),
    };
    let past = match lines {
        0 => control.describe(&app).map(|_| Vec::new()),
        lines => control.lines(&app, wanted.slot, lines as usize),
    };
    let past = past.ok_or_else(|| no_app(&**control, &app))?;
    if let (Some(slot), true) = (wanted.slot, past.is_empty()) {
        has_slot(&**control, &app, slot)?;
    }
    let (mut answer, response) = stream(&shared)?;
    tokio::spawn(async move {
        let mut told = past.clone();
        for line in &past {
            if !answer.say(line).await {
                return;
            }
        }
        let Some(mut tail) = tail else { return };
        let mut overlaps = true;
        while let Some(event) = next_or_alive(&mut tail, || AppLog::Alive).await {
            if let (AppLog::Line { slot, .. }, Some(only)) = (&event, wanted.slot)
                && *slot != only
            {
                continue;
            }
            overlaps = overlaps && told.contains(&event);
            if overlaps {
                continue;
            }
            told = Vec::new();
            if !answer.say(&event).await {
                return;
            }
        }
    });
    Ok(response)
}

/// An answer that is told line by line.
struct Answer {
    out: mpsc::Sender<Bytes>,
    _permit: OwnedSemaphorePermit,
}

impl Answer {
    /// Says one line. False: nobody reads any more.
    async fn say(&mut self, event: &impl Serialize) -> bool {
        let Ok(mut line) = serde_json::to_vec(event) else { return false };
        line.push(b'\n');
        matches!(timeout(TAKES_WITHIN, self.out.send(line.into())).await, Ok(Ok(())))
    }
}

fn stream(shared: &Shared) -> Result<(Answer, Response), No> {
    let permit = Arc::clone(&shared.streams).try_acquire_owned().map_err(|_| {
        No(Problem::new(ProblemKind::Busy, format!("{STREAMS} answers go on already"))
            .hint("end some of the `logs -f`"))
    })?;
    let (out, mut lines) = mpsc::channel(16);
    // Not `http_body_util`'s channel: that one may end before the last line, which is the outcome, if its sender goes away meanwhile.
    let body = poll_fn(move |cx| lines.poll_recv(cx).map(|line| line.map(Ok::<_, Infallible>)));
    let head = [(header::CONTENT_TYPE, LINES), (header::CACHE_CONTROL, "no-store")];
    Ok((Answer { out, _permit: permit }, (StatusCode::OK, head, Body::from_stream(body)).into_response()))
}

#[cfg(test)]
mod tests;
