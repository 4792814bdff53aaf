//! `INFO` and `TIME`: what tools and clients look at before they trust a server, and what an operator wants to see of a region.
//!
//! Only lines that are true here are told; fields of Redis that have no meaning here are left out.

use std::fmt::Write as _;

use crate::{
    REDIS_VERSION,
    call::{Answer, Call},
    server::Server,
    table::{Command, flag::*},
};

pub(super) const COMMANDS: &[Command] = &[
    Command::new("info", -1, LOADING | STALE | WIDE, "server", info)
        .categories(&["dangerous"])
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"])
        .about("1.0.0", "Get information and statistics about the server")
        .usage("[section [section ...]]"),
    Command::new("time", 1, LOADING | STALE | FAST, "server", time)
        .tips(&["nondeterministic_output"])
        .about("2.6.0", "Return the current server time"),
];

/// Writes one section's lines. Writing to a String cannot fail, which is why the results are not looked at.
type Section = fn(&Call<'_>, &mut String);

const SECTIONS: [(&str, Section); 8] = [
    ("Server", server),
    ("Clients", clients),
    ("Memory", memory),
    ("Persistence", persistence),
    ("Stats", stats),
    ("Replication", replication),
    ("Keyspace", keyspace),
    ("Region", region),
];

fn info(call: &mut Call<'_>) -> Answer {
    let wanted = &call.args[1..];
    let everything = wanted.is_empty()
        || wanted.iter().any(|word| [&b"all"[..], b"default", b"everything"].contains(&&*word.to_ascii_lowercase()));
    let mut text = String::with_capacity(2048);
    for (name, section) in SECTIONS {
        if everything || wanted.iter().any(|word| word.eq_ignore_ascii_case(name.as_bytes())) {
            let gap = if text.is_empty() { "" } else { "\r\n" };
            let _ = write!(text, "{gap}# {name}\r\n");
            section(call, &mut text);
        }
    }
    call.out.text(&text);
    Ok(())
}

/// The region's own clock: what deadlines are compared with.
fn time(call: &mut Call<'_>) -> Answer {
    let now_ms = call.server.store.now_ms();
    call.out.array(2);
    call.out.bulk((now_ms / 1000).to_string().as_bytes());
    call.out.bulk((now_ms % 1000 * 1000).to_string().as_bytes());
    Ok(())
}

fn server(call: &Call<'_>, text: &mut String) {
    let Server { config, started, .. } = call.server;
    let uptime = started.elapsed().as_secs();
    let _ = write!(
        text,
        "redis_version:{REDIS_VERSION}\r\natoll_version:{}\r\nredis_mode:standalone\r\nos:{} {}\r\narch_bits:{}\r\n\
         process_id:{}\r\ntcp_port:{}\r\nserver_time_usec:{}\r\nuptime_in_seconds:{uptime}\r\nuptime_in_days:{}\r\n",
        config.version,
        std::env::consts::OS,
        std::env::consts::ARCH,
        usize::BITS,
        std::process::id(),
        call.session.client.local.port(),
        call.server.store.now_ms() * 1000,
        uptime / 86_400,
    );
}

fn clients(call: &Call<'_>, text: &mut String) {
    let Server { config, clients, blocking, .. } = call.server;
    let _ = write!(
        text,
        "connected_clients:{}\r\nmaxclients:{}\r\nblocked_clients:{}\r\ntracking_clients:0\r\n",
        clients.count(),
        config.max_clients,
        blocking.count(),
    );
}

/// The memory is that of the whole region process: gateway, DNS and plane live in it too.
fn memory(call: &Call<'_>, text: &mut String) {
    let resident = resident_bytes();
    let stats = call.server.store.stats();
    let limit = stats.max_memory_bytes as u64;
    let _ = write!(
        text,
        "used_memory:{resident}\r\nused_memory_human:{0}\r\nused_memory_rss:{resident}\r\nused_memory_rss_human:{0}\r\n\
         maxmemory:{1}\r\nmaxmemory_human:{2}\r\nmaxmemory_policy:noeviction\r\n",
        human(resident),
        limit,
        human(limit),
    );
    let _ = write!(text, "used_memory_dataset:{}\r\n", stats.memory_bytes);
}

/// Resident memory of this process; 0 where the system does not tell.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

fn human(bytes: u64) -> String {
    let bytes = bytes as f64;
    match bytes {
        ..1024.0 => format!("{bytes}B"),
        ..1_048_576.0 => format!("{:.2}K", bytes / 1024.0),
        ..1_073_741_824.0 => format!("{:.2}M", bytes / 1_048_576.0),
        _ => format!("{:.2}G", bytes / 1_073_741_824.0),
    }
}

/// In Redis's terms: an append-only file, synced once a second.
fn persistence(call: &Call<'_>, text: &mut String) {
    let stats = call.server.store.stats();
    let _ = write!(
        text,
        "loading:0\r\nasync_loading:0\r\nrdb_changes_since_last_save:{}\r\nrdb_bgsave_in_progress:0\r\n\
         rdb_last_save_time:{}\r\nrdb_last_bgsave_status:ok\r\naof_enabled:1\r\naof_rewrite_in_progress:0\r\n\
         aof_last_write_status:{}\r\naof_current_size:{}\r\n",
        stats.unsynced,
        stats.last_sync_ms / 1000,
        if stats.refusing_writes { "err" } else { "ok" },
        stats.journal_bytes,
    );
}

fn stats(call: &Call<'_>, text: &mut String) {
    let counters = call.server.counters.snapshot(call.server.clients.count());
    let _ = write!(
        text,
        "total_connections_received:{}\r\ntotal_commands_processed:{}\r\ntotal_net_input_bytes:{}\r\n\
         total_net_output_bytes:{}\r\nrejected_connections:{}\r\ntotal_error_replies:{}\r\nevicted_keys:0\r\n\
         client_output_buffer_limit_disconnections:{}\r\n",
        counters.accepted,
        counters.commands,
        counters.bytes_in,
        counters.bytes_out,
        counters.rejected,
        counters.errors,
        counters.slow_readers,
    );
}

/// Every region is a master; peers are told of under `# Region`.
fn replication(_: &Call<'_>, text: &mut String) {
    text.push_str("role:master\r\nconnected_slaves:0\r\nmaster_failover_state:no-failover\r\n");
}

fn keyspace(call: &Call<'_>, text: &mut String) {
    let keys = call.server.store.dbsize();
    if keys > 0 {
        let _ = write!(text, "db0:keys={keys}\r\n");
    }
}

fn region(call: &Call<'_>, text: &mut String) {
    let Server { config, store, .. } = call.server;
    let stats = store.stats();
    let _ = write!(
        text,
        "region_name:{}\r\nregion_id:{}\r\nreplica:{}\r\ntoken:{}\r\nlocal_changes:{}\r\nremote_changes:{}\r\n\
         held_back:{}\r\napplied_late:{}\r\n",
        config.region,
        config.region_id,
        store.replica(),
        super::region::token(call.server),
        stats.local_deltas,
        stats.remote_deltas,
        stats.held_back,
        stats.applied_late,
    );
    for (at, peer) in (config.lag)().iter().enumerate() {
        let state = if peer.connected { "connected" } else { "disconnected" };
        let _ = write!(text, "peer{at}:name={},state={state},lag_ms=", peer.region);
        let _ = match peer.lag_ms {
            Some(lag) => write!(text, "{lag}"),
            None => write!(text, "unknown"),
        };
        let _ = write!(text, ",unconfirmed={}\r\n", peer.unconfirmed);
    }
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn sizes_are_written_as_redis_writes_them() {
        for (bytes, want) in
            [(0, "0B"), (1023, "1023B"), (1024, "1.00K"), (1_013_432, "989.68K"), (25_276_510_208, "23.54G")]
        {
            assert_eq!(human(bytes), want);
        }
    }
}
