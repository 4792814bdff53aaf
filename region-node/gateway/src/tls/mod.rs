//! TLS for users: certificates by name, read again when their files change.
//!
//! ```text
//! files ── read, parsed, key fits ──▸ Served (table of names, TLS configuration) ── swapped whole ──▸ next handshake
//!            broken: the old one stays, file and reason in log and metrics
//! ```
//!
//! TLS 1.2 and 1.3, ALPN `h2` and `http/1.1`, tickets (their keys outlive a reload, so clients resume across it). A certificate is
//! chosen by SNI: an exact name first, then a wildcard, else the first certificate.

mod pair;
mod validity;

use std::{
    collections::HashMap,
    fmt::Write as _,
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use rustls::{
    ProtocolVersion, ServerConfig,
    crypto::ring::{Ticketer, default_provider},
    server::{ClientHello, ProducesTickets, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use pair::Pair;

/// HTTPS on an address of its own.
#[derive(Debug, Clone)]
pub struct TlsConfig {
    /// Where users connect.
    pub listen: SocketAddr,
    /// Certificates; the first one serves names that none is for. Must not be empty.
    pub certificates: Vec<CertificateFiles>,
    /// Whether plain HTTP is answered with a redirect (308) to here. `/healthz` and `/readyz` are not.
    pub redirect: bool,
    /// How often the files are looked at.
    pub reload_every: Duration,
}

impl TlsConfig {
    /// Looks at files every 5 s, redirects nobody.
    pub fn new(listen: SocketAddr, certificates: Vec<CertificateFiles>) -> Self {
        Self { listen, certificates, redirect: false, reload_every: Duration::from_secs(5) }
    }
}

/// A certificate and its key, as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, and behind it those that its signature leads to, but for the root.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the file {}: {reason}", file.display())]
pub struct CertificateError {
    /// Where.
    pub file: PathBuf,
    /// What, and what to do.
    pub reason: String,
}

/// What a look at all files found.
#[derive(Debug, Default)]
pub struct Reloaded {
    /// Certificates that were replaced.
    pub changed: usize,
    /// Those that stay as they were, as their files are broken.
    pub failed: Vec<CertificateError>,
}

/// The certificates of a gateway.
pub(crate) struct Certificates {
    files: Vec<CertificateFiles>,
    reload_every: Duration,
    served: ArcSwap<Served>,
    tickets: Arc<dyn ProducesTickets>,
    /// What the last look found, beside what is served; also keeps two looks apart.
    looked: Mutex<Looked>,
    reloads: AtomicU64,
    failures: AtomicU64,
}

struct Looked {
    pairs: Vec<Arc<Pair>>,
    /// Per certificate: why its files cannot be used, as it was told last.
    broken: Vec<Option<String>>,
}

struct Served {
    table: Arc<Table>,
    config: Arc<ServerConfig>,
}

/// Certificates by name.
#[derive(Debug)]
struct Table {
    pairs: Vec<Arc<Pair>>,
    /// Names in lower case; `*.` before a wildcard's.
    by_name: HashMap<String, usize>,
}

/// A handshake that succeeded.
pub(crate) struct Handshake {
    pub(crate) stream: TlsStream<TcpStream>,
    pub(crate) facts: TlsFacts,
}

/// What was agreed on.
pub(crate) struct TlsFacts {
    /// `TLSv1.2` or `TLSv1.3`.
    pub(crate) version: &'static str,
    /// The name that the client asked for.
    server_name: Option<String>,
    table: Arc<Table>,
}

impl TlsFacts {
    /// Whether a request for this host may come through this connection: it is the name that the client asked for, or another
    /// one of the same certificate. A client that asked for no name (it dialled an address) is not held to any.
    pub(crate) fn covers(&self, host: &str) -> bool {
        let Some(asked) = &self.server_name else { return true };
        let host = host.strip_suffix('.').unwrap_or(host);
        if host.is_empty() || asked.eq_ignore_ascii_case(host) {
            return true;
        }
        let shown = self.table.choose(Some(asked));
        self.table.exact_or_wildcard(host) == Some(shown) || self.table.pairs[shown].covers(&host.to_ascii_lowercase())
    }
}

impl Table {
    fn new(pairs: Vec<Arc<Pair>>) -> Self {
        let mut by_name = HashMap::new();
        for (at, pair) in pairs.iter().enumerate() {
            for name in &pair.names {
                by_name.entry(name.clone()).or_insert(at);
            }
        }
        Self { pairs, by_name }
    }

    fn exact_or_wildcard(&self, name: &str) -> Option<usize> {
        let name = name.to_ascii_lowercase();
        self.by_name.get(&name).or_else(|| self.by_name.get(&wildcard_for(&name)?)).copied()
    }

    fn choose(&self, name: Option<&str>) -> usize {
        name.and_then(|name| self.exact_or_wildcard(name)).unwrap_or(0)
    }
}

/// The wildcard that covers a name: it stands for one label, the leftmost (RFC 9525 6.3).
fn wildcard_for(name: &str) -> Option<String> {
    let (_, parent) = name.split_once('.')?;
    Some(format!("*.{parent}"))
}

impl ResolvesServerCert for Table {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.pairs.get(self.choose(hello.server_name()))?.certified))
    }
}

impl Certificates {
    /// Reads all files; the first fault is an error.
    pub(crate) fn load(config: &TlsConfig) -> Result<Self, CertificateError> {
        let pairs: Vec<Arc<Pair>> =
            config.certificates.iter().map(|files| Pair::read(files).map(Arc::new)).collect::<Result<_, _>>()?;
        let nowhere = |reason: String| CertificateError { file: PathBuf::new(), reason };
        if pairs.is_empty() {
            return Err(nowhere("TLS is asked for without a certificate; name one".to_owned()));
        }
        let tickets = Ticketer::new().map_err(|error| nowhere(format!("no keys for session tickets ({error})")))?;
        let served = serve(pairs.clone(), &tickets).map_err(|error| nowhere(error.to_string()))?;
        let broken = vec![None; pairs.len()];
        Ok(Self {
            files: config.certificates.clone(),
            reload_every: config.reload_every,
            served: ArcSwap::from_pointee(served),
            tickets,
            looked: Mutex::new(Looked { pairs, broken }),
            reloads: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        })
    }

    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<Handshake> {
        let served = self.served.load_full();
        let stream = TlsAcceptor::from(Arc::clone(&served.config)).accept(stream).await?;
        let (_, session) = stream.get_ref();
        let facts = TlsFacts {
            version: match session.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
                _ => "TLSv1.3",
            },
            server_name: session.server_name().map(str::to_owned),
            table: Arc::clone(&served.table),
        };
        Ok(Handshake { stream, facts })
    }

    /// Reads all files, and serves what changed and is sound. Blocks on the disk.
    fn look(&self) -> Reloaded {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let mut result = Reloaded::default();
        for (at, files) in self.files.iter().enumerate() {
            match Pair::read(files) {
                Ok(pair) => {
                    looked.broken[at] = None;
                    if pair.source != looked.pairs[at].source {
                        looked.pairs[at] = Arc::new(pair);
                        result.changed += 1;
                    }
                }
                Err(error) => {
                    let text = error.to_string();
                    if looked.broken[at].as_ref() != Some(&text) {
                        self.failures.fetch_add(1, Relaxed);
                        tracing::error!(%error, "a certificate cannot be used; the one before it is still served");
                        looked.broken[at] = Some(text);
                    }
                    result.failed.push(error);
                }
            }
        }
        if result.changed > 0 {
            match serve(looked.pairs.clone(), &self.tickets) {
                Ok(served) => {
                    self.served.store(Arc::new(served));
                    self.reloads.fetch_add(1, Relaxed);
                    tracing::info!(changed = result.changed, "certificates were read again");
                }
                Err(error) => tracing::error!(%error, "certificates cannot be served"),
            }
        }
        result
    }

    pub(crate) fn write_metrics(&self, text: &mut String) {
        let looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let each: Vec<(String, i64, bool)> = self
            .files
            .iter()
            .zip(&looked.pairs)
            .zip(&looked.broken)
            .map(|((files, pair), broken)| (label(files), pair.not_after, broken.is_some()))
            .collect();
        drop(looked);
        const EXPIRY: &str = "atoll_gateway_tls_certificate_expiry_seconds";
        let _ =
            writeln!(text, "# HELP {EXPIRY} When the served certificate expires, Unix time.\n# TYPE {EXPIRY} gauge");
        for (file, not_after, _) in &each {
            let _ = writeln!(text, "{EXPIRY}{{file=\"{file}\"}} {not_after}");
        }
        const BROKEN: &str = "atoll_gateway_tls_certificate_broken";
        let _ =
            writeln!(text, "# HELP {BROKEN} 1 if the files cannot be used, so that an older certificate is served.");
        let _ = writeln!(text, "# TYPE {BROKEN} gauge");
        for (file, _, broken) in &each {
            let _ = writeln!(text, "{BROKEN}{{file=\"{file}\"}} {}", u8::from(*broken));
        }
        for (name, help, count) in [
            ("tls_reloads_total", "Times that changed certificates were taken in.", self.reloads.load(Relaxed)),
            ("tls_reload_failures_total", "Times that changed files could not be used.", self.failures.load(Relaxed)),
        ] {
            let name = format!("atoll_gateway_{name}");
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {count}");
        }
    }
}

/// A path as a label's value.
fn label(files: &CertificateFiles) -> String {
    files.certificate.display().to_string().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn serve(pairs: Vec<Arc<Pair>>, tickets: &Arc<dyn ProducesTickets>) -> Result<Served, rustls::Error> {
    let table = Arc::new(Table::new(pairs));
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(&table) as Arc<dyn ResolvesServerCert>);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = Arc::clone(tickets);
    Ok(Served { table, config: Arc::new(config) })
}

/// Reads all files now.
pub(crate) async fn reload(certificates: Arc<Certificates>) -> Reloaded {
    tokio::task::spawn_blocking(move || certificates.look()).await.unwrap_or_default()
}

/// Looks at the files for ever.
pub(crate) async fn watch(certificates: Arc<Certificates>) {
    loop {
        tokio::time::sleep(certificates.reload_every).await;
        reload(Arc::clone(&certificates)).await;
    }
}
