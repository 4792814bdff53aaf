//! The metrics of rooms that the node does not know: DNS, its Views and the plane's member, in Prometheus' text format.

use std::{
    fmt::Write as _,
    sync::{Arc, OnceLock, Weak},
    time::{Instant, SystemTime},
};

use dns_server::{
    DnsCounters, DnsHandle, LATENCY_BOUNDS_US,
    locations::{FileStatus, InForce, Locations},
    views::ViewPublisher,
};
use plane_follower::FollowerHandle;
use plane_server::PlaneHandle;
use region_node::MoreMetrics;

/// What the DNS server answered so far.
pub(super) fn of_dns(dns: &Arc<DnsHandle>) -> MoreMetrics {
    // Weak, or the metrics would keep a stopping server alive.
    let dns: Weak<DnsHandle> = Arc::downgrade(dns);
    Arc::new(move |text| {
        let Some(counters) = dns.upgrade().map(|dns| dns.counters()) else { return };
        head(text, "atoll_dns_answers_total", "counter", "DNS answers.");
        for ((transport, rcode), count) in &counters.answers {
            let (transport, rcode) = (transport.as_str(), rcode.as_str());
            let _ = writeln!(text, "atoll_dns_answers_total{{transport=\"{transport}\",rcode=\"{rcode}\"}} {count}");
        }
        head(text, "atoll_dns_zone_answers_total", "counter", "DNS answers by zone.");
        for (zone, count) in &counters.zones {
            let _ = writeln!(text, "atoll_dns_zone_answers_total{{zone=\"{zone}\"}} {count}");
        }
        head(text, "atoll_dns_steered_total", "counter", "Steered DNS answers by the region named first.");
        for (region, count) in &counters.regions {
            let _ = writeln!(text, "atoll_dns_steered_total{{region=\"{region}\"}} {count}");
        }
        head(
            text,
            "atoll_dns_steered_basis_total",
            "counter",
            "Steered DNS answers by the ground on which they name whom they name.",
        );
        for (basis, count) in &counters.bases {
            let _ = writeln!(text, "atoll_dns_steered_basis_total{{basis=\"{}\"}} {count}", basis.as_str());
        }
        head(text, "atoll_dns_truncated_total", "counter", "DNS answers that did not fit UDP.");
        let _ = writeln!(text, "atoll_dns_truncated_total {}", counters.truncated);
        dns_latency(text, &counters);
        dns_losses(text, &counters);
    })
}

fn dns_latency(text: &mut String, counters: &DnsCounters) {
    head(
        text,
        "atoll_dns_latency_seconds",
        "histogram",
        "From when a batch of DNS queries was read to when its answers were sent.",
    );
    for (transport, latency) in &counters.latency {
        let transport = transport.as_str();
        let mut so_far = 0;
        for (bound, count) in LATENCY_BOUNDS_US.iter().zip(latency.buckets) {
            so_far += count;
            let le = *bound as f64 / 1e6;
            let _ =
                writeln!(text, "atoll_dns_latency_seconds_bucket{{transport=\"{transport}\",le=\"{le}\"}} {so_far}");
        }
        let (count, sum) = (latency.count(), latency.sum_us as f64 / 1e6);
        let _ = writeln!(text, "atoll_dns_latency_seconds_bucket{{transport=\"{transport}\",le=\"+Inf\"}} {count}");
        let _ = writeln!(text, "atoll_dns_latency_seconds_sum{{transport=\"{transport}\"}} {sum}");
        let _ = writeln!(text, "atoll_dns_latency_seconds_count{{transport=\"{transport}\"}} {count}");
    }
}

/// What got no answer, or none that arrived.
fn dns_losses(text: &mut String, counters: &DnsCounters) {
    for (name, help, count) in [
        ("silent", "Packets that are no queries and got no answer.", counters.silent),
        ("connections", "DNS connections over TCP.", counters.connections),
        (
            "connections_refused",
            "DNS connections closed at once, since there were too many.",
            counters.connections_refused,
        ),
        ("receive_errors", "Failures to receive or to accept.", counters.receive_errors),
        ("send_errors", "DNS answers that the system would not send.", counters.send_errors),
        ("send_dropped", "DNS answers dropped, since the socket had no room in time.", counters.send_dropped),
        ("query_log_dropped", "Lines of the query log dropped, since it did not keep up.", counters.log_dropped),
        ("query_log_errors", "Lines of the query log that could not be written.", counters.log_errors),
    ] {
        let name = format!("atoll_dns_{name}_total");
        head(text, &name, "counter", help);
        let _ = writeln!(text, "{name} {count}");
    }
}

/// Which Plan DNS answers from.
pub(super) fn of_views(publisher: &ViewPublisher) -> MoreMetrics {
    let status = publisher.status();
    Arc::new(move |text| {
        let status = status.borrow();
        let version = status.plan.map_or(0, |plan| plan.version);
        head(text, "atoll_dns_plan_version", "gauge", "Version of the Plan that DNS answers from.");
        let _ = writeln!(text, "atoll_dns_plan_version {version}");
        if let Some(since) = status.since {
            head(text, "atoll_dns_view_age_seconds", "gauge", "Since the View that DNS answers from was made.");
            let _ = writeln!(text, "atoll_dns_view_age_seconds {:.3}", since.elapsed().as_secs_f64());
        }
        head(
            text,
            "atoll_dns_plan_refused",
            "gauge",
            "1 if a later Plan cannot be served and the one before it answers.",
        );
        let _ = writeln!(text, "atoll_dns_plan_refused {}", u8::from(status.refused.is_some()));
        head(text, "atoll_dns_plans_refused_total", "counter", "Plans that could not be served.");
        let _ = writeln!(text, "atoll_dns_plans_refused_total {}", status.refusals);
        head(text, "atoll_dns_demoted_regions", "gauge", "Regions left out on this region's own word.");
        let _ = writeln!(text, "atoll_dns_demoted_regions {}", status.demoted.len());
    })
}

/// How old location files are, and whether they can be used.
pub(super) fn of_locations(locations: &Locations) -> MoreMetrics {
    let status = locations.status();
    Arc::new(move |text| {
        let status = status.borrow();
        let now = SystemTime::now();
        let mut each = |name: &str, help: &str, value: &dyn Fn(&FileStatus) -> Option<f64>| {
            head(text, name, "gauge", help);
            for file in &status.files {
                if let Some(value) = value(file) {
                    let path = file.path.display().to_string().replace('\\', "\\\\").replace('"', "\\\"");
                    let _ = writeln!(text, "{name}{{file=\"{path}\"}} {value}");
                }
            }
        };
        let age =
            |in_force: &InForce| Some(now.duration_since(in_force.modified).unwrap_or_default().as_secs_f64().floor());
        each("atoll_dns_location_file_age_seconds", "Time since the version in force was written.", &|file| {
            age(file.in_force.as_ref()?)
        });
        each("atoll_dns_location_build_epoch_seconds", "When the database in force was built, Unix time.", &|file| {
            Some(file.in_force.as_ref()?.build_epoch? as f64)
        });
        each("atoll_dns_location_file_refused", "1 if the file as it is now cannot be used.", &|file| {
            Some(f64::from(u8::from(file.problem.is_some())))
        });
        head(text, "atoll_dns_location_loads_total", "counter", "Times that location files were taken into force.");
        let _ = writeln!(text, "atoll_dns_location_loads_total {}", status.loads);
        head(text, "atoll_dns_location_bytes", "gauge", "Memory of what was read of location files.");
        let _ = writeln!(text, "atoll_dns_location_bytes {}", status.bytes);
    })
}

/// How the region's follower of the plane does.
pub(super) fn of_follower(follower: &FollowerHandle) -> MoreMetrics {
    let (heard, reports, start) = (follower.heard(), follower.reports(), Instant::now());
    Arc::new(move |text| {
        let report = reports.borrow();
        let stale = heard.stale_for(start, Instant::now());
        head(
            text,
            "atoll_plane_stale_seconds",
            "gauge",
            "Time since a quorum of the plane was last heard of, or since the start.",
        );
        let _ = writeln!(text, "atoll_plane_stale_seconds {:.3}", stale.as_secs_f64());
        head(text, "atoll_follower_plan_version", "gauge", "Version of the Plan in force.");
        let _ = writeln!(text, "atoll_follower_plan_version {}", report.plan.map_or(0, |plan| plan.version));
        head(text, "atoll_follower_disk_plan_version", "gauge", "Version of the Plan on disk.");
        let _ = writeln!(text, "atoll_follower_disk_plan_version {}", report.on_disk.map_or(0, |plan| plan.version));
        head(text, "atoll_follower_plans_total", "counter", "Plans that came, by what became of them.");
        for (outcome, count) in [
            ("taken", report.taken),
            ("confirmed", report.confirmed),
            ("older", report.not_newer),
            ("healed", report.healed),
            ("poisoned", report.poisoned),
        ] {
            let _ = writeln!(text, "atoll_follower_plans_total{{outcome=\"{outcome}\"}} {count}");
        }
        head(
            text,
            "atoll_follower_mismatches_total",
            "counter",
            "Signs of life that named another content than the Plan in force has.",
        );
        let _ = writeln!(text, "atoll_follower_mismatches_total {}", report.mismatched);
        head(text, "atoll_follower_streams_lost_total", "counter", "Streams that ended or could not be opened.");
        let _ = writeln!(text, "atoll_follower_streams_lost_total {}", report.lost);
    })
}

/// What the plane's member knows of losses and levers, once it runs: it starts after the node, whose routes it serves.
pub(super) fn of_plane(plane: &Arc<OnceLock<Weak<PlaneHandle>>>) -> MoreMetrics {
    let plane = Arc::clone(plane);
    Arc::new(move |text| {
        let Some(plane) = plane.get().and_then(Weak::upgrade) else { return };
        head(text, "atoll_plane_automation_stopped", "gauge", "Whether this member's automation is stopped by hand.");
        let _ = writeln!(text, "atoll_plane_automation_stopped {}", u8::from(plane.automation_stopped()));
        let survey = plane.survey();
        head(text, "atoll_plane_loss_carried", "gauge", "Whether the loss of this region alone could be carried.");
        for (region, loss) in &survey.losses {
            let _ =
                writeln!(text, "atoll_plane_loss_carried{{region=\"{region}\"}} {}", u8::from(loss.cannot.is_empty()));
        }
        head(text, "atoll_plane_capacity_left_ratio", "gauge", "Capacity left without this region, if it is known.");
        for (region, percent) in
            survey.losses.iter().filter_map(|(region, loss)| Some((region, loss.capacity_left_percent?)))
        {
            let _ =
                writeln!(text, "atoll_plane_capacity_left_ratio{{region=\"{region}\"}} {}", f64::from(percent) / 100.0);
        }
    })
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}
