//! Which app a request is for.
//!
//! In: the apps' routes; then a host and a path. Out: the number of an app. The most particular host wins, then the longest path;
//! what no route takes is the default app's. Names for internal calls are looked at first, and only where the call came from inside.

use std::collections::{BTreeSet, HashMap};

use crate::app::{AppConfig, Route};

/// Why a list of apps cannot be used. Nothing of it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppsError {
    /// Two apps of one name.
    #[error("there are two apps named {0}; give one of them another name")]
    Name(String),
    /// Two apps that take what no route takes.
    #[error("apps {0} and {1} both take what no route takes; only one can be the default")]
    Default(String, String),
    /// Two apps for the same requests.
    #[error("apps {0} and {1} both want {2}; take the route away from one of them")]
    Route(String, String, String),
    /// A host that is none.
    #[error("app {app}: {host:?} is no host; write shop.test, or *.shop.test for every name below it, without a port")]
    Host {
        /// The app.
        app: String,
        /// What was written.
        host: String,
    },
    /// A path that is none.
    #[error("app {app}: {path:?} is no path; begin it with / and leave out //, . and ..")]
    Path {
        /// The app.
        app: String,
        /// What was written.
        path: String,
    },
}

/// The routes of all apps, compiled.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    internal: HashMap<String, usize>,
    exact: HashMap<String, Vec<Below>>,
    /// By suffix with its dot, the longest first.
    wild: Vec<(String, Vec<Below>)>,
    any: Vec<Below>,
    default: Option<usize>,
    /// Some route asks for more than `/`.
    by_path: bool,
}

/// What is below a path is for an app; the longest path first.
#[derive(Debug)]
struct Below {
    path: String,
    app: usize,
}

impl Routes {
    pub(crate) fn compile(apps: &[AppConfig]) -> Result<Self, AppsError> {
        let mut routes = Self::default();
        let mut taken: HashMap<String, usize> = HashMap::new();
        let mut names = BTreeSet::new();
        let name = |index: usize| apps[index].name.to_string();
        for (index, app) in apps.iter().enumerate() {
            if !names.insert(&*app.name) {
                return Err(AppsError::Name(name(index)));
            }
            if app.default
                && let Some(other) = routes.default.replace(index)
            {
                return Err(AppsError::Default(name(other), name(index)));
            }
            for route in &app.routes {
                let (key, below) = routes.add(&app.name, index, route)?;
                let what = format!("{key}{below}");
                if let Some(other) = taken.insert(what.clone(), index) {
                    return Err(AppsError::Route(name(other), name(index), what));
                }
            }
            if let Some(internal) = &app.internal {
                let host = plain_host(&app.name, internal)?;
                if let Some(other) = routes.internal.insert(host.clone(), index) {
                    return Err(AppsError::Route(name(other), name(index), host));
                }
            }
        }
        let longest_first = |paths: &mut Vec<Below>| paths.sort_by_key(|below| std::cmp::Reverse(below.path.len()));
        routes.exact.values_mut().for_each(longest_first);
        routes.wild.iter_mut().for_each(|(_, paths)| longest_first(paths));
        longest_first(&mut routes.any);
        routes.wild.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        Ok(routes)
    }

    fn add(&mut self, name: &str, app: usize, route: &Route) -> Result<(String, String), AppsError> {
        let path = route.path.trim_end_matches('/').to_owned();
        let sound =
            route.path.starts_with('/') && !path.contains("//") && !has_dots(&path) && !path.contains(['?', '#']);
        if !sound {
            return Err(AppsError::Path { app: name.to_owned(), path: route.path.clone() });
        }
        self.by_path |= !path.is_empty();
        let below = Below { path: path.clone(), app };
        let key = match &route.host {
            None => {
                self.any.push(below);
                String::new()
            }
            Some(host) => match host.strip_prefix('*') {
                Some(suffix) if suffix.starts_with('.') => {
                    let suffix = format!(".{}", plain_host(name, &suffix[1..])?);
                    match self.wild.iter_mut().find(|(known, _)| *known == suffix) {
                        Some((_, paths)) => paths.push(below),
                        None => self.wild.push((suffix.clone(), vec![below])),
                    }
                    format!("*{suffix}")
                }
                _ => {
                    let host = plain_host(name, host)?;
                    self.exact.entry(host.clone()).or_default().push(below);
                    host
                }
            },
        };
        Ok((key, if path.is_empty() { "/".to_owned() } else { path }))
    }

    /// The app for a request for `host` (without a port) and `path`; `internal` says that it came through the internal listener.
    pub(crate) fn find(&self, host: Option<&str>, path: &str, internal: bool) -> Option<usize> {
        if self.exact.is_empty() && self.wild.is_empty() && !internal {
            return within(&self.any, path).or(self.default);
        }
        let host = host.map(|host| host.strip_suffix('.').unwrap_or(host));
        let lower = host.filter(|host| host.bytes().any(|byte| byte.is_ascii_uppercase())).map(str::to_ascii_lowercase);
        let host = lower.as_deref().or(host);
        if let Some(host) = host {
            if internal && let Some(app) = self.internal.get(host) {
                return Some(*app);
            }
            if let Some(app) = self.exact.get(host).and_then(|paths| within(paths, path)) {
                return Some(app);
            }
            for (suffix, paths) in &self.wild {
                if host.len() > suffix.len()
                    && host.ends_with(suffix.as_str())
                    && let Some(app) = within(paths, path)
                {
                    return Some(app);
                }
            }
        }
        within(&self.any, path).or(self.default)
    }

    /// Whether a path decides anything, so that it must mean the same here and at the worker.
    pub(crate) fn by_path(&self) -> bool {
        self.by_path
    }
}

fn within(paths: &[Below], path: &str) -> Option<usize> {
    let covers = |below: &&Below| match path.strip_prefix(below.path.as_str()) {
        Some(rest) => rest.is_empty() || rest.starts_with('/'),
        None => false,
    };
    paths.iter().find(covers).map(|below| below.app)
}

fn plain_host(app: &str, host: &str) -> Result<String, AppsError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let address =
        host.starts_with('[') && host.ends_with(']') && host[1..host.len() - 1].parse::<std::net::Ipv6Addr>().is_ok();
    let name = (1..=253).contains(&host.len())
        && host.bytes().all(allowed)
        && host.split('.').all(|label| (1..=63).contains(&label.len()));
    if name || address {
        Ok(host.to_ascii_lowercase())
    } else {
        Err(AppsError::Host { app: app.to_owned(), host: host.to_owned() })
    }
}

/// Whether a path has segments that mean another place, plain or encoded: what the gateway takes for one app's, the worker would
/// take for something else.
pub(crate) fn has_dots(path: &str) -> bool {
    let is_dot = |segment: &str| {
        let plain = segment.replace("%2e", ".").replace("%2E", ".");
        plain == "." || plain == ".."
    };
    let may_have = path.contains('.') || path.contains("%2");
    may_have && path.split(['/', '\\']).any(is_dot)
}

/// A host without its port: `shop.test:8080`, `[::1]:8080`, `[::1]`.
pub(crate) fn without_port(host: &str) -> &str {
    match host.rfind(':') {
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// `name: route route …`; a route is `host/path`, `*` for the default, `@host` for an internal name.
    fn apps(text: &str) -> Vec<AppConfig> {
        let app = |line: &str| {
            let (name, routes) = line.split_once(':').unwrap();
            let workers = tokio::sync::watch::channel(Arc::from([])).1;
            let mut app = AppConfig { default: false, ..AppConfig::new(name.trim(), workers) };
            for route in routes.split_whitespace() {
                match (route, route.strip_prefix('@')) {
                    ("*", _) => app.default = true,
                    (_, Some(internal)) => app.internal = Some(internal.to_owned()),
                    _ => {
                        let (host, path) = route.split_once('/').unwrap();
                        let host = (!host.is_empty()).then(|| host.to_owned());
                        app.routes.push(Route { host, path: format!("/{path}") });
                    }
                }
            }
            app
        };
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(app).collect()
    }

    const SHOP: &str = "
        web: shop.test/ www.shop.test/
        api: shop.test/api *.api.shop.test/
        old: shop.test/api/v1
        tenants: *.shop.test/
        admin: *.shop.test/admin /metrics
        orders: @orders.internal
        rest: *
    ";

    #[test]
    fn the_most_particular_route_wins() {
        let apps = apps(SHOP);
        let routes = Routes::compile(&apps).unwrap();
        for (host, path, expected) in [
            ("shop.test", "/", "web"),
            ("SHOP.test", "/cart", "web"),
            ("shop.test.", "/cart", "web"),
            ("shop.test", "/api", "api"),
            ("shop.test", "/api/", "api"),
            ("shop.test", "/api/v2/x", "api"),
            ("shop.test", "/apis", "web"),
            ("shop.test", "/api/v1", "old"),
            ("shop.test", "/api/v1/users", "old"),
            ("shop.test", "/api/v10", "api"),
            ("shop.test", "/API", "web"),
            ("www.shop.test", "/api", "web"),
            ("acme.shop.test", "/", "tenants"),
            ("a.b.shop.test", "/", "tenants"),
            ("acme.shop.test", "/admin/users", "admin"),
            ("eu.api.shop.test", "/", "api"),
            ("api.shop.test", "/", "tenants"),
            ("notshop.test", "/", "rest"),
            ("notshop.test", "/metrics", "admin"),
            ("shop.test", "/metrics", "web"),
            ("orders.internal", "/", "rest"),
            ("", "/", "rest"),
        ] {
            let found = routes.find(Some(host), path, false).map(|index| &*apps[index].name);
            assert_eq!(found, Some(expected), "{host}{path}");
        }
        let found = |host, internal| routes.find(Some(host), "/", internal).map(|index| &*apps[index].name);
        assert_eq!(found("orders.internal", true), Some("orders"));
        assert_eq!(found("Orders.Internal", true), Some("orders"));
        assert_eq!(found("shop.test", true), Some("web"));
        assert!(routes.by_path());
    }

    #[test]
    fn without_a_default_the_unknown_is_unknown() {
        let apps = apps("web: shop.test/\n orders: @orders.internal");
        let routes = Routes::compile(&apps).unwrap();
        assert_eq!(routes.find(Some("shop.test"), "/", false), Some(0));
        assert_eq!(routes.find(Some("blog.test"), "/", false), None);
        assert_eq!(routes.find(None, "/", false), None);
        assert_eq!(routes.find(Some("orders.internal"), "/", false), None);
        assert_eq!(routes.find(Some("orders.internal"), "/", true), Some(1));
        assert!(!routes.by_path());
    }

    fn check_error(text: &str, expected: &str) {
        assert_eq!(Routes::compile(&apps(text)).unwrap_err().to_string(), expected, "{text}");
    }

    #[test]
    fn a_list_that_contradicts_itself_is_refused() {
        check_error("a: x/\na: y/", "there are two apps named a; give one of them another name");
        check_error("a: *\nb: *", "apps a and b both take what no route takes; only one can be the default");
        check_error("a: X.test/\nb: x.test/", "apps a and b both want x.test/; take the route away from one of them");
        check_error("a: x/api\nb: x/api/", "apps a and b both want x/api; take the route away from one of them");
        check_error(
            "a: @o.internal\nb: @o.internal",
            "apps a and b both want o.internal; take the route away from one of them",
        );
        for host in ["*", "*x", "a..b", "a:80", "-*.x", "ä.test", "a.*.b"] {
            assert!(matches!(Routes::compile(&apps(&format!("a: {host}/"))), Err(AppsError::Host { .. })), "{host}");
        }
        for path in ["a/../b", "a//b", "a/./b", "a?b"] {
            assert!(matches!(Routes::compile(&apps(&format!("a: x/{path}"))), Err(AppsError::Path { .. })), "{path}");
        }
    }

    #[test]
    fn paths_that_mean_another_place_are_seen() {
        for path in ["/a/../b", "/..", "/a/%2e%2E/b", "/a/.%2e", "/./a", "/a/..\\b", "/a\\..\\b"] {
            assert!(has_dots(path), "{path}");
        }
        for path in ["/", "/a.b", "/...", "/.well-known/x", "/a..b", "/%2f", "/a/b%2e"] {
            assert!(!has_dots(path), "{path}");
        }
    }

    #[test]
    fn ports_are_left_out() {
        for (host, expected) in [("a", "a"), ("a:80", "a"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]"), ("", "")] {
            assert_eq!(without_port(host), expected);
        }
    }
}
