//! The account of memory against what a process really takes, type by type; and that it goes back to where it was.

use std::process::Command;

use replication_core::{
    AddIf, HashOp, Hlc, KeyOp, ListEnd, ListOp, Now, Op, Partition, ReplicaId, Score, SetExpiry, SetIf, SetOp, TextOp,
    ZsetOp,
};

const KIND: &str = "ATOLL_MEMORY_OF";
const KINDS: [(&str, u64); 9] = [
    ("short texts", 60_000),
    ("long texts", 40_000),
    ("counters", 30_000),
    ("small hashes", 10_000),
    ("a large hash", 60_000),
    ("small sets", 12_000),
    ("a large set", 80_000),
    ("a large sorted set", 50_000),
    ("a large list", 60_000),
];

fn name(prefix: &str, n: u64) -> bytes::Bytes {
    format!("{prefix}:{n:08}").into()
}

/// The `n`th command that fills a partition with keys of a kind.
fn fill(kind: &str, n: u64) -> Op {
    let (expiry, condition) = (SetExpiry::Clear, SetIf::Always);
    let set = |value: String| TextOp::Set { value: value.into(), expiry, condition, get: false };
    match kind {
        "short texts" => set("a short text".into()).on(name("user", n)),
        "long texts" => set("x".repeat(200)).on(name("a rather long name of a user", n)),
        "counters" => TextOp::Incr { by: 1 }.on(name("count", n)),
        "small hashes" => {
            let fields = (0..5).map(|field| (name("field", field), "value".into())).collect();
            HashOp::Set { fields }.on(name("hash", n))
        }
        "a large hash" => HashOp::Set { fields: vec![(name("field", n), "value".into())] }.on("hash"),
        "small sets" => {
            SetOp::Add { members: (0..5).map(|member| name("member", member)).collect() }.on(name("set", n))
        }
        "a large set" => SetOp::Add { members: vec![name("member", n)] }.on("set"),
        "a large sorted set" => {
            let pairs = vec![(Score((n * 7919 % 10_007) as f64), name("member", n))];
            ZsetOp::Add { pairs, condition: AddIf::default(), changed: false }.on("zset")
        }
        "a large list" => {
            ListOp::Push { end: ListEnd::Right, values: vec![name("item", n)], existing: false }.on("list")
        }
        other => panic!("no such kind: {other}"),
    }
}

fn partition() -> Partition {
    Partition::new(7, ReplicaId { region: 1, incarnation: 1 })
}

fn execute(partition: &mut Partition, op: &Op, n: u64) {
    let now = Now { wall_ms: 1000 + n, stamp: Hlc::from_ms(1000 + n), luck: n };
    partition.execute(op, now);
}

fn resident_bytes() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<f64>().unwrap() * 4096.0
}

/// Fills a partition with one kind and says what that took by the account and by the system. In a process of its own: what other
/// tests take must not count.
fn take_memory(kind: &str) {
    let (_, commands) = KINDS.into_iter().find(|(known, _)| *known == kind).unwrap();
    let mut partition = partition();
    execute(&mut partition, &fill(kind, 0), 0);
    let (accounted, resident) = (partition.bytes(), resident_bytes());
    (1..commands).for_each(|n| execute(&mut partition, &fill(kind, n), n));
    println!("taken {} {}", partition.bytes() - accounted, resident_bytes() - resident);
}

#[test]
#[cfg(target_os = "linux")]
fn the_account_of_memory_is_honest() {
    if let Ok(kind) = std::env::var(KIND) {
        return take_memory(&kind); // this is one of the processes started below
    }
    let mut wrong = Vec::new();
    for (kind, commands) in KINDS {
        let args = ["--exact", "memory::the_account_of_memory_is_honest", "--nocapture", "--test-threads", "1"];
        let child = Command::new(std::env::current_exe().unwrap()).args(args).env(KIND, kind).output().unwrap();
        let out = String::from_utf8_lossy(&child.stdout).into_owned();
        let line = out.lines().find_map(|line| line.split("taken ").nth(1)).unwrap_or_else(|| panic!("{kind}: {out}"));
        let (accounted, resident) = line.split_once(' ').unwrap();
        let (accounted, resident): (f64, f64) = (accounted.parse().unwrap(), resident.parse().unwrap());
        let each = commands as f64;
        let told = format!("{kind}: {:.0} bytes each, accounted {:.0}", resident / each, accounted / each);
        println!("{told}");
        if !(0.8..=1.2).contains(&(accounted / resident)) {
            wrong.push(told);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_deleted_is_off_the_account() {
    for (kind, _) in KINDS {
        let mut partition = partition();
        let empty = partition.bytes();
        (0..300).for_each(|n| execute(&mut partition, &fill(kind, n), n));
        assert!(partition.bytes() > empty + 5_000, "{kind}");
        let mut keys = Vec::new();
        partition.scan(0, usize::MAX, 2000, &mut keys);
        for key in keys {
            execute(&mut partition, &KeyOp::Del.on(key), 1000);
        }
        // Removals are remembered until every peer has confirmed them.
        partition.prune_removals(&partition.vv().clone());
        assert_eq!(partition.bytes(), empty, "{kind}");
    }
}
