//! What the kernel says in `/proc`: CPU time and memory of a process, CPU time of the machine, load, allowed CPUs.
//!
//! The parsers take text, so that they can be tried without a machine that happens to be in the right state.

use std::fs;

use anyhow::Context;

/// CPU time of a process in clock ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProcessTicks {
    /// Of the process itself, all of its threads, user and system.
    pub(crate) own: u64,
    /// The part of it outside of the kernel.
    pub(crate) user: u64,
    /// Of the children that it has waited for.
    pub(crate) reaped: u64,
}

impl ProcessTicks {
    /// Of a process that is running.
    pub(crate) fn of(pid: u32) -> anyhow::Result<Self> {
        let path = format!("/proc/{pid}/stat");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}: is the process gone?"))?;
        Self::parse(&text).with_context(|| format!("{path} is not in the format of proc(5): {text:?}"))
    }

    /// The name in brackets may hold anything, brackets and spaces included; fields are counted from behind its last bracket.
    fn parse(stat: &str) -> Option<Self> {
        const UTIME: usize = 11; // field 14 of proc(5), the state behind the name being field 3
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let ticks = |field: usize| fields.get(field)?.parse::<u64>().ok();
        let user = ticks(UTIME)?;
        Some(Self { own: user + ticks(UTIME + 1)?, user, reaped: ticks(UTIME + 2)? + ticks(UTIME + 3)? })
    }
}

/// CPU time that all processes and the kernel have used since boot, in clock ticks over all CPUs.
pub(crate) fn busy_ticks() -> anyhow::Result<u64> {
    let text = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    parse_busy(&text).context("/proc/stat is not in the format of proc(5)")
}

fn parse_busy(stat: &str) -> Option<u64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let fields = line.split_ascii_whitespace().map(|field| field.parse().ok()).collect::<Option<Vec<u64>>>()?;
    let [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = fields[..] else { return None };
    Some(user + nice + system + irq + softirq + steal)
}

/// Processes that ran or wanted to, averaged over the last minute.
pub(crate) fn load_average() -> anyhow::Result<f64> {
    let text = fs::read_to_string("/proc/loadavg").context("cannot read /proc/loadavg")?;
    parse_load(&text).with_context(|| format!("/proc/loadavg is not in the format of proc(5): {text:?}"))
}

fn parse_load(loadavg: &str) -> Option<f64> {
    loadavg.split_ascii_whitespace().next()?.parse().ok()
}

/// The CPUs that this process may use, ascending.
pub(crate) fn allowed_cpus() -> anyhow::Result<Vec<usize>> {
    let text = fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status")?;
    let list = text.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    list.and_then(parse_cpus).context("/proc/self/status does not say which CPUs are allowed")
}

/// Such as `0-2,5`.
fn parse_cpus(list: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        cpus.extend(first.parse::<usize>().ok()?..=last.parse().ok()?);
    }
    Some(cpus)
}

/// Resident memory of a process.
pub(crate) fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    memory(pid, "VmRSS:")
}

/// The part of it that is of no file: without the program's text, which others may share and the system may take back.
pub(crate) fn own_bytes(pid: u32) -> anyhow::Result<u64> {
    memory(pid, "RssAnon:")
}

fn memory(pid: u32, key: &str) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(key)).with_context(|| format!("{path} has no {key}"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().with_context(|| format!("{path}: {line:?}"))?;
    Ok(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_whatever_name() {
        let rest = "S 1 2 3 4 5 6 7 8 9 10 170 30 4 1 20 0 5 0 99 1000 200";
        for name in ["redis-server", "a) R 1 (b", "(", "x y z"] {
            let stat = format!("4242 ({name}) {rest}");
            assert_eq!(ProcessTicks::parse(&stat), Some(ProcessTicks { own: 200, user: 170, reaped: 5 }), "{name}");
        }
    }

    #[test]
    fn a_broken_stat_is_refused() {
        for stat in ["", "1 (x", "1 (x) S 1 2", "1 (x) S 1 2 3 4 5 6 7 8 9 10 -3 30 4 1"] {
            assert_eq!(ProcessTicks::parse(stat), None, "{stat}");
        }
    }

    #[test]
    fn our_own_ticks_can_be_read() {
        ProcessTicks::of(std::process::id()).unwrap();
        assert!(busy_ticks().unwrap() > 0);
        assert!(load_average().unwrap() >= 0.0);
        assert!(!allowed_cpus().unwrap().is_empty());
    }

    #[test]
    fn busy_is_everything_but_idle_waiting_and_what_is_counted_twice() {
        let stat = "cpu  100 20 30 9999 888 4 5 6 77 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n";
        assert_eq!(parse_busy(stat), Some(165));
        assert_eq!(parse_busy("cpu0 1 2 3 4 5 6 7 8\n"), None);
        assert_eq!(parse_busy("cpu  1 2 3\n"), None);
    }

    #[test]
    fn the_load_is_the_first_figure() {
        assert_eq!(parse_load("0.52 1.58 2.00 1/345 6789\n"), Some(0.52));
        assert_eq!(parse_load(""), None);
    }

    #[test]
    fn lists_of_cpus_are_expanded() {
        assert_eq!(parse_cpus("\t0-1\n"), Some(vec![0, 1]));
        assert_eq!(parse_cpus("0,2-4,9"), Some(vec![0, 2, 3, 4, 9]));
        assert_eq!(parse_cpus("zero"), None);
    }
}
