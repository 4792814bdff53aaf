//! What a gateway is told at its start. Every limit has a default that suits a region of ordinary size.

use std::{net::SocketAddr, time::Duration};

use model::RegionName;

use crate::{AccessLogConfig, Network, TlsConfig};

/// One region's gateway.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// Where users connect.
    pub listen: SocketAddr,
    /// The region's name, put on every answer as `x-atoll-region`.
    pub region: RegionName,
    /// Where apps of this node call each other by their internal names; a loopback address. `None`: nowhere.
    pub internal: Option<SocketAddr>,
    /// The name of the only app; `None` when the region runs none, or when `GatewayHandle::set_apps` says which.
    pub app: Option<String>,
    /// Whether `X-Forwarded-*` and `X-Request-Id` of the client are believed. Only behind a proxy that sets them itself.
    pub trust_forwarded: bool,
    /// HTTPS on an address of its own; `None` for plain HTTP only.
    pub tls: Option<TlsConfig>,
    /// Networks whose connections all begin with a PROXY header (version 1 or 2): balancers that say who they speak for.
    pub proxy_protocol_from: Vec<Network>,
    /// A line for each request, or one in so many; `None` for no log.
    pub access_log: Option<AccessLogConfig>,
    /// Bounds in numbers and time.
    pub limits: Limits,
}

impl GatewayConfig {
    /// A gateway with default limits, believing nobody's `X-Forwarded-*`.
    pub fn new(listen: SocketAddr, region: RegionName, app: Option<String>) -> Self {
        Self {
            listen,
            internal: None,
            region,
            app,
            trust_forwarded: false,
            tls: None,
            proxy_protocol_from: Vec::new(),
            access_log: None,
            limits: Limits::default(),
        }
    }
}

/// Bounds of a gateway.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections and tunnels at a time; more of them wait in the kernel's queue, and idle ones make room.
    pub max_connections: u32,
    /// Connections at a time of one IPv4 address or IPv6 /64; more of them are closed.
    pub max_connections_per_client: u32,
    /// Clients without a bound of their own, such as balancers without the PROXY protocol. This machine by default; nobody has
    /// a bound where `trust_forwarded` says that a proxy is in front.
    pub unbounded_clients: Vec<Network>,
    /// HTTP/2 streams at a time in one connection.
    pub max_streams: u32,
    /// A request's head must be complete so soon after its first byte. A connection's first byte, its PROXY header and its
    /// TLS handshake have as long each.
    pub header_timeout: Duration,
    /// A connection without a request is kept for so long.
    pub idle_timeout: Duration,
    /// Bytes per second that a client must send of a body, and take of an answer, while nothing but the client is waited for.
    /// 0 for no such bound.
    pub min_rate: u32,
    /// The rate is judged over so long. An HTTP/2 answer that is not taken for so long lets its worker go.
    pub rate_window: Duration,
    /// Bytes of a request's head, and of a worker's answer's head.
    pub max_head_bytes: u32,
    /// Header lines of a request's head, and of a worker's answer's head.
    pub max_headers: u16,
    /// The worker must begin its answer so soon after the last byte of the request.
    pub request_timeout: Duration,
    /// A streamed answer may pause for so long.
    pub body_idle: Duration,
    /// Opening a connection to a worker may take so long.
    pub connect_timeout: Duration,
    /// A tunnel (WebSocket) may be without a byte either way for so long; `None` for ever. What one side is sent, some
    /// kilobytes, it must take within `rate_window`.
    pub tunnel_idle: Option<Duration>,
    /// A request waits so long for a worker to become ready.
    pub worker_wait: Duration,
    /// A request waits so long for the writes that its token names.
    pub token_wait: Duration,
    /// An idle connection to a worker is used again for so long. Node.js closes its own after 5 s, so stay below.
    pub pool_idle: Duration,
    /// Idle connections kept per worker.
    pub pool_size: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 4096,
            max_connections_per_client: 512,
            unbounded_clients: Network::LOOPBACK.to_vec(),
            max_streams: 128,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            min_rate: 256,
            rate_window: Duration::from_secs(30),
            max_head_bytes: 64 * 1024,
            max_headers: 100,
            request_timeout: Duration::from_secs(30),
            body_idle: Duration::from_secs(60),
            tunnel_idle: Some(Duration::from_secs(3600)),
            connect_timeout: Duration::from_secs(1),
            worker_wait: Duration::from_secs(1),
            token_wait: Duration::from_secs(1),
            pool_idle: Duration::from_secs(4),
            pool_size: 64,
        }
    }
}

impl Limits {
    /// Bytes that must have moved in a `rate_window`.
    pub(crate) fn min_bytes(&self) -> u64 {
        (f64::from(self.min_rate) * self.rate_window.as_secs_f64()) as u64
    }
}
