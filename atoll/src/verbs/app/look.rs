//! What apps do: a line each, all of one, or a picture that moves.

use std::{io::IsTerminal, time::Duration};

use plane_client::api::apps::{AppDescription, AppReport, AppsReport, WorkerReport};
use tokio::{task::JoinSet, time::sleep};

use super::{Place, the_app};
use crate::{
    exit::{Exit, Unreachable},
    output::{self, Paint, Table},
    verbs::reach::explain_error,
};

const REFRESH: Duration = Duration::from_secs(1);

/// What a region said; `None`: it does not answer.
type Said = (String, Option<AppsReport>);

/// Asks all regions at once.
async fn collect(places: &[Place]) -> Vec<Said> {
    let mut asking = JoinSet::new();
    for (at, place) in places.iter().enumerate() {
        let Some(client) = place.client.each().next() else { continue };
        let name = place.name.clone();
        asking.spawn(async move { (at, name, client.apps().await.ok()) });
    }
    let mut all = asking.join_all().await;
    all.sort_by_key(|(at, ..)| *at);
    all.into_iter().map(|(_, name, report)| (name, report)).collect()
}

pub(super) async fn ls(places: &[Place], is_json: bool) -> anyhow::Result<Exit> {
    let all = collect(places).await;
    if all.iter().all(|(_, report)| report.is_none()) {
        return Err(Unreachable("no region answers; `atoll status` shows which are there".into()).into());
    }
    if is_json {
        for report in all.iter().filter_map(|(_, report)| report.as_ref()) {
            output::say_json(report)?;
        }
    } else {
        output::say(listed(&all, Paint::for_stdout()).to_string());
    }
    let is_well = |app: &AppReport| !app.stopped && app.ready >= app.instances;
    let well = all.iter().all(|(_, report)| report.as_ref().is_some_and(|report| report.apps.iter().all(is_well)));
    Ok(if well { Exit::Done } else { Exit::Failed })
}

fn listed(all: &[Said], paint: Paint) -> Table {
    let mut table =
        Table::new(&["NAME", "REGION", "RELEASE", "READY", "RESTARTS", "UPTIME", "CPU", "MEM", "LAG p99", "STATE"]);
    let mut rows: Vec<(&AppReport, &str)> = all
        .iter()
        .filter_map(|(region, report)| Some((region, report.as_ref()?)))
        .flat_map(|(region, report)| report.apps.iter().map(move |app| (app, region.as_str())))
        .collect();
    // Stable: regions stay in the order in which they were asked.
    rows.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    for (app, region) in rows {
        let workers = &app.workers;
        let restarts: u32 = workers.iter().map(|worker| worker.restarts).sum();
        let lag = workers.iter().filter_map(|worker| Some(worker.event_loop?.delay_p99_ms)).max_by(f64::total_cmp);
        table.row(vec![
            app.name.clone(),
            region.to_owned(),
            app.release.to_string(),
            format!("{}/{}", app.ready, app.instances),
            restarts.to_string(),
            workers.iter().filter_map(|worker| worker.uptime_ms).min().map_or("–".into(), uptime),
            sum(workers, |worker| worker.cpu_permille.map(u64::from)).map_or("–".into(), percent),
            sum(workers, |worker| worker.memory_bytes).map_or("–".into(), memory),
            lag.map_or("–".into(), |ms| format!("{ms:.1} ms")),
            state(app, paint),
        ]);
    }
    for (region, _) in all.iter().filter(|(_, report)| report.is_none()) {
        let mut row = vec!["–".to_owned(), region.clone()];
        row.extend(std::iter::repeat_n("–".to_owned(), 7));
        row.push(paint.bad("away"));
        table.row(row);
    }
    table
}

fn state(app: &AppReport, paint: Paint) -> String {
    if let Some(doing) = &app.doing {
        return paint.warn(doing);
    }
    if app.stopped {
        return paint.dim("stopped");
    }
    if app.ready >= app.instances {
        return paint.good("ready");
    }
    let why = app.workers.iter().find_map(|worker| worker.problem.as_deref()).unwrap_or("not ready yet");
    let why: String = why.lines().next().unwrap_or_default().chars().take(80).collect();
    if app.ready == 0 { paint.bad(&why) } else { paint.warn(&why) }
}

fn sum(workers: &[WorkerReport], of: impl Fn(&WorkerReport) -> Option<u64>) -> Option<u64> {
    workers.iter().filter_map(of).reduce(|a, b| a + b)
}

pub(super) async fn describe(places: &[Place], name: Option<String>, is_json: bool) -> anyhow::Result<Exit> {
    for (at, place) in places.iter().enumerate() {
        let name = the_app(place, name.as_deref()).await?;
        let app = place.client.app(&name).await.map_err(explain_error)?;
        if is_json {
            output::say_json(&app)?;
        } else {
            let gap = if at > 0 { "\n" } else { "" };
            output::say(format!("{gap}{}", described(&app, Paint::for_stdout())));
        }
    }
    Ok(Exit::Done)
}

fn described(told: &AppDescription, paint: Paint) -> String {
    let app = &told.app;
    let (name, release, ready, all) = (&app.name, app.release, app.ready, app.instances);
    let mut text = format!("{name} in {}: release {release}, {ready} of {all} workers ready", told.region);
    if app.ready < app.instances || app.doing.is_some() || app.stopped {
        text += &format!(", {}", state(app, paint));
    }
    if let Some(file) = &told.file {
        text += &format!("\nfile {file}");
    }
    if let Some(ms) = told.next_restart_in_ms.filter(|_| !app.stopped) {
        text += &format!("\nnext restart in {}", uptime(ms));
    }
    let mut table = Table::new(&[
        "SLOT", "STATE", "RELEASE", "PID", "ADDRESS", "RESTARTS", "UPTIME", "CPU", "MEM", "HEAP", "LOOP", "LAG p99",
    ]);
    for worker in &app.workers {
        let event_loop = worker.event_loop.as_ref();
        table.row(vec![
            worker.slot.to_string(),
            if worker.state == "ready" { paint.good(&worker.state) } else { paint.warn(&worker.state) },
            worker.release.to_string(),
            worker.pid.map_or("–".into(), |pid| pid.to_string()),
            worker.address.map_or("–".into(), |address| address.to_string()),
            worker.restarts.to_string(),
            worker.uptime_ms.map_or("–".into(), uptime),
            worker.cpu_permille.map_or("–".into(), |permille| percent(permille.into())),
            worker.memory_bytes.map_or("–".into(), memory),
            event_loop.map_or("–".into(), |told| memory(told.heap_used_bytes)),
            event_loop.map_or("–".into(), |told| percent(told.utilisation_permille.into())),
            event_loop.map_or("–".into(), |told| format!("{:.1} ms", told.delay_p99_ms)),
        ]);
    }
    text += &format!("\n\n{table}");
    for worker in &app.workers {
        let both = [("says", &worker.says), ("problem", &worker.problem)];
        for (what, said) in both.into_iter().filter_map(|(what, said)| Some((what, said.as_ref()?))) {
            text += &format!("\nworker {} {what}: {said}", worker.slot);
        }
    }
    text += &format!("\n\n{}", told.toml.trim_end());
    if !told.notes.is_empty() {
        text.push('\n');
    }
    for note in &told.notes {
        text += &format!("\n{} {note}", paint.dim("note"));
    }
    text
}

pub(super) async fn monit(places: &[Place], is_json: bool) -> anyhow::Result<Exit> {
    let is_screen = std::io::stdout().is_terminal();
    let paint = Paint::for_stdout();
    loop {
        let all = collect(places).await;
        if is_json {
            for report in all.iter().filter_map(|(_, report)| report.as_ref()) {
                output::say_json(report)?;
            }
        } else if is_screen {
            // Clear, and from the top.
            output::say(format!("\x1b[2J\x1b[H{}", pictured(&all, paint)));
        } else {
            // Nobody watches a file: once is enough.
            output::say(pictured(&all, paint));
            return Ok(Exit::Done);
        }
        sleep(REFRESH).await;
    }
}

/// A line for each worker, with bars.
fn pictured(all: &[Said], paint: Paint) -> String {
    let mut table =
        Table::new(&["REGION", "APP", "SLOT", "STATE", "CPU", "", "MEM", "", "LOOP", "", "LAG p99", "RESTARTS"]);
    let workers = || {
        all.iter()
            .filter_map(|(_, report)| report.as_ref())
            .flat_map(|report| &report.apps)
            .flat_map(|app| &app.workers)
    };
    let most = workers().filter_map(|worker| worker.memory_bytes).max().unwrap_or(1).max(1);
    for (region, report) in all {
        let Some(report) = report else {
            let mut row = vec![region.clone()];
            row.extend(std::iter::repeat_n("–".to_owned(), 2));
            row.push(paint.bad("away"));
            table.row(row);
            continue;
        };
        for (app, worker) in report.apps.iter().flat_map(|app| app.workers.iter().map(move |worker| (app, worker))) {
            let cpu = worker.cpu_permille.map(u64::from);
            let busy = worker.event_loop.map(|told| u64::from(told.utilisation_permille));
            let used = worker.memory_bytes;
            table.row(vec![
                region.clone(),
                app.name.clone(),
                worker.slot.to_string(),
                if worker.state == "ready" { paint.good(&worker.state) } else { paint.warn(&worker.state) },
                cpu.map_or(String::new(), |cpu| bar(cpu, paint)),
                cpu.map_or("–".into(), percent),
                used.map_or(String::new(), |used| bar(used * 1000 / most, paint)),
                used.map_or("–".into(), memory),
                busy.map_or(String::new(), |busy| bar(busy, paint)),
                busy.map_or("–".into(), percent),
                worker.event_loop.map_or("–".into(), |told| format!("{:.1} ms", told.delay_p99_ms)),
                worker.restarts.to_string(),
            ]);
        }
    }
    table.to_string()
}

/// Ten blocks; none is full where the number beside it is 0 %.
fn bar(permille: u64, paint: Paint) -> String {
    let shown = if permille < 5 { 0 } else { permille.min(1000) };
    let full = usize::try_from(shown.div_ceil(100)).unwrap_or(10);
    let bar = format!("{}{}", "█".repeat(full), "░".repeat(10 - full));
    match permille {
        0..700 => paint.good(&bar),
        700..900 => paint.warn(&bar),
        _ => paint.bad(&bar),
    }
}

fn percent(permille: u64) -> String {
    format!("{} %", (permille + 5) / 10)
}

fn memory(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    match bytes {
        0..MIB => format!("{} KB", bytes >> 10),
        bytes if bytes < 10 * 1024 * MIB => format!("{} MB", bytes / MIB),
        bytes => format!("{} GB", bytes >> 30),
    }
}

fn uptime(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use plane_client::api::apps::EventLoopReport;

    use super::*;

    fn worker(slot: u16, state: &str) -> WorkerReport {
        let event_loop = EventLoopReport {
            utilisation_permille: 123,
            delay_p50_ms: 1.0,
            delay_p99_ms: 12.34,
            delay_max_ms: 20.0,
            heap_used_bytes: 30 << 20,
            heap_total_bytes: 40 << 20,
            gc_ms: 0.1,
            active_handles: 4,
        };
        WorkerReport {
            slot,
            life: 1,
            release: 2,
            state: state.into(),
            address: Some(([127, 0, 1, 1], 9800 + slot).into()),
            pid: Some(4242),
            restarts: u32::from(slot),
            uptime_ms: Some(90_000 * u64::from(slot + 1)),
            memory_bytes: Some((60 + u64::from(slot)) << 20),
            cpu_permille: Some(55),
            event_loop: (state == "ready").then_some(event_loop),
            says: None,
            problem: (state != "ready").then(|| "it ended with code 1; correct it".into()),
        }
    }

    fn said() -> Vec<Said> {
        let app = |name: &str, second: &str| AppReport {
            name: name.into(),
            release: 2,
            can_roll_back: true,
            instances: 2,
            ready: if second == "ready" { 2 } else { 1 },
            stopped: false,
            doing: None,
            workers: vec![worker(0, "ready"), worker(1, second)],
        };
        let eu = AppsReport {
            region: "eu".parse().unwrap(),
            file: None,
            apps: vec![app("api", "backing-off"), app("web", "ready")],
        };
        vec![("eu".into(), Some(eu)), ("us".into(), None)]
    }

    #[test]
    fn a_line_for_each_app_and_region() {
        expect![[r#"
            NAME  REGION  RELEASE  READY  RESTARTS  UPTIME  CPU   MEM     LAG p99  STATE
            api   eu      2        1/2    1         90 s    11 %  121 MB  12.3 ms  it ended with code 1; correct it
            web   eu      2        2/2    1         90 s    11 %  121 MB  12.3 ms  ready
            –     us      –        –      –         –       –     –       –        away
        "#]]
        .assert_eq(&(listed(&said(), Paint::none()).to_string() + "\n"));
        expect![[r#"
            REGION  APP  SLOT  STATE        CPU              MEM                LOOP              LAG p99  RESTARTS
            eu      api  0     ready        █░░░░░░░░░  6 %  ██████████  60 MB  ██░░░░░░░░  12 %  12.3 ms  0
            eu      api  1     backing-off  █░░░░░░░░░  6 %  ██████████  61 MB              –     –        1
            eu      web  0     ready        █░░░░░░░░░  6 %  ██████████  60 MB  ██░░░░░░░░  12 %  12.3 ms  0
            eu      web  1     ready        █░░░░░░░░░  6 %  ██████████  61 MB  ██░░░░░░░░  12 %  12.3 ms  1
            us      –    –     away
        "#]]
        .assert_eq(&(pictured(&said(), Paint::none()) + "\n"));
    }

    #[test]
    fn what_is_not_known_of_a_worker_is_left_open() {
        let (_, eu) = said().remove(0);
        let mut eu = eu.unwrap();
        let stopped = WorkerReport { cpu_permille: None, memory_bytes: None, ..worker(1, "stopped") };
        let idle = WorkerReport { cpu_permille: Some(4), ..worker(0, "ready") };
        eu.apps.truncate(1);
        eu.apps[0].workers = vec![idle, stopped];
        expect![[r#"
            REGION  APP  SLOT  STATE    CPU              MEM                LOOP              LAG p99  RESTARTS
            eu      api  0     ready    ░░░░░░░░░░  0 %  ██████████  60 MB  ██░░░░░░░░  12 %  12.3 ms  0
            eu      api  1     stopped              –                –                  –     –        1
        "#]]
        .assert_eq(&(pictured(&[("eu".into(), Some(eu))], Paint::none()) + "\n"));
    }

    #[test]
    fn an_app_is_described_with_its_workers_and_configuration() {
        let (_, eu) = said().remove(0);
        let eu = eu.unwrap();
        let told = AppDescription {
            region: eu.region,
            app: eu.apps[0].clone(),
            file: Some("/srv/app.toml".into()),
            toml: "[app.api]\ncommand = [\"node\", \"server.js\"]\n".into(),
            notes: vec!["api: `watch`: left aside".into()],
            next_restart_in_ms: Some(9 * 3_600_000),
        };
        expect![[r#"
            api in eu: release 2, 1 of 2 workers ready, it ended with code 1; correct it
            file /srv/app.toml
            next restart in 9 h

            SLOT  STATE        RELEASE  PID   ADDRESS         RESTARTS  UPTIME  CPU  MEM    HEAP   LOOP  LAG p99
            0     ready        2        4242  127.0.1.1:9800  0         90 s    6 %  60 MB  30 MB  12 %  12.3 ms
            1     backing-off  2        4242  127.0.1.1:9801  1         3 min   6 %  61 MB  –      –     –
            worker 1 problem: it ended with code 1; correct it

            [app.api]
            command = ["node", "server.js"]

            note api: `watch`: left aside
        "#]]
        .assert_eq(&(described(&told, Paint::none()) + "\n"));
    }
}
