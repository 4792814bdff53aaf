//! The `[gateway]` section of a region's configuration: everything about the gateway but where it listens and what is behind it.

use std::{
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use gateway::{AccessLogConfig, AccessLogTo, CertificateFiles, GatewayConfig, Limits, TlsConfig};
use model::{Network, RegionName};
use serde::{Deserialize, Serialize};

use super::config::default_log_bytes;

/// How the gateway serves. All of it is optional.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GatewayOptions {
    /// Where apps of this region call each other by their internal names, a loopback address; nowhere if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) internal: Option<SocketAddr>,
    /// Whether `X-Forwarded-*` and `X-Request-Id` of clients are believed: only behind a proxy that sets them itself.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) trust_forwarded: bool,
    /// Networks of balancers whose connections all begin with a PROXY header.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) proxy_protocol_from: Vec<Network>,
    /// HTTPS; plain HTTP only if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tls: Option<TlsOptions>,
    /// A line for each request; none if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) access_log: Option<AccessLogOptions>,
    /// Bounds.
    #[serde(default, skip_serializing_if = "LimitOptions::is_empty")]
    pub(crate) limits: LimitOptions,
}

/// HTTPS.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsOptions {
    /// Where users connect.
    pub(crate) listen: SocketAddr,
    /// Certificates, read again when their files change; the first one is for names that no other one has.
    pub(crate) certificates: Vec<Certificate>,
    /// Whether plain HTTP is sent on to here.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) redirect: bool,
}

/// A certificate and its key, PEM.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Certificate {
    /// The certificate and its chain.
    pub(crate) certificate: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
}

/// The access log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessLogOptions {
    /// The file; standard output if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<PathBuf>,
    /// One request in so many, chosen at random.
    #[serde(default = "one")]
    pub(crate) sample: NonZeroU32,
    /// Whether paths are told with their queries.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) query: bool,
    /// Size at which the file becomes `FILE.1` and a new one is begun, bytes.
    #[serde(default = "default_log_bytes")]
    pub(crate) max_bytes: u64,
}

/// Declares the bounds that a file may set, each with its place in [`Limits`].
macro_rules! limits {
    ($($(#[$doc:meta])* $key:ident: $kind:ty => $field:ident = |$value:ident| $to:expr,)+) => {
        /// Bounds of the gateway; what is left out has the default that `docs/gateway.md` tells.
        #[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct LimitOptions {
            $($(#[$doc])* #[serde(default, skip_serializing_if = "Option::is_none")] pub(crate) $key: Option<$kind>,)+
        }

        impl LimitOptions {
            fn limits(&self) -> Limits {
                let mut limits = Limits::default();
                $(if let Some($value) = self.$key.clone() { limits.$field = $to; })+
                limits
            }
        }
    };
}

limits! {
    /// Connections at a time.
    max_connections: NonZeroU32 => max_connections = |n| n.get(),
    /// Connections at a time of one IPv4 address or IPv6 /64.
    max_connections_per_client: NonZeroU32 => max_connections_per_client = |n| n.get(),
    /// Clients without that bound; this machine if left out.
    unbounded_clients: Vec<Network> => unbounded_clients = |networks| networks,
    /// HTTP/2 streams at a time in one connection.
    max_streams: NonZeroU32 => max_streams = |n| n.get(),
    /// A request's head must be complete so soon, milliseconds.
    header_timeout_ms: NonZeroU32 => header_timeout = |ms| millis(ms),
    /// A connection without a request is kept for so long, milliseconds.
    idle_timeout_ms: NonZeroU32 => idle_timeout = |ms| millis(ms),
    /// Bytes per second that a client must move; 0 for no bound.
    min_rate: u32 => min_rate = |rate| rate,
    /// Bytes of a request's head.
    max_head_bytes: NonZeroU32 => max_head_bytes = |n| n.get(),
    /// A streamed answer may pause for so long, milliseconds.
    body_idle_ms: NonZeroU32 => body_idle = |ms| millis(ms),
    /// A WebSocket may be without a byte either way for so long, milliseconds; 0 for ever.
    tunnel_idle_ms: u32 => tunnel_idle = |ms| NonZeroU32::new(ms).map(millis),
    /// A request waits so long for a worker to become ready, milliseconds.
    worker_wait_ms: NonZeroU32 => worker_wait = |ms| millis(ms),
    /// A request waits so long for the writes that its token names, milliseconds.
    token_wait_ms: NonZeroU32 => token_wait = |ms| millis(ms),
    /// An idle connection to a worker is used again for so long, milliseconds.
    pool_idle_ms: NonZeroU32 => pool_idle = |ms| millis(ms),
}

impl LimitOptions {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn millis(ms: NonZeroU32) -> Duration {
    Duration::from_millis(ms.get().into())
}

fn one() -> NonZeroU32 {
    NonZeroU32::MIN
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl GatewayOptions {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Makes relative paths relative to a directory.
    pub(crate) fn rebase(&mut self, base: &Path) {
        let certificates = self.tls.iter_mut().flat_map(|tls| &mut tls.certificates);
        let log = self.access_log.iter_mut().filter_map(|log| log.path.as_mut());
        for path in certificates.flat_map(|pair| [&mut pair.certificate, &mut pair.key]).chain(log) {
            *path = base.join(&*path);
        }
    }

    /// What the gateway is told.
    pub(crate) fn config(&self, listen: SocketAddr, region: RegionName) -> GatewayConfig {
        let pair =
            |pair: &Certificate| CertificateFiles { certificate: pair.certificate.clone(), key: pair.key.clone() };
        let tls = self.tls.as_ref().map(|tls| TlsConfig {
            redirect: tls.redirect,
            ..TlsConfig::new(tls.listen, tls.certificates.iter().map(pair).collect())
        });
        let access_log = self.access_log.as_ref().map(|log| {
            let file = |path: &PathBuf| AccessLogTo::File { path: path.clone(), max_bytes: log.max_bytes };
            AccessLogConfig {
                to: log.path.as_ref().map_or(AccessLogTo::Stdout, file),
                sample: log.sample,
                query: log.query,
            }
        });
        GatewayConfig {
            internal: self.internal,
            trust_forwarded: self.trust_forwarded,
            proxy_protocol_from: self.proxy_protocol_from.clone(),
            tls,
            access_log,
            limits: self.limits.limits(),
            ..GatewayConfig::new(listen, region, None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<GatewayOptions, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    fn config(text: &str) -> GatewayConfig {
        let listen = "127.0.0.1:80".parse().unwrap();
        let mut options = read(text).unwrap();
        options.rebase(Path::new("/etc/atoll"));
        options.config(listen, RegionName::new("eu").unwrap())
    }

    #[test]
    fn the_gateway_serves_as_the_configuration_says() {
        let all = config(
            r#"
            internal = "127.0.0.1:8081"
            trust_forwarded = true
            proxy_protocol_from = ["10.0.0.0/8"]
            [tls]
            listen = "0.0.0.0:443"
            certificates = [{ certificate = "shop.pem", key = "/keys/shop.key" }]
            redirect = true
            [access_log]
            path = "access.jsonl"
            sample = 10
            [limits]
            max_connections = 7
            idle_timeout_ms = 1500
            unbounded_clients = []
            "#,
        );
        let tls = all.tls.unwrap();
        assert_eq!((tls.listen.port(), tls.redirect), (443, true));
        assert_eq!(tls.certificates[0].certificate, Path::new("/etc/atoll/shop.pem"));
        assert_eq!(tls.certificates[0].key, Path::new("/keys/shop.key"));
        let log = all.access_log.unwrap();
        let to = AccessLogTo::File { path: "/etc/atoll/access.jsonl".into(), max_bytes: 64 << 20 };
        assert_eq!((log.to, log.sample.get(), log.query), (to, 10, false));
        assert_eq!((all.limits.max_connections, all.limits.idle_timeout.as_millis()), (7, 1500));
        assert!(all.limits.unbounded_clients.is_empty() && all.trust_forwarded);
        assert_eq!(all.proxy_protocol_from, ["10.0.0.0/8".parse().unwrap()]);
        assert_eq!(all.internal, Some("127.0.0.1:8081".parse().unwrap()));
    }

    #[test]
    fn a_websocket_may_be_silent_for_an_hour_for_so_long_or_for_ever() {
        for (text, expected) in [
            ("", Some(Duration::from_secs(3600))),
            ("[limits]\ntunnel_idle_ms = 90000", Some(Duration::from_secs(90))),
            ("[limits]\ntunnel_idle_ms = 0", None),
        ] {
            assert_eq!(config(text).limits.tunnel_idle, expected, "{text:?}");
        }
        assert!(read("[limits]\ntunnel_idle_ms = -1").is_err());
    }

    #[test]
    fn what_is_left_out_is_as_usual_and_what_is_wrong_is_named() {
        let usual = config("");
        assert!(usual.tls.is_none() && usual.access_log.is_none() && usual.internal.is_none());
        assert_eq!(usual.limits.max_connections, Limits::default().max_connections);
        for (text, why) in [
            ("[limits]\nmax_connections = 0", "nonzero"),
            ("[limits]\nmax_conections = 1", "unknown field `max_conections`"),
            ("proxy_protocol_from = [\"10.0.0.1/8\"]", "this may mean 10.0.0.0/8"),
            ("[tls]\nlisten = \"0.0.0.0:443\"", "missing field `certificates`"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
