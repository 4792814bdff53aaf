//! What must hold between the keys of an app, and between apps. Pure: the number of cores is an argument.

use std::collections::BTreeMap;

use crate::{
    app::{App, Instances, LiveCheck, Policy, Protocol, Ready},
    problem::Problem,
    toml_file::join,
    value::is_path,
};

/// Workers that a region may have for each core.
const PER_CORE: usize = 8;
/// Workers that it may have in any case, so that small machines can be tried on.
const IN_ANY_CASE: usize = 16;

/// All that is wrong. Each app comes with the key that errors call it by.
pub(crate) fn check(apps: &[App], keys: &[String], cores: usize) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (app, key) in apps.iter().zip(keys) {
        alone(app, key, cores, &mut problems);
    }
    between(apps, keys, &mut problems);
    problems
}

fn alone(app: &App, at: &str, cores: usize, problems: &mut Vec<Problem>) {
    let mut wrong = |name: &str, what: String, hint: &str| problems.push(Problem::new(join(at, name), what).hint(hint));
    if app.command.first().is_some_and(|program| program.trim().is_empty()) || app.command.is_empty() {
        wrong("command", "`command` is empty".into(), "write command = [\"node\", \"server.js\"]");
    }
    if app.instances == Instances::Count(0) {
        wrong("instances", "0 workers run nothing".into(), "write 1 or more, or \"max\" for one per core");
    }
    let most = (cores * PER_CORE).max(IN_ANY_CASE);
    let instances = app.instances.on(cores);
    if usize::from(instances) > most {
        let what = format!("{instances} workers are more than {most}, {PER_CORE} for each of {cores} cores");
        wrong("instances", what, "\"max\" is one for each core");
    }
    for host in &app.hosts {
        if let Err(why) = check_host(host) {
            wrong("hosts", format!("`{host}` {why}"), "write shop.test or *.shop.test");
        }
    }
    for path in app.paths.iter().filter(|path| !is_path(path) || path.contains("//")) {
        wrong("paths", format!("`{path}` is not the beginning of a path"), "it begins with /, and has neither ? nor #");
    }
    let says_routes = !app.hosts.is_empty() || !app.paths.is_empty();
    if !app.public && says_routes {
        wrong(
            "public",
            "it is not public, and yet says which requests of users it takes".into(),
            "leave out one of both",
        );
    }
    if app.restart_delay > app.restart_delay_max {
        wrong(
            "restart_delay_max",
            "the longest pause is shorter than the first one".into(),
            "make it longer than `restart_delay`",
        );
    }
    if app.protect.breaker_open > app.protect.breaker_open_max {
        wrong("protect.breaker_open_max", "it is shorter than `breaker_open`".into(), "make it longer");
    }
    if app.ready == Ready::Http && app.protocol == Protocol::H2c {
        let what = "workers that speak `h2c` cannot be asked over HTTP/1.1".into();
        wrong("ready", what, "write ready = \"tcp\", or have them tell: \"log: …\", \"sd_notify\", \"ipc\"");
    }
    if app.ready == Ready::Started && app.public {
        let what = "`started` is for programs that listen nowhere, and this one takes requests".into();
        wrong("ready", what, "write public = false, or another `ready`");
    }
    if app.ready == Ready::Started && app.liveness.check != LiveCheck::Off {
        wrong(
            "liveness.check",
            "a program that listens nowhere cannot be asked how it is".into(),
            "write check = \"off\"",
        );
    }
    if app.liveness.watchdog.is_some() && app.ready != Ready::SdNotify {
        wrong(
            "liveness.watchdog",
            "only workers that tell by `sd_notify` can be watched so".into(),
            "write ready = \"sd_notify\"",
        );
    }
    if app.balance.hash != App::default().balance.hash && app.balance.policy != Policy::Rendezvous {
        wrong("balance.hash", "only the policy `rendezvous` goes by a hash".into(), "write policy = \"rendezvous\"");
    }
}

fn between(apps: &[App], keys: &[String], problems: &mut Vec<Problem>) {
    let mut names: BTreeMap<&str, &App> = BTreeMap::new();
    let mut internal: BTreeMap<&str, &App> = BTreeMap::new();
    let mut routes: BTreeMap<(String, String), &App> = BTreeMap::new();
    for (app, at) in apps.iter().zip(keys) {
        let mut wrong = |name: &str, what: String, hint: &str| {
            problems.push(Problem::new(join(at, name), what).hint(hint));
        };
        if names.insert(&app.name, app).is_some() {
            wrong("", format!("there are two apps `{}`", app.name), "each has a name of its own");
            continue;
        }
        if !app.internal.is_empty()
            && let Some(other) = internal.insert(&app.internal, app)
        {
            let what = format!("`{}` has the internal name `{}` already", other.name, app.internal);
            wrong("internal", what, "each has a name of its own; \"\" is none");
        }
        for route in app.routes() {
            if let Some(other) = routes.get(&route) {
                let (host, path) = &route;
                let (what, hint) = if host.is_empty() && path == "/" {
                    let what = format!(
                        "both `{}` and `{}` take every request that no other app has named",
                        other.name, app.name
                    );
                    (what, "give one of them `hosts` or `paths`, or write public = false")
                } else {
                    let host = if host.is_empty() { "any host" } else { host };
                    (
                        format!("`{}` takes requests for {host} and {path} already", other.name),
                        "one app takes a request",
                    )
                };
                let key = if app.paths.is_empty() { "hosts" } else { "paths" };
                wrong(if app.is_default() { "" } else { key }, what, hint);
                break;
            }
            routes.insert(route, app);
        }
    }
}

impl App {
    /// Hosts and path prefixes, every one with every one. An empty host is any, and `/` is any path.
    pub fn routes(&self) -> Vec<(String, String)> {
        if !self.public {
            return Vec::new();
        }
        let or = |said: &[String], any: &str| if said.is_empty() { vec![any.to_owned()] } else { said.to_vec() };
        let trimmed = |path: &String| match path.trim_end_matches('/') {
            "" => "/".to_owned(),
            path => path.to_owned(),
        };
        let paths: Vec<String> = or(&self.paths, "/").iter().map(trimmed).collect();
        let hosts = or(&self.hosts, "").into_iter().map(|host| host.trim_end_matches('.').to_ascii_lowercase());
        hosts.flat_map(|host| paths.iter().map(move |path| (host.clone(), path.clone())).collect::<Vec<_>>()).collect()
    }
}

/// A host as in a request's `Host`, without port; `*.` before it stands for one label.
fn check_host(host: &str) -> Result<(), &'static str> {
    let name = host.strip_prefix("*.").unwrap_or(host);
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.contains(':') {
        return Err("has a port; hosts are said without");
    }
    if name.ends_with(".internal") {
        return Err("is an internal name; that is what `internal` says");
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > 253 || !name.split('.').all(is_label) {
        return Err("is not a host");
    }
    Ok(())
}
