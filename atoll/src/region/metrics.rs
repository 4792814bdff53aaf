//! The metrics of rooms that the node does not know: DNS and its Views, in Prometheus' text format.

use std::{
    fmt::Write as _,
    sync::{Arc, Weak},
};

use dns_server::{DnsHandle, views::ViewPublisher};
use region_node::MoreMetrics;
use steering::Transport;

/// What the DNS server answered so far.
pub(super) fn of_dns(dns: &Arc<DnsHandle>) -> MoreMetrics {
    // Weak, or the metrics would keep a stopping server alive.
    let dns: Weak<DnsHandle> = Arc::downgrade(dns);
    Arc::new(move |text| {
        let Some(counters) = dns.upgrade().map(|dns| dns.counters()) else { return };
        head(text, "atoll_dns_answers_total", "counter", "DNS answers.");
        for ((transport, rcode), count) in &counters.answers {
            let (transport, rcode) = (name(*transport), rcode.as_str());
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
        head(text, "atoll_dns_truncated_total", "counter", "DNS answers that did not fit UDP.");
        let _ = writeln!(text, "atoll_dns_truncated_total {}", counters.truncated);
    })
}

/// Which Plan DNS answers from.
pub(super) fn of_views(publisher: &ViewPublisher) -> MoreMetrics {
    let status = publisher.status();
    Arc::new(move |text| {
        let status = status.borrow();
        let version = status.plan.map_or(0, |plan| plan.version);
        head(text, "atoll_dns_plan_version", "gauge", "Version of the Plan that DNS answers from.");
        let _ = writeln!(text, "atoll_dns_plan_version {version}");
        head(text, "atoll_dns_demoted_regions", "gauge", "Regions left out on this region's own word.");
        let _ = writeln!(text, "atoll_dns_demoted_regions {}", status.demoted.len());
    })
}

fn name(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}
