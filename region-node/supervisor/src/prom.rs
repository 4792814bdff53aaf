//! Metrics of several workers as one text. Pure: each worker's text in Prometheus' format comes in, one comes out, in which each
//! sample has a label `worker`, and each metric has its `HELP` and `TYPE` once.
//!
//! Format: <https://prometheus.io/docs/instrumenting/exposition_formats/>. Bounded; lines that are no samples are left out.

use std::{collections::BTreeMap, fmt::Write};

/// More samples than this are left out, and the text says so.
const MAX_BYTES: usize = 8 << 20;

#[derive(Default)]
struct Metric {
    /// `# HELP …` and `# TYPE …`, as the first worker gave them.
    help: Option<String>,
    kind: Option<String>,
    samples: Vec<String>,
}

/// The workers' texts with their slots.
pub(crate) fn merge(texts: &[(u16, String)]) -> String {
    let mut metrics: BTreeMap<String, Metric> = BTreeMap::new();
    let mut bytes = 0;
    let mut left_out = 0u64;
    for (worker, text) in texts {
        // Samples of histograms and summaries have suffixes; they belong to the metric whose head came last.
        let mut within = String::new();
        for line in text.lines().map(str::trim) {
            if let Some(rest) = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE ")) {
                let Some(name) = rest.split_ascii_whitespace().next() else { continue };
                name.clone_into(&mut within);
                let metric = metrics.entry(within.clone()).or_default();
                let place = if line.starts_with("# HELP") { &mut metric.help } else { &mut metric.kind };
                place.get_or_insert_with(|| line.to_owned());
            } else if let Some((name, sample)) = labelled(line, *worker) {
                if bytes + sample.len() > MAX_BYTES {
                    left_out += 1;
                    continue;
                }
                bytes += sample.len() + 1;
                let family = if belongs(name, &within) { within.as_str() } else { name };
                metrics.entry(family.to_owned()).or_default().samples.push(sample);
            }
        }
    }
    let mut out = String::with_capacity(bytes + bytes / 4);
    for metric in metrics.values().filter(|metric| !metric.samples.is_empty()) {
        for line in metric.help.iter().chain(&metric.kind).chain(&metric.samples) {
            out.push_str(line);
            out.push('\n');
        }
    }
    if left_out > 0 {
        let _ =
            writeln!(out, "# {left_out} samples are left out: the workers have more than {MAX_BYTES} bytes of metrics");
    }
    out
}

fn belongs(sample: &str, metric: &str) -> bool {
    !metric.is_empty()
        && sample
            .strip_prefix(metric)
            .is_some_and(|suffix| matches!(suffix, "" | "_bucket" | "_sum" | "_count" | "_total" | "_created"))
}

/// A sample's name, and the sample with the worker's label first; `None` for what is no sample.
fn labelled(line: &str, worker: u16) -> Option<(&str, String)> {
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))?;
    let (name, rest) = line.split_at(end);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let rest = rest.trim_start();
    let (labels, value) = match rest.strip_prefix('{') {
        Some(rest) => {
            let close = closing_brace(rest)?;
            (rest[..close].trim().trim_end_matches(','), rest[close + 1..].trim_start())
        }
        None => ("", rest),
    };
    value.split_ascii_whitespace().next()?.parse::<f64>().ok()?;
    let comma = if labels.is_empty() { "" } else { "," };
    Some((name, format!("{name}{{worker=\"{worker}\"{comma}{labels}}} {value}")))
}

/// Where the labels end: the first `}` outside quotes.
fn closing_brace(text: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    text.char_indices().find_map(|(at, c)| {
        let end = c == '}' && !quoted;
        quoted ^= c == '"' && !escaped;
        escaped = c == '\\' && quoted && !escaped;
        end.then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(texts: &[&str], expected: &str) {
        let texts: Vec<(u16, String)> = (0..).zip(texts.iter().map(|&text| text.to_owned())).collect();
        assert_eq!(merge(&texts), expected);
    }

    #[test]
    fn samples_of_all_workers_stand_together_with_their_labels() {
        check(
            &[
                "# HELP orders Orders.\n# TYPE orders counter\norders{kind=\"a}\\\"b\",} 1\norders 2 1700000000000\n",
                "# HELP orders Other words.\n# TYPE orders counter\norders 3\n\n",
            ],
            "# HELP orders Orders.\n# TYPE orders counter\norders{worker=\"0\",kind=\"a}\\\"b\"} 1\n\
             orders{worker=\"0\"} 2 1700000000000\norders{worker=\"1\"} 3\n",
        );
    }

    #[test]
    fn parts_of_a_histogram_stay_behind_its_head() {
        let text =
            "# TYPE a_seconds histogram\na_seconds_bucket{le=\"+Inf\"} 1\na_seconds_sum NaN\na_seconds_count 1\n";
        let sample =
            |name: &str, labels: &str, value: &str| format!("a_seconds_{name}{{worker=\"0\"{labels}}} {value}\n");
        let expected = "# TYPE a_seconds histogram\n".to_owned()
            + &sample("bucket", ",le=\"+Inf\"", "1")
            + &sample("sum", "", "NaN")
            + &sample("count", "", "1");
        check(&[text], &expected);
    }

    #[test]
    fn what_is_no_sample_is_left_out() {
        check(
            &["hello\n1abc 2\na b\na{x=\"1\" 1\n# HELP\n# HELP lonely x\n{} 1\n\u{fffd} 1\nname", "ok +Inf"],
            "ok{worker=\"1\"} +Inf\n",
        );
    }

    #[test]
    fn a_flood_is_bounded_and_says_so() {
        let text: String = (0..400_000).map(|n| format!("metric_with_a_name_{n} 1\n")).collect();
        let merged = merge(&[(0, text)]);
        assert!(merged.len() < MAX_BYTES * 5 / 4);
        assert!(merged.contains("samples are left out"), "{}", merged.len());
    }
}
