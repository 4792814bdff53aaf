//! The configuration of one region, TOML: what `atoll region --config FILE` reads and `atoll up` writes.
//!
//! It says where this region listens and by which addresses it reaches the others. What the world *is* stands in the World, which
//! the plane replicates; the file named here only founds it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    num::{NonZeroU32, NonZeroUsize},
    path::{Path, PathBuf},
};

use anyhow::Context;
use dns_server::{DnsConfig, LogTo, Network, QueryLogConfig};
use model::RegionName;
use region_node::apps::Source;
use serde::{Deserialize, Serialize};

use super::gateway_options::GatewayOptions;
use crate::exit::Misuse;

/// Everything a region's process needs to start. Relative paths are relative to the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegionConfig {
    /// Which region of the World this is.
    pub(crate) region: RegionName,
    /// The World that founds a new plane; later Worlds come from the plane.
    pub(crate) world: PathBuf,
    /// Journal, raft log, last Plan.
    pub(crate) data: PathBuf,
    /// File with the hash of the admin token.
    pub(crate) admin_token_hash: PathBuf,
    /// Longest round trip to another region, milliseconds; raft's patience follows from it.
    #[serde(default = "default_round_trip_ms")]
    pub(crate) round_trip_ms: u64,
    /// Threads that serve; as many as the machine has cores if left out. DNS over UDP and the state's journal have their own.
    #[serde(default)]
    pub(crate) threads: Option<usize>,
    /// Memory that the state may take, in bytes; no limit if left out. Near it clients that would add are refused, and what
    /// other regions send is taken in all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_memory_bytes: Option<usize>,
    /// Certificates.
    pub(crate) pki: PkiFiles,
    /// Where this region listens.
    pub(crate) listen: Listen,
    /// How to reach the other regions. Every other region of the World has an entry.
    #[serde(default)]
    pub(crate) peers: BTreeMap<RegionName, Peer>,
    /// How the gateway serves. Where is said in [`Listen`].
    #[serde(default, skip_serializing_if = "GatewayOptions::is_empty")]
    pub(crate) gateway: GatewayOptions,
    /// How DNS is served.
    #[serde(default, skip_serializing_if = "DnsOptions::is_empty")]
    pub(crate) dns: DnsOptions,
    /// What probes of this region may use.
    #[serde(default, skip_serializing_if = "ChecksConfig::is_empty")]
    pub(crate) checks: ChecksConfig,
    /// Location files over the embedded country table, the last one on top: `NAME.mmdb` is a database in MaxMind's format, every
    /// other one a prefix file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) locations: Vec<PathBuf>,
    /// The file that says which apps run: our own TOML, or an ecosystem file of PM2's. It is read again on each reload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) apps: Option<PathBuf>,
    /// The app to run, where there is no such file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) app: Option<AppConfig>,
}

/// How DNS is served. Where is said in [`Listen`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DnsOptions {
    /// Threads for UDP, a socket each; as many as the machine has cores if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Networks that are told over DNS why an answer is what it is; this machine if left out, nobody if empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) explain_for: Option<Vec<Network>>,
    /// The log of queries; none if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) query_log: Option<QueryLogOptions>,
}

/// The log of DNS queries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueryLogOptions {
    /// The file; the region's own log if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<PathBuf>,
    /// One query in so many, chosen at random.
    pub(crate) sample: NonZeroU32,
    /// Size at which the file becomes `FILE.1` and a new one is begun, bytes.
    #[serde(default = "default_log_bytes")]
    pub(crate) max_bytes: u64,
}

pub(super) fn default_log_bytes() -> u64 {
    64 << 20
}

impl DnsOptions {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What the DNS server is told.
    pub(crate) fn config(&self, listen: SocketAddr) -> DnsConfig {
        let usual = DnsConfig::new(listen);
        let query_log = self.query_log.as_ref().map(|log| {
            let file = |path: &PathBuf| LogTo::File { path: path.clone(), max_bytes: log.max_bytes };
            QueryLogConfig { to: log.path.as_ref().map_or(LogTo::Tracing, file), sample: log.sample }
        });
        DnsConfig {
            threads: self.threads.unwrap_or(usual.threads),
            explain_for: self.explain_for.clone().unwrap_or(usual.explain_for),
            query_log,
            ..usual
        }
    }
}

/// What probes may use beyond a socket.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChecksConfig {
    /// Certificates (PEM) of those whose word https checks take; such checks fail without it. On Debian
    /// `/etc/ssl/certs/ca-certificates.crt` has the public ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trust: Option<PathBuf>,
    /// The directory of the programs of exec checks; such checks fail without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) programs: Option<PathBuf>,
}

impl ChecksConfig {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn default_round_trip_ms() -> u64 {
    150
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PkiFiles {
    pub(crate) ca: PathBuf,
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listen {
    pub(crate) gateway: SocketAddr,
    pub(crate) redis: SocketAddr,
    pub(crate) dns: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) link: SocketAddr,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Peer {
    pub(crate) gateway: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) link: SocketAddr,
}

/// How the one app of a region is run, said in the region's own configuration. An app file says more: `docs/app.md`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AppConfig {
    /// Its name, for logs.
    #[serde(default = "default_app_name")]
    pub(crate) name: String,
    /// Program and arguments. It gets PORT, HOST, REDIS_URL, REGION and listens there.
    pub(crate) command: Vec<String>,
    /// How many workers.
    #[serde(default = "default_instances")]
    pub(crate) instances: usize,
    /// More environment.
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    /// Working directory.
    #[serde(default)]
    pub(crate) cwd: Option<PathBuf>,
    /// Path that answers 2xx when a worker is ready.
    #[serde(default = "default_health")]
    pub(crate) health: String,
}

fn default_app_name() -> String {
    "app".into()
}
fn default_instances() -> usize {
    1
}
fn default_health() -> String {
    "/healthz".into()
}

impl RegionConfig {
    /// Reads a file; its relative paths become relative to the working directory.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let mut config: Self = parse_toml(file)?;
        let base = file.parent().unwrap_or(Path::new(".")).to_owned();
        let files = [
            &mut config.world,
            &mut config.data,
            &mut config.admin_token_hash,
            &mut config.pki.ca,
            &mut config.pki.cert,
            &mut config.pki.key,
        ];
        let checks = [&mut config.checks.trust, &mut config.checks.programs];
        let log = config.dns.query_log.as_mut().and_then(|log| log.path.as_mut());
        for path in files.into_iter().chain(checks.into_iter().flatten()).chain(log).chain(&mut config.locations) {
            *path = base.join(&*path);
        }
        config.gateway.rebase(&base);
        if let Some(apps) = &mut config.apps {
            *apps = base.join(&*apps);
        }
        if config.apps.is_some() && config.app.is_some() {
            let what = "has both `apps` and [app]; a file says all apps, or [app] says the only one";
            return Err(Misuse(format!("{}: {what}", file.display())).into());
        }
        Ok(config)
    }

    /// Where the apps of this region are said. None: it keeps state only.
    pub(crate) fn apps(&self) -> anyhow::Result<Option<Source>> {
        match (&self.apps, &self.app) {
            (Some(path), _) => Ok(Some(Source::File { path: path.clone(), env: None })),
            (None, Some(app)) => Ok(Some(Source::Inline(Box::new(app.checked(&self.region)?)))),
            (None, None) => Ok(None),
        }
    }
}

impl AppConfig {
    /// The same as app files say it, checked like them. A relative `cwd` is that of the region's process.
    fn checked(&self, region: &RegionName) -> anyhow::Result<app_config::App> {
        let here = std::env::current_dir().context("the working directory")?;
        let instances = u16::try_from(self.instances).unwrap_or(u16::MAX);
        let app = app_config::App {
            name: self.name.clone(),
            internal: self.name.clone(),
            command: self.command.clone(),
            instances: app_config::Instances::Count(instances),
            env: self.env.clone(),
            cwd: self.cwd.clone().unwrap_or_default(),
            health: self.health.clone(),
            ..app_config::App::default()
        };
        let of_what = format!("[app] of region {region}");
        app_config::check_one(app, &here, &of_what, &app_config::Options::default())
            .map_err(|problems| Misuse(problems.to_string()).into())
    }
}

/// Reads a TOML file into `T`; the error names file, line and key.
fn parse_toml<T: serde::de::DeserializeOwned>(file: &Path) -> anyhow::Result<T> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Misuse(format!("{}: cannot be read: {error}", file.display())))?;
    toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
        Misuse(format!("{}:{line}: {}", file.display(), error.message())).into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apps_are_in_a_file_or_inline_and_checked_either_way() {
        let text = |more: &str| {
            format!(
                "region = \"eu\"\nworld = \"w\"\ndata = \"d\"\nadmin_token_hash = \"h\"\n{more}\n[pki]\nca = \"c\"\ncert = \"c\"\nkey = \"k\"\n[listen]\n\
                 gateway = \"127.0.0.1:1\"\nredis = \"127.0.0.1:2\"\ndns = \"127.0.0.1:3\"\nadmin = \"127.0.0.1:4\"\nlink = \"127.0.0.1:5\"\n"
            )
        };
        let dir = std::env::temp_dir().join(format!("atoll-region-config-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join("region.toml");
        let read = |more: &str, below: &str| {
            std::fs::write(&file, text(more) + below).unwrap();
            RegionConfig::read(&file).and_then(|config| config.apps()).map_err(|error| error.to_string())
        };
        let of_file = read("apps = \"app.toml\"", "");
        assert!(
            matches!(&of_file, Ok(Some(Source::File { path, env: None })) if *path == dir.join("app.toml")),
            "{of_file:?}"
        );
        let inline = read("", "[app]\ncommand = [\"true\"]\nhealth = \"/up\"\n");
        assert!(
            matches!(&inline, Ok(Some(Source::Inline(app))) if app.health == "/up" && app.name == "app"),
            "{inline:?}"
        );
        assert!(matches!(read("", ""), Ok(None)));
        for (more, below, why) in [
            ("apps = \"a.toml\"", "[app]\ncommand = [\"true\"]\n", "has both `apps` and [app]"),
            ("", "[app]\ncommand = []\n", "`command` is empty"),
            ("", "[app]\ncommand = [\"true\"]\ninstances = 0\n", "instances"),
            ("", "[app]\ncommand = [\"true\"]\ninstanses = 2\n", "unknown field `instanses`"),
        ] {
            let error = read(more, below).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn dns_is_served_as_the_configuration_says() {
        let listen = "127.0.0.1:53".parse().unwrap();
        let read = |text: &str| toml::from_str::<DnsOptions>(text).map_err(|error| error.message().to_owned());
        let config = read(
            "threads = 3\nexplain_for = [\"192.0.2.0/24\"]\n[query_log]\npath = \"q.jsonl\"\nsample = 100\nmax_bytes = 5000",
        )
        .unwrap()
        .config(listen);
        assert_eq!((config.listen, config.threads.get()), (listen, 3));
        assert_eq!(config.explain_for, ["192.0.2.0/24".parse().unwrap()]);
        let to = LogTo::File { path: "q.jsonl".into(), max_bytes: 5000 };
        assert_eq!(config.query_log, Some(QueryLogConfig { to, sample: NonZeroU32::new(100).unwrap() }));

        let usual = read("").unwrap().config(listen);
        assert_eq!((usual.explain_for, usual.query_log), (Network::LOOPBACK.to_vec(), None));
        let log = read("explain_for = []\n[query_log]\nsample = 1").unwrap().config(listen);
        assert!(log.explain_for.is_empty() && log.query_log.unwrap().to == LogTo::Tracing);
        for (text, why) in [
            ("threads = 0", "nonzero"),
            ("explain_for = [\"192.0.2.1/24\"]", "this may mean 192.0.2.0/24"),
            ("[query_log]\nsample = 0", "nonzero"),
            ("thread = 1", "unknown field `thread`"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
