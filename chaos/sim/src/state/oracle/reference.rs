//! What a command makes of what its client saw: Redis, in a few lines, for the commands that the workload knows.

use std::collections::BTreeSet;

use bytes::Bytes;
use replication_core::{
    Ask, BitsOp, Combine, HashOp, KeyOp, ListEnd, ListOp, Op, Reply, Score, SetIf, SetOp, TextOp, ZsetOp,
};

use super::reading::{Shown, decimal, hundredths_of, score_text};

/// What shows after `op` was answered with `reply`, if `before` showed before; `None` where this reference does not know.
/// Deadlines are not its business.
pub(crate) fn expected_after(before: &Shown, op: &Op, reply: &Reply) -> Option<Shown> {
    if matches!(reply, Reply::Error(_)) {
        return Some(before.clone());
    }
    match &op.ask {
        Ask::Key(KeyOp::Del) => Some(Shown::Nothing),
        Ask::Key(KeyOp::Persist | KeyOp::Copy { .. }) => Some(before.clone()),
        Ask::Key(KeyOp::Rename { .. }) => Some(Shown::Nothing),
        Ask::Text(ask) => after_text(before, ask, reply),
        Ask::Bits(BitsOp::Set { offset, on }) => after_bit(before, *offset, *on),
        Ask::Hash(ask) => after_hash(before, ask),
        Ask::Set(ask) => after_set(before, ask, reply),
        Ask::List(ask) => after_list(before, &op.key, ask),
        Ask::Zset(ask) => after_zset(before, ask, reply),
        _ => None,
    }
}

/// What shows under the other key that `op` wrote to, if it did.
pub(crate) fn expected_elsewhere<'a>(before: &Shown, op: &'a Op, reply: &Reply) -> Option<(&'a Bytes, Shown)> {
    match (&op.ask, reply) {
        (Ask::Key(KeyOp::Rename { to, .. }), Reply::Ok) => Some((to, before.clone())),
        (Ask::Key(KeyOp::Copy { to, .. }), Reply::Int(1)) => Some((to, before.clone())),
        _ => None,
    }
}

/// What shows under the key of a SINTERSTORE and its like, if the sources read as `now` says.
pub(crate) fn expected_store(op: &Op, reply: &Reply, now: impl Fn(&Bytes) -> Shown) -> Option<Shown> {
    let (Ask::Set(SetOp::Store { how, sources }), Reply::Int(_)) = (&op.ask, reply) else { return None };
    let mut sets = sources.iter().map(|source| match now(source) {
        Shown::Nothing => Some(BTreeSet::new()),
        Shown::Set(members) => Some(members),
        _ => None,
    });
    let first = sets.next()??;
    let result = sets.try_fold(first, |result, set| {
        let set = set?;
        Some(match how {
            Combine::Union => result.union(&set).cloned().collect(),
            Combine::Inter => result.intersection(&set).cloned().collect(),
            Combine::Diff => result.difference(&set).cloned().collect::<BTreeSet<Bytes>>(),
        })
    })?;
    Some(if result.is_empty() { Shown::Nothing } else { Shown::Set(result) })
}

fn after_bit(before: &Shown, offset: u64, on: bool) -> Option<Shown> {
    let mut text = match before {
        Shown::Nothing => Vec::new(),
        Shown::Text(text) => text.to_vec(),
        _ => return None,
    };
    let (at, bit) = ((offset / 8) as usize, 0x80 >> (offset % 8));
    text.resize(text.len().max(at + 1), 0);
    text[at] = if on { text[at] | bit } else { text[at] & !bit };
    Some(Shown::Text(text.into()))
}

fn after_text(before: &Shown, ask: &TextOp, reply: &Reply) -> Option<Shown> {
    match ask {
        TextOp::Set { value, condition, .. } => {
            let absent = *before == Shown::Nothing;
            let writes = match condition {
                SetIf::Always => true,
                SetIf::Absent => absent,
                SetIf::Present => !absent,
            };
            Some(if writes { Shown::Text(value.clone()) } else { before.clone() })
        }
        TextOp::GetDel => Some(Shown::Nothing),
        TextOp::Append { value } => match before {
            Shown::Nothing => Some(Shown::Text(value.clone())),
            Shown::Text(text) => Some(Shown::Text([&text[..], &value[..]].concat().into())),
            _ => None,
        },
        TextOp::IncrByFloat { by } => {
            let text = match before {
                Shown::Nothing => &b"0"[..],
                Shown::Text(text) => text,
                _ => return None,
            };
            let now = decimal(hundredths_of(text)? + hundredths_of(by)?);
            Some(if *reply == Reply::Bulk(now.clone()) { Shown::Text(now) } else { Shown::Other })
        }
        TextOp::Incr { by } => {
            let now = number(before)? + i128::from(*by);
            // A wrong answer shows as a difference between what is expected and what is there.
            Some(if *reply == Reply::Int(i64::try_from(now).ok()?) { text(now) } else { Shown::Other })
        }
        _ => None,
    }
}

fn after_hash(before: &Shown, ask: &HashOp) -> Option<Shown> {
    let mut fields = match before {
        Shown::Nothing => Default::default(),
        Shown::Hash(fields) => fields.clone(),
        _ => return None,
    };
    match ask {
        HashOp::Set { fields: new } => fields.extend(new.iter().cloned()),
        HashOp::Del { fields: doomed } => fields.retain(|name, _| !doomed.contains(name)),
        HashOp::Incr { field, by } => {
            let before = fields.get(field).map_or(Some(0), |text| hundredths_of(text))?;
            fields.insert(field.clone(), decimal(before + i128::from(*by) * 100));
        }
        HashOp::IncrByFloat { field, by } => {
            let before = fields.get(field).map_or(Some(0), |text| hundredths_of(text))?;
            fields.insert(field.clone(), decimal(before + hundredths_of(by)?));
        }
        HashOp::SetEx { fields: new, condition: SetIf::Always, .. } => fields.extend(new.iter().cloned()),
        HashOp::GetDel { fields: doomed } => fields.retain(|name, _| !doomed.contains(name)),
        HashOp::Expire { .. } | HashOp::Persist { .. } => {}
        _ => return None,
    }
    Some(if fields.is_empty() { Shown::Nothing } else { Shown::Hash(fields) })
}

fn after_set(before: &Shown, ask: &SetOp, reply: &Reply) -> Option<Shown> {
    let mut members = match before {
        Shown::Nothing => Default::default(),
        Shown::Set(members) => members.clone(),
        _ => return None,
    };
    match ask {
        SetOp::Add { members: new } => members.extend(new.iter().cloned()),
        SetOp::Rem { members: doomed } => members.retain(|member| !doomed.contains(member)),
        SetOp::Pop { count: None } => match reply {
            Reply::Nil if members.is_empty() => {}
            Reply::Bulk(popped) if members.remove(popped) => {}
            _ => return Some(Shown::Other),
        },
        _ => return None,
    }
    Some(if members.is_empty() { Shown::Nothing } else { Shown::Set(members) })
}

fn after_list(before: &Shown, key: &Bytes, ask: &ListOp) -> Option<Shown> {
    let mut items = match before {
        Shown::Nothing => Vec::new(),
        Shown::List(items) => items.clone(),
        _ => return None,
    };
    match ask {
        ListOp::Push { end: ListEnd::Right, values, existing: false } => items.extend(values.iter().cloned()),
        ListOp::Push { end: ListEnd::Left, values, existing: false } => {
            values.iter().for_each(|value| items.insert(0, value.clone()));
        }
        ListOp::Pop { end, count: None } if !items.is_empty() => {
            items.remove(if *end == ListEnd::Left { 0 } else { items.len() - 1 });
        }
        ListOp::Pop { count: None, .. } => {}
        ListOp::Set { index: 0, value } => *items.first_mut()? = value.clone(),
        ListOp::Insert { before, pivot, value } => {
            if let Some(at) = items.iter().position(|item| item == pivot) {
                items.insert(if *before { at } else { at + 1 }, value.clone());
            }
        }
        ListOp::Move { to, pop, push } if !items.is_empty() => {
            let item = items.remove(if *pop == ListEnd::Left { 0 } else { items.len() - 1 });
            if to != key {
                return Some(if items.is_empty() { Shown::Nothing } else { Shown::List(items) });
            }
            items.insert(if *push == ListEnd::Left { 0 } else { items.len() }, item);
        }
        ListOp::Move { .. } => {}
        ListOp::Rem { count: 0, value } => items.retain(|item| item != value),
        ListOp::Trim { start: 0, stop } => items.truncate(usize::try_from(*stop).ok()? + 1),
        _ => return None,
    }
    Some(if items.is_empty() { Shown::Nothing } else { Shown::List(items) })
}

fn after_zset(before: &Shown, ask: &ZsetOp, reply: &Reply) -> Option<Shown> {
    let mut scores = match before {
        Shown::Nothing => Default::default(),
        Shown::Zset(scores) => scores.clone(),
        _ => return None,
    };
    match ask {
        ZsetOp::Add { pairs, .. } => {
            scores.extend(pairs.iter().map(|(score, member)| (member.clone(), score_text(*score))));
        }
        ZsetOp::Incr { member, by, .. } => {
            let before = scores.get(member).map_or(Some(0), |text| hundredths_of(text))?;
            scores.insert(member.clone(), decimal(before + (by.0 * 100.0).round() as i128));
        }
        ZsetOp::Rem { members } => scores.retain(|member, _| !members.contains(member)),
        ZsetOp::Pop { max: false, count: 1 } => {
            let Reply::Scored(popped) = reply else { return Some(Shown::Other) };
            popped.iter().for_each(|(member, _)| drop(scores.remove(member)));
            let lowest = |(_, score): &(Bytes, Score)| scores.values().all(|text| score.0 <= number_of(text));
            if popped.len() > 1 || !popped.iter().all(lowest) {
                return Some(Shown::Other);
            }
        }
        _ => return None,
    }
    Some(if scores.is_empty() { Shown::Nothing } else { Shown::Zset(scores) })
}

fn number_of(text: &[u8]) -> f64 {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

fn number(shown: &Shown) -> Option<i128> {
    match shown {
        Shown::Nothing => Some(0),
        Shown::Text(text) => std::str::from_utf8(text).ok()?.parse().ok(),
        _ => None,
    }
}

fn text(number: i128) -> Shown {
    Shown::Text(Bytes::from(number.to_string()))
}
