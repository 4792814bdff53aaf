//! On what the figures were made: hardware, kernel, date, and how busy it was.

use std::{fs, path::Path, process::Command};

use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::proc;

/// The machine, without its name.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
}

impl Machine {
    pub(crate) fn here() -> anyhow::Result<Self> {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Ok(Self {
            cpu: cpu_model(&cpuinfo).unwrap_or("unknown CPU").to_owned(),
            cores: proc::allowed_cpus()?.len(),
            kernel: kernel_version(&kernel).to_owned(),
        })
    }
}

/// ARM's `/proc/cpuinfo` has no such line.
fn cpu_model(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, model)| model.trim())
}

/// What distributions add behind the number is nobody's business.
fn kernel_version(release: &str) -> &str {
    release.trim().split(['-', '+']).next().unwrap_or_default()
}

/// This moment in UTC, RFC 3339, whole seconds.
pub(crate) fn date() -> String {
    let now = OffsetDateTime::now_utc();
    now.replace_nanosecond(0).unwrap_or(now).format(&Rfc3339).unwrap_or_default()
}

/// The version of Atoll that is measured: the package's, and the commit where git can tell it.
pub(crate) fn atoll_version() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"));
    let git =
        Command::new("git").args(["describe", "--always", "--exclude", "*", "--dirty"]).current_dir(workspace).output();
    match git {
        Ok(output) if output.status.success() => {
            format!("{version} ({})", String::from_utf8_lossy(&output.stdout).trim())
        }
        _ => version.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_named_once() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Some CPU: 2 GHz\n\nprocessor\t: 1\nmodel name\t: Other\n";
        assert_eq!(cpu_model(cpuinfo), Some("Some CPU: 2 GHz"));
        assert_eq!(cpu_model("processor : 0\n"), None);
    }

    #[test]
    fn the_kernel_is_a_number() {
        assert_eq!(kernel_version("6.12.5-cloud-amd64\n"), "6.12.5");
        assert_eq!(kernel_version("6.18.0+\n"), "6.18.0");
        assert_eq!(kernel_version("6.1\n"), "6.1");
    }

    #[test]
    fn the_date_is_in_whole_seconds() {
        assert_eq!(date().len(), "2026-01-01T00:00:00Z".len());
    }
}
