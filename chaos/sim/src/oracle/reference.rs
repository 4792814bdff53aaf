//! What a command makes of what its client saw: Redis, in a few lines, for the commands that the workload knows.

use bytes::Bytes;
use replication_core::{Ask, HashOp, KeyOp, ListEnd, ListOp, Op, Reply, SetIf, SetOp, TextOp, ZsetOp};

use super::reading::{Shown, score_text};

/// What shows after `op` was answered with `reply`, if `before` showed before; `None` where this reference does not know.
/// Deadlines are not its business.
pub(crate) fn expected_after(before: &Shown, op: &Op, reply: &Reply) -> Option<Shown> {
    if matches!(reply, Reply::Error(_)) {
        return Some(before.clone());
    }
    match &op.ask {
        Ask::Key(KeyOp::Del) => Some(Shown::Nothing),
        Ask::Key(KeyOp::Persist) => Some(before.clone()),
        Ask::Text(ask) => after_text(before, ask, reply),
        Ask::Hash(ask) => after_hash(before, ask),
        Ask::Set(ask) => after_set(before, ask),
        Ask::List(ask) => after_list(before, ask),
        Ask::Zset(ask) => after_zset(before, ask),
        _ => None,
    }
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
            let before =
                fields.get(field).map_or(Some(0), |text| std::str::from_utf8(text).ok()?.parse::<i128>().ok())?;
            fields.insert(field.clone(), (before + i128::from(*by)).to_string().into());
        }
        _ => return None,
    }
    Some(if fields.is_empty() { Shown::Nothing } else { Shown::Hash(fields) })
}

fn after_set(before: &Shown, ask: &SetOp) -> Option<Shown> {
    let mut members = match before {
        Shown::Nothing => Default::default(),
        Shown::Set(members) => members.clone(),
        _ => return None,
    };
    match ask {
        SetOp::Add { members: new } => members.extend(new.iter().cloned()),
        SetOp::Rem { members: doomed } => members.retain(|member| !doomed.contains(member)),
        _ => return None,
    }
    Some(if members.is_empty() { Shown::Nothing } else { Shown::Set(members) })
}

fn after_list(before: &Shown, ask: &ListOp) -> Option<Shown> {
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
        ListOp::Rem { count: 0, value } => items.retain(|item| item != value),
        ListOp::Trim { start: 0, stop } => items.truncate(usize::try_from(*stop).ok()? + 1),
        _ => return None,
    }
    Some(if items.is_empty() { Shown::Nothing } else { Shown::List(items) })
}

fn after_zset(before: &Shown, ask: &ZsetOp) -> Option<Shown> {
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
            let before =
                scores.get(member).map_or(Some(0.0), |text| std::str::from_utf8(text).ok()?.parse::<f64>().ok())?;
            scores.insert(member.clone(), (before + by.0).to_string().into());
        }
        ZsetOp::Rem { members } => scores.retain(|member, _| !members.contains(member)),
        _ => return None,
    }
    Some(if scores.is_empty() { Shown::Nothing } else { Shown::Zset(scores) })
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
