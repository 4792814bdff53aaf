//! From what an app file says to what the gateway is told. Pure, but for the fallback's file.

use std::{collections::HashSet, path::Path, sync::Arc};

use app_config::{App, Policy, Protect};
use gateway::{AppConfig, AppLimits, Fallback, HashOn, Protocol, Route, Sticky};
use traffic::{BoundedLoad, Budget, Ejection, InFlight, PoolConfig, SlowStart, StickyKey};

use super::Published;

/// A fallback is held in memory.
const FALLBACK_MOST: u64 = 1 << 20;

/// What the gateway is told of an app. `secret` signs the cookies of all apps.
pub(super) fn app(published: &Published, secret: &[u8]) -> AppConfig {
    let app = &published.config;
    AppConfig {
        routes: routes(app),
        default: app.is_default(),
        internal: (!app.internal.is_empty()).then(|| format!("{}.internal", app.internal)),
        protocol: match app.protocol {
            app_config::Protocol::Http1 => Protocol::Http1,
            app_config::Protocol::H2c => Protocol::H2c,
        },
        pool: pool(app),
        hash_on: hash_on(&app.balance.hash),
        sticky: (app.balance.sticky == app_config::Sticky::Cookie).then(|| Sticky {
            cookie: Sticky::COOKIE.to_owned(),
            key: StickyKey::new(secret, &app.name),
            secure: false,
        }),
        limits: AppLimits {
            request_timeout: app.protect.request_timeout,
            max_body_bytes: app.protect.max_body,
            drain_timeout: app.drain_timeout,
            ..AppLimits::default()
        },
        fallback: app.protect.fallback.as_deref().and_then(|file| fallback(&app.cwd.join(file))),
        ..AppConfig::new(&app.name, published.workers.clone())
    }
}

/// No route, no internal name and no default twice: while a reload puts one app in another one's place both are listed, and the
/// first one, which has them already, keeps them until it goes.
pub(super) fn each_once(mut apps: Vec<AppConfig>) -> Vec<AppConfig> {
    let (mut routes, mut names, mut default) = (HashSet::new(), HashSet::new(), false);
    for app in &mut apps {
        app.routes.retain(|route| routes.insert((route.host.clone(), route.path.clone())));
        app.internal.take_if(|name| !names.insert(name.clone()));
        app.default &= !default;
        default |= app.default;
    }
    apps
}

/// Every path of every host; of an app that nobody reaches from outside, none.
fn routes(app: &App) -> Vec<Route> {
    if !app.public || app.is_default() {
        return Vec::new();
    }
    let hosts: Vec<Option<String>> = match app.hosts.as_slice() {
        [] => vec![None],
        hosts => hosts.iter().cloned().map(Some).collect(),
    };
    let every = ["/".to_owned()];
    let paths = if app.paths.is_empty() { &every[..] } else { &app.paths };
    let below = |host: Option<String>| paths.iter().map(move |path| Route { host: host.clone(), path: path.clone() });
    hosts.into_iter().flat_map(below).collect()
}

fn hash_on(word: &str) -> HashOn {
    let (kind, name) = word.split_once(':').unwrap_or((word, ""));
    match (kind, name, name.parse()) {
        ("path", ..) => HashOn::Path,
        ("cookie", name, _) => HashOn::Cookie(name.to_owned()),
        ("header", _, Ok(name)) => HashOn::Header(name),
        // What else there is was refused when the file was read.
        _ => HashOn::Address,
    }
}

fn pool(app: &App) -> PoolConfig {
    let App { balance, protect, .. } = app;
    PoolConfig {
        policy: match balance.policy {
            Policy::Ewma => traffic::Policy::Ewma,
            Policy::RoundRobin => traffic::Policy::RoundRobin,
            Policy::LeastConnections => traffic::Policy::LeastConnections,
            Policy::IpHash => traffic::Policy::IpHash,
            Policy::Rendezvous => traffic::Policy::Rendezvous,
        },
        slow_start: SlowStart { window: balance.slow_start },
        ejection: ejection(protect),
        budget: Budget {
            ratio: share(protect.retry_budget_permille),
            min_per_sec: protect.retry_floor.into(),
            ..Budget::default()
        },
        in_flight: InFlight {
            per_member: protect.max_in_flight.map(bounded),
            total: protect.max_in_flight_total.map(bounded),
        },
        bounded_load: BoundedLoad { factor: share(balance.hash_bound_permille) },
        ..PoolConfig::default()
    }
}

fn ejection(protect: &Protect) -> Ejection {
    Ejection {
        enabled: protect.breaker,
        consecutive_broken: protect.breaker_failures.into(),
        open: protect.breaker_open,
        open_max: protect.breaker_open_max,
        panic: share(protect.panic_permille),
        ..Ejection::default()
    }
}

fn share(permille: u32) -> f64 {
    f64::from(permille) / 1000.0
}

fn bounded(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// What is sent where no worker can answer. Without its file it is the gateway's own words: an app does not stand still for that.
fn fallback(file: &Path) -> Option<Fallback> {
    let read = || -> std::io::Result<Vec<u8>> {
        let length = std::fs::metadata(file)?.len();
        if length > FALLBACK_MOST {
            return Err(std::io::Error::other(format!("it has {length} bytes; {FALLBACK_MOST} are possible")));
        }
        std::fs::read(file)
    };
    let body = match read() {
        Ok(body) => body,
        Err(error) => {
            tracing::warn!(file = %file.display(), "the fallback cannot be read: {error}; users get the gateway's own words");
            return None;
        }
    };
    let content_type = match file.extension().and_then(|ending| ending.to_str()) {
        Some("html" | "htm") => "text/html; charset=utf-8",
        Some("json") => "application/json",
        _ => "text/plain; charset=utf-8",
    };
    Some(Fallback {
        status: http::StatusCode::SERVICE_UNAVAILABLE,
        content_type: content_type.to_owned(),
        body: body.into(),
    })
}

/// The secret that signs sticky cookies: made once, kept in a file that only the region reads. A new one costs every user its
/// place once, and nothing else.
pub(crate) fn secret(file: &Path) -> std::io::Result<Arc<[u8]>> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    const BYTES: usize = 32;
    match std::fs::read(file) {
        Ok(kept) if kept.len() == BYTES => return Ok(kept.into()),
        Ok(_) => std::fs::remove_file(file)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut made = [0; BYTES];
    std::io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut made)?;
    let mut kept = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    kept.write_all(&made)?;
    kept.sync_all()?;
    Ok(Arc::from(made.as_slice()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::watch;

    use super::*;

    fn told(change: impl FnOnce(&mut App)) -> AppConfig {
        let mut config = App { name: "shop".into(), command: vec!["true".into()], ..App::default() };
        change(&mut config);
        let workers = watch::channel(Arc::from([])).1;
        app(&Published { config: Arc::new(config), workers }, b"secret")
    }

    fn routes_of(change: impl FnOnce(&mut App)) -> (Vec<String>, bool) {
        let told = told(change);
        let text = |route: &Route| format!("{}{}", route.host.as_deref().unwrap_or("*"), route.path);
        (told.routes.iter().map(text).collect(), told.default)
    }

    #[test]
    fn an_app_has_every_path_of_every_host() {
        assert_eq!(routes_of(|_| {}), (vec![], true));
        assert_eq!(routes_of(|app| app.hosts = vec!["a.test".into()]), (vec!["a.test/".into()], false));
        assert_eq!(routes_of(|app| app.paths = vec!["/api".into()]), (vec!["*/api".into()], false));
        let (both, _) = routes_of(|app| {
            app.hosts = vec!["a.test".into(), "b.test".into()];
            app.paths = vec!["/x".into(), "/y".into()];
        });
        assert_eq!(both, ["a.test/x", "a.test/y", "b.test/x", "b.test/y"]);
        assert_eq!(routes_of(|app| app.public = false), (vec![], false), "nobody reaches it from outside");
    }

    #[test]
    fn what_two_apps_claim_the_first_one_has() {
        let app = |name: &str, hosts: &[&str]| AppConfig {
            name: name.into(),
            internal: Some("x.internal".into()),
            ..told(|app| app.hosts = hosts.iter().map(|host| (*host).to_owned()).collect())
        };
        let left =
            each_once(vec![app("a", &["a.test"]), app("b", &["a.test", "b.test"]), app("c", &[]), app("d", &[])]);
        let seen: Vec<(usize, bool, bool)> =
            left.iter().map(|app| (app.routes.len(), app.default, app.internal.is_some())).collect();
        assert_eq!(seen, [(1, false, true), (1, false, false), (0, true, false), (0, false, false)]);
    }

    #[test]
    fn balance_and_protection_are_what_the_file_says() {
        let usual = told(|_| {});
        assert_eq!(usual.pool, PoolConfig::default(), "both sides have the same defaults");
        assert!(usual.internal.is_none() && usual.sticky.is_none() && usual.hash_on == HashOn::Address);
        let told = told(|app| {
            app.internal = "orders".into();
            app.balance.policy = Policy::Rendezvous;
            app.balance.sticky = app_config::Sticky::Cookie;
            app.balance.hash = "header:x-user".into();
            app.balance.hash_bound_permille = 1500;
            app.protect.retry_budget_permille = 100;
            app.protect.breaker = false;
            app.protect.max_in_flight = Some(5);
            app.protect.request_timeout = Duration::from_secs(3);
            app.protect.fallback = Some("/does/not/exist".into());
        });
        assert_eq!(told.internal.as_deref(), Some("orders.internal"));
        assert_eq!((told.pool.policy, told.pool.bounded_load.factor), (traffic::Policy::Rendezvous, 1.5));
        assert_eq!((told.pool.budget.ratio, told.pool.ejection.enabled), (0.1, false));
        assert_eq!(told.pool.in_flight.per_member, Some(5));
        assert_eq!(told.limits.request_timeout, Duration::from_secs(3));
        assert!(told.hash_on == HashOn::Header("x-user".parse().unwrap()) && told.fallback.is_none());
        assert!(hash_on("path") == HashOn::Path && hash_on("cookie:sid") == HashOn::Cookie("sid".into()));
        let value = told.sticky.unwrap().key.encode(3);
        assert_eq!(StickyKey::new(b"secret", "shop").decode(&value), Some(3));
        assert_eq!(StickyKey::new(b"secret", "other").decode(&value), None);
    }

    #[test]
    fn the_secret_is_made_once() {
        use std::os::unix::fs::PermissionsExt;
        let file = std::env::temp_dir().join(format!("atoll-sticky-{}", std::process::id()));
        let made = secret(&file).unwrap();
        assert_eq!(secret(&file).unwrap(), made);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&file, "damaged").unwrap();
        let other = secret(&file).unwrap();
        assert!(other.len() == 32 && other != made);
        std::fs::remove_file(&file).unwrap();
    }
}
