//! The gateway's counters and their Prometheus text. Plain atomics: a request touches a handful, a scrape reads them all.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

use http::StatusCode;

/// Upper bounds in microseconds: OpenTelemetry's advice for HTTP, with one finer step below it.
const BUCKETS_US: [u64; 15] = [
    1_000, 5_000, 10_000, 25_000, 50_000, 75_000, 100_000, 250_000, 500_000, 750_000, 1_000_000, 2_500_000, 5_000_000,
    7_500_000, 10_000_000,
];
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Only ever grows.
#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Default)]
pub(crate) struct Metrics {
    classes: [Counter; 5],
    buckets: [Counter; BUCKETS_US.len()],
    duration_us: AtomicU64,
    /// Of the answers, those at the gateway's own paths; and of these, those with 5xx.
    probes: Counter,
    probes_failed: Counter,
    connections: Counter,
    connections_open: AtomicI64,
    /// Requests sent a second time.
    pub(crate) retries: Counter,
    /// Connections to workers that were refused or timed out.
    pub(crate) connect_failures: Counter,
    /// Requests that a worker did not answer.
    pub(crate) refusals: Counter,
    /// Connections that became tunnels.
    pub(crate) tunnels: Counter,
    /// Requests that carried another region's token.
    pub(crate) token_waits: Counter,
    /// Those that were served stale.
    pub(crate) token_stale: Counter,
}

/// Counts a connection as open while it lives.
pub(crate) struct OpenConnection<'a>(&'a AtomicI64);

impl Drop for OpenConnection<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    pub(crate) fn connection_opened(&self) -> OpenConnection<'_> {
        self.connections.add();
        self.connections_open.fetch_add(1, Ordering::Relaxed);
        OpenConnection(&self.connections_open)
    }

    /// A request was answered; `duration` until the answer's head.
    pub(crate) fn answered(&self, status: StatusCode, duration: Duration) {
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        self.classes[class].add();
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.duration_us.fetch_add(us, Ordering::Relaxed);
        let bucket = BUCKETS_US.partition_point(|bound| *bound < us);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.add();
        }
    }

    /// A request at one of the gateway's own paths was answered; [`Metrics::answered`] counts it too.
    pub(crate) fn probed(&self, status: StatusCode) {
        self.probes.add();
        if status.is_server_error() {
            self.probes_failed.add();
        }
    }

    /// Requests of users answered so far, and how many of them with 5xx.
    pub(crate) fn of_users(&self) -> (u64, u64) {
        let all: u64 = self.classes.iter().map(Counter::get).sum();
        let failed = self.classes[CLASSES.len() - 1].get();
        (all.saturating_sub(self.probes.get()), failed.saturating_sub(self.probes_failed.get()))
    }

    /// Everything as Prometheus text; `in_flight` per worker is the fleet's to know.
    pub(crate) fn text(&self, in_flight: &[(u16, u32)]) -> String {
        let mut text = Text(String::with_capacity(4096));
        text.head("requests_total", "counter", "Requests answered, by class of status.");
        for (class, counter) in CLASSES.iter().zip(&self.classes) {
            text.line("requests_total", &format!("{{class=\"{class}\"}}"), counter.get());
        }
        self.histogram(&mut text);
        text.head("requests_in_flight", "gauge", "Requests under way, by worker.");
        for (worker, count) in in_flight {
            text.line("requests_in_flight", &format!("{{worker=\"{worker}\"}}"), u64::from(*count));
        }
        let open = u64::try_from(self.connections_open.load(Ordering::Relaxed)).unwrap_or(0);
        text.single("connections_open", "gauge", "Connections of clients, open now.", open);
        for (name, help, counter) in [
            ("connections_total", "Connections of clients, accepted.", &self.connections),
            ("retries_total", "Requests sent to a worker a second time.", &self.retries),
            ("connect_failures_total", "Connections to workers that failed.", &self.connect_failures),
            ("refusals_total", "Requests that no worker answered.", &self.refusals),
            ("tunnels_total", "Connections that became WebSockets.", &self.tunnels),
            ("token_waits_total", "Requests that carried another region's token.", &self.token_waits),
            ("token_stale_total", "Requests served before their token was reached.", &self.token_stale),
        ] {
            text.single(name, "counter", help, counter.get());
        }
        text.0
    }

    fn histogram(&self, text: &mut Text) {
        const NAME: &str = "request_duration_seconds";
        text.head(NAME, "histogram", "Time from a request's head to its answer's head.");
        let mut below = 0;
        for (bound, counter) in BUCKETS_US.iter().zip(&self.buckets) {
            below += counter.get();
            text.line(&format!("{NAME}_bucket"), &format!("{{le=\"{}\"}}", *bound as f64 / 1e6), below);
        }
        let count: u64 = self.classes.iter().map(Counter::get).sum();
        text.line(&format!("{NAME}_bucket"), "{le=\"+Inf\"}", count.max(below));
        let sum = self.duration_us.load(Ordering::Relaxed) as f64 / 1e6;
        text.line(&format!("{NAME}_sum"), "", sum);
        text.line(&format!("{NAME}_count"), "", count.max(below));
    }
}

/// Prometheus text under construction. Writing to a `String` cannot fail.
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP atoll_gateway_{name} {help}\n# TYPE atoll_gateway_{name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "atoll_gateway_{name}{labels} {value}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.head(name, kind, help);
        self.line(name, "", value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_histogram_is_cumulative_and_ends_with_all() {
        let metrics = Metrics::default();
        for ms in [0, 1, 3, 60, 20_000] {
            metrics.answered(StatusCode::OK, Duration::from_millis(ms));
        }
        let text = metrics.text(&[(0, 2)]);
        for line in [
            "atoll_gateway_requests_total{class=\"2xx\"} 5",
            "atoll_gateway_request_duration_seconds_bucket{le=\"0.001\"} 2",
            "atoll_gateway_request_duration_seconds_bucket{le=\"0.005\"} 3",
            "atoll_gateway_request_duration_seconds_bucket{le=\"10\"} 4",
            "atoll_gateway_request_duration_seconds_bucket{le=\"+Inf\"} 5",
            "atoll_gateway_request_duration_seconds_sum 20.064",
            "atoll_gateway_requests_in_flight{worker=\"0\"} 2",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} is not in\n{text}");
        }
    }
}
