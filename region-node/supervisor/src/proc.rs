//! What `/proc` tells of workers: their memory and processor time, what they started, where they listen.

use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::ffi::OsStrExt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::limit_mark::LimitMark;

/// One process at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    parent: u32,
    group: u32,
    zombie: bool,
    /// Clock ticks.
    cpu: u64,
    /// Clock ticks since boot; with the pid it names a process for ever.
    pub(crate) started: u64,
    rss_pages: u64,
}

/// Every process of the machine at one moment.
pub(crate) struct Table {
    pub(crate) when: Instant,
    pub(crate) processes: Vec<Process>,
}

/// The newest table; read at most once in 900 ms, whoever asks.
pub(crate) fn table() -> Arc<Table> {
    static LAST: Mutex<Option<Arc<Table>>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    match &*last {
        Some(table) if table.when.elapsed() < Duration::from_millis(900) => Arc::clone(table),
        _ => Arc::clone(last.insert(Arc::new(Table { when: Instant::now(), processes: fresh_table() }))),
    }
}

pub(crate) fn fresh_table() -> Vec<Process> {
    pids().filter_map(|pid| parse_stat(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)).collect()
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// `pid (name) state parent group …` (man 5 proc); the name may hold anything, so it is read from its end.
fn parse_stat(pid: u32, text: &str) -> Option<Process> {
    let (_, rest) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Process {
        pid,
        parent: u32::try_from(number(1)?).ok()?,
        group: u32::try_from(number(2)?).ok()?,
        zombie: matches!(fields.first(), Some(&("Z" | "X"))),
        cpu: number(11)? + number(12)?,
        started: number(19)?,
        rss_pages: number(21)?,
    })
}

/// The worker and what it started: its group, and all descendants, also those that left the group.
pub(crate) fn family(table: &[Process], leader: u32) -> Vec<&Process> {
    let mut pids: BTreeSet<u32> =
        table.iter().filter(|p| p.group == leader || p.pid == leader).map(|p| p.pid).collect();
    loop {
        let before = pids.len();
        let children: Vec<u32> = table.iter().filter(|p| pids.contains(&p.parent)).map(|p| p.pid).collect();
        pids.extend(children);
        if pids.len() == before {
            break;
        }
    }
    table.iter().filter(|p| pids.contains(&p.pid) && !p.zombie).collect()
}

/// Memory of a family. Pages that its processes share are counted once if that could matter against `limit`.
pub(crate) fn memory_bytes(family: &[&Process], limit: Option<u64>) -> u64 {
    let rss = family.iter().map(|p| p.rss_pages).sum::<u64>() * rustix::param::page_size() as u64;
    if family.len() > 1 && limit.is_some_and(|limit| rss > limit) {
        // Reading this walks the process's page tables, so it is not done each second for nothing.
        let pss: Option<u64> = family.iter().map(|p| pss_bytes(p.pid)).sum();
        return pss.unwrap_or(rss);
    }
    rss
}

fn pss_bytes(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// Processor time of a family so far.
pub(crate) fn cpu_time(family: &[&Process]) -> Duration {
    let ticks = family.iter().map(|p| p.cpu).sum::<u64>();
    Duration::from_millis(ticks.saturating_mul(1000) / rustix::param::clock_ticks_per_second().max(1))
}

/// Kills with SIGKILL whatever has `ATOLL_LIFE=mark` in its environment or the mark in its limits, wherever it has gone, and those of
/// `known`, pid and start, that still run; says how many there were.
pub(crate) fn kill_strays(mark: &str, limit_mark: LimitMark, known: &[(u32, u64)]) -> usize {
    let wanted = format!("ATOLL_LIFE={mark}");
    let stat = |pid: u32| parse_stat(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?);
    let marked = |pid: u32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let limits = || fs::read_to_string(format!("/proc/{pid}/limits")).unwrap_or_default();
        // A zombie has no environment any more, but limits yet; it is dead already.
        environment.split(|byte| *byte == 0).any(|pair| pair == wanted.as_bytes())
            || (limit_mark.is_in(&limits()) && stat(pid).is_some_and(|p| !p.zombie))
    };
    let same = |pid: u32, started: u64| stat(pid).is_some_and(|p| p.started == started && !p.zombie);
    let mut killed = known.iter().filter(|(pid, started)| kill(*pid, || same(*pid, *started))).count();
    // One that forks while it is looked for may be missed once, not many times.
    for _ in 0..5 {
        let found = pids().filter(|pid| marked(*pid)).filter(|pid| kill(*pid, || marked(*pid))).count();
        if found == 0 {
            break;
        }
        killed += found;
    }
    killed
}

/// Kills a process if it still is the one that is meant when a handle on it is held: numbers are used again, handles are not.
fn kill(pid: u32, meant: impl Fn() -> bool) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
    meant() && pidfd_send_signal(handle, Signal::KILL).is_ok()
}

/// Where the worker and what it started listen for TCP.
pub(crate) fn listening(leader: u32) -> Vec<SocketAddr> {
    let table = fresh_table();
    let sockets: BTreeSet<u64> = family(&table, leader).iter().flat_map(|p| sockets_of(p.pid)).collect();
    let lines = |name: &str| fs::read_to_string(format!("/proc/{leader}/net/{name}")).unwrap_or_default();
    let mut found: Vec<SocketAddr> = [lines("tcp"), lines("tcp6")]
        .iter()
        .flat_map(|text| text.lines().filter_map(parse_listener).collect::<Vec<_>>())
        .filter(|(_, inode)| sockets.contains(inode))
        .map(|(address, _)| address)
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn sockets_of(pid: u32) -> Vec<u64> {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let inode = |path: std::path::PathBuf| {
        let link = fs::read_link(path).ok()?;
        let name = std::str::from_utf8(link.as_os_str().as_bytes()).ok()?;
        name.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    };
    links.filter_map(|link| inode(link.path())).collect()
}

/// A line of `/proc/net/tcp` or `tcp6` (man 5 proc) in state LISTEN: local address and inode.
fn parse_listener(line: &str) -> Option<(SocketAddr, u64)> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (address, port) = fields.get(1)?.split_once(':')?;
    (*fields.get(3)? == "0A").then_some(())?;
    let words: Option<Vec<u32>> =
        (0..address.len() / 8).map(|at| u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok()).collect();
    // Words of the machine's own byte order, holding bytes in the network's.
    let bytes: Vec<u8> = words?.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let ip = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(four) => IpAddr::V4(Ipv4Addr::from(four)),
        Err(_) => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes.as_slice()).ok()?)),
    };
    Some((SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?), fields.get(9)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: u32, parent: u32, group: u32) -> Process {
        Process { pid, parent, group, zombie: false, cpu: 0, started: 0, rss_pages: 1 }
    }

    #[test]
    fn a_stat_line_is_read_behind_any_name() {
        let rest = "S 7 9 9 0 -1 0 0 0 0 0 30 12 0 0 20 0 1 0 5000 0 77 0";
        let expected = Process { pid: 5, parent: 7, group: 9, zombie: false, cpu: 42, started: 5000, rss_pages: 77 };
        assert_eq!(parse_stat(5, &format!("5 (a) b) ) {rest}")), Some(expected));
        assert_eq!(parse_stat(5, "5 (short) S 1"), None);
        assert_eq!(parse_stat(5, ""), None);
    }

    #[test]
    fn a_family_is_the_group_and_all_that_came_of_it() {
        let table =
            [process(1, 0, 1), process(10, 1, 10), process(11, 10, 10), process(12, 11, 12), process(13, 1, 13)];
        let pids: Vec<u32> = family(&table, 10).iter().map(|p| p.pid).collect();
        assert_eq!(pids, [10, 11, 12]);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn listeners_are_read_and_other_sockets_are_not() {
        let tail = "00000000:00000000 00:00000000 00000000     0        0 12345 1 0";
        let line = |local: &str, state: &str| format!("   0: {local} 00000000:0000 {state} {tail}");
        assert_eq!(parse_listener(&line("0100007F:0BB8", "0A")), Some(("127.0.0.1:3000".parse().unwrap(), 12345)));
        let six = line("00000000000000000000000001000000:0050", "0A");
        assert_eq!(parse_listener(&six), Some(("[::1]:80".parse().unwrap(), 12345)));
        assert_eq!(parse_listener(&line("0100007F:0BB8", "01")), None);
        assert_eq!(parse_listener("  sl  local_address rem_address   st"), None);
    }

    #[test]
    fn this_process_listens_where_it_listens() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(listening(std::process::id()).contains(&listener.local_addr().unwrap()));
    }
}
