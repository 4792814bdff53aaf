//! Steps as people read them.

use std::fmt;

use replication_core::{
    Ask, BitsOp, HashOp, KeyOp, ListEnd, ListOp, Op, SetExpiry, SetIf, SetOp, SketchOp, TextOp, When, ZsetOp,
};

use super::{Action, Fault, Step};
use crate::state::disk::Crash;

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>6} ms  {}", self.at_ms, self.action)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write { region, ops, gather_ms } => {
                let ops: Vec<String> = ops.iter().map(say).collect();
                write!(f, "region {region}: {} (persisted {gather_ms} ms later)", ops.join("; "))
            }
            Self::Read { region, key } => write!(f, "region {region}: read {key}"),
            Self::Fault(fault) => write!(f, "fault: {fault}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crash { region, crash, after_calls, down_ms, again_after } => {
                let how = if *crash == Crash::Kill { "is killed" } else { "loses power" };
                write!(f, "region {region} {how} in disk call {after_calls} from now, {down_ms} ms down")?;
                if *again_after > 0 {
                    write!(f, ", and again in disk call {again_after} of its next start")?;
                }
                Ok(())
            }
            Self::Stop { region, down_ms } => write!(f, "region {region} is stopped, {down_ms} ms down"),
            Self::Cut { from, to, ms } => write!(f, "the path {from} → {to} is cut for {ms} ms"),
            Self::Disconnect { a, b } => write!(f, "the connection {a} – {b} breaks"),
            Self::Slow { from, to, rate, ms } => write!(f, "the path {from} → {to} carries {rate} B/ms for {ms} ms"),
            Self::Away { region, ms, detached } => {
                let meanwhile = if *detached { ", and detached meanwhile" } else { "" };
                write!(f, "region {region} is cut off from all for {ms} ms{meanwhile}")
            }
            Self::ClockStep { region, by_ms } => write!(f, "the clock of region {region} steps by {by_ms} ms"),
            Self::DiskFull { region, ms } => write!(f, "the disk of region {region} is full for {ms} ms"),
            Self::DiskErrors { region, one_in, ms } => {
                write!(f, "the disk of region {region} fails one call in {one_in} for {ms} ms")
            }
            Self::SyncLies { region, ms } => write!(f, "the disk of region {region} lies about syncs for {ms} ms"),
            Self::Backup { region } => write!(f, "the disk of region {region} is copied"),
            Self::Restore { region, booted, down_ms } => {
                let where_to = if *booted { "on a machine booted anew" } else { "on the same machine" };
                write!(f, "region {region} dies and gets the copy of its disk back {where_to}, {down_ms} ms down")
            }
            Self::LoseDisk { region, down_ms } => write!(f, "region {region} loses its disk, {down_ms} ms down"),
        }
    }
}

/// A command as a client would type it.
pub(crate) fn say(op: &Op) -> String {
    let key = op.key.escape_ascii();
    match &op.ask {
        Ask::Key(KeyOp::Del) => format!("DEL {key}"),
        Ask::Key(KeyOp::Persist) => format!("PERSIST {key}"),
        Ask::Key(KeyOp::Expire { when, .. }) => format!("PEXPIRE {key} {}", moment(*when)),
        Ask::Key(KeyOp::Rename { to, .. }) => format!("RENAME {key} {}", to.escape_ascii()),
        Ask::Key(KeyOp::Copy { to, .. }) => format!("COPY {key} {} REPLACE", to.escape_ascii()),
        Ask::Text(TextOp::Append { value }) => format!("APPEND {key} {}", value.escape_ascii()),
        Ask::Set(SetOp::Pop { .. }) => format!("SPOP {key}"),
        Ask::Zset(ZsetOp::Pop { .. }) => format!("ZPOPMIN {key}"),
        Ask::Text(TextOp::GetDel) => format!("GETDEL {key}"),
        Ask::Text(TextOp::IncrByFloat { by }) => format!("INCRBYFLOAT {key} {}", by.escape_ascii()),
        Ask::Bits(BitsOp::Set { offset, on }) => format!("SETBIT {key} {offset} {}", u8::from(*on)),
        Ask::Set(SetOp::Store { how, sources }) => format!("S{how:?}STORE {key} {}", list(sources)),
        Ask::Sketch(SketchOp::Merge { sources }) => format!("PFMERGE {key} {}", list(sources)),
        Ask::Text(TextOp::Incr { by }) => format!("INCRBY {key} {by}"),
        Ask::Text(TextOp::Set { value, expiry, condition, .. }) => {
            let expiry = match expiry {
                SetExpiry::Clear => String::new(),
                SetExpiry::Keep => " KEEPTTL".to_owned(),
                SetExpiry::Deadline(when) => format!(" PX {}", moment(*when)),
            };
            let condition = match condition {
                SetIf::Always => "",
                SetIf::Absent => " NX",
                SetIf::Present => " XX",
            };
            format!("SET {key} {}{expiry}{condition}", value.escape_ascii())
        }
        Ask::Hash(HashOp::Set { fields }) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| format!("{} {}", name.escape_ascii(), value.escape_ascii()))
                .collect();
            format!("HSET {key} {}", fields.join(" "))
        }
        Ask::Hash(HashOp::IncrByFloat { field, by }) => {
            format!("HINCRBYFLOAT {key} {} {}", field.escape_ascii(), by.escape_ascii())
        }
        Ask::Hash(HashOp::Expire { when, fields, .. }) => {
            format!("HPEXPIRE {key} {} FIELDS {} {}", moment(*when), fields.len(), list(fields))
        }
        Ask::Hash(HashOp::Persist { fields }) => format!("HPERSIST {key} FIELDS {} {}", fields.len(), list(fields)),
        Ask::Hash(HashOp::GetDel { fields }) => format!("HGETDEL {key} FIELDS {} {}", fields.len(), list(fields)),
        Ask::Hash(HashOp::Del { fields }) => format!("HDEL {key} {}", list(fields)),
        Ask::Hash(HashOp::Incr { field, by }) => format!("HINCRBY {key} {} {by}", field.escape_ascii()),
        Ask::Set(SetOp::Add { members }) => format!("SADD {key} {}", list(members)),
        Ask::Set(SetOp::Rem { members }) => format!("SREM {key} {}", list(members)),
        Ask::Zset(ZsetOp::Add { pairs, .. }) => {
            let pairs: Vec<String> =
                pairs.iter().map(|(score, member)| format!("{} {}", score.0, member.escape_ascii())).collect();
            format!("ZADD {key} {}", pairs.join(" "))
        }
        Ask::Zset(ZsetOp::Incr { member, by, .. }) => format!("ZINCRBY {key} {} {}", by.0, member.escape_ascii()),
        Ask::Zset(ZsetOp::Rem { members }) => format!("ZREM {key} {}", list(members)),
        Ask::Sketch(SketchOp::Add { elements }) => format!("PFADD {key} {}", list(elements)),
        Ask::List(ask) => say_list(&key.to_string(), ask),
        other => format!("{other:?} on {key}"),
    }
}

fn say_list(key: &str, ask: &ListOp) -> String {
    let side = |end: &ListEnd| if *end == ListEnd::Left { 'L' } else { 'R' };
    match ask {
        ListOp::Push { end, values, .. } => format!("{}PUSH {key} {}", side(end), list(values)),
        ListOp::Pop { end, .. } => format!("{}POP {key}", side(end)),
        ListOp::Set { index, value } => format!("LSET {key} {index} {}", value.escape_ascii()),
        ListOp::Insert { before, pivot, value } => {
            let place = if *before { "BEFORE" } else { "AFTER" };
            format!("LINSERT {key} {place} {} {}", pivot.escape_ascii(), value.escape_ascii())
        }
        ListOp::Rem { count, value } => format!("LREM {key} {count} {}", value.escape_ascii()),
        ListOp::Trim { start, stop } => format!("LTRIM {key} {start} {stop}"),
        ListOp::Move { to, pop, push } => format!("LMOVE {key} {} {:?} {:?}", to.escape_ascii(), pop, push),
        other => format!("{other:?} on {key}"),
    }
}

fn moment(when: When) -> i64 {
    match when {
        When::In(n, _) | When::At(n, _) => n,
    }
}

fn list(items: &[bytes::Bytes]) -> String {
    items.iter().map(|item| item.escape_ascii().to_string()).collect::<Vec<_>>().join(" ")
}
