//! The gateway's counters and their Prometheus text. Plain atomics: a request touches a handful, a scrape reads them all.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use http::StatusCode;

use crate::fleet::Fleet;

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

    fn add_many(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is counted of a worker.
#[derive(Default)]
pub(crate) struct WorkerCells {
    requests: Counter,
    failures: Counter,
    retries: Counter,
}

impl WorkerCells {
    /// It answered, or broke before.
    pub(crate) fn answered(&self, failed: bool) {
        self.requests.add();
        if failed {
            self.failures.add();
        }
    }

    /// A request came to it after it had been sent before, there or elsewhere.
    pub(crate) fn retried(&self) {
        self.retries.add();
    }

    fn get(&self) -> [u64; 3] {
        [self.requests.get(), self.failures.get(), self.retries.get()]
    }
}

/// What is counted of an app.
#[derive(Default)]
pub(crate) struct AppCells {
    answers: Answers,
    pub(crate) retries: Counter,
    pub(crate) refusals: Counter,
    /// Of workers that are gone, by slot: a counter must not go back.
    departed: Mutex<BTreeMap<u16, [u64; 3]>>,
}

impl AppCells {
    /// A request was answered; `duration` until the answer's head.
    pub(crate) fn answered(&self, status: StatusCode, duration: Duration) {
        self.answers.add(status, duration);
    }

    /// A worker is gone; what was counted of it stays.
    pub(crate) fn absorb(&self, slot: u16, cells: &WorkerCells) {
        let mut departed = self.departed.lock().unwrap_or_else(PoisonError::into_inner);
        let sums = departed.entry(slot).or_default();
        sums.iter_mut().zip(cells.get()).for_each(|(sum, more)| *sum += more);
    }
}

/// Answers by class, and how long they took.
#[derive(Default)]
struct Answers {
    classes: [Counter; 5],
    buckets: [Counter; BUCKETS_US.len()],
    duration_us: Counter,
}

impl Answers {
    fn add(&self, status: StatusCode, duration: Duration) {
        let class = usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1;
        self.classes[class].add();
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.duration_us.add_many(us);
        let bucket = BUCKETS_US.partition_point(|bound| *bound < us);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.add();
        }
    }

    fn add_all(&self, other: &Self) {
        let pairs = self.classes.iter().zip(&other.classes).chain(self.buckets.iter().zip(&other.buckets));
        pairs.for_each(|(sum, more)| sum.add_many(more.get()));
        self.duration_us.add_many(other.duration_us.get());
    }

    fn count(&self) -> u64 {
        self.classes.iter().map(Counter::get).sum()
    }
}

#[derive(Default)]
pub(crate) struct Metrics {
    /// Answers that no app of now has counted: the gateway's own, and those of apps that are gone.
    answers: Answers,
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
    /// Tunnels that were asked to come back elsewhere, as their worker drains.
    pub(crate) tunnels_moved: Counter,
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

    /// A request that is no app's was answered; `duration` until the answer's head.
    pub(crate) fn answered(&self, status: StatusCode, duration: Duration) {
        self.answers.add(status, duration);
    }

    /// A request at one of the gateway's own paths was answered; [`Metrics::answered`] counts it too.
    pub(crate) fn probed(&self, status: StatusCode) {
        self.probes.add();
        if status.is_server_error() {
            self.probes_failed.add();
        }
    }

    /// An app is gone; what was counted of it stays.
    pub(crate) fn absorb(&self, app: &AppCells) {
        self.answers.add_all(&app.answers);
    }

    /// Requests of users answered so far, and how many of them with 5xx.
    pub(crate) fn of_users(&self, apps: &[Arc<Fleet>]) -> (u64, u64) {
        let all = self.all(apps);
        let (count, failed) = (all.count(), all.classes[CLASSES.len() - 1].get());
        (count.saturating_sub(self.probes.get()), failed.saturating_sub(self.probes_failed.get()))
    }

    fn all(&self, apps: &[Arc<Fleet>]) -> Answers {
        let all = Answers::default();
        all.add_all(&self.answers);
        apps.iter().for_each(|app| all.add_all(&app.cells.answers));
        all
    }

    /// Everything as Prometheus text.
    pub(crate) fn text(&self, apps: &[Arc<Fleet>]) -> String {
        let mut text = Text(String::with_capacity(8192));
        let all = self.all(apps);
        text.head("requests_total", "counter", "Requests answered, by class of status.");
        for (class, counter) in CLASSES.iter().zip(&all.classes) {
            text.line("requests_total", &format!("{{class=\"{class}\"}}"), counter.get());
        }
        text.histogram("request_duration_seconds", "Time from a request's head to its answer's head.", &[("", &all)]);
        let open = u64::try_from(self.connections_open.load(Ordering::Relaxed)).unwrap_or(0);
        text.single("connections_open", "gauge", "Connections of clients, open now.", open);
        for (name, help, counter) in [
            ("connections_total", "Connections of clients, accepted.", &self.connections),
            ("retries_total", "Requests sent to a worker a second time.", &self.retries),
            ("connect_failures_total", "Connections to workers that failed.", &self.connect_failures),
            ("refusals_total", "Requests that no worker answered.", &self.refusals),
            ("tunnels_total", "Connections that became WebSockets.", &self.tunnels),
            ("tunnels_moved_total", "WebSockets closed with 1012 as their worker drains.", &self.tunnels_moved),
            ("token_waits_total", "Requests that carried another region's token.", &self.token_waits),
            ("token_stale_total", "Requests served before their token was reached.", &self.token_stale),
        ] {
            text.single(name, "counter", help, counter.get());
        }
        of_apps(&mut text, apps);
        text.0
    }
}

/// What is told by app and by worker. An app's name is made of letters that a label may hold.
fn of_apps(text: &mut Text, apps: &[Arc<Fleet>]) {
    let snapshots: Vec<_> = apps.iter().map(|app| (app, app.snapshot())).collect();
    text.head("requests_in_flight", "gauge", "Requests under way, by worker.");
    for (app, snapshot) in &snapshots {
        let mut by_slot: BTreeMap<u16, u64> = BTreeMap::new();
        for member in &snapshot.members {
            *by_slot.entry(member.slot).or_default() += u64::from(member.in_flight);
        }
        for (slot, count) in by_slot {
            text.line("requests_in_flight", &format!("{{app=\"{}\",worker=\"{slot}\"}}", app.name), count);
        }
    }
    text.head("app_requests_total", "counter", "Requests answered, by app and class of status.");
    for app in apps {
        for (class, counter) in CLASSES.iter().zip(&app.cells.answers.classes) {
            text.line("app_requests_total", &format!("{{app=\"{}\",class=\"{class}\"}}", app.name), counter.get());
        }
    }
    let names: Vec<String> = apps.iter().map(|app| format!("app=\"{}\"", app.name)).collect();
    let series: Vec<_> = names.iter().map(String::as_str).zip(apps.iter().map(|app| &app.cells.answers)).collect();
    text.histogram("app_request_duration_seconds", "Time from a request's head to its answer's head, by app.", &series);
    type OfApp = fn(&Fleet) -> u64;
    let counters: [(&str, &str, OfApp); 3] = [
        ("app_retries_total", "Requests sent to a worker again, by app.", |app| app.cells.retries.get()),
        ("app_refusals_total", "Requests that no worker answered, by app.", |app| app.cells.refusals.get()),
        ("app_ejections_total", "Times that a worker was left out for its failures.", |app| {
            app.ejections.load(Ordering::Relaxed)
        }),
    ];
    for (name, help, get) in counters {
        text.head(name, "counter", help);
        for app in apps {
            text.line(name, &format!("{{app=\"{}\"}}", app.name), get(app));
        }
    }
    text.head("app_panic", "gauge", "1 while all workers are used, sick or not, as too few are well.");
    for (app, snapshot) in &snapshots {
        text.line("app_panic", &format!("{{app=\"{}\"}}", app.name), u64::from(snapshot.panic));
    }
    let mut workers: BTreeMap<(&str, u16), [u64; 3]> = BTreeMap::new();
    for app in apps {
        let departed = app.cells.departed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let now = app.roster();
        let all = departed.into_iter().chain(now.iter().map(|upstream| (upstream.slot, upstream.cells.get())));
        for (slot, cells) in all {
            let sums = workers.entry((&app.name, slot)).or_default();
            sums.iter_mut().zip(cells).for_each(|(sum, more)| *sum += more);
        }
    }
    for (index, (name, help)) in [
        ("worker_requests_total", "Requests that a worker answered or broke."),
        ("worker_failures_total", "Those that it broke, or answered with 5xx, 429 or their gRPC kin."),
        ("worker_retries_total", "Requests that came to a worker after they had been sent before."),
    ]
    .into_iter()
    .enumerate()
    {
        text.head(name, "counter", help);
        for ((app, slot), cells) in &workers {
            text.line(name, &format!("{{app=\"{app}\",worker=\"{slot}\"}}"), cells[index]);
        }
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

    /// A histogram of each series; labels without braces.
    fn histogram(&mut self, name: &str, help: &str, series: &[(&str, &Answers)]) {
        self.head(name, "histogram", help);
        for (labels, answers) in series {
            let comma = if labels.is_empty() { "" } else { "," };
            let mut below = 0;
            for (bound, counter) in BUCKETS_US.iter().zip(&answers.buckets) {
                below += counter.get();
                let bound = *bound as f64 / 1e6;
                self.line(&format!("{name}_bucket"), &format!("{{{labels}{comma}le=\"{bound}\"}}"), below);
            }
            let count = answers.count().max(below);
            self.line(&format!("{name}_bucket"), &format!("{{{labels}{comma}le=\"+Inf\"}}"), count);
            let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
            self.line(&format!("{name}_sum"), &labels, answers.duration_us.get() as f64 / 1e6);
            self.line(&format!("{name}_count"), &labels, count);
        }
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
        let shop = Fleet::new("shop".into(), traffic::PoolConfig::default());
        for ms in [0, 1, 3, 60, 20_000] {
            shop.cells.answered(StatusCode::OK, Duration::from_millis(ms));
        }
        metrics.answered(StatusCode::NOT_FOUND, Duration::ZERO);
        let text = metrics.text(&[shop]);
        for line in [
            "atoll_gateway_requests_total{class=\"2xx\"} 5",
            "atoll_gateway_requests_total{class=\"4xx\"} 1",
            "atoll_gateway_app_requests_total{app=\"shop\",class=\"2xx\"} 5",
            "atoll_gateway_app_request_duration_seconds_bucket{app=\"shop\",le=\"0.001\"} 2",
            "atoll_gateway_app_request_duration_seconds_bucket{app=\"shop\",le=\"0.005\"} 3",
            "atoll_gateway_request_duration_seconds_bucket{le=\"10\"} 5",
            "atoll_gateway_request_duration_seconds_bucket{le=\"+Inf\"} 6",
            "atoll_gateway_request_duration_seconds_sum 20.064",
            "atoll_gateway_app_request_duration_seconds_count{app=\"shop\"} 5",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn what_was_counted_of_a_worker_or_an_app_outlives_it() {
        let metrics = Metrics::default();
        let cells = AppCells::default();
        let worker = WorkerCells::default();
        worker.answered(true);
        cells.absorb(3, &worker);
        cells.absorb(3, &worker);
        assert_eq!(cells.departed.lock().unwrap()[&3], [2, 2, 0]);
        cells.answered(StatusCode::BAD_GATEWAY, Duration::ZERO);
        metrics.absorb(&cells);
        assert_eq!(metrics.of_users(&[]), (1, 1));
    }
}
