//! One change of a region's apps, from what is asked to how it ended. One at a time: two reloads at once would be two truths.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use app_config::{App, Note};
use plane_client::api::apps::{AppDone, AppVerb, ChangeEvent};
use supervisor::{LogQuery, Progress, ReloadFailed, Reloaded};
use tokio::{sync::mpsc, time::timeout};

use super::{Apps, Running, Source, api::Asked, end, lock, read, report, spec};

/// How much longer than `ready_timeout` the first workers of a new app are waited for: starting takes a moment itself.
const BEYOND_READY: Duration = Duration::from_secs(5);
/// Lines of a worker that did not become ready.
const LAST_LINES: usize = 20;

type Outcome = Result<Vec<AppDone>, ChangeEvent>;

/// Carries a change out.
pub(super) async fn carry_out(apps: &Arc<Apps>, asked: Asked, tell: mpsc::Sender<ChangeEvent>) -> ChangeEvent {
    let Ok(_only) = apps.changing.try_lock() else {
        let why = "another change of this region's apps goes on; wait for its end, `atoll app ls` shows it".to_owned();
        return ChangeEvent::Failed { kind: "busy".to_owned(), why, last_lines: Vec::new() };
    };
    let began = Instant::now();
    let change = Change { apps, tell };
    let outcome = match (asked.verb, asked.app.as_deref()) {
        (AppVerb::Reload, only) => change.reload(only, asked.how.env).await,
        (_, None) => Err(report::refused("say which app")),
        (verb, Some(name)) => match apps.app(name) {
            Some(running) => change.one(verb, name, &running, asked.how.instances).await,
            None => Err(report::refused(format!("there is no app `{name}` in this region"))),
        },
    };
    match outcome {
        Ok(done) => report::done(in_words(asked.verb, &done), done, began.elapsed()),
        Err(failed) => failed,
    }
}

fn in_words(verb: AppVerb, done: &[AppDone]) -> String {
    let each = done.iter().map(|app| match verb {
        AppVerb::Stop => format!("{} is stopped", app.name),
        _ => {
            let workers = if app.instances == 1 { "worker" } else { "workers" };
            format!("{} runs release {} with {} {workers}", app.name, app.release, app.instances)
        }
    });
    let each: Vec<String> = each.collect();
    if each.is_empty() { "there is nothing to do".into() } else { each.join("; ") }
}

struct Change<'a> {
    apps: &'a Arc<Apps>,
    tell: mpsc::Sender<ChangeEvent>,
}

impl Change<'_> {
    /// What the supervisor tells of an app, passed on as far as there is room.
    fn progress(&self, app: &str) -> Progress {
        let (app, tell) = (app.to_owned(), self.tell.clone());
        Arc::new(move |step| {
            // Nobody listens, or too slowly: the end is told in any case.
            let _ = tell.try_send(report::step(&app, &step));
        })
    }

    fn note(&self, text: String) {
        let _ = self.tell.try_send(ChangeEvent::Note { text });
    }

    async fn one(&self, verb: AppVerb, name: &str, running: &Running, instances: Option<u16>) -> Outcome {
        let handle = &running.handle;
        let progress = self.progress(name);
        let ended = match verb {
            AppVerb::Restart => handle.restart(progress).await,
            AppVerb::Scale => handle.scale(instances.unwrap_or(1), progress).await,
            AppVerb::Rollback => handle.rollback(progress).await,
            AppVerb::Stop => {
                handle.stop().await;
                return Ok(vec![now(name, running)]);
            }
            AppVerb::Start => {
                handle.start_again().await.map_err(|failed| report::failed(name, failed))?;
                self.until_ready(name, running).await?;
                return Ok(vec![now(name, running)]);
            }
            AppVerb::Reload => return Err(report::refused("a reload goes by the file")),
        };
        let ended = ended.map_err(|failed| report::failed(name, failed))?;
        if verb == AppVerb::Rollback
            && let Some(running) = lock(&self.apps.running).get_mut(name)
            && let Some(previous) = running.previous.take()
        {
            running.previous = Some(std::mem::replace(&mut running.config, previous));
        }
        self.apps.tell();
        Ok(vec![done(name, &ended)])
    }

    /// Reads the file again and makes its apps so; only one of them, if `only` is named.
    async fn reload(&self, only: Option<&str>, env: Option<String>) -> Outcome {
        let mut source = self.apps.source();
        if let (Source::File { env: known, .. }, Some(env)) = (&mut source, env) {
            *known = Some(env);
        }
        let (said, around) = (source.clone(), self.apps.around.clone());
        let file = tokio::task::spawn_blocking(move || read(&said, &around)).await;
        let file = match file {
            Ok(Ok(file)) => file,
            Ok(Err(error)) => return Err(report::refused(format!("{error:#}\nnothing was changed; what ran runs on"))),
            Err(error) => return Err(report::refused(format!("the file was not read: {error}"))),
        };
        let is_meant = |name: &str| only.is_none_or(|only| only == name);
        if let Some(only) = only.filter(|only| file.apps.iter().all(|app| app.name != **only)) {
            let names: Vec<&str> = file.apps.iter().map(|app| app.name.as_str()).collect();
            let mut why = format!("the file has no app `{only}`; it has {}", names.join(", "));
            if self.apps.app(only).is_some() {
                why += &format!("; a reload of all apps takes `{only}` away");
            }
            return Err(report::refused(why));
        }
        // What was told at the start or with the reload before is not told again; `describe` has it all.
        let known = std::mem::replace(&mut *lock(&self.apps.notes), file.notes.clone());
        let is_news = |note: &&Note| (note.app.is_empty() || is_meant(&note.app)) && !known.contains(note);
        for note in file.notes.iter().filter(is_news) {
            self.note(note.to_string());
        }
        *lock(&self.apps.source) = source;
        let named: BTreeSet<String> = file.apps.iter().map(|app| app.name.clone()).collect();
        let mut all = Vec::new();
        for (number, app) in file.apps.into_iter().enumerate().filter(|(_, app)| is_meant(&app.name)) {
            all.push(match self.apps.app(&app.name) {
                Some(running) => self.renew(&running, app, number).await?,
                None => self.add(app, number).await?,
            });
        }
        if only.is_none() {
            self.remove_others(&named).await;
        }
        Ok(all)
    }

    /// A new release of an app that runs.
    async fn renew(&self, running: &Running, app: App, number: usize) -> Result<AppDone, ChangeEvent> {
        let name = app.name.clone();
        let spec = spec::spec(&app, number, &self.apps.around);
        let ended = running.handle.reload(spec, self.progress(&name)).await;
        let ended = ended.map_err(|failed| report::failed(&name, failed))?;
        if let Some(running) = lock(&self.apps.running).get_mut(&name) {
            running.previous = Some(std::mem::replace(&mut running.config, Arc::new(app)));
            running.number = number;
        }
        self.apps.tell();
        Ok(done(&name, &ended))
    }

    /// An app that was not there. Requests go there once it is ready; if it never is, it is as if it had not been asked for.
    async fn add(&self, app: App, number: usize) -> Result<AppDone, ChangeEvent> {
        let name = app.name.clone();
        let running = self.apps.begin(app, number).map_err(|error| report::refused(format!("{error:#}")))?;
        if let Err(failed) = self.until_ready(&name, &running).await {
            lock(&self.apps.running).remove(&name);
            end(running.handle).await;
            return Err(failed);
        }
        self.apps.tell();
        Ok(now(&name, &running))
    }

    /// Requests go elsewhere first, then workers finish theirs and end.
    async fn remove_others(&self, named: &BTreeSet<String>) {
        let gone: Vec<(String, Running)> = {
            let mut running = lock(&self.apps.running);
            let names: Vec<String> = running.keys().filter(|name| !named.contains(*name)).cloned().collect();
            names.into_iter().filter_map(|name| running.remove_entry(&name)).collect()
        };
        if gone.is_empty() {
            return;
        }
        self.apps.tell();
        for (name, running) in gone {
            self.note(format!("{name} is not in the file any more: its workers end"));
            end(running.handle).await;
        }
    }

    /// Waits until all workers of an app take requests.
    async fn until_ready(&self, name: &str, running: &Running) -> Result<(), ChangeEvent> {
        let wanted = usize::from(running.handle.spec().instances);
        let mut workers = running.handle.workers();
        let all = workers.wait_for(|workers| workers.iter().filter(|worker| worker.takes_requests()).count() >= wanted);
        let within = running.config.ready_timeout + BEYOND_READY;
        if let Ok(Ok(_)) = timeout(within, all).await {
            return Ok(());
        }
        let status = running.handle.status();
        let problem = status.workers.iter().find_map(|worker| worker.problem.clone());
        let why = problem.unwrap_or_else(|| format!("its workers were not ready within {} s", within.as_secs()));
        let lines = running.handle.logs(&LogQuery { lines: LAST_LINES, slot: None });
        let last_lines = lines.iter().map(|line| line.text.clone()).collect();
        let failed = ReloadFailed { kind: supervisor::FailKind::NotReady, why, last_lines };
        Err(report::failed(name, failed))
    }
}

fn done(name: &str, ended: &Reloaded) -> AppDone {
    AppDone { name: name.to_owned(), release: ended.release, instances: ended.instances }
}

fn now(name: &str, running: &Running) -> AppDone {
    let status = running.handle.status();
    AppDone { name: name.to_owned(), release: status.release, instances: status.instances }
}
