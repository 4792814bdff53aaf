//! What all connections of a gateway share before a request is read: who may connect, certificates, the access log, counters.

use std::{
    collections::HashMap,
    fmt::Write as _,
    io,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tokio::sync::Notify;

use crate::{
    access_log::AccessLog,
    config::{GatewayConfig, Limits},
    network::Network,
    tls::Certificates,
};

/// Why the gateway ended a connection that its client would have kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// No PROXY header in time, or none at all, from a network that must send one.
    ProxyHeader,
    /// No TLS handshake in time, or one that failed.
    Handshake,
    /// No request, or only a piece of its head, in time.
    Head,
    /// No further request for the idle time.
    Idle,
    /// Idle, and its place was needed.
    Pressure,
    /// The client takes what it is sent slower than allowed.
    SlowReader,
    /// HTTP/2: the client leaves no window for its answers.
    Stalled,
    /// HTTP/1: bytes that could be read in two ways.
    Malformed,
    /// HTTP/2: frames that ask for work and give none.
    Flood,
    /// Too many connections of one client.
    ClientLimit,
}

impl Cut {
    const ALL: [(Self, &str); 10] = [
        (Self::ProxyHeader, "proxy_header"),
        (Self::Handshake, "handshake"),
        (Self::Head, "head"),
        (Self::Idle, "idle"),
        (Self::Pressure, "pressure"),
        (Self::SlowReader, "slow_reader"),
        (Self::Stalled, "stalled"),
        (Self::Malformed, "malformed"),
        (Self::Flood, "flood"),
        (Self::ClientLimit, "client_limit"),
    ];
}

/// See the module.
pub(crate) struct Edge {
    pub(crate) limits: Limits,
    pub(crate) proxy_from: Vec<Network>,
    pub(crate) certificates: Option<Arc<Certificates>>,
    /// Where plain HTTP is told to go: the port of HTTPS.
    pub(crate) redirect_to: Option<u16>,
    pub(crate) log: Option<AccessLog>,
    /// Whether another proxy is in front of all clients; then an address is not one client's.
    behind_proxy: bool,
    clients: Mutex<HashMap<IpAddr, u32>>,
    /// Told once for each connection that waits for a place: the one that was idle longest leaves.
    pub(crate) shed: Notify,
    cuts: [AtomicU64; Cut::ALL.len()],
    accept_errors: AtomicU64,
    handshakes: AtomicU64,
    misdirected: AtomicU64,
    released: AtomicU64,
    parked: AtomicU64,
}

/// Counts a connection as parked while it lives.
pub(crate) struct Parked<'a>(&'a AtomicU64);

impl Drop for Parked<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Edge {
    /// Starts the access log, if there is one.
    pub(crate) fn new(config: &GatewayConfig, certificates: Option<Arc<Certificates>>) -> io::Result<Self> {
        let log = config.access_log.as_ref().map(AccessLog::start).transpose()?;
        Ok(Self {
            limits: config.limits.clone(),
            proxy_from: config.proxy_protocol_from.clone(),
            certificates,
            redirect_to: None,
            log,
            behind_proxy: config.trust_forwarded,
            clients: Mutex::default(),
            shed: Notify::new(),
            cuts: Default::default(),
            accept_errors: AtomicU64::new(0),
            handshakes: AtomicU64::new(0),
            misdirected: AtomicU64::new(0),
            released: AtomicU64::new(0),
            parked: AtomicU64::new(0),
        })
    }

    pub(crate) fn count_cut(&self, why: Cut) {
        self.cuts[why as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn count_parked(&self) -> Parked<'_> {
        self.parked.fetch_add(1, Relaxed);
        Parked(&self.parked)
    }

    pub(crate) fn count_accept_error(&self) {
        self.accept_errors.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_handshake(&self) {
        self.handshakes.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_misdirected(&self) {
        self.misdirected.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_released(&self) {
        self.released.fetch_add(1, Relaxed);
    }

    /// Whether connections from an address begin with a PROXY header.
    pub(crate) fn expects_proxy_header(&self, from: IpAddr) -> bool {
        self.proxy_from.iter().any(|network| network.holds(from))
    }

    /// A place for one more connection of a client, unless it has its share.
    pub(crate) fn admit(self: &Arc<Self>, client: IpAddr) -> Option<Admission> {
        let limits = &self.limits;
        if self.behind_proxy || limits.unbounded_clients.iter().any(|network| network.holds(client)) {
            return Some(Admission { edge: None, key: client });
        }
        let key = key_of(client);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let count = clients.entry(key).or_insert(0);
        if *count >= limits.max_connections_per_client {
            return None;
        }
        *count += 1;
        Some(Admission { edge: Some(Arc::clone(self)), key })
    }

    /// The edge's counters as Prometheus text.
    pub(crate) fn metrics_text(&self) -> String {
        let mut text = String::with_capacity(2048);
        const CUTS: &str = "atoll_gateway_connections_cut_total";
        let _ = writeln!(text, "# HELP {CUTS} Connections that the gateway ended, by reason.\n# TYPE {CUTS} counter");
        for ((_, reason), count) in Cut::ALL.iter().zip(&self.cuts) {
            let _ = writeln!(text, "{CUTS}{{reason=\"{reason}\"}} {}", count.load(Relaxed));
        }
        const PARKED: &str = "atoll_gateway_connections_parked";
        let _ = writeln!(text, "# HELP {PARKED} Idle HTTP/1 connections without buffers.\n# TYPE {PARKED} gauge");
        let _ = writeln!(text, "{PARKED} {}", self.parked.load(Relaxed));
        let log = self.log.as_ref();
        for (name, help, count) in [
            ("accept_errors_total", "Connections that could not be accepted.", self.accept_errors.load(Relaxed)),
            ("tls_handshakes_total", "TLS handshakes that succeeded.", self.handshakes.load(Relaxed)),
            (
                "misdirected_total",
                "Requests for hosts that their certificate does not cover.",
                self.misdirected.load(Relaxed),
            ),
            (
                "answers_released_total",
                "Answers that nobody took, so that their worker was let go.",
                self.released.load(Relaxed),
            ),
            ("access_log_dropped_total", "Log lines that found the queue full.", log.map_or(0, AccessLog::dropped)),
            ("access_log_failed_total", "Log lines that could not be written.", log.map_or(0, AccessLog::failed)),
        ] {
            let name = format!("atoll_gateway_{name}");
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {count}");
        }
        if let Some(certificates) = &self.certificates {
            certificates.write_metrics(&mut text);
        }
        text
    }
}

/// A client's share is its IPv4 address, or the /64 that it can take IPv6 addresses from.
fn key_of(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) & (u128::MAX << 64)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// One connection's place in its client's share, given back when dropped.
pub(crate) struct Admission {
    edge: Option<Arc<Edge>>,
    key: IpAddr,
}

impl Drop for Admission {
    fn drop(&mut self) {
        let Some(edge) = &self.edge else { return };
        let mut clients = edge.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = clients.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                clients.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(per_client: u32) -> Arc<Edge> {
        let region = model::RegionName::new("us-east").unwrap();
        let mut config = GatewayConfig::new("127.0.0.1:0".parse().unwrap(), region, None);
        config.limits.max_connections_per_client = per_client;
        Arc::new(Edge::new(&config, None).unwrap())
    }

    #[test]
    fn a_client_gets_its_share_and_gives_it_back() {
        let edge = edge(2);
        let client = |text: &str| edge.admit(text.parse().unwrap());
        let (first, second) = (client("192.0.2.1"), client("192.0.2.1"));
        assert!(first.is_some() && second.is_some());
        assert!(client("192.0.2.1").is_none() && client("::ffff:192.0.2.1").is_none());
        assert!(client("192.0.2.2").is_some());
        drop(first);
        assert!(client("192.0.2.1").is_some());
        let (_a, _b) = (client("2001:db8::1"), client("2001:db8::2"));
        assert!(client("2001:db8::3").is_none() && client("2001:db8:0:1::1").is_some());
        assert!((0..10).map(|_| client("127.0.0.1")).all(|place| place.is_some()), "this machine has no bound");
        drop((second, _a, _b));
        assert!(edge.clients.lock().unwrap().is_empty());
    }

    #[test]
    fn each_reason_has_its_line() {
        let edge = edge(1);
        for (at, (cut, reason)) in Cut::ALL.into_iter().enumerate() {
            assert_eq!(cut as usize, at);
            edge.count_cut(cut);
            let line = format!("atoll_gateway_connections_cut_total{{reason=\"{reason}\"}} 1\n");
            assert!(edge.metrics_text().contains(&line), "{line}");
        }
    }
}
