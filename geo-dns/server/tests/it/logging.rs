//! The query log of a server.

use std::{fs, num::NonZeroU32, path::PathBuf};

use dns_server::{DnsConfig, LogTo, QueryLogConfig, Views, start};
use hickory_proto::rr::RecordType;
use serde_json::{Value, json};

use crate::{tcp::ask_tcp, world::*};

/// A directory that goes with its test.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("atoll-dns-it-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn log_to(path: PathBuf) -> Option<QueryLogConfig> {
    Some(QueryLogConfig { to: LogTo::File { path, max_bytes: 1 << 20 }, sample: NonZeroU32::MIN })
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_tells_a_query_and_its_answer() {
    let dir = Dir::new("lines");
    let path = dir.0.join("queries.jsonl");
    let server = serve_with(Some(plan(1)), |config| config.query_log = log_to(path.clone()));
    ask_udp(server.local_addr(), &query(1, "www.shop.test.", RecordType::A));
    ask_tcp(&server, &query(2, "no.shop.test.", RecordType::AAAA)).await;
    ask_udp(server.local_addr(), &query(3, "example.com.", RecordType::TXT));
    let counters = server.counters();
    assert_eq!((counters.log_dropped, counters.log_errors), (0, 0));
    // All of it is in the file once the server has stopped.
    server.shutdown().await;

    let mut lines: Vec<Value> =
        fs::read_to_string(&path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.sort_by_key(|line| line["transport"] == "tcp");
    for line in &mut lines {
        let line = line.as_object_mut().unwrap();
        assert!(line.remove("unix_ms").unwrap().as_u64().unwrap() > 1_700_000_000_000);
        assert!(line.remove("us").unwrap().is_u64());
        assert!(line.remove("size").unwrap().as_u64().unwrap() > 12);
    }
    let line = |transport, name, rtype, rcode| {
        json!({"client": "127.0.0.0/24", "transport": transport, "name": name, "type": rtype, "rcode": rcode,
            "zone": null, "region": null, "ttl": null, "scope": null})
    };
    let mut wanted = [
        line("udp", "www.shop.test", "A", "NOERROR"),
        line("udp", "example.com", "TXT", "REFUSED"),
        line("tcp", "no.shop.test", "AAAA", "NXDOMAIN"),
    ];
    (wanted[0]["zone"], wanted[0]["region"], wanted[0]["ttl"]) =
        ("shop.test".into(), "us-east".into(), lines[0]["ttl"].clone());
    assert!(lines[0]["ttl"].as_u64().is_some());
    (wanted[2]["zone"], wanted[2]["ttl"]) = ("shop.test".into(), lines[2]["ttl"].clone());
    assert!(lines[2]["ttl"].as_u64().is_some());
    lines.sort_by_key(|line| line["name"].to_string());
    wanted.sort_by_key(|line| line["name"].to_string());
    assert_eq!(lines, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_opened_is_an_error_that_says_what_to_do() {
    let mut config = DnsConfig::new("127.0.0.1:0".parse().unwrap());
    config.query_log = log_to("/nowhere/at/all/queries.jsonl".into());
    let error = start(config, Views::default(), never_heard()).unwrap_err().to_string();
    assert!(error.starts_with("cannot write the DNS query log to /nowhere/at/all/queries.jsonl: "), "{error}");
    assert!(error.ends_with("make its directory, or leave the query log out"), "{error}");
}
