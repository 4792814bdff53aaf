//! The words of commands on hash fields, without the `FIELDS n` that the protocol puts before them.

use bytes::Bytes;
use replication_core::{ExpireIf, GetExpiry, HashOp, Op, SetExpiry, SetIf, TimeUnit, When};

/// A command on hash fields; `None` for other commands.
pub(crate) fn parse(words: &[&str]) -> Option<Op> {
    let bytes = |at: usize| Bytes::copy_from_slice(words[at].as_bytes());
    let rest = |from: usize| (from..words.len()).map(bytes).collect::<Vec<Bytes>>();
    let number = |at: usize| words[at].parse::<i64>().unwrap();
    let pairs = |from: usize| rest(from).chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
    let seconds = |at| When::In(number(at), TimeUnit::Seconds);
    let op = match words[0] {
        "HSETNX" => HashOp::SetNx { field: bytes(2), value: bytes(3) },
        "HINCRBYFLOAT" => HashOp::IncrByFloat { field: bytes(2), by: bytes(3) },
        "HRANDFIELD" => {
            HashOp::RandField { count: words.get(2).map(|_| number(2)), with_values: words.get(3).is_some() }
        }
        "HSCAN" => HashOp::Scan { cursor: number(2) as u64, count: number(3) as usize },
        "HPEXPIRE" => {
            let has = |flag| words.get(3) == Some(&flag);
            let condition = ExpireIf { nx: has("NX"), xx: has("XX"), gt: has("GT"), lt: has("LT") };
            let fields = rest(if condition == ExpireIf::default() { 3 } else { 4 });
            HashOp::Expire { when: When::In(number(2), TimeUnit::Millis), condition, fields }
        }
        "HEXPIREAT" => {
            let when = When::At(number(2), TimeUnit::Seconds);
            HashOp::Expire { when, condition: ExpireIf::default(), fields: rest(3) }
        }
        "HTTL" => HashOp::Ttl { unit: TimeUnit::Seconds, absolute: false, fields: rest(2) },
        "HPTTL" => HashOp::Ttl { unit: TimeUnit::Millis, absolute: false, fields: rest(2) },
        "HPEXPIRETIME" => HashOp::Ttl { unit: TimeUnit::Millis, absolute: true, fields: rest(2) },
        "HPERSIST" => HashOp::Persist { fields: rest(2) },
        "HGETDEL" => HashOp::GetDel { fields: rest(2) },
        "HGETEX" => match words[2] {
            "PERSIST" => HashOp::GetEx { expiry: GetExpiry::Persist, fields: rest(3) },
            "EX" => HashOp::GetEx { expiry: GetExpiry::Deadline(seconds(3)), fields: rest(4) },
            _ => HashOp::GetEx { expiry: GetExpiry::Keep, fields: rest(2) },
        },
        "HSETEX" => match words[2] {
            "EX" => set_ex(SetExpiry::Deadline(seconds(3)), SetIf::Always, pairs(4)),
            "KEEPTTL" => set_ex(SetExpiry::Keep, SetIf::Always, pairs(3)),
            "FNX" => set_ex(SetExpiry::Clear, SetIf::Absent, pairs(3)),
            "FXX" => set_ex(SetExpiry::Clear, SetIf::Present, pairs(3)),
            _ => set_ex(SetExpiry::Clear, SetIf::Always, pairs(2)),
        },
        _ => return None,
    };
    Some(op.on(bytes(1)))
}

fn set_ex(expiry: SetExpiry, condition: SetIf, fields: Vec<(Bytes, Bytes)>) -> HashOp {
    HashOp::SetEx { fields, expiry, condition }
}
