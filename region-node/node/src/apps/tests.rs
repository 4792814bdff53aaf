//! The apps of a region with real processes: what the file says is so, and what it says wrong changes nothing.

use std::{
    fs,
    net::Ipv4Addr,
    path::Path,
    sync::atomic::{AtomicI64, AtomicU16, Ordering},
    time::Duration,
};

use chrono::{Datelike, Timelike};
use plane_client::api::apps::{AppVerb, ChangeApp};
use tokio::time::timeout;

use super::*;

/// A server in one line; `V` says which release it is.
const SERVER: &str = r#"command = ["node", "-e", "require('http').createServer((q, s) => s.end(process.env.V)).listen(process.env.PORT, process.env.HOST)"]
drain_timeout = "1s"
kill_timeout = "2s"
ready_timeout = "20s"
"#;
const WITHIN: Duration = Duration::from_secs(60);

struct Region {
    dir: PathBuf,
    apps: Arc<Apps>,
    published: Arc<Mutex<Vec<String>>>,
}

impl Drop for Region {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl Region {
    async fn start(name: &str, file: &str) -> anyhow::Result<Self> {
        static PORTS: AtomicU16 = AtomicU16::new(21_000);
        let dir = std::env::temp_dir().join(format!("atoll-apps-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir)?;
        let path = dir.join("app.toml");
        fs::write(&path, file)?;
        let around = Surroundings {
            region: "eu-west".into(),
            regions: vec!["eu-west".into()],
            host: Ipv4Addr::LOCALHOST.into(),
            first_port: PORTS.fetch_add(1000, Ordering::Relaxed),
            redis_url: "redis://127.0.0.1:1".into(),
            region_node_url: None,
            logs: dir.join("logs"),
            cores: 2,
        };
        let published = Arc::new(Mutex::new(Vec::new()));
        let told = published.clone();
        let publish: Publish = Arc::new(move |apps| {
            let names: Vec<&str> = apps.iter().map(|app| app.config.name.as_str()).collect();
            lock(&told).push(names.join(" "));
        });
        let source = Source::File { path, env: None };
        let apps = Apps::start("eu-west".parse()?, source, around, Arc::new(|_, _| 0), publish)?;
        let region = Self { dir, apps, published };
        for app in region.apps.reports() {
            region.ready(&app.name).await?;
        }
        Ok(region)
    }

    fn says(&self, file: &str) -> anyhow::Result<()> {
        Ok(fs::write(self.dir.join("app.toml"), file)?)
    }

    async fn ready(&self, app: &str) -> anyhow::Result<()> {
        let mut workers = self.apps.workers(app).context("there is no such app")?;
        timeout(WITHIN, workers.wait_for(|workers| workers.iter().any(Worker::takes_requests))).await??;
        Ok(())
    }

    async fn change(&self, app: Option<&str>, verb: AppVerb) -> anyhow::Result<ChangeEvent> {
        let asked = Asked { app: app.map(str::to_owned), verb, how: ChangeApp::default() };
        let (tell, _steps) = mpsc::channel(64);
        Ok(timeout(WITHIN, self.apps.clone().change(asked, tell)).await?)
    }

    /// Name and release of each app.
    fn running(&self) -> Vec<(String, u32)> {
        self.apps.reports().into_iter().map(|app| (app.name, app.release)).collect()
    }
}

fn app(name: &str, more: &str) -> String {
    format!("[app.{name}]\n{SERVER}{more}\n")
}

fn of(apps: &[(&str, u32)]) -> Vec<(String, u32)> {
    apps.iter().map(|(name, release)| ((*name).to_owned(), *release)).collect()
}

fn has_failed(event: &ChangeEvent, word: &str, kind: &str) -> bool {
    matches!(event, ChangeEvent::Failed { why, kind: said, .. } if why.contains(word) && said == kind)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_makes_what_the_file_says_and_an_error_in_it_changes_nothing() -> anyhow::Result<()> {
    let region = Region::start("reload", &app("web", "env = { V = \"1\" }")).await?;
    assert_eq!(region.running(), of(&[("web", 1)]));

    for (file, word) in [
        ("[app.web]\ncommand = \"x\"\n".to_owned(), "app.toml:2:11: app.web.command"),
        (app("web", "cwd = \"gone\""), "there is no directory"),
        (app("web", "") + &app("two", ""), "both `web` and `two` take every request"),
    ] {
        region.says(&file)?;
        let ended = region.change(None, AppVerb::Reload).await?;
        assert!(has_failed(&ended, word, "refused"), "{ended:?}");
        assert_eq!(region.running(), of(&[("web", 1)]));
    }

    region.says(&(app("web", "env = { V = \"2\" }") + &app("two", "paths = \"/two\"")))?;
    let ended = region.change(None, AppVerb::Reload).await?;
    assert!(matches!(ended, ChangeEvent::Done { .. }), "{ended:?}");
    assert_eq!(region.running(), of(&[("two", 1), ("web", 2)]));

    region.says(&app("two", "paths = \"/other\""))?;
    let ended = region.change(Some("web"), AppVerb::Reload).await?;
    assert!(has_failed(&ended, "the file has no app `web`", "refused"), "{ended:?}");
    let ended = region.change(None, AppVerb::Reload).await?;
    assert!(matches!(ended, ChangeEvent::Done { .. }), "{ended:?}");
    assert_eq!(region.running(), of(&[("two", 2)]));
    let told = region.apps.describe("two").context("it runs")?;
    assert!(told.toml.contains("paths = [\"/other\"]"), "{}", told.toml);
    let ended = region.change(Some("two"), AppVerb::Rollback).await?;
    assert!(matches!(ended, ChangeEvent::Done { .. }), "{ended:?}");
    let told = region.apps.describe("two").context("it runs")?;
    assert!(told.toml.contains("paths = [\"/two\"]"), "its routes go back with it: {}", told.toml);

    // An app that goes is there until those that come have taken its place.
    assert_eq!(lock(&region.published).as_slice(), ["web", "web", "web two", "two web", "two", "two"]);
    region.apps.shutdown().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_tells_what_is_new_to_know_and_says_what_a_name_is_not() -> anyhow::Result<()> {
    let region = Region::start("notes", &app("web", "primary_region = \"mars\"")).await?;
    let notes = async || {
        let asked = Asked { app: None, verb: AppVerb::Reload, how: ChangeApp::default() };
        let (tell, mut events) = mpsc::channel(64);
        timeout(WITHIN, region.apps.clone().change(asked, tell)).await?;
        let mut notes = Vec::new();
        while let Some(event) = events.recv().await {
            notes.extend(if let ChangeEvent::Note { text } = event { Some(text) } else { None });
        }
        anyhow::Ok(notes)
    };
    assert_eq!(notes().await?, Vec::<String>::new(), "it was told at the start");
    region.says(&app("web", "primary_region = \"venus\""))?;
    let told = notes().await?;
    assert!(told.len() == 1 && told[0].contains("this world has no region `venus`"), "{told:?}");
    let shown = region.apps.describe("web").context("it runs")?.notes;
    assert_eq!(shown, told, "and there it stays");

    let ended = region.change(Some("wep"), AppVerb::Reload).await?;
    assert!(has_failed(&ended, "the file has no app `wep`; it has web", "refused"), "{ended:?}");
    assert!(!has_failed(&ended, "takes `wep` away", "refused"), "{ended:?}");
    region.apps.shutdown().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_does_not_become_ready_never_replaces_one_that_works() -> anyhow::Result<()> {
    let region = Region::start("broken", &app("web", "env = { SECRET = \"xyzzy\" }")).await?;
    let broken =
        "command = [\"node\", \"-e\", \"console.error('no database'); process.exit(3)\"]\nready_timeout = \"10s\"\n";
    region.says(&format!("[app.web]\n{broken}"))?;
    let ended = region.change(None, AppVerb::Reload).await?;
    let ChangeEvent::Failed { kind, last_lines, .. } = &ended else { anyhow::bail!("{ended:?}") };
    assert_eq!(kind, "not_ready");
    assert!(last_lines.iter().any(|line| line.contains("no database")), "{last_lines:?}");
    region.ready("web").await?;
    let told = region.apps.describe("web").context("it runs")?;
    assert!(told.toml.contains("SECRET = \"…\"") && !told.toml.contains("xyzzy"), "{}", told.toml);

    // An app that is new and does not become ready is as if it had not been asked for.
    region.says(&(app("web", "") + &format!("[app.two]\npaths = \"/two\"\n{broken}")))?;
    let ended = region.change(Some("two"), AppVerb::Reload).await?;
    assert!(has_failed(&ended, "app two", "not_ready"), "{ended:?}");
    assert_eq!(region.apps.reports().len(), 1);
    region.apps.shutdown().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_from_worker_to_worker_and_what_is_not_inherited() -> anyhow::Result<()> {
    let file = "[app.jobs]\ncommand = [\"node\", \"-e\", \"console.log('N=' + process.env.N + ' I=' + process.env.I + ' HOME=' + !!process.env.HOME); \
        setInterval(() => {}, 1000)\"]\ninstances = 2\npublic = false\nready = \"started\"\nincrement_var = \"N\"\ninstance_var = \"I\"\n\
        without_env = \"*\"\nkill_timeout = \"1s\"\ndrain_timeout = \"0s\"\nenv = { N = \"7000\" }\nliveness = { check = \"off\" }\n";
    let region = Region::start("jobs", file).await?;
    let mut workers = region.apps.workers("jobs").context("it runs")?;
    timeout(WITHIN, workers.wait_for(|workers| workers.iter().filter(|worker| worker.ready).count() == 2)).await??;
    let path = region.dir.join("logs/jobs.log");
    let wanted = ["N=7000 I=0 HOME=true", "N=7001 I=1 HOME=true"];
    let has_all = async {
        while !wanted.iter().all(|line| log_of(&path).contains(line)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(WITHIN, has_all).await.with_context(|| log_of(&path))?;
    region.apps.shutdown().await;
    Ok(())
}

/// Clocks that show UTC.
struct Utc;

impl clock::Zone for Utc {
    fn shown(&self, at: clock::UnixMs) -> Option<app_config::Minute> {
        let at = chrono::DateTime::from_timestamp_millis(at)?;
        let small = |number: u32| u8::try_from(number).ok();
        let (month, day) = (small(at.month())?, small(at.day())?);
        Some(app_config::Minute { year: at.year(), month, day, hour: small(at.hour())?, minute: small(at.minute())? })
    }

    fn begins(&self, at: app_config::Minute) -> Option<clock::UnixMs> {
        let day = chrono::NaiveDate::from_ymd_opt(at.year, at.month.into(), at.day.into())?;
        Some(day.and_hms_opt(at.hour.into(), at.minute.into(), 0)?.and_utc().timestamp_millis())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_its_time_an_app_is_replaced_the_new_worker_first() -> anyhow::Result<()> {
    // The region's own clock rings once in four years.
    let file = app("web", "env = { V = \"1\" }\nrestart_at = \"0-2 0 29 2 *\"") + &app("two", "paths = \"/two\"");
    let region = Region::start("clock", &file).await?;
    let late = clock::lateness("eu-west");
    let midnight = 1_835_395_200_000 + late;
    let (shows, looks) = (Arc::new(AtomicI64::new(midnight - 500)), Arc::new(AtomicI64::new(0)));
    let (theirs, looked) = (shows.clone(), looks.clone());
    let now = move || {
        looked.fetch_add(1, Ordering::SeqCst);
        theirs.load(Ordering::SeqCst)
    };
    let clock = tokio::spawn(clock::run(Arc::downgrade(&region.apps), now, Utc));
    let seen = |least: i64| {
        let looks = looks.clone();
        async move {
            let more = async {
                while looks.load(Ordering::SeqCst) < least {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            timeout(WITHIN, more).await
        }
    };
    seen(2).await?;
    assert_eq!(region.running(), of(&[("two", 1), ("web", 1)]), "it is not midnight yet");

    let mut workers = region.apps.workers("web").context("it runs")?;
    let fewest = tokio::spawn(async move {
        let mut fewest = usize::MAX;
        loop {
            let now = workers.borrow_and_update().clone();
            fewest = fewest.min(now.iter().filter(|worker| worker.takes_requests()).count());
            // The second life alone is left: it is over.
            if now.iter().all(|worker| worker.release == 2) || workers.changed().await.is_err() {
                return fewest;
            }
        }
    });
    shows.store(midnight, Ordering::SeqCst);
    assert_eq!(timeout(WITHIN, fewest).await??, 1, "there is always one that takes requests");
    seen(looks.load(Ordering::SeqCst) + 2).await?;
    assert_eq!(region.running(), of(&[("two", 1), ("web", 2)]), "once, and nobody else");

    // While another change goes on two more times come: one restart is for both.
    let other = region.apps.changing.lock().await;
    for minutes in 1..3 {
        shows.store(midnight + minutes * 60_000, Ordering::SeqCst);
        seen(looks.load(Ordering::SeqCst) + 2).await?;
    }
    drop(other);
    let mut workers = region.apps.workers("web").context("it runs")?;
    let third = workers.wait_for(|now| !now.is_empty() && now.iter().all(|worker| worker.release == 3));
    timeout(WITHIN, third).await??;
    seen(looks.load(Ordering::SeqCst) + 4).await?;
    assert_eq!(region.running(), of(&[("two", 1), ("web", 3)]));
    clock.abort();
    let until_next = |name: &str| region.apps.describe(name).and_then(|told| told.next_restart_in_ms);
    assert!(until_next("web").is_some_and(|ms| ms < 8 * 366 * 86_400_000) && until_next("two").is_none());
    region.apps.shutdown().await;
    Ok(())
}

fn log_of(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
