//! From what an app file says to what the supervisor is told. Pure, but for the names of the region's own variables.

use std::{net::IpAddr, path::PathBuf};

use app_config::{App, LiveCheck, LogFormat, Note, Protocol, Ready};
use supervisor::{AppSpec, Limits, LogFile, LogSpec, Pattern, PortChoice, StopSignal, StopSpec, Timing};

/// What a region has around its apps.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The region's name.
    pub region: String,
    /// The regions of the world, as it was when this one was started.
    pub regions: Vec<String>,
    /// The address that workers listen on.
    pub host: IpAddr,
    /// Workers get the first free ports from here on, a hundred further on for each app.
    pub first_port: u16,
    /// The region's Redis port as a URL.
    pub redis_url: String,
    /// The node's own address for apps as a URL.
    pub region_node_url: Option<String>,
    /// Where log files of apps are that do not name one.
    pub logs: PathBuf,
    /// Cores of this machine.
    pub cores: usize,
}

/// What whoever wrote an app's file should know of it here: nothing that hinders it from running.
pub(super) fn note(app: &App, around: &Surroundings) -> Option<Note> {
    let primary = app.primary_region.as_ref().filter(|primary| !around.regions.contains(primary))?;
    let regions = around.regions.join(", ");
    let what =
        format!("this world has no region `{primary}`: its regions are {regions}; workers are told it all the same");
    Some(Note { app: app.name.clone(), key: "primary_region".into(), what, is_warning: true })
}

/// Ports between the first ones of two apps.
const PORTS_APART: usize = 100;

/// What the supervisor is told of an app, the `number`th of its file.
pub(super) fn spec(app: &App, number: usize, around: &Surroundings) -> AppSpec {
    let apart = u16::try_from(number * PORTS_APART).unwrap_or(u16::MAX);
    let inherited: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
    let asked = app.protocol == Protocol::Http1 && app.ready != Ready::Started;
    let health = asked && (app.liveness.check == LiveCheck::Health || app.ready == Ready::Http);
    AppSpec {
        instances: app.instances.on(around.cores),
        env: app.environment(),
        cwd: Some(app.cwd.clone()),
        host: around.host,
        ports: PortChoice::From(around.first_port.saturating_add(apart)),
        listen_fds: app.listen_fds,
        ready: match &app.ready {
            Ready::Http => supervisor::Ready::Http,
            Ready::Tcp => supervisor::Ready::Tcp,
            // App files have no pattern that every line would match.
            Ready::Log(text) => Pattern::new(text).map_or(supervisor::Ready::Tcp, supervisor::Ready::Log),
            Ready::SdNotify => supervisor::Ready::SdNotify,
            Ready::Started => supervisor::Ready::Started,
            Ready::Ipc => supervisor::Ready::Ipc,
        },
        health_path: health.then(|| app.health.clone()),
        region: around.region.clone(),
        primary_region: app.primary_region.clone(),
        redis_url: around.redis_url.clone(),
        region_node_url: around.region_node_url.clone(),
        preload: app.preload,
        limits: Limits {
            memory_bytes: app.max_memory,
            lifetime: app.liveness.max_age,
            event_loop_lag: app.protect.max_event_loop_lag,
            heartbeat_timeout: app.liveness.max_silence,
            watchdog: app.liveness.watchdog,
        },
        stop: StopSpec {
            signal: StopSignal::parse(app.kill_signal.as_str()).unwrap_or_default(),
            with_message: app.shutdown_message,
            exit_codes: match app.restart {
                true => app.stop_exit_codes.iter().map(|code| i32::from(*code)).collect(),
                false => (0..=255).collect(),
            },
        },
        log: LogSpec { file: Some(log_file(app, around)), ..LogSpec::default() },
        timing: Timing {
            probe_timeout: app.liveness.timeout,
            probe_interval: app.liveness.interval,
            probe_failures: app.liveness.failures,
            probe_successes: app.liveness.successes,
            ready_timeout: app.ready_timeout,
            drain_timeout: app.drain_timeout,
            kill_timeout: app.kill_timeout,
            backoff_first: app.restart_delay,
            backoff_max: app.restart_delay_max,
            backoff_reset: app.min_uptime,
        },
        ..AppSpec::new(&app.name, command(app, &inherited))
    }
}

fn log_file(app: &App, around: &Surroundings) -> LogFile {
    let said = app.log.file.as_ref().map(|file| PathBuf::from(file.replace("{region}", &around.region)));
    LogFile {
        path: said.unwrap_or_else(|| around.logs.join(format!("{}.log", app.name))),
        max_bytes: app.log.max_size,
        keep: app.log.keep,
        json: app.log.format == LogFormat::Json,
    }
}

/// What a worker inherits even where an app asks for nothing: programs are found by it, and written to.
const KEPT: [&str; 5] = ["PATH", "HOME", "LANG", "TMPDIR", "USER"];
/// What the supervisor sets; the region's own of these names never come through.
const SET: [&str; 12] = [
    "REGION",
    "FLY_REGION",
    "PRIMARY_REGION",
    "REDIS_URL",
    "REGION_NODE_URL",
    "RELEASE_ID",
    "INSTANCE_ID",
    "NODE_APP_INSTANCE",
    "HOST",
    "PORT",
    "NODE_OPTIONS",
    "NOTIFY_SOCKET",
];

/// The command of an app. What differs from worker to worker, or takes variables away, is done by a shell that becomes the program.
fn command(app: &App, inherited: &[String]) -> Vec<String> {
    let mut before = String::new();
    let own = app.environment();
    let goes = |name: &str| {
        let is_kept =
            KEPT.contains(&name) || SET.contains(&name) || name.starts_with("ATOLL_") || own.contains_key(name);
        let is_asked = app.without_env.iter().any(|part| part == "*" || name.contains(part.as_str()));
        is_asked && !is_kept && is_shell_name(name)
    };
    let unset: Vec<&str> = inherited.iter().map(String::as_str).filter(|name| goes(name)).collect();
    if !unset.is_empty() {
        before += &format!("unset {}; ", unset.join(" "));
    }
    if let Some((name, first)) = app.incremented(0).filter(|(name, _)| is_shell_name(name)) {
        before += &format!("export {name}=$(({first} + NODE_APP_INSTANCE)); ");
    }
    if let Some(name) = app.instance_var.as_deref().filter(|name| is_shell_name(name)) {
        before += &format!("export {name}=\"$NODE_APP_INSTANCE\"; ");
    }
    if before.is_empty() {
        return app.command.clone();
    }
    let shell = ["/bin/sh".to_owned(), "-c".to_owned(), format!("{before}exec \"$@\""), app.name.clone()];
    shell.into_iter().chain(app.command.iter().cloned()).collect()
}

fn is_shell_name(name: &str) -> bool {
    let is_first = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    is_first && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, time::Duration};

    use super::*;

    fn around() -> Surroundings {
        Surroundings {
            region: "eu-west".into(),
            regions: vec!["eu-west".into(), "us-east".into()],
            host: Ipv4Addr::LOCALHOST.into(),
            first_port: 20_000,
            redis_url: String::new(),
            region_node_url: None,
            logs: PathBuf::new(),
            cores: 2,
        }
    }

    #[test]
    fn workers_are_told_the_primary_region_and_whoever_wrote_it_if_there_is_none() {
        let mut app = App { name: "web".into(), command: vec!["node".into()], ..App::default() };
        assert_eq!((spec(&app, 0, &around()).primary_region, note(&app, &around())), (None, None));
        app.primary_region = Some("us-east".into());
        assert_eq!(spec(&app, 0, &around()).primary_region.as_deref(), Some("us-east"));
        assert_eq!(note(&app, &around()), None);
        app.primary_region = Some("us-west".into());
        let told = note(&app, &around()).map(|note| note.to_string()).unwrap_or_default();
        assert!(
            told.starts_with(
                "web: `primary_region`: this world has no region `us-west`: its regions are eu-west, us-east"
            ),
            "{told}"
        );
    }

    #[test]
    fn checks_are_made_as_the_file_says() {
        let mut app = App { command: vec!["node".into()], ..App::default() };
        let usual = spec(&app, 0, &around()).timing;
        assert_eq!((usual.probe_interval, usual.probe_failures, usual.probe_successes), (Duration::from_secs(2), 3, 2));
        (app.liveness.interval, app.liveness.failures, app.liveness.successes) = (Duration::from_secs(7), 5, 4);
        let said = spec(&app, 0, &around()).timing;
        assert_eq!((said.probe_interval, said.probe_failures, said.probe_successes), (Duration::from_secs(7), 5, 4));
    }

    #[test]
    fn a_shell_stands_before_a_program_only_where_it_must() {
        let app = App { command: vec!["node".into(), "a b.js".into()], ..App::default() };
        assert_eq!(command(&app, &["AWS_KEY".into()]), app.command);
        let app = App {
            without_env: vec!["AWS_".into()],
            increment_var: Some("N".into()),
            instance_var: Some("I".into()),
            env: [("N".to_owned(), "7000".to_owned()), ("AWS_REGION".to_owned(), "x".to_owned())].into(),
            ..app
        };
        let inherited = ["AWS_KEY", "AWS_REGION", "PATH", "BASH_FUNC_x%%", "MY_AWS_"].map(str::to_owned);
        assert_eq!(
            command(&app, &inherited)[2..],
            [
                "unset AWS_KEY MY_AWS_; export N=$((7000 + NODE_APP_INSTANCE)); export I=\"$NODE_APP_INSTANCE\"; exec \"$@\"",
                "app",
                "node",
                "a b.js"
            ]
        );
        let all = App { without_env: vec!["*".into()], ..App::default() };
        assert_eq!(
            command(&all, &["PATH".into(), "REDIS_URL".into(), "SECRET".into()])[2],
            "unset SECRET; exec \"$@\""
        );
    }
}
