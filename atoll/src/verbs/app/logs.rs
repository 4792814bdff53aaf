//! What workers write: the last lines, and those that come. Lines of several regions are told in the order of their times; while
//! following, as they come.

use plane_client::{
    JsonLines,
    api::apps::{AppLog, LogsWanted},
};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{sync::mpsc, task::JoinSet};

use super::Place;
use crate::{
    exit::{Exit, Misuse},
    output::{self, Paint},
    verbs::reach::explain_error,
};

/// What is wanted.
pub(super) struct Wanted {
    pub(super) name: Option<String>,
    pub(super) lines: u32,
    pub(super) follow: bool,
    pub(super) worker: Option<u16>,
}

/// A line, and where it comes from.
struct Told {
    region: String,
    app: String,
    log: AppLog,
}

pub(super) async fn run(places: Vec<Place>, wanted: Wanted, is_json: bool) -> anyhow::Result<Exit> {
    let mut streams = Vec::new();
    let is_one = places.len() == 1;
    for place in places {
        let apps = match &wanted.name {
            Some(name) => vec![name.clone()],
            None => place.client.apps().await.map_err(explain_error)?.apps.into_iter().map(|app| app.name).collect(),
        };
        for app in apps {
            let asked =
                LogsWanted { lines: Some(wanted.lines), follow: wanted.follow.then_some(1), slot: wanted.worker };
            let lines = place.client.app_logs(&app, &asked).await.map_err(explain_error)?;
            streams.push((place.name.clone(), app, lines));
        }
    }
    if streams.is_empty() {
        return Err(Misuse("there are no apps; start the world with --app FILE".into()).into());
    }
    let print = Print { is_json, with_region: !is_one, paint: Paint::for_stdout() };
    if wanted.follow { follow(streams, print).await } else { past(streams, print).await }
}

type Stream = (String, String, JsonLines<AppLog>);

/// All lines, by their times.
async fn past(streams: Vec<Stream>, print: Print) -> anyhow::Result<Exit> {
    let mut all = Vec::new();
    for (region, app, mut lines) in streams {
        while let Some(log) = lines.next().await.map_err(explain_error)? {
            all.push(Told { region: region.clone(), app: app.clone(), log });
        }
    }
    // Stable: lines of one worker stay in their order.
    all.sort_by_key(|told| match &told.log {
        AppLog::Line { time_ms, .. } => *time_ms,
        AppLog::Lost { .. } | AppLog::Alive => 0,
    });
    for told in &all {
        print.say(told)?;
    }
    Ok(Exit::Done)
}

/// Lines as they come, until Ctrl-C or until nobody has more.
async fn follow(streams: Vec<Stream>, print: Print) -> anyhow::Result<Exit> {
    let (out, mut lines) = mpsc::channel(256);
    let mut readers = JoinSet::new();
    for (region, app, mut stream) in streams {
        let out = out.clone();
        readers.spawn(async move {
            loop {
                match stream.next().await {
                    Ok(Some(log)) => {
                        let told = Told { region: region.clone(), app: app.clone(), log };
                        if out.send(told).await.is_err() {
                            return None;
                        }
                    }
                    Ok(None) => return None,
                    Err(error) => return Some(format!("{region}: {error}")),
                }
            }
        });
    }
    drop(out);
    while let Some(told) = lines.recv().await {
        print.say(&told)?;
    }
    let broken: Vec<String> = readers.join_all().await.into_iter().flatten().collect();
    for why in &broken {
        output::remark(why);
    }
    Ok(if broken.is_empty() { Exit::Done } else { Exit::Failed })
}

/// How lines are shown.
struct Print {
    is_json: bool,
    with_region: bool,
    paint: Paint,
}

impl Print {
    fn say(&self, told: &Told) -> anyhow::Result<()> {
        if told.log == AppLog::Alive {
            return Ok(());
        }
        if !self.is_json {
            output::say(self.line(told));
            return Ok(());
        }
        let mut line = serde_json::to_value(&told.log)?;
        if let Value::Object(keys) = &mut line {
            keys.insert("region".into(), json!(told.region));
            keys.insert("app".into(), json!(told.app));
        }
        output::say_json(&line)
    }

    /// `us-east web 0 | text`; the worker's own colour on a terminal.
    fn line(&self, told: &Told) -> String {
        let region = if self.with_region { format!("{} ", told.region) } else { String::new() };
        match &told.log {
            AppLog::Alive => String::new(),
            AppLog::Lost { lines } => {
                self.paint.warn(&format!("{region}{}: {lines} lines are missing here: too many to show", told.app))
            }
            AppLog::Line { time_ms, slot, error, text, .. } => {
                let head = format!("{} {region}{} {slot}", clock(*time_ms), told.app);
                let bar = if *error { self.paint.bad("!") } else { "|".to_owned() };
                format!("{} {bar} {text}", self.paint.nth(usize::from(*slot), &head))
            }
        }
    }
}

/// A time of day, UTC.
fn clock(ms: u64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).ok();
    let text = time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default();
    text.split('T').nth(1).and_then(|clock| clock.get(..8)).unwrap_or("--:--:--").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_where_it_comes_from() {
        let line = |slot, error, text: &str| Told {
            region: "eu".into(),
            app: "web".into(),
            log: AppLog::Line { time_ms: 1_700_000_000_123, slot, life: 9, error, text: text.into(), partial: false },
        };
        let print = |with_region| Print { is_json: false, with_region, paint: Paint::none() };
        assert_eq!(print(false).line(&line(0, false, "listening")), "22:13:20 web 0 | listening");
        assert_eq!(print(true).line(&line(3, true, "oh")), "22:13:20 eu web 3 ! oh");
        let lost = Told { log: AppLog::Lost { lines: 7 }, ..line(0, false, "") };
        assert_eq!(print(false).line(&lost), "web: 7 lines are missing here: too many to show");
    }
}
