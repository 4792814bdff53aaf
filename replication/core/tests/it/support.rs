//! Regions without a network: partitions, the deltas each has made, and commands as text.

use std::sync::Arc;

use bytes::Bytes;
use replication_core::{
    BitField, BitRange, BitUnit, BitsOp, Bitwise, Combine, DEFAULT_MAX_VALUE_BYTES, Delta, ExpireIf, FieldAsk,
    GetExpiry, HashOp, Hlc, HlcClock, KeyOp, ListEnd, ListOp, Now, Op, Overflow, Partition, PrefixRule, ReplicaId,
    Reply, Rules, SetExpiry, SetIf, SetOp, SketchOp, TextOp, TimeUnit, When,
};

/// The wall clock at the start of every test, in milliseconds: small, so that tables can be read.
pub(crate) const START_MS: u64 = 1_000_000;

pub(crate) fn replica(region: usize) -> ReplicaId {
    ReplicaId { region: region as u16 + 1, incarnation: 1 }
}

/// Rules under which removes win in keys of a prefix.
pub(crate) fn remove_wins(prefix: &'static str) -> Arc<Rules> {
    let rule = PrefixRule { remove_wins: true, ..PrefixRule::default() };
    Arc::new(Rules::new(DEFAULT_MAX_VALUE_BYTES, [(Bytes::from_static(prefix.as_bytes()), rule)]))
}

/// One region: its partition, its clock, and every delta it has ever made.
pub(crate) struct Region {
    pub(crate) partition: Partition,
    pub(crate) clock: HlcClock,
    pub(crate) made: Vec<Delta>,
}

impl Region {
    pub(crate) fn new(index: usize) -> Self {
        let mut partition = Partition::new(7, replica(index));
        partition.set_rules(remove_wins("rw:"));
        Self { partition, clock: HlcClock::default(), made: Vec::new() }
    }

    pub(crate) fn now(&mut self, wall_ms: u64) -> Now {
        Now { wall_ms, stamp: self.clock.tick(wall_ms), luck: self.made.len() as u64 }
    }

    pub(crate) fn execute(&mut self, op: &Op, wall_ms: u64) -> Reply {
        let now = self.now(wall_ms);
        let done = self.partition.execute(op, now);
        assert!(op.is_write() || done.delta.is_none(), "a read wrote: {op:?}");
        self.made.extend(done.delta);
        done.reply
    }

    pub(crate) fn read(&mut self, op: &Op, wall_ms: u64) -> Reply {
        let done = self.partition.execute(op, Now { wall_ms, stamp: Hlc::ZERO, luck: 0 });
        assert!(done.delta.is_none(), "a read wrote: {op:?}");
        done.reply
    }

    pub(crate) fn housekeeping(&mut self, wall_ms: u64, budget: usize) {
        let now = self.now(wall_ms);
        let delta = self.partition.housekeeping(now, budget);
        self.made.extend(delta);
    }

    pub(crate) fn run(&mut self, command: &str, wall_ms: u64) -> String {
        show(self.execute(&parse(command), wall_ms))
    }
}

/// Merges whatever `to` lacks of what `from` made, in order.
pub(crate) fn deliver(regions: &mut [Region], from: usize, to: usize) {
    for at in 0..regions[from].made.len() {
        let delta = regions[from].made[at].clone();
        regions[to].clock.observe(delta.hlc, delta.hlc.ms());
        regions[to].partition.merge(&delta);
    }
}

/// Everything to everybody, in an order that differs from region to region.
pub(crate) fn sync(regions: &mut [Region]) {
    let n = regions.len();
    for to in 0..n {
        for step in 1..n {
            deliver(regions, (to + step) % n, to);
        }
    }
}

/// A Redis command as text, one blank between words.
pub(crate) fn parse(command: &str) -> Op {
    let words: Vec<&str> = command.split_whitespace().collect();
    let bytes = |at: usize| Bytes::copy_from_slice(words.get(at).unwrap_or_else(|| panic!("{command:?}")).as_bytes());
    let number = |at: usize| words[at].parse::<i64>().unwrap_or_else(|_| panic!("{command:?}"));
    let rest = |from: usize| (from..words.len()).map(bytes).collect::<Vec<Bytes>>();
    let key = bytes(1);
    match words[0] {
        "GET" => TextOp::Get.on(key),
        "GETDEL" => TextOp::GetDel.on(key),
        "SET" => parse_set(&words),
        "DEL" => KeyOp::Del.on(key),
        "EXISTS" => KeyOp::Exists.on(key),
        "TYPE" => KeyOp::Type.on(key),
        "PERSIST" => KeyOp::Persist.on(key),
        "TTL" => KeyOp::Ttl { unit: TimeUnit::Seconds }.on(key),
        "PTTL" => KeyOp::Ttl { unit: TimeUnit::Millis }.on(key),
        "EXPIRE" => expire(key, When::In(number(2), TimeUnit::Seconds), &words[3..]),
        "PEXPIRE" => expire(key, When::In(number(2), TimeUnit::Millis), &words[3..]),
        "EXPIREAT" => expire(key, When::At(number(2), TimeUnit::Seconds), &words[3..]),
        "PEXPIREAT" => expire(key, When::At(number(2), TimeUnit::Millis), &words[3..]),
        "GETEX" => TextOp::GetEx { expiry: get_expiry(&words[2..]) }.on(key),
        "APPEND" => TextOp::Append { value: bytes(2) }.on(key),
        "STRLEN" => TextOp::StrLen.on(key),
        "GETRANGE" => TextOp::GetRange { start: number(2), end: number(3) }.on(key),
        "SETRANGE" => TextOp::SetRange { offset: number(2) as u64, value: bytes(3) }.on(key),
        "INCRBYFLOAT" => TextOp::IncrByFloat { by: bytes(2) }.on(key),
        "MSET" | "MSETNX" => {
            let (keys, values): (Vec<Bytes>, Vec<Bytes>) =
                rest(1).chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).unzip();
            TextOp::MSet { others: keys[1..].to_vec(), values, if_absent: words[0] == "MSETNX" }.on(key)
        }
        "GETBIT" | "SETBIT" | "BITCOUNT" | "BITPOS" | "BITFIELD" => bits(&words).on(key),
        "BITOP" => bit_op(words[1], rest(3)).on(bytes(2)),
        "PFADD" => SketchOp::Add { elements: rest(2) }.on(key),
        "PFCOUNT" => SketchOp::Count { others: rest(2) }.on(key),
        "PFMERGE" => SketchOp::Merge { sources: rest(2) }.on(key),
        "INCR" => TextOp::Incr { by: 1 }.on(key),
        "DECR" => TextOp::Incr { by: -1 }.on(key),
        "INCRBY" => TextOp::Incr { by: number(2) }.on(key),
        "DECRBY" => TextOp::Incr { by: -number(2) }.on(key),
        "HSET" => {
            let fields = rest(2).chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
            HashOp::Set { fields }.on(key)
        }
        "HGET" => HashOp::Get { field: bytes(2) }.on(key),
        "HMGET" => HashOp::MGet { fields: rest(2) }.on(key),
        "HGETALL" => HashOp::GetAll.on(key),
        "HDEL" => HashOp::Del { fields: rest(2) }.on(key),
        "HEXISTS" => HashOp::Exists { field: bytes(2) }.on(key),
        "HLEN" => HashOp::Len.on(key),
        "HINCRBY" => HashOp::Incr { field: bytes(2), by: number(3) }.on(key),
        "SADD" => SetOp::Add { members: rest(2) }.on(key),
        "SREM" => SetOp::Rem { members: rest(2) }.on(key),
        "SMEMBERS" => SetOp::Members.on(key),
        "SISMEMBER" => SetOp::IsMember { member: bytes(2) }.on(key),
        "SCARD" => SetOp::Card.on(key),
        "SMISMEMBER" => SetOp::MIsMember { members: rest(2) }.on(key),
        "SPOP" => SetOp::Pop { count: words.get(2).map(|_| number(2) as u64) }.on(key),
        "SRANDMEMBER" => SetOp::RandMember { count: words.get(2).map(|_| number(2)) }.on(key),
        "SMOVE" => SetOp::Move { to: bytes(2), member: bytes(3) }.on(key),
        "SINTER" => SetOp::Combine { how: Combine::Inter, others: rest(2) }.on(key),
        "SUNION" => SetOp::Combine { how: Combine::Union, others: rest(2) }.on(key),
        "SDIFF" => SetOp::Combine { how: Combine::Diff, others: rest(2) }.on(key),
        "SINTERCARD" => SetOp::InterCard { others: rest(3), limit: number(2) as u64 }.on(key),
        "SINTERSTORE" => SetOp::Store { how: Combine::Inter, sources: rest(2) }.on(key),
        "SUNIONSTORE" => SetOp::Store { how: Combine::Union, sources: rest(2) }.on(key),
        "SDIFFSTORE" => SetOp::Store { how: Combine::Diff, sources: rest(2) }.on(key),
        "SSCAN" => SetOp::Scan { cursor: number(2) as u64, count: number(3) as usize }.on(key),
        "RENAME" => KeyOp::Rename { to: bytes(2), nx: false }.on(key),
        "RENAMENX" => KeyOp::Rename { to: bytes(2), nx: true }.on(key),
        "COPY" => KeyOp::Copy { to: bytes(2), replace: words.get(3).is_some() }.on(key),
        "EXPIRETIME" => KeyOp::ExpireTime { unit: TimeUnit::Seconds }.on(key),
        "PEXPIRETIME" => KeyOp::ExpireTime { unit: TimeUnit::Millis }.on(key),
        "ENCODING" => KeyOp::Encoding.on(key),
        word => {
            let op = parse_list(&words)
                .or_else(|| crate::zset_words::parse(&words))
                .or_else(|| crate::hash_words::parse(&words));
            op.unwrap_or_else(|| panic!("no such command: {word} in {command:?}"))
        }
    }
}

fn parse_list(words: &[&str]) -> Option<Op> {
    let bytes = |at: usize| Bytes::copy_from_slice(words[at].as_bytes());
    let number = |at: usize| words[at].parse::<i64>().unwrap();
    let end = |at: usize| if words[at] == "LEFT" { ListEnd::Left } else { ListEnd::Right };
    let side = if words[0].starts_with('R') { ListEnd::Right } else { ListEnd::Left };
    let op = match words[0] {
        "LPUSH" | "RPUSH" | "LPUSHX" | "RPUSHX" => {
            let values = (2..words.len()).map(bytes).collect();
            ListOp::Push { end: side, values, existing: words[0].ends_with('X') }
        }
        "LPOP" | "RPOP" => ListOp::Pop { end: side, count: words.get(2).map(|count| count.parse().unwrap()) },
        "LLEN" => ListOp::Len,
        "LRANGE" => ListOp::Range { start: number(2), stop: number(3) },
        "LINDEX" => ListOp::Index { index: number(2) },
        "LSET" => ListOp::Set { index: number(2), value: bytes(3) },
        "LINSERT" => ListOp::Insert { before: words[2] == "BEFORE", pivot: bytes(3), value: bytes(4) },
        "LREM" => ListOp::Rem { count: number(2), value: bytes(3) },
        "LTRIM" => ListOp::Trim { start: number(2), stop: number(3) },
        "LMOVE" => ListOp::Move { to: bytes(2), pop: end(3), push: end(4) },
        "LPOS" => {
            let option = |name| words.iter().position(|word| *word == name).map(|at| number(at + 1));
            ListOp::Pos {
                value: bytes(2),
                rank: option("RANK").unwrap_or(1),
                count: option("COUNT").map(i64::unsigned_abs),
                max_len: option("MAXLEN").unwrap_or(0).unsigned_abs(),
            }
        }
        _ => return None,
    };
    Some(op.on(bytes(1)))
}

fn parse_set(words: &[&str]) -> Op {
    let bytes = |at: usize| Bytes::copy_from_slice(words[at].as_bytes());
    let (mut expiry, mut condition, mut get) = (SetExpiry::Clear, SetIf::Always, false);
    let mut at = 3;
    while let Some(&word) = words.get(at) {
        type Make = fn(i64, TimeUnit) -> When;
        let timed: Option<(Make, TimeUnit)> = match word {
            "EX" => Some((When::In, TimeUnit::Seconds)),
            "PX" => Some((When::In, TimeUnit::Millis)),
            "EXAT" => Some((When::At, TimeUnit::Seconds)),
            "PXAT" => Some((When::At, TimeUnit::Millis)),
            _ => None,
        };
        match (timed, word) {
            (Some((make, unit)), _) => {
                at += 1;
                expiry = SetExpiry::Deadline(make(words[at].parse().unwrap(), unit));
            }
            (None, "KEEPTTL") => expiry = SetExpiry::Keep,
            (None, "NX") => condition = SetIf::Absent,
            (None, "XX") => condition = SetIf::Present,
            (None, "GET") => get = true,
            (None, other) => panic!("SET … {other}"),
        }
        at += 1;
    }
    TextOp::Set { value: bytes(2), expiry, condition, get }.on(bytes(1))
}

fn get_expiry(options: &[&str]) -> GetExpiry {
    match options {
        [] => GetExpiry::Keep,
        ["PERSIST"] => GetExpiry::Persist,
        ["PX", ms] => GetExpiry::Deadline(When::In(ms.parse().unwrap(), TimeUnit::Millis)),
        ["PXAT", ms] => GetExpiry::Deadline(When::At(ms.parse().unwrap(), TimeUnit::Millis)),
        other => panic!("GETEX … {other:?}"),
    }
}

fn bits(words: &[&str]) -> BitsOp {
    let number = |at: usize| words[at].parse::<i64>().unwrap_or_else(|_| panic!("{words:?}"));
    let range = |at: usize| {
        let unit = if words.contains(&"BIT") { BitUnit::Bits } else { BitUnit::Bytes };
        (words.len() > at).then(|| BitRange {
            start: number(at),
            end: (words.len() > at + 1).then(|| number(at + 1)),
            unit,
        })
    };
    match words[0] {
        "GETBIT" => BitsOp::Get { offset: number(2) as u64 },
        "SETBIT" => BitsOp::Set { offset: number(2) as u64, on: number(3) == 1 },
        "BITCOUNT" => BitsOp::Count { range: range(2) },
        "BITPOS" => BitsOp::Pos { on: number(2) == 1, range: range(3) },
        _ => BitsOp::Field { steps: bit_fields(&words[2..]) },
    }
}

fn bit_fields(mut words: &[&str]) -> Vec<(BitField, FieldAsk)> {
    let (mut steps, mut overflow) = (Vec::new(), Overflow::Wrap);
    let field = |kind: &str, offset: &str| BitField {
        offset: offset.parse().unwrap(),
        bits: kind[1..].parse().unwrap(),
        signed: kind.starts_with('i'),
    };
    while let [what, first, rest @ ..] = words {
        words = rest;
        match (*what, rest) {
            ("OVERFLOW", _) => {
                overflow = match *first {
                    "WRAP" => Overflow::Wrap,
                    "SAT" => Overflow::Saturate,
                    _ => Overflow::Fail,
                }
            }
            ("GET", [offset, rest @ ..]) => {
                steps.push((field(first, offset), FieldAsk::Get));
                words = rest;
            }
            ("SET", [offset, value, rest @ ..]) => {
                steps.push((field(first, offset), FieldAsk::Set { value: value.parse().unwrap(), overflow }));
                words = rest;
            }
            ("INCRBY", [offset, by, rest @ ..]) => {
                steps.push((field(first, offset), FieldAsk::Incr { by: by.parse().unwrap(), overflow }));
                words = rest;
            }
            other => panic!("BITFIELD … {other:?}"),
        }
    }
    steps
}

fn bit_op(how: &str, sources: Vec<Bytes>) -> BitsOp {
    let how = match how {
        "AND" => Bitwise::And,
        "OR" => Bitwise::Or,
        "XOR" => Bitwise::Xor,
        _ => Bitwise::Not,
    };
    BitsOp::Combine { how, sources }
}

fn expire(key: Bytes, when: When, flags: &[&str]) -> Op {
    let has = |flag| flags.contains(&flag);
    KeyOp::Expire { when, condition: ExpireIf { nx: has("NX"), xx: has("XX"), gt: has("GT"), lt: has("LT") } }.on(key)
}

/// A reply on one line; what has no order is sorted.
pub(crate) fn show(reply: Reply) -> String {
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let sorted = |mut items: Vec<String>| {
        items.sort();
        format!("{{{}}}", items.join(" "))
    };
    match reply {
        Reply::Ok => "OK".to_owned(),
        Reply::Nil => "nil".to_owned(),
        Reply::Int(n) => n.to_string(),
        Reply::Bulk(bytes) => text(&bytes),
        Reply::Status(word) => word.to_owned(),
        Reply::Score(score) if score.0.is_finite() && score.0.abs() > 1e15 => format!("{:e}", score.0),
        Reply::Score(score) => score.0.to_string(),
        Reply::Scored(rows) => {
            let rows: Vec<String> =
                rows.iter().map(|(member, score)| format!("{}={}", text(member), score.0)).collect();
            format!("[{}]", rows.join(" "))
        }
        Reply::Array(items) => format!("[{}]", items.into_iter().map(show).collect::<Vec<_>>().join(" ")),
        Reply::Map(pairs) => {
            sorted(pairs.iter().map(|(field, value)| format!("{}={}", text(field), text(value))).collect())
        }
        Reply::Set(members) => sorted(members.iter().map(text).collect()),
        Reply::Error(error) => error.to_string(),
    }
}

/// Numbers that look random and are the same in every run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    /// The next one, less than `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}
